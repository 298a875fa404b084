"""Compares runs with classifiers that another program trained, on the run's rows and on a file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import tunesmith
from tests.conftest import rows
from tests.finished_models import save_classifier
from tunesmith.cli.main import main
from tunesmith.errors import InputError
from tunesmith.progress import silent
from tunesmith.tasks.classification.other_model import AS_SAVED
from tunesmith.tasks.test_looks import LOOKS, read_looks
from tunesmith.workflows.compare import predictions_as_saved
from tunesmith.workflows.predicted_splits import predict_split_of
from tunesmith.workflows.saved_splits import saved_split

NAMES = ("neg", "pos")


@pytest.fixture(scope="module")
def place(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on files, whose base model has no tokenizer, and the run's model as other programs save it."""
    folder = tmp_path_factory.mktemp("compare")
    for name, seed in (("train", 0), ("test", 1)):
        lines = [json.dumps(row) for row in rows(120 if seed == 0 else 60, seed)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    bare = shutil.copytree(tiny_model, folder / "bare", ignore=shutil.ignore_patterns("tokenizer*"))
    recipe = {
        "data": {"train": "train.jsonl", "test": "test.jsonl"}, "model": {"name": str(bare), "tokenizer": str(tiny_model)},
        "train": {"num_train_epochs": 1}, "evaluate": {"metric": "accuracy"}, "output": str(folder / "run"),
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    tunesmith.train(folder / "recipe.yaml")
    shutil.copytree(folder / "run" / "model", folder / "copy", ignore=shutil.ignore_patterns("tunesmith.json", "README.md"))
    save_classifier(folder / "other", tiny_model, ("POS", "NEG"))
    return folder


def test_the_tokenizer_that_was_named_is_saved_with_the_model(place: Path, tiny_model: Path) -> None:
    assert not (place / "bare" / "tokenizer.json").exists()
    saved = json.loads((place / "run" / "model" / "tokenizer.json").read_text())
    assert saved["model"] == json.loads((tiny_model / "tokenizer.json").read_text())["model"]
    assert f"tokenizer: {tiny_model}" in (place / "run" / "resolved.yaml").read_text()


def test_the_model_of_a_run_predicts_as_the_run_did(place: Path) -> None:
    run = tunesmith.Run.load(place / "run")
    saved = saved_split(run, "test")
    done = predict_split_of(run, "test", saved.rows["row_id"], place / "copy", AS_SAVED, silent)
    again = predictions_as_saved(done, place / "copy", "test")
    assert again.labels == saved.labels
    for column in ("row_id", "label", "prediction", "text", "cluster"):
        assert again.rows.get(column) == saved.rows.get(column)
    for ours, theirs in zip(again.rows["pred_probs"], saved.rows["pred_probs"], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)


def test_a_model_without_a_run_is_compared_on_the_rows_of_the_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (same,) = tunesmith.compare(place / "run", place / "copy")
    assert (same.difference, same.word, same.n) == (0, "cannot tell", 60)
    (verdict,) = tunesmith.compare(place / "run", place / "other")
    own = tunesmith.evaluate(place / "run", place / "test.jsonl").metric("accuracy").value
    other = tunesmith.evaluate(place / "other", place / "test.jsonl").metric("accuracy").value
    assert own is not None
    assert other is not None
    assert verdict.difference == pytest.approx(own - other)
    (reverse,) = tunesmith.compare(place / "other", place / "run", metric="accuracy")
    assert reverse.difference == pytest.approx(-verdict.difference)
    code = main(["compare", str(place / "run"), str(place / "other"), "--json"])
    output = capsys.readouterr()
    assert code == {"better": 0, "worse": 3, "cannot tell": 4}[verdict.word]
    assert json.loads(output.out)["verdicts"][0]["difference"] == verdict.difference
    assert "differ from those of" in output.err


def test_a_file_gives_the_same_verdict_as_the_saved_rows(place: Path) -> None:
    saved = tunesmith.compare(place / "run", place / "other")
    (on_file,) = tunesmith.compare([place / "run", place / "other"], data=place / "test.jsonl", metric="accuracy")
    assert on_file.difference == pytest.approx(saved[0].difference)
    assert (on_file.low, on_file.high) == pytest.approx((saved[0].low, saved[0].high))


def test_a_comparison_on_a_file_is_a_look_of_each_run_and_one_of_saved_rows_is_none(place: Path, tmp_path: Path, capsys) -> None:
    runs = [shutil.copytree(place / "run", tmp_path / name) for name in ("a", "b")]
    file = shutil.copy(place / "test.jsonl", tmp_path / "test.jsonl")
    tunesmith.compare(runs)
    assert not (tmp_path / LOOKS).exists()
    assert main(["compare", *map(str, runs), str(place / "other"), "--data", str(file), "--metric", "accuracy"]) in (0, 3, 4)
    first, second = read_looks(tmp_path / LOOKS)
    assert (first.run, second.run, first.metric, first.test) == ("a", "b", "accuracy", second.test)
    assert first.error > 0
    output = capsys.readouterr()
    assert "This test set has been looked at 2 times" in output.out + output.err
    again = tunesmith.evaluate(runs[0], file)
    assert again.metric("accuracy").value == first.value
    assert again.data["test_looks"]["count"] == 3


def test_rows_that_a_run_was_trained_on_are_named(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, train = shutil.copytree(place / "run", tmp_path / "run"), place / "train.jsonl"
    seen = f"{run} was trained on 108 rows of {train}, and its checkpoint was chosen on 12 other rows"
    assert main(["evaluate", str(run), str(train)]) == 0
    assert f"note: {seen}" in capsys.readouterr().out
    assert main(["evaluate", str(run), str(train), "--json"]) == 0
    assert [f["name"] for f in json.loads(capsys.readouterr().out)["findings"]] == ["seen_in_training"]
    models = [str(run), str(place / "other"), "--metric", "accuracy", "--data"]
    assert main(["compare", *models, str(train)]) in (0, 3, 4)
    assert seen in capsys.readouterr().out
    assert main(["compare", *models, str(train), "--json"]) in (0, 3, 4)
    assert json.loads(capsys.readouterr().out)["notes"][0].startswith(seen)
    assert tunesmith.evaluate(run, place / "test.jsonl").findings == ()
    assert main(["compare", *models, str(place / "test.jsonl")]) in (0, 3, 4)
    assert "was trained on" not in capsys.readouterr().out


def test_what_cannot_be_compared_is_one_clear_error(place: Path, tiny_model: Path, tmp_path: Path) -> None:
    three = save_classifier(tmp_path / "three", tiny_model, ("neg", "neutral", "pos"))
    unnamed = save_classifier(tmp_path / "unnamed", tiny_model)
    number = save_classifier(tmp_path / "number", tiny_model, num_labels=1)
    cases = [
        ([place / "copy", place / "other"], {}, "none of these models is a finished run.*--data FILE"),
        ([place / "run", three], {}, "its labels are not those of"),
        ([place / "run", unnamed], {}, "it has 2 classes, LABEL_0, LABEL_1; .* has 2 labels, neg, pos"),
        ([place / "run", number], {}, "it is a model for regression, and the labels of"),
        ([place / "run", place / "run"], {"labels": {"LABEL_0": "neg"}}, "every model is a run"),
        ([place / "run", unnamed], {"labels": {"0": "no", "1": "yes", "neg": "no", "pos": "yes"}}, "the map renames neg, pos"),
        (
            [place / "run", unnamed],
            {"labels": {"0": "neg"}},
            "1 class is no key of the map, in .*unnamed: LABEL_1; .*no class: 'pos'",
        ),
        ([place / "run", "builtin:minilm"], {}, "this is an embedding model"),
    ]
    for runs, options, message in cases:
        with pytest.raises(InputError, match=message):
            tunesmith.compare(runs, **options)
    unknown = [*rows(20), {"text": "good", "label": "maybe"}]
    with pytest.raises(InputError, match=r"it does not have the label of 1 row of .*maybe \(1\)"):
        tunesmith.compare(place / "run", place / "run", data=unknown)


def test_changed_rows_are_not_compared(place: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(place, tmp_path / "moved")
    record = json.loads((moved / "run" / "result.json").read_text())
    record["data"]["base"] = str(moved)
    (moved / "run" / "result.json").write_text(json.dumps(record))
    resolved = moved / "run" / "resolved.yaml"
    resolved.write_text(resolved.read_text().replace(str(place), str(moved)))
    lines = (moved / "test.jsonl").read_text().splitlines()
    (moved / "test.jsonl").write_text("\n".join([*lines[1:], lines[0]]) + "\n")
    with pytest.raises(InputError, match="did not predict the same test rows"):
        tunesmith.compare(moved / "run", place / "other")
    (moved / "test.jsonl").write_text("\n".join(lines[:20]) + "\n")
    with pytest.raises(InputError, match="its test rows cannot be read again"):
        tunesmith.compare(moved / "run", place / "other")
