"""The recommendation of a run, as a table of situations of every family of tasks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tunesmith.report.card import model_card
from tunesmith.report.notebook import run_page
from tunesmith.report.recommendation import USELESS, Action, judging_metric, recommendation, rounded_up, rows_needed
from tunesmith.report.summary import summary_lines
from tunesmith.report.words import display_name, headline
from tunesmith.results import Alarm, Metric, RunResult, Verdict, Word

F1 = Metric("macro_f1", "test", 0.9, 0.88, 0.92, 240)
RMSE = Metric("rmse", "test", 0.41, 0.38, 0.44, 300, higher_is_better=False)
NDCG = Metric("ndcg@10", "retrieval", 0.7, 0.66, 0.74, 300)
LOSS = Metric("loss", "test", 1.2, 1.1, 1.3, 60, higher_is_better=False)
ROUGE = Metric("rouge_l", "test", 0.3, 0.25, 0.35, 60)


def against(metric: Metric, name: str, difference: float, word: Word, detectable: float = 0.06) -> Verdict:
    ends = (difference - 0.7 * detectable, difference + 0.7 * detectable)
    return Verdict(metric.name, metric.split, name, difference, *ends, word, metric.n, smallest_detectable=detectable)


def run(metric: Metric, *verdicts: Verdict, task: str = "classification", alarms: tuple[str, ...] = ()) -> RunResult:
    return RunResult(task, (metric,), verdicts=verdicts, alarms=tuple(Alarm(name, f"{name} seen.", "") for name in alarms))


TFIDF, MAJORITY = against(F1, "tfidf", 0.08, "better"), against(F1, "majority", 0.8, "better")
CLOSE = against(F1, "tfidf", 0.02, "cannot tell")
BEHIND = against(F1, "tfidf", -0.02, "cannot tell")
JUDGED = replace(F1, split="validation", n_candidates=10)
NO_INTERVAL = Verdict("macro_f1", "test", "tfidf", None, None, None, "cannot tell", 240, note="too few rows of class a.")

PAIRS = Metric("spearman", "test", 0.8, 0.75, 0.85, 200)
BOTH_SPLITS = RunResult(
    "embedding",
    (replace(PAIRS, split="validation"), PAIRS, NDCG),
    verdicts=(against(PAIRS, "untuned", 0.2, "better"), against(NDCG, "bm25", 0.03, "cannot tell")),
)

SITUATIONS: tuple[tuple[str, RunResult, Action, str], ...] = (
    (
        "better than all",
        run(F1, MAJORITY, TFIDF),
        "use",
        "Use this model: it is better than TF-IDF + linear, the strongest baseline, in macro F1 by 0.080.",
    ),
    ("better, with an alarm", run(F1, TFIDF, alarms=("still improving at the end",)), "use", "but read the alarms first."),
    (
        "judged by the validation rows",
        run(JUDGED, replace(TFIDF, split="validation")),
        "use",
        "judged by the validation rows that also selected it, so confirm it on a test file (data.test).",
    ),
    (
        "worse than a simple one",
        run(F1, MAJORITY, against(F1, "tfidf", -0.1, "worse")),
        "use the simpler one",
        "Use the simpler one, TF-IDF + linear: the fine-tuned model is worse in macro F1 by 0.100.",
    ),
    (
        "few rows",
        run(F1, MAJORITY, CLOSE),
        "get more test rows",
        "Get more test rows: about 2,300 would show a difference of this size from TF-IDF + linear (0.020 macro F1) "
        "in about 8 of 10 cases; 240 rows cannot.",
    ),
    (
        "few rows, three seeds",
        replace(run(F1, MAJORITY, CLOSE), training={"seeds": [0, 1, 2]}),
        "get more test rows",
        "Get more test rows or seeds: 240 rows and 3 seeds (train.n_seeds) cannot show a difference of this size",
    ),
    (
        "a difference that no number of rows tells",
        run(F1, against(F1, "tfidf", 0.001, "cannot tell")),
        "use the simpler one",
        "not shown to be better in macro F1 (difference +0.001",
    ),
    (
        "behind, not shown",
        run(F1, BEHIND),
        "use the simpler one",
        "Use the simpler one, TF-IDF + linear: the fine-tuned model is not shown",
    ),
    ("worse than majority", run(F1, against(F1, "majority", -0.1, "worse")), "do not use", "worse than majority class"),
    ("like chance", run(F1, against(F1, "chance", -0.01, "cannot tell")), "do not use", "compared with chance, it is not"),
    ("no interval", run(F1, NO_INTERVAL), "get more test rows", "240 rows cannot tell whether the model is better than TF-IDF"),
    ("no interval, why", run(F1, NO_INTERVAL), "get more test rows", "(too few rows of class a)."),
    (
        "the same on every row",
        run(F1, replace(NO_INTERVAL, difference=0.0, note="both give the same result whatever rows are drawn")),
        "get more test rows",
        "Get more test rows: on 240 rows the model and TF-IDF + linear have the same macro F1.",
    ),
    (
        "answers to a few of the rows",
        replace(
            run(ROUGE, against(ROUGE, "untuned", 0.02, "cannot tell"), task="sft"),
            data={"problem_type": "causal_language_model", "splits": {"test": {"rows": 500}}},
        ),
        "get more test rows",
        "Evaluate more answers (evaluate.answers.rows): about 540 would show",
    ),
    (
        "of no use, and a simple one is better",
        run(F1, MAJORITY, against(F1, "tfidf", -0.1, "worse"), alarms=("not above chance",)),
        "do not use",
        "Do not use this model: it is not shown to be better than random decisions; TF-IDF + linear is better by 0.100 macro F1.",
    ),
    ("no baseline", run(F1), "none", "No recommendation: the model was not compared with a baseline."),
    ("nothing measured", RunResult("classification"), "none", "No recommendation: nothing was measured"),
    ("no value", run(replace(F1, value=None)), "none", "No recommendation: nothing was measured"),
    (
        "regression, lower is better",
        run(RMSE, against(RMSE, "tfidf", -0.06, "better"), task="regression"),
        "use",
        "better than TF-IDF + linear in RMSE by 0.060.",
    ),
    (
        "regression, ahead but few rows",
        run(RMSE, against(RMSE, "tfidf", -0.03, "cannot tell"), task="regression"),
        "get more test rows",
        "about 1,200 would show",
    ),
    (
        "embedding, the base model is better",
        run(NDCG, against(NDCG, "untuned", -0.05, "worse"), task="embedding"),
        "use the simpler one",
        "Use the simpler one, untuned model: the fine-tuned model is worse in ndcg@10",
    ),
    (
        "embedding, better on the test pairs and not on the search",
        BOTH_SPLITS,
        "get more test rows",
        "of this size from BM25 (0.030 ndcg@10) in about 8 of 10 cases; 300 queries cannot.",
    ),
    (
        "embedding, a metric that only the test pairs have",
        replace(BOTH_SPLITS, recipe={"evaluate": {"metric": "spearman"}}),
        "use",
        "Use this model: it is better than untuned model in Spearman by 0.200.",
    ),
    (
        "embedding, few queries",
        run(NDCG, against(NDCG, "bm25", 0.03, "cannot tell"), task="embedding"),
        "get more test rows",
        "300 queries cannot.",
    ),
    (
        "pretraining",
        run(LOSS, against(LOSS, "untuned", -0.3, "better"), task="pretraining"),
        "use",
        "Use this model: it is better than untuned model in loss by 0.300.",
    ),
    (
        "a language model whose loss fell and whose answers are no better",
        RunResult(
            "sft",
            (LOSS, ROUGE),
            verdicts=(against(LOSS, "untuned", -2.7, "better"), against(ROUGE, "untuned", 0.0, "cannot tell")),
            recipe={"evaluate": {"metric": "loss"}},
        ),
        "use the simpler one",
        "Use the simpler one, untuned model: the fine-tuned model is not shown to be better in ROUGE-L",
    ),
    *(
        (f"alarm {name}", run(F1, TFIDF, alarms=("still improving at the end", name)), "do not use", reason or f"{name} seen.")
        for name, reason in USELESS.items()
    ),
)


@pytest.mark.parametrize(
    ("result", "action", "fragment"), [case[1:] for case in SITUATIONS], ids=[case[0] for case in SITUATIONS]
)
def test_situation(result: RunResult, action: Action, fragment: str) -> None:
    advice = recommendation(result)
    assert advice.action == action
    assert fragment in advice.sentence
    assert advice.sentence.endswith(".")
    assert "\n" not in advice.sentence


def test_it_stands_first_wherever_a_run_is_read() -> None:
    result = run(F1, TFIDF)
    sentence = recommendation(result).sentence
    assert summary_lines(result)[0] == sentence
    for page in (run_page("tickets", result), model_card(result)):
        assert page.index("Use this model") < page.index("Test macro F1")


def test_four_times_the_rows_tell_half_the_difference() -> None:
    verdict = against(F1, "tfidf", 0.03, "cannot tell", detectable=0.06)
    assert rows_needed(replace(verdict, metric="auroc"), run(F1)) == 4 * F1.n
    assert rows_needed(verdict, run(F1)) == 4 * F1.n + 67, "two rows over the difference, for an exact test's steps"
    assert rows_needed(replace(verdict, n_clusters=60), run(F1)) == 4 * F1.n
    assert rows_needed(replace(verdict, smallest_detectable=None), run(F1)) is None
    assert rows_needed(replace(verdict, difference=0.0), run(F1)) is None
    assert rows_needed(replace(verdict, difference=1e-300), run(F1)) is None


def test_two_undecided_comparisons_need_a_fifth_more_rows() -> None:
    verdict = replace(against(F1, "tfidf", 0.03, "cannot tell", detectable=0.06), p_two_sided=0.2, metric="auroc")
    elsewhere, decided = replace(verdict, split="validation"), replace(verdict, word="better")
    assert rows_needed(verdict, run(F1, verdict, elsewhere, decided)) == 4 * F1.n
    assert rows_needed(verdict, run(F1, verdict, replace(verdict, metric="mcc"))) == pytest.approx(1.21 * 4 * F1.n, rel=0.01)


@pytest.mark.parametrize(("n", "rounded"), [(7, 7), (99, 99), (101, 110), (2160, 2200), (48_001, 49_000)])
def test_numbers_of_rows_are_rounded_up(n: int, rounded: int) -> None:
    assert rounded_up(n) == rounded


@pytest.mark.parametrize("requested", [None, "spearman", "ndcg@10", "recall@10"])
def test_it_follows_the_split_and_the_metric_of_the_headline(requested: str | None) -> None:
    result = replace(BOTH_SPLITS, recipe={"evaluate": {"metric": requested}})
    metric = judging_metric(result)
    assert metric is not None
    assert headline(result).sentence.startswith(f"{metric.split.capitalize()} {display_name(metric.name)} ")
    assert display_name(metric.name) in recommendation(result).sentence
    assert " ".join(summary_lines(result, width=None)).startswith(recommendation(result).sentence)


def test_the_length_of_answers_is_no_alternative_to_a_language_model() -> None:
    metric = Metric("accuracy", "test", 0.6, 0.5, 0.7, 100)
    for difference, word in ((-0.02, "cannot tell"), (-0.3, "worse")):
        result = run(metric, against(metric, "length", difference, word), task="preference")  # type: ignore[arg-type]
        written = replace(result, data={"problem_type": "causal_language_model"})
        assert recommendation(written).action == "do not use"
        assert recommendation(result).action == "use the simpler one"
