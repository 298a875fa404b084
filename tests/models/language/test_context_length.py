"""How long a model can read, and that it reads longer with the config it is given."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.models.tiny_language_models import LONGEST, made, token_rows
from tunesmith.errors import ModelError
from tunesmith.models.language.context_length import check_length, context_limit, with_longer_context
from tunesmith.models.language.token_losses import token_losses

LONG = token_rows(1, shortest=2 * LONGEST, longest=2 * LONGEST)


@pytest.mark.parametrize(("kind", "most"), [("llama", LONGEST), ("gpt2", LONGEST), ("mpt", LONGEST), ("bloom", None)])
def test_the_config_determines_the_length(kind: str, most: int | None) -> None:
    model = made(kind)
    assert context_limit(model.config) == most
    if most is None:
        assert np.isfinite(token_losses(model, LONG, LONG, 0).mean)
    else:
        with pytest.raises(ModelError, match="made for 48 tokens; 95 are requested"):
            token_losses(model, LONG, LONG, 0)


def test_falcon_has_no_limit_with_linear_biases_only() -> None:
    from transformers import FalconConfig, MambaConfig

    assert context_limit(FalconConfig(alibi=True)) is None
    assert context_limit(FalconConfig(alibi=False)) == 2048
    assert context_limit(MambaConfig()) is None


@pytest.mark.parametrize(("kind", "way"), [("llama", "yarn"), ("llama", "linear"), ("mpt", "yarn")])
def test_the_same_weights_read_more(kind: str, way: str) -> None:
    short = made(kind)
    config = with_longer_context(short.config, 2, way)
    longer = type(short)(config)
    longer.load_state_dict(short.state_dict())
    assert context_limit(config) == 2 * LONGEST
    assert context_limit(short.config) == LONGEST
    assert np.isfinite(token_losses(longer, LONG, LONG, 0).mean)
    row = [LONG[0][:LONGEST]]
    changed = abs(token_losses(longer, row, row, 0).mean - token_losses(short, row, row, 0).mean)
    assert (changed > 1e-4) == (kind == "llama")  # rotary positions are scaled at every length, linear biases are not


@pytest.mark.parametrize("way", ["yarn", "linear"])
def test_no_longer_is_the_model_itself(way: str) -> None:
    short = made("llama")
    same = type(short)(with_longer_context(short.config, 1, way))
    same.load_state_dict(short.state_dict())
    ids = torch.from_numpy(LONG[0][None, :LONGEST])
    with torch.no_grad():
        assert torch.allclose(short.eval()(ids).logits, same.eval()(ids).logits, atol=1e-6)


def test_what_cannot_be_longer_is_refused() -> None:
    with pytest.raises(ModelError, match="learned vectors, one for each position"):
        with_longer_context(made("gpt2").config, 2)
    with pytest.raises(ModelError, match=r"scaled already \(yarn\)"):
        with_longer_context(with_longer_context(made("llama").config, 2), 2)
    with pytest.raises(ModelError, match=r"window: the model was made for 48 tokens; 49 are requested.* YaRN"):
        check_length(made("llama").config, LONGEST + 1, "the window")
    assert with_longer_context(made("bloom").config, 2).to_dict() == made("bloom").config.to_dict()
