"""Writes the model card, README.md in the Hub's format, with results, baselines, verdicts and limitations.

The card contains no text from the data, only counts and metrics.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from tunesmith.data.cells import plural
from tunesmith.report.numbers import count, duration, fraction, is_number, percent, significant
from tunesmith.report.recommendation import recommendation
from tunesmith.report.record import loading_lines
from tunesmith.report.texts import markdown_table, metrics_markdown, plain, verdicts_markdown
from tunesmith.report.words import (
    CAUSAL,
    EMBEDDING,
    LANGUAGE_TYPES,
    MASKED,
    SEQ2SEQ,
    TASK_NAMES,
    display_name,
    headline,
    main_metric,
    main_split,
    memory_words,
    part,
    threshold_notes,
    total_seconds,
    verdict_notes,
    worst_first,
)
from tunesmith.results import RunResult

HUB_METRICS = {
    "macro_f1": "f1",
    "micro_f1": "f1",
    "mcc": "matthews_correlation",
    "auroc": "roc_auc",
    "spearman": "spearmanr",
    "pearson": "pearsonr",
}
BUILTIN_MODELS = {"builtin:minilm": "sentence-transformers/all-MiniLM-L6-v2"}
LIBRARIES = {"embedding": "sentence-transformers"}
PIPELINES = {"embedding": "sentence-similarity", CAUSAL: "text-generation", MASKED: "fill-mask", SEQ2SEQ: "text-generation"}
KINDS = {
    "embedding": "sentence embedding model",
    "reward": "reward model",
    CAUSAL: "language model",
    MASKED: "masked language model",
    SEQ2SEQ: "encoder-decoder",
}
TAGS = {
    "regression": ("text-classification", "text-regression"),
    "embedding": ("sentence-transformers", "sentence-similarity", "feature-extraction"),
    "reward": ("text-classification", "reward-model"),
    CAUSAL: ("text-generation",),
    MASKED: ("fill-mask",),
    SEQ2SEQ: ("text2text-generation",),
}
TASKS_ON_HUB = {
    "regression": "Text Regression",
    EMBEDDING: "Sentence Similarity",
    CAUSAL: "Text Generation",
    MASKED: "Fill Mask",
    SEQ2SEQ: "Text2Text Generation",
}
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def model_card(result: RunResult) -> str:
    """Formats the card: YAML front matter and Markdown. The model has the name of the recipe's output folder."""
    import yaml

    title = PurePath(str(result.recipe.get("output") or "model")).name
    named = str(part(result.recipe, "model").get("name") or "")  # a local folder has no id on the Hub
    base = BUILTIN_MODELS.get(named) or (named if HUB_ID.fullmatch(named) else None)
    text = yaml.safe_dump(front_matter(result, title, base), sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{text}---\n\n{body(result, title, base)}"


def kind_of(result: RunResult) -> str:
    """Returns the task, or for language models the objective."""
    kind = str(result.data.get("problem_type") or "")
    return kind if kind in LANGUAGE_TYPES else result.task


def front_matter(result: RunResult, title: str, base: str | None) -> dict[str, Any]:
    """Collects the metadata fields of the Hub."""
    split = main_split(result)
    names = [metric.name for metric in result.metrics if metric.split == split]
    fields: dict[str, Any] = {
        "library_name": "sentence-transformers" if result.task == EMBEDDING else "transformers",
        "pipeline_tag": PIPELINES.get(kind_of(result), "text-classification"),
        "base_model": base,
        "tags": ["tunesmith", *TAGS.get(kind_of(result), ("text-classification",))],
        "metrics": list(dict.fromkeys(HUB_METRICS.get(name, name) for name in names)),
        "model-index": model_index(result, title, split),
    }
    return {key: value for key, value in fields.items() if value}


def model_index(result: RunResult, title: str, split: str) -> list[dict[str, Any]]:
    """Formats the results as the Hub's model-index; empty without metrics."""
    metrics = [
        {"type": HUB_METRICS.get(metric.name, metric.name), "value": metric.value, "name": display_name(metric.name)}
        for metric in result.metrics
        if metric.split == split and is_number(metric.value)
    ]
    if not metrics:
        return []
    source = part(result.data, "splits", split).get("source") or part(result.recipe, "data").get("train") or "custom data"
    dataset = {"name": PurePath(str(source)).name, "type": "custom", "split": split}
    name = TASKS_ON_HUB.get(kind_of(result), "Text Classification")
    task = {"type": PIPELINES.get(kind_of(result), "text-classification"), "name": name}
    return [{"name": title, "results": [{"task": task, "dataset": dataset, "metrics": metrics}]}]


def body(result: RunResult, title: str, base: str | None) -> str:
    """Formats the Markdown part of the card."""
    import yaml

    base_link = f"[{base}](https://huggingface.co/{base})" if base else "a local base model"
    task = TASK_NAMES.get(str(result.data.get("problem_type")), result.task)
    model = KINDS.get(kind_of(result), "text classification model")
    output = PurePath(str(result.recipe.get("output") or "."))
    folder = PurePath(output.name if output.is_absolute() else output) / "model"  # without absolute paths of this machine
    recipe = yaml.safe_dump(without_folders(dict(result.recipe)), sort_keys=False, allow_unicode=True)
    sections = (
        ("Results", results(result)),
        ("Training data", data_lines(result)),
        ("Limitations", limitations(result)),
        ("Usage", usage(result, str(folder))),
        ("Training", training_lines(result)),
        ("Recipe", f"```yaml\n{recipe}```" if result.recipe else ""),
    )
    parts = [
        f"# {plain(title)}\n\nA {model} ({task}), fine-tuned from {base_link} with tunesmith.",
        f"**{plain(recommendation(result).sentence)}**",
        plain(headline(result).sentence),
        *(f"## {heading}\n\n{text}" for heading, text in sections if text),
    ]
    return "\n\n".join(parts) + "\n"


def results(result: RunResult) -> str:
    """Formats the metrics of the run and the baselines, and the verdicts."""
    split = main_split(result)
    metrics, verdicts = metrics_markdown(result, split), verdicts_markdown(result)
    note = "A verdict is “better” or “worse” only if the 95 % interval of the difference excludes zero. "
    note += " ".join(verdict_notes(result))
    parts = [metrics, f"Split: {split}. In brackets: 95 % intervals.", *([verdicts, note] if verdicts else [])]
    return "\n\n".join(parts) if metrics else ""


def data_lines(result: RunResult) -> str:
    """Formats the numbers of rows used and dropped; no texts."""
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
    """Formats text as a Markdown code span."""
    return f"`{' '.join(text.replace('`', chr(39)).split())}`"


def limitations(result: RunResult) -> str:
    """Lists alarms, findings, failed certificates, and the scope of the evaluation."""
    metric = main_metric(result)
    lines = [f"**{plain(alarm.message)}** {plain(alarm.remedy)}".rstrip() for alarm in result.alarms]
    lines += [
        f"{plain(f.name.replace('_', ' '))}: {plural(f.flagged, 'row')} flagged in the data."
        for f in worst_first(result.findings)
    ]
    failed = [certificate.name.replace("_", " ") for certificate in result.certificates if not certificate.passed]
    lines += [f"Failed certificate: {plain(name)}." for name in failed]
    if metric is not None:
        lines.append(f"The metrics were computed on {metric.n:,} {metric.split} rows; other kinds of text were not evaluated.")
    return "\n".join(f"- {line}" for line in lines)


def usage(result: RunResult, location: str) -> str:
    """Formats three lines of Python that use the model."""
    pair = bool(part(result.data, "columns").get("pair"))
    code = loading_lines(location, str(result.data.get("problem_type") or ""), pair)
    note = "".join(f"\n\n{plain(note)}" for note in threshold_notes(result))
    return f"```python\n{code}```{note}"


def numbers(values: object) -> str:
    return ", ".join(significant(value) for value in (values if isinstance(values, list | tuple) else [values]))


def training_lines(result: RunResult) -> str:
    """Formats size, steps, learning rate, time, hardware and versions."""
    training, environment = result.training, result.environment
    total, learning_rate = training.get("n_parameters"), training.get("learning_rate")
    share = fraction(training.get("n_trainable_parameters"), total)
    trained = "" if share is None else f" ({percent(share)} trained)"
    seconds = total_seconds(result)
    packages = [name for name in ("tunesmith", "python", "torch", "transformers") if environment.get(name)]
    rows = [
        ["parameters", f"{count(total)}{trained}" if is_number(total) else ""],
        ["epochs", significant(training.get("epochs")) if training.get("epochs") else ""],
        ["optimizer steps", count(training.get("steps")) if training.get("steps") else ""],
        ["peak learning rate", significant(learning_rate) if learning_rate else ""],
        ["seeds", numbers(training.get("seeds")) if training.get("seeds") else ""],
        ["time", duration(seconds) if seconds else ""],
        ["peak memory", memory_words(result)],
        ["device", str(environment.get("gpu") or environment.get("device") or "")],
        ["versions", ", ".join(f"{name} {environment[name]}" for name in packages)],
    ]
    present = [row for row in rows if row[1]]
    return markdown_table(["", ""], present) if present else ""


def without_folders(value: object) -> object:
    """Replaces absolute paths by their last part, recursively."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item) for item in value]
    return PurePath(value).name if isinstance(value, str) and PurePath(value).is_absolute() else value
