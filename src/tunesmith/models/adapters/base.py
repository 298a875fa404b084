"""Records the base model of an adapter in base.json, and checks that another model is the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.disk import write_text
from tunesmith.errors import ModelError
from tunesmith.models.adapters.quantisation import Quantisation
from tunesmith.models.source import ModelSource

BASE_FILE = "base.json"
PEFT_SETTINGS = "adapter_config.json"
READ_NUMBERS = 4096


@dataclass(frozen=True)
class AdapterBase:
    """The base model of an adapter.

    Attributes:
        fingerprint: see ``fingerprint``; empty if the weights could not be read, or for adapters of other programs.
        objective: name of a language model's objective; empty for a classifier.
        quantisation: format of the base model's weights during training; None for unquantised weights.
    """

    source: ModelSource
    fingerprint: str
    objective: str = ""
    quantisation: Quantisation | None = None

    @classmethod
    def of(cls, source: ModelSource, objective: str = "", quantisation: Quantisation | None = None) -> AdapterBase:
        # The attention is a choice for the machine of the training: the same adapter is used on others.
        return cls(replace(source, attn_implementation=None), fingerprint(source), objective, quantisation)

    def save(self, folder: Path) -> None:
        quantisation = None if self.quantisation is None else self.quantisation.record
        record = {**asdict(self), "quantisation": quantisation}
        write_text(folder / BASE_FILE, json.dumps(record, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> AdapterBase:
        """Reads the record beside an adapter, else peft's own settings. Raises ModelError if neither can be read."""
        try:
            if (folder / BASE_FILE).exists():
                record = json.loads((folder / BASE_FILE).read_text(encoding="utf-8"))
                quantisation = Quantisation.read(record.get("quantisation"))
                return cls(**{**record, "source": ModelSource(**record["source"]), "quantisation": quantisation})
            name = json.loads((folder / PEFT_SETTINGS).read_text(encoding="utf-8"))["base_model_name_or_path"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            message = f"its base model cannot be read from its files: {error}."
            raise ModelError.one(str(folder), message, "Copy the folder again.") from error
        if not name:
            raise ModelError.one(str(folder), "its adapter_config.json names no base model.", "Name it as the base.")
        return cls(ModelSource(name, name, "folder" if Path(name).is_dir() else "hub"), "")

    def check(self, folder: Path, other: ModelSource) -> None:
        """Raises ModelError if another model is not the base model that the adapter was trained on."""
        is_same_place = other.location == self.source.location and other.revision == self.source.revision
        actual = fingerprint(other)
        differs = actual != self.fingerprint if self.fingerprint and actual else not is_same_place
        if differs:
            ours, theirs = self.fingerprint[:12] or "unknown", actual[:12] or "unknown"
            names = f"it was trained on {self.source.name} (weights {ours}), and {other.name} has others (weights {theirs})"
            message = f"it belongs to another base model: {names}."
            remedy = f"Use it with {self.source.name}, or train an adapter on {other.name}."
            raise ModelError.one(f"adapter {folder}", message, remedy)

    def present(self, folder: Path) -> ModelSource:
        """Returns the recorded base model. Raises ModelError if it is gone, or its files are another model now."""
        source = self.source
        if source.kind != "hub" and not Path(source.location).is_dir():
            message = f"its base model {source.name} is not at {source.location} any more."
            raise ModelError.one(f"adapter {folder}", message, "Put it back there, or name its new place.")
        self.check(folder, source)
        return source


def weight_files(source: ModelSource) -> list[Path]:
    """Lists the safetensors of a model; empty if they are not on this machine."""
    folder = Path(source.location)
    if folder.is_dir():
        return sorted(path for path in folder.glob("*.safetensors") if path.name.startswith("model"))
    from huggingface_hub import try_to_load_from_cache

    single = try_to_load_from_cache(source.location, "model.safetensors", revision=source.revision)
    if isinstance(single, str):
        return [Path(single)]
    index = try_to_load_from_cache(source.location, "model.safetensors.index.json", revision=source.revision)
    return sorted(Path(index).parent.glob("model*.safetensors")) if isinstance(index, str) else []


def fingerprint(source: ModelSource) -> str:
    """Hashes the names, shapes and a sample of the values of every tensor; independent of how they are split into files.

    The sample is a middle row of each tensor: another training changes them all.

    Returns:
        sha256 (hex); empty if the weights are not on this machine.
    """
    from safetensors import SafetensorError, safe_open

    parts: dict[str, bytes] = {}
    try:
        for path in weight_files(source):
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 (it is no mapping)
                    parts[name] = sample_bytes(file.get_slice(name))
    except (OSError, SafetensorError) as error:
        message = f"its weights cannot be read: {error}."
        raise ModelError.one(f"model.name {source.name}", message, "Copy or download it again.") from error
    if not parts:
        return ""
    digest = hashlib.sha256()
    for name in sorted(parts):
        digest.update(name.encode() + b"\0" + parts[name])
    return digest.hexdigest()


def sample_bytes(tensor: Any) -> bytes:
    """Returns the shape, dtype and some values of a tensor in a file (a safetensors slice)."""
    import torch

    shape = tensor.get_shape()
    middle = shape[0] // 2 if shape else 0
    values = (tensor[middle : middle + 1] if len(shape) > 1 else tensor[:]).flatten()[:READ_NUMBERS].contiguous()
    return repr((shape, tensor.get_dtype())).encode() + bytes(values.view(torch.uint8).numpy().tobytes())
