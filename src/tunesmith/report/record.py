"""The sections of a report that say what went in and how the run was made: texts, data, training, machine, recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.report import figures, tables
from tunesmith.report.evidence import grid, judged, plot, problem
from tunesmith.report.markup import Markup, join, tag
from tunesmith.report.numbers import ABSENT, count, duration, is_number, number, percent, plural, significant, size
from tunesmith.report.words import CAUSAL, EMBEDDING, MASKED, TASK_NAMES, part, plain_name, total_seconds, worst_first
from tunesmith.results import Certificate, Finding
from tunesmith.saved_run import SavedRun

WORST_ROWS = 100
FINDING_ROWS = 25
ROW_KEYS = ("row_id", "split", "reason")


def splits(run: SavedRun) -> dict[str, dict[str, Any]]:
    """The data record of each split."""
    return {name: dict(record) for name, record in part(run.result.data, "splits").items() if isinstance(record, Mapping)}


def lengths(run: SavedRun) -> Markup | None:
    """How long the texts are in tokens and how many were cut."""
    records = {
        name: record
        for name, record in splits(run).items()
        if record.get("length_tokens") or record.get("rows_truncated") is not None
    }
    if not records:
        return None
    marks = ("p50", "p90", "p99", "max")
    heads = ("split", "median", "90 %", "99 %", "longest", "limit", "rows cut")
    rows = []
    for name, record in records.items():
        cut, total = record.get("rows_truncated"), record.get("rows")
        share = f"{count(cut)} ({percent(cut / total)})" if is_number(cut) and is_number(total) and total else count(cut)
        tokens = [tables.num(count(part(record, "length_tokens").get(mark))) for mark in marks]
        rows.append((name, *tokens, tables.num(count(record.get("max_length"))), tables.num(share)))
    picture = plot(figures.lengths(records), "Length of the texts", "in tokens; dashed: where longer texts are cut")
    return join([tables.table(heads, rows, caption="tokens per row"), grid(picture)])


def findings(run: SavedRun) -> Markup | None:
    """What the checks and diagnoses found, the worst first; after them those that point at no row, and what was skipped."""
    worst = worst_first(run.result.findings)
    found = [*worst, *sorted((f for f in run.result.findings if f not in worst), key=lambda finding: bool(finding.skipped))]
    return join([finding_box(finding) for finding in found]) if found else None


def finding_box(finding: Finding) -> Markup:
    """One finding: its line, and behind it the remedy and the first rows."""
    badge = tag(
        "span",
        ABSENT if finding.skipped else count(finding.flagged),
        class_="badge" if finding.flagged and not finding.skipped else "badge none",
    )
    line = join(
        [
            badge,
            tag("strong", finding.name.replace("_", " ")),
            f": did not run: {finding.skipped}" if finding.skipped else f": {finding.summary}",
        ]
    )
    inside = [tag("p", finding.remedy) if finding.remedy else None, finding_rows(finding)]
    if not any(inside):
        return tag("details", tag("summary", line), tag("div", tag("p", "No rows to show.", class_="quiet")))
    return tag("details", tag("summary", line), tag("div", *inside))


def finding_rows(finding: Finding) -> Markup | None:
    """The first flagged rows with whatever was recorded of them."""
    if not finding.rows:
        return None
    keys = list(dict.fromkeys([*ROW_KEYS, *(key for row in finding.rows for key in row)]))
    keys = [key for key in keys if any(row.get(key) is not None for row in finding.rows)]
    rows = [[finding_cell(key, row.get(key)) for key in keys] for row in finding.rows[:FINDING_ROWS]]
    first = f"the first {FINDING_ROWS} of {finding.flagged:,} rows" if finding.flagged > FINDING_ROWS else None
    return tables.table([key.replace("_", " ") for key in keys], rows, caption=first, box="cards tall")


def finding_cell(key: str, value: Any) -> tables.Cell:
    if isinstance(value, str) and len(value) > 30:
        return tables.text_cell(value)
    return tables.num(value) if key == "row_id" else tables.Cell(tables.value_text(value), "name")


def worst(run: SavedRun) -> Markup | None:
    """The rows the model found hardest, with a box to search them."""
    columns = run.predictions or {}
    losses = columns.get("loss") or []
    order = sorted((i for i, loss in enumerate(losses) if is_number(loss)), key=lambda i: -losses[i])[:WORST_ROWS]
    if not order:
        return None
    names = [str(name) for name in run.result.data.get("labels") or ()]
    heads: Sequence[str] = ("row", "split", "text", "given", "predicted", "p(given)", "p(predicted)", "loss")
    rows: list[Sequence[tables.Cell]] = [worst_row({key: values[i] for key, values in columns.items()}, names) for i in order]
    if problem(run) != "single_label_classification" or not any(row[5].content != ABSENT for row in rows):
        heads, rows = [*heads[:5], heads[7]], [[*row[:5], row[7]] for row in rows]
    largest = f"The {plural(len(rows), 'row')} with the largest loss, of {plural(len(losses), 'row')}."
    said = f"{largest} Wrong labels, rare cases and weak spots of the model are here."
    box = tag(
        "div",
        tag("label", "Search ", tag("input", type="search", aria_controls="worst-rows")),
        tag("span", aria_live="polite", class_="quiet"),
        class_="filter",
    )
    return join([tag("p", said), box, tables.table(heads, rows, id="worst-rows", sortable=True, box="cards tall")])


def worst_row(row: Mapping[str, Any], names: list[str]) -> tuple[tables.Cell, ...]:
    """The cells of one row."""
    chances = row.get("pred_probs") or ()
    odds = dict(zip(names, chances, strict=True)) if len(chances) == len(names) else {}
    label, prediction = row.get("label"), row.get("prediction")
    given, said = (odds.get(name) if isinstance(name, str) else None for name in (label, prediction))
    return (
        tables.num(value_of(row.get("row_id"))),
        tables.Cell(value_of(row.get("split"))),
        tables.text_cell(row.get("text"), row.get("pair")),
        tables.Cell(tables.value_text(label), "name"),
        tables.Cell(tables.value_text(prediction), "name"),
        tables.num(number(given), given),
        tables.num(number(said), said),
        tables.num(number(row.get("loss")), row.get("loss")),
    )


def value_of(value: Any) -> object:
    return ABSENT if value is None else value


def data(run: SavedRun) -> Markup | None:
    """The files, the rows read, dropped and used, the columns and why they were taken."""
    if not run.result.data:
        return None
    columns, reasons = part(run.result.data, "columns"), part(run.result.data, "columns_reasons")
    used = [
        (name, tables.value_text(value), tables.value_text(reasons.get(name, "")))
        for name, value in columns.items()
        if value not in (None, [], "") and name != "reasons"
    ]
    kind = TASK_NAMES.get(str(run.result.data.get("problem_type")), "")
    n_labels = len(run.result.data.get("labels") or ())
    task = f"The task is {kind}{f', {n_labels} classes' if n_labels > 1 else ''}." if kind else ""
    notes = [tag("li", note) for note in run.result.data.get("notes") or ()]
    return join(
        [
            tag("p", task) if task else None,
            files_table(run),
            tag("h3", "Columns") if used else None,
            tables.table(("part", "column", "why"), [(a, tables.Cell(b, "name"), c) for a, b, c in used], box="fit")
            if used
            else None,
            label_counts(run),
            tag("h3", "Notes") if notes else None,
            tag("ul", *notes) if notes else None,
        ]
    )


def files_table(run: SavedRun) -> Markup | None:
    """One line a split: source, rows read, dropped and used, the file's sha256."""
    rows = []
    for name, record in splits(run).items():
        dropped = ", ".join(f"{count(n)} {reason}" for reason, n in part(record, "dropped").items()) or "0"
        sha = str(record.get("sha256") or "")
        rows.append(
            (
                name,
                tables.Cell(value_of(record.get("source")), "name"),
                tables.num(count(record.get("rows_read"))),
                tables.Cell(dropped, "name"),
                tables.num(count(record.get("rows"))),
                tables.Cell(tag("code", sha[:12] + "…", title=sha) if sha else ABSENT),
            )
        )
    return tables.table(("split", "file", "rows read", "dropped", "rows used", "sha256"), rows) if rows else None


