"""Claims the folder of a run before the work, fills it under a temporary name, and renames it when it is complete.

A folder of a run is marked by ``run.json``, which also records the inputs; the record of a finished run lists its files. Only a
marked folder is ever replaced.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from tunesmith.disk import PART, is_same_file, take_lock, uninterrupted, write_text
from tunesmith.errors import InputError, Interrupted, ModelError, OutputError, require_equal, require_same_content

RESULT, RECORD, LOCK = "result.json", "run.json", "writer.lock"
PREDICTIONS, PREDICTIONS_OF_SEEDS = "predictions.parquet", "predictions_of_seeds.parquet"
RECIPES = ("recipe.yaml", "resolved.yaml")
RESOLVED_START = "# The resolved recipe"
EPOCH_LOGITS, ADAPTER = "epoch_logits.npz", "adapter"
PARTIAL, REPLACED = ".partial", ".replaced"
SMOKE, SMOKE_ROWS = "-smoke", 100
"""How the name of a smoke run's folder ends, and the rows of each split that it uses at most."""
CHOOSE = "Choose another `output`."
MAX_NAME_BYTES = 255
"""Of a file's name on the usual file systems."""
SHOWN_NAMES = 3


@dataclass(frozen=True)
class RunFolder:
    """The paths of a run.

    Attributes:
        final: the folder the user named; it appears when the run is done.
        work: the folder beside it that holds the run until then.
        replaces: whether an earlier run in ``final`` is replaced.
    """

    final: Path
    work: Path
    replaces: bool = False

    @property
    def replaced(self) -> Path:
        """Returns the folder that holds an earlier run while the new one gets its name."""
        return self.final.with_name(self.final.name + REPLACED)

    @property
    def checkpoints(self) -> Path:
        return self.work / "checkpoints"

    @property
    def metrics_log(self) -> Path:
        return self.work / "metrics.jsonl"

    @property
    def model(self) -> Path:
        return self.work / "model"


def claim(output: str | Path, *, resume: bool = False, overwrite: bool = False, resumable: bool = True) -> RunFolder:
    """Returns the run folder for an output path. Writes nothing.

    Args:
        resumable: whether an unfinished run can be resumed; one that cannot is replaced without ``overwrite``.

    Raises:
        OutputError: the path cannot be used, or another process writes to it; it holds other files, or another run and
            neither ``resume`` nor ``overwrite`` is set; ``resume`` with nothing to resume.
    """
    folder = locate_output(output, overwrite=overwrite)
    require_free(folder, resume=resume, resumable=resumable)
    return replace(folder, replaces=overwrite or (resume and read_record(folder.work).get("replaces") is True))


def locate_output(output: str | Path, *, overwrite: bool = False) -> RunFolder:
    """Resolves an output path, with ``~`` and links. Raises OutputError if no folder can be made there. Writes nothing."""
    given = Path(os.path.expanduser(output))
    where = str(output)
    if any(len(os.fsencode(part)) > MAX_NAME_BYTES for part in (*given.parts, given.name + PARTIAL)):
        raise OutputError.one(where, "this place cannot be used: File name too long.", CHOOSE)
    try:
        os.stat(given.with_name(given.name + PARTIAL) if given.name else given)
    except (FileNotFoundError, NotADirectoryError):
        pass  # the checks below say more
    except OSError as error:
        raise OutputError.one(where, f"this place cannot be used: {error.strerror}.", CHOOSE) from error
    broken = next((path for path in (given, *given.parents) if path.is_symlink() and not path.exists()), None)
    if broken is not None:
        message = f"{broken} is a link that leads nowhere (to {os.readlink(broken)})."
        raise OutputError.one(where, message, "Remove the link, or create the folder that it leads to.")
    real = Path(os.path.realpath(given))
    final = given if real == Path(os.path.abspath(given)) and ".." not in given.parts else real
    if Path.cwd().is_relative_to(real):
        raise OutputError.one(
            where, "this is the current folder, or a folder above it.", "Choose a folder in it, such as runs/first."
        )
    if real.is_mount():
        raise OutputError.one(where, "a disk is mounted here, so the folder cannot be renamed.", "Choose a folder in it.")
    if real.name.endswith((PARTIAL, REPLACED)) or str(given).startswith("~"):
        message = "there is no such user." if str(given).startswith("~") else "this ending is kept for unfinished runs."
        raise OutputError.one(where, message, CHOOSE)
    folder = RunFolder(final, final.with_name(final.name + PARTIAL), overwrite)
    require_writable(folder)
    return folder


