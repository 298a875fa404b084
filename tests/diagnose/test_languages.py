"""Rows in another script or language than the rest, and shares that drift between splits."""

from __future__ import annotations

import importlib.util

import pytest

from tunesmith.data.table import Examples
from tunesmith.diagnose.languages import language, main_script

from .rows import evidence

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("py3langid") is None, reason="needs the library py3langid (extra diagnosis)"
)

ENGLISH = "The parcel has not arrived yet and I have been waiting for more than two weeks now"
GERMAN = "Das Paket ist noch nicht angekommen und ich warte schon seit mehr als zwei Wochen darauf"
RUSSIAN = "Посылка ещё не пришла, и я жду уже больше двух недель"


def test_scripts() -> None:
    assert [main_script(text) for text in ("abc", "äöß", "Привет", "日本語です", "123 !?")] == [
        "LATIN",
        "LATIN",
        "CYRILLIC",
        "CJK",
        "",
    ]


def test_the_odd_one_out_is_flagged() -> None:
    texts = [f"{ENGLISH}, order {i}" for i in range(60)] + [GERMAN, RUSSIAN]
    found = language(evidence([0, 1] * 31, texts))
    assert found.flagged is not None
    assert found.flagged.nonzero()[0].tolist() == [60, 61]
    assert found.reasons[60] == "reads as de, most rows as en"
    assert found.figures["rows_of_language"]["en"] == 60


def test_short_texts_are_not_guessed() -> None:
    found = language(evidence([0, 1], ["ok danke", "yes"]))
    assert found.figures["rows_of_language"] == {}


def test_a_share_that_differs_between_splits_is_said() -> None:
    train = evidence([0, 1] * 20, [f"{ENGLISH} {i}" for i in range(40)])
    test = Examples("test", "", list(range(40)), [ENGLISH] * 20 + [GERMAN] * 20, [0] * 40)
    assert "de is 0% of train and 50% of test" in language(train, [test]).summary
