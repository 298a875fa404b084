"""A recipe file, or a mapping, to a checked Recipe: all problems at once, each with its line.

The way of a key: ``source`` (YAML with lines) -> ``overrides`` -> ``values`` (each key by itself) -> ``rules`` (keys
together) -> Recipe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.errors import Problem, RecipeError
from tunesmith.recipe.files import locate
from tunesmith.recipe.overrides import merge_overrides
from tunesmith.recipe.phrases import found
from tunesmith.recipe.resolved import resolved_yaml
from tunesmith.recipe.rules import broken_rules
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.source import Fault, KeyPath, Parsed, Place, Places, parse
from tunesmith.recipe.suggest import closest
from tunesmith.recipe.tree import field_path
from tunesmith.recipe.values import check_values, plain

__all__ = ["LoadedRecipe", "load_recipe", "locate", "recipe_from_mapping", "recipe_from_tables", "resolved_yaml"]

IN_MEMORY = "table in memory"
MAX_BYTES = 1_000_000
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class LoadedRecipe:
    """A checked recipe and where it came from.

    Attributes:
        recipe: every default filled in.
        path: the file; None where there was none.
        given: what was given, overrides merged, nothing filled in.
        text: the file as it is.
        base: the folder that relative data and model paths are looked for in first (see ``locate``).
    """

    recipe: Recipe
    path: Path | None
    given: dict[str, Any]
    text: str
    base: Path


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """The checked recipe of a YAML file.

    Args:
        path: the file.
        overrides: ``key=value`` texts that win over the file, e.g. ``train.seed=1``; the value is YAML.

    Raises:
        RecipeError: with every problem of the file and the overrides, sorted by line.
    """
    name = str(path)
    text = _read(path)
    parsed = parse(text)
    if not isinstance(parsed.value, dict):
        raise _located(_no_mapping(parsed), {}, name)
    written = {key: Place(f"{name}:{line}", (0, line), parsed.written.get(key)) for key, line in parsed.lines.items()}
    faults = list(parsed.faults)
    given: dict[str, Any] = parsed.value
    faults += merge_overrides(given, written, overrides)
    recipe = _checked(given, written, faults, name, path.parent)
    return LoadedRecipe(recipe, path, given, text, path.parent)


def override(given: dict[str, Any], overrides: Sequence[str]) -> None:
    """Write overrides into nested mappings that came from no file. Raises RecipeError with all that are wrong."""
    faults = merge_overrides(given, {}, overrides)
    if faults:
        where = [fault.place.where if fault.place else "override" for fault in faults]
        raise RecipeError([Problem("recipe", place, f.message, f.remedy) for place, f in zip(where, faults, strict=True)])


def recipe_from_mapping(mapping: Mapping[str, Any], source: str = "recipe") -> Recipe:
    """The checked recipe of nested mappings, as a YAML file would hold them.

    Paths (``os.PathLike``) may stand for text, tuples for lists, and whole sections for mappings. Relative data paths
    are relative to the current directory.

    Raises:
        RecipeError: with every problem; ``where`` is ``source`` and the key.
    """
    if not isinstance(mapping, Mapping):
        raise RecipeError([Problem("recipe", source, f"expected keys and values, found {found(mapping)}.", "Give a mapping.")])
    return _checked(mapping, {}, [], source, Path())


def recipe_from_tables(
    caller: str, data: Mapping[str, Any], model: str, settings: Mapping[str, Any]
) -> tuple[LoadedRecipe, dict[str, Any] | None]:
    """The recipe of data given in Python, and the tables in memory among them.

    Args:
        caller: names the Python function in errors.
        data: split -> a table in memory, a path, a share of train, or None.
        settings: the other keys of a recipe; its sections ``data`` and ``model`` win over ``data`` and ``model``.

    Raises:
        RecipeError: with every problem of the settings.
    """
    frames = {split: value for split, value in data.items() if is_table(value)}
    names = {split: f"{IN_MEMORY} ({split})" if split in frames else value for split, value in data.items()}
    sources = {split: str(value) if isinstance(value, Path) else value for split, value in names.items() if value is not None}
    mapping = {**settings, "model": {"name": model, **settings.get("model", {})}}
    mapping["data"] = {**sources, **settings.get("data", {})}
    recipe = recipe_from_mapping(mapping, caller)
    return LoadedRecipe(recipe, None, mapping, resolved_yaml(recipe), Path.cwd()), frames or None


def is_table(value: object) -> bool:
    """Whether a value is rows in memory rather than a share, a path or None."""
    return value is not None and not isinstance(value, str | Path | int | float)


def _checked(given: Mapping[str, Any], places: Places, faults: list[Fault], name: str, base: Path) -> Recipe:
    unclean: list[Fault] = []
    cleaned = plain(given, (), unclean)
    recipe, wrong = check_values(cleaned, places)
    known = {fault.path for fault in unclean}
    faults = [*faults, *unclean, *(fault for fault in wrong if fault.path not in known)]
    sound = recipe or _sound_part(cleaned, {_whole(fault.path) for fault in faults if fault.path})
    if sound is not None:
        faults += broken_rules(sound, base)
    if faults or recipe is None:
        raise _located(faults, places, name)
    return recipe


def _whole(path: KeyPath) -> KeyPath:
    """The key that a fault spoils: a list or map as a whole, but only the one field of ``upstream`` or ``adapter``."""
    return path[:2] if path[0] in ("upstream", "adapter") else field_path(path)


def _sound_part(cleaned: Mapping[str, Any], spoilt: set[KeyPath]) -> Recipe | None:
    """The recipe without its wrong keys, so that the rules are checked in the same go; None where too little is left."""
    left = _without(cleaned, spoilt)
    data = left.setdefault("data", {})
    if isinstance(data, dict):
        data.setdefault("train", "?")
    if isinstance(left.get("adapter"), dict) and "method" not in left["adapter"]:
        del left["adapter"]
    return check_values(left, {})[0]


def _without(value: Any, paths: set[KeyPath], path: KeyPath = ()) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(inner, paths, (*path, key)) for key, inner in value.items() if (*path, key) not in paths}
    return value


def _located(faults: Sequence[Fault], places: Places, name: str) -> RecipeError:
    """The error with every fault at its place, in the order of the file, then of the overrides."""
    entries = []
    for fault in faults:
        place = fault.place or _place(fault, places, name)
        entries.append((place.order, Problem("recipe", _where(fault, place), f"{fault.message}.", fault.remedy)))
    return RecipeError([problem for _, problem in sorted(entries, key=lambda entry: entry[0])])


def _place(fault: Fault, places: Places, name: str) -> Place:
    if fault.line is not None:
        return Place(f"{name}:{fault.line}", (0, fault.line))
    for end in range(len(fault.path), 0, -1):
        if fault.path[:end] in places:
            return places[fault.path[:end]]
    return Place(name, (0, 0))


def _where(fault: Fault, place: Place) -> str:
    key = ""
    for part in fault.path:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else part
    if fault.place is not None or not key or place.where.startswith(f"override {key}="):
        return place.where
    return f"{place.where} {key}"


def _read(path: Path) -> str:
    where = str(path)
    try:
        if path.is_dir():
            inside = next((name for name in ("recipe.yaml", "recipe.yml") if (path / name).is_file()), None)
            raise RecipeError.one(
                where, "is a folder; expected a recipe file.", f"Did you mean {path / inside}?" if inside else ""
            )
        if not path.exists():
            raise RecipeError.one(where, "there is no such file.", _similar(path))
        if not path.is_file():
            raise RecipeError.one(where, "is no ordinary file; expected a recipe file.")
        if path.stat().st_size > MAX_BYTES:
            size = path.stat().st_size / 1e6
            raise RecipeError.one(
                where, f"has {size:.1f} MB; a recipe has at most {MAX_BYTES / 1e6:.0f} MB.", "Is this a data file?"
            )
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise RecipeError.one(where, f"cannot be read: {reason}.") from error
    return _decoded(content, where)


def _decoded(content: bytes, where: str) -> str:
    if content.startswith(_UTF16):
        raise RecipeError.one(where, "is saved as UTF-16; expected UTF-8.", "Save it as UTF-8.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        message = f"is not UTF-8 text: byte 0x{content[error.start]:02x} at position {error.start}."
        raise RecipeError.one(f"{where}:{line}", message, "Save it as UTF-8.") from error


def _similar(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"There is no folder {folder} either."
    names = [entry.name for entry in folder.iterdir() if entry.suffix in (".yaml", ".yml")]
    return closest(path.name, names) or (f"There is: {', '.join(sorted(names)[:8])}." if names else "")


def _no_mapping(parsed: Parsed) -> list[Fault]:
    if parsed.faults:
        return list(parsed.faults)
    if parsed.value is None:
        return [Fault((), "the recipe is empty", "Write at least data: {train: FILE}.")]
    return [
        Fault((), f"expected keys and values, found {found(parsed.value)}", "Write key: value, for example task: classification.")
    ]
