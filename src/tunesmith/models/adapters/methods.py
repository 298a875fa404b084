"""The names of adapter methods: peft's own, what people call an option of one of them, and the bottlenecks that are ours."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from tunesmith.errors import RecipeError
from tunesmith.recipe.sections import AdapterSection

# What has a name of its own and is another method with options: name -> (peft's method, options).
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
DEFAULTS: Mapping[str, dict[str, Any]] = {
    "prefix_tuning": {"num_virtual_tokens": VIRTUAL_TOKENS},
    "prompt_tuning": {"num_virtual_tokens": VIRTUAL_TOKENS},
    "p_tuning": {"num_virtual_tokens": VIRTUAL_TOKENS},
}
"""Options that peft has no default for, and cannot do without."""
CHANGES_BASE = ("pissa", "olora", "loftq", "corda")
"""Ways to begin LoRA that take the adapter's first value out of the base model's weights."""


def method_and_options(section: AdapterSection, known: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """peft's name of the method, and its options.

    Args:
        known: the methods of the installed peft.

    Raises:
        RecipeError: no such method, or an option that contradicts the method's name.
    """
    name, given = section.method.replace("-", "_").lower(), dict(section.model_extra or {})
    method, implied = VARIANTS.get(name, (name, {}))
    if method not in known:
        raise RecipeError.one("adapter.method", f"peft has no method {section.method!r}.", remedy(name, [*known]))
    for option, value in implied.items():
        if option in given and given[option] != value and not refines(given[option], value):
            raise RecipeError.one(
                f"adapter.{option}", f"{name} is {method} with {option}: {value}, and this says {given[option]}.",
                f"Remove the option, or write method: {method}.",
            )  # fmt: skip
    return method, {**DEFAULTS.get(method, {}), **implied, **given}


def refines(given: Any, value: Any) -> bool:
    """Whether an option is a finer form of what the method's name says: ``pissa_niter_4`` of ``pissa``, settings of settings."""
    return (isinstance(value, dict) and isinstance(given, dict)) or (isinstance(value, str) and str(given).startswith(value))


def remedy(name: str, known: list[str]) -> str:
    """What to write in place of an unknown method."""
    names = sorted({*known, *VARIANTS, *BOTTLENECKS})
    close = difflib.get_close_matches(name, names, 1)
    return f"{f'Did you mean {close[0]}? ' if close else ''}Known: {', '.join(names)}."


def changes_base(config: Any) -> bool:
    """Whether an adapter of this peft config is no difference from the base model as its files have it."""
    start = getattr(config, "init_lora_weights", None)
    return (isinstance(start, str) and start.startswith(CHANGES_BASE)) or str(getattr(config, "peft_type", "")).endswith("OSF")
