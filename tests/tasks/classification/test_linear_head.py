"""The start of a new head: what it computes, for which models, and where it stays random."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from tests.fits import load_session
from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE
from tunesmith.data.readers.read import read_table
from tunesmith.data.table import Labels
from tunesmith.evaluation.baselines.linear import LinearModel
from tunesmith.models.fast.path import FastPath
from tunesmith.models.inference import logits
from tunesmith.models.load import LoadedModel
from tunesmith.models.number_head import NumberHead
from tunesmith.tasks.classification import linear_head
from tunesmith.tasks.classification.linear_head import (
    HeadRows,
    copy_into,
    fit_on_scaled,
    is_weakest,
    new_head,
    shrunk,
    some_rows,
    without_layer,
)

RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.normal(2, 3, size=(300, 6))
SUMS = VECTORS @ RANDOM.normal(size=(6, 3))
TARGETS: dict[str, Any] = {SINGLE: SUMS.argmax(axis=1), MULTI: (SUMS > 0).astype(int), REGRESSION: SUMS[:, 0] * 100 + 5000}


def labels_of(kind: str) -> Labels:
    return Labels(names=("a", "b", "c") if kind != REGRESSION else ("score",), problem_type=kind)


@pytest.mark.parametrize("kind", list(TARGETS))
def test_the_layer_computes_the_linear_model_from_the_vectors_as_they_are(kind: str) -> None:
    labels = labels_of(kind)
    linear, _ = fit_on_scaled(labels, HeadRows(VECTORS, TARGETS[kind], None, np.arange(300)))
    assert linear is not None
    layer = nn.Linear(6, labels.n)
    if kind == REGRESSION:
        layer.__class__, layer.__dict__["scale"] = NumberHead, 64.0
    copy_into(layer, linear)
    with torch.no_grad():
        outputs = layer(torch.tensor(VECTORS, dtype=torch.float32))
    activation = {SINGLE: lambda x: x.softmax(1), MULTI: torch.sigmoid, REGRESSION: lambda x: x[:, 0]}[kind]
    assert np.allclose(activation(outputs).numpy(), linear.scores(VECTORS), rtol=1e-3, atol=1e-4)
    if kind == REGRESSION:
        assert np.corrcoef(linear.scores(VECTORS), TARGETS[kind])[0, 1] > 0.99
    else:
        assert ((linear.scores(VECTORS) > 0.5) == (np.eye(3)[TARGETS[kind]] if kind == SINGLE else TARGETS[kind])).mean() > 0.9


@pytest.mark.parametrize("kind", list(TARGETS))
def test_labels_that_the_vectors_do_not_tell_give_no_linear_model(kind: str) -> None:
    shuffled = np.random.default_rng(1).permutation(TARGETS[kind])
    assert fit_on_scaled(labels_of(kind), HeadRows(VECTORS, shuffled, None, np.arange(300)))[0] is None
    same = np.ones_like(VECTORS)
    assert fit_on_scaled(labels_of(kind), HeadRows(same, TARGETS[kind], None, np.arange(300)))[0] is None


@pytest.mark.parametrize("kind", [SINGLE, MULTI])
def test_variants_of_a_row_are_held_out_with_it(kind: str) -> None:
    """Five variants of 100 texts with random labels: a nearest text would be right of each, if they were on both sides."""
    random = np.random.default_rng(2)
    texts = np.repeat(np.arange(100), 5)
    vectors = random.normal(size=(100, 60))[texts] + random.normal(size=(500, 60)) * 0.01
    labels = np.repeat(random.permutation(TARGETS[kind])[:100], 5, axis=0)
    order = random.permutation(500)
    rows = HeadRows(vectors[order], labels[order], None, texts[order])
    assert fit_on_scaled(labels_of(kind), rows)[0] is None
    assert fit_on_scaled(labels_of(kind), replace(rows, clusters=np.arange(500)))[0] is not None


@pytest.mark.parametrize(
    "clusters",
    [
        np.arange(300),
        RANDOM.integers(0, 200, 300),
        np.repeat(np.arange(100), 3),
        np.array([0, 1, 1, 2]),
        np.array([1, 0, 2, 2]),
        np.array([5, 5, 3]),
    ],
    ids=["alone", "some together", "threes", "all would be held out", "one pair", "two clusters"],
)
def test_a_third_is_held_out_in_whole_clusters(clusters: np.ndarray) -> None:
    n = len(clusters)
    held = HeadRows(np.zeros((n, 2)), np.zeros(n), None, clusters).held_out()
    assert held.any()
    assert not held.all()
    assert not set(clusters[held]) & set(clusters[~held])
    if n > 10:
        assert 0.25 < held.mean() < 0.4


def test_rows_alone_are_held_out_whatever_other_rows_are_linked() -> None:
    linked = np.arange(300)
    linked[250] = linked[100]
    apart, together = (HeadRows(VECTORS, TARGETS[SINGLE], None, clusters).held_out() for clusters in (np.arange(300), linked))
    assert set(np.flatnonzero(apart != together)) <= {100, 250}


def test_class_weights_raise_the_probability_of_a_rare_class() -> None:
    rare = (SUMS[:, 0] + RANDOM.normal(size=300) * 5 > np.quantile(SUMS[:, 0], 0.9)).astype(int)
    labels = Labels(names=("a", "b"), problem_type=SINGLE)
    plain, _ = fit_on_scaled(labels, HeadRows(VECTORS, rare, None, np.arange(300)))
    weighted, _ = fit_on_scaled(labels, HeadRows(VECTORS, rare, np.array([0.2, 5.0]), np.arange(300)))
    assert plain is not None
    assert weighted is not None
    assert weighted.scores(VECTORS)[:, 1].mean() > plain.scores(VECTORS)[:, 1].mean() + 0.1


def test_logits_are_shrunk_and_a_class_that_no_row_has_stays_finite() -> None:
    linear = LinearModel(SINGLE, VECTORS[:3], np.array([0.5, 0.0, -np.inf]))
    less = shrunk(linear, 0.0, 0.1)
    assert np.allclose(less.weights, VECTORS[:3] * 0.1)
    assert less.bias.tolist() == [0.5 * 0.1, 0.0, -linear_head.MOST * 0.1]


def test_the_weakest_regularisation_keeps_more_of_the_logits() -> None:
    assert [is_weakest(kind, 1.0) for kind in (SINGLE, MULTI)] == [True, True]
    assert not any([is_weakest(SINGLE, 0.1), is_weakest(SINGLE, 0.01), is_weakest(REGRESSION, 10.0)])


def test_a_regression_is_shrunk_towards_its_mean() -> None:
    linear, _ = fit_on_scaled(labels_of(REGRESSION), HeadRows(VECTORS, TARGETS[REGRESSION], None, np.arange(300)))
    assert linear is not None
    less = shrunk(linear, 5000.0, 0.1).scores(VECTORS) - 5000.0
    assert np.allclose(less, 0.1 * (linear.scores(VECTORS) - 5000.0))


SMALL = {"vocab_size": 40, "num_labels": 3, "pad_token_id": 0}
ENCODER = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
ARCHITECTURES = {
    "bert": ENCODER,
    "roberta": ENCODER,
    "electra": ENCODER,
    "deberta-v2": ENCODER,
    "modernbert": {**ENCODER, "cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2},
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2},
    "llama": {**ENCODER, "num_key_value_heads": 2},
}


@pytest.mark.parametrize("kind", list(ARCHITECTURES))
def test_a_model_without_its_layer_returns_what_the_layer_reads(kind: str) -> None:
    config = transformers.AutoConfig.for_model(kind, **SMALL, **ARCHITECTURES[kind])
    model = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    names = tuple(name for name, _ in model.named_parameters())
    name = new_head(LoadedModel(model, None, None, names), 3)  # type: ignore[arg-type]
    assert name is not None
    batch = {
        "input_ids": torch.tensor([[1, 5, 6, 2], [1, 7, 2, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
    }
    with torch.no_grad():
        whole = model(**batch).logits
        with without_layer(model, name):
            vectors = model(**batch).logits
        assert torch.allclose(model.get_submodule(name)(vectors), whole, atol=1e-6)
    assert vectors.shape[1] > 3
    assert torch.equal(model(**batch).logits, whole)


def recipe(model: Path | str, **train: Any) -> dict[str, Any]:
    data = {"train": "DataFrame", "validation": 0.25, "test": None}
    return {"data": data, "model": {"name": str(model)}, "train": {"num_train_epochs": 1, **train}}


def session_of(mapping: dict[str, Any], sentences: list[dict[str, str]], place: Path) -> Any:
    return load_session(mapping, {"train": sentences}, place)[1]


def test_the_untrained_model_of_a_session_predicts(tmp_path: Path) -> None:
    table = read_table("builtin:support_train").columns
    pairs = zip(table["message"], table["intent"], strict=True)
    rows = [{"text": text, "label": label} for text, label in pairs if label in ("order_status", "login_problem")]

    def accuracy(session: Any) -> float:
        train = session.tokens.encoded["train"]
        found = logits(session.model, train, session.tokens.pad_id, FastPath())
        return float((found.argmax(axis=1) == np.array(train.labels)).mean())

    started = session_of(recipe("builtin:minilm"), rows, tmp_path)
    assert started.head.startswith("logistic regression with C = ")
    assert "rows; logits scaled by 0." in started.head
    assert accuracy(started) > 0.9
    untouched = session_of(recipe("builtin:minilm", head_init="random"), rows, tmp_path)
    assert untouched.head == "random"
    assert accuracy(untouched) < 0.8


def test_a_head_stays_random_where_the_rows_do_not_tell_it(
    tiny_model: Path, sentences: list[dict[str, str]], tmp_path: Path
) -> None:
    tokens = recipe(tiny_model) | {"adapter": {"method": "prompt_tuning", "num_virtual_tokens": 2}}
    assert session_of(tokens, sentences, tmp_path).head == "random, since prompt_tuning changes what the head reads"
    no_signal = [{"text": f"the film {'long ' * (i % 7)}", "label": "pos" if i * 7919 % 97 < 48 else "neg"} for i in range(240)]
    assert "no better than a constant" in session_of(recipe(tiny_model), no_signal, tmp_path).head
    variants = [{**row, "group": f"writer {i % 4}"} for i, row in enumerate(sentences)]
    grouped = recipe(tiny_model) | {
        "data": {"train": "DataFrame", "validation": 0.5, "test": None, "columns": {"group": "group"}}
    }
    said = session_of(grouped, variants, tmp_path).head
    assert said == "random, since 2 independent rows (120 in all) of training are too few for a linear model"


def test_a_base_model_with_a_head_for_these_labels_keeps_it(
    tiny_model: Path, sentences: list[dict[str, str]], tmp_path: Path
) -> None:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=2)
    model.save_pretrained(tmp_path / "own")
    transformers.AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path / "own")
    session = session_of(recipe(tmp_path / "own"), sentences, tmp_path)
    assert session.head == "the base model's own"
    assert torch.equal(session.model.classifier.weight.cpu(), model.classifier.weight)


def test_long_rows_are_fewer(tiny_model: Path, sentences: list[dict[str, str]], tmp_path: Path, monkeypatch: Any) -> None:
    train = session_of(recipe(tiny_model), sentences, tmp_path).tokens.encoded["train"]
    assert sorted(some_rows(train.lengths)) == list(range(len(train)))
    monkeypatch.setattr(linear_head, "MAX_TOKENS", 100)
    chosen = some_rows(train.lengths)
    assert 100 <= train.lengths[chosen].sum() < 100 + train.lengths.max()
    monkeypatch.setattr(linear_head, "MAX_ROWS", 5)
    assert len(some_rows(train.lengths)) == 5
