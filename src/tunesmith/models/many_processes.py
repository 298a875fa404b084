"""Computes the outputs of many jobs in several processes, each of which loads its model once; with one process in this one."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

from tunesmith.data.cells import plural
from tunesmith.errors import InputError, TunesmithError, first_line
from tunesmith.machine import cores, threads_per_process

AUTO = "auto"
JOBS_AHEAD = 2
"""Jobs that a process holds at once, so that it does not wait for the next one."""
GRACE_SECONDS = 2.0

Prepare = Callable[[], AbstractContextManager[Callable[[Any], Any]]]
"""Loads what the jobs need and yields the function from a job to its output. It is pickled: a function of a module, or a
``functools.partial`` of one."""
Outputs = Callable[[Iterable[Any]], Iterator[tuple[int, Any]]]
"""Jobs -> pairs of the number of a job, from 0, and its output, in the order in which they finish."""


def count_processes(requested: int | str, n_rows: int | None = None) -> int:
    """Returns the number of processes to start; ``auto`` is one for each GPU, and one without a GPU.

    Args:
        n_rows: rows to divide among them, if that is known.

    Raises InputError if it is no number from 1, or exceeds the GPUs, without a GPU the cores, or the rows.
    """
    if requested == 1 and not isinstance(requested, bool):
        return 1
    gpus = count_gpus()
    if requested == AUTO:
        return max(1, min(gpus, gpus if n_rows is None else n_rows))
    if isinstance(requested, bool) or not isinstance(requested, int) or requested < 1:
        message = f"{requested!r} is no number of processes."
        raise InputError.one("processes", message, "Use a whole number from 1, or auto: one for each GPU.")
    most, noun = (gpus, "GPU") if gpus else (cores(), "core")
    if requested > most:
        message = f"{requested} are requested, and this machine has {plural(most, noun)}."
        raise InputError.one("processes", message, f"Use at most {most}: each process takes {noun}s of its own.")
    if n_rows is not None and requested > n_rows:
        message = f"{requested} are requested for {plural(n_rows, 'row')}."
        raise InputError.one("processes", message, "Leave the option out: one process is enough.")
    return requested


def count_gpus() -> int:
    """Counts the GPUs that torch sees, without using one."""
    import torch

    return torch.cuda.device_count() or int(torch.backends.mps.is_available())


@contextmanager
def in_processes(processes: int, prepare: Prepare) -> Iterator[Outputs]:
    """Yields the function that computes outputs of jobs in this many processes; with one process, in this one.

    Process i sees the i-th GPU alone; on a CPU the cores are divided among the processes. They are commands of their own, and
    import no script of the caller. None outlives the context, nor this process if that is killed; their temporary files are
    removed. What they print goes to standard error.

    Raises, while outputs are computed, the TunesmithError of a process, or one that names a process which ended.
    """
    if processes == 1:
        with prepare() as compute:
            yield lambda jobs: enumerate(map(compute, jobs))
        return
    workers: list[Worker] = []
    with ExitStack() as stack:
        scratch = stack.enter_context(TemporaryDirectory(prefix="tunesmith-", ignore_cleanup_errors=True))
        stack.callback(end_workers, workers)
        for number in range(processes):
            workers.append(start_worker(number, processes, scratch))
            workers[-1].send(prepare)
        yield partial(outputs_of, workers)


@dataclass(frozen=True)
class Worker:
    """A process with the connection to it.

    Attributes:
        name: in messages, such as ``process 1 of 2 (pid 4711)``.
    """

    name: str
    process: subprocess.Popen[bytes]
    connection: Connection

    def send(self, message: object) -> None:
        """Sends an object. Raises TunesmithError if the process has ended."""
        data = pickle.dumps(message)
        try:
            self.connection.send_bytes(data)
        except OSError:
            raise self.ended() from None

    def receive(self) -> tuple[int, Any]:
        """Waits for the next output, with the number of its job. Raises the error of the process, or that it has ended."""
        try:
            number, output = pickle.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            raise self.ended() from None
        if isinstance(output, Failure):
            raise output.error(self.name)
        return number, output

    def ended(self) -> TunesmithError:
        """Returns the error about a process that ended before its work was done."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_SECONDS)
        code = self.process.poll()
        how = f"its exit code is {code}"
        if code is not None and code < 0:
            out_of_memory = ", as the system does when memory runs out" if -code == signal.SIGKILL else ""
            how = f"it was ended by {signal.Signals(-code).name}{out_of_memory}"
        return TunesmithError(f"{self.name} ended before its work was done: {how}. Use fewer processes if memory is short.")


