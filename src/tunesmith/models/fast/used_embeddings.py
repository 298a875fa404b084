"""Training only those rows of the word embedding that the training texts can reach.

The gradient of every other row is zero in every step, and so are its moments: computing, clipping and updating them is work (and,
for a large vocabulary, most of the memory) without effect. Left out is one thing the plain optimizer would do to them: weight
decay. A word that training never met keeps the vector it came with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

# Above this share of the vocabulary the detour is not worth it.
MOST_ROWS = 0.8


class ReachedRows(nn.Embedding):
    """An embedding whose ``weight`` is the reached rows (R, D) while it is trained.

    Its state has the whole table (V, D) under the plain name, so that saved and loaded weights are the plain model's.

    Attributes:
        table: the plain parameter (V, D); its reached rows are stale until ``use_all_rows``.
        rows: (R) ids of the reached rows, ascending.
        places: (V) where a row stands in ``weight``, -1 for those that are not reached.
        padding_place: where the padding row stands in ``weight``; None where the plain embedding has none.
    """

    table: nn.Parameter
    rows: torch.Tensor
    places: torch.Tensor
    padding_place: int | None

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        places = self.places[input]
        if self.training:  # an id that training was not told of is -1 and raises
            return functional.embedding(places, self.weight, self.padding_place)
        reached = functional.embedding(places.clamp_min(0), self.weight)
        return torch.where((places >= 0).unsqueeze(-1), reached, functional.embedding(input, self.table))

    def whole(self) -> torch.Tensor:
        """The table (V, D) as the plain model would have it now."""
        return self.table.detach().clone().index_copy_(0, self.rows, self.weight.detach())

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        destination[f"{prefix}weight"] = self.whole()

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: list[str], *others: Any
    ) -> None:
        key = f"{prefix}weight"
        if key not in state_dict:  # a model that stands in a loss twice is saved under one of its names
            missing_keys.append(key)
            return
        with torch.no_grad():
            self.table.copy_(state_dict[key])
            self.weight.copy_(self.table[self.rows])


def use_reached_rows(model: Any, ids: np.ndarray) -> None:
    """Train the rows of these token ids alone, where the model's word embedding is a plain one of its own.

    Args:
        ids: every token id that will be given to the model while it is in training mode.
    """
    embedding = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    if embedding is None or not is_plain(embedding, model):
        return
    special = [] if embedding.padding_idx is None else [embedding.padding_idx]
    rows = torch.from_numpy(np.union1d(ids, special).astype(np.int64)).to(embedding.weight.device)
    if len(rows) > MOST_ROWS * embedding.num_embeddings:
        return
    table = embedding.weight
    places = torch.full((embedding.num_embeddings,), -1, device=table.device)
    places[rows] = torch.arange(len(rows), device=table.device)
    embedding.__class__ = ReachedRows
    # Past nn.Module, which would make the table a second parameter.
    padding_place = int(places[special[0]]) if special else None
    embedding.__dict__.update(table=table, rows=rows, places=places, padding_place=padding_place)
    embedding.weight = nn.Parameter(table.detach()[rows])


def is_plain(embedding: nn.Module, model: nn.Module) -> bool:
    """Whether it is an ``nn.Embedding`` that is trained as a whole and shares its weight with nothing."""
    if type(embedding) is not nn.Embedding or not embedding.weight.requires_grad:
        return False
    if embedding.max_norm is not None or embedding.scale_grad_by_freq or embedding.sparse:
        return False
    owners = [owned for module in model.modules() for owned in module._parameters.values() if owned is embedding.weight]
    return len(owners) == 1


def use_all_rows(model: nn.Module) -> None:
    """Undo ``use_reached_rows``: the plain parameter is back, with what its rows have learnt."""
    reduced: list[Any] = [module for module in model.modules() if type(module) is ReachedRows]
    for module in reduced:
        module.table.data.copy_(module.whole())
        module.weight = module.table
        for name in ("table", "rows", "places", "padding_place"):
            del module.__dict__[name]
        module.__class__ = nn.Embedding
