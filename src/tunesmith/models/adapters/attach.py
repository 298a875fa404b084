"""Parameter-efficient fine-tuning: any method peft has for the task, and bottlenecks; put on a model, saved, loaded again."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tunesmith.errors import MissingExtra, ModelError, Problem, RecipeError
from tunesmith.models.adapters.base import PEFT_SETTINGS, AdapterBase
from tunesmith.models.adapters.bottleneck import (
    SETTINGS,
    add_bottlenecks,
    has_bottlenecks,
    load_bottlenecks,
    save_bottlenecks,
    settings_of,
)
from tunesmith.models.adapters.methods import BOTTLENECKS, method_and_options
from tunesmith.models.adapters.prompt_positions import aligned
from tunesmith.models.layers import head_parameters
from tunesmith.recipe.sections import AdapterSection

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NO_ROWS: Mapping[str, Sequence[int]] = MappingProxyType({})


def adapter_config(
    section: AdapterSection, total_steps: int, task_type: str = "SEQ_CLS", new_rows: Mapping[str, Sequence[int]] = NO_ROWS
) -> Any:  # fmt: skip
    """The peft config of a recipe's adapter section.

    Args:
        total_steps: optimizer steps of the run; AdaLoRA plans its ranks by them.
        task_type: peft's name for what the model does; by it peft knows of a new head, and saves it.
        new_rows: module -> ids of the tokens whose rows in it are new and have to be trained.

    Raises:
        MissingExtra: peft is not installed.
        RecipeError: unknown method, options the method does not have, or new tokens that it cannot train.
    """
    try:
        from peft import TaskType
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
    except ImportError:
        raise MissingExtra.of("peft", "adapters", f"adapter.method {section.method}") from None
    kinds = {kind.value.lower(): config for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    method, options = method_and_options(section, kinds)
    config = kinds[method]
    check_options(section.method, config, options)
    options.setdefault("task_type", TaskType(task_type))
    if method == "adalora":
        options.setdefault("total_step", total_steps)
    train_new_tokens(section.method, config, options, new_rows)
    try:
        return config(**options)
    except (TypeError, ValueError) as error:
        raise RecipeError.one("adapter", f"peft refuses these options of {section.method}: {error}") from error


def check_options(method: str, config: type, options: dict[str, Any]) -> None:
    """Raise RecipeError with every option that method's peft config does not have."""
    known = {field.name for field in fields(config)}
    problems = []
    for name in sorted(set(options) - known):
        close = difflib.get_close_matches(name, known, 1)
        remedy = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(sorted(known - {'peft_type', 'auto_mapping'}))}."
        problems.append(Problem("recipe", f"adapter.{name}", f"the method {method} has no option of that name.", remedy))
    if problems:
        raise RecipeError(problems)


def train_new_tokens(method: str, config: type, options: dict[str, Any], new_rows: Mapping[str, Sequence[int]]) -> None:
    """Add to the options that the rows of new tokens are trained. Raises RecipeError for a method that cannot."""
    known, tokens = {field.name for field in fields(config)}, list(next(iter(new_rows.values()), ()))
    if method == "trainable_tokens":
        if not options.setdefault("token_indices", tokens):
            message = "it trains the tokens it is told, and there are none: nothing would be trained."
            raise RecipeError.one("adapter.token_indices", message, "List token ids, or add tokens.")
    elif tokens and "trainable_token_indices" not in known:
        raise RecipeError.one(
            "adapter.method", f"{method} cannot train the {len(tokens)} new tokens, which would stay the mean of all others.",
            "Use lora (dora, rslora, ...), which trains their rows as well, or train the whole model.",
        )  # fmt: skip
    elif tokens:
        options.setdefault("trainable_token_indices", {name: list(ids) for name, ids in new_rows.items()})


def add_adapter(model: PreTrainedModel, section: AdapterSection, total_steps: int) -> Any:
    """A classifier with an adapter: base frozen, adapter and head trainable."""
    if section.method in BOTTLENECKS:
        head = head_parameters(model, [name for name, _ in model.named_parameters()])
        return with_bottlenecks(model, section, head)
    return wrapped(model, section, adapter_config(section, total_steps))


