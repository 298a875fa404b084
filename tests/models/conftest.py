"""Small tokenizers of the kinds that language models have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

SAMPLE = [
    "User: who is it at the door?", "Assistant: it is the good man.", "### Instruction: what is the sum of two numbers",
    "the answer is the number of the day", "hello there, you and the other one", "no, not at all: so it is", "good good bad",
]  # fmt: skip


@pytest.fixture(scope="session")
def byte_tokenizer() -> Callable[..., Any]:
    """A function that makes a byte-level BPE tokenizer, as GPT-2's is, with these special tokens and no chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    def make(*tokens: str, bos: str | None = None, eos: str | None = "<eos>", adds_bos: bool = False, **names: str) -> Any:
        special = [token for token in (bos, eos, *names.values(), *tokens) if token]
        raw = Tokenizer(models.BPE())
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        raw.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=400, initial_alphabet=alphabet, special_tokens=list(special), show_progress=False
        )
        raw.train_from_iterator(SAMPLE * 4, trainer)
        if adds_bos:
            ids = [(bos, raw.token_to_id(bos))]
            raw.post_processor = processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=ids)
        named = {f"{part}_token": token for part, token in {"bos": bos, "eos": eos, **names}.items() if token}
        made = PreTrainedTokenizerFast(tokenizer_object=raw, **named)
        if tokens:
            made.add_special_tokens({"extra_special_tokens": list(tokens)})
        return made

    return make


@pytest.fixture(scope="session")
def spaced_tokenizer() -> Callable[..., Any]:
    """A function that makes a BPE tokenizer that puts a space before texts and has no words apart, as Llama 2's is."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors
    from transformers import PreTrainedTokenizerFast

    def make() -> Any:
        tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *map(chr, range(33, 127))]
        merges = [("▁", letter) for letter in map(chr, range(33, 127))] + [("▁", "▁"), ("o", "o")]
        vocabulary = {token: i for i, token in enumerate([*tokens, *("".join(pair) for pair in merges)])}
        raw = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        raw.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", vocabulary["<s>"])]
        )
        raw.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>")

    return make
