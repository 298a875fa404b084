"""Defines the parts of a result (metrics, verdicts, findings, alarms, certificates) and their JSON form.

The names are a contract for other programs (``docs/reference/result.md``): adding a field is free,
renaming one raises ``SCHEMA``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from tunesmith.disk import read_json, write_text

SCHEMA = 1
TEXT_CHARACTERS = 300
"""Length of the texts in the tables of a run; the rest is cut off."""
SHOWN_ROWS = 5
"""Row numbers in the text of a finding."""
BY_CALLS = "by calls of "  # in the words of an interval of a user's function, before its file and name

Word = Literal["better", "worse", "cannot tell"]


@dataclass(frozen=True)
class Metric:
    """A value of one metric on one split with its 95 % interval.

    Attributes:
        low, high: ends of the 95 % interval; None where the metric has none (too few rows, undefined).
        n: rows the value was computed from.
        n_clusters: independent clusters among them (groups, near-duplicates); None where the rows are independent.
        n_candidates: checkpoints of which the best on these rows was evaluated; the interval is widened for the selection.
        interval: how the interval was made; empty where there is none.
        note: why there is no value or no interval; empty where there are both.
    """

    name: str
    split: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    higher_is_better: bool = True
    interval: str = ""
    note: str = ""
    n_clusters: int | None = None
    n_candidates: int = 1


@dataclass(frozen=True)
class Baseline:
    """A simpler system, measured on the same rows."""

    name: str
    metrics: tuple[Metric, ...]
    seconds: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """The comparison of this run with one other system on the same rows.

    Attributes:
        difference: this run minus the other, in the metric's unit.
        low, high: 95 % interval of the difference (paired bootstrap over rows, and seeds where there are several).
        word: ``better`` or ``worse`` only where the interval excludes zero.
        n_clusters: independent clusters among the ``n`` rows; None where the rows are independent.
        p_value: McNemar's exact test, for accuracy of independent rows only.
        p_two_sided: the p-value behind the word: the larger of those of the interval and of the exact test.
        p_adjusted: the same after Holm's correction for the ``n_comparisons`` of the table; the word is ``better`` or
            ``worse`` only where it is below 0.05.
        smallest_detectable: the smallest absolute difference this test set would probably (80 %) have shown.
        interval: how the interval was made; empty where there is none.
        note: why there is no difference or no interval; empty where there are both.
    """

    metric: str
    split: str
    against: str
    difference: float | None
    low: float | None
    high: float | None
    word: Word
    n: int = 0
    p_value: float | None = None
    smallest_detectable: float | None = None
    interval: str = ""
    note: str = ""
    n_clusters: int | None = None
    p_two_sided: float | None = None
    p_adjusted: float | None = None
    n_comparisons: int = 1


@dataclass(frozen=True)
class Finding:
    """The outcome of one diagnosis or data check.

    Attributes:
        flagged: number of rows that it flags.
        skipped: the reason why it did not run; empty if it ran.
        rows: the first flagged rows, worst first: ``{"row_id", "split", "reason", ...}``.
        remedy: the next step for the user.
    """

    name: str
    summary: str
    flagged: int = 0
    skipped: str = ""
    rows: tuple[dict[str, Any], ...] = ()
    remedy: str = ""

    @property
    def text(self) -> str:
        """Returns the summary with the numbers of the first flagged rows: ``... Rows 3, 8 of train, 5 of test and 4 more.``

        Rows of several concatenated files are numbered in their file: ``Rows 3 of tickets.csv, 5 of more.csv.``
        """
        places = [
            (str(row.get("source") or row.get("split") or row.get("data")), row.get("source_row_id", row["row_id"]))
            for row in self.rows
            if "row_id" in row
        ]
        shown = list(dict.fromkeys(places))[:SHOWN_ROWS] if self.flagged else []
        if not shown:
            return self.summary
        by_split = [(split, [str(row_id) for name, row_id in shown if name == split]) for split in dict(shown)]
        numbers = ", ".join(f"{', '.join(row_ids)} of {split}" for split, row_ids in by_split)
        more = f" and {self.flagged - len(shown):,} more" if self.flagged > len(shown) else ""
        return f"{self.summary.rstrip('.')}. {'Row' if len(shown) == self.flagged == 1 else 'Rows'} {numbers}{more}."


@dataclass(frozen=True)
class Alarm:
    """A sign that the run did not work, with a remedy."""

    name: str
    message: str
    remedy: str


@dataclass(frozen=True)
class Certificate:
    """A claim about this run that was checked on this run.

    Attributes:
        figure: the measured value, for instance the largest difference of a logit.
        limit: the largest figure that passes.
    """

    name: str
    passed: bool
    figure: float
    limit: float
    note: str = ""


@dataclass(frozen=True)
class RunResult:
    """The content of ``result.json``.

    ``memory``: peaks and samples, see ``training.memory``. ``started``, ``finished``: UTC in ISO 8601; empty if not recorded.
    """

    task: str
    metrics: tuple[Metric, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    findings: tuple[Finding, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    timings_seconds: dict[str, float] = field(default_factory=dict)
    peak_memory_bytes: int = 0
    memory: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    started: str = ""
    finished: str = ""
    schema: int = SCHEMA

    def __repr__(self) -> str:
        """Formats the task and the metrics, briefly: the whole record is in ``to_json()``."""
        values = [f"{m.name} {'-' if m.value is None else format(m.value, '.4g')} on {m.split}" for m in self.metrics[:4]]
        n_more = len(self.metrics) - len(values)
        more = [f"{n_more} more"] * (n_more > 0)
        return f"RunResult({', '.join([self.task, *values, *more, f'alarms: {len(self.alarms)}'])})"

    def metric(self, name: str, split: str = "test") -> Metric:
        """Returns the metric of that name on that split. Raises KeyError if the run has none."""
        for metric in self.metrics:
            if (metric.name, metric.split) == (name, split):
                return metric
        raise KeyError(f"this run has no metric {name!r} on {split!r}")

    def to_json(self) -> dict[str, Any]:
        """Converts the result to plain JSON types; numbers that are not finite become None."""
        plain: dict[str, Any] = finite(asdict(self))
        return {"schema": plain.pop("schema"), **plain}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> RunResult:
        """Restores the result that ``to_json`` wrote. Null counts as absent; fields of a newer minor version are ignored."""
        plain = {"task": "", **{key: value for key, value in plain.items() if value is not None}}
        kinds = {
            "metrics": Metric, "verdicts": Verdict, "findings": Finding, "alarms": Alarm, "certificates": Certificate,
        }  # fmt: skip
        values: dict[str, Any] = {name.name: plain[name.name] for name in fields(cls) if name.name in plain}
        for name, kind in kinds.items():
            values[name] = tuple(from_fields(kind, item) for item in plain.get(name, ()))
        values["baselines"] = tuple(
            from_fields(Baseline, {**item, "metrics": tuple(from_fields(Metric, metric) for metric in item["metrics"])})
            for item in plain.get("baselines", ())
        )
        return cls(**values)

    def save(self, path: Path) -> None:
        write_text(path, json.dumps(self.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> RunResult:
        """Loads ``result.json``. Raises InputError, which names the first wrong value, for a file of another shape."""
        return cls.from_json(read_json(path, ResultShape))


def from_fields(kind: type, item: dict[str, Any]) -> Any:
    """Builds an instance of ``kind`` from the keys that it has as fields."""
    names = {f.name for f in fields(kind)}
    return kind(**{k: tuple(v) if k == "rows" else v for k, v in item.items() if k in names})


def finite(value: Any) -> Any:
    """Replaces every number that JSON cannot hold (NaN, infinities) by None, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


