"""The story of an embedding run: read, check, examine the base model, fit, examine again, judge, prove, save."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tunesmith.preflight.report import CheckReport
from tunesmith.progress import Clock
from tunesmith.recipe.load import LoadedRecipe, resolved_yaml
from tunesmith.results import RunResult
from tunesmith.run_folder import RunFolder, begin
from tunesmith.tasks.embedding.data import EmbeddingInputs, read_inputs


def check(loaded: LoadedRecipe, static: bool, clock: Clock) -> CheckReport:
    """The pre-flight of a recipe. Raises InputError for what cannot even be read."""
    inputs = read_inputs(loaded, clock)
    if static:
        return CheckReport(inputs.checks)
    with clock.phase("libraries"):
        from tunesmith.tasks.embedding import model as work
    inputs = mined(inputs, clock)
    with clock.phase("model"):
        prepared = work.load_model(inputs, inputs.recipe.train.seed)
    with clock.phase("check"):
        return work.preflight(inputs, prepared)[0]


def train(
    loaded: LoadedRecipe, folder: RunFolder, resume: bool, smoke: bool, frames: Mapping[str, Any] | None, clock: Clock
) -> RunResult:
    """Check, train, judge and save into the folder; the result, which is not written yet.

    Raises:
        InputError: the run cannot start; nothing was written.
        TrainingFailed, Interrupted: see ``training.fit``.
    """
    started = time.perf_counter()
    inputs = read_inputs(loaded, clock, frames, smoke)
    with clock.phase("libraries"):
        from tunesmith.tasks.embedding import evaluation as judge
        from tunesmith.tasks.embedding import model as work
        from tunesmith.tasks.embedding import outputs as keep
    inputs = mined(inputs, clock)
    with clock.phase("model"):
        prepared = work.load_model(inputs, inputs.recipe.train.seed)
    with clock.phase("check"):
        report, prepared = work.preflight(inputs, prepared)
        report.refuse()
    begin(folder, loaded.text, resolved_yaml(inputs.recipe), resume=resume)
    with clock.phase("baselines"):
        before = judge.compared_with(inputs, work.before_training(inputs, prepared))
    with clock.phase("training"):
        runs = list(work.fit_seeds(inputs, prepared, folder, clock.listener, resume=resume, smoke=smoke))
    with clock.phase("evaluation"):
        judged = judge.judge(inputs, runs, before)
    with clock.phase("save"):
        certificates = keep.save_model(inputs, judged, folder.model)
        keep.save_evidence(inputs, judged, folder)
    clock.seconds["total"] = round(time.perf_counter() - started, 3)
    return keep.result(inputs, judged, certificates, prepared.expected_loss, clock.seconds)


def mined(inputs: EmbeddingInputs, clock: Clock) -> EmbeddingInputs:
    """The inputs with hard negatives where the recipe asks for them."""
    if inputs.recipe.embedding.hard_negatives is None:
        return inputs
    from tunesmith.machine import quiet_libraries, seed_everything
    from tunesmith.tasks.embedding.hard_negatives import with_hard_negatives

    with clock.phase("hard negatives"):
        quiet_libraries()
        seed_everything(inputs.recipe.train.seed)
        return with_hard_negatives(inputs)
