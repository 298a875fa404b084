"""Checks on a loaded language model: what the loss sees, and the run in miniature, before it is paid for."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tunesmith.data.chat.conversations import Conversations
from tunesmith.errors import Problem
from tunesmith.models.chat.prompts import certify_rendering, supervised_runs
from tunesmith.models.chat.render import Rendered
from tunesmith.models.chat.template import Template
from tunesmith.models.equivalence import certificate
from tunesmith.models.fast.packing import certify_packing
from tunesmith.models.fast.supervised_loss import supervised_loss
from tunesmith.models.inference import autocast
from tunesmith.models.language.save import save_language_model
from tunesmith.models.language.token_losses import move_to, token_losses
from tunesmith.models.load import LoadedModel
from tunesmith.preflight.loaded import gradient_line, proven
from tunesmith.preflight.report import CheckLine
from tunesmith.recipe.sections import Recipe
from tunesmith.results import Certificate
from tunesmith.tasks.language.training import Prepared
from tunesmith.training.schedule import plan_schedule
from tunesmith.training.trainers.tokens import TrainingTokens, batch_of
from tunesmith.training.weights import count_parameters

SAMPLE = 8
MUCH = 0.05
SHOWN_CHARACTERS = 160
FIRST_LOSS_FACTOR = 1.5


def lengths(rendered: Mapping[str, Rendered]) -> Iterator[CheckLine]:
    """How long the rows are, and what became of those that are too long."""
    for name, rows in rendered.items():
        longest = max(map(len, rows.input_ids), default=0)
        n_dropped = sum(map(len, rows.dropped.values()))
        parts = [
            *(f"{len(ids):,} rows dropped: {reason}" for reason, ids in rows.dropped.items()),
            f"{len(rows.cut):,} rows cut" if rows.cut else "",
            f"{len(rows.divided):,} texts divided" if rows.divided else "",
            f"{rows.target_tokens_lost:,} tokens lost that would be learnt" if rows.target_tokens_lost else "",
        ]
        lost = "; ".join(part for part in parts if part)
        figure = f"longest {longest:,} tokens, limit {rows.max_length or 0:,}; {lost or 'nothing cut'}"
        share = (n_dropped + len(rows.cut)) / max(1, len(set(rows.positions)) + n_dropped)
        note = f"{share:.0%} of {name} does not fit into {rows.max_length} tokens: {lost}" if share > MUCH else ""
        yield CheckLine(f"lengths of {name}", figure, note=note)


def language_checks(
    recipe: Recipe,
    loaded: LoadedModel,
    prepared: Prepared,
    template: Template,
    rows: Rendered,
    conversations: Conversations,
    place: Path,
) -> tuple[list[CheckLine], float]:
    """Every check on the model; and the seconds that training will take."""
    lines = [*seen(prepared, template, rows, conversations), *proofs(prepared)]
    total, trained = count_parameters(prepared.model)
    new = ", ".join(loaded.new_weights[:3]) or "none"
    lines.append(CheckLine("trainable", f"{trained:,} of {total:,} parameters; new: {new}"))
    lines += one_step(recipe, prepared)
    if recipe.adapter is None:
        with tempfile.TemporaryDirectory(dir=place) as folder:
            saved = save_language_model(
                prepared.model, prepared.tokenizer, Path(folder) / "model", loaded.source, sample_rows(prepared)
            )
        lines += [proven(one, "What is saved would not be what was trained.") for one in saved.certificates]
    estimate, line = time_estimate(recipe, prepared)
    return [*lines, line], estimate


def seen(prepared: Prepared, template: Template, rows: Rendered, conversations: Conversations) -> Iterator[CheckLine]:
    """The template, the share that is learnt, and whether every answer's end is."""
    if conversations.form != "text":
        proof = certify_rendering(prepared.tokenizer, template, conversations, loss_on=rows.loss_on)
        yield CheckLine("template", template.sentence())
        yield proven(proof, "Training would show the model other tokens before an answer than it is asked with later.")
    n_learnt, n_tokens = rows.target_tokens, rows.tokens
    problem = None
    if n_learnt == 0:
        remedy = "Write sft.loss_on: all, or look at the rows with tunesmith trace."
        problem = Problem("what the loss sees", "", "not one token would be learnt.", remedy)
    yield CheckLine("what the loss sees", f"{n_learnt:,} of {n_tokens:,} tokens ({n_learnt / max(1, n_tokens):.0%})", problem)
    if len(rows.input_ids):
        yield CheckLine("sample", sample_line(prepared.tokenizer, rows))
    ends = rows.without_end
    note = f"{len(ends):,} rows do not learn where an answer ends, the first is row {ends[0]}" if ends else ""
    yield CheckLine("ends", "every answer's end is learnt" if not ends else note, note=note)


