"""Implements ``mteb_encoder``: hands an embedding model to the package mteb."""

from __future__ import annotations

from pathlib import Path

from tunesmith.models.embedding.encoder import load_encoder
from tunesmith.models.embedding.mteb_encoder import MtebEncoder, encoder_for_mteb, import_mteb
from tunesmith.models.kind import HUB
from tunesmith.models.source import find_model
from tunesmith.recipe.sections import ModelSection
from tunesmith.tasks.finished import Run, folder_of
from tunesmith.workflows.inputs import hash_model


def mteb_encoder(target: str | Path | Run, *, max_length: int | None = None) -> MtebEncoder:
    """Loads an embedding model as an encoder that ``mteb.evaluate`` takes.

    Queries, documents and other texts get the prompts that the model was trained with. mteb stores results by the model's name
    and revision; the revision is the sha256 of the model's files, so that a model that was trained again is evaluated again.

    Args:
        target: a run or its folder, another folder, ``hub:NAME`` or ``builtin:NAME``.
        max_length: limit of the tokens of a text; default: the model's own.

    Raises:
        InputError: the model cannot be used, or mteb is not installed.

    Example::

        mteb.evaluate(tunesmith.mteb_encoder("runs/search"), mteb.get_task("SciFact"))
    """
    name = str(folder_of(target)).removeprefix(HUB)
    import_mteb(f"An mteb encoder of {name}")
    encoder = load_encoder(find_model(ModelSection(name=name), Path()), max_length)
    revision = hash_model(name, Path())[:40] or "builtin"
    return encoder_for_mteb(encoder, revision if max_length is None else f"{revision}-{max_length}-tokens")
