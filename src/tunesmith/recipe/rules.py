"""Checks rules between keys that need neither the data nor the model: one function per subject, one table at the end."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tunesmith.recipe import task_rules
from tunesmith.recipe.files import fault_of_name, inside, is_file, is_file_name, locate, same_path
from tunesmith.recipe.sections import DataSection, Recipe
from tunesmith.recipe.source import Fault, KeyPath
from tunesmith.recipe.suggest import closest, suggest_upstream
from tunesmith.recipe.tasks import task_settings
from tunesmith.recipe.template import parse_template
from tunesmith.recipe.tree import describe_value, shorten
from tunesmith.recipe.upstream_names import ATTENTIONS, LOWEST, OPTIMIZERS, OWNED, SCHEDULES, UPSTREAM_FIELDS

Rule = Callable[[Recipe, Path], Iterator[Fault]]

_LAST = re.compile(r"^last ([1-9][0-9]*)$")
_NUMBER = re.compile(r"^[-+]?[0-9]*[.,]?[0-9]+\s*%?$")
_SEED_LIMIT = 2**32
SPLIT_KEYS = ("train", "validation", "test")
WHOLE = re.compile(r"[+-]?\d+(?:\.0*)?")
"""A whole number, as ``data.cells`` reads one."""


def broken_rules(recipe: Recipe, base: Path) -> list[Fault]:
    """Checks the rules of a recipe whose single values are valid; relative data paths are looked up in ``base`` first."""
    return [fault for rule in RULES for fault in rule(recipe, base)]


def _texts(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuses empty names, names that no file can have, and fractions given as text."""
    data, evaluate = recipe.data, recipe.evaluate
    files: dict[KeyPath, object] = {
        ("model", "name"): recipe.model.name,
        ("data", "train"): data.train,
        ("data", "validation"): data.validation,
        ("data", "test"): data.test,
        **{("data", "also", i): name for i, name in enumerate(data.also)},
        ("evaluate", "retrieval"): evaluate.retrieval,
        ("evaluate", "corpus"): evaluate.corpus,
        ("evaluate", "general"): evaluate.general,
        ("sft", "chat_template"): recipe.sft.chat_template,
        ("ppo", "chat_template"): recipe.ppo.chat_template,
        ("grpo", "chat_template"): recipe.grpo.chat_template,
        ("embedding", "first_stage"): recipe.embedding.first_stage,
        ("embedding", "guide"): recipe.embedding.guide,
        ("output",): recipe.output,
    }
    for path, name in files.items():
        if isinstance(name, str) and (fault := fault_of_name(name)):
            yield Fault(path, fault, "")
    names: dict[KeyPath, object] = {("data", "columns", part): name for part, name in data.columns}
    for path, text in {("data", "label_separator"): data.label_separator, **names}.items():
        if text == "":
            yield Fault(path, "is empty", "")
        elif isinstance(text, str) and "\0" in text:
            yield Fault(path, "contains a NUL character", "")
    for split, source in (("validation", data.validation), ("test", data.test)):
        if isinstance(source, str) and _NUMBER.match(source):
            message = f'"{source}" is text and would be read as a file name'
            yield Fault(("data", split), message, "Write a fraction such as 0.1, without quotes or percent signs.")


def _splits(recipe: Recipe, base: Path) -> Iterator[Fault]:
    data = recipe.data
    if isinstance(data.validation, float) and isinstance(data.test, float) and data.validation + data.test >= 1:
        message = f"validation ({data.validation:g}) and test ({data.test:g}) leave no row for training"
        yield Fault(("data", "test"), message, "Together they must stay below 1.")
    sources = [(split, data.file(split)) for split in ("train", "validation", "test")]
    files = [(split, locate(name, base)) for split, name in sources if name]
    for index, (split, path) in enumerate(files):
        same = next((other for other, earlier in files[:index] if same_path(path, earlier)), None)
        if same == "train":
            message = "is the same file as data.train: the model would be evaluated on its training rows"
            yield Fault(("data", split), message, f"Give other rows, or a fraction such as {split}: 0.1.")
        elif same:
            message = f"is the same file as data.{same}, which selects the best checkpoint"
            yield Fault(("data", split), message, "Remove test: the verdict is then computed on validation.")