def label_counts(run: SavedRun) -> Markup | None:
    """How often each label occurs in each split."""
    records = {name: part(record, "label_counts") for name, record in splits(run).items()}
    records = {name: counted for name, counted in records.items() if counted}
    if not records:
        return None
    labels = list(
        dict.fromkeys([*(run.result.data.get("labels") or ()), *(label for counted in records.values() for label in counted)])
    )
    rows = [
        (
            tables.Cell(label, "name"),
            *(tables.num(count(counted.get(label, 0)), counted.get(label, 0)) for counted in records.values()),
        )
        for label in labels
    ]
    table = tables.table(("label", *records), rows, sortable=True, box="fit tall")
    if len(rows) <= 12:
        return join([tag("h3", "Labels"), table])
    return tag("details", tag("summary", f"How often each of the {len(rows)} labels occurs"), tag("div", table))


def training(run: SavedRun) -> Markup | None:
    """Parameters, steps, rate, kept step and the choices of the fast path."""
    found = run.result.training
    kernels = part(found, "kernels")
    total, trained = found.get("n_parameters"), found.get("n_trainable_parameters")
    share = (
        f"{count(trained)} ({percent(trained / total)})" if is_number(trained) and is_number(total) and total else count(trained)
    )
    thresholds = found.get("thresholds")
    fast = [
        (f"{key.replace('_', ' ')} (fast path)", tables.value_text(value)) for key, value in kernels.items() if key != "reasons"
    ]
    table = tables.pairs(
        (
            ("parameters", count(total)),
            ("trained parameters", share),
            ("optimizer steps", count(found.get("steps"))),
            ("epochs", significant(found.get("epochs"))),
            ("step that was kept", count(found.get("best_step"))),
            ("its validation score", best_text(found.get("best_metric"))),
            ("highest learning rate", significant(found.get("learning_rate"))),
            ("rows in a batch", count(found.get("batch_rows"))),
            ("dropout", dropout_text(found)),
            ("loss", str(found.get("loss") or "")),
            ("batches drawn by", str(found.get("batch_sampler") or "")),
            ("dimensions", count(found.get("dimension")) if found.get("dimension") else ""),
            ("first loss", loss_text(found)),
            ("last loss", number(found.get("last_loss"))),
            ("speed", f"{significant(found.get('rows_per_second'))} rows/s" if is_number(found.get("rows_per_second")) else ""),
            ("seeds", tables.value_text(found.get("seeds")) if found.get("seeds") else ""),
            ("decision thresholds", tables.value_text(thresholds) if thresholds else ""),
            *fast,
        )
    )
    reasons = [tag("li", line) for line in (*reason_lines(kernels.get("reasons")), *(found.get("notes") or ()))]
    return join([table, tag("ul", *reasons, class_="note") if reasons else None]) if table or reasons else None


