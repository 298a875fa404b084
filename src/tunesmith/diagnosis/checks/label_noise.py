"""Share of wrong labels and per-row probability of one, from out-of-fold predictions, and the limits of what these can tell.

Let q be the calibrated probabilities of the true class, softmax(b + log p / T) of out-of-fold probabilities p, and let a share e
of the labels be replaced by another class, class j by class k with probability C[j, k]. Then a row's label is k with probability
(1 - e) q[k] + e sum_j q[j] C[j, k]. T, b, e and C are fitted by expectation maximisation (Dempster, Laird and Rubin 1977).

A right label on a text that reads like another class (a hard row) looks exactly like a wrong one, and a model that cannot sharpen
its probabilities hides wrong labels. The interval therefore does not rest on the fit alone. Among the rows of which the model is
surest the share of other labels is at least the rate of class-conditional noise (an anchor point has the noise itself: Liu and
Tao 2016, "Classification with Noisy Labels by Importance Reweighting"); it bounds the rate from above. From below, up to
``MAX_HARD`` of all rows are granted to be hard. Coverage is simulated in ``benchmarks/label_noise.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array

MAX_ROWS = 10_000
MAX_ELEMENTS = 400_000
"""Rows, and rows times classes, that the parameters are fitted to, drawn at random from larger data."""
SMALLEST = 1e-6
"""Probabilities are clipped here, since a model that is not calibrated may call a right label impossible."""
MAX_RATE = 0.6
"""Of wrong labels in a fit, and always below the rate (K - 1) / K at which labels of K classes carry no information."""
MAX_HARD = 0.125
"""Share of all rows that may be hard: lowers the lower end of the interval."""
SUREST = 0.2
"""Share of the rows of each predicted class by which the rate is bounded from above."""
MIN_SUREST = 20
MARGIN = 0.02
"""The model must explain more than this share of the entropy of the labels, else nothing is estimated."""
ONE_SIDED = 0.99
Z_95 = 1.959963984540054
SHARPNESS = (1.0, 2.0, 4.0, 8.0)
"""Values of 1 / T that the fit starts from; the most likely end is kept."""
BIAS_PENALTY = 1.0


@dataclass(frozen=True)
class Knowledge:
    """How much of the labels out-of-fold predictions explain, beyond the shares of the classes.

    Attributes:
        share: explained share of the entropy of the labels (at most 1, below 0 for predictions worse than the class shares).
        low: its lower one-sided 99 % limit.
    """

    share: float
    low: float

    @property
    def is_enough(self) -> bool:
        return bool(self.low > MARGIN)


@dataclass(frozen=True)
class LabelNoise:
    """The fitted noise.

    Attributes:
        rate: estimated share of labels that contradict their text: wrong ones, and right ones on hard rows.
        low, high: interval of the share of wrong labels, at least 95 % in the simulated designs.
        temperature: the fitted temperature; below 1 the model was underconfident.
        wrong: for each row (N) the probability that its label contradicts the text, assuming at least half such a row in all.
    """

    rate: float
    low: float
    high: float
    temperature: float
    wrong: Array


@dataclass(frozen=True)
class NoiseModel:
    """The parameters of the fit and its penalised log-likelihood."""

    sharpness: float
    bias: Array
    rate: float
    confusion: Array
    log_likelihood: float = -np.inf

    def true_class(self, logs: Array) -> Array:
        """Returns the calibrated probabilities (N, K) of the true class from log-probabilities (N, K)."""
        return softmax(self.sharpness * logs + self.bias)

    def transition(self) -> Array:
        """Returns P(given k | true j) as (K, K)."""
        matrix = self.rate * self.confusion
        np.fill_diagonal(matrix, 1 - self.rate)
        return matrix


def model_knowledge(pred_probs: Array, given: Array, clusters: Array | None = None) -> Knowledge:
    """Measures the share of the labels' entropy that calibrated predictions explain on the half they were not calibrated on.

    Args:
        pred_probs: out-of-fold probabilities (N, K).
        given: class ids (N).
        clusters: the cluster of each row (N), which is on one side of the halves and counts as one unit; None: rows are
            independent.
    """
    rows = sample_positions(len(given), pred_probs.shape[1])
    logs, given, n_classes = log_probabilities(pred_probs[rows]), given[rows], pred_probs.shape[1]
    one_hot = np.eye(n_classes)[given]
    units = np.arange(len(given)) if clusters is None else np.unique(clusters[rows], return_inverse=True)[1]
    if units.max() < 1:  # no half can be held out
        return Knowledge(0.0, -np.inf)
    halves = np.random.default_rng(0).permutation(int(units.max()) + 1)[units] % 2
    gain, surprise = np.empty(len(given)), np.empty(len(given))
    for half in (0, 1):
        fitted, scored = halves != half, halves == half
        sharpness, bias = fit_calibration(logs[fitted], one_hot[fitted], 1.0, np.zeros(n_classes), n_steps=20)
        calibrated = softmax(sharpness * logs[scored] + bias)
        prior = (one_hot[fitted].sum(axis=0) + 1) / (fitted.sum() + n_classes)
        surprise[scored] = -np.log(prior[given[scored]])
        gain[scored] = np.log(np.maximum(calibrated[np.arange(scored.sum()), given[scored]], SMALLEST)) + surprise[scored]
    entropy, mean = float(surprise.mean()), float(gain.mean())
    return Knowledge(mean / entropy, (mean - margin_of_mean(gain, units)) / entropy)


def margin_of_mean(values: Array, units: Array) -> float:
    """Returns how far the lower one-sided 99 % limit is below the mean of values (N) in units (N) that are independent."""
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    sums = np.bincount(units, weights=values - values.mean())
    deviation = float(np.sqrt((sums**2).sum() * len(sums) / max(1, len(sums) - 1))) / len(values)
    return deviation * float(stdtrit(max(1, len(sums) - 1), ONE_SIDED))


def label_noise(pred_probs: Array, given: Array) -> LabelNoise:
    """Fits the share of wrong labels, its interval, and each row's probability of a label that contradicts its text.

    Args:
        pred_probs: out-of-fold probabilities (N, K), K at least 2, that know enough (``model_knowledge``).
        given: class ids (N), all labelled.
    """
    logs, rows = log_probabilities(pred_probs), sample_positions(len(given), pred_probs.shape[1])
    starts = [first_model(logs.shape[1], sharpness) for sharpness in SHARPNESS]
    fitted = max((fit_noise(logs[rows], given[rows], start) for start in starts), key=lambda model: model.log_likelihood)
    true_class = fitted.true_class(logs)
    assumed = max(fitted.rate, 0.5 / len(given))  # half a row: without wrong labels, the least probable still come first
    surest, surest_error = disagreement_of_surest(true_class, given)
    unchanged = true_class[np.arange(len(given)), given]
    changed = (true_class * fitted.confusion[:, given].T).sum(axis=1)
    total = (1 - assumed) * unchanged + assumed * changed
    # the observed information of the rate, the other parameters held fixed
    rate_error = 1 / np.sqrt((((changed - unchanged) / (total + 1e-12)) ** 2).sum() + 1e-12)
    low = max(0.0, min(fitted.rate - Z_95 * rate_error, surest - Z_95 * surest_error) - MAX_HARD)
    high = min(1.0, max(fitted.rate + Z_95 * rate_error, surest + Z_95 * surest_error))
    return LabelNoise(fitted.rate, low, high, 1 / fitted.sharpness, assumed * changed / np.maximum(total, 1e-300))


def sample_positions(n_rows: int, n_classes: int) -> Array:
    """Returns the positions of the rows that parameters are fitted to, ascending."""
    n_used = min(n_rows, MAX_ROWS, max(MAX_ELEMENTS // n_classes, 20 * n_classes))
    return np.sort(np.random.default_rng(0).permutation(n_rows)[:n_used])


def first_model(n_classes: int, sharpness: float) -> NoiseModel:
    """Returns the parameters that a fit starts from: a tenth of wrong labels, spread evenly."""
    return NoiseModel(sharpness, np.zeros(n_classes), 0.1, even_confusion(n_classes))


def even_confusion(n_classes: int) -> Array:
    """Returns (K, K) with zeros on the diagonal and 1 / (K - 1) elsewhere."""
    return (np.ones((n_classes, n_classes)) - np.eye(n_classes)) / (n_classes - 1)


def fit_noise(logs: Array, given: Array, start: NoiseModel, n_steps: int = 60) -> NoiseModel:
    """Runs expectation maximisation from ``start``.

    One rate holds for all classes. Each class has its own confusion, which as many rows of even confusion as there are
    classes keep from following single rows. The bias has a normal prior.
    """
    n_classes, even, model = logs.shape[1], even_confusion(logs.shape[1]), start
    previous = -np.inf
    for _ in range(n_steps):
        joint = model.true_class(logs) * model.transition()[:, given].T
        total = joint.sum(axis=1) + 1e-300
        posterior = joint / total[:, None]
        counts = np.stack([np.bincount(given, posterior[:, j], n_classes) for j in range(n_classes)])
        np.fill_diagonal(counts, 0)
        rate = min(float(counts.sum()) / len(given), MAX_RATE, 1 - 1 / n_classes)
        confusion = (counts + n_classes * even) / (counts.sum(axis=1, keepdims=True) + n_classes)
        prior = n_classes * (even * np.log(confusion + 1e-300)).sum() - BIAS_PENALTY * (model.bias**2).sum() / 2
        reached = float(np.log(total).sum() + prior)
        sharpness, bias = fit_calibration(logs, posterior, model.sharpness, model.bias)
        model = NoiseModel(sharpness, bias, rate, confusion, reached)
        if reached - previous < 1e-2:
            break
        previous = reached
    return model


def fit_calibration(logs: Array, targets: Array, sharpness: float, bias: Array, n_steps: int = 5) -> tuple[float, Array]:
    """Fits softmax(bias + sharpness * log-probabilities) to target probabilities (N, K) by cross-entropy, from a start."""
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    def loss(parameters: Array) -> tuple[float, Array]:
        scores = parameters[0] * logs + parameters[1:]
        scores -= scores.max(axis=1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        difference = np.exp(scores) - targets
        slope = np.concatenate([[(difference * logs).sum()], difference.sum(axis=0) + BIAS_PENALTY * parameters[1:]])
        return float(-(targets * scores).sum() + BIAS_PENALTY * (parameters[1:] ** 2).sum() / 2), slope

    bounds = [(0.05, 20.0)] + [(-10.0, 10.0)] * logs.shape[1]
    start = np.concatenate([[sharpness], bias])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": n_steps})
    return float(found.x[0]), np.asarray(found.x[1:])


def disagreement_of_surest(true_class: Array, given: Array) -> tuple[float, float]:
    """Returns the share of other labels among the surest rows of each predicted class, and its standard deviation.

    Classes count by the rows that they are predicted for. The deviation is that of a share with one row more of either kind,
    so that a class without any other label does not have deviation 0.
    """
    predicted, sureness = true_class.argmax(axis=1), true_class.max(axis=1)
    share, variance = 0.0, 0.0
    for label in np.unique(predicted).tolist():
        rows = np.flatnonzero(predicted == label)
        n_surest = max(int(np.ceil(SUREST * len(rows))), min(MIN_SUREST, len(rows)))
        surest = rows[np.argsort(-sureness[rows], kind="stable")[:n_surest]]
        n_other, weight = int((given[surest] != label).sum()), len(rows) / len(given)
        share += weight * n_other / n_surest
        variance += weight**2 * (n_other + 1) * (n_surest - n_other + 1) / ((n_surest + 2) ** 2 * (n_surest + 3))
    return share, float(np.sqrt(variance))


def log_probabilities(pred_probs: Array) -> Array:
    """Returns the clipped natural logarithms (N, K), float64."""
    return np.asarray(np.log(np.clip(pred_probs, SMALLEST, 1)), dtype=np.float64)


def softmax(scores: Array) -> Array:
    """Returns probabilities (N, K) along the second axis."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
