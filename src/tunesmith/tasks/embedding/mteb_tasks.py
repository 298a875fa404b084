"""Loads retrieval, similarity and classification tasks of the package mteb from the hub's cache or from a folder."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tunesmith.data.cells import listed, plural
from tunesmith.data.pairs.retrieval import Retrieval, judged_search
from tunesmith.data.readers.hub import explain, import_datasets, require_hub
from tunesmith.data.readers.read import resolve_path
from tunesmith.data.table import Table
from tunesmith.disk import hash_files
from tunesmith.errors import DataError, InputError
from tunesmith.models.embedding.mteb_encoder import import_mteb

OPTION = "--mteb"
RETRIEVAL, SIMILARITY, CLASSIFICATION = KINDS = ("Retrieval", "STS", "Classification")
"""mteb's task types that are evaluated."""
SHOWN_NAMES = 8
BATCH = 1_024
"""Texts that are read at once."""


@dataclass(frozen=True)
class MtebTask:
    """One split of a task of mteb, with its data loaded.

    Attributes:
        task: ``mteb.AbsTask``.
        kind: ``Retrieval``, ``STS`` or ``Classification``.
        subset: a language or a part of the data set; ``default`` if it has no parts.
        folder: the local data set; empty if it was loaded from the hub or its cache.
        mteb_version: of the package.
    """

    task: Any
    kind: str
    subset: str
    split: str
    folder: str
    mteb_version: str

    @property
    def source(self) -> str:
        """The name in messages and results."""
        return f"mteb:{self.task.metadata.name}" + (f" ({self.subset})" if self.subset != "default" else "")

    @property
    def rows(self) -> Any:
        """The data of the subset: a ``datasets.DatasetDict``, or split -> parts of a retrieval task."""
        return self.task.dataset.get(self.subset, self.task.dataset)

    def split_rows(self, split: str) -> Any:
        """Returns the data of a split. Raises DataError if there is none."""
        if split not in self.rows:
            raise DataError.one(self.source, f"there is no split {split}, only {listed(self.rows)}.")
        return self.rows[split]

    def record(self) -> dict[str, Any]:
        """Describes the task and its data as plain JSON types."""
        metadata = self.task.metadata
        return {
            "task": metadata.name,
            "type": self.kind,
            "main_score": metadata.main_score,
            "subset": self.subset,
            "split": self.split,
            "dataset": self.folder or metadata.dataset["path"],
            "revision": None if self.folder else metadata.dataset.get("revision"),
            "mteb": self.mteb_version,
        }


def load_mteb_task(
    task: Any, folder: str | Path | None = None, subset: str | None = None, split: str | None = None
) -> MtebTask:  # fmt: skip
    """Loads one split of a task.

    Args:
        task: the name of a task that mteb registers, or an object of ``mteb.AbsTask``, for example with ``dataset`` set.
        folder: a local copy of the task's data set, in the layout of its repository.
        subset: a language or part of the data set; needed if it has several.
        split: default: test, or the only one that mteb evaluates.

    Raises:
        MissingExtra: mteb is not installed.
        InputError: there is no such task, subset or split, it is measured in a way that is not supported, or its data set is
            not here.
    """
    mteb = import_mteb("An evaluation on a task of mteb")
    own = copy.copy(named_task(mteb, task) if isinstance(task, str) else task)
    kind = kind_of(mteb, own)
    chosen = choose(own, "subset", list(own.hf_subsets), subset, f"{OPTION}-subset NAME")
    splits = list(own.eval_splits)
    chosen_split = choose(own, "split", splits, split or ("test" if "test" in splits else None), "--split NAME")
    own.hf_subsets = [chosen]
    own.filter_eval_splits([chosen_split])
    place = "" if folder is None else str(local_data_set(own, folder))
    loaded = MtebTask(own, kind, chosen, chosen_split, place, mteb.__version__)
    load_rows(loaded)
    return loaded


def named_task(mteb: Any, name: str) -> Any:
    """Returns the task of a name. Raises InputError with the closest names."""
    from mteb.abstasks import AbsTask

    try:
        return mteb.get_task(name)
    except KeyError:
        names = sorted(cls.metadata.name for cls in all_subclasses(AbsTask) if hasattr(cls, "metadata"))
        lower = {known.lower(): known for known in names}
        close = [lower[match] for match in get_close_matches(name.lower(), lower, SHOWN_NAMES, 0.5)]
        remedy = f"Close: {', '.join(close)}." if close else "mteb.get_tasks() lists them."
        raise InputError.one(OPTION, f"mteb {mteb.__version__} has no task {name!r}.", remedy) from None