def reason_lines(reasons: Any) -> list[str]:
    """Why each choice of the fast path was made: a list of sentences, or a record of choice and sentence."""
    if isinstance(reasons, Mapping):
        return [f"{str(name).replace('_', ' ')}: {reason}" for name, reason in reasons.items()]
    return [str(reason) for reason in reasons or ()]


def best_text(best: Any) -> str:
    """The score that chose the kept step: a number, or a record of its name and value."""
    if isinstance(best, Mapping):
        return f"{number(best.get('value'))} ({plain_name(str(best.get('name')))})" if is_number(best.get("value")) else ABSENT
    return number(best)


def dropout_text(found: Mapping[str, Any]) -> str:
    """The rate in training; nothing where it was not recorded."""
    if "dropout" not in found:
        return ""
    return "the model's own" if found["dropout"] is None else significant(found["dropout"])


def loss_text(found: Mapping[str, Any]) -> str:
    """The first loss beside what an untrained head should give."""
    first, expected = found.get("first_loss"), found.get("expected_first_loss")
    return f"{number(first)} (expected about {number(expected)})" if is_number(first) and is_number(expected) else number(first)


def certificates(run: SavedRun) -> Markup | None:
    """Claims about this run that were checked on this run."""
    rows = [certificate_row(one) for one in run.result.certificates]
    return tables.table(("claim", "checked", "measured", "limit", "note"), rows) if rows else None


