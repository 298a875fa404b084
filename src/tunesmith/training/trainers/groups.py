"""Adapts TRL's GRPOTrainer and RLOOTrainer: own prompts, samples and reference, guarded steps, checkpoints with the answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, Dataset, Sampler, SequentialSampler
from transformers import Trainer
from trl import GRPOTrainer, RLOOTrainer
from trl.trainer.utils import add_fused_lm_head

from tunesmith.data.arrays import Array
from tunesmith.generation.decode import model_end_ids
from tunesmith.generation.sampling import Sampling, sample_answers
from tunesmith.recipe.reinforcement_sections import GrpoSection
from tunesmith.training.guarded import TrainerKeywords
from tunesmith.training.policies.answers import TRAINING_NUMBERS, Tokens, drawn_prompts, ended
from tunesmith.training.trainers.policies import PolicyTrainer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

STATE, ANSWERS = "groups.json", "groups.safetensors"
POSITION = "position"
UPSTREAM_FIGURES = {"kl": "kl_of_tokens", "entropy": "entropy", "clip_ratio/region_mean": "clip_fraction"}
"""Names of upstream's figures -> of ours; upstream's KL is an estimate per token, not the exact one of an answer."""


@dataclass(frozen=True, kw_only=True)
class Groups:
    """The prompts that answers are sampled to, in groups, and their rewards.

    Attributes:
        prompts: (N) token ids of the training prompts.
        row_ids: (N) of the training prompts.
        score: positions of prompts, and an answer to each -> the reward of each answer.
        reference: the frozen model that the policy starts from; None where it is the policy with its adapter disabled.
        batch_rows: answers of a batch.
        n_rows: items of an epoch, by which upstream's trainer counts its steps.
    """

    section: GrpoSection
    tokenizer: PreTrainedTokenizerBase
    prompts: Tokens
    row_ids: Sequence[int]
    score: Callable[[Sequence[int], Tokens], Array]
    reference: PreTrainedModel | None
    batch_rows: int
    n_rows: int
    seed: int
    precision: str = "fp32"

    @property
    def batches_per_generation(self) -> int:
        return self.section.steps_per_generation or 1

    @property
    def n_groups(self) -> int:
        """Returns the prompts of a generation."""
        return self.batch_rows * self.batches_per_generation // self.section.num_generations

    def positions(self, generation: int) -> list[int]:
        """Returns the position of each answer's prompt in a generation: every prompt as many times as a group has answers."""
        drawn = drawn_prompts(len(self.prompts), self.n_groups, self.seed, generation)
        return [position for position in drawn for _ in range(self.section.num_generations)]

    def sampling(self, generation: int) -> Sampling:
        """Returns how the answers of a generation are sampled."""
        return Sampling(self.section.answer_length, self.section.temperature, (TRAINING_NUMBERS, self.seed, generation))


def group_figures(rewards: Array, answers: Tokens, ends: Sequence[int], group: int) -> dict[str, float]:
    """Computes what groups of answers have to learn from: (N) rewards, the answers to a prompt beside each other.

    A group has no variance if its rewards are equal in the precision in which upstream compares them.
    """
    table = np.asarray(rewards, dtype=np.float32).reshape(-1, group)
    return {
        "reward": float(rewards.mean()),
        "reward_std": float(rewards.std()),
        "group_std": float(table.astype(np.float64).std(axis=1).mean()),
        "groups_without_variance": float((np.ptp(table, axis=1) == 0).mean()),
        "answer_tokens": float(np.mean([len(answer) for answer in answers])),
        "finished": float(ended(answers, ends).mean()),
    }


