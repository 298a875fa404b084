"""Several processes: the outputs of one, each process once loaded, and none that outlives its caller or is waited for in vain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.errors import DataError, InputError, TunesmithError
from tunesmith.machine import cores
from tunesmith.models import many_processes
from tunesmith.models.many_processes import count_processes, in_processes

SETTINGS = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")


@contextmanager
def prepared(compute: Callable[[Any], Any]) -> Iterator[Callable[[Any], Any]]:
    yield compute


def double(job: np.ndarray) -> np.ndarray:
    return job * 2


def describe(_job: int) -> tuple[int, list[str], str]:
    time.sleep(0.2)  # so that no process computes all
    return os.getpid(), [os.environ[name] for name in SETTINGS], tempfile.mkdtemp()


def die_at_three(job: int) -> int:
    if job == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def sleep_after_the_first(job: int) -> int:
    time.sleep(600 * job)
    return os.getpid()


def stop_at_one(job: int) -> int:
    if job == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(0.3)
    return os.getpid()


def session(_job: int) -> tuple[int, int]:
    sys.stdout.write("printed in a process\n")
    sys.stdout.flush()
    return os.getpid(), os.getsid(0)


def refuse(job: int) -> int:
    if job == 1:
        raise DataError.one("rows.csv", "this row is too long.", "Shorten it.")
    raise ValueError("no such job")


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("processes", [1, 2])
def test_every_job_has_its_output_also_if_both_are_longer_than_a_pipe(processes: int) -> None:
    jobs = [np.full(300_000, i, dtype=np.float64) for i in range(7)]
    with in_processes(processes, partial(prepared, double)) as outputs_of:
        outputs = dict(outputs_of(jobs))
        assert dict(outputs_of([])) == {}
        again = dict(outputs_of(jobs[:1]))
    assert sorted(outputs) == list(range(7))
    assert all(np.array_equal(outputs[i], jobs[i] * 2) for i in outputs)
    assert np.array_equal(again[0], jobs[0])


def test_each_process_has_a_gpu_and_a_share_of_the_cores_and_its_files_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,3")
    with in_processes(2, partial(prepared, describe)) as outputs_of:
        found = [output for _, output in outputs_of(range(6))]
        assert all(Path(folder).is_dir() for _, _, folder in found)
    pids = {pid for pid, _, _ in found}
    assert len(pids) == 2
    assert os.getpid() not in pids
    threads = str(max(1, cores() // 2))
    assert {tuple(settings) for _, settings, _ in found} == {(threads, "5"), (threads, "3")}
    assert not any(Path(folder).exists() for _, _, folder in found)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,3"


def test_a_process_that_is_killed_is_one_error_that_names_it_and_ends_the_others() -> None:
    pids = set()
    with (
        pytest.raises(
            TunesmithError, match=r"process [12] of 2 \(pid \d+\) ended before its work was done: .* SIGKILL, as the system does"
        ),
        in_processes(2, partial(prepared, die_at_three)) as outputs_of,
    ):
        pids.update(pid for _, pid in outputs_of(range(20)))
    assert not any(map(is_running, pids))


def test_an_interruption_ends_processes_at_work_within_seconds() -> None:
    pids, started = [], 0.0

    def interrupted() -> None:
        nonlocal started
        with in_processes(2, partial(prepared, sleep_after_the_first)) as outputs_of:
            for _, pid in outputs_of([0, 0, 1, 1]):
                pids.append(pid)
                if len(pids) == 2:
                    started = time.perf_counter()
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.perf_counter() - started < 2 * many_processes.GRACE_SECONDS + 2
    assert not any(map(is_running, pids))


def test_a_process_that_does_not_end_by_itself_is_killed() -> None:
    with in_processes(2, partial(prepared, stop_at_one)) as outputs_of:
        _, pid = next(outputs_of([0, 1]))
        deadline, stopped = time.perf_counter() + 20, set[int]()
        while not stopped and time.perf_counter() < deadline:
            stopped = {int(path.name) for path in Path("/proc").glob("[0-9]*") if is_stopped_child(path)}
        (other,) = stopped
    assert not is_running(pid)
    assert not is_running(other)


def is_stopped_child(process: Path) -> bool:
    """Whether a folder of /proc is that of a stopped process of this one."""
    try:
        state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return False
    return (state, int(parent)) == ("T", os.getpid())


def test_processes_end_when_the_command_is_killed() -> None:
    code = (
        "from functools import partial; from tests.models.test_many_processes import *\n"
        "with in_processes(2, partial(prepared, sleep_after_the_first)) as outputs_of:\n"
        "    for _, pid in outputs_of([0, 0, 1, 1]): print(pid, flush=True)"
    )
    command = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert command.stdout is not None
    pids = [int(command.stdout.readline()) for _ in range(2)]
    command.kill()
    command.wait()
    deadline = time.perf_counter() + 10
    while any(map(is_running, pids)) and time.perf_counter() < deadline:
        time.sleep(0.1)
    assert not any(map(is_running, pids))


def test_processes_have_their_own_session_and_print_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with in_processes(2, partial(prepared, session)) as outputs_of:
        assert all(pid == own for _, (pid, own) in outputs_of(range(2)))
    out, err = capfd.readouterr()
    assert (out, err.count("printed in a process")) == ("", 2)


def test_errors_keep_their_class_their_problems_and_the_traceback() -> None:
    with pytest.raises(DataError) as caught, in_processes(2, partial(prepared, refuse)) as outputs_of:
        list(outputs_of([1]))
    assert (caught.value.problems[0].where, caught.value.exit_code) == ("rows.csv", 2)
    failed = r"process 1 of 2 .* failed: ValueError: no such job"
    with pytest.raises(TunesmithError, match=failed) as unknown, in_processes(2, partial(prepared, refuse)) as outputs_of:
        list(outputs_of([2]))
    assert "in refuse" in unknown.value.__notes__[0]


@pytest.mark.parametrize(
    ("requested", "gpus", "n_rows", "processes"),
    [(1, 0, None, 1), (2, 0, None, 2), (4, 8, 4, 4), ("auto", 0, 9, 1), ("auto", 4, None, 4), ("auto", 4, 3, 3), (1, 4, 0, 1)],
)
def test_auto_is_one_process_for_each_gpu(
    requested: int | str, gpus: int, n_rows: int | None, processes: int, monkeypatch
) -> None:
    monkeypatch.setattr(many_processes, "count_gpus", lambda: gpus)
    monkeypatch.setattr(many_processes, "cores", lambda: 2)
    assert count_processes(requested, n_rows) == processes


@pytest.mark.parametrize(
    ("requested", "gpus", "n_rows", "message"),
    [
        (0, 0, None, "0 is no number of processes"),
        (True, 0, None, "True is no number of processes"),
        (1.5, 0, None, r"1\.5 is no number of processes"),
        ("all", 0, None, "'all' is no number of processes"),
        (3, 0, None, "3 are requested, and this machine has 2 cores"),
        (3, 1, None, "3 are requested, and this machine has 1 GPU"),
        (2, 0, 1, "2 are requested for 1 row"),
    ],
)
def test_a_number_of_processes_that_cannot_be_is_refused(
    requested, gpus: int, n_rows: int | None, message: str, monkeypatch
) -> None:
    monkeypatch.setattr(many_processes, "count_gpus", lambda: gpus)
    monkeypatch.setattr(many_processes, "cores", lambda: 2)
    with pytest.raises(InputError, match=message):
        count_processes(requested, n_rows)
