from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tunesmith import __version__
from tunesmith.cli.main import VERBS, quiet_libraries
from tunesmith.errors import Interrupted, TrainingFailed
from tunesmith.workflows import check as check_workflow
from tunesmith.workflows import train as train_workflow

COMMAND = [sys.executable, "-m", "tunesmith.cli.main"]

USAGE = [
    (
        [],
        "a verb is missing: demo, init, check, train, evaluate, predict, embed, generate, losses, compare, adapt, reward-test,",
    ),
    (["trian", "recipe.yaml"], "tunesmith: there is no verb 'trian'. Did you mean train?"),
    (["xyzzy"], "tunesmith: there is no verb 'xyzzy'. There are: demo,"),
    (["--frobnicate"], "tunesmith: there is no option --frobnicate."),
    (["train"], "tunesmith: train: the following arguments are required: RECIPE."),
    (["predict"], "tunesmith: predict: the following arguments are required: RUN."),
    (["evaluate", "runs/a"], "tunesmith: evaluate: there is nothing to evaluate on. Give rows, or --retrieval FOLDER."),
    (["train", "r.yaml", "--overwite"], "tunesmith: train: unrecognized arguments: --overwite. Did you mean --overwrite?"),
    (["train", "r.yaml", "--over"], "tunesmith: train: unrecognized arguments: --over. Did you mean --overwrite?"),
    (
        ["train", "r.yaml", "--learning_rate", "1e-4"],
        "--learning_rate 1e-4. Recipe keys have no dashes: write train.learning_rate=1e-4.",
    ),
    (
        ["train", "r.yaml", "--learning-rate=1e-4"],
        "--learning-rate=1e-4. Recipe keys have no dashes: write train.learning_rate=1e-4.",
    ),
    (["train", "r.yaml", "--seed"], "--seed. Recipe keys have no dashes: write train.seed=VALUE."),
    (["train", "r.yaml", "--verify"], "unrecognized arguments: --verify. See: tunesmith train --help"),
    (["predict", "runs/a", "x.csv", "--batch-size", "-1"], "arguments: --batch-size -1. See: tunesmith predict --help"),
    (["evaluate", "runs/a", "x.csv", "--seed", "3"], "unrecognized arguments: --seed 3. See: tunesmith evaluate --help"),
    (["eval", "runs/a"], "tunesmith: there is no verb 'eval'. Did you mean evaluate?"),
    (["train", "r.yaml", "--processes", "two"], "tunesmith: train: argument --processes: invalid int value: 'two'."),
    (["train", "r.yaml", "--resume", "--overwrite"], "tunesmith: train: --resume and --overwrite exclude each other."),
    (["train", "nope.yaml"], "tunesmith: nope.yaml: there is no such file."),
    (["train", "recipe.yaml", "train.sede=1"], "Did you mean train.seed?"),
    (["compare", "runs/a"], "tunesmith: compare: at least two runs are needed."),
    (["trace", "recipe.yaml"], "tunesmith: trace: the following arguments are required: --row."),
    (["trace", "recipe.yaml", "--row", "first"], "tunesmith: trace: argument --row: invalid int value: 'first'."),
    (
        ["trace", "recipe.yaml", "--row", "1" * 5001],
        f"tunesmith: trace: argument --row: invalid int value: '{'1' * 40}… (5,001 characters)'.",
    ),
    (["trace", "recipe.yaml", "--row", "1" * 4000], f"has rows 0 to 899; {'1' * 59}… is not one of them."),
    (["report", "runs/a", "--format", "pdf"], "invalid choice: 'pdf'"),
    (["report", "runs/a", "runs/b"], "tunesmith: report: the page of several runs has no default path."),
    (["demo", "poetry"], "invalid choice: 'poetry'"),
    (["init", "nope.csv", "--output", "-"], "tunesmith: nope.csv: "),
]


@pytest.mark.parametrize(("words", "message"), USAGE, ids=[" ".join(words)[:80] or "nothing" for words, _ in USAGE])
def test_wrong_usage_is_one_message_and_exit_2(cli: Cli, recipe: str, words: list[str], message: str) -> None:
    completed = cli(*words)
    assert (completed.code, completed.out) == (2, "")
    assert message in completed.err
    assert "Traceback" not in completed.err
    assert not Path("runs").exists()


