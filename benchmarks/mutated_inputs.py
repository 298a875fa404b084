"""Runs commands on changed inputs, in this process and in fresh ones, and tells what went wrong. Sections of reliability.py."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import random
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from changed_inputs import Input, hashes, make_input, place, yaml_bytes
from input_mutations import PATHS
from input_seeds import SEEDS, Seed, as_bytes, write_file
from trials import SURPRISES, Ended, Process, Trial, make_models

SECONDS, HARD_SECONDS = 20, 120
"""A command in this process may take so long; after the second, the campaign itself ends, with the place where it hangs."""
LONGEST_LINE = 3_000
SECTION_NAMES = (
    "task",
    "model",
    "data",
    "adapter",
    "quantisation",
    "embedding",
    "sft",
    "pretraining",
    "train",
    "evaluate",
    "diagnose",
)
PLACES = (
    *SECTION_NAMES,
    "upstream",
    "parallel",
    "output",
    "recipe",
    "standard input",
    "--",
    "columns",
    "row ",
    "line ",
    "override",
    "looked for ",
    "there is no such",
    "too long for a file",
)
"""Words by which a message can say where the fault is, besides the names of the files."""

RUN = {
    "data": {"train": "train.csv", "validation": 0.3}, "model": {"name": "tiny"}, "train": {"max_steps": 2, "n_evaluations": 1},
    "evaluate": {"baselines": ["majority"], "n_resamples": 50},
}  # fmt: skip
"""The recipe of the run that predicts and is evaluated."""
WRITTEN = ("drafted.yaml", "p.csv", "p.jsonl", "e.npy")
"""The outputs of the commands."""


class Hang(BaseException):
    """A command took longer than ``SECONDS``. No handler of errors catches it."""


# --- in this process -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    """Raises Hang after ``SECONDS``. The signal is not SIGALRM, which the limit of chat templates uses."""

    def stop(_number: int, _frame: Any) -> None:
        raise Hang

    previous = signal.signal(signal.SIGUSR1, stop)
    timer = threading.Timer(SECONDS, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    faulthandler.dump_traceback_later(HARD_SECONDS, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        timer.cancel()
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGUSR1, previous)


def in_process(words: list[str], stdin: bytes = b"") -> Ended:
    """Runs a command line in this process."""
    from tunesmith.cli.main import main

    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    streams, code = (sys.stdin, sys.stdout, sys.stderr), 70
    try:
        sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8", errors="surrogateescape")
        sys.stdout = sys.stderr = stream
        with time_limit():
            code = main([*words, "--debug"])
    except Hang:
        return Ended(70, f"{traceback.format_exc()[-1500:]}", hung=True)
    except BaseException:  # noqa: BLE001 - whatever it is, it has to be seen
        stream.write(traceback.format_exc())
    finally:
        sys.stdin, sys.stdout, sys.stderr = streams
    return Ended(code, raw.getvalue().decode("utf-8", "replace"))


def fault_of(ended: Ended, names: list[str], allowed: tuple[int, ...] = (0, 2)) -> str:
    """Returns the fault of a command: it may end well, or refuse its input by a message that names a place."""
    if ended.hung:
        return "hang"
    message = message_of(ended.text) if ended.code == 2 else ended.text
    if ended.code not in allowed or any(surprise in message for surprise in SURPRISES):
        return "traceback"
    if ended.code == 2 and not any(name in message for name in [*names, *PLACES]):
        return "wrong word"
    return "wrong word" if ended.code == 2 and max(map(len, message.split("\n"))) > LONGEST_LINE else ""


def message_of(text: str) -> str:
    """Returns what a refusal prints without ``--debug``, which shows the traceback before it."""
    start = text.rfind("\ntunesmith: ")
    return text[start + 1 :] if start >= 0 else text


def read_and_tokenise() -> Ended:
    """Reads the rows of the recipe as a training does, up to their tokens."""
    from tunesmith.errors import InputError
    from tunesmith.progress import Clock, silent
    from tunesmith.recipe.load import load_recipe
    from tunesmith.tasks.steps import read
    from tunesmith.tasks.table import task_for
    from tunesmith.tasks.task import Request

    try:
        with time_limit():
            loaded = load_recipe(Path("recipe.yaml"))
            tokenise(read(task_for(loaded.recipe), Request(loaded, Clock(silent, {}))))
    except InputError as error:
        return Ended(2, f"tunesmith: {error}")
    except Hang:
        return Ended(70, traceback.format_exc()[-1500:], hung=True)
    except Exception:  # noqa: BLE001 - a fault to be counted
        return Ended(1, traceback.format_exc())
    return Ended(0, "")


def tokenise(data: Any) -> None:
    """Tokenises the rows of every split, as the task's ``load`` does before it loads a model."""
    from tunesmith.models.encode import encode, tokenise
    from tunesmith.models.load import load_tokenizer, max_input_tokens

    tokenizer = load_tokenizer(data.source)
    limit = max_input_tokens(512, tokenizer, data.recipe.data.max_length)
    if hasattr(data, "splits"):
        for examples in data.splits.named().values():
            encode(tokenizer, examples, limit)
    elif hasattr(data, "general"):
        tokenise_conversations(data, tokenizer, limit)
    else:
        for rows in [data.pairs] if hasattr(data, "pairs") else data.rows.named().values():
            for side in rows.sides:
                tokenise(tokenizer, list(side), None, limit)


def tokenise_conversations(data: Any, tokenizer: Any, limit: int) -> None:
    from tunesmith.models.chat.template import adopt_template, choose_template
    from tunesmith.tasks.language.model import Reader, objective_for, render_split

    template = choose_template(tokenizer, data.recipe.sft.chat_template, data.rows.train, data.base)
    adopt_template(tokenizer, template)
    reader = Reader(tokenizer, template, objective_for(data), limit)
    for rows in data.all_rows.values():
        render_split(data, rows, reader)