def _also(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuses a further training file that is also train, validation or test, or is named twice."""
    data = recipe.data
    earlier = [(f"data.{split}", locate(name, base)) for split in ("train", "validation", "test") if (name := data.file(split))]
    for i, name in enumerate(data.also):
        path = locate(name, base)
        same = next((key for key, other in earlier if same_path(path, other)), None)
        if same in ("data.validation", "data.test"):
            message = f"is the same file as {same}: the model would be evaluated on its training rows"
            yield Fault(("data", "also", i), message, "Remove it here, or give other rows to evaluate on.")
        elif same:
            yield Fault(("data", "also", i), f"is the same file as {same}: each of its rows would be used twice", "Remove one.")
        earlier.append((f"data.also[{i}]", path))


def _template(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuses a template that cannot be parsed, and one beside another text column."""
    data = recipe.data
    if data.template is None:
        return
    try:
        parse_template(data.template)
    except ValueError as error:
        yield Fault(("data", "template"), f"{error}", 'For example "{title}. {body}".')
    if data.columns.text is not None:
        message = f"the template makes the text, and data.columns.text names {data.columns.text}"
        yield Fault(("data", "template"), message, "Remove one of the two.")


def _labels(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuses maps of labels that are not label -> class, and files among their keys that the recipe does not name."""
    data = recipe.data
    labels = data.labels
    path: KeyPath = ("data", "labels")
    compares = "chosen" in task_settings(recipe).columns  # the judgements of answers may be mapped to true and false
    are_maps = [isinstance(value, dict) for value in labels.values()]
    if any(are_maps) and not all(are_maps):
        yield Fault(path, "holds maps beside single classes", "Write one map for all files, or a map for each: {FILE: {0: no}}.")
        return
    if not any(are_maps):
        yield from _label_map(labels, path, compares)
        return
    files = [name for split in SPLIT_KEYS if (name := data.file(split))]
    absent = _absent_files(data, base)
    names = [*files, *data.also, *SPLIT_KEYS, *(f"also[{i}]" for i in range(len(data.also)))]
    for name, classes in labels.items():
        if name not in names:
            remedy = absent or closest(name, names) or f"Files: {', '.join([*files, *data.also])}."
            yield Fault((*path, name), "is not a file of this recipe", remedy)
        if not classes:
            yield Fault((*path, name), "is an empty map", "Write {label: class}, or remove it.")
        yield from _label_map(classes, (*path, name), compares)


def _absent_files(data: DataSection, base: Path) -> str:
    """Names the data files of the recipe that do not exist, in one sentence; empty if all do."""
    files = {f"data.{split}": name for split in SPLIT_KEYS if (name := data.file(split))}
    files |= {f"data.also[{i}]": name for i, name in enumerate(data.also)}
    absent = [f"{key} is {name}" for key, name in files.items() if is_file_name(name) and not os.path.exists(locate(name, base))]
    return f"{'; '.join(absent)}: there is no such file." if absent else ""


def _label_map(labels: Mapping[str, object], path: KeyPath, are_judgements: bool) -> Iterator[Fault]:
    """Refuses classes that are no names or numbers, a label given twice, and a map that leaves out every row.

    Args:
        are_judgements: the labels are those of answers: they may be true and false, and words that are absent mean what they say.
    """
    seen: dict[str, str] = {}
    for label, name in labels.items():
        if isinstance(name, bool) and not are_judgements:
            message = "the class is true or false, as YAML reads yes, no, on and off"
            yield Fault((*path, label), message, 'Put its name in quotes: "yes".')
        elif name is not None and not isinstance(name, str | int | float):
            yield Fault((*path, label), f"expected the name of a class, or null, found {describe_value(name)}", "")
        elif isinstance(name, str) and not name.strip():
            yield Fault((*path, label), "the name of the class is empty", "Write null to leave these rows out.")
        if not label.strip():
            yield Fault((*path, label), "the label is empty", "Rows without a label are left out by themselves.")
        if (other := seen.setdefault(plain_label(label), label)) != label:
            yield Fault((*path, label), f"is the same label as {other}", "Remove one of the two.")
    if labels and not are_judgements and all(name is None for name in labels.values()):
        yield Fault(path, "leaves out every row: each label is mapped to null", "Give some of them a class.")


def plain_label(label: str) -> str:
    """Returns a key that is equal for notations of one label: 0 and 0.0, true and True."""
    text = label.strip()
    if WHOLE.fullmatch(text) and not (len(text) > 1 and text[0] == "0" and text[1] != "."):
        return str(int(float(text)))
    return text.lower() if text.lower() in ("true", "false") else text


def _output_folder(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuses a run folder that contains a data file or the base model, or is inside a data file."""
    if not recipe.output:
        return
    output, data = Path(recipe.output), recipe.data
    names = [(f"the data file of data.{split}", data.file(split)) for split in SPLIT_KEYS]
    names += [(f"the data file of data.also[{i}]", name) for i, name in enumerate(data.also)]
    for what, name in (*names, ("the base model of model.name", recipe.model.name)):
        if not name or not is_file_name(name):
            continue
        path = locate(name, base)
        if inside(path, output):
            message = f"contains {what} ({name})"
            yield Fault(("output",), message, "Choose a separate folder, such as runs/first.")
        elif is_file(path) and inside(output, path):
            message = f"is inside {what} ({name})"
            yield Fault(("output",), message, "Choose a folder, such as runs/first.")


def _columns(recipe: Recipe, base: Path) -> Iterator[Fault]:
    columns = recipe.data.columns
    label = columns.label if isinstance(columns.label, list) else [columns.label]
    if not label:
        yield Fault(("data", "columns", "label"), "is an empty list", "Name the label columns, or leave the key out.")
    seen: dict[str, str] = {}
    parts = [("text", columns.text), ("pair", columns.pair), *(("label", name) for name in label), ("id", columns.id)]
    named = columns.annotators or ()
    annotators = [("annotators", name) for name in (named.values() if isinstance(named, dict) else named)]
    parts += [("group", columns.group), ("split", columns.split), *annotators]
    others = {part: names for part, names in columns if part not in {"annotators", *(part for part, _ in parts)}}
    parts += [(part, name) for part, names in others.items() for name in (names if isinstance(names, list) else [names])]
    for part, name in parts:
        if name is None:
            continue
        if name in seen and {part, seen[name]} != {"id", "group"}:
            same = part == seen[name]
            message = f'"{name}" is listed twice' if same else f'the column "{name}" is already the {seen[name]} column'
            yield Fault(("data", "columns", part), message, "Each column has one role.")
        seen.setdefault(name, part)
    if isinstance(columns.label, list) and recipe.data.label_separator is not None:
        message = "several label columns and label_separator exclude each other"
        yield Fault(("data", "label_separator"), message, "Keep the one that matches your data.")


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
        yield Fault(("data", "encoding"), f'Python has no encoding "{name}"', "For example utf-8, cp1252, latin-1, utf-16.")


def _model_and_adapter(recipe: Recipe, base: Path) -> Iterator[Fault]:
    if recipe.model.revision is not None and recipe.model.name.startswith("builtin:"):
        yield Fault(("model", "revision"), f"{recipe.model.name} has no revisions", "Remove the key.")
    for key in (recipe.adapter.model_extra or {}) if recipe.adapter else {}:
        if not key.isidentifier():
            remedy = "The options of a peft method are Python names, such as r or lora_alpha."
            yield Fault(("adapter", key), "is not a valid option name", remedy)


def _layers(recipe: Recipe, base: Path) -> Iterator[Fault]:
    path, layers = ("train", "train_layers"), recipe.train.train_layers
    if isinstance(layers, list):
        if not layers or "" in layers:
            message = "the list of parameter-name patterns is empty, or one of them is"
            yield Fault(path, message, 'For example ["classifier.*"], or all.')
    elif layers not in ("all", "head") and not _LAST.match(layers):
        digits = re.search(r"[1-9][0-9]*", layers)
        guess = f"Did you mean last {digits[0]}?" if digits else closest(layers, ("all", "head"))
        message = f'"{layers}" is not one of: all, head, last N (N at least 1), a list of patterns'
        yield Fault(path, message, guess or "head trains only the new head.")
    if recipe.adapter is not None and layers != "all":
        message = "train_layers and adapter exclude each other: the adapter selects the layers itself"
        yield Fault(path, message, "Remove one of them; to select the layers of an adapter, use adapter.layers_to_transform.")


def _steps(recipe: Recipe, base: Path) -> Iterator[Fault]:
    train = recipe.train
    if train.max_steps is not None and train.num_train_epochs is not None:
        both = f"max_steps ({train.max_steps}) and num_train_epochs ({train.epochs:g})"
        message = f"{both} both set the length of training"
        yield Fault(("train", "max_steps"), message, "Keep one: max_steps for a number of steps, num_train_epochs for epochs.")
    if train.warmup_steps >= 1 and not train.warmup_steps.is_integer():
        message = f"{train.warmup_steps:g} is neither a fraction (below 1) nor a whole number of steps"
        yield Fault(("train", "warmup_steps"), message, f"For example 0.06, or {round(train.warmup_steps)}.")
    if train.seed + train.n_seeds > _SEED_LIMIT:
        message = f"the last of {train.n_seeds} seeds, starting at {train.seed}, would be above {_SEED_LIMIT - 1}"
        yield Fault(("train", "n_seeds"), message, "Start from a smaller train.seed.")
    data = recipe.data
    if recipe.train.early_stopping is not None and data.validation is None and data.columns.split is None:
        message = "early stopping needs a validation split, and there is none (data.validation: null)"
        yield Fault(("train", "early_stopping"), message, "Set data.validation to a fraction such as 0.1, or to a file.")


def _saves(recipe: Recipe, base: Path) -> Iterator[Fault]:
    train = recipe.train
    if train.save_total_limit is not None and train.save_strategy != "all":
        message = f"limits the models of evaluations, and save_strategy is {train.save_strategy}"
        yield Fault(("train", "save_total_limit"), message, "Write train.save_strategy: all, or remove it.")


def _weights(recipe: Recipe, base: Path) -> Iterator[Fault]:
    weights = recipe.train.class_weights
    if not isinstance(weights, dict):
        return
    for name, weight in weights.items():
        if weight < 0:
            path = ("train", "class_weights", name)
            yield Fault(path, f"must be at least 0, found {weight:g}", "0 excludes the class from the loss.")
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
            yield Fault(path, f"a name is listed twice: {', '.join(names)}", "List each one once.")
        if "none" in names and len(names) > 1:
            yield Fault(path, "none is combined with other names", "Remove none, or the other names.")


def _upstream(recipe: Recipe, base: Path) -> Iterator[Fault]:
    for key in recipe.upstream:
        if key in OWNED:
            yield Fault(("upstream", key), "tunesmith sets this field itself", OWNED[key])
        elif key not in UPSTREAM_FIELDS:
            yield Fault(("upstream", key), f"transformers.TrainingArguments has no field {key}", suggest_upstream(key))
    for key, (lowest, is_whole) in LOWEST.items():
        value = recipe.upstream.get(key)
        is_right = isinstance(value, int if is_whole else int | float) and not isinstance(value, bool) and value >= lowest
        if value is not None and not is_right:
            message = f"must be a {'whole ' * is_whole}number, at least {lowest}, found {shorten(repr(value))}"
            yield Fault(("upstream", key), message, "Write such a number, or leave it out.")
    for key, kind, names in (("optim", "optimizer", OPTIMIZERS), ("lr_scheduler_type", "schedule", SCHEDULES)):
        name = getattr(recipe.train, key)
        if name not in names:
            remedy = closest(name, sorted(names)) or f"There are: {', '.join(sorted(names))}."
            yield Fault(("train", key), f'transformers has no {kind} "{name}"', remedy)


def _attention(recipe: Recipe, base: Path) -> Iterator[Fault]:
    """Refuses an attention that transformers does not have, and flash attention in a training in fp32."""
    path: KeyPath = ("model", "attn_implementation")
    name, is_half = recipe.model.attn_implementation, bool(recipe.upstream.get("bf16") or recipe.upstream.get("fp16"))
    if name is None:
        return
    if name not in ATTENTIONS:
        remedy = closest(name, ATTENTIONS) or f"There are: {', '.join(ATTENTIONS)}."
        yield Fault(path, f'transformers has no attention "{name}"', remedy)
    elif name.startswith("flash") and not recipe.train.fast and not is_half:
        message = f"{name} computes only in bf16 and fp16, and train.fast: false trains in fp32"
        yield Fault(path, message, "Remove train.fast: false, or write upstream.bf16: true.")


def _processes(recipe: Recipe, base: Path) -> Iterator[Fault]:
    if recipe.parallel.strategy == "none" and recipe.parallel.processes > 1:
        message = f"strategy none uses one process, and processes is {recipe.parallel.processes}"
        yield Fault(("parallel", "processes"), message, "Write strategy: ddp, or processes: 1.")


RULES: tuple[Rule, ...] = (
    _texts,
    _splits,
    _also,
    _template,
    _labels,
    _output_folder,
    _columns,
    _annotators,
    _encoding,
    _model_and_adapter,
    _layers,
    _steps,
    _saves,
    _weights,
    _lists,
    _upstream,
    _attention,
    _processes,
    *task_rules.RULES,
)
