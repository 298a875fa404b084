from __future__ import annotations

from dataclasses import replace

import pytest

from tunesmith.report.card import model_card
from tunesmith.report.page import opening
from tunesmith.report.saved_run import SavedRun
from tunesmith.report.summary import summary_lines
from tunesmith.report.words import (
    display_name,
    headline,
    main_metric,
    main_split,
    range_notes,
    threshold_notes,
    threshold_words,
)
from tunesmith.results import BY_CALLS, Baseline, Metric, RunResult, Verdict

F1 = Metric("macro_f1", "test", 0.913, 0.88, 0.94, 300)
RMSE = Metric("rmse", "test", 0.41, 0.38, 0.44, 300, higher_is_better=False)


def result(metric: Metric, *verdicts: Verdict) -> RunResult:
    return RunResult("classification", (metric,), verdicts=verdicts)


def test_better() -> None:
    summary = headline(result(F1, Verdict("macro_f1", "test", "tfidf", 0.06, 0.03, 0.09, "better")))
    assert summary.sentence == "Test macro F1 0.913 [0.880, 0.940]: better than TF-IDF + linear by 0.060 [0.030, 0.090]."
    assert summary.word == "better"


def test_the_hardest_opponent_is_named() -> None:
    verdicts = [
        Verdict("macro_f1", "test", name, by, by - 0.1, by + 0.1, word)
        for name, by, word in (("majority", 0.6, "better"), ("frozen", -0.02, "cannot tell"), ("tfidf", 0.05, "cannot tell"))
    ]
    summary = headline(result(F1, *verdicts))
    assert (
        "cannot tell whether it is better than frozen embeddings + linear (difference -0.020 [-0.120, +0.080])"
        in summary.sentence
    )


def test_where_less_is_better_the_amount_is_still_positive() -> None:
    summary = headline(result(RMSE, Verdict("rmse", "test", "tfidf", -0.06, -0.09, -0.03, "better")))
    assert summary.sentence == "Test RMSE 0.410 [0.380, 0.440]: better than TF-IDF + linear by 0.060 [0.030, 0.090]."
    summary = headline(result(RMSE, Verdict("rmse", "test", "tfidf", 0.06, 0.03, 0.09, "worse")))
    assert "worse than TF-IDF + linear by 0.060 [0.030, 0.090]" in summary.sentence


def test_the_range_of_a_function_is_hinted_at_where_it_is_missing() -> None:
    def notes(
        *values: float, low: float = 0.9, high: float = 1.1, name: str = "money_accuracy", how: str = BY_CALLS
    ) -> list[str]:
        metrics = (Metric(name, "test", values[0], low, high, 60, interval=how), F1)
        metrics += tuple(Metric("other", "validation", value, None, None, 60) for value in values[1:])
        baseline = Baseline("majority", (Metric(name, "test", values[-1], None, None, 60),))
        return range_notes(RunResult("classification", metrics, baselines=(baseline,)))

    (note,) = notes(1.0, 0.0)
    assert note.startswith("The interval of money accuracy leaves [0, 1]")
    assert "evaluate.function_range: [0, 1]" in note
    assert notes(0.1, low=-0.1, high=0.3)
    assert not notes(1.0, high=1.0)  # the interval stays inside
    assert not notes(1.0, 1.5)  # another value of the function, to which the range would apply, too
    assert not notes(0.9, -0.2)
    assert not notes(1.0, name="v_information", how="bootstrap")


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (RunResult("classification"), "Nothing was measured in this run."),
        (result(replace(F1, value=None)), "Test macro F1 could not be computed."),
        (result(F1), "Test macro F1 0.913 [0.880, 0.940]: not compared with a baseline."),
    ],
)
def test_with_fewer_results(found: RunResult, sentence: str) -> None:
    assert headline(found).sentence == sentence


def test_the_main_metric_is_the_requested_one_on_the_main_split() -> None:
    accuracy = Metric("accuracy", "validation", 0.9, 0.8, 0.95, 50)
    found = RunResult(
        "classification", (accuracy, F1), recipe={"evaluate": {"metric": None}}, training={"best_metric": {"name": "macro_f1"}}
    )
    assert main_split(found) == "test"
    assert main_metric(found) == F1
    assert main_metric(replace(found, metrics=(accuracy,))) == accuracy


