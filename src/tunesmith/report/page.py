"""Writes the report of a run as one self-contained HTML file: no network, no state, the same bytes for the same folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tunesmith.disk import write_text
from tunesmith.report import evidence, in_short, record, task_sections, threshold_curves
from tunesmith.report import saved_run as saved
from tunesmith.report.markup import Markup, html_page, packaged, tag
from tunesmith.report.numbers import count, duration, plural
from tunesmith.report.recommendation import recommendation
from tunesmith.report.saved_run import SavedRun
from tunesmith.report.words import headline, memory_words, part, threshold_notes, total_seconds

SectionWriter = Callable[[SavedRun], Markup | None]
Section = tuple[str, str, Markup]

SECTIONS: tuple[tuple[str, str, SectionWriter], ...] = (
    ("short", "The data in short", in_short.data_in_short),
    ("verdict", "Verdict", evidence.verdict),
    ("metrics", "Metrics", evidence.metrics),
    ("curves", "Training curves", evidence.curves),
    ("classes", "Classes", evidence.classes),
    ("confusion", "Confusion matrix", evidence.confusion),
    ("thresholds", "ROC and precision-recall", threshold_curves.threshold_curves),
    ("calibration", "Calibration", evidence.calibration),
    ("regression", "Predictions", evidence.regression),
    ("vectors", "Geometry of the embeddings", task_sections.geometry),
    ("similarity", "Similarity before and after", task_sections.heat_maps),
    ("answers", "Answers before and after", task_sections.answers),
    ("seen", "Supervised tokens", task_sections.supervised_tokens),
    ("context", "Context length", task_sections.context),
    ("lengths", "Lengths", record.lengths),
    ("findings", "Findings in the data", record.findings),
    ("worst", "Hardest rows", record.worst),
    ("data", "Data", record.data),
    ("training", "Training", record.training),
    ("certificates", "Certificates", record.certificates),
    ("timings", "Time and memory", record.timings),
    ("environment", "Environment", record.machine),
    ("recipe", "Recipe", record.recipe),
    ("use", "Use the model", record.use),
)
ACTION_CLASSES = {"use": "better", "do not use": "worse", "use the simpler one": "unsure", "get more test rows": "unsure"}
OF_CLASSES = ("classes", "confusion", "thresholds", "calibration")
OPTIONAL = frozenset({*OF_CLASSES, "short", "regression", "vectors", "similarity", "answers", "seen", "context"})


def write_report(run: Path, out: Path | None = None) -> Path:
    """Writes the report of a run folder, by default to ``report.html`` in it, and returns its path.

    Raises InputError if the folder is not a finished run.
    """
    return write_page(saved.load(Path(run)), Path(out) if out is not None else Path(run) / "report.html")


def write_page(loaded: SavedRun, target: Path) -> Path:
    """Writes the report of a loaded run and returns its path."""
    written = [(name, title, writer(loaded)) for name, title, writer in SECTIONS]
    sections = [(name, title, content) for name, title, content in written if content]
    absent = [title.lower() for name, title, content in written if not content and name not in OPTIONAL]
    missing = tag("p", f"Not recorded in this run: {', '.join(absent)}.") if absent else None
    page = document(f"{loaded.name} · tunesmith report", opening(loaded), sections, missing)
    write_text(target, page)
    return target


def opening(run: SavedRun) -> Markup:
    """Builds the header: name, recommendation, headline, every alarm with its remedy, and key facts."""
    advice, when = recommendation(run.result), in_short.date_line(run.result)
    texts = (headline(run.result).sentence, *threshold_notes(run.result))
    parts = (tag("p", advice.sentence, class_="advice"), *(tag("p", text) for text in texts))
    sentence = tag("div", *parts, class_=f"headline {ACTION_CLASSES.get(advice.action, '')}".strip())
    about_data = "What was found in the data is listed below." if run.result.findings else "Nothing was found in the data."
    alarms = tag("p", f"✓ No alarms. {about_data}", class_="calm")
    items = [
        tag("li", tag("strong", "⚠ ", alarm.message), tag("p", "What to do: ", alarm.remedy) if alarm.remedy else None)
        for alarm in run.result.alarms
    ]
    if items:
        alarms = tag("ul", *items, class_="alarms", aria_label="Alarms")
    return tag("header", tag("h1", run.name), tag("p", when, class_="quiet") if when else None, sentence, alarms, facts(run))


def facts(run: SavedRun) -> Markup | None:
    """Lists six key facts of the run."""
    result = run.result
    rows = {name: split.get("rows") for name, split in record.splits(run).items()}
    seconds = total_seconds(result)
    epochs, steps = result.training.get("epochs"), result.training.get("steps")
    shown = (
        ("base model", part(result.recipe, "model").get("name")),
        ("rows: " + ", ".join(rows), " / ".join(count(n) for n in rows.values())),
        (
            "training",
            f"{plural(epochs, 'epoch')}, {plural(steps, 'step')}" if epochs and steps else None,
        ),
        ("time", duration(seconds) if seconds else None),
        ("peak memory", memory_words(result) or None),
        ("device", result.environment.get("gpu") or result.environment.get("device")),
    )
    items = [tag("div", tag("dt", name), tag("dd", value)) for name, value in shown if value]
    return tag("dl", *items, class_="facts") if items else None


def document(title: str, opening: Markup, sections: Sequence[Section], closing: Markup | None) -> str:
    """Builds the page: navigation, opening, sections, and the script last."""
    links = tag("ul", *(tag("li", tag("a", name, href=f"#{key}")) for key, name, _ in sections))
    nav = tag("nav", tag("p", "tunesmith", class_="brand"), links, aria_label="Sections")
    body = [
        tag("section", tag("h2", name, id=f"{key}-title"), content, id=key, aria_labelledby=f"{key}-title")
        for key, name, content in sections
    ]
    footer = tag("footer", closing, tag("p", "Generated by tunesmith from the run folder. Intervals are 95 % intervals."))
    main = tag("main", opening, *body, footer, id="main")
    skip = tag("a", "Skip to the report", href="#main", class_="skip")
    return html_page(title, ("theme.css", "page.css"), [skip, tag("div", nav, main, class_="layout")], [packaged("page.js")])
