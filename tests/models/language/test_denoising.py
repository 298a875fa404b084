"""Span corruption and text infilling: nothing is lost, the shares are those asked for, and the place determines the draw."""

from __future__ import annotations

import numpy as np
import pytest

from tests.language_models import SENTINELS, tokenizer
from tunesmith.errors import ModelError, RecipeError
from tunesmith.models.language.denoising import Denoising, make_denoising, n_noise, n_spans, noise_spans, sentinel_ids
from tunesmith.models.language.masking import FIXED_EPOCH

FIRST, MASK, BEGIN, END = 900, 4, 2, 3
T5 = Denoising(tuple(range(FIRST, FIRST + 100)), None, (), (END,), 0.15, 3.0)
BART = Denoising((), MASK, (BEGIN,), (END,), 0.3, 3.0)
LENGTHS = (1, 2, 3, 7, 20, 100, 512)


def restored(source: np.ndarray, target: np.ndarray) -> list[int]:
    """Puts the spans of a target back into the places of their sentinels."""
    spans: dict[int, list[int]] = {}
    for token in target[:-1].tolist():
        if token >= FIRST:
            spans[token] = []
        else:
            spans[list(spans)[-1]].append(token)
    return [token for place in source[:-1].tolist() for token in spans.get(place, [place])]


@pytest.mark.parametrize("length", LENGTHS)
def test_input_and_target_of_t5_hold_the_whole_text(length: int) -> None:
    ids = np.arange(10, 10 + length)
    for row in range(30):
        source, target = T5.pair(ids, 0, 0, row)
        assert restored(source, target) == ids.tolist()
        sentinels = [token for token in source.tolist() if token >= FIRST]
        assert sentinels == list(range(FIRST, FIRST + n_spans(length, 0.15, 3.0)))
        # A last sentinel marks the end of the target, before the end of the text.
        assert target[-2:].tolist() == [FIRST + len(sentinels), END]
        assert len(target) - len(sentinels) - 2 == n_noise(length, 0.15)


def test_spans_begin_and_end_anywhere_and_are_not_adjacent() -> None:
    draw, first, last = np.random.default_rng(0), 0, 0
    for _ in range(400):
        starts, stops = noise_spans(40, 0.15, 3.0, draw)
        assert all(stop < start for stop, start in zip(stops, starts[1:], strict=False))
        first, last = first + (starts[0] == 0), last + (stops[-1] == 40)
    assert 5 < first < 100
    assert 5 < last < 100


def test_the_mean_span_has_the_length_that_was_asked_for() -> None:
    draw = np.random.default_rng(0)
    lengths = [b - a for _ in range(200) for a, b in zip(*noise_spans(512, 0.15, 3.0, draw), strict=True)]
    assert np.mean(lengths) == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_masked_span_of_bart_is_one_token_and_its_target_the_text(length: int) -> None:
    ids = np.arange(10, 10 + length)
    for row in range(30):
        source, target = BART.pair(ids, 0, 0, row)
        assert target.tolist() == [BEGIN, *ids.tolist(), END]
        kept = [token for token in source[1:-1].tolist() if token != MASK]
        assert kept == sorted(kept)
        assert len(kept) == length - n_noise(length, 0.3)
        assert len(source) <= length + 2


@pytest.mark.parametrize("denoising", [T5, BART], ids=["t5", "bart"])
def test_pairs_depend_on_seed_epoch_and_row_alone(denoising: Denoising) -> None:
    ids = np.arange(10, 60)
    places = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, FIXED_EPOCH, 0), (2**32 - 1, 5, 7)]
    drawn = [[part.tolist() for part in denoising.pair(ids, *place)] for place in places]
    assert drawn == [[part.tolist() for part in denoising.pair(ids, *place)] for place in places]
    assert len({str(pair) for pair in drawn}) == len(places)


def test_the_tokenizer_decides_between_sentinels_and_a_mask_token() -> None:
    of_t5, of_bart = (make_denoising(tokenizer(family), None, None) for family in ("t5", "bart"))
    assert (len(of_t5.sentinels), of_t5.density, of_t5.before) == (len(SENTINELS), 0.15, ())
    assert (of_bart.sentinels, of_bart.density, of_bart.before) == ((), 0.3, (2,))
    assert make_denoising(tokenizer("t5"), 0.5, 2.0).density == 0.5
    bare = tokenizer()
    bare.mask_token = None
    with pytest.raises(ModelError, match="neither sentinel tokens"):
        make_denoising(bare, None, None)


def test_sentinels_of_mt5_have_a_blank_before_them() -> None:
    words = tokenizer()
    words.add_tokens(["▁<extra_id_1>", "▁<extra_id_0>"])
    assert sentinel_ids(words) == tuple(words.convert_tokens_to_ids(["▁<extra_id_0>", "▁<extra_id_1>"]))


def test_texts_that_need_more_sentinels_than_there_are_are_refused() -> None:
    T5.require_sentinels(1024)
    with pytest.raises(RecipeError, match="need up to 103 sentinel tokens, and the tokenizer has 100"):
        T5.require_sentinels(2048)
