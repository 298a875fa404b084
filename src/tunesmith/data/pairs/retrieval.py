"""Defines retrieval data (documents, queries and relevance judgements), and reads a folder in the BEIR layout.

``corpus.jsonl`` (``_id``, ``title``, ``text``), ``queries.jsonl`` (``_id``, ``text``), and ``qrels/SPLIT.tsv`` or ``qrels.tsv``
(query id, document id, score; with a header, or in TREC's four columns without). Source: Thakur et al. 2021, "BEIR".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import clip, is_missing, is_number, listed, plural
from tunesmith.data.readers.read import builtin_folder, read_file, resolve_path
from tunesmith.data.split import spread_positions
from tunesmith.data.table import Table
from tunesmith.errors import DataError

NO_DOCUMENT = -1
"""Fills up a ranking with fewer documents than positions."""
SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".tsv", ".parquet")
IDS = ("_id", "id", "doc_id", "query_id")
LAYOUT = "A retrieval folder has corpus.jsonl (_id, title, text), queries.jsonl (_id, text) and qrels/test.tsv or qrels.tsv."


@dataclass(frozen=True)
class Judgements:
    """The relevance of documents to queries, one entry a pair; every query has at least one relevant document.

    Attributes:
        query: (J,) positions of queries.
        document: (J,) positions of documents.
        gain: (J,) relevance, above 0.
    """

    query: Array
    document: Array
    gain: Array
    n_queries: int
    n_documents: int

    def n_relevant(self) -> Array:
        """Counts the relevant documents of each query (Q,)."""
        return np.bincount(self.query, minlength=self.n_queries)

    def gains_at(self, ranked: Array) -> Array:
        """Looks up the gain of each ranked document (Q, k); 0 if it is not relevant or is ``NO_DOCUMENT``."""
        judged = self.query.astype(np.int64) * self.n_documents + self.document
        order = np.argsort(judged)
        judged, gains = judged[order], self.gain[order]
        pairs = np.arange(self.n_queries)[:, None] * self.n_documents + ranked.astype(np.int64)
        position = np.minimum(np.searchsorted(judged, pairs), len(judged) - 1)
        return np.where((judged[position] == pairs) & (ranked != NO_DOCUMENT), gains[position], 0.0)


@dataclass(frozen=True)
class Retrieval:
    """Documents, the evaluated queries, and their relevant documents.

    Attributes:
        documents: (D) title and text of each document.
        queries: (Q) queries with a relevant document.
        split: the name of the judgements' file: ``test``, ``dev``; ``test`` for ``qrels.tsv``.
        notes: the queries that are left out, as sentences for the user.
    """

    source: str
    split: str
    document_ids: tuple[str, ...]
    documents: tuple[str, ...]
    query_ids: tuple[str, ...]
    queries: tuple[str, ...]
    judgements: Judgements
    notes: tuple[str, ...] = ()


def read_beir(folder: Path, split: str | None = None) -> Retrieval:
    """Reads the retrieval data of a folder.

    Args:
        split: the file of ``qrels`` to evaluate on; None: test, or the only file.
    """
    if not folder.is_dir():
        raise DataError.one(str(folder), "there is no such folder.", LAYOUT)
    qrels, split = qrels_file(folder, split)
    tables = []
    for name in ("corpus", "queries"):
        files = [folder / f"{name}{suffix}" for suffix in SUFFIXES if (folder / f"{name}{suffix}").is_file()]
        if not files:
            raise DataError.one(str(folder), f"there is no {name}.jsonl.", LAYOUT)
        tables.append(read_file(files[0], str(folder / name)))
    corpus, query_table = tables
    document_ids, query_ids = read_ids(corpus), read_ids(query_table)
    documents, queries = read_texts(corpus, title=True), read_texts(query_table, title=False)
    judged = read_judgements(read_file(qrels, str(qrels)), query_ids, document_ids)
    if not (judged[2] > 0).any():
        raise DataError.one(str(qrels), "no query has a relevant document.", "A relevant document has a score above 0.")
    search = judged_search(str(folder), split, (document_ids, documents), (query_ids, queries), judged)
    return replace(search, notes=(*reading_notes(corpus), *reading_notes(query_table), *search.notes))


def judged_search(
    source: str,
    split: str,
    documents: tuple[Sequence[str], Sequence[str]],
    queries: tuple[Sequence[str], Sequence[str]],
    judged: Array,
) -> Retrieval:
    """Keeps the queries with a relevant document; the notes describe the others.

    Args:
        documents, queries: their ids and their texts.
        judged: (3, J) positions of query and document, and score; at least one score is above 0.
    """
    (document_ids, document_texts), (query_ids, query_texts) = documents, queries
    query, document, score = judged
    relevant = score > 0
    used, relevant_query = np.unique(query[relevant], return_inverse=True)
    evaluated = used.astype(int).tolist()
    return Retrieval(
        source=source,
        split=split,
        document_ids=tuple(document_ids),
        documents=tuple(document_texts),
        query_ids=tuple(query_ids[i] for i in evaluated),
        queries=tuple(query_texts[i] for i in evaluated),
        judgements=Judgements(
            relevant_query, document[relevant].astype(np.int64), score[relevant], len(used), len(document_texts)
        ),
        notes=left_out_notes(query_ids, query, used, split),
    )


def reading_notes(table: Table) -> Iterator[str]:
    """Describes the rows that were not read, or were repaired, by reason."""
    counts = Counter((row.reason, row.dropped) for row in table.bad_rows)
    for (reason, dropped), n in counts.items():
        first = next(row.row_id for row in table.bad_rows if row.reason == reason)
        yield f"{plural(n, 'row')} of {table.source} {'not read' if dropped else 'repaired'}: {reason} (first: row {first})."


def beir_folder(name: str, base: Path) -> Path:
    """Returns the path of a folder: built in, beside the recipe, or in the current folder."""
    return builtin_folder(name) if name.startswith("builtin:") else resolve_path(name, base)


def qrels_file(folder: Path, split: str | None) -> tuple[Path, str]:
    """Finds the file with the judgements, and the name of its split."""
    files = {path.stem: path for path in sorted((folder / "qrels").glob("*.tsv"))}
    if not files and (folder / "qrels.tsv").is_file():
        if split not in (None, "test"):
            raise DataError.one(str(folder), f"it has judgements in qrels.tsv only, none for {split}.", "Remove the split.")
        return folder / "qrels.tsv", "test"
    if not files:
        raise DataError.one(str(folder), "there are no judgements.", LAYOUT)
    chosen = split or ("test" if "test" in files else next(iter(files)) if len(files) == 1 else None)
    if chosen is None or chosen not in files:
        message = f"there is no qrels/{chosen or 'test'}.tsv."
        raise DataError.one(str(folder), message, f"Name one of these splits: {listed(files)}.")
    return files[chosen], chosen


def read_ids(table: Table) -> list[str]:
    """Reads the id of every row. Raises DataError if one is missing or occurs twice."""
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
            message = f"the _id {clip(cell)} occurs a second time, after {table.place(first[ids[i]])}."
            remedy = "Ids are unique; remove one of the two or rename it."
            raise DataError.one(f"{table.source}, {table.place(i)}", message, remedy)
        first[ids[i]] = i
    return ids


def read_texts(table: Table, *, title: bool) -> tuple[str, ...]:
    """Reads each row's text, after its title if ``title``. Raises DataError for a query without a text."""
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


