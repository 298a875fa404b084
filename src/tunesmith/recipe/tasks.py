"""The tasks a recipe can have: one literal table of everything that depends on the task's name.

A new task is a name in ``sections.TaskName``, a row of ``TASKS``, and its name beside the keys in ``KEYS`` that it has.
All other code reads the row of its recipe (``task_settings``) and compares no names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from tunesmith.recipe import learning_rates as rates
from tunesmith.recipe.metric_names import (
    ANSWER_METRICS,
    BINARY_METRICS,
    CLASS_METRICS,
    CLUSTER_METRICS,
    DEFAULT_LABEL_METRIC,
    LABEL_METRICS,
    LOSS_METRICS,
    MEAN_CORRELATION,
    NUMBER_METRICS,
    PAIR_METRICS,
    PREFERENCE_METRICS,
    REWARD_METRICS,
    SEARCH_METRICS,
    TEXT_METRICS,
    is_search_metric,
    split_dimension,
)

if TYPE_CHECKING:
    from tunesmith.recipe.sections import Recipe, TaskName

Key = tuple[str, ...]


@dataclass(frozen=True)
class TaskSettings:
    """One row of the table.

    Attributes:
        name: the row's key in ``TASKS``.
        task: the recipe's word for it, ``task: WORD``.
        family: the tasks that share one implementation.
        noun: plural, for messages: "applies only to NOUN".
        description: one sentence for users.
        commands: command-line verbs for the finished model.
        columns: parts of ``data.columns`` that it reads.
        sections: top-level sections of the recipe that not every task has.
        metrics: names of its metrics; see also ``has_metric``.
        named_metrics: further ones, computed only where the recipe names them.
        default_metric: selects the checkpoint and leads the verdict where the recipe names none.
        checkpoint_metric: selects the checkpoint and stops early where the recipe names no metric; None: the default metric.
        batch_rows: default rows per device; None: the recipe's own default.
        small_model_batch_rows: the same for small models with many rows (``recipe/resolved.py``); None: as for all others.
        min_steps: optimizer steps that the default length of training has at least (``recipe/resolved.py``); 0: no such floor.
        searches: whether retrieval metrics count at any cut-off.
        numeric_labels: whether a row's label is a number.
        plain_texts: whether rows are plain texts, without prompts and answers.
        loss_falls: whether a training that works has a falling loss; not where the model makes its own training rows.
    """

    name: str
    task: TaskName
    family: Literal["labelled", "embedding", "language", "reward"]
    noun: str
    description: str
    commands: tuple[str, ...]
    columns: tuple[str, ...]
    metrics: tuple[str, ...]
    default_metric: str
    baselines: tuple[str, ...]
    learning_rates: rates.LearningRates
    named_metrics: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    checkpoint_metric: str | None = None
    batch_rows: int | None = None
    small_model_batch_rows: int | None = 64
    min_steps: int = 0
    searches: bool = False
    numeric_labels: bool = False
    plain_texts: bool = False
    loss_falls: bool = True

    def has_metric(self, name: str) -> bool:
        """Return whether a name is one of the task's metrics.

        Where ``ndcg@10`` is one, ``ndcg@20`` is; of embeddings also ``ndcg@10 dim=64``.
        """
        base, dimension = split_dimension(name)
        if dimension is not None and not self.has_key(("embedding", "matryoshka_dimensions")):
            return False
        return base in (*self.metrics, *self.named_metrics) or (self.searches and is_search_metric(base))

    def has_key(self, path: Key) -> bool:
        """Return whether the task has a key of the recipe."""
        return not any(self.name not in KEY_TASKS.get(path[:end], TASKS) for end in range(1, len(path) + 1))


ROW_COLUMNS = ("text", "label", "id", "group", "split")

_CLASSIFICATION = TaskSettings(
    name="classification",
    task="classification",
    family="labelled",
    noun="classification",
    description="Predicts one label per text or pair of texts, or several labels.",
    commands=("predict", "evaluate"),
    columns=(*ROW_COLUMNS, "pair", "annotators"),
    metrics=CLASS_METRICS,
    named_metrics=BINARY_METRICS,
    default_metric=DEFAULT_LABEL_METRIC,
    baselines=("majority", "chance", "tfidf", "frozen", "untuned"),
    learning_rates=rates.ENCODER_RATES,
    min_steps=300,
)
_REGRESSION = replace(
    _CLASSIFICATION,
    name="regression",
    task="regression",
    noun="regression",
    description="Predicts a number per text or pair of texts.",
    columns=(*ROW_COLUMNS, "pair"),
    metrics=NUMBER_METRICS,
    named_metrics=(MEAN_CORRELATION,),
    default_metric="spearman",
    baselines=("majority", "tfidf", "frozen", "untuned"),
    numeric_labels=True,
)
_EMBEDDING = TaskSettings(
    name="embedding",
    task="embedding",
    family="embedding",
    noun="embedding models",
    description="Maps each text to a vector, for search, similarity and clustering.",
    commands=("evaluate", "embed"),
    columns=(*ROW_COLUMNS, "pair", "anchor", "positive", "negative", "score", "vector"),
    sections=("embedding",),
    metrics=(*SEARCH_METRICS, *PAIR_METRICS, *CLUSTER_METRICS),
    default_metric="ndcg@10",
    baselines=("untuned", "tfidf", "bm25"),
    learning_rates=rates.EMBEDDING_RATES,
    searches=True,
)
# A classifier of pairs, which then reorders the results of a search: ``embedding.head: cross-encoder``.
_RERANKER = replace(
    _EMBEDDING,
    name="reranker",
    noun="rerankers",
    description="Reads a query and a document together and scores their relevance (embedding.head: cross-encoder).",
    commands=("evaluate", "predict"),
    metrics=CLASS_METRICS,
    default_metric="average_precision",
    baselines=("majority", "chance", "tfidf", "bm25"),
    learning_rates=rates.ENCODER_RATES,
    searches=False,
)
_SFT = TaskSettings(
    name="sft",
    task="sft",
    family="language",
    noun="language models",
    description="Trains a causal language model or an encoder-decoder on prompts and their answers, or on conversations.",
    commands=("generate", "evaluate"),
    columns=(*ROW_COLUMNS, "prompt", "completion", "messages"),
    sections=("sft",),
    metrics=(*LOSS_METRICS, *TEXT_METRICS, *LABEL_METRICS),
    default_metric="loss",
    baselines=("untuned", "few_shot", "chance"),
    learning_rates=rates.LANGUAGE_RATES,
    # Conversations are long, and a few hundred of them are a few dozen steps.
    batch_rows=8,
    small_model_batch_rows=None,
)
_PRETRAINING = replace(
    _SFT,
    name="pretraining",
    task="pretraining",
    description="Continues the pretraining of a causal or masked language model, or an encoder-decoder, on plain texts.",
    columns=ROW_COLUMNS,
    sections=("pretraining",),
    metrics=LOSS_METRICS,
    baselines=("untuned",),
    batch_rows=None,
    small_model_batch_rows=64,
    plain_texts=True,
)
_REWARD = TaskSettings(
    name="reward",
    task="reward",
    family="reward",
    noun="reward models",
    description="Gives an answer a number, learned from pairs of a better and a worse answer (Bradley-Terry).",
    commands=("evaluate", "predict"),
    columns=("id", "group", "split", "label", "prompt", "completion", "chosen", "rejected", "margin", "score"),
    sections=("reward",),
    metrics=("accuracy", "log_loss", "calibration_error"),
    default_metric="accuracy",
    checkpoint_metric="log_loss",  # the accuracy of some hundred pairs is highest where the training has hardly begun
    baselines=("length", "bag_of_words", "untuned"),
    learning_rates=rates.ENCODER_RATES,
    batch_rows=16,
    small_model_batch_rows=None,
)
_PPO = TaskSettings(
    name="ppo",
    task="ppo",
    family="language",
    noun="language models trained by rewards",
    description="Trains a language model to answer prompts so that a reward function is high (PPO).",
    commands=("generate", "compare"),
    columns=("text", "id", "group", "split", "prompt", "messages"),
    sections=("ppo", "rewards"),
    metrics=(*REWARD_METRICS, *ANSWER_METRICS, "loss"),
    default_metric="reward",
    baselines=("untuned",),
    learning_rates=rates.REINFORCEMENT_RATES,
    loss_falls=False,
)
_PREFERENCE = replace(
    _SFT,
    name="preference",
    task="preference",
    description="Trains a causal language model on better and worse answers, against a reference (DPO, KTO and their relatives).",
    columns=("id", "group", "split", "label", "score", "prompt", "completion", "chosen", "rejected"),
    sections=("preference", "rewards", "rounds"),
    metrics=PREFERENCE_METRICS,
    default_metric="accuracy",
    baselines=("untuned", "length"),
    learning_rates=rates.PREFERENCE_RATES,
)
_GRPO = replace(
    _PPO,
    name="grpo",
    task="grpo",
    description="Trains a causal language model to answer prompts so that a reward function is high (GRPO, RLOO).",
    sections=("grpo", "rewards"),
)
_ROWS = (_CLASSIFICATION, _REGRESSION, _EMBEDDING, _RERANKER, _SFT, _PREFERENCE, _PRETRAINING, _REWARD, _PPO, _GRPO)

TASKS: Mapping[str, TaskSettings] = MappingProxyType({row.name: row for row in _ROWS})

_LANGUAGE = ("sft", "pretraining")
_MEASURED = ("classification", "regression", "embedding", "reranker")  # tasks with a function of metrics
# Options of the section ``embedding`` that concern vectors and their losses.
VECTOR_OPTIONS = (
    *("loss", "loss_options", "mix", "losses", "matryoshka_dimensions", "adaptive_layers", "pooling", "dense", "normalize"),
    *("prompts", "batch_sampler", "guide", "same", "different", "score_range", "convert"),
)

# Key of the recipe -> names of the tasks that have it, beside the sections and columns in the rows above. All tasks have a
# key that stands nowhere.
KEYS: Mapping[Key, tuple[str, ...]] = {
    ("quantisation",): tuple(row.name for row in _ROWS if row.name not in ("preference", "reward", "ppo", "grpo")),
    ("model", "new_tokens"): _LANGUAGE,
    ("model", "rope_parameters"): _LANGUAGE,
    ("data", "also"): ("classification", "regression", "embedding", "reranker"),
    ("data", "template"): ("classification", "regression"),
    ("data", "labels"): ("classification", "embedding", "preference", "reward"),
    ("data", "label_separator"): ("classification",),
    ("data", "keep_null_labels"): ("classification",),
    ("embedding", "first_stage"): ("reranker",),
    ("embedding", "top_k"): ("reranker",),
    **{("embedding", option): ("embedding",) for option in VECTOR_OPTIONS},
    ("train", "head_init"): ("classification", "regression"),
    ("train", "distillation"): ("classification", "regression"),
    ("train", "class_weights"): ("classification",),
    ("train", "label_smoothing_factor"): ("classification", *_LANGUAGE),
    ("evaluate", "metric"): ("classification", "regression", "embedding", "preference", "reward", *_LANGUAGE, "ppo", "grpo"),
    ("evaluate", "positive_class"): ("classification",),
    **{("evaluate", key): _MEASURED for key in ("function", "function_range", "lower_is_better")},
    ("evaluate", "evaluators"): ("embedding",),
    ("evaluate", "tune_threshold"): ("classification",),
    ("evaluate", "retrieval"): ("embedding", "reranker"),
    ("evaluate", "corpus"): ("embedding",),
    ("evaluate", "answers"): ("sft", "preference"),
    **{("evaluate", "answers", key): ("sft",) for key in ("shots", "pattern", "function")},
    ("evaluate", "stride"): _LANGUAGE,
    ("evaluate", "context_lengths"): _LANGUAGE,
    ("evaluate", "general"): _LANGUAGE,
    ("diagnose",): ("classification", "regression"),
    ("parallel", "processes"): ("classification", "regression", *_LANGUAGE),
}


def _key_tasks() -> dict[Key, tuple[str, ...]]:
    """Join the rows' sections and columns with ``KEYS``, leaving out what every task has."""
    tasks: dict[Key, tuple[str, ...]] = {}
    for row in _ROWS:
        for key in (*((section,) for section in row.sections), *(("data", "columns", column) for column in row.columns)):
            tasks[key] = (*tasks.get(key, ()), row.name)
    return {key: names for key, names in {**tasks, **KEYS}.items() if len(names) < len(_ROWS)}


