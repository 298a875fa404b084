"""Recipe files to checked recipes: what is given, what is wrong, and where."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.errors import RecipeError
from tunesmith.recipe.load import load_recipe, recipe_from_mapping, recipe_from_tables
from tunesmith.recipe.sections import AdapterSection, ColumnsSection, EvaluateSection, Recipe, TrainSection
from tunesmith.recipe.tree import all_keys

GOOD = {"data": {"train": "a.csv"}}


def problems(folder: Path, text: str, *overrides: str) -> list[str]:
    """Every problem of a recipe text, the folder left out."""
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    assert all(problem.check == "recipe" for problem in caught.value.problems)
    return [problem.line().replace(f"{folder}/", "") for problem in caught.value.problems]


def test_a_recipe_comes_back_with_its_source(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    text = "data: {train: a.csv}\ntrain:\n  learning_rate: 1e-4  # a number\n"
    path.write_text(text)
    loaded = load_recipe(path, ["train.seed=3"])
    assert loaded.recipe.train.learning_rate == 1e-4
    assert loaded.recipe.train.seed == 3
    assert loaded.given == {"data": {"train": "a.csv"}, "train": {"learning_rate": 1e-4, "seed": 3}}
    assert (loaded.path, loaded.base, loaded.text) == (path, tmp_path, text)


def test_a_byte_order_mark_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"\xef\xbb\xbfdata: {train: a.csv}\n")
    assert load_recipe(path).recipe.data.train == "a.csv"
    assert load_recipe(path).text == "data: {train: a.csv}\n"


def test_every_problem_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
task: clasification
train:
  learning_rat: 1
  learning_rate: abc
  seed: 1
  seed: 2
  max_steps: 10
  num_train_epochs: 2
data:
  train: a.csv
  validation: 1.5
outptu: x
"""
    assert problems(tmp_path, text, "train.n_seeds=0", "adapter.r=8", "foo") == [
        "recipe.yaml:1 task: expected one of classification, regression, embedding, sft, preference, pretraining, reward, ppo, "
        'grpo, found the text "clasification". Did you mean classification?',
        "recipe.yaml:3 train.learning_rat: there is no key learning_rat in train. Did you mean train.learning_rate?",
        'recipe.yaml:4 train.learning_rate: expected a number above 0, found the text "abc".',
        "recipe.yaml:6 train.seed: is given twice, first on line 5. Remove one of the two.",
        "recipe.yaml:7 train.max_steps: max_steps (10) and num_train_epochs (2) both set the length of training."
        " Keep one: max_steps for a number of steps, num_train_epochs for epochs.",
        "recipe.yaml:11 data.validation: expected a number above 0 and below 1, or text, found the number 1.5."
        " Write a fraction such as 0.1, or null for none.",
        "recipe.yaml:12 outptu: a recipe has no key outptu. Did you mean output?",
        "override train.n_seeds=0: must be above 0, found 0.",
        "override adapter.r=8 adapter.method: adapter.method is missing. For example adapter: {method: lora}.",
        "override foo: is not an override. Write key=value, for example train.seed=1.",
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "recipe.yaml: the recipe is empty. Write at least data: {train: FILE}."),
        (b"# nothing\n---\n", "recipe.yaml: the recipe is empty. Write at least data: {train: FILE}."),
        (
            b"- a\n- b\n",
            "recipe.yaml: expected keys and values, found a list. Write key: value, for example task: classification.",
        ),
        (
            b"hello",
            'recipe.yaml: expected keys and values, found the text "hello". Write key: value, for example task: classification.',
        ),
        (b"a: 1\nb: \xff", "recipe.yaml:2: is not UTF-8 text: byte 0xff at position 8. Save it as UTF-8."),
        ("a: 1".encode("utf-16"), "recipe.yaml: is saved as UTF-16; expected UTF-8. Save it as UTF-8."),
        (
            b"PAR1\x00\x01",
            "recipe.yaml: the file contains the control character U+0000. Save the recipe as plain text.",
        ),
        (b"#" * 1_000_001, "recipe.yaml: has 1.0 MB; a recipe has at most 1 MB. Is this a data file?"),
        (b"a:\n\tb: 1", "recipe.yaml:2: a tab is used where YAML allows only spaces. Replace the tab by spaces."),
    ],
)
def test_files_that_are_no_recipe(content: bytes, line: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert str(caught.value).replace(f"{tmp_path}/", "") == line


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    (tmp_path / "recipe.yml").touch()

    def error_line(path: Path) -> str:
        with pytest.raises(RecipeError) as caught:
            load_recipe(path)
        return str(caught.value).replace(str(tmp_path), "HERE")

    assert error_line(tmp_path / "recipe.yaml") == "HERE/recipe.yaml: there is no such file. Did you mean recipe.yml?"
    assert error_line(tmp_path / "no" / "x.yaml") == "HERE/no/x.yaml: there is no such file. There is no folder HERE/no either."
    assert error_line(tmp_path) == "HERE: is a folder; expected a recipe file. Did you mean HERE/recipe.yml?"
    assert error_line(Path("/dev/null")) == "/dev/null: is not a regular file; expected a recipe file."
    assert error_line(tmp_path / "a\0b").endswith("there is no such file. There is: recipe.yml.")
    assert error_line(tmp_path / ("x" * 300)).endswith("cannot be read: File name too long.")


def test_a_mapping_may_hold_what_python_has() -> None:
    recipe = recipe_from_mapping(
        {
            "data": {"train": Path("a.csv"), "columns": ColumnsSection(label="x")},
            "train": {"train_layers": ("a.*", "b.*"), "class_weights": {0: 1, 1: 2.5}, "learning_rate": "1e-4"},
        }
    )
    assert recipe.data.train == "a.csv"
    assert recipe.data.columns.label == "x"
    assert recipe.train == TrainSection(train_layers=["a.*", "b.*"], class_weights={"0": 1.0, "1": 2.5}, learning_rate=1e-4)


def test_numpy_scalars_are_numbers() -> None:
    import numpy as np

    recipe = recipe_from_mapping(GOOD | {"train": {"seed": np.int64(3), "learning_rate": np.float32(0.5)}})
    assert type(recipe.train.seed) is int
    assert recipe.train.learning_rate == 0.5


@pytest.mark.parametrize(
    ("mapping", "line"),
    [
        ({}, "recipe data: data is missing. Write at least data: {train: FILE}."),
        ({"data": {}}, "recipe data.train: data.train is missing. Write the file with the training rows."),
        (
            GOOD | {"upstream": {"debug": object()}},
            "recipe upstream.debug: expected plain values, found an object of type object.",
        ),
        (GOOD | {"upstream": {"adam_beta1": float("nan")}}, "recipe upstream.adam_beta1: must be a finite number, found nan."),
        (GOOD | {"train": {"learning_rate": float("inf")}}, "recipe train.learning_rate: must be a finite number, found inf."),
        (GOOD | {"train": {"max_steps": 10**5000}}, "recipe train.max_steps: has more than 300 digits."),
        (GOOD | {"train": {True: 1}}, "recipe train: a key is true; keys are text."),
        (
            GOOD | {"train": {"class_weights": {"1": 1, 1: 2}}},
            "recipe train.class_weights.1: is given twice, as text and as a number.",
        ),
        (GOOD | {"output": "\ud800"}, "recipe output: the text contains half of a surrogate pair and cannot be saved as UTF-8."),
        (
            GOOD | {"train": {"class_weights": {"a": 1, "b": "x"}}},
            'recipe train.class_weights.b: expected a number, found the text "x".',
        ),
    ],
)
def test_mappings_that_cannot_be_used(mapping: dict[object, object], line: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe_from_mapping(mapping)  # type: ignore[arg-type]
    assert str(caught.value).startswith(line)


def test_a_name_that_no_file_can_have_is_one_problem() -> None:
    with pytest.raises(RecipeError) as caught:
        recipe_from_mapping({"data": {"train": "caf\udce9.csv"}})
    assert [problem.message for problem in caught.value.problems] == [
        "the text contains half of a surrogate pair and cannot be saved as UTF-8."
    ]


def test_a_mapping_that_is_none_and_one_that_holds_itself() -> None:
    with pytest.raises(RecipeError, match="demo: expected keys and values, found a list"):
        recipe_from_mapping([], source="demo")  # type: ignore[arg-type]
    endless: dict[str, object] = {}
    endless["x"] = endless
    with pytest.raises(RecipeError, match="nested more than 30 deep"):
        recipe_from_mapping({"upstream": endless} | GOOD)


def outcome(load: Callable[[], Recipe]) -> Recipe | RecipeError:
    """The recipe, or the error with at least one problem; any other exception goes through."""
    try:
        return load()
    except RecipeError as error:
        return error if error.problems else pytest.fail("an error without a problem")


keys = st.sampled_from(sorted({part for path in all_keys() for part in path})) | st.text(max_size=5)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["1e-4", "none", "last 2"])
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.integers(), inner, max_size=4), max_leaves=12
)
near_recipes = st.fixed_dictionaries(
    {"data": st.fixed_dictionaries({"train": st.just("a.csv")}, optional={"validation": values, "columns": values})},
    optional={
        name: st.dictionaries(st.sampled_from(sorted(section.model_fields)) | keys, values, max_size=4) | values
        for name, section in (("train", TrainSection), ("adapter", AdapterSection), ("evaluate", EvaluateSection))
    },
)


