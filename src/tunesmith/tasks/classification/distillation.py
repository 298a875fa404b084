"""Starts a model by distillation: a linear model of embeddings labels synthetic texts, or pairs, made of the training texts.

A model that reads two texts at once (a cross-encoder) learns little from a few hundred pairs; a linear model of the embeddings of
each text, which the untuned model computes, knows much more. So does one of single texts where classes are many and clear, with a
few rows of each. It is the teacher: the model is first trained to give its outputs on synthetic texts.

Sources: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", section 2; Thakur et al. 2021, "Augmented SBERT",
section 3, where the labels of recombined pairs pass the other way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count, islice

import numpy as np
import torch
import torch.nn.functional as F

from tunesmith.data.arrays import Array
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.data.row_clusters import example_clusters
from tunesmith.data.table import Labels
from tunesmith.errors import Interrupted
from tunesmith.evaluation.baselines.frozen import Embedded, mean_and_scale, pair_features
from tunesmith.evaluation.baselines.linear import LinearModel, Strengths, label_array
from tunesmith.machine import seed_everything
from tunesmith.models.encode import Encoded, encode, used_token_ids
from tunesmith.models.fast.path import apply_fast_path, remove_fast_path
from tunesmith.models.inference import autocast, pad_batch
from tunesmith.progress import Event, Listener
from tunesmith.tasks.classification.evaluation import embed
from tunesmith.tasks.classification.linear_head import HELD_OUT, STRENGTHS, HeadRows, fit_on_scaled
from tunesmith.tasks.classification.model import LabelledSession
from tunesmith.tasks.classification.synthetic_texts import synthetic_rows
from tunesmith.training.arguments import learning_rate
from tunesmith.training.guarded import require_finite_weights
from tunesmith.training.losses.classification import class_weight_array, item_losses
from tunesmith.training.sampling import bucketed_order
from tunesmith.training.signals import StopRequest
from tunesmith.training.weights import count_parameters

PAIR_STRENGTHS = Strengths(inverse=(0.001, 0.003, 0.01), ridge=(30_000.0, 10_000.0, 3_000.0), usual=1, many_classes=1000)
"""Only the strong ones of the baseline ``frozen``: on few rows they predict as well or better, and a simpler model is learnt more
easily from synthetic pairs. 89 rows of STS-B, 282 steps: alpha 300 has 0.81 and its student 0.78, alpha 10,000 0.82 and 0.79."""
WARM_UP = 0.06
"""Share of the steps in which the learning rate rises; then it falls to 0, as in the training that follows."""


@dataclass(frozen=True)
class LinearTeacher:
    """A linear model of the embeddings of texts, or of both texts of pairs.

    Attributes:
        mean, scale: (D), or of pairs (4 D), of the features of the training rows.
    """

    mean: Array
    scale: Array
    linear: LinearModel

    def outputs(self, embedded: Embedded) -> Array:
        """Computes probabilities (N, K), or numbers (N), of embedded texts or pairs."""
        return self.linear.scores((pair_features(embedded) - self.mean) / self.scale)


def distil(session: LabelledSession, seed: int, request: StopRequest, listener: Listener) -> LabelledSession:
    """Trains the session's model in place on synthetic texts, if that is planned; returns the session with a phrase about it.

    Nothing is trained where the linear model predicts held-out rows no better than a constant.

    Raises:
        Interrupted: a stop was requested.
    """
    plan = session.distillation_plan
    if plan is None:
        return session
    listener(Event("part", "distillation"))
    teacher = fit_teacher(session)
    if teacher is None:
        return replace(
            session, distillation="as it is: no linear model of embeddings predicts held-out rows better than a constant"
        )
    made = synthetic_rows(session.data.splits.train, plan.n_texts, seed)
    encoded = encode(session.loaded.tokenizer, made, session.tokens.max_length, count_cut=False)
    targets = teacher.outputs(embed(made, session, encoded))
    Distillation(session, encoded, torch.as_tensor(targets, dtype=torch.float32), plan.n_steps).run(seed, request, listener)
    require_finite_weights(session.model)
    teacher_name = f"a linear model of {'both' if plan.is_of_pairs else 'the'} texts' embeddings"
    return replace(session, distillation=f"distilled from {teacher_name}, {plan.words}", is_distilled=True)


def fit_teacher(session: LabelledSession) -> LinearTeacher | None:
    """Fits the linear model to the training rows; None if none predicts held-out ones better than a constant."""
    labels, rows = session.tokens.labels, session.data.splits.train
    features = pair_features(embed(rows, session))
    clusters = example_clusters(rows)
    if not np.isfinite(features).all() or len(set(clusters.tolist())) < HELD_OUT:
        return None
    mean, scale = mean_and_scale(features)
    weights = class_weight_array(session.data.recipe.train.class_weights, labels, rows.labels)
    scaled = HeadRows((features - mean) / scale, label_array(labels, rows), weights, clusters)
    linear, _ = fit_on_scaled(labels, scaled, STRENGTHS if rows.pairs is None else PAIR_STRENGTHS)
    return None if linear is None else LinearTeacher(mean, scale, linear)


@dataclass(frozen=True)
class Distillation:
    """The training of a session's model on texts or pairs with a teacher's outputs.

    Attributes:
        targets: probabilities (N, K), or numbers (N).
    """

    session: LabelledSession
    made: Encoded
    targets: torch.Tensor
    n_steps: int

    def run(self, seed: int, request: StopRequest, listener: Listener) -> None:
        """Trains the model in place. Raises Interrupted if a stop was requested."""
        session, recipe, model = self.session, self.session.data.recipe, self.session.model
        seed_everything(seed)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        rate = learning_rate(recipe, count_parameters(model)[0])
        optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=recipe.train.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, warm_up_and_decay(self.n_steps))
        apply_fast_path(session.body, session.fast_path, used_token_ids(self.made, session.tokens.pad_id))
        model.train()
        try:
            for done, positions in enumerate(islice(batches_of(self.made, recipe.train.batch_rows, seed), self.n_steps), 1):
                if request:
                    raise Interrupted(f"stopped by {request.signal_name} in step {done} of {self.n_steps} of the distillation")
                loss = self.loss(positions)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                if recipe.train.max_grad_norm:
                    torch.nn.utils.clip_grad_norm_(trained, recipe.train.max_grad_norm)
                optimizer.step()
                schedule.step()
                listener(Event("step", "distillation", done, self.n_steps, {"loss": float(loss.detach())}))
        finally:
            remove_fast_path(session.body)

    def loss(self, positions: Array) -> torch.Tensor:
        """Computes the mean loss of a batch."""
        session, device = self.session, next(self.session.model.parameters()).device
        batch = pad_batch(self.made, positions, session.tokens.pad_id)
        with autocast(session.fast_path.precision, device.type):
            outputs = session.model(**{name: tensor.to(device) for name, tensor in batch.items()})
        return distillation_loss(session.tokens.labels, outputs["logits"].float(), self.targets[positions].to(device))


def batches_of(rows: Encoded, batch_rows: int, seed: int) -> Iterator[Array]:
    """Yields the positions of each batch, epoch after epoch."""
    for epoch in count():
        order = bucketed_order(rows.lengths, batch_rows, seed, epoch)
        yield from (order[start : start + batch_rows] for start in range(0, len(order), batch_rows))


def warm_up_and_decay(n_steps: int) -> Callable[[int], float]:
    """Returns a function from a step to the share of the learning rate: it rises, then falls to 0 after the last step."""
    rising = max(1, round(WARM_UP * n_steps))
    return lambda step: (step + 1) / rising if step < rising else max(0.0, (n_steps - step) / max(1, n_steps - rising))


def distillation_loss(labels: Labels, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Computes the mean loss of logits (B, K) against a teacher's probabilities (B, K), or numbers (B)."""
    if labels.problem_type == SINGLE:
        return F.cross_entropy(logits, targets)
    return item_losses(labels, logits, targets).mean()
