"""Each verb on a stand-in for the work behind it: what it is given, what it prints, what it answers as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from tests.cli.conftest import RESULT, Cli
from tunesmith.cli import check as check_verb
from tunesmith.cli.demo import suspects
from tunesmith.errors import InputError, Problem
from tunesmith.preflight.report import CheckLine, CheckReport
from tunesmith.progress import Event, Listener
from tunesmith.results import Finding, Verdict
from tunesmith.tasks.finished import Run
from tunesmith.training import launch
from tunesmith.workflows import check as check_workflow
from tunesmith.workflows import compare as compare_workflow
from tunesmith.workflows import evaluate as evaluate_workflow
from tunesmith.workflows import init as init_workflow
from tunesmith.workflows import predict as predict_workflow
from tunesmith.workflows import report as report_workflow
from tunesmith.workflows import trace as trace_workflow
from tunesmith.workflows import train as train_workflow
from tunesmith.workflows.predictions import PredictionTable

Calls = list[tuple[tuple[Any, ...], dict[str, Any]]]


def recorder(calls: Calls, answer: object) -> Callable[..., object]:
    """A function that notes how it is called, prints noise as libraries do, and answers."""

    def record(*args: Any, **kwargs: Any) -> object:
        print("noise of a library")  # noqa: T201 - as libraries do
        calls.append((args, kwargs))
        return answer

    return record


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "tickets"
    folder.mkdir(parents=True)
    (folder / "report.html").touch()
    return folder


def test_train(cli: Cli, recipe: str, run_folder: Path, monkeypatch: pytest.MonkeyPatch, stand_in: Callable[..., None]) -> None:
    calls: Calls = []
    monkeypatch.setattr(train_workflow, "train", recorder(calls, Run(run_folder, RESULT)))
    stand_in("tunesmith.report.summary", WIDTH=100, summary_lines=lambda result, width: ["It is better."])
    completed = cli("train", recipe, "train.seed=4", "--smoke")
    assert completed.code == 0
    assert completed.out == f"It is better.\n\nreport      {run_folder}/report.html\n"
    (loaded,), options = calls[0]
    assert loaded.recipe.train.seed == 4
    assert (options["smoke"], options["resume"], options["overwrite"]) == (True, False, False)
    plain = json.loads(cli("train", recipe, "--overwrite", "--json").out)
    assert plain == {**RESULT.to_json(), "run": str(run_folder)}
    assert calls[1][1]["overwrite"] is True


def test_train_with_several_processes_is_handed_to_the_launcher(
    cli: Cli, recipe: str, monkeypatch: pytest.MonkeyPatch, stand_in: Callable[..., None]
) -> None:
    calls: Calls = []
    trained: Calls = []
    monkeypatch.setattr(train_workflow, "train", recorder(trained, None))
    monkeypatch.setattr(launch, "launch", recorder(calls, 7))
    words = ["train", recipe, "--processes", "2", "--json"]
    completed = cli(*words)
    assert (completed.code, completed.out, calls, trained) == (7, "", [((words, 2), {})], [])
    monkeypatch.setenv("TUNESMITH_CHILD", "1")
    monkeypatch.setenv("RANK", "1")
    completed = cli(*words)
    assert (completed.code, completed.out, len(calls)) == (0, "", 1)
    assert trained[0][0][0].recipe.parallel.processes == 2


def test_interrupted_training_names_what_is_kept(cli: Cli, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        Path("runs/tickets.partial").mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(train_workflow, "train", stopped)
    completed = cli("train", recipe)
    assert completed.code == 130
    assert completed.err == "tunesmith: interrupted: partial results are in runs/tickets.partial; continue with --resume.\n"


def test_check(cli: Cli, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Calls = []
    rows = CheckLine("rows", "9 used", note="1 row is not used", remedy="Fill it.")
    good = CheckReport((CheckLine("disk", "1 MB needed", remedy="Free some."), rows), 12.0)
    monkeypatch.setattr(check_workflow, "check", recorder(calls, good))
    completed = cli("check", recipe, "--static")
    assert completed.code == 0
    assert completed.out.splitlines()[:2] == ["ok   disk: 1 MB needed", "note rows: 9 used. 1 row is not used. Fill it."]
    assert completed.out.endswith("All checks passed. See 1 note above. Training will take about 12 s.\n")
    assert calls[0][1]["static"] is True
    plain = json.loads(cli("check", recipe, "--json").out)
    assert (plain["problems"], plain["notes"], plain["estimate_seconds"]) == ([], ["1 row is not used. Fill it."], 12.0)


def test_check_shows_progress_on_a_terminal_only(cli: Cli, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(_loaded: object, *, static: bool, listener: Listener) -> CheckReport:
        listener(Event("phase", "check"))
        return CheckReport(())

    monkeypatch.setattr(check_workflow, "check", check)
    assert cli("check", recipe).err == ""
    monkeypatch.setattr(check_verb, "is_terminal", lambda _stream: True)
    assert "check ..." in cli("check", recipe).err


def test_check_with_problems(cli: Cli, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem("disk", "runs", "is full.", "Free some space.")
    monkeypatch.setattr(check_workflow, "check", recorder([], CheckReport((CheckLine("disk", "0 MB", problem),))))
    completed = cli("check", recipe)
    assert (completed.code, completed.out) == (2, "FAIL disk: 0 MB\n")
    assert "tunesmith: runs: is full. Free some space." in completed.err
    assert json.loads(cli("check", recipe, "--json").out)["problems"] == [problem.to_json()]


def test_check_counts_a_broken_recipe_among_its_problems(cli: Cli) -> None:
    completed = cli("check", "nope.yaml", "--json")
    plain = json.loads(completed.out)
    assert (completed.code, set(plain), plain["problems"][0]["where"]) == (2, {"problems", "notes"}, "nope.yaml")


def test_evaluate(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Calls = []
    monkeypatch.setattr(evaluate_workflow, "evaluate", recorder(calls, RESULT))
    completed = cli("evaluate", "runs/a", "new.csv", "--text", "body", "--label", "a", "--label", "b")
    assert completed.code == 0
    assert "  macro F1  0.900 [0.850, 0.950]  on 200 rows\n" in completed.out
    assert calls[0][0] == ("runs/a", "new.csv")
    assert (calls[0][1]["columns"].text, calls[0][1]["columns"].label) == ("body", ["a", "b"])
    assert json.loads(cli("evaluate", "runs/a", "new.csv", "--label", "a", "--json").out)["metrics"][0]["value"] == 0.9
    assert calls[1][1]["columns"].label == "a"


ROWS = [
    {"row_id": 0, "prediction": 'refund, "now"', "probability": 0.75, "pred_probs": [0.75, 0.25]},
    {"row_id": 2, "prediction": "other", "probability": 0.5, "pred_probs": [0.5, 0.5]},
]


def test_predict(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Calls = []
    predicted = PredictionTable(ROWS, ("refund", "other"), {"text is empty": [1]})
    monkeypatch.setattr(predict_workflow, "predict", recorder(calls, predicted))
    completed = cli("predict", "runs/a", "new.csv")
    assert completed.out == predicted.text(".csv")
    assert completed.err.endswith("1 row not predicted: text is empty (row 1)\n")
    assert calls[0][0] == ("runs/a", Path("new.csv"))  # on the command line a word is a file, never a text
    cli("predict", "runs/a", stdin="hello\n")
    assert calls[1][0][1].read() == "hello\n"
    plain = json.loads(cli("predict", "runs/a", "-", "--json", stdin="hello\n").out)
    assert (plain["predictions"], plain["rows"], plain["dropped"]) == (ROWS, 2, {"text is empty": 1})
    completed = cli("predict", "runs/a", "new.csv", "--output", "out.jsonl")
    assert (completed.out, calls[3][1]["output"]) == ("2 predictions written to out.jsonl\n", Path("out.jsonl"))


def verdict(word: Any, difference: float) -> Verdict:
    return Verdict(
        "macro_f1", "test", "runs/b", difference, difference - 0.1, difference + 0.1, word, n=200, smallest_detectable=0.2
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["better"], 0),
        (["worse"], 3),
        (["cannot tell"], 4),
        (["better", "cannot tell"], 4),
        (["cannot tell", "worse", "better"], 3),
    ],
)
def test_compare(cli: Cli, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int) -> None:
    calls: Calls = []
    verdicts = [verdict(word, 0.05) for word in words]
    monkeypatch.setattr(compare_workflow, "compare", recorder(calls, verdicts))
    monkeypatch.setattr(compare_workflow, "limits_of_verdicts", lambda *_: ["One seed: this is one model."])
    completed = cli("compare", "runs/a", *["runs/b"] * len(words), "--metric", "mcc")
    assert completed.code == code
    assert completed.out.startswith("runs/a is\n")
    assert all(word in completed.out for word in words)
    assert completed.out.endswith("One seed: this is one model.\n")
    assert ("would probably have shown a difference of 0.200" in completed.out) == ("cannot tell" in words)
    assert (calls[0][1]["metric"], calls[0][1]["split"]) == ("mcc", None)
    found = cli("compare", "runs/a", "runs/b", "--json")
    assert found.code == code
    assert [item["word"] for item in json.loads(found.out)["verdicts"]] == words


def test_trace(cli: Cli, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {
        "row_id": 3,
        "raw": {"message": " hi "},
        "dropped": None,
        "label": {"name": "greeting", "encoded": 0},
        "tokens": [{"text": text, "input_ids": token, "attention_mask": 1} for text, token in (("[CLS]", 101), ("hi", 7632))],
        "shares": {"mcc": float("nan")},
    }
    calls: Calls = []
    monkeypatch.setattr(trace_workflow, "trace", recorder(calls, stages))
    completed = cli("trace", recipe, "--row", "3", "--run", "runs/a", "train.seed=2")
    assert completed.code == 0
    assert "raw\n  message:  ' hi '\n" in completed.out
    assert "tokens (2)\n  text     input_ids  attention_mask\n  '[CLS]'  101        1\n  'hi'     7632       1\n" in completed.out
    assert "dropped" not in completed.out
    assert calls[0][1] == {"split": "train", "run": Path("runs/a")}
    assert json.loads(cli("trace", recipe, "--row", "3", "--json").out)["shares"] == {"mcc": None}


def test_report(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Calls = []
    monkeypatch.setattr(report_workflow, "compare", lambda *_, **__: [verdict("better", 0.1)])
    monkeypatch.setattr(report_workflow, "write_report", recorder(calls, Path("runs/a/report.html")))
    monkeypatch.setattr(report_workflow, "write_comparison", recorder(calls, Path("both.html")))
    monkeypatch.setattr(report_workflow, "markdown_report", lambda run: f"# {run}\n")
    monkeypatch.setattr(report_workflow, "latex_report", lambda runs, options: "\\begin{table}\n")
    assert cli("report", "runs/a").out == "Report written to runs/a/report.html\n"
    assert json.loads(cli("report", "runs/a", "runs/b", "--output", "both.html", "--json").out)["report"] == "both.html"
    both = [Path("runs/a"), Path("runs/b")]
    assert calls == [((Path("runs/a"), None), {}), ((both, Path("both.html"), [verdict("better", 0.1)]), {})]
    assert cli("report", "runs/a", "--format", "md").out == "# runs/a\n"
    cli("report", "runs/a", "runs/b", "--format", "latex", "--output", "table.tex")
    assert Path("table.tex").read_text(encoding="utf-8") == "\\begin{table}\n"


@pytest.mark.parametrize(
    ("name", "content"), [("a.md", "# runs/a\n"), ("a.MARKDOWN", "# runs/a\n"), ("a.tex", "\\begin"), ("a.txt", "# r")]
)
def test_the_format_of_a_report_follows_the_suffix(name: str, content: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_workflow, "markdown_report", lambda run: f"# {run}\n")
    monkeypatch.setattr(report_workflow, "latex_report", lambda runs, options: "\\begin{table}\n")
    assert cli("report", "runs/a", "--output", name).code == 0
    assert Path(name).read_text(encoding="utf-8").startswith(content)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.md", ["--format", "html"], "a.md: the name ends in .md, and the format html was requested. Change the name or"),
        ("a.html", ["--format", "latex"], "a.html: the name ends in .html, and the format latex was requested."),
        ("a.md", ["--caption", "Results"], "caption: it is an option of LaTeX tables, and the format is md."),
        ("a.tex", ["--label", "a b"], "label: 'a b' is no label of LaTeX."),
        ("a.tex", ["--max-columns", "0"], "max_columns: a table has at least one metric, not 0."),
        ("a.tex", ["--caption", " "], "caption: the caption is empty."),
        ("a.pdf", [], "a.pdf: no report is written as .pdf. End the name with one of .html, .htm, .md,"),
    ],
)
def test_a_suffix_of_another_format_is_an_error(name: str, options: list[str], message: str, cli: Cli) -> None:
    completed = cli("report", "runs/a", "--output", name, *options)
    assert completed.code == 2
    assert completed.err.startswith(f"tunesmith: {message}")
    assert not Path(name).exists()


def test_runs_that_cannot_be_compared_still_make_a_page(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise InputError.one("runs/b", "it has other labels.")

    calls: Calls = []
    monkeypatch.setattr(report_workflow, "write_comparison", recorder(calls, Path("both.html")))
    monkeypatch.setattr(report_workflow, "compare", refuse)
    completed = cli("report", "runs/a", "runs/b", "--output", "both.html")
    assert (completed.code, calls[0][0][2]) == (0, [])
    assert "The page has no verdicts between the runs: runs/b: it has other labels." in completed.err


def test_init_writes_once(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Calls = []
    monkeypatch.setattr(init_workflow, "draft_recipe", recorder(calls, ("task: classification\n", ["9 rows"])))
    completed = cli("init", "tickets.csv", "--test", "test.csv")
    assert completed.out.startswith("9 rows\n")
    assert Path("recipe.yaml").read_text(encoding="utf-8") == "task: classification\n"
    assert calls[0] == (("tickets.csv",), {"test": "test.csv", "validation": None})
    completed = cli("init", "tickets.csv")
    assert (completed.code, len(calls)) == (2, 1)
    assert completed.err.startswith("tunesmith: tickets.csv: There is no such file (looked for tickets.csv).")
    Path("tickets.csv").write_text("text,label\na,b\n")
    completed = cli("init", "tickets.csv")
    Path("tickets.csv").unlink()
    assert (completed.code, len(calls)) == (2, 1)
    assert completed.err == (
        "tunesmith: recipe.yaml: this file exists already. Choose another --output, or replace it with --force.\n"
    )
    assert cli("init", "tickets.csv", "--force").code == 0
    completed = cli("init", "tickets.csv", "--output", "-")
    assert completed.out == "task: classification\n"
    assert "9 rows" in completed.err
    plain = json.loads(cli("init", "tickets.csv", "--output", "-", "--json").out)
    assert plain == {"recipe": None, "recognised": ["9 rows"], "yaml": "task: classification\n"}
    assert cli("init", "tickets.csv", "--output", "no/such/folder.yaml").code == 2
    assert [path.name for path in Path().iterdir()] == ["recipe.yaml"]


def test_demo(cli: Cli, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Calls = []
    RESULT.save(run_folder / "result.json")
    predictions = {
        "row_id": [1, 2, 3],
        "split": ["validation", "validation", "test"],
        "label": ["refund"] * 3,
        "prediction": ["other"] * 3,
        "loss": [0.1, 4.0, 9.0],
        "pred_probs": [[0.5, 0.5]] * 3,
        "text": ["likely", "my parcel", "of the test"],
    }
    parquet.write_table(pyarrow.table(predictions), run_folder / "predictions.parquet")
    monkeypatch.setattr(train_workflow, "train", recorder(calls, Run(run_folder, RESULT)))
    completed = cli("demo", "--output", "own runs/it's")
    assert completed.code == 0
    for part in (
        "fine-tuned model",
        "TF-IDF + linear",
        "better than TF-IDF + linear: +0.100 [+0.050, +0.150]",
        "cannot tell whether it is better than",
        "row 7 of train: given refund",
        "Every prediction is the same.",
        f"{run_folder}/report.html",
        "    row 2, labelled refund, predicted other:\n      'my parcel'\n    row 1,",
    ):
        assert part in completed.out
    (loaded,), options = calls[0]
    assert loaded.recipe.output == "own runs/it's"
    assert "row 3" not in completed.out
    assert options["overwrite"] is False
    assert json.loads(cli("demo", "--json").out)["run"] == str(run_folder)


def test_demo_says_why_suspect_labels_were_not_searched() -> None:
    found = replace(RESULT, findings=(Finding("suspect_labels", "", skipped="it would have taken more than 15 s"),))
    assert suspects(found) == ["  suspect labels: it would have taken more than 15 s"]


def test_demo_of_embeddings(cli: Cli, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Calls = []
    result = replace(RESULT, task="embedding")
    result.save(run_folder / "result.json")
    predictions = {"row_id": [0, 1, 2], "split": ["test"] * 3, "score": [0.9, 0.1, 0.4], "text": ["found", "missed", "half"]}
    parquet.write_table(pyarrow.table(predictions), run_folder / "predictions.parquet")
    monkeypatch.setattr(train_workflow, "train", recorder(calls, Run(run_folder, result)))
    completed = cli("demo", "embedding")
    assert completed.code == 0
    assert "calls the water pump a wren" in completed.err + completed.out
    assert "    0.10  'missed'\n    0.40  'half'\n    0.90  'found'" in completed.out
    assert f"tunesmith evaluate {run_folder}/model --retrieval builtin:handbook" in completed.out
    (loaded,), _ = calls[0]
    assert (loaded.recipe.task, loaded.recipe.output) == ("embedding", "runs/demo-embedding")


def test_demo_of_answers(cli: Cli, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Calls = []
    result = replace(RESULT, task="sft")
    result.save(run_folder / "result.json")
    predictions = {
        "row_id": [0, 1, 2],
        "split": ["test", "test", "validation"],
        "label": ["yes", "no", "why"],
        "loss": [0.5, 2.0, 9.0],
    }
    parquet.write_table(pyarrow.table(predictions), run_folder / "predictions.parquet")
    written = [{"row_id": 0, "prompt": "Is it?\nSay yes.", "untuned": "", "this run": "yes!", "reference": "yes"}]
    seen = [{"row_id": 3, "runs": [["User: Is it?\nAssistant: ", False], ["yes", True]]}]
    answers = {"seen": seen, "answers": written, "split": "test"}
    (run_folder / "answers.json").write_text(json.dumps(answers))
    monkeypatch.setattr(train_workflow, "train", recorder(calls, Run(run_folder, result)))
    completed = cli("demo", "sft")
    assert completed.code == 0
    for part in (
        "    User: Is it?\n    Assistant: ⟦yes⟧\n",
        "  Is it?\n  Say yes.\n    before:    (empty)\n    after:     'yes!'\n    reference: 'yes'\n",
        "    2.00  row 1: 'no'\n    0.50  row 0: 'yes'\n",
        f"tunesmith generate {run_folder} ",
    ):
        assert part in completed.out
    assert "why" not in completed.out
    (loaded,), _ = calls[0]
    assert (loaded.recipe.task, loaded.recipe.model.name, loaded.recipe.output) == ("sft", "builtin:pocket", "runs/demo-sft")


def test_only_an_earlier_demo_is_replaced() -> None:
    from tunesmith.workflows.demo import is_earlier_demo, recipe_path

    text = recipe_path("classification").read_text(encoding="utf-8")
    assert not is_earlier_demo("runs/demo", text)
    Path("runs/demo").mkdir(parents=True)
    Path("runs/demo/precious.txt").touch()
    assert not is_earlier_demo("runs/demo", text)
    Path("runs/demo/recipe.yaml").write_text(text, encoding="utf-8")
    assert is_earlier_demo("runs/demo", text)
    Path("runs/demo.partial").mkdir()
    Path("runs/demo.partial/recipe.yaml").write_text("task: regression\n", encoding="utf-8")
    assert not is_earlier_demo("runs/demo", text)


def test_the_real_check_on_built_in_data(cli: Cli) -> None:
    completed = cli("check", "builtin:support_train", "--static", "--json")
    plain = json.loads(completed.out)
    assert (completed.code, plain["problems"]) == (0, [])
    assert any("intent" in line for line in plain["checks"])


def test_the_verbs_answer_json_only(cli: Cli, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens behind a verb, standard output is one object and nothing else."""

    def broken(*_: object, **__: object) -> SimpleNamespace:
        print("noise of a library")  # noqa: T201 - as libraries do
        raise ValueError("oops")

    for module, name in (
        (train_workflow, "train"),
        (check_workflow, "check"),
        (evaluate_workflow, "evaluate"),
        (predict_workflow, "predict"),
        (compare_workflow, "compare"),
        (trace_workflow, "trace"),
        (init_workflow, "draft_recipe"),
    ):
        monkeypatch.setattr(module, name, broken)
    for words in (
        ["train", recipe],
        ["check", recipe],
        ["evaluate", "a", "b"],
        ["predict", "a", "b"],
        ["compare", "a", "b"],
        ["trace", recipe, "--row", "0"],
        ["init", "x.csv", "--output", "-"],
        ["demo"],
    ):
        completed = cli(*words, "--json")
        assert completed.code == 1, words
        assert (
            json.loads(completed.out)["error"]["message"]
            == "unexpected ValueError: oops; run again with --debug for the traceback."
        )
