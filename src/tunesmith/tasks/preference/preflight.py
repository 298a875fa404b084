"""Checks the template, the reference by the first loss, and the ends of answers, as only preference runs need."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tunesmith.data.cells import plural
from tunesmith.errors import Problem
from tunesmith.models.chat.answers import conversations_of
from tunesmith.models.chat.prompts import certify_rendering, supervised_runs
from tunesmith.models.language.reference import AdapterOff
from tunesmith.preflight.report import CheckLine
from tunesmith.preflight.static import from_finding
from tunesmith.preflight.trial_step import proven
from tunesmith.tasks.language.preflight import SHOWN_CHARACTERS, UNENDED_REMEDY, about_rows
from tunesmith.tasks.preference.model import PreferenceSession
from tunesmith.tasks.preference.scoring import side_losses
from tunesmith.tasks.preference.training import batch_loss, sample_items

FIRST_LOSS = 1e-4
"""Largest difference between the first loss and that of equal models, as a share of losses above 1."""
SAME_LOGPS = 5e-5
"""Largest difference of a log-probability, as a share of it, that is rounding in fp32: of PiSSA it is about 1e-6."""


def model_checks(session: PreferenceSession) -> Iterator[CheckLine]:
    """Checks the template, the reference, one pair token by token, and the ends of answers."""
    yield CheckLine("template", session.template.sentence())
    proof = certify_rendering(
        session.tokenizer, session.template, conversations_of(session.data.rows.train), loss_on="completion"
    )
    yield proven(proof, "In training an answer would follow other tokens than at inference.")
    yield from reference_lines(session)
    for name, text in shown_pair(session).items():
        yield CheckLine(f"sample, {name}", text)
    ends = session.train.without_end
    if ends:
        summary = f"{plural(len(ends), 'row', 'has', 'have')} an answer without a supervised end"
        yield from_finding(about_rows("ends", summary, session.train.split, ends, UNENDED_REMEDY))
    else:
        yield CheckLine("ends", "the end of every answer is supervised")


def reference_lines(session: PreferenceSession) -> Iterator[CheckLine]:
    """Names the reference, and compares the first loss and the log-probabilities with those of a model that equals its reference.

    Others mean that the reference is not the model as training starts: its files, an adapter that starts with an effect, or
    weights that the adapter has changed. Some losses hardly show it: in KTO good and bad answers cancel.
    """
    yield CheckLine("reference", session.reference_words)
    if session.reference is None:
        return
    items = sample_items(session)
    loss, expected, gap = first_loss(session, items), expected_first_loss(session, items), reference_gap(session, items)
    known = "not known, since pairs are weighted" if expected is None else f"{expected:.5g}"
    figure = f"{loss:.5g}; of equal models it is {known}; log-probabilities differ by at most {gap:.2g} of them"
    is_off = expected is not None and not abs(loss - expected) <= FIRST_LOSS * max(1.0, abs(expected))
    problem = None
    if is_off or not gap <= SAME_LOGPS:
        message = f"the first loss is {figure}: the model does not start as its reference"
        adapter = session.data.recipe.adapter
        if adapter is not None:
            message += f" (adapter.method {adapter.method} starts with an effect of its own)"
        problem = Problem(
            "first loss", "", f"{message}.", "Use lora with its usual initialisation, pissa or olora, or no adapter."
        )
    yield CheckLine("loss at the reference", figure, problem)


def reference_gap(session: PreferenceSession, items: list[int]) -> float:
    """Returns the largest difference of an answer's log-probability between model and reference, as a share of it, in fp32."""
    reference: Any = session.reference
    is_off = isinstance(reference, AdapterOff)
    plain = replace(session, fast_path=replace(session.fast_path, precision="fp32"))
    gaps = []
    for side in (session.tokens.chosen, session.tokens.rejected):
        if side is None:
            continue
        answers = side.take(items)
        ours = side_losses(plain, session.model, answers).sums
        with session.model.disable_adapter() if is_off else nullcontext():
            theirs = side_losses(plain, session.model if is_off else reference, answers).sums
        gaps.append(float((np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))).max()))
    return max(gaps)


def first_loss(session: PreferenceSession, items: list[int]) -> float:
    """Computes TRL's loss of a few training rows before anything is learnt."""
    was_training = session.model.training
    session.model.eval()
    with torch.no_grad():
        loss = float(batch_loss(session, session.model, session.tokens, items))
    session.model.train(was_training)
    return loss


def expected_first_loss(session: PreferenceSession, items: list[int]) -> float | None:
    """Returns the loss of these rows while model and reference are equal; None where it is not known."""
    losses, tokens = session.losses, session.tokens
    chosen_nll = math.nan
    if any(loss.first is None for loss in losses.losses):
        chosen = side_losses(session, session.model, tokens.chosen.take(items))
        chosen_nll = float(chosen.sums.sum() / max(1, chosen.counts.sum()))
    share = 1.0 if tokens.desirable is None else float(np.mean([tokens.desirable[i] for i in items]))
    return losses.first_loss(chosen_nll, share)


def shown_pair(session: PreferenceSession) -> dict[str, str]:
    """Returns the first row's answers with their prompt; the supervised tokens are marked."""
    names = ("chosen", "rejected") if session.train.rejected is not None else ("answer",)
    shown = {}
    for name, side in zip(names, session.train.sides, strict=True):
        runs = supervised_runs(session.tokenizer, side.input_ids[0], side.labels[0])
        text = "".join(f"⟦{part}⟧" if is_supervised else part for part, is_supervised in runs).replace("\n", "⏎")
        cut = f"{text[: SHOWN_CHARACTERS // 2]} … {text[-SHOWN_CHARACTERS // 2 :]}"
        shown[name] = cut if len(text) > SHOWN_CHARACTERS else text
    return shown
