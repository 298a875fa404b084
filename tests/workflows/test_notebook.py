"""Progress in a notebook: one line that is updated, or tqdm's bar; nothing elsewhere."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

import tunesmith
from tunesmith.progress import Event, silent
from tunesmith.workflows import notebook
from tunesmith.workflows.notebook import LineProgress, WidgetProgress, listener_here

EVENTS = [
    Event("phase", "model"),
    Event("note", "a note & more"),
    Event("phase", "training"),
    Event("step", "training", 1, 4),
    Event("step", "training", 3, 4, {"loss": 0.25, "validation_macro_f1": 0.8125}),
]


class ZMQInteractiveShell:
    """Has the name of the shell behind a notebook."""


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A notebook without ipywidgets; the list gets every text that is displayed or updated."""
    pages: list[str] = []

    class Handle:
        def update(self, page: Any) -> None:
            pages.append(page.data)

    def display(page: Any, **_: Any) -> Handle:
        pages.append(page.data)
        return Handle()

    pytest.importorskip("IPython")
    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr("IPython.get_ipython", ZMQInteractiveShell)
    monkeypatch.setattr(notebook, "find_spec", lambda _name: None)
    return pages


def test_elsewhere_nothing_is_shown_and_the_callers_listener_always_wins(shown: list[str]) -> None:
    with listener_here(silent) as listener:
        assert listener is silent
    with listener_here(None) as listener:
        assert isinstance(listener, LineProgress)


def test_outside_a_notebook_no_listener_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    with listener_here(None) as listener:
        assert listener is silent
    monkeypatch.delitem(sys.modules, "IPython")
    assert not notebook.is_notebook()


def test_one_line_has_phase_bar_loss_and_metric(shown: list[str]) -> None:
    with listener_here(None) as listener:
        for event in EVENTS:
            listener(event)
    assert shown[0] == "model"
    assert shown[1] == "model<br>a note &amp; more"
    bar = '<progress value="3" max="4"></progress>'
    assert shown[-2] == f"training {bar} 3 of 4; loss 0.25, validation macro F1 0.812<br>a note &amp; more"
    assert shown[-1] == "<br>a note &amp; more"  # the bar goes, the notes stay


def test_the_display_ends_also_with_an_error(shown: list[str]) -> None:
    def fail(listener: Any) -> None:
        listener(EVENTS[0])
        raise KeyError

    with pytest.raises(KeyError), listener_here(None) as listener:
        fail(listener)
    assert shown == ["model", ""]


def test_tqdms_bar_is_drawn_where_ipywidgets_is_installed(shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    class Bar:
        def __init__(self, **options: Any) -> None:
            self.total, self.n = options["total"], options["initial"]
            calls.append(options["desc"])

        def update(self, steps: int) -> None:
            self.n += steps
            calls.append(self.n)

        def set_postfix_str(self, text: str, refresh: bool) -> None:
            calls.append(text)

        def close(self) -> None:
            calls.append("closed")

    monkeypatch.setattr(notebook, "find_spec", lambda _name: True)
    monkeypatch.setattr("IPython.display.display", lambda data, raw: calls.append(data["text/plain"]))
    monkeypatch.setitem(sys.modules, "tqdm.notebook", types.SimpleNamespace(tqdm=Bar))
    with listener_here(None) as listener:
        assert isinstance(listener, WidgetProgress)
        for event in EVENTS:
            listener(event)
    text = "loss 0.25, validation macro F1 0.812"
    assert calls == ["a note & more", "training", "", 1, text, 3, "closed"]


def test_training_shows_its_loss_and_its_metric(
    shown: list[str], sentences: list[dict[str, str]], tiny_model: Path, tmp_path: Path
) -> None:
    quick = {"num_train_epochs": 2, "n_evaluations": 2, "n_logs": 4}
    tunesmith.train(sentences, model=str(tiny_model), output=tmp_path / "out", train=quick, evaluate={"baselines": []})
    training = [page for page in shown if page.startswith("training <progress")]
    assert "loss 0." in training[-1]
    assert "validation macro F1 " in training[-1]
    assert shown[-1] == ""
