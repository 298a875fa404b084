"""Adds adapters to a model (any peft method, and bottlenecks), saves them, and loads them again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from tunesmith.data.cells import listed, plural
from tunesmith.data.labelled.labels import REGRESSION
from tunesmith.disk import read_json, write_text
from tunesmith.errors import MissingExtra, ModelError, RecipeError, first_line
from tunesmith.models.adapters import bottleneck
from tunesmith.models.adapters.base import PEFT_SETTINGS, AdapterBase
from tunesmith.models.adapters.methods import BOTTLENECKS, changes_base, method_and_options
from tunesmith.models.adapters.options import check_options
from tunesmith.models.adapters.quantise import classifier_options, detect_quantisation, keep_trainable_form
from tunesmith.models.encode import IGNORE_INDEX
from tunesmith.models.language.model import Objective
from tunesmith.models.layers import head_parameters
from tunesmith.models.load import LoadedModel, load_config, load_trained_classifier, model_errors, require_whole_body
from tunesmith.models.source import ModelSource
from tunesmith.recipe.sections import AdapterSection

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedConfig, PreTrainedModel

PEFT_ERRORS = (
    ValueError, TypeError, NotImplementedError, ImportError, AttributeError, AssertionError, LookupError, RuntimeError, re.error,
)  # fmt: skip
"""Errors of ``get_peft_model`` for models that a method does not fit."""
HEAD = "head.json"
"""The names of a classifier's classes beside its adapter, whose own files do not hold them."""
NO_NEW_TOKENS: Mapping[str, Sequence[int]] = MappingProxyType({})


