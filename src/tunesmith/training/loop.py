"""transformers' Trainer with the checks of a run in it: finite losses, own evaluation, losses that survive a resume."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tunesmith.errors import NonFinite, TrainingFailed
from tunesmith.losses.classification import LossFunction
from tunesmith.training.epoch_logits import EpochLogits
from tunesmith.training.trainer import FastTrainer

DIVERGED_FACTOR = 1000.0
PENDING = "pending_losses.json"


class CheckedTrainer(FastTrainer):
    """A Trainer that stops at the first loss or gradient that is not finite, and names the rows.

    Args:
        measure: called on the model in place of upstream's evaluation; returns metric name -> value, ``loss`` included.
        expected_loss: the loss of a model that knows nothing; a thousand times it counts as divergence.
        epoch_logits: where the logits of every training step are kept; None keeps none.
        steps_per_epoch: optimizer steps of one pass.
    """

    def __init__(
        self, *, measure: Callable[[Any], dict[str, float]], expected_loss: float, loss: LossFunction,
        epoch_logits: EpochLogits | None, steps_per_epoch: int, **upstream: Any,
    ) -> None:  # fmt: skip
        super().__init__(compute_loss_func=self.loss_of, **upstream)
        self.measure, self.expected_loss, self.loss = measure, expected_loss, loss
        self.epoch_logits, self.steps_per_epoch = epoch_logits, steps_per_epoch
        self.pending_losses: list[float] = []
        self.step_losses: list[float] = []
        self.batch_rows: list[int] = []
        self.started_seconds = time.monotonic()

    def loss_of(self, outputs: Any, targets: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        """The loss, and a note of the logits it came from."""
        self.batch_logits = outputs["logits"].detach()
        return self.loss(outputs, targets, num_items_in_batch)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        positions = inputs.pop("positions").tolist()
        rows = [self.encoded.row_ids[i] for i in positions]
        self.batch_rows = rows if not self.step_losses else self.batch_rows + rows
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        value = loss.item()
        if not math.isfinite(value):
            raise NonFinite(self.stopped(f"the loss became {value}"))
        if self.epoch_logits is not None:
            self.epoch_logits.add(self.state.global_step // self.steps_per_epoch, positions, self.batch_logits)
        self.step_losses.append(value)
        if len(self.step_losses) == self.current_gradient_accumulation_steps:
            self.finish_step(sum(self.step_losses))
        return loss

    def finish_step(self, value: float) -> None:
        """Note the loss of a whole optimizer step."""
        if value > DIVERGED_FACTOR * max(1.0, self.expected_loss):
            raise TrainingFailed(
                self.stopped(f"the loss is {value:.3g}, a model that knows nothing has {self.expected_loss:.3g}: it diverged")
            )
        self.pending_losses.append(value)
        self.step_losses = []

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        if norm is not None and not math.isfinite(float(norm)):
            raise NonFinite(self.stopped(f"the gradient's norm became {float(norm)}"))
        return norm

    def stopped(self, what: str) -> str:
        """The sentence that says where training stopped, on which rows and what to do."""
        shown = ", ".join(str(row) for row in self.batch_rows[:32]) + (", ..." if len(self.batch_rows) > 32 else "")
        return (
            f"Training stopped at step {self.state.global_step + 1} of {self.state.max_steps}: {what} "
            f"(learning rate {self._get_learning_rate():.3g}). "
            f"Rows of that step (row_id in the training file): {shown}. "
            f"Lower train.learning_rate (asked: {self.args.learning_rate:g}) or look at these rows."
        )

    def evaluate(self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval") -> dict[str, float]:
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in self.measure(self.model).items()}
        self.log(metrics)
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs the mean loss of the steps since the last log, which upstream forgets at a resume."""
        if "loss" in logs and self.pending_losses:
            if self.args.world_size == 1:  # with several processes upstream's mean over all of them is the right one
                logs["loss"] = sum(self.pending_losses) / len(self.pending_losses)
            self.pending_losses = []
        logs["seconds"] = round(time.monotonic() - self.started_seconds, 3)
        super().log(logs, start_time)

    def save_own_state(self, checkpoint: Path) -> None:
        """Write what upstream does not know of into a checkpoint; every process has its own logits."""
        if self.epoch_logits is not None:
            self.epoch_logits.save(checkpoint)
        if self.state.is_world_process_zero:
            (checkpoint / PENDING).write_text(json.dumps(self.pending_losses), encoding="utf-8")

    def resume(self, checkpoint: Path) -> Any:
        """Train on from a whole checkpoint."""
        self.pending_losses = json.loads((checkpoint / PENDING).read_text(encoding="utf-8"))
        if self.epoch_logits is not None:
            self.epoch_logits.restore(checkpoint)
        return self.train(resume_from_checkpoint=str(checkpoint))


def require_finite_weights(model: Any) -> None:
    """Raise NonFinite naming the parameters that hold a NaN or an infinity."""
    bad = [name for name, parameter in model.named_parameters() if not bool(torch.isfinite(parameter).all())]
    if bad:
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise NonFinite(
            f"The trained model holds weights that are not finite: {', '.join(bad[:3])}{more}. Lower train.learning_rate."
        )