Number = float | int | None


@dataclass(frozen=True)
class HistogramShape:
    edges: list[float | int] | None = None
    counts: list[float | int] | None = None

    def __post_init__(self) -> None:
        if len(self.edges or ()) != len(self.counts or ()) + bool(self.counts):
            raise ValueError("there must be one edge more than counts")


@dataclass(frozen=True)
class SplitShape:
    """The record of one split: the entries that programs read."""

    source: str | None = None
    sha256: str | None = None
    shape: str | None = None
    rows: Number = None
    rows_read: Number = None
    rows_truncated: Number = None
    max_length: Number = None
    dropped: dict[str, Number] | None = None
    label_counts: dict[str, Number] | None = None
    length_tokens: dict[str, Number] | None = None
    length_histogram: HistogramShape | None = None


@dataclass(frozen=True)
class DataShape:
    problem_type: str | None = None
    base: str | None = None
    labels: list[str] | None = None
    notes: list[str] | None = None
    columns: dict[str, Any] | None = None
    columns_reasons: dict[str, Any] | None = None
    splits: dict[str, SplitShape] | None = None


@dataclass(frozen=True)
class ContextShape:
    """The perplexity of a language model by context length."""

    window: int
    perplexity: Number
    low: Number
    high: Number


@dataclass(frozen=True)
class KernelsShape:
    """The settings of the fast path. ``reasons``: setting -> reason, or a list in older runs."""

    reasons: dict[str, str] | list[str] | None = None


