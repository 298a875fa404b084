"""Lists the metrics and baselines of each task, as literal tables, so that a recipe is checked without heavy imports."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from tunesmith.recipe.sections import Recipe, TaskName

# Token losses: mean negative log-likelihood in nats, its exponential, and bits per byte of text.
LOSS_METRICS: Mapping[str, bool] = MappingProxyType({"loss": False, "perplexity": False, "bits_per_byte": False})
# Metrics that compare a generated text with the reference.
TEXT_METRICS = ("exact_match", "token_f1", "rouge_l", "json_valid", "json_equal", "function")
# Default metric of predicted labels.
LABEL_METRIC = "macro_f1"

# task -> metric -> whether higher is better.
METRICS: Mapping[TaskName, Mapping[str, bool]] = MappingProxyType(
    {
        "classification": {
            "accuracy": True,
            "macro_f1": True,
            "micro_f1": True,
            "mcc": True,
            "auroc": True,
            "average_precision": True,
            "log_loss": False,
            "calibration_error": False,
        },
        "regression": {"pearson": True, "spearman": True, "rmse": False, "mae": False, "r2": True},
        "embedding": dict.fromkeys(
            (
                "ndcg@10",
                "mrr@10",
                "recall@10",
                "recall@100",
                "map@100",
                "spearman",
                "pearson",
                "average_precision",
                "auroc",
                "best_f1",
                "accuracy",
                "v_measure",
                "adjusted_rand",
            ),
            True,
        ),
        "sft": {
            **LOSS_METRICS,
            **dict.fromkeys(TEXT_METRICS, True),
            **dict.fromkeys(("accuracy", "macro_f1", "micro_f1", "mcc"), True),
            "log_loss": False,
            "calibration_error": False,
        },
        "pretraining": LOSS_METRICS,
    }
)

DEFAULT_METRIC: Mapping[TaskName, str] = MappingProxyType(
    {"classification": LABEL_METRIC, "regression": "spearman", "embedding": "ndcg@10", "sft": "loss", "pretraining": "loss"}
)
BASELINES: Mapping[TaskName, tuple[str, ...]] = MappingProxyType(
    {
        "classification": ("majority", "tfidf", "frozen", "untuned"),
        "regression": ("majority", "tfidf", "frozen", "untuned"),
        "embedding": ("untuned", "tfidf", "bm25"),
        "sft": ("untuned", "few_shot"),
        "pretraining": ("untuned",),
    }
)

# Name in other tools -> our names, the best match first. Used for suggestions only.
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


def primary_metric(recipe: Recipe) -> str:
    """Returns the recipe's metric or the task's default; it selects the best checkpoint and leads the verdicts."""
    return recipe.evaluate.metric or DEFAULT_METRIC[recipe.task]


def baseline_names(recipe: Recipe) -> tuple[str, ...]:
    """Returns the baselines that the recipe names, or all of its task."""
    requested = recipe.evaluate.baselines
    return BASELINES[recipe.task] if requested is None else tuple(requested)


def higher_is_better(name: str) -> bool:
    """Whether a larger value of the metric is better.

    Raises:
        KeyError: no task has a metric with this name.
    """
    return {metric: higher for names in METRICS.values() for metric, higher in names.items()}[name]


def suggest_metric(name: str, task: TaskName) -> str:
    """Suggests a metric for an unknown name, or lists the metrics of the task."""
    own = METRICS[task]
    plain = name.strip().lower().replace("-", "_").replace(" ", "_").removeprefix("eval_").removeprefix("val_")
    candidates = [alias for alias in (plain, *ALIASES.get(plain, ())) if alias in own] or get_close_matches(plain, own, 1, 0.7)
    if candidates:
        return f"Did you mean {' or '.join(candidates)}?"
    other = next((known for known, names in METRICS.items() if known != task and plain in names), None)
    note = f"{plain} is a metric of the task {other}. " if other else ""
    return f"{note}Metrics of {task}: {', '.join(own)}."
