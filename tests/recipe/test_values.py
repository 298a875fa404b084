"""One bad value at a time: the exact message of each."""

from pathlib import Path

import pytest

from tunesmith.errors import RecipeError
from tunesmith.recipe.load import load_recipe, recipe_from_mapping

DATA = "data: {train: a.csv}\n"

# The recipe after its data section -> the problem without the file's name.
BAD = [
    (
        "task: 3",
        "2 task: expected one of classification, regression, embedding, sft, preference, pretraining, reward, ppo, grpo, "
        "found the number 3.",
    ),
    ("task: DPO", 'found the text "DPO". Did you mean preference?'),
    ("train: {seed: three}", '2 train.seed: expected a whole number of at least 0 and below 4294967296, found the text "three".'),
    ("train: {seed: '3'}", 'found the text "3". Remove the quotes.'),
    ("train: {seed: 3.5}", "2 train.seed: expected a whole number of at least 0 and below 4294967296, found the number 3.5."),
    ("train: {seed: 3.0}", "found the number 3.0. Write 3."),
    ("train: {seed: true}", "2 train.seed: expected a whole number of at least 0 and below 4294967296, found true."),
    ("train: {seed: yes}", "found yes, which YAML reads as true."),
    ("train: {seed: -1}", "2 train.seed: must be at least 0 and below 4294967296, found -1."),
    ("train: {seed:}", "found nothing. Remove the key to use its default."),
    ("train: {seed: null}", "found null. Remove the key to use its default."),
    ("train: {seed: [1]}", "found a list."),
    ("train: {seed: {a: 1}}", "found keys and values."),
    ("train: {learning_rate: abc}", '2 train.learning_rate: expected a number above 0, found the text "abc".'),
    ("train: {learning_rate: '1e-4x'}", '2 train.learning_rate: expected a number above 0, found the text "1e-4x".'),
    ("train: {learning_rate: '1,5'}", 'expected a number above 0, found the text "1,5". Write 1.5.'),
    ("train: {learning_rate: -1e-4}", "2 train.learning_rate: must be above 0, found -1e-4."),
    ("train: {learning_rate: 0}", "2 train.learning_rate: must be above 0, found 0."),
    ("train: {learning_rate: off}", "expected a number above 0, found off, which YAML reads as false. Write null for none."),
    ("train: {learning_rate: .inf}", "2 train.learning_rate: must be a finite number, found inf."),
    ("train: {learning_rate: 1e999}", "2 train.learning_rate: must be a finite number, found inf."),
    ("train: {num_train_epochs: .nan}", "2 train.num_train_epochs: must be a finite number, found nan."),
    ("train: {label_smoothing_factor: 10%}", 'found the text "10%". Write 0.1.'),
    ("train: {label_smoothing_factor: 1}", "2 train.label_smoothing_factor: must be at least 0 and below 1, found 1."),
    ("train: {fast: 1}", "2 train.fast: expected true or false, found the number 1."),
    ("train: {fast: maybe}", '2 train.fast: expected true or false, found the text "maybe".'),
    ("train: {report_to: wandbb}", 'found the text "wandbb". Did you mean wandb?'),
    (
        "train: {report_to: [wandb, tensorbord]}",
        "2 train.report_to[1]: expected one of none, tensorboard, wandb, trackio, found the text "
        '"tensorbord". Did you mean tensorboard?',
    ),
    (
        "train: {class_weights: balance}",
        "2 train.class_weights: expected none or balanced, or a map from text to numbers, found the text "
        '"balance". Did you mean balanced?',
    ),
    ("diagnose: {words_of_rows: -1}", "expected a whole number of at least 0, or a list of whole numbers, found the number -1."),
    ("diagnose: {words_of_rows: [1, -2]}", "2 diagnose.words_of_rows[1]: must be at least 0, found -2."),
    ("diagnose: {word_lists: [a]}", "2 diagnose.word_lists: expected a map from text to texts or lists of texts, found a list."),
    (
        "diagnose: {word_lists: {a: [b, 3]}}",
        '2 diagnose.word_lists.a[1]: expected text, found the number 3. Put it in quotes: "3".',
    ),
    ("diagnose: {word_lists: {a: 3}}", 'expected text, or a list of texts, found the number 3. Put it in quotes: "3".'),
    ("train: {class_weights: {no: much}}", '2 train.class_weights.no: expected a number, found the text "much".'),
    ("train: {train_layers: [1]}", '2 train.train_layers[0]: expected text, found the number 1. Put it in quotes: "1".'),
    (
        "train: {early_stopping: true}",
        "2 train.early_stopping: expected keys and values, found true. Write early_stopping: {} for the "
        "defaults, or null for none.",
    ),
    (
        "train: {early_stopping: }",
        "2 train.early_stopping: the section is empty. Write early_stopping: {} for the defaults, or null for none.",
    ),
    ("train: {early_stopping: {patience: 0}}", "2 train.early_stopping.patience: must be above 0, found 0."),
    ("train:\n  # seed: 1\n", "2 train: the section is empty. Delete the line, or write train: {} for the defaults."),
    ("train: null", "2 train: expected keys and values, found null. Delete the line, or write train: {} for the defaults."),
    ("train: b.csv", '2 train: expected keys and values, found the text "b.csv". Did you mean data: {train: b.csv}?'),
    ("train: [1]", "2 train: expected keys and values, found a list. Write train: {key: value}."),
    ("model: bert-base", '2 model: expected keys and values, found the text "bert-base". Did you mean model: {name: bert-base}?'),
    ("model: {revision: 1.0}", '2 model.revision: expected text, found the number 1.0. Put it in quotes: "1.0".'),
    ("adapter: lora", '2 adapter: expected keys and values, found the text "lora". Did you mean adapter: {method: lora}?'),
    ("adapter:", "2 adapter: the section is empty. Write null for none, or for example adapter: {method: lora}."),
    ("adapter: {r: 8}", "2 adapter.method: adapter.method is missing. For example adapter: {method: lora}."),
    ("adapter: {type: lora}", "2 adapter.method: adapter.method is missing. Write method instead of type."),
    ("adapter: {method: no}", '2 adapter.method: expected text, found no, which YAML reads as false. Put it in quotes: "no".'),
    (
        "evaluate: {baselines: [majority, tfdif]}",
        "2 evaluate.baselines[1]: expected one of majority, chance, tfidf, frozen, untuned, bm25, few_shot, "
        'length, bag_of_words, found the text "tfdif". Did you mean tfidf?',
    ),
    (
        "evaluate: {baselines: majority}",
        "2 evaluate.baselines: expected a list of majority, chance, tfidf, frozen, untuned, bm25, few_shot, "
        'length, bag_of_words, found the text "majority".',
    ),
    ("evaluate: {tune_threshold: 0.5}", "2 evaluate.tune_threshold: expected true or false, found the number 0.5."),
    ("upstream: 5", "2 upstream: expected keys and values, found the number 5."),
    ("output: yes", '2 output: expected text, found yes, which YAML reads as true. Put it in quotes: "yes".'),
    ("output: ", "2 output: expected text, found nothing. Remove the key to use its default."),
    ("trian: {seed: 1}", "2 trian: a recipe has no key trian. Did you mean train?"),
    ("train: {epochs: 3}", "2 train.epochs: there is no key epochs in train. Did you mean train.num_train_epochs?"),
    ("train.seed: 1", "2 train.seed: a recipe has no key train.seed. Sections are nested in the file: write train: {seed: ...}"),
]

