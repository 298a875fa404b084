"""Tables of a report as markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.data.personal import masked
from tunesmith.report.counts import ClassScore, Rate
from tunesmith.report.markup import Markup, escape, join, tag
from tunesmith.report.numbers import ABSENT, count, is_number, number, percent, with_interval
from tunesmith.report.words import plain_name
from tunesmith.results import Metric, RunResult, Verdict

WORD_CLASSES = {"better": "better", "worse": "worse", "cannot tell": "unsure"}
WORD_SIGNS = {"better": "▲", "worse": "▼", "cannot tell": "≈"}
LONGEST_TEXT = 600


@dataclass(frozen=True)
class Cell:
    """A table cell that is more than its text.

    Attributes:
        sort: what the column is sorted by, where the shown text is not it.
        kind: CSS class; ``num`` aligns to the right.
    """

    content: object
    kind: str = ""
    sort: object = None


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], **options: Any) -> Markup:
    """A table in its own scrolling box; the first cell of each row is its heading.

    Options: ``caption``, ``sortable``, ``id``, and ``box`` (CSS classes of the box: ``tall``, ``cards``, ``fit``).
    """
    body = [table_row(heads, row) for row in rows]
    right = numeric_columns(heads, body)
    head = (
        None
        if not any(heads)
        else tag("tr", *(tag("th", name, scope="col", class_="num" if i in right else None) for i, name in enumerate(heads)))
    )
    caption = options.get("caption")
    content = tag(
        "table",
        tag("caption", caption) if caption else None,
        tag("thead", head),
        tag("tbody", *(row for row, _ in body)),
        id=options.get("id"),
        class_="sortable" if options.get("sortable") else None,
    )
    label = f"Table: {caption or ', '.join(head for head in heads if head)}"
    return tag("div", content, class_=f"scroll {options.get('box', '')}".strip(), tabindex=0, role="region", aria_label=label)


def table_row(heads: Sequence[str], row: Sequence[object]) -> tuple[Markup, list[bool]]:
    """The row, and for each cell whether it is aligned to the right."""
    cells = [cell if isinstance(cell, Cell) else Cell(cell) for cell in row]
    shown = [
        tag(
            "th" if i == 0 else "td",
            cell.content,
            scope="row" if i == 0 else None,
            class_=cell.kind or None,
            data_sort=cell.sort,
            data_label=name or None,
        )
        for i, (name, cell) in enumerate(zip(heads, cells, strict=True))
    ]
    return tag("tr", *shown), ["num" in cell.kind.split() for cell in cells]


def numeric_columns(heads: Sequence[str], body: Sequence[tuple[Markup, list[bool]]]) -> set[int]:
    """The columns whose cells are all aligned to the right."""
    return {i for i in range(len(heads)) if body and all(right[i] for _, right in body)}


def num(text: object, sort: Any = None, kind: str = "") -> Cell:
    """A right-aligned cell; an unknown value sorts last."""
    return Cell(text, f"num {kind}".strip(), sort)


def word(name: str) -> Markup:
    """A verdict's word with its sign and colour."""
    return tag("span", f"{WORD_SIGNS.get(name, '')} {name}", class_=f"word {WORD_CLASSES.get(name, '')}".strip())


def pairs(rows: Iterable[tuple[str, object]]) -> Markup | None:
    """A two-column table of names and values without those that are absent; None where none is left."""
    kept = [(name, value) for name, value in rows if value not in (None, "", ABSENT)]
    return table(("", ""), [(name, Cell(value, "name")) for name, value in kept], box="fit plain") if kept else None


def interval_bar(rate: Rate) -> Markup:
    """A small picture of a share and its interval on the line from 0 to 1."""
    if rate.value is None:
        return Markup("")
    parts = [tag("rect", class_="track", x=0, y=6, width=100, height=2, rx=1)]
    if rate.low is not None and rate.high is not None:
        parts.append(
            tag(
                "rect",
                class_="band",
                x=round(100 * rate.low, 1),
                y=4,
                width=round(100 * (rate.high - rate.low), 1),
                height=6,
                rx=3,
            )
        )
    parts.append(tag("circle", class_="dot", cx=round(100 * rate.value, 1), cy=7, r=4))
    return tag("svg", *parts, class_="bar", viewBox="-5 0 110 14", aria_hidden="true")


def share_bar(share: float) -> Markup:
    """A bar whose length is a share."""
    bar = tag("rect", class_="part", x=0, y=2, width=round(100 * min(1.0, max(0.0, share)), 1), height=10, rx=2)
    return tag("svg", bar, class_="bar", viewBox="0 0 100 14", preserveAspectRatio="none", aria_hidden="true")


def rate_cell(rate: Rate) -> Cell:
    return num(with_interval(rate.value, rate.low, rate.high), ABSENT if rate.value is None else rate.value)


def verdict_table(verdicts: Sequence[Verdict]) -> Markup:
    """What this run was compared with, and what can be said of it."""
    heads = ("against", "verdict", "difference [95 %]", "metric", "split", "rows", "McNemar p", "smallest visible")
    return table(heads, [verdict_row(verdict) for verdict in verdicts])