def test_what_selects_the_checkpoint_of_a_task_does_not_lead_its_report() -> None:
    right, loss = (
        Metric("accuracy", "test", 0.61, 0.55, 0.67, 200),
        Metric("log_loss", "test", 0.66, 0.6, 0.7, 200, higher_is_better=False),
    )
    found = RunResult(
        "reward", (loss, right), verdicts=(Verdict("accuracy", "test", "length", 0.01, -0.04, 0.06, "cannot tell"),)
    )
    assert main_metric(replace(found, training={"best_metric": {"name": "log_loss"}})) == right
    assert main_metric(RunResult("retrieval", (replace(right, name="ndcg@10"),))) == replace(right, name="ndcg@10")  # no training


def test_unknown_names_are_shown_as_they_are() -> None:
    assert display_name("my_own_metric") == "my own metric"


LOSS = Metric("loss", "test", 1.2, 1.1, 1.3, 60, higher_is_better=False)
ROUGE = Metric("rouge_l", "test", 0.1, 0.05, 0.2, 60)
FELL = Verdict("loss", "test", "untuned", -2.698, -2.8, -2.6, "better")
SAME = Verdict("rouge_l", "test", "untuned", 0.01, -0.02, 0.04, "cannot tell")


def written(metric: str | None) -> RunResult:
    """A run of a language model that writes answers, whose checkpoint was selected by the loss."""
    recipe, training = {"evaluate": {"metric": metric}}, {"best_metric": {"name": "loss"}}
    return RunResult("sft", (LOSS, ROUGE), verdicts=(FELL, SAME), recipe=recipe, training=training)


def test_the_loss_does_not_lead_where_answers_are_written() -> None:
    assert headline(written(None)).sentence.startswith("Test ROUGE-L 0.100 [0.050, 0.200]: cannot tell")
    assert headline(written(None)).word == "cannot tell"
    assert headline(written("rouge_l")) == headline(written(None))


def test_a_loss_that_was_requested_does_not_stand_alone() -> None:
    summary = headline(written("loss"))
    assert summary.sentence.startswith("Test loss 1.200 [1.100, 1.300]: better than untuned model by 2.698")
    assert "Test ROUGE-L 0.100 [0.050, 0.200]: cannot tell" in summary.sentence
    assert summary.word == "better"


def test_the_loss_leads_where_nothing_else_is_measured() -> None:
    assert main_metric(replace(written(None), metrics=(LOSS,))) == LOSS


def test_rows_that_are_not_measured_stand_beside_the_metric() -> None:
    record = {"rows": 33, "dropped": {"label is not among those of train": 7}}
    verdict = Verdict("macro_f1", "test", "tfidf", 0.06, 0.03, 0.09, "better")
    found = replace(result(F1, verdict), data={"splits": {"train": {"rows": 9, "dropped": {"text is empty": 1}}, "test": record}})
    said = "Test macro F1 0.913 [0.880, 0.940] (40 rows read; not measured: label is not among those of train: 7): better than"
    assert headline(found).sentence.startswith(said)
    assert any(line.startswith(said) for line in summary_lines(found, None))
    assert "macro F1 on test, 300 rows (40 rows read; not measured:" in "\n".join(summary_lines(found, None))
    for text in (model_card(found), opening(SavedRun("run", found))):
        assert "(40 rows read; not measured: label is not among those of train: 7): better than" in text
    sampled = replace(found, data={"splits": {"test": {**record, "not_sampled": 60}}})
    assert (
        "(100 rows read; not measured: label is not among those of train: 7, not in the sample: 60)" in headline(sampled).sentence
    )


def test_tuned_thresholds_are_said() -> None:
    tuned = RunResult("classification", (F1,), training={"thresholds": [0.5]}, data={"labels": ["neg", "pos"]})
    said = "Decision threshold, tuned on validation: pos from a probability of 0.5 on."
    assert threshold_notes(tuned) == [said]
    assert said in summary_lines(tuned, None)
    assert said in model_card(tuned)
    assert said in opening(SavedRun("run", tuned))
    assert threshold_notes(replace(tuned, training={"thresholds": None})) == []
    assert threshold_words([0.3, 0.25], ["a", "b"]) == ["Decision thresholds, tuned on validation: a 0.3, b 0.25."]
    many = [f"c{i}" for i in range(10)]
    assert threshold_words([0.5] * 10, many)[0].endswith("c7 0.5 and 2 more.")
