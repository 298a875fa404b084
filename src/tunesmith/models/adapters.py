"""Parameter-efficient fine-tuning through the peft library: any method it has for the task."""

from __future__ import annotations

import difflib
import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import MissingExtra, ModelError, Problem, RecipeError
from tunesmith.recipe.sections import AdapterSection

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def adapter_config(section: AdapterSection, total_steps: int, task_type: str = "SEQ_CLS") -> Any:
    """The peft config of a recipe's adapter section.

    Args:
        total_steps: optimizer steps of the run; AdaLoRA plans its ranks by them.
        task_type: peft's name for what the model does; by it peft knows of a new head, and saves it.

    Raises:
        MissingExtra: peft is not installed.
        RecipeError: unknown method, or options the method does not have.
    """
    try:
        from peft import TaskType
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
    except ImportError:
        raise MissingExtra.of("peft", "adapters", f"adapter.method {section.method}") from None
    kinds = {kind.value.lower(): config for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    options = dict(section.model_extra or {})
    if section.method not in kinds:
        close = difflib.get_close_matches(section.method, kinds, 1)
        hint = f"Did you mean {close[0]}? " if close else ""
        raise RecipeError.one(
            "adapter.method", f"peft has no method {section.method!r}.", f"{hint}Known: {', '.join(sorted(kinds))}."
        )
    config = kinds[section.method]
    check_options(section.method, config, options)
    options.setdefault("task_type", TaskType(task_type))
    if section.method == "adalora":
        options.setdefault("total_step", total_steps)
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


def add_adapter(model: PreTrainedModel, section: AdapterSection, total_steps: int) -> Any:
    """The model wrapped by peft: base frozen, adapter and head trainable."""
    config = adapter_config(section, total_steps)
    from peft import get_peft_model

    try:
        return get_peft_model(model, config)
    except (ValueError, TypeError, NotImplementedError, ImportError, AttributeError) as error:
        raise ModelError.one(
            f"adapter.method {section.method}", f"peft cannot put it on this model: {str(error).splitlines()[0]}"
        ) from error


def load_adapted(folder: Path) -> Any:
    """A saved adapter on its base model, in evaluation mode."""
    from peft import AutoPeftModelForSequenceClassification

    head = json.loads((folder / "head.json").read_text(encoding="utf-8"))
    return AutoPeftModelForSequenceClassification.from_pretrained(
        folder, num_labels=len(head["names"]), id2label=dict(enumerate(head["names"])),
        label2id={name: i for i, name in enumerate(head["names"])}, problem_type=head["problem_type"], dtype="float32",
    ).eval()  # fmt: skip


def save_head_description(folder: Path, config: Any) -> None:
    """Write the label names beside an adapter, whose own files do not hold them."""
    names = [config.id2label[i] for i in range(config.num_labels)]
    text = json.dumps({"names": names, "problem_type": config.problem_type}, ensure_ascii=False, indent=2)
    (folder / "head.json").write_text(text, encoding="utf-8")
