"""Tiny language models as folders, and rows that they can learn."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

WORDS = [
    "who", "has", "the", "a", "is", "in", "red", "blue", "green", "lamp", "boat", "cup", "Ann", "Ben", "Cem", "harbour", "garden",
    "yes", "no", "?", ".", "and", "now", "it", "was", "there",
]  # fmt: skip
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")
LONGEST = 64


SENTINELS = tuple(f"<extra_id_{i}>" for i in range(12))
FRAMES = {"t5": "$A </s>", "bart": "<s> $A </s>"}
"""What tokenizers of encoder-decoders put around a text."""


def tokenizer(family: str = "llama") -> Any:
    """Whole words; a blank belongs to the word behind it."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = [*SPECIAL, *WORDS, *(f" {word}" for word in WORDS), "\n", " ", *(SENTINELS if family == "t5" else ())]
    raw = Tokenizer(models.WordLevel({token: i for i, token in enumerate(names)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?[A-Za-z]+| ?[?.]|\n| "), "isolated")
    raw.decoder = decoders.Fuse()
    if family in FRAMES:
        ends = [(token, names.index(token)) for token in ("<s>", "</s>")]
        raw.post_processor = processors.TemplateProcessing(single=FRAMES[family], special_tokens=ends)
    marks = dict(zip(("pad_token", "unk_token", "bos_token", "eos_token", "mask_token"), SPECIAL, strict=True))
    if family == "t5":  # it has no token that begins a text, and none for single masked tokens
        marks = {name: token for name, token in marks.items() if name not in ("bos_token", "mask_token")}
        marks["extra_special_tokens"] = list(SENTINELS)
    return PreTrainedTokenizerFast(tokenizer_object=raw, model_max_length=LONGEST, **marks)


def write_model(folder: Path, family: str = "llama") -> Path:
    """A new model of 2 layers and width 32."""
    import torch
    import transformers
    from transformers import BertConfig, BertForMaskedLM, LlamaConfig, LlamaForCausalLM, MambaConfig, MambaForCausalLM

    made = tokenizer(family)
    torch.manual_seed(0)
    shape = {
        "vocab_size": len(made), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "max_position_embeddings": LONGEST, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3,
    }  # fmt: skip
    kinds: dict[str, Any] = {
        "llama": (LlamaForCausalLM, LlamaConfig), "bert": (BertForMaskedLM, BertConfig), "mamba": (MambaForCausalLM, MambaConfig),
        "t5": (transformers.T5ForConditionalGeneration, transformers.T5Config),
        "bart": (transformers.BartForConditionalGeneration, transformers.BartConfig),
    }  # fmt: skip
    kind, config = kinds[family]
    model: Any = kind(config(**{"t5": t5_shape(shape), "bart": bart_shape(shape)}.get(family, shape)))
    model.save_pretrained(folder)
    made.save_pretrained(folder)
    return folder


def t5_shape(shape: dict[str, Any]) -> dict[str, Any]:
    """The same size in T5's names."""
    return {
        "vocab_size": shape["vocab_size"], "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4,
        "pad_token_id": 0, "eos_token_id": 3, "decoder_start_token_id": 0, "dropout_rate": 0.0,
    }  # fmt: skip


def bart_shape(shape: dict[str, Any]) -> dict[str, Any]:
    """The same size in BART's names; it forces the tokens that begin and end a text, as the published ones do."""
    sides = {
        f"{side}_{name}": n
        for side in ("encoder", "decoder")
        for name, n in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 64))
    }
    tokens = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 3, "forced_bos_token_id": 2}
    whole = {"vocab_size": shape["vocab_size"], "d_model": 32, "max_position_embeddings": LONGEST, "forced_eos_token_id": 3}
    return {**sides, **tokens, **whole, "dropout": 0.0}


def questions(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Who has what; the answer stands in the prompt. Prompts differ."""
    draw, found = random.Random(seed), {}
    while len(found) < count:
        name, colour, thing = (
            draw.choice(["Ann", "Ben", "Cem"]),
            draw.choice(["red", "blue", "green"]),
            draw.choice(["lamp", "boat", "cup"]),
        )
        place, end = draw.choice(["harbour", "garden"]), draw.choice(["now", "there", "it was there", "and it is in it"])
        other = draw.choice(["lamp", "boat", "cup"])
        prompt = f"{name} has the {colour} {thing} in the {place} and a {other} {end}. who has the {thing} ?"
        found[prompt] = {"prompt": prompt, "completion": f" {name}"}
    return list(found.values())


def texts(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Plain texts."""
    return [{"text": row["prompt"].split(". ")[0] + "."} for row in questions(count, seed)]
