"""Retrieval data in the BEIR layout: a folder with documents, queries, and which documents answer which query.

``corpus.jsonl`` (``_id``, ``title``, ``text``), ``queries.jsonl`` (``_id``, ``text``), and ``qrels/SPLIT.tsv`` or ``qrels.tsv``
(query id, document id, score; with a header, or in TREC's four columns without). Source: Thakur et al. 2021, "BEIR".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.builtin import builtin_folder
from tunesmith.data.cells import clip, is_missing, is_number, listed
from tunesmith.data.pairs.retrieval import Judgements, Retrieval
from tunesmith.data.readers.read import place_of, read_file
from tunesmith.data.table import Table
from tunesmith.errors import DataError

SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".tsv", ".parquet")
IDS = ("_id", "id", "doc_id", "query_id")
LAYOUT = "A retrieval folder has corpus.jsonl (_id, title, text), queries.jsonl (_id, text) and qrels/test.tsv or qrels.tsv."


def read_beir(folder: Path, split: str | None = None) -> Retrieval:
    """The retrieval data of a folder.

    Args:
        split: which file of ``qrels`` to judge by; test, or the only one there is, when not said.

    Raises:
        DataError: a file or column is missing, an id stands twice, a judgement names an unknown id, no query has a relevant
            document. The message names file and line.
    """
    if not folder.is_dir():
        raise DataError.one(str(folder), "there is no such folder.", LAYOUT)
    qrels, split = qrels_file(folder, split)
    corpus, asked = (read_file(one_file(folder, name), str(folder / name)) for name in ("corpus", "queries"))
    document_ids, query_ids = ids_of(corpus), ids_of(asked)
    documents, queries = texts_of(corpus, title=True), texts_of(asked, title=False)
    pairs = judged_pairs(read_file(qrels, str(qrels)))
    found = resolved(pairs, query_ids, document_ids, str(qrels))
    relevant = found[2] > 0
    if not relevant.any():
        raise DataError.one(str(qrels), "no query has a relevant document.", "A relevant document has a score above 0.")
    used, query = np.unique(found[0][relevant], return_inverse=True)
    judgements = Judgements(query, found[1][relevant].astype(np.int64), found[2][relevant], len(used), len(documents))
    chosen = used.astype(int).tolist()
    return Retrieval(
        str(folder), split, tuple(document_ids), documents, tuple(query_ids[i] for i in chosen),
        tuple(queries[i] for i in chosen), judgements, left_out(query_ids, found[0], used, split),
    )  # fmt: skip


def beir_folder(name: str, base: Path) -> Path:
    """Where a folder is: built in, beside the recipe, or in the current folder."""
    return builtin_folder(name) if name.startswith("builtin:") else place_of(name, base)


def is_beir(folder: Path) -> bool:
    """Whether a folder holds documents and queries in this layout."""
    return folder.is_dir() and all(any((folder / f"{name}{s}").is_file() for s in SUFFIXES) for name in ("corpus", "queries"))


def judged_pairs_table(folder: Path, split: str) -> Table:
    """The queries of a split's judgements with the documents that answer them, a row each: columns ``query`` and ``document``."""
    data = read_beir(folder, split)
    pairs = list(zip(data.judgements.query.tolist(), data.judgements.document.tolist(), strict=True))
    columns = {"query": [data.queries[q] for q, _ in pairs], "document": [data.documents[d] for _, d in pairs]}
    return Table(str(folder), columns, list(range(len(pairs))), rows_read=len(pairs))


def one_file(folder: Path, name: str) -> Path:
    """The file of that name in whichever format. Raises DataError where there is none."""
    for suffix in SUFFIXES:
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    raise DataError.one(str(folder), f"there is no {name}.jsonl.", LAYOUT)


def qrels_file(folder: Path, split: str | None) -> tuple[Path, str]:
    """The file with the judgements, and its split's name."""
    files = {path.stem: path for path in sorted((folder / "qrels").glob("*.tsv"))}
    if not files and (folder / "qrels.tsv").is_file():
        if split not in (None, "test"):
            raise DataError.one(str(folder), f"it has judgements in qrels.tsv only, none for {split}.", "Leave the split out.")
        return folder / "qrels.tsv", "test"
    if not files:
        raise DataError.one(str(folder), "there are no judgements.", LAYOUT)
    chosen = split or ("test" if "test" in files else next(iter(files)) if len(files) == 1 else None)
    if chosen is None or chosen not in files:
        what = f"there is no qrels/{chosen or 'test'}.tsv."
        raise DataError.one(str(folder), what, f"There is: {listed(files)}. Say which with --split.")
    return files[chosen], chosen


