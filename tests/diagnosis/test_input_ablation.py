"""Changed inputs: what may be requested, a planted artefact found, the models of a row's own fold, tables, command line."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tunesmith.cli.main import main
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.data.table import Columns, Examples, Labels
from tunesmith.diagnosis.evidence import Diagnosis, Evidence, make_evidence
from tunesmith.diagnosis.input_ablation import (
    AblationRequest,
    InputAblation,
    ablate_inputs,
    ablation_columns,
    ablation_diagnoses,
    embed_examples,
    embed_variant,
    make_ablation_request,
    read_word_list,
    write_tables,
)
from tunesmith.diagnosis.out_of_fold import OutOfFold, out_of_fold
from tunesmith.errors import InputError
from tunesmith.progress import Clock
from tunesmith.recipe.sections import DiagnoseSection

LABELS = Labels("single_label_classification", ("entailment", "contradiction"))
WORDS = ["apple", "river", "stone", "cloud", "green", "seven", "music", "paper", "light", "house", "water", "sugar"]


def pairs(n: int = 80) -> Examples:
    """Pairs in which "nobody" stands in the second text of three quarters of the contradictions, and in nothing else."""
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.permutation(WORDS)[:6]) for _ in range(n)]
    seconds = [" ".join([*draw.permutation(WORDS)[:4], *(["nobody"] if i % 2 and i % 8 != 1 else [])]) for i in range(n)]
    others = {"length": [len(text) % 2 for text in texts], "picture": [None if i < 30 else "p" for i in range(n)]}
    return Examples("train", "", list(range(100, 100 + n)), texts, [i % 2 for i in range(n)], seconds, others=others)


def embed(texts: list[str]) -> np.ndarray:
    """Which words a text has, as its vector."""
    return np.array([[float(word in text.split()) for word in [*WORDS, "nobody"]] for text in texts], dtype=np.float32)


def ablated(rows: Examples, request: AblationRequest, vectors: Any = None) -> tuple[InputAblation, Evidence]:
    """What is found of these rows, as the story finds it."""
    near = near_duplicates(rows.texts, rows.pairs)
    whole = embed_examples(rows, embed) if vectors is None else vectors
    cross_validated = out_of_fold(rows, LABELS, whole, near, 4, keep_models=bool(request.words_of_rows or request.word_lists))
    found = ablate_inputs(request, rows, whole, cross_validated, embed, seed=0, clock=Clock(lambda event: None, {}))
    return found, make_evidence(rows, LABELS, pred_probs=cross_validated.pred_probs, null_log2=found.null_log2)


def test_a_planted_artefact_is_found_in_the_side_that_has_it() -> None:
    found, evidence = ablated(pairs(), AblationRequest(inputs=("pair_only", "text_only", "length")))
    second, first, length = (d.figures["table"][0] for d in ablation_diagnoses(found, evidence, 0, []))
    assert second["accuracy"] > 0.8
    assert second["v_information_bits"] > 0.2
    assert first["v_information_bits"] < 0.1
    assert length["v_information_bits"] < 0.1
    assert first["whole_adds_low"] > 0


def test_each_text_is_embedded_once_and_the_sides_of_a_pair_not_again() -> None:
    seen: list[str] = []

    def counting(texts: list[str]) -> np.ndarray:
        seen.extend(texts)
        return embed(texts)

    rows = replace(pairs(), texts=["same apple"] * 80)
    whole = (embed(rows.texts), embed(rows.pairs or []))
    cross_validated = out_of_fold(rows, LABELS, whole, near_duplicates(pairs().texts), 4)
    clock = Clock(lambda event: None, {})
    ablate_inputs(AblationRequest(inputs=("pair_only", "text_only")), rows, whole, cross_validated, counting, seed=0, clock=clock)
    assert seen == []
    ablate_inputs(
        AblationRequest(inputs=("overlap_only",), trained_null=True), rows, whole, cross_validated, counting, seed=0, clock=clock
    )
    assert sorted(seen) == [" ", " ", "apple"]
    assert "changed inputs" in clock.seconds


def test_the_trained_null_model_is_the_share_of_each_class_in_the_other_folds() -> None:
    rows = replace(pairs(), labels=[int(i < 20) for i in range(79)] + [None])
    found, evidence = ablated(rows, AblationRequest(trained_null=True))
    given, folds = np.array(rows.labels[:79], dtype=int), found.linear.folds
    assert found.null_log2 is not None
    assert found.null_log2[79] == 0
    assert evidence.null_log2 is found.null_log2
    for i in (0, 50):
        rest = given[folds[:79] != folds[i]]
        assert 2 ** found.null_log2[i] == pytest.approx((rest == given[i]).mean(), abs=1e-3)


def test_words_are_left_out_for_the_models_of_the_rows_own_fold() -> None:
    rows = pairs()
    found, evidence = ablated(rows, AblationRequest(words_of_rows=(103, 101)))
    (diagnosis,) = ablation_diagnoses(found, evidence, 0, [])
    table = diagnosis.figures["table"]
    assert {row["row_id"] for row in table} == {101, 103}
    (nobody,) = [row for row in table if row["word"] == "nobody"]
    assert nobody["pvi_change_bits"] == min(row["pvi_change_bits"] for row in table)
    shorter = replace(rows.take([3], "train"), pairs=[(rows.pairs or [])[3].replace(" nobody", "")])
    assert found.linear.models is not None
    own = found.linear.models.pred_probs(shorter, embed_examples(shorter, embed), found.linear.folds[[3]])[0, 1]
    assert nobody["pvi_change_bits"] == pytest.approx(np.log2(own / found.linear.pred_probs[3, 1]), abs=1e-4)


def test_the_fold_of_a_row_is_that_of_its_split() -> None:
    """A split that begins later among all rows is asked with its own folds."""
    rows = pairs()
    found, _ = ablated(rows, AblationRequest(words_of_rows=2))
    part = rows.take(list(range(50, 80)), "test")
    evidence = make_evidence(part, LABELS, pred_probs=found.linear.pred_probs[50:])
    (later,) = ablation_diagnoses(found, evidence, 50, [])
    mixed = replace(
        found, linear=replace(found.linear, folds=np.roll(found.linear.folds, -50), pred_probs=found.linear.pred_probs[50:])
    )
    (alone,) = ablation_diagnoses(mixed, evidence, 0, [])
    assert later.figures["table"] == alone.figures["table"]
    assert len({row["row_id"] for row in later.figures["table"]}) == 2
    assert ablation_diagnoses(replace(found, request=AblationRequest(words_of_rows=(100,))), evidence, 50, []) == []


def test_rows_with_personal_data_are_not_gone_through() -> None:
    found, evidence = ablated(pairs(), AblationRequest(words_of_rows=(103, 105)))
    private = Diagnosis("personal_data", "", reasons={3: "an address"})
    (diagnosis,) = ablation_diagnoses(found, evidence, 0, [private])
    assert {row["row_id"] for row in diagnosis.figures["table"]} == {105}
    assert "1 row with personal data not gone through" in diagnosis.summary


def test_word_lists_are_read_alone_and_replaced_in_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.diagnosis.checks import word_bias

    monkeypatch.setattr(word_bias, "hypernyms", lambda words, lexicon: {"nobody": "person"})
    single = replace(pairs(), texts=pairs().pairs or [], pairs=None)
    found, evidence = ablated(single, AblationRequest(word_lists={"people": ("nobody", "apple")}))
    bias, moved = ablation_diagnoses(found, evidence, 0, [])
    assert "towards contradiction" in bias.summary
    (row,) = moved.figures["table"]
    assert (row["n_rows"], row["n_replaced"], row["n_missing"]) == (30, 1, 1)
    assert row["accuracy_before"] == 1
    assert row["accuracy_after"] < 0.7
    test = replace(evidence, rows=replace(evidence.rows, split="test"))
    assert [d.name for d in ablation_diagnoses(found, test, 0, [])] == ["hypernyms_people"]


class Asking:
    """Models that record the folds they predict."""

    def __init__(self) -> None:
        self.folds: list[int] = []

    def pred_probs(self, rows: Examples, _vectors: np.ndarray, folds: np.ndarray) -> np.ndarray:
        self.folds = folds.tolist()
        return np.full((len(rows), 2), 0.5)

    def mean_pred_probs(self, rows: Examples, _vectors: np.ndarray) -> np.ndarray:
        return np.full((len(rows), 2), 0.5)


def test_replaced_words_are_predicted_by_the_models_of_the_rows_own_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.diagnosis.checks import word_bias

    monkeypatch.setattr(word_bias, "hypernyms", lambda words, lexicon: {"red": "colour"})
    texts = ["red one", "red two", "blue", "red three", "red four"]
    rows = Examples("test", "", list(range(5)), texts, [0, None, 1, 1, 0])
    models = Asking()
    cross_validated = OutOfFold(np.full((8, 2), 0.5), np.array([9, 9, 9, 4, 5, 6, 7, 8]), np.zeros(8, dtype=bool), models)  # type: ignore[arg-type]
    found = InputAblation(
        AblationRequest(word_lists={"colours": ("red",)}), cross_validated, cross_validated.pred_probs, {}, None, embed
    )
    (moved,) = ablation_diagnoses(found, make_evidence(rows, LABELS), 3, [])
    assert moved.figures["table"][0]["n_rows"] == 3
    assert models.folds == [4, 7, 8]


def test_the_vectors_of_one_side_are_used_again() -> None:
    def never(texts: list[str]) -> np.ndarray:
        raise AssertionError(texts)

    sides = (np.zeros((2, 1)), np.ones((2, 1)))
    assert embed_variant("text_only", pairs(2), sides, never) is sides[0]
    assert embed_variant("pair_only", pairs(2), sides, never) is sides[1]


def test_the_tables_hold_all_splits_and_are_there_only_where_something_is(tmp_path: Path) -> None:
    found, evidence = ablated(pairs(), AblationRequest(inputs=("pair_only",), slices=("picture",)))
    diagnoses = ablation_diagnoses(found, evidence, 0, [])
    test = replace(evidence, rows=replace(evidence.rows, split="test"))
    write_tables(tmp_path, [(evidence, diagnoses), (test, diagnoses)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inputs.csv", "slices.csv"]
    with (tmp_path / "slices.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["train", "train", "test", "test"]
    assert {(row["value"], row["n"]) for row in rows} == {("p", "50"), ("(missing)", "30")}
    assert len(rows[0]["mean_pvi_bits"]) <= 12


def test_what_is_not_requested_costs_nothing() -> None:
    def never(texts: list[str]) -> np.ndarray:
        raise AssertionError(texts)

    probs = np.full((3, 2), 0.5)
    cross_validated = OutOfFold(probs, np.arange(3), np.zeros(3, dtype=bool))
    rows, clock = pairs(3), Clock(lambda event: None, {})
    found = ablate_inputs(
        make_ablation_request(DiagnoseSection(), splits(rows), Path()), rows, probs, cross_validated, never, seed=0, clock=clock
    )
    assert ablation_diagnoses(found, make_evidence(rows, LABELS, pred_probs=probs), 0, []) == []
    assert clock.seconds == {}
    assert ablation_columns(DiagnoseSection()) == {}


def splits(rows: Examples, problem_type: str = "single_label_classification") -> LabelledData:
    return LabelledData(rows, None, None, replace(LABELS, problem_type=problem_type), Columns("text"))


def test_the_other_names_and_repeated_ones_become_one() -> None:
    section = DiagnoseSection(inputs=["hypothesis_only", "pair_only", "a+b"], slices=["c", "c"], words_of_rows=[101, 100, 101])
    request = make_ablation_request(section, splits(pairs()), Path())
    assert (request.inputs, request.slices, request.words_of_rows) == (("pair_only", "a+b"), ("c",), (101, 100))
    assert set(ablation_columns(section)) == {"a", "b", "c"}
    assert "pair_only" in ablation_columns(section)["a"]


@pytest.mark.parametrize(
    ("section", "single", "message"),
    [
        ({"inputs": ["hypothesis_only"]}, True, "diagnose.inputs: pair_only needs pairs of texts, and each row has one."),
        ({"word_lists": {"x": ["a"]}}, False, "diagnose.word_lists: a word alone is no pair of texts"),
        ({"words_of_rows": [100, 7, 5]}, False, "diagnose.words_of_rows: train has no usable row 5, 7."),
        ({"word_lists": {"x": []}}, True, "diagnose.word_lists.x: The word list is empty."),
        ({"word_lists": {"x": "nowhere.txt"}}, True, "The word list x cannot be read from nowhere.txt: No such file"),
    ],
)
def test_what_cannot_be_requested_is_refused(section: dict[str, Any], single: bool, message: str, tmp_path: Path) -> None:
    rows = replace(pairs(), pairs=None) if single else pairs()
    with pytest.raises(InputError) as caught:
        make_ablation_request(DiagnoseSection(**section), splits(rows), tmp_path)
    assert message in str(caught.value)


def test_rows_with_several_classes_are_refused() -> None:
    with pytest.raises(InputError, match=r"diagnose.slices: it needs rows with one class each"):
        make_ablation_request(DiagnoseSection(slices=["c"]), splits(pairs(), "multi_label_classification"), Path())


def test_a_word_list_is_a_file_with_a_word_a_line(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# my words\none \n\nin two words\none\n", encoding="utf-8")
    assert read_word_list("x", "list.txt", tmp_path) == ("one", "in two words")
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfone\ntwo\n")
    assert read_word_list("x", "list.txt", tmp_path) == ("one", "two")
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="it is not UTF-8"):
        read_word_list("x", "list.txt", tmp_path)


def test_the_command_line_finds_what_a_part_tells_and_writes_the_tables(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = pairs(63)
    with Path("rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["premise", "hypothesis", "label", "source"])
        for text, pair, label in zip(rows.texts, rows.pairs or [], rows.labels, strict=True):
            writer.writerow([text, pair, LABELS.names[label], "web" if label else "book"])
    overrides = [
        "diagnose.inputs=[hypothesis_only, source, source+premise]",
        "diagnose.slices=[source]",
        "diagnose.words_of_rows=2",
    ]
    columns = ["data.columns.text=premise", "data.columns.pair=hypothesis", "data.columns.label=label"]
    assert main(["diagnose", "rows.csv", "--json", *columns, *overrides, "diagnose.null_model=trained"]) == 0
    result = json.loads(capsys.readouterr().out)
    found = {finding["name"]: finding for finding in result["findings"]}
    assert found["input_pair_only"]["summary"].startswith("The second text alone gives 0.")
    assert "accuracy 1.000" in found["input_source"]["summary"]
    assert found["input_source"]["flagged"] == 63
    assert "On top of source it adds " in found["input_source+premise"]["summary"]
    assert found["words_left_out"]["flagged"] == 2
    assert "PVI without" in found["words_left_out"]["rows"][0]["reason"]
    folder = Path(result["rows"]).parent
    with (folder / "added.csv").open(encoding="utf-8", newline="") as file:
        (added,) = csv.DictReader(file)
    assert (added["input"], added["on_top_of"], added["n"]) == ("source+premise", "source", "63")
    assert float(added["low"]) <= float(added["bits"]) <= float(added["high"]) < 0.05  # the source tells all
    assert "pvi_bits" in pq.read_table(result["rows"]).column_names
    assert {"inputs.csv", "slices.csv", "words.csv"} <= {path.name for path in folder.iterdir()}
    with (folder / "inputs.csv").open(encoding="utf-8", newline="") as file:
        entropy = float(next(csv.DictReader(file))["entropy_bits"])
    prior = np.array([31, 32]) / 63
    assert 1e-5 < entropy + float(prior @ np.log2(prior)) < 0.01  # the trained null model's, a little above the prior's


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "diagnose.inputs=[pair_onyl]",
            "There is no column 'pair_onyl', which the recipe names; the columns are text, label.",
        ),
        ("diagnose.inputs=[pair_onyl]", "Did you mean pair_only?"),
        ("diagnose.slices=[lable]", "Did you mean label?"),
        ("diagnose.words_of_rows=[99]", "train has no usable row 99. Row ids count the data rows of the file from 0."),
        ("diagnose.null_model=trian", "expected prior or trained"),
        ("diagnose.words_of_rows=[-1]", "must be at least 0, found -1"),
    ],
)
def test_bad_input_is_one_clear_message_and_writes_nothing(
    override: str, message: str, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("text,label\n" + "".join(f"row {i},{'xy'[i % 2]}\n" for i in range(9)), encoding="utf-8")
    assert main(["diagnose", "rows.csv", override]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]
