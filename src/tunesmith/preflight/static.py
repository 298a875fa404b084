"""Checks everything that needs neither torch nor the model's weights."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from tunesmith.data.cells import listed, one_line, plural
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.table import Examples
from tunesmith.disk import free_bytes, megabytes
from tunesmith.errors import DataError, Problem
from tunesmith.evaluation.metrics.own_function import OwnFunction
from tunesmith.models.adapters.quantisation import quantisation_of
from tunesmith.models.model_files import read_settings
from tunesmith.models.source import ModelSource, file_of
from tunesmith.preflight.report import CheckLine
from tunesmith.recipe.files import is_file_name, locate
from tunesmith.recipe.sections import Recipe
from tunesmith.results import Finding

REPORT_BYTES = 1_500_000
"""Upper limit of the report of a run of any number of rows."""
LOG_BYTES = 1_000_000
"""Of the logs and the settings."""
ADAPTER_SHARE = 0.1
"""Upper limit of the weights that an adapter trains."""
FEW_ROWS = 30
"""Below this size of the evaluation split, a note warns of wide intervals."""
NO_VALIDATION = "there are no validation rows to select the best checkpoint on."
VALIDATION_REMEDY = "Give data.validation a fraction such as 0.1, or a file."


def files(split: Examples) -> CheckLine:
    """Counts the used and dropped rows of one split."""
    dropped = sum(1 for row in split.bad_rows if row.dropped)
    return CheckLine(f"rows of {split.split}", f"{len(split):,} used, {dropped:,} dropped ({split.source})")


def read_as(notes: Iterable[str]) -> Iterator[CheckLine]:
    """Lists the assumptions and repairs of reading the files, such as a header, a decimal comma or aligned classes."""
    return (CheckLine("read as", note) for note in notes)


def columns(splits: LabelledData) -> CheckLine:
    """Lists the role of each column, and those without one; a note names a second column of text that is not used."""
    found = splits.columns
    parts = {
        "text": found.text,
        "pair": found.pair,
        "label": "+".join(found.label),
        "group": found.group,
    }
    figure = ", ".join(f"{part} = {name}" for part, name in parts.items() if name) + not_used(found.unused)
    if not found.other_texts:
        return CheckLine("columns", figure)
    note = f"{plural(len(found.other_texts), 'more column')} of text: {listed(found.other_texts)}; only {found.text} is used."
    both = f"{{text: {one_line(found.text)}, pair: {one_line(found.other_texts[0])}}}"
    return CheckLine("columns", figure, note=note, remedy=f"To use both texts of a row, write data.columns: {both}.")


def not_used(columns: Collection[str]) -> str:
    """Names the columns that are not read, to be added to those that are; empty if there are none."""
    return f"; not used: {listed(columns)}" if columns else ""


def labels(splits: LabelledData) -> CheckLine:
    """Describes the labels: the classes, or the range of the numbers."""
    if splits.labels.problem_type == "regression":
        values = [float(value) for value in splits.train.labels]
        return CheckLine("labels", f"numbers from {min(values):g} to {max(values):g}")
    kind = "one of" if splits.labels.problem_type == "single_label_classification" else "any of"
    names = splits.labels.names
    shown = ", ".join(map(one_line, names[:8])) + (", ..." if len(names) > 8 else "")
    return CheckLine("labels", f"{kind} {splits.labels.n}: {shown}")


def sizes(splits: LabelledData) -> CheckLine:
    """Checks that there are validation rows, and that the evaluation split is large enough for narrow intervals."""
    evaluated = splits.test if splits.test is not None else splits.validation
    if evaluated is None or splits.validation is None:
        problem = Problem("validation", "data.validation", NO_VALIDATION, VALIDATION_REMEDY)
        return CheckLine("evaluated on", "nothing", problem)
    return evaluated_on(evaluated.split, len(evaluated))


def own_metrics(function: OwnFunction | None) -> Iterator[CheckLine]:
    """Yields what the recipe's function of metrics returned when it was called on a few rows."""
    if function is not None:
        names = (f"{name} (lower is better)" if name in function.lower else name for name in function.names)
        yield CheckLine("own metrics", f"{function.reference} returns {listed(names)}")


def evaluated_on(split: str, n_rows: int, more: str = "", problem: Problem | None = None) -> CheckLine:
    """Describes the rows of the verdict; a note warns of few of them."""
    figure = f"{split}, {plural(n_rows, 'row')}{more}"
    note = f"{figure}: intervals will be wide" if n_rows < FEW_ROWS else ""
    remedy = "Give more test rows (data.test), or expect the verdict to be: cannot tell."
    return CheckLine("evaluated on", figure, problem, note=note, remedy=remedy)


