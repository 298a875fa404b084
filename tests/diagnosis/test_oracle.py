"""Oracles: a finished run, labels in a file or table, a function; and the errors of others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tunesmith
from tests.finished_models import save_classifier
from tunesmith.data.concatenated import SourceFile
from tunesmith.data.labelled.labels import MULTI, SINGLE
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.table import Columns, Examples, Labels
from tunesmith.diagnosis.evidence import make_evidence
from tunesmith.diagnosis.oracle import ModelOracle, make_oracle_query, open_oracle, query_oracle
from tunesmith.errors import InputError
from tunesmith.results import RunResult
from tunesmith.tasks.classification.other_model import ModelSettings
from tunesmith.tasks.finished import Run

TEXTS = ["the parcel is late", "the bill is wrong", "I cannot log in", "where is it"]


def data(labels: list[Any], names: tuple[str, ...] = ("bill", "parcel"), kind: str = SINGLE, **more: Any) -> LabelledData:
    rows = Examples("train", "rows.csv", list(range(len(labels))), TEXTS[: len(labels)], labels, **more)
    return LabelledData(rows, None, None, Labels(kind, names), Columns("text"))


def finished(monkeypatch: pytest.MonkeyPatch, labels: list[str], sha256: str = "1", pair: str | None = None) -> Run:
    """A run that predicts the first of its labels for every text, with a probability of three quarters."""
    splits = {"train": {"sha256": sha256}, "test": {"sha256": "of the test file"}}
    record = {"problem_type": SINGLE, "labels": labels, "columns": {"text": "text", "pair": pair}, "splits": splits}
    answer = {"prediction": labels[0], "probability": 0.75}
    monkeypatch.setattr(Run, "predict", lambda self, texts, pairs=None: [answer] * len(texts))
    return Run(Path("runs/other"), RunResult("classification", data=record))


def test_a_run_answers_with_probabilities_and_knows_its_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    query = make_oracle_query(finished(monkeypatch, ["bill", "login"]))(data([0, 1, 1]))
    answers = query.labels["train"]
    assert (query.oracle, answers.names, answers.known) == ("runs/other", ["bill"] * 3, {"bill", "login"})
    assert answers.confidence == pytest.approx(np.full(3, 0.75))
    found = query.agreement(make_evidence(data([0, 1, 1]).train, Labels(SINGLE, ("bill", "parcel"))))
    assert (found.n, found.share, found.n_unknown) == (1, 1.0, 2)


def test_a_run_that_was_trained_on_the_rows_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished(monkeypatch, ["bill", "parcel"])
    seen, stranger, of_test = (
        make_oracle_query(run)(data([0, 1], sha256=sha)).labels["train"].remarks for sha in ("1", "2", "of the test file")
    )
    assert seen == ("It was trained on labels of rows.csv: its agreement is higher than that of an independent oracle.",)
    assert stranger == of_test == ()
    joined = SourceFile("old.csv", "1", 0, 2, (0, 1)), SourceFile("rows.csv", "2", 2, 2, (0, 1))
    assert make_oracle_query(run)(data([0, 1], sha256="of both", files=joined)).labels["train"].remarks == seen


def test_a_function_answers_in_python() -> None:
    answers = query_oracle(lambda texts: ["bill" if "bill" in text else None for text in texts], [data([0, 1, 1])])
    assert answers[0].labels["train"].names == [None, "bill", None]
    assert (
        query_oracle(lambda texts: np.array(["parcel"] * len(texts)), [data([0, 1])])[0].labels["train"].names == ["parcel"] * 2
    )


def test_a_function_gets_both_texts_of_pairs() -> None:
    answers = query_oracle(lambda texts, pairs: pairs, [data([0, 1], pairs=["bill", "parcel"])])
    assert answers[0].labels["train"].names == ["bill", "parcel"]


def test_numbers_are_the_labels_that_files_have() -> None:
    assert query_oracle(lambda texts: np.ones(len(texts)), [data([0, 1], ("0", "1"))])[0].labels["train"].names == ["1", "1"]


def test_a_module_in_the_current_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "house_rules.py").write_text("def label(texts):\n    return ['bill' for _ in texts]\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "house_rules", raising=False)
    before = list(sys.path)
    oracle = open_oracle("house_rules:label")
    assert (oracle.name, oracle.label(data([0, 1]))["train"].names) == ("house_rules:label", ["bill", "bill"])
    assert sys.path == before
    del sys.modules["house_rules"]


def test_labels_in_a_table_report_how_they_were_matched() -> None:
    labels = [{"row_id": 1, "label": "bill"}, {"row_id": 9, "label": "bill"}]
    answers = query_oracle(labels, [data([0, 1, 1])])[0].labels["train"]
    assert answers.names == [None, "bill", None]
    assert answers.remarks == ("Its labels were matched by row_id.", "1 of its 2 labels belong to no row of rows.csv.")


def test_one_data_set_without_an_answer_is_enough_where_another_has_some() -> None:
    stranger = Examples("train", "other.csv", [0], ["something else"], [0])
    other = LabelledData(stranger, None, None, Labels(SINGLE, ("bill",)), Columns("text"))
    query = query_oracle({"text": TEXTS[:2], "label": ["bill", "parcel"]}, [data([0, 1]), other])
    assert [one.labels["train"].names for one in query] == [["bill", "parcel"], [None]]


def fails(texts: list[str]) -> list[str]:
    raise RuntimeError("no key")


@pytest.mark.parametrize(
    ("oracle", "rows", "message"),
    [
        (lambda texts: texts[:1], data([0, 1]), "it returned 1 answer to 2 texts of train; one a text was expected"),
        (lambda texts: "bill", data([0, 1]), "it returned str; a list with one label name a text was expected"),
        (lambda texts: {*texts}, data([0, 1]), "it returned set; a list"),
        (lambda texts: (text for text in texts), data([0, 1]), "it returned generator; a list"),
        (lambda texts: [["bill"]] * len(texts), data([0, 1]), r"answer 0 is \"\['bill'\]\"; the name of one label"),
        (fails, data([0, 1]), "the function failed: RuntimeError: no key"),
        (lambda texts: [None] * len(texts), data([0, 1]), "it has no label for any row of rows.csv"),
        (lambda texts: ["spam"] * len(texts), data([0, 1]), "it answers spam; the labels of rows.csv are bill, parcel"),
        (lambda texts: texts, data([0.1, 0.2], ("score",), "regression"), "the rows have numbers as labels"),
        (lambda texts: texts, data([(0, 1), (1, 0)], kind=MULTI), "the rows have several labels each"),
        (5, data([0, 1]), "A DataFrame, a dict of lists or a list of dicts was expected, not int"),
    ],
)
def test_what_cannot_be_requested_is_an_error(oracle: Any, rows: LabelledData, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_oracle_query(oracle)(rows)


def test_a_run_of_other_texts_or_labels_is_refused_before_its_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    other, pairs = finished(monkeypatch, ["spam", "ham"]), finished(monkeypatch, ["bill", "parcel"], pair="second")
    monkeypatch.setattr(Run, "predict", lambda self, texts, pairs=None: pytest.fail("it was asked"))
    with pytest.raises(InputError, match=r"it answers ham, spam; the labels of rows.csv are bill, parcel"):
        make_oracle_query(other)(data([0, 1]))
    with pytest.raises(InputError, match=r"trained on pairs of texts, rows.csv has single texts"):
        make_oracle_query(pairs)(data([0, 1]))


def test_a_classifier_of_another_program_answers_by_its_class_names(tiny_model: Path, tmp_path: Path) -> None:
    folder = save_classifier(tmp_path / "model", tiny_model, ("PARCEL", "bill"))
    answers = make_oracle_query(str(folder))(data([0, 1, 1])).labels["train"]
    predicted = tunesmith.predict(folder, TEXTS[:3])
    assert answers.names == [name.lower() for name in predicted.predictions]
    assert answers.confidence == pytest.approx([row["probability"] for row in predicted])
    assert answers.known == {"parcel", "bill"}
    assert "in case only" in answers.remarks[0]


def test_a_classifier_without_class_names_needs_a_map(tiny_model: Path, tmp_path: Path) -> None:
    folder = save_classifier(tmp_path / "model", tiny_model)
    with pytest.raises(InputError, match=r"it has 2 classes, LABEL_0, LABEL_1; rows\.csv has 2 labels, bill, parcel"):
        query_oracle(folder, [data([0, 1])])
    settings = ModelSettings.of({"LABEL_0": "parcel", "LABEL_1": "bill"}, None)
    answers = query_oracle(ModelOracle(str(folder), settings), [data([0, 1])])[0].labels["train"]
    assert set(answers.names) <= {"parcel", "bill"}
    with pytest.raises(InputError, match="is no model that another program trained"):
        open_oracle(ModelOracle(str(tmp_path), settings))