def all_subclasses(cls: Any) -> Iterator[Any]:
    for child in cls.__subclasses__():
        yield child
        yield from all_subclasses(child)


def kind_of(mteb: Any, task: Any) -> str:
    """Returns the task's type. Raises InputError for an object that is no task, and for tasks that are measured otherwise."""
    from mteb.abstasks.classification import AbsTaskClassification
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.sts import AbsTaskSTS

    if not isinstance(task, mteb.AbsTask):
        raise InputError.one(OPTION, f"the name of a task or an mteb task was expected, not {type(task).__name__}.")
    metadata, classes = task.metadata, dict(zip(KINDS, (AbsTaskRetrieval, AbsTaskSTS, AbsTaskClassification), strict=True))
    own = "Use mteb itself: mteb.evaluate(tunesmith.mteb_encoder(MODEL), mteb.get_task(NAME))."
    if metadata.type not in KINDS or not isinstance(task, classes[metadata.type]):
        message = f"{metadata.name} is a task of type {metadata.type}; only {listed(KINDS)} are evaluated here."
        raise InputError.one(OPTION, message, own)
    reasons = {
        "it is not of texts alone": list(metadata.modalities) != ["text"],
        "it leaves out the first result": getattr(task, "skip_first_result", False),
        "it is evaluated by cross-validation": getattr(task, "is_cross_validation", False),
        "its texts have several columns": not isinstance(getattr(task, "input_column_name", ""), str),
        "its texts are no two columns": not all(isinstance(name, str) for name in getattr(task, "column_names", ())),
        "its two texts have prompts of their own": any(getattr(task, f"input{i}_prompt_type", None) for i in (1, 2)),
    }
    if found := [reason for reason, holds in reasons.items() if holds]:
        raise InputError.one(OPTION, f"{metadata.name} is not evaluated here: {found[0]}.", own)
    return str(metadata.type)


def choose(task: Any, noun: str, names: Sequence[str], given: str | None, option: str) -> str:
    """Returns the given name, or the only one. Raises InputError for others, and where several are there and none is given."""
    if given is None and len(names) == 1:
        return names[0]
    if given in names and given is not None:
        return given
    found = f"has {plural(len(names), noun)}" if given is None else f"has no {noun} {given!r}"
    raise InputError.one(OPTION, f"{task.metadata.name} {found}.", f"Give {option}, one of: {listed(names, SHOWN_NAMES)}.")


def local_data_set(task: Any, folder: str | Path) -> Path:
    """Returns the path of a local folder. Raises DataError if there is none."""
    path = resolve_path(str(folder), Path()).absolute()
    if not path.is_dir():
        raise DataError.one(str(folder), "there is no such folder.", download_line(task))
    return path


@contextmanager
def reading_folder(task: Any, folder: str) -> Iterator[None]:
    """Makes the task read a folder instead of the hub inside the block.

    The ``datasets`` library takes a folder with a README for the one it read before if name and README are the same, whatever
    the path and the files. So the task is given a link whose name has the sha256 of the files.
    """
    with TemporaryDirectory() as place:
        suffixes = {path.suffix for path in Path(folder).rglob("*")}
        link = Path(place) / f"mteb-{hash_files(Path(folder), ['**/*'], sorted(suffixes))[:32]}"
        link.symlink_to(folder, target_is_directory=True)
        task.metadata = task.metadata.model_copy(update={"dataset": {**task.metadata.dataset, "path": str(link)}})
        yield


def download_line(task: Any) -> str:
    """Says how the task's data set gets into a folder."""
    data_set = task.metadata.dataset
    revision = f" --revision {data_set['revision']}" if data_set.get("revision") else ""
    command = f"hf download {data_set['path']} --repo-type dataset{revision} --local-dir FOLDER"
    return f"With a network: {command}; then give {OPTION}-folder FOLDER."


