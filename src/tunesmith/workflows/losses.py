"""Lists the embedding losses that fit each format of rows, or those that fit given rows."""

from __future__ import annotations

from typing import Any

from tunesmith.data.pairs.class_names import occurring_classes, with_class_names
from tunesmith.data.pairs.conversions import CONVERSIONS, convert
from tunesmith.data.pairs.formats import MEANING, PairFormat, PairKind, detect_pair_format
from tunesmith.data.pairs.text_lists import divide_text_lists
from tunesmith.data.readers.given import read_given, source_name
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.training.losses.embedding import LOSSES, WRAPPERS, default_for, fitting

FACTS = ("does", "in_batch", "has_weights", "teacher")
"""What is said of a loss: its purpose; it has in-batch negatives, trained weights, or needs a teacher or guide."""


def losses(data: object = None) -> dict[str, Any]:
    """Lists the losses for embedding models by the format of their rows; with data, only those for these rows.

    Args:
        data: the path of a file, or a table in memory.

    Returns:
        ``formats``: each with its ``default``, ``because`` and ``losses``; ``wrappers``: of another loss. With data also their
        ``rows``, ``columns``, ``n_classes``, the ``reason`` for the format, and ``conversions`` to other formats.

    Raises DataError if the rows cannot be read, or are of no known format.

    Example::

        tunesmith.losses("pairs.csv")["formats"][0]["default"]
    """
    if data is None:
        kinds: list[PairKind] = list(MEANING)
        formats = [losses_of(kind, 0) for kind in kinds]
        return {"formats": formats, "shapes": formats, "wrappers": wrappers()}  # ``shapes`` is the earlier name of ``formats``
    rows, note = divide_text_lists(read_given(data))
    form = detect_pair_format(rows)
    rows, named = with_class_names(rows, form)
    n_classes = len(occurring_classes(rows, form))
    formats = [losses_of(form.kind, n_classes)]
    return {
        "data": source_name(data),
        "rows": len(rows),
        "columns": list(form.columns),
        "n_classes": n_classes,
        "reason": form.reason,
        "note": " ".join(filter(None, [note, named])),
        "formats": formats,
        "shapes": formats,
        "conversions": conversions(rows, form),
        "wrappers": wrappers(),
    }


def conversions(rows: Table, form: PairFormat) -> list[dict[str, Any]]:
    """Lists the formats that the rows can be converted to, with row counts and the default loss of each."""
    targets = []
    for kind in [after for before, after in CONVERSIONS if before == form.kind]:
        try:
            converted = convert(rows, form, kind)
            n_rows, left_out, words = len(converted.rows), dict(converted.left_out), converted.summary()
        except DataError as error:
            n_rows, left_out, words = 0, {}, " ".join(filter(None, [error.problems[0].message, error.problems[0].remedy]))
        default = default_for(kind).loss
        targets.append(
            {"format": kind, "shape": kind, "default": default, "rows": n_rows, "left_out": left_out, "summary": words}
        )
    return targets


def losses_of(kind: PairKind, n_classes: int) -> dict[str, Any]:
    """Lists the losses of one format, with the default and why."""
    default = default_for(kind, n_classes)
    fit = [{"name": name, **{fact: getattr(LOSSES[name], fact) for fact in FACTS}} for name in fitting(kind, n_classes)]
    names = {"format": kind, "shape": kind, "meaning": MEANING[kind]}
    return {**names, "default": default.loss, "because": default.because, "losses": fit}


def wrappers() -> list[dict[str, str]]:
    """Lists the wrappers and regularizers of another loss."""
    return [{"name": name, "does": wrapper.does} for name, wrapper in WRAPPERS.items()]