def commands(given: Input, run: Path) -> Iterator[tuple[str, Callable[[], Ended]]]:
    """Yields the commands of one input."""
    if not given.task:
        data = Path(given.data).read_bytes()
        yield "predict", lambda: in_process(["predict", str(run), "-"], data)
        yield "predict file", lambda: in_process(["predict", str(run), given.data, "--output", "p.jsonl", "--json"])
        return
    if given.words:
        yield "arguments", lambda: in_process([word.replace("RUN", str(run), 1) for word in given.words])
        return
    yield "check", lambda: in_process(["check", "--static", "recipe.yaml"])
    yield "init", lambda: in_process(["init", given.data, "--output", "drafted.yaml"])
    if Path("drafted.yaml").exists():
        yield "check of the draft", lambda: in_process(["check", "--static", "drafted.yaml", "--json"])
    yield "tokens", read_and_tokenise
    if given.task == "classification":
        yield "predict", lambda: in_process(["predict", str(run), given.data, "--output", "p.csv"])
        yield "evaluate", lambda: in_process(["evaluate", str(run), given.data])
    if given.task == "embedding":
        yield "losses", lambda: in_process(["losses", given.data])
        yield "embed", lambda: in_process(["embed", str(run / "model"), given.data, "--output", "e.npy"])


def observed(command: Callable[[], Ended], run: Path) -> tuple[Ended, str, str]:
    """Runs a command; returns how it ended, its fault, and the details of the fault.

    It may write its output if it succeeds, and nothing else.
    """
    before = hashes()
    ended = command()
    after = hashes()
    names = [*WRITTEN, str(run), *(path for path in PATHS if len(path) > 1), *(path.name for path in Path().rglob("*"))]
    fault, detail = fault_of(ended, names), ended.text[-1500:]
    changed = {path for path in {*before, *after} if before.get(path) != after.get(path)} - {"log"}
    if not fault and (changed := changed - set(WRITTEN if ended.code == 0 else ())):
        fault, detail = "lost", f"changed or left behind: {sorted(changed)}"
    return ended, fault, detail


def input_trial(folder: Path, number: int, draw: random.Random) -> Trial:
    """Changes one input, and runs in this process what reads it, up to its tokens."""
    run = finished_run(folder)
    with place(folder / f"inputs-{os.getpid()}"):
        given = make_input(SEEDS[number % len(SEEDS)], draw)
        trial = Trial("inputs", number, given.what)
        for name, command in commands(given, run):
            ended, fault, detail = observed(command, run)
            if fault:
                keep(folder / "failed" / f"inputs-{number}")
                return replace(trial, fault=fault, detail=f"{name}: exit {ended.code}: {detail}")
            trial = trial if trial.outcome else replace(trial, outcome="used" if ended.code == 0 else "refused")
        return trial


def keep(folder: Path) -> None:
    """Copies the input of a failed trial."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in Path().rglob("*"):
        if path.is_file():
            (folder / path.parent).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / path.parent)


def finished_run(folder: Path) -> Path:
    """Returns a run of two steps, which is trained once."""
    run = folder / "tiny/runs/out"
    if not run.exists():
        shutil.rmtree(folder / "tiny", ignore_errors=True)
        (folder / "tiny").mkdir(parents=True)
        make_models(folder / "tiny")
        (recipe := folder / "tiny/recipe.yaml").write_bytes(yaml_bytes(RUN | {"output": str(run)}))
        write_file(folder / "tiny/train.csv", as_bytes("train.csv", SEEDS[0].files["train.csv"]))
        if (ended := Process(["train", str(recipe)], folder / "tiny.log").end()).code:
            raise RuntimeError(ended.text)
    return run


# --- by command line -----------------------------------------------------------------------------------------------------------


def command_line_trial(folder: Path, number: int, draw: random.Random) -> Trial:
    """Changes one input, and runs one command on it in a new interpreter."""
    run = finished_run(folder)
    with place(folder / f"lines-{os.getpid()}"):
        verb = ("check", "init", "predict", "evaluate", "predict -")[number % 5]
        fitting = [seed for seed in SEEDS if fits(seed, verb)]
        given = make_input(draw.choice(fitting), draw)
        usual = {
            "check": ["check", "recipe.yaml"],
            "init": ["init", given.data, "--output", "drafted.yaml"],
            "predict": ["predict", str(run), given.data, "--output", "p.csv"],
            "evaluate": ["evaluate", str(run), given.data],
            "predict -": ["predict", str(run)],
        }[verb]
        words = [word.replace("RUN", str(run), 1) for word in given.words] or usual
        stdin = given.data if verb == "predict -" else os.devnull
        ended, fault, detail = observed(
            lambda: Process(words, Path("log"), new_interpreter=True, before=lambda: feed(stdin)).end(), run
        )
        trial = Trial("command lines", number, f"{verb}: {given.what}", outcome="used" if ended.code == 0 else "refused")
        if not fault:
            return trial
        keep(folder / "failed" / f"command-lines-{number}")
        return replace(trial, fault=fault, detail=f"{' '.join(words)}: exit {ended.code}: {detail}")


def fits(seed: Seed, verb: str) -> bool:
    """Tells whether a command reads inputs of this kind."""
    if verb == "predict -":
        return not seed.recipe
    return bool(seed.recipe) and (verb in ("check", "init") or seed.recipe["task"] == "classification")


def feed(name: str) -> None:
    """Makes a file the standard input."""
    os.dup2(os.open(name, os.O_RDONLY), 0)
