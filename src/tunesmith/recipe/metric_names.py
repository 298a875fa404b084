"""Names, directions and aliases of all metrics. Literal tables, so that a recipe is checked before anything heavy loads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

CLASS_METRICS = ("accuracy", "macro_f1", "micro_f1", "mcc", "auroc", "average_precision", "log_loss", "calibration_error")
NUMBER_METRICS = ("pearson", "spearman", "rmse", "mae", "r2")
SEARCH_METRICS = ("ndcg@10", "mrr@10", "recall@10", "recall@100", "map@100")
"""Retrieval metrics at their usual cut-offs."""
PAIR_METRICS = ("spearman", "pearson", "average_precision", "auroc", "best_f1", "accuracy")
"""Metrics of the similarity of two vectors, against a score or a yes and no."""
CLUSTER_METRICS = ("v_measure", "adjusted_rand")
LOSS_METRICS = ("loss", "perplexity", "bits_per_byte")
"""Metrics of the tokens of a text: mean negative log-likelihood in nats, its exponential, and bits per byte of the text."""
TEXT_METRICS = ("exact_match", "token_f1", "rouge_l", "json_valid", "json_equal", "function")
"""Metrics that compare a generated text with its reference."""
LABEL_METRICS = ("accuracy", "macro_f1", "micro_f1", "mcc", "log_loss", "calibration_error")
"""Metrics of a language model whose answers are labels."""
DEFAULT_LABEL_METRIC = "macro_f1"

# metric -> whether higher is better.
DIRECTIONS: Mapping[str, bool] = MappingProxyType(
    {
        **dict.fromkeys((*CLASS_METRICS, *NUMBER_METRICS, *SEARCH_METRICS, *PAIR_METRICS, *CLUSTER_METRICS, *TEXT_METRICS), True),
        **dict.fromkeys(("log_loss", "calibration_error", "rmse", "mae", *LOSS_METRICS), False),
    }
)

_SEARCH_METRIC = re.compile(r"(ndcg|mrr|recall|map)@[1-9][0-9]*$")

# Names from other tools -> our names, the best match first. They are suggested, never accepted.
ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "acc": ("accuracy",),
        "accuracy_score": ("accuracy",),
        "subset_accuracy": ("accuracy",),
        "exact_match": ("accuracy",),
        "f1": ("macro_f1", "micro_f1"),
        "f1_score": ("macro_f1", "micro_f1"),
        "f1_macro": ("macro_f1",),
        "macro_avg_f1": ("macro_f1",),
        "weighted_f1": ("macro_f1",),
        "f1_weighted": ("macro_f1",),
        "f1_micro": ("micro_f1",),
        "matthews": ("mcc",),
        "matthews_correlation": ("mcc",),
        "matthews_corrcoef": ("mcc",),
        "roc_auc": ("auroc",),
        "roc_auc_score": ("auroc",),
        "auc": ("auroc",),
        "pr_auc": ("average_precision",),
        "auprc": ("average_precision",),
        "ap": ("average_precision",),
        "map": ("average_precision",),
        "loss": ("log_loss", "rmse"),
        "cross_entropy": ("log_loss",),
        "nll": ("log_loss",),
        "ece": ("calibration_error",),
        "expected_calibration_error": ("calibration_error",),
        "pearsonr": ("pearson",),
        "pearson_cosine": ("pearson",),
        "correlation": ("spearman", "pearson"),
        "spearmanr": ("spearman",),
        "spearman_cosine": ("spearman",),
        "mse": ("rmse",),
        "mean_squared_error": ("rmse",),
        "root_mean_squared_error": ("rmse",),
        "mean_absolute_error": ("mae",),
        "r2_score": ("r2",),
        "ppl": ("perplexity",),
        "eval_loss": ("loss",),
        "em": ("exact_match",),
        "rouge": ("rouge_l",),
        "rougel": ("rouge_l",),
        "squad_f1": ("token_f1",),
        "bpb": ("bits_per_byte",),
    }
)


def higher_is_better(name: str) -> bool:
    """Return whether larger values of a metric are better. Raises KeyError for a name that no task has."""
    return DIRECTIONS[name]


def is_search_metric(name: str) -> bool:
    """Return whether a name is a retrieval metric, at any cut-off: ``ndcg@20``."""
    return bool(_SEARCH_METRIC.match(name))
