"""The table of losses is that of the installed library, and every shape of data has a default that takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.pairs.formats import MEANING, PairKind
from tunesmith.training.losses.embedding import DEFAULTS, LOSSES, WRAPPERS, default_for, fitting


def test_every_loss_of_the_installed_library_is_named_and_no_other() -> None:
    from sentence_transformers.sentence_transformer import losses

    upstream = {name for name in losses.__all__ if name.endswith(("Loss", "InBatchNegatives"))}
    assert {*LOSSES, *WRAPPERS} == upstream


@pytest.mark.parametrize("kind", MEANING)
def test_every_shape_has_a_default_that_takes_it(kind: PairKind) -> None:
    assert kind in LOSSES[DEFAULTS[kind].loss].formats
    assert fitting(kind)[0] == DEFAULTS[kind].loss
    assert all(kind in LOSSES[name].formats for name in fitting(kind))
    assert len(set(fitting(kind))) == len(fitting(kind))


def test_pairs_of_two_classes_are_same_or_different() -> None:
    assert default_for("labelled_pair", 2).loss == "OnlineContrastiveLoss"
    assert {"ContrastiveLoss", "SoftmaxLoss"} < set(fitting("labelled_pair", 2))
    assert default_for("labelled_pair", 3).loss == "SoftmaxLoss"
    assert "ContrastiveLoss" not in fitting("labelled_pair", 3)


ARGUMENTS: dict[str, dict[str, Any]] = {
    "SoftmaxLoss": {"num_labels": 3},
    "MSELoss": {"projection_dim": 4},
    "EmbedDistillLoss": {"projection_dim": 4},
}


def test_losses_that_can_have_weights_of_their_own_are_marked(tiny_model: Path) -> None:
    """Those weights are trained and have to be resumed, so the table must not be wrong about them."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import losses

    model = SentenceTransformer(str(tiny_model))
    for name, loss in LOSSES.items():
        arguments = dict(ARGUMENTS.get(name, {}))
        if name == "SoftmaxLoss":
            arguments["embedding_dimension"] = model.get_embedding_dimension()
        if "GIST" in name:
            arguments["guide"] = model
        made = getattr(losses, name)(model, **arguments)
        of_model = {id(parameter) for parameter in model.parameters()}
        own = [parameter for parameter in made.parameters() if id(parameter) not in of_model]
        assert bool(own) == loss.has_weights, name
