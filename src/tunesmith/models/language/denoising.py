"""Draws the pretraining pairs of encoder-decoders from plain texts by seed, epoch and row, so that resumed runs draw alike.

T5 removes spans and writes them out, each after its sentinel token (Raffel et al. 2020, section 3.1.4). BART replaces each span
by a mask token and writes the whole text (text infilling, Lewis et al. 2020, section 2.2; sentences are not permuted here).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.cells import plural
from tunesmith.errors import ModelError, RecipeError
from tunesmith.models.chat.template import edges, end_token
from tunesmith.models.language.masking import FIXED_EPOCH

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SENTINELS = ("<extra_id_{}>", "▁<extra_id_{}>")
"""Names of the sentinel tokens: of T5, and of mT5's vocabulary."""
DENSITY, INFILLED_DENSITY, SPAN_LENGTH = 0.15, 0.3, 3.0
"""Removed shares of T5 and of BART, and the mean length of a span of both."""

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Denoising:
    """Turns the tokens of a text into an encoder input and a decoder target.

    Attributes:
        sentinels: ids of the sentinel tokens in order; empty for a model with a mask token.
        mask_id: replaces each span, if there are no sentinels.
        before, after: special tokens around every input and target; the target ends with the end-of-text token.
        density: share of the tokens that are removed.
        span_length: mean length of the removed spans in tokens.
    """

    sentinels: tuple[int, ...]
    mask_id: int | None
    before: tuple[int, ...]
    after: tuple[int, ...]
    density: float
    span_length: float

    def pair(self, ids: np.ndarray, seed: int, epoch: int, row_id: int) -> Pair:
        """Returns the input and the target (int64) of a text's tokens, which have no special tokens around them.

        Args:
            seed: 0 to 2^32 - 1. Seed, ``epoch`` (from ``masking.FIXED_EPOCH``) and ``row_id`` alone determine the spans.
        """
        key = np.array([seed << 32 | epoch - FIXED_EPOCH, row_id], dtype=np.uint64)
        draw = np.random.Generator(np.random.Philox(key=key))
        tokens = ids.astype(np.int64)
        source, target = self.corrupted(tokens, draw) if self.sentinels else self.infilled(tokens, draw)
        return self.framed(source), self.framed(target)

    def framed(self, ids: np.ndarray) -> np.ndarray:
        return np.concatenate([np.array(self.before, np.int64), ids, np.array(self.after, np.int64)])

    def corrupted(self, ids: np.ndarray, draw: np.random.Generator) -> Pair:
        """Removes spans: "Thank you <X> me to your party <Y> week" with "<X> for inviting <Y> last <Z>"."""
        starts, stops = noise_spans(len(ids), self.density, self.span_length, draw)
        source, target, done = list[np.ndarray](), list[np.ndarray](), 0
        for number, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            sentinel = np.array([self.sentinels[number]])
            source += [ids[done:start], sentinel]
            target += [sentinel, ids[start:stop]]
            done = stop
        return np.concatenate([*source, ids[done:]]), np.concatenate([*target, [self.sentinels[len(starts)]]]).astype(np.int64)

    def infilled(self, ids: np.ndarray, draw: np.random.Generator) -> Pair:
        """Replaces spans, whose lengths have a Poisson distribution, by one mask token each; an empty span is only inserted.

        No more masks are inserted than tokens removed, so that the input is never longer than the text.
        """
        n, lengths = n_noise(len(ids), self.density), list[int]()
        left = n
        while left > 0:
            length = min(left, int(draw.poisson(self.span_length)))
            if length or len(lengths) + 1 + left <= n:
                lengths.append(length)
                left -= length
        n_kept = len(ids) - sum(lengths)
        is_span = np.zeros(n_kept + len(lengths), dtype=bool)
        is_span[draw.permutation(len(is_span))[: len(lengths)]] = True
        source, place, spans = list[int](), 0, iter(lengths)
        for here in is_span.tolist():
            source.append(int(self.mask_id or 0) if here else int(ids[place]))
            place += next(spans) if here else 1
        return np.array(source, dtype=np.int64), ids

    def require_sentinels(self, max_length: int) -> None:
        """Raises RecipeError if texts of so many tokens have more spans than there are sentinels for."""
        most = n_spans(max_length, self.density, self.span_length) + 1
        if self.sentinels and most > len(self.sentinels):
            needed = plural(most, "sentinel token")
            message = f"texts of {plural(max_length, 'token')} need up to {needed}, and the tokenizer has "
            remedy = "Lower it, or raise pretraining.mean_noise_span_length."
            raise RecipeError.one("data.max_length", f"{message}{len(self.sentinels)}.", remedy)


