"""``key=value`` over a file."""

from pathlib import Path
from typing import Any

import pytest

from tunesmith.errors import RecipeError
from tunesmith.recipe.load import LoadedRecipe, load_recipe

TEXT = """\
data: {train: a.csv}
train:
  seed: 1
  class_weights: balanced
upstream: {adam_beta1: 0.8}
"""


def loaded(folder: Path, *overrides: str) -> LoadedRecipe:
    (folder / "recipe.yaml").write_text(TEXT)
    return load_recipe(folder / "recipe.yaml", overrides)


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("train.seed=7", "train.seed", 7),
        ("train.learning_rate=1e-4", "train.learning_rate", 1e-4),
        ("train.learning_rate=null", "train.learning_rate", None),
        ("train.learning_rate=", "train.learning_rate", None),
        ("train.train_layers=[a.*, b]", "train.train_layers", ["a.*", "b"]),
        ("train.class_weights={no: 1, b: 2}", "train.class_weights", {"no": 1.0, "b": 2.0}),
        ("data.train=x=y.csv", "data.train", "x=y.csv"),
        ("data.train=hub:org/name", "data.train", "hub:org/name"),
        ('data.columns.label="no"', "data.columns.label", "no"),
        ("data.train='a #b.csv'", "data.train", "a #b.csv"),
        ("adapter=null", "adapter", None),
        ("adapter={method: lora, r: 16}", "adapter.r", 16),
        ("upstream.adam_beta2=0.98", "upstream", {"adam_beta1": 0.8, "adam_beta2": 0.98}),
        ("upstream.lr_scheduler_kwargs.num_cycles=2", "upstream", {"adam_beta1": 0.8, "lr_scheduler_kwargs": {"num_cycles": 2}}),
        ("train={seed: 5}", "train.class_weights", "none"),
        ("train.early_stopping.patience=2", "train.early_stopping.patience", 2),
        (" train.seed =7", "train.seed", 7),
    ],
)
def test_values_win_over_the_file(override: str, path: str, value: object, tmp_path: Path) -> None:
    found: Any = loaded(tmp_path, override).recipe
    for part in path.split("."):
        found = getattr(found, part)
    assert found == value


@pytest.mark.parametrize(
    ("written", "overrides", "steps", "epochs", "replaced"),
    [
        ("num_train_epochs: 2", ["train.max_steps=50"], 50, None, "train.max_steps on the command line replaces train.num_train"),
        (
            "max_steps: 9",
            ["train.num_train_epochs=4"],
            None,
            4.0,
            "train.num_train_epochs on the command line replaces train.max",
        ),
        ("num_train_epochs: 2", ["train.num_train_epochs=null", "train.max_steps=50"], 50, None, ""),
        ("num_train_epochs: 2", ["train.num_train_epochs=null"], None, None, ""),
        ("max_steps: 9", ["train.max_steps=null"], None, None, ""),
        ("num_train_epochs: 2", ["train={max_steps: 50}"], 50, None, ""),
        ("num_train_epochs: 2", ["train.max_steps=null"], None, 2.0, ""),
        ("seed: 2", ["train.max_steps=50"], 50, None, ""),
    ],
)
def test_the_length_of_training_is_replaced_by_the_other_unit(
    written: str, overrides: list[str], steps: int | None, epochs: float | None, replaced: str, tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text(f"data: {{train: a.csv}}\ntrain: {{{written}}}\n")
    recipe = load_recipe(tmp_path / "recipe.yaml", overrides)
    assert (recipe.recipe.train.max_steps, recipe.recipe.train.num_train_epochs) == (steps, epochs)
    assert " ".join(recipe.notes).startswith(replaced)
    assert bool(recipe.notes) == bool(replaced)


@pytest.mark.parametrize("written", ["", "max_steps: 9, num_train_epochs: 2"])
def test_both_lengths_of_training_are_refused(written: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(f"data: {{train: a.csv}}\ntrain: {{{written}}}\n")
    both = [] if written else ["train.max_steps=50", "train.num_train_epochs=2"]
    with pytest.raises(RecipeError, match="both set the length of training"):
        load_recipe(tmp_path / "recipe.yaml", both)


def test_the_order_of_overrides_is_kept(tmp_path: Path) -> None:
    train = loaded(tmp_path, "train={seed: 5, n_logs: 9}", "train.seed=6").recipe.train
    assert (train.seed, train.n_logs) == (6, 9)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("train.sed=1", "override train.sed=1: there is no key sed in train. Did you mean train.seed?"),
        ("trian.seed=1", "override trian.seed=1 trian: a recipe has no key trian. Did you mean train?"),
        ("seed=1", "override seed=1: a recipe has no key seed. Did you mean train.seed?"),
        ("train.seed=abc", "override train.seed=abc: expected a whole number"),
        ("train.seed.x=1", "override train.seed.x=1: train.seed has no keys below it: it takes a whole number"),
        (
            "train.train_layers.0=a",
            "override train.train_layers.0=a: train.train_layers has no keys below it: it takes text, or a list",
        ),
        (
            "train.class_weights.a=1",
            'override train.class_weights.a=1: train.class_weights is the text "balanced" in the recipe and has no keys.'
            " Override it as a whole: train.class_weights=VALUE.",
        ),
        ("train.seed", "override train.seed: is not an override. Write key=value, for example train.seed=1."),
        ("=1", "override =1: is not an override."),
        ("train..seed=1", "override train..seed=1: is not an override."),
        ("data.train=#a", "override data.train=#a: # begins a comment in YAML, so part of the value is lost."),
        ("data.train=a #b", "override data.train=a #b: # begins a comment"),
        ("data.train=[a", "override data.train=[a: the value: a list opened with [ is not closed. Close it with ]."),
        (
            "data.columns.label=no",
            "override data.columns.label=no: expected text, or a list of texts, found no, which YAML reads as false.",
        ),
        ("train={seed: -1}", "override train={seed: -1} train.seed: must be at least 0"),
        ("adapter={r: 8}", "override adapter={r: 8} adapter.method: adapter.method is missing."),
        ("train=", "override train=: the section is empty."),
        (
            "train.s\udc80eed=1",
            "override train.s\udc80eed=1: a key contains half of a surrogate pair and cannot be saved as UTF-8.",
        ),
    ],
)
def test_what_is_wrong_with_an_override(override: str, line: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        loaded(tmp_path, override)
    (problem,) = caught.value.problems
    assert problem.line().startswith(line)


def test_given_twice(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"^override train.seed=2: train.seed is given twice on the command line."):
        loaded(tmp_path, "train.seed=1", "train.seed=2")


def test_a_replaced_section_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("data: {train: a.csv}\ntrain:\n  early_stopping:\n")
    assert load_recipe(tmp_path / "recipe.yaml", ["train={seed: 1}"]).recipe.train.early_stopping is None


def test_an_override_repairs_the_file(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("data: {train: a.csv}\ntrain: {seed: x}\n")
    assert load_recipe(tmp_path / "recipe.yaml", ["train.seed=1"]).recipe.train.seed == 1
