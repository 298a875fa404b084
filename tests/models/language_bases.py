"""A tiny Llama and a tiny BERT with output layers and one tokenizer, as folders like any base model's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunesmith.machine import quiet_libraries
from tunesmith.models.language.model import CAUSAL, MASKED
from tunesmith.models.source import ModelSource

SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")
VOCABULARY = 40
OBJECTIVES = {"llama": CAUSAL, "bert": MASKED}
SAMPLE = [list(range(5, 15)), list(range(30, 34)), [7, 7, 9, 30, 12]]
"""Token ids of a few texts."""


def tokenizer() -> Any:
    """Words w5 to w39, whose ids are their numbers."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {token: i for i, token in enumerate([*SPECIAL, *(f"w{i}" for i in range(len(SPECIAL), VOCABULARY))])}
    raw = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    names = dict(zip(("pad_token", "unk_token", "bos_token", "eos_token", "mask_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=raw, model_max_length=64, **names)


def save_base(folder: Path, family: str, **settings: Any) -> ModelSource:
    """A new base model of 2 layers in a folder; ``settings`` are of its config."""
    import torch
    from transformers import BertConfig, BertForMaskedLM, LlamaConfig, LlamaForCausalLM

    quiet_libraries()
    torch.manual_seed(0)
    shape = {
        "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "max_position_embeddings": 64, "initializer_range": 0.3,
    }  # fmt: skip
    if family == "llama":
        model: Any = LlamaForCausalLM(LlamaConfig(**{**shape, **settings}))
    else:
        still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        model = BertForMaskedLM(BertConfig(**{**shape, **still, **settings}))
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return ModelSource(folder.name, str(folder), "folder")


def batch(seed: int = 0) -> Any:
    """Repetitive token ids (4, 12), on which a model can be trained."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    return torch.randint(5, VOCABULARY, (4, 3), generator=generator).repeat(1, 4)


def steps(model: Any, count: int, rate: float = 5e-3) -> list[float]:
    """Losses of plain steps of training on one batch; gradients stay after the last."""
    import torch

    ids, losses = batch(), []
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=rate)
    model.train()
    for _ in range(count):
        optimizer.zero_grad()
        loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids).loss
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses
