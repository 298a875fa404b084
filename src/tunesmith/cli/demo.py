"""``demo``: the whole story on built-in data and a built-in model, in plain words, without a network."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.cli.parsing import Verb
from tunesmith.cli.terminal import WORD_COLOURS, Outcome, Terminal, table
from tunesmith.cli.train import naming_what_is_kept, paths

if TYPE_CHECKING:
    from tunesmith.recipe.load import LoadedRecipe
    from tunesmith.results import RunResult
    from tunesmith.tasks.finished import Run


@dataclass(frozen=True)
class Demo:
    """What one demo runs and says.

    Attributes:
        recipe: file in ``data/samples``.
        opening: lines before the run; ``{model}`` is the base model.
        hardest: the rows that the finished model finds hardest, as lines.
        next_commands: commands to try next; ``{folder}`` is the run folder.
    """

    recipe: str
    opening: tuple[str, ...]
    hardest: Callable[[Run], list[str]]
    next_commands: tuple[str, ...]


SHOWN_ROWS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "task",
        metavar="TASK",
        nargs="?",
        choices=tuple(DEMOS),
        default=next(iter(DEMOS)),
        help=f"{', '.join(DEMOS)} (default: %(default)s)",
    )
    parser.add_argument(
        "--output", metavar="DIR", help="the run folder (default: runs/demo, or runs/demo-TASK); an earlier demo is replaced"
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.machine import stay_offline
    from tunesmith.recipe.load import load_recipe

    stay_offline()
    loaded = load_recipe(recipe_path(args.task), [f"output={quoted(args.output)}"] if args.output else [])
    opening(loaded, terminal)
    finished = train(loaded, terminal)
    lines = [*story(finished, terminal), *closing(finished)]
    return Outcome({**finished.result.to_json(), "run": str(finished.folder)}, lines=lines)


def recipe_path(task: str) -> Path:
    from importlib import resources

    return Path(str(resources.files("tunesmith"))) / "data" / "samples" / DEMOS[task].recipe


def quoted(text: str) -> str:
    """The text as a YAML string, whatever characters it has."""
    return "'" + text.replace("'", "''") + "'"


def train(loaded: LoadedRecipe, terminal: Terminal) -> Run:
    """The finished run, in the place of an earlier demo if there is one."""
    from tunesmith.workflows import train as runs

    output = loaded.recipe.output
    with naming_what_is_kept(output, "the next demo starts over."):
        finished = runs.train(loaded, overwrite=holds_a_demo(output, loaded.text), listener=terminal.listener)
    assert finished is not None, "the demo is a single process"
    return finished


def holds_a_demo(output: str, recipe: str) -> bool:
    """Whether all that would be replaced is an earlier demo, finished or not: nobody else's run may be."""
    from tunesmith.run_folder import claim

    folder = claim(output, overwrite=True)
    there = [place for place in (folder.final, folder.work) if place.is_dir() and any(place.iterdir())]
    return bool(there) and all(first_line(place / "recipe.yaml") == recipe.partition("\n")[0] for place in there)


