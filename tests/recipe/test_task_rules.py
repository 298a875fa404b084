"""Rules for embedding models and rerankers."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.errors import RecipeError
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.resolved import resolved_yaml


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"embedding": {"loss": "CoSENTLoss"}},
            "`embedding` applies only to embedding models and rerankers, and the task is classification",
        ),
        (
            {"evaluate": {"retrieval": "folder"}},
            "`retrieval` applies only to embedding models and rerankers, and the task is classification",
        ),
        (
            {"data": {"train": "a.csv", "columns": {"anchor": "q"}}},
            "`anchor` applies only to embedding models and rerankers, and the task is classification",
        ),
        (
            {"task": "embedding", "train": {"class_weights": "balanced"}},
            "`class_weights` applies only to classification, and the task is emb",
        ),
        (
            {"task": "embedding", "diagnose": {"n_folds": 3}},
            "`diagnose` applies only to classification and regression, and the task is emb",
        ),
        ({"task": "embedding", "evaluate": {"tune_threshold": True}}, "vectors have no threshold to tune"),
        ({"task": "embedding", "parallel": {"processes": 2}}, "in-batch negatives come from one batch"),
        ({"task": "embedding", "train": {"train_layers": "head"}}, "nothing would be trained"),
        (
            {"task": "embedding", "embedding": {"top_k": 5}},
            "`top_k` applies only to rerankers. Remove the key, or write embedding.head: cross-encoder",
        ),
        (
            {"task": "embedding", "embedding": {"head": "cross-encoder", "pooling": "cls"}},
            "`pooling` applies only to vectors, and a reranker is",
        ),
        (
            {"task": "embedding", "embedding": {"head": "cross-encoder"}, "evaluate": {"retrieval": "x", "metric": "mrr@10"}},
            "the verdict on a reranker is about the search",
        ),
        (
            {"task": "embedding", "embedding": {"head": "cross-encoder"}},
            "a reranker is evaluated by the search results that it reorders",
        ),
        ({"task": "embedding", "embedding": {"score_range": [5, 0]}}, r"the lowest score \(5\) is not below the highest \(0\)"),
        ({"task": "embedding", "embedding": {"matryoshka_dimensions": [8, 8]}}, "a size is listed twice"),
        (
            {"task": "embedding", "evaluate": {"baselines": ["majority"]}},
            "majority is not a baseline of embedding. Baselines of embedding: untuned, tfidf, bm25",
        ),
        ({"task": "embedding", "evaluate": {"metric": "macro_f1"}}, '"macro_f1" is not a metric of embedding'),
        ({"task": "embedding", "data": {"train": "a", "columns": {"anchor": "q", "negative": ["x", "q"]}}}, "already the anchor"),
    ],
)
def test_keys_that_do_not_go_together(more, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe_from_mapping({"data": {"train": "a.csv"}, **more})


def test_a_reranker_has_a_head_to_train() -> None:
    recipe = {
        "task": "embedding", "embedding": {"head": "cross-encoder"}, "train": {"train_layers": "head"},
        "data": {"train": "x.csv"}, "evaluate": {"retrieval": "builtin:handbook"}, "output": "x",
    }  # fmt: skip
    assert recipe_from_mapping(recipe).train.train_layers == "head"


def test_metrics_of_any_depth_are_known_and_the_resolved_recipe_comes_back() -> None:
    import yaml

    recipe = recipe_from_mapping({"task": "embedding", "data": {"train": "a.csv"}, "evaluate": {"metric": "ndcg@20"}})
    assert recipe.evaluate.metric == "ndcg@20"
    assert recipe_from_mapping(yaml.safe_load(resolved_yaml(recipe))) == recipe


def problems(**sections: Any) -> str:
    """Return the message for a recipe of a language model; empty where nothing is wrong."""
    recipe = {"task": "sft", "data": {"train": "rows.jsonl"}, **sections}
    try:
        recipe_from_mapping(recipe)
    except RecipeError as error:
        return str(error)
    return ""


def test_a_plain_recipe_of_each_task_is_sound() -> None:
    assert problems() == ""
    assert problems(task="pretraining") == ""
    assert problems(sft={"labels": ["yes", "no"]}, evaluate={"metric": "mcc"}) == ""
    assert problems(quantisation="nf4", adapter={"method": "lora"}) == ""
    assert problems(evaluate={"metric": "exact_match", "answers": {"pattern": "#### (.*)"}}) == ""


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"task": "classification", "sft": {"labels": ["a", "b"]}},
            "`sft` applies only to language models, and the task is classification. Remove the key, or write task: sft.",
        ),
        (
            {"task": "embedding", "quantisation": {"bnb_4bit_quant_type": "fp4"}},
            "fp4 weights cannot be trained, and there is no adapter. Add adapter: {method: lora}, or remove the key.",
        ),
        (
            {"task": "classification", "evaluate": {"stride": 8}},
            "`stride` applies only to language models, and the task is classification",
        ),
        (
            {"task": "regression", "data": {"train": "a.csv", "columns": {"messages": "m"}}},
            "`messages` applies only to language models and language models trained by rewards, and the task is regression",
        ),
        ({"train": {"class_weights": "balanced"}}, "`class_weights` applies only to classification, and the task is sft"),
        ({"evaluate": {"tune_threshold": True}}, "answers have no threshold"),
        ({"evaluate": {"baselines": ["bm25"]}}, "bm25 is not a baseline of sft. Baselines of sft: untuned, few_shot, chance."),
        ({"evaluate": {"baselines": ["chance"]}}, "random decisions (chance) need labels, and the answers are free text"),
        ({"task": "pretraining", "evaluate": {"baselines": ["few_shot"]}}, "few_shot is not a baseline of pretraining"),
        ({"pretraining": {"objective": "causal"}}, "`pretraining` applies only to task: pretraining, and the task is sft"),
        (
            {"task": "pretraining", "sft": {"labels": ["a", "b"]}},
            "plain texts have no prompts and answers. Remove the key, or write task: sft.",
        ),
        ({"task": "pretraining", "evaluate": {"metric": "exact_match"}}, "is not a metric of pretraining"),
        ({"quantisation": "nf4"}, "nf4 weights cannot be trained, and there is no adapter"),
        ({"sft": {"packing": True}, "adapter": {"method": "prompt_tuning"}}, "only the first row in it would attend to them"),
        (
            {"task": "pretraining", "pretraining": {"padding_free": True}, "adapter": {"method": "prefix_tuning"}},
            "pretraining.padding_free: prefix_tuning puts trained vectors before a sequence",
        ),
        ({"sft": {"labels": ["yes"]}}, "one label leaves nothing to choose"),
        ({"sft": {"labels": ["yes", "yes"]}}, "a label is listed twice"),
        ({"sft": {"labels": ["yes", " "]}}, "a label is an empty text"),
        ({"sft": {"labels": ["sure", "sure not"]}}, '"sure" is the beginning of "sure not"'),
        ({"evaluate": {"metric": "mcc"}}, "mcc is a metric of labels, and sft.labels names none"),
        ({"sft": {"labels": ["a", "b"]}, "evaluate": {"metric": "rouge_l"}}, "rouge_l does not apply to answers that are labels"),
        ({"evaluate": {"metric": "function"}}, "there is no function"),
        (
            {"evaluate": {"metric": "rouge_l", "answers": {"rows": 0}}},
            "rouge_l compares generated answers, and answers.rows is 0",
        ),
        ({"evaluate": {"answers": {"pattern": "#### ("}}}, "is not a regular expression"),
        ({"evaluate": {"answers": {"pattern": "####"}}}, "has no group"),
        ({"evaluate": {"answers": {"temperature": 0.7}}}, "do_sample is false"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_rules(sections: dict[str, Any], message: str) -> None:
    assert message in problems(**sections)


def test_a_wrong_metric_names_those_there_are() -> None:
    assert "Did you mean perplexity?" in problems(evaluate={"metric": "ppl"})
    assert "Did you mean rouge_l?" in problems(evaluate={"metric": "rougeL"})
