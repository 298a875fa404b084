"""Damaged and missing files of base models are reported before torch is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tunesmith.errors import InputError, MissingExtra, ModelError
from tunesmith.models import source
from tunesmith.models.source import find_model, find_tokenizer
from tunesmith.recipe.files import locate
from tunesmith.recipe.sections import ModelSection


def refused(name: str, base: Path) -> str:
    with pytest.raises(ModelError) as caught:
        find_model(ModelSection(name=name), base)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_flash_attention_without_its_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    section = ModelSection(name="builtin:minilm", attn_implementation="flash_attention_2")
    with pytest.raises(MissingExtra, match=r"needs the package flash-attn and a GPU.*pip install flash-attn.*: sdpa"):
        find_model(section, Path())
    monkeypatch.setattr("tunesmith.models.source.version", lambda _name: "2.8.0")
    assert find_model(section, Path()).attention == {"attn_implementation": "flash_attention_2"}


def test_a_folder_beside_the_recipe_is_found(tiny_model: Path) -> None:
    found = find_model(ModelSection(name=tiny_model.name), tiny_model.parent)
    assert (found.kind, found.location) == ("folder", str(tiny_model))
    assert found.n_bytes == (tiny_model / "model.safetensors").stat().st_size


def test_a_folder_is_found_as_every_file_of_a_recipe(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("recipes", "here", "home"):
        shutil.copytree(tiny_model, tmp_path / folder / folder)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    shutil.copytree(tiny_model, tmp_path / "here/recipes")
    expected = {"recipes": tmp_path / "recipes/recipes", "here": Path("here"), "~/home": tmp_path / "home/home"}
    base = tmp_path / "recipes"
    for name, place in expected.items():
        found = find_model(ModelSection(name=name), base)
        assert found.location == str(place) == str(locate(name, base))


def test_builtin_is_found_and_its_weights_are_known() -> None:
    found = find_model(ModelSection(), Path())
    assert found.kind == "builtin"
    assert found.n_bytes > 90_000_000


def test_the_pocket_model_comes_with_the_package() -> None:
    import tunesmith

    found = find_model(ModelSection(name="builtin:pocket"), Path())
    assert Path(found.location).is_relative_to(Path(tunesmith.__file__).parent)
    assert 2_000_000 < found.n_bytes < 9_000_000  # at most 4 million parameters of two bytes


def test_other_builtin_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    package, module, folder, _ = source.BUILTIN["minilm"]
    monkeypatch.setitem(source.BUILTIN, "minilm", (package, module, folder, "0" * 64))
    assert "are not the ones this version was tested with (sha256 53aa51172d14, expected 000000000000)" in refused(
        "builtin:minilm", Path()
    )


def test_unknown_builtin(tmp_path: Path) -> None:
    message = "model.name builtin:bert: there is no builtin model of that name. Known: builtin:minilm, builtin:pocket."
    assert refused("builtin:bert", tmp_path) == message


def test_missing_folder(tmp_path: Path) -> None:
    message = (
        "model.name ./nope: there is no such folder. Give a folder, a hub id such as org/name, builtin:minilm or builtin:pocket."
    )
    assert refused("./nope", tmp_path) == message


def test_hub_id_offline_is_one_clear_line_at_once(tmp_path: Path) -> None:
    assert "the Hugging Face cache does not hold a model of that name, and the hub cannot be reached." in refused(
        "org/nope", tmp_path
    )


NESTED = "[" * 100_000


def put(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda p: (p / "config.json").unlink(), "the folder is no model: it has no config.json."),
        (lambda p: (p / "config.json").write_text("{"), "config.json cannot be read: "),
        (lambda p: (p / "config.json").write_text("{}"), "config.json names no model_type"),
        (lambda p: put(p, "config.json", "[]"), "config.json holds no JSON object."),
        (lambda p: put(p, "config.json", NESTED), "config.json cannot be read: its lists or objects are nested too deeply."),
        (
            lambda p: put(p, "config.json", '{"a": ' + "1" * 5001 + "}"),
            "config.json cannot be read: it holds a number of thousands",
        ),
        (
            lambda p: put(p, "tokenizer.json", NESTED),
            "tokenizer.json cannot be read: its lists or objects are nested too deeply.",
        ),
        (lambda p: put(p, "tokenizer.json", "{}"), 'tokenizer.json holds no tokenizer: it has no object "model".'),
        (lambda p: put(p, "tokenizer_config.json", "{"), "tokenizer_config.json cannot be read: "),
        (
            lambda p: put(p, "generation_config.json", '{"eos_token_id": "zz"}'),
            "generation_config.json has no token id under eos_token_id: 'zz'. Write a whole number there, or a list of them.",
        ),
        (lambda p: put(p, "generation_config.json", '{"pad_token_id": [1, true]}'), "no token id under pad_token_id: [1, True]."),
        (lambda p: (p / "model.safetensors").unlink(), "the folder has no model.safetensors."),
        (lambda p: (p / "model.safetensors").rename(p / "pytorch_model.bin"), "only there as pytorch_model.bin, a pickle"),
        (lambda p: (p / "model.safetensors").write_bytes(b"12345"), "model.safetensors is damaged (5 bytes): "),
        (
            lambda p: (p / "model.safetensors").write_bytes(b"\x02" + b"\0" * 7 + b"no"),
            "model.safetensors is damaged (10 bytes): ",
        ),
        (lambda p: truncate(p / "model.safetensors"), "incomplete metadata, file not fully covered"),
        (lambda p: (p / "config.json").rename(p / "adapter_config.json"), "holds an adapter, not a whole model"),
    ],
)
def test_damaged_folder(tiny_model: Path, tmp_path: Path, harm, message: str) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    harm(copy)
    assert message in refused("copy", tmp_path)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "the file is damaged"),
        ('{"weight_map": {"a": 1}}', "weight_map.a: Input should be a valid string"),
    ],
)
def test_a_damaged_index_is_one_clear_error(tiny_model: Path, tmp_path: Path, index: str, message: str) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    (copy / "model.safetensors").unlink()
    (copy / "model.safetensors.index.json").write_text(index)
    with pytest.raises(InputError, match=message):
        find_model(ModelSection(name="copy"), tmp_path)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def test_a_missing_shard_is_named(tiny_model: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    (copy / "model.safetensors").unlink()
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}}))
    assert "model-00001-of-00002.safetensors is missing although the index names it" in refused("copy", tmp_path)


def test_a_tokenizer_is_found_beside_the_recipe_in_a_run_and_built_in(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "words")
    (tmp_path / "run").mkdir()
    shutil.copytree(tiny_model, tmp_path / "run" / "model")
    (tmp_path / "run" / "result.json").write_text("{}")
    assert find_tokenizer("words", tmp_path) == str(tmp_path / "words")
    assert find_tokenizer("run", tmp_path) == str(tmp_path / "run" / "model")
    assert find_tokenizer("builtin:minilm", tmp_path) == find_model(ModelSection(), tmp_path).location
    assert find_model(ModelSection(name="words", tokenizer="run"), tmp_path).tokenizer == str(tmp_path / "run" / "model")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", "model.tokenizer empty: there is no tokenizer in .*none of tokenizer.json, .*model.tokenizer: NAME"),
        ("file", "this is a file; a tokenizer is a folder"),
        ("./gone", "there is no such folder"),
        ("org/gone", "the hub cannot be reached"),
    ],
)
def test_a_tokenizer_that_is_not_there_is_one_clear_error(name: str, message: str, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    shutil.copytree(tiny_model, tmp_path / "model")
    with pytest.raises(InputError, match=message):
        find_model(ModelSection(name="model", tokenizer=name), tmp_path)
