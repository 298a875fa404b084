"""Checks on a loaded embedding model: the run in miniature, before it is paid for."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.errors import Problem
from tunesmith.models.embedding.encoder import SentenceEncoder, reload_encoder, tokenize_texts
from tunesmith.models.equivalence import certificate
from tunesmith.models.load import UNLIMITED
from tunesmith.preflight.loaded import gradient_line, proven
from tunesmith.preflight.report import CheckLine
from tunesmith.recipe.sections import Recipe
from tunesmith.results import Certificate
from tunesmith.tasks.embedding.training import Part, Prepared, batch_loss, rows_of_a_pass
from tunesmith.training.schedule import plan_schedule
from tunesmith.training.weights import count_parameters

MUCH = 0.05
SAMPLE = 8
DIFFERENCE = "largest difference of a vector's number"


def lengths(splits: Mapping[str, EmbeddingRows], encoder: SentenceEncoder) -> Iterator[CheckLine]:
    """How long the texts are and how many lose their end, by column."""
    if not encoder.is_plain:
        return
    limit = encoder.model.max_seq_length or UNLIMITED
    for name, rows in splits.items():
        for column, side in zip(rows.shape.texts, rows.sides, strict=True):
            full = tokenize_texts(encoder.model, list(side), count_cut=True).full_lengths
            cut = int((full > limit).sum())
            figure = f"{column}: longest {int(full.max()):,} tokens, limit {limit:,}, {cut:,} rows cut"
            share = cut / len(rows)
            note = f"{share:.0%} of {column} in {name} is longer than {limit} tokens and loses its end" if share > MUCH else ""
            yield CheckLine(f"lengths of {name}", figure, note=note)


def longest(rows: EmbeddingRows, count: int) -> list[int]:
    """Positions of the rows with the most characters."""
    n_characters = np.array([sum(map(len, texts)) for texts in zip(*rows.sides, strict=True)])
    return [int(i) for i in np.argsort(-n_characters, kind="stable")[:count]]


def batch_invariance(encoder: SentenceEncoder, texts: list[str]) -> Certificate:
    """The largest difference of a vector between a text alone and the same text in a padded batch, in fp32."""
    together = plain_vectors(encoder, texts)
    alone = np.concatenate([plain_vectors(encoder, [text]) for text in texts])
    return certificate("a text alone equals the text in a padded batch", together, alone, DIFFERENCE)


def reload_equality(encoder: SentenceEncoder, folder: Path, texts: list[str], name: str) -> Certificate:
    """The largest difference of a vector between a model in memory and the same model read from disk."""
    return certificate(name, plain_vectors(encoder, texts), plain_vectors(reload_encoder(folder), texts), DIFFERENCE)


def plain_vectors(encoder: SentenceEncoder, texts: list[str]) -> np.ndarray:
    """(N, D) in fp32, by upstream's own way."""
    return np.asarray(encoder.model.encode(texts, show_progress_bar=False), dtype=np.float32)


def sample_of(rows: EmbeddingRows) -> list[str]:
    """A few texts from the shortest to the longest."""
    texts = sorted({text for side in rows.sides for text in side}, key=len)
    return [texts[i] for i in np.unique(np.linspace(0, len(texts) - 1, SAMPLE).astype(int))]


def model_checks(recipe: Recipe, prepared: Prepared, place: Path) -> tuple[list[CheckLine], float]:
    """Trainable share, batch invariance, one step on the longest batch, save and reload; and the loss of that step."""
    encoder, rows = prepared.encoder, prepared.rows
    total, trained = count_parameters(encoder.model)
    lines = [CheckLine("trainable", f"{trained:,} of {total:,} parameters, {encoder.dimension} dimensions")]
    texts = sample_of(rows)
    lines.append(
        proven(batch_invariance(encoder, texts), "The model mixes texts of a batch; its vectors depend on the batch size.")
    )
    started = time.perf_counter()
    found = [trial_step(encoder, part, longest(part.rows, recipe.train.batch_rows)) for part in prepared.parts]
    lines.append(CheckLine("longest batch", f"one step took {time.perf_counter() - started:.2f} s"))
    for part, (loss, without, bad) in zip(prepared.parts, found, strict=True):
        lines += [first_loss(loss, part.choice.name), gradient_line(without, bad)]
    if recipe.adapter is None:
        with tempfile.TemporaryDirectory(dir=place) as folder:
            encoder.model.save_pretrained(folder)
            same = reload_equality(encoder, Path(folder), texts, "saved equals loaded")
        lines.append(proven(same, "What is saved would not be what was trained."))
    return lines, max(loss for loss, _, _ in found)


def first_loss(loss: float, name: str) -> CheckLine:
    """The first loss, which has to be a number."""
    problem = None
    if not math.isfinite(loss):
        remedy = "The base model's weights are damaged, or the loss cannot take these rows."
        problem = Problem("first loss", "", f"it is {loss}.", remedy)
    return CheckLine("first loss", f"{loss:.4f} ({name})", problem)


def trial_step(encoder: SentenceEncoder, part: Part, positions: list[int]) -> tuple[float, list[str], list[str]]:
    """One forward and backward pass: the loss, and the trainable parameters whose gradient is missing, or not finite."""
    module = part.loss
    module.train()
    loss: Any = batch_loss(encoder, part, positions)
    loss.backward()
    named = [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
    without = [name for name, parameter in named if parameter.grad is None]
    bad = [name for name, parameter in named if parameter.grad is not None and not bool(parameter.grad.isfinite().all())]
    module.zero_grad(set_to_none=True)
    return float(loss.detach()), without, bad


def time_estimate(recipe: Recipe, prepared: Prepared) -> tuple[float, CheckLine]:
    """Seconds the training will take, from the time of one step on rows drawn at random."""
    size, seconds = recipe.train.batch_rows, []
    for part in prepared.parts:
        drawn = np.random.default_rng(0).permutation(len(part.rows))[:size].tolist()
        trial_step(prepared.encoder, part, drawn)
        started = time.perf_counter()
        trial_step(prepared.encoder, part, drawn)
        seconds.append(time.perf_counter() - started)
    schedule = plan_schedule(-(-rows_of_a_pass(prepared.parts, recipe) // size), recipe.train)
    estimate = float(np.mean(seconds)) * schedule.total_steps * recipe.train.gradient_accumulation_steps
    times = f" for each of {recipe.train.n_seeds} seeds" if recipe.train.n_seeds > 1 else ""
    figure = f"training about {estimate:,.0f} s ({schedule.total_steps:,} steps){times}"
    return estimate * recipe.train.n_seeds, CheckLine("time", figure)