KEY_TASKS: Mapping[Key, tuple[str, ...]] = MappingProxyType(_key_tasks())
"""Key of the recipe -> names of the tasks that have it, for every key that some task lacks."""


@dataclass(frozen=True)
class NoKey:
    """The message for a key that the task does not have, and what to do."""

    message: str
    remedy: str = "Remove the key."


_NO_ANSWERS = NoKey("plain texts have no prompts and answers", "Remove the key, or write task: sft.")
_ONE_PROCESS = NoKey(
    "embedding models are trained by one process, because in-batch negatives come from one batch",
    "Remove the key; raise train.per_device_train_batch_size instead.",
)
_OR_RERANKER = "Remove the key, or write embedding.head: cross-encoder."
_OR_VECTORS = "Remove the key, or write embedding.head: vector."
_OR_CLASSES = "Remove the key, or write task: classification."

_ONLY_VECTORS = "`{}` applies only to vectors, and a reranker is a classifier of pairs"

# Key -> task that does not have it -> the message, where it is more specific than the general one of ``refusal``.
REFUSALS: Mapping[Key, Mapping[str, NoKey]] = {
    ("sft",): {"pretraining": _NO_ANSWERS},
    ("data", "columns", "annotators"): {"regression": NoKey("annotators are compared where each row has one class", _OR_CLASSES)},
    **{("data", "columns", part): {"pretraining": _NO_ANSWERS} for part in ("prompt", "completion", "messages")},
    ("data", "labels"): {"regression": NoKey("a regression learns numbers, which are not mapped to classes", _OR_CLASSES)},
    ("data", "label_separator"): {"regression": NoKey("a regression has one number in a row, not several labels", _OR_CLASSES)},
    ("embedding", "first_stage"): {"embedding": NoKey("`first_stage` applies only to rerankers", _OR_RERANKER)},
    ("embedding", "top_k"): {"embedding": NoKey("`top_k` applies only to rerankers", _OR_RERANKER)},
    **{("embedding", o): {"reranker": NoKey(_ONLY_VECTORS.format(o), _OR_VECTORS)} for o in VECTOR_OPTIONS},
    ("train", "class_weights"): {"regression": NoKey("a regression has no classes to weigh", _OR_CLASSES)},
    ("train", "label_smoothing_factor"): {"regression": NoKey("a regression has no classes to smooth over", _OR_CLASSES)},
    ("evaluate", "metric"): {
        "reranker": NoKey(
            "the verdict on a reranker is about the search",
            "Remove the key; evaluate.checkpoint_metric names the metric of its pairs that selects the checkpoint.",
        )
    },
    ("evaluate", "evaluators"): {"reranker": NoKey(_ONLY_VECTORS.format("evaluators"), _OR_VECTORS)},
    ("evaluate", "function"): {
        "sft": NoKey("answers have a function of their own", "Write evaluate.answers.function."),
    },
    ("evaluate", "corpus"): {"reranker": NoKey("a reranker is evaluated on the documents of evaluate.retrieval", _OR_VECTORS)},
    ("evaluate", "tune_threshold"): {
        "regression": NoKey("a regression has no threshold to tune", _OR_CLASSES),
        "embedding": NoKey("vectors have no threshold to tune"),
        "reranker": NoKey("rankings have no threshold to tune"),
        "sft": NoKey("answers have no threshold to tune"),
        "pretraining": NoKey("plain texts have no threshold to tune"),
    },
    ("evaluate", "answers"): {"pretraining": _NO_ANSWERS},
    ("quantisation",): {name: NoKey(f"the policy of {name} is trained on unquantised weights") for name in ("ppo", "grpo")},
    ("parallel", "processes"): {"embedding": _ONE_PROCESS, "reranker": _ONE_PROCESS},
}