def load_rows(loaded: MtebTask) -> None:
    """Loads the data. Raises DataError that names the data set and how to get it."""
    task, place = loaded.task, loaded.folder or loaded.task.metadata.dataset["path"]
    is_here = bool(loaded.folder) or task.data_loaded
    where = f"{loaded.source}, data set {place}"
    if not is_here:
        require_hub(where, download_line(task).rstrip("."))
    try:
        with quiet_progress(), reading_folder(task, loaded.folder) if loaded.folder else nullcontext():
            task.load_data()
            if loaded.kind == RETRIEVAL:
                task.convert_v1_dataset_format_to_v2(num_proc=None)
    except (OSError, ValueError, RuntimeError, LookupError, TypeError, import_datasets().exceptions.DatasetsError) as error:
        message, _ = explain(error)
        remedy = (
            f"The folder has the layout of {type(task)().metadata.dataset['path']}." if loaded.folder else download_line(task)
        )
        raise DataError.one(where, message, remedy) from None


@contextmanager
def quiet_progress() -> Iterator[None]:
    """Hides the progress bars of datasets inside the block."""
    datasets = import_datasets()
    was_shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if was_shown:
            datasets.enable_progress_bars()


def search_of(loaded: MtebTask) -> Retrieval:
    """Returns documents, queries and judgements with the texts that mteb gives to models.

    Raises DataError for data that mteb measures otherwise: documents ranked beforehand, queries that are themselves documents
    and left out of their own result, relevant documents that are not in the corpus.
    """
    parts = loaded.split_rows(loaded.split)
    judgements: dict[str, dict[str, float]] = parts["relevant_docs"]
    if parts["top_ranked"]:
        raise DataError.one(loaded.source, "it ranks documents again that are given for each query; that is not a search.")
    document_ids, documents = texts_for_models(loaded, parts["corpus"], "document")
    query_ids, queries = texts_for_models(loaded, parts["queries"], "query")
    if loaded.task.ignore_identical_ids and (own := set(query_ids) & set(document_ids)):
        message = f"mteb leaves a query out of its own result, and {plural(len(own), 'query', 'is', 'are')} in the corpus."
        raise DataError.one(loaded.source, message, "Use mteb itself: mteb.evaluate(tunesmith.mteb_encoder(MODEL), TASK).")
    query_at, document_at = ({name: i for i, name in enumerate(ids)} for ids in (query_ids, document_ids))
    pairs = [(q, d, score) for q, scores in judgements.items() if q in query_at for d, score in scores.items()]
    missing = [d for _, d, score in pairs if d not in document_at and score > 0]
    if missing:
        message = f"{plural(len(missing), 'relevant document', 'is', 'are')} not in the corpus ({listed(missing, 5)})."
        raise DataError.one(loaded.source, message)
    positions = [(query_at[q], document_at[d], score) for q, d, score in pairs if d in document_at]
    judged = np.array(positions, dtype=np.float64).reshape(-1, 3).T
    if not (judged[2] > 0).any():
        raise DataError.one(loaded.source, f"no query has a relevant document in {loaded.split}.")
    return judged_search(loaded.source, loaded.split, (document_ids, documents), (query_ids, queries), judged)


def texts_for_models(loaded: MtebTask, rows: Any, prompt_type: str) -> tuple[list[str], list[str]]:
    """Returns ids and texts as mteb's own data loader makes them: documents with their titles, queries with instructions."""
    from mteb._create_dataloaders import create_dataloader
    from mteb.types import PromptType

    ids: list[str] = []
    texts: list[str] = []
    try:
        with quiet_progress():
            options = {"task_metadata": loaded.task.metadata, "prompt_type": PromptType(prompt_type), "batch_size": BATCH}
            for batch in create_dataloader(rows, **options):
                ids += map(str, batch["id"])
                texts += batch["text"]
    except (ValueError, TypeError, LookupError) as error:
        raise DataError.one(loaded.source, f"mteb cannot read its texts ({prompt_type}): {error}.") from None
    return ids, texts


def pairs_of(loaded: MtebTask) -> Table:
    """Returns the table of two texts and their score."""
    rows = loaded.split_rows(loaded.split)
    names = (*loaded.task.column_names, "score")
    if missing := [name for name in names if name not in rows.column_names]:
        raise DataError.one(loaded.source, f"there is no column {missing[0]}.", f"Columns: {listed(rows.column_names)}.")
    return Table.whole(loaded.source, {name: list(rows[name]) for name in names})