def certificate_row(one: Certificate) -> tuple[object, ...]:
    passed = tag("span", "✓ holds", class_="word better") if one.passed else tag("span", "✗ fails", class_="word worse")
    return (
        one.name.replace("_", " "),
        passed,
        tables.num(significant(one.figure)),
        tables.num(significant(one.limit)),
        tables.Cell(one.note, "name"),
    )


def machine(run: SavedRun) -> Markup | None:
    """Processor, memory and versions."""
    shown = [
        (key.replace("_bytes", "").replace("_", " "), size(value) if key.endswith("_bytes") else environment_text(value))
        for key, value in run.result.environment.items()
    ]
    return tables.pairs(shown)


def environment_text(value: Any) -> str:
    return str(value) if isinstance(value, float) else tables.value_text(value)


def timings(run: SavedRun) -> Markup | None:
    """Seconds per phase and the peak memory."""
    phases = {name: seconds for name, seconds in run.result.timings_seconds.items() if is_number(seconds)}
    total = total_seconds(run.result)
    phases.pop("total", None)
    rest = total - math.fsum(phases.values())
    if rest > 0.01 * total:
        phases["everything else"] = rest
    rows = [timing_row(name.replace("_", " "), seconds, total) for name, seconds in phases.items()]
    if total:
        rows.append((tag("strong", "total"), tables.num(tag("strong", duration(total))), tables.Cell("")))
    peak = tag("p", f"Peak memory: {size(run.result.peak_memory_bytes)}.") if run.result.peak_memory_bytes else None
    return join([tables.table(("phase", "time", "share"), rows, box="fit") if rows else None, peak]) if rows or peak else None


def timing_row(name: str, seconds: float, total: float) -> tuple[object, ...]:
    return (name, tables.num(duration(seconds)), tables.Cell(tables.share_bar(seconds / total if total else 0.0)))


def recipe(run: SavedRun) -> Markup | None:
    """The resolved recipe, every default filled in."""
    text = run.resolved
    if not text and run.result.recipe:
        import yaml

        text = yaml.safe_dump(run.result.recipe, sort_keys=False, allow_unicode=True)
    return tag("pre", tag("code", text), tabindex=0, aria_label="resolved recipe") if text else None


def use(run: SavedRun) -> Markup | None:
    """How to load the model, in three lines."""
    return tag(
        "pre", tag("code", loading_lines(f"{run.name}/model", problem(run), has_pair(run))), tabindex=0, aria_label="Python code"
    )


def has_pair(run: SavedRun) -> bool:
    """Whether the task has a second text."""
    rows, _ = judged(run)
    return bool(part(run.result.data, "columns").get("pair")) or any(pair is not None for pair in rows.get("pair", ()))


def loading_lines(model: str, problem_type: str, pair: bool) -> str:
    """Three lines of Python that load the model and use it."""
    if problem_type == EMBEDDING:
        load = f'model = SentenceTransformer("{model}")'
        return f'from sentence_transformers import SentenceTransformer\n{load}\nprint(model.encode(["a text"]))\n'
    if problem_type in (CAUSAL, MASKED):
        name, text = ("text-generation", '"a text"') if problem_type == CAUSAL else ("fill-mask", '"a text with one [MASK]"')
        load = f'model = pipeline("{name}", model="{model}")'
        return f"from transformers import pipeline\n{load}\nprint(model({text}))\n"
    text = '{"text": "the first text", "text_pair": "the second text"}' if pair else '"a text to classify"'
    every = ", top_k=None" if problem_type == "multi_label_classification" else ""
    load = f'model = pipeline("text-classification", model="{model}")'
    return f"from transformers import pipeline\n{load}\nprint(model({text}{every}))\n"