@dataclass(frozen=True)
class BestMetricShape:
    name: str | None = None
    value: Number = None


@dataclass(frozen=True)
class TrainingShape:
    """The record of the training: the entries that programs read."""

    n_parameters: Number = None
    n_trainable_parameters: Number = None
    tokens: Number = None
    learnt_tokens: Number = None
    dimension: Number = None
    steps: Number = None
    best_step: Number = None
    epochs: Number = None
    batch_rows: Number = None
    learning_rate: Number = None
    dropout: Number = None
    rows_per_second: Number = None
    first_loss: Number = None
    expected_first_loss: Number = None
    last_loss: Number = None
    best_metric: BestMetricShape | Number = None
    early_stopping_metric: str | None = None
    seeds: list[int] | None = None
    head: str | None = None
    distillation: str | None = None
    loss: str | None = None
    batch_sampler: str | None = None
    notes: list[str] | None = None
    thresholds: list[float | int] | None = None
    kernels: KernelsShape | None = None
    geometry: dict[str, dict[str, dict[str, Number] | None]] | None = None
    context: dict[str, list[ContextShape] | None] | None = None


@dataclass(frozen=True)
class EvaluateShape:
    metric: str | None = None
    checkpoint_metric: str | None = None
    function: str | None = None


@dataclass(frozen=True)
class RecipeShape:
    """The sections of the recipe, each a mapping or null."""

    output: str | None = None
    evaluate: EvaluateShape | None = None
    model: dict[str, Any] | None = None
    data: dict[str, Any] | None = None
    train: dict[str, Any] | None = None


@dataclass(frozen=True)
class ResultShape:
    """The types of ``result.json``. Every part may be absent or null; other entries may have any type."""

    task: str | None = None
    schema: int | None = None
    started: str | None = None
    finished: str | None = None
    metrics: tuple[Metric, ...] | None = None
    baselines: tuple[Baseline, ...] | None = None
    verdicts: tuple[Verdict, ...] | None = None
    findings: tuple[Finding, ...] | None = None
    alarms: tuple[Alarm, ...] | None = None
    certificates: tuple[Certificate, ...] | None = None
    timings_seconds: dict[str, Number] | None = None
    peak_memory_bytes: int | None = None
    memory: dict[str, Any] | None = None
    environment: dict[str, Any] | None = None
    data: DataShape | None = None
    training: TrainingShape | None = None
    recipe: RecipeShape | None = None


def merge_findings(first: Sequence[Finding], second: Sequence[Finding]) -> list[Finding]:
    """Joins two lists, ``second`` before ``first``; of two findings with one name it keeps the one with more flagged rows."""
    by_name = {finding.name: finding for finding in second if not finding.skipped}
    names = {finding.name for finding in first}
    larger = [max((finding, by_name.get(finding.name, finding)), key=lambda item: item.flagged) for finding in first]
    return [*(finding for finding in second if finding.name not in names), *larger]


def unproven(certificates: tuple[Certificate, ...]) -> tuple[Alarm, ...]:
    """Returns an alarm for every certificate that did not pass."""
    failed = [c for c in certificates if not c.passed]
    messages = [f"{c.name}: {c.note} {c.figure:.3g}, at most {c.limit:.3g} was expected." for c in failed]
    return tuple(Alarm("certificate failed", message, "Do not use the saved model; report this.") for message in messages)
