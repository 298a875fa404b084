"""``evaluate``: measures a finished run on labelled rows, an embedding model on retrieval or pairs, a language model on texts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.cli.parsing import UsageError, Verb, add_processes, columns_by_role
from tunesmith.cli.predict import RUN_HELP, add_columns, add_tokenizer, columns_from_args
from tunesmith.cli.recipes import add_labels
from tunesmith.cli.terminal import Outcome, Terminal, table
from tunesmith.data.cells import plural

if TYPE_CHECKING:
    from tunesmith.results import Metric, RunResult

HUB = "hub:"
SHOWN_ANSWERS, SHOWN_CHARACTERS, SHOWN_LABELS = 3, 100, 5

# Options that apply only to these models or data.
CLASSIFIER_OPTIONS = ("labels", "tokenizer", "processes")
EMBEDDING_OPTIONS = ("dimensions", "same", "mine", "corpus")
EMBEDDING_OR_LANGUAGE_OPTIONS = ("against", "max_length", "column")
LANGUAGE_OPTIONS = ("answers", "max_new_tokens", "stride", "context_lengths")
RETRIEVAL_OPTIONS = ("split", "metric", "rerank", "top_k")
MTEB_OPTIONS = ("mteb_folder", "mteb_subset")
ROW_OPTIONS = ("same", "mine", "corpus")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=f"{RUN_HELP}, or any model: a folder, hub:NAME, builtin:NAME")
    parser.add_argument("data", metavar="DATA", nargs="?", help="rows: a file, a folder, builtin:NAME or hub:NAME")
    add_columns(parser, label=True)
    meaning = "classes of the run that the labels of DATA mean, if it is coded otherwise than the training files; of another "
    add_labels(parser, f"{meaning}model: the names of its classes, or of the labels of DATA")
    add_tokenizer(parser)
    add_processes(parser, "the rows of a classifier")
    both = parser.add_argument_group("embedding and language models")
    both.add_argument("--against", metavar="MODEL", action="append", default=[], help="a model to compare with; repeatable")
    both.add_argument("--max-length", metavar="TOKENS", type=int, help="maximum text length in tokens")
    both.add_argument("--column", metavar="ROLE=COLUMN", action="append", help="role of a column, as in data.columns; repeatable")
    language = parser.add_argument_group("language models")
    language.add_argument("--answers", metavar="N", type=int, help="rows to generate answers for (default: 64)")
    language.add_argument("--max-new-tokens", metavar="N", type=int, help="maximum answer length in tokens")
    language.add_argument("--stride", metavar="TOKENS", type=int, help="stride of the sliding window for perplexity")
    language.add_argument(
        "--context-lengths", metavar="TOKENS", type=int, nargs="*", default=[], help="also compute perplexity with these windows"
    )
    embedding = parser.add_argument_group("embedding models")
    embedding.add_argument("--retrieval", metavar="FOLDER", help="BEIR layout: corpus.jsonl, queries.jsonl, qrels/test.tsv")
    embedding.add_argument(
        "--dimensions", metavar="N", type=int, nargs="*", default=[], help="also evaluate embeddings truncated to N dimensions"
    )
    embedding.add_argument("--mteb", metavar="TASK", help="a retrieval, STS or classification task of the package mteb")
    embedding.add_argument("--mteb-folder", metavar="FOLDER", help="a local copy of the data set of the task of --mteb")
    embedding.add_argument("--mteb-subset", metavar="NAME", help="a language or part of the data set of --mteb")
    embedding.add_argument("--split", help="split of the relevance judgements: test, dev, ...")
    embedding.add_argument(
        "--metric",
        action="append",
        help="ndcg@K, mrr@K, recall@K or map@K, or ndcg@K dim=N; the first is the primary metric of the verdicts",
    )
    embedding.add_argument(
        "--rerank", metavar="MODEL", help="a reranker for the top documents: a run, or any cross-encoder (a folder, hub:NAME)"
    )
    embedding.add_argument("--top-k", metavar="K", type=int, help="number of documents to rerank (default: 100)")
    embedding.add_argument("--same", metavar="LABEL", help="the label of pairs with the same meaning")
    embedding.add_argument("--corpus", metavar="FILE", help="more texts that the second texts of pairs are searched among")
    embedding.add_argument("--mine", action="store_true", help="evaluate paraphrase mining over all texts of the pairs")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    if args.mteb is not None:
        return evaluate_mteb_task(args, terminal)
    reject_options(args, MTEB_OPTIONS, "works only with --mteb.", "Add --mteb TASK.")
    if args.retrieval is not None:
        reject_options(args, CLASSIFIER_OPTIONS, "works only for classifiers.")
        return evaluate_retrieval_folder(args, terminal)
    reject_options(args, RETRIEVAL_OPTIONS, "works only with --retrieval and --mteb.", "Add --retrieval FOLDER.")
    if args.data is None:
        raise UsageError.one("evaluate", "there is nothing to evaluate on.", "Give rows, or --retrieval FOLDER.")
    from tunesmith.models.kind import WRITING, detect_model_kind, is_reward_model

    kind = detect_model_kind(args.run)
    other_kind = f"works only for classifiers, and {args.run} is not one."
    if kind in WRITING:
        reject_options(args, CLASSIFIER_OPTIONS, other_kind)
        reason = f"works only for embedding models, and {args.run} is a language model."
        reject_options(args, EMBEDDING_OPTIONS, reason)
        return evaluate_texts(args, terminal)
    reject_options(args, LANGUAGE_OPTIONS, f"works only for language models that generate texts, and {args.run} is not one.")
    if kind == "embedding":
        reject_options(args, CLASSIFIER_OPTIONS, other_kind)
        return evaluate_pairs(args, terminal)
    reject_options(args, EMBEDDING_OPTIONS, f"works only for embedding models, and {args.run} is not one.")
    if is_reward_model(Path(args.run)):
        reject_options(args, (*CLASSIFIER_OPTIONS, "max_length"), f"does not apply to reward models, and {args.run} is one.")
        return evaluate_preferences(args, terminal)
    reason = f"works only for embedding and language models, and {args.run} is neither."
    remedy = "Remove it." if not args.against else f"Use: tunesmith compare {args.run} {args.against[0]} --data {args.data}"
    reject_options(args, EMBEDDING_OR_LANGUAGE_OPTIONS, reason, remedy)
    from tunesmith.workflows.evaluate_by_kind import evaluate_by_kind

    reading = {
        "columns": columns_from_args(args),
        "labels": args.labels,
        "tokenizer": args.tokenizer,
        "processes": args.processes or 1,
    }
    result = evaluate_by_kind(args.run, args.data, kind=kind, **reading, listener=terminal.listener)
    return Outcome({**result.to_json(), "run": args.run}, lines=metric_lines(result))


def evaluate_preferences(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Evaluates a reward model on pairs of a better and a worse answer."""
    from tunesmith.cli.compare import verdict_lines
    from tunesmith.workflows.evaluate_by_kind import evaluate_by_kind

    result = evaluate_by_kind(
        args.run, args.data, kind="reward", columns=part_columns(args), against=args.against, listener=terminal.listener
    )
    verdicts = verdict_lines(args.run, result.verdicts, terminal) if result.verdicts else []
    return Outcome({**result.to_json(), "run": args.run}, lines=[*metric_lines(result), *verdicts])


