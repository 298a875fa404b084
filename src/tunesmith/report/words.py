"""Display names for reports, and the sentence that summarizes a run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.recipe.metric_names import DIRECTIONS, LABEL_METRICS, LOSS_METRICS, TEXT_METRICS, metric_title, split_dimension
from tunesmith.recipe.tasks import TASKS
from tunesmith.report.numbers import ABSENT, is_number, number, plural, significant, size, with_interval
from tunesmith.results import BY_CALLS, Finding, Metric, RunResult, Verdict

BASELINE_NAMES = {
    "majority": "majority class",
    "chance": "chance",
    "tfidf": "TF-IDF + linear",
    "tfidf + linear": "TF-IDF + linear",
    "frozen": "frozen embeddings + linear",
    "untuned": "untuned model",
    "bm25": "BM25",
    "few_shot": "untuned model, few-shot",
}
TASK_NAMES = {
    "single_label_classification": "single-label classification",
    "multi_label_classification": "multi-label classification",
    "regression": "regression",
    "embedding": "sentence embedding",
    "causal_language_model": "causal language modelling",
    "masked_language_model": "masked language modelling",
    "reward": "Bradley-Terry on pairs of answers",
    "seq2seq_language_model": "sequence-to-sequence modelling",
}

EMBEDDING, RETRIEVAL = "embedding", "retrieval"
"""The problem type of embedding models, and the split of the retrieval evaluation."""
CAUSAL, MASKED, SEQ2SEQ = "causal_language_model", "masked_language_model", "seq2seq_language_model"
LANGUAGE_TYPES = (CAUSAL, MASKED, SEQ2SEQ)
"""The problem types of language models."""
REWARD = "reward"
"""The problem type of reward models."""
VALIDATION = "validation_"
"""Before the name of a validation metric, in the values of a progress event."""
SHOWN_THRESHOLDS, NOTE_CHARACTERS = 8, 300


@dataclass(frozen=True)
class Headline:
    """The first sentence of a report. ``word``: the word of the verdict in the sentence; None without a verdict."""

    sentence: str
    word: str | None


def display_name(name: str) -> str:
    return BASELINE_NAMES.get(name) or metric_title(name)


def values_text(values: Mapping[str, float]) -> str:
    """Formats the newest values of a training: ``loss 0.21, validation macro F1 0.83``."""
    parts = ((*name.rpartition(VALIDATION)[1:], value) for name, value in values.items())
    return ", ".join(f"{split.replace('_', ' ')}{display_name(name)} {significant(value)}" for split, name, value in parts)


def sample_size(measured: Metric | Verdict) -> str:
    """Describes the rows or queries of a metric or verdict: ``500 rows in 50 independent clusters``."""
    size = plural(measured.n, sample_unit(measured))
    return size if measured.n_clusters is None else f"{size} in {plural(measured.n_clusters, 'independent cluster')}"


def sample_unit(measured: Metric | Verdict) -> str:
    return "query" if "@" in metric_name(measured) or measured.split == RETRIEVAL else "row"


def metric_name(measured: Metric | Verdict) -> str:
    return measured.name if isinstance(measured, Metric) else measured.metric


def verdict_notes(result: RunResult) -> list[str]:
    """Lists what limits the verdicts of a run: the family of comparisons, selection on the same rows, a single seed."""
    if not result.verdicts:
        return []
    metric, notes = main_metric(result), family_notes(result.verdicts, "run")
    if metric is not None and metric.n_candidates > 1:
        best = f"the best of {metric.n_candidates} checkpoints was selected on them"
        notes.append(f"The {metric.split} rows judge the run although {best}: the intervals are widened for it. Give data.test.")
    notes += looks_notes(result)
    if len(part(result.training).get("seeds") or ()) == 1:
        notes.append("One seed: the verdict is about this model. Another seed may change it; train.n_seeds: 3 covers seeds, too.")
    return notes


def family_notes(verdicts: Sequence[Verdict], family: str) -> list[str]:
    """Says for how many comparisons the verdicts hold together; nothing if they were not corrected for several."""
    largest = max((verdict.n_comparisons for verdict in verdicts), default=1)
    comparisons = plural(largest, "comparison")
    return (
        [f"“Better” and “worse” hold for the {comparisons} of this {family} together (Holm's correction)."] if largest > 1 else []
    )


def notes_on_comparison(results: Sequence[RunResult], verdicts: Sequence[Verdict]) -> list[str]:
    """Lists what limits the verdicts between runs: the number of comparisons, selection on the same rows, single seeds."""
    notes, split = family_notes(verdicts, "table"), verdicts[0].split
    n_candidates = most_candidates(results, split)
    if n_candidates > 1:
        best = f"each run is the best of up to {n_candidates} checkpoints on them"
        notes.append(f"The {split} rows judge the runs although {best}: the intervals are widened for it. Give data.test.")
    if any(len(part(result.training).get("seeds") or ()) == 1 for result in results):
        notes.append("One seed: the verdict is about these models. Another may change it; train.n_seeds: 3 covers seeds, too.")
    return notes


def most_candidates(results: Sequence[RunResult], split: str) -> int:
    """Returns the largest number of checkpoints of which one run's best was selected on a split; 1 for none."""
    return max((metric.n_candidates for result in results for metric in result.metrics if metric.split == split), default=1)