@given(st.dictionaries(keys, values, max_size=5) | near_recipes)
def test_any_mapping_gives_a_recipe_or_a_recipe_error(mapping: dict[str, object]) -> None:
    result = outcome(lambda: recipe_from_mapping(mapping))
    if isinstance(result, RecipeError):
        assert all(problem.where and problem.message.endswith(".") for problem in result.problems)


@given(
    st.text(max_size=80)
    | st.sampled_from(["data: {train: a}\n", "train:\n"]).flatmap(lambda head: st.text(max_size=40).map(head.__add__))
)
def test_any_file_gives_a_recipe_or_a_recipe_error(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_bytes(text.encode())
        assert isinstance(outcome(lambda: load_recipe(path, [text]).recipe), Recipe | RecipeError)


def test_loading_is_quick_and_imports_nothing_heavy(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("data: {train: a.csv}\ntrain: {seed: 1}\n")
    code = (  # beside what it stands on, in processor time: a slow or busy machine slows both
        "import sys, time; start = time.process_time()\n"
        "from pathlib import Path; import yaml; from pydantic import BaseModel, Field, create_model\n"
        "create_model('Made', x=(int, 1))(); libraries = time.process_time()\n"
        "from tunesmith.recipe.load import load_recipe\n"
        f"load_recipe(Path({str(path)!r})); ours = time.process_time()\n"
        "heavy = {'torch', 'transformers', 'numpy', 'sklearn', 'pandas', 'pyarrow'} & set(sys.modules)\n"
        "print((ours - libraries) / (libraries - start), *heavy)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert out[1:] == []
    assert float(out[0]) < 1.0


def test_tables_in_memory_and_paths_become_a_recipe(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": "b"}]
    data = {"train": rows, "validation": 0.2, "test": tmp_path / "test.csv"}
    loaded, frames = recipe_from_tables("train()", data, "some/model", {"task": "classification", "data": {"max_length": 9}})
    assert frames == {"train": rows}
    assert loaded.given["data"] == {
        "train": "table in memory (train)", "validation": 0.2, "test": str(tmp_path / "test.csv"), "max_length": 9,
    }  # fmt: skip
    assert (loaded.recipe.model.name, loaded.recipe.data.max_length, loaded.path) == ("some/model", 9, None)
    assert recipe_from_tables("train()", {"train": "a.csv", "test": None}, "m", {"model": {"name": "own"}})[1] is None
