"""Pinned bias by its definition, and what replacing words does."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from tunesmith.diagnose.word_bias import hypernyms, pinned_bias, replace_words, substitution
from tunesmith.errors import MissingExtra

CHANCE = {"plain": 0.1, "harsh": 0.9, "middling": 0.6, "person": 0.2}


def scores(texts: list[str]) -> np.ndarray:
    """The largest chance of a known word in a text, as the probability of class 1."""
    toxic = np.array([max([CHANCE.get(word, 0.0) for word in text.split()] or [0.0]) for text in texts])
    return np.stack([1 - toxic, toxic], axis=1)


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
    found = substitution(["harsh", "unknown"], {"harsh": "person"}, texts, given, scores, 1)
    assert (found.n_changed, found.accuracy_before, found.accuracy_after) == (2, 1.0, 0.0)
    assert (found.bias_before, found.bias_after) == (pytest.approx(0.4), 0.0)
    assert found.missing == ("unknown",)


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


@pytest.mark.skipif(importlib.util.find_spec("wn") is None, reason="needs the library wn (extra diagnosis)")
def test_hypernyms_come_from_the_word_net_and_stop_below_the_root(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wn

    monkeypatch.setattr(wn.config, "data_directory", tmp_path / "wn")
    file = tmp_path / "tiny.xml"
    file.write_text(lexicon(), encoding="utf-8")
    wn.add(file, progress_handler=None)
    assert hypernyms(["dog", "canine", "nothing"], "tiny:1") == {"dog": "canine"}