@dataclass(frozen=True)
class Failure:
    """An exception in a process: its class and arguments if tunesmith raised it on purpose, and the formatted traceback."""

    kind: type[TunesmithError] | None
    arguments: tuple[Any, ...]
    message: str
    trace: str

    @classmethod
    def of(cls, error: Exception) -> Failure:
        arguments = (error.problems,) if isinstance(error, InputError) else error.args
        kind = type(error) if isinstance(error, TunesmithError) else None
        message = f"{type(error).__name__}: {first_line(error)}"
        return cls(kind, arguments if kind else (), message, "".join(traceback.format_exception(error)))

    def error(self, name: str) -> TunesmithError:
        """Makes the exception again, with the traceback in the process as a note."""
        error = TunesmithError(f"{name} failed: {self.message}") if self.kind is None else self.kind(*self.arguments)
        error.add_note(f"In {name}:\n{self.trace}")
        return error


def start_worker(number: int, processes: int, scratch: str) -> Worker:
    """Starts one process in a session of its own: Ctrl-C reaches this process alone, which then ends it."""
    ours, theirs = Pipe()
    visible = [device for device in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if device]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OMP_NUM_THREADS": str(threads_per_process(processes)),
        "CUDA_VISIBLE_DEVICES": visible[number] if number < len(visible) else str(number),
        "TMPDIR": scratch,
    }
    code = f"from {__name__} import serve; serve({theirs.fileno()})"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=2,
        start_new_session=True,
    )
    theirs.close()
    return Worker(f"process {number + 1} of {processes} (pid {process.pid})", process, ours)


def end_workers(workers: Sequence[Worker]) -> None:
    """Ends every process: each leaves at once when its connection closes, and is killed if it does not."""
    for worker in workers:
        worker.connection.close()
    for worker in workers:
        try:
            worker.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()


def outputs_of(workers: Sequence[Worker], jobs: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Gives each job to the next free process; yields number and output of every job as they finish."""
    numbered, n_running = enumerate(jobs), dict.fromkeys((worker.connection for worker in workers), 0)
    by_connection = {worker.connection: worker for worker in workers}

    def give_next(worker: Worker) -> None:
        job = next(numbered, None)
        if job is not None:
            worker.send(job)
            n_running[worker.connection] += 1

    for worker in [*workers] * JOBS_AHEAD:
        give_next(worker)
    while any(n_running.values()):
        for ready in wait(list(by_connection)):  # also of those without a job: a connection closes when its process ends
            assert isinstance(ready, Connection)
            output = by_connection[ready].receive()
            n_running[ready] -= 1
            give_next(by_connection[ready])
            yield output


def serve(descriptor: int) -> None:
    """Runs in a process: loads once, then computes the output of each job that it receives until the connection closes."""
    connection, messages = Connection(descriptor), SimpleQueue[bytes]()
    threading.Thread(target=receive_all, args=(connection, messages), daemon=True).start()
    try:
        prepare: Prepare = pickle.loads(messages.get())
        with prepare() as compute:
            while True:
                number, job = pickle.loads(messages.get())
                connection.send_bytes(pickle.dumps((number, compute(job))))
    except Exception as error:  # noqa: BLE001 - the outermost frame of the process: the caller raises the error
        with suppress(OSError):
            connection.send_bytes(pickle.dumps((-1, Failure.of(error))))


def receive_all(connection: Connection, messages: SimpleQueue[bytes]) -> None:
    """Receives messages in a thread of its own, so that no sender waits; ends the process, even at work, when the last came."""
    try:
        while True:
            messages.put(connection.recv_bytes())
    except (EOFError, OSError):
        os._exit(0)
