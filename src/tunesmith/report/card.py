"""The model card that lies beside a model: README.md in the Hub's format, with results, baselines, verdict and limits.

It holds no text from the data, only counts and figures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from tunesmith.report.markdown import markdown_table, metrics_markdown, plain, verdicts_markdown
from tunesmith.report.numbers import count, duration, is_number, percent, significant, size
from tunesmith.report.record import loading_lines
from tunesmith.report.words import (
    CAUSAL,
    EMBEDDING,
    MASKED,
    TASK_NAMES,
    headline,
    main_metric,
    main_split,
    part,
    plain_name,
    total_seconds,
    worst_first,
)
from tunesmith.results import RunResult

HUB_METRICS = {
    "macro_f1": "f1", "micro_f1": "f1", "mcc": "matthews_correlation", "auroc": "roc_auc",
    "spearman": "spearmanr", "pearson": "pearsonr",
}  # fmt: skip
BUILTIN_MODELS = {"builtin:minilm": "sentence-transformers/all-MiniLM-L6-v2"}
LIBRARIES = {"embedding": "sentence-transformers"}
PIPELINES = {"embedding": "sentence-similarity", CAUSAL: "text-generation", MASKED: "fill-mask"}
KINDS = {"embedding": "sentence embedding model", CAUSAL: "language model", MASKED: "masked language model"}
TAGS = {
    "regression": ("text-classification", "text-regression"),
    "embedding": ("sentence-transformers", "sentence-similarity", "feature-extraction"),
    CAUSAL: ("text-generation",),
    MASKED: ("fill-mask",),
}
TASKS_ON_HUB = {
    "regression": "Text Regression", EMBEDDING: "Sentence Similarity", CAUSAL: "Text Generation", MASKED: "Fill Mask",
}  # fmt: skip
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def model_card(
    result: RunResult,
    *,
    name: str | None = None,
    base_model: str | None = None,
    license: str | None = None,
    location: str | None = None,
) -> str:
    """The card as text: YAML front matter and Markdown.

    Args:
        name: of the model; the recipe's output folder's name where it is not said.
        base_model: hub id of the base model, where the recipe names a folder.
        license: identifier of a licence; left out where it is not known.
        location: what the three lines of Python load, a folder or a hub id; the run's own folder where it is not said.
    """
    import yaml

    title = name or PurePath(str(result.recipe.get("output") or "model")).name
    base = base_model or hub_id(part(result.recipe, "model").get("name"))
    front = front_matter(result, title, base, license)
    text = yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{text}---\n\n{body(result, title, base, location)}"


def kind_of(result: RunResult) -> str:
    """What the model is: its task, or for a language model how it was trained."""
    kind = str(result.data.get("problem_type") or "")
    return kind if kind in (CAUSAL, MASKED) else result.task


def hub_id(name: Any) -> str | None:
    """The hub id of a base model, or None where the recipe names a folder of this machine."""
    text = str(name or "")
    if text in BUILTIN_MODELS:
        return BUILTIN_MODELS[text]
    return text if HUB_ID.fullmatch(text) else None


def front_matter(result: RunResult, title: str, base: str | None, license: str | None) -> dict[str, Any]:
    """The fields that the Hub reads."""
    split = main_split(result)
    named = [metric.name for metric in result.metrics if metric.split == split]
    found: dict[str, Any] = {
        "library_name": LIBRARIES.get(result.task, "transformers"),
        "pipeline_tag": PIPELINES.get(kind_of(result), "text-classification"),
        "license": license,
        "base_model": base,
        "tags": ["tunesmith", *TAGS.get(kind_of(result), ("text-classification",))],
        "metrics": list(dict.fromkeys(HUB_METRICS.get(name, name) for name in named)),
        "model-index": model_index(result, title, split),
    }
    return {key: value for key, value in found.items() if value}


def model_index(result: RunResult, title: str, split: str) -> list[dict[str, Any]]:
    """The results in the Hub's own form; empty where nothing was measured."""
    metrics = [
        {"type": HUB_METRICS.get(metric.name, metric.name), "value": metric.value, "name": plain_name(metric.name)}
        for metric in result.metrics
        if metric.split == split and is_number(metric.value)
    ]
    if not metrics:
        return []
    dataset = {"name": data_name(result, split), "type": "custom", "split": split}
    name = TASKS_ON_HUB.get(kind_of(result), "Text Classification")
    task = {"type": PIPELINES.get(kind_of(result), "text-classification"), "name": name}
    return [{"name": title, "results": [{"task": task, "dataset": dataset, "metrics": metrics}]}]


def data_name(result: RunResult, split: str) -> str:
    """The file name a split came from, without its folder."""
    source = part(result.data, "splits", split).get("source") or part(result.recipe, "data").get("train") or "custom data"
    return PurePath(str(source)).name


def body(result: RunResult, title: str, base: str | None, location: str | None) -> str:
    """The part that people read."""
    built_on = f"[{base}](https://huggingface.co/{base})" if base else "a local base model"
    kind = TASK_NAMES.get(str(result.data.get("problem_type")), "")
    what = KINDS.get(kind_of(result), "text classification model")
    parts = [
        f"# {plain(title)}\n\nA {what} ({kind or result.task}), fine-tuned from {built_on} with tunesmith.",
        f"**{plain(headline(result).sentence)}**",
        section("Results", results(result)),
        section("Training data", data_lines(result)),
        section("Limits", limits(result)),
        section("How to use it", usage(result, location or model_folder(result))),
        section("How it was trained", training_lines(result)),
        section("Recipe", recipe_block(result.recipe)),
    ]
    return "\n\n".join(text for text in parts if text) + "\n"


