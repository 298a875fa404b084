"""The table of tasks: complete, in line with the recipe's sections, and read by one rule."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from tunesmith.errors import RecipeError
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.metric_names import higher_is_better
from tunesmith.recipe.metric_roles import suggest_metric
from tunesmith.recipe.sections import ColumnsSection, Recipe, TaskName
from tunesmith.recipe.task_sections import EmbeddingSection
from tunesmith.recipe.tasks import (
    KEY_TASKS,
    REFUSALS,
    TASKS,
    VECTOR_OPTIONS,
    Key,
    baseline_names,
    missing_keys,
    primary_metric,
    refusal,
    task_settings,
)
from tunesmith.recipe.tree import all_keys, branches, choices, key_schema

# A value other than the default for every key that some task does not have.
VALUES: dict[Key, Any] = {
    ("embedding",): {"hard_negatives": {}},
    ("sft",): {"loss_on": "all"},
    ("pretraining",): {"objective": "causal"},
    ("reward",): {"center_rewards_coefficient": 0.01},
    ("ppo",): {"kl_coef": 0.1},
    ("grpo",): {"beta": 0.1},
    ("rewards",): {"gold": "rewards.py:gold"},
    ("rounds",): {"n": 3},
    ("preference",): {"loss_type": "ipo"},
    ("quantisation",): "nf4",
    ("model", "tokenizer"): "builtin:minilm",
    ("model", "new_tokens"): ["<new>"],
    ("model", "rope_parameters"): {"factor": 2},
    ("data", "also"): ["more.csv"],
    ("data", "label_separator"): "|",
    ("data", "keep_null_labels"): True,
    ("data", "labels"): {"0": "bad", "1": "good"},
    ("data", "template"): "{title}. {body}",
    ("data", "columns", "annotators"): ["first", "second"],
    ("embedding", "first_stage"): "builtin:minilm",
    ("embedding", "top_k"): 5,
    ("embedding", "loss"): "CoSENTLoss",
    ("embedding", "loss_options"): {"scale": 1},
    ("embedding", "mix"): "proportional",
    ("embedding", "losses"): {"more.csv": "CoSENTLoss"},
    ("embedding", "matryoshka_dimensions"): [8],
    ("embedding", "adaptive_layers"): True,
    ("embedding", "pooling"): "cls",
    ("embedding", "dense"): 8,
    ("embedding", "normalize"): True,
    ("embedding", "prompts"): {"query": "q: "},
    ("embedding", "batch_sampler"): "no_duplicates",
    ("embedding", "guide"): "builtin:minilm",
    ("embedding", "same"): "yes",
    ("embedding", "different"): "no",
    ("evaluate", "corpus"): "split",
    ("embedding", "score_range"): [0, 5],
    ("embedding", "convert"): "triplet",
    ("train", "head_init"): "random",
    ("train", "distillation"): "none",
    ("train", "class_weights"): "balanced",
    ("train", "label_smoothing_factor"): 0.1,
    ("evaluate", "tune_threshold"): True,
    ("evaluate", "positive_class"): "spam",
    ("evaluate", "function"): "metric.py:score",
    ("evaluate", "function_range"): [0, 1],
    ("evaluate", "lower_is_better"): ["cost"],
    ("evaluate", "evaluators"): ["TripletEvaluator"],
    ("evaluate", "retrieval"): "folder",
    ("evaluate", "answers"): {"max_new_tokens": 3},
    ("evaluate", "answers", "shots"): 1,
    ("evaluate", "answers", "pattern"): "(.*)",
    ("evaluate", "answers", "function"): "metric.py:score",
    ("evaluate", "stride"): 8,
    ("evaluate", "context_lengths"): [8],
    ("evaluate", "general"): "texts.txt",
    ("diagnose",): {"n_folds": 3},
    ("parallel", "processes"): 2,
}


def value_for(key: Key, name: str) -> Any:
    if key == ("evaluate", "metric"):
        return TASKS[name].default_metric
    return "column" if key[:2] == ("data", "columns") and key not in VALUES else VALUES[key]


def recipe_for(name: str, key: Key = ()) -> dict[str, Any]:
    """Make a sound recipe of a task, with a value for one key, and what else that key needs."""
    recipe: dict[str, Any] = {"task": TASKS[name].task, "data": {"train": "a.csv"}}
    if name == "reranker":
        recipe |= {"embedding": {"head": "cross-encoder"}, "evaluate": {"retrieval": "folder"}}
    if name in ("ppo", "grpo"):
        recipe |= {"rewards": {"reward_funcs": ["rewards.py:score"]}}
    if name == "preference" and key in (("rewards",), ("rounds",)):
        recipe |= {"rounds": {"n": 2}, "rewards": {"reward_funcs": ["rewards.py:score"]}}
    if key == ("quantisation",):
        recipe |= {"adapter": {"method": "lora"}}
    if key[-1:] == ("pattern",) and TASKS[name].has_key(key):
        recipe["evaluate"] = {"answers": {"rows": 1}}
    if key == ("embedding", "losses") and name == "embedding":
        recipe |= {"data": {"train": "a.csv", "also": ["more.csv"]}, "embedding": {"mix": "proportional"}}
    if key[-1:] in (("function_range",), ("lower_is_better",)) and TASKS[name].has_key(key):
        recipe["evaluate"] = {**recipe.get("evaluate", {}), "function": "metric.py:score"}
    section = recipe
    for part in key[:-1]:
        section = section.setdefault(part, {})
    if key:
        value, before = value_for(key, name), section.get(key[-1])
        section[key[-1]] = {**before, **value} if isinstance(before, dict) else value
    return recipe


def problems(recipe: dict[str, Any]) -> list[str]:
    try:
        recipe_from_mapping(recipe)
    except RecipeError as error:
        return str(error).splitlines()
    return []


def test_every_task_of_the_recipe_has_a_row() -> None:
    assert {*get_args(TaskName), "reranker"} == TASKS.keys()
    assert all(TASKS[name].task == name for name in get_args(TaskName))


@pytest.mark.parametrize("name", TASKS)
def test_rows_name_what_there_is(name: str) -> None:
    row = TASKS[name]
    assert row.name == name
    assert all(isinstance(higher_is_better(metric), bool) for metric in row.metrics)
    assert row.default_metric in row.metrics
    assert {*row.columns} <= ColumnsSection.model_fields.keys()
    assert {*row.sections} <= Recipe.model_fields.keys()
    assert row.description[0].isupper()
    assert row.description.endswith(".")


def test_every_baseline_of_the_recipe_belongs_to_a_task() -> None:
    listed = next(branch["items"] for branch in branches(key_schema(("evaluate", "baselines"))) if "items" in branch)
    assert {name for row in TASKS.values() for name in row.baselines} == {*(choices(listed) or ())}


def test_every_column_belongs_to_a_task_and_every_key_exists() -> None:
    assert {part for row in TASKS.values() for part in row.columns} == {*ColumnsSection.model_fields}
    known = {key[:end] for key in all_keys() for end in range(1, len(key) + 1)}
    assert [key for key in KEY_TASKS if key not in known] == []
    assert all({*names} <= TASKS.keys() for names in KEY_TASKS.values())
    assert {*VECTOR_OPTIONS, "first_stage", "top_k"} == EmbeddingSection.model_fields.keys() - {"head", "hard_negatives"}


def test_special_messages_are_for_keys_that_the_task_does_not_have() -> None:
    for key, messages in REFUSALS.items():
        assert not any(TASKS[name].has_key(key) for name in messages), key


def test_a_remedy_never_names_the_task_that_the_recipe_has() -> None:
    for row in TASKS.values():
        for key in missing_keys(row):
            assert f"task: {row.task}" not in refusal(key, row).remedy, (row.name, key)


@pytest.mark.parametrize("name", TASKS)
def test_a_plain_recipe_of_each_task_is_sound(name: str) -> None:
    assert problems(recipe_for(name)) == []
    assert task_settings(recipe_from_mapping(recipe_for(name))) is TASKS[name]


@pytest.mark.parametrize(("name", "key"), [(name, key) for name in TASKS for key in KEY_TASKS], ids=str)
def test_foreign_keys_are_refused_and_own_keys_are_not(name: str, key: Key) -> None:
    row, found = TASKS[name], problems(recipe_for(name, key))
    if row.has_key(key):
        assert found == []
        return
    refused = next(key[:end] for end in range(1, len(key) + 1) if key[:end] in missing_keys(row))
    expected = refusal(refused, row)
    assert found == [f"recipe {'.'.join(refused)}: {expected.message}. {expected.remedy}"]


@pytest.mark.parametrize("name", TASKS)
def test_the_defaults_of_foreign_keys_may_be_written(name: str) -> None:
    written = recipe_from_mapping(recipe_for(name)).model_dump(mode="json")
    written["evaluate"]["tune_threshold"] = False  # on by default: on is refused, see above
    assert problems(written) == []


@pytest.mark.parametrize(
    ("name", "key", "message"),
    [
        (
            "classification",
            ("sft",),
            "`sft` applies only to language models, and the task is classification. Remove the key, or write task: sft.",
        ),
        (
            "regression",
            ("evaluate", "stride"),
            "`stride` applies only to language models, and the task is regression."
            " Remove the key, or write task: sft or pretraining.",
        ),
        (
            "pretraining",
            ("data", "columns", "anchor"),
            "`anchor` applies only to embedding models and rerankers, and the task is pretraining."
            " Remove the key, or write task: embedding.",
        ),
        (
            "sft",
            ("pretraining",),
            "`pretraining` applies only to task: pretraining, and the task is sft. Remove the key, or write task: pretraining.",
        ),
        (
            "reranker",
            ("train", "label_smoothing_factor"),
            "`label_smoothing_factor` applies only to classification and language models, and the task is embedding."
            " Remove the key, or write task: classification, sft or pretraining.",
        ),
    ],
)
def test_messages(name: str, key: Key, message: str) -> None:
    refused = refusal(key, TASKS[name])
    assert f"{refused.message}. {refused.remedy}" == message


def test_metric_and_baselines_of_the_recipe_come_first() -> None:
    data = {"data": {"train": "a.csv"}}
    assert primary_metric(recipe_from_mapping(data)) == "macro_f1"
    assert primary_metric(recipe_from_mapping(data | {"task": "regression"})) == "spearman"
    assert primary_metric(recipe_from_mapping(data | {"evaluate": {"metric": "mcc"}})) == "mcc"
    assert baseline_names(recipe_from_mapping(data | {"task": "pretraining"})) == ("untuned",)
    assert baseline_names(recipe_from_mapping(data | {"evaluate": {"baselines": ["tfidf"]}})) == ("tfidf",)
    assert baseline_names(recipe_from_mapping(data | {"evaluate": {"baselines": []}})) == ()


@pytest.mark.parametrize(
    ("name", "metric", "expected"),
    [
        ("embedding", "ndcg@20", True),
        ("reranker", "ndcg@20", False),
        ("classification", "mcc", True),
        ("regression", "mcc", False),
    ],
)
def test_metrics_of_a_task(name: str, metric: str, expected: bool) -> None:
    assert TASKS[name].has_metric(metric) == expected


SMALL, MIDDLE, LARGE = 10_000_000, 300_000_000, 7_000_000_000


@pytest.mark.parametrize(
    ("name", "sizes", "with_adapter", "only_head"),
    [
        ("classification", (1e-4, 2e-5, 2e-5), (1e-3, 1e-3, 1e-3), 1e-3),
        ("regression", (1e-4, 2e-5, 2e-5), (1e-3, 1e-3, 1e-3), 1e-3),
        ("reranker", (1e-4, 2e-5, 2e-5), (1e-3, 1e-3, 1e-3), 1e-3),
        ("embedding", (2e-5, 2e-5, 2e-5), (1e-3, 1e-3, 1e-3), 2e-5),
        ("sft", (1e-4, 5e-5, 2e-5), (1e-3, 2e-4, 2e-4), 1e-4),
        ("pretraining", (1e-4, 5e-5, 2e-5), (1e-3, 2e-4, 2e-4), 1e-4),
    ],
)
def test_learning_rates(name: str, sizes: tuple[float, ...], with_adapter: tuple[float, ...], only_head: float) -> None:
    rates = TASKS[name].learning_rates
    for n, plain, adapted in zip((SMALL, MIDDLE, LARGE), sizes, with_adapter, strict=True):
        assert rates.rate(n, with_adapter=False, only_head=False) == plain
        assert rates.rate(n, with_adapter=True, only_head=False) == adapted
    assert rates.rate(SMALL, with_adapter=False, only_head=True) == only_head


@pytest.mark.parametrize(
    ("metric", "name", "sentence"),
    [
        ("f1_score", "classification", "Did you mean f1 or macro_f1 or micro_f1?"),
        ("eval_f1", "classification", "Did you mean f1?"),
        ("glue/mrpc", "classification", "Did you mean accuracy_f1?"),
        ("glue/stsb", "regression", "Did you mean pearson_spearman?"),
        ("combined_score", "regression", "Did you mean pearson_spearman?"),
        ("matthews_correlation", "classification", "Did you mean mcc?"),
        ("roc_auc", "classification", "Did you mean auroc?"),
        ("eval_loss", "classification", "Did you mean log_loss?"),
        ("eval_loss", "regression", "Did you mean rmse?"),
        ("MCC", "classification", "Did you mean mcc?"),
        ("accurracy", "classification", "Did you mean accuracy?"),
        (
            "mcc",
            "regression",
            "mcc is a metric of the task classification. "
            "Metrics of regression: pearson, spearman, rmse, mae, r2, pearson_spearman.",
        ),
        ("bleu", "regression", "Metrics of regression: pearson, spearman, rmse, mae, r2, pearson_spearman."),
    ],
)
def test_suggestions(metric: str, name: str, sentence: str) -> None:
    assert suggest_metric(metric, TASKS[name]) == sentence
