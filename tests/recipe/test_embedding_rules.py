"""What belongs to embeddings alone, and what they do not have."""

from __future__ import annotations

import pytest

from tunesmith.errors import RecipeError
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.resolved import resolved_yaml


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"embedding": {"loss": "CoSENTLoss"}}, "`embedding` applies only to embedding models, and the task is classification"),
        ({"evaluate": {"retrieval": "folder"}}, "`retrieval` applies only to embedding models"),
        ({"data": {"train": "a.csv", "columns": {"anchor": "q"}}}, "`anchor` applies only to embedding models"),
        ({"task": "embedding", "train": {"class_weights": "balanced"}}, "does not apply to embedding models"),
        ({"task": "embedding", "diagnose": {"n_folds": 3}}, "does not apply to embedding models"),
        ({"task": "embedding", "evaluate": {"tune_threshold": True}}, "embedding models have no decision threshold"),
        ({"task": "embedding", "parallel": {"processes": 2}}, "in-batch negatives come from one batch"),
        ({"task": "embedding", "train": {"train_layers": "head"}}, "nothing would be trained"),
        ({"task": "embedding", "embedding": {"top_k": 5}}, "`top_k` applies only to rerankers"),
        (
            {"task": "embedding", "embedding": {"head": "cross-encoder", "pooling": "cls"}},
            "does not apply to rerankers, which score pairs",
        ),
        (
            {"task": "embedding", "embedding": {"head": "cross-encoder"}, "evaluate": {"retrieval": "x", "metric": "mrr@10"}},
            "the selection metric of a reranker is always the average precision",
        ),
        (
            {"task": "embedding", "embedding": {"head": "cross-encoder"}},
            "a reranker is evaluated by how it changes retrieval results",
        ),
        ({"task": "embedding", "embedding": {"score_range": [5, 0]}}, r"the lowest score \(5\) is not below the highest \(0\)"),
        ({"task": "embedding", "embedding": {"matryoshka_dimensions": [8, 8]}}, "a size is listed twice"),
        ({"task": "embedding", "evaluate": {"baselines": ["majority"]}}, "majority is not a baseline of embedding models"),
        ({"task": "embedding", "evaluate": {"metric": "macro_f1"}}, '"macro_f1" is not a metric of embedding'),
        ({"task": "embedding", "data": {"train": "a", "columns": {"anchor": "q", "negative": ["x", "q"]}}}, "already the anchor"),
    ],
)
def test_keys_that_do_not_go_together(more, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe_from_mapping({"data": {"train": "a.csv"}, **more})


def test_metrics_of_any_depth_are_known_and_the_resolved_recipe_comes_back() -> None:
    import yaml

    recipe = recipe_from_mapping({"task": "embedding", "data": {"train": "a.csv"}, "evaluate": {"metric": "ndcg@20"}})
    assert recipe.evaluate.metric == "ndcg@20"
    assert recipe_from_mapping(yaml.safe_load(resolved_yaml(recipe))) == recipe
