"""Bodies with an encoder and a decoder: the encoder's states are pooled, or the model is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.language_models import write_model
from tunesmith.errors import ModelError
from tunesmith.models.embedding.encoder import load_encoder, text_transformer
from tunesmith.models.source import ModelSource


def source(folder: Path) -> ModelSource:
    return ModelSource(str(folder), str(folder), "folder")


def test_of_t5_the_encoder_alone_is_the_body(tmp_path: Path) -> None:
    encoder = load_encoder(source(write_model(tmp_path / "t5", "t5")))
    assert type(text_transformer(encoder.model)).__name__ == "T5EncoderModel"


def test_a_body_whose_last_states_are_those_of_its_decoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"a model of type bart gives the states of its decoder.*Name an encoder"):
        load_encoder(source(write_model(tmp_path / "bart", "bart")))


def test_a_model_that_was_trained_so_is_used_as_it_is(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(str(write_model(tmp_path / "bart", "bart")), device="cpu").save(str(tmp_path / "pooled"))
    vectors = load_encoder(source(tmp_path / "pooled")).encode(["Ann has the lamp"])
    assert vectors.shape == (1, 32)
