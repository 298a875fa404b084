"""Trains only the rows of the word embedding whose tokens occur in the training texts.

The gradient of every other row is zero in every step, and so are its moments: computing, clipping and updating them is work (and,
for a large vocabulary, most of the memory) without effect. One thing differs from the plain optimizer: these rows get no weight
decay, so a token that does not occur keeps its vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MOST_ROWS = 0.8
"""Share of the vocabulary above which the indirection costs more than it saves."""


class UsedEmbeddings(nn.Embedding):
    """An embedding whose ``weight`` holds only the used rows (R, D) during training.

    Its state dict has the whole table (V, D) under the plain name, so that saved and loaded weights are the plain model's.

    Attributes:
        table: the plain parameter (V, D); its used rows are stale until ``train_all_embeddings``.
        rows: (R) ids of the used rows, ascending.
        places: (V) index of each row in ``weight``; -1 for unused rows.
        padding_index: index of the padding row in ``weight``; None if the plain embedding has none.
    """

    table: nn.Parameter
    rows: torch.Tensor
    places: torch.Tensor
    padding_index: int | None

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        places = self.places[input]
        if self.training:  # an unused id is -1 and raises
            return functional.embedding(places, self.weight, self.padding_index)
        used = functional.embedding(places.clamp_min(0), self.weight)
        return torch.where((places >= 0).unsqueeze(-1), used, functional.embedding(input, self.table))

    def whole(self) -> torch.Tensor:
        """Returns the whole table (V, D) with the trained rows."""
        return self.table.detach().clone().index_copy_(0, self.rows, self.weight.detach())

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        destination[f"{prefix}weight"] = self.whole()

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, local_metadata: object, strict: bool, missing: list[str], *_: object
    ) -> None:
        key = f"{prefix}weight"
        if key not in state_dict:  # a model that a loss contains twice is saved under one of its names
            missing.append(key)
            return
        with torch.no_grad():
            self.table.copy_(state_dict[key])
            self.weight.copy_(self.table[self.rows])


def train_used_embeddings(model: PreTrainedModel, ids: np.ndarray) -> None:
    """Trains only the rows of ``ids``, all that the model gets in training.

    Does nothing unless the embedding is an ``nn.Embedding`` that is trained as a whole and shares its weight with no module.
    """
    embedding = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    if type(embedding) is not nn.Embedding or not embedding.weight.requires_grad:
        return
    owners = [owned for module in model.modules() for owned in module._parameters.values() if owned is embedding.weight]
    if embedding.max_norm is not None or embedding.scale_grad_by_freq or embedding.sparse or len(owners) != 1:
        return
    special = [] if embedding.padding_idx is None else [embedding.padding_idx]
    rows = torch.from_numpy(np.union1d(ids, special).astype(np.int64)).to(embedding.weight.device)
    if len(rows) > MOST_ROWS * embedding.num_embeddings:
        return
    table = embedding.weight
    places = torch.full((embedding.num_embeddings,), -1, device=table.device)
    places[rows] = torch.arange(len(rows), device=table.device)
    embedding.__class__ = UsedEmbeddings
    # Not by setattr: nn.Module would register the table as a second parameter.
    padding_index = int(places[special[0]]) if special else None
    embedding.__dict__.update(table=table, rows=rows, places=places, padding_index=padding_index)
    embedding.weight = nn.Parameter(table.detach()[rows])


def train_all_embeddings(model: nn.Module) -> None:
    """Undoes ``train_used_embeddings``: restores the plain parameter, with the trained rows."""
    reduced: list[Any] = [module for module in model.modules() if type(module) is UsedEmbeddings]
    for module in reduced:
        module.table.data.copy_(module.whole())
        module.weight = module.table
        for name in ("table", "rows", "places", "padding_index"):
            del module.__dict__[name]
        module.__class__ = nn.Embedding
