"""Keeps several runs in one folder: records what makes them, so that the same command goes on and another one is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tunesmith.data.preferences.written import data_of_written
from tunesmith.disk import read_json, take_lock, write_text
from tunesmith.errors import OutputError, require_equal, require_same_content
from tunesmith.progress import Listener
from tunesmith.recipe.load import LoadedRecipe, resolved_yaml
from tunesmith.run_folder import (
    LOCK,
    discard,
    files_of,
    is_run,
    locate_output,
    require_only_a_run,
    settings,
    shown_names,
)
from tunesmith.tasks.finished import Run
from tunesmith.tasks.test_looks import LOOKS
from tunesmith.workflows import train as runs
from tunesmith.workflows.inputs import input_hashes

STARTED = "data/started.json"


@dataclass(frozen=True)
class Workflow:
    """A workflow that keeps several runs in one folder.

    Attributes:
        started: what was started, with its verb: ``the rounds were``.
        made: glob pattern of files that must not be mixed with those of other settings.
        not_fixed: settings that may change between two calls.
        remedy: for a setting or a file that has changed.
        files: patterns of the files that it writes beside its runs.
    """

    started: str
    made: str
    not_fixed: Sequence[str]
    remedy: str
    files: Sequence[str] = ()


@dataclass(frozen=True)
class Origin:
    """What makes the runs of a folder.

    Attributes:
        settings: key of the recipe, or option -> value.
        inputs: key of the recipe, or option -> sha256; empty for a file that cannot be read.
    """

    settings: Mapping[str, Any]
    inputs: Mapping[str, str]


def origin_of(
    loaded: LoadedRecipe,
    workflow: Workflow,
    options: Mapping[str, Any] | None = None,
    option_inputs: Mapping[str, str] | None = None,
) -> Origin:
    """Returns what makes the runs: the resolved recipe and the content of its files, with those of a workflow's options."""
    every = settings(resolved_yaml(loaded.recipe)) | dict(options or {})
    fixed = {key: value for key, value in every.items() if key not in workflow.not_fixed}
    return Origin(json.loads(json.dumps(fixed)), dict(option_inputs or {}) | input_hashes(loaded))


def require_same_origin(path: Path, workflow: Workflow, origin: Origin) -> None:
    """Raises InputError if a folder holds other files, or what other settings or files have made. Writes nothing."""
    record = path / STARTED
    if not record.exists():
        if path.exists() and any(path.iterdir()):
            message = f"the output folder holds {'another run' if is_run(path) else 'other files'}."
            raise OutputError.one(str(path), message, "Choose another output: output=FOLDER.")
    elif any(path.glob(workflow.made)):
        before = read_json(record, Origin, workflow.remedy)
        require_equal(before["settings"], origin.settings, workflow.started, workflow.remedy)
        require_same_content(before["inputs"], origin.inputs, workflow.started, workflow.remedy)


def write_origin(path: Path, origin: Origin) -> None:
    """Makes the folder, and records in it what makes its runs."""
    (path / STARTED).parent.mkdir(parents=True, exist_ok=True)
    write_text(path / STARTED, json.dumps(asdict(origin), indent=1) + "\n")


def start_over(path: Path, workflow: Workflow) -> None:
    """Removes the runs of a folder and the files that the workflow wrote, but for the count of looks at the test set.

    Raises OutputError, and removes nothing, if the folder holds other files, or another process writes to one of the runs.
    """
    if not path.exists() or not any(path.iterdir()):
        return
    made = [item for item in path.iterdir() if item.is_dir() and not item.is_symlink() and is_run(item)]
    for run in made:
        require_only_a_run(run)
        if (run / LOCK).exists():
            take_lock(run / LOCK).close()
    files = [
        name for name in files_of(path) if path / name not in made and not any((path / name).is_relative_to(r) for r in made)
    ]
    others = [name for name in files if not any(fnmatch(name, pattern) for pattern in (*workflow.files, STARTED, LOOKS))]
    if others or STARTED not in files:
        message = f"the output folder holds other files: {shown_names(others or files)}."
        raise OutputError.one(str(path), message, "Nothing was removed. Choose another output: output=FOLDER.")
    for run in made:
        discard(run)
    for name in files:
        if name not in (STARTED, LOOKS):
            (path / name).unlink()


def train_on_pairs(loaded: LoadedRecipe, files: Mapping[str, Path], output: Path, *, has_groups: bool, listener: Listener) -> Run:
    """Trains a recipe on written pairs; goes on with a training that was interrupted.

    Args:
        files: split -> the file that ``write_pairs`` wrote.
        output: the folder of the run.
        has_groups: whether the pairs have groups.

    Raises as ``train``.
    """
    section = data_of_written(loaded.recipe.data, files, has_groups=has_groups)
    recipe = loaded.recipe.model_copy(update={"data": section, "output": str(output)})
    is_resumed = locate_output(output).work.is_dir()
    changed = replace(loaded, recipe=recipe, text=resolved_yaml(recipe), notes=())
    run = runs.train(changed, resume=is_resumed, listener=listener)
    assert run is not None, "one process"
    return run
