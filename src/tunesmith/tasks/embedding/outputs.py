"""Writes the model, the prediction columns, the heat map and the geometry of an embedding run."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.pairs import load as pairs
from tunesmith.disk import write_text
from tunesmith.evaluation.embedding_tests import EmbeddingTest, RowsTest, SearchTest, first_positions
from tunesmith.evaluation.outputs import Outputs, by_dimension
from tunesmith.evaluation.search import normalised
from tunesmith.models.adapters.quantise import detect_quantisation
from tunesmith.models.embedding.encoder import SentenceEncoder, load_encoder
from tunesmith.models.embedding.model import merge_adapter, merged_unquantised, save_adapter, with_adapter
from tunesmith.models.equivalence import ADAPTER_CERTIFICATE, MERGED_CERTIFICATE, certificate, equal_tensors, equal_tokens
from tunesmith.models.source import ModelSource
from tunesmith.recipe.metric_names import at_dimension
from tunesmith.results import TEXT_CHARACTERS, Certificate
from tunesmith.run_folder import ADAPTER, RunFolder
from tunesmith.tasks.embedding.data import RETRIEVAL
from tunesmith.tasks.embedding.model import EmbeddingSession
from tunesmith.tasks.embedding.training import plain_vectors, sample_texts
from tunesmith.tasks.task import Baselines, Evaluation, SavedModel, SeedResult

HEAT_MAP = "heat_map.json"
HEAT_MAP_ROWS = 5
SAMPLE_MEASURE = "largest difference of a vector's number"


def save_model(session: EmbeddingSession, folder: Path, _thresholds: list[float] | None) -> SavedModel:
    """Saves the model with its adapter merged, and the adapter alone; proves that the files give the same embeddings."""
    encoder, texts = session.encoder, [text for rows in session.data.rows.named().values() for text in sample_texts(rows)]
    encoder.model.to("cpu")
    kind = detect_quantisation(encoder.model)
    trained = plain_vectors(encoder, texts) if kind is not None else None
    encoder, proofs = save_and_merge_adapter(session, texts, folder.parent / ADAPTER)
    encoder.model.save_pretrained(str(folder), create_model_card=False)
    reloaded = load_encoder(ModelSource(str(folder), str(folder), "folder"))
    name = "the saved model equals the trained one"
    proofs.append(certificate(name, plain_vectors(encoder, texts), plain_vectors(reloaded, texts), SAMPLE_MEASURE))
    proofs.append(equal_tensors(module_states(encoder.model, folder)))
    proofs.append(equal_tokens(*(token_ids(each.model, texts) for each in (encoder, reloaded))))
    if kind is None or trained is None:
        return SavedModel(tuple(proofs))
    cosines = (normalised(trained) * normalised(plain_vectors(encoder, texts))).sum(axis=1)
    note = (
        f"the adapter was trained on weights in {kind.words} and merged into unquantised ones: on {plural(len(texts), 'text')} "
    )
    note += f"the vectors of both have a mean cosine of {cosines.mean():.4f}; the metrics are those of the saved model"
    return SavedModel(tuple(proofs), (note,))


def as_saved(session: EmbeddingSession) -> EmbeddingSession:
    """Returns the session with the model that is saved: trained on quantised weights, it is merged into unquantised ones."""
    if detect_quantisation(session.model) is None:
        return session
    encoder = merged_unquantised(session.encoder, session.data.source)
    # A loss holds the model: its copy holds the merged one.
    losses = [copy.deepcopy(part.loss, {id(session.encoder.model): encoder.model}) for part in session.parts]
    parts = tuple(replace(part, loss=loss) for part, loss in zip(session.parts, losses, strict=True))
    return replace(session, encoder=encoder, model=encoder.model, parts=parts)


def save_and_merge_adapter(
    session: EmbeddingSession, texts: list[str], folder: Path
) -> tuple[SentenceEncoder, list[Certificate]]:
    """Saves the adapter by itself and merges it into the body; certifies both by embeddings of the texts.

    Returns:
        The encoder with the merged body; the session's does not change.
    """
    encoder, source = session.encoder, session.data.source
    if session.data.recipe.adapter is None:
        return encoder, []
    trained, saved = plain_vectors(encoder, texts), save_adapter(encoder, folder, source)
    proofs = []
    if saved is not None:
        proofs.append(certificate(ADAPTER_CERTIFICATE, trained, plain_vectors(saved, texts), SAMPLE_MEASURE))
    if saved is not None and detect_quantisation(encoder.model) is not None:
        encoder = with_adapter(encoder, folder, source)
        trained = plain_vectors(encoder, texts)
    else:
        encoder = replace(encoder, model=copy.deepcopy(encoder.model))
    merge_adapter(encoder)
    return encoder, [*proofs, certificate(MERGED_CERTIFICATE, trained, plain_vectors(encoder, texts), SAMPLE_MEASURE)]


def token_ids(model: Any, texts: list[str]) -> list[list[int]]:
    """Returns what sentence-transformers reads of each text."""
    return [model.preprocess([text])["input_ids"].flatten().tolist() for text in texts]


def module_states(model: Any, folder: Path) -> list[tuple[Mapping[str, Any], Path]]:
    """Returns the tensors of each module, and the folder that sentence-transformers saves it in."""
    places = [folder, *(folder / f"{i}_{type(module).__name__}" for i, module in enumerate(model) if i)]
    bodies = [getattr(model[0], "model", model[0]), *list(model)[1:]]
    return [(body.state_dict(), place) for body, place in zip(bodies, places, strict=True)]


def prediction_columns(session: EmbeddingSession, split: str, outputs: Outputs) -> dict[str, list[Any]]:
    """Returns the columns of predictions.parquet for one split: the target (``label``), the model's ``score``, texts."""
    test = session.data.tests[split]
    texts, ids = texts_of(test)
    row_ids = list(range(len(texts))) if ids is None else list(ids)
    columns: dict[str, list[Any]] = {"row_id": row_ids, "split": [split] * len(texts)}
    if outputs.predictions is not None:
        labels = np.asarray(outputs.predictions.labels, dtype=float).reshape(len(outputs.predictions.labels), -1)[:, 0]
        columns["label"] = labels.tolist()
    columns |= {at_dimension("score", size): scores_of(cut) for size, cut in by_dimension([outputs])}
    columns["text"] = [text[:TEXT_CHARACTERS] for text in texts]
    if isinstance(test, RowsTest) and len(test.sides) > 1 and test.format.kind != "positive_pair":
        columns["pair"] = [text[:TEXT_CHARACTERS] for text in test.sides[1]]
    return columns


