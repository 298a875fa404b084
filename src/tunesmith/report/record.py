"""Builds the report sections about inputs and training: lengths, findings, data, training, environment, recipe."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tunesmith.report import figures, tables
from tunesmith.report.curves import memory_curve
from tunesmith.report.evidence import evaluated_rows, grid, plot, problem_type
from tunesmith.report.markup import Markup, join, tag
from tunesmith.report.numbers import ABSENT, count, duration, fraction, is_number, number, percent, plural, significant, size
from tunesmith.report.saved_run import SavedRun
from tunesmith.report.words import (
    CAUSAL,
    EMBEDDING,
    MASKED,
    REWARD,
    SEQ2SEQ,
    TASK_NAMES,
    display_name,
    memory_words,
    part,
    total_seconds,
    worst_first,
)
from tunesmith.results import Finding

WORST_ROWS = 100
FINDING_ROWS = 25
ROW_KEYS = ("row_id", "split", "reason")


def splits(run: SavedRun) -> dict[str, dict[str, Any]]:
    """Returns the data record of each split."""
    return {name: dict(record) for name, record in part(run.result.data, "splits").items() if isinstance(record, Mapping)}


def lengths(run: SavedRun) -> Markup | None:
    """Shows the lengths of the texts in tokens and the number of truncated rows."""
    recorded = splits(run).items()
    records = {name: r for name, r in recorded if r.get("length_tokens") or r.get("rows_truncated") is not None}
    if not records:
        return None
    marks = ("p50", "p90", "p99", "max")
    heads = ("split", "median", "90 %", "99 %", "maximum", "max_length", "truncated rows")
    rows = []
    for name, record in records.items():
        truncated, total = record.get("rows_truncated"), record.get("rows")
        truncated_share = fraction(truncated, total)
        share = count(truncated) if truncated_share is None else f"{count(truncated)} ({percent(truncated_share)})"
        tokens = [tables.num(count(part(record, "length_tokens").get(mark))) for mark in marks]
        rows.append((name, *tokens, tables.num(count(record.get("max_length"))), tables.num(share)))
    figure = plot(figures.lengths(records), "Text lengths", "in tokens; dashed: max_length")
    return join([tables.table(heads, rows, caption="tokens per row"), grid(figure)])


def findings(run: SavedRun) -> Markup | None:
    """Lists the findings in boxes to expand: those that flag rows, the worst first; then the others; then the skipped ones."""
    worst = worst_first(run.result.findings)
    others = sorted((f for f in run.result.findings if f not in worst), key=lambda finding: bool(finding.skipped))
    boxes = []
    for finding in (*worst, *others):
        details = [tag("p", finding.remedy) if finding.remedy else None, finding_rows(finding)]
        if not any(details):
            details = [tag("p", "No rows to show.", class_="quiet")]
        boxes.append(tag("details", tag("summary", *tables.finding_line(finding)), tag("div", *details)))
    return join(boxes) if boxes else None


def finding_rows(finding: Finding) -> Markup | None:
    """Builds a table of the first flagged rows."""
    if not finding.rows:
        return None
    keys = list(dict.fromkeys([*ROW_KEYS, *(key for row in finding.rows for key in row)]))
    keys = [key for key in keys if any(row.get(key) is not None for row in finding.rows)]
    rows = [[finding_cell(key, row.get(key)) for key in keys] for row in finding.rows[:FINDING_ROWS]]
    first = f"the first {FINDING_ROWS} of {plural(finding.flagged, 'row')}" if finding.flagged > FINDING_ROWS else None
    return tables.table([key.replace("_", " ") for key in keys], rows, caption=first, box="tall")


def finding_cell(key: str, value: object) -> tables.Cell:
    if isinstance(value, str) and len(value) > 30:
        return tables.text_cell(value)
    return tables.num(value) if key == "row_id" else tables.Cell(tables.value_text(value), "name")


def worst(run: SavedRun) -> Markup | None:
    """Builds a searchable table of the rows with the highest loss."""
    columns = run.predictions or {}
    losses = columns.get("loss") or []
    order = sorted((i for i, loss in enumerate(losses) if is_number(loss)), key=lambda i: -losses[i])[:WORST_ROWS]
    if not order:
        return None
    names = [str(name) for name in run.result.data.get("labels") or ()]
    heads: Sequence[str] = ("row", "split", "text", "label", "predicted", "p(label)", "p(predicted)", "loss")
    rows: list[Sequence[tables.Cell]] = [worst_row({key: values[i] for key, values in columns.items()}, names) for i in order]
    if problem_type(run) != "single_label_classification" or not any(row[5].content != ABSENT for row in rows):
        heads, rows = [*heads[:5], heads[7]], [[*row[:5], row[7]] for row in rows]
    shown, total = plural(len(rows), "row"), plural(len(losses), "row")
    note = f"The {shown} with the highest loss, of {total}: often wrong labels or rare cases."
    search = tag("label", "Search ", tag("input", type="search", aria_controls="worst-rows"))
    box = tag("div", search, tag("span", aria_live="polite", class_="quiet"), class_="filter")
    return join([tag("p", note), box, tables.table(heads, rows, id="worst-rows", sortable=True, box="tall")])


def worst_row(row: Mapping[str, Any], names: list[str]) -> tuple[tables.Cell, ...]:
    pred_probs = row.get("pred_probs") or ()
    probabilities = dict(zip(names, pred_probs, strict=True)) if len(pred_probs) == len(names) else {}
    label, prediction = row.get("label"), row.get("prediction")
    p_label, p_predicted = (probabilities.get(name) if isinstance(name, str) else None for name in (label, prediction))
    return (
        tables.num(or_dash(row.get("row_id"))),
        tables.Cell(or_dash(row.get("split"))),
        tables.text_cell(row.get("text"), row.get("pair")),
        tables.Cell(tables.value_text(label), "name"),
        tables.Cell(tables.value_text(prediction), "name"),
        tables.num(number(p_label), p_label),
        tables.num(number(p_predicted), p_predicted),
        tables.num(number(row.get("loss")), row.get("loss")),
    )


def or_dash(value: object) -> object:
    return ABSENT if value is None else value


def data(run: SavedRun) -> Markup | None:
    """Shows the files, the numbers of rows read, dropped and used, and the columns with the reasons for their roles."""
    if not run.result.data:
        return None
    columns, reasons = part(run.result.data, "columns"), part(run.result.data, "columns_reasons")
    used = [
        (name, tables.Cell(tables.value_text(value), "name"), tables.value_text(reasons.get(name, "")))
        for name, value in columns.items()
        if value not in (None, [], "") and name != "reasons"
    ]
    kind = TASK_NAMES.get(str(run.result.data.get("problem_type")), "")
    n_labels = len(run.result.data.get("labels") or ())
    classes = f", {plural(n_labels, 'class')}" if n_labels > 1 else ""
    task = f"The task is {kind}{classes}." if kind else ""
    notes = [tag("li", note) for note in run.result.data.get("notes") or ()]
    columns_table = [tag("h3", "Columns"), tables.table(("role", "column", "reason"), used, box="fit")] if used else []
    notes_list = [tag("h3", "Notes"), tag("ul", *notes)] if notes else []
    return join([tag("p", task) if task else None, files_table(run), *columns_table, label_counts(run), *notes_list])


def files_table(run: SavedRun) -> Markup | None:
    """Builds a table with one row per split: source, numbers of rows read, dropped and used, and the file's sha256."""
    rows = []
    for name, record in splits(run).items():
        dropped = ", ".join(f"{count(n)} {reason}" for reason, n in part(record, "dropped").items()) or "0"
        sha = str(record.get("sha256") or "")
        rows.append(
            (
                name,
                tables.Cell(or_dash(record.get("source")), "name"),
                tables.num(count(record.get("rows_read"))),
                tables.Cell(dropped, "name"),
                tables.num(count(record.get("rows"))),
                tables.Cell(tag("code", sha[:12] + "…", title=sha) if sha else ABSENT),
            )
        )
    return tables.table(("split", "file", "rows read", "dropped", "rows used", "sha256"), rows) if rows else None


