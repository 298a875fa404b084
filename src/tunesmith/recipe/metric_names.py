"""Names, directions and aliases of all metrics. Literal tables, so that a recipe is checked before anything heavy loads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

CLASS_METRICS = (
    "accuracy",
    "macro_f1",
    "micro_f1",
    "mcc",
    "auroc",
    "average_precision",
    "log_loss",
    "v_information",
    "calibration_error",
)
BINARY_METRICS = ("f1", "accuracy_f1")
"""Metrics of one positive class: its F1, and the mean of accuracy and F1 (GLUE's score of MRPC and QQP)."""
DECISION_METRICS = ("accuracy", "macro_f1", "micro_f1", "mcc", *BINARY_METRICS)
"""Metrics that read the decided classes alone, so that they change in steps."""
NUMBER_METRICS = ("pearson", "spearman", "rmse", "mae", "r2")
MEAN_CORRELATION = "pearson_spearman"
"""The mean of Pearson and Spearman: GLUE's score of STS-B."""
SEARCH_METRICS = ("ndcg@10", "mrr@10", "recall@10", "recall@100", "map@100")
"""Retrieval metrics at their usual cut-offs."""
PAIR_METRICS = ("spearman", "pearson", "average_precision", "auroc", "best_f1", "accuracy")
"""Metrics of the similarity of two vectors, against a score or a yes and no."""
TRIPLET_ACCURACY = "triplet_accuracy"
CLUSTER_METRICS = ("v_measure", "adjusted_rand", TRIPLET_ACCURACY)
"""Metrics of the vectors of labelled texts: the agreement of clusters with the classes, and of drawn triplets."""
LOSS_METRICS = ("loss", "perplexity", "bits_per_byte")
"""Metrics of the tokens of a text: mean negative log-likelihood in nats, its exponential, and bits per byte of the text."""
TEXT_METRICS = ("exact_match", "token_f1", "rouge_l", "json_valid", "json_equal", "function")
"""Metrics that compare a generated text with its reference."""
PAIR_SCORES = ("accuracy",)
"""Scores of a pair of answers: 1 if the chosen one has the higher reward, 0.5 for a tie."""
LABEL_METRICS = ("accuracy", "macro_f1", "micro_f1", "mcc", "log_loss", "v_information", "calibration_error")
"""Metrics of a language model whose answers are labels."""
REWARD_METRICS = ("reward", "gold_reward")
"""Metrics of sampled answers by a recipe's reward functions: any real number, higher is better."""
ANSWER_METRICS = ("kl", "answer_tokens", "repetition", "finished")
"""Properties of sampled answers: exact KL to the untuned model in nats, length, share of repeated words, share that ended."""
STANDARD_ERROR = "_standard_error"
"""Ending of the names of standard errors of rewards, which evaluations during training have."""
UNBOUNDED_METRICS = frozenset({*REWARD_METRICS, "kl", "answer_tokens"})
"""Metrics of single rows that are no shares: their means have no ends at 0 and 1."""
DEFAULT_LABEL_METRIC = "macro_f1"
PREFERENCE_SCORES = (*PAIR_SCORES, "likelihood_accuracy")
"""Scores of a pair: whether the chosen answer has the higher implicit reward, and the higher likelihood per token; ties half."""
PREFERENCE_FALLING = ("loss", "chosen_nll", "rejected_change", "looping", "answer_tokens")
PREFERENCE_FIGURES = ("margin", "chosen_change", *PREFERENCE_FALLING)
"""Figures of preference runs: of the implicit reward, of the log-probabilities, and of generated answers."""
PREFERENCE_METRICS = (*PREFERENCE_SCORES, *PREFERENCE_FIGURES)
LOSS = "loss"
"""The training loss on validation, which every task may select the checkpoint by."""

TITLES: Mapping[str, str] = {
    "macro_f1": "macro F1", "micro_f1": "micro F1", "mcc": "MCC", "v_information": "V-information", "auroc": "AUROC",
    "rmse": "RMSE", "mae": "MAE", "r2": "R²",
    "f1": "F1", "accuracy_f1": "mean of accuracy and F1", "pearson_spearman": "mean of Pearson and Spearman",
    "spearman": "Spearman", "pearson": "Pearson", "best_f1": "best F1", "rouge_l": "ROUGE-L", "token_f1": "token F1",
    "json_valid": "valid JSON", "json_equal": "equal JSON", "kl": "KL",
}  # fmt: skip
"""metric -> its name in sentences and tables, where it is more than the key without underscores."""

# metric -> whether higher is better.
DIRECTIONS: Mapping[str, bool] = {
    **dict.fromkeys((*CLASS_METRICS, *NUMBER_METRICS, *SEARCH_METRICS, *PAIR_METRICS, *CLUSTER_METRICS, *TEXT_METRICS), True),
    **dict.fromkeys((*BINARY_METRICS, MEAN_CORRELATION), True),
    **{name: name not in PREFERENCE_FALLING for name in PREFERENCE_METRICS},
    **dict.fromkeys((*REWARD_METRICS, "finished"), True),
    **dict.fromkeys(("log_loss", "calibration_error", "rmse", "mae", *LOSS_METRICS, "kl", "answer_tokens", "repetition"), False),
    **{f"{name}{STANDARD_ERROR}": False for name in REWARD_METRICS},
}

_SEARCH_METRIC = re.compile(r"(ndcg|mrr|recall|map)@[1-9][0-9]*$")
_AT_DIMENSION = re.compile(r"(.+) dim=([1-9][0-9]*)$")

_ALIASES: dict[str, str] = {
    "f1 macro_f1 micro_f1": "f1_score f1_binary binary_f1",
    "accuracy_f1": "glue/mrpc glue/qqp mrpc qqp acc_and_f1 accuracy_and_f1",
    "accuracy_f1 pearson_spearman": "combined_score",
    "pearson_spearman": "glue/stsb stsb pearson_and_spearman",
    "accuracy": "acc accuracy_score subset_accuracy exact_match glue/sst2 glue/mnli glue/qnli glue/rte glue/wnli",
    "macro_f1": "f1_macro macro_avg_f1 weighted_f1 f1_weighted",
    "micro_f1": "f1_micro",
    "mcc": "matthews matthews_correlation matthews_corrcoef glue/cola",
    "auroc": "roc_auc roc_auc_score auc",
    "average_precision": "pr_auc auprc ap map",
    "log_loss rmse": "loss",
    "log_loss": "cross_entropy nll",
    "v_information": "pvi v_info usable_information vinfo",
    "calibration_error": "ece expected_calibration_error",
    "pearson": "pearsonr pearson_cosine",
    "spearman pearson": "correlation",
    "spearman": "spearmanr spearman_cosine",
    "rmse": "mse mean_squared_error root_mean_squared_error",
    "mae": "mean_absolute_error",
    "r2": "r2_score",
    "perplexity": "ppl",
    "loss": "eval_loss",
    "exact_match": "em",
    "rouge_l": "rouge rougel",
    "token_f1": "squad_f1",
    "bits_per_byte": "bpb",
}

# Names from other tools -> our names, the best match first. They are suggested, never accepted.
ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {alias: tuple(names.split()) for names, aliases in _ALIASES.items() for alias in aliases.split()}
)


def higher_is_better(name: str) -> bool:
    """Return whether larger values of a metric are better, also of truncated embeddings.

    Raises KeyError for a name that no task has.
    """
    return DIRECTIONS[split_dimension(name)[0]]


def at_dimension(name: str, dimension: int | None) -> str:
    """Return the metric's name for embeddings truncated to ``dimension``: ``ndcg@10 dim=64``."""
    return name if dimension is None else f"{name} dim={dimension}"


def split_dimension(name: str) -> tuple[str, int | None]:
    """Return the metric and the dimension of a name from ``at_dimension``; None for whole embeddings."""
    match = _AT_DIMENSION.match(name)
    return (match[1], int(match[2])) if match else (name, None)


def metric_title(name: str) -> str:
    """Return the name of a metric in a sentence or a table: ``macro F1`` for ``macro_f1``."""
    base, dimension = split_dimension(name)
    return at_dimension(TITLES.get(base) or base.replace("_", " "), dimension)


def is_search_metric(name: str) -> bool:
    """Return whether a name is a retrieval metric, at any cut-off: ``ndcg@20``."""
    return bool(_SEARCH_METRIC.match(name))
