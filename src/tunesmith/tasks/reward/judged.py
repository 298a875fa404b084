"""Uses a reward model as a classifier of single answers (pairwise regression): good or bad, by a threshold on the reward.

Where the rows are judged answers, the rewards learned from pairs of them are calibrated on validation to probabilities (Platt
1999), with a threshold that is tuned there, and measured as a classifier's on the judged answers of the other splits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.chat.rows import first_prompt
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.data.preferences.load import prompt_clusters
from tunesmith.data.preferences.rows import JudgedAnswers
from tunesmith.evaluation.baselines.preferences import BAG_OF_WORDS, LENGTH, answer_text, judged_features
from tunesmith.evaluation.metrics.predictions import from_scores
from tunesmith.evaluation.metrics.thresholds import tune
from tunesmith.evaluation.outputs import BaselineOutputs, Outputs, SplitMetrics, predictions_of
from tunesmith.recipe.metric_names import CLASS_METRICS, DEFAULT_LABEL_METRIC
from tunesmith.results import TEXT_CHARACTERS

SPLIT = "{} answers"
"""The name of the split of the single answers of validation or test."""
CLASSES = ("bad", "good")


@dataclass(frozen=True)
class Calibration:
    """Turns a number into the probability of a good answer: sigmoid(slope * number + intercept)."""

    slope: float
    intercept: float

    @classmethod
    def fit(cls, numbers: Array, desirable: Sequence[bool]) -> Calibration:
        """Fits both coefficients; of rows of one class the result is constant."""
        from sklearn.linear_model import LogisticRegression

        truth = np.array(desirable, dtype=np.int64)
        if len(np.unique(truth)) < 2:
            share = (truth.sum() + 1) / (len(truth) + 2)
            return cls(0.0, float(np.log(share) - np.log1p(-share)))
        model = LogisticRegression(C=1e4).fit(numbers[:, None], truth)
        return cls(float(model.coef_[0, 0]), float(model.intercept_[0]))

    def outputs(self, numbers: Array, rows: JudgedAnswers) -> Outputs:
        """Returns the probabilities and decisions of judged answers."""
        good = 1.0 / (1.0 + np.exp(-np.clip(self.slope * numbers + self.intercept, -500, 500)))
        truth = np.array(rows.desirable, dtype=np.int64)
        scores = np.stack([1.0 - good, good], axis=1)
        predictions = from_scores(SINGLE, truth, scores, row_ids=rows.row_ids)
        losses = -np.log(np.clip(scores[np.arange(len(truth)), truth], 1e-300, None))
        return Outputs(SINGLE, predictions, losses)


def answer_outputs(numbers: Mapping[str, Array], rows: Mapping[str, JudgedAnswers]) -> dict[str, Outputs]:
    """Returns split of answers -> outputs, calibrated on validation.

    Args:
        numbers: split -> the reward of each judged answer.
    """
    if not rows:
        return {}
    calibration = Calibration.fit(numbers["validation"], rows["validation"].desirable)
    return {SPLIT.format(split): calibration.outputs(numbers[split], of_split) for split, of_split in rows.items()}


def answer_metrics(rows: Mapping[str, JudgedAnswers]) -> list[SplitMetrics]:
    """Returns the metrics of the answers of each split; verdicts are given on test."""
    return [
        SplitMetrics(
            SPLIT.format(split),
            CLASS_METRICS,
            (DEFAULT_LABEL_METRIC, "accuracy"),
            DEFAULT_LABEL_METRIC,
            has_verdicts=split == "test",
            clusters={"predictions": prompt_clusters(of_split)},
        )
        for split, of_split in rows.items()
    ]


def with_answer_baselines(
    systems: Mapping[str, BaselineOutputs], train: JudgedAnswers | None, rows: Mapping[str, JudgedAnswers]
) -> dict[str, BaselineOutputs]:
    """Adds to the baselines of length and words what they say about single answers, fitted to the judged answers of train."""
    if train is None or not rows:
        return dict(systems)
    found = dict(systems)
    for name in (LENGTH, BAG_OF_WORDS):
        if name in systems:
            features = judged_features(train, list(rows.values()), with_words=name == BAG_OF_WORDS)
            numbers = linear_numbers(features, train)
            own = answer_outputs({split: numbers[split] for split in rows}, rows)
            found[name] = replace(systems[name], outputs={**systems[name].outputs, **own})
    return found


def linear_numbers(features: Mapping[str, Any], train: JudgedAnswers) -> dict[str, Array]:
    """Fits a logistic regression to the features of train, and returns split -> its logits."""
    from sklearn.linear_model import LogisticRegression

    truth = np.array(train.desirable, dtype=np.int64)
    if len(np.unique(truth)) < 2:
        return {split: np.zeros(part.shape[0]) for split, part in features.items()}
    model = LogisticRegression(C=0.1, max_iter=500).fit(features["train"], truth)
    return {split: np.asarray(model.decision_function(part)) for split, part in features.items()}


@dataclass(frozen=True)
class TunedThreshold:
    """The smallest probability that counts as good, and a note about its choice."""

    value: float
    note: str


def tuned_threshold(outputs: Mapping[str, Outputs], seed: int) -> TunedThreshold | None:
    """Tunes the threshold on the answers of validation; None without answers of validation and of test."""
    validation, test = (SPLIT.format(split) for split in ("validation", "test"))
    if validation not in outputs or test not in outputs:
        return None
    tuned = tune(next(iter(predictions_of([outputs[validation]]))), DEFAULT_LABEL_METRIC, seed)
    return None if tuned is None else TunedThreshold(tuned.values[0], f"single answers: {tuned.note}")


def decided(outputs: Mapping[str, Outputs], threshold: float) -> dict[str, Outputs]:
    """Returns the outputs with the answers decided by a threshold; pairs stay as they are."""
    answers = {SPLIT.format(split) for split in ("validation", "test")}
    return {
        split: replace(of_split, predictions=of_split.predictions.decided(of_split.problem_type, [threshold]))
        if split in answers and of_split.predictions is not None
        else of_split
        for split, of_split in outputs.items()
    }


def answer_columns(rows: JudgedAnswers, split: str, outputs: Outputs) -> dict[str, list[Any]]:
    """Returns the columns of predictions.parquet for the answers of one split."""
    assert outputs.predictions is not None
    assert outputs.losses is not None
    return {
        "row_id": list(rows.row_ids),
        "split": [split] * len(rows),
        "label": [CLASSES[int(good)] for good in rows.desirable],
        "prediction": [CLASSES[int(good)] for good in outputs.predictions.decisions],
        "loss": outputs.losses.tolist(),
        "pred_probs": outputs.predictions.scores.tolist(),
        "text": [first_prompt(prompt)[:TEXT_CHARACTERS] if prompt else "" for prompt in rows.prompts],
        "answer": [answer_text(answer)[:TEXT_CHARACTERS] for answer in rows.answers],
    }