def reject_options(args: argparse.Namespace, names: Sequence[str], reason: str, remedy: str = "Remove it.") -> None:
    """Raises UsageError if one of these options was given."""
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(args, name)]
    if given:
        raise UsageError.one("evaluate", f"{given[0]} {reason}", remedy)


def metric_lines(result: RunResult) -> list[str]:
    """Formats the metrics with their intervals, then flagged findings and alarms."""
    from tunesmith.report.numbers import with_interval
    from tunesmith.report.words import display_name, looks_notes, range_notes, sample_size, threshold_notes, unmeasured_notes

    rows = [
        (display_name(m.name), with_interval(m.value, m.low, m.high), f"on {sample_size(m)}{not_measured(result, m)}")
        for m in result.metrics
    ]
    lines = table(rows) if rows else ["Nothing could be measured."]
    lines += [f"note: {finding.text}" for finding in result.findings if finding.flagged]
    lines += [*unmeasured_notes(result.metrics), *range_notes(result), *threshold_notes(result), *looks_notes(result)]
    return [*lines, *(f"alarm: {alarm.message} {alarm.remedy}" for alarm in result.alarms)]


def not_measured(result: RunResult, metric: Metric) -> str:
    """Describes the rows that a metric leaves out, and those with a label that training did not have; empty without such rows."""
    from tunesmith.data.cells import listed, plural

    data, parts = result.data, []
    if data.get("dropped"):
        shown = ", ".join(f"{reason}: {n:,}" for reason, n in data["dropped"].items())
        parts.append(f"{data['rows_read']:,} read; not measured: {shown}")
    if n_unknown := data.get("unknown_label_rows"):
        labels = listed((f"{name}: {n:,}" for name, n in data["unknown_labels"].items()), SHOWN_LABELS)
        how = "they count as wrong" if metric.n == data["rows"] else "the model has no probability for them: left out"
        have = "has" if n_unknown == 1 else "have"
        parts.append(
            f"{n_unknown:,} of {plural(data['rows'], 'row')} {have} a label that training did not have ({labels}); {how}"
        )
    return f" ({'; '.join(parts)})" if parts else ""