def task_settings(recipe: Recipe) -> TaskSettings:
    """Return the row of a recipe's task. No other function reads ``task`` and ``embedding.head`` to tell tasks apart."""
    is_reranker = recipe.task == "embedding" and recipe.embedding.head == "cross-encoder"
    return TASKS["reranker" if is_reranker else recipe.task]


def primary_metric(recipe: Recipe) -> str:
    """Return the metric that leads the verdict: the recipe's, or the task's default."""
    return recipe.evaluate.metric or task_settings(recipe).default_metric


def baseline_names(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the baselines: those in the recipe, or all of the task; random decisions need classes."""
    requested, settings = recipe.evaluate.baselines, task_settings(recipe)
    if requested is not None:
        return tuple(requested)
    return tuple(name for name in settings.baselines if name != "chance" or settings.task != "sft" or recipe.sft.labels)


def missing_keys(settings: TaskSettings) -> list[Key]:
    """List the keys that the task does not have; of a missing section only the section itself."""
    return [key for key in KEY_TASKS if not settings.has_key(key) and settings.has_key(key[:-1])]


def refusal(key: Key, settings: TaskSettings) -> NoKey:
    """Return the message for a key that the task does not have."""
    special = REFUSALS.get(key, {})
    if settings.name in special:
        return special[settings.name]
    rows = [TASKS[name] for name in KEY_TASKS[key]]
    nouns = list(dict.fromkeys(row.noun for row in rows))
    words = list(dict.fromkeys(row.task for row in rows))
    owners = f"task: {_listed(words, 'or')}" if settings.noun in nouns else _listed(nouns, "and")
    message = f"`{key[-1]}` applies only to {owners}, and the task is {settings.task}"
    return NoKey(message, f"Remove the key, or write task: {_listed(words, 'or')}.")


def _listed(words: Sequence[str], last: str) -> str:
    return f"{', '.join(words[:-1])} {last} {words[-1]}" if len(words) > 1 else words[0]
