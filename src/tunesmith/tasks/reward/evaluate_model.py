"""Evaluates finished reward models on pairs, and gives the answers of a file their rewards."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.preferences.load import prompt_clusters
from tunesmith.data.preferences.rows import PreferencePairs
from tunesmith.data.readers.given import read_evaluated, read_rows_or_text, source_name
from tunesmith.data.readers.hashes import hash_rows
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
from tunesmith.recipe.sections import ColumnsSection
from tunesmith.results import Finding, RunResult
from tunesmith.tasks.finished import Run, folder_of
from tunesmith.tasks.reward.answers import SPLIT, Answers, read_answers, read_pairs_of, recipe_for
from tunesmith.tasks.seen_rows import with_seen_rows
from tunesmith.tasks.test_looks import with_look


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
    started, table, notes = time.perf_counter(), read_evaluated(data, listener), list[str]()
    rows = read_pairs_of(table, recipe_for(table, columns), notes)
    split = SplitMetrics(
        SPLIT,
        METRICS_OF_PROBABILITIES,
        ("log_loss",),
        "accuracy",
        clusters=dict.fromkeys(("predictions", "row_scores"), prompt_clusters(rows)),
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
        findings=(*left_out(rows), *(Finding("not_measured", note, flagged=1) for note in notes)),
        timings_seconds={"total": round(time.perf_counter() - started, 3)},
        peak_memory_bytes=peak_memory_bytes(),
        environment=environment(),
        data={"source": source_name(data), "rows": len(rows), "rows_read": rows.rows_read, "dropped": rows.dropped},
    )
    places = [folder_of(name) for name in (target, *against)]
    return with_look(with_seen_rows(result, hash_rows(table), source_name(data), places), data, places[0])


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


def answer_rewards(
    target: str | Path | Run,
    data: object,
    *,
    columns: ColumnsSection | Mapping[str, Any] | None = None,
    listener: Listener = silent,
) -> tuple[Answers, Array]:
    """Computes the reward of each answer in a file of pairs, of prompts and answers, or of conversations.

    Raises InputError if the rows or the model cannot be used.
    """
    found = read_answers(read_rows_or_text(data, listener), columns)
    listener(Event("phase", "model"))
    quiet_libraries()
    model = load_reward_run(folder_of(target))
    listener(Event("phase", "rewards"))
    return found, np.asarray(model.rewards(found.prompts, found.answers))