def verdict_row(verdict: Verdict) -> tuple[object, ...]:
    difference = with_interval(verdict.difference, verdict.low, verdict.high, signed=True)
    return (
        plain_name(verdict.against),
        word(verdict.word),
        num(difference, verdict.difference),
        plain_name(verdict.metric),
        verdict.split,
        num(count(verdict.n) if verdict.n else ABSENT),
        num(number(verdict.p_value)),
        num(number(verdict.smallest_detectable)),
    )


def metric_names(result: RunResult, split: str) -> list[str]:
    """Every metric measured on that split by the run or a baseline, the run's first."""
    own = [metric.name for metric in result.metrics if metric.split == split]
    theirs = [metric.name for baseline in result.baselines for metric in baseline.metrics if metric.split == split]
    return list(dict.fromkeys([*own, *theirs]))


def find(metrics: Sequence[Metric], name: str, split: str) -> Metric | None:
    """The metric of that name on that split."""
    return next((metric for metric in metrics if (metric.name, metric.split) == (name, split)), None)


def metric_cell(metric: Metric | None, kind: str = "") -> Cell:
    """A value with its interval on a second line, so that several systems fit side by side."""
    if metric is None or not is_number(metric.value):
        return num(ABSENT, ABSENT, kind)
    whole = with_interval(metric.value, metric.low, metric.high)
    value, bracket, ends = whole.partition(" [")
    interval = [tag("br"), tag("span", f"[{ends}", class_="quiet")] if bracket else []
    return num(join([value, *interval]), metric.value, kind)


def metrics_table(result: RunResult, split: str, beside: Sequence[str] = ()) -> Markup | None:
    """The run and its baselines side by side on one split, then the run alone on the splits ``beside``; None without figures."""
    names = metric_names(result, split)
    if not names:
        return None
    rivals = [baseline for baseline in result.baselines if any(metric.split == split for metric in baseline.metrics)]
    heads = (
        "metric",
        "this run",
        *(plain_name(baseline.name) for baseline in rivals),
        *(f"this run, {other}" for other in beside),
    )
    rows = [
        (
            named(result, name, split),
            metric_cell(find(result.metrics, name, split), "own"),
            *(metric_cell(find(b.metrics, name, split)) for b in rivals),
            *(metric_cell(find(result.metrics, name, other)) for other in beside),
        )
        for name in names
    ]
    n = max((metric.n for metric in result.metrics if metric.split == split and is_number(metric.n)), default=0)
    return table(heads, rows, caption=f"{split}, {n:,} rows" if n else split)


def named(result: RunResult, name: str, split: str) -> Markup:
    """A metric's name, with a word where less is better."""
    known = [find(metrics, name, split) for metrics in (result.metrics, *(baseline.metrics for baseline in result.baselines))]
    lower = any(metric is not None and not metric.higher_is_better for metric in known)
    return join([plain_name(name), tag("span", " ↓", class_="quiet", title="less is better") if lower else None])


def class_table(scores: Sequence[ClassScore]) -> Markup:
    """Precision, recall and F1 of each class with intervals; sortable."""
    heads = ("class", "support", "predicted", "precision", "recall", "F1", "F1, 0 to 1")
    rows = [
        (
            Cell(breakable(score.name), "name"),
            num(count(score.support), score.support),
            num(count(score.predicted), score.predicted),
            rate_cell(score.precision),
            rate_cell(score.recall),
            rate_cell(score.f1),
            Cell(interval_bar(score.f1), sort=ABSENT if score.f1.value is None else score.f1.value),
        )
        for score in scores
    ]
    return table(heads, rows, sortable=True, box="tall")


def breakable(name: str) -> Markup:
    """A class name that may be broken after an underscore where the column is narrow."""
    return Markup(escape(name).replace("_", "_<wbr>"))


def confusion_list(mistakes: Sequence[tuple[str, str, int, float]]) -> Markup:
    """The most frequent mistakes."""
    rows = [
        (Cell(breakable(a), "name"), Cell(breakable(b), "name"), num(count(n), n), num(percent(share), share))
        for a, b, n, share in mistakes
    ]
    return table(("given", "predicted", "rows", "share of the given class"), rows, box="tall", sortable=True)


def text_cell(text: object, pair: object = None) -> Cell:
    """A text from the data, the second text of a pair below it; personal data are masked."""
    shown = [tag("bdi", public(text))]
    if pair is not None:
        shown.append(tag("span", tag("bdi", public(pair)), class_="pair"))
    return Cell(join(shown), "text")


def public(text: object) -> str:
    """The beginning of a text with its personal data masked."""
    return shortened(masked(text) if isinstance(text, str) else text)


def shortened(text: object) -> str:
    """At most 600 characters of a value, with a mark where it was longer."""
    whole = "" if text is None else str(text)
    return whole if len(whole) <= LONGEST_TEXT else f"{whole[:LONGEST_TEXT]} …"


def value_text(value: object) -> str:
    """A label, prediction or any recorded value as one line of text."""
    if value is None:
        return ABSENT
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(value_text, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {value_text(item)}" for key, item in value.items())
    return shortened(value)
