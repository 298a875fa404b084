"""Implements ``init`` for rows without labels: detects the task by their format and drafts a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tunesmith.data.cells import listed, plural
from tunesmith.data.chat.formats import ChatFormat, detect_chat_format
from tunesmith.data.column_names import LABEL, SCORE, plain_name
from tunesmith.data.labelled.label_forms import may_hold_labels
from tunesmith.data.pairs.formats import MEANING, PairFormat, detect_pair_format
from tunesmith.data.pairs.retrieval import read_beir
from tunesmith.data.pairs.text_lists import divide_text_lists
from tunesmith.data.preferences.formats import PreferenceFormat, detect_preference_format
from tunesmith.data.profile import profile
from tunesmith.data.table import Table
from tunesmith.errors import DataError
from tunesmith.recipe.draft import MINILM, draft_header, entry, stem
from tunesmith.recipe.sections import ColumnsSection

Format = TypeVar("Format", ChatFormat, PairFormat, PreferenceFormat)
MIN_DISTINCT_SHARE = 0.1
"""Below this ratio of distinct answers to rows, answers are taken as class labels."""
TEST_SHARE = 0.1
POCKET = ("builtin:pocket", "2.2 million parameters, to try the recipe in seconds; name your own: a hub id, or a folder")
SEARCH = "For search rather than answers, write task: embedding and model builtin:minilm; tunesmith losses lists the losses."
COMPARED = (
    "To train a language model on them (DPO), write task: preference and a language model such as builtin:pocket.",
    "task: sft learns the better answers alone, and task: ppo answers the prompts by the rewards of a finished run of this task.",
)
COMPARISONS = frozenset(
    {"winner", "preference", "preferred", "better", "better_response_id", "overall_preference", "winner_model_a"}
)
"""Plain names of columns that say which of two answers is better; others, such as label, may be that of a pair of texts."""
MASKED = "To adapt a classifier's base model, name an encoder such as builtin:minilm, which is trained on masked tokens."


NO_JUDGEMENTS = "Add qrels/train.tsv with a line for each query and its document: query-id, corpus-id, score."
TRAIN_ONLY = "Evaluate a model on it (tunesmith evaluate MODEL --retrieval {}), or name it as evaluate.retrieval of a recipe."


def retrieval_recipe(folder: Path, data: str) -> tuple[str, list[str]]:
    """Drafts the recipe of a folder in the BEIR layout, and describes it. Raises DataError without judgements of train."""
    if not (folder / "qrels" / "train.tsv").is_file():
        if not any(folder.glob("qrels/*.tsv")) and not (folder / "qrels.tsv").is_file():
            message = "The folder has documents and queries in the BEIR layout, and no judgements (qrels/train.tsv)."
            raise DataError.one(data, message, NO_JUDGEMENTS)
        message = "The folder has the BEIR layout, with judgements to evaluate on and none to train on (qrels/train.tsv)."
        raise DataError.one(data, message, TRAIN_ONLY.format(data))
    search = read_beir(folder, "train")
    pairs = plural(len(search.judgements.query), "pair") + " of a query and a relevant document"
    sizes = f"{plural(len(search.documents), 'document')}, {plural(len(search.queries), 'query')}"
    lines = [
        *draft_header(data),
        entry("", "task", "embedding", "the folder has documents, queries and judgements"),
        "model:",
        entry("  ", "name", *MINILM),
        "data:",
        entry("  ", "train", data, pairs),
    ]
    if any((folder / "qrels" / f"{split}.tsv").is_file() for split in ("test", "dev")):
        lines += ["evaluate:", entry("  ", "retrieval", data, "searches all documents with the queries of the test split")]
    lines.append(entry("", "output", f"runs/{stem(data)}", ""))
    return "\n".join(lines) + "\n", [
        f"{data}: a retrieval folder (BEIR layout): {sizes} in train",
        f"task: embedding, on {pairs}",
    ]


@dataclass(frozen=True)
class Unlabelled:
    """The task of rows without labels.

    Attributes:
        columns: those that are read.
        model: name and reason.
        notes: alternatives, as comments of the recipe.
    """

    task: str
    reason: str
    columns: tuple[str, ...]
    model: tuple[str, str]
    notes: tuple[str, ...] = ()


def detect_unlabelled(table: Table) -> Unlabelled | None:
    """Detects the task of rows without labels; None if they are labelled, or their format is ambiguous."""
    chat = detected(partial(detect_chat_format, table, ColumnsSection()))
    read = () if chat is None else tuple(chat.columns.values())
    if (
        chat is not None
        and chat.kind == "text"
        and not any(may_be_label(table, name) for name in {*table.columns}.difference(read))
    ):
        return Unlabelled("pretraining", chat.sentence(), read, POCKET, (MASKED,))
    if chat is not None and chat.kind not in ("text", "prompt_completion"):
        return Unlabelled("sft", chat.sentence(), read, POCKET)
    if chat is not None and chat.kind == "prompt_completion" and is_free_text(table, chat.columns["completion"]):
        return Unlabelled("sft", chat.sentence(), read, POCKET, (SEARCH,))
    pair = detected(partial(detect_pair_format, divided := divide_text_lists(table)[0]))
    if pair is not None and pair.kind in ("triplet", "tuple", "positive_pair") and is_free_text(divided, pair.texts[1]):
        lists = {name.rpartition("_")[0] for name in pair.texts}  # columns of lists become neg_1, neg_2, ...
        reason = f"{MEANING[pair.kind]}: {' + '.join(pair.texts)}, {pair.reason}"
        return Unlabelled("embedding", reason, (*pair.texts, *lists), MINILM)
    return None


def detect_preferences(table: Table) -> Unlabelled | None:
    """Detects rows of better and worse answers; None for others."""
    found = detected(partial(detect_preference_format, table, ColumnsSection()))
    if found is None or not are_preferences(found):
        return None
    return Unlabelled("reward", found.sentence(), tuple(found.columns.values()), MINILM, COMPARED)


def are_preferences(found: PreferenceFormat) -> bool:
    """Tells whether rows are better and worse answers for certain: judged single answers may be classified texts as well."""
    if found.kind == "compared":
        return "prompt" in found.columns and plain_name(found.columns["label"]) in COMPARISONS
    return found.kind in ("chosen_rejected", "two_scores", "best_of_list", "scored", "ranked")


def may_be_label(table: Table, name: str) -> bool:
    """Tells whether a column beside a text may hold its label: it is called so, or holds several values that can be labels."""
    is_named = any(plain_name(name) in tier for tier in (*LABEL, *SCORE))
    return is_named or (profile(table.columns[name]).distinct > 1 and may_hold_labels(table, name))


def detected(detect: Callable[[], Format]) -> Format | None:
    """Returns the detected format; None if no format, or several, fit."""
    try:
        return detect()
    except DataError:
        return None


def is_free_text(table: Table, column: str) -> bool:
    """Tells whether a column's cells are mostly distinct texts, not class labels."""
    cells = table.columns[column]
    return profile(cells).distinct >= MIN_DISTINCT_SHARE * len(cells)


