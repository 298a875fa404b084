"""Guards the steps of any upstream trainer: finite losses and gradients, own evaluation, losses that survive a resume."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import numpy as np
import torch

from tunesmith.errors import NonFinite, TrainingFailed
from tunesmith.training.ranks import AllocateRanks, adalora_of
from tunesmith.training.signals import StopRequest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Trainer, TrainingArguments
else:
    Trainer = object

DIVERGED_FACTOR = 1000.0
PENDING = "pending_losses.json"
GradNorm = float | torch.Tensor | None


class TrainerKeywords(TypedDict):
    """The arguments that every guarded trainer passes on; the first two are of ``GuardedTrainer``."""

    evaluate_fn: Callable[[torch.nn.Module], dict[str, float]]
    expected_loss: float
    model: torch.nn.Module
    args: TrainingArguments
    processing_class: NotRequired[PreTrainedTokenizerBase]


class GuardedTrainer(Trainer):
    """Checks every step of an upstream trainer, and stops at the first loss or gradient that is not finite, naming the rows.

    Comes before the upstream class among the base classes. ``training_step`` names the rows, runs upstream's step and
    checks the loss.

    Args:
        evaluate_fn: model -> metric name -> value, ``loss`` included; called in place of upstream's evaluation.
        expected_loss: the first loss to expect; a thousand times this loss counts as divergence.

    Attributes:
        rows_trained: rows that this process has trained on, counting repeats.
        loop_seconds: time of the loop so far, without logging, evaluations and saves.
        highest_rate: the highest learning rate of an optimizer step so far, earlier steps of a resumed run included.
        may_stand_still: whether a gradient that is exactly zero beside a loss is no fault.
        stop: ends an evaluation at once, with a save and without its metrics; a resumed run begins with this evaluation.
    """

    may_stand_still = False

    def __init__(
        self, *, evaluate_fn: Callable[[torch.nn.Module], dict[str, float]], expected_loss: float, **upstream: object
    ) -> None:
        self.evaluate_fn, self.expected_loss = evaluate_fn, expected_loss
        self.rows_trained, self.loop_seconds, self.mark, self.highest_rate = 0, 0.0, 0.0, 0.0
        self.pending_losses: list[float] = []
        self.step_losses: list[float] = []
        self.batch_rows: list[int] = []
        self.started_seconds = time.monotonic()
        self.stop = StopRequest()
        super().__init__(**upstream)
        adapter = adalora_of(self.model)
        self.ranks = None if adapter is None else AllocateRanks(adapter)
        if self.ranks is not None:
            self.add_callback(self.ranks)

    def rows_of_batch(self, inputs: dict[str, Any]) -> Sequence[int]:
        """Removes the entry that names the rows from a batch, and returns their row ids."""
        raise NotImplementedError

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        row_ids = self.rows_of_batch(inputs)
        self.batch_rows = list(row_ids) if not self.step_losses else [*self.batch_rows, *row_ids]
        self.rows_trained += len(row_ids)
        return self.check_loss(super().training_step(model, inputs, num_items_in_batch))

    def check_loss(self, loss: torch.Tensor) -> torch.Tensor:
        """Records a loss and returns it. Raises NonFinite if it is not finite, TrainingFailed if training diverged."""
        value = loss.item()
        if not math.isfinite(value):
            raise NonFinite(self.stopped(f"the loss became {value}"))
        self.step_losses.append(value)
        if len(self.step_losses) == self.current_gradient_accumulation_steps:
            total = sum(self.step_losses)
            if total > DIVERGED_FACTOR * max(1.0, self.expected_loss):
                diverged = f"the loss is {total:.3g}, {self.expected_loss:.3g} was expected at first: training diverged"
                raise TrainingFailed(self.stopped(diverged))
            self.pending_losses.append(total)
            self.step_losses = []
            self.highest_rate = max(self.highest_rate, self._get_learning_rate())
        return loss

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: GradNorm = None) -> GradNorm:
        norm: GradNorm = super()._get_grad_norm(model, grad_norm=grad_norm)
        if norm is not None and not math.isfinite(float(norm)):
            raise NonFinite(self.stopped(f"the gradient's norm became {float(norm)}"))
        stands_still = norm is not None and float(norm) == 0.0 and self.pending_losses and self.pending_losses[-1] != 0.0
        if stands_still and not self.may_stand_still:
            raise TrainingFailed(
                f"Training stopped at step {self.state.global_step + 1} of {self.state.max_steps}: the loss is "
                f"{self.pending_losses[-1]:.4g} and its gradient is exactly zero, so nothing is learnt any more. The trained "
                "part does not change the output: choose another train.train_layers or adapter, or leave quantisation out."
            )
        return norm

    def stopped(self, what: str) -> str:
        """Formats the message: where training stopped, on which rows, and the remedy."""
        shown = ", ".join(str(row) for row in self.batch_rows[:32]) + (", ..." if len(self.batch_rows) > 32 else "")
        return (
            f"Training stopped at step {self.state.global_step + 1} of {self.state.max_steps}: {what} "
            f"(learning rate {self._get_learning_rate():.3g}). "
            f"Rows of that step (row_id in the training file): {shown}. "
            f"Lower train.learning_rate (requested: {self.args.learning_rate:g}) or look at these rows."
        )

    def evaluate(
        self, eval_dataset: object = None, ignore_keys: object = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        # Several processes have to leave the evaluation together, which they do at its end.
        with self.stop.held(self.args.world_size > 1):
            values = self.evaluate_fn(self.model)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in values.items()}
        self.log(metrics)
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _evaluate(self, *arguments: object, **named: object) -> dict[str, float]:
        try:
            metrics: dict[str, float] = super()._evaluate(*arguments, **named)
        except KeyboardInterrupt:
            if not self.stop or self.state.global_step == 0:
                raise
            self.control.should_save = self.control.should_training_stop = True
            return {}
        return metrics

    def _determine_best_metric(self, metrics: dict[str, float], trial: object) -> bool:
        return bool(metrics) and super()._determine_best_metric(metrics=metrics, trial=trial)

    def _run_epoch(self, *arguments: object, **named: object) -> None:
        if not self.control.should_training_stop:  # nothing is left to train of a resumed run that had stopped early
            super()._run_epoch(*arguments, **named)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs the mean loss of the steps since the last log, which upstream loses at a resume."""
        if "loss" in logs and self.pending_losses:
            if self.args.world_size == 1:  # with several processes upstream's mean over all of them is the right one
                logs["loss"] = sum(self.pending_losses) / len(self.pending_losses)
            self.pending_losses = []
        logs["seconds"] = self.elapsed_seconds()
        super().log(logs, start_time)

    def elapsed_seconds(self) -> float:
        """Returns the seconds since the trainer was made."""
        return round(time.monotonic() - self.started_seconds, 3)

    def get_batch_samples(self, *arguments: object, **named: object) -> Any:
        self.mark = self.mark or time.perf_counter()
        return super().get_batch_samples(*arguments, **named)

    def _maybe_log_save_evaluate(self, *arguments: object, **named: object) -> None:
        self.loop_seconds += time.perf_counter() - self.mark
        super()._maybe_log_save_evaluate(*arguments, **named)
        self.mark = time.perf_counter()

    def save_own_state(self, checkpoint: Path) -> None:
        """Writes the state that upstream does not save into a checkpoint, in every process."""
        if self.state.is_world_process_zero:
            state = {"losses": self.pending_losses, "highest_rate": self.highest_rate}
            (checkpoint / PENDING).write_text(json.dumps(state), encoding="utf-8")
            if self.ranks is not None:
                self.ranks.save(checkpoint)

    def own_state_bytes(self) -> int:
        """Returns an upper limit of the bytes that ``save_own_state`` adds to a checkpoint."""
        return 0

    def logits_of_epochs(self) -> np.ndarray | None:
        """Returns the logits of every training row in each complete epoch (E, N, K), float16; None if they were not kept."""
        return None

    def resume(self, checkpoint: Path) -> Any:
        """Trains on from a complete checkpoint."""
        state = json.loads((checkpoint / PENDING).read_text(encoding="utf-8"))
        self.pending_losses, self.highest_rate = state["losses"], state["highest_rate"]
        if self.ranks is not None:
            self.ranks.restore(checkpoint)
        return self.train(resume_from_checkpoint=str(checkpoint))


def require_finite_weights(model: torch.nn.Module) -> None:
    """Raises NonFinite naming the parameters that hold a NaN or an infinity."""
    bad = [name for name, parameter in model.named_parameters() if not bool(torch.isfinite(parameter).all())]
    if bad:
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise NonFinite(
            f"The trained model holds weights that are not finite: {', '.join(bad[:3])}{more}. Lower train.learning_rate."
        )
