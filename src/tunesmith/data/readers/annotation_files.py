"""Recognises the files of annotation tools and benchmarks that are no table of texts and labels, and names the way to one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Mapping, Sequence, Set
from typing import Any

from tunesmith.data.cells import plural
from tunesmith.data.column_names import LABEL, plain_name
from tunesmith.data.labelled.label_forms import SPANS_REMEDY
from tunesmith.data.readers.lines import split_lines
from tunesmith.data.table import Table
from tunesmith.errors import DataError

LABEL_STUDIO = (
    "This is a Label Studio export: each row is an object with the text inside of 'data' and the labels inside of 'annotations'.",
    "Export it from Label Studio as CSV or JSON-MIN, which have one column for each field.",
)
LABEL_STUDIO_TASKS = (
    "These are tasks of Label Studio without annotations: the text stands inside of the objects in 'data'{}.",
    "Label them there and export them as CSV or JSON-MIN. To use the texts alone, write each as a column, such as text.",
)
TASK_KEYS = {
    "id", "data", "meta", "predictions", "created_at", "updated_at", "inner_id", "project", "total_annotations", "updated_by",
    "cancelled_annotations", "total_predictions", "comment_count", "unresolved_comment_count", "last_comment_updated_at",
    "comment_authors", "file_upload", "drafts", "overlap",
}  # fmt: skip
"""Keys of a task of Label Studio beside its annotations."""
SQUAD = (
    "This is a file in the format of SQuAD: articles with paragraphs, and questions with the span of their answer.",
    "Write one row a question with the columns prompt (context and question) and completion (answer), and set task: sft; "
    "answer spans are no task here.",
)
TOKENS = (
    "This is a file in the format of CoNLL: one token a line, with a tag of named entities or parts of speech.",
    "Tags of tokens are no task here. Write one sentence a row with one label for the whole sentence.",
)
FLAT_SQUAD = (
    "The columns question, context and answers are those of SQuAD: the answers are spans of the context.",
    "Answer spans are no task here. For a language model write a column prompt (context and question) and a column completion.",
)
TOKEN_LISTS = (
    "The columns hold lists of tokens with a list of tags (named entities, parts of speech).",
    "Tags of tokens are no task here. Join the tokens to a text, and give each row one label.",
)
SPANS = (
    "The column spans holds parts of the text with a name each, as Prodigy exports them; no column labels the whole.",
    SPANS_REMEDY,
)
PREFERENCES = (
    "The columns {} and {} hold the better and the worse of two answers, as data for DPO and reward models do.",
    "Write task: reward or task: preference (DPO), which read them as they are, or task: sft, which learns those of {0}.",
)
POS_TAG = re.compile(
    r"CC|CD|DT|EX|FW|IN|JJ[RS]?|LS|MD|NNP?S?|PDT|POS|PRP\$?|RB[RS]?|RP|SYM|TO|UH|VB[DGNPZ]?|WDT|WP\$?|WRB|[.,:#$]|''|``|-[LR]RB-|"
    r"ADJ|ADP|ADV|AUX|CCONJ|CONJ|DET|INTJ|NOUN|NUM|PART|PRON|PROPN|PRT|PUNCT|SCONJ|VERB|X"
)
"""Parts of speech: the tags of the Penn Treebank, and the universal ones."""
TAGS_NAME = re.compile(r".*tags|ner|pos", re.IGNORECASE)
LABEL_NAMES = frozenset({"answer", "accept", "cats", *(name for tier in LABEL for name in tier)})
TOKEN_NAMES = ("token", "tokens", "word", "words", "form")
CHOSEN = (("chosen", "rejected"), ("preferred_output", "non_preferred_output"), ("response_chosen", "response_rejected"))
PRODIGY = (
    "This is an export of Prodigy with {} that the annotator did not accept: their label is not that of the text.",
    "Keep the rows whose answer is accept, or name the decision itself as the label: columns: {label: answer}.",
)
PRODIGY_HASHES = {"_input_hash", "_task_hash"}
TOKEN_LINE = re.compile(
    r"\S+(?:[ \t]+\S+)*[ \t]+(?:O|[BIESLU]-\S+)|\d+(?:[-.]\d+)?(?:\t[^\t]+){2}\t[A-Z_]+(?:\t[^\t]+){2}\t(?:\d+|_)(?:\t[^\t]+){3}"
)
"""A token with its tag in the last place: O, or B-, I-, ... before a type; or the ten columns of CoNLL-U, with a part of speech
in the fourth and the number of another token in the seventh."""
TAG = re.compile(r"O|[BIESLU]-\S+")
COMMENT = re.compile(r"#|-DOCSTART-")
SAMPLE_LINES = 400


def reject_annotations(table: Table) -> None:
    """Raises DataError if the rows are those of Label Studio, or articles of SQuAD: they hold no text in a column."""
    if are(dict, table.columns.get("data", ())):
        if {"annotations", "completions"} & table.columns.keys():
            raise DataError.one(table.source, *LABEL_STUDIO)
        if table.columns.keys() <= TASK_KEYS:
            guesses = ", and the labels in 'predictions' are those of a model" if "predictions" in table.columns else ""
            raise DataError.one(table.source, LABEL_STUDIO_TASKS[0].format(guesses), LABEL_STUDIO_TASKS[1])
    if "paragraphs" in table.columns and are(list, table.columns["paragraphs"]):
        raise DataError.one(table.source, *SQUAD)


def reject_token_lines(text: str, source: str) -> None:
    """Raises DataError if nearly every line is a token and its tag; with a part of speech alone, if blank lines end sentences."""
    sample = split_lines(text[:100_000])[:SAMPLE_LINES]
    lines = [line.rstrip() for line in sample if line.strip() and not COMMENT.match(line)]
    tagged = [line for line in lines if TOKEN_LINE.fullmatch(line)]
    pos = [words[1] for line in lines if len(words := line.split()) == 2 and POS_TAG.fullmatch(words[1])]
    has_sentences = "" in map(str.strip, sample[:-1])
    are_tags = len(tagged) >= 0.9 * len(lines) and any(not line.endswith("O") for line in tagged)
    are_pos = has_sentences and len(pos) >= 0.9 * len(lines) and len(set(pos)) > 1
    if len(lines) > 1 and (are_tags or are_pos):
        raise DataError.one(source, *TOKENS)


def reject_other_tasks(table: Table) -> None:
    """Raises DataError for the columns of another task: answer spans and tags of tokens, which are none here, and preferences."""
    columns = table.columns
    if {"question", "context", "answers"} <= columns.keys() and are_answer_spans(columns["answers"]):
        raise DataError.one(table.source, *FLAT_SQUAD)
    for better, worse in CHOSEN:
        if {better, worse} <= columns.keys():
            raise DataError.one(table.source, PREFERENCES[0].format(better, worse), PREFERENCES[1].format(better))
    if not has_label(columns):
        reject_parts(table)
    for cells in columns.values():
        words = {cell for cell in cells if isinstance(cell, str) and cell.strip()}
        are_pos = len(words) > 1 and all(POS_TAG.fullmatch(word.strip()) for word in words) and has_tokens(columns)
        if are_pos or are_tags(words):
            raise DataError.one(table.source, *TOKENS)


def has_label(columns: Mapping[str, Sequence[Any]]) -> bool:
    """Returns whether a column has the usual name of a label of the whole text, or one of Prodigy's, and holds no lists."""
    named = [cells for name, cells in columns.items() if plain_name(name) in LABEL_NAMES]
    return any(not any(isinstance(cell, list) for cell in cells) for cells in named)


