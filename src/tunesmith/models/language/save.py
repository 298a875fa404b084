"""Saves and reloads language models: merges adapters into whole weights if possible, and certifies the result."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.data.cells import plural
from tunesmith.errors import ModelError, first_line
from tunesmith.models.adapters.attach import can_merge, is_adapter, load_adapter, save_model_files, saved_state
from tunesmith.models.adapters.base import AdapterBase
from tunesmith.models.adapters.bottleneck import has_bottlenecks
from tunesmith.models.adapters.methods import changes_base
from tunesmith.models.adapters.quantise import detect_quantisation
from tunesmith.models.equivalence import ADAPTER_CERTIFICATE, MERGED_CERTIFICATE, certificate, equal_tensors
from tunesmith.models.inference import attention_in_fp32
from tunesmith.models.language.model import Objective, check_kind, detect_objective, load_language_model
from tunesmith.models.language.seq2seq import decoder_inputs, is_encoder_decoder
from tunesmith.models.load import load_tokenizer, model_errors, require_trained_weights
from tunesmith.models.source import ModelSource
from tunesmith.results import Certificate
from tunesmith.run_folder import ADAPTER

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CANNOT_MERGE = (NotImplementedError, ValueError, RuntimeError, TypeError, AttributeError)
"""Errors of peft for methods or options that cannot be merged into the weights."""
Sample = Sequence[Sequence[int]]
"""Token ids of a few texts, on which two models are compared."""


@dataclass(frozen=True)
class SavedLanguageModel:
    """The files of a saved model.

    Attributes:
        is_merged: the folder holds a whole model that had an adapter.
        notes: notes for the user.
    """

    certificates: tuple[Certificate, ...]
    is_merged: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainedModel:
    """A trained language model in memory, its base model, and its logits (T, V) on each sample text."""

    model: PreTrainedModel | PeftModel
    tokenizer: PreTrainedTokenizerBase
    source: ModelSource
    objective: Objective
    sample: Sample
    logits: list[np.ndarray]


def save_language_model(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    source: ModelSource,
    sample: Sample,
    merge: bool = True,
) -> SavedLanguageModel:
    """Saves a trained language model for ``from_pretrained(folder)``, or its adapter if it cannot be merged.

    An adapter is merged into the base model as its files have it, never into quantised weights, and saved by itself in
    ``adapter`` beside the folder. A method that cannot be merged is saved alone, with a record of its base model. The trained
    model and its mode do not change.

    Args:
        source: the base model, which is loaded again.
        merge: False keeps an adapter an adapter.
    """
    objective, was_training = detect_objective(model.config, f"model.name {source.name}"), model.training
    model.eval()
    trained = TrainedModel(model, tokenizer, source, objective, sample, sample_logits(model, sample))
    if not (hasattr(model, "peft_config") or has_bottlenecks(model)):
        kind = detect_quantisation(model)
        if kind is not None:
            message = f"weights in {kind.words} cannot be trained themselves."
            raise ModelError.one("quantisation", message, "Add adapter: {method: lora}, or remove the key.")
        write_whole(model, tokenizer, folder)
        name = "the saved model equals the trained one"
        tensors = equal_tensors([(saved_state(model), folder)])
        saved = SavedLanguageModel((certify_reload(folder, objective, trained.logits, sample, name), tensors), False)
    elif merge and can_merge(model):
        saved = save_merged(trained, folder)
    else:
        saved = save_adapter(trained, folder)
    model.train(was_training)
    return saved


def save_adapter(trained: TrainedModel, folder: Path) -> SavedLanguageModel:
    """Saves an adapter alone, and certifies that on its base model it equals the trained model."""
    write_adapter(trained, folder)
    proof = certify_reload(folder, trained.objective, trained.logits, trained.sample, ADAPTER_CERTIFICATE)
    return SavedLanguageModel((proof, equal_tensors([(saved_state(trained.model), folder)])), False)


def save_merged(trained: TrainedModel, folder: Path) -> SavedLanguageModel:
    """Saves the adapter by itself and the model merged with its unquantised base, and certifies each step."""
    model, sample, certificates = trained.model, trained.sample, []
    kind = detect_quantisation(model)
    if changes_base(next(iter(model.peft_config.values()))):
        before, adapted = trained.logits, copy.deepcopy(model)
    else:
        place = folder.parent / ADAPTER
        write_adapter(trained, place)
        adapted = on_unquantised_base(model, place, trained.tokenizer, trained.source, trained.objective)
        before = sample_logits(adapted, sample)
        if kind is None:
            certificates.append(certify_equal_logits(ADAPTER_CERTIFICATE, trained.logits, before))
    try:
        merged = adapted.merge_and_unload().eval()
    except CANNOT_MERGE as error:
        method = model.peft_config["default"].peft_type.value.lower()
        note = f"{method} cannot be merged, so the adapter was saved: {first_line(error)}"
        return replace(save_adapter(trained, folder), notes=(note,))
    after = sample_logits(merged, sample)
    certificates.append(certify_equal_logits(MERGED_CERTIFICATE, before, after))
    write_whole(merged, trained.tokenizer, folder)
    certificates.append(equal_tensors([(saved_state(merged), folder)]))
    del adapted, merged
    certificates.append(certify_reload(folder, trained.objective, after, sample, "the saved model equals the merged one"))
    if kind is None:
        return SavedLanguageModel(tuple(certificates), True)
    there, here = (mean_loss(logits, sample, trained.objective) for logits in (trained.logits, after))
    note = f"the adapter was trained on weights in {kind.words} and merged into unquantised ones: "
    note += f"loss {there:.4f} there, {here:.4f} in the saved model (on {plural(len(sample), 'row')})"
    return SavedLanguageModel(tuple(certificates), True, (note,))


def on_unquantised_base(
    model: PeftModel, folder: Path, tokenizer: PreTrainedTokenizerBase, source: ModelSource, objective: Objective
) -> PeftModel:
    """Loads the saved adapter of a trained model on the base model as its files have it, with the end tokens of the training."""
    base: Any = load_language_model(source, tokenizer, objective).model
    settings = getattr(model.get_base_model(), "generation_config", None)
    if settings is not None:
        base.generation_config = copy.deepcopy(settings)
    return load_adapter(base, folder)


def merged_unquantised(
    model: PeftModel, tokenizer: PreTrainedTokenizerBase, source: ModelSource, objective: Objective
) -> PreTrainedModel | None:
    """Returns a trained model on quantised weights as ``save_language_model`` saves it; None if it saves the adapter."""
    with TemporaryDirectory() as folder:
        save_model_files(model, Path(folder))
        adapted = on_unquantised_base(model, Path(folder), tokenizer, source, objective)
    try:
        merged: PreTrainedModel = adapted.merge_and_unload().eval()
    except CANNOT_MERGE:
        return None
    return merged


def write_whole(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Writes a model without adapter, and its tokenizer."""
    if hasattr(model.config, "use_cache"):
        model.config.use_cache = True  # upstream's trainer disables it, and with it fast generation in every program
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_adapter(trained: TrainedModel, folder: Path) -> None:
    """Writes an adapter, the record of its base model, and the tokenizer."""
    save_model_files(trained.model, folder)
    AdapterBase.of(trained.source, trained.objective.name, detect_quantisation(trained.model)).save(folder)
    trained.tokenizer.save_pretrained(folder)


