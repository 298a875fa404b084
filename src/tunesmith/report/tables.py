"""Builds the tables of a report as markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tunesmith.data.cells import plural
from tunesmith.data.personal import masked
from tunesmith.report.counts import ClassScore, Rate
from tunesmith.report.markup import Markup, escape, join, tag
from tunesmith.report.numbers import ABSENT, count, is_number, number, percent, with_interval
from tunesmith.report.words import display_name, find, sample_unit
from tunesmith.results import Finding, Metric, RunResult, Verdict

WORD_CLASSES = {"better": "better", "worse": "worse", "cannot tell": "unsure"}
WORD_SIGNS = {"better": "▲", "worse": "▼", "cannot tell": "≈"}
LONGEST_TEXT = 600


@dataclass(frozen=True)
class Cell:
    """A table cell with a style or a sort key.

    Attributes:
        kind: CSS class; ``num`` aligns to the right.
        sort: sort key, if it differs from the shown text.
    """

    content: object
    kind: str = ""
    sort: object = None


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    caption: str | None = None,
    sortable: bool = False,
    id: str | None = None,
    box: str = "",
) -> Markup:
    """Builds a table in a scrolling box; the first cell of each row is its heading.

    Args:
        box: CSS classes of the box: ``tall``; ``fit`` for few short columns, which stay a table on a phone; ``plain``.
    """
    body = [table_row(heads, row) for row in rows]
    right = {i for i in range(len(heads)) if body and all(is_right[i] for _, is_right in body)}
    names = (tag("th", name, scope="col", class_="num" if i in right else None) for i, name in enumerate(heads))
    content = tag(
        "table",
        tag("caption", caption) if caption else None,
        tag("thead", tag("tr", *names) if any(heads) else None),
        tag("tbody", *(row for row, _ in body)),
        id=id,
        class_="sortable" if sortable else None,
    )
    label = f"Table: {caption or ', '.join(head for head in heads if head)}"
    return tag("div", content, class_=f"scroll {box}".strip(), tabindex=0, role="region", aria_label=label)


def table_row(heads: Sequence[str], row: Sequence[object]) -> tuple[Markup, list[bool]]:
    """Builds a row; also returns for each cell whether it is aligned to the right."""
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


def num(text: object, sort: object = None, kind: str = "") -> Cell:
    """Makes a right-aligned cell."""
    return Cell(text, f"num {kind}".strip(), sort)


def word(name: str) -> Markup:
    """Builds the word of a verdict with its sign and colour."""
    return tag("span", f"{WORD_SIGNS.get(name, '')} {name}", class_=f"word {WORD_CLASSES.get(name, '')}".strip())


def pairs(rows: Iterable[tuple[str, object]]) -> Markup | None:
    """Builds a table of names and values, without missing values; None if it is empty."""
    present = [(name, Cell(value, "name")) for name, value in rows if value not in (None, "", ABSENT)]
    return table(("", ""), present, box="fit plain") if present else None


def interval_bar(rate: Rate) -> Markup:
    """Draws a rate and its interval on a line from 0 to 1."""
    if rate.value is None:
        return Markup("")
    parts = [tag("rect", class_="track", x=0, y=6, width=100, height=2, rx=1)]
    if rate.low is not None and rate.high is not None:
        start, width = round(100 * rate.low, 1), round(100 * (rate.high - rate.low), 1)
        parts.append(tag("rect", class_="band", x=start, y=4, width=width, height=6, rx=3))
    parts.append(tag("circle", class_="dot", cx=round(100 * rate.value, 1), cy=7, r=4))
    return tag("svg", *parts, class_="bar", viewBox="-5 0 110 14", aria_hidden="true")


def share_bar(share: float) -> Markup:
    bar = tag("rect", class_="part", x=0, y=2, width=round(100 * min(1.0, max(0.0, share)), 1), height=10, rx=2)
    return tag("svg", bar, class_="bar", viewBox="0 0 100 14", preserveAspectRatio="none", aria_hidden="true")


def rate_cell(rate: Rate) -> Cell:
    return num(with_interval(rate.value, rate.low, rate.high), ABSENT if rate.value is None else rate.value)


def verdict_table(verdicts: Sequence[Verdict]) -> Markup:
    heads = ("against", "verdict", "difference [95 %]", "metric", "rows", "adjusted p", "smallest detectable")
    rows = [
        (
            display_name(v.against),
            word(v.word),
            two_lines(with_interval(v.difference, v.low, v.high, signed=True), v.difference),
            join([display_name(v.metric), tag("br"), tag("span", f"on {v.split}", class_="quiet")]),
            size_cell(v),
            num(number(v.p_adjusted if v.p_adjusted is not None else v.p_value)),
            num(number(v.smallest_detectable)),
        )
        for v in verdicts
    ]
    return table(heads, rows)


def size_cell(verdict: Verdict) -> Cell:
    """Makes a cell with the number of independent clusters on a second line."""
    if not verdict.n:
        return num(ABSENT, verdict.n)
    rows, clusters = plural(verdict.n, sample_unit(verdict)), verdict.n_clusters
    second = [] if clusters is None else [tag("br"), tag("span", f"in {plural(clusters, 'cluster')}", class_="quiet")]
    return num(join([rows, *second]), verdict.n)


def metric_names(result: RunResult, split: str) -> list[str]:
    """Lists the metrics of the run and its baselines on that split, the run's first."""
    own = [metric.name for metric in result.metrics if metric.split == split]
    theirs = [metric.name for baseline in result.baselines for metric in baseline.metrics if metric.split == split]
    return list(dict.fromkeys([*own, *theirs]))


