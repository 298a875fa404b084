"""Defines the steps that a task gives to every run (``tasks.steps``), and the objects that pass between them.

A task is a folder with the same file names as the others and one entry in ``tasks.table``. Its ``data`` module imports neither
torch nor transformers: it reads and checks rows before anything heavy is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tunesmith.evaluation.outputs import BaselineOutputs, Outputs, SplitMetrics
from tunesmith.models.source import ModelSource
from tunesmith.preflight.report import CheckLine
from tunesmith.progress import Clock, Listener, silent
from tunesmith.recipe.load import LoadedRecipe
from tunesmith.recipe.metric_roles import checkpoint_metric, stopping_metric
from tunesmith.recipe.sections import Recipe
from tunesmith.results import Alarm, Baseline, Certificate, Finding, Metric, Verdict

if TYPE_CHECKING:
    import torch

    from tunesmith.data.arrays import Array
    from tunesmith.models.fast.path import FastPath
    from tunesmith.preflight.trial_step import TrialPart
    from tunesmith.run_folder import RunFolder
    from tunesmith.training.fit import Fit, TrainerSpec
    from tunesmith.training.signals import StopRequest

EvaluateFn = Callable[["torch.nn.Module"], dict[str, float]]
"""A model to metric -> value, ``loss`` included; called in place of ``Trainer.evaluate``."""


@dataclass(frozen=True)
class Request:
    """A recipe to be checked or trained.

    Attributes:
        frames: split name -> table in memory, in place of the recipe's files.
        max_rows: rows of each split at most (``--smoke``); None for all.
    """

    loaded: LoadedRecipe
    clock: Clock
    frames: Mapping[str, Any] | None = None
    max_rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """The data that are read before the model is loaded; each task adds its rows.

    Attributes:
        base: the folder that the recipe's relative paths start from.
        findings: those of the data checks.
        checks: the lines of the static checks.
        clock: reports the parts of the phases.
    """

    recipe: Recipe
    source: ModelSource
    base: Path = Path()
    findings: tuple[Finding, ...] = ()
    checks: tuple[CheckLine, ...] = ()
    clock: Clock = field(default_factory=lambda: Clock(silent, {}), compare=False, repr=False)

    @property
    def logged_bytes(self) -> int:
        """Returns the bytes that a run writes for its rows beside what their files' sizes tell: none, unless a task says so."""
        return 0


@dataclass(frozen=True)
class SplitLengths:
    """The lengths in tokens of one split.

    Attributes:
        n_truncated: of the ``n_rows``, those that lose tokens or are dropped for their length.
        record: for ``data.splits`` of result.json: ``max_length``, ``length_tokens``, ``rows_truncated``, ...
    """

    n_rows: int
    n_truncated: int
    record: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Session:
    """The model of one seed with its tokenised rows; each task adds what it needs.

    Attributes:
        model: the base model with its head, adapter and frozen layers. Training changes it in place.
        new_weights: names of parameters that the base model did not have and that start random.
        rows_per_epoch: items of one epoch.
        metric: the metric that leads the verdict, or the leading one of validation where that has it not; thresholds are
            tuned for it.
        expected_loss: the loss at chance level (ln K, ln V, a variance); NaN if none is known.
        trial_loss: the loss of the trial step; NaN before the pre-flight.
        class_names: names of the predicted classes; empty without classes.
        lengths: split -> lengths in tokens.
        used_token_ids: every token id in the training batches, ascending; None if the embeddings of all tokens are trained.
    """

    data: TaskData
    model: Any
    fast_path: FastPath
    rows_per_epoch: int
    metric: str
    expected_loss: float
    trial_loss: float = float("nan")
    new_weights: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    lengths: Mapping[str, SplitLengths] = field(default_factory=dict)
    used_token_ids: Array | None = None

    @property
    def checkpoint_metric(self) -> str:
        """Returns the selection metric: it selects the best checkpoint on validation."""
        return checkpoint_metric(self.data.recipe, self.metric)

    @property
    def stopping_metric(self) -> str:
        """Returns the metric that stops training early."""
        return stopping_metric(self.data.recipe, self.metric)

    @property
    def roles(self) -> tuple[str, str, str]:
        """Returns the metrics that lead the verdict, select the checkpoint and stop early."""
        return self.metric, self.checkpoint_metric, self.stopping_metric

    @property
    def body(self) -> Any:
        """Returns the module that the fast path is applied to."""
        return self.model

    @property
    def start_steps(self) -> int:
        """Returns the optimizer steps before the training; see ``TaskSteps.start``."""
        return 0

    @property
    def rate_factor(self) -> float:
        """Returns the factor of the default learning rate of the training: below 1 for a model that starts close to its aim."""
        return 1.0


@dataclass(frozen=True)
class Baselines:
    """The systems that a run is compared with.

    Attributes:
        systems: in the order of the report.
        base: split -> the base model's outputs, for diagnosis and geometry, even without the baseline ``untuned``.
    """

    systems: tuple[BaselineOutputs, ...] = ()
    base: Mapping[str, Outputs] = field(default_factory=dict)


