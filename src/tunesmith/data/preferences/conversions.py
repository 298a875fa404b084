"""Converts judged answers to pairs of a good and a bad answer to one prompt, and pairs to judged answers."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.data.preferences.pairs import NONE_DIFFERENT, ONE_ANSWER, key_of
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.data.preferences.within_prompts import WithinPrompts
from tunesmith.errors import DataError


def pairs_of_judged(judged: JudgedAnswers, notes: list[str]) -> PreferencePairs:
    """Returns each good answer beside each bad one to the same prompt, up to a limit. Raises DataError if no prompt has both.

    Args:
        notes: gets a sentence about the pairs that are left out.
    """
    by_prompt: dict[tuple[tuple[str, str], ...], tuple[list[int], list[int]]] = {}
    for i, prompt in enumerate(judged.prompts):
        by_prompt.setdefault(key_of(prompt), ([], []))[0 if judged.desirable[i] else 1].append(i)
    within, pairs, left_out = WithinPrompts(), list[tuple[int, int]](), dict[str, list[int]]()
    for good, bad in by_prompt.values():
        own = [(a, b) for a in good for b in bad]
        pairs += within.choose(own, lambda i: judged.answers[i])
        for i in unpaired(judged, good, bad):
            left_out.setdefault(NONE_DIFFERENT if own else ONE_ANSWER, []).append(i)
    if not pairs:
        message = "no prompt has both a good and a bad answer, so that no two answers can be compared."
        remedy = "Give pairs of a chosen and a rejected answer, or train on single answers: preference.loss_type: kto."
        raise DataError.one(judged.source, message, remedy)
    notes += within.notes(judged.split)
    reasons = {reason: tuple(judged.row_ids[i] for i in sorted(rows)) for reason, rows in left_out.items()}
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
        left_out={**judged.left_out, **reasons},
        repairs=judged.repairs,
        rows_read=judged.rows_read,
        not_sampled=judged.not_sampled,
        sha256=judged.sha256,
    )


def unpaired(judged: JudgedAnswers, good: Sequence[int], bad: Sequence[int]) -> list[int]:
    """Returns the positions of the answers to one prompt that no answer with the other judgement differs from."""
    texts = {i: key_of(judged.answers[i]) for i in (*good, *bad)}
    others = {True: {texts[i] for i in bad}, False: {texts[i] for i in good}}
    return [i for i in texts if others[judged.desirable[i]] <= {texts[i]}]


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