BAD_DATA = [
    ("task: classification", "recipe.yaml data: data is missing. Write at least data: {train: FILE}."),
    ("data:", "recipe.yaml:1 data: the section is empty. Write at least data: {train: FILE}."),
    ("data: a.csv", 'recipe.yaml:1 data: expected keys and values, found the text "a.csv". Did you mean data: {train: a.csv}?'),
    ("data: {}", "recipe.yaml:1 data.train: data.train is missing. Write the file with the training rows."),
    ("data: {train: }", "recipe.yaml:1 data.train: expected text, found nothing. Write the file with the training rows."),
    ("data: {train: [a, b]}", "recipe.yaml:1 data.train: expected text, found a list. Write the file with the training rows."),
    (
        "data: {train: a, validation: 0}",
        "recipe.yaml:1 data.validation: expected a number above 0 and below 1, or text, found the number 0."
        " Write a fraction such as 0.1, or null for none.",
    ),
    (
        "data: {train: a, columns: {label: no}}",
        "recipe.yaml:1 data.columns.label: expected text, or a list of texts, found no, which YAML reads as false."
        ' Put it in quotes: "no".',
    ),
    (
        "data: {train: a, columns: {label: [a, no]}}",
        'recipe.yaml:1 data.columns.label[1]: expected text, found no, which YAML reads as false. Put it in quotes: "no".',
    ),
    (
        "data: {train: a, columns: [text, label]}",
        "recipe.yaml:1 data.columns: expected keys and values, found a list. Write columns: {key: value}.",
    ),
    (
        "data: {train: a, max_length: 0}",
        "recipe.yaml:1 data.max_length: must be above 0, found 0.",
    ),
]


def error_line(folder: Path, text: str) -> str:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(("text", "message"), BAD, ids=[text for text, _ in BAD])
def test_bad_values(text: str, message: str, tmp_path: Path) -> None:
    line = error_line(tmp_path, DATA + text)
    assert "\n" not in line
    if message[0] == "2":
        assert line == f"recipe.yaml:{message}"
    else:
        assert line.endswith(message)


@pytest.mark.parametrize(("text", "message"), BAD_DATA, ids=[text for text, _ in BAD_DATA])
def test_bad_data_sections(text: str, message: str, tmp_path: Path) -> None:
    assert error_line(tmp_path, text) == message


@pytest.mark.parametrize(
    "text",
    [
        "train: {fast: off}",
        "train: {learning_rate: 1}",
        "train: {learning_rate: '1e-4'}",
        "train: {n_logs: 1_000}",
        "train: {early_stopping: {}}",
        "train: {early_stopping: null}",
        "train: {learning_rate: }",
        "adapter: null",
        "adapter: {method: lora, r: 8, target_modules: [query, value]}",
        "upstream: {adam_epsilon: 1e-8, lr_scheduler_kwargs: {num_cycles: 2}}",
        "train: {class_weights: {no: 1, 0: 2, 1.50: 3}}",
    ],
)
def test_values_that_are_fine(text: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(DATA + text, encoding="utf-8")
    assert load_recipe(path).recipe.data.train == "a.csv"


def test_text_of_a_number_stays_text_where_text_belongs() -> None:
    recipe = recipe_from_mapping({"data": {"train": "1e-4", "columns": {"label": ["1e5"]}}, "output": "1e10"})
    assert (recipe.data.train, recipe.data.columns.label, recipe.output) == ("1e-4", ["1e5"], "1e10")
