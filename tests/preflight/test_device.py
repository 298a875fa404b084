"""The device's line of the pre-flight: what the hardware has, what the run computes in, and what the recipe asks for."""

from __future__ import annotations

import pytest
import torch

from tunesmith.models.fast.path import choose_fast_path
from tunesmith.preflight.device import Device, cuda_device, device_line, this_device


def test_the_line_says_what_there_is_and_what_is_used() -> None:
    line = device_line(choose_fast_path(True, "cpu", frozenset()), {})
    assert "in hardware: bf16" in line.figure
    assert "the run computes in fp32 (the processor has no bf16 instructions)" in line.figure
    assert (line.note, line.problem) == ("", None)
    assert "switched off" in device_line(choose_fast_path(False, "cpu"), {}).figure


@pytest.mark.parametrize("has", [True, False])
def test_a_format_that_the_hardware_lacks_is_noted_with_its_key(has: bool) -> None:
    device = Device("a card", {"bf16": has, "fp16": True, "tf32": has})
    line = device_line(choose_fast_path(True, "cpu", frozenset()), {"bf16": True, "tf32": True, "fp16": True}, device)
    assert "the recipe asks for bf16, fp16, tf32" in line.figure
    assert bool(line.note) is not has
    if not has:
        assert "no bf16 and no tf32" in line.note
        assert "upstream.bf16 and upstream.tf32" in line.remedy
    assert device_line(choose_fast_path(True, "cpu", frozenset()), {"bf16": False}, device).note == ""


@pytest.mark.parametrize(("capability", "has"), [((7, 5), False), ((9, 0), True)])
def test_a_gpu_is_described_as_torch_and_the_driver_do(monkeypatch, capability: tuple[int, int], has: bool) -> None:
    values = {
        "get_device_name": "H200", "get_device_capability": capability, "device_count": 2, "mem_get_info": (30 * 10**9, 10**11),
        "is_bf16_supported": has,
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value, **__: value)
    device = cuda_device()
    assert device.formats == {"bf16": has, "fp16": True, "tf32": has}
    expected = (
        f"H200, 2 of them visible, compute capability {capability[0]}.{capability[1]}, 70 GB of 100 GB in use before the run"
    )
    assert device.words == expected


def test_this_machine_has_a_device() -> None:
    assert this_device().words
