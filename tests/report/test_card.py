from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard

from tests.report.fake_runs import ALARMS, AWKWARD, CLASSES, fake_result
from tunesmith.report.card import model_card
from tunesmith.results import RunResult


def made(kind: str) -> RunResult:
    return fake_result(kind, 300, np.random.default_rng(0))


@pytest.mark.parametrize("kind", CLASSES)
def test_the_hub_reads_the_card(kind: str) -> None:
    card = ModelCard(model_card(made(kind)))
    assert card.data.library_name == "transformers"
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.base_model == "sentence-transformers/all-MiniLM-L6-v2"
    assert card.data.license is None
    results = card.data.eval_results
    assert results
    assert {result.dataset_name for result in results} == {"test.csv"}
    assert all(isinstance(result.metric_value, float) for result in results)


def test_the_front_matter_survives_a_round_trip_through_the_hubs_own_writer() -> None:
    card = ModelCard(model_card(made("twelve")))
    again = ModelCard(str(card))
    assert again.data.to_dict() == card.data.to_dict()
    assert again.data.model_name == "tickets"


@pytest.mark.parametrize("kind", CLASSES)
def test_holds_results_baselines_verdict_and_limits_and_no_text_from_the_data(kind: str) -> None:
    text = model_card(replace(made(kind), alarms=ALARMS))
    for fragment in (
        "# tickets",
        "TF-IDF + linear",
        "cannot tell",
        "Every test row is predicted",
        "31 rows flagged",
        "pipeline(",
        "learning_rate",
        "2,400",
    ):
        assert fragment in text
    assert not [row for row in AWKWARD if row and row in text]


def test_a_base_model_that_is_a_folder_is_not_named_as_a_hub_id() -> None:
    for name in ("/home/someone/models/base", "./base", "a/b/c", "runs/../base"):
        found = replace(made("binary"), recipe={"model": {"name": name}, "output": "/home/someone/runs/first"})
        text = model_card(found)
        assert "base_model" not in yaml.safe_load(text.split("---")[1])
        assert "/home/someone" not in text


def test_labels_and_names_cannot_break_out_of_the_page() -> None:
    result = made("twelve")
    text = model_card(replace(result, recipe={**result.recipe, "output": "runs/<script>alert(1)<script>"}))
    body = text.split("---", 2)[2]
    assert "<script>" not in body.partition("## Usage")[0]  # what follows is code
    assert "complaint <b>" not in body.replace("`complaint <b>bold</b>`", "")


def test_a_result_with_nothing_in_it_still_makes_a_card() -> None:
    card = ModelCard(model_card(RunResult("classification")))
    assert "model-index" not in card.data.to_dict()
    assert "Nothing was measured" in card.text


def test_several_labels_are_requested_all_and_pairs_with_both_texts() -> None:
    assert "top_k=None" in model_card(made("multilabel"))
    paired = replace(made("binary"), data={"columns": {"text": "a", "pair": "b"}})
    assert "text_pair" in model_card(paired)
