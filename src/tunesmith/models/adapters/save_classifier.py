"""Saves models with a head (classifiers, regressions, reward models), and proves that the files give the same logits."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tunesmith.models.adapters.attach import (
    can_merge,
    is_adapter,
    reload_classifier,
    save_head_description,
    save_model_files,
    saved_state,
)
from tunesmith.models.adapters.base import AdapterBase
from tunesmith.models.adapters.methods import changes_base
from tunesmith.models.adapters.quantise import detect_quantisation
from tunesmith.models.adapters.unquantised import is_saved_unquantised, to_device_with_room
from tunesmith.models.encode import Encoded
from tunesmith.models.equivalence import ADAPTER_CERTIFICATE, MERGED_CERTIFICATE, equal_tensors, reload_equality
from tunesmith.models.source import ModelSource
from tunesmith.results import Certificate
from tunesmith.run_folder import ADAPTER

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class TrainedHead:
    """A trained model with its head, and the rows by which its files are proven.

    Attributes:
        source: the base model.
        samples: the tokens of every split.
    """

    model: Any
    source: ModelSource
    samples: Sequence[Encoded]
    pad_id: int

    def save(self, folder: Path) -> tuple[PreTrainedModel, list[Certificate]]:
        """Writes the model into the folder, and returns the one that was written with the proofs.

        An adapter that can be merged is saved both ways, merged in the folder and alone in ``adapter/`` beside it; others only
        in the folder.
        """
        self.model.to("cpu")
        model, proofs = self.merged(folder.parent / ADAPTER)
        save_model_files(model, folder)
        if is_adapter(folder):
            self.describe(folder)
        reloaded = reload_classifier(folder)
        proofs.append(reload_equality(model, reloaded, self.samples, self.pad_id, "the saved model equals the trained one"))
        return model, [*proofs, equal_tensors([(saved_state(model), folder)])]

    def describe(self, folder: Path) -> None:
        """Writes the head's labels and the record of the base model beside an adapter."""
        save_head_description(folder, self.model.config)
        AdapterBase.of(self.source, quantisation=detect_quantisation(self.model)).save(folder)

    def merged(self, folder: Path) -> tuple[Any, list[Certificate]]:
        """Saves the adapter alone, and returns the merged model with the certificates of both; the same model without one.

        An adapter that changed the base model's weights before training fits no base model, and only its merged model is saved.
        """
        model, proofs = self.model, list[Certificate]()
        if not can_merge(model):
            return model, []
        adapted = model
        if not changes_base(next(iter(model.peft_config.values()))):
            save_model_files(model, folder)
            self.describe(folder)
            alone = reload_classifier(folder)
            proofs.append(reload_equality(model, alone, self.samples, self.pad_id, ADAPTER_CERTIFICATE))
            if detect_quantisation(model) is not None:  # rounding again would lose as much as the adapter has learned
                adapted = reload_classifier(folder, whole=True)
        merged = copy.deepcopy(adapted).merge_and_unload()
        return merged, [*proofs, reload_equality(adapted, merged, self.samples, self.pad_id, MERGED_CERTIFICATE)]

    def unquantised(self) -> Any:
        """Returns the model as it is saved: trained on quantised weights, it is merged into unquantised ones."""
        if not is_saved_unquantised(self.model):
            return self.model
        with TemporaryDirectory() as name:
            folder = Path(name)
            save_model_files(self.model, folder)
            self.describe(folder)
            adapted: Any = reload_classifier(folder, whole=True)
        return to_device_with_room(adapted.merge_and_unload())


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, max_length: int, folder: Path) -> None:
    """Writes the tokenizer with the length of the training, at which other programs truncate by it."""
    own = tokenizer.model_max_length
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(folder)
    tokenizer.model_max_length = own