def label_counts(run: SavedRun) -> Markup | None:
    """Builds a table of the number of rows of each label in each split."""
    records = {name: part(record, "label_counts") for name, record in splits(run).items()}
    records = {name: counts for name, counts in records.items() if counts}
    if not records:
        return None
    labels = dict.fromkeys([*(run.result.data.get("labels") or ()), *(label for counts in records.values() for label in counts)])
    by_label = {label: [counts.get(label, 0) for counts in records.values()] for label in labels}
    rows = [(tables.Cell(label, "name"), *(tables.num(count(n), n) for n in counts)) for label, counts in by_label.items()]
    table = tables.table(("label", *records), rows, sortable=True, box="fit tall")
    if len(rows) <= 12:
        return join([tag("h3", "Labels"), table])
    return tag("details", tag("summary", f"Rows of each of the {plural(len(rows), 'label')}"), tag("div", table))


def training(run: SavedRun) -> Markup | None:
    """Shows parameters, steps, learning rate, selected checkpoint and the settings of the fast path."""
    record = run.result.training
    fast_path = part(record, "kernels")
    settings = [(key, value) for key, value in fast_path.items() if key != "reasons"]
    total, trained = record.get("n_parameters"), record.get("n_trainable_parameters")
    share = fraction(trained, total)
    thresholds, speed = record.get("thresholds"), record.get("rows_per_second")
    first, expected = record.get("first_loss"), record.get("expected_first_loss")
    of_untrained_head = f" (expected about {number(expected)})" if is_number(first) and is_number(expected) else ""
    table = tables.pairs(
        (
            ("parameters", count(total)),
            ("trained parameters", count(trained) if share is None else f"{count(trained)} ({percent(share)})"),
            ("optimizer steps", count(record.get("steps"))),
            ("epochs", significant(record.get("epochs"))),
            ("selected checkpoint (step)", count(record.get("best_step"))),
            ("its validation metric", best_text(record.get("best_metric"))),
            ("metric of early stopping", display_name(str(record.get("early_stopping_metric") or ""))),
            ("peak learning rate", significant(record.get("learning_rate"))),
            ("batch size (rows)", count(record.get("batch_rows"))),
            ("dropout", dropout_text(record)),
            ("start of the head", str(record.get("head") or "")),
            ("distillation", str(record.get("distillation") or "")),
            ("loss", str(record.get("loss") or "")),
            ("batch sampler", str(record.get("batch_sampler") or "")),
            ("dimensions", count(record.get("dimension")) if record.get("dimension") else ""),
            ("first loss", number(first) + of_untrained_head),
            ("last loss", number(record.get("last_loss"))),
            ("speed", f"{significant(speed)} rows/s" if is_number(speed) else ""),
            ("seeds", tables.value_text(record.get("seeds")) if record.get("seeds") else ""),
            ("decision thresholds", tables.value_text(thresholds) if thresholds else ""),
            *((f"{key.replace('_', ' ')} (fast path)", tables.value_text(value)) for key, value in settings),
        )
    )
    notes = [tag("li", line) for line in (*reason_lines(fast_path.get("reasons")), *(record.get("notes") or ()))]
    return join([table, tag("ul", *notes, class_="note") if notes else None]) if table or notes else None