def reload_language_model(folder: Path, objective: Objective, base: ModelSource | None = None) -> PreTrainedModel | PeftModel:
    """Loads a saved language model in evaluation mode; an adapter on its base model, quantised as during training.

    Raises ModelError if the model has another objective, or is an adapter of another base model than the one named.

    Args:
        base: the present place of an adapter's base model; None for the recorded one.
    """
    where = str(folder)
    if not is_adapter(folder):
        message = f"it cannot be loaded as a {objective.name} language model"
        with model_errors(where, message):
            model, info = objective.load(folder, dtype="float32", use_safetensors=True, output_loading_info=True)
        check_kind(model.config, objective, where)
        require_trained_weights(str(folder), model, info)
        return model.eval()
    record = AdapterBase.load(folder)
    if base is None:
        base = record.present(folder)
    else:
        record.check(folder, base)
    tokenizer = load_tokenizer(ModelSource(where, where, "folder"))
    return load_adapter(load_language_model(base, tokenizer, objective, record.quantisation).model, folder)


def sample_logits(model: PreTrainedModel | PeftModel, sample: Sample) -> list[np.ndarray]:
    """Returns the logits (T, V) of each text by itself, in fp32; of an encoder-decoder the text is input and target at once."""
    device, logits = next(model.parameters()).device, list[np.ndarray]()
    with torch.inference_mode(), attention_in_fp32(model):
        for ids in sample:
            inputs = {"input_ids": torch.tensor([list(ids)], device=device)}
            if is_encoder_decoder(model):
                inputs["decoder_input_ids"] = decoder_inputs(model, inputs["input_ids"])
            logits.append(model(**inputs).logits[0].float().cpu().numpy())
    return logits


def certify_equal_logits(name: str, ours: list[np.ndarray], theirs: list[np.ndarray]) -> Certificate:
    """Certifies that two models have the same logits, to fp32 rounding."""
    return certificate(name, np.concatenate([x.ravel() for x in ours]), np.concatenate([x.ravel() for x in theirs]))


def certify_reload(folder: Path, objective: Objective, expected: list[np.ndarray], sample: Sample, name: str) -> Certificate:
    return certify_equal_logits(name, expected, sample_logits(reload_language_model(folder, objective), sample))


def mean_loss(logits: list[np.ndarray], sample: Sample, objective: Objective) -> float:
    """Returns the mean loss per token in nats: of the next token, or for masked models of the token at the position."""
    shift = 1 if objective.shifts_labels else 0
    total, count = 0.0, 0
    for values, ids in zip(logits, sample, strict=True):
        steps = torch.log_softmax(torch.from_numpy(values).double(), -1)[: len(ids) - shift]
        total -= float(steps.gather(1, torch.tensor(list(ids))[shift:, None]).sum())
        count += len(ids) - shift
    return total / max(1, count)
