"""Defines the callbacks between optimizer steps: when to log, evaluate, save and stop, and which checkpoints to keep."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tunesmith.disk import require_space, write_text
from tunesmith.progress import Event, Listener
from tunesmith.recipe.sections import EarlyStoppingSection
from tunesmith.training.checkpoints import BEST, keep_evaluation, keep_only, replace_weights, seal
from tunesmith.training.history import as_event, as_events, best_so_far, evaluations, newest_values, selected
from tunesmith.training.launch import anywhere, synchronise
from tunesmith.training.schedule import Schedule
from tunesmith.training.signals import StopRequest

SAVE_COST_SHARE = 0.05


class FollowSchedule(TrainerCallback):
    """Logs, evaluates and ends at the planned steps, and at the next step boundary after a stop request.

    A requested stop leaves out the evaluation of its step, which can take long; ``EvaluateWhatIsMissing`` makes up for it.
    """

    def __init__(self, schedule: Schedule, request: StopRequest, listener: Listener, metric: str) -> None:
        self.log_at, self.evaluate_at = frozenset(schedule.log_at), frozenset(schedule.evaluate_at)
        self.total, self.request, self.listener, self.metric = schedule.total_steps, request, listener, metric

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        control.should_log = state.global_step in self.log_at
        control.should_evaluate = state.global_step in self.evaluate_at
        self.listener(Event("step", "training", state.global_step, self.total, newest_values(state.log_history, self.metric)))
        if anywhere(bool(self.request)):
            control.should_evaluate = False
            control.should_save = control.should_training_stop = True


class EvaluateWhatIsMissing(TrainerCallback):
    """Evaluates at the start of a resumed training if the run was stopped before the evaluation of the step it resumes from."""

    def __init__(self, schedule: Schedule, evaluate: Callable[[], object]) -> None:
        self.evaluate_at, self.evaluate = frozenset(schedule.evaluate_at), evaluate

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        evaluated = {entry["step"] for entry in evaluations(state.log_history)}
        if state.global_step in self.evaluate_at - evaluated:
            self.evaluate()


class StopEarly(TrainerCallback):
    """Ends training after ``patience`` evaluations without an improvement. Keeps no state: it reads the log history."""

    def __init__(self, section: EarlyStoppingSection, metric: str, higher_is_better: bool) -> None:
        self.section, self.metric, self.higher_is_better = section, metric, higher_is_better

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self.on_evaluate(args, state, control)  # a run that had stopped early ends there again when it is resumed

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        best = best_so_far(state.log_history, self.metric, self.higher_is_better, self.section.delta)
        if best is not None and best.since >= self.section.patience:
            control.should_training_stop = True


@dataclass
class KeepCheckpoints(TrainerCallback):
    """Keeps two checkpoints: the weights of the best evaluation, and the complete state of the last save.

    Saves follow evaluations. An evaluation is followed by no complete save only if the run goes on and less than twenty times
    the duration of a save has passed since the last one, so that saving takes at most a twentieth of the time.

    Attributes:
        save_weights: writes the model's weights into a folder.
        save_own_state: writes the state that upstream does not save into a checkpoint, in every process.
        save_bytes: estimated size of one complete checkpoint, for the free-disk check before each save.
        keeps_all: whether the weights of every evaluation are kept, of at most ``limit``.
    """

    folder: Path
    metric: str
    higher_is_better: bool
    total_steps: int
    save_bytes: int
    save_weights: Callable[[Path], None]
    save_own_state: Callable[[Path], None]
    keeps_all: bool = False
    limit: int | None = None
    saved_at_seconds: float = field(default_factory=time.monotonic)
    started_seconds: float = 0.0
    cost_seconds: float = 0.0

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        best = selected(state.log_history, self.metric, self.higher_is_better)
        if state.is_world_process_zero and best is not None and best.step == state.global_step:
            require_space(self.folder, self.save_bytes // 3, "the best model so far")
            replace_weights(self.folder, BEST, best.step, self.save_weights)
        if state.is_world_process_zero and best is not None and self.keeps_all:
            require_space(self.folder, self.save_bytes // 3, f"the model of step {state.global_step}")
            keep_evaluation(self.folder, state.global_step, best.step, self.limit, self.save_weights)
        is_last = state.global_step >= self.total_steps or control.should_training_stop
        due = time.monotonic() - self.saved_at_seconds > self.cost_seconds / SAVE_COST_SHARE
        control.should_save = anywhere(is_last or due)
        self.started_seconds = time.monotonic()
        if control.should_save:
            require_space(self.folder, self.save_bytes, f"the checkpoint of step {state.global_step}")

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        saved = self.folder / f"checkpoint-{state.global_step}"
        self.save_own_state(saved)
        synchronise()  # every process has written its part
        if state.is_world_process_zero:
            seal(saved, state.global_step)
            keep_only(self.folder, {state.global_step})
        self.saved_at_seconds = time.monotonic()
        self.cost_seconds = self.saved_at_seconds - (self.started_seconds or self.saved_at_seconds)
        synchronise()


class WriteLog(TrainerCallback):
    """Keeps metrics.jsonl in step with the log history, also after a resume."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if not state.is_world_process_zero:
            return
        lines = [json.dumps(event, ensure_ascii=False) + "\n" for event in as_events(state.log_history)]
        write_text(self.path, "".join(lines))

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        entry = state.log_history[-1]
        if state.is_world_process_zero and ("loss" in entry or "eval_loss" in entry):
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(as_event(entry), ensure_ascii=False) + "\n")