def ids_of(table: Table) -> list[str]:
    """The id of every row. Raises DataError where one is missing or stands twice."""
    name = next((name for name in IDS if name in table.columns), None)
    if name is None:
        raise DataError.one(table.source, "there is no column _id.", f"Columns: {listed(table.columns)}.")
    ids: list[str] = []
    first: dict[str, int] = {}
    for i, cell in enumerate(table.columns[name]):
        if is_missing(cell):
            raise DataError.one(f"{table.source}, {table.place(i)}", "the _id is missing.")
        ids.append(str(cell))
        if ids[i] in first:
            message = f"the _id {clip(cell)} stands there a second time, after {table.place(first[ids[i]])}."
            raise DataError.one(f"{table.source}, {table.place(i)}", message, "Every id may stand once; remove one or rename it.")
        first[ids[i]] = i
    return ids


def texts_of(table: Table, *, title: bool) -> tuple[str, ...]:
    """Each row's text, after its title where it has one. Raises DataError where there is no text at all."""
    if "text" not in table.columns:
        raise DataError.one(table.source, "there is no column text.", f"Columns: {listed(table.columns)}.")
    titles = table.columns.get("title") if title else None
    parts: list[Sequence[Any]] = [titles, table.columns["text"]] if titles else [table.columns["text"]]
    texts = tuple(" ".join(str(cell).strip() for cell in cells if not is_missing(cell)) for cells in zip(*parts, strict=True))
    if not title:
        for i, text in enumerate(texts):
            if not text:
                raise DataError.one(f"{table.source}, {table.place(i)}", "the query has no text.", "Remove it or fill it in.")
    return texts


def judged_pairs(table: Table) -> tuple[list[str], list[str], list[float], list[str]]:
    """Query ids, document ids, scores and places of the judgements; three columns, or TREC's four."""
    columns = list(table.columns.values())
    if not table.has_header and len(columns) == 4:
        columns = [columns[0], columns[2], columns[3]]
    if len(columns) != 3:
        message = f"it has {len(columns)} columns."
        raise DataError.one(table.source, message, "Judgements are query id, document id, score, parted by tabs.")
    scores, places = columns[2], [table.place(i) for i in range(len(table))]
    for place, score in zip(places, scores, strict=True):
        if not is_number(score):
            raise DataError.one(f"{table.source}, {place}", f"the score {clip(score)} is no number.")
    return [str(cell) for cell in columns[0]], [str(cell) for cell in columns[1]], [float(s) for s in scores], places


def resolved(
    pairs: tuple[list[str], list[str], list[float], list[str]], query_ids: Sequence[str], document_ids: Sequence[str], source: str
) -> np.ndarray:
    """(3, J): positions of query and document and the score of every judgement."""
    place_of = [{name: i for i, name in enumerate(ids)} for ids in (query_ids, document_ids)]
    for kind, known, said in zip(("query", "document"), place_of, pairs[:2], strict=True):
        missing = [(name, place) for name, place in zip(said, pairs[3], strict=True) if name not in known]
        if missing:
            name, place = missing[0]
            file = "queries" if kind == "query" else "corpus"
            message = f"there is no {kind} {clip(name)} in {file}; {len(missing):,} judgements name one that is not there."
            raise DataError.one(f"{source}, {place}", message, f"Add it to {file}, or remove the line.")
    found = np.array(
        [[place_of[0][q] for q in pairs[0]], [place_of[1][d] for d in pairs[1]], pairs[2]], dtype=np.float64
    ).reshape(3, -1)
    twice = duplicates(found)
    if twice is not None:
        message = f"the document {clip(pairs[1][twice])} is judged for the query {clip(pairs[0][twice])} a second time."
        raise DataError.one(f"{source}, {pairs[3][twice]}", message, "Keep one of the lines.")
    return found


def duplicates(found: np.ndarray) -> int | None:
    """The first judgement of a pair that was judged before; None where there is none."""
    _, first, of_pair = np.unique(found[:2], axis=1, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[of_pair.ravel()] != np.arange(found.shape[1]))
    return int(again[0]) if len(again) else None


def left_out(query_ids: Sequence[str], judged: np.ndarray, used: np.ndarray, split: str) -> tuple[str, ...]:
    """Which queries are not measured, and why."""
    with_score_0 = np.setdiff1d(judged, used).astype(int).tolist()
    n_unjudged = len(query_ids) - len(np.unique(judged))
    notes = []
    if n_unjudged:
        notes.append(f"{n_unjudged:,} queries have no judgement in {split} and are not measured")
    if with_score_0:
        names = listed([query_ids[i] for i in with_score_0], 5)
        notes.append(f"{len(with_score_0):,} queries have no relevant document and are not measured: {names}")
    return tuple(notes)
