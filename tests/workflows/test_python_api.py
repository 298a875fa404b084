"""Every verb from Python, on every kind of input: the same answers, labels of the caller's own type, one clear error."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tunesmith
from tests.generation.made import tiny_llama, tokenizer_of
from tunesmith.cli.main import VERBS
from tunesmith.data.corrections.corrections_csv import Correction, write_corrections
from tunesmith.errors import DataError, InputError, ModelError, TunesmithError
from tunesmith.progress import Event
from tunesmith.recipe.load import LoadedRecipe
from tunesmith.tasks.test_looks import LOOKS, read_looks

pd = pytest.importorskip("pandas")

QUICK = {"learning_rate": 5e-3, "per_device_train_batch_size": 16, "num_train_epochs": 3, "n_evaluations": 1, "n_logs": 2}
FAST: dict[str, Any] = {"train": QUICK, "evaluate": {"baselines": []}}


@pytest.fixture(scope="module")
def rows(sentences: list[dict[str, str]]) -> list[dict[str, Any]]:
    return [{"text": row["text"], "label": int(row["label"] == "pos")} for row in sentences]


@pytest.fixture(scope="module")
def run(rows: list[dict[str, Any]], tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tunesmith.Run:
    """A run whose labels are the numbers 0 and 1."""
    place = tmp_path_factory.mktemp("run")
    return tunesmith.train(pd.DataFrame(rows), test=rows[:40], model=str(tiny_model), output=place / "out", **FAST)


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny causal language model."""
    place = tmp_path_factory.mktemp("models") / "llama"
    tokenizer = tokenizer_of("byte_level")
    tiny_llama(len(tokenizer), 1).save_pretrained(place)
    tokenizer.save_pretrained(place)
    return str(place)


def as_file(rows: list[dict[str, Any]], folder: Path) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def as_dataset(rows: list[dict[str, Any]], _folder: Path) -> Any:
    return pytest.importorskip("datasets").Dataset.from_list(rows)


