"""Loading and calling a user's function: what it may read, what it has to return, and where it failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.errors import RecipeError
from tunesmith.evaluation.metrics.own_function import MeasuredRows, OwnFunction, call_function, own_function, probed
from tunesmith.recipe.sections import EvaluateSection

KNOWN = ("labels", "predictions", "texts")


def load(tmp_path: Path, code: str, **options: Any) -> OwnFunction:
    (tmp_path / "metric.py").write_text(code)
    section = EvaluateSection(function="metric.py:score", **options)
    function = own_function(section, tmp_path, KNOWN, "the rows of validation")
    assert function is not None
    return function


def rows_of(function: OwnFunction) -> MeasuredRows:
    labels = np.array(["a", "b"] * 10)
    columns = {"labels": labels, "predictions": np.roll(labels, 1), "texts": np.array(["text"] * 20, dtype=object)}
    return MeasuredRows(function, "validation", columns, frozenset({"predictions"}), {})


def test_only_the_parameters_that_it_names_are_given(tmp_path: Path) -> None:
    function = load(tmp_path, "def score(texts, labels=None, other=3): return len(texts) + len(labels) + other")
    assert function.parameters == ("texts", "labels")
    assert rows_of(function).values() == {"score": 43.0}


def test_rows_are_copies_and_repeats_are_rows(tmp_path: Path) -> None:
    function = load(tmp_path, "def score(labels):\n    labels[:] = 'x'\n    return len(labels)")
    rows = rows_of(function)
    assert rows.values(np.array([0, 0, 0, 5])) == {"score": 4.0}
    assert rows.rows["labels"][0] == "a"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "def score(labels): return 1 / 0",
            "failed on 20 rows of validation: .*metric.py:1: ZeroDivisionError: division by zero.",
        ),
        (
            "def score(labels):\n    x = 1\n    return labels.nothing",
            "metric.py:score: the function failed .*:3: AttributeError",
        ),
        ("def score(labels): return 'good'", r"the function returned 'good' .* one number"),
        ("def score(labels): return {}", r"the function returned \{\}"),
        ("def score(labels): return {'a': None}", r"the function returned \{'a': None\}"),
        ("def score(labels): return float('nan')", "no finite number for score"),
        ("def score(labels): return {'accuracy': 1}", "accuracy is the name of a metric of tunesmith"),
        ("def score(labels): return {'a b': 1}", "'a b' is no name of a metric"),
        ("import itertools\nn = itertools.count()\ndef score(labels): return {f'x{next(n)}': 1}", "returned x1 .* x0 before"),
        ("def score(labels): raise SystemExit(3)", "SystemExit"),
    ],
)
def test_what_a_trial_refuses(tmp_path: Path, code: str, message: str) -> None:
    function = load(tmp_path, code)
    with pytest.raises(RecipeError, match=message):
        probed(rows_of(function), {})


def test_the_line_of_a_failure_is_named_wherever_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules.py").write_text("def check(labels):\n    raise ValueError('boom')\n")
    (tmp_path / "imported.py").write_text("from rules import check as score\n")
    monkeypatch.chdir(tmp_path)
    cases = (
        ("def score(labels):\n    raise ValueError('boom')", "metric.py:score", "metric.py:2: ValueError: boom."),
        ("from rules import check\ndef score(labels):\n    check(labels)", "metric.py:score", "metric.py:3: ValueError: boom."),
        ("", "imported.py:score", f"{tmp_path}/rules.py:2: ValueError: boom."),
    )
    for code, reference, message in cases:
        (tmp_path / "metric.py").write_text(code)
        section = EvaluateSection(function=reference)
        function = own_function(section, tmp_path / "recipes", KNOWN, "the rows of validation")  # the file is not in this folder
        assert function is not None
        with pytest.raises(RecipeError) as failure:
            rows_of(function).values()
        expected = f"evaluate.function {reference}: the function failed on 20 rows of validation: {message}"
        assert str(failure.value) == expected


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def other(labels): return 1", "has no function score"),
        ("def score(labels, vectors): return 1", "'vectors', which the rows of validation do not have. .* labels, predictions"),
        ("def score(): return 1", "reads nothing"),
        ("x = 1 / 0\ndef score(labels): return 1", "line 1 fails: ZeroDivisionError"),
        ("def score(labels) return 1", "line 1 fails: SyntaxError"),
    ],
)
def test_what_loading_refuses(tmp_path: Path, code: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load(tmp_path, code)


def test_a_named_metric_has_to_be_returned(tmp_path: Path) -> None:
    function = load(tmp_path, "def score(labels): return {'gain': 1, 'cost': 2}", lower_is_better=["cost"])
    assert probed(rows_of(function), {"evaluate.metric": "gain"}).names == ("gain", "cost")
    with pytest.raises(RecipeError, match=r"evaluate.metric: gian is no metric here, .* It returns: gain, cost"):
        probed(rows_of(function), {"evaluate.metric": "gian"})
    function = load(tmp_path, "def score(labels): return 1", lower_is_better=["cost"])
    with pytest.raises(RecipeError, match=r"lower_is_better: cost is not returned"):
        probed(rows_of(function), {})


def test_values_outside_the_range_are_an_error(tmp_path: Path) -> None:
    function = load(tmp_path, "def score(labels): return 7", function_range=[0, 1])
    with pytest.raises(RecipeError, match=r"score = 7 .* outside evaluate.function_range \[0, 1\]"):
        rows_of(function).values()


def test_numpy_scalars_are_numbers_and_infinity_is_no_value(tmp_path: Path) -> None:
    function = load(
        tmp_path, "import numpy as np\ndef score(labels): return {'a': np.float32(0.5), 'b': np.array(2), 'c': np.inf}"
    )
    values = call_function(function, {"labels": np.zeros(2)}, "here")
    assert (values["a"], values["b"]) == (0.5, 2.0)
    assert np.isnan(values["c"])


def test_a_file_may_import_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "own_neighbour_of_metric.py").write_text("VALUE = 4")
    function = load(tmp_path, "from own_neighbour_of_metric import VALUE\ndef score(labels): return VALUE")
    assert rows_of(function).values() == {"score": 4.0}
