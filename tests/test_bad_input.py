"""Every way a user can get it wrong: one clear message, exit code 2, no traceback, nothing written.

The whole messages stand in ``bad_input_messages.json`` (``UPDATE_GOLDEN=1`` rewrites them), ``{d}`` for the test's own folder.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.cli.main import main
from tunesmith.models.source import builtin_model

MESSAGES = Path(__file__).with_name("bad_input_messages.json")
GOOD = "text,label\n" + "".join(
    f"the {'good' if i % 2 else 'bad'} film number {i},{'pos' if i % 2 else 'neg'}\n" for i in range(60)
)
RECIPE = {"data": {"train": "train.csv"}, "model": {"name": "tiny"}, "output": "runs/out"}


def put(name: str, content: str | bytes) -> Callable[[Path], None]:
    """A preparation that writes one file."""

    def write(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def recipe(**sections: object) -> Callable[[Path], None]:
    """A preparation that writes recipe.yaml with these sections over the good one."""
    return put("recipe.yaml", json.dumps(RECIPE | sections))


def text(content: str) -> Callable[[Path], None]:
    return put("recipe.yaml", content)


def nothing(_folder: Path) -> None: ...


def damaged_model(folder: Path) -> None:
    path = folder / "tiny" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-50])


def no_config(folder: Path) -> None:
    (folder / "tiny" / "config.json").unlink()


def other_tokenizer(folder: Path) -> None:
    (folder / "other").mkdir()
    shutil.copy(builtin_model("minilm") / "tokenizer.json", folder / "other" / "tokenizer.json")
    shutil.copy(builtin_model("minilm") / "tokenizer_config.json", folder / "other" / "tokenizer_config.json")
    recipe(model={"name": "tiny", "tokenizer": "other"})(folder)


def embedding_without_tokenizer(folder: Path) -> None:
    for path in (folder / "tiny").glob("tokenizer*"):
        path.unlink()
    rows = "".join(json.dumps({"anchor": f"good film {i}", "positive": f"a fine film {i}"}) + "\n" for i in range(30))
    put("pairs.jsonl", rows)(folder)
    recipe(task="embedding", data={"train": "pairs.jsonl", "validation": 0.3})(folder)


def pickle_only(folder: Path) -> None:
    (folder / "tiny" / "model.safetensors").rename(folder / "tiny" / "pytorch_model.bin")


def mark(
    name: str, record: object = {"files": ["run.json", "result.json", "diagnosis.json", "worth.json"]}
) -> Callable[[Path], None]:
    """A preparation that marks a folder as one of a run."""
    return put(f"{name}/run.json", json.dumps(record))


def finished_run(folder: Path) -> None:
    put("runs/out/result.json", "{}")(folder)
    mark("runs/out")(folder)


def unfinished_run(folder: Path) -> None:
    mark("runs/out.partial", {"inputs": {}})(folder)


def read_only(folder: Path) -> None:
    put("wall", "a file")(folder)
    recipe(output="wall/out")(folder)


def regression(folder: Path) -> None:
    put("score.csv", rows(*PAIRS))(folder)
    put("score.yaml", json.dumps(RECIPE | {"task": "regression", "data": {"train": "score.csv"}, "output": "runs/score"}))(folder)


def rows(*lines: str) -> str:
    return "text,label\n" + "\n".join(lines) + "\n"


def fixes(*row_ids: int, new: str = "neg") -> list[tuple[int, str]]:
    """Row ids of train.csv with their proposed labels."""
    return [(row_id, new) for row_id in row_ids]


def corrections(rows: list[tuple[int, str]], name: str = "corrections.csv", sha256: str = "") -> Callable[[Path], None]:
    """A preparation that writes a corrections file of train.csv."""
    lines = [f"{i},{'pos' if i % 2 else 'neg'},{new},{sha256}" for i, new in rows]
    return put(name, "row_id,given,proposed,source_sha256\n" + "\n".join(lines) + "\n")


def evaluation_rows(folder: Path) -> None:
    """Corrections of nothing but rows that the split column makes test rows."""
    lines = [
        f"{line},{'test' if i >= 50 else 'validation' if i >= 40 else 'train'}" for i, line in enumerate(GOOD.splitlines()[1:])
    ]
    put("train.csv", "text,label,split\n" + "\n".join(lines) + "\n")(folder)
    corrections(fixes(51, 53))(folder)


MEASURE = ["apply", "corrections.csv", "train.csv", "--allow-many", "--measure"]
TRAIN, DIAGNOSE, APPLY = ["train", "recipe.yaml"], ["diagnose", "recipe.yaml"], ["apply", "--allow-many", "c.csv", "train.csv"]
PAIRS = [f"the good film number {i},{i / 7:.3f}" for i in range(60)]
SETS, ASK = ["diagnose", "train.csv"], ["diagnose", "train.csv", "--oracle"]
OTHER = GOOD.replace("film", "book")
TWO = "premise,hypothesis,label\n" + "".join(f"the good film {i},some day,{'pos' if i % 2 else 'neg'}\n" for i in range(60))
RUN = json.dumps({"task": "classification", "data": {
    "problem_type": "single_label_classification", "labels": ["spam"], "columns": {"pair": None}, "splits": {},
}})  # fmt: skip

# name -> (preparation, words, what the message has to contain)
CASES: dict[str, tuple[Callable[[Path], None], list[str], str]] = {
    # the recipe file
    "missing recipe": (nothing, ["train", "nope.yaml"], "nope.yaml"),
    "recipe is a folder": (nothing, ["train", "tiny"], "tiny"),
    "empty recipe": (text(""), TRAIN, "recipe.yaml"),
    "recipe is a list": (text("- a\n- b\n"), TRAIN, "recipe.yaml"),
    "broken yaml": (text("data: {train: a.csv\nmodel: }"), TRAIN, "recipe.yaml:"),
    "tab in yaml": (text("data:\n\ttrain: train.csv\n"), TRAIN, "recipe.yaml:2"),
    "typo in a key": (text("data: {train: train.csv}\ntrain: {learning_rat: 1e-4}\n"), TRAIN, "recipe.yaml:2 train.learning_rat"),
    "key of another tool": (text("data: {train: train.csv}\ntrain: {epochs: 3}\n"), TRAIN, "train.num_train_epochs"),
    "key of another section": (text("data: {train: train.csv}\nseed: 3\n"), TRAIN, "train.seed"),
    "wrong type": (text("data: {train: train.csv}\ntrain: {num_train_epochs: three}\n"), TRAIN, "train.num_train_epochs"),
    "impossible range": (text("data: {train: train.csv}\ntrain: {label_smoothing_factor: 1.5}\n"), TRAIN, "label_smoothing_factor"),
    "negative rate": (text("data: {train: train.csv}\ntrain: {learning_rate: -1}\n"), TRAIN, "learning_rate"),
    "no training data": (text("task: classification\n"), TRAIN, "data"),
    "unknown task": (text("task: classify\ndata: {train: train.csv}\n"), TRAIN, "classification"),
    "unknown metric": (recipe(evaluate={"metric": "macro-f"}), TRAIN, "macro_f1"),
    "metric of another task": (recipe(evaluate={"metric": "rmse"}), TRAIN, "regression"),
    "unknown upstream field": (recipe(upstream={"max_gradnorm": 1}), TRAIN, "max_gradnorm"),
    "owned upstream field": (recipe(upstream={"save_steps": 5}), TRAIN, "save_steps"),
    "bad override": (recipe(), [*TRAIN, "train.sed=1"], "train.seed"),
    "reference model": (recipe(task="preference"), [*TRAIN, "preference.ref_model=builtin:minilm"], "No key names a reference model"),
    "override without value": (recipe(), [*TRAIN, "--overwrite", "train.seed"], "train.seed"),
    "weights for a regression": (recipe(task="regression", train={"class_weights": "balanced"}), TRAIN, "class_weights"),
    "layers and adapter": (recipe(adapter={"method": "lora"}, train={"train_layers": "last 1"}), TRAIN, "train_layers"),
    "unknown adapter": (recipe(adapter={"method": "lorra"}), TRAIN, "Did you mean lora?"),
    "unknown adapter option": (recipe(adapter={"method": "lora", "rank": 8}), TRAIN, "adapter.rank: the method lora has no option of that name."),
    "too many layers": (recipe(train={"train_layers": "last 40"}), TRAIN, "the last 40 layers are requested, but the model has 2."),
    "no parameter of that name": (recipe(train={"train_layers": ["decoder"]}), TRAIN, "no parameter name contains 'decoder'."),
    "weight of no class": (recipe(train={"class_weights": {"pos": 1, "neu": 2}}), TRAIN, "no class is called 'neu'."),
    "no tokenizer of that name": (recipe(model={"name": "tiny", "tokenizer": "./gone"}), TRAIN, "model.tokenizer ./gone: there is no such folder."),
    "no tokenizer": (lambda d: [path.unlink() for path in (d / "tiny").glob("tokenizer*")], TRAIN, "there is no tokenizer in tiny: none of tokenizer.json"),
    "a tokenizer of another model": (other_tokenizer, TRAIN, "model.tokenizer other: its ids go up to 30,521, and the embedding of tiny has"),
    "no tokenizer for embeddings": (embedding_without_tokenizer, TRAIN, "there is no tokenizer in tiny: none of tokenizer.json"),
    "labels for a run": (finished_run, ["predict", "runs/out", "train.csv", "--labels", "{a: b}"], "a run has its own labels"),
    "labels that are no map": (nothing, ["predict", "tiny", "train.csv", "--labels", "a"], "labels: a map from labels to classes was expected."),
    "columns without data": (nothing, ["compare", "tiny", "tiny", "--label", "x"], "Give the file: --data FILE."),
    "a map without an oracle": (nothing, [*SETS, "--labels", "{a: b}"], "Add --oracle MODEL."),
    "too long inputs": (recipe(data={"train": "train.csv", "max_length": 4000}), TRAIN, "4,000 tokens are requested, but the model has only 64 positions."),
    # the data
    "missing file": (recipe(data={"train": "gone.csv"}), TRAIN, "gone.csv"),
    "empty file": (put("train.csv", ""), TRAIN, "train.csv"),
    "header only": (put("train.csv", "text,label\n"), TRAIN, "train.csv"),
    "one class": (put("train.csv", rows(*(f"some film {i},pos" for i in range(40)))), TRAIN, "pos"),
    "all rows dropped": (put("train.csv", rows(*(",pos" for _ in range(40)))), TRAIN, "train.csv"),
    "wrong column": (recipe(data={"train": "train.csv", "columns": {"text": "txt"}}), TRAIN, "Did you mean text?"),
    "wrong label column": (recipe(data={"train": "train.csv", "columns": {"label": "labl"}}), TRAIN, "Did you mean label?"),
    "text column of numbers": (put("train.csv", "text,label\n" + "".join(f"{i * 7},{i % 2}\n" for i in range(40))), TRAIN, "train.csv"),
    "decimals as classes": (put("train.csv", rows(*PAIRS)), TRAIN, "task: regression"),
    "names in a regression": (recipe(task="regression"), TRAIN, "label"),
    "a class a row": (put("train.csv", rows(*(f"the good film {i},class{i}" for i in range(40)))), TRAIN, "train.csv"),
    "binary file named csv": (put("train.csv", bytes(range(256)) * 40), TRAIN, "train.csv"),
    "parquet that is none": (lambda d: (put("train.parquet", "no")(d), recipe(data={"train": "train.parquet"})(d)), TRAIN, "train.parquet"),
    "truncated gzip": (
        lambda d: (put("t.csv.gz", gzip.compress(GOOD.encode())[:-60])(d), recipe(data={"train": "t.csv.gz"})(d)), TRAIN, "t.csv.gz",
    ),
    "broken json lines": (
        lambda d: (put("t.jsonl", '{"text": "a", "label": 1}\n{"text": \n' * 20)(d), recipe(data={"train": "t.jsonl"})(d)), TRAIN, "t.jsonl",
    ),
    "validation with unseen labels": (
        lambda d: (put("v.csv", rows("a good film,neutral", "a bad film,pos"))(d), recipe(data={"train": "train.csv", "validation": "v.csv"})(d)),
        TRAIN, "neutral",
    ),
    "validation is train": (recipe(data={"train": "train.csv", "validation": "train.csv"}), TRAIN, "validation"),
    "unknown builtin data": (recipe(data={"train": "builtin:nope"}), TRAIN, "support_train"),
    "hub data without a network": (recipe(data={"train": "hub:org/nope"}), TRAIN, "org/nope"),
    "too few rows": (put("train.csv", rows("a good film,pos", "a bad film,neg")), TRAIN, "rows"),
    # the model
    "unknown model": (recipe(model={"name": "./gone"}), TRAIN, "there is no such folder."),
    "unknown hub model": (recipe(model={"name": "org/gone"}), TRAIN, "the hub cannot be reached."),
    "unknown builtin model": (recipe(model={"name": "builtin:bert"}), TRAIN, "Known: builtin:minilm, builtin:pocket."),
    "folder that is no model": (no_config, TRAIN, "the folder is no model: it has no config.json."),
    "corrupt safetensors": (damaged_model, TRAIN, "model.safetensors is damaged"),
    "pickle only": (pickle_only, TRAIN, "a pickle, which can run code when it is loaded."),
    # the output
    "existing run": (finished_run, TRAIN, "the output folder holds another run. Choose another `output`, or replace it with --overwrite."),
    "a wrong column beside an existing run": (finished_run, [*TRAIN, "data.columns.label=lable"], "There is no column 'lable' for the label"),
    "unfinished run": (unfinished_run, TRAIN, "Continue it with --resume, or start over with --overwrite."),
    "other files in the output": (put("runs/out/notes.txt", "mine"), [*TRAIN, "--overwrite"], "the folder holds other files, and no run: notes.txt. Only a run and nothing else is replaced."),
    "a base model as output": (recipe(output="tiny"), [*TRAIN, "--overwrite"], "recipe.yaml:1 output: contains the base model of model.name (tiny). Choose a separate folder"),
    "another model as output": (lambda d: (shutil.copytree(d / "tiny", d / "other"), recipe(output="other")(d)), [*TRAIN, "--overwrite"], "the folder holds other files, and no run"),
    "own files in the run": (lambda d: (finished_run(d), put("runs/out/notes.txt", "mine")(d)), [*TRAIN, "--overwrite"], "holds files that it did not write: notes.txt"),
    "a folder of runs as output": (lambda d: (finished_run(d), recipe(output="runs")(d)), [*TRAIN, "--overwrite"], "the folder holds other files, and no run: out."),
    "the current folder as output": (recipe(output=".", data={"train": "builtin:support_train"}, model={}), TRAIN, "the current folder"),
    "a link that leads nowhere": (lambda d: (d / "link").symlink_to("gone/away") or recipe(output="link/out")(d), TRAIN, "is a link that leads nowhere (to gone/away)."),
    "a loop of links": (lambda d: (d / "link").symlink_to("link") or recipe(output="link/out")(d), TRAIN, "link"),
    "the name of an unfinished run": (recipe(output="runs/out.partial"), TRAIN, "this ending is kept for unfinished runs."),
    "a name that is too long": (recipe(output="o" * 250), TRAIN, "this place cannot be used: File name too long."),
    "a user who does not exist": (recipe(output="~nobody-here/out"), TRAIN, "there is no such user."),
    "predict with an unfinished run": (unfinished_run, ["predict", "runs/out.partial", "train.csv"], "this run is not finished. Finish it with"),
    "predict with the name of an unfinished run": (unfinished_run, ["predict", "runs/out", "train.csv"], "there is only an unfinished run, runs/out.partial."),
    "embed with an unfinished run": (unfinished_run, ["embed", "runs/out.partial", "train.csv", "--output", "e.npy"], "this run is not finished."),
    "generate with an unfinished run": (unfinished_run, ["generate", "runs/out.partial", "Hello"], "this run is not finished."),
    "evaluate an unfinished run": (unfinished_run, ["evaluate", "runs/out.partial", "train.csv"], "this run is not finished."),
    "report of an unfinished run": (unfinished_run, ["report", "runs/out.partial"], "this run is not finished."),
    "compare an unfinished run": (unfinished_run, ["compare", "runs/out.partial", "runs/out.partial"], "this run is not finished."),
    "trace with an unfinished run": (unfinished_run, ["trace", "recipe.yaml", "--row", "1", "--run", "runs/out.partial"], "this run is not finished."),
    "diagnose an unfinished run": (unfinished_run, ["diagnose", "runs/out.partial"], "this run is not finished."),
    "an unfinished run as base model": (lambda d: (unfinished_run(d), recipe(model={"name": "runs/out.partial"}, output="runs/new")(d)), TRAIN, "this run is not finished."),
    "a report into a folder that is not there": (finished_run, ["report", "runs/out", "--output", "gone/r.html"], "the folder gone does not exist."),
    "predictions in place of a folder": (nothing, ["predict", "runs/out", "train.csv", "--output", "tiny/"], "the format is not known from the suffix."),
    "nothing to resume": (nothing, [*TRAIN, "--resume"], "Start it without --resume."),
    "output below a file": (read_only, TRAIN, "wall is a file, not a folder."),
    "output is a file": (put("runs/out", "a file"), TRAIN, "a file of this name is in the way of the run folder."),
    # the other verbs
    "unknown verb": (nothing, ["trian", "recipe.yaml"], "train"),
    "no verb": (nothing, [], "a verb is missing"),
    "resume and overwrite": (nothing, [*TRAIN, "--resume", "--overwrite"], "exclude each other"),
    "predict without a run": (nothing, ["predict", "runs/gone", "train.csv"], "there is no such file or folder."),
    "predict with an empty folder": (lambda d: (d / "empty").mkdir(), ["predict", "empty", "train.csv"], "it has no tunesmith.json; nor is it a model of transformers: it has no config.json."),
    "predict with a checkpoint that is not there": (
        lambda d: (put("runs/o/checkpoints/step-5/model/a", "")(d), put("runs/o/checkpoints/step-10/model/a", "")(d)),
        ["predict", "runs/o/checkpoints/step-7", "train.csv"], "The run has the checkpoints step-5, step-10.",
    ),
    "predict with a checkpoint of no seed": (
        put("runs/o/checkpoints/seed-1/step-5/model/a", ""), ["predict", "runs/o/checkpoints/step-5", "train.csv"], "The run has the checkpoints seed-1/step-5.",
    ),
    "compare with nothing": (put("runs/o/result.json", RUN), ["compare", "runs/o", "runs/gone"], "runs/gone: there is no such file or folder."),
    "predict with a base model": (nothing, ["predict", "tiny", "train.csv"], "this is a model without a classification head (BertModel): it predicts no labels."),
    "evaluate without a run": (nothing, ["evaluate", "runs/gone", "train.csv"], "there is no such file or folder."),
    "compare one run": (nothing, ["compare", "runs/out"], "two runs"),
    "compare what is no run": (nothing, ["compare", "tiny", "tiny"], "none of these models is a finished run"),
    "report of nothing": (nothing, ["report", "runs/gone"], "runs/gone"),
    "trace a row that is not there": (nothing, ["trace", "recipe.yaml", "--row", "999"], "rows 0 to 59; 999 is not one of them."),
    "trace an unknown split": (nothing, ["trace", "recipe.yaml", "--row", "1", "--split", "test"], "the recipe has no split 'test'."),
    # the data doctor
    "diagnose one class": (put("train.csv", rows(*(f"some film {i},pos" for i in range(40)))), DIAGNOSE, "have the same label"),
    "diagnose without a label": (put("train.csv", rows(*(f"some film {i}," for i in range(40)))), ["diagnose", "recipe.yaml", "data.columns.label=label"], "None of the 40 rows has a label."),
    "diagnose fewer rows than folds": (nothing, [*DIAGNOSE, "diagnose.n_folds=61"], "cannot be divided into 61 folds"),
    "diagnose into a diagnosis": (lambda d: (put("runs/out-diagnosis/diagnosis.json", "{}")(d), mark("runs/out-diagnosis")(d)), DIAGNOSE, "--overwrite"),
    "annotators of no class": (recipe(data={"train": "train.csv", "columns": {"annotators": {"good": "n"}}}), DIAGNOSE, "There is no column 'n' for the annotators"),
    "annotators without a class": (
        lambda d: (put("train.csv", GOOD.replace("label\n", "label,n\n").replace("pos\n", "pos,1\n").replace("neg\n", "neg,0\n"))(d),
                   recipe(data={"train": "train.csv", "columns": {"label": "label", "annotators": {"pos": "n"}}})(d)),
        DIAGNOSE, "has no column for 'neg'",
    ),
    "annotator of an unknown class": (
        lambda d: (put("train.csv", GOOD.replace("label\n", "label,anna\n").replace("pos\n", "pos,pso\n").replace("neg\n", "neg,neg\n"))(d),
                   recipe(data={"train": "train.csv", "columns": {"label": "label", "annotators": ["anna"]}})(d)),
        DIAGNOSE, "30 cells of annotators hold no class: 'pso' in anna, row 1 (line 3)",
    ),
    "apply what is no corrections file": (nothing, ["apply", "train.csv", "train.csv"], "The file has no column row_id, given, proposed"),
    "apply no corrections": (put("c.csv", "row_id,given,proposed\n"), APPLY, "c.csv"),
    "apply corrections of other data": (put("c.csv", f"row_id,given,proposed,source_sha256\n1,pos,neg,{'ab' * 32}\n"), APPLY, "made for another file (sha256 abababababab..."),
    "apply to rows that are not there": (put("c.csv", "row_id,given,proposed\n1,pos,neg\n60,pos,neg\n"), APPLY, "names rows that the file does not have: 60"),
    "apply to labels that changed": (put("c.csv", "row_id,given,proposed\n0,pos,neg\n1,pos,neg\n"), APPLY, "1 of 2 corrections do not fit"),
    "apply one row twice": (put("c.csv", "row_id,given,proposed\n1,pos,neg\n1,pos,neg\n"), APPLY, "corrects row 1 a second time"),
    "apply to a row without a number": (put("c.csv", "row_id,given,proposed\nfirst,pos,neg\n"), APPLY, "row_id is 'first', a whole number was expected"),
    "apply over a file": (lambda d: (put("c.csv", "row_id,given,proposed\n1,pos,neg\n")(d), put("train.corrected.csv", "mine")(d)), APPLY, "Give another output path."),
    # diagnose: several data sets, and an oracle
    "data set given twice": (nothing, [*SETS, "train.csv"], "train.csv was given twice"),
    "data set copied": (put("copy.csv", GOOD), [*SETS, "copy.csv"], "it has the same bytes as train.csv"),
    "data sets without a label in common": (put("b.csv", OTHER.replace("pos", "yes").replace("neg", "no")), [*SETS, "b.csv", "--oracle", "train.csv"], "no label in common"),
    "data sets with one label in common": (put("b.csv", OTHER.replace("neg", "no")), [*SETS, "b.csv", "--oracle", "train.csv"], "only the label pos in common"),
    "labels in another case": (put("b.csv", OTHER.replace("pos", "Pos").replace("neg", "Neg")), [*SETS, "b.csv", "--oracle", "train.csv"], "They differ in case only: neg, pos."),
    "pairs beside single texts": (put("b.csv", TWO), [*SETS, "b.csv", "--oracle", "train.csv"], "b has pairs of texts, train single ones"),
    "a regression beside classes": (regression, [*SETS, "score.yaml"], "It has numbers as labels"),
    "a data set that is not there": (nothing, [*SETS, "gone.csv"], "gone.csv"),
    "an override without a value": (nothing, [*SETS, "diagnose.n_folds"], "diagnose.n_folds is neither a file nor a setting."),
    "too few rows for the folds": (put("b.csv", rows("a good film,pos", "a bad day,neg", "some food,neg", "it rains,pos")), [*SETS, "b.csv"], "cannot be divided into 5 folds"),
    "no such oracle": (nothing, [*ASK, "people.csv"], "there is no such run, file or function. Give the folder"),
    "an oracle that is no run": (nothing, [*ASK, "tiny"], "this is a model without a classification head (BertModel): it predicts no labels."),
    "a built-in embedding model as oracle": (nothing, [*ASK, "builtin:minilm"], "this is an embedding model: it predicts no labels."),
    "an oracle of other labels": (put("o.csv", "row_id,label\n0,yes\n1,no\n"), [*ASK, "o.csv"], "it answers no, yes; the labels of train.csv are neg, pos."),
    "a run of other labels": (put("runs/o/result.json", RUN), [*ASK, "runs/o"], "it answers spam; the labels of train.csv are neg, pos."),
    "an oracle of other rows": (put("o.csv", "row_id,label\n900,pos\n901,neg\n"), [*ASK, "o.csv"], "it has no label for any row of train.csv. Its labels were matched by row_id."),
    "an oracle of other texts": (put("o.csv", "text,label\nsomething else,pos\nand more,neg\n"), [*ASK, "o.csv"], "Its labels were matched by text."),
    "an oracle with ids that the data lack": (put("o.csv", "id,label\nx1,pos\nx2,neg\n"), [*ASK, "o.csv"], "cannot be matched to rows"),
    "row ids for two data sets": (
        lambda d: (put("b.csv", OTHER)(d), put("o.csv", "row_id,label\n1,pos\n2,neg\n")(d)), [*SETS, "b.csv", "--oracle", "o.csv"],
        "with several data sets a row id is ambiguous",
    ),
    "an oracle without labels": (put("o.csv", "row_id,first,second\n1,a,b\n"), [*ASK, "o.csv"], "No column looks like a label"),
    "a module that is not there": (nothing, [*ASK, "no_such_module:label"], "No module named 'no_such_module'"),
    "a function that is not there": (nothing, [*ASK, "random:label"], "the module random has no function label."),
    "a function that fails": (nothing, [*ASK, "textwrap:dedent"], "the function failed: TypeError"),
    "a function with too few answers": (nothing, [*ASK, "random:choices"], "it returned 1 answer to 60 texts of train; one a text was expected."),
    "a function that answers with a string": (nothing, [*ASK, "json:dumps"], "it returned str"),
    "a function without labels": (nothing, [*ASK, "builtins:list"], "the labels of train.csv are neg, pos."),
    "an oracle for numbers": (regression, ["diagnose", "score.yaml", "--oracle", "train.csv"], "the rows have numbers as labels"),
    "init over a file": (put("recipe.yaml", "mine"), ["init", "train.csv"], "recipe.yaml"),
    "init of nothing over a file": (put("recipe.yaml", "mine"), ["init", "gone.csv"], "gone.csv: There is no such file"),
    "data beside neither recipe nor user": (put("sub/recipe.yaml", json.dumps(RECIPE)), ["check", "sub/recipe.yaml", "data.train=gone.csv"], "(looked for sub/gone.csv, then for "),
    "apply a list of row ids": (put("flagged.txt", "70\n196\n210\n"), ["apply", "flagged.txt", "train.csv"], "This is no corrections file: its content is no table. Give a corrections.csv"),
    "init of nothing": (nothing, ["init", "gone.csv", "--output", "new.yaml"], "gone.csv"),
    # corrections
    "measure without a recipe": (lambda d: corrections(fixes(3), "c/corrections.csv")(d), ["apply", "c/corrections.csv", "train.csv", "--measure"], "Name the recipe to train with: --measure RECIPE."),
    "measure with a recipe that has moved": (
        lambda d: (corrections(fixes(3))(d), put("other/recipe.yaml", json.dumps(RECIPE | {"data": {"train": "gone.csv"}}))(d),
                   shutil.move(d / "corrections.csv", d / "other/corrections.csv")),
        ["apply", "other/corrections.csv", "train.csv", "--measure"], "Name the recipe that was diagnosed: --measure RECIPE.",
    ),
    "measure corrections of other data": (corrections(fixes(3), sha256="0" * 64), MEASURE, "The corrections were made for another file"),
    "measure with the recipe of another file": (
        lambda d: (corrections(fixes(3))(d), put("b.csv", GOOD + "another good film,pos\n")(d), recipe(data={"train": "b.csv"})(d)), MEASURE,
        "The recipe trains on b.csv",
    ),
    "measure corrections of test rows": (
        lambda d: (corrections(fixes(3))(d), put("b.csv", GOOD.replace("number", "day"))(d),
                   recipe(data={"train": "b.csv", "test": "train.csv"})(d)),
        MEASURE, "The recipe has this file for test, not for training",
    ),
    "measure what empties a class": (corrections(fixes(*range(1, 60, 2))), MEASURE, "Correcting leaves no training row of 'pos'"),
    "measure a label that no row has": (corrections(fixes(3, new="nag")), [*MEASURE, "data.validation=0.04"], "proposes labels that no training row has: 'nag' for row 3"),
    "measure corrections of evaluation rows": (evaluation_rows, MEASURE, "there is nothing to measure"),
    "measure with several processes": (corrections(fixes(3)), [*MEASURE, "parallel.processes=2"], "Add parallel.processes=1."),
    "measure twice": (lambda d: (corrections(fixes(3))(d), mark("runs/out-worth")(d)), MEASURE, "replace it with --overwrite"),
    "settings without measure": (corrections(fixes(3)), [*MEASURE[:3], "train.seed=1"], "train.seed=1 works only with --measure."),
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good recipe, good data and a model, in which the command line runs."""
    shutil.copytree(tiny_model, tmp_path / "tiny")
    put("train.csv", GOOD)(tmp_path)
    recipe()(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", CASES)
def test_one_clear_message_and_nothing_written(name: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare, words, expected = CASES[name]
    prepare(place)
    before = contents(place)
    code = main(words)
    out, err = capsys.readouterr()
    assert code == 2, err
    assert expected in err
    assert "Traceback" not in err
    assert out == ""
    assert contents(place) == before
    message = next(err[i:] for i in [err.index("tunesmith:")]).replace(str(place), "{d}")
    if os.environ.get("UPDATE_GOLDEN"):
        whole = json.loads(MESSAGES.read_text()) if MESSAGES.exists() else {}
        MESSAGES.write_text(json.dumps(whole | {name: message}, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    assert message == json.loads(MESSAGES.read_text())[name]


def test_the_recipe_without_a_fault_passes_its_check(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else every case above could fail for another reason than its own."""
    assert main(["check", "recipe.yaml", "--static"]) == 0, capsys.readouterr().err


def test_all_problems_come_at_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text("data: {train: train.csv}\ntrain: {learning_rat: 1, seed: x}\nmodl: {}\n")(place)
    assert main(TRAIN) == 2
    err = capsys.readouterr().err
    assert all(part in err for part in ("learning_rat", "train.seed", "modl"))


def test_with_json_the_problems_are_one_object(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text("data: {train: train.csv}\ntrain: {learning_rat: 1}\n")(place)
    assert main([*TRAIN, "--json"]) == 2
    result = json.loads(capsys.readouterr().out)
    assert result["error"]["exit_code"] == 2
    assert result["error"]["problems"][0]["where"].startswith("recipe.yaml:2")


def test_a_text_of_a_megabyte_is_cut_and_counted_not_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("train.csv", GOOD + f'"{"very good film " * 70_000}",pos\n')(place)
    assert main(["check", "recipe.yaml"]) == 0
    out, err = capsys.readouterr()
    assert "1 row cut" in out + err


def test_a_full_disk_is_refused_before_anything_is_written(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    disk = place / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        recipe(output="disk/out")(place)
        assert main(TRAIN) == 2
        assert (
            "the run needs about 3.4 MB of disk (checkpoints 0.6 MB, model 0.2 MB, predictions, report and logs 2.6 MB), 0.1 MB are free. Free some space, or choose another `output`."
            in capsys.readouterr().err
        )
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_golden_messages_have_no_case_too_many() -> None:
    assert set(json.loads(MESSAGES.read_text())) == set(CASES)
