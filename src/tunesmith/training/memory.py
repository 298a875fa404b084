"""Samples the memory of the process and of its GPUs through a run.

Three figures of a GPU answer three questions: what tensors take (allocated), what torch holds for the next tensors (reserved),
and what the driver says is used on the device, by this process and every other (used). Running out of memory is about the last.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tunesmith.machine import peak_memory_bytes

FIRST_INTERVAL_SECONDS = 0.25
MOST_SAMPLES = 120
"""When there are so many, every second one is left out and the interval doubles."""


@dataclass(frozen=True)
class GpuMemory:
    """The memory of one GPU in bytes, now and at the highest; ``used`` and ``total`` as the driver says."""

    device: int
    allocated: int
    reserved: int
    used: int
    total: int
    allocated_peak: int
    reserved_peak: int


def gpu_memory() -> list[GpuMemory]:
    """Reads the memory of every GPU on which this process has allocated; empty without one. Imports nothing."""
    torch = sys.modules.get("torch")
    if torch is None or getattr(torch.__spec__, "_initializing", False):  # another thread imports it at the moment
        return []
    if not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return []
    readings = []
    for device in range(torch.cuda.device_count()):
        if torch.cuda.max_memory_reserved(device):
            free, total = torch.cuda.mem_get_info(device)
            readings.append(
                GpuMemory(
                    device,
                    allocated=torch.cuda.memory_allocated(device),
                    reserved=torch.cuda.memory_reserved(device),
                    used=total - free,
                    total=total,
                    allocated_peak=torch.cuda.max_memory_allocated(device),
                    reserved_peak=torch.cuda.max_memory_reserved(device),
                )
            )
    return readings


def process_memory() -> int:
    """Reads the resident size of this process, in bytes."""
    import psutil

    return int(psutil.Process().memory_info().rss)


@dataclass
class MemorySamples:
    """Samples at even intervals; the figures of GPUs are sums over all of them.

    Attributes:
        phase: of the run, at each sample; ``seconds``: since the first one.
        process, allocated, reserved, used: bytes.
        peak_used: device -> the largest use that the driver said.
        read_gpus: reads the GPUs.
    """

    read_gpus: Callable[[], list[GpuMemory]] = gpu_memory
    interval: float = FIRST_INTERVAL_SECONDS
    phase: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    process: list[int] = field(default_factory=list)
    allocated: list[int] = field(default_factory=list)
    reserved: list[int] = field(default_factory=list)
    used: list[int] = field(default_factory=list)
    peak_used: dict[int, int] = field(default_factory=dict)

    @property
    def columns(self) -> Mapping[str, list[Any]]:
        return {
            "seconds": self.seconds, "phase": self.phase, "process_bytes": self.process, "allocated_bytes": self.allocated,
            "reserved_bytes": self.reserved, "used_bytes": self.used,
        }  # fmt: skip

    def add(self, phase: str, seconds: float) -> None:
        """Adds a sample of now. Halves the samples and doubles the interval if there are too many."""
        gpus = self.read_gpus()
        for gpu in gpus:
            self.peak_used[gpu.device] = max(self.peak_used.get(gpu.device, 0), gpu.used)
        sums = (sum(getattr(gpu, name) for gpu in gpus) for name in ("allocated", "reserved", "used"))
        for column, value in zip(self.columns.values(), (round(seconds, 2), phase, process_memory(), *sums), strict=True):
            column.append(value)
        if len(self.seconds) >= MOST_SAMPLES:
            for column in self.columns.values():
                del column[1::2]
            self.interval *= 2

    def record(self) -> dict[str, Any]:
        """Returns peaks and samples as plain JSON types; the columns of GPUs are absent without one."""
        gpus = [
            {
                "device": gpu.device, "total_bytes": gpu.total, "allocated_peak_bytes": gpu.allocated_peak,
                "reserved_peak_bytes": gpu.reserved_peak, "used_peak_bytes": max(self.peak_used.get(gpu.device, 0), gpu.used),
            }
            for gpu in self.read_gpus()
        ]  # fmt: skip
        of_process = ("seconds", "phase", "process_bytes")
        samples = {name: list(column) for name, column in self.columns.items() if gpus or name in of_process}
        return {"process_peak_bytes": peak_memory_bytes(), "gpus": gpus, "samples": samples}


@contextmanager
def sampled_memory(phase: Callable[[], str], samples: MemorySamples | None = None) -> Iterator[MemorySamples]:
    """Samples the memory in a thread while the block runs.

    Args:
        phase: returns the name of the phase that the run is in.
    """
    samples, stop, started = samples or MemorySamples(), threading.Event(), time.perf_counter()

    def sample() -> None:
        while not stop.wait(samples.interval):
            samples.add(phase(), time.perf_counter() - started)

    thread = threading.Thread(target=sample, name="memory samples", daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()