def from_finding(finding: Finding) -> CheckLine:
    """Converts a finding about the rows to a line; one with flagged rows or a remedy, or that was skipped, becomes a note."""
    text = finding.skipped or finding.text
    note = f"{finding.name}: {text}" if finding.flagged or finding.remedy or finding.skipped else ""
    return CheckLine(finding.name, text, note=note, remedy=finding.remedy)


def quantisation(recipe: Recipe) -> Iterator[CheckLine]:
    """Describes the bits of the frozen weights, and checks that their library is installed; nothing for unquantised weights."""
    chosen, problem = quantisation_of(recipe), None
    if chosen is None:
        return
    if find_spec("bitsandbytes") is None:
        remedy = "Run: pip install 'tunesmith[quantisation]'"
        problem = Problem("install", "quantisation", "bitsandbytes is not installed.", remedy)
    yield CheckLine("quantisation", chosen.details, problem)


def disk(recipe: Recipe, source: ModelSource, base: Path, logged_bytes: int = 0) -> CheckLine:
    """Checks the free disk space for all that the run writes."""
    parts, output = disk_parts(recipe, source, base, logged_bytes), Path(os.path.expanduser(recipe.output))
    unfinished = sum(path.stat().st_size for path in Path(f"{output}.partial").rglob("*") if path.is_file())
    needed, free = sum(parts.values()), free_bytes(output) + unfinished  # its files are used again, or removed
    shares = ", ".join(f"{name} {megabytes(n_bytes)}" for name, n_bytes in parts.items())
    problem = None
    if free < needed:
        message = f"the run needs about {megabytes(needed)} of disk ({shares}), {megabytes(free)} are free."
        problem = Problem("disk", str(output), message, "Free some space, or choose another `output`.")
    return CheckLine("disk", f"about {megabytes(needed)} needed, {megabytes(free)} free", problem)


def disk_parts(recipe: Recipe, source: ModelSource, base: Path, logged_bytes: int) -> dict[str, int]:
    """Returns the bytes of the parts of a run.

    These are, for each seed, the best weights and a complete checkpoint (weights and two moments of each trained one), one more
    of them while it replaces the last one, the saved model, the files of the tokenizer with each, predictions, report and logs.

    Args:
        logged_bytes: see ``tasks.task.TaskData``.
    """
    weights = source.n_bytes * (2 if half_precision(source) else 1)  # training and the saved model are in fp32
    trained = weights if recipe.adapter is None else int(weights * ADAPTER_SHARE)
    others = sum(path.stat().st_size for path in direct_files(Path(source.location)) if path.suffix != ".safetensors")
    checkpoint, n_seeds = 3 * trained + others, recipe.train.n_seeds
    rows = sum(path.stat().st_size for name in data_names(recipe) for path in direct_files(locate(name, base)))
    train = recipe.train
    n_kept = min(train.n_evaluations, train.save_total_limit or train.n_evaluations) if train.save_strategy == "all" else 0
    parts = {
        "checkpoints": n_seeds * (checkpoint + trained) + checkpoint,
        "model": 0 if train.save_strategy == "none" else weights + trained + others,
        "models of evaluations": n_kept * (n_seeds * trained + weights + others + (0 if recipe.adapter is None else trained)),
        "predictions, report and logs": rows * max(1, n_seeds) + logged_bytes + REPORT_BYTES + LOG_BYTES,
    }
    return {name: n_bytes for name, n_bytes in parts.items() if n_bytes}


def data_names(recipe: Recipe) -> list[str]:
    names = (*(recipe.data.file(split) for split in ("train", "validation", "test")), *recipe.data.also)
    return [name for name in names if isinstance(name, str) and is_file_name(name)]


def direct_files(path: Path) -> list[Path]:
    """Lists a file, or the files of a folder; empty if there is neither."""
    return [path] if path.is_file() else [item for item in path.iterdir() if item.is_file()] if path.is_dir() else []


def half_precision(source: ModelSource) -> bool:
    """Tells whether a model's config, if it is on this machine, says that its weights have 16 bits."""
    path = file_of(source, "config.json")
    config = {} if path is None else read_settings(path, f"model.name {source.name}")
    return str(config.get("dtype", config.get("torch_dtype"))) in ("float16", "bfloat16")


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
