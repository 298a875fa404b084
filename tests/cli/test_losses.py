"""`losses` lists every shape, and for a file only what fits its rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunesmith.cli.main import main
from tunesmith.training.losses.embedding import LOSSES


def test_every_loss_is_listed_under_its_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["losses"]) == 0
    completed = capsys.readouterr().out
    assert all(name in completed for name in LOSSES)
    assert "MatryoshkaLoss" in completed
    assert main(["losses", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["name"] for shape in found["shapes"] for one in shape["losses"]} == set(LOSSES)


def test_a_file_is_recognised_and_its_losses_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"what is completed about number {i} here,the other thing that is completed {i},{i % 2}" for i in range(40)]
    (tmp_path / "pairs.csv").write_text("\n".join(["question1,question2,is_duplicate", *rows]), encoding="utf-8")
    assert main(["losses", str(tmp_path / "pairs.csv"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["formats"] == found["shapes"]
    (shape,) = found["shapes"]
    assert (shape["shape"], shape["default"], found["n_classes"]) == ("labelled_pair", "OnlineContrastiveLoss", 2)
    assert [(one["shape"], one["rows"]) for one in found["conversions"]] == [("positive_pair", 20), ("triplet", 0)]
    assert main(["losses", str(tmp_path / "pairs.csv")]) == 0
    completed = capsys.readouterr().out
    assert "question1 + question2 + is_duplicate" in completed
    assert "as positive pair: 20 rows of anchor + positive from 40 (20 labelled 0); MultipleNegativesRankingLoss" in completed


def test_rows_that_cannot_be_recognised_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"something completed about {i} here,something else entirely about {i}" for i in range(40)]
    (tmp_path / "pairs.csv").write_text("\n".join(["x,y", *rows]), encoding="utf-8")
    assert main(["losses", str(tmp_path / "pairs.csv")]) == 2
    assert "whether they belong together" in capsys.readouterr().err
