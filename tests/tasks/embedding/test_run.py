"""`train` with task: embedding: the whole run on a tiny model, what it leaves, and what cannot be trained."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.conftest import WORDS
from tunesmith.cli.main import main
from tunesmith.report.recommendation import recommendation
from tunesmith.report.words import main_split
from tunesmith.results import RunResult

THINGS = WORDS[:16]
QUESTIONS = [f"{a} {b} it" for a in THINGS for b in WORDS[16:22]]
ANSWERS = [f"this {b} was {a}" for a in THINGS for b in WORDS[16:22]]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, columns: dict[str, list[Any]]) -> str:
    with Path(name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return name


def recipe(model: Path | str, text: str) -> str:
    Path("recipe.yaml").write_text(f"task: embedding\nmodel: {{name: '{model}'}}\noutput: runs/e\n{text}\n", encoding="utf-8")
    return "recipe.yaml"


SHORT = "train: {max_steps: 6, n_evaluations: 2, per_device_train_batch_size: 16, learning_rate: 0.001, dropout: 0.1}"


def beir(folder: str) -> str:
    """Every answer is a document; half of the questions are for training, a quarter for the test."""
    place = Path(folder)
    (place / "qrels").mkdir(parents=True)
    for name, texts in (("corpus", ANSWERS), ("queries", QUESTIONS)):
        lines = [json.dumps({"_id": f"{i}", "text": text}) for i, text in enumerate(texts)]
        (place / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for split, chosen in (("train", range(0, len(QUESTIONS), 2)), ("test", range(1, len(QUESTIONS), 4))):
        (place / "qrels" / f"{split}.tsv").write_text("\n".join(f"{i}\t{i}\t1" for i in chosen) + "\n", encoding="utf-8")
    return folder


def test_a_run_on_a_retrieval_folder_leaves_its_evidence(tiny_model: Path, capsys) -> None:
    folder = beir("questions")
    sizes = "embedding: {matryoshka_dimensions: [8]}"
    words = [recipe(tiny_model, f"data: {{train: {folder}}}\nevaluate: {{retrieval: {folder}}}\n{sizes}\n{SHORT}"), "--json"]
    assert main(["train", *words]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {metric["split"] for metric in result["metrics"]} == {"validation", "retrieval"}
    assert {v["against"] for v in result["verdicts"] if v["metric"] == "ndcg@10"} == {"untuned", "tfidf", "bm25"}
    assert {v["against"] for v in result["verdicts"] if v["metric"] == "ndcg@10 dim=8"} == {"untuned"}
    assert result["training"]["loss"] == "MultipleNegativesRankingLoss"
    assert result["training"]["batch_sampler"] == "no_duplicates"
    assert all(certificate["passed"] for certificate in result["certificates"])
    assert {"before", "after"} <= result["training"]["geometry"]["retrieval"].keys()
    assert RunResult.load(Path("runs/e/result.json")).metric("ndcg@10", "retrieval").n == 24
    table = pq.read_table("runs/e/predictions.parquet").to_pydict()
    assert sum(split == "retrieval" for split in table["split"]) == 24
    heat = json.loads(Path("runs/e/heat_map.json").read_text(encoding="utf-8"))
    assert len(heat["texts"]) == len(heat["before"]) == len(heat["after"]) == 10
    assert np.allclose(np.diag(heat["after"]), 1, atol=1e-3)
    assert result["data"]["test_looks"]["count"] == 1
    assert main(["evaluate", "runs/e", "--retrieval", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["test_looks"]["count"] == 2


@pytest.mark.parametrize(("metric", "split"), [("ndcg@10", "retrieval"), ("spearman", "test")])
def test_the_split_that_leads_is_the_search_or_the_one_with_the_requested_metric(
    metric: str, split: str, tiny_model: Path, capsys
) -> None:
    scores = [i % 5 for i in range(len(QUESTIONS))]
    test = write("test.csv", {"sentence1": QUESTIONS, "sentence2": ANSWERS, "score": scores})
    settings = (
        f"data: {{train: {beir('questions')}, test: {test}}}\nevaluate: {{retrieval: questions, metric: {metric}}}\n{SHORT}"
    )
    assert main(["train", recipe(tiny_model, settings)]) == 0
    printed, result = capsys.readouterr().out, RunResult.load(Path("runs/e/result.json"))
    assert result.verdicts[0].split == main_split(result) == split
    assert recommendation(result).sentence[:60] in printed
    assert f"{metric} on {split}".lower() in printed.lower()


def test_what_was_saved_is_what_was_evaluated(tiny_model: Path, capsys) -> None:
    write("pairs.csv", {"anchor": QUESTIONS, "positive": ANSWERS})
    test = write("test.csv", {"anchor": QUESTIONS[::3], "positive": ANSWERS[::3]})
    text = f"data: {{train: pairs.csv, test: {test}}}\nevaluate: {{corpus: split}}\n{SHORT}"
    assert main(["train", recipe(tiny_model, text), "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    saved, base = (json.loads((folder / "tokenizer.json").read_text()) for folder in (Path("runs/e/model"), tiny_model))
    assert saved["padding"] == base["padding"]
    assert any(finding["name"] == "leakage_test" for finding in trained["findings"])
    assert main(["evaluate", "runs/e/model", test, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    ours = {m["name"]: m["value"] for m in trained["metrics"] if m["split"] == "test"}
    assert {m["name"]: m["value"] for m in again["metrics"]} == pytest.approx(ours, abs=0.02)
    assert main(["embed", "runs/e", test, "--text", "anchor", "--output", "vectors.npy"]) == 0


def test_seeds_and_adapters(tiny_model: Path, capsys) -> None:
    write("pairs.csv", {"anchor": QUESTIONS, "positive": ANSWERS})
    more = "adapter: {method: lora, r: 4}"
    settings = SHORT.replace("max_steps: 6", "max_steps: 3, n_seeds: 2")
    assert main(["train", recipe(tiny_model, f"data: {{train: pairs.csv}}\n{more}\n{settings}"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["training"]["seeds"] == [0, 1]
    assert "2 seeds" in result["metrics"][0]["interval"]
    assert not Path("runs/e/model/adapter_config.json").exists()
    assert main(["evaluate", "runs/e/model", "pairs.csv"]) == 0


def test_labelled_texts_are_measured_by_the_same_triplets_before_and_after(tiny_model: Path, capsys) -> None:
    rows = {"text": [*QUESTIONS, *ANSWERS], "topic": ["ask"] * len(QUESTIONS) + ["tell"] * len(ANSWERS)}
    settings = f"data: {{train: {write('rows.csv', rows)}}}\nevaluate: {{metric: triplet_accuracy}}\n{SHORT}"
    assert main(["check", recipe(tiny_model, settings)]) == 0
    assert "triplets of validation" in capsys.readouterr().out
    assert main(["train", "recipe.yaml", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["training"]["best_metric"]["name"] == "triplet_accuracy"
    (metric,) = [m for m in result["metrics"] if m["name"] == "triplet_accuracy"]
    (verdict,) = [v for v in result["verdicts"] if v["metric"] == "triplet_accuracy" and v["against"] == "untuned"]
    (before,) = [b for b in result["baselines"] if b["name"] == "untuned"]
    (value,) = [m["value"] for m in before["metrics"] if m["name"] == "triplet_accuracy"]
    assert verdict["difference"] == pytest.approx(metric["value"] - value)
    assert metric["n_clusters"] < metric["n"] == verdict["n"]


def test_files_of_one_shape_become_one_table(tiny_model: Path, capsys) -> None:
    write("first.csv", {"premise": QUESTIONS, "hypothesis": ANSWERS, "label": ["entailment", "neutral", "-1"] * 32})
    write("second.csv", {"sentence1": ANSWERS, "sentence2": QUESTIONS, "gold_label": ["Entailment", "contradiction"] * 48})
    data = "data: {train: first.csv, also: [second.csv]}"
    assert main(["train", recipe(tiny_model, f"{data}\nembedding: {{loss: SoftmaxLoss}}\n{SHORT}"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    splits = result["data"]["splits"]
    assert splits["train"]["rows"] + splits["validation"]["rows"] == 64 + 96
    assert splits["train"]["dropped"] == {"labelled -1": 32}
    assert any("second.csv: its rows follow from row 96 on" in note for note in result["data"]["notes"])


def test_texts_alone_are_evaluated_on_pairs_of_the_same_columns(tiny_model: Path, capsys) -> None:
    columns = {"sentence1": QUESTIONS, "sentence2": ANSWERS, "score": [i % 6 for i in range(len(QUESTIONS))]}
    for name in ("train.csv", "dev.csv"):
        write(name, columns)
    text = (
        "data: {train: train.csv, validation: dev.csv, columns: {text: sentence1}}\nembedding: {loss: DenoisingAutoEncoderLoss}"
    )
    assert main(["train", recipe(tiny_model, f"{text}\n{SHORT}"), "--json"]) == 0
    splits = json.loads(capsys.readouterr().out)["data"]["splits"]
    assert (splits["train"]["shape"], splits["validation"]["shape"]) == ("single_text", "scored_pair")


def untuned_value(result: RunResult, name: str) -> float:
    untuned = next(system for system in result.baselines if system.name == "untuned")
    value = next(metric.value for metric in untuned.metrics if (metric.name, metric.split) == (name, "test"))
    assert value is not None
    return value


def test_pairs_are_searched_among_the_texts_of_all_splits(tiny_model: Path, capsys) -> None:
    write("pairs.csv", {"question": QUESTIONS, "answer": ANSWERS})
    text = f"data: {{train: pairs.csv, test: 0.25}}\n{SHORT}"
    assert main(["train", recipe(tiny_model, text), "--json"]) == 0
    result = RunResult.from_json(json.loads(capsys.readouterr().out))
    assert any("test: each second text is searched among 96 texts: 24 of test" in note for note in result.data["notes"])
    assert main(["train", recipe(tiny_model, text), "evaluate.corpus=split", "output=runs/split", "--json"]) == 0
    alone = RunResult.from_json(json.loads(capsys.readouterr().out))
    among, apart = (untuned_value(one, "mrr@10") for one in (result, alone))
    assert among < apart
    write("texts.csv", {"text": [f"{a} of {b} again" for a in WORDS for b in WORDS[:4]]})
    assert main(["train", recipe(tiny_model, text), "evaluate.corpus=texts.csv", "--smoke"]) == 0
    assert main(["check", recipe(tiny_model, text), "evaluate.corpus=none.csv", "--static"]) == 2
    assert "none.csv" in capsys.readouterr().err


def test_a_test_that_a_baseline_solves_is_an_alarm_with_advice(tiny_model: Path, capsys) -> None:
    columns = {"anchor": QUESTIONS, "positive": QUESTIONS, "negative": ANSWERS}
    write("triplets.csv", columns)
    assert main(["train", recipe(tiny_model, f"data: {{train: triplets.csv, test: 0.25}}\n{SHORT}"), "--json"]) == 0
    result = RunResult.from_json(json.loads(capsys.readouterr().out))
    assert "at the ceiling" in {alarm.name for alarm in result.alarms}
    assert recommendation(result).sentence.startswith(
        "Get a harder test: accuracy on test is 1.000, and that of untuned, tfidf, too"
    )


def test_files_of_other_shapes_have_a_loss_each(tiny_model: Path, capsys) -> None:
    write("first.csv", {"anchor": QUESTIONS, "positive": ANSWERS})
    write("second.csv", {"text": QUESTIONS, "intent": ["a", "b", "c"] * 32})
    data = "data: {train: first.csv, also: [second.csv], columns: {anchor: anchor, positive: positive}}"
    mixed = "embedding: {mix: proportional, losses: {second.csv: BatchHardTripletLoss}}"
    assert main(["train", recipe(tiny_model, f"{data}\n{mixed}\n{SHORT}"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["training"]["also"] == ["BatchHardTripletLoss"]
    assert main(["train", recipe(tiny_model, f"{data}\n{SHORT}"), "--overwrite"]) == 2
    assert "positive pair rows and these labelled text rows; one table has one format" in capsys.readouterr().err
    assert main(["check", recipe(tiny_model, f"{data}\nembedding: {{losses: {{x.csv: TripletLoss}}}}\n{SHORT}")]) == 2
    assert "is not a file of data.also" in capsys.readouterr().err


def test_hard_negatives_are_wrong_answers_near_the_question(tiny_model: Path, capsys) -> None:
    folder = beir("questions")
    more = "embedding: {hard_negatives: {num_negatives: 2, range_max: 20}}"
    words = [recipe(tiny_model, f"data: {{train: {folder}}}\nevaluate: {{retrieval: {folder}}}\n{more}\n{SHORT}"), "--json"]
    assert main(["train", *words]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["data"]["format"] == result["data"]["shape"] == "tuple"
    assert result["data"]["columns"]["texts"] == ["query", "document", "negative_1", "negative_2"]
    assert any("hard negatives each; 0 have too few" in note for note in result["data"]["notes"])
    assert result["training"]["loss"] == "MultipleNegativesRankingLoss"


METHODS = (
    "ia3", "adalora", "vera, r: 4", "loha, r: 4, target_modules: [query, value]", "lora, r: 4, use_dora: true",
    "oft, target_modules: [query, value], oft_block_size: 4",
)  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_methods_of_peft_are_trained_and_merged(tiny_model: Path, method: str) -> None:
    write("pairs.csv", {"anchor": QUESTIONS, "positive": ANSWERS})
    settings = SHORT.replace("max_steps: 6", "max_steps: 3").replace("0.001", "0.05")
    assert main(["train", recipe(tiny_model, f"data: {{train: pairs.csv}}\nadapter: {{method: {method}}}\n{settings}")]) == 0
    result = RunResult.load(Path("runs/e/result.json"))
    assert all(certificate.passed for certificate in result.certificates)
    assert 0 < result.training["n_trainable_parameters"] < result.training["n_parameters"]
    assert not Path("runs/e/model/adapter_config.json").exists()
    assert_adapter_alone_gives_the_vectors(tiny_model)


def assert_adapter_alone_gives_the_vectors(base: Path) -> None:
    """Asserts that ``adapter/``, loaded by peft alone on the base model, gives the vectors of ``model/``."""
    from peft import PeftModel
    from sentence_transformers import SentenceTransformer

    merged, alone = (SentenceTransformer(str(name), device="cpu") for name in ("runs/e/model", base))
    expected, untuned = merged.encode(QUESTIONS), alone.encode(QUESTIONS)
    alone[0].model = PeftModel.from_pretrained(alone[0].model, "runs/e/adapter")
    error = float(np.abs(alone.encode(QUESTIONS) - expected).max())
    assert error < 1e-5
    assert np.abs(untuned - expected).max() > 5 * error
    names = [proof.name for proof in RunResult.load(Path("runs/e/result.json")).certificates]
    assert "the saved adapter on its base model equals the trained model" in names
    assert "the merged model equals the adapter" in names


def test_an_adapter_that_changed_its_base_is_only_saved_merged(tiny_model: Path) -> None:
    write("pairs.csv", {"anchor": QUESTIONS, "positive": ANSWERS})
    settings = SHORT.replace("max_steps: 6", "max_steps: 3")
    assert main(["train", recipe(tiny_model, f"data: {{train: pairs.csv}}\nadapter: {{method: pissa, r: 4}}\n{settings}")]) == 0
    assert not Path("runs/e/adapter").exists()
    assert all(certificate.passed for certificate in RunResult.load(Path("runs/e/result.json")).certificates)


def test_the_terminal_and_the_report_show_the_result(tiny_model: Path, capsys) -> None:
    write("rows.csv", {"sentence1": QUESTIONS, "sentence2": ANSWERS, "score": [i % 5 for i in range(len(QUESTIONS))]})
    assert main(["train", recipe(tiny_model, f"data: {{train: rows.csv}}\n{SHORT}")]) == 0
    output = capsys.readouterr().out
    assert "Spearman" in output
    assert "untuned model" in output
    page = Path("runs/e/report.html").read_text(encoding="utf-8")
    assert "Similarity before and after" in page
    assert "CoSENTLoss" in page
    card = Path("runs/e/model/README.md").read_text(encoding="utf-8")
    assert "library_name: sentence-transformers" in card
    assert "SentenceTransformer(" in card


SCORED: dict[str, list[Any]] = {"sentence1": QUESTIONS, "sentence2": ANSWERS, "score": [i % 6 for i in range(96)]}


def test_a_reranker_is_a_classifier_that_orders_a_search(tiny_model: Path, capsys) -> None:
    folder = beir("questions")
    text = f"data: {{train: {folder}}}\nevaluate: {{retrieval: {folder}}}\nembedding: {{head: cross-encoder, top_k: 5}}\n{SHORT}"
    assert main(["check", recipe(tiny_model, text)]) == 0
    assert main(["train", recipe(tiny_model, text)]) == 0
    result = RunResult.load(Path("runs/e/result.json"))
    assert {v.against for v in result.verdicts if v.split == "retrieval"} == {"first stage", "tfidf", "bm25"}
    first = next(b for b in result.baselines if b.name == "first stage")
    recall = {m.name: m.value for m in first.metrics}["recall@10"]
    assert result.metric("recall@10", "retrieval").value == recall  # five texts in another order are the same ten
    assert result.metric("average_precision", "validation").value is not None
    assert result.data["retrieval"]["top_k"] == 5
    assert result.recipe["embedding"]["head"] == "cross-encoder"
    capsys.readouterr()
    words = [str(tiny_model), "--retrieval", folder, "--rerank", "runs/e", "--top-k", "5", "--json"]
    assert main(["evaluate", *words]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["verdicts"][0]["against"] == str(tiny_model)
    assert again["data"]["test_looks"]["count"] == 2
    assert again["metrics"][0]["value"] == pytest.approx(result.metric("ndcg@10", "retrieval").value, abs=0.02)
    assert main(["evaluate", str(tiny_model), "--retrieval", folder, "--rerank", "nowhere"]) == 2
    assert "there is no such file or folder" in capsys.readouterr().err


def test_a_map_of_labels_reaches_training_and_the_evaluation_of_the_run(tiny_model: Path, capsys) -> None:
    answers, classes = ANSWERS[:48] + ANSWERS[:48], [0] * 48 + [1] * 44 + [2] * 4
    write("nli.csv", {"premise": QUESTIONS[:48] + QUESTIONS[48:], "hypothesis": answers, "label": classes})
    text = "data: {train: nli.csv, validation: 0.3, labels: {0: same, 1: other, 2: null}}\nembedding: {same: same}\n" + SHORT
    assert main(["train", recipe(tiny_model, text)]) == 0
    result = RunResult.load(Path("runs/e/result.json"))
    assert result.data["pair_classes"] == {"classes": ["other", "same"], "same": "same", "different": None}
    dropped = {why: n for split in result.data["splits"].values() for why, n in split["dropped"].items()}
    assert dropped == {"labelled 2, which data.labels maps to null": 4}
    capsys.readouterr()
    assert main(["evaluate", "runs/e", "nli.csv", "--json"]) in (0, 3, 4)
    again = json.loads(capsys.readouterr().out)
    assert again["data"]["rows"] == 92
    assert any("0 is same (48 rows)" in finding["summary"] for finding in again["findings"])


@pytest.mark.parametrize("head", ["vector", "cross-encoder"])
def test_a_tokenizer_can_be_named_for_a_model_without_one(tiny_model: Path, capsys, head: str) -> None:
    bare, folder = Path("bare"), beir("questions")
    shutil.copytree(tiny_model, bare)
    for path in bare.glob("*token*"):
        path.unlink()
    before = {path.name: path.read_bytes() for path in bare.iterdir()}
    text = f"data: {{train: {folder}}}\nevaluate: {{retrieval: {folder}}}\nembedding: {{head: {head}}}\n{SHORT}"
    assert main(["train", recipe("bare", text)]) == 2
    assert "there is no tokenizer in bare: none of tokenizer.json" in capsys.readouterr().err
    values = []
    for name, model in (("named", f"bare', tokenizer: '{tiny_model}"), ("own", tiny_model)):
        assert main(["train", recipe(model, text), f"output=runs/{name}"]) == 0
        values.append(RunResult.load(Path(f"runs/{name}/result.json")).metric("ndcg@10", "retrieval").value)
    assert values[0] == values[1]
    assert {path.name: path.read_bytes() for path in bare.iterdir()} == before
    assert Path("runs/named/model/tokenizer.json").is_file()
    assert "tunesmith-" not in Path("runs/named/model/config.json").read_text()


def test_two_runs_are_compared_on_the_queries_both_were_evaluated_on(tiny_model: Path, capsys) -> None:
    folder = beir("questions")
    for name, rate in (("a", 0.001), ("b", 0.01)):
        settings = f"data: {{train: {folder}}}\nevaluate: {{retrieval: {folder}}}\n{SHORT.replace('0.001', str(rate))}"
        assert main(["train", recipe(tiny_model, settings), f"output=runs/{name}"]) == 0
    capsys.readouterr()
    assert main(["compare", "runs/a", "runs/b", "--json"]) in (0, 3, 4)
    (found,) = json.loads(capsys.readouterr().out)["verdicts"]
    values = [RunResult.load(Path(f"runs/{name}/result.json")).metric("ndcg@10", "retrieval").value for name in "ab"]
    assert found["difference"] == pytest.approx(values[0] - values[1])
    assert (found["split"], found["n"]) == ("retrieval", 24)
    assert main(["compare", "runs/a", "runs/b", "--metric", "mrr@10"]) == 2
    assert "do not both have mrr@10 of their retrieval rows. Both have: ndcg@10." in capsys.readouterr().err


def test_diagnose_reports_that_there_are_no_labels(tiny_model: Path, capsys) -> None:
    write("pairs.csv", {"anchor": QUESTIONS, "positive": ANSWERS})
    assert main(["diagnose", recipe(tiny_model, f"data: {{train: pairs.csv}}\n{SHORT}")]) == 2
    assert "it has no labels, which this command needs: the task is embedding" in capsys.readouterr().err


PAIRS: dict[str, list[Any]] = {"anchor": QUESTIONS, "positive": ANSWERS}
BAD: list[tuple[dict[str, list[Any]], str, str]] = [
    (PAIRS, "embedding: {loss: CoSENTLoss}", "CoSENTLoss does not take these rows: they are two texts that belong together"),
    (PAIRS, "embedding: {loss: TripletLos}", "there is no loss 'TripletLos'. Did you mean TripletLoss?"),
    (PAIRS, "embedding: {loss_options: {scal: 3}}", "MultipleNegativesRankingLoss has no such option. Did you mean scale?"),
    (PAIRS, "embedding: {matryoshka_dimensions: [999]}", "999 dimensions were requested; the vectors have 32"),
    (PAIRS, "evaluate: {metric: spearman}", "these rows are not measured by spearman"),
    (PAIRS, "adapter: {method: prompt_tuning, num_virtual_tokens: 4}", "it adds tokens to every text"),
    (PAIRS, "adapter: {method: houlsby}", "it cannot be merged, and an embedding model is saved whole"),
    (PAIRS, "embedding: {hard_negatives: {num_negatives: 9, range_max: 3}}", "Cannot mine 9 negatives per query"),
    (PAIRS, "embedding: {hard_negatives: {max_score: -0.99}}", "no pair has 1 negative within the range"),
    (SCORED, "embedding: {hard_negatives: {}}", "negatives are mined for pairs that belong together; the rows are scored pair"),
    (PAIRS, "evaluate: {retrieval: nowhere}", "there is no such folder"),
    ({"anchor": [""] * 96, "positive": ANSWERS}, "", "the column 'anchor' has no text in any row"),
    ({**PAIRS, "negative": ANSWERS}, "", "none of 96 rows can be used (96 with a negative equal to the positive)"),
    (
        SCORED, "embedding: {loss: CosineSimilarityLoss}",
        "has the score 5; a cosine lies in -1 to 1. Give the range of the scores, e.g. embedding.score_range: [0, 5]",
    ),
    (
        SCORED, "embedding: {score_range: [0, 4]}",
        "row 5 (line 7): the score 5 is outside 0 to 4.",
    ),
    ({"text": QUESTIONS, "label": ["a"] * 95 + ["b"]}, "",
     "triplets need two classes with two rows each; there are a (85), b (1)"),
    ({"text": QUESTIONS}, "data: {train: rows.csv, columns: {text: text}}", "that is no test of similarity"),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "more", "message"), BAD, ids=[message[:40] for _, _, message in BAD])
def test_what_cannot_be_trained_is_an_error(tiny_model: Path, columns, more: str, message: str, capsys) -> None:
    write("rows.csv", columns)
    data = "" if "data:" in more else "data: {train: rows.csv}\n"
    assert main(["train", recipe(tiny_model, f"{data}{more}\n{SHORT}")]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not Path("runs").exists()


def test_a_classification_recipe_has_no_embedding_keys(tiny_model: Path, capsys) -> None:
    write("rows.csv", {"text": QUESTIONS, "label": ["a", "b"] * 48})
    Path("recipe.yaml").write_text("data: {train: rows.csv}\nembedding: {pooling: cls}\n", encoding="utf-8")
    assert main(["check", "recipe.yaml", "--static"]) == 2
    assert "`embedding` applies only to embedding models and rerankers, and the task is classification" in capsys.readouterr().err


@pytest.mark.parametrize("adapter", ["", "adapter: {method: lora}\n"])
def test_a_model_that_upstream_alone_can_encode_is_trained(tiny_model: Path, adapter: str) -> None:
    """Pooling that leaves out the prompt needs to know where it ends, which a batch of token ids does not say."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    body = Transformer(str(tiny_model))
    pooling = Pooling(body.get_embedding_dimension(), include_prompt=False)
    SentenceTransformer(modules=[body, pooling], prompts={"query": "go "}).save_pretrained("model")
    write("rows.csv", {"query": QUESTIONS, "answer": ANSWERS})
    columns = "{anchor: query, positive: answer}"
    assert main(["train", recipe("model", f"data: {{train: rows.csv, columns: {columns}}}\n{adapter}{SHORT}")]) == 0
    proofs = {proof.name: proof.passed for proof in RunResult.load(Path("runs/e/result.json")).certificates}
    assert proofs["the saved tokenizer gives the tokens of the training"]
    assert all(proofs.values())
    assert not (Path("runs/e/model") / "adapter_model.safetensors").exists()
