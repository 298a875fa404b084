"""Declares the sections of the recipe in which models learn from their own answers: rewards, policies, rounds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from tunesmith.recipe.section import NotNegative, Section


class RewardsSection(Section):
    """Rewards of generated answers. Functions have TRL's signature: prompts, completions and the columns of the rows."""

    reward_funcs: list[str] = []
    """file.py:name of each reward function, which returns a list of one number for each completion; or runs of task: reward."""
    reward_weights: list[float] | None = None
    """Weight of each reward function in the sum. Default: 1 for each."""
    gold: str | None = None
    """file.py:name, or a run, of a held-back reward: computed at every evaluation, never trained on. It shows reward hacking."""
    stop_at_turn: bool = False
    """Stop when the gold reward falls while the trained reward rises, and keep the checkpoint with the best gold reward."""


class PolicySection(Section):
    """What all methods share that train a policy on the rewards of its answers."""

    temperature: float = Field(default=1.0, gt=0.0)
    """Sampling temperature, in training and in evaluation; log-probabilities are those of this temperature."""
    kl_budget: float = Field(default=20.0, gt=0.0)
    """An alarm is raised when the exact KL of an answer exceeds so many nats on validation."""
    prompt_tokens: PositiveInt = 8
    """Plain texts: so many first tokens of a text are the prompt."""
    chat_template: str | None = None
    """Chat template of the prompts, by name or as a file. Used only if the tokenizer has no template."""
    best_of_n: NotNegative = 16
    """After training, the best of 1, 2, 4, ... answers of the untuned model is measured, up to so many; 0 turns it off."""

    @property
    def length_name(self) -> str:
        """Returns the option that is the maximum answer length in tokens."""
        raise NotImplementedError

    @property
    def answer_length(self) -> int:
        """Returns the maximum answer length in tokens."""
        length: int = getattr(self, self.length_name)
        return length

    @property
    def penalty_name(self) -> str:
        """Returns the option that is the coefficient of the KL penalty."""
        raise NotImplementedError

    @property
    def penalty(self) -> float:
        """Returns the coefficient of the KL penalty."""
        coefficient: float = getattr(self, self.penalty_name)
        return coefficient


class PpoSection(PolicySection):
    """Proximal policy optimisation (task: ppo). Options as in TRL's `PPOConfig`."""

    rollout_batch_size: PositiveInt = 32
    """Answers sampled for one iteration, one for each prompt."""
    num_ppo_epochs: PositiveInt = 2
    """Passes over the answers of an iteration."""
    num_mini_batches: PositiveInt = 1
    """Optimizer steps of one pass; rollout_batch_size is a multiple of it."""
    response_length: PositiveInt = 32
    """Maximum answer length in tokens. Prompt and answer fit into the context (encoder-decoders: the answer)."""
    kl_coef: float = Field(default=0.05, ge=0.0)
    """Coefficient of the KL penalty in nats per token, subtracted from the reward."""
    kl_estimator: Literal["k1", "k3", "exact"] = "k1"
    """KL of a token in the penalty: k1 or k3 of the sampled token, or exact: summed over the vocabulary."""
    kl_target: float | None = Field(default=None, gt=0.0)
    """Adapts kl_coef so that the KL of an answer approaches so many nats (Ziegler et al. 2019). Default: kl_coef is fixed."""
    kl_horizon: PositiveInt = 10_000
    """Answers over which an error of the KL changes an adaptive kl_coef."""
    gamma: float = Field(default=1.0, gt=0.0, le=1.0)
    """Discount per token."""
    lam: float = Field(default=0.95, ge=0.0, le=1.0)
    """Lambda of generalised advantage estimation."""
    cliprange: float = Field(default=0.2, gt=0.0)
    """Clip range of the ratio of the new to the old probability of a token."""
    cliprange_value: float = Field(default=0.2, gt=0.0)
    """Clip range of the change of a value in one iteration. Rewards of another size than 1 need another range, or scaling."""
    vf_coef: float = Field(default=0.1, ge=0.0)
    """Coefficient of the value loss, half the squared error of the value."""
    entropy_coef: float = Field(default=0.0, ge=0.0)
    """Coefficient of the entropy bonus per token."""
    whiten_rewards: bool = False
    """Scale the rewards of the tokens of an iteration to variance 1."""
    whiten_advantages: bool = True
    """Scale the advantages of an iteration to mean 0 and variance 1."""
    missing_eos_penalty: float | None = Field(default=None, ge=0.0)
    """Subtracted from the reward of an answer that does not end within response_length."""
    use_score_scaling: bool = False
    """Divide rewards by the standard deviation of all rewards so far."""
    use_score_norm: bool = False
    """With use_score_scaling: also subtract their mean."""
    score_clip: float | None = Field(default=None, gt=0.0)
    """Clip the (scaled) rewards to [-score_clip, score_clip]."""
    value_head: Literal["shared", "separate"] = "shared"
    """shared: the value head reads the policy's last hidden states; separate: those of a trained copy of the body."""

    @property
    def length_name(self) -> str:
        return "response_length"

    @property
    def penalty_name(self) -> str:
        return "kl_coef"


