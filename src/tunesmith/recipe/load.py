"""Loads and validates a recipe from a YAML file or a mapping; reports all problems at once, each with its line.

Steps: ``source`` (YAML with line numbers) -> ``overrides`` -> ``values`` (each key alone) -> ``rules`` (several keys
together) -> Recipe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.errors import Problem, RecipeError
from tunesmith.recipe.files import locate
from tunesmith.recipe.overrides import merge_overrides, replace_alternative
from tunesmith.recipe.resolved import resolved_yaml
from tunesmith.recipe.rules import broken_rules
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.source import Fault, KeyPath, Location, Locations, parse
from tunesmith.recipe.suggest import closest
from tunesmith.recipe.tree import describe_value, field_path
from tunesmith.recipe.values import check_values, to_plain

__all__ = ["LoadedRecipe", "load_recipe", "locate", "recipe_from_mapping", "recipe_from_tables", "resolved_yaml"]

IN_MEMORY = "table in memory"
MAX_BYTES = 1_000_000
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class LoadedRecipe:
    """A validated recipe and its source.

    Attributes:
        recipe: the recipe with every default filled in.
        path: the recipe file; None if there was none.
        given: the given keys with overrides merged, without defaults.
        text: content of the file.
        notes: messages for the user about what an override replaced.
        base: the folder in which relative data and model paths are looked up first (see ``locate``).
    """

    recipe: Recipe
    path: Path | None
    given: dict[str, Any]
    text: str
    base: Path
    notes: tuple[str, ...] = ()


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """Loads and validates a recipe file.

    Args:
        path: the YAML file.
        overrides: ``key=value`` texts that take precedence over the file, e.g. ``train.seed=1``; the value is YAML.

    Raises RecipeError, which lists every problem of the file and the overrides, sorted by line.
    """
    name = str(path)
    text = _read(path)
    parsed = parse(text)
    if not isinstance(parsed.value, dict):
        fault = Fault((), "the recipe is empty", "Write at least data: {train: FILE}.")
        if parsed.value is not None:
            message = f"expected keys and values, found {describe_value(parsed.value)}"
            fault = Fault((), message, "Write key: value, for example task: classification.")
        raise _recipe_error(parsed.faults or [fault], {}, name)
    written = {key: Location(f"{name}:{line}", (0, line), parsed.written.get(key)) for key, line in parsed.lines.items()}
    faults = list(parsed.faults)
    given: dict[str, Any] = parsed.value
    faults += merge_overrides(given, written, overrides)
    notes = replace_alternative(given, written, overrides)
    recipe = _validate(given, written, faults, name, path.parent)
    return LoadedRecipe(recipe, path, given, text, path.parent, tuple(notes))


def override(given: dict[str, Any], overrides: Sequence[str]) -> None:
    """Merges overrides into a recipe given as nested mappings, in place. Raises RecipeError with every wrong override."""
    faults = merge_overrides(given, {}, overrides)
    if faults:
        raise RecipeError(
            [Problem("recipe", f.location.where if f.location else "override", f"{f.message}.", f.remedy) for f in faults]
        )


def recipe_from_mapping(mapping: Mapping[str, Any], source: str = "recipe") -> Recipe:
    """Validates a recipe given as nested mappings.

    Accepts paths (``os.PathLike``) as text, tuples as lists, and sections as mappings. Relative data paths
    are relative to the current directory.

    Raises RecipeError, which lists every problem; ``where`` is ``source`` and the key.
    """
    if not isinstance(mapping, Mapping):
        raise RecipeError.one(source, f"expected keys and values, found {describe_value(mapping)}.", "Give a mapping.")
    return _validate(mapping, {}, [], source, Path())


def recipe_from_tables(
    caller: str, data: Mapping[str, Any], model: str, settings: Mapping[str, Any]
) -> tuple[LoadedRecipe, dict[str, Any] | None]:
    """Returns the recipe of data given in Python, and the tables in memory among them.

    Args:
        caller: names the Python function in errors.
        data: split -> a table in memory, a path, a share of train, or None.
        settings: the other keys of a recipe; its sections ``data`` and ``model`` win over ``data`` and ``model``.

    Raises RecipeError, which lists every problem of the settings.
    """
    frames = {split: value for split, value in data.items() if not isinstance(value, str | Path | int | float | None)}
    names = {split: f"{IN_MEMORY} ({split})" if split in frames else value for split, value in data.items()}
    sources = {split: str(value) if isinstance(value, Path) else value for split, value in names.items()}
    mapping = {**settings, "model": {"name": model, **settings.get("model", {})}}
    mapping["data"] = {**sources, **settings.get("data", {})}
    frames |= also_in_memory(mapping["data"])
    recipe = recipe_from_mapping(mapping, caller)
    return LoadedRecipe(recipe, None, mapping, resolved_yaml(recipe), Path.cwd()), frames or None


def also_in_memory(data: dict[str, Any]) -> dict[str, Any]:
    """Returns ``also[i]`` -> table for the tables in memory among the further training files, and names them, in place."""
    files = data.get("also")
    if not isinstance(files, list | tuple):
        return {}
    tables = {i: file for i, file in enumerate(files) if not isinstance(file, str | Path | int | float | bool | None)}
    data["also"] = [f"{IN_MEMORY} (also[{i}])" if i in tables else file for i, file in enumerate(files)]
    return {f"also[{i}]": table for i, table in tables.items()}


def _validate(given: Mapping[str, Any], locations: Locations, faults: list[Fault], name: str, base: Path) -> Recipe:
    type_faults: list[Fault] = []
    plain = to_plain(given, (), type_faults)
    recipe, value_faults = check_values(plain, locations)
    reported = {fault.path for fault in type_faults}
    faults = [*faults, *type_faults, *(fault for fault in value_faults if fault.path not in reported)]
    valid = recipe or _valid_part(plain, [fault.path for fault in faults if fault.path])
    if valid is not None:
        known = {fault.path for fault in faults}  # such as a name that was left empty since no file can have it
        faults += [fault for fault in broken_rules(valid, base) if fault.path not in known]
    if faults or recipe is None:
        raise _recipe_error(faults, locations, name)
    return recipe


def _valid_part(plain: Mapping[str, Any], paths: Sequence[KeyPath]) -> Recipe | None:
    """Removes the keys with faults, so that the rules are checked in the same run; None if the rest is no recipe.

    A list or map is removed as a whole, but of ``upstream`` and ``adapter`` single fields are.
    """
    invalid = {path[:2] if path[0] in ("upstream", "adapter") else field_path(path) for path in paths}
    rest = _without(plain, invalid)
    data = rest.setdefault("data", {})
    if isinstance(data, dict):
        data.setdefault("train", "?")
    if isinstance(rest.get("adapter"), dict) and "method" not in rest["adapter"]:
        del rest["adapter"]
    return check_values(rest, {})[0]


def _without(value: object, paths: set[KeyPath], path: KeyPath = ()) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(inner, paths, (*path, key)) for key, inner in value.items() if (*path, key) not in paths}
    return value


def _recipe_error(faults: Sequence[Fault], locations: Locations, name: str) -> RecipeError:
    """Makes one error of all faults, sorted by line, then by override."""
    located = []
    for fault in faults:
        known = [fault.path[:end] for end in range(len(fault.path), 0, -1) if fault.path[:end] in locations]
        place = locations[known[0]] if known else Location(name, (0, 0))
        if fault.line is not None:
            place = Location(f"{name}:{fault.line}", (0, fault.line))
        place = fault.location or place
        key = ""
        for part in fault.path:
            key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else part
        names_key = fault.location is not None or place.where.startswith(f"override {key}=")
        located.append((place.order, f"{place.where} {key}" if key and not names_key else place.where, fault))
    located.sort(key=lambda entry: entry[0])
    return RecipeError([Problem("recipe", where, f"{fault.message}.", fault.remedy) for _, where, fault in located])


def _read(path: Path) -> str:
    where = str(path)
    try:
        if path.is_dir():
            inside = next((name for name in ("recipe.yaml", "recipe.yml") if (path / name).is_file()), None)
            remedy = f"Did you mean {path / inside}?" if inside else ""
            raise RecipeError.one(where, "is a folder; expected a recipe file.", remedy)
        if not path.exists():
            raise RecipeError.one(where, "there is no such file.", _similar(path))
        if not path.is_file():
            raise RecipeError.one(where, "is not a regular file; expected a recipe file.")
        if path.stat().st_size > MAX_BYTES:
            message = f"has {path.stat().st_size / 1e6:.1f} MB; a recipe has at most {MAX_BYTES / 1e6:.0f} MB."
            raise RecipeError.one(where, message, "Is this a data file?")
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise RecipeError.one(where, f"cannot be read: {reason}.") from error
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
