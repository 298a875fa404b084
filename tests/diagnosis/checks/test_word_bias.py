"""Pinned bias by its definition, and what replacing words does."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.data.table import Labels
from tunesmith.diagnosis.checks import word_bias
from tunesmith.diagnosis.checks.word_bias import (
    LabelledTexts,
    WordList,
    hypernym_effect,
    hypernyms,
    pinned_bias,
    replace_words,
    substitution,
    word_list_bias,
)
from tunesmith.errors import MissingExtra

CHANCE = {"plain": 0.1, "harsh": 0.9, "middling": 0.6, "person": 0.2}


def scores(texts: list[str]) -> np.ndarray:
    """The largest chance of a known word in a text, as the probability of class 1."""
    toxic = np.array([max([CHANCE.get(word, 0.0) for word in text.split()] or [0.0]) for text in texts])
    return np.stack([1 - toxic, toxic], axis=1)


def of_rows(positions: list[int], texts: list[str]) -> np.ndarray:
    return scores(texts) if texts else np.zeros((0, 2))


def test_only_words_above_one_half_are_pinned() -> None:
    found = pinned_bias(["plain", "harsh", "middling"], scores, 1)
    assert found.pinned == pytest.approx((0 + 0.4 + 0.1) / 3)
    assert found.around_half == pytest.approx((0.4 + 0.4 + 0.1) / 3)
    assert found.around_mean == pytest.approx(np.abs(np.array([0.1, 0.9, 0.6]) - 1.6 / 3).mean())


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ValueError, match="word list"):
        pinned_bias([], scores, 1)


def test_whole_words_are_replaced_whatever_their_case() -> None:
    assert replace_words(["Harsh words, harshly said"], {"harsh": "person"}) == ["person words, harshly said"]
    assert replace_words(["as it was"], {}) == ["as it was"]


def test_accuracy_and_bias_before_and_after() -> None:
    texts, given = ["a harsh one", "a plain one", "harsh again"], np.array([1, 0, 1])
    found = substitution(["harsh", "unknown"], {"harsh": "person"}, LabelledTexts(texts, given, of_rows), scores, 1)
    assert (found.n_changed, found.accuracy_before, found.accuracy_after) == (2, 1.0, 0.0)
    assert (found.bias_before, found.bias_after) == (pytest.approx(0.4), 0.0)
    assert found.missing == ("unknown",)


def test_the_rows_are_predicted_by_their_positions() -> None:
    seen = []

    def recorded(positions: list[int], texts: list[str]) -> np.ndarray:
        seen.append((positions, texts))
        return of_rows(positions, texts)

    substitution(["harsh"], {"harsh": "person"}, LabelledTexts(["plain", "a harsh one"], np.array([0, 1]), recorded), scores, 1)
    assert seen == [([1], ["a harsh one"]), ([1], ["a person one"])]


def test_a_list_leans_to_the_class_with_the_highest_pinned_bias() -> None:
    found, target = word_list_bias(
        WordList(
            "insults",
            (
                "plain",
                "harsh",
                "middling",
            ),
        ),
        LABELS,
        scores,
    )
    assert target == 1
    assert [row["pinned_bias"] for row in found.figures["table"]] == pytest.approx([0.4 / 3, 0.5 / 3])
    assert "pinned bias 0.167 towards toxic" in found.summary
    assert "highest: harsh 0.90, middling 0.60, plain 0.10" in found.summary
    even, _ = word_list_bias(WordList("even", ("nothing",)), LABELS, lambda texts: np.full((len(texts), 2), 0.5))
    assert "no word alone reaches one half" in even.summary


def test_without_the_library_the_install_line_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "wn":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtra, match=r"pip install 'tunesmith\[diagnosis\]'"):
        hypernyms(["dog"])


LABELS = Labels("single_label_classification", ("fine", "toxic"))
LEXICON = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE LexicalResource SYSTEM "http://globalwordnet.github.io/schemas/WN-LMF-1.0.dtd">
<LexicalResource xmlns:dc="https://globalwordnet.github.io/schemas/dc/">
<Lexicon id="tiny" label="tiny" language="en" email="none@example.org" license="none" version="1">
{entries}{synsets}
</Lexicon></LexicalResource>"""
CHAIN = ["entity", "being", "animal", "canine", "dog"]


