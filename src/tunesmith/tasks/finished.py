"""Loads a finished run: its result and its model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.data.cells import clip, plural
from tunesmith.data.columns import find_column
from tunesmith.data.readers.frame import table_from_frame
from tunesmith.data.readers.given import read_rows_or_text
from tunesmith.data.table import Table
from tunesmith.errors import DataError, ModelError
from tunesmith.progress import Event, Listener
from tunesmith.report.missing_run import no_model, require_there
from tunesmith.report.words import part
from tunesmith.results import RunResult, Verdict
from tunesmith.run_folder import RESULT, require_finished
from tunesmith.tasks.saved_recipe import result_of_model

if TYPE_CHECKING:
    from tunesmith.tasks.classification.predicted import PredictedRows
    from tunesmith.tasks.classification.predictor import Predictor


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: the run folder.
        result: the content of ``result.json``.
    """

    folder: Path
    result: RunResult

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Loads a run from its folder. Raises ModelError if it is not a finished one."""
        path = Path(folder)
        require_finished(path)
        require_there(path)
        if not (path / RESULT).exists():
            raise ModelError.one(str(path), f"this is no finished run: it has no {RESULT}{no_model(path)}.")
        return cls(path, RunResult.load(path / RESULT))

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, {self.result!r})"

    def _repr_html_(self) -> str:
        """Shows the run as a page in a notebook."""
        from tunesmith.report.notebook import run_page

        return run_page(self.folder.name, self.result, self.folder)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Returns the comparisons with every baseline."""
        return self.result.verdicts

    @cached_property
    def predictor(self) -> Predictor:
        """Loads the model, once at the first use."""
        from tunesmith.tasks.classification.predictor import load_predictor

        return load_predictor(self.folder)

    def predict(self, data: object, pairs: Sequence[str] | None = None) -> PredictedRows:
        """Predicts every row, one dictionary each; ``.predictions`` and ``.probabilities`` give them by columns.

        Args:
            data: texts, a text, a table in memory, or the path of a file; its text columns are found as in training.
            pairs: the second texts, of a run on pairs, where ``data`` are the first texts.

        Raises InputError if the data cannot be read, or a row has no text.

        Example::

            run = tunesmith.Run.load("runs/tickets")
            run.predict(["where is my parcel?"]).predictions
        """
        from tunesmith.tasks.classification.predicted import predict_table

        table = read_rows_or_text(data)
        if pairs is not None:
            table = table_of_pairs(table, pairs)
        predicted = predict_table(self.predictor, table)
        predicted.row_names = index_of(data)
        return predicted


def group_of_run(target: object, table: Table, listener: Listener) -> str | None:
    """Returns the column by which a run's rows belong together, if the table has it; a note if it has not."""
    result = result_of_model(folder_of(target)) if isinstance(target, Run | str | Path) else None
    if result is None:
        return None
    group = part(result.data, "columns").get("group") or part(result.recipe, "data", "columns").get("group")
    if not isinstance(group, str):
        return None
    column = find_column(table, group)
    if column is None:
        belong = "by which the run's rows belong together: here only near-duplicates do."
        listener(Event("note", f"{table.source} has no column {clip(group)}, {belong}"))
    return column


def table_of_pairs(first: Table, second: Sequence[str]) -> Table:
    """Joins the first texts, the only column of a table, and the second ones. Raises DataError if they do not fit."""
    if len(first.columns) > 1 or len(first) != len(second) or isinstance(second, str):
        message = (
            f"{plural(len(first), 'row')} of {plural(len(first.columns), 'column')} and "
            f"{plural(len(second), 'second text', 'was', 'were')} given."
        )
        raise DataError.one("pairs", message, "Give a list of first texts and as many second ones, or a table with both columns.")
    return table_from_frame([list(row) for row in zip(*first.columns.values(), second, strict=True)], first.source)


def index_of(data: object) -> Any:
    """Returns the index of a pandas DataFrame or Series; None for other data, whose rows have positions."""
    index = getattr(data, "index", None)
    return None if callable(index) else index


def folder_of(run: object) -> Path:
    """Returns the folder of a run, or of the path of one. Raises ModelError for anything else."""
    if isinstance(run, Run):
        return run.folder
    if isinstance(run, str | Path):
        return Path(run)
    message = f"a run or the path of its folder was expected, not {type(run).__name__}."
    raise ModelError.one("the run", message, "Give the run first, then the data.")