Make = Callable[[list[dict[str, Any]], Path], Any]
TABLES: dict[str, Make] = {
    "DataFrame": lambda rows, _: pd.DataFrame(rows, index=range(5, 5 + len(rows))),
    "Dataset": as_dataset,
    "dict of columns": lambda rows, _: {name: [row[name] for row in rows] for name in rows[0]},
    "list of dicts": lambda rows, _: rows,
    "path": as_file,
    "name of a file": lambda rows, folder: str(as_file(rows, folder)),
}
TEXTS: dict[str, Make] = {
    **TABLES,
    "list of texts": lambda rows, _: [row["text"] for row in rows],
    "tuple of texts": lambda rows, _: tuple(row["text"] for row in rows),
    "Series": lambda rows, _: pd.Series([row["text"] for row in rows], index=range(5, 5 + len(rows))),
    "array": lambda rows, _: np.array([row["text"] for row in rows]),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_predictions_are_the_same_for_every_kind_of_input(kind: str, run: tunesmith.Run, rows: Any, tmp_path: Path) -> None:
    data = TEXTS[kind](rows[:12], tmp_path)
    expected = run.predict([row["text"] for row in rows[:12]])
    of_method, of_verb = run.predict(data), tunesmith.predict(run, data)
    assert of_method.predictions == of_verb.predictions == expected.predictions
    assert of_method.labels == of_verb.labels == (0, 1)
    assert [row["row_id"] for row in of_verb] == list(range(12))
    assert np.allclose(of_method.probabilities, [row["pred_probs"] for row in expected], atol=1e-5)
    start = 5 if kind in ("DataFrame", "Series") else 0
    assert list(of_method.probabilities.index) == list(of_verb.to_frame().index) == list(range(start, start + 12))


def test_one_text_is_one_row(run: tunesmith.Run) -> None:
    assert len(run.predict("good film")) == len(tunesmith.predict(run, "good film")) == len(run.predict("good")) == 1
    assert tunesmith.embed("builtin:minilm", "good film").shape == (1, 384)


@pytest.mark.parametrize("kind", TABLES)
def test_evaluations_are_the_same_for_every_kind_of_input(kind: str, run: tunesmith.Run, rows: Any, tmp_path: Path) -> None:
    result = tunesmith.evaluate(run, TABLES[kind](rows[:40], tmp_path))
    again = tunesmith.evaluate(run.folder, rows[:40])
    assert again.metric("accuracy") == result.metric("accuracy")
    assert again.data["test_looks"]["count"] >= result.data["test_looks"]["count"] >= 1
    looks = read_looks(run.folder.parent / LOOKS)
    assert looks[0].test == looks[-1].test  # the look of the training, which had these rows as a list, too
    assert result.metric("accuracy").value == run.result.metric("accuracy").value


@pytest.mark.parametrize("kind", TABLES)
def test_checks_and_traces_take_every_kind_of_input(
    kind: str, run: tunesmith.Run, rows: Any, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = TABLES[kind](rows, tmp_path)
    report = tunesmith.check(data, static=True, model=str(tiny_model))
    assert report.problems == ()
    assert tunesmith.check(data, test=rows[:9], static=True, model=str(tiny_model)).lines != report.lines  # they are in train
    stages = tunesmith.trace(data, 3, run=run, validation=rows[:9], test=None, model=str(tiny_model))
    assert (stages["raw"], stages["label"]) == (rows[3], {"name": str(rows[3]["label"]), "encoded": rows[3]["label"]})
    assert stages["prediction"]["prediction"] == str(run.predict([rows[3]["text"]])[0]["prediction"])
    assert [path for path in tmp_path.iterdir() if path.name != "rows.jsonl"] == []


@pytest.mark.parametrize("kind", TEXTS)
def test_embeddings_are_the_same_for_every_kind_of_input(kind: str, tiny_model: Path, rows: Any, tmp_path: Path) -> None:
    data, model = TEXTS[kind](rows[:6], tmp_path), str(tiny_model)
    vectors = tunesmith.embed(model, data)
    assert np.allclose(vectors, tunesmith.embed(model, [row["text"] for row in rows[:6]]), atol=1e-5)
    written = tunesmith.embed(model, data, tmp_path / "vectors.npy")
    assert (written.n_rows, written.path) == (6, tmp_path / "vectors.npy")
    assert np.allclose(np.load(written.path), vectors, atol=1e-5)


PROMPTS: dict[str, Callable[[Path], Any]] = {
    "list": lambda _: ["the cat", "she"],
    "DataFrame": lambda _: pd.DataFrame({"prompt": ["the cat", "she"]}),
    "Series": lambda _: pd.Series(["the cat", "she"]),
    "dict of columns": lambda _: {"prompt": ["the cat", "she"]},
    "list of dicts": lambda _: [{"prompt": "the cat"}, {"prompt": "she"}],
    "path": lambda folder: as_file([{"prompt": "the cat"}, {"prompt": "she"}], folder),
}


@pytest.mark.parametrize("kind", PROMPTS)
def test_texts_are_generated_for_every_kind_of_input(kind: str, writer: str, tmp_path: Path) -> None:
    texts = tunesmith.generate(writer, PROMPTS[kind](tmp_path), max_new_tokens=3)
    assert texts == tunesmith.generate(writer, ["the cat", "she"], max_new_tokens=3)


def test_a_language_and_an_embedding_model_are_evaluated_by_their_kind(writer: str, tiny_model: Path) -> None:
    texts = [f"the cat and the dog number {i}" for i in range(8)]
    assert tunesmith.evaluate(writer, texts).metric("loss").n == 8
    pairs = pd.DataFrame({"sentence1": texts, "sentence2": texts[::-1], "score": [0.1 * i for i in range(8)]})
    assert tunesmith.evaluate(str(tiny_model), pairs).task == "similarity"


@pytest.mark.parametrize("kind", TABLES)
def test_corrections_are_applied_to_every_kind_of_input(kind: str, rows: Any, tmp_path: Path) -> None:
    data, old = TABLES[kind](rows[:30], tmp_path), rows[2]["label"]
    corrections = pd.DataFrame([{"row_id": 2, "split": "train", "given": str(old), "proposed": str(1 - old), "score": 0.1}])
    changed = tunesmith.apply(corrections, data)
    if isinstance(data, str | Path):
        changed = [json.loads(line) for line in changed.path.read_text().splitlines()]
    labels = list(pd.DataFrame(changed)["label"]) if not isinstance(changed, dict) else changed["label"]
    assert labels == [1 - old if i == 2 else row["label"] for i, row in enumerate(rows[:30])]
    if isinstance(data, pd.DataFrame):
        assert list(changed.index) == list(data.index)
        assert list(data["label"]) == [row["label"] for row in rows[:30]]


def test_corrections_of_another_split_do_not_touch_the_table(rows: Any, tmp_path: Path) -> None:
    given = str(rows[2]["label"])
    write_corrections([Correction(2, "test", given, "1" if given == "0" else "0", 0.1)], tmp_path / "corrections.csv")
    with pytest.raises(DataError, match="no correction is of the split train; they are of test"):
        tunesmith.apply(tmp_path / "corrections.csv", rows)
    assert tunesmith.apply(tmp_path / "corrections.csv", rows, split="test")[2]["label"] == 1 - rows[2]["label"]


def test_a_row_is_removed_from_a_table(rows: Any) -> None:
    removal = [{"row_id": 1, "given": str(rows[1]["label"]), "proposed": "", "action": "remove"}]
    assert list(tunesmith.apply(removal, pd.DataFrame(rows)).index)[:3] == [0, 2, 3]


def test_runs_are_compared_and_reported_as_objects_or_folders(run: tunesmith.Run, tmp_path: Path) -> None:
    verdicts = [tunesmith.compare(pair)[0].word for pair in ([run, run], [run.folder, str(run.folder)], (run, run.folder))]
    assert verdicts == ["cannot tell"] * 3
    assert "accuracy" in tunesmith.report(run, format="md")
    assert tunesmith.report(run, tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert tunesmith.report([run, run], tmp_path / "both.html").exists()


def test_a_recipe_is_drafted_for_a_file(rows: Any, tmp_path: Path) -> None:
    path = as_file(rows, tmp_path)
    text = tunesmith.init(path, output=tmp_path / "recipe.yaml")
    assert f"train: {path}" in text
    assert (tmp_path / "recipe.yaml").read_text() == text
    with pytest.raises(InputError, match="exists already"):
        tunesmith.init(path, output=tmp_path / "recipe.yaml")


def test_a_table_is_diagnosed_and_corrected(rows: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame(rows)
    flipped = frame.assign(label=[1 - label if i in (7, 50) else label for i, label in enumerate(frame["label"])])
    found = tunesmith.diagnose(flipped, output=tmp_path / "out", model="builtin:minilm")
    assert found.n_rows == len(frame)
    assert "corrections.csv" in found._repr_html_()
    if found.n_corrections:
        assert len(tunesmith.apply(found, flipped, allow_many=True)) <= len(frame)


def test_losses_are_listed_for_a_table(tmp_path: Path) -> None:
    pairs = [{"question": f"where is number {i} of these", "answer": f"it is at the place {i}"} for i in range(20)]
    found = tunesmith.losses(pd.DataFrame(pairs))
    assert (found["rows"], found["columns"], found["n_classes"]) == (20, ["question", "answer"], 0)
    (form,) = found["formats"]
    assert (form["format"], form["default"]) == ("positive_pair", "MultipleNegativesRankingLoss")
    assert tunesmith.losses(as_file(pairs, tmp_path))["formats"] == found["formats"]
    assert "positive_pair" in {entry["format"] for entry in tunesmith.losses()["formats"]}


def test_a_demo_trains_its_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: tunesmith.Run) -> None:
    calls: list[tuple[str, str, bool]] = []

    def trained(loaded: LoadedRecipe, *, overwrite: bool, listener: object) -> tunesmith.Run:
        calls.append((loaded.recipe.task, loaded.recipe.output, overwrite))
        return run

    monkeypatch.setattr("tunesmith.workflows.train.train", trained)
    assert tunesmith.demo("sft", output=tmp_path / "it's") is run
    assert calls == [("sft", str(tmp_path / "it's"), False)]


def test_every_verb_has_a_function() -> None:
    assert {verb.name.replace("-", "_") for verb in VERBS} - set(tunesmith.PUBLIC) == set()
    import_module("tunesmith.report.page")  # importing the folder of that name does not hide the function
    assert all(callable(getattr(tunesmith, name)) for name in tunesmith.PUBLIC)


LABELS: dict[str, list[Any]] = {
    "int": [3, 7],
    "float": [1.0, 2.0],
    "bool": [False, True],
    "str": ["no", "yes"],
    "numbers as text": ["0", "1"],
    "numpy": [np.int64(4), np.int64(5)],
    "category": ["a", "b"],
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_keep_their_type_also_from_disk(kind: str, rows: Any, tiny_model: Path, tmp_path: Path) -> None:
    values = LABELS[kind]
    frame = pd.DataFrame({"text": [row["text"] for row in rows], "label": [values[row["label"]] for row in rows]})
    frame = frame.astype({"label": "category"}) if kind == "category" else frame
    run = tunesmith.train(frame, model=str(tiny_model), output=tmp_path / "out", **FAST)
    predictions = tunesmith.Run.load(run.folder).predict(frame).predictions
    assert set(map(type, predictions)) == {type(values[0].item() if isinstance(values[0], np.generic) else values[0])}
    from sklearn.metrics import accuracy_score

    assert accuracy_score(frame["label"], predictions) > 0.9
    assert set(predictions) <= set(values)
    assert list(run.predict(frame).probabilities.columns) == sorted(values)


def test_several_labels_a_row_keep_their_type(rows: Any, tiny_model: Path, tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": [row["text"] for row in rows], "label": [[10] if row["label"] else [10, 20] for row in rows]})
    run = tunesmith.train(frame, model=str(tiny_model), output=tmp_path / "out", **FAST)
    predicted = tunesmith.Run.load(run.folder).predict(frame)
    labels = {label for labels in predicted.predictions for label in labels}
    assert labels
    assert labels <= {10, 20}
    assert list(predicted.probabilities.columns) == [10, 20]


def test_a_run_of_an_earlier_version_predicts_names(run: tunesmith.Run, tmp_path: Path) -> None:
    shutil.copytree(run.folder, tmp_path / "old")
    config = tmp_path / "old" / "model" / "tunesmith.json"
    plain = json.loads(config.read_text())
    assert plain.pop("label_type") == run.result.data["label_type"] == "int"
    config.write_text(json.dumps(plain))
    assert set(tunesmith.Run.load(tmp_path / "old").predict(["good film", "bad film"]).predictions) <= {"0", "1"}


BAD: dict[str, tuple[Callable[[tunesmith.Run], object], str]] = {
    "an empty text": (lambda run: run.predict([""]), "1 row can be used|cannot be predicted"),
    "no texts": (lambda run: run.predict([]), "no rows"),
    "an empty frame": (lambda run: run.predict(pd.DataFrame({"text": []})), "no rows"),
    "a missing text": (lambda run: run.predict(["good", None]), "1 of 2 rows cannot be predicted .*rows 1, counted from 0"),
    "numbers": (lambda run: run.predict([1, 2]), "first is int: '1'"),
    "nothing": (lambda run: run.predict(None), "not NoneType"),
    "a number": (lambda run: tunesmith.predict(run, 3), "not int"),
    "a generator": (lambda run: run.predict(text for text in ["a"]), "not generator"),
    "one row as a dict": (lambda run: run.predict({"text": "good film"}), "'text' is no list of cells"),
    "a missing file": (lambda run: run.predict("nofile.csv"), "no such file"),
    "no text column": (lambda run: run.predict(pd.DataFrame({"x": [1, 2], "y": [2, 3]})), "x, y|text"),
    "no such run": (lambda run: tunesmith.predict("no/such/run", ["a"]), "there is no such file or folder"),
    "swapped": (lambda run: tunesmith.predict(["a"], run), "a run or the path of its folder was expected, not list"),
    "evaluate swapped": (lambda run: tunesmith.evaluate(pd.DataFrame({"text": ["a"]}), run), "was expected, not DataFrame"),
    "evaluate without labels": (lambda run: tunesmith.evaluate(run, pd.DataFrame({"text": ["good", "bad"]})), "label"),
    "evaluate with a wrong role": (lambda run: tunesmith.evaluate(run, [{"text": "a"}], columns={"tekst": "text"}), "tekst"),
    "compare one": (lambda run: tunesmith.compare(run), "two runs are needed"),
    "compare a name": (lambda run: tunesmith.compare("runs/a"), "two runs are needed"),
    "check nothing": (lambda run: tunesmith.check(None), "data.train|train"),
    "check texts": (lambda run: tunesmith.check(["a", "b"]), "label"),
    "train on a number": (lambda run: tunesmith.train(5), "train"),
    "a recipe and a test table": (
        lambda run: tunesmith.train("recipe.yaml", test=pd.DataFrame({"text": ["a"]})),
        "a recipe file and test were both given",
    ),
    "train on splits": (lambda run: tunesmith.train({"train": pd.DataFrame({"text": ["a"]})}), "several splits"),
    "diagnose a text": (lambda run: tunesmith.diagnose("good film"), "no such file"),
    "trace no row": (
        lambda run: tunesmith.trace([{"text": "a" * i, "label": i % 2} for i in range(1, 60)], 99),
        "has rows 0 to 58",
    ),
    "embed an empty text": (lambda run: tunesmith.embed("builtin:minilm", ["a", ""]), "1 of 2 rows have no text"),
    "embed nothing": (lambda run: tunesmith.embed("builtin:minilm", None), "not NoneType"),
    "generate nothing": (lambda run: tunesmith.generate("builtin:pocket", []), "texts or lists of turns"),
    "generate from numbers": (lambda run: tunesmith.generate("builtin:pocket", [1]), "not int"),
    "apply to nothing": (lambda run: tunesmith.apply([{"row_id": 0, "given": "a", "proposed": "b"}], None), "not NoneType"),
    "measure a table": (
        lambda run: tunesmith.apply([{"row_id": 0, "given": "a", "proposed": "b"}], [{"text": "a"}], measure=True),
        "corrections in memory have no recipe beside them",
    ),
    "adapt to a table": (lambda run: tunesmith.adapt(["a"], "r.yaml"), "texts: the path of a recipe was expected, not list"),
    "adapt for a table": (lambda run: tunesmith.adapt("r.yaml", pd.DataFrame()), "task: the path of a recipe .* not DataFrame"),
    "a demo of no task": (lambda run: tunesmith.demo("regression"), "There are: classification, embedding, sft"),
    "losses of nothing": (lambda run: tunesmith.losses(3), "not int"),
    "apply nothing": (lambda run: tunesmith.apply([], [{"text": "a", "label": "b"}]), "no rows"),
    "report a format": (lambda run: tunesmith.report(run, format="pdf"), "html, md, latex"),
    "report nothing": (lambda run: tunesmith.report(pd.DataFrame()), "run|runs"),
    "init a table": (lambda run: tunesmith.init(pd.DataFrame({"text": ["a"]})), "a recipe names files"),
    "pairs of another length": (lambda run: run.predict(["a", "b"], ["c"]), "2 rows of 1 column and 1 second text was given"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_error(name: str, run: tunesmith.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call, message = BAD[name]
    with pytest.raises(TunesmithError, match=message) as error:
        call(run)
    assert len(str(error.value).splitlines()) <= 3
    assert list(tmp_path.iterdir()) == []


def test_a_regression_has_numbers_and_no_probabilities(rows: Any, tiny_model: Path, tmp_path: Path) -> None:
    scored = [{"text": row["text"], "score": row["label"] + 0.5} for row in rows]
    run = tunesmith.train(scored, task="regression", model=str(tiny_model), output=tmp_path / "out", **FAST)
    predicted = run.predict(scored)
    assert np.corrcoef(predicted.predictions, [row["score"] for row in scored])[0, 1] > 0.8
    with pytest.raises(InputError, match="no probabilities"):
        _ = predicted.probabilities


def test_pairs_are_given_as_columns_or_lists_of_two(sentences: Any, tiny_model: Path, tmp_path: Path) -> None:
    pairs = [
        {"premise": a["text"], "hypothesis": b["text"], "label": a["label"] == b["label"]}
        for a, b in zip(sentences, sentences[7:], strict=False)
    ]
    run = tunesmith.train(pairs, model=str(tiny_model), output=tmp_path / "out", **FAST)
    few = pd.DataFrame(pairs[:5])
    expected = run.predict(list(few["premise"]), list(few["hypothesis"])).predictions
    assert set(map(type, expected)) == {bool}
    assert run.predict(few).predictions == expected
    assert run.predict(list(zip(few["premise"], few["hypothesis"], strict=True))).predictions == expected
    with pytest.raises(DataError, match="trained on pairs"):
        run.predict(["good"])


def test_a_run_is_shown_as_a_page_and_printed_briefly(run: tunesmith.Run) -> None:
    page = run._repr_html_()
    assert "accuracy" in page
    assert str(run.folder / "report.html") in page
    assert len(page) < 30_000
    assert "<script" not in page
    assert len(repr(run)) < 600
    assert len(repr(run.result)) < 400
    with pytest.raises(ModelError):
        tunesmith.Run.load(run.folder.parent)


def test_rows_of_one_group_are_one_cluster_in_an_evaluation_too(
    rows: list[dict[str, Any]], tiny_model: Path, tmp_path: Path
) -> None:
    grouped = [{**row, "writer": f"w{i // 10}"} for i, row in enumerate(rows)]
    data = {"columns": {"text": "text", "label": "label", "group": "writer"}}
    run = tunesmith.train(grouped, test=grouped[:40], model=str(tiny_model), output=tmp_path / "out", data=data, **FAST)
    evaluated = tunesmith.evaluate(run, grouped[:40])
    assert [metric.n_clusters for metric in evaluated.metrics] == [4] * len(evaluated.metrics)
    assert {metric.n_clusters for metric in run.result.metrics if metric.split == "test"} == {4}
    events: list[Event] = []
    other = tunesmith.evaluate(run, rows[:40], listener=events.append)
    assert other.metrics[0].n_clusters is None
    assert any("has no column 'writer', by which the run's rows belong together" in event.text for event in events)


def test_completion_finds_the_public_names() -> None:
    assert set(tunesmith.__all__) <= set(dir(tunesmith))