def evaluate_pairs(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Evaluates an embedding model on pairs or triplets."""
    from tunesmith.workflows.evaluate_by_kind import evaluate_by_kind

    result = evaluate_by_kind(
        args.run,
        args.data,
        kind="embedding",
        columns=part_columns(args),
        same=args.same,
        mine=args.mine,
        corpus=args.corpus,
        against=args.against,
        dimensions=args.dimensions,
        max_length=args.max_length,
        listener=terminal.listener,
    )
    data = result.data
    form = f"{' + '.join(data['columns'])} ({data['shape'].replace('_', ' ')})"
    about = f"{plural(data['rows'], 'row')} of {data['source']}: {form}"
    noun = "text" if args.mine else "query" if data["shape"] == "positive_pair" else "row"
    return Outcome({**result.to_json(), "run": args.run}, lines=system_lines(args.run, result, terminal, about, noun))


def evaluate_texts(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Evaluates a language model that generates texts on plain texts, or on prompts and answers."""
    from tunesmith.machine import quiet_libraries

    quiet_libraries()
    from tunesmith.cli.compare import verdict_lines
    from tunesmith.report.numbers import with_interval
    from tunesmith.report.words import family_notes, looks_notes, range_notes, unmeasured_notes
    from tunesmith.workflows.evaluate_by_kind import evaluate_by_kind

    result = evaluate_by_kind(
        args.run,
        args.data,
        kind="causal",
        columns=part_columns(args),
        against=args.against,
        answers=args.answers,
        max_new_tokens=args.max_new_tokens,
        stride=args.stride,
        context_lengths=args.context_lengths,
        max_length=args.max_length,
        listener=terminal.listener,
    )
    data, lines = result.data, metric_rows(result)
    head = f"{plural(data['rows'], 'row')} of {data['source']}: {data['form'].replace('_', ' ')} ({' + '.join(data['columns'])})"
    if data["context"]:
        windows = [(f"{at['window']}", with_interval(at["perplexity"], at["low"], at["high"])) for at in data["context"]]
        lines += ["", *table([("context length", "perplexity"), *windows])]
    for answer in data["answers"][:SHOWN_ANSWERS]:
        lines += ["", f"row {answer['row_id']}: {shortened(answer['answer'])}", f"  reference: {shortened(answer['reference'])}"]
    verdicts = verdict_lines(args.run, result.verdicts, terminal) if result.verdicts else []
    notes = [*family_notes(result.verdicts, "table"), *(f"note: {finding.text}" for finding in result.findings)]
    notes += [*unmeasured_notes(result.metrics), *range_notes(result), *looks_notes(result)]
    return Outcome({**result.to_json(), "run": args.run}, lines=[head, *lines, "", *verdicts, *notes])


def metric_rows(result: RunResult) -> list[str]:
    """Formats the metrics of each split, with those of the baselines side by side."""
    from tunesmith.report.numbers import number, with_interval
    from tunesmith.report.words import display_name, sample_size

    baselines = [{(m.split, m.name): m.value for m in baseline.metrics} for baseline in result.baselines]
    head = [("", "", "", *(baseline.name for baseline in result.baselines))] if baselines else []
    rows = [
        (
            m.split,
            display_name(m.name),
            f"{with_interval(m.value, m.low, m.high)} on {sample_size(m)}",
            *(number(values.get((m.split, m.name))) for values in baselines),
        )
        for m in result.metrics
    ]
    return table([*head, *rows])


def shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]} …"


def part_columns(args: argparse.Namespace) -> dict[str, str | list[str]]:
    """Collects part -> column from --column, --text, --pair and --label."""
    columns = columns_by_role(args.column, "evaluate")
    options = {"text": args.text, "pair": args.pair, "label": args.label[0] if args.label else None}
    return columns | {part: column for part, column in options.items() if column}


