"""Compares embedding models by the cosine similarities of a few sentences, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed, plural
from tunesmith.data.readers.given import source_name
from tunesmith.disk import require_file_place, write_text
from tunesmith.errors import DataError, InputError, OutputError
from tunesmith.evaluation.search import normalised
from tunesmith.models.kind import HUB, detect_model_kind
from tunesmith.models.source import find_model
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.sections import ModelSection
from tunesmith.report.figures import distinct
from tunesmith.report.sentence_similarity import ModelSimilarities, similarity_page
from tunesmith.workflows.embed import join_columns, text_columns
from tunesmith.workflows.predict import read_texts

MOST_SENTENCES = 40
"""So many have readable values in a matrix."""


def write_similarity_page(
    models: Sequence[str], sentences: object, output: Path | None, text: Sequence[str] = (), listener: Listener = silent
) -> tuple[Path, list[str]]:
    """Writes a page of the cosine similarities of sentences by each embedding model; returns its path and notes.

    Each model's default prompt is put before every sentence, as upstream's ``encode`` does.

    Args:
        models: runs, folders, hub ids or ``builtin:NAME``.
        sentences: a file with one sentence a line, or rows with a text column; or texts in memory.
        text: columns, joined by a blank; default: the detected text column.

    Raises InputError if there are fewer than two or more than 40 sentences, or a model is no embedding model.
    """
    if output is None:
        raise OutputError.one("report", "the page of sentences has no default path.", "Name the file: --output FILE.")
    if output.suffix.lower() not in (".html", ".htm"):
        raise OutputError.one(str(output), "the sentences are shown on an HTML page.", "End the name with .html.")
    require_file_place(output, sentences)
    texts, notes = read_sentences(sentences, text, listener)
    for name in models:
        if detect_model_kind(name) in ("causal", "classifier"):
            message = "it is no embedding model, and sentences have no vectors by it."
            raise InputError.one(name, message, "Name runs of task: embedding, folders, hub ids or builtin:NAME.")
    results = [similarities(name, texts, listener) for name in models]
    shown = [replace(model, name=own) for model, own in zip(results, distinct([m.name for m in results]), strict=True)]
    write_text(output, similarity_page(texts, shown, source_name(sentences)))
    return output, notes


def read_sentences(data: object, text: Sequence[str], listener: Listener) -> tuple[list[str], list[str]]:
    """Reads the sentences; also returns notes on left-out rows. Raises DataError if they are too few or too many."""
    table = read_texts(data, listener)
    cells = join_columns(table, text_columns(table, text))
    texts = list(dict.fromkeys(cell for cell in cells if cell is not None))
    n_missing, found = sum(cell is None for cell in cells), plural(len(texts), "different sentence")
    if len(texts) < 2:
        raise DataError.one(table.source, f"there {'is' if len(texts) == 1 else 'are'} {found}.", "Two are the least.")
    if len(texts) > MOST_SENTENCES:
        message = f"there are {found}; the values of at most {MOST_SENTENCES} are readable side by side."
        raise DataError.one(table.source, message, "Write the most telling ones to a file of their own.")
    notes = [f"{plural(n_missing, 'row')} without a text left out"] if n_missing else []
    if n_equal := len(cells) - n_missing - len(texts):
        notes.append(f"{plural(n_equal, 'sentence')} equal to an earlier one left out")
    return texts, notes


def similarities(name: str, texts: Sequence[str], listener: Listener) -> ModelSimilarities:
    """Computes the cosine similarities of the texts by one model."""
    from tunesmith.models.embedding.encoder import load_encoder

    listener(Event("phase", f"embeddings of {name}"))
    encoder = load_encoder(find_model(ModelSection(name=name.removeprefix(HUB)), Path()))
    vectors: Array = normalised(encoder.encode(texts, encoder.default_prompt)).astype(float)
    unused = {key: prompt for key, prompt in encoder.prompts.items() if prompt != encoder.default_prompt}
    note = f"its prompts {listed(f'{key} {prompt!r}' for key, prompt in unused.items())} not used" if unused else ""
    return ModelSimilarities(name, (vectors @ vectors.T).clip(-1, 1), encoder.default_prompt, note)
