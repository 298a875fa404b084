"""Rules between keys that need neither the data nor the model: one function a subject, one table at the end."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tunesmith.recipe import task_rules
from tunesmith.recipe.files import inside, is_file, is_file_name, locate, same_place
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.source import Fault, KeyPath
from tunesmith.recipe.suggest import closest, suggest_upstream
from tunesmith.recipe.upstream_names import OPTIMIZERS, OWNED, SCHEDULES, UPSTREAM_FIELDS

Rule = Callable[[Recipe, Path], Iterator[Fault]]

_LAST = re.compile(r"^last ([1-9][0-9]*)$")
_NUMBER = re.compile(r"^[-+]?[0-9]*[.,]?[0-9]+\s*%?$")
_SEED_LIMIT = 2**32


def broken_rules(recipe: Recipe, base: Path) -> list[Fault]:
    """Every rule the recipe breaks.

    Args:
        recipe: values already checked one by one.
        base: the folder that relative data paths are looked for in first.
    """
    return [fault for rule in RULES for fault in rule(recipe, base)]


def _texts(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Names that are there but empty, and shares written as text."""
    data = recipe.data
    named: dict[KeyPath, str | float | list[str] | None] = {
        ("model", "name"): recipe.model.name,
        ("data", "train"): data.train,
        ("data", "validation"): data.validation,
        ("data", "test"): data.test,
        ("data", "label_separator"): data.label_separator,
        ("output",): recipe.output,
        **{("data", "columns", part): name for part, name in data.columns},
    }
    for path, text in named.items():
        if text == "":
            yield Fault(path, "is an empty text", "")
        elif isinstance(text, str) and "\0" in text:
            yield Fault(path, "holds a NUL character", "")
    for split, share in (("validation", data.validation), ("test", data.test)):
        if isinstance(share, str) and _NUMBER.match(share):
            message = f'"{share}" is text and would be the name of a file'
            yield Fault(("data", split), message, "A share is written like 0.1, without quotes and percent signs.")


def _splits(recipe: Recipe, base: Path) -> Iterator[Fault]:
    data = recipe.data
    if isinstance(data.validation, float) and isinstance(data.test, float) and data.validation + data.test >= 1:
        message = f"validation ({data.validation:g}) and test ({data.test:g}) leave no row for training"
        yield Fault(("data", "test"), message, "Together they must stay below 1.")
    named = [(split, name) for split, name in (("train", data.train), ("validation", data.validation), ("test", data.test))]
    files = [(split, locate(name, base)) for split, name in named if isinstance(name, str) and name]
    for index, (split, path) in enumerate(files):
        same = next((other for other, earlier in files[:index] if same_place(path, earlier)), None)
        if same == "train":
            remedy = f"Give other rows, or a share such as {split}: 0.1."
            yield Fault(
                ("data", split), "is the same file as data.train: the result would be judged on the rows it learnt", remedy
            )
        elif same:
            message = f"is the same file as data.{same}, on which the best checkpoint is chosen"
            yield Fault(("data", split), message, "Leave test out: the verdict is then given on validation.")