def require_writable(folder: RunFolder) -> None:
    """Raises OutputError if the output cannot be made: a file is in the way, or the parent folder is read-only."""
    for path in (folder.final, folder.work, folder.replaced):
        if path.exists() and not path.is_dir():
            raise OutputError.one(str(path), "a file of this name is in the way of the run folder.", CHOOSE)
    parent = folder.final.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise OutputError.one(str(folder.final), f"{parent} is a file, not a folder.", CHOOSE)
    if not os.access(parent, os.W_OK):
        raise OutputError.one(str(folder.final), f"{parent} cannot be written to.", CHOOSE)


def require_free(folder: RunFolder, *, resume: bool, resumable: bool = True) -> None:
    """Raises OutputError if another process writes to the folder, or what it holds must not be replaced."""
    where = str(folder.final)
    if (folder.work / LOCK).exists():
        take_lock(folder.work / LOCK).close()
    if resume:
        if folder.work.is_dir():
            return
        message = f"there is no interrupted run at {folder.work}."
        if (folder.final / RESULT).exists():
            message = f"{folder.final} is a finished run; there is nothing to resume."
        raise OutputError.one(where, message, "Start it without --resume.")
    for path in (folder.final, folder.work, folder.replaced):
        if path.is_dir() and any(path.iterdir()):
            require_only_a_run(path)
    if folder.replaces:
        return
    if resumable and folder.work.exists():
        message, remedy = f"an unfinished run is at {folder.work}.", "Continue it with --resume, or start over with --overwrite."
        raise OutputError.one(where, message, remedy)
    if folder.final.is_dir() and any(folder.final.iterdir()):
        raise OutputError.one(where, "the output folder holds another run.", f"{CHOOSE[:-1]}, or replace it with --overwrite.")


def require_only_a_run(path: Path) -> None:
    """Raises OutputError if a folder is no run, or holds files that the run did not write."""
    others = [item.name for item in path.iterdir()]
    message = "the folder holds other files, and no run"
    if is_run(path):
        written = read_record(path).get("files")
        others = files_that_are_not_in(written, path) if isinstance(written, list) else []
        message = "the folder of this run also holds files that it did not write"
    if others:
        raise OutputError.one(str(path), f"{message}: {shown_names(others)}. Only a run and nothing else is replaced.", CHOOSE)


def shown_names(names: Sequence[str]) -> str:
    """Lists the first names of files, in their order, for a message."""
    return ", ".join(sorted(names)[:SHOWN_NAMES]) + (", ..." if len(names) > SHOWN_NAMES else "")


def files_that_are_not_in(written: list[str], path: Path) -> list[str]:
    """Returns the files of a folder, relative to it, that are not written down, nor (earlier versions) a folder above them."""
    known = {*written, LOCK}
    return [name for name in files_of(path) if name not in known and known.isdisjoint(map(str, PurePosixPath(name).parents))]


def files_of(path: Path) -> list[str]:
    """Returns the files and links of a folder and of those in it, relative to it, without those being written."""
    items = (item for item in path.rglob("*") if (not item.is_dir() or item.is_symlink()) and not item.name.startswith(PART))
    return sorted(item.relative_to(path).as_posix() for item in items)


def is_run(path: Path) -> bool:
    """Tells whether a folder was made for a run, finished or not; by its record, or by the recipes of an earlier version."""
    if (path / RECORD).is_file():
        return True
    if not all((path / name).is_file() for name in RECIPES):
        return False
    with (path / RECIPES[1]).open(encoding="utf-8", errors="replace") as file:
        return RESOLVED_START in file.read(200)