def looks_notes(result: RunResult) -> list[str]:
    """Says how often the test set was evaluated, from the second time on; see ``tasks.test_looks``."""
    return looks_words(part(result.data, "test_looks"))


def looks_words(looks: Mapping[str, Any]) -> list[str]:
    """Formats the record of ``tasks.test_looks``; nothing for the first look."""
    if looks.get("problem"):
        return [f"This look at the test set is not counted: {looks.get('file')}: {looks['problem']}."]
    n_looks = looks.get("count")
    if not is_number(n_looks) or n_looks < 2:
        return []
    optimism = f"the best of {n_looks} is too kind by up to {number(looks.get('best_too_kind_by'))}"
    return [f"This test set has been looked at {plural(round(n_looks), 'time')}: {optimism}."]


def threshold_notes(result: RunResult) -> list[str]:
    """Says which decision thresholds of a run were tuned; nothing if none was."""
    return threshold_words(result.training.get("thresholds"), result.data.get("labels") or ())


def threshold_words(thresholds: Sequence[float] | None, labels: Sequence[str]) -> list[str]:
    """Says which decision thresholds were tuned, one that stayed at the usual 0.5 included; nothing if none was tuned."""
    if not thresholds:
        return []
    if len(thresholds) == 1 and len(labels) == 2:
        return [f"Decision threshold, tuned on validation: {labels[1]} from a probability of {significant(thresholds[0])} on."]
    named = [" ".join([*map(str, labels[i : i + 1]), significant(value)]) for i, value in enumerate(thresholds)]
    more = f" and {len(named) - SHOWN_THRESHOLDS} more" if len(named) > SHOWN_THRESHOLDS else ""
    return [f"Decision thresholds, tuned on validation: {', '.join(named[:SHOWN_THRESHOLDS])}{more}."]


def metric_interval(metric: Metric | None) -> str:
    """Formats a metric with its interval; a dash if there is none."""
    return ABSENT if metric is None else with_interval(metric.value, metric.low, metric.high)


def unmeasured_notes(metrics: Iterable[Metric]) -> list[str]:
    """Lists why metrics have no value, each reason of a split once and cut to a few lines."""
    names: dict[tuple[str, str], list[str]] = {}
    for metric in metrics:
        if not is_number(metric.value) and metric.note:
            names.setdefault((metric.split, metric.note), []).append(display_name(metric.name))
    return [f"No {', '.join(named)} on {split}: {clipped(note)}" for (split, note), named in names.items()]


