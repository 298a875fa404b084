"""``evaluate``: a finished run on labelled rows, any embedding model on search and similarity, any language model on texts."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tunesmith.cli.parsing import UsageError, Verb
from tunesmith.cli.predict import RUN_HELP, add_columns, columns_of
from tunesmith.cli.terminal import Outcome, Terminal, table

if TYPE_CHECKING:
    from tunesmith.results import RunResult

HUB = "hub:"
SHOWN_ANSWERS, SHOWN_CHARACTERS = 3, 100
OF_VECTORS = ("dimensions",)
OF_MODELS = ("against", "max_length")
OF_LANGUAGE = ("answers", "max_new_tokens", "stride", "context_lengths")
OF_RETRIEVAL = ("split", "metric", "rerank", "top_k")
OF_ROWS = ("same", "mine")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=f"{RUN_HELP}, or any embedding model: a folder, hub:NAME, builtin:NAME")
    parser.add_argument("data", metavar="DATA", nargs="?", help="rows: a file, a folder, builtin:NAME or hub:NAME")
    add_columns(parser, label=True)
    both = parser.add_argument_group("embedding and language models")
    both.add_argument("--against", metavar="MODEL", action="append", default=[], help="another model; again for several")
    both.add_argument("--max-length", metavar="TOKENS", type=int, help="tokens of a text that are read")
    both.add_argument("--column", metavar="PART=COLUMN", action="append", help="which column is which part, as in data.columns")
    written = parser.add_argument_group("language models")
    written.add_argument("--answers", metavar="N", type=int, help="rows whose answers are written (64)")
    written.add_argument("--max-new-tokens", metavar="N", type=int, help="longest answer")
    written.add_argument("--stride", metavar="TOKENS", type=int, help="let a window slide over plain texts by so many")
    written.add_argument("--context-lengths", metavar="TOKENS", type=int, nargs="*", default=[], help="a perplexity for each")
    found = parser.add_argument_group("embedding models")
    found.add_argument("--retrieval", metavar="FOLDER", help="in the BEIR layout: corpus.jsonl, queries.jsonl, qrels/test.tsv")
    found.add_argument("--dimensions", metavar="N", type=int, nargs="*", default=[], help="also of vectors cut to so many")
    found.add_argument("--split", help="which judgements of the folder: test, dev, ...")
    found.add_argument("--metric", action="append", help="ndcg@K, mrr@K, recall@K or map@K; the first leads the verdicts")
    found.add_argument("--rerank", metavar="RUN", help="a reranker that puts the best documents in order")
    found.add_argument("--top-k", metavar="K", type=int, help="how many documents are reranked (100)")
    found.add_argument("--same", metavar="LABEL", help="the label that says that two texts mean the same")
    found.add_argument("--mine", action="store_true", help="mine paraphrases among all texts of pairs, each against each")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    if args.retrieval is not None:
        return of_retrieval(args, terminal)
    refuse(args, OF_RETRIEVAL, "is of retrieval.", "Add --retrieval FOLDER.")
    if args.data is None:
        raise UsageError.one("evaluate", "there is nothing to measure on.", "Give rows, or --retrieval FOLDER.")
    from tunesmith.models.kind import detect_model_kind

    kind = detect_model_kind(args.run)
    if kind == "causal":
        refuse(args, (*OF_VECTORS, *OF_ROWS), f"is of embedding models; {args.run} is a language model.", "Leave it out.")
        return of_texts(args, terminal)
    refuse(args, OF_LANGUAGE, f"is of causal language models; {args.run} is none.", "Leave it out.")
    if kind == "embedding":
        return of_rows(args, terminal)
    refuse(args, (*OF_VECTORS, *OF_ROWS), f"is of embedding models; {args.run} is none.", "Leave it out.")
    refuse(args, (*OF_MODELS, "column"), f"is of embedding and language models; {args.run} is none.", "Leave it out.")
    from tunesmith.workflows.evaluate import evaluate

    result = evaluate(args.run, args.data, columns=columns_of(args), listener=terminal.listener)
    return Outcome({**result.to_json(), "run": args.run}, lines=metric_lines(result))


def refuse(args: argparse.Namespace, names: Sequence[str], why: str, remedy: str) -> None:
    """Raise UsageError where one of these options was given."""
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(args, name)]
    if given:
        raise UsageError.one("evaluate", f"{given[0]} {why}", remedy)


def metric_lines(result: RunResult) -> list[str]:
    """The metrics with their intervals, then whatever the reader should not miss."""
    from tunesmith.report.numbers import plural, with_interval
    from tunesmith.report.words import plain_name

    rows = [(plain_name(m.name), with_interval(m.value, m.low, m.high), f"on {plural(m.n, 'row')}") for m in result.metrics]
    lines = table(rows) if rows else ["Nothing could be measured."]
    lines += [f"note: {finding.summary}" for finding in result.findings if finding.flagged]
    return [*lines, *(f"alarm: {alarm.message} {alarm.remedy}" for alarm in result.alarms)]


def of_rows(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    """An embedding model on pairs or triplets."""
    from tunesmith.tasks.embedding.evaluate_model import evaluate_similarity

    result = evaluate_similarity(
        args.run.removeprefix(HUB), args.data, columns=parts_of(args), same=args.same, mine=args.mine, against=args.against,
        dimensions=args.dimensions, max_length=args.max_length, listener=terminal.listener,
    )  # fmt: skip
    data = result.data
    about = f"{data['rows']:,} rows of {data['source']}: {' + '.join(data['columns'])} ({data['shape'].replace('_', ' ')})"
    noun = "text" if args.mine else "query" if data["shape"] == "positive_pair" else "row"
    return Outcome({**result.to_json(), "run": args.run}, lines=system_lines(args.run, result, terminal, about, noun))


def of_texts(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    """A causal language model on texts, or on questions and answers."""
    from tunesmith.machine import quiet_libraries

    quiet_libraries()
    from tunesmith.cli.compare import lines_of
    from tunesmith.report.numbers import with_interval
    from tunesmith.tasks.language.evaluate_model import evaluate_language

    result = evaluate_language(
        args.run.removeprefix(HUB), args.data, columns=parts_of(args), against=[name.removeprefix(HUB) for name in args.against],
        answers=args.answers, max_new_tokens=args.max_new_tokens, stride=args.stride, context_lengths=args.context_lengths,
        max_length=args.max_length, listener=terminal.listener,
    )  # fmt: skip
    data, lines = result.data, metric_rows(result)
    head = f"{data['rows']:,} rows of {data['source']}: {data['form'].replace('_', ' ')} ({' + '.join(data['columns'])})"
    if data["context"]:
        seen = [(f"{one['window']}", with_interval(one["perplexity"], one["low"], one["high"])) for one in data["context"]]
        lines += ["", *table([("tokens seen", "perplexity"), *seen])]
    for one in data["answers"][:SHOWN_ANSWERS]:
        lines += ["", f"row {one['row_id']}: {shortened(one['answer'])}", f"  should be: {shortened(one['reference'])}"]
    verdicts = lines_of(args.run, result.verdicts, terminal) if result.verdicts else []
    notes = [f"note: {finding.summary}" for finding in result.findings]
    return Outcome({**result.to_json(), "run": args.run}, lines=[head, *lines, "", *verdicts, *notes])


def metric_rows(result: RunResult) -> list[str]:
    """The metrics of each split, of the model and of those it is compared with, side by side."""
    from tunesmith.report.numbers import number, with_interval
    from tunesmith.report.words import plain_name

    others = [{(m.split, m.name): m.value for m in other.metrics} for other in result.baselines]
    head = [("", "", "", *(other.name for other in result.baselines))] if others else []
    rows = [
        (
            m.split, plain_name(m.name), f"{with_interval(m.value, m.low, m.high)} on {m.n:,} rows",
            *(number(other.get((m.split, m.name))) for other in others),
        )
        for m in result.metrics
    ]  # fmt: skip
    return table([*head, *rows])


def shortened(text: str) -> str:
    """The beginning of a text in one line."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]} …"


