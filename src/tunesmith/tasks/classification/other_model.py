"""Predicts with a classifier or regression that another program trained: labels from its config, matched to those of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.data.cells import listed, plural
from tunesmith.data.labelled.class_matching import (
    are_unnamed,
    declared_names,
    labels_in,
    match_classes,
    rename_classes,
    with_renamed_labels,
)
from tunesmith.data.labelled.labels import REGRESSION
from tunesmith.data.table import Columns, Labels, Table
from tunesmith.errors import InputError, ModelError
from tunesmith.models.kind import BUILTIN, HUB, MODULES, PEFT_SETTINGS, is_classifier, not_a_classifier
from tunesmith.progress import Event, Listener, silent
from tunesmith.run_folder import RESULT, require_saved_model
from tunesmith.tasks.classification.predictor import (
    CONFIG,
    Predictor,
    PredictorConfig,
    load_predictor,
    ready_predictor,
)
from tunesmith.tasks.finished import Run, folder_of

if TYPE_CHECKING:
    pass

SHOWN_CLASSES = 20
MODEL_FILES = ("config.json", PEFT_SETTINGS, MODULES)


@dataclass(frozen=True)
class ModelSettings:
    """What the files of a model that tunesmith did not train may lack.

    Attributes:
        labels: class of the model, or label of the data -> its name.
        tokenizer: a folder or hub id, or ``builtin:NAME``.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    tokenizer: str | None = None

    @classmethod
    def of(cls, labels: Mapping[Any, Any] | None, tokenizer: str | Path | None) -> ModelSettings:
        """Makes the settings of the arguments ``labels`` and ``tokenizer``. Raises InputError for labels that are no map."""
        if labels is not None and not (isinstance(labels, Mapping) and labels):
            message = f"a map from the classes of the model to their names was expected, not {type(labels).__name__}."
            raise InputError.one("--labels", message, "Write for instance --labels '{LABEL_0: negative, LABEL_1: positive}'.")
        if nameless := [str(old) for old, new in (labels or {}).items() if new is None]:
            message = f"the map of labels gives no name to {listed(nameless)}; only a run leaves rows out by a map."
            raise InputError.one("--labels", message, "Give it a name, or remove its rows from the data.")
        named = {str(old).strip(): str(new).strip() for old, new in (labels or {}).items()}
        return cls(named, None if tokenizer is None else str(tokenizer).removeprefix(HUB))

    @property
    def is_local(self) -> bool:
        """Tells whether the tokenizer, if there is one, is on this machine."""
        return self.tokenizer is None or self.tokenizer.startswith(BUILTIN) or Path(self.tokenizer).exists()

    def __bool__(self) -> bool:
        return bool(self.labels) or self.tokenizer is not None


AS_SAVED = ModelSettings()


@dataclass(frozen=True)
class OtherPredictor(Predictor):
    """A predictor with a model that tunesmith did not train, with its name and the settings as the caller gave them."""

    name: str = ""
    settings: ModelSettings = AS_SAVED


def is_other_model(target: str | Path) -> bool:
    """Tells whether a name or folder is a model and no run of tunesmith: ``hub:NAME``, ``builtin:NAME``, or a folder of files."""
    name, folder = str(target), Path(target)
    if name.startswith((HUB, BUILTIN)):
        return True
    is_of_run = folder.name == "model" and (folder.parent / RESULT).exists()
    if is_of_run or (folder / RESULT).exists() or (folder / "model").is_dir() or (folder / CONFIG).exists():
        return False
    return any((folder / file).is_file() for file in MODEL_FILES)


def open_predictor(target: str | Path | Run, settings: ModelSettings = AS_SAVED, listener: Listener = silent) -> Predictor:
    """Loads the predictor of a finished run, or of a classifier or regression that another program trained.

    Raises InputError for settings given for a run, which has its own, and ModelError for a model that predicts no labels.
    """
    name = str(folder_of(target))
    if not is_other_model(name):
        if settings:
            given = "--labels" if settings.labels else "--tokenizer"
            message = f"{name} is no model that another program trained: a run has its own labels and its own tokenizer."
            raise InputError.one(given, message, "Leave the option out.")
        return target.predictor if isinstance(target, Run) else load_predictor(Path(name))
    require_saved_model(name)
    predictor = load_other_predictor(name, settings)
    for note in notes_on_classes(predictor):
        listener(Event("note", note))
    return predictor


def load_other_predictor(name: str, settings: ModelSettings) -> OtherPredictor:
    """Loads a classifier or regression of transformers from a folder, ``hub:NAME``, or an adapter's folder of peft."""
    from tunesmith.machine import quiet_libraries, stay_offline
    from tunesmith.models.load import load_tokenizer, max_input_tokens, position_limit, require_own_tokenizer

    quiet_libraries()
    place = name.removeprefix(HUB)
    if not name.startswith(HUB):
        require_whole(name)
    if not is_classifier(place):
        raise not_a_classifier(place)
    from tunesmith.models.adapters.finished_classifier import load_finished_classifier

    if not name.startswith(HUB) and not (Path(place) / PEFT_SETTINGS).is_file() and settings.is_local:
        stay_offline()
    loaded = load_finished_classifier(place, settings.tokenizer)
    tokenizer = load_tokenizer(loaded.source)
    require_own_tokenizer(loaded.source, loaded.model, tokenizer)
    names = loaded.names
    if loaded.problem_type == REGRESSION and settings.labels:
        raise InputError.one("--labels", f"{name} predicts numbers; it has no classes to name.", "Leave the option out.")
    columns = {"text": None, "pair": None, "label": None}
    max_length = max_input_tokens(position_limit(loaded.model), tokenizer, None)
    config = PredictorConfig(Labels(loaded.problem_type, names), max_length, None, columns)
    ready = ready_predictor(loaded.model, tokenizer, config)
    return OtherPredictor(ready.model, ready.tokenizer, config, ready.fast_path, name=name, settings=settings)


