"""Paraphrase mining: which pairs count, and figures that are sentence-transformers' own."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tunesmith.cli.main import main
from tunesmith.data.pairs.formats import PairFormat
from tunesmith.data.pairs.rows import EmbeddingRows
from tunesmith.errors import DataError
from tunesmith.evaluation.paraphrase_mining import closed, paraphrase_test, without_itself

TEXTS = [
    f"{what} {thing}" for thing in ("owl", "bee", "river", "engine", "castle") for what in ("the", "what about the", "seven")
]


def rows(kind: str = "positive_pair", target: tuple[str, ...] | None = None) -> EmbeddingRows:
    first, second = TEXTS[::3] + TEXTS[:3], TEXTS[1::3] + TEXTS[3:6]
    shape = PairFormat(kind, ("a", "b"), ("label",) if target else (), "")  # type: ignore[arg-type]
    return EmbeddingRows("test", "rows.csv", tuple(range(8)), shape, (tuple(first), tuple(second)), target)


def test_texts_that_are_linked_through_another_are_pairs() -> None:
    assert closed([(0, 1), (1, 2), (4, 3)], 6).tolist() == [[0, 1], [0, 2], [1, 2], [3, 4]]


def test_pairs_with_another_label_are_texts_and_no_paraphrases() -> None:
    test = paraphrase_test(rows("labelled_pair", ("1",) * 5 + ("0",) * 3))
    assert len(test.texts) == 12
    assert len(test.pairs) == 5
    alone = EmbeddingRows("test", "rows.csv", (0,), rows().format, (("a",), ("a",)))
    with pytest.raises(DataError, match="no two different texts mean the same"):
        paraphrase_test(alone)
    with pytest.raises(DataError, match="the rows are scored pair rows"):
        paraphrase_test(rows("scored_pair"))


def test_a_text_is_no_neighbour_of_itself() -> None:
    assert without_itself(np.array([[0, 1, 2], [2, 1, 0], [0, 1, 3]])).tolist() == [[1, 2], [2, 0], [0, 1]]


def test_figures_are_those_of_upstream() -> None:
    from sentence_transformers.sentence_transformer.evaluation import ParaphraseMiningEvaluator

    from tunesmith.models.embedding.encoder import load_encoder
    from tunesmith.models.source import find_model
    from tunesmith.recipe.sections import ModelSection

    encoder = load_encoder(find_model(ModelSection(name="builtin:minilm"), Path()), fast=False)
    test = paraphrase_test(rows("labelled_pair", ("1",) * 5 + ("0",) * 3))
    ours = test.outputs(test.vectors(encoder), encoder.dimension)
    evaluator = ParaphraseMiningEvaluator(
        {str(i): text for i, text in enumerate(test.texts)}, duplicates_list=[(str(a), str(b)) for a, b in test.pairs.tolist()]
    )
    theirs = evaluator(encoder.model)
    assert ours.figures["mined_average_precision"] == pytest.approx(theirs["average_precision"], abs=1e-6)
    assert ours.figures["mined_best_f1"] == pytest.approx(theirs["f1"], abs=1e-6)


def test_the_command_mines_beside_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    made = rows("labelled_pair", ("1",) * 5 + ("0",) * 3)
    with Path("pairs.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [("question1", "question2", "is_duplicate"), *zip(*made.sides, made.target or (), strict=True)]
        )
    assert main(["evaluate", "builtin:minilm", "pairs.csv", "--mine", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    names = ["map@100", "recall@10", "recall@100", "mined_average_precision", "mined_best_f1"]
    assert [m["name"] for m in result["metrics"]] == names
    assert result["metrics"][0]["low"] is not None
    assert result["metrics"][3]["low"] is None
    assert [v["against"] for v in result["verdicts"]] == ["tfidf"]
