"""Resolves names of adapter methods: peft's methods, well-known variants of them, and our bottlenecks."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tunesmith.errors import RecipeError
from tunesmith.recipe.sections import AdapterSection

if TYPE_CHECKING:
    from peft import PeftConfig

# Methods with a name of their own that are another method with options: name -> (peft's method, options).
VARIANTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "dora": ("lora", {"use_dora": True}),
    "rslora": ("lora", {"use_rslora": True}),
    "pissa": ("lora", {"init_lora_weights": "pissa"}),
    "olora": ("lora", {"init_lora_weights": "olora"}),
    "loftq": ("lora", {"init_lora_weights": "loftq", "loftq_config": {"loftq_bits": 4, "loftq_iter": 1}}),
    "bone": ("miss", {}),
    "prefix": ("prefix_tuning", {}),
    "prompt": ("prompt_tuning", {}),
    "ptuning": ("p_tuning", {}),
    "layernorm_tuning": ("ln_tuning", {}),
}
BOTTLENECKS = ("houlsby", "pfeiffer")
VIRTUAL_TOKENS = 20
PROMPT_METHODS = ("prefix_tuning", "prompt_tuning", "p_tuning")
DEFAULTS: Mapping[str, dict[str, Any]] = {method: {"num_virtual_tokens": VIRTUAL_TOKENS} for method in PROMPT_METHODS}
"""Required options without a default in peft."""
NEEDS_TASK_IDS = ("poly", "multitask_prompt_tuning")
"""Methods of peft for several tasks at once, whose models take the number of a task with each row."""
CHANGES_BASE = ("pissa", "olora", "loftq", "corda")
"""Initialisations of LoRA that subtract the adapter's initial value from the base model's weights."""


def method_and_options(section: AdapterSection, known: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Returns peft's name of a method and its options. Raises RecipeError for unknown methods and contradicting options.

    Args:
        known: methods of the installed peft.
    """
    name, options = section.method.replace("-", "_").lower(), dict(section.model_extra or {})
    method, implied = VARIANTS.get(name, (name, {}))
    if method not in known:
        names = sorted({*known, *VARIANTS, *BOTTLENECKS} - {*NEEDS_TASK_IDS})
        close = difflib.get_close_matches(name, names, 1)
        remedy = f"{f'Did you mean {close[0]}? ' if close else ''}Known: {', '.join(names)}."
        raise RecipeError.one("adapter.method", f"peft has no method {section.method!r}.", remedy)
    if method in NEEDS_TASK_IDS:
        message = f"{name} learns several tasks at once and needs the number of a task for each row, which a run does not have."
        raise RecipeError.one("adapter.method", message, "Use lora, or prompt_tuning for trained vectors before the text.")
    for option, value in implied.items():
        given = options.get(option, value)
        # An option may specialise the implied one: ``pissa_niter_4`` for ``pissa``, a dictionary for a dictionary.
        has_settings = isinstance(value, dict) and isinstance(given, dict)
        is_special = isinstance(value, str) and str(given).startswith(value)
        if given != value and not has_settings and not is_special:
            message = f"{name} is {method} with {option}: {value}, and this recipe has {options[option]}."
            raise RecipeError.one(f"adapter.{option}", message, f"Remove the option, or write method: {method}.")
    return method, {**DEFAULTS.get(method, {}), **implied, **options}


def changes_base(config: PeftConfig) -> bool:
    """Returns True if the adapter changes the base model's weights, so that it does not fit the base model's files."""
    start = getattr(config, "init_lora_weights", None)
    return (isinstance(start, str) and start.startswith(CHANGES_BASE)) or str(getattr(config, "peft_type", "")).endswith("OSF")
