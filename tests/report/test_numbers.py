from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.report import numbers


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.9134, "0.913"),
        (0, "0.000"),
        (-0.0004, "-4.00e-04"),
        (-0.0, "0.000"),
        (12.345, "12.35"),
        (123.4, "123.4"),
        (12345.6, "12,346"),
        (None, "–"),
        (float("nan"), "–"),
        (True, "–"),
        ("text", "–"),
        (1e-9, "1.00e-09"),
        (1, "1.000"),
    ],
)
def test_number(value: object, shown: str) -> None:
    assert numbers.number(value) == shown


def test_interval_has_the_same_decimals_everywhere() -> None:
    assert numbers.with_interval(0.9, 0.88, 0.94) == "0.900 [0.880, 0.940]"
    assert numbers.with_interval(9.5, 8, 11) == "9.50 [8.00, 11.00]"
    assert numbers.with_interval(0.06, -0.03, 0.09, signed=True) == "+0.060 [-0.030, +0.090]"
    assert numbers.with_interval(0.5, None, 0.9) == "0.500"
    assert numbers.with_interval(None, 0.1, 0.9) == "–"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0123, "0.0123 s"),
        (4, "4 s"),
        (99.96, "1 min 40 s"),
        (125, "2 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7260, "2 h 01 min"),
        (None, "–"),
    ],
)
def test_duration(seconds: float | None, shown: str) -> None:
    assert numbers.duration(seconds) == shown


@pytest.mark.parametrize(
    ("n", "shown"), [(999, "999 B"), (1_310_000_000, "1.31 GB"), (999_900_000, "1 GB"), (0, "–"), (None, "–")]
)
def test_size(n: int | None, shown: str) -> None:
    assert numbers.size(n) == shown


def test_counts_percent_and_plurals() -> None:
    assert numbers.count(22_700_000) == "22,700,000"
    assert numbers.percent(0.125) == "12.5 %"
    assert numbers.plural(1, "row") == "1 row"
    assert numbers.plural(2000, "row") == "2,000 rows"
    assert [numbers.plural(n, "epoch") for n in (1.0, 2.5, 1234.5)] == ["1 epoch", "2.5 epochs", "1,234 epochs"]
    assert numbers.significant(5e-5) == "5e-05"


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_every_number_can_be_shown(value: float) -> None:
    for shown in (
        numbers.number(value),
        numbers.duration(value),
        numbers.size(value),
        numbers.with_interval(value, value, value),
    ):
        assert shown
        assert "nan" not in shown
        assert "inf" not in shown
