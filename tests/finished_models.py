"""Small classifiers as other programs save them: random bodies of whole words, and a head whose predictions differ."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def save_classifier(folder: Path, like: Path, names: tuple[str, ...] = (), tokenizer: bool = True, **config: Any) -> Path:
    """Writes a BERT with a head of large random weights, so that its predictions differ; the tokenizer is that of ``like``."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    if names:
        config |= {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    torch.manual_seed(0)
    model: Any = AutoModelForSequenceClassification.from_config(AutoConfig.from_pretrained(like, **config))
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            torch.nn.init.normal_(weight, std=1.0 if "word_embeddings" in name or "classifier" in name else 0.5)
    with torch.no_grad():  # no class is always the likeliest
        model.classifier.bias -= model.eval()(torch.randint(5, 40, (64, 8))).logits.mean(dim=0)
    model.save_pretrained(folder)
    for name in TOKENIZER_FILES if tokenizer else ():
        shutil.copy(like / name, folder / name)
    return folder