def reason_lines(reasons: Mapping[str, object] | Iterable[object] | None) -> list[str]:
    """Formats the reasons for the settings of the fast path, recorded as a list or as setting -> reason."""
    if isinstance(reasons, Mapping):
        return [f"{str(name).replace('_', ' ')}: {reason}" for name, reason in reasons.items()]
    return [str(reason) for reason in reasons or ()]


def best_text(best: object) -> str:
    """Formats the validation metric of the selected checkpoint, recorded as a number or with its name."""
    if isinstance(best, Mapping):
        return f"{number(best.get('value'))} ({display_name(str(best.get('name')))})" if is_number(best.get("value")) else ABSENT
    return number(best)


def dropout_text(record: Mapping[str, Any]) -> str:
    """Formats the dropout of training; empty if it was not recorded."""
    if "dropout" not in record:
        return ""
    return "the model's own" if record["dropout"] is None else significant(record["dropout"])


def certificates(run: SavedRun) -> Markup | None:
    """Builds the table of verified claims about this run."""
    passed, failed = tag("span", "✓ passed", class_="word better"), tag("span", "✗ failed", class_="word worse")
    rows = [
        (
            certificate.name.replace("_", " "),
            passed if certificate.passed else failed,
            tables.num(significant(certificate.figure)),
            tables.num(significant(certificate.limit)),
            tables.Cell(certificate.note.rstrip(":"), "name"),
        )
        for certificate in run.result.certificates
    ]
    return tables.table(("claim", "result", "measured", "limit", "note"), rows) if rows else None


