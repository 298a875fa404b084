"""Writes one changed input: a file of a seed, its recipe, or an argument of a command. Used by mutated_inputs.py."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from input_mutations import KEYS, NAMES, PATHS, ROWS, VALUES, change_bytes, change_recipe, change_text, change_yaml
from input_seeds import Content, Seed, as_bytes, write_file


@dataclass(frozen=True)
class Input:
    """A changed input in the current folder.

    Attributes:
        data: what ``init`` and ``predict`` read.
        what: the seed and its mutations.
        task: empty for a stream, which has no recipe.
        words: a command line with an odd argument; empty where a file is changed instead.
    """

    data: str
    what: str
    task: str
    words: tuple[str, ...] = ()


@cache
def recipe_keys() -> list[tuple[str, ...]]:
    from tunesmith.recipe.tree import all_keys

    return all_keys()


def changed_content(name: str, content: Content, draw: random.Random) -> tuple[bytes, list[str]]:
    """Changes rows, then the text, then the bytes of a file, each or only some of them. Returns the bytes and what was done."""
    done: list[str] = []
    if isinstance(content, list) and draw.random() < 0.65:
        for mutate in draw.choices(ROWS, k=draw.choice((1, 1, 2, 3))):
            changed = mutate(content, draw) if content and any(content) else None
            if changed is not None:
                content, done = changed, [*done, mutate.__name__]
    data = as_bytes(name, content)
    if not name.endswith((".parquet", ".xlsx")) and draw.random() < (0.2 if done else 0.6):
        data, action = change_text(data.decode("utf-8", "replace"), draw)
        done.append(action)
    if not done or draw.random() < 0.1:
        data, action = change_bytes(data, draw)
        done.append(action)
    return data, [f"{name}: {action}" for action in done]


def changed_recipe(recipe: dict[str, Any], draw: random.Random) -> tuple[bytes, list[str]]:
    kind, done = draw.random(), []
    if kind < 0.75:
        done = [change_recipe(recipe, draw, recipe_keys()) for _ in range(draw.choice((1, 1, 1, 2, 3)))]
        return yaml_bytes(recipe), done
    change: Callable[[Any, random.Random], tuple[bytes, str]] = change_yaml if kind < 0.9 else change_text
    data, action = change(yaml_bytes(recipe).decode(), draw) if kind < 0.95 else change_bytes(yaml_bytes(recipe), draw)
    return data, [action]


def yaml_bytes(recipe: dict[str, Any]) -> bytes:
    return yaml.safe_dump(recipe, sort_keys=False, allow_unicode=False).encode()


def odd_words(data: str, draw: random.Random) -> tuple[str, ...]:
    """Returns a command line with an odd path, column, row, or override; RUN stands for the finished run."""
    path, value = draw.choice(PATHS), str(draw.choice(VALUES))
    name, key = draw.choice((*NAMES, *KEYS)), ".".join(draw.choice(recipe_keys()))
    check = ("check", "--static", "recipe.yaml")
    words = draw.choice(
        (
            *(
                (*check, f"{key}={value}"),
                (*check, f"{key}={path}"),
                (*check, f"{name}={value}"),
                (*check, value),
                (*check, path),
            ),
            *(("check", "--static", path), ("init", path), ("init", data, "--test", path), ("init", data, "--validation", path)),
            *(("predict", "RUN", path), ("predict", "RUN", data, "--text", name), ("predict", "RUN", data, "--pair", name)),
            *(("evaluate", "RUN", path), ("evaluate", "RUN", data, "--label", name), ("evaluate", "RUN", data, "--text", name)),
            *(("trace", "recipe.yaml", "--row", value), ("trace", "recipe.yaml", "--row", "3", "--split", name)),
            *(
                ("losses", path),
                ("embed", "RUN/model", path, "--output", "e.npy"),
                ("predict", path, data),
                ("embed", path, data),
            ),
        )
    )
    # No system passes NUL characters or halves of surrogate pairs.
    return tuple(word.replace("\0", "").encode(errors="replace").decode() for word in words)


def make_input(seed: Seed, draw: random.Random) -> Input:
    """Writes the files of a seed into the current folder, one of them changed, or its recipe."""
    seed = replace(seed, files={name: json.loads(json.dumps(c)) if isinstance(c, list) else c for name, c in seed.files.items()})
    names = [name for name, content in seed.files.items() if content != ""]
    target = "recipe.yaml" if seed.recipe and draw.random() < 0.3 else draw.choice(names)
    recipe, done, words = yaml_bytes(seed.recipe), [], ()
    if seed.recipe and draw.random() < 0.15:
        target, words = "", odd_words(seed.recipe["data"]["train"], draw)
        done = [" ".join(words)[:200]]
    if target == "recipe.yaml":
        recipe, done = changed_recipe(json.loads(json.dumps(seed.recipe)), draw)
    for name in names:
        content = as_bytes(name, seed.files[name])
        if name == target:
            content, done = changed_content(name, seed.files[name], draw)
        write_file(Path(name), content)
    if seed.recipe:
        Path("recipe.yaml").write_bytes(recipe)
        make_odd_places()
    what = f"{seed.name}; {'; '.join(done)}"
    return Input(seed.recipe["data"]["train"] if seed.recipe else names[0], what, seed.recipe.get("task", ""), words)


def make_odd_places() -> None:
    """Makes a folder without rows, an empty file, links that lead nowhere, and a pipe: what a path of a recipe may name."""
    Path("folder/inside").mkdir(parents=True)
    Path("empty").touch()
    os.symlink("loop", "loop")
    os.symlink("nowhere", "dangling")
    os.mkfifo("pipe")


@contextlib.contextmanager
def place(folder: Path) -> Iterator[None]:
    """Makes an empty folder inside of an empty folder the current one meanwhile; a path may be ``..``."""
    back = Path.cwd()
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "here").mkdir(parents=True)
    os.chdir(folder / "here")
    try:
        yield
    finally:
        os.chdir(back)
        shutil.rmtree(folder, ignore_errors=True)


def hashes() -> dict[str, str]:
    """Returns path -> sha256 of every regular file in the current folder."""
    files = [path for path in Path().rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