def parts_of(args: argparse.Namespace) -> dict[str, str | list[str]]:
    """Part -> column, from --column, --text, --pair and --label."""
    given: dict[str, str | list[str]] = {}
    for word in args.column or []:
        part, equals, column = word.partition("=")
        if not equals or not column:
            raise UsageError.one("evaluate", f"--column {word} says no column.", "Write --column anchor=question.")
        before = given.get(part)
        given[part] = column if before is None else [*([before] if isinstance(before, str) else before), column]
    said = {"text": args.text, "pair": args.pair, "label": args.label[0] if args.label else None}
    return given | {part: column for part, column in said.items() if column}


def of_retrieval(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    """An embedding model on a folder of documents and queries."""
    from tunesmith.evaluation.metrics.retrieval import DEFAULT
    from tunesmith.tasks.embedding.evaluate_model import TOP_K, evaluate_retrieval

    if args.data is not None:
        message = f"{args.data} and --retrieval {args.retrieval} are two things to measure on."
        raise UsageError.one("evaluate", message, "Give one.")
    refuse(args, OF_ROWS, "is of rows.", "Leave it out.")
    result = evaluate_retrieval(
        args.run.removeprefix(HUB), args.retrieval, split=args.split, against=args.against, dimensions=args.dimensions,
        metrics=tuple(args.metric or DEFAULT), rerank=args.rerank, top_k=args.top_k or TOP_K,
        max_length=args.max_length, listener=terminal.listener,
    )  # fmt: skip
    data = result.data
    about = f"{data['queries']:,} queries, {data['documents']:,} documents ({data['split']} of {data['source']})"
    name = args.run if args.rerank is None else f"{args.run} + {args.rerank}"
    return Outcome({**result.to_json(), "run": args.run}, lines=system_lines(name, result, terminal, about, "query"))


def system_lines(name: str, result: RunResult, terminal: Terminal, about: str, noun: str) -> list[str]:
    """Every system's metrics side by side, then the verdicts."""
    from tunesmith.cli.compare import lines_of
    from tunesmith.report.numbers import number, with_interval

    whole = [metric for metric in result.metrics if " dim=" not in metric.name]
    rows: list[tuple[str, ...]] = [("", *(metric.name for metric in whole))]
    rows.append((name, *(with_interval(m.value, m.low, m.high) for m in whole)))
    sizes = list(dict.fromkeys(m.name.partition(" ")[2] for m in result.metrics if " dim=" in m.name))
    rows += [(f"  {size}", *(number(result.metric(f"{m.name} {size}", m.split).value) for m in whole)) for size in sizes]
    rows += [(other.name, *(number(m.value) for m in other.metrics)) for other in result.baselines]
    notes = [f"note: {finding.summary}" for finding in result.findings]
    notes += [f"alarm: {alarm.message} {alarm.remedy}" for alarm in result.alarms]
    lies = geometry_line(result.data["geometry"])
    return [about, *table(rows), "", *lines_of(name, result.verdicts, terminal, noun), "", lies, *notes]


def geometry_line(found: Mapping[str, float | None]) -> str:
    """How the vectors lie, which says nothing of how well they search."""
    from tunesmith.report.numbers import number

    parts = [
        f"mean cosine {number(found['mean_cosine'])}",
        f"uniformity {number(found['uniformity'])} (sphere {number(found['uniform'])})",
        f"IsoScore {number(found['iso_score'])}",
        *([] if found["alignment"] is None else [f"alignment {number(found['alignment'])}"]),
    ]
    return f"The vectors (a description, no quality): {', '.join(parts)}."


VERB = Verb(
    name="evaluate",
    takes="RUN DATA",
    does="measure a run on labelled rows, an embedding model, or a language model",
    about="Measures a finished run on a file of labelled rows; any embedding model, tuned or not, on pairs and triplets or on\n"
    "retrieval data, beside TF-IDF and BM25; any causal language model on texts, or on questions and answers.\n"
    "Every metric has its 95 % interval.",
    example="tunesmith evaluate runs/tickets new.csv --label intent\n"
    "tunesmith evaluate builtin:minilm pairs.csv\n"
    "tunesmith evaluate builtin:minilm --retrieval scifact --dimensions 64 128\n"
    "tunesmith evaluate runs/answers new.jsonl --against builtin:pocket\n"
    "tunesmith evaluate builtin:pocket texts.txt --stride 64 --context-lengths 64 128 256",
    add_arguments=add_arguments,
    run=run,
)
