"""Files are written whole or not at all; a full disk is explained."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tunesmith.disk import (
    disk_errors,
    hash_files,
    is_same_file,
    require_file_place,
    require_space,
    take_lock,
    whole_file,
    write_text,
)
from tunesmith.errors import OutputError


def write_half(path: Path) -> None:
    with whole_file(path) as part:
        part.write_text("half")
        full()


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_failed_write_leaves_yesterdays_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("yesterday")
    with pytest.raises(OutputError, match=r"report\.html: no space left: it needs more than 0\.0 MB, .* MB are free"):
        write_half(path)
    assert [(item.name, item.read_text()) for item in tmp_path.iterdir()] == [("report.html", "yesterday")]


def test_the_size_is_named_where_it_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"it needs 2\.0 MB, .* are free\. Free some space"):
        write_text(tmp_path / "a.txt", "x" * 2_000_000)


def test_another_error_names_its_reason(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"a\.txt: it cannot be written: Input/output error"), whole_file(tmp_path / "a.txt"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_link_stays_a_link_and_a_mode_stays(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "real.txt").chmod(0o640)
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"
    assert (tmp_path / "real.txt").stat().st_mode & 0o777 == 0o640


def test_a_device_is_written_directly() -> None:
    write_text(Path(os.devnull), "x")
    assert Path(os.devnull).is_char_device()


def test_a_place_without_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        require_file_place(tmp_path / "gone/a.txt")
    with pytest.raises(OutputError, match="this is a folder"):
        require_file_place(tmp_path)


def test_links_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere" / "page.html")
    with pytest.raises(OutputError, match=r"this is a link to .*/nowhere/page.html, and the folder .*/nowhere does not exist"):
        require_file_place(tmp_path / "dangling")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OutputError, match="this is a link that leads to itself"):
        write_text(tmp_path / "loop", "page")
    assert (tmp_path / "loop").is_symlink()
    (tmp_path / "new").symlink_to(tmp_path / "page.html")
    write_text(tmp_path / "new", "page")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "page"


@pytest.mark.parametrize(
    "message", ["I/O error: No space left on device (os error 28)", "PytorchStreamWriter failed writing file data/0"]
)
def test_a_full_disk_is_recognised_in_the_errors_of_libraries(tmp_path: Path, message: str) -> None:
    with pytest.raises(OutputError, match=r"no space left: .* are free\. Do this\."), disk_errors(tmp_path, "Do this."):
        raise RuntimeError(message)
    with (
        pytest.raises(OutputError, match=r"no space left: about 30 MB are needed in all, .* are free"),
        disk_errors(tmp_path, "", 30_000_000),
    ):
        raise RuntimeError(message)
    with pytest.raises(RuntimeError, match="other"), disk_errors(tmp_path):
        raise RuntimeError("other")


def test_space_is_required_before_a_write(tmp_path: Path) -> None:
    require_space(tmp_path, 1, "this")
    with pytest.raises(OutputError, match=r"this needs 1,000,000,000,000 MB of disk, .* MB are free"):
        require_space(tmp_path, 10**18, "this")


def test_the_hash_of_a_folder_depends_on_its_own_files_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for name in ("x.json", ".hidden.json", "run/y.json", "x.log"):
        (tmp_path / name).write_text("1")

    def digest() -> str:
        return hash_files(tmp_path, ("*",), (".json",))

    first = digest()
    for name in (".hidden.json", "run/y.json", "x.log"):
        (tmp_path / name).write_text("2")
    assert digest() == first
    (tmp_path / "x.json").rename(tmp_path / "z.json")
    renamed = digest()
    (tmp_path / "z.json").write_text("2")
    assert len({first, renamed, digest()}) == 3


def test_a_lock_that_its_holder_has_just_removed_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, calls = tmp_path / "lock", []

    def flock(*_: object) -> None:
        calls.append(path.unlink() if not calls else None)  # between opening and locking, another process ends

    monkeypatch.setattr("fcntl.flock", flock)
    with take_lock(path) as file:
        assert is_same_file(file, path)
    assert len(calls) == 2
