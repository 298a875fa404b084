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


def tokenizer() -> Any:
    """Whole words; a blank belongs to the word behind it."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = [*SPECIAL, *WORDS, *(f" {word}" for word in WORDS), "\n", " "]
    raw = Tokenizer(models.WordLevel({token: i for i, token in enumerate(names)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?[A-Za-z]+| ?[?.]|\n| "), "isolated")
    raw.decoder = decoders.Fuse()
    marks = dict(zip(("pad_token", "unk_token", "bos_token", "eos_token", "mask_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=raw, model_max_length=LONGEST, **marks)


def write_model(folder: Path, family: str = "llama") -> Path:
    """A new model of 2 layers and width 32."""
    import torch
    from transformers import BertConfig, BertForMaskedLM, LlamaConfig, LlamaForCausalLM, MambaConfig, MambaForCausalLM

    made = tokenizer()
    torch.manual_seed(0)
    shape = {
        "vocab_size": len(made), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "max_position_embeddings": LONGEST, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3,
    }  # fmt: skip
    kinds: dict[str, Any] = {
        "llama": (LlamaForCausalLM, LlamaConfig), "bert": (BertForMaskedLM, BertConfig), "mamba": (MambaForCausalLM, MambaConfig),
    }  # fmt: skip
    kind, config = kinds[family]
    model: Any = kind(config(**shape))
    model.save_pretrained(folder)
    made.save_pretrained(folder)
    return folder


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