def range_notes(result: RunResult) -> list[str]:
    """Says that ``evaluate.function_range`` keeps intervals in [0, 1], where one of the user's function leaves it.

    Nothing unless all values that the function gives, of every split and baseline, lie in [0, 1]: the range is that of all.
    """
    every = [*result.metrics, *(metric for baseline in result.baselines for metric in baseline.metrics)]
    own = [metric for metric in every if split_dimension(metric.name)[0] not in DIRECTIONS and is_number(metric.value)]
    if not all(0 <= (metric.value or 0) <= 1 for metric in own):
        return []
    leaving = [m for m in result.metrics if m in own and BY_CALLS in m.interval and ((m.low or 0) < 0 or (m.high or 0) > 1)]
    names = ", ".join(dict.fromkeys(display_name(metric.name) for metric in leaving))
    hint = "if no value can be outside, evaluate.function_range: [0, 1] keeps intervals inside."
    return [f"The interval of {names} leaves [0, 1], where all values lie: {hint}"] if leaving else []


def clipped(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= NOTE_CHARACTERS else f"{line[:NOTE_CHARACTERS]} ..."


def part(record: Mapping[str, Any] | None, *keys: str) -> dict[str, Any]:
    """Returns the nested record under the keys; empty if a key is absent, null or not a record."""
    nested: Any = record
    for key in keys:
        nested = nested.get(key) if isinstance(nested, Mapping) else None
    return dict(nested) if isinstance(nested, Mapping) else {}


def memory_words(result: RunResult) -> str:
    """Describes the peak memory: of the process, and of each GPU as allocated, as reserved and as the driver says; or empty."""
    words = [size(result.peak_memory_bytes)] if result.peak_memory_bytes else []
    gpus = result.memory.get("gpus")
    for gpu in gpus if isinstance(gpus, list) else []:
        of_gpu = part(gpu)
        figures = [f"{size(of_gpu.get(f'{name}_peak_bytes'))} {name}" for name in ("allocated", "reserved", "used")]
        words.append(f"GPU {of_gpu.get('device')}: {', '.join(figures)} of {size(of_gpu.get('total_bytes'))}")
    return "; ".join(words)


def find(metrics: Sequence[Metric], name: str | None, split: str) -> Metric | None:
    """Returns the metric of that name and split; None if it was not computed."""
    return next((metric for metric in metrics if (metric.name, metric.split) == (name, split)), None)


def total_seconds(result: RunResult) -> float:
    """Returns the duration of the run: the recorded total, or the sum of its phases; 0 without timings."""
    seconds = {name: value for name, value in result.timings_seconds.items() if is_number(value)}
    return seconds.get("total") or math.fsum(seconds.values())


def main_split(result: RunResult) -> str:
    """Returns the primary evaluation split: retrieval (``evaluate.retrieval``), test, validation, or the first evaluated one.

    Of retrieval and test it is the one that has the recipe's ``evaluate.metric``, if only one has it.
    """
    requested = part(result.recipe, "evaluate").get("metric")
    splits = [metric.split for metric in result.metrics] or [verdict.split for verdict in result.verdicts]
    judged = sorted((RETRIEVAL, "test"), key=lambda split: find(result.metrics, requested, split) is None)
    preferred = (split for split in (*judged, "validation") if split in splits)
    return next(preferred, splits[0] if splits else "test")


def main_metric(result: RunResult, split: str | None = None) -> Metric | None:
    """Returns the primary metric of a split: the recipe's, else that of answers or labels, the verdict's, or the first.

    A loss that only selects the checkpoint is not primary beside a metric of what the model writes.

    Args:
        split: None for the primary split.
    """
    split = main_split(result) if split is None else split
    metrics = {metric.name: metric for metric in result.metrics if metric.split == split}
    section = part(result.recipe, "evaluate")
    requested, selected = section.get("metric"), part(result.training, "best_metric").get("name")
    of_task = TASKS.get(result.task)  # an evaluation has a task of its own, such as retrieval
    selected = None if section.get("checkpoint_metric") or (of_task is not None and of_task.checkpoint_metric) else selected
    compared = [verdict.metric for verdict in result.verdicts if verdict.split == split]
    names = [selected, *compared, *metrics]
    names = [requested, *(name for name in names if name not in LOSS_METRICS), *names]
    return next((metrics[name] for name in names if name in metrics), None)


def verdicts_on(result: RunResult, metric: Metric) -> list[Verdict]:
    """Returns the verdicts on that metric and split, the strongest baseline first, those without a difference last."""
    sign = 1 if metric.higher_is_better else -1
    verdicts = [verdict for verdict in result.verdicts if (verdict.metric, verdict.split) == (metric.name, metric.split)]
    return sorted(verdicts, key=lambda v: sign * v.difference if is_number(v.difference) else float("inf"))


def headline(result: RunResult) -> Headline:
    """Summarizes the run in a sentence: the primary metric and the verdict against the strongest baseline.

    A loss that was requested never stands alone where answers were written: their metric is the second sentence.
    """
    metric = main_metric(result)
    if metric is None:
        return Headline("Nothing was measured in this run.", None)
    first, second = metric_headline(result, metric), written_metric(result, metric.split)
    if metric.name not in LOSS_METRICS or second is None:
        return first
    return Headline(f"{first.sentence} {metric_headline(result, second).sentence}", first.word)


def written_metric(result: RunResult, split: str) -> Metric | None:
    """Returns the metric of the answers or labels that a language model wrote, one with a verdict first; None without."""
    written = [m for m in result.metrics if m.split == split and m.name in (*TEXT_METRICS, *LABEL_METRICS)]
    compared = [verdict.metric for verdict in result.verdicts]
    return next((m for m in written if m.name in compared), written[0] if written else None)


def left_out(result: RunResult, split: str) -> str:
    """Describes the rows of a split that its metrics leave out: not sampled, or with a label that training lacks: ``(...)``.

    Empty if there are none.
    """
    record = part(result.data, "splits", split)
    dropped: dict[str, float] = {reason: n for reason, n in part(record, "dropped").items() if is_number(n) and n > 0}
    if is_number(n_left := record.get("not_sampled")) and n_left > 0:
        dropped["not in the sample"] = n_left
    if not dropped or not is_number(record.get("rows")):
        return ""
    n_read, reasons = record["rows"] + sum(dropped.values()), ", ".join(f"{reason}: {n:,}" for reason, n in dropped.items())
    return f" ({plural(n_read, 'row')} read; not measured: {reasons})"


def metric_headline(result: RunResult, metric: Metric) -> Headline:
    """Summarizes one metric and its verdict against the strongest baseline."""
    name = f"{metric.split.capitalize()} {display_name(metric.name)}"
    if not is_number(metric.value):
        return Headline(f"{name} could not be computed.", None)
    value = f"{name} {with_interval(metric.value, metric.low, metric.high)}{left_out(result, metric.split)}"
    verdicts = verdicts_on(result, metric)
    if not verdicts:
        return Headline(f"{value}: not compared with a baseline.", None)
    verdict, baseline = verdicts[0], display_name(verdicts[0].against)
    middle, low, high = verdict.difference, verdict.low, verdict.high
    if verdict.word == "cannot tell":
        difference = with_interval(middle, low, high, signed=True)
        return Headline(f"{value}: cannot tell whether it is better than {baseline} (difference {difference}).", verdict.word)
    if metric.higher_is_better != (verdict.word == "better") and is_number(middle):  # the difference is always positive
        middle, low, high = (None if end is None else -end for end in (middle, high, low))
    return Headline(f"{value}: {verdict.word} than {baseline} by {with_interval(middle, low, high)}.", verdict.word)


CONSEQUENCE = (
    *("leakage", "unseen_labels"),  # invalid metrics
    *("conflicting_labels", "suspect_labels"),  # wrong labels
    *("dropped_rows", "encoding_damage", "html_entities"),  # lost rows
    *("shortcut_words", "surface_form"),  # shortcuts
    *("duplicates", "personal_data", "annotator_disagreement", "language", "rare_labels"),  # waste
)
"""Findings by their effect on the result, the worst first."""


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Sorts the findings that flag rows by their effect on the result, then by the number of rows."""

    def rank(finding: Finding) -> tuple[int, int]:
        ranks = (rank for rank, name in enumerate(CONSEQUENCE) if finding.name.startswith(name))
        return next(ranks, len(CONSEQUENCE)), -finding.flagged

    return sorted((finding for finding in findings if finding.flagged and not finding.skipped), key=rank)