def unlabelled_recipe(unlabelled: Unlabelled, table: Table, split_sources: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Drafts a commented recipe, and describes the rows in lines for the user.

    Args:
        split_sources: split -> source or share, ``train`` at least.
    """
    lines = [
        *draft_header(str(split_sources["train"])),
        entry("", "task", unlabelled.task, unlabelled.reason),
        *(f"# {note}" for note in unlabelled.notes),
    ]
    lines += ["model:", entry("  ", "name", *unlabelled.model), "data:"]
    for split, source in split_sources.items():
        is_share = source == TEST_SHARE and split == "test"
        reason = "a fraction for the verdict, not used in training and selection" if is_share else ""
        lines.append(entry("  ", split, source, plural(len(table), "row") if split == "train" else reason))
    reason = "trains few parameters and keeps the base model unchanged: for models that hardly fit"
    lines += [
        f"# {reason}",
        "#adapter: {method: lora}",
        entry("", "output", f"runs/{stem(str(split_sources['train']))}", ""),
    ]
    unused = [f"{name} ({profile(cells).words()})" for name, cells in table.columns.items() if name not in unlabelled.columns]
    rest = [f"not used: {listed(unused)}"] if unused else []
    return "\n".join(lines) + "\n", [f"task: {unlabelled.task}, since they are {unlabelled.reason}", *rest]