def require_whole(name: str) -> None:
    """Raises ModelError for a folder whose config is missing or damaged. Adapters are checked where they are loaded."""
    from tunesmith.models.source import check_config

    folder = Path(name)
    if folder.is_dir() and not (folder / PEFT_SETTINGS).is_file() and not (folder / MODULES).is_file():
        check_config(folder, name)


def notes_on_classes(predictor: OtherPredictor) -> list[str]:
    """Says what the files of the model do not state, and how it is read."""
    labels, config, notes = predictor.config.labels, predictor.model.config, []
    if labels.problem_type == REGRESSION and config.problem_type is None:
        notes.append(
            f"{predictor.name} has one output and states no problem_type: it is read as a regression, without a sigmoid."
        )
    return notes


def with_named_classes(predictor: Predictor, listener: Listener) -> Predictor:
    """Returns the predictor with the classes named as the caller wished; a note where they have no names."""
    if not isinstance(predictor, OtherPredictor) or predictor.config.labels.problem_type == REGRESSION:
        return predictor
    labels = predictor.config.labels
    names = rename_classes(labels.names, predictor.settings.labels, predictor.name)
    if are_unnamed(names):
        shown = listed(names, SHOWN_CLASSES)
        listener(
            Event(
                "note",
                f"{predictor.name} has no names of its {plural(len(names), 'class', 'classes')} ({shown}): --labels gives them.",
            )
        )
    return replace(predictor, config=replace(predictor.config, labels=replace(labels, names=names)))


def matched_to(predictor: Predictor, table: Table, columns: Columns, listener: Listener) -> tuple[Predictor, Table]:
    """Gives the classes of a model that another program trained and the labels of a table the same names; see ``match_classes``.

    Predictors of runs, and numbers, stay as they are.

    Raises InputError, with both lists, where the classes do not fit.
    """
    labels = predictor.config.labels
    if not isinstance(predictor, OtherPredictor) or labels.problem_type == REGRESSION:
        return predictor, table
    given = predictor.settings.labels
    known = replace(labels, names=(*labels.names, *given.values()))
    occurring = labels_in(table, columns, known, predictor.config.label_separator)
    if not (occurring & given.keys() or (are_unnamed(labels.names) and not given)):
        declared = declared_names(table, columns, occurring)
        table, occurring = with_renamed_labels(table, columns, declared), {declared.get(label, label) for label in occurring}
    match = match_classes(labels.names, occurring, given, predictor.name, table.source)
    for note in match.notes:
        listener(Event("note", note))
    config = replace(predictor.config, labels=replace(labels, names=match.names))
    return replace(predictor, config=config), with_renamed_labels(table, columns, match.of_data)


def matched_to_labels(predictor: Predictor, labels: Labels, source: str) -> tuple[Predictor, tuple[str, ...]]:
    """Gives the classes of a model that another program trained the names of these labels; see ``match_classes``.

    Returns the predictor, and what was matched otherwise than by equal names, as sentences.

    Raises InputError, with both lists, where the classes or the kinds of labels do not fit.
    """
    own = predictor.config.labels
    if own.problem_type != labels.problem_type:
        where = predictor.name if isinstance(predictor, OtherPredictor) else "the model"
        kinds = (kind.replace("_", " ") for kind in (own.problem_type, labels.problem_type))
        message = f"it is a model for {next(kinds)}, and the labels of {source} are for {next(kinds)}."
        raise ModelError.one(where, message, "Use a model and labels of one kind.")
    if not isinstance(predictor, OtherPredictor) or own.problem_type == REGRESSION:
        return predictor, ()
    match = match_classes(own.names, labels.names, predictor.settings.labels, predictor.name, source)
    if match.of_data:
        message = f"the map renames {listed(match.of_data)}, a label of {source}; here it can only rename classes of the model."
        raise InputError.one("--labels", message, f"Its classes: {listed(own.names, SHOWN_CLASSES)}.")
    return replace(predictor, config=replace(predictor.config, labels=replace(own, names=match.names))), match.notes


def note_columns(predictor: Predictor, table: Table, columns: Columns, listener: Listener) -> None:
    """Notes which columns a model that another program trained reads: no file says which it was trained on."""
    if isinstance(predictor, OtherPredictor) and len(table.columns) > 1:
        second = "" if columns.pair is None else f", and {columns.pair} as the second text of a pair"
        listener(Event("note", f"{predictor.name} reads the column {columns.text} of {table.source}{second}."))
