"""Predicts with a classifier or regression in several processes, each of which loads the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.progress import Listener, silent
from tunesmith.tasks.classification.other_model import AS_SAVED, ModelSettings, open_predictor
from tunesmith.tasks.classification.predictor import Predictor
from tunesmith.tasks.finished import Run, folder_of

if TYPE_CHECKING:
    from tunesmith.data.arrays import Array


def open_for(
    target: str | Path | Run, requested: int | str, settings: ModelSettings = AS_SAVED, listener: Listener = silent
) -> Predictor:
    """Loads a predictor for this many processes (``open_predictor``); for several not the one that a ``Run`` keeps in memory."""
    from tunesmith.models.many_processes import count_processes

    return open_predictor(target if count_processes(requested) == 1 else folder_of(target), settings, listener)


@contextmanager
def predictor_in_processes(
    predictor: Predictor, target: str | Path | Run, settings: ModelSettings, requested: int | str, n_rows: int
) -> Iterator[Predictor]:
    """Yields the predictor of ``open_for``, computed by the requested processes; with several its own weights are freed.

    Raises InputError for more processes than rows, see ``count_processes``.
    """
    from tunesmith.models.inference import release
    from tunesmith.models.many_processes import count_processes, in_processes

    if count_processes(requested) == 1:
        yield predictor
        return
    processes = count_processes(requested, n_rows)
    release(predictor.model)
    with in_processes(processes, partial(loaded_logit_passes, str(folder_of(target)), settings)) as outputs_of:
        yield replace(predictor, outputs_of=outputs_of)


@contextmanager
def loaded_logit_passes(name: str, settings: ModelSettings) -> Iterator[Callable[[Mapping[str, Any]], Array]]:
    """Loads a predictor, and yields the function that computes the logits of a padded batch: (B, K)."""
    from tunesmith.models.inference import logit_passes

    predictor = open_predictor(name, settings)
    with logit_passes(predictor.model, predictor.fast_path) as forward:
        yield forward