def machine(run: SavedRun) -> Markup | None:
    """Builds the table of hardware and versions."""

    def text(key: str, value: object) -> str:
        if key.endswith("_bytes"):
            return size(value)
        return str(value) if isinstance(value, float) else tables.value_text(value)

    return tables.pairs(
        (key.replace("_bytes", "").replace("_", " "), text(key, value)) for key, value in run.result.environment.items()
    )


def timings(run: SavedRun) -> Markup | None:
    """Shows the time per phase and the peak memory."""
    phases = {name: seconds for name, seconds in run.result.timings_seconds.items() if is_number(seconds)}
    total = total_seconds(run.result)
    phases.pop("total", None)
    rest = total - math.fsum(phases.values())
    if rest > 0.01 * total:
        phases["other"] = rest
    bars = {name: tables.share_bar(seconds / total if total else 0.0) for name, seconds in phases.items()}
    rows: list[tuple[object, ...]] = [
        (name.replace("_", " "), tables.num(duration(phases[name])), tables.Cell(bar)) for name, bar in bars.items()
    ]
    if total:
        rows.append((tag("strong", "total"), tables.num(tag("strong", duration(total))), tables.Cell("")))
    parts = [tables.table(("phase", "time", "share"), rows, box="fit") if rows else None, *memory(run)]
    return join(parts) if any(part is not None for part in parts) else None


def memory(run: SavedRun) -> list[Markup | None]:
    """Shows the peak memory of the process and of each GPU, and the memory through the run."""
    words, figure = memory_words(run.result), memory_curve(part(run.result.memory, "samples"))
    return [tag("p", f"Peak memory: {words}.") if words else None, plot(figure, "Memory", "over the seconds of the run")]


def recipe(run: SavedRun) -> Markup | None:
    text = run.resolved
    if not text and run.result.recipe:
        import yaml

        text = yaml.safe_dump(run.result.recipe, sort_keys=False, allow_unicode=True)
    return tag("pre", tag("code", text), tabindex=0, aria_label="resolved recipe") if text else None


def use(run: SavedRun) -> Markup | None:
    """Shows how to load the model, in three lines of Python."""
    rows, _ = evaluated_rows(run)
    has_pair = bool(part(run.result.data, "columns").get("pair")) or any(pair is not None for pair in rows.get("pair", ()))
    output = str(run.result.recipe.get("output") or "")
    folder = output if Path(output).name == run.name else run.name
    code = loading_lines(f"{folder}/model", problem_type(run), has_pair)
    return tag("pre", tag("code", code), tabindex=0, aria_label="Python code")


def loading_lines(model: str, problem_type: str, pair: bool) -> str:
    """Formats three lines of Python that load and use the model."""
    if problem_type == EMBEDDING:
        load = f'model = SentenceTransformer("{model}")'
        return f'from sentence_transformers import SentenceTransformer\n{load}\nprint(model.encode(["a text"]))\n'
    if problem_type == SEQ2SEQ:  # upstream has no pipeline for them, and generates 20 tokens by default
        loaded = ", ".join(f'{name}.from_pretrained("{model}")' for name in ("AutoModelForSeq2SeqLM", "AutoTokenizer"))
        written = 'model.generate(**tokenizer("a text", return_tensors="pt"), max_new_tokens=64)[0]'
        lines = f"model, tokenizer = {loaded}\nprint(tokenizer.decode({written}, skip_special_tokens=True))\n"
        return f"from transformers import AutoModelForSeq2SeqLM, AutoTokenizer\n{lines}"
    if problem_type in (CAUSAL, MASKED):
        masked = '"a text with one " + model.tokenizer.mask_token'
        name, text = ("text-generation", '"a text"') if problem_type == CAUSAL else ("fill-mask", masked)
        load = f'model = pipeline("{name}", model="{model}")'
        return f"from transformers import pipeline\n{load}\nprint(model({text}))\n"
    if problem_type == REWARD:
        rows = 'rows = [{"prompt": "a question", "completion": "an answer"}]'
        return f'import tunesmith\n{rows}\nprint(tunesmith.predict("{model}", rows).predictions)\n'
    text = '{"text": "the first text", "text_pair": "the second text"}' if pair else '"a text to classify"'
    every = ", top_k=None" if problem_type == "multi_label_classification" else ""
    load = f'model = pipeline("text-classification", model="{model}")'
    return f"from transformers import pipeline\n{load}\nprint(model({text}{every}))\n"
