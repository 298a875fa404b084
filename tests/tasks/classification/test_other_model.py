"""Predicts and evaluates by classifiers that another program trained; their predictions are those of transformers' pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tunesmith
from tests.conftest import rows
from tests.finished_models import save_classifier
from tunesmith.cli.main import main
from tunesmith.errors import InputError
from tunesmith.progress import Event
from tunesmith.tasks.classification.other_model import is_other_model
from tunesmith.workflows.predict import predict

ROWS = rows(40)
TEXTS = [row["text"] for row in ROWS]
PAIRS = [row["text"] for row in rows(40, seed=1)]


def pipeline_of(folder: Path, **options: Any) -> Any:
    from transformers import pipeline

    return pipeline("text-classification", model=str(folder), top_k=None, **options)


def probabilities(folder: Path, inputs: list[Any], names: tuple[str, ...]) -> np.ndarray:
    """The pipeline's probabilities (N, K) in the order of the names."""
    answers = [{answer["label"]: answer["score"] for answer in row} for row in pipeline_of(folder)(inputs)]
    return np.array([[row[name] for name in names] for row in answers])


@pytest.mark.parametrize(
    ("names", "config"),
    [(("neg", "pos"), {}), (("c", "a", "b"), {}), (("a", "b", "c"), {"problem_type": "multi_label_classification"})],
)
def test_predictions_are_those_of_the_pipeline(names: tuple[str, ...], config: dict, tiny_model: Path, tmp_path: Path) -> None:
    folder = save_classifier(tmp_path / "model", tiny_model, names, **config)
    predicted = tunesmith.predict(folder, TEXTS)
    expected = probabilities(folder, TEXTS, names)
    np.testing.assert_allclose([row["pred_probs"] for row in predicted], expected, atol=2e-2)
    assert predicted.labels == names
    if config:
        assert predicted.predictions == [[names[i] for i in np.flatnonzero(row >= 0.5)] for row in expected]
    else:
        assert len(set(predicted.predictions)) > 1
        assert predicted.predictions == [names[i] for i in expected.argmax(axis=1)]


def test_pairs_and_numbers_are_those_of_the_pipeline(tiny_model: Path, tmp_path: Path) -> None:
    table = {"premise": TEXTS, "hypothesis": PAIRS}
    inputs = [{"text": a, "text_pair": b} for a, b in zip(TEXTS, PAIRS, strict=True)]
    pairs = save_classifier(tmp_path / "pairs", tiny_model, ("no", "yes"))
    predicted = tunesmith.predict(pairs, table, columns={"text": "premise", "pair": "hypothesis"})
    np.testing.assert_allclose(predicted.probabilities.to_numpy(), probabilities(pairs, inputs, ("no", "yes")), atol=2e-2)
    numbers, notes = save_classifier(tmp_path / "numbers", tiny_model, num_labels=1), []
    scored = tunesmith.predict(numbers, TEXTS, listener=notes.append)
    answers = [row[0]["score"] for row in pipeline_of(numbers, function_to_apply="none")(TEXTS)]
    np.testing.assert_allclose(scored.predictions, answers, rtol=2e-2, atol=5e-2)
    assert any("read as a regression" in str(event) for event in notes)


