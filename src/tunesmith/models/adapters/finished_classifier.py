"""Loads classifiers that another program trained: whole models and adapters, with the head from their own files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from tunesmith.data.cells import plural
from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE
from tunesmith.disk import read_json
from tunesmith.errors import ModelError
from tunesmith.models.adapters.attach import HEAD, HeadShape, hide_virtual_tokens
from tunesmith.models.adapters.base import PEFT_SETTINGS, AdapterBase
from tunesmith.models.kind import is_classifier
from tunesmith.models.load import load_config, load_trained_classifier, model_errors, require_whole_body
from tunesmith.models.model_files import COPY
from tunesmith.models.source import TOKENIZER_FILES, ModelSource, find_model
from tunesmith.recipe.sections import ModelSection

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

PROBE = 1237
"""A number of outputs that no layer of a model has by chance: it tells which weight belongs to the outputs."""
ADAPTER_WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class FinishedClassifier:
    """A classifier with its trained head, in fp32, in evaluation mode, on the CPU.

    Attributes:
        source: where its tokenizer is, and of a whole model its weights.
        names: the classes in the order of the outputs, as its config names them (``LABEL_0`` where nobody did).
        problem_type: as in transformers' config; ``stated`` is False where the config has none.
    """

    model: PreTrainedModel
    source: ModelSource
    names: tuple[str, ...]
    problem_type: str
    stated: bool


def load_finished_classifier(name: str, tokenizer: str | None = None) -> FinishedClassifier:
    """Loads the classifier of a folder, of an adapter's folder or of a hub id. Raises ModelError if that fails.

    Args:
        tokenizer: the name of its tokenizer, where its own files have none.
    """
    folder = Path(name)
    if (folder / PEFT_SETTINGS).is_file():
        return load_adapted(folder, tokenizer)
    source = find_model(ModelSection(name=name, tokenizer=tokenizer), Path())
    return described(load_trained_classifier(source, name), source, load_config(source))


def load_adapted(folder: Path, tokenizer: str | None) -> FinishedClassifier:
    """Loads a classifier's adapter of peft on its base model.

    Its own files hold the head, but not the names of its classes. An adapter without a head, on a base model that has one, uses
    the base model's head and names.
    """
    from transformers import AutoModelForSequenceClassification

    base = find_model(ModelSection(name=AdapterBase.load(folder).source.name, tokenizer=tokenizer), Path())
    require_whole_body(base)
    config, n_outputs = load_config(base), saved_outputs(base, folder)
    if n_outputs is None and not is_classifier(base.name):
        message = f"neither the adapter nor its base model {base.name} has a classification head."
        raise ModelError.one(str(folder), message, "Save the adapter with task_type SEQ_CLS, which saves the head as well.")
    options: dict[str, Any] = {**base.version, "dtype": "float32", "use_safetensors": True}
    if n_outputs is not None:
        options |= {"num_labels": n_outputs, "ignore_mismatched_sizes": True}
        config = config_of_head(base, folder, n_outputs)
    from peft import PeftModel

    with model_errors(str(folder), f"it cannot be loaded on its base model {base.name}", COPY):
        body = AutoModelForSequenceClassification.from_pretrained(base.location, **options)
        model: Any = hide_virtual_tokens(PeftModel.from_pretrained(body, str(folder)).eval())
    own = any((folder / file).is_file() for file in TOKENIZER_FILES)
    source = replace(base, name=str(folder), location=str(folder)) if own and tokenizer is None else base
    return described(model, source, config)


def config_of_head(base: ModelSource, folder: Path, n_outputs: int) -> PreTrainedConfig:
    """Returns the base model's config for the head of an adapter, whose classes are named in ``head.json`` or nowhere.

    The names in the base model's own config are those of its own head.
    """
    config, path = load_config(base), folder / HEAD
    head = read_json(path, HeadShape) if path.is_file() else {"names": [], "problem_type": None}
    names = head["names"] or [f"LABEL_{i}" for i in range(n_outputs)]
    config.id2label, config.problem_type = dict(enumerate(names)), head["problem_type"]
    return config


def saved_outputs(base: ModelSource, folder: Path) -> int | None:
    """Returns the number of outputs of the head in an adapter's weights; None if they hold no head.

    The name of the head's last weight is that of the weight whose rows are the outputs, whatever the architecture.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    config = load_config(base)
    config.num_labels = PROBE
    with model_errors(f"model.name {base.name}", "it cannot be loaded as a text classifier"), torch.device("meta"):
        probe = AutoModelForSequenceClassification.from_config(config)
    heads = [name for name, weight in probe.named_parameters() if weight.ndim == 2 and weight.shape[0] == PROBE]
    try:
        with safe_open(folder / ADAPTER_WEIGHTS, framework="np") as file:
            sizes = [file.get_slice(key).get_shape()[0] for key in file.keys() for name in heads if belongs(key, name)]  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError.one(str(folder), f"{ADAPTER_WEIGHTS} cannot be read: {error}.", COPY) from None
    return int(sizes[0]) if sizes else None


def belongs(key: str, name: str) -> bool:
    """Tells whether a tensor of an adapter is the weight of that name, also inside of peft's ``modules_to_save``."""
    plain = key.replace(".modules_to_save.default", "").replace(".modules_to_save", "")
    return plain.endswith(f".{name}") and ".original_module." not in key


def described(model: PreTrainedModel, source: ModelSource, config: PreTrainedConfig) -> FinishedClassifier:
    """Adds the classes and the problem type of a config. Raises ModelError where they contradict each other or the outputs."""
    n_outputs = int(model.config.num_labels)  # of the outputs that were loaded; those of an adapter are in no config
    names = tuple(str(config.id2label[i]).strip() for i in sorted(config.id2label))
    if sorted(config.id2label) != list(range(n_outputs)):
        message = f"id2label in its config names {plural(len(names), 'class', 'classes')} for {plural(n_outputs, 'output')}."
        raise ModelError.one(source.name, message, "Correct id2label in config.json: one name for each output, counted from 0.")
    if len(set(names)) < len(names):
        raise ModelError.one(source.name, "id2label in its config gives two classes the same name.", "Correct it in config.json.")
    problem = config.problem_type or (REGRESSION if n_outputs == 1 else SINGLE)
    if problem not in (SINGLE, MULTI, REGRESSION) or (problem == SINGLE) != (problem == SINGLE and n_outputs > 1):
        message = f"its config has problem_type {problem} and {plural(n_outputs, 'output')}."
        raise ModelError.one(source.name, message, "Correct problem_type in config.json.")
    if problem == REGRESSION and n_outputs > 1:
        raise ModelError.one(source.name, f"it predicts {plural(n_outputs, 'number')} for each text; one was expected.")
    names = ("score",) if problem == REGRESSION else names
    return FinishedClassifier(model, source, names, problem, config.problem_type is not None)