def read_record(path: Path) -> dict[str, Any]:
    """Reads the record of a run folder; empty for a run of an earlier version. Raises InputError if it is damaged."""
    file = path / RECORD
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError.one(str(file), f"the record of the run cannot be read ({error}).", "Restore the file.") from error
    if not isinstance(record, dict) or not isinstance(record.get("inputs", {}), dict):
        raise InputError.one(str(file), "the file is JSON, but not the record of a run.", "Restore the file.")
    return record


def require_finished(target: str | Path) -> None:
    """Raises ModelError if a path is an unfinished run or the model in one, or if only an unfinished run is there."""
    path = Path(target)
    unfinished = path.with_name(path.name + PARTIAL) if path.name else path
    if not path.exists() and unfinished.is_dir():
        raise unfinished_error(str(path), f"there is only an unfinished run, {unfinished}.")
    real = Path(os.path.realpath(path))
    for folder in (real, real.parent):
        if folder.is_dir() and is_run(folder):
            record = read_record(folder)
            if folder.name.endswith(PARTIAL) or (record and "files" not in record):
                raise unfinished_error(str(path), "this run is not finished.")


def require_saved_model(target: str | Path) -> None:
    """Raises ModelError if a path is an unfinished run, or a finished one that saved no model."""
    require_finished(target)
    path = Path(target)
    if is_run(path) and (path / RESULT).exists() and not (path / "model").exists():
        message = "this run saved no model (train.save_strategy: none, or train --smoke)."
        raise ModelError.one(str(target), message, "Train it again with train.save_strategy: best, its default.")


def unfinished_error(where: str, message: str) -> InputError:
    remedy = "Finish it with tunesmith train RECIPE --resume, or start over with --overwrite."
    return ModelError.one(where, message, remedy)