@pytest.mark.parametrize("pad_token", ["[PAD]", None])
def test_a_decoder_reads_the_last_token_of_a_padded_batch(pad_token: str | None, tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2ForSequenceClassification

    torch.manual_seed(0)
    sizes = {"vocab_size": 45, "n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 64}
    model = GPT2ForSequenceClassification(GPT2Config(**sizes, num_labels=3, pad_token_id=44)).eval()
    torch.nn.init.normal_(model.score.weight, std=1)
    model.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    expected = []
    for text in TEXTS:  # one by one, without padding
        with torch.no_grad():
            expected.append(model(input_ids=torch.tensor([tokenizer(text)["input_ids"]])).logits.softmax(-1)[0].tolist())
    tokenizer.pad_token = pad_token
    tokenizer.save_pretrained(tmp_path)
    predicted = tunesmith.predict(tmp_path, TEXTS)
    np.testing.assert_allclose([row["pred_probs"] for row in predicted], expected, atol=2e-2)


def test_evaluation_matches_classes_by_name_whatever_their_order(tiny_model: Path, tmp_path: Path) -> None:
    accuracy = {}
    for names in (("neg", "pos"), ("pos", "neg"), ("NEG", "Pos")):
        folder = save_classifier(tmp_path / "-".join(names), tiny_model, names)
        result = tunesmith.evaluate(folder, ROWS)
        expected = [names[i].lower() for i in probabilities(folder, TEXTS, names).argmax(axis=1)]
        accuracy[names] = result.metric("accuracy").value
        assert accuracy[names] == np.mean([a == row["label"] for a, row in zip(expected, ROWS, strict=True)])
    assert accuracy["neg", "pos"] == accuracy["NEG", "Pos"] == 1 - accuracy["pos", "neg"] != 0.5


def test_classes_without_names_need_a_map_in_both_languages(
    tiny_model: Path, tmp_path: Path, write_csv, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, file = save_classifier(tmp_path / "model", tiny_model), write_csv(ROWS)
    assert main(["evaluate", str(folder), str(file)]) == 2
    error = capsys.readouterr().err
    assert "LABEL_0, LABEL_1" in error
    assert "neg, pos" in error
    assert "--labels '{LABEL_0: NAME" in error
    assert main(["evaluate", str(folder), str(file), "--labels", "{LABEL_0: pos, LABEL_1: neg}", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)["metrics"][0]["value"]
    swapped = tunesmith.evaluate(folder, ROWS, labels={"LABEL_0": "neg", "LABEL_1": "pos"})
    assert value == pytest.approx(1 - swapped.metric("accuracy").value)
    numbers = [{"text": row["text"], "label": int(row["label"] == "neg")} for row in ROWS]
    assert tunesmith.evaluate(folder, numbers).metric("accuracy").value == value
    assert main(["predict", str(folder), str(file), "--labels", "{LABEL_0: pos, LABEL_1: neg}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == ["pos", "neg"]


@pytest.mark.parametrize(
    "labels", [[{"text": "good", "label": "maybe"}], [{"text": "good", "label": "x"}, {"text": "b", "label": "y"}]]
)
def test_labels_that_do_not_fit_are_refused(labels: list, tiny_model: Path, tmp_path: Path) -> None:
    folder = save_classifier(tmp_path / "model", tiny_model, ("neg", "pos"))
    with pytest.raises(InputError, match="it has 2 classes, neg, pos; "):
        tunesmith.evaluate(folder, [*ROWS, *labels])


def test_long_rows_are_truncated_and_counted(tiny_model: Path, tmp_path: Path) -> None:
    folder, notes = save_classifier(tmp_path / "model", tiny_model, ("neg", "pos")), list[Event]()
    predict(folder, [*TEXTS, "good " * 100, "bad " * 63], listener=notes.append)
    assert any("2 of 42 rows were truncated at 64 tokens" in event.text for event in notes if event.kind == "note")


def test_a_tokenizer_can_be_named_and_has_to_fit(tiny_model: Path, tmp_path: Path) -> None:
    whole = save_classifier(tmp_path / "whole", tiny_model, ("neg", "pos"))
    bare = save_classifier(tmp_path / "bare", tiny_model, ("neg", "pos"), tokenizer=False)
    small = save_classifier(tmp_path / "small", tiny_model, ("neg", "pos"), tokenizer=False, vocab_size=40)
    with pytest.raises(InputError, match=r"there is no tokenizer in .*bare: none of tokenizer.json.*model.tokenizer: NAME"):
        tunesmith.predict(bare, TEXTS)
    assert tunesmith.predict(bare, TEXTS, tokenizer=tiny_model) == tunesmith.predict(whole, TEXTS)
    with pytest.raises(InputError, match=r"its ids go up to 44, and the embedding of .*small has 40 rows"):
        tunesmith.predict(small, TEXTS, tokenizer=tiny_model)
    with pytest.raises(InputError, match="there is no tokenizer in"):
        tunesmith.predict(whole, TEXTS, tokenizer=bare)


def test_a_run_refuses_settings_of_other_models(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a run has its own labels"):
        tunesmith.predict(tmp_path / "runs", TEXTS, labels={"a": "b"})
    assert not is_other_model(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"), [("builtin:minilm", "an embedding model"), ("builtin:pocket", "tunesmith generate")]
)
def test_other_kinds_of_models_name_their_verbs(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tunesmith.predict(name, TEXTS)


def test_a_body_has_no_labels(tiny_model: Path) -> None:
    with pytest.raises(InputError, match=r"without a classification head \(BertModel\)"):
        tunesmith.predict(tiny_model, TEXTS)


def test_weights_without_a_head_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = save_classifier(tmp_path / "model", tiny_model, ("neg", "pos"))
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: w for name, w in weights.items() if "classifier" not in name}, folder / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(InputError, match=r"lack 2 weights of the trained model: classifier.bias, classifier.weight"):
        tunesmith.predict(folder, TEXTS)


@pytest.mark.parametrize("task_type", ["SEQ_CLS", None])
def test_an_adapter_of_peft_predicts_as_in_memory(task_type: str | None, tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    names = ("one", "two", "three") if task_type is None else ("LABEL_0", "LABEL_1", "LABEL_2")
    base = save_classifier(tmp_path / "base", tiny_model, ("one", "two", "three")) if task_type is None else tiny_model
    torch.manual_seed(1)
    body: Any = AutoModelForSequenceClassification.from_pretrained(base, num_labels=3)
    model: Any = get_peft_model(body, LoraConfig(task_type=task_type, target_modules=["query"], init_lora_weights=False)).eval()
    if task_type is not None:
        torch.nn.init.normal_(model.base_model.model.classifier.modules_to_save.default.weight, std=2)
    model.save_pretrained(tmp_path / "adapter")
    inputs = AutoTokenizer.from_pretrained(tiny_model)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(**inputs).logits.softmax(-1).numpy()
    predicted = tunesmith.predict(tmp_path / "adapter", TEXTS)
    np.testing.assert_allclose([row["pred_probs"] for row in predicted], expected, atol=2e-2)
    assert predicted.labels == names


def test_an_adapter_of_another_task_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    settings = {"task_type": "CAUSAL_LM", "base_model_name_or_path": str(tiny_model), "peft_type": "LORA"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match="for another task"):
        tunesmith.predict(tmp_path, TEXTS)