def _places(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """The run folder must not swallow the data, nor lie in a file."""
    if not recipe.output:
        return
    output, data = Path(recipe.output), recipe.data
    for split, name in (("train", data.train), ("validation", data.validation), ("test", data.test)):
        if not isinstance(name, str) or not name or not is_file_name(name):
            continue
        path = locate(name, base)
        if inside(path, output):
            yield Fault(
                ("output",), f"holds the data file of data.{split} ({name})", "Choose a folder of its own, such as runs/first."
            )
        elif is_file(path) and inside(output, path):
            yield Fault(
                ("output",), f"lies inside the data file of data.{split} ({name})", "Choose a folder, such as runs/first."
            )


def _columns(recipe: Recipe, base: Path) -> Iterator[Fault]:
    columns = recipe.data.columns
    label = columns.label if isinstance(columns.label, list) else [columns.label]
    if not label:
        yield Fault(("data", "columns", "label"), "is an empty list", "Name the label columns, or leave the key out.")
    seen: dict[str, str] = {}
    parts = [("text", columns.text), ("pair", columns.pair), *(("label", name) for name in label), ("id", columns.id)]
    said = columns.annotators or ()
    annotators = [("annotators", name) for name in (said.values() if isinstance(said, dict) else said)]
    parts += [("group", columns.group), ("split", columns.split), *annotators]
    others = {part: names for part, names in columns if part not in {"annotators", *(part for part, _ in parts)}}
    parts += [(part, name) for part, names in others.items() for name in (names if isinstance(names, list) else [names])]
    for part, name in parts:
        if name is None:
            continue
        if name in seen and {part, seen[name]} != {"id", "group"}:
            message = (
                f'the column "{name}" is already the {seen[name]} column' if part != seen[name] else f'"{name}" is listed twice'
            )
            yield Fault(("data", "columns", part), message, "Each column plays one part.")
        seen.setdefault(name, part)
    if isinstance(columns.label, list) and recipe.data.label_separator is not None:
        message = "several label columns and a separator inside one column exclude each other"
        yield Fault(("data", "label_separator"), message, "Keep the one that your data has.")


def _annotators(recipe: Recipe, base: Path) -> Iterator[Fault]:
    columns, path = recipe.data.columns, ("data", "columns", "annotators")
    if columns.annotators is None:
        return
    if not columns.annotators:
        yield Fault(path, "names no column", "Name the annotators' columns, or leave the key out.")
    if isinstance(columns.label, list) or recipe.data.label_separator is not None:
        yield Fault(path, "annotators are compared where each row has one class", "Leave the key out.")


def _encoding(recipe: Recipe, base: Path) -> Iterator[Fault]:
    name = recipe.data.encoding
    if name is None:
        return
    try:
        codecs.lookup(name)
    except (LookupError, ValueError):
        yield Fault(("data", "encoding"), f'Python knows no encoding "{name}"', "For example utf-8, cp1252, latin-1, utf-16.")


def _model(recipe: Recipe, base: Path) -> Iterator[Fault]:
    if recipe.model.revision is not None and recipe.model.name.startswith("builtin:"):
        yield Fault(("model", "revision"), f"{recipe.model.name} has no revisions", "Leave the key out.")


def _adapter(recipe: Recipe, base: Path) -> Iterator[Fault]:
    for key in (recipe.adapter.model_extra or {}) if recipe.adapter else {}:
        if not key.isidentifier():
            yield Fault(
                ("adapter", key), "is no option name", "The options of a peft method are Python names, such as r or lora_alpha."
            )


def _layers(recipe: Recipe, base: Path) -> Iterator[Fault]:
    path, layers = ("train", "train_layers"), recipe.train.train_layers
    if isinstance(layers, list):
        if not layers or "" in layers:
            yield Fault(path, "a list of parameter-name patterns with nothing in it", 'For example ["classifier.*"], or all.')
    elif layers not in ("all", "head") and not _LAST.match(layers):
        digits = re.search(r"[1-9][0-9]*", layers)
        guess = f"Did you mean last {digits[0]}?" if digits else closest(layers, ("all", "head"))
        message = f'"{layers}" is none of: all, head, last N (N from 1), or a list of patterns'
        yield Fault(path, message, guess or "head trains the new head alone.")
    if recipe.adapter is not None and layers != "all":
        message = "train_layers and adapter exclude each other: the adapter says itself which layers it changes"
        yield Fault(path, message, "Leave one out; for layers of an adapter use adapter.layers_to_transform.")


def _steps(recipe: Recipe, base: Path) -> Iterator[Fault]:
    train = recipe.train
    if train.max_steps is not None and "num_train_epochs" in train.model_fields_set:
        message = f"max_steps ({train.max_steps}) and num_train_epochs ({train.num_train_epochs:g}) both say how long to train"
        yield Fault(("train", "max_steps"), message, "Keep one: max_steps for a number of steps, num_train_epochs for passes.")
    if train.warmup_steps >= 1 and not train.warmup_steps.is_integer():
        message = f"{train.warmup_steps:g} is neither a share (below 1) nor a whole number of steps"
        yield Fault(("train", "warmup_steps"), message, f"For example 0.06, or {round(train.warmup_steps)}.")
    if train.seed + train.n_seeds > _SEED_LIMIT:
        message = f"the last of {train.n_seeds} seeds from {train.seed} on would be above {_SEED_LIMIT - 1}"
        yield Fault(("train", "n_seeds"), message, "Start from a smaller train.seed.")


def _stopping(recipe: Recipe, base: Path) -> Iterator[Fault]:
    data = recipe.data
    if recipe.train.early_stopping is not None and data.validation is None and data.columns.split is None:
        message = "early stopping watches validation, and there is none (data.validation: null)"
        yield Fault(("train", "early_stopping"), message, "Give data.validation a share such as 0.1 or a file.")


def _weights(recipe: Recipe, base: Path) -> Iterator[Fault]:
    weights = recipe.train.class_weights
    if not isinstance(weights, dict):
        return
    for name, weight in weights.items():
        if weight < 0:
            yield Fault(("train", "class_weights", name), f"must be at least 0, found {weight:g}", "0 leaves the class out.")
    if not any(weights.values()):
        message = "no class has a weight above 0"
        yield Fault(("train", "class_weights"), message, "Write balanced, none, or a weight for each class.")


def _lists(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuse names that are listed twice, and ``none`` beside other names."""
    trackers = recipe.train.report_to
    listed: dict[KeyPath, list[str]] = {
        ("evaluate", "baselines"): [*(recipe.evaluate.baselines or ())],
        ("train", "report_to"): [*trackers] if isinstance(trackers, list) else [],
    }
    for path, names in listed.items():
        if len(set(names)) < len(names):
            yield Fault(path, f"a name is listed twice: {', '.join(names)}", "Name each one once.")
        if "none" in names and len(names) > 1:
            yield Fault(path, "none stands beside other names", "Remove none, or the others.")


def _upstream(recipe: Recipe, base: Path) -> Iterator[Fault]:
    for key in recipe.upstream:
        if key in OWNED:
            yield Fault(("upstream", key), "tunesmith sets this field itself", OWNED[key])
        elif key not in UPSTREAM_FIELDS:
            yield Fault(("upstream", key), f"transformers.TrainingArguments has no field {key}", suggest_upstream(key))
    named = (("optim", recipe.train.optim, OPTIMIZERS), ("lr_scheduler_type", recipe.train.lr_scheduler_type, SCHEDULES))
    for key, name, known in named:
        if name not in known:
            thing = "optimizer" if key == "optim" else "schedule"
            remedy = closest(name, sorted(known)) or f"There are: {', '.join(sorted(known))}."
            yield Fault(("train", key), f'transformers has no {thing} "{name}"', remedy)


def _processes(recipe: Recipe, base: Path) -> Iterator[Fault]:
    if recipe.parallel.strategy == "none" and recipe.parallel.processes > 1:
        message = f"strategy none is one process, and processes says {recipe.parallel.processes}"
        yield Fault(("parallel", "processes"), message, "Write strategy: ddp, or processes: 1.")


RULES: tuple[Rule, ...] = (
    _texts,
    _splits,
    _places,
    _columns,
    _annotators,
    _encoding,
    _model,
    _adapter,
    _layers,
    _steps,
    _stopping,
    _weights,
    _lists,
    _upstream,
    _processes,
    *task_rules.RULES,
)