@pytest.mark.parametrize(("words", "message"), USAGE, ids=[" ".join(words)[:80] or "nothing" for words, _ in USAGE])
def test_wrong_usage_with_json_is_one_object(cli: Cli, recipe: str, words: list[str], message: str) -> None:
    error = json.loads(cli(*words, "--json").out)["error"]
    assert error["exit_code"] == 2
    assert all(set(problem) == {"check", "where", "message", "remedy"} for problem in error["problems"])


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (TrainingFailed("the loss is not finite in step 3."), 1, "tunesmith: the loss is not finite in step 3."),
        (Interrupted("stopped in step 7; continue with --resume."), 130, "tunesmith: stopped in step 7; continue"),
        (KeyboardInterrupt(), 130, "tunesmith: interrupted: nothing was written."),
        (OSError(28, "No space left on device", "runs/x"), 1, "tunesmith: runs/x: No space left on device."),
        (ZeroDivisionError("oh\nno"), 1, "tunesmith: unexpected ZeroDivisionError: oh no; run again with --debug"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_behind_a_verb(
    cli: Cli, recipe: str, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(train_workflow, "train", fail)
    completed = cli("train", recipe)
    assert (completed.code, completed.out) == (code, "")
    assert completed.err.startswith(message)
    assert completed.err.count("\n") == 1
    reported = json.loads(cli("train", recipe, "--json").out)["error"]
    assert reported["exit_code"] == code
    assert f"tunesmith: {reported['message']}".startswith(message.rstrip("."))
    assert "Traceback" in cli("train", recipe, "--debug").err


def test_ctrl_c_in_any_verb(cli: Cli, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(check_workflow, "check", stopped)
    completed = cli("check", recipe)
    assert (completed.code, completed.out, completed.err) == (130, "", "tunesmith: interrupted before anything was finished.\n")


def test_several_problems_are_all_shown(cli: Cli) -> None:
    Path("bad.yaml").write_text("task: poetry\ndata: {trian: x.csv}\n", encoding="utf-8")
    completed = cli("check", "bad.yaml")
    assert completed.err.startswith("tunesmith: ")
    assert " problems\n  - bad.yaml:1 task: " in completed.err


def test_help_names_every_verb_and_is_short(cli: Cli) -> None:
    completed = cli("--help")
    assert completed.code == 0
    for verb in VERBS:
        assert f"\n  {verb.name} " in completed.out
    assert len(completed.out.splitlines()) <= len(VERBS) + 10


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_has_help_with_an_example_that_parses(cli: Cli, verb: object) -> None:
    from tunesmith.cli.parsing import Verb, parse

    assert isinstance(verb, Verb)
    completed = cli(verb.name, "--help")
    assert completed.code == 0
    assert f"example:\n  {verb.example.splitlines()[0]}" in completed.out
    for line in verb.example.splitlines():
        words = shlex.split(line.rpartition("tunesmith ")[2])
        assert words[0] == verb.name
        parse(verb, words[1:])


def test_version(cli: Cli) -> None:
    assert cli("--version").out == f"tunesmith {__version__}\n"


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from tunesmith.cli.main import main; main(['--help']); main(['train', '--help'])\n"
        "heavy = {'numpy', 'pydantic', 'yaml', 'torch', 'transformers', 'tqdm', 'pyarrow'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = os.times()
    assert done.stderr == "[]\n"
    # Seconds of processor time: what the wall clock would show on an idle machine.
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.3


def test_options_may_stand_anywhere(cli: Cli, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def check(loaded: object, **_: object) -> object:
        seen.append(loaded.recipe.train.seed)  # type: ignore[attr-defined]
        raise Interrupted("enough")

    monkeypatch.setattr(check_workflow, "check", check)
    cli("check", "--static", recipe, "train.seed=5", "--json")
    cli("--json", "check", recipe, "--static", "train.seed=6")
    assert seen == [5, 6]


def test_a_closed_pipe_ends_quietly() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = subprocess.run([*COMMAND, "--help"], stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_with_130_and_reports_what_is_kept(recipe: str, number: signal.Signals) -> None:
    code = (
        "import sys, time, tunesmith.workflows.train as run\n"
        "def train(*_, **__):\n    print('started', file=sys.stderr, flush=True)\n    time.sleep(60)\n"
        "run.train = train\n"
        "from tunesmith.cli.main import main\n"
        f"sys.exit(main(['train', {recipe!r}, '--json']))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "started\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert json.loads(out) == {"error": {"exit_code": 130, "message": "interrupted: nothing was written."}}
    assert err == "tunesmith: interrupted: nothing was written.\n"


def test_the_handlers_are_put_back(cli: Cli, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(train_workflow, "train", lambda *_, **__: None)
    cli("train", recipe)
    assert signal.getsignal(signal.SIGTERM) is before


def test_libraries_are_quiet_unless_debugged(cli: Cli, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    def noisy(*_: object, **__: object) -> None:
        warnings.warn("look at me", UserWarning, stacklevel=2)
        print("and at me")  # noqa: T201 - as libraries do

    monkeypatch.setattr(train_workflow, "train", noisy)
    monkeypatch.delenv("TRANSFORMERS_VERBOSITY", raising=False)
    completed = cli("train", recipe)
    assert (completed.code, completed.out, completed.err) == (0, "", "and at me\n")
    assert os.environ["TRANSFORMERS_VERBOSITY"] == "error"


def test_the_message_of_a_library_that_wants_kernels_for_a_gpu_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    library = logging.getLogger("bitsandbytes")
    monkeypatch.setattr(library, "level", logging.NOTSET)
    quiet_libraries()
    assert not logging.getLogger("bitsandbytes.backends.cpu.ops").isEnabledFor(logging.WARNING)
    assert logging.getLogger("bitsandbytes.backends.cpu.ops").isEnabledFor(logging.ERROR)
