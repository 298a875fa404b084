"""Tokenizers of several kinds and tiny random models for them."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CORPUS = [
    "the fox ran to the cat and the dog.", "a red fox, a happy dog and foxes!", "she said: \"where is the cat?\"",
    "he has happiness and café", "no yes not sure maybe positive negative", "{\"name\": \"x\", \"age\": 12}", "狐狸 — ok",
] * 3  # fmt: skip
KINDS = ("byte_level", "sentencepiece", "word_pieces", "whole_words")
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


@cache
def tokenizer_of(kind: str) -> Any:
    """A tokenizer of that kind over a small corpus; ``</s>`` ends a text."""
    raw, extra = {
        "byte_level": byte_level,
        "sentencepiece": sentencepiece,
        "word_pieces": word_pieces,
        "whole_words": whole_words,
    }[kind]()
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", pad_token="<pad>", unk_token="<unk>", **extra)


def trained(raw: Any, trainer: Any) -> Any:
    raw.train_from_iterator(CORPUS, trainer)
    return raw


SPECIAL = ["<unk>", "<pad>", "</s>"]


def byte_level() -> tuple[Any, dict[str, str]]:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=360, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    return trained(raw, trainer), {}


def sentencepiece() -> tuple[Any, dict[str, str]]:
    """As Llama's: a blank is part of the word behind it, other characters are bytes, some tokens hold parts of two words."""
    raw = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    plain = ["".join(letter for letter in text if ord(letter) < 128) for text in CORPUS]
    trainer = trainers.BpeTrainer(vocab_size=360, special_tokens=[*SPECIAL, "<s>", *BYTES], show_progress=False)
    raw.train_from_iterator(plain, trainer)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    raw.decoder = decoders.Sequence(steps)
    return without_special(raw, BYTES), {"bos_token": "<s>"}


def without_special(raw: Any, ordinary: list[str]) -> Any:
    """The tokenizer with these tokens no longer special, which training has made them."""
    import json

    plain = json.loads(raw.to_str())
    plain["added_tokens"] = [token for token in plain["added_tokens"] if token["content"] not in ordinary]
    return Tokenizer.from_str(json.dumps(plain))


def word_pieces() -> tuple[Any, dict[str, str]]:
    raw = Tokenizer(models.WordPiece(unk_token="<unk>"))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    return trained(raw, trainers.WordPieceTrainer(vocab_size=120, special_tokens=SPECIAL, show_progress=False)), {}


def whole_words() -> tuple[Any, dict[str, str]]:
    raw = Tokenizer(models.WordLevel(unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    return trained(raw, trainers.WordLevelTrainer(special_tokens=SPECIAL, show_progress=False)), {}


@cache
def letters() -> Any:
    """Six tokens: a and b with and without a blank before them, the blank, and the end."""
    vocabulary = {token: i for i, token in enumerate(["</s>", "▁a", "▁b", "a", "b", "▁"])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[("▁", "a"), ("▁", "b")]))
    raw.normalizer = normalizers.Replace(" ", "▁")
    raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>")


def tiny_llama(n_vocabulary: int, seed: int = 0, spread: float = 0.6) -> Any:
    """A random Llama of one layer whose next-token distributions are far from uniform."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=n_vocabulary, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=128, initializer_range=spread, tie_word_embeddings=False,
        bos_token_id=None, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def all_texts(model: Any, prompt: list[int], n_new: int, end: int) -> list[tuple[tuple[int, ...], float]]:
    """Every sequence of at most ``n_new`` tokens that ends or is full, with its log-probability."""
    others = [token for token in range(model.config.vocab_size) if token != end]
    full = list(product(others, repeat=n_new))
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([[*prompt, *row] for row in full])).logits
    steps = torch.log_softmax(logits[:, len(prompt) - 1 :].double(), dim=-1)
    found: dict[tuple[int, ...], float] = {}
    for i, row in enumerate(full):
        total = 0.0
        for n, token in enumerate(row):
            found[(*row[:n], end)] = total + float(steps[i, n, end])
            total += float(steps[i, n, token])
        found[row] = total
    return list(found.items())
