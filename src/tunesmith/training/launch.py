"""Several training processes on this machine, started by torch's launcher; none of them outlives this one."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 60.0


def is_child() -> bool:
    """Whether this process was started by ``launch``."""
    return "TUNESMITH_CHILD" in os.environ


def rank() -> int:
    """This process's number, 0 for the first or only one."""
    return int(os.environ.get("RANK", "0")) if is_child() else 0


def synchronise() -> None:
    """Wait until every process is here; nothing where there is only one."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        dist.barrier()


def anywhere(flag: bool) -> bool:
    """Whether the flag is set in any process: all of them have to stop at the same step."""
    import torch
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        return flag
    shared = torch.tensor(int(flag), device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(shared, op=dist.ReduceOp.MAX)
    return bool(shared.item())


def sum_over_processes(array: np.ndarray) -> np.ndarray:
    """The sum of every process's array, in each of them; the array itself where there is only one."""
    import torch
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        return array
    shared = torch.from_numpy(array).to("cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(shared)
    total: np.ndarray = shared.cpu().numpy()
    return total


def launch(argv: Sequence[str], processes: int) -> int:
    """Run the command line with these arguments in so many processes; returns their exit code.

    SIGINT and SIGTERM are handed on, so that every process saves and stops at the same step boundary. If this process
    is killed outright, the kernel ends the launcher, and with it the children.
    """
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes),
        "-m", "tunesmith.cli.main", *argv,
    ]  # fmt: skip
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    child = subprocess.Popen(
        command,
        env={**os.environ, "TUNESMITH_CHILD": "1", "OMP_NUM_THREADS": threads},
        start_new_session=True,
        preexec_fn=die_with_parent,
    )

    def hand_on(number: int, _frame: FrameType | None) -> None:
        os.killpg(child.pid, number)

    previous = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return child.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        end_group(child)


def end_group(child: subprocess.Popen[bytes]) -> None:
    """Make sure that no process of the group is left."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def die_with_parent() -> None:
    """Ask Linux to send SIGTERM to this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