def with_bottlenecks(model: Any, section: AdapterSection, also: set[str]) -> Any:
    """The model with bottlenecks; the parameters named in ``also`` are trained with them."""
    add_bottlenecks(model, settings_of(section))
    for name, parameter in model.named_parameters():
        if name in also:
            parameter.requires_grad_(True)
    return model


def wrapped(model: Any, section: AdapterSection, config: Any) -> Any:
    """The model as peft makes it. Raises ModelError where it cannot."""
    from peft import get_peft_model

    name_norms(config, model)
    try:
        return get_peft_model(model, config)
    except (ValueError, TypeError, NotImplementedError, ImportError, AttributeError, AssertionError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError.one(f"adapter.method {section.method}", f"peft cannot put it on this model: {said[0]}") from error


def name_norms(config: Any, model: Any) -> None:
    """Have LN tuning train the norms of a model whose type peft knows none of: encoders, above all."""
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LNTUNING_TARGET_MODULES_MAPPING as KNOWN_NORMS

    if str(config.peft_type.value) == "LN_TUNING" and not config.target_modules and model.config.model_type not in KNOWN_NORMS:
        names = [name for name, module in model.named_modules() if type(module).__name__.endswith("Norm")]
        config.target_modules = {name.rpartition(".")[2] for name in names}


def can_merge(model: Any) -> bool:
    """Whether an adapter can become part of the weights."""
    return hasattr(model, "peft_config") and hasattr(model, "merge_and_unload")


def has_adapter(model: Any) -> bool:
    """Whether a model has an adapter of peft or bottlenecks."""
    return hasattr(model, "peft_config") or has_bottlenecks(model)


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, and no whole model."""
    return (folder / PEFT_SETTINGS).exists() or (folder / SETTINGS).exists()


def save_model_files(model: Any, folder: Path) -> None:
    """Write a model, or of one with an adapter only the adapter and what was trained with it."""
    if has_bottlenecks(model):
        save_bottlenecks(model, folder)
    else:
        model.save_pretrained(folder)


def load_adapter(base_model: Any, folder: Path) -> Any:
    """A saved adapter on its base model, in evaluation mode.

    Raises:
        ModelError: the files are damaged, or do not fit the model.
    """
    if (folder / SETTINGS).exists():
        load_bottlenecks(base_model, folder)
        return base_model.eval()
    from peft import PeftModel
    from safetensors import SafetensorError

    try:
        return aligned(PeftModel.from_pretrained(base_model, str(folder)).eval())
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        message = f"its adapter cannot be loaded: {first}"
        raise ModelError.one(str(folder), message, "Load it with the model it was trained on.") from error


def load_adapted(folder: Path) -> Any:
    """A saved adapter of a classifier on its base model, in evaluation mode."""
    head = json.loads((folder / "head.json").read_text(encoding="utf-8"))
    named = {
        "num_labels": len(head["names"]), "id2label": dict(enumerate(head["names"])),
        "label2id": {name: i for i, name in enumerate(head["names"])}, "problem_type": head["problem_type"], "dtype": "float32",
    }  # fmt: skip
    if (folder / SETTINGS).exists():
        from transformers import AutoModelForSequenceClassification

        source = AdapterBase.load(folder).source
        base = AutoModelForSequenceClassification.from_pretrained(
            source.location, revision=source.revision, use_safetensors=True, ignore_mismatched_sizes=True, **named
        )
        return load_adapter(base, folder)
    from peft import AutoPeftModelForSequenceClassification

    return AutoPeftModelForSequenceClassification.from_pretrained(folder, **named).eval()


def save_head_description(folder: Path, config: Any) -> None:
    """Write the label names beside an adapter, whose own files do not hold them."""
    names = [config.id2label[i] for i in range(config.num_labels)]
    text = json.dumps({"names": names, "problem_type": config.problem_type}, ensure_ascii=False, indent=2)
    (folder / "head.json").write_text(text, encoding="utf-8")
