"""Starts several training processes on this machine with torch's launcher; none of them outlives this one."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING

from tunesmith.machine import threads_per_process

if TYPE_CHECKING:
    import numpy as np

PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 60.0


def rank() -> int:
    """Returns the number of this process, if ``launch`` started it; 0 for the first or only one."""
    return int(os.environ.get("RANK", "0")) if "TUNESMITH_CHILD" in os.environ else 0


def synchronise() -> None:
    """Waits until every process has reached this point; with one process it does nothing."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        dist.barrier()


def anywhere(flag: bool) -> bool:
    """Tells whether the flag is set in any process: all of them must stop at the same step."""
    import torch
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        return flag
    shared = torch.tensor(int(flag), device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(shared, op=dist.ReduceOp.MAX)
    return bool(shared.item())


def sum_over_processes(array: np.ndarray) -> np.ndarray:
    """Sums every process's array, in each of them; returns the array itself if there is only one."""
    import torch
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        return array
    shared = torch.from_numpy(array).to("cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(shared)
    total: np.ndarray = shared.cpu().numpy()
    return total


def launch(argv: Sequence[str], processes: int) -> int:
    """Runs the command line with these arguments in several processes; returns their exit code.

    SIGINT and SIGTERM are forwarded, so that every process saves and stops at the same step boundary. If this process
    is killed outright, the kernel ends the launcher, and with it the children.
    """
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes),
        "-m", "tunesmith.cli.main", *argv,
    ]  # fmt: skip
    child = subprocess.Popen(
        command,
        env={**os.environ, "TUNESMITH_CHILD": "1", "OMP_NUM_THREADS": str(threads_per_process(processes))},
        start_new_session=True,
        preexec_fn=die_with_parent,
    )

    def forward(number: int, _frame: FrameType | None) -> None:
        os.killpg(child.pid, number)

    previous = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return child.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        end_group(child)


def end_group(child: subprocess.Popen[bytes]) -> None:
    """Ends every remaining process of the group."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def die_with_parent() -> None:
    """Has Linux send SIGTERM to this process when its parent ends, even when that is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
