"""Keys of language models: where they belong, and values that no data could make right."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.errors import RecipeError
from tunesmith.recipe.load import recipe_from_mapping


def problems(**sections: Any) -> str:
    """What is said of a recipe of a language model; empty where nothing is wrong."""
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
    ("sections", "said"),
    [
        ({"task": "classification", "sft": {"labels": ["a", "b"]}}, "sft is of language models; the task is classification"),
        ({"task": "embedding", "quantisation": "nf4"}, "quantisation is of language models"),
        ({"task": "classification", "evaluate": {"stride": 8}}, "stride is of language models"),
        ({"task": "regression", "data": {"train": "a.csv", "columns": {"messages": "m"}}}, "messages is of language models"),
        ({"train": {"class_weights": "balanced"}}, "language models have no such setting"),
        ({"evaluate": {"tune_threshold": True}}, "answers have no threshold"),
        ({"evaluate": {"baselines": ["bm25"]}}, "bm25 is no baseline of sft"),
        ({"task": "pretraining", "evaluate": {"baselines": ["few_shot"]}}, "few_shot is no baseline of pretraining"),
        ({"pretraining": {"objective": "causal"}}, "pretraining is of another task"),
        ({"task": "pretraining", "sft": {"labels": ["a", "b"]}}, "plain texts have no questions and answers"),
        ({"task": "pretraining", "evaluate": {"metric": "exact_match"}}, "is no metric of pretraining"),
        ({"quantisation": "nf4"}, "nf4 weights cannot be trained themselves, and there is no adapter"),
        ({"sft": {"packing": True}, "adapter": {"method": "prompt_tuning"}}, "only the first row in it would see them"),
        (
            {"task": "pretraining", "pretraining": {"padding_free": True}, "adapter": {"method": "prefix_tuning"}},
            "pretraining.padding_free: prefix_tuning puts learnt tokens before a sequence",
        ),
        ({"sft": {"labels": ["yes"]}}, "one label leaves nothing to choose"),
        ({"sft": {"labels": ["yes", "yes"]}}, "a label is listed twice"),
        ({"sft": {"labels": ["yes", " "]}}, "a label is an empty text"),
        ({"sft": {"labels": ["sure", "sure not"]}}, '"sure" is how "sure not" begins'),
        ({"evaluate": {"metric": "mcc"}}, "mcc is of labels, and sft.labels names none"),
        ({"sft": {"labels": ["a", "b"]}, "evaluate": {"metric": "rouge_l"}}, "answers that are labels are not judged by rouge_l"),
        ({"evaluate": {"metric": "function"}}, "there is no function"),
        ({"evaluate": {"metric": "rouge_l", "answers": {"rows": 0}}}, "rouge_l judges answers, and answers.rows is 0"),
        ({"evaluate": {"answers": {"pattern": "#### ("}}}, "is no regular expression"),
        ({"evaluate": {"answers": {"pattern": "####"}}}, "has no group"),
        ({"evaluate": {"answers": {"temperature": 0.7}}}, "do_sample is false"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_is_said(sections: dict[str, Any], said: str) -> None:
    assert said in problems(**sections)


def test_a_wrong_metric_names_those_there_are() -> None:
    assert "Did you mean perplexity?" in problems(evaluate={"metric": "ppl"})
    assert "Did you mean rouge_l?" in problems(evaluate={"metric": "rougeL"})
