"""Checks everything that needs neither torch nor the model's weights."""

from __future__ import annotations

from pathlib import Path

from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.table import Examples
from tunesmith.errors import DataError, Problem
from tunesmith.machine import free_disk_bytes, megabytes
from tunesmith.models.source import ModelSource
from tunesmith.preflight.report import CheckLine
from tunesmith.recipe.sections import Recipe
from tunesmith.results import Finding

CHECKPOINT_TENSORS = 3
"""Tensors of each parameter in a complete checkpoint: the weight and the optimizer's two moments."""
FEW_ROWS = 30
"""Below this size of the evaluation split, a note warns of wide intervals."""
NO_VALIDATION = "there are no validation rows to select the best checkpoint on."
VALIDATION_REMEDY = "Give data.validation a fraction such as 0.1, or a file."


def files(split: Examples) -> CheckLine:
    """Counts the used and dropped rows of one split."""
    dropped = sum(1 for row in split.bad_rows if row.dropped)
    note = f"{dropped:,} rows of {split.split} are not used" if dropped else ""
    return CheckLine(f"rows of {split.split}", f"{len(split):,} used, {dropped:,} dropped ({split.source})", note=note)


def columns(splits: LabelledData) -> CheckLine:
    """Lists the role of each column."""
    parts = {
        "text": splits.columns.text,
        "pair": splits.columns.pair,
        "label": "+".join(splits.columns.label),
        "group": splits.columns.group,
    }
    return CheckLine("columns", ", ".join(f"{part} = {name}" for part, name in parts.items() if name))


def labels(splits: LabelledData) -> CheckLine:
    """Describes the labels: the classes, or the range of the numbers."""
    if splits.labels.problem_type == "regression":
        values = [float(value) for value in splits.train.labels]
        return CheckLine("labels", f"numbers from {min(values):g} to {max(values):g}")
    kind = "one of" if splits.labels.problem_type == "single_label_classification" else "any of"
    names = splits.labels.names
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return CheckLine("labels", f"{kind} {splits.labels.n}: {shown}")


def sizes(splits: LabelledData) -> CheckLine:
    """Checks that there are validation rows, and that the evaluation split is large enough for narrow intervals."""
    evaluated = splits.test if splits.test is not None else splits.validation
    if evaluated is None or splits.validation is None:
        problem = Problem("validation", "data.validation", NO_VALIDATION, VALIDATION_REMEDY)
        return CheckLine("evaluated on", "nothing", problem)
    note = f"{evaluated.split} has only {len(evaluated)} rows: intervals will be wide" if len(evaluated) < FEW_ROWS else ""
    return CheckLine("evaluated on", f"{evaluated.split}, {len(evaluated):,} rows", note=note)


def from_finding(finding: Finding) -> CheckLine:
    """Converts a finding about the rows to a line; one with flagged rows becomes a note."""
    return CheckLine(finding.name, finding.summary, note=f"{finding.name}: {finding.summary}" if finding.flagged else "")


def disk(source: ModelSource, output: Path) -> CheckLine:
    """Checks the free disk space: the model, its best weights and one complete checkpoint."""
    needed, free = source.n_bytes * (2 + CHECKPOINT_TENSORS), free_disk_bytes(output)
    figure = f"about {megabytes(needed)} needed, {megabytes(free)} free"
    problem = None
    if free < needed:
        message = f"the run needs about {megabytes(needed)}, {megabytes(free)} are free."
        problem = Problem("disk", str(output), message, "Free some space, or choose another `output`.")
    return CheckLine("disk", figure, problem)


def trackers(recipe: Recipe) -> CheckLine:
    """Checks that the requested experiment trackers are installed."""
    from importlib.util import find_spec

    requested = [recipe.train.report_to] if isinstance(recipe.train.report_to, str) else recipe.train.report_to
    missing = [name for name in requested if name != "none" and find_spec(name) is None]
    problem = None
    if missing:
        remedy = f"Run: pip install 'tunesmith[{missing[0]}]'"
        problem = Problem("install", "train.report_to", f"{missing[0]} is not installed.", remedy)
    return CheckLine("trackers", ", ".join(requested), problem)


def require_validation(rows: object) -> None:
    """Raises DataError if there are no validation rows."""
    if rows is None:
        raise DataError.one("data.validation", NO_VALIDATION, VALIDATION_REMEDY)
