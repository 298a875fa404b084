"""Where the paths in a recipe lead."""

from pathlib import Path

import pytest

from tunesmith.recipe.files import inside, is_file, locate, same_path


def test_beside_the_recipe_first_then_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, here = tmp_path / "recipes", tmp_path / "here"
    base.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "a.csv").touch()
    assert locate("a.csv", base) == Path("a.csv")
    (base / "a.csv").touch()
    assert locate("a.csv", base) == base / "a.csv"
    assert locate("nowhere.csv", base) == Path("nowhere.csv")


def test_absolute_home_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate("/x/a.csv", tmp_path) == Path("/x/a.csv")
    assert locate("~/a.csv", Path("base")) == tmp_path / "a.csv"
    assert locate("~nobody-of-this-name/a.csv", tmp_path) == Path("~nobody-of-this-name/a.csv")
    (tmp_path / "hub:name").touch()
    assert str(locate("hub:name", tmp_path)) == "hub:name"
    assert str(locate("builtin:minilm", tmp_path)) == "builtin:minilm"


def test_same_place_follows_links(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert same_path(tmp_path / "a", tmp_path / "b")
    assert inside(tmp_path / "b", tmp_path)
    assert not inside(tmp_path, tmp_path / "a")


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_impossible_names_raise_nothing(name: str, tmp_path: Path) -> None:
    assert locate(name, tmp_path) == Path(name)
    assert not is_file(Path(name))
    assert not same_path(Path(name), tmp_path)
