"""Calls a user's function of metrics (``evaluate.function``) on the rows of one system, and checks what it returns."""

from __future__ import annotations

import inspect
import math
import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed, plural
from tunesmith.errors import RecipeError
from tunesmith.evaluation.metrics.function_file import failure_words, load_function
from tunesmith.recipe.files import locate
from tunesmith.recipe.metric_names import DIRECTIONS, split_dimension
from tunesmith.recipe.sections import EvaluateSection
from tunesmith.recipe.suggest import closest

KEY = "evaluate.function"
RETURNS = 'It returns one number, or a dictionary of them such as {"profit": 12.5}.'
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.@-]*$")
PROBE_ROWS, SHOWN_CHARACTERS = 200, 100


@dataclass(frozen=True)
class OwnFunction:
    """A user's function.

    Attributes:
        reference: ``file.py:name``, as the recipe names it.
        parameters: the names of its parameters, which select what it is called with.
        names: the metrics that it returns, in its order; empty before the first call.
        lower: names of which lower is better.
        ends: the lowest and the highest value, if the recipe gives them.
    """

    call: Callable[..., object]
    reference: str
    file: Path
    parameters: tuple[str, ...]
    names: tuple[str, ...] = ()
    lower: frozenset[str] = frozenset()
    ends: tuple[float, float] | None = None

    @property
    def default_name(self) -> str:
        return self.reference.rpartition(":")[2]


@dataclass(frozen=True)
class MeasuredRows:
    """One system's rows on one split, as the function reads them.

    Attributes:
        rows: parameter -> (N, ...) array of the rows, or a tuple of such arrays.
        of_system: those of them that the system gives, not the data.
        constants: parameter -> a value that is the same for all rows.
        unit: a row, or the query of a search.
        variants: yields rows in which a rare class has the outcome that was not drawn, with the share of it that may have, see
            ``few_rows.rare_variants``.
    """

    function: OwnFunction
    split: str
    rows: Mapping[str, Any]
    of_system: frozenset[str]
    constants: Mapping[str, Any]
    unit: str = "row"
    variants: Callable[[], Iterable[tuple[MeasuredRows, float]]] = tuple

    def __len__(self) -> int:
        first = next(iter(self.rows.values()))
        return len(first[0] if isinstance(first, tuple) else first)

    def values(self, positions: Array | None = None) -> dict[str, float]:
        """Calls the function on the rows at those positions, or on all; NaN is a metric without a value.

        Raises RecipeError with file and line if the function fails or returns something else than its metrics.
        """
        chosen = np.arange(len(self)) if positions is None else positions
        rows = {name: taken(self.rows[name], chosen) for name in self.function.parameters if name in self.rows}
        constants = {name: self.constants[name] for name in self.function.parameters if name in self.constants}
        size = f"resampled {plural(2, self.unit).partition(' ')[2]}" if positions is not None else plural(len(chosen), self.unit)
        what = f"on {size} of {self.split}"
        return call_function(self.function, {**rows, **constants}, what)

    def exchanged(self, other: MeasuredRows, mask: Array) -> MeasuredRows:
        """Returns the rows with the other system's outputs where the mask (N) is true."""
        rows = {
            name: exchange(values, other.rows[name], mask) if name in self.of_system else values
            for name, values in self.rows.items()
        }
        return replace(self, rows=rows)


def taken(values: Any, positions: Array) -> Any:
    """Returns a copy of the rows at those positions, of an array or of each of a tuple of arrays."""
    return tuple(part[positions] for part in values) if isinstance(values, tuple) else values[positions]


def exchange(ours: Any, theirs: Any, mask: Array) -> Any:
    if isinstance(ours, tuple):
        return tuple(exchange(*parts, mask) for parts in zip(ours, theirs, strict=True))
    mixed = ours.copy()
    mixed[mask] = theirs[mask]
    return mixed


def own_function(section: EvaluateSection, base: Path, known: Sequence[str], what_for: str) -> OwnFunction | None:
    """Loads the recipe's function, and checks its parameters against those that there are; None without one.

    Args:
        known: the parameters that a function may have.
        what_for: the rows that it measures, for errors.
    """
    if section.function is None:
        return None
    remedy = f"Its parameters are some of: {', '.join(known)}."
    call = load_function(section.function, base, KEY, f"Give file.py:name, a function. {remedy}")
    file = locate(section.function.rpartition(":")[0], base)
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError) as error:
        raise RecipeError.one(KEY, f"the parameters of {section.function} cannot be read: {error}.", remedy) from error
    names = tuple(parameter.name for parameter in parameters if parameter.name in known)
    for parameter in parameters:
        is_needed = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        )
        if parameter.kind is parameter.POSITIONAL_ONLY or (is_needed and parameter.name not in known):
            message = f"{section.function} has the parameter {parameter.name!r}, which {what_for} do not have."
            raise RecipeError.one(KEY, message, remedy)
    if not names:
        raise RecipeError.one(KEY, f"{section.function} reads nothing: it has none of the known parameters.", remedy)
    ends = None if section.function_range is None else (section.function_range[0], section.function_range[1])
    return OwnFunction(call, section.function, file, names, lower=frozenset(section.lower_is_better), ends=ends)


