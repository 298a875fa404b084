"""Compares saved runs: each kind of saved rows, and each reason why two runs cannot be compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tunesmith.cli.main import main
from tunesmith.errors import InputError, ModelError
from tunesmith.results import Metric, RunResult
from tunesmith.tasks.finished import Run
from tunesmith.workflows.compare import compare, computable_metrics, limits_of_verdicts
from tunesmith.workflows.saved_splits import saved_split

N_ROWS = 40
IDS = list(range(N_ROWS))
TRUTH = [("no", "yes")[i % 2] for i in IDS]
Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """A function that writes the folder of a finished run with these prediction columns."""

    def write(
        name: str, columns: Mapping[str, list[Any]], *, task: str = "classification", metric: str = "accuracy", **data: Any
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        metrics = (Metric(metric, "test", 0.5, None, None, N_ROWS),)
        RunResult(task=task, metrics=metrics, data=data).save(folder / "result.json")
        pq.write_table(pa.table({"row_id": IDS, "split": ["test"] * N_ROWS, **columns}), folder / "predictions.parquet")
        return folder

    return write


def classes(n_wrong: int, labels: tuple[str, ...] = ("no", "yes")) -> dict[str, Any]:
    """Columns of a classifier of which the first rows are wrong, with probabilities in the order of the labels."""
    others = {"no": "yes", "yes": "no"}
    predicted = [others[label] if i < n_wrong else label for i, label in enumerate(TRUTH)]
    probs = [[0.9 if name == label else 0.1 for name in labels] for label in predicted]
    return {"label": TRUTH, "prediction": predicted, "pred_probs": probs, "text": [f"text {i}" for i in IDS]}


def tokens(loss: float, n_tokens: int = 10) -> dict[str, list[Any]]:
    """Columns of a language model: losses, tokens, bytes, and answers of every second row."""
    answered = [float(loss < 2) if i % 2 else None for i in IDS]
    values = [loss + 0.01 * np.sin(i) for i in IDS]
    return {"label": ["a"] * N_ROWS, "prediction": [None] * N_ROWS, "loss": values, "n_tokens": [n_tokens] * N_ROWS,
            "n_bytes": [30] * N_ROWS, "exact_match": answered}  # fmt: skip


LABELS = {"labels": ["no", "yes"], "problem_type": "single_label_classification"}
NUMBERS = {"problem_type": "regression"}
TOKENS = {"problem_type": "causal_language_model"}


def numbers(error: float) -> dict[str, list[Any]]:
    noise = [error * (-1) ** i for i in IDS]
    values = [value + float(i) for i, value in zip(IDS, noise, strict=True)]
    return {"label": [float(i) for i in IDS], "prediction": values, "score": values}


def test_classes_are_compared_by_name_whatever_their_order(save: Save) -> None:
    ours = save("ours", classes(0), **LABELS)
    theirs = save("theirs", classes(20, ("yes", "no")), **{**LABELS, "labels": ["yes", "no"]})
    (verdict,) = compare([ours, theirs])
    assert (verdict.metric, verdict.word, verdict.difference, verdict.n) == ("accuracy", "better", 0.5, N_ROWS)
    assert verdict.against == str(theirs)
    same = save("same", classes(0, ("yes", "no")), **{**LABELS, "labels": ["yes", "no"]})
    assert compare(ours, same, metric="log_loss") == compare([ours, same], metric="log_loss")
    assert compare(ours, same, metric="log_loss")[0].difference == 0


def test_runs_are_compared_by_v_information_in_bits(save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    """The difference is that of the log losses, in bits: the entropy of the labels is the same for both."""
    ours, theirs = save("ours", classes(2), **LABELS), save("theirs", classes(20), **LABELS)
    (verdict,), (loss,) = compare(ours, theirs, metric="v_information"), compare(ours, theirs, metric="log_loss")
    assert verdict.word == "better"
    assert verdict.difference == pytest.approx(-loss.difference / np.log(2))
    assert verdict.low is not None
    assert verdict.low < verdict.difference < verdict.high
    assert main(["compare", str(ours), str(theirs), "--metric", "v_information"]) == 0
    assert "V-information on test" in capsys.readouterr().out


def test_label_sets_are_compared(save: Save) -> None:
    sets = [["a"] if i % 2 else ["a", "b"] for i in IDS]
    right = {"label": sets, "prediction": sets, "pred_probs": [[0.9, 0.9 if len(names) == 2 else 0.1] for names in sets]}
    wrong = {"label": sets, "prediction": [[] for _ in IDS], "pred_probs": [[0.1, 0.1]] * N_ROWS}
    about = {"labels": ["a", "b"], "problem_type": "multi_label_classification"}
    (verdict,) = compare([save("ours", right, **about), save("theirs", wrong, **about)], metric="micro_f1")
    assert (verdict.word, verdict.difference) == ("better", 1.0)


def test_numbers_are_compared(save: Save) -> None:
    task = {"task": "regression", "metric": "rmse", **NUMBERS}
    (verdict,) = compare([save("ours", numbers(0.1), **task), save("theirs", numbers(9.0), **task)])
    assert (verdict.metric, verdict.word) == ("rmse", "better")


def test_scored_and_labelled_pairs_are_compared_without_decisions(save: Save, tmp_path: Path) -> None:
    scores = [0.9 if i % 2 else 0.1 for i in IDS]
    columns = {"label": [float(i % 2) for i in IDS], "score": scores}
    worse = {**columns, "score": [1 - score for score in scores]}
    for kind, metric in (("labelled_pair", "average_precision"), ("scored_pair", "pearson")):
        about = {"task": "embedding", "metric": metric, "splits": {"test": {"shape": kind}}}
        (verdict,) = compare([save(f"{kind}-1", columns, **about), save(f"{kind}-2", worse, **about)])
        assert (verdict.metric, verdict.word) == (metric, "better")
    assert "accuracy" not in computable_metrics(saved_split(Run.load(tmp_path / "labelled_pair-1"), "test"))


def test_columns_of_other_splits_are_not_those_of_this_one(save: Save) -> None:
    run = save("ours", {**classes(0), "loss": [None] * N_ROWS, "n_tokens": [None] * N_ROWS}, **LABELS)
    assert "loss" not in computable_metrics(saved_split(Run.load(run), "test"))


def test_queries_are_compared_by_the_metric_of_their_scores(save: Save) -> None:
    about = {"task": "embedding", "metric": "ndcg@10", "splits": {"test": {"shape": "positive_pair"}}}
    runs = [save(name, {"score": [value] * N_ROWS}, **about) for name, value in (("ours", 0.9), ("theirs", 0.2))]
    (verdict,) = compare(runs)
    assert (verdict.metric, verdict.difference) == ("ndcg@10", pytest.approx(0.7))


def test_tokens_and_answers_of_language_models_are_compared(save: Save) -> None:
    about = {"task": "sft", "metric": "loss", **TOKENS}
    runs = [save("ours", tokens(1.0), **about), save("theirs", tokens(2.0), **about)]
    (loss,) = compare(runs)
    assert (loss.metric, loss.word, loss.n) == ("loss", "better", N_ROWS)
    assert compare(runs, metric="bits_per_byte")[0].word == "better"
    assert compare(runs, metric="exact_match")[0].n == N_ROWS // 2


def test_a_model_that_writes_labels_has_the_metrics_of_labels_and_of_tokens(save: Save) -> None:
    writer = save("ours", {**tokens(1.0), **classes(0)}, task="sft", **{**TOKENS, "labels": ["no", "yes"]})
    names = computable_metrics(saved_split(Run.load(writer), "test"))
    assert {"loss", "bits_per_byte", "macro_f1", "log_loss", "exact_match"} <= set(names)


def test_only_rows_of_both_are_compared(save: Save) -> None:
    ours, theirs = save("ours", classes(0), **LABELS), save("theirs", classes(20), **LABELS)
    table = pq.read_table(theirs / "predictions.parquet")
    pq.write_table(table.take(list(range(N_ROWS - 1, 9, -1))), theirs / "predictions.parquet")
    (verdict,) = compare([ours, theirs])
    assert (verdict.n, verdict.difference) == (30, pytest.approx(10 / 30))


def test_one_run_is_not_enough(save: Save) -> None:
    with pytest.raises(InputError, match="two runs are needed"):
        compare([save("ours", classes(0), **LABELS)])


def test_a_folder_without_a_result_is_no_run(save: Save, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no finished run"):
        compare([save("ours", classes(0), **LABELS), tmp_path])


ABOUT_TOKENS = {"task": "sft", "metric": "loss", **TOKENS}
ERRORS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = {
    "split": ({**classes(0), "about": LABELS}, {**classes(0), "about": LABELS}, {"split": "validation"},
              "it has no predictions for validation. Choose another --split: test."),
    "labels": ({**classes(0), "about": LABELS}, {**classes(0), "about": {**LABELS, "labels": ["no", "maybe"]}}, {},
               "its labels are not those of .* Labels: no, maybe."),
    "no labels": ({**classes(0), "about": LABELS}, {**numbers(0.1), "about": {"task": "regression", **NUMBERS}}, {},
                  "its labels are not those of .* Labels: none."),
    "texts": ({**classes(0), "about": LABELS}, {**classes(0), "text": ["other"] * N_ROWS, "about": LABELS}, {},
              "it did not predict the same test rows"),
    "changed labels": ({**classes(0), "about": LABELS}, {**classes(0), "label": ["no"] * N_ROWS, "about": LABELS}, {},
                       "its test rows have other labels .* The file was changed between the runs."),
    "metric": ({**classes(0), "about": LABELS}, {**classes(0), "about": LABELS}, {"metric": "rouge_l"},
               "the runs do not both have rouge_l of their test rows. Both have: accuracy, macro_f1"),
    "tokens": ({**tokens(1.0), "about": ABOUT_TOKENS}, {**tokens(1.0, 7), "about": ABOUT_TOKENS}, {},
               "its tokens are not those of the first run.* Request bits_per_byte, or compare the answers"),
    "answers": ({**tokens(1.0), "about": ABOUT_TOKENS}, {**tokens(1.0), "exact_match": [1.0 if i % 2 == 0 else None for i in IDS],
                "about": ABOUT_TOKENS}, {"metric": "exact_match"}, "no row of test was answered by both"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_runs_that_cannot_be_compared_are_refused_with_the_reason(name: str, save: Save) -> None:
    ours, theirs, options, message = ERRORS[name]
    runs = [
        save(folder, {key: value for key, value in columns.items() if key != "about"}, **columns["about"])
        for folder, columns in (("ours", ours), ("theirs", theirs))
    ]
    with pytest.raises(InputError, match=message):
        compare(runs, **options)


def test_rows_without_one_in_common_are_refused(save: Save) -> None:
    ours = save("ours", classes(0), **LABELS)
    theirs = save("theirs", {**classes(0), "row_id": [i + N_ROWS for i in IDS]}, **LABELS)
    with pytest.raises(InputError, match="it did not predict the same test rows"):
        compare([ours, theirs])


def test_different_tokens_are_no_obstacle_to_comparing_bytes_and_different_bytes_are(save: Save) -> None:
    ours, theirs = save("ours", tokens(1.0), **ABOUT_TOKENS), save("theirs", tokens(1.0, 7), **ABOUT_TOKENS)
    assert compare([ours, theirs], metric="bits_per_byte")[0].metric == "bits_per_byte"
    shorter = save("shorter", {**tokens(1.0), "n_bytes": [29] * N_ROWS}, **ABOUT_TOKENS)
    with pytest.raises(InputError, match="Compare the answers"):
        compare([ours, shorter], metric="bits_per_byte")


def test_all_seeds_of_a_run_are_compared(save: Save) -> None:
    """One seed is far better by chance: the interval over seeds says so, the best seed alone would not."""

    def with_seeds(name: str, n_wrong: tuple[int, ...]) -> Path:
        folder = save(name, {**classes(n_wrong[0]), "seed": [0] * N_ROWS}, **LABELS)
        of_seeds = [
            {"row_id": IDS, "split": ["test"] * N_ROWS, **classes(n), "seed": [i] * N_ROWS} for i, n in enumerate(n_wrong)
        ]
        pq.write_table(pa.concat_tables([pa.table(columns) for columns in of_seeds]), folder / "predictions_of_seeds.parquet")
        return folder

    ours, other = with_seeds("a", (1, 14, 15)), with_seeds("b", (12, 14, 16))
    (found,) = compare([ours, other], metric="accuracy")
    assert found.difference == pytest.approx((14 - 10) / N_ROWS)
    assert found.word == "cannot tell"
    assert "3 + 3 seeds" in found.interval
    (of_best,) = compare([save("c", classes(1), **LABELS), save("d", classes(12), **LABELS)], metric="accuracy")
    assert of_best.word == "better"


def test_rows_of_one_cluster_are_drawn_together(save: Save) -> None:
    clusters = [i // 5 for i in IDS]
    one, two = (save(name, {**classes(n), "cluster": clusters}, **LABELS) for name, n in (("a", 2), ("b", 9)))
    (found,) = compare([one, two], metric="accuracy")
    assert (found.n, found.n_clusters, found.p_value) == (N_ROWS, 8, None)


def test_several_comparisons_are_one_family(save: Save) -> None:
    runs = [save(name, classes(n), **LABELS) for name, n in (("a", 1), ("b", 8), ("c", 8), ("d", 8), ("e", 8))]
    found = compare(runs, metric="accuracy")
    assert {verdict.n_comparisons for verdict in found} == {4}
    assert compare(runs[:2], metric="accuracy")[0].word == "better"
    assert {verdict.word for verdict in found} == {"cannot tell"}
    assert all("Holm" in verdict.interval for verdict in found)


def test_runs_on_the_rows_that_selected_their_checkpoints_get_wider_intervals(save: Save) -> None:
    first, second = save("a", classes(3), **LABELS), save("b", classes(12), **LABELS)
    plain = compare([first, second])
    assert limits_of_verdicts([first, second], plain) == []
    selected = RunResult.load(first / "result.json")
    metrics = tuple(replace(metric, n_candidates=10) for metric in selected.metrics)
    replace(selected, metrics=metrics, training={"seeds": [0]}).save(first / "result.json")
    wider = compare([first, second])
    assert wider[0].high - wider[0].low > 1.3 * (plain[0].high - plain[0].low)
    chosen, seed = limits_of_verdicts([first, second], wider)
    assert "each run is the best of up to 10 checkpoints on them: the intervals are widened for it" in chosen
    assert seed.startswith("One seed: the verdict is about these models.")
    several = compare([first, second, second])
    assert "hold for the 2 comparisons of this table together" in limits_of_verdicts([first, second], several)[0]