def first_line(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace").partition("\n")[0] if path.is_file() else None


def opening(loaded: LoadedRecipe, terminal: Terminal) -> None:
    recipe = loaded.recipe
    for line in (
        terminal.paint("What happens now", "bold"),
        *(f"  {line.format(model=recipe.model.name)}" for line in DEMOS[recipe.task].opening),
        "  The whole recipe:",
        *(f"    {line}" for line in loaded.text.rstrip("\n").split("\n") if not line.startswith("#")),
        "",
    ):
        terminal.say(line)


def story(finished: Run, terminal: Terminal) -> list[str]:
    """What came out, one step after the other."""
    result = finished.result
    steps = (
        *(said for said in (("What does the loss see?", seen(finished)), ("What does it answer?", answers(finished))) if said[1]),
        ("How good is it?", scores(result)),
        ("Is that better than something simpler, or is it noise?", verdicts(result, terminal)),
        ("Which rows of the training file should somebody look at?", [*suspects(result), *DEMOS[result.task].hardest(finished)]),
        ("Did anything go wrong?", alarms(result)),
    )
    lines: list[str] = []
    for number, (question, answer) in enumerate(steps, start=1):
        lines += ["", terminal.paint(f"{number}. {question}", "bold"), *answer]
    return lines


def scores(result: RunResult) -> list[str]:
    """The tuned model above the baselines, by the metric the run is judged by."""
    from tunesmith.report.numbers import plural, with_interval
    from tunesmith.report.words import counted, main_metric, plain_name

    main = main_metric(result)
    if main is None:
        return ["  Nothing was measured."]
    rows = [("the tuned model", with_interval(main.value, main.low, main.high))]
    for baseline in result.baselines:
        for metric in baseline.metrics:
            if (metric.name, metric.split) == (main.name, main.split):
                rows.append((plain_name(baseline.name), with_interval(metric.value, metric.low, metric.high)))
    about = f"  {plain_name(main.name)} on {plural(main.n, counted(main))} of {main.split}; in brackets the 95 % interval:"
    return [about, *table(rows, indent=4)]


def verdicts(result: RunResult, terminal: Terminal) -> list[str]:
    from tunesmith.report.numbers import with_interval
    from tunesmith.report.words import main_metric, plain_name, verdicts_on

    main = main_metric(result)
    found = [] if main is None else verdicts_on(result, main)
    lines = []
    for verdict in found:
        word = terminal.paint(verdict.word, WORD_COLOURS[verdict.word])
        difference = with_interval(verdict.difference, verdict.low, verdict.high, signed=True)
        joined = "whether it beats" if verdict.word == "cannot tell" else "than"
        lines.append(f"  {word} {joined} {plain_name(verdict.against)}: {difference}")
    return lines or ["  It was compared with nothing."]


def suspects(result: RunResult) -> list[str]:
    """The findings that point at rows, with the first few of each."""
    lines = []
    for finding in result.findings:
        if not finding.flagged:
            continue
        lines.append(f"  {finding.name.replace('_', ' ')}: {finding.summary}")
        lines += [f"    row {row.get('row_id')} of {row.get('split')}: {row.get('reason')}" for row in finding.rows[:SHOWN_ROWS]]
    return lines


def seen(finished: Run) -> list[str]:
    """The first training row of a language model; what is learnt stands in brackets."""
    from tunesmith.saved_run import load

    rows = (load(finished.folder).answers or {}).get("seen") or ()
    if not rows:
        return []
    text = "".join(f"⟦{part}⟧" if learnt else part for part, learnt in rows[0]["runs"])
    return ["  The first row of training as the model reads it. Only what stands between ⟦ and ⟧ is learnt:", "",
            *(f"    {line}" for line in text.splitlines())]  # fmt: skip


def answers(finished: Run) -> list[str]:
    """A few answers to rows that were not learnt, before and after."""
    from tunesmith.data.cells import clip
    from tunesmith.saved_run import load

    lines = []
    for row in ((load(finished.folder).answers or {}).get("answers") or ())[:SHOWN_ROWS]:
        question = row["prompt"].strip().splitlines()
        lines += ["", *(f"  {line}" for line in question)]
        for when, said in (("before", row.get("untuned")), ("after", row["this run"]), ("right", row["reference"])):
            lines.append(f"    {when + ':':7} {clip(said.strip(), 90) if said and said.strip() else '(nothing)'}")
    return lines


def wrong_answers(finished: Run) -> list[str]:
    """The rows of the test whose right answer the model found least likely."""
    from tunesmith.data.cells import clip
    from tunesmith.report.words import main_split
    from tunesmith.saved_run import load

    rows = load(finished.folder).rows(main_split(finished.result))
    order = sorted(range(len(rows["loss"])), key=lambda i: -rows["loss"][i])[:SHOWN_ROWS]
    lines = [f"  The right answers that the model found least likely, of {len(rows['loss'])} (nats a token):"]
    return [*lines, *(f"    {rows['loss'][i]:.2f}  row {rows['row_id'][i]}: {clip(rows['label'][i], 70)}" for i in order)]


def missed(finished: Run) -> list[str]:
    """The questions of the test with the worst ranking of their answer."""
    from tunesmith.data.cells import clip
    from tunesmith.report.words import main_split
    from tunesmith.saved_run import load

    rows = load(finished.folder).rows(main_split(finished.result))
    order = sorted(range(len(rows["score"])), key=lambda i: rows["score"][i])[:SHOWN_ROWS]
    lines = [f"  The questions whose passage is found worst, of {len(rows['score'])} (nDCG@10, 1 is the first place):"]
    return [*lines, *(f"    {rows['score'][i]:.2f}  {clip(rows['text'][i], 90)}" for i in order)]


def surprises(finished: Run) -> list[str]:
    """List the validation rows whose label the model found least likely: hard ones, and wrong labels.

    The training rows are no use here: after training their labels are no longer unlikely.
    """
    from tunesmith.data.cells import clip
    from tunesmith.saved_run import load

    columns = load(finished.folder).rows("validation")
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    worst = sorted(rows, key=lambda row: -row["loss"])[:SHOWN_ROWS]
    if not worst:
        return ["  No prediction was kept."]
    lines = [f"  The labels that the model found least likely, of the {len(rows)} rows held out for validation:"]
    for row in worst:
        lines.append(f"    row {row['row_id']}, labelled {row['label']}, read as {row['prediction']}:")
        lines.append(f"      {clip(row['text'], 90)}")
    return lines


def alarms(result: RunResult) -> list[str]:
    return [f"  {alarm.message} {alarm.remedy}" for alarm in result.alarms] or ["  No alarm went off."]


def closing(finished: Run) -> list[str]:
    folder = finished.folder
    return [
        "", *paths(folder), "",
        "Next:",
        *(f"  {line.format(folder=folder)}" for line in DEMOS[finished.result.task].next_commands),
    ]  # fmt: skip


DEMOS = {
    "classification": Demo(
        recipe="demo.yaml",
        opening=(
            "A small language model ({model}) learns to sort support messages by what their writers want.",
            "It is then compared with simpler methods on messages that none of them has seen.",
        ),
        hardest=surprises,
        next_commands=('echo "where is my parcel" | tunesmith predict {folder}', "tunesmith init YOUR_FILE.csv"),
    ),
    "embedding": Demo(
        recipe="demo_embedding.yaml",
        opening=(
            "A small embedding model ({model}) learns to find the passage of a handbook that answers a customer's question.",
            "The handbook calls the water pump a wren; no base model can know that."
            " Then others search as well, for new questions.",
        ),
        hardest=missed,
        next_commands=(
            "tunesmith evaluate {folder}/model --retrieval builtin:handbook",
            "tunesmith losses YOUR_FILE.csv",
        ),
    ),
    "sft": Demo(
        recipe="demo_sft.yaml",
        opening=(
            "A tiny language model ({model}), which only goes on with texts about one small town, learns to do as it is told.",
            "It is then asked what it has not been asked before, beside the model as it came, with and without examples.",
        ),
        hardest=wrong_answers,
        next_commands=(
            'tunesmith generate {folder} "Write the things as a JSON list. Mara has a lamp, a net and a drum."',
            "tunesmith init YOUR_FILE.jsonl",
        ),
    ),
}

VERB = Verb(
    name="demo",
    takes="[TASK]",
    does="see the whole story on built-in data, without a network",
    about="Trains a built-in model on built-in support messages, on questions and the passages that answer them, or on\n"
    "instructions and their answers, and tells in plain words what came out. Needs no data and no network; takes a minute or\n"
    "two on two cores.",
    example="tunesmith demo\ntunesmith demo embedding\ntunesmith demo sft",
    add_arguments=add_arguments,
    run=run,
)
