"""Describes the machine (device, cores, memory, versions), seeds the generators, and silences libraries."""

from __future__ import annotations

import os
import platform
import random
import resource
import socket
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = (
    "torch", "transformers", "accelerate", "tokenizers", "safetensors", "peft", "trl", "sentence-transformers", "bitsandbytes",
    "numpy", "scikit-learn", "pyarrow",
)  # fmt: skip


def stay_offline() -> None:
    """Forbids the Hugging Face libraries every network look-up. Has to run before they are imported."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_DATASETS_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"


def network_reachable(host: str = "huggingface.co", seconds: float = 2.0) -> bool:
    """Tells whether a connection to the host opens within the time. Libraries find out by minutes of retries."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return False
    try:
        with socket.create_connection((host, 443), timeout=seconds):
            return True
    except OSError:
        return False


def cpu_entry(name: str) -> str:
    """Reads the first entry of that name in Linux's list of processors; empty if there is none."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def cpu_flags() -> frozenset[str]:
    """Reads the instruction-set flags of the processor as Linux names them; empty if they cannot be read."""
    return frozenset(cpu_entry("flags").split())


def cpu_name() -> str:
    """Reads the processor's name as Linux gives it, else the platform's name for it."""
    return cpu_entry("model name") or platform.processor() or platform.machine()


def cores() -> int:
    """Counts the processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_per_process(processes: int) -> int:
    """Returns the threads of each of several processes that divide the cores, at least one."""
    return max(1, cores() // processes)


def device_name() -> str:
    """Returns ``cuda``, ``mps`` or ``cpu``, as torch finds it."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def peak_memory_bytes() -> int:
    """Returns the largest resident size of this process so far, in bytes."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def environment() -> dict[str, Any]:
    """Collects versions, processor and memory for the record of a run. Holds no paths, host names or variables."""
    import psutil

    record: dict[str, Any] = {
        "tunesmith": version("tunesmith"), "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(), "cores": cores(), "memory_bytes": int(psutil.virtual_memory().total), "device": device_name(),
    }  # fmt: skip
    if record["device"] == "cuda":
        import torch

        record["gpu"] = torch.cuda.get_device_name(0)
        record["n_gpus"] = torch.cuda.device_count()
    for library in LIBRARIES:
        try:
            record[library] = version(library)
        except PackageNotFoundError:
            record[library] = None
    return record


def seed_everything(seed: int) -> None:
    """Seeds Python, numpy and torch (every device)."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def rng_state() -> tuple[Any, Any]:
    """Returns the state of the torch and numpy generators."""
    import numpy as np
    import torch

    return torch.get_rng_state(), np.random.get_state()


def restore_rng(state: tuple[Any, Any]) -> None:
    """Restores the generators, so that a run is the same with and without checks."""
    import numpy as np
    import torch

    torch.set_rng_state(state[0])
    np.random.set_state(state[1])


def quiet_libraries() -> None:
    """Turns off the progress bars and advice of the libraries; their errors are still raised."""
    import logging
    import warnings

    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(torch|transformers|accelerate|peft|sklearn|huggingface_hub)(\.|$)")
