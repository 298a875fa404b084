"""Rows in another script or language than the rest, and shares that drift between splits."""

from __future__ import annotations

import importlib.util

import pytest

from tests.diagnosis.rows import evidence
from tunesmith.diagnosis.checks import languages
from tunesmith.diagnosis.checks.languages import drift, language, language_drift, main_script

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
    assert found.reasons[60] == "detected as de, most rows as en"
    assert found.figures["rows_of_language"]["en"] == 60


def test_short_texts_are_not_guessed_and_load_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "load_identifier", lambda: pytest.fail("the model was loaded"))
    found = language(evidence([0, 1], ["ok danke", "yes"]))
    assert found.figures["rows_of_language"] == {}
    assert found.summary == "Languages of 0 rows that are long enough to detect one: none."


def spoken(*texts: tuple[str, int]):
    """Returns the finding about a split with so many rows of each text."""
    rows = [text for text, count in texts for _ in range(count)]
    return language(evidence([0] * len(rows), rows, n_classes=2))


def test_a_share_that_differs_between_splits_is_reported_and_its_rows_are_flagged() -> None:
    found = language_drift(spoken((ENGLISH, 40)), spoken((ENGLISH, 20), (GERMAN, 20), ("ok", 1)), "test")
    assert found.name == "language_drift_test"
    assert found.summary == "de is 0.0% of train and 50.0% of test, en is 100.0% of train and 50.0% of test."
    assert found.flagged is not None
    assert found.flagged.nonzero()[0].tolist() == list(range(20, 40))
    assert found.reasons[20] == "detected as de; de is 0.0% of train and 50.0% of test"


def test_scripts_drift_as_languages_do() -> None:
    found = language_drift(spoken((ENGLISH, 30)), spoken((ENGLISH, 15), ("Привет", 15)), "test")
    assert "cyrillic script is 0.0% of train and 50.0% of test" in found.summary


def test_a_difference_that_chance_can_make_is_none() -> None:
    found = language_drift(spoken((ENGLISH, 30)), spoken((ENGLISH, 28), (GERMAN, 2)), "test")
    assert found.summary == "The languages of test have the shares they have in train."
    assert found.flagged is not None
    assert not found.flagged.any()


def test_a_sure_difference_that_is_small_is_none() -> None:
    assert drift({"en": 100_000}, {"en": 98_000, "de": 2_000}) == []
    assert [change.language for change in drift({"en": 100_000}, {"en": 90_000, "de": 10_000})] == ["de", "en"]


def test_too_few_rows_to_compare_are_reported() -> None:
    found = language_drift(spoken((ENGLISH, 40)), spoken((GERMAN, 19), ("ok", 30)), "test")
    assert found.skipped == "it needs 20 rows with a detected language, train has 40 and test 19"