class GrpoSection(PolicySection):
    """Group relative policy optimisation (task: grpo). Options as in TRL's `GRPOConfig` and `RLOOConfig`."""

    algorithm: Literal["grpo", "rloo"] = "grpo"
    """grpo: rewards compared with the mean of the group, KL in the loss; rloo: with the other answers, KL in the reward."""
    num_generations: int = Field(default=8, ge=2)
    """Answers sampled for each prompt: a group. An answer's advantage is its reward compared with its group."""
    max_completion_length: PositiveInt = 32
    """Maximum answer length in tokens. Prompt and answer have to fit into the model's context."""
    steps_per_generation: PositiveInt | None = None
    """Batches that the answers of one generation are divided into. Default: train.gradient_accumulation_steps."""
    num_iterations: PositiveInt = 1
    """Passes over the answers of one generation."""
    beta: float = Field(default=0.05, ge=0.0)
    """Coefficient of the KL penalty: grpo averages k3 per token in the loss, rloo subtracts the answer's k1 from its reward."""
    epsilon: float = Field(default=0.2, gt=0.0)
    """Clip range of the ratio of the new to the old probability: of a token, with rloo of an answer."""
    epsilon_high: float | None = Field(default=None, gt=0.0)
    """Upper clip range. Default: epsilon."""
    delta: float | None = Field(default=None, gt=1.0)
    """Only grpo: upper bound of the ratio, also where the advantage is negative (two-sided clipping)."""
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"] = "dapo"
    """Only grpo: the loss and how it is averaged over tokens and answers."""
    importance_sampling_level: Literal["token", "sequence"] = "token"
    """Only grpo: the ratio of each token, or of the answer (sequence, as in GSPO)."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """Only grpo: divide advantages by the standard deviation of the group, of all answers, or not (which scales up no noise)."""
    normalize_advantages: bool = False
    """Only rloo: scale the advantages of a generation to mean 0 and variance 1."""
    reward_clip_range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    """Only rloo: clip rewards to this range."""
    mask_truncated_completions: bool = False
    """Leave answers that do not end within max_completion_length out of the loss."""

    @property
    def length_name(self) -> str:
        return "max_completion_length"

    @property
    def scales_by_spread(self) -> bool:
        """Tells whether advantages are divided by a standard deviation of the rewards."""
        return self.normalize_advantages if self.algorithm == "rloo" else self.scale_rewards != "none"

    @property
    def penalty_name(self) -> str:
        return "beta"


class RoundsSection(Section):
    """Rounds of preference learning (`tunesmith rounds`): the model's own answers are sampled, annotated and trained on."""

    n: PositiveInt = 2
    """Rounds in all. More can be added to finished ones."""
    answers: int = Field(default=4, ge=2)
    """Answers sampled for each prompt; two of them become a pair."""
    annotate: Literal["rewards", "file"] = "rewards"
    """rewards: the answer with the highest reward is chosen, that with the lowest is rejected; file: a person fills in a file."""
    compare: bool = True
    """With annotate: file and no reward, a person compares answers before and after each round. false: there is no verdict."""
    prompts: PositiveInt | None = None
    """Training prompts of a round, the next ones in each. Default: all in every round."""
    prompt_tokens: PositiveInt = 8
    """Plain texts: so many first tokens of a text are the prompt."""
    response_length: PositiveInt = 64
    """Maximum answer length in tokens. Prompt and answer have to fit into the model's context."""
    temperature: float = Field(default=1.0, gt=0.0)
    """Sampling temperature."""
    cut_answers: Literal["leave_out", "keep"] = "leave_out"
    """Answers that reach response_length: left out of the pairs, or kept; the training then has an end after them."""
