"""Memory of the process and of GPUs through a run: bounded samples, true peaks, nothing without a GPU."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from tunesmith.progress import Clock, silent
from tunesmith.training.memory import MOST_SAMPLES, GpuMemory, MemorySamples, gpu_memory, sampled_memory

GPU = GpuMemory(0, allocated=1, reserved=2, used=5, total=10, allocated_peak=3, reserved_peak=4)


@dataclass
class Readings:
    """GPUs whose use rises and falls."""

    calls: int = 0

    def __call__(self) -> list[GpuMemory]:
        self.calls += 1
        return [replace(GPU, used=5 + self.calls % 5), replace(GPU, device=1)]


@pytest.mark.parametrize("n", [1, MOST_SAMPLES - 1, MOST_SAMPLES, 5 * MOST_SAMPLES])
def test_samples_are_bounded_and_span_the_run(n: int) -> None:
    samples = MemorySamples(Readings())
    for i in range(n):
        samples.add("training", float(i))
    lengths = {len(column) for column in samples.columns.values()}
    assert lengths == {len(samples.seconds)}
    assert min(n, MOST_SAMPLES // 2) <= len(samples.seconds) < MOST_SAMPLES
    assert samples.seconds == sorted(samples.seconds)
    assert samples.seconds[0] == 0.0
    assert samples.peak_used == {0: 5 + min(n, 4), 1: 5}


def test_the_record_has_peaks_of_each_gpu_and_sums_over_them() -> None:
    samples = MemorySamples(Readings())
    samples.add("training", 0.0)
    record = samples.record()
    assert [gpu["used_peak_bytes"] for gpu in record["gpus"]] == [7, 5]
    assert [gpu["allocated_peak_bytes"] for gpu in record["gpus"]] == [3, 3]
    assert (record["samples"]["allocated_bytes"], record["samples"]["used_bytes"]) == ([2], [11])
    without = MemorySamples(lambda: [])
    without.add("check", 0.0)
    assert without.record()["gpus"] == []
    assert set(without.record()["samples"]) == {"seconds", "phase", "process_bytes"}


def test_a_block_is_sampled_in_its_phase_and_the_thread_ends() -> None:
    clock = Clock(silent, {})
    with sampled_memory(lambda: clock.current, MemorySamples(lambda: [], interval=0.01)) as samples:
        with clock.phase("training"):
            held = np.ones(4_000_000)
            time.sleep(0.1)
        with clock.phase("save"):
            time.sleep(0.1)
    n = len(samples.seconds)
    time.sleep(0.05)
    assert len(samples.seconds) == n
    assert {"training", "save"} <= set(samples.phase)
    assert max(samples.process) > held.nbytes
    assert clock.current == ""


def test_gpus_are_read_as_torch_and_the_driver_give_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert torch.cuda.is_available() or gpu_memory() == []
    values = {
        "is_available": True, "is_initialized": True, "device_count": 2, "mem_get_info": (30, 100), "memory_allocated": 10,
        "memory_reserved": 20, "max_memory_allocated": 15,
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 25 * (device == 1))
    assert gpu_memory() == [GpuMemory(1, 10, 20, 70, 100, 15, 25)]
