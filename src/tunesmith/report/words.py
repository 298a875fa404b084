"""What things are called in a report, and the one sentence that says what a run showed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.report.numbers import is_number, with_interval
from tunesmith.results import Finding, Metric, RunResult, Verdict

METRIC_NAMES = {
    "macro_f1": "macro F1", "micro_f1": "micro F1", "mcc": "MCC", "auroc": "AUROC", "rmse": "RMSE", "mae": "MAE", "r2": "R²",
    "spearman": "Spearman", "pearson": "Pearson", "best_f1": "best F1", "rouge_l": "ROUGE-L", "token_f1": "token F1",
    "json_valid": "valid JSON", "json_equal": "equal JSON",
}  # fmt: skip
BASELINE_NAMES = {
    "majority": "majority class", "tfidf": "TF-IDF + linear", "tfidf + linear": "TF-IDF + linear",
    "frozen": "frozen embeddings + linear", "untuned": "untuned model", "bm25": "BM25",
    "few_shot": "untuned model with examples",
}  # fmt: skip
TASK_NAMES = {
    "single_label_classification": "one label per text", "multi_label_classification": "several labels per text",
    "regression": "a number per text", "embedding": "a vector per text",
    "causal_language_model": "the next token of a text", "masked_language_model": "the masked tokens of a text",
}  # fmt: skip

EMBEDDING, RETRIEVAL = "embedding", "retrieval"
"""The problem type of vectors, and the split of what they are searched for."""
CAUSAL, MASKED = "causal_language_model", "masked_language_model"
"""The problem types of language models."""


@dataclass(frozen=True)
class Headline:
    """The first sentence of a report.

    Attributes:
        word: of the verdict it states; None where the run was compared with nothing.
    """

    sentence: str
    word: str | None


def plain_name(name: str) -> str:
    """A metric's or baseline's name as a reader would write it."""
    return METRIC_NAMES.get(name) or BASELINE_NAMES.get(name) or name.replace("_", " ")


def counted(metric: Metric) -> str:
    """What a metric's ``n`` counts."""
    return "query" if "@" in metric.name else "row"


def part(record: Mapping[str, Any] | None, *keys: str) -> dict[str, Any]:
    """The record found under the keys; empty where any of them is absent, null or no record."""
    found: Any = record
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def total_seconds(result: RunResult) -> float:
    """How long the run took: the recorded total, else the sum of its phases; 0 where no time was recorded."""
    seconds = {name: value for name, value in result.timings_seconds.items() if is_number(value)}
    return seconds.get("total") or math.fsum(seconds.values())


def main_split(result: RunResult) -> str:
    """The split a run is judged on: test where it has one, else a search, else validation, else whatever was measured."""
    splits = [metric.split for metric in result.metrics] or [verdict.split for verdict in result.verdicts]
    for wanted in ("test", RETRIEVAL, "validation"):
        if wanted in splits:
            return wanted
    return splits[0] if splits else "test"


def main_metric(result: RunResult) -> Metric | None:
    """The metric a run is judged by: the recipe's, else the verdict's, else the first that was measured."""
    split = main_split(result)
    here = {metric.name: metric for metric in result.metrics if metric.split == split}
    asked = part(result.recipe, "evaluate").get("metric") or part(result.training, "best_metric").get("name")
    judged = [verdict.metric for verdict in result.verdicts if verdict.split == split]
    for name in (asked, *judged, *here):
        if name in here:
            return here[name]
    return None


def verdicts_on(result: RunResult, metric: Metric) -> list[Verdict]:
    """The verdicts on that metric and split, the hardest opponent first."""
    found = [verdict for verdict in result.verdicts if (verdict.metric, verdict.split) == (metric.name, metric.split)]
    return sorted(found, key=lambda verdict: gain(verdict, metric))


def gain(verdict: Verdict, metric: Metric) -> float:
    """The difference counted so that more is better; infinite where it is unknown."""
    if not is_number(verdict.difference) or verdict.difference is None:
        return float("inf")
    return verdict.difference if metric.higher_is_better else -verdict.difference


def headline(result: RunResult) -> Headline:
    """What the run showed, against the strongest thing it was compared with."""
    metric = main_metric(result)
    if metric is None:
        return Headline("Nothing was measured in this run.", None)
    name = f"{metric.split.capitalize()} {plain_name(metric.name)}"
    if not is_number(metric.value):
        return Headline(f"{name} could not be computed.", None)
    value = f"{name} {with_interval(metric.value, metric.low, metric.high)}"
    verdicts = verdicts_on(result, metric)
    if not verdicts:
        return Headline(f"{value}: not compared with anything simpler.", None)
    return Headline(f"{value}: {against(verdicts[0], metric)}.", verdicts[0].word)


def against(verdict: Verdict, metric: Metric) -> str:
    """``better than TF-IDF + linear by 0.060 [0.030, 0.090]``."""
    rival = plain_name(verdict.against)
    if verdict.word == "cannot tell":
        difference = with_interval(verdict.difference, verdict.low, verdict.high, signed=True)
        return f"cannot tell whether it is better than {rival} (difference {difference})"
    return f"{verdict.word} than {rival} by {amount(verdict, metric)}"


def amount(verdict: Verdict, metric: Metric) -> str:
    """How much better or worse, as a positive number with its interval."""
    upward = metric.higher_is_better == (verdict.word == "better")
    if upward or not is_number(verdict.difference):
        return with_interval(verdict.difference, verdict.low, verdict.high)
    value, low, high = (None if end is None else -end for end in (verdict.difference, verdict.high, verdict.low))
    return with_interval(value, low, high)


CONSEQUENCE = (
    "leakage", "unseen_labels", "conflicting_labels", "suspect_labels", "dropped_rows", "encoding_damage", "html_entities",
    "shortcut_words", "surface_form", "duplicates", "personal_data", "annotator_disagreement", "language", "rare_labels",
)  # fmt: skip
"""What a finding does to a result, the worst first: figures that are not true, wrong labels, lost rows, wrong reasons, waste."""


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that point at rows, by what they do to the result and then by how many rows they point at."""

    def place(finding: Finding) -> tuple[int, int]:
        ranks = (rank for rank, name in enumerate(CONSEQUENCE) if finding.name.startswith(name))
        return next(ranks, len(CONSEQUENCE)), -finding.flagged

    return sorted((finding for finding in findings if finding.flagged and not finding.skipped), key=place)