def adapter_config(
    section: AdapterSection, total_steps: int, task_type: str = "SEQ_CLS", new_tokens: Mapping[str, Sequence[int]] = NO_NEW_TOKENS
) -> PeftConfig:
    """Builds the peft config of a recipe's adapter section. Raises RecipeError for options that do not fit the method.

    Args:
        total_steps: optimizer steps of the run, by which AdaLoRA schedules its ranks.
        task_type: peft's task type, by which peft recognises and saves a new head.
        new_tokens: module -> ids of the new tokens whose rows in it have to be trained.
    """
    try:
        from peft import TaskType
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
    except ImportError:
        raise MissingExtra.of("peft", "adapters", f"adapter.method {section.method}") from None
    config_classes = {kind.value.lower(): config for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    method, options = method_and_options(section, config_classes)
    config_class = config_classes[method]
    check_options(section.method, config_class, options)
    options.setdefault("task_type", TaskType(task_type))
    if method == "adalora":
        options.setdefault("total_step", total_steps)
    train_new_tokens(section.method, config_class, options, new_tokens)
    try:
        return config_class(**options)
    except (TypeError, ValueError) as error:
        raise RecipeError.one("adapter", f"peft refuses these options of {section.method}: {error}") from error


def train_new_tokens(method: str, config_class: type, options: dict[str, Any], new_tokens: Mapping[str, Sequence[int]]) -> None:
    """Adds the option that trains the rows of new tokens, in place. Raises RecipeError if the method has none."""
    known, tokens = {field.name for field in fields(config_class)}, list(next(iter(new_tokens.values()), ()))
    if method == "trainable_tokens":
        if not options.setdefault("token_indices", tokens):
            message = "it trains the listed tokens, and there are none: nothing would be trained."
            raise RecipeError.one("adapter.token_indices", message, "List token ids, or add tokens.")
    elif tokens and "trainable_token_indices" not in known:
        message = f"{method} cannot train the {plural(len(tokens), 'new token')}, which would stay the mean of all others."
        remedy = "Use lora (dora, rslora, ...), which trains their rows as well, or train the whole model."
        raise RecipeError.one("adapter.method", message, remedy)
    elif tokens:
        options.setdefault("trainable_token_indices", {name: list(ids) for name, ids in new_tokens.items()})


def add_adapter(model: PreTrainedModel, section: AdapterSection, total_steps: int) -> PreTrainedModel | PeftModel:
    """Adds an adapter to a classifier: the base is frozen, adapter and head are trainable."""
    refuse_on_quantised(model, section)
    if section.method in BOTTLENECKS:
        head = head_parameters(model, [name for name, _ in model.named_parameters()])
        return attach_bottlenecks(model, section, head)
    config = adapter_config(section, total_steps)
    refuse_changed_base(model, section, config)
    wrapped = wrap_with_peft(model, section, config)
    if detect_quantisation(model) is not None:
        check_passes(wrapped, f"adapter.method {section.method}")
    return wrapped


def refuse_on_quantised(model: PreTrainedModel, section: AdapterSection) -> None:
    """Raises ModelError for a bottleneck adapter on quantised weights."""
    if section.method in BOTTLENECKS and detect_quantisation(model) is not None:
        message = "upstream's trainer takes quantised models only with an adapter of peft."
        raise ModelError.one(f"adapter.method {section.method}", message, "Use lora, or remove quantisation.")


def refuse_changed_base(model: PreTrainedModel, section: AdapterSection, config: PeftConfig) -> None:
    """Raises ModelError for a method that changes the base model's weights, where these are quantised."""
    if changes_base(config) and detect_quantisation(model) is not None:
        message = "it starts from a part of the base model's weights, which would have to be rounded again without it."
        remedy = "Use lora, dora or rslora, or remove quantisation."
        raise ModelError.one(f"adapter.method {section.method}", message, remedy)


def add_language_adapter(
    loaded: LoadedModel, section: AdapterSection, total_steps: int, objective: Objective
) -> PreTrainedModel | PeftModel:
    """Adds an adapter: the base is frozen; adapter, new tokens and a new head are trainable."""
    where = f"adapter.method {section.method}"
    refuse_on_quantised(loaded.model, section)
    if section.method in BOTTLENECKS:
        if loaded.new_tokens:
            raise ModelError.one(where, f"it cannot train the {plural(len(loaded.new_tokens), 'new token')}.", "Use lora.")
        return attach_bottlenecks(loaded.model, section, set(loaded.new_weights))
    config = adapter_config(section, total_steps, objective.peft_task_type, modules_with_new_tokens(loaded))
    refuse_changed_base(loaded.model, section, config)
    # A new head is trained and saved with the adapter, unless it is an output layer tied to the embedding.
    modules = {name.rpartition(".")[0] for name in loaded.new_weights} - {""}
    heads = {name: loaded.model.get_submodule(name) for name in sorted(modules)}
    output = loaded.model.get_output_embeddings()
    if new := [name for name, module in heads.items() if not list(module.children()) and module is not output]:
        config.modules_to_save = [*(getattr(config, "modules_to_save", None) or ()), *new]
    model = hide_virtual_tokens(wrap_with_peft(loaded.model, section, config))
    if objective.shifts_labels:
        refuse_adapted_output(model)
    check_passes(model, where)
    return model


def refuse_adapted_output(model: PeftModel) -> None:
    """Raises RecipeError for an adapter on the output layer, whose weights TRL's loss reads without the adapter."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    output = model.get_base_model().get_output_embeddings()
    if not isinstance(output, BaseTunerLayer):
        return
    name = next(name for name, module in model.get_base_model().named_modules() if module is output)
    message = f"{name} is the output layer: an adapter on it would not be trained."
    remedy = f"Take {name} out of it, or train the whole layer: adapter.modules_to_save: [{name}]."
    raise RecipeError.one("adapter.target_modules", message, remedy)


def check_passes(model: PeftModel, where: str) -> None:
    """Raises ModelError if forward or backward passes fail, which peft does not report when it wraps the model.

    Some methods need inputs that the model does not get; some cannot multiply quantised weights, or only once, or not
    when training and evaluation alternate.
    """
    ids, was_training = torch.zeros((1, 2), dtype=torch.long, device=next(model.parameters()).device), model.training
    kind = detect_quantisation(model)
    try:
        with torch.random.fork_rng():
            also = {"decoder_input_ids": ids} if getattr(model.config, "is_encoder_decoder", False) else {}
            for is_training in (True, False, True) if kind else (True,):
                outputs = model.train(is_training)(input_ids=ids, **also)
                outputs["logits" if "logits" in outputs else "last_hidden_state"].sum().backward()
    except (RuntimeError, AttributeError, TypeError, ValueError, IndexError) as error:
        place = "on this model" if kind is None else f"on weights in {kind.words}"
        remedy = "Use lora." if kind is None else "Use lora, or remove quantisation."
        raise ModelError.one(where, f"peft cannot compute it {place}: {first_line(error).rstrip('.')}.", remedy) from error
    model.zero_grad(set_to_none=True)
    model.train(was_training)


def modules_with_new_tokens(loaded: LoadedModel) -> dict[str, tuple[int, ...]]:
    """Maps the embedding, and an output layer with weights of its own, to the ids of the new tokens."""
    if not loaded.new_tokens:
        return {}
    embedding, head = loaded.model.get_input_embeddings(), loaded.model.get_output_embeddings()
    is_tied = head is None or head.weight is embedding.weight
    return {
        name: loaded.new_tokens
        for name, module in loaded.model.named_modules()
        if module is embedding or (module is head and not is_tied)
    }


def attach_bottlenecks(model: PreTrainedModel, section: AdapterSection, also: set[str]) -> PreTrainedModel:
    """Adds bottlenecks, in place; the parameters named in ``also`` are trained with them."""
    bottleneck.add_bottlenecks(model, bottleneck.read_settings(section))
    for name, parameter in model.named_parameters():
        if name in also:
            parameter.requires_grad_(True)
    return model


def wrap_with_peft(model: PreTrainedModel, section: AdapterSection, config: PeftConfig) -> PeftModel:
    """Wraps the model by peft. Raises ModelError if peft fails.

    LN tuning gets the names of the norms for model types that peft has no default for (mostly encoders).
    """
    from peft import get_peft_model
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LNTUNING_TARGET_MODULES_MAPPING as KNOWN_NORMS

    if str(config.peft_type.value) == "LN_TUNING" and not config.target_modules and model.config.model_type not in KNOWN_NORMS:
        names = [name for name, module in model.named_modules() if type(module).__name__.endswith("Norm")]
        config.target_modules = {name.rpartition(".")[2] for name in names}
    names = [name for name, _ in model.named_modules()]
    wanted = getattr(config, "modules_to_save", None) or ()
    if absent := [module for module in wanted if not any(name.endswith(module) for name in names)]:
        message = f"the model has no module {listed(absent)}; peft would train none."
        raise RecipeError.one("adapter.modules_to_save", message, f"Its last modules are {listed(names[-4:])}.")
    where, remedy = f"adapter.method {section.method}", "Change its options in the recipe, or use another method, such as lora."
    with model_errors(where, "peft cannot put it on this model", remedy, PEFT_ERRORS):
        return get_peft_model(model, config)


def hide_virtual_tokens(model: PeftModel) -> PeftModel:
    """Restricts inputs and outputs to the positions of the text, in place, for adapters that add tokens before it.

    Upstream returns logits for those tokens too, takes ``logits_to_keep`` as if they were counted, and for masked models takes
    no labels that are shorter than text and tokens together. While the adapter is switched off, nothing is changed. The tokens
    before an encoder's input change no output of the decoder.
    """
    configs = model.peft_config.values()
    added = sum(x.num_virtual_tokens for x in configs if x.is_prompt_learning and "PREFIX" not in x.peft_type)
    if not added or getattr(model.config, "is_encoder_decoder", False):
        return model

    def shift(_base: object, positional: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        embeds, labels, kept = (named.get(name) for name in ("inputs_embeds", "labels", "logits_to_keep"))
        if isinstance(kept, torch.Tensor) and embeds is not None:
            named = {**named, "logits_to_keep": kept + added}
        if labels is not None and embeds is not None and labels.shape[1] < embeds.shape[1]:
            ignored = labels.new_full((len(labels), added), IGNORE_INDEX)
            named = {**named, "labels": torch.cat((ignored, labels), dim=1)}
        return positional, named

    def cut(_model: object, positional: Any, named: dict[str, Any], outputs: Any) -> Any:
        ids, logits = named.get("input_ids", positional[0] if positional else None), getattr(outputs, "logits", None)
        if ids is not None and logits is not None and logits.shape[:2] == (len(ids), ids.shape[1] + added):
            outputs.logits = logits[:, added:]
        return outputs

    model.get_base_model().register_forward_pre_hook(shift, with_kwargs=True)
    model.register_forward_hook(cut, with_kwargs=True)
    return model


def can_merge(model: PreTrainedModel | PeftModel) -> bool:
    """Returns True if the model has an adapter that can be merged into its weights."""
    return hasattr(model, "peft_config") and hasattr(model, "merge_and_unload")


def is_adapter(folder: Path) -> bool:
    """Returns True if a folder holds an adapter instead of a whole model."""
    return (folder / PEFT_SETTINGS).exists() or (folder / bottleneck.SETTINGS).exists()


def save_model_files(model: PreTrainedModel | PeftModel, folder: Path) -> None:
    """Writes a model; with an adapter only the adapter and the weights that were trained with it."""
    if bottleneck.has_bottlenecks(model):
        bottleneck.save_bottlenecks(model, folder)
    else:
        model.save_pretrained(folder)


def saved_state(model: PreTrainedModel | PeftModel) -> dict[str, torch.Tensor]:
    """Returns the tensors of a model by the names that ``save_model_files`` gives them."""
    if not hasattr(model, "peft_config"):
        return dict(model.state_dict())
    from peft import get_peft_model_state_dict

    return dict(get_peft_model_state_dict(model))


def load_adapter(base_model: PreTrainedModel, folder: Path) -> PreTrainedModel | PeftModel:
    """Loads a saved adapter onto its base model, in evaluation mode. Raises ModelError if it is damaged or does not fit."""
    if (folder / bottleneck.SETTINGS).exists():
        bottleneck.load_bottlenecks(base_model, folder)
        return base_model.eval()
    from peft import PeftModel

    with model_errors(str(folder), "its adapter cannot be loaded", "Load it with the model it was trained on."):
        return hide_virtual_tokens(PeftModel.from_pretrained(base_model, str(folder)).eval())


def reload_classifier(folder: Path, whole: bool = False) -> PreTrainedModel:
    """Loads the classifier of a run, with its adapter on the base model, for evaluation. Raises ModelError if it is damaged.

    Args:
        whole: puts an adapter on the unquantised base model, into which it can be merged; else on one as during training.
    """
    from tunesmith.models.number_head import use_number_head

    where = str(folder)
    if not is_adapter(folder):
        return load_trained_classifier(ModelSource(where, where, "folder"), where)
    with model_errors(where, "its model cannot be loaded", "Copy the folder of the run again."):
        model = reload_adapted_classifier(folder, whole)
    if model.config.problem_type == REGRESSION:
        use_number_head(model)
    return model.eval()


@dataclass(frozen=True)
class HeadShape:
    """The types of ``head.json``."""

    names: list[str]
    problem_type: str | None


def reload_adapted_classifier(folder: Path, whole: bool = False) -> PreTrainedModel:
    """Loads a classifier's adapter on its base model; the head is described in ``head.json``.

    Args:
        whole: as of ``reload_classifier``.
    """
    from transformers import AutoModelForSequenceClassification

    head = read_json(folder / HEAD, HeadShape)
    names = dict(enumerate(head["names"]))
    labels = {"num_labels": len(names), "id2label": names, "label2id": {name: i for i, name in names.items()}}
    options = {**labels, "problem_type": head["problem_type"], "dtype": "float32"}
    record = AdapterBase.load(folder)
    source, quantisation = record.source, None if whole else record.quantisation
    require_whole_body(source)
    if (folder / bottleneck.SETTINGS).exists() or quantisation is not None:
        options |= {"revision": source.revision, "use_safetensors": True, "ignore_mismatched_sizes": True}
        options |= {} if quantisation is None else classifier_options(quantisation, load_config(source))
        base = AutoModelForSequenceClassification.from_pretrained(source.location, **options)
        keep_trainable_form(base)
        return load_adapter(base, folder)
    from peft import AutoPeftModelForSequenceClassification

    return AutoPeftModelForSequenceClassification.from_pretrained(folder, **options).eval()


def save_head_description(folder: Path, config: PreTrainedConfig) -> None:
    """Writes the label names beside an adapter, whose own files do not hold them."""
    names = [config.id2label[i] for i in range(config.num_labels)]
    text = json.dumps({"names": names, "problem_type": config.problem_type}, ensure_ascii=False, indent=2)
    write_text(folder / HEAD, text)