def sample_line(tokenizer: Any, rows: Rendered) -> str:
    """The start of the first row; what is learnt stands in brackets."""
    runs = supervised_runs(tokenizer, rows.input_ids[0], rows.labels[0])
    text = "".join(f"⟦{part}⟧" if learnt else part for part, learnt in runs)
    shown = text.replace("\n", "⏎")
    return shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[: SHOWN_CHARACTERS // 2]} … {shown[-SHOWN_CHARACTERS // 2 :]}"


def proofs(prepared: Prepared) -> Iterator[CheckLine]:
    """Rows do not depend on their batch, nor joined rows on each other."""
    yield proven(batch_invariance(prepared), "The model mixes rows of a batch; its results would depend on the batch size.")
    if prepared.tokens.is_joined:
        sample = [prepared.tokens.input_ids[i] for i in spread(prepared.tokens)]
        proof = certify_packing(prepared.model, sample, prepared.pad_id)
        yield proven(proof, "Rows in one sequence would see each other. Write packing: false and padding_free: false.")


def spread(tokens: TrainingTokens) -> list[int]:
    """Positions of a few sequences from the shortest to the longest."""
    order = np.argsort([len(ids) for ids in tokens.input_ids], kind="stable")
    return [int(order[i]) for i in np.unique(np.linspace(0, len(order) - 1, SAMPLE).astype(int))]


def sample_rows(prepared: Prepared) -> list[list[int]]:
    """The token ids of a few training sequences from the shortest to the longest."""
    return [prepared.tokens.input_ids[i].tolist() for i in spread(prepared.tokens)]


def sample_sums(prepared: Prepared, model: Any, max_rows: int = SAMPLE) -> np.ndarray:
    """The summed loss of a few training sequences, all their tokens counted, in fp32."""
    chosen = spread(prepared.tokens)
    ids = [prepared.tokens.input_ids[i] for i in chosen]
    is_masked = prepared.objective.needs_masking
    return token_losses(model, ids, ids, prepared.pad_id, "fp32", masked=is_masked, max_rows=max_rows).sums


def batch_invariance(prepared: Prepared) -> Certificate:
    """The largest difference of a row's loss between the row alone and the same row in a padded batch."""
    model = prepared.model
    return certificate(
        "a row alone equals the row in a padded batch", sample_sums(prepared, model), sample_sums(prepared, model, 1),
        "largest difference of a row's loss",
    )  # fmt: skip


def one_step(recipe: Recipe, prepared: Prepared) -> Iterator[CheckLine]:
    """Forward and backward on the longest rows: memory, the first loss, gradients."""
    items = np.argsort(-prepared.tokens.lengths, kind="stable")[: recipe.train.batch_rows].tolist()
    started = time.perf_counter()
    loss, without, bad = trial_step(prepared, items)
    yield CheckLine("longest batch", f"one step took {time.perf_counter() - started:.2f} s")
    figure = f"{loss:.4f}, a model that knows nothing has {prepared.expected_loss:.4f}"
    problem = None
    if not math.isfinite(loss):
        problem = Problem(
            "first loss", "", f"it is {loss}.", "The base model's weights are damaged, or the precision is too low."
        )
    far = loss > FIRST_LOSS_FACTOR * prepared.expected_loss
    yield CheckLine("first loss", figure, problem, note=f"the first loss is far above chance: {figure}" if far else "")
    yield gradient_line(without, bad)


def trial_step(prepared: Prepared, items: list[int]) -> tuple[float, list[str], list[str]]:
    """One forward and backward pass: the loss, and the trainable parameters whose gradient is missing, or not finite."""
    model = prepared.model
    device = next(model.parameters()).device
    batch = move_to(device, batch_of(prepared.tokens, items))
    was_training = model.training
    model.train()
    with autocast(prepared.kernels.precision, device.type):
        causal = prepared.objective.shifts_labels
        loss = supervised_loss(model, batch, head_alone=prepared.head_alone) if causal else model(**batch).loss
    loss.backward()
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    without = [name for name, parameter in named if parameter.grad is None]
    bad = [name for name, parameter in named if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all())]
    model.zero_grad(set_to_none=True)
    model.train(was_training)
    return float(loss.detach()), without, bad


def time_estimate(recipe: Recipe, prepared: Prepared) -> tuple[float, CheckLine]:
    """Seconds the training will take, from the time of one step on rows drawn at random."""
    n_items = len(prepared.tokens.packs)
    drawn = np.random.default_rng(0).permutation(n_items)[: recipe.train.batch_rows].tolist()
    trial_step(prepared, drawn)
    started = time.perf_counter()
    trial_step(prepared, drawn)
    seconds = time.perf_counter() - started
    schedule = plan_schedule(-(-n_items // recipe.train.batch_rows), recipe.train)
    estimate = seconds * schedule.total_steps * recipe.train.gradient_accumulation_steps
    times = f" for each of {recipe.train.n_seeds} seeds" if recipe.train.n_seeds > 1 else ""
    figure = f"training about {estimate:,.0f} s ({schedule.total_steps:,} steps){times}"
    return estimate * recipe.train.n_seeds, CheckLine("time", figure)