def reject_parts(table: Table) -> None:
    """Raises DataError for columns that label parts of the text: spans, or lists of tokens with a list of tags."""
    columns = table.columns
    if are_answer_spans(columns.get("spans", ())):
        raise DataError.one(table.source, *SPANS)
    for tokens in [cells for name, cells in columns.items() if plain_name(name) in TOKEN_NAMES and are(list, cells)]:
        if any(TAGS_NAME.fullmatch(name) and same_lengths(cells, tokens) for name, cells in columns.items()):
            raise DataError.one(table.source, *TOKEN_LISTS)
    for cells in columns.values():
        if are(list, cells) and are_tags({item for cell in cells for item in cell or () if isinstance(item, str)}):
            raise DataError.one(table.source, *TOKEN_LISTS)


def are_answer_spans(cells: Sequence[Any]) -> bool:
    """Returns whether the answers are objects or lists of objects, as SQuAD writes spans."""
    if any(isinstance(cell, str) and "'answer_start':" in cell for cell in cells):  # as pandas writes them to csv
        return True
    spans = [cell if isinstance(cell, list) else [cell] for cell in cells if cell is not None]
    return are(dict, [span for items in spans for span in items])


def are_tags(words: Set[Any]) -> bool:
    """Returns whether all words are tags of named entities, and one begins an entity."""
    texts = [str(word).strip() for word in words]
    return any(text.startswith("B-") for text in texts) and all(TAG.fullmatch(text) for text in texts)


def has_tokens(columns: Mapping[str, Sequence[Any]]) -> bool:
    """Returns whether a column is called token, word or form, and holds single words."""
    cells = [cell for name, column in columns.items() if plain_name(name) in TOKEN_NAMES for cell in column]
    return bool(cells) and all(len(str(cell).split()) <= 1 for cell in cells)


def are(kind: type, cells: Sequence[Any]) -> bool:
    """Returns whether all cells that are not None have this type, and there are any."""
    present = [cell for cell in cells if cell is not None]
    return bool(present) and all(isinstance(cell, kind) for cell in present)


def reject_unaccepted(table: Table, label: Container[str]) -> None:
    """Raises DataError for rows of Prodigy that were rejected or ignored, unless the decision is the label."""
    if not PRODIGY_HASHES & table.columns.keys() or "answer" in label or "answer" not in table.columns:
        return
    unaccepted = Counter(answer for answer in table.columns["answer"] if answer in ("reject", "ignore"))
    if unaccepted:
        counts = " and ".join(f"{plural(n, 'row')} ({answer})" for answer, n in unaccepted.items())
        raise DataError.one(table.source, PRODIGY[0].format(counts), PRODIGY[1])


def same_lengths(first: Sequence[Any], second: Sequence[Any]) -> bool:
    return are(list, first) and [len(cell or ()) for cell in first] == [len(cell or ()) for cell in second]
