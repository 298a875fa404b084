"""Describes how a saved reward model reads answers, in a file beside its weights; and loads it to give rewards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from tunesmith.data.chat.messages import Turns
from tunesmith.disk import read_json, write_text
from tunesmith.errors import ModelError
from tunesmith.models.chat.template import NO_TEMPLATE, Template
from tunesmith.models.kind import REWARD as CONFIG
from tunesmith.models.reward.reading import AnswerReader, Side

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tunesmith.models.fast.path import FastPath

Input = Literal["two texts", "chat template", "joined"]
TEXTS: Input = "two texts"
TEMPLATE: Input = "chat template"
JOINED: Input = "joined"
"""How prompt and answer are put together: by an encoder's separators, by the tokenizer's chat template, or without one."""


@dataclass(frozen=True)
class RewardConfigFile:
    """The settings of a reward model beside its weights, as saved in ``model/reward.json``."""

    input: Literal["two texts", "chat template", "joined"]
    max_length: int
    truncation_side: Literal["left", "right"]

    def __post_init__(self) -> None:
        if self.max_length < 1:
            raise ValueError("max_length is below 1")

    @classmethod
    def of(cls, reader: AnswerReader) -> RewardConfigFile:
        """Returns the settings of a reader."""
        if reader.template is None:
            return cls(TEXTS, reader.max_length, reader.truncation_side)
        return cls(JOINED if reader.template.source == "none" else TEMPLATE, reader.max_length, reader.truncation_side)

    def save(self, folder: Path) -> None:
        plain = {"input": self.input, "max_length": self.max_length, "truncation_side": self.truncation_side}
        write_text(folder / CONFIG, json.dumps(plain, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> RewardConfigFile:
        """Loads the settings beside a saved model. Raises ModelError if there are none."""
        path = folder / CONFIG
        if not path.exists():
            message = f"this is no reward model: it has no {CONFIG}."
            raise ModelError.one(str(folder), message, "Name the folder of a finished run of task: reward.")
        return cls(**read_json(path, cls))

    def reader(self, tokenizer: PreTrainedTokenizerBase) -> AnswerReader:
        """Returns the reader of the training."""
        template: Template | None = None
        if self.input == JOINED:
            template = NO_TEMPLATE
        elif self.input == TEMPLATE:
            template = Template("tokenizer", str(tokenizer.get_chat_template()), "tokenizer")
        side: Side = self.truncation_side
        return AnswerReader(tokenizer, template, self.max_length, side)


@dataclass(frozen=True)
class RewardModel:
    """A trained reward model in memory. The one way in which answers get rewards after the training."""

    model: PreTrainedModel
    reader: AnswerReader
    fast_path: FastPath

    def rewards(self, prompts: Sequence[Turns], answers: Sequence[Turns], finished: Sequence[bool] | None = None) -> np.ndarray:
        """Returns the reward of each answer (N), float64.

        Args:
            finished: (N) whether an answer ended; one that was cut off by a limit of tokens did not. None: all did.
        """
        from tunesmith.models.inference import logits

        rows = self.reader.read("answers", range(len(prompts)), prompts, answers, finished=finished)
        pad_id: int = self.reader.tokenizer.pad_token_id
        return np.asarray(logits(self.model, rows, pad_id, self.fast_path)[:, 0], dtype=np.float64)


def load_reward_run(folder: Path) -> RewardModel:
    """Loads the reward model of a run, or of its ``model`` folder, for evaluation. Raises ModelError if it is none."""
    from tunesmith.machine import device_name
    from tunesmith.models.adapters.attach import reload_classifier
    from tunesmith.models.fast.path import choose_fast_path
    from tunesmith.models.inference import supported_path
    from tunesmith.models.load import load_tokenizer
    from tunesmith.models.source import ModelSource

    place = folder if (folder / CONFIG).exists() else folder / "model"
    settings = RewardConfigFile.load(place)
    tokenizer = load_tokenizer(ModelSource(str(place), str(place), "folder"))
    model = reload_classifier(place).to(device_name())
    fast_path = supported_path(model, choose_fast_path(True, device_name(), attention=None))
    return RewardModel(model, settings.reader(tokenizer), fast_path)