@contextmanager
def fill(
    folder: RunFolder,
    recipe_text: str,
    resolved_text: str,
    *,
    resume: bool = False,
    resumable: bool = True,
    inputs: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Makes the working folder with the recipe in it, and keeps every other process out while the body fills it.

    A resumed run keeps what it has, and has to have the same recipe.

    Args:
        inputs: recipe key -> sha256, see ``require_same_inputs``.

    Raises OutputError as ``claim``, since another process may have claimed the folder, too; InputError for another recipe.
    """
    require_free(folder, resume=resume, resumable=resumable)
    lock = take_lock(folder.work / LOCK) if resume else make_work(folder, recipe_text, resolved_text, inputs or {})
    try:
        if resume:
            require_same_settings(folder, resolved_text)
            for part in folder.work.rglob(f"{PART}*"):
                part.unlink()
        yield
    finally:
        release(lock, folder)


def make_work(folder: RunFolder, recipe_text: str, resolved_text: str, inputs: Mapping[str, str]) -> TextIO:
    """Makes the working folder, complete with mark and lock from its first moment on; returns the lock.

    An earlier unfinished run there is removed, under its own lock.
    """
    new = folder.work.with_name(f".{folder.final.name[:100]}.{os.getpid()}")
    new.mkdir(parents=True)
    try:
        lock = take_lock(new / LOCK)
        record = {"tunesmith": version("tunesmith"), "replaces": folder.replaces, "inputs": dict(inputs)}
        write_text(new / RECORD, json.dumps(record, indent=1) + "\n")
        for name, text in zip(RECIPES, (recipe_text, resolved_text), strict=True):
            write_text(new / name, text)
        restore_replaced(folder)
        if folder.work.exists():
            with take_lock(folder.work / LOCK):
                discard(folder.work)
        new.rename(folder.work)
    except OSError as error:  # another process was faster
        message = f"the folder of the run cannot be made: {error.strerror}."
        raise OutputError.one(str(folder.final), message, CHOOSE) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return lock


def release(lock: TextIO, folder: RunFolder) -> None:
    """Removes the lock, whatever name the folder has by now."""
    for path in (folder.work / LOCK, folder.final / LOCK):
        if is_same_file(lock, path):
            path.unlink()
    lock.close()


def require_same_settings(folder: RunFolder, resolved_text: str) -> None:
    """Raises InputError if the recipe of an unfinished run is another one now."""
    resolved = folder.work / RECIPES[1]
    if not resolved.exists():
        raise OutputError.one(str(folder.work), f"the unfinished run has no {RECIPES[1]}.", "Start over with --overwrite.")
    before, now = (settings(text) for text in (resolved.read_text(encoding="utf-8", errors="replace"), resolved_text))
    require_equal(before, now, "the run was", "Set it back, or start over with --overwrite.")


def require_same_inputs(folder: RunFolder, inputs: Mapping[str, str]) -> None:
    """Raises InputError if a file that the recipe names has other content than when the unfinished run was started.

    Args:
        inputs: recipe key -> sha256; empty for a file that cannot be read.
    """
    before = read_record(folder.work).get("inputs")
    if before is None:
        message = "it was started by an earlier version, which did not record its inputs."
        raise OutputError.one(str(folder.work), message, "Start over with --overwrite.")
    require_same_content(before, inputs, "the run was", "Put the earlier file back, or start over with --overwrite.")


def settings(text: str) -> dict[str, Any]:
    """Flattens a YAML text to ``section.key -> value``."""
    import yaml

    flat: dict[str, Any] = {}
    try:
        stack = [("", yaml.safe_load(text) or {})]
    except yaml.YAMLError as error:
        raise OutputError.one(
            RECIPES[1], f"the recipe of the unfinished run cannot be read ({error}).", "Start over with --overwrite."
        ) from error
    while stack:
        path, node = stack.pop()
        if isinstance(node, dict) and node:
            stack.extend((f"{path}.{key}" if path else str(key), value) for key, value in node.items())
        else:
            flat[path] = node
    return flat


def finish(folder: RunFolder) -> Path:
    """Gives the complete run its final name, and returns that folder.

    An earlier run is moved aside before, and removed after.

    Raises:
        OutputError: other files have appeared there; the complete run then stays under its working name.
        Interrupted: a signal arrived meanwhile; the run is complete.
    """
    with uninterrupted() as received:
        rename(folder)
    if received:
        raise Interrupted(f"stopped by {received[0]} when the run was complete: it is in {folder.final}")
    return folder.final


def rename(folder: RunFolder) -> None:
    """Lists the files of the run in its record, and gives it its final name."""
    written = sorted({*files_of(folder.work), RECORD} - {LOCK})
    write_text(folder.work / RECORD, json.dumps({**read_record(folder.work), "files": written}, indent=1) + "\n")
    if folder.final.exists():
        if any(folder.final.iterdir()):
            if not folder.replaces:
                message = f"other files have appeared here; the complete run is at {folder.work}."
                raise OutputError.one(str(folder.final), message, "Rename one of the two folders.")
            require_only_a_run(folder.final)
        discard(folder.replaced)
        folder.final.rename(folder.replaced)
    folder.work.rename(folder.final)
    discard(folder.replaced)


def restore_replaced(folder: RunFolder) -> None:
    """Gives an earlier run its name back if the process was killed between the two renames of ``finish``."""
    if folder.replaced.exists() and not folder.final.exists():
        folder.replaced.rename(folder.final)


def discard(path: Path) -> None:
    """Removes the folder of a run, its marks last, so that a killed removal can be repeated."""
    if not path.exists():
        return
    for item in path.iterdir():
        if item.is_dir() and not item.is_symlink():
            shutil.rmtree(item)
        elif item.name not in (RECORD, *RECIPES):
            item.unlink()
    shutil.rmtree(path)


def seed_places(folder: RunFolder, seed: int, n_seeds: int) -> tuple[Path, Path]:
    """Returns one seed's checkpoint folder and the path of its log."""
    place = folder.checkpoints if n_seeds == 1 else folder.checkpoints / f"seed-{seed}"
    return place, folder.metrics_log if n_seeds == 1 else folder.work / f"metrics-seed-{seed}.jsonl"
