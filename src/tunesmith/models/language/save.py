"""Language models on disk: an adapter merged where it can be, into whole weights, and proven to be what was trained."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.errors import ModelError
from tunesmith.models.adapters.attach import can_merge, has_adapter, is_adapter, load_adapter, save_model_files
from tunesmith.models.adapters.base import AdapterBase
from tunesmith.models.adapters.methods import changes_base
from tunesmith.models.adapters.quantise import NAMES, Quantisation, quantisation_of, refuse_without_adapter
from tunesmith.models.equivalence import certificate
from tunesmith.models.language.model import Objective, check_kind, load_language_model, objective_of
from tunesmith.models.load import first_line, load_tokenizer
from tunesmith.models.source import ModelSource
from tunesmith.results import Certificate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ADAPTER = "adapter"
ADAPTER_PROOF = "the saved adapter on its base model equals the trained model"
CANNOT_MERGE = (NotImplementedError, ValueError, RuntimeError, TypeError, AttributeError)
"""What peft raises where a method, or one of its options, has no place in the weights."""
Sample = Sequence[Sequence[int]]
"""Token ids of a few texts, on which two models are compared."""


@dataclass(frozen=True)
class SavedModel:
    """What lies on disk now.

    Attributes:
        is_merged: the folder holds a whole model that had an adapter.
        notes: what a user should know of it.
    """

    certificates: tuple[Certificate, ...]
    is_merged: bool
    notes: tuple[str, ...] = ()


def save_language_model(
    model: Any, tokenizer: PreTrainedTokenizerBase, folder: Path, source: ModelSource, sample: Sample, merge: bool = True
) -> SavedModel:
    """Save a trained language model so that ``from_pretrained(folder)`` gives it, or its adapter where it cannot be merged.

    An adapter is merged into the base model as its files have it, never into rounded weights, and saved by itself in
    ``adapter`` beside the folder. A method that cannot be merged is saved alone, with a record of its base model. The trained
    model is left as it is, in the mode it came in.

    Args:
        source: the base model, which is loaded again.
        merge: False keeps an adapter an adapter.

    Raises:
        ModelError: quantised weights without an adapter, or a base model that cannot be loaded any more.
    """
    objective, was_training = objective_of(model.config, f"model.name {source.name}"), model.training
    model.eval()
    trained = sample_logits(model, sample)
    if not has_adapter(model):
        refuse_without_adapter(quantisation_of(model))
        write_whole(model, tokenizer, folder)
        saved = SavedModel((reload_proof(folder, objective, trained, sample, "the saved model equals the trained one"),), False)
    elif merge and can_merge(model):
        saved = save_merged(model, tokenizer, folder, source, objective, trained, sample)
    else:
        saved = save_adapter(model, tokenizer, folder, source, objective, trained, sample)
    model.train(was_training)
    return saved


def save_adapter(
    model: Any, tokenizer: PreTrainedTokenizerBase, folder: Path, source: ModelSource, objective: Objective,
    trained: list[np.ndarray], sample: Sample,
) -> SavedModel:  # fmt: skip
    """Save an adapter alone, and prove that on its base model it is what was trained."""
    write_adapter(model, tokenizer, folder, source, objective)
    return SavedModel((reload_proof(folder, objective, trained, sample, ADAPTER_PROOF),), False)


def save_merged(
    model: Any, tokenizer: PreTrainedTokenizerBase, folder: Path, source: ModelSource, objective: Objective,
    trained: list[np.ndarray], sample: Sample,
) -> SavedModel:  # fmt: skip
    """Save the adapter by itself, then the whole model it makes of its unrounded base, and prove each step."""
    kind, proofs = quantisation_of(model), []
    if changes_base(next(iter(model.peft_config.values()))):
        before, adapted = trained, copy.deepcopy(model)
    else:
        place = folder.parent / ADAPTER
        write_adapter(model, tokenizer, place, source, objective)
        adapted = load_adapter(load_language_model(source, tokenizer, objective).model, place)
        before = sample_logits(adapted, sample)
        if kind is None:
            proofs.append(compared(ADAPTER_PROOF, trained, before))
    try:
        whole = adapted.merge_and_unload().eval()
    except CANNOT_MERGE as error:
        method = model.peft_config["default"].peft_type.value.lower()
        note = f"{method} cannot be merged, so the adapter was saved: {first_line(error)}"
        return replace(save_adapter(model, tokenizer, folder, source, objective, trained, sample), notes=(note,))
    after = sample_logits(whole, sample)
    proofs.append(compared("the merged model equals the adapter", before, after))
    write_whole(whole, tokenizer, folder)
    del adapted, whole
    proofs.append(reload_proof(folder, objective, after, sample, "the saved model equals the merged one"))
    notes = () if kind is None else (rounding_note(kind, trained, after, sample, objective),)
    return SavedModel(tuple(proofs), True, notes)


def write_whole(model: Any, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a model without adapter, and its tokenizer."""
    if hasattr(model.config, "use_cache"):
        model.config.use_cache = True  # upstream's trainer switches it off, and with it fast writing in every program
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_adapter(
    model: Any, tokenizer: PreTrainedTokenizerBase, folder: Path, source: ModelSource, objective: Objective
) -> None:
    """Write an adapter, what it was trained on, and the tokenizer."""
    save_model_files(model, folder)
    AdapterBase.of(source, objective, quantisation_of(model)).save(folder)
    tokenizer.save_pretrained(folder)


