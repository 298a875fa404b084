"""Which base model an adapter was trained on, and whether another model is the same: written beside the adapter."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunesmith.errors import ModelError
from tunesmith.models.adapters.quantise import Quantisation
from tunesmith.models.source import ModelSource

FILE = "base.json"
PEFT_SETTINGS = "adapter_config.json"
READ_NUMBERS = 4096


@dataclass(frozen=True)
class AdapterBase:
    """The base of an adapter.

    Attributes:
        fingerprint: see ``fingerprint``; empty where the weights could not be read, or the adapter comes from elsewhere.
        objective: ``causal`` or ``masked`` of a language model, empty of a classifier.
        quantisation: in how many bits the base was while the adapter was trained: ``nf4``, ``int8`` or None.
    """

    source: ModelSource
    fingerprint: str
    objective: str = ""
    quantisation: Quantisation | None = None

    @classmethod
    def of(cls, source: ModelSource, objective: str = "", quantisation: Quantisation | None = None) -> AdapterBase:
        """The record of a base model that is there now."""
        return cls(source, fingerprint(source), objective, quantisation)

    def save(self, folder: Path) -> None:
        """Write it beside the adapter."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> AdapterBase:
        """What stands beside an adapter, or what peft noted of it.

        Raises:
            ModelError: neither can be read.
        """
        try:
            if (folder / FILE).exists():
                found = json.loads((folder / FILE).read_text(encoding="utf-8"))
                return cls(**{**found, "source": ModelSource(**found["source"])})
            name = json.loads((folder / PEFT_SETTINGS).read_text(encoding="utf-8"))["base_model_name_or_path"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"it cannot be read which model the adapter belongs to: {error}."
            raise ModelError.one(str(folder), message, "Copy the folder again.") from error
        if not name:
            raise ModelError.one(str(folder), "its adapter_config.json names no base model.", "Name it as the base.")
        return cls(ModelSource(name, name, "folder" if Path(name).is_dir() else "hub"), "")

    def check(self, folder: Path, other: ModelSource) -> None:
        """Raise ModelError where another model is not the one the adapter was trained on."""
        is_same_place = other.location == self.source.location and other.revision == self.source.revision
        found = fingerprint(other)
        differs = found != self.fingerprint if self.fingerprint and found else not is_same_place
        if differs:
            ours, theirs = self.fingerprint[:12] or "unknown", found[:12] or "unknown"
            raise ModelError.one(
                f"adapter {folder}", "it belongs to another base model: "
                f"it was trained on {self.source.name} (weights {ours}), and {other.name} has others (weights {theirs}).",
                f"Use it with {self.source.name}, or train an adapter on {other.name}.",
            )  # fmt: skip

    def present(self, folder: Path) -> ModelSource:
        """The base, found where it was. Raises ModelError where it is gone, or another model now."""
        source = self.source
        if source.kind != "hub" and not Path(source.location).is_dir():
            raise ModelError.one(
                f"adapter {folder}", f"its base model {source.name} is not at {source.location} any more.",
                "Put it back there, or name where it is now.",
            )  # fmt: skip
        self.check(folder, source)
        return source


def weight_files(source: ModelSource) -> list[Path]:
    """The safetensors of a model on this machine; none where they are elsewhere."""
    folder = Path(source.location)
    if folder.is_dir():
        return sorted(path for path in folder.glob("*.safetensors") if path.name.startswith("model"))
    from huggingface_hub import try_to_load_from_cache

    one = try_to_load_from_cache(source.location, "model.safetensors", revision=source.revision)
    if isinstance(one, str):
        return [Path(one)]
    index = try_to_load_from_cache(source.location, "model.safetensors.index.json", revision=source.revision)
    return sorted(Path(index).parent.glob("model*.safetensors")) if isinstance(index, str) else []


def fingerprint(source: ModelSource) -> str:
    """A sha256 (hex) of the names, shapes and a sample of the numbers of every tensor; the same however they lie in files.

    Empty where the weights are not on this machine. The sample is a middle row of each tensor: another training changes them all.
    """
    from safetensors import SafetensorError, safe_open

    parts: dict[str, bytes] = {}
    try:
        for path in weight_files(source):
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 (it is no mapping)
                    parts[name] = sample_of(file.get_slice(name))
    except (OSError, SafetensorError) as error:
        message = f"its weights cannot be read: {error}."
        raise ModelError.one(f"model.name {source.name}", message, "Copy or download it again.") from error
    if not parts:
        return ""
    digest = hashlib.sha256()
    for name in sorted(parts):
        digest.update(name.encode() + b"\0" + parts[name])
    return digest.hexdigest()


def sample_of(tensor: Any) -> bytes:
    """The shape and some of the numbers of a tensor in a file."""
    import torch

    shape = tensor.get_shape()
    middle = shape[0] // 2 if shape else 0
    values = (tensor[middle : middle + 1] if len(shape) > 1 else tensor[:]).flatten()[:READ_NUMBERS].contiguous()
    return repr((shape, tensor.get_dtype())).encode() + bytes(values.view(torch.uint8).numpy().tobytes())
