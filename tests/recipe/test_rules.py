"""Rules between keys: the exact message of each, and what passes."""

from pathlib import Path
from typing import Any

import pytest

from tunesmith.errors import RecipeError
from tunesmith.recipe.load import load_recipe, recipe_from_mapping

BROKEN: list[tuple[dict[str, Any], str]] = [
    (
        {"data": {"test": "t.csv", "also": ["t.csv"]}},
        "data.also[0]: is the same file as data.test: the model would be evaluated on its training rows.",
    ),
    (
        {"data": {"also": ["b.csv", "./b.csv"]}},
        "data.also[1]: is the same file as data.also[0]: each of its rows would be used twice.",
    ),
    (
        {"model": {"attn_implementation": "flash_atention_2"}},
        'model.attn_implementation: transformers has no attention "flash_atention_2". Did you mean flash_attention_2?',
    ),
    (
        {"model": {"attn_implementation": "flash_attention_2"}, "train": {"fast": False}},
        "model.attn_implementation: flash_attention_2 computes only in bf16 and fp16, and train.fast: false trains in fp32.",
    ),
    ({"data": {"template": "{a"}}, "data.template: a { has no partner; write {{ for the character itself."),
    (
        {"data": {"template": "{a}", "columns": {"text": "b"}}},
        "data.template: the template makes the text, and data.columns.text names b.",
    ),
    ({"data": {"labels": {"0": "a", "b.csv": {"0": "a"}}}}, "data.labels: holds maps beside single classes."),
    ({"data": {"labels": {"c.csv": {"0": "a"}}, "also": ["b.csv"]}}, "data.labels.c.csv: is not a file of this recipe."),
    (
        {"data": {"labels": {"c.csv": {"0": "a"}}, "also": ["nosuch.csv"]}},
        "data.labels.c.csv: is not a file of this recipe. data.also[0] is nosuch.csv: there is no such file.",
    ),
    ({"data": {"labels": {"train": {}}}}, "data.labels.train: is an empty map."),
    ({"data": {"labels": {"0": " "}}}, "data.labels.0: the name of the class is empty."),
    ({"data": {"labels": {" ": "a"}}}, "data.labels. : the label is empty."),
    ({"data": {"labels": {"True": "a", "true": "b"}}}, "data.labels.true: is the same label as True."),
    ({"output": "in", "data": {"also": ["in/b.csv"]}}, "output: contains the data file of data.also[0] (in/b.csv)."),
    (
        {"train": {"early_stopping": {}}, "data": {"validation": None}},
        "train.early_stopping: early stopping needs a validation split, and there is none (data.validation: null)."
        " Set data.validation to a fraction such as 0.1, or to a file.",
    ),
    (
        {"train": {"train_layers": "last 0"}},
        'train.train_layers: "last 0" is not one of: all, head, last N (N at least 1), a list of patterns.'
        " head trains only the new head.",
    ),
    ({"train": {"train_layers": "last2"}}, "Did you mean last 2?"),
    ({"train": {"train_layers": "haed"}}, "Did you mean head?"),
    ({"train": {"train_layers": []}}, "train.train_layers: the list of parameter-name patterns is empty, or one of them is."),
    ({"train": {"train_layers": "head"}, "adapter": {"method": "lora"}}, "train.train_layers: train_layers and adapter exclude"),
    (
        {"train": {"max_steps": 5, "num_train_epochs": 3}},
        "train.max_steps: max_steps (5) and num_train_epochs (3) both set the length of training."
        " Keep one: max_steps for a number of steps, num_train_epochs for epochs.",
    ),
    ({"train": {"warmup_steps": 1.5}}, "train.warmup_steps: 1.5 is neither a fraction (below 1) nor a whole number of steps."),
    (
        {"train": {"seed": 2**32 - 1, "n_seeds": 2}},
        "train.n_seeds: the last of 2 seeds, starting at 4294967295, would be above 4294967295.",
    ),
    (
        {"train": {"class_weights": {"a": -1, "b": 1}}},
        "train.class_weights.a: must be at least 0, found -1. 0 excludes the class from the loss.",
    ),
    ({"train": {"class_weights": {}}}, "train.class_weights: no class has a weight above 0."),
    (
        {"task": "regression", "train": {"class_weights": "balanced"}},
        "train.class_weights: a regression has no classes to weigh. Remove the key, or write task: classification.",
    ),
    (
        {"task": "regression", "train": {"label_smoothing_factor": 0.1}},
        "train.label_smoothing_factor: a regression has no classes to smooth over",
    ),
    (
        {"task": "regression", "evaluate": {"tune_threshold": True}},
        "evaluate.tune_threshold: a regression has no threshold to tune.",
    ),
    ({"task": "regression", "data": {"label_separator": "|"}}, "data.label_separator: a regression has one number in a row"),
    (
        {"task": "regression", "data": {"columns": {"label": ["a"]}}},
        "data.columns.label: several label columns apply only to classification, and the task is regression. Name one",
    ),
    (
        {"evaluate": {"metric": "f1_score"}},
        'evaluate.metric: "f1_score" is not a metric of classification. Did you mean f1 or macro_f1 or micro_f1?',
    ),
    ({"task": "regression", "evaluate": {"metric": "mcc"}}, 'evaluate.metric: "mcc" is not a metric of regression.'),
    ({"evaluate": {"baselines": ["tfidf", "tfidf"]}}, "evaluate.baselines: a name is listed twice: tfidf, tfidf."),
    ({"train": {"report_to": ["none", "wandb"]}}, "train.report_to: none is combined with other names."),
    ({"upstream": {"output_dir": "x"}}, "upstream.output_dir: tunesmith sets this field itself. Write output."),
    ({"upstream": {"max_grad_norm": 1}}, "upstream.max_grad_norm: tunesmith sets this field itself. Write train.max_grad_norm."),
    ({"upstream": {"hub_token": "x"}}, "upstream.hub_token: tunesmith sets this field itself. Secrets do not belong in a recipe"),
    (
        {"upstream": {"evaluation_strategy": "no"}},
        "upstream.evaluation_strategy: transformers.TrainingArguments has no field evaluation_strategy."
        " Write train.n_evaluations.",
    ),
    (
        {"upstream": {"neftune_noise_alpha": -5}},
        "upstream.neftune_noise_alpha: must be a number, at least 0, found -5. Write such a number, or leave it out.",
    ),
    ({"upstream": {"neftune_noise_alpha": "x"}}, "upstream.neftune_noise_alpha: must be a number, at least 0, found 'x'."),
    (
        {"upstream": {"torch_empty_cache_steps": 0}},
        "upstream.torch_empty_cache_steps: must be a whole number, at least 1, found 0.",
    ),
    (
        {"upstream": {"torch_empty_cache_steps": True}},
        "upstream.torch_empty_cache_steps: must be a whole number, at least 1, found True.",
    ),
    (
        {"upstream": {"push_to_hub": True}},
        "tunesmith sets this field itself. It would upload checkpoints. Upload the finished model, with its card: hf upload",
    ),
    ({"upstream": {"hub_model_id": "a/b"}}, "upstream.hub_model_id: tunesmith sets this field itself. It would upload"),
    (
        {"upstream": {"push_to_hub_model_id": "b"}},
        "It would upload checkpoints. Upload the finished model, with its card: hf upload ORGANISATION/NAME RUN/model",
    ),
    ({"upstream": {"deepspeed": "z.json"}}, "The weights are not divided among processes: write parallel.processes"),
    ({"upstream": {"save_strategy": "epoch"}}, "Write train.save_strategy."),
    ({"upstream": {"load_best_model_at_end": True}}, "The best checkpoint by evaluate.checkpoint_metric is always the result."),
    ({"upstream": {"eval_delay": 5}}, "Evaluations are tunesmith's own, and the field has no effect on them"),
    ({"upstream": {"adam_bta1": 1}}, "Did you mean adam_beta1?"),
    ({"train": {"optim": "adamw"}}, 'train.optim: transformers has no optimizer "adamw". Did you mean '),
    ({"train": {"lr_scheduler_type": "linaer"}}, 'transformers has no schedule "linaer". Did you mean linear?'),
    (
        {"parallel": {"strategy": "none", "processes": 2}},
        "parallel.processes: strategy none uses one process, and processes is 2.",
    ),
    ({"model": {"revision": "main"}}, "model.revision: builtin:minilm has no revisions. Remove the key."),
    ({"adapter": {"method": "lora", "a b": 1}}, "adapter.a b: is not a valid option name."),
    ({"data": {"validation": 0.5, "test": 0.5}}, "data.test: validation (0.5) and test (0.5) leave no row for training."),
    (
        {"data": {"validation": "a.csv"}},
        "data.validation: is the same file as data.train: the model would be evaluated on its training rows."
        " Give other rows, or a fraction such as validation: 0.1.",
    ),
    ({"data": {"test": "./x/../a.csv"}}, "data.test: is the same file as data.train"),
    (
        {"data": {"validation": "b.csv", "test": "b.csv"}},
        "data.test: is the same file as data.validation, which selects the best checkpoint."
        " Remove test: the verdict is then computed on validation.",
    ),
    ({"data": {"validation": "0.1"}}, 'data.validation: "0.1" is text and would be read as a file name.'),
    ({"data": {"test": "10%"}}, 'data.test: "10%" is text and would be read as a file name.'),
    ({"data": {"train": ""}}, "data.train: is empty."),
    ({"data": {"train": "a\0b"}}, "data.train: contains a NUL character."),
    ({"data": {"label_separator": ""}}, "data.label_separator: is empty."),
    ({"data": {"columns": {"text": "x", "pair": "x"}}}, 'data.columns.pair: the column "x" is already the text column.'),
    ({"data": {"columns": {"text": "x", "label": ["y", "x"]}}}, 'data.columns.label: the column "x" is already the text column.'),
    ({"data": {"columns": {"label": ["y", "y"]}}}, 'data.columns.label: "y" is listed twice.'),
    ({"data": {"columns": {"label": []}}}, "data.columns.label: is an empty list."),
    ({"data": {"columns": {"annotators": []}}}, "data.columns.annotators: names no column."),
    (
        {"data": {"columns": {"text": "x", "annotators": {"a": "x"}}}},
        'data.columns.annotators: the column "x" is already the text column.',
    ),
    ({"data": {"columns": {"annotators": ["x", "x"]}}}, 'data.columns.annotators: "x" is listed twice.'),
    (
        {"task": "regression", "data": {"columns": {"annotators": ["x"]}}},
        "data.columns.annotators: annotators are compared where each row has one class",
    ),
    (
        {"data": {"columns": {"annotators": ["x"]}, "label_separator": "|"}},
        "data.columns.annotators: annotators are compared where each row has one class.",
    ),
    (
        {"data": {"columns": {"label": ["y"]}, "label_separator": "|"}},
        "data.label_separator: several label columns and label_separator exclude each other",
    ),
    ({"data": {"encoding": "utf-9"}}, 'data.encoding: Python has no encoding "utf-9".'),
    ({"output": "."}, "output: contains the data file of data.train (a.csv)."),
    ({"output": "a.csv"}, "output: contains the data file of data.train (a.csv)."),
    ({"output": "a.csv/run"}, "output: is inside the data file of data.train (a.csv)."),
]


