"""Every way to train a language model: it learns, leaves what is frozen alone, and comes back the same from disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.models.language_bases import OBJECTIVES, SAMPLE, save_base, steps
from tunesmith.models.adapters.attach import add_language_adapter
from tunesmith.models.language.model import load_language_model
from tunesmith.models.language.save import SavedLanguageModel, sample_logits, save_language_model
from tunesmith.models.layers import freeze
from tunesmith.models.load import load_tokenizer
from tunesmith.recipe.sections import AdapterSection

STEPS = 4
TOKENS = {"num_virtual_tokens": 3}
# A method, its options, and whether it can be merged.
METHODS: tuple[tuple[str, dict[str, Any], bool], ...] = (
    ("lora", {"r": 4}, True),
    ("dora", {"r": 4}, True),
    ("rslora", {"r": 4}, True),
    ("pissa", {"r": 4}, True),
    ("olora", {"r": 4}, True),
    ("adalora", {"init_r": 4, "target_r": 2}, True),
    ("adamss", {"r": 8, "num_subspaces": 2}, True),
    ("ia3", {}, True),
    ("vera", {"r": 8}, True),
    ("loha", {"r": 2}, True),
    ("lokr", {"r": 2}, True),
    ("oft", {"oft_block_size": 8}, True),
    ("boft", {"boft_block_size": 4}, True),
    ("ln_tuning", {}, True),
    ("trainable_tokens", {"token_indices": [5, 6, 7, 8]}, True),
    ("prefix_tuning", TOKENS, False),
    ("prompt_tuning", TOKENS, False),
    ("p_tuning", TOKENS, False),
    ("houlsby", {"reduction_factor": 4}, False),
    ("pfeiffer", {"reduction_factor": 4}, False),
    ("full", {}, False),
    ("last 1", {}, False),
)
WAYS = {name: (options, merges) for name, options, merges in METHODS}
UNMERGED_FILES = {"houlsby": "bottleneck.safetensors", "pfeiffer": "bottleneck.safetensors"}

RELOAD = """
import json, sys
from pathlib import Path
import numpy as np
from transformers import AutoTokenizer
from tunesmith.machine import quiet_libraries
from tunesmith.models.adapters.attach import is_adapter
from tunesmith.models.language.model import CAUSAL, MASKED
from tunesmith.models.language.save import reload_language_model, sample_logits

quiet_libraries()
objectives = {"causal": CAUSAL, "masked": MASKED}
requested = json.loads(Path(sys.argv[1]).read_text())
for folder, name in requested["folders"].items():
    path, objective = Path(folder), objectives[name]
    model = reload_language_model(path, objective) if is_adapter(path) else objective.load(path).eval()
    assert len(AutoTokenizer.from_pretrained(path)) == 40
    np.savez(path / "logits.npz", *sample_logits(model, requested["sample"]))
"""


@dataclass(frozen=True)
class Trained:
    """Results of one training method."""

    losses: list[float]
    without_gradient: list[str]
    changed: list[str]
    n_trained: int
    logits: list[np.ndarray]
    saved: SavedLanguageModel
    folder: Path

    def reloaded(self, folder: Path) -> float:
        """The largest difference of a logit between the trained model and what a fresh process read from a folder."""
        found = np.load(folder / "logits.npz")
        return max(float(np.abs(found[f"arr_{i}"] - ours).max()) for i, ours in enumerate(self.logits))


def train(source: Any, family: str, method: str, folder: Path) -> Trained:
    """A few steps by one way, and what was saved of them."""
    torch.manual_seed(0)
    objective = OBJECTIVES[family]
    loaded = load_language_model(source, load_tokenizer(source), objective)
    if method in ("full", "last 1"):
        model: Any = loaded.model
        freeze(model, "all" if method == "full" else method)
    else:
        section = AdapterSection(method=method, **WAYS[method][0])
        model = add_language_adapter(loaded, section, 10, objective)
    frozen = {name: p.detach().clone() for name, p in model.named_parameters() if not p.requires_grad}
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    losses = steps(model, STEPS)
    return Trained(
        losses, [name for name, p in trained.items() if p.grad is None or not bool(p.grad.any())],
        [name for name, p in model.named_parameters() if name in frozen and not torch.equal(p, frozen[name])],
        sum(p.numel() for p in trained.values()), sample_logits(model.eval(), SAMPLE),
        save_language_model(model, loaded.tokenizer, folder, source, SAMPLE), folder,
    )  # fmt: skip


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Trained]:
    """Every family and method, trained here and read again by one process of its own."""
    root = tmp_path_factory.mktemp("ways")
    found = {}
    for family in OBJECTIVES:
        source = save_base(root / family, family)
        for method in WAYS:
            found[family, method] = train(source, family, method, root / f"{family}-{method}" / "model")
    folders = {str(t.folder): OBJECTIVES[family].name for (family, _), t in found.items()}
    alone = [(t.folder.parent / "adapter", OBJECTIVES[f].name) for (f, _), t in found.items()]
    folders |= {str(folder): name for folder, name in alone if folder.exists()}
    (root / "requested.json").write_text(json.dumps({"folders": folders, "sample": SAMPLE}))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RELOAD, str(root / "requested.json")], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return found


@pytest.fixture(params=OBJECTIVES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("method", WAYS)
def test_it_learns_and_leaves_what_is_frozen_alone(ways, family: str, method: str) -> None:
    trained = ways[family, method]
    assert trained.losses[-1] < trained.losses[0]
    assert trained.without_gradient == []
    assert trained.changed == []
    assert trained.n_trained < ways[family, "full"].n_trained or method == "full"


@pytest.mark.parametrize("method", WAYS)
def test_a_fresh_process_reads_what_was_trained(ways, family: str, method: str) -> None:
    trained, merges = ways[family, method], WAYS[method][1]
    assert trained.saved.is_merged == merges
    assert all(certificate.passed for certificate in trained.saved.certificates)
    assert trained.reloaded(trained.folder) < 1e-4
    whole = merges or method in ("full", "last 1")
    assert (trained.folder / "model.safetensors").exists() == whole
    if not whole:
        assert (trained.folder / UNMERGED_FILES.get(method, "adapter_model.safetensors")).exists()
        assert json.loads((trained.folder / "base.json").read_text())["source"]["name"] == family


@pytest.mark.parametrize("method", [name for name, (_, merges) in WAYS.items() if merges])
def test_the_adapter_by_itself_is_read_too(ways, family: str, method: str) -> None:
    adapter = ways[family, method].folder.parent / "adapter"
    if method in ("pissa", "olora"):  # it is a difference from a changed base, which only the merged model holds
        assert not adapter.exists()
    else:
        assert ways[family, method].reloaded(adapter) < 1e-5


def test_training_changed_the_outputs_of_the_model(ways, family: str) -> None:
    full = ways[family, "full"].logits
    others = [ways[family, method].logits for method in WAYS if method != "full"]
    assert all(max(np.abs(a - b).max() for a, b in zip(full, other, strict=True)) > 0.01 for other in others)