class GroupTrainer(PolicyTrainer):
    """What both of upstream's trainers share here; comes before one of them among the base classes.

    Everything random depends on the seed and the number of the generation alone, and the answers of a generation are part of each
    checkpoint, so that a training resumed between two batches of a generation goes on with the same bits.
    """

    may_stand_still = True  # groups of equal rewards, or ratios that are all clipped, have a loss and no gradient

    def __init__(self, *, groups: Groups, **upstream: Unpack[TrainerKeywords]) -> None:
        from datasets import Dataset as Table

        self.groups = groups
        # With a coefficient upstream would load the reference from the model's name, or copy the adapter.
        assert upstream["args"].beta == 0.0
        rows = Table.from_dict({"prompt": [""] * groups.n_rows})
        super().__init__(reward_funcs=[self.rewards_of], train_dataset=rows, processing_class=groups.tokenizer, **upstream)
        self.beta = self.args.beta = groups.section.beta
        self.eos_token_ids = model_end_ids(self.model, groups.tokenizer)
        if groups.reference is not None and self.beta:
            if "forward" not in vars(groups.reference):
                add_fused_lm_head(groups.reference, temperature=groups.section.temperature)
            self.ref_model = self.accelerator.prepare_model(groups.reference, evaluation_mode=True)

    @property
    def generation(self) -> int:
        """Returns the number of the generation of the batch that is due."""
        number: int = self._step // (self.args.steps_per_generation * self.num_iterations)
        return number

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Returns batches that only count the steps: the prompts follow from the number of the generation."""
        loader: DataLoader[Any] = Trainer.get_train_dataloader(self)
        return loader

    def _get_train_sampler(self, dataset: Dataset[Any] | None = None) -> Sampler[int]:
        return SequentialSampler(range(self.groups.n_rows))

    def rows_of_batch(self, inputs: dict[str, Any]) -> list[int]:
        """Returns no rows: which answers a batch has is known when they are sampled, see ``_prepare_inputs``."""
        return []

    def _prepare_inputs(self, _batch: Any) -> dict[str, Any]:
        """Returns the batch of answers that is due, after sampling the next generation if it is due."""
        rows = [{"prompt": str(position), POSITION: position} for position in self.groups.positions(self.generation)]
        with self.failing_rewards(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.default_rng([TRAINING_NUMBERS, self.groups.seed, self.generation]).integers(2**31)))
            inputs: dict[str, Any] = super()._prepare_inputs(rows)
        row_ids = [self.groups.row_ids[position] for position in inputs[POSITION].tolist()]
        self.batch_rows = [*self.batch_rows, *row_ids]
        self.rows_trained += len(row_ids)
        return inputs

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        outputs: dict[str, Any] = super()._generate_and_score_completions(inputs)
        return {**outputs, POSITION: torch.tensor([row[POSITION] for row in inputs])}

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [list(self.groups.prompts[int(prompt)]) for prompt in prompts], None, {}

    def sampled(self, prompts: Tokens) -> list[list[int]]:
        """Samples an answer to each prompt of the generation."""
        sampling, precision = self.groups.sampling(self.generation), self.groups.precision
        return sample_answers(self.model, self.groups.tokenizer, prompts, sampling, precision=precision)

    def rewards_of(self, completion_ids: Tokens, position: Sequence[int], **_: object) -> list[float]:
        """Computes the rewards of sampled answers for upstream, and their figures."""
        rewards, size = self.groups.score(position, completion_ids), self.groups.section.num_generations
        self.figures.append(group_figures(rewards, completion_ids, self.eos_token_ids, size))
        table = rewards.reshape(-1, size)
        # Rewards of any size are no divergence.
        farthest = float(np.abs(table - table.mean(axis=1, keepdims=True)).max())
        self.expected_loss = max(1.0, farthest, self.expected_loss if np.isfinite(self.expected_loss) else 0.0)
        values: list[float] = rewards.tolist()
        return values

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.move_figures()
        return loss

    def move_figures(self) -> None:
        """Moves upstream's figures of a batch to ours, which are saved with a checkpoint and never mixed with an evaluation's."""
        metrics = self._metrics["train"]
        figures = {ours: float(np.mean(metrics[name])) for name, ours in UPSTREAM_FIGURES.items() if metrics.get(name)}
        if figures:
            self.figures.append(figures)
        metrics.clear()

    def _send_telemetry(self) -> None:
        """Turns off TRL's telemetry."""

    def create_model_card(self, *arguments: object, **named: object) -> None:
        """Writes nothing: the run writes its own model card."""

    def save_own_state(self, checkpoint: Path) -> None:
        """Saves also the answers of the generation, the place in it, and the figures since the last log."""
        super().save_own_state(checkpoint)
        buffered = self._buffered_inputs or []
        state = {"step": self._step, "figures": self.figures, "expected_loss": self.expected_loss, "batches": len(buffered)}
        (checkpoint / STATE).write_text(json.dumps(state), encoding="utf-8")
        tensors = {f"{i}.{name}": value for i, batch in enumerate(buffered) for name, value in batch.items()}
        save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, checkpoint / ANSWERS)

    def own_state_bytes(self) -> int:
        longest = max(map(len, self.groups.prompts)) + self.groups.section.answer_length
        return 32 * self.groups.batch_rows * self.groups.batches_per_generation * longest

    def resume(self, checkpoint: Path) -> Any:
        state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
        self._step, self.figures, self.expected_loss = state["step"], state["figures"], state["expected_loss"]
        batches: list[dict[str, torch.Tensor]] = [{} for _ in range(state["batches"])]
        for name, tensor in load_file(checkpoint / ANSWERS, device=str(self.args.device)).items():
            number, _, key = name.partition(".")
            batches[int(number)][key] = tensor
        self._buffered_inputs = batches or None
        return super().resume(checkpoint)


class GrpoGroupTrainer(GroupTrainer, GRPOTrainer):
    """A guarded GRPOTrainer."""

    def _generate_single_turn(self, prompt_ids: Tokens, *_: object, **__: object) -> tuple[list[list[int]], None]:
        return self.sampled(prompt_ids), None


class RlooGroupTrainer(GroupTrainer, RLOOTrainer):
    """A guarded RLOOTrainer."""

    def _generate_single_turn(self, prompt_ids: Tokens, *_: object, **__: object) -> list[list[int]]:
        return self.sampled(prompt_ids)


TRAINERS: dict[str, type[GroupTrainer]] = {"grpo": GrpoGroupTrainer, "rloo": RlooGroupTrainer}
"""Algorithm of the section grpo -> trainer."""