def read_judgements(table: Table, query_ids: Sequence[str], document_ids: Sequence[str]) -> Array:
    """Reads positions of query and document, and score (3, J), from three columns or from TREC's four.

    Raises DataError for another score than a number, unknown ids, and pairs that are judged twice.
    """
    columns = list(table.columns.values())
    if not table.has_header and len(columns) == 4:
        columns = [columns[0], columns[2], columns[3]]
    if len(columns) != 3:
        message = f"it has {plural(len(columns), 'column')}."
        raise DataError.one(table.source, message, "Judgements are query id, document id, score, separated by tabs.")
    queries, documents, scores = list(map(str, columns[0])), list(map(str, columns[1])), columns[2]
    for i, score in enumerate(scores):
        if not is_number(score):
            raise DataError.one(f"{table.source}, {table.place(i)}", f"the score {clip(score)} is no number.")
    positions = []
    for kind, file, ids, used in (("query", "queries", query_ids, queries), ("document", "corpus", document_ids, documents)):
        position = {name: i for i, name in enumerate(ids)}
        missing = [i for i, name in enumerate(used) if name not in position]
        if missing:
            absent = f"there is no {kind} {clip(used[missing[0]])} in {file}"
            message = f"{absent}; {plural(len(missing), 'judgement', 'names', 'name')} one that is missing."
            place = f"{table.source}, {table.place(missing[0])}"
            raise DataError.one(place, message, f"Add it to {file}, or remove the line.")
        positions.append([position[name] for name in used])
    resolved = np.array([*positions, list(map(float, scores))], dtype=np.float64).reshape(3, -1)
    _, first, pair = np.unique(resolved[:2], axis=1, return_index=True, return_inverse=True)
    repeated = np.flatnonzero(first[pair.ravel()] != np.arange(resolved.shape[1]))
    if len(repeated):
        i = int(repeated[0])
        message = f"the document {clip(documents[i])} is judged for the query {clip(queries[i])} a second time."
        raise DataError.one(f"{table.source}, {table.place(i)}", message, "Keep one of the lines.")
    return resolved