@dataclass(frozen=True)
class SeedResult:
    """One seed's fit and the outputs of its model, as it is saved, on the evaluation splits.

    Attributes:
        session: with the model as it was trained.
        measured: the model of the outputs in words, where it is a question; see ``measured_model``.
    """

    seed: int
    fit: Fit
    session: Any
    outputs: Mapping[str, Outputs]
    measured: str | None = None


@dataclass(frozen=True)
class Decisions:
    """The reported outputs, with decision thresholds chosen on validation.

    Attributes:
        thresholds: None for the default ones.
        notes: messages about the choice.
    """

    seeds: tuple[SeedResult, ...]
    systems: tuple[BaselineOutputs, ...]
    thresholds: list[float] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """The evidence of a run.

    Attributes:
        best: the seed whose model is saved: the best on validation.
        splits: the metrics of each evaluation split, the main split last.
        alarms: signs that the run did not work.
    """

    seeds: tuple[SeedResult, ...]
    best: SeedResult
    metrics: tuple[Metric, ...]
    baselines: tuple[Baseline, ...]
    verdicts: tuple[Verdict, ...]
    alarms: tuple[Alarm, ...]
    systems: Baselines
    splits: tuple[SplitMetrics, ...] = ()
    thresholds: list[float] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SavedModel:
    """The saved model: certificates that it equals the trained one, and notes for the user."""

    certificates: tuple[Certificate, ...]
    notes: tuple[str, ...] = ()


DataT = TypeVar("DataT", bound=TaskData)
SessionT = TypeVar("SessionT", bound=Session)


@dataclass(frozen=True)
class TaskReading(Generic[DataT]):
    """The reading steps of a task, none of which imports torch.

    Attributes:
        read: reads rows, columns, labels and the base model's files. Raises InputError if they cannot be used.
        check_rows: runs the static checks of the rows, such as the size of the evaluation split.
    """

    read: Callable[[Request], DataT]
    check_rows: Callable[[DataT], Iterator[CheckLine]]


@dataclass(frozen=True, kw_only=True)
class TaskSteps(Generic[DataT, SessionT]):
    """The steps of a task with a loaded model, called by the steps of a run in this order.

    Attributes:
        prepare: changes rows by a model, such as mining hard negatives.
        load: loads the model and tokenises the rows for one seed, or reuses the tokens of an earlier seed's session.
        model_checks: pre-flight lines of this task alone.
        sample_outputs: outputs (n, ...) of a few training rows in fp32, computed in batches of at most so many rows.
        sample_unit, sample_measure: a row or a text; and the unit of the largest difference.
        trial_parts: the training rows by loss, for the trial step.
        evaluate_fn: builds the evaluation on validation, on at most so many rows.
        start: trains the model of one seed in place before its training, such as by distillation.
        trainer_spec: the trainer with its loss and arguments.
        as_saved: the session with the model that is saved and measured, where it is not the trained one: an adapter on quantised
            weights is merged into unquantised ones.
        outputs: split -> outputs of the session's model.
        baselines: outputs of the systems that the recipe names.
        metrics: the metrics of each evaluation split, the main split last.
        choose_thresholds: chooses thresholds on validation.
        alarms: alarms of this task alone.
        save_model: writes ``model/`` and certifies that it equals the trained model. Thresholds are None in the pre-flight.
        prediction_columns: the columns of predictions.parquet for one split.
        save_files: writes files of this task alone into the run folder.
        data_record, training_record: entries of this task alone for ``data`` and ``training`` of result.json.
    """

    load: Callable[[DataT, int, SessionT | None], SessionT]
    sample_outputs: Callable[[SessionT, int], Array]
    trial_parts: Callable[[SessionT], Sequence[TrialPart]]
    evaluate_fn: Callable[[SessionT, int | None], EvaluateFn]
    trainer_spec: Callable[[SessionT, EvaluateFn, int], TrainerSpec]
    outputs: Callable[[SessionT], Mapping[str, Outputs]]
    baselines: Callable[[SessionT, Listener], Baselines]
    metrics: Callable[[SessionT], Sequence[SplitMetrics]]
    save_model: Callable[[SessionT, Path, list[float] | None], SavedModel]
    prediction_columns: Callable[[SessionT, str, Outputs], dict[str, list[Any]]]
    data_record: Callable[[SessionT], dict[str, Any]]
    prepare: Callable[[DataT, Clock], DataT] = lambda data, _clock: data
    model_checks: Callable[[SessionT], Iterable[CheckLine]] = lambda _session: ()
    as_saved: Callable[[SessionT], SessionT] = lambda session: session
    start: Callable[[SessionT, int, StopRequest, Listener], SessionT] = lambda session, _seed, _request, _listener: session
    choose_thresholds: Callable[[Sequence[SeedResult], Sequence[BaselineOutputs]], Decisions] = lambda seeds, systems: Decisions(
        tuple(seeds), tuple(systems)
    )
    alarms: Callable[[SessionT, Evaluation], Iterable[Alarm]] = lambda _session, _evaluation: ()
    save_files: Callable[[Evaluation, RunFolder], None] = lambda _evaluation, _folder: None
    training_record: Callable[[Evaluation], dict[str, Any]] = lambda _evaluation: {}
    sample_unit: str = "row"
    sample_measure: str = "largest difference of a logit"
