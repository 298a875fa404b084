"""Every token is scored once, with the context that window and stride give it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.models.tiny_language_models import LONGEST, made, token_rows
from tunesmith.errors import ModelError, RecipeError
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.models.language.perplexity import block_losses, context_curve, document_losses, make_windows
from tunesmith.models.language.token_losses import token_losses


class Table(torch.nn.Module):
    """Probabilities of the next token, given the last one (B = 3 tokens) and how many were read in this window."""

    def __init__(self, probabilities: np.ndarray, by_position: bool = False) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.log(torch.tensor(probabilities)))
        self.by_position, self.config = by_position, SimpleNamespace(model_type="table")

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, use_cache: bool) -> Any:
        assert not use_cache
        places = torch.arange(input_ids.shape[1]).expand_as(input_ids)
        return SimpleNamespace(logits=self.logits[places if self.by_position else input_ids])


BIGRAMS = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])


def sliding_losses(model: torch.nn.Module, ids: np.ndarray, window: int, stride: int, max_rows: int = 64) -> np.ndarray:
    return document_losses(model, [ids], window, stride, max_rows=max_rows)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (3, 1), (3, 3), (4, 2), (100, 7)])
def test_a_bigram_model_by_hand(window: int, stride: int) -> None:
    """0 0 1 1 2 0: the tokens after the first have probabilities 0.5, 0.25, 0.8, 0.1, 0.2."""
    losses = sliding_losses(Table(BIGRAMS), np.array([0, 0, 1, 1, 2, 0]), window, stride)
    assert losses == pytest.approx([0.69314718, 1.38629436, 0.22314355, 2.30258509, 1.60943791], abs=1e-6)
    assert np.exp(losses.mean()) == pytest.approx((0.5 * 0.25 * 0.8 * 0.1 * 0.2) ** (-1 / 5), abs=1e-6)


def contexts(n_tokens: int, window: int, stride: int) -> np.ndarray:
    """The tokens before each scored one: a model whose loss at its k-th place is k."""
    chance = np.exp(-np.arange(1, 61, dtype=np.float64))
    table = Table(np.stack([chance, 1 - chance], axis=1), by_position=True)
    return sliding_losses(table, np.zeros(n_tokens, dtype=np.int64), window, stride, max_rows=3)


def test_contexts_by_hand() -> None:
    assert contexts(9, 4, 4).round(4).tolist() == [1, 2, 3, 4, 1, 2, 3, 4]
    assert contexts(10, 4, 2).round(4).tolist() == [1, 2, 3, 4, 3, 4, 3, 4, 3]
    assert contexts(8, 4, 1).round(4).tolist() == [1, 2, 3, 4, 4, 4, 4]


@given(st.integers(0, 60), st.integers(1, 20), st.data())
def test_windows_score_every_token_but_the_first_once_with_enough_before_it(
    n_tokens: int, window: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, window))
    windows = make_windows(n_tokens, window, stride)
    scored = [after for _, first, stop in windows for after in range(first, stop)]
    assert scored == list(range(n_tokens - 1))
    assert all(stop - start <= window and start <= first < stop for start, first, stop in windows)
    for number, (start, first, stop) in enumerate(windows.tolist()):
        assert first - start == (0 if number == 0 else window - stride)
        assert stop - first <= (window if number == 0 else stride)


def test_a_stride_of_the_window_is_disjoint_windows_and_a_long_window_the_whole_text() -> None:
    model = made("llama")
    ids = token_rows(1, longest=100, shortest=100)[0]
    apart = sliding_losses(model, ids, 16, 16)
    pieces = [ids[start : start + 17] for start in range(0, 99, 16)]
    alone = token_losses(model, pieces, pieces, 0)
    assert np.abs(block_losses([apart], 16).sums - alone.sums).max() < 1e-4
    assert apart.mean() == pytest.approx(alone.mean, abs=1e-6)
    short = ids[:40]
    assert sliding_losses(model, short, LONGEST, 3).mean() == pytest.approx(
        token_losses(model, [short], [short], 0).mean, abs=1e-6
    )


def test_documents_and_batches_change_nothing() -> None:
    model, documents = made("gpt2"), [*token_rows(5, longest=90), np.array([7]), np.array([], dtype=np.int64)]
    together = document_losses(model, documents, 12, 5)
    assert [len(losses) for losses in together] == [max(0, len(ids) - 1) for ids in documents]
    for ids, losses in zip(documents, together, strict=True):
        assert np.abs(sliding_losses(model, ids, 12, 5, max_rows=1) - losses).max(initial=0) < 1e-5


def test_a_longer_context_helps_where_the_model_uses_it() -> None:
    chance = np.linspace(0.1, 0.6, 60)
    model = Table(np.stack([chance, 1 - chance], axis=1), by_position=True)
    documents = [np.zeros(length, dtype=np.int64) for length in (50, 40, 60, 55)]
    curve = context_curve(model, documents, [40, 4, 10], stride=8, resampling=Resampling(200))
    assert [(point.window, point.stride) for point in curve] == [(4, 4), (10, 8), (40, 8)]
    values = [point.perplexity.value or 0.0 for point in curve]
    assert values == sorted(values, reverse=True)
    assert all(point.losses.counts.tolist() == [49, 39, 59, 54] for point in curve)
    assert all((point.perplexity.low or 9) <= (point.perplexity.value or 0) <= (point.perplexity.high or 0) for point in curve)
    assert values[-1] == pytest.approx(np.exp(curve[-1].losses.mean))


def test_documents_that_depend_on_each_other_are_drawn_together() -> None:
    model, different = made("gpt2"), token_rows(8, shortest=20, longest=90)
    documents = [ids for ids in different for _ in range(5)]
    alone, copied, together = (
        context_curve(model, rows, [12], stride=12, resampling=Resampling(400, clusters=clusters))[0].perplexity
        for rows, clusters in ((different, None), (documents, None), (documents, np.repeat(np.arange(8), 5)))
    )
    assert together.value == pytest.approx(alone.value) == copied.value
    widths = [(point.high or 0) - (point.low or 0) for point in (alone, copied, together)]
    assert widths[2] == pytest.approx(widths[0], rel=0.3)
    assert widths[1] < 0.7 * widths[2]


def test_what_cannot_be_measured_is_refused() -> None:
    ids = np.arange(10)
    with pytest.raises(RecipeError, match="a stride of 5 does not fit a window of 4"):
        sliding_losses(made("llama"), ids, 4, 5)
    with pytest.raises(ModelError, match="made for 48 tokens"):
        sliding_losses(made("gpt2"), token_rows(1, shortest=90, longest=90)[0], LONGEST + 1, 8)
    assert len(sliding_losses(made("bloom"), token_rows(1, shortest=90, longest=90)[0], LONGEST + 1, 8)) == 89
