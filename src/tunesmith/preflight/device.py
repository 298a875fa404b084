"""Describes the device of a run: its memory, the number formats it computes in hardware, and what the recipe asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.data.cells import plural
from tunesmith.machine import cores, cpu_flags, cpu_name, device_name
from tunesmith.models.fast.path import BF16_FLAGS, FastPath
from tunesmith.preflight.report import CheckLine
from tunesmith.report.numbers import size

AMPERE = (8, 0)
"""First compute capability with tf32 and bf16."""
FORMATS = ("bf16", "fp16", "tf32")


@dataclass(frozen=True)
class Device:
    """A device and the number formats that it computes in hardware.

    Attributes:
        words: what it is, for the user: name, capability, memory.
        formats: format of ``FORMATS`` -> whether the hardware has it.
    """

    words: str
    formats: Mapping[str, bool]


def this_device() -> Device:
    """Describes the device that a run uses."""
    name = device_name()
    if name == "cuda":
        return cuda_device()
    has_bf16 = name == "cpu" and bool(BF16_FLAGS & cpu_flags())
    words = f"cpu ({cpu_name()}, {plural(cores(), 'core')})" if name == "cpu" else name
    return Device(words, {"bf16": has_bf16, "fp16": False, "tf32": False})


def cuda_device() -> Device:
    """Describes the first GPU: what its name, compute capability and the driver say."""
    import torch

    capability, n_gpus = torch.cuda.get_device_capability(0), torch.cuda.device_count()
    free, total = torch.cuda.mem_get_info(0)
    more = f", {n_gpus} of them visible" if n_gpus > 1 else ""
    words = f"{torch.cuda.get_device_name(0)}{more}, compute capability {capability[0]}.{capability[1]}"
    memory = f"{size(total - free)} of {size(total)} in use before the run"
    has = {"bf16": torch.cuda.is_bf16_supported(including_emulation=False), "fp16": True, "tf32": capability >= AMPERE}
    return Device(f"{words}, {memory}", has)


def device_line(fast_path: FastPath, upstream: Mapping[str, Any], device: Device | None = None) -> CheckLine:
    """Describes the device, the precision of the run, and formats that the recipe asks for and the hardware lacks.

    Args:
        upstream: the recipe's fields of TrainingArguments.
        device: None for this machine's.
    """
    device = this_device() if device is None else device
    has = ", ".join(f"{name} {'yes' if device.formats[name] else 'no'}" for name in FORMATS)
    reason = fast_path.reasons.get("precision") or fast_path.reasons.get("fast", "")
    asked = [name for name in FORMATS if upstream.get(name)]
    wanted = f"; the recipe asks for {', '.join(asked)}" if asked else ""
    figure = (
        f"{device.words}; in hardware: {has}; the run computes in {fast_path.precision}{f' ({reason})' if reason else ''}{wanted}"
    )
    missing = [name for name in asked if not device.formats[name]]
    if not missing:
        return CheckLine("device", figure)
    keys = " and ".join(f"upstream.{name}" for name in missing)
    note = f"the device has no {' and no '.join(missing)} in hardware: it is emulated, slower, or refused"
    return CheckLine("device", figure, note=note, remedy=f"Remove {keys}: the fast path takes the precision that fits.")