def evaluate_retrieval_folder(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Evaluates an embedding model on a folder of documents and queries."""
    from tunesmith.evaluation.metrics.retrieval import DEFAULT
    from tunesmith.tasks.embedding.evaluate_model import TOP_K, evaluate_retrieval

    if args.data is not None:
        message = f"{args.data} and --retrieval {args.retrieval} exclude each other."
        raise UsageError.one("evaluate", message, "Give one.")
    reject_options(args, (*ROW_OPTIONS, *CLASSIFIER_OPTIONS), "works only with rows, not with --retrieval.")
    result = evaluate_retrieval(
        args.run.removeprefix(HUB),
        args.retrieval,
        split=args.split,
        against=args.against,
        dimensions=args.dimensions,
        metrics=tuple(args.metric or DEFAULT),
        rerank=args.rerank,
        top_k=args.top_k or TOP_K,
        max_length=args.max_length,
        listener=terminal.listener,
    )
    return search_outcome(args, result, terminal)


def search_outcome(args: argparse.Namespace, result: RunResult, terminal: Terminal) -> Outcome:
    """Formats the result of a search."""
    data = result.data
    sizes = f"{plural(data['queries'], 'query')}, {plural(data['documents'], 'document')}"
    about = f"{sizes} ({data['split']} of {data['source']})"
    name = args.run if args.rerank is None else f"{args.run} + {args.rerank}"
    return Outcome({**result.to_json(), "run": args.run}, lines=system_lines(name, result, terminal, about, "query"))


def evaluate_mteb_task(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Evaluates an embedding model on a task of the package mteb."""
    from tunesmith.workflows.evaluate_mteb import evaluate_mteb

    if given := args.data or args.retrieval:
        raise UsageError.one("evaluate", f"{given} and --mteb {args.mteb} exclude each other.", "Give one.")
    options = (*ROW_OPTIONS, *CLASSIFIER_OPTIONS, *LANGUAGE_OPTIONS, "column", "text", "pair", "label")
    reject_options(args, options, "does not work with --mteb.")
    result = evaluate_mteb(
        args.run,
        args.mteb,
        folder=args.mteb_folder,
        subset=args.mteb_subset,
        split=args.split,
        metrics=args.metric,
        rerank=args.rerank,
        top_k=args.top_k,
        against=args.against,
        dimensions=args.dimensions,
        max_length=args.max_length,
        listener=terminal.listener,
    )
    data = result.data
    if "queries" in data:
        return search_outcome(args, result, terminal)
    drawn = f", {plural(data['training_texts'], 'training text')} drawn" if "training_texts" in data else ""
    about = f"{plural(data['rows'], 'row')} ({data['mteb']['split']} of {data['source']}){drawn}"
    return Outcome({**result.to_json(), "run": args.run}, lines=system_lines(args.run, result, terminal, about, "row"))


def system_lines(name: str, result: RunResult, terminal: Terminal, about: str, noun: str) -> list[str]:
    """Formats the metrics of all models side by side, then the verdicts."""
    from tunesmith.cli.compare import verdict_lines
    from tunesmith.report.numbers import number, with_interval
    from tunesmith.report.words import family_notes, looks_notes, range_notes, unmeasured_notes

    full = [metric for metric in result.metrics if " dim=" not in metric.name]
    rows: list[tuple[str, ...]] = [("", *(metric.name for metric in full))]
    rows.append((name, *(with_interval(m.value, m.low, m.high) for m in full)))
    sizes = list(dict.fromkeys(m.name.partition(" ")[2] for m in result.metrics if " dim=" in m.name))
    values = {m.name: m.value for m in result.metrics}
    rows += [(f"  {size}", *(number(values.get(f"{m.name} {size}")) for m in full)) for size in sizes]
    for baseline in result.baselines:  # a system without vectors has no metric of a function that reads them
        values = {m.name: m.value for m in baseline.metrics}
        rows.append((baseline.name, *(number(values.get(m.name)) for m in full)))
    notes = [*family_notes(result.verdicts, "table"), *(f"note: {finding.text}" for finding in result.findings)]
    notes += [*unmeasured_notes(result.metrics), *range_notes(result), *looks_notes(result)]
    notes += [f"alarm: {alarm.message} {alarm.remedy}" for alarm in result.alarms]
    geometry = result.data["geometry"]
    parts = [
        f"mean cosine {number(geometry['mean_cosine'])}",
        f"uniformity {number(geometry['uniformity'])} (sphere {number(geometry['uniform'])})",
        f"IsoScore {number(geometry['iso_score'])}",
        *([] if geometry["alignment"] is None else [f"alignment {number(geometry['alignment'])}"]),
    ]
    verdicts = verdict_lines(name, result.verdicts, terminal, noun)
    last = f"Geometry of the embeddings (not a measure of quality): {', '.join(parts)}."
    return [about, *table(rows), "", *verdicts, "", last, *notes]


VERB = Verb(
    name="evaluate",
    takes="RUN DATA",
    does="evaluate a run on labelled rows, an embedding model, or a language model",
    about="Evaluates a finished run or any classifier on labelled rows; any embedding model on pairs, triplets or retrieval\n"
    "data, with TF-IDF and BM25 as baselines; any causal language model or encoder-decoder on plain\n"
    "texts, or on prompts and answers.\n"
    "Every metric has a 95 % interval.",
    example="tunesmith evaluate runs/tickets new.csv --label intent\n"
    "tunesmith evaluate builtin:minilm pairs.csv\n"
    "tunesmith evaluate builtin:minilm --retrieval scifact --dimensions 64 128\n"
    "tunesmith evaluate builtin:minilm --mteb SciFact --mteb-folder scifact-mteb\n"
    "tunesmith evaluate runs/answers new.jsonl --against builtin:pocket\n"
    "tunesmith evaluate builtin:pocket texts.txt --stride 64 --context-lengths 64 128 256",
    add_arguments=add_arguments,
    run=run,
)
