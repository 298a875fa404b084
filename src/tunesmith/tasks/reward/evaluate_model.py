"""Evaluates finished reward models on pairs, and gives the answers of a file their rewards."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.chat.load import detect_and_note as detect_chat
from tunesmith.data.chat.load import read_rows as read_chat_rows
from tunesmith.data.chat.rows import Conversations
from tunesmith.data.preferences.conversions import pairs_of_judged
from tunesmith.data.preferences.formats import Roles, chosen_rejected, detect_preference_format
from tunesmith.data.preferences.pairs import usable_preferences
from tunesmith.data.preferences.rows import JudgedAnswers, PreferencePairs
from tunesmith.data.readers.given import read_evaluated, read_rows_or_text, source_name
from tunesmith.data.readers.hashes import hash_rows
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.verdict import holm
from tunesmith.evaluation.outputs import (
    BaselineOutputs,
    Outputs,
    SplitMetrics,
    baseline_result,
    metrics_of_outputs,
    verdicts_of_outputs,
)
from tunesmith.evaluation.preferences import METRICS_OF_PROBABILITIES, pair_outputs
from tunesmith.machine import environment, peak_memory_bytes, quiet_libraries
from tunesmith.models.reward.saved import RewardModel, load_reward_run
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.sections import ColumnsSection, Recipe
from tunesmith.results import Finding, RunResult
from tunesmith.tasks.finished import Run, folder_of
from tunesmith.tasks.reward.evaluation import pair_clusters
from tunesmith.tasks.seen_rows import with_seen_rows
from tunesmith.tasks.test_looks import with_look

SPLIT = "test"


def evaluate_reward(
    target: str | Path | Run,
    data: object,
    *,
    columns: ColumnsSection | Mapping[str, Any] | None = None,
    against: Sequence[str | Path] = (),
    n_resamples: int = 10_000,
    listener: Listener = silent,
) -> RunResult:
    """Computes the accuracy, log loss and calibration, with intervals, of a reward model on pairs.

    Args:
        target: a run of task: reward.
        data: a file in any format that ``task: reward`` reads, or a table in memory; of a folder or hub data set its test split.
        columns: part -> column, if they are not detected.
        against: other reward runs, each with verdicts on the same pairs.

    Raises InputError if the rows or a model cannot be used.
    """
    started, table = time.perf_counter(), read_evaluated(data, listener)
    rows = read_pairs_of(table, recipe_for(table, columns))
    split = SplitMetrics(
        SPLIT,
        METRICS_OF_PROBABILITIES,
        ("log_loss",),
        "accuracy",
        clusters=dict.fromkeys(("predictions", "row_scores"), pair_clusters(rows)),
    )
    quiet_libraries()
    ours, *others = (outputs_of(folder_of(name), rows, listener) for name in (target, *against))
    resampling = Resampling(n_resamples)
    systems = [BaselineOutputs(str(name), {SPLIT: other}) for name, other in zip(against, others, strict=True)]
    verdicts = [verdict for system in systems for verdict in verdicts_of_outputs([ours], system, split, resampling)]
    result = RunResult(
        task="reward",
        metrics=tuple(metrics_of_outputs([ours], split, resampling)),
        baselines=tuple(baseline_result(system, [split], resampling) for system in systems),
        verdicts=holm(verdicts),
        findings=left_out(rows),
        timings_seconds={"total": round(time.perf_counter() - started, 3)},
        peak_memory_bytes=peak_memory_bytes(),
        environment=environment(),
        data={"source": source_name(data), "rows": len(rows), "rows_read": rows.rows_read, "dropped": rows.dropped},
    )
    places = [folder_of(name) for name in (target, *against)]
    return with_look(with_seen_rows(result, hash_rows(table), source_name(data), places), data, places[0])


def recipe_for(table: Table, columns: ColumnsSection | Mapping[str, Any] | None) -> Recipe:
    """Returns a recipe for reading the rows of a table. Raises RecipeError for an unknown part."""
    given = columns.model_dump(exclude_none=True) if isinstance(columns, ColumnsSection) else dict(columns or {})
    return recipe_from_mapping({"task": "reward", "data": {"train": table.source, "columns": given}}, "columns")


def read_pairs_of(table: Table, recipe: Recipe) -> PreferencePairs:
    """Reads the pairs of a table in its own format; judged answers become pairs within each prompt."""
    given = recipe.data.columns
    row_format = detect_preference_format(table, given)
    rows = usable_preferences(table, row_format, SPLIT, labels=recipe.data.labels, group=given.group, notes=[])
    return pairs_of_judged(rows) if isinstance(rows, JudgedAnswers) else rows


def outputs_of(folder: Path, rows: PreferencePairs, listener: Listener) -> Outputs:
    """Loads the reward model of a run, and computes its outputs on pairs."""
    listener(Event("phase", "model"))
    model = load_reward_run(folder)
    listener(Event("phase", "rewards"))
    return pair_outputs(differences(model, rows), row_ids=rows.row_ids)


def differences(model: RewardModel, rows: PreferencePairs) -> Array:
    """Returns the reward of each chosen answer less that of the rejected one (N)."""
    return np.asarray(model.rewards(rows.prompts, rows.chosen) - model.rewards(rows.prompts, rows.rejected))


def left_out(rows: PreferencePairs) -> tuple[Finding, ...]:
    """Returns a finding for the rows that are not measured; none if all are."""
    if not rows.dropped:
        return ()
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in rows.dropped.items())
    return (Finding("not_measured", f"not measured: {reasons}.", flagged=1),)


@dataclass(frozen=True)
class RewardedAnswers:
    """The rewards of the answers of a file.

    Attributes:
        row_ids: (n) position of each answer's row in the source.
        names: (n) ``chosen`` or ``rejected`` for the answers of pairs; empty for single answers.
        dropped: reason -> positions of left-out rows.
    """

    row_ids: tuple[int, ...]
    rewards: Array
    dropped: Mapping[str, Sequence[int]]
    names: tuple[str, ...] = ()


def answer_rewards(
    target: str | Path | Run, data: object, *, columns: Mapping[str, Any] | None = None, listener: Listener = silent
) -> RewardedAnswers:
    """Computes the reward of each answer in a file of pairs, of prompts and answers, or of conversations.

    Raises InputError if the rows or the model cannot be used.
    """
    table = read_rows_or_text(data, listener)
    given = recipe_for(table, columns).data.columns
    pairs = chosen_rejected(Roles(table, given))
    rows = read_single_answers(table, columns) if pairs is None else read_pairs_of(table, recipe_for(table, columns))
    listener(Event("phase", "model"))
    quiet_libraries()
    model = load_reward_run(folder_of(target))
    listener(Event("phase", "rewards"))
    dropped = {reason: list(ids) for reason, ids in rows.left_out.items()}
    if isinstance(rows, Conversations):
        rewards = model.rewards([turns[:-1] for turns in rows.turns], [turns[-1:] for turns in rows.turns])
        return RewardedAnswers(rows.row_ids, rewards, dropped)
    both = np.stack([model.rewards(rows.prompts, side) for side in (rows.chosen, rows.rejected)], axis=1)
    row_ids = tuple(row_id for row_id in rows.row_ids for _ in range(2))
    return RewardedAnswers(row_ids, both.ravel(), dropped, ("chosen", "rejected") * len(rows))


def read_single_answers(table: Table, columns: Mapping[str, Any] | None) -> Conversations:
    """Reads prompts with one answer, or conversations that end with one. Raises DataError for plain texts."""
    recipe = recipe_from_mapping({"task": "sft", "data": {"train": table.source, "columns": dict(columns or {})}}, "columns")
    row_format = detect_chat(table, recipe, [])
    if row_format.kind == "text":
        message = "these are plain texts, and a reward is that of an answer."
        raise DataError.one(table.source, message, "Give prompts and answers, or conversations that end with one.")
    return read_chat_rows(table, row_format, "predict", recipe, [])
