"""The folder of a run: what may be replaced, who writes, what survives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tunesmith.disk import take_lock
from tunesmith.errors import InputError, Interrupted, OutputError
from tunesmith.run_folder import (
    LOCK,
    RECORD,
    RunFolder,
    claim,
    fill,
    finish,
    is_run,
    locate_output,
    read_record,
    require_finished,
    require_same_inputs,
)

RESOLVED = "train:\n  seed: 0\n"


def make_run(output: Path, text: str = "first", **options: bool) -> RunFolder:
    """Makes a finished run of one file."""
    folder = claim(output, **options)
    with fill(folder, "recipe", RESOLVED, inputs={"data.train": "ab" * 32}, resume=options.get("resume", False)):
        (folder.work / "result.json").write_text(text)
        finish(folder)
    return folder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_run_gets_its_name_leaves_a_complete_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    make_run(tmp_path / "run")
    rename, before = Path.rename, signal.getsignal(number)

    def interrupted(self: Path, target: Path) -> Path:
        if self.name == "run":  # the earlier run is moved aside
            signal.raise_signal(number)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(Interrupted, match=f"stopped by {number.name} when the run was complete: it is in .*run"):
        make_run(tmp_path / "run", "second", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run/result.json").read_text() == "second"
    require_finished(tmp_path / "run")
    assert signal.getsignal(number) is before


def test_a_finished_run_is_marked_and_nothing_else_is_left(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    files = ["recipe.yaml", "resolved.yaml", "result.json", RECORD]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == files
    assert read_record(tmp_path / "run")["files"] == files
    require_finished(tmp_path / "run")


@pytest.mark.parametrize("name", ["notes.txt", "model/notes.txt", "checkpoints/thesis/a.txt", "model/link"])
def test_a_run_with_a_file_that_it_did_not_write_is_not_replaced(tmp_path: Path, name: str) -> None:
    folder = claim(tmp_path / "run")
    with fill(folder, "recipe", RESOLVED):
        folder.model.mkdir()
        (folder.model / "model.safetensors").write_text("weights")
        finish(folder)
    claim(tmp_path / "run", overwrite=True)
    foreign = tmp_path / "run" / name
    foreign.parent.mkdir(parents=True, exist_ok=True)
    foreign.symlink_to(tmp_path) if name.endswith("link") else foreign.write_text("mine")
    with pytest.raises(OutputError, match=f"files that it did not write: {name}"):
        claim(tmp_path / "run", overwrite=True)


def test_the_record_of_an_earlier_version_has_folders(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    folder = RunFolder(folder.final, folder.final)
    folder.model.mkdir()
    (folder.model / "model.safetensors").write_text("weights")
    with pytest.raises(OutputError, match=r"did not write: model/model\.safetensors"):
        claim(tmp_path / "run", overwrite=True)
    record = json.loads((tmp_path / "run" / RECORD).read_text())
    (tmp_path / "run" / RECORD).write_text(json.dumps({**record, "files": [*record["files"], "model"]}))
    claim(tmp_path / "run", overwrite=True)


def test_a_run_is_replaced_only_when_the_new_one_is_complete(tmp_path: Path) -> None:
    make_run(tmp_path / "run", "first")
    folder = claim(tmp_path / "run", overwrite=True)
    with pytest.raises(KeyboardInterrupt), fill(folder, "recipe", RESOLVED):
        raise KeyboardInterrupt
    assert (tmp_path / "run/result.json").read_text() == "first"
    make_run(tmp_path / "run", "second", resume=True)  # of an unfinished replacement
    assert (tmp_path / "run/result.json").read_text() == "second"
    make_run(tmp_path / "run", "third", overwrite=True)
    assert (tmp_path / "run/result.json").read_text() == "third"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_whose_replacement_was_killed_between_the_two_renames_gets_its_name_back(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "first")
    folder.final.rename(folder.replaced)
    make_run(tmp_path / "other")
    with pytest.raises(KeyboardInterrupt), fill(claim(tmp_path / "run", overwrite=True), "recipe", RESOLVED):
        raise KeyboardInterrupt
    assert (tmp_path / "run/result.json").read_text() == "first"
    assert not folder.replaced.exists()


def test_a_run_with_an_unfinished_file_of_a_killed_report_is_replaced(tmp_path: Path) -> None:
    make_run(tmp_path / "run", "first")
    (tmp_path / "run/.part-12.html").write_text("<html>")
    make_run(tmp_path / "run", "second", overwrite=True)
    assert (tmp_path / "run/result.json").read_text() == "second"
    assert not (tmp_path / "run/.part-12.html").exists()


@pytest.mark.parametrize("name", ["model", "parent", "own files"])
def test_no_option_replaces_what_is_no_run(tmp_path: Path, name: str) -> None:
    output = tmp_path / "out"
    if name == "model":
        output.mkdir()
        (output / "model.safetensors").write_text("weights")
    elif name == "parent":
        make_run(output / "a")
    else:
        make_run(output)
        (output / "notes.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    for options in ({}, {"overwrite": True}):
        with pytest.raises(OutputError) as error:
            claim(output, **options)
        assert "--overwrite" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_files_that_appear_during_the_run_stay_and_so_does_the_run(tmp_path: Path) -> None:
    folder = claim(tmp_path / "run")
    folder.final.mkdir()
    with fill(folder, "recipe", RESOLVED):
        (folder.final / "notes.txt").write_text("mine")
        with pytest.raises(OutputError, match=r"the complete run is at .*run\.partial"):
            finish(folder)
    assert (folder.final / "notes.txt").exists()
    assert is_run(folder.work)


def test_a_second_writer_is_refused_with_the_process_of_the_first(tmp_path: Path) -> None:
    first, second = claim(tmp_path / "run"), claim(tmp_path / "run")
    with fill(first, "recipe", RESOLVED):
        for attempt in (
            lambda: claim(tmp_path / "run", overwrite=True),
            lambda: claim(tmp_path / "run", resume=True),
            lambda: fill(second, "recipe", RESOLVED).__enter__(),
        ):
            with pytest.raises(OutputError, match=f"another process is writing here: process {os.getpid()} on "):
                attempt()
        assert (first.work / RECORD).exists()
    assert not (first.work / LOCK).exists()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom tunesmith.run_folder import claim, fill\n"
        "with fill(claim(sys.argv[1]), 'recipe', 'a: 1'):\n    print('locked', flush=True)\n    time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "run")], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"locked\n"
    with pytest.raises(OutputError, match=f"process {child.pid} on "):
        claim(tmp_path / "run", resume=True)
    child.send_signal(signal.SIGKILL)
    child.wait()
    folder = claim(tmp_path / "run", resume=True)
    assert (folder.work / LOCK).exists()
    with fill(folder, "recipe", "a: 1", resume=True):
        pass
    child.stdout.close()


def test_the_lock_of_another_host_counts_until_it_is_removed(tmp_path: Path) -> None:
    path = tmp_path / LOCK
    path.write_text(json.dumps({"host": "elsewhere", "pid": 7, "started": "2026-01-01"}))
    with pytest.raises(OutputError, match=r"process 7 on elsewhere, started 2026-01-01\. If that process has ended, remove"):
        take_lock(path)
    path.write_text("{")
    take_lock(path).close()


def test_of_many_processes_that_begin_at_once_one_writes(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom tunesmith.errors import OutputError\nfrom tunesmith.run_folder import claim, fill, finish\n"
        "time.sleep(max(0, float(sys.argv[2]) - time.time()))\n"
        "try:\n    folder = claim(sys.argv[1])\n    with fill(folder, 'r', 'a: 1'):\n"
        "        time.sleep(0.3)\n        finish(folder)\n    print('done')\n"
        "except OutputError as error:\n    print('refused', error)\n"
    )
    start = str(time.time() + 1.5)
    words = [sys.executable, "-c", code, str(tmp_path / "run"), start]
    children = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    words = [child.communicate()[0].split()[0] for child in children]
    assert sorted(words) == ["done", "refused", "refused", "refused"]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_output_path_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "disk/run").mkdir(parents=True)
    (tmp_path / "link").symlink_to("disk/run")
    assert locate_output("runs/a").final == Path("runs/a")
    assert locate_output("~/a").final == tmp_path / "home/a"
    assert locate_output("a/sub/..").final == tmp_path / "a"
    assert locate_output("link").work == tmp_path / "disk/run.partial"
    make_run(Path("link"))
    assert (tmp_path / "link").is_symlink()
    assert is_run(tmp_path / "disk/run")


def test_a_changed_input_is_named(tmp_path: Path) -> None:
    folder = claim(tmp_path / "run")
    with fill(folder, "recipe", RESOLVED, inputs={"data.train": "ab" * 32, "model.name": "cd" * 32}):
        pass
    require_same_inputs(folder, {"data.train": "ab" * 32, "model.name": "cd" * 32})
    with pytest.raises(InputError, match=r"model\.name: its content has changed .* \(sha256 cdcdcdcdcdcd, now efefefefefef\)"):
        require_same_inputs(folder, {"data.train": "ab" * 32, "model.name": "ef" * 32})


@pytest.mark.parametrize("content", ["{", "[]", '{"inputs": []}', "\udcff"])
def test_a_damaged_record_is_one_clear_error(tmp_path: Path, content: str) -> None:
    folder = make_run(tmp_path / "run")
    (folder.final / RECORD).write_text(content, errors="surrogateescape")
    with pytest.raises(InputError, match=r"run\.json"):
        require_finished(folder.final)
    with pytest.raises(InputError, match=r"run\.json"):
        claim(folder.final, overwrite=True)


def test_a_run_of_an_earlier_version_is_known_by_its_recipes(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "recipe.yaml").write_text("a: 1")
    (folder / "resolved.yaml").write_text("# something else")
    assert not is_run(folder)
    (folder / "resolved.yaml").write_text("# The resolved recipe: every default filled in.\na: 1")
    assert is_run(folder)
    require_finished(folder)
    with pytest.raises(InputError, match="not finished"):
        require_finished(folder.rename(tmp_path / "run.partial"))


def test_an_unfinished_run_that_was_renamed_is_still_unfinished(tmp_path: Path) -> None:
    folder = claim(tmp_path / "run")
    with fill(folder, "recipe", RESOLVED):
        (folder.work / "model").mkdir()
    renamed = folder.work.rename(tmp_path / "mine")
    for path in (renamed, renamed / "model"):
        with pytest.raises(InputError, match="this run is not finished"):
            require_finished(path)