def n_noise(n_tokens: int, density: float) -> int:
    """Returns the number of removed tokens: rounded, at least one, and of several tokens never all."""
    return max(1, min(int(n_tokens * density + 0.5), n_tokens - 1))


def n_spans(n_tokens: int, density: float, span_length: float) -> int:
    """Returns the number of removed spans: at least one, and few enough for a token that stays between any two."""
    n = n_noise(n_tokens, density)
    return max(1, min(int(n / span_length + 0.5), n, n_tokens - n + 1))


def noise_spans(n_tokens: int, density: float, span_length: float, draw: np.random.Generator) -> tuple[list[int], list[int]]:
    """Draws spans [start, stop), no two adjacent: the removed tokens are cut into spans, the others into what is between them.

    As T5's ``random_spans_noise_mask``, but spans may begin and end anywhere: there the text always begins with a token that
    stays and ends with one that is removed, so that of a short text only the end would ever be learnt.
    """
    spans, n = n_spans(n_tokens, density, span_length), n_noise(n_tokens, density)
    noise = parts(n, spans, draw)
    between = parts(n_tokens - n + 2, spans + 1, draw)  # before the first and after the last there may be none
    starts = np.cumsum(between[:-1]) - 1 + np.concatenate([[0], np.cumsum(noise)[:-1]])
    return starts.tolist(), (starts + noise).tolist()


def parts(total: int, count: int, draw: np.random.Generator) -> np.ndarray:
    """Cuts a number into ``count`` positive parts, every way equally likely: (count)."""
    cuts = np.sort(draw.permutation(total - 1)[: count - 1]) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))


def make_denoising(tokenizer: PreTrainedTokenizerBase, density: float | None, span_length: float | None) -> Denoising:
    """Makes the denoising of a tokenizer: with sentinel tokens, else with a mask token. Raises ModelError if it has neither."""
    end_token(tokenizer)
    before, after = target_edges(tokenizer)
    sentinels = sentinel_ids(tokenizer)
    if len(sentinels) < 2 and tokenizer.mask_token_id is None:
        message = "its tokenizer has neither sentinel tokens (<extra_id_0>, ...) nor a mask token, so no text can be denoised."
        remedy = "Name T5, mT5, BART or a relative, or add the tokens: model.new_tokens: [<extra_id_0>, <extra_id_1>, ...]."
        raise ModelError.one(f"tokenizer of {tokenizer.name_or_path or 'this model'}", message, remedy)
    has_sentinels = len(sentinels) > 1
    usual = DENSITY if has_sentinels else INFILLED_DENSITY
    return Denoising(
        sentinels if has_sentinels else (), tokenizer.mask_token_id, before, after, density or usual, span_length or SPAN_LENGTH
    )


def sentinel_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Returns the ids of the sentinel tokens from the first on; empty if there are none."""
    vocabulary = tokenizer.get_vocab()
    for name in SENTINELS:
        ids: list[int] = []
        while (token := name.format(len(ids))) in vocabulary:
            ids.append(vocabulary[token])
        if ids:
            return tuple(ids)
    return ()


def target_edges(tokenizer: PreTrainedTokenizerBase) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the special tokens before and after a target: those of the tokenizer, and always the end-of-text token."""
    before, after = edges(tokenizer)
    end = tokenizer.eos_token_id
    return before, after if end in after else (*after, int(end))


def bare_texts(rows: Sequence[np.ndarray], tokenizer: PreTrainedTokenizerBase) -> list[np.ndarray]:
    """Removes the special tokens that the tokenizer put around texts."""
    before, after = edges(tokenizer)
    return [row[len(before) : len(row) - len(after)] for row in rows]