def section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}" if text else ""


def results(result: RunResult) -> str:
    """Metrics against the baselines, and the verdicts."""
    split = main_split(result)
    verdicts = verdicts_markdown(result)
    explained = "A verdict is “better” or “worse” only where the 95 % interval of the difference excludes zero."
    parts = [
        metrics_markdown(result, split),
        f"Split: {split}. In brackets: 95 % intervals.",
        verdicts,
        explained if verdicts else "",
    ]
    return "\n\n".join(text for text in parts if text) if parts[0] else ""


def data_lines(result: RunResult) -> str:
    """Counts of the rows that were used and left out; no texts."""
    rows = []
    for name, record in part(result.data, "splits").items():
        if isinstance(record, Mapping):
            dropped = sum(n for n in part(record, "dropped").values() if is_number(n))
            file = PurePath(str(record.get("source") or "")).name
            rows.append([name, file, count(record.get("rows")), count(dropped), count(record.get("rows_truncated"))])
    labels = [str(label) for label in result.data.get("labels") or ()]
    listed = f"Labels: {', '.join(map(code, labels))}." if 1 < len(labels) <= 100 else ""
    table = markdown_table(["split", "file", "rows", "dropped", "truncated"], rows) if rows else ""
    return "\n\n".join(text for text in (table, listed) if text)


def code(text: str) -> str:
    """Text as a code span, in which Markdown sees nothing but the backticks around it."""
    return f"`{' '.join(text.replace('`', chr(39)).split())}`"


def limits(result: RunResult) -> str:
    """Alarms, findings, failed certificates, and what no figure here says."""
    metric = main_metric(result)
    lines = [f"**{plain(alarm.message)}** {plain(alarm.remedy)}".rstrip() for alarm in result.alarms]
    lines += [f"{plain(f.name.replace('_', ' '))}: {f.flagged:,} rows flagged in the data." for f in worst_first(result.findings)]
    lines += [f"Not proven on this run: {plain(one.name.replace('_', ' '))}." for one in result.certificates if not one.passed]
    if metric is not None:
        lines.append(f"The figures hold for texts like the {metric.n:,} {metric.split} rows; other texts were not measured.")
    return "\n".join(f"- {line}" for line in lines)


def model_folder(result: RunResult) -> str:
    """The model's folder as the recipe names it, without the folders of this machine."""
    output = PurePath(str(result.recipe.get("output") or "."))
    return str(PurePath(output.name if output.is_absolute() else output) / "model")


def usage(result: RunResult, location: str) -> str:
    """Three lines of Python."""
    pair = bool(part(result.data, "columns").get("pair"))
    code = loading_lines(location, str(result.data.get("problem_type") or ""), pair)
    thresholds = result.training.get("thresholds")
    note = f"\n\nDecision thresholds chosen on validation: {numbers(thresholds)}." if thresholds else ""
    return f"```python\n{code}```{note}"


def numbers(values: Any) -> str:
    shown: Sequence[Any] = values if isinstance(values, list | tuple) else [values]
    return ", ".join(significant(value) for value in shown)


def training_lines(result: RunResult) -> str:
    """Size, steps, rate, time, machine and versions."""
    found, here = result.training, result.environment
    total, trained = found.get("n_parameters"), found.get("n_trainable_parameters")
    share = f" ({percent(trained / total)} trained)" if is_number(trained) and is_number(total) and total else ""
    seconds = total_seconds(result)
    versions = ", ".join(f"{name} {here[name]}" for name in ("tunesmith", "python", "torch", "transformers") if here.get(name))
    rows = [
        ["parameters", f"{count(total)}{share}" if is_number(total) else ""],
        ["epochs", significant(found.get("epochs")) if found.get("epochs") else ""],
        ["optimizer steps", count(found.get("steps")) if found.get("steps") else ""],
        ["highest learning rate", significant(found.get("learning_rate")) if found.get("learning_rate") else ""],
        ["seeds", numbers(found.get("seeds")) if found.get("seeds") else ""],
        ["time", duration(seconds) if seconds else ""],
        ["peak memory", size(result.peak_memory_bytes) if result.peak_memory_bytes else ""],
        ["device", str(here.get("gpu") or here.get("device") or "")],
        ["versions", versions],
    ]
    kept = [row for row in rows if row[1]]
    return markdown_table(["", ""], kept) if kept else ""


def recipe_block(recipe: Mapping[str, Any]) -> str:
    """The resolved recipe; a folder of this machine is shortened to its name."""
    import yaml

    if not recipe:
        return ""
    text = yaml.safe_dump(without_folders(dict(recipe)), sort_keys=False, allow_unicode=True)
    return f"```yaml\n{text}```"


def without_folders(value: Any) -> Any:
    """Absolute paths replaced by their last part, all the way down."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item) for item in value]
    return PurePath(value).name if isinstance(value, str) and PurePath(value).is_absolute() else value
