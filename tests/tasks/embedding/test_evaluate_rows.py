"""`evaluate MODEL DATA`: scored pairs, same-or-different pairs, triplets and pairs to be found again, by any embedding model."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve

from tunesmith.cli.main import main
from tunesmith.data.pairs.formats import detect_pair_format
from tunesmith.data.pairs.rows import usable_rows
from tunesmith.data.readers.hashes import hash_table
from tunesmith.data.table import Table
from tunesmith.errors import InputError
from tunesmith.evaluation.embedding_tests import at_best_f1, rows_test
from tunesmith.results import RunResult
from tunesmith.tasks.embedding.evaluate_model import evaluate_similarity

THINGS = ("owl", "bee", "river", "engine", "castle", "violin", "glacier", "market", "lantern", "orchard", "harbour", "comet")
NEAR = [f"everything about the {thing} and its ways" for thing in THINGS]
FAR = [f"nothing of that but the {thing} instead" for thing in reversed(THINGS)]
QUESTIONS = [f"tell me about the {thing} please" for thing in THINGS]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, columns: dict[str, list[Any]]) -> str:
    with Path(name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return name


def found(data: str, *more: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["evaluate", "builtin:minilm", data, *more, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def values(result: dict[str, Any]) -> dict[str, float]:
    return {metric["name"]: metric["value"] for metric in result["metrics"]}


def test_scored_pairs_are_measured_by_correlation(capsys, tiny_model: Path) -> None:
    rows = {
        "sentence1": QUESTIONS * 2,
        "sentence2": NEAR + FAR,
        "score": [4.5 + i / 100 for i in range(12)] + [0.5 + i / 100 for i in range(12)],
    }
    result = found(write("pairs.csv", rows), "--dimensions", "32", "--against", str(tiny_model), capsys=capsys)
    assert list(values(result)) == ["spearman", "pearson", "spearman dim=32", "pearson dim=32"]
    assert values(result)["pearson"] > 0.8
    assert [v["against"] for v in result["verdicts"]] == [str(tiny_model), "tfidf", "dim=384"]
    assert result["verdicts"][2]["metric"] == "spearman dim=32"
    assert result["data"]["format"] == result["data"]["shape"] == "scored_pair"


def test_pairs_of_two_classes_are_measured_by_precision(capsys) -> None:
    rows = {"question1": QUESTIONS * 2, "question2": NEAR + FAR, "is_duplicate": [1] * 12 + [0] * 12}
    result = found(write("pairs.csv", rows), capsys=capsys)
    assert list(values(result)) == ["average_precision", "auroc", "best_f1"]
    assert min(values(result).values()) > 0.9
    turned = found(write("pairs.csv", rows | {"is_duplicate": ["b"] * 12 + ["a"] * 12}), "--same", "a", capsys=capsys)
    assert values(turned)["auroc"] == pytest.approx(1 - values(result)["auroc"])


def test_triplets_are_measured_by_which_text_is_nearer(capsys) -> None:
    result = found(write("rows.csv", {"negative": FAR, "anchor": QUESTIONS, "positive": NEAR}), capsys=capsys)
    assert values(result) == {"accuracy": 1.0}
    seen = result["data"]["geometry"]
    assert 0 < seen["alignment"] < 2 * (1 - seen["mean_cosine"])  # texts that belong together are nearer than any two
    assert seen["uniform"] < seen["uniformity"] < 0
    assert [alarm["name"] for alarm in result["alarms"]] == ["at the ceiling"]
    swapped = found(write("rows.csv", {"negative": NEAR, "anchor": QUESTIONS, "positive": FAR}), capsys=capsys)
    assert values(swapped) == {"accuracy": 0.0}
    both = {"anchor": QUESTIONS, "positive": NEAR, "negative_1": FAR, "negative_2": QUESTIONS}
    assert values(found(write("rows.csv", both), capsys=capsys)) == {"accuracy": 0.0}


def test_pairs_that_belong_together_are_found_again(capsys) -> None:
    rows = {"query": [*QUESTIONS, QUESTIONS[0]], "answer": [*NEAR, "the owl is also this"]}
    result = found(write("rows.csv", rows), capsys=capsys)
    assert values(result)["recall@10"] == 1.0
    assert values(result)["mrr@10"] > 0.9
    assert result["metrics"][0]["n"] == 12


def test_texts_with_classes_are_found_again_in_clusters(capsys) -> None:
    about = {"music": ("violin", "piano", "drum", "flute"), "water": ("river", "ocean", "lake", "rain")}
    rows = [
        (f"I like the {thing} {time}", name) for name, things in about.items() for thing in things for time in ("now", "always")
    ]
    result = found(write("rows.csv", {"text": [text for text, _ in rows], "category": [name for _, name in rows]}), capsys=capsys)
    assert list(values(result)) == ["triplet_accuracy", "v_measure", "adjusted_rand"]
    assert values(result)["v_measure"] > 0.9
    assert values(result)["triplet_accuracy"] > 0.9
    assert result["metrics"][0]["n"] == 9  # of nearly equal texts one
    assert [verdict["metric"] for verdict in result["verdicts"]] == ["triplet_accuracy", "v_measure"]
    assert result["data"]["shape"] == "labelled_text"
    assert "7 texts left out, equal or nearly equal" in result["findings"][0]["summary"]


def test_triplets_of_labelled_texts_count_as_upstream_counts(tiny_model: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.evaluation import TripletEvaluator

    texts = [*(f"the {thing} sang" for thing in THINGS), *(f"{thing} in some place far away" for thing in THINGS)]
    classes = ["music"] * 12 + ["travel"] * 12
    table = Table("rows.csv", {"text": texts, "class": classes}, tuple(range(24)))
    test = rows_test(usable_rows(table, detect_pair_format(table, {"text": "text", "label": "class"}), "test"), seed=5)
    triplets = test.triplets
    assert triplets is not None
    model = SentenceTransformer(str(tiny_model), device="cpu")
    sides = [[texts[i] for i in part.tolist()] for part in (triplets.anchor, triplets.positive, triplets.negative)]
    expected = TripletEvaluator(*sides, name="x", show_progress_bar=False)(model)["x_cosine_accuracy"]
    ours = evaluate_similarity(
        str(tiny_model), {"text": texts, "class": classes}, columns={"text": "text", "label": "class"}, seed=5
    )
    assert ours.metric("triplet_accuracy", "test").value == pytest.approx(expected)
    assert ours.metric("triplet_accuracy", "test").n_clusters == len(set(triplets.block.tolist()))


def test_rows_without_a_text_are_left_out_and_counted(capsys) -> None:
    write("rows.csv", {"anchor": [*QUESTIONS, ""], "positive": [*NEAR, "x"], "negative": [*FAR, "y"]})
    assert main(["evaluate", "builtin:minilm", "rows.csv"]) == 0
    result = capsys.readouterr().out
    assert "note: 1 row without a text left out." in result
    assert "accuracy" in result


def test_rows_that_a_model_was_trained_on_are_named(tiny_model: Path, tmp_path: Path) -> None:
    data = {"anchor": QUESTIONS, "positive": NEAR, "negative": FAR}
    run = tmp_path / "run"
    shutil.copytree(tiny_model, run / "model")
    splits = {"train": {"sha256": hash_table(data), "rows": 12}}
    RunResult("embedding", data={"splits": splits}).save(run / "result.json")
    (finding,) = evaluate_similarity("builtin:minilm", data, against=[run], n_resamples=100).findings
    assert finding.text.startswith(f"{run} was trained on 12 rows of table in memory")
    other = {**data, "positive": FAR, "negative": NEAR}
    assert evaluate_similarity("builtin:minilm", other, against=[run], n_resamples=100).findings == ()


def test_the_best_f1_is_that_of_the_best_threshold() -> None:
    draw = np.random.default_rng(0)
    same = draw.integers(0, 2, 200)
    scores = np.round(np.clip(0.4 + 0.2 * same + 0.2 * draw.normal(size=200), 0, 1), 2)
    result = at_best_f1(same, scores)
    precision, recall, _ = precision_recall_curve(same, scores)
    best = np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12))
    decided = result.decisions[:, 0]
    f1 = 2 * (decided * same).sum() / (decided.sum() + same.sum())
    assert f1 == pytest.approx(best)
    assert average_precision_score(same, scores) > 0.5


SCORED: dict[str, list[Any]] = {"text": QUESTIONS, "pair": NEAR, "score": []}


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"sentence": NEAR}, {}, "the rows are texts by themselves"),
        ({"text": NEAR, "label": ["a"] * 12}, {"columns": {"text": "text", "label": "label"}}, "all texts are of the class 'a'"),
        ({"premise": QUESTIONS, "hypothesis": NEAR, "label": ["a", "b", "c"] * 4}, {}, "classes are a, b, c; which of them"),
        (SCORED | {"score": [0.5] * 11 + ["x"]}, {"columns": {part: part for part in SCORED}}, "the score 'x' is no number"),
        ({"anchor": QUESTIONS, "positive": NEAR}, {"dimensions": [999]}, "999 dimensions are requested"),
        ({"anchor": QUESTIONS[:1], "positive": NEAR[:1]}, {}, "1 row has all of"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_an_error(columns: dict[str, list[Any]], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate_similarity("builtin:minilm", write("rows.csv", columns), **options)


def test_classes_in_numbers_are_asked_about_and_the_named_one_is_said(capsys, tmp_path: Path) -> None:
    rows = {"premise": QUESTIONS * 3, "hypothesis": [*NEAR, *FAR, *FAR[1:], FAR[0]], "label": [0] * 12 + [1] * 12 + [2] * 12}
    assert main(["evaluate", "builtin:minilm", write("nli.csv", rows)]) == 2
    assert "the classes are 0, 1, 2; which of them means the same" in capsys.readouterr().err
    right = found("nli.csv", "--same", "0", capsys=capsys)
    assert values(right)["auroc"] > 0.9
    assert values(found("nli.csv", "--same", "2", capsys=capsys))["auroc"] < 0.5
    assert main(["evaluate", "builtin:minilm", "nli.csv", "--same", "0"]) == 0
    assert "label 0 means the same." in capsys.readouterr().err
    names = {**rows, "label_text": [("entailment", "neutral", "contradiction")[k] for k in rows["label"]]}
    assert values(found(write("named.csv", names), capsys=capsys)) == values(right)


def test_a_corpus_makes_the_search_of_pairs_harder_and_a_solved_one_is_an_alarm(capsys, tmp_path: Path) -> None:
    rows = {"question": QUESTIONS, "answer": [f"{text} now" for text in QUESTIONS]}
    solved = found(write("pairs.csv", rows), capsys=capsys)
    assert (values(solved)["ndcg@10"], [alarm["name"] for alarm in solved["alarms"]]) == (1.0, ["at the ceiling"])
    write("texts.csv", {"text": QUESTIONS})
    assert main(["evaluate", "builtin:minilm", "pairs.csv", "--corpus", "texts.csv"]) == 0
    assert "searched among 24 texts: 12 of test, 12 of texts.csv" in capsys.readouterr().err
    harder = found("pairs.csv", "--corpus", "texts.csv", capsys=capsys)
    assert values(harder)["ndcg@10"] < 1
    assert harder["alarms"] == []
    write("scored.csv", {"sentence1": QUESTIONS, "sentence2": NEAR, "score": [i / 2 for i in range(12)]})
    assert main(["evaluate", "builtin:minilm", "scored.csv", "--corpus", "texts.csv"]) == 2
    assert "only pairs of texts that belong together are searched" in capsys.readouterr().err
