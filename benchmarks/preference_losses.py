"""Measures the first loss of every preference loss, adapter initialisation and changed model against that of equal models.

    python benchmarks/preference_losses.py

`builtin:pocket` on the built-in preferences. Each session is loaded as a run loads it; TRL computes the loss of eight rows before
anything is learnt. `changed` adds noise to the model's weights in memory, so that its files hold another model. Adapters whose
check fails, and those that peft refuses for this model, are listed with the message.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from record import write

from tunesmith.errors import InputError
from tunesmith.machine import quiet_libraries
from tunesmith.progress import Clock, silent
from tunesmith.recipe.load import LoadedRecipe, recipe_from_mapping
from tunesmith.tasks.preference import model as loading
from tunesmith.tasks.preference.preflight import FIRST_LOSS, expected_first_loss, first_loss, sample_items
from tunesmith.tasks.steps import load, read
from tunesmith.tasks.table import task_for
from tunesmith.tasks.task import Request
from tunesmith.training.losses.preference import LOSSES

SEED, NOISE = 0, 0.02
METHODS = (
    *("lora", "dora", "rslora", "pissa", "olora", "adalora", "ia3", "oft", "boft", "loha", "lokr", "hra", "vera", "ln_tuning"),
    *("randlora", "miss", "osf", "houlsby", "pfeiffer", "fourierft", "prefix_tuning", "prompt_tuning", "p_tuning"),
)
INITIALISATIONS = (True, False, "gaussian", "orthogonal", "eva", "mica", "pissa", "pissa_niter_4", "olora", "loftq", "corda")


def noisy(loaded: Any) -> Any:
    """Changes the weights of a loaded model in memory."""
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter.add_(NOISE * torch.randn(parameter.shape, generator=generator))
    return loaded


def measure(**sections: Any) -> dict[str, Any]:
    """Loads a session and computes its first loss; or returns why it is refused."""
    mapping = {
        "task": "preference",
        "model": {"name": "builtin:pocket"},
        "data": {"train": "builtin:preference_train", "validation": 0.1, "test": None, "max_rows": 40},
        "evaluate": {"answers": {"rows": 0}},
        **sections,
    }
    mapping["preference"] = {"chat_template": "dialogue", **sections.get("preference", {})}
    try:
        given = LoadedRecipe(recipe_from_mapping(mapping), None, mapping, "", Path())
        data = read(task_for(given.recipe), Request(given, Clock(silent, {})))
        session = load(task_for(given.recipe).load_steps(), data, SEED)
        items = sample_items(session)
        found, expected = first_loss(session, items), expected_first_loss(session, items)
    except InputError as error:
        return {"refused": str(error)}
    assert expected is not None
    difference = abs(found - expected)
    passed = difference <= FIRST_LOSS * max(1.0, abs(expected))
    return {"loss": found, "expected": expected, "difference": difference, "passed": passed, "reference": session.reference_words}


def main() -> None:
    quiet_libraries()
    torch.set_num_threads(1)
    honest = loading.load_language_model
    names = [name for name, loss in LOSSES.items() if loss.has_reference and name != "sft"]
    plain = {name: measure(preference={"loss_type": name}) for name in names}
    loading.load_language_model = lambda *arguments, **named: noisy(honest(*arguments, **named))
    changed = {name: measure(preference={"loss_type": name}) for name in names}
    methods = {method: measure(adapter={"method": method}) for method in METHODS}
    starts = {str(value): measure(adapter={"method": "lora", "init_lora_weights": value}) for value in INITIALISATIONS}
    loading.load_language_model = honest
    settings = {"model": "builtin:pocket", "beta": 0.1, "noise": NOISE, "rows": 8, "tolerance": FIRST_LOSS, "threads": 1}
    write("preference_losses", {"settings": settings, "losses": plain, "changed": changed, "adapters": methods, "lora": starts})


if __name__ == "__main__":
    main()