def metric_cell(metric: Metric | None, kind: str = "") -> Cell:
    """Makes a cell with the value of a metric and its interval."""
    if metric is None or not is_number(metric.value):
        return num(ABSENT, ABSENT, kind)
    return two_lines(with_interval(metric.value, metric.low, metric.high), metric.value, kind)


def two_lines(text: str, value: float | None, kind: str = "") -> Cell:
    """Makes a cell with the interval of a text on a second line, so that more columns fit side by side."""
    shown, bracket, ends = text.partition(" [")
    interval = [tag("br"), tag("span", f"[{ends}", class_="quiet")] if bracket else []
    return num(join([shown, *interval]), value, kind)


def metrics_table(result: RunResult, split: str, beside: Sequence[str] = ()) -> Markup | None:
    """Builds a table of the run and its baselines on one split, and of the run alone on ``beside``; None without metrics."""
    names = metric_names(result, split)
    if not names:
        return None
    baselines = [baseline for baseline in result.baselines if any(metric.split == split for metric in baseline.metrics)]
    others = (*(display_name(baseline.name) for baseline in baselines), *(f"this run, {split}" for split in beside))
    rows = [
        (
            metric_name(result, name, split),
            metric_cell(find(result.metrics, name, split), "own"),
            *(metric_cell(find(baseline.metrics, name, split)) for baseline in baselines),
            *(metric_cell(find(result.metrics, name, other)) for other in beside),
        )
        for name in names
    ]
    n = max((metric.n for metric in result.metrics if metric.split == split and is_number(metric.n)), default=0)
    return table(("metric", "this run", *others), rows, caption=f"{split}, {plural(n, 'row')}" if n else split)


def metric_name(result: RunResult, name: str, split: str) -> Markup:
    """Builds the display name of a metric, with an arrow if lower is better."""
    measured = [find(metrics, name, split) for metrics in (result.metrics, *(baseline.metrics for baseline in result.baselines))]
    is_lower_better = any(metric is not None and not metric.higher_is_better for metric in measured)
    arrow = tag("span", " ↓", class_="quiet", title="lower is better") if is_lower_better else None
    return join([display_name(name), arrow])


def finding_line(finding: Finding) -> tuple[Markup, Markup, str]:
    """Formats the number of flagged rows, the name, and the summary of a finding."""
    is_quiet = bool(finding.skipped) or not finding.flagged
    badge = tag("span", ABSENT if finding.skipped else count(finding.flagged), class_="badge none" if is_quiet else "badge")
    text = f": skipped: {finding.skipped}" if finding.skipped else f": {finding.summary}"
    return badge, tag("strong", finding.name.replace("_", " ")), text


def class_table(scores: Sequence[ClassScore]) -> Markup:
    """Builds a sortable table of precision, recall and F1 per class, with intervals."""
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
    """Allows line breaks after the underscores of a class name."""
    return Markup(escape(name).replace("_", "_<wbr>"))


def confusion_list(mistakes: Sequence[tuple[str, str, int, float]]) -> Markup:
    """Builds the table of the most frequent confusions."""
    rows = [
        (Cell(breakable(label), "name"), Cell(breakable(predicted), "name"), num(count(n), n), num(percent(share), share))
        for label, predicted, n, share in mistakes
    ]
    return table(("label", "predicted", "rows", "fraction of the label's rows"), rows, box="tall", sortable=True)


def text_cell(text: object, pair: object = None) -> Cell:
    """Makes a cell of a text, and the second text of a pair below it; personal data are masked."""
    shown = [tag("bdi", public(text))]
    if pair is not None:
        shown.append(tag("span", tag("bdi", public(pair)), class_="pair"))
    return Cell(join(shown), "text")


def public(text: object) -> str:
    """Masks personal data in a text and cuts it."""
    return shortened(masked(text) if isinstance(text, str) else text)


def shortened(text: object) -> str:
    """Cuts a value to 600 characters, with an ellipsis."""
    whole = "" if text is None else str(text)
    return whole if len(whole) <= LONGEST_TEXT else f"{whole[:LONGEST_TEXT]} …"


def value_text(value: object) -> str:
    """Formats a label, prediction or recorded value on one line."""
    if value is None:
        return ABSENT
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(value_text, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {value_text(item)}" for key, item in value.items())
    return shortened(value)