@pytest.mark.parametrize(("given", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_broken_rules(given: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError) as caught:
        recipe_from_mapping(given | {"data": {"train": "a.csv", **given.get("data", {})}})
    (problem,) = caught.value.problems
    line = problem.line().removeprefix("recipe ")
    assert line.startswith(message) or line.endswith(message) or message in line.split(": ", 1)[1]


@pytest.mark.parametrize(
    "given",
    [
        {"train": {"max_steps": 5}},
        {"train": {"early_stopping": {}}, "data": {"validation": None, "columns": {"split": "part"}}},
        {"train": {"train_layers": "last 12"}},
        {"train": {"train_layers": ["classifier.*"]}},
        {"train": {"warmup_steps": 100}},
        {"train": {"learning_rate": 1e9}},
        {"task": "regression", "evaluate": {"metric": "rmse"}},
        {"upstream": {"bf16": True, "fp16": True, "adam_beta2": 0.98}},
        {"data": {"columns": {"id": "x", "group": "x"}}},
        {"data": {"validation": "hub:org/a", "test": "hub:org/b"}},
        {"data": {"train": "data/a.csv"}, "output": "runs/data"},
        {"model": {"name": "org/model", "revision": "main"}},
    ],
)
def test_kept_rules(given: dict[str, Any]) -> None:
    recipe = recipe_from_mapping(given | {"data": {"train": "a.csv", **given.get("data", {})}})
    assert recipe.data.train.endswith("a.csv")


def test_rules_are_checked_beside_wrong_values() -> None:
    with pytest.raises(RecipeError) as caught:
        recipe_from_mapping({"data": {}, "train": {"seed": "x", "train_layers": "last 0"}, "evaluate": {"metric": "f_one"}})
    assert {problem.where for problem in caught.value.problems} == {
        "recipe data.train",
        "recipe train.seed",
        "recipe train.train_layers",
        "recipe evaluate.metric",
    }


def test_same_file_is_seen_beside_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    (tmp_path / "recipe.yaml").write_text("data: {train: a.csv, test: link.csv}")
    with pytest.raises(RecipeError, match=r"data\.test: is the same file as data\.train"):
        load_recipe(tmp_path / "recipe.yaml")
