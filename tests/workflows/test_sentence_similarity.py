"""`report --sentences`: the similarities of one's own sentences by several embedding models, with their prompts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tunesmith
from tunesmith.cli.main import main

SENTENCES = ["good film", "bad film", "the food was nice", "we go very sad"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.txt").write_text("\n".join([*SENTENCES, "", SENTENCES[0]]) + "\n", encoding="utf-8")


def test_the_page_has_upstreams_cosines_with_the_models_prompt(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sentence_transformers import SentenceTransformer

    prompted = SentenceTransformer(str(tiny_model), device="cpu", prompts={"query": "it was "}, default_prompt_name="query")
    prompted.save_pretrained("prompted")
    assert main(["report", "--sentences", "mine.txt", str(tiny_model), "prompted", "--output", "page.html", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["notes"] == ["1 row without a text left out", "1 sentence equal to an earlier one left out"]
    page = Path("page.html").read_text(encoding="utf-8")
    for model in (SentenceTransformer(str(tiny_model), device="cpu"), prompted):
        vectors = model.encode(SENTENCES, normalize_embeddings=True)
        for i, j in ((0, 1), (2, 3)):
            cosine = f"{float(vectors[i] @ vectors[j]):.3f}"
            assert f"{i + 1} {SENTENCES[i]} / {j + 1} {SENTENCES[j]}: cosine {cosine}" in page
    assert "prompt &#x27;it was &#x27; before every sentence" in page


def test_python_takes_texts_and_rows_have_a_text_column(tiny_model: Path) -> None:
    page = tunesmith.report(str(tiny_model), "a.html", sentences=SENTENCES)
    assert "the food was nice" in Path(page).read_text(encoding="utf-8")
    Path("rows.csv").write_text("n,said,other\n1,good film,a b\n2,bad film,c d\n", encoding="utf-8")
    assert main(["report", "--sentences", "rows.csv", "--text", "said", str(tiny_model), "--output", "b.html"]) == 0
    assert "bad film" in Path("b.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--sentences", "many.txt", "MODEL", "--output", "x.html"],
            "there are 41 different sentences; the values of at most 40",
        ),
        (["--sentences", "one.txt", "MODEL", "--output", "x.html"], "there is 1 different sentence. Two are the least."),
        (["--sentences", "absent.txt", "MODEL", "--output", "x.html"], "absent.txt"),
        (["--sentences", "mine.txt", "MODEL"], "the page of sentences has no default path. Name the file: --output FILE."),
        (["--sentences", "mine.txt", "MODEL", "--output", "x.md"], "the sentences are shown on an HTML page"),
        (["--sentences", "mine.txt", "MODEL", "--output", "x.html", "--format", "md"], "the format is md"),
        (["--sentences", "mine.txt", "folder", "--output", "x.html"], "folder: it is no embedding model"),
        (["MODEL", "--text", "a"], "--text works only with --sentences"),
    ],
)
def test_what_cannot_be_shown_is_an_error(words: list[str], message: str, tiny_model: Path, capsys) -> None:
    Path("many.txt").write_text("\n".join(f"text {i}" for i in range(41)), encoding="utf-8")
    Path("one.txt").write_text("a b\na b\n", encoding="utf-8")
    Path("folder").mkdir()
    assert main(["report", *[str(tiny_model) if word == "MODEL" else word for word in words]]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not Path("x.html").exists()