def scores_of(seeds: Sequence[Outputs]) -> list[float]:
    """Returns the score of each row: of its prediction, or its leading metric."""
    outputs = seeds[0]
    if outputs.predictions is None:
        return list(map(float, next(iter(outputs.row_scores.values()))))
    return list(map(float, outputs.predictions.scores.reshape(len(outputs.predictions.labels), -1)[:, 0]))


def texts_of(test: EmbeddingTest) -> tuple[Sequence[str], Sequence[int] | None]:
    """Returns the texts that have a score each, and their rows; the texts of a search are its queries."""
    if isinstance(test, SearchTest):
        return test.data.queries, None
    assert isinstance(test, RowsTest)
    if test.format.kind == "positive_pair":
        first = first_positions(test.sides[0])
        return [test.sides[0][i] for i in first], [test.row_ids[i] for i in first]
    return test.sides[0], test.row_ids


def save_files(evaluation: Evaluation, folder: RunFolder) -> None:
    """Writes the heat map."""
    content = heat_map(evaluation.best, evaluation.systems)
    if content is not None:
        text = json.dumps(content, ensure_ascii=False, indent=1)
        write_text(folder.work / HEAT_MAP, text + "\n")


def heat_map(best: SeedResult, systems: Baselines) -> Mapping[str, Any] | None:
    """Returns a few texts and their cosine similarities before and after; None if no test has rows of texts."""
    tests = best.session.data.tests
    split = next((name for name in reversed(tests) if name != RETRIEVAL), None)
    test = None if split is None else tests[split]
    if split is None or not isinstance(test, RowsTest):
        return None
    chosen = [(side, row) for row in range(min(HEAT_MAP_ROWS, len(test.row_ids))) for side in range(min(2, len(test.sides)))]

    def cosines(vectors: Sequence[Array]) -> list[list[float]]:
        unit = normalised(np.stack([vectors[side][row] for side, row in chosen]))
        return [[round(float(value), 4) for value in row] for row in unit @ unit.T]

    return {
        "split": split,
        "texts": [test.sides[side][row] for side, row in chosen],
        "row_ids": [test.row_ids[row] for _, row in chosen],
        "before": cosines(systems.base[split].embeddings),
        "after": cosines(best.outputs[split].embeddings),
    }


def data_record(session: EmbeddingSession) -> dict[str, Any]:
    """Returns the data record of result.json."""
    return pairs.data_record(session.data.rows)


def training_record(evaluation: Evaluation) -> dict[str, Any]:
    """Returns the losses and the geometry of the embeddings before and after, for result.json."""
    best: SeedResult = evaluation.best
    session: EmbeddingSession = best.session
    data = session.data
    geometry = {
        name: {
            "before": asdict(test.geometry(evaluation.systems.base[name].embeddings)),
            "after": asdict(test.geometry(best.outputs[name].embeddings)),
        }
        for name, test in data.tests.items()
    }
    return {
        "also": [choice.name for choice in data.also],
        "loss": data.choice.name,
        "loss_because": data.choice.because,
        "batch_sampler": data.choice.sampler,
        "dimension": session.encoder.dimension,
        "similarity": session.encoder.similarity,
        "geometry": geometry,
    }
