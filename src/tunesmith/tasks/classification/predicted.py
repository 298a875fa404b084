"""Predicts the rows of a table by a classifier or regression, as one dictionary per row with labels of the caller's type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from tunesmith.data.cells import listed, plural
from tunesmith.data.columns import columns_of_training, detect_columns
from tunesmith.data.labelled.labels import REGRESSION
from tunesmith.data.labelled.rows import make_examples
from tunesmith.data.table import Columns, Labels, Table
from tunesmith.data.template import missing_columns, with_template
from tunesmith.errors import DataError, InputError
from tunesmith.progress import Listener, silent
from tunesmith.recipe.sections import ColumnsSection
from tunesmith.tasks.classification.predictor import Predictor

SHOWN_ROWS = 5


class PredictedRows(list[dict[str, Any]]):
    """Predictions, one dictionary per row: ``prediction``, and ``probability`` and ``pred_probs`` or ``score``.

    Attributes:
        labels: the classes in the order of ``pred_probs``, in the type that the training rows have.
        row_names: the index of ``probabilities`` and ``to_frame``: that of the caller's DataFrame, else positions.
    """

    def __init__(self, rows: Iterable[dict[str, Any]], labels: Sequence[Any], row_names: Sequence[Any] | None = None) -> None:
        super().__init__(rows)
        self.labels, self.row_names = tuple(labels), row_names

    @property
    def predictions(self) -> list[Any]:
        """Returns the predicted label of each row; a list of labels per row in a multi-label run, a number in a regression."""
        return [row["prediction"] for row in self]

    @property
    def probabilities(self) -> Any:
        """Returns the probabilities as a DataFrame (N, K) with a column per class. Raises InputError for a regression."""
        if self and "pred_probs" not in self[0]:
            raise InputError.one("probabilities", "a regression predicts numbers; it has no probabilities.", "Use predictions.")
        return frame([row["pred_probs"] for row in self], self.row_names, list(self.labels))

    def to_frame(self) -> Any:
        """Returns the rows as a DataFrame, without ``pred_probs``."""
        return frame([{name: row[name] for name in row if name != "pred_probs"} for row in self], self.row_names)

    def _repr_html_(self) -> str | None:
        """Shows the rows as a table in a notebook; None, so as a list, without pandas."""
        try:
            return str(self.to_frame()._repr_html_())
        except InputError:
            return None


def frame(rows: Sequence[Any], index: Sequence[Any] | None, columns: Sequence[Any] | None = None) -> Any:
    """Makes a DataFrame. Raises InputError if pandas is not installed."""
    try:
        import pandas as pd
    except ImportError:
        raise InputError.one(
            "", "a DataFrame needs the library pandas, which is not installed.", "Run: pip install pandas"
        ) from None
    return pd.DataFrame(rows, index=index, columns=columns)


def predict_rows(
    predictor: Predictor, texts: list[str], pairs: list[str] | None, listener: Listener = silent
) -> list[dict[str, Any]]:
    """Predicts texts; labels have the type of the training rows."""
    rows, labels = predictor.rows(predictor.scores(texts, pairs, listener)), predictor.config.labels
    if labels.problem_type == REGRESSION:
        return rows
    return [{**row, "prediction": with_values(row["prediction"], labels)} for row in rows]


def with_values(prediction: str | list[str], labels: Labels) -> Any:
    """Replaces class names by the values they are the names of."""
    values = dict(zip(labels.names, labels.values, strict=True))
    return [values[name] for name in prediction] if isinstance(prediction, list) else values[prediction]


def predict_table(predictor: Predictor, table: Table) -> PredictedRows:
    """Predicts every row of a table. Raises DataError, which names the rows, if some have no text."""
    table, requested = with_joined_text(table, predictor, ColumnsSection())
    columns = text_columns(table, predictor, requested)
    examples = make_examples(table, columns, None, "predict")
    dropped = [row for row in examples.bad_rows if row.dropped]
    if dropped:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in Counter(row.reason for row in dropped).items())
        rows = listed((row.row_id for row in dropped), SHOWN_ROWS)
        message = (
            f"{len(dropped)} of {plural(table.rows_read, 'row')} cannot be predicted ({reasons}): rows {rows}, counted from 0."
        )
        raise DataError.one(table.source, message, "Leave them out, or fill in their texts.")
    return PredictedRows(predict_rows(predictor, examples.texts, examples.pairs), predictor.config.labels.values)


def with_joined_text(table: Table, predictor: Predictor, requested: ColumnsSection) -> tuple[Table, ColumnsSection]:
    """Joins the columns of a file as in training (``data.template``), unless another text column is requested.

    Plain texts, which are a table of one column that the template does not name, are used as they are.

    Raises DataError if the table lacks a column of the template.
    """
    template = predictor.config.template
    if template is None or requested.text is not None:
        return table, requested
    absent = missing_columns(table, template)
    if len(table.columns) == 1 and absent:
        return table, requested
    if absent:
        message = (
            f"There is no column {listed(map(repr, absent))}; the run joins its texts by data.template, {template!r}. "
            f"The columns are {listed(table.columns)}."
        )
        raise DataError.one(table.source, message, "Name the column with the whole text: --text, or columns={'text': NAME}.")
    return with_template(table, template), requested.model_copy(update={"text": template})


def text_columns(table: Table, predictor: Predictor, requested: ColumnsSection) -> Columns:
    """Returns the text columns of a file: the requested ones, those of the training data, or the detected ones."""
    trained = predictor.config.columns
    known = columns_of_training(table, trained, requested)
    text, pair = known.text, known.pair
    reasons: dict[str, str] = {}
    if text is None and len(table.columns) == 1:
        text, reasons = next(iter(table.columns)), {"text": "it is the only one"}
    if text is None and trained["pair"] and not table.has_header and len(table.columns) == 2:
        (text, pair), reasons = table.columns, dict.fromkeys(("text", "pair"), "there are two columns, without a header")
    if trained["pair"] and pair is None and requested.text is None and text is not None:
        message = f"the run was trained on pairs ({trained['text']}, {trained['pair']}); the second column is not here."
        raise DataError.one(table.source, message, f"Columns: {', '.join(table.columns)}. Name it with --pair.")
    columns = detect_columns(table, "classification", requested.model_copy(update={"text": text, "pair": pair}), need_label=False)
    return replace(columns, reasons={**columns.reasons, **reasons})
