"""``demo``: trains a built-in model on built-in data and explains the results in plain words, without a network."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.cli.parsing import Verb
from tunesmith.cli.terminal import WORD_COLOURS, Outcome, Terminal, table
from tunesmith.cli.train import explain_interruption, paths
from tunesmith.data.cells import plural

if TYPE_CHECKING:
    from tunesmith.report.saved_run import SavedRun
    from tunesmith.results import RunResult
    from tunesmith.tasks.finished import Run


@dataclass(frozen=True)
class Demo:
    """One demo.

    Attributes:
        opening: lines before the run; ``{model}`` is the base model.
        hardest: formats the rows with the highest loss or the lowest score.
        next_commands: commands to try next; ``{folder}`` is the run folder.
    """

    opening: tuple[str, ...]
    hardest: Callable[[SavedRun], list[str]]
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
        "--output", metavar="DIR", help="the run folder (default: runs/demo or runs/demo-TASK); replaces an earlier demo"
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.machine import stay_offline
    from tunesmith.workflows.demo import demo_recipe, train_demo

    stay_offline()
    loaded = demo_recipe(args.task, args.output or None)
    opening = [
        terminal.paint("What this demo does", "bold"),
        *(f"  {line.format(model=loaded.recipe.model.name)}" for line in DEMOS[loaded.recipe.task].opening),
        "  The recipe:",
        *(f"    {line}" for line in loaded.text.rstrip("\n").split("\n") if not line.startswith("#")),
        "",
    ]
    for line in opening:
        terminal.print(line)
    with explain_interruption(loaded.recipe.output, "the next demo starts over."):
        finished = train_demo(loaded, terminal.listener)
    folder, commands = finished.folder, DEMOS[finished.result.task].next_commands
    following = ["Next:", *(f"  {line.format(folder=folder)}" for line in commands)]
    lines = [*result_lines(finished, terminal), "", *paths(folder), "", *following]
    return Outcome({**finished.result.to_json(), "run": str(folder)}, lines=lines)


def result_lines(finished: Run, terminal: Terminal) -> list[str]:
    """Formats the results as numbered questions and answers."""
    from tunesmith.report.saved_run import load

    result, saved = finished.result, load(finished.folder)
    alarms = [f"  {alarm.message} {alarm.remedy}" for alarm in result.alarms]
    steps = (
        ("Which tokens are supervised?", supervised_tokens(saved)),
        ("What does the model answer?", answers(saved)),
        ("How good is the model?", scores(result)),
        ("Is it better than the baselines, or is the difference noise?", verdicts(result, terminal)),
        ("Which rows of the data should you check?", [*suspects(result), *DEMOS[result.task].hardest(saved)]),
        ("Did anything go wrong?", alarms or ["  No alarms."]),
    )
    lines: list[str] = []
    for number, (question, answer) in enumerate((step for step in steps if step[1]), start=1):
        lines += ["", terminal.paint(f"{number}. {question}", "bold"), *answer]
    return lines


def scores(result: RunResult) -> list[str]:
    """Formats the primary metric of the fine-tuned model and of the baselines."""
    from tunesmith.report.words import display_name, find, main_metric, metric_interval, sample_size

    main = main_metric(result)
    if main is None:
        return ["  Nothing was measured."]
    baselines = [(display_name(b.name), find(b.metrics, main.name, main.split)) for b in result.baselines]
    rows = [(name, metric_interval(metric)) for name, metric in (("fine-tuned model", main), *baselines) if metric is not None]
    about = f"  {display_name(main.name)} on {sample_size(main)} of {main.split}; in brackets the 95 % interval:"
    return [about, *table(rows, indent=4)]


def verdicts(result: RunResult, terminal: Terminal) -> list[str]:
    from tunesmith.report.numbers import with_interval
    from tunesmith.report.words import display_name, main_metric, verdict_notes, verdicts_on

    main = main_metric(result)
    lines = []
    for verdict in [] if main is None else verdicts_on(result, main):
        word = terminal.paint(verdict.word, WORD_COLOURS[verdict.word])
        difference = with_interval(verdict.difference, verdict.low, verdict.high, signed=True)
        joined = "whether it is better than" if verdict.word == "cannot tell" else "than"
        lines.append(f"  {word} {joined} {display_name(verdict.against)}: {difference}")
    return [*lines, *(f"  {note}" for note in verdict_notes(result))] if lines else ["  There are no baselines."]


def suspects(result: RunResult) -> list[str]:
    """Formats the findings that flag rows, with the first few rows of each, and why suspect labels were not searched."""
    lines = [f"  suspect labels: {f.skipped}" for f in result.findings if f.name == "suspect_labels" and f.skipped]
    for finding in (finding for finding in result.findings if finding.flagged):
        lines.append(f"  {finding.name.replace('_', ' ')}: {finding.summary}")
        lines += [f"    row {row.get('row_id')} of {row.get('split')}: {row.get('reason')}" for row in finding.rows[:SHOWN_ROWS]]
    return lines


def supervised_tokens(run: SavedRun) -> list[str]:
    """Shows the first training row of a language model, with its supervised tokens in brackets."""
    rows = (run.answers or {}).get("seen") or ()
    if not rows:
        return []
    text = "".join(f"⟦{part}⟧" if is_supervised else part for part, is_supervised in rows[0]["runs"])
    head = "  The first training row as the model reads it. The loss is computed only on tokens between ⟦ and ⟧:"
    return [head, "", *(f"    {line}" for line in text.splitlines())]


def answers(run: SavedRun) -> list[str]:
    """Shows a few answers to evaluation rows, before and after training."""
    from tunesmith.data.cells import clip

    lines = []
    for row in ((run.answers or {}).get("answers") or ())[:SHOWN_ROWS]:
        question = row["prompt"].strip().splitlines()
        lines += ["", *(f"  {line}" for line in question)]
        for name, text in (("before", row.get("untuned")), ("after", row["this run"]), ("reference", row["reference"])):
            lines.append(f"    {name + ':':10} {clip(text.strip(), 90) if text and text.strip() else '(empty)'}")
    return lines


def unlikely_answers(run: SavedRun) -> list[str]:
    """Lists the evaluation rows with the highest loss on the reference answer."""
    from tunesmith.data.cells import clip
    from tunesmith.report.words import main_split

    rows = run.rows(main_split(run.result))
    order = sorted(range(len(rows["loss"])), key=lambda i: -rows["loss"][i])[:SHOWN_ROWS]
    lines = [f"  Reference answers with the highest loss, of {len(rows['loss'])} (nats per token):"]
    return [*lines, *(f"    {rows['loss'][i]:.2f}  row {rows['row_id'][i]}: {clip(rows['label'][i], 70)}" for i in order)]


def wrong_pairs(run: SavedRun) -> list[str]:
    """Lists the evaluation pairs whose better answer has gained least on the worse one."""
    from tunesmith.data.cells import clip
    from tunesmith.report.words import main_split

    rows = run.rows(main_split(run.result))
    gains = [chosen - rejected for chosen, rejected in zip(rows["chosen_reward"], rows["rejected_reward"], strict=True)]
    order = sorted(range(len(gains)), key=gains.__getitem__)[:SHOWN_ROWS]
    lines = [f"  Pairs whose better answer gained least on the worse one, of {len(gains)} (implicit reward):"]
    return [*lines, *(f"    {gains[i]:+.2f}  row {rows['row_id'][i]}: {clip(rows['text'][i], 70)}" for i in order)]


def worst_queries(run: SavedRun) -> list[str]:
    """Lists the queries of the evaluation split with the lowest retrieval score."""
    from tunesmith.data.cells import clip
    from tunesmith.report.words import main_split

    rows = run.rows(main_split(run.result))
    order = sorted(range(len(rows["score"])), key=lambda i: rows["score"][i])[:SHOWN_ROWS]
    lines = [f"  Questions with the lowest nDCG@10, of {len(rows['score'])} (1: the passage is ranked first):"]
    return [*lines, *(f"    {rows['score'][i]:.2f}  {clip(rows['text'][i], 90)}" for i in order)]


def unlikely_labels(run: SavedRun) -> list[str]:
    """Lists the validation rows with the highest loss: hard rows and wrong labels.

    Validation rows are part of the training file but not trained on; trained rows would have a low loss.
    """
    from tunesmith.data.cells import clip

    columns = run.rows("validation")
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    worst = sorted(rows, key=lambda row: -row["loss"])[:SHOWN_ROWS]
    if not worst:
        return ["  No predictions were saved."]
    lines = [f"  Labels with the highest loss, of the {plural(len(rows), 'validation row')}:"]
    for row in worst:
        lines.append(f"    row {row['row_id']}, labelled {row['label']}, predicted {row['prediction']}:")
        lines.append(f"      {clip(row['text'], 90)}")
    return lines


DEMOS = {
    "classification": Demo(
        opening=(
            "A small language model ({model}) is fine-tuned to classify support messages by intent.",
            "It is then compared with baselines on test messages that none of them was trained on.",
        ),
        hardest=unlikely_labels,
        next_commands=('echo "where is my parcel" | tunesmith predict {folder}', "tunesmith init YOUR_FILE.csv"),
    ),
    "embedding": Demo(
        opening=(
            "A small embedding model ({model}) is fine-tuned to find the passage of a handbook that answers a question.",
            "The handbook calls the water pump a wren, which no base model can know. Baselines search for the same questions.",
        ),
        hardest=worst_queries,
        next_commands=("tunesmith evaluate {folder}/model --retrieval builtin:handbook", "tunesmith losses YOUR_FILE.csv"),
    ),
    "sft": Demo(
        opening=(
            "A tiny language model ({model}), pretrained only on texts about one small town, learns to follow instructions.",
            "It then answers new prompts, and is compared with the base model, with and without examples in the prompt.",
        ),
        hardest=unlikely_answers,
        next_commands=(
            'tunesmith generate {folder} "Write the things as a JSON list. Mara has a lamp, a net and a drum."',
            "tunesmith init YOUR_FILE.jsonl",
        ),
    ),
    "preference": Demo(
        opening=(
            "A tiny language model ({model}) learns from pairs which of two answers people prefer (DPO).",
            "On other pairs it is compared with itself before the training, and with the length of the answers alone.",
        ),
        hardest=wrong_pairs,
        next_commands=(
            'tunesmith generate {folder} "Write the things as a JSON list. Mara has a lamp, a net and a drum."',
            "tunesmith evaluate {folder} builtin:preference_test",
        ),
    ),
}

VERB = Verb(
    name="demo",
    takes="[TASK]",
    does="train on built-in data and see the results, without a network",
    about="Trains a built-in model on built-in data (support messages, questions and passages, instructions and answers,\n"
    "or pairs of a better and a worse answer), and explains the results in plain words. Needs no data and no network;\n"
    "takes one or two minutes on two cores.",
    example="tunesmith demo\ntunesmith demo embedding\ntunesmith demo sft\ntunesmith demo preference",
    add_arguments=add_arguments,
    run=run,
)
