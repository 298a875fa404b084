"""Converts judged answers to pairs of a good and a bad answer to one prompt, and pairs to judged answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tunesmith.data.preferences.dialogues import same_turns
from tunesmith.data.preferences.pairs import MOST_PAIRS, ONE_ANSWER, key_of
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.data.split import spread_positions
from tunesmith.errors import DataError


def pairs_of_judged(judged: JudgedAnswers) -> PreferencePairs:
    """Returns each good answer beside each bad one to the same prompt. Raises DataError if no prompt has both."""
    by_prompt: dict[tuple[tuple[str, str], ...], tuple[list[int], list[int]]] = {}
    for i, prompt in enumerate(judged.prompts):
        by_prompt.setdefault(key_of(prompt), ([], []))[0 if judged.desirable[i] else 1].append(i)
    pairs = [pair for good, bad in by_prompt.values() for pair in some_pairs(judged, good, bad)]
    if not pairs:
        message = "no prompt has both a good and a bad answer, so that no two answers can be compared."
        remedy = "Give pairs of a chosen and a rejected answer, or train on single answers: preference.loss_type: kto."
        raise DataError.one(judged.source, message, remedy)
    alone = [i for good, bad in by_prompt.values() if not (good and bad) for i in (*good, *bad)]
    left_out = {**judged.left_out, ONE_ANSWER: tuple(judged.row_ids[i] for i in sorted(alone))} if alone else judged.left_out
    return PreferencePairs(
        judged.split,
        judged.source,
        tuple(judged.row_ids[good] for good, _ in pairs),
        kind=judged.kind,
        columns=judged.columns,
        prompts=tuple(judged.prompts[good] for good, _ in pairs),
        chosen=tuple(judged.answers[good] for good, _ in pairs),
        rejected=tuple(judged.answers[bad] for _, bad in pairs),
        rows=tuple(judged.rows[good] for good, _ in pairs),
        groups=None if judged.groups is None else tuple(judged.groups[good] for good, _ in pairs),
        left_out=left_out,
        repairs=judged.repairs,
        rows_read=judged.rows_read,
        not_sampled=judged.not_sampled,
        sha256=judged.sha256,
    )


def some_pairs(judged: JudgedAnswers, good: Sequence[int], bad: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yields the positions of a good and a bad answer to one prompt that differ, at most so many."""
    pairs = [(a, b) for a in good for b in bad if not same_turns(judged.answers[a], judged.answers[b])]
    yield from (pairs[k] for k in spread_positions(len(pairs), MOST_PAIRS))


def judged_of_pairs(pairs: PreferencePairs) -> JudgedAnswers:
    """Returns both answers of each pair as single ones: the chosen is a good one, the rejected a bad one."""
    twice = [i for i in range(len(pairs)) for _ in range(2)]
    both = [answer for answers in zip(pairs.chosen, pairs.rejected, strict=True) for answer in answers]
    return JudgedAnswers(
        pairs.split,
        pairs.source,
        tuple(pairs.row_ids[i] for i in twice),
        kind=pairs.kind,
        columns=pairs.columns,
        prompts=tuple(pairs.prompts[i] for i in twice),
        answers=tuple(both),
        desirable=tuple(k % 2 == 0 for k in range(len(twice))),
        rows=tuple(pairs.rows[i] for i in twice) if pairs.rows else (),
        groups=None if pairs.groups is None else tuple(pairs.groups[i] for i in twice),
        left_out=pairs.left_out,
        repairs=pairs.repairs,
        rows_read=pairs.rows_read,
        not_sampled=pairs.not_sampled,
        sha256=pairs.sha256,
    )