def left_out_notes(query_ids: Sequence[str], judged: Array, used: Array, split: str) -> tuple[str, ...]:
    """Describes the queries that are not measured, or not trained on, and why."""
    not_used = "not used" if split == "train" else "not measured"
    with_score_0 = np.setdiff1d(judged, used).astype(int).tolist()
    n_unjudged = len(query_ids) - len(np.unique(judged))
    notes = []
    if n_unjudged:
        notes.append(f"{plural(n_unjudged, 'query', 'has', 'have')} no judgement in {split}: {not_used}")
    if with_score_0:
        names = listed([query_ids[i] for i in with_score_0], 5)
        notes.append(f"{plural(len(with_score_0), 'query', 'has', 'have')} no relevant document, {not_used}: {names}")
    return tuple(notes)


def cut_search(search: Retrieval, max_rows: int | None) -> Retrieval:
    """Returns at most so many queries, spread over all, and as many documents; all where ``max_rows`` is None.

    A relevant document of each query stays; the other documents are spread over the rest.
    """
    if max_rows is None or max(len(search.queries), len(search.documents)) <= max_rows:
        return search
    judged = search.judgements
    queries = np.array(spread_positions(judged.n_queries, max_rows))
    entries = np.flatnonzero(np.isin(judged.query, queries))
    _, first = np.unique(judged.query[entries], return_index=True)
    relevant = np.unique(judged.document[entries][first])
    others = np.setdiff1d(np.arange(judged.n_documents), relevant)
    documents = np.union1d(relevant, others[spread_positions(len(others), max_rows - len(relevant))])
    entries = entries[np.isin(judged.document[entries], documents)]
    return replace(
        search,
        document_ids=tuple(search.document_ids[i] for i in documents),
        documents=tuple(search.documents[i] for i in documents),
        query_ids=tuple(search.query_ids[i] for i in queries),
        queries=tuple(search.queries[i] for i in queries),
        judgements=Judgements(
            np.searchsorted(queries, judged.query[entries]),
            np.searchsorted(documents, judged.document[entries]),
            judged.gain[entries],
            len(queries),
            len(documents),
        ),
    )
