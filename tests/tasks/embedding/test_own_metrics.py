"""Metrics that the recipe of an embedding model adds: a function, evaluators of sentence-transformers, dimensions."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import WORDS
from tunesmith.cli.main import main
from tunesmith.data.pairs.formats import PairFormat
from tunesmith.errors import RecipeError
from tunesmith.evaluation.embedding_tests import RowsTest
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.results import RunResult
from tunesmith.tasks.embedding.own_metrics import EVALUATORS, REFUSED, check_evaluators

FUNCTION = """
import numpy as np
def score(similarities, labels, vectors, texts, pairs):
    assert len(similarities) == len(labels) == len(texts) == len(pairs) == len(vectors[0]) == len(vectors[1])
    return {"gap": float(np.abs(similarities - labels).mean())}
def whole(encode, texts):
    return {"norm": float(np.linalg.norm(encode(list(texts[:4])), axis=1).mean())}
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.py").write_text(FUNCTION)
    draw = random.Random(0)
    rows = []
    for _ in range(120):
        words = draw.sample(WORDS, 6)
        shared = draw.randint(0, 4)
        rows.append([" ".join(words[:4]), " ".join([*words[:shared], *words[4:]]), shared / 4])
    with Path("pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["text1", "text2", "score"], *rows])
    return tmp_path


def recipe(model: Path, evaluate: dict[str, Any], **train: Any) -> str:
    settings = {"max_steps": 4, "n_evaluations": 2, "per_device_train_batch_size": 16, "learning_rate": 0.001, **train}
    content = {
        "task": "embedding", "model": {"name": str(model)}, "data": {"train": "pairs.csv", "validation": 0.2, "test": 0.3},
        "embedding": {"matryoshka_dimensions": [8]}, "train": settings,
        "evaluate": {"n_resamples": 200, "baselines": ["untuned", "tfidf"], **evaluate}, "output": "runs/e",
    }  # fmt: skip
    Path("recipe.yaml").write_text(json.dumps(content))
    return "recipe.yaml"


def test_a_dimension_leads_a_function_selects_and_an_evaluator_stops(tiny_model: Path, capsys) -> None:
    evaluate = {"metric": "spearman dim=8", "checkpoint_metric": "gap", "function": "e.py:score", "lower_is_better": ["gap"]}
    evaluate |= {"evaluators": ["EmbeddingSimilarityEvaluator"]}
    stopping = {"metric": "EmbeddingSimilarityEvaluator.pearson_cosine"}
    assert main(["train", recipe(tiny_model, evaluate, early_stopping=stopping)]) == 0
    result = RunResult.load(Path("runs/e/result.json"))
    assert "Test Spearman dim=8" in capsys.readouterr().out
    assert result.training["best_metric"]["name"] == "gap"
    assert result.training["early_stopping_metric"] == stopping["metric"]
    gap, upstream = result.metric("gap", "test"), result.metric("EmbeddingSimilarityEvaluator.spearman_cosine", "test")
    assert gap.low is not None
    assert gap.low < gap.value < gap.high
    assert not gap.higher_is_better
    assert upstream.value == pytest.approx(result.metric("spearman", "test").value, abs=1e-4)
    assert (upstream.low, upstream.note) == (None, "one figure of all rows together: no interval")
    assert {(v.metric, v.against) for v in result.verdicts if v.split == "test"} >= {
        ("gap", "untuned"),
        ("spearman dim=8", "tfidf"),
    } - {("spearman dim=8", "tfidf")}
    untuned = next(baseline for baseline in result.baselines if baseline.name == "untuned")
    assert {"gap", "EmbeddingSimilarityEvaluator.pearson_cosine"} <= {metric.name for metric in untuned.metrics}
    assert main(["compare", "runs/e", "runs/e", "--metric", "spearman dim=8"]) == 4
    assert main(["evaluate", "runs/e", "pairs.csv", "--json"]) == 0
    found = {metric["name"] for metric in json.loads(capsys.readouterr().out.splitlines()[-1])["metrics"]}
    assert {"gap", "EmbeddingSimilarityEvaluator.spearman_cosine"} <= found


def test_a_function_that_encodes_has_a_value_before_and_after_without_an_interval(tiny_model: Path) -> None:
    assert main(["train", recipe(tiny_model, {"function": "e.py:whole", "checkpoint_metric": "norm"})]) == 0
    result = RunResult.load(Path("runs/e/result.json"))
    after = result.metric("norm", "test")
    before = next(m for b in result.baselines if b.name == "untuned" for m in b.metrics if (m.name, m.split) == ("norm", "test"))
    assert (after.low, before.low) == (None, None)
    assert after.value != before.value


@pytest.mark.parametrize(
    ("evaluate", "message"),
    [
        (
            {"evaluators": ["TripletEvaluator"]},
            "does not evaluate rows of two texts and how alike they are. Evaluators of these rows",
        ),
        ({"evaluators": ["TripelEvaluator"]}, "is no evaluator of sentence-transformers that tunesmith feeds"),
        ({"evaluators": ["NanoBEIREvaluator"]}, "it downloads its data"),
        ({"metric": "spearman dim=9"}, "evaluate.metric: Spearman dim=9 is not computed"),
        ({"checkpoint_metric": "ndcg@10"}, "evaluate.checkpoint_metric: these rows are not measured by ndcg@10"),
        (
            {"function": "e.py:score", "metric": "gapp"},
            "gapp is no metric here, and is not returned by e.py:score. Did you mean gap? It returns: gap",
        ),
        (
            {"evaluators": ["EmbeddingSimilarityEvaluator"], "checkpoint_metric": "EmbeddingSimilarityEvaluator.pearson"},
            "validation is not measured by EmbeddingSimilarityEvaluator.pearson. It is measured by: ",
        ),
    ],
)
def test_what_cannot_be_measured_ends_before_training(tiny_model: Path, capsys, evaluate: dict[str, Any], message: str) -> None:
    assert main(["train", recipe(tiny_model, evaluate)]) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs/e").exists()


TEXTS = (("a b", "c d", "e f"), ("b a", "d c", "f e"), ("x y", "y z", "z z"))
TARGETS = {"scored_pair": np.array([0.5, 1.0, 0.2]), "labelled_pair": np.array([1, 0, 1])}
KINDS = [(name, kind) for name, (kinds, _) in EVALUATORS.items() for kind in kinds]


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_upstream_takes_the_arguments_of_every_evaluator(name: str, kind: str) -> None:
    import sentence_transformers.sentence_transformer.evaluation as upstream

    sides = TEXTS if kind in ("triplet", "tuple") else TEXTS[:2]
    shape = PairFormat(kind, tuple("abc"[: len(sides)]), (), "")  # type: ignore[arg-type]
    test = RowsTest("test", shape, sides, TARGETS.get(kind), (0, 1, 2))
    assert getattr(upstream, name)(**EVALUATORS[name][1](test), write_csv=False)


def test_every_evaluator_of_the_installed_library_is_fed_or_refused_with_a_reason() -> None:
    import sentence_transformers.sentence_transformer.evaluation as upstream

    known = {name for name in dir(upstream) if name.endswith("Evaluator") or name.startswith("MSEEvaluator")}
    assert known - {"BaseEvaluator", "SentenceEvaluator"} <= EVALUATORS.keys() | REFUSED.keys()


def test_evaluators_are_checked_against_the_rows() -> None:
    recipe_of = recipe_from_mapping(
        {"task": "embedding", "data": {"train": "a"}, "evaluate": {"evaluators": ["LabelAccuracyEvaluator"]}}
    )
    with pytest.raises(RecipeError, match="it needs a classifier"):
        check_evaluators(recipe_of, {})
