from __future__ import annotations

import builtins
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tunesmith.data.readers import hub
from tunesmith.data.readers.read import read_table
from tunesmith.errors import DataError, MissingExtra


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "datasets":
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtra) as caught:
        read_table("hub:glue:cola")
    assert str(caught.value) == (
        "Reading hub: data needs the library datasets, which is not installed. Run: pip install 'tunesmith[hub]'"
    )


def test_offline_by_the_environment_and_not_in_the_cache() -> None:
    pytest.importorskip("datasets")
    with pytest.raises(DataError) as caught:
        read_table("hub:no-such/data-set")
    assert str(caught.value) == (
        "hub:no-such/data-set: The data set is not in the local cache, and HF_HUB_OFFLINE is set, so it is not downloaded. "
        "Unset HF_HUB_OFFLINE on a machine with a network, or use a local file."
    )


def test_no_network_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    # An address of the range kept for documentation: nothing answers there.
    monkeypatch.setattr(hub, "hub_address", lambda: ("192.0.2.1", 443))
    start = time.perf_counter()
    with pytest.raises(DataError, match=r"hub:glue:cola: There is no network: 192\.0\.2\.1:443 did not answer"):
        read_table("hub:glue:cola")
    assert time.perf_counter() - start < 4


def test_an_unknown_host_costs_no_more_than_the_limit() -> None:
    start = time.perf_counter()
    assert hub.reach("no-such-host.invalid", 443, 2.0)
    assert time.perf_counter() - start < 2.5


def test_a_proxy_is_tried_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert hub.hub_address() == ("proxy.example", 3128)


def test_no_name() -> None:
    with pytest.raises(DataError, match="A data set's name was expected after hub:"):
        read_table("hub:")


def loaded(**splits: Any) -> Any:
    """A stand-in for the datasets library that knows one data set."""
    datasets = pytest.importorskip("datasets")
    return SimpleNamespace(load_dataset=lambda name, config, download_mode: splits, exceptions=datasets.exceptions)


def test_class_numbers_become_names_and_splits_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    train = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    hidden = datasets.Dataset.from_dict({"text": ["c"], "label": [-1]}, features=features)
    monkeypatch.setattr(hub, "import_datasets", lambda: loaded(train=train, dev=train, test=hidden))
    assert read_table("hub:some:thing").columns == {"text": ["a", "b"], "label": ["yes", "no"]}
    assert read_table("hub:some:thing", split="validation").source == "hub:some:thing (dev)"
    assert read_table("hub:some:thing", split="test").columns["label"] == [None]


def test_a_local_folder_is_read_anew_and_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(hub, "reach", lambda host, port, seconds: "no network")
    folder = tmp_path / "rows"
    folder.mkdir()
    config = "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: train.csv\n"
    (folder / "README.md").write_text(f"---\n{config}---\n")
    for label in (1, 0):
        (folder / "train.csv").write_text(f"text,label\na,{label}\n")
        assert hub.read_hub(f"hub:{folder}")["train"].columns == {"text": ["a"], "label": [label]}