def call_function(function: OwnFunction, arguments: Mapping[str, Any], what: str) -> dict[str, float]:
    """Calls the function and returns name -> value; values that are not finite become NaN.

    Raises RecipeError if it fails, or returns something else than numbers by the names of its first call.
    """
    place = f"{KEY} {function.reference}"
    try:
        with warnings.catch_warnings():  # undefined metrics of a resample: NaN says it
            warnings.simplefilter("ignore")
            returned = function.call(**arguments)
    except (Exception, SystemExit) as error:
        raise RecipeError.one(place, f"the function failed {what}: {failure_words(error, function.file)}.") from error
    values = {function.default_name: returned} if is_number(returned) else returned
    if not isinstance(values, Mapping) or not values or not all(map(is_number, values.values())):
        raise RecipeError.one(place, f"the function returned {shown(returned)} {what}.", RETURNS)
    if function.names and set(values) != set(function.names):
        message = f"the function returned {listed(map(str, values))} {what}, and {listed(function.names)} before."
        raise RecipeError.one(place, message, "Return the same names in every call.")
    if function.ends is not None:
        low, high = function.ends
        limits = f"outside evaluate.function_range [{low:g}, {high:g}]"
        for name, value in values.items():
            if not low - 1e-9 <= float(value) <= high + 1e-9 and math.isfinite(value):
                message = f"the function returned {name} = {float(value):g} {what}, {limits}."
                raise RecipeError.one(place, message, "Correct the range, or remove it.")
    return {str(name): float(value) if math.isfinite(value) else math.nan for name, value in values.items()}


def shown(value: object) -> str:
    """Returns the value as Python writes it, cut to a line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]} ..."


def is_number(value: object) -> bool:
    """Returns whether a value is a number, also a numpy scalar or an array without dimensions."""
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and value.dtype.kind in "biuf"
    return isinstance(value, bool | int | float | np.number | np.bool_) and not isinstance(value, complex | np.complexfloating)


def probed(rows: MeasuredRows, named: Mapping[str, str]) -> OwnFunction:
    """Calls the function on a few rows, once as they are and once resampled, and returns it with the names of its metrics.

    Raises RecipeError if it fails, returns no finite numbers, a name of another metric, or not the metrics that the recipe names.

    Args:
        named: recipe key -> metric that the recipe names there.
    """
    function, place = rows.function, f"{KEY} {rows.function.reference}"
    values = rows.values()
    for name, value in values.items():
        if math.isnan(value):
            raise RecipeError.one(
                place, f"the function returned no finite number for {name} on {plural(len(rows), rows.unit)} of {rows.split}."
            )
        if not NAME.match(name):
            raise RecipeError.one(place, f"{name!r} is no name of a metric.", "Use letters, digits, and _ . @ -")
        if name in DIRECTIONS:
            raise RecipeError.one(place, f"{name} is the name of a metric of tunesmith.", f"Return it as my_{name}, for example.")
    function = replace(function, names=tuple(values))
    for name in sorted(function.lower - set(values)):
        message = f"{name} is not returned by {function.reference}."
        raise RecipeError.one("evaluate.lower_is_better", message, intended_words(name, values))
    for key, name in named.items():
        if split_dimension(name)[0] not in DIRECTIONS and name not in values:
            message = f"{name} is no metric here, and is not returned by {function.reference}."
            raise RecipeError.one(key, message, intended_words(name, values))
    positions = np.sort(np.random.default_rng(0).integers(0, len(rows), len(rows)))
    replace(rows, function=function).values(positions)
    return function


def intended_words(name: str, returned: Iterable[str]) -> str:
    """Returns the closest of the metrics that the function returns, else of tunesmith's, and what it returns."""
    guess = closest(name, returned) or closest(name, DIRECTIONS)
    return f"{guess} It returns: {', '.join(returned)}.".strip()


def seconds_per_call(rows: MeasuredRows) -> float:
    """Measures the duration of one call on all rows; the shorter of two, the first of which may import something."""
    durations = []
    for _ in range(2):
        started = time.perf_counter()
        rows.values()
        durations.append(time.perf_counter() - started)
    return min(durations)