def lexicon() -> str:
    entries = "".join(
        f'<LexicalEntry id="e-{w}"><Lemma writtenForm="{w}" partOfSpeech="n"/>'
        f'<Sense id="s-{w}" synset="tiny-{w}-n"/></LexicalEntry>'
        for w in CHAIN
    )
    synsets = "".join(
        f'<Synset id="tiny-{w}-n" ili="" partOfSpeech="n"><Definition>{w}</Definition>'
        + (f'<SynsetRelation relType="hypernym" target="tiny-{CHAIN[i - 1]}-n"/>' if i else "") + "</Synset>"
        for i, w in enumerate(CHAIN)
    )  # fmt: skip
    return LEXICON.format(entries=entries, synsets=synsets)


@pytest.fixture
def tiny_word_net(tmp_path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a WordNet of five words, in place of the one that is used."""
    wn = pytest.importorskip("wn", reason="needs the library wn (extra diagnosis)")
    monkeypatch.setattr(wn.config, "data_directory", tmp_path / "wn")
    file = tmp_path / "tiny.xml"
    file.write_text(lexicon(), encoding="utf-8")
    wn.add(file, progress_handler=None)
    monkeypatch.setattr(word_bias, "LEXICON", "tiny:1")
    return "tiny:1"


def test_hypernyms_come_from_the_word_net_and_stop_below_the_root(tiny_word_net: str) -> None:
    assert hypernyms(["dog", "canine", "nothing"], tiny_word_net) == {"dog": "canine"}


def barks(texts: list[str]) -> np.ndarray:
    """Dogs are toxic with probability 0.9, canines with 0.7, all else with 0.2."""
    toxic = np.array([0.9 if "dog" in text else 0.7 if "canine" in text else 0.2 for text in texts])
    return np.stack([1 - toxic, toxic], axis=1)


def test_what_hypernyms_do_to_accuracy_and_bias(tiny_word_net: str) -> None:
    texts, given = ["a dog", "no dog", "a cat"], np.array([1, 0, 0])
    found = hypernym_effect(
        WordList(
            "pets",
            (
                "dog",
                "cat",
            ),
        ),
        LabelledTexts(texts, given, lambda _, part: barks(part)),
        barks,
        "toxic",
        1,
    )
    (row,) = found.figures["table"]
    assert (row["n_rows"], row["accuracy_before"], row["accuracy_after"]) == (2, 0.5, 0.5)
    assert (row["bias_before"], row["bias_after"]) == (pytest.approx(0.4), pytest.approx(0.2))
    assert "dog: canine; none for cat" in found.summary
    unused = hypernym_effect(
        WordList("pets", ("dog",)), LabelledTexts(["a cat"], given[:1], lambda _, part: np.zeros((0, 2))), barks, "toxic", 1
    )
    assert "no labelled row has one" in unused.summary
    assert (
        "no hypernym for any"
        in hypernym_effect(
            WordList("pets", ("cat",)), LabelledTexts(texts, given, lambda _, part: barks(part)), barks, "toxic", 1
        ).skipped
    )


def test_without_the_word_net_the_list_is_skipped_with_the_line_that_gets_it(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    wn = pytest.importorskip("wn", reason="needs the library wn (extra diagnosis)")
    monkeypatch.setattr(wn.config, "data_directory", tmp_path / "wn")
    found = hypernym_effect(
        WordList("pets", ("dog",)), LabelledTexts(["a dog"], np.array([1]), lambda _, part: barks(part)), barks, "toxic", 1
    )
    assert found.skipped.endswith("Run: python -m wn download oewn:2024")