def reload_language_model(folder: Path, objective: Objective, base: ModelSource | None = None) -> Any:
    """A saved language model in evaluation mode; an adapter on its base model, in as many bits as it was trained on.

    Args:
        base: where the base model of an adapter is now; where it was when not said.

    Raises:
        ModelError: it cannot be loaded, is of the other kind, or is an adapter of another base model than the one named.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    where = str(folder)
    if not is_adapter(folder):
        kind = AutoModelForCausalLM if objective == "causal" else AutoModelForMaskedLM
        try:
            model = kind.from_pretrained(folder, dtype="float32", use_safetensors=True)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise ModelError.one(where, f"it cannot be loaded as a {objective} language model: {first_line(error)}") from error
        check_kind(model.config, objective, where)
        return model.eval()
    record = AdapterBase.load(folder)
    if base is None:
        base = record.present(folder)
    else:
        record.check(folder, base)
    tokenizer = load_tokenizer(ModelSource(where, where, "folder"))
    return load_adapter(load_language_model(base, tokenizer, objective, record.quantisation).model, folder)


def sample_logits(model: Any, sample: Sample) -> list[np.ndarray]:
    """The logits (T, V) of each text by itself, in fp32."""
    device = next(model.parameters()).device
    with torch.inference_mode():
        outputs = [model(input_ids=torch.tensor([list(ids)], device=device)).logits[0].float().cpu().numpy() for ids in sample]
    return outputs


def compared(name: str, ours: list[np.ndarray], theirs: list[np.ndarray]) -> Certificate:
    """The certificate that two models give the same logits, to fp32 rounding."""
    return certificate(name, np.concatenate([x.ravel() for x in ours]), np.concatenate([x.ravel() for x in theirs]))


def reload_proof(folder: Path, objective: Objective, expected: list[np.ndarray], sample: Sample, name: str) -> Certificate:
    """The certificate that what lies on disk gives these logits."""
    return compared(name, expected, sample_logits(reload_language_model(folder, objective), sample))


def mean_loss(logits: list[np.ndarray], sample: Sample, objective: Objective) -> float:
    """The mean loss of a token: of the next one, or for masked models of the one that is there."""
    shift = 1 if objective == "causal" else 0
    total, count = 0.0, 0
    for values, ids in zip(logits, sample, strict=True):
        steps = torch.log_softmax(torch.from_numpy(values).double(), -1)[: len(ids) - shift]
        total -= float(steps.gather(1, torch.tensor(list(ids))[shift:, None]).sum())
        count += len(ids) - shift
    return total / max(1, count)


def rounding_note(
    kind: Quantisation, trained: list[np.ndarray], saved: list[np.ndarray], sample: Sample, objective: Objective
) -> str:  # fmt: skip
    """What the adapter's loss is on the rounded base it was trained on, and on the whole one it was merged into."""
    before, after = mean_loss(trained, sample, objective), mean_loss(saved, sample, objective)
    return (
        f"the adapter was trained on weights in {NAMES[kind]} and merged into whole ones: "
        f"loss {before:.4f} there, {after:.4f} in the saved model (on {len(sample)} rows)"
    )
