"""Declares the sections of the recipe that only some tasks have: embeddings, and language models with their answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

from tunesmith.recipe.section import NotNegative, Section


class HardNegativesSection(Section):
    """Hard-negative mining with the base model, before training. Options as in `mine_hard_negatives` of sentence-transformers."""

    num_negatives: PositiveInt = 1
    """Negatives per pair. Pairs with fewer negatives are dropped."""
    range_min: NotNegative = 0
    """Skip this many of the most similar candidates, which may be unlabelled positives."""
    range_max: PositiveInt | None = None
    """Consider only this many of the most similar candidates. Default: as many as num_negatives and the margins need."""
    absolute_margin: float | None = None
    """Minimum difference between the similarities of the positive and of a negative."""
    relative_margin: float | None = None
    """The same, relative to the similarity of the positive: 0.05 excludes candidates above 95 % of it."""
    max_score: float | None = None
    """Exclude candidates above this similarity."""
    min_score: float | None = None
    """Exclude candidates below this similarity."""
    sampling_strategy: Literal["top", "random"] = "top"
    """Take the most similar candidates, or a random sample of the candidates."""
    cross_encoder: str | None = None
    """A cross-encoder that rescores the candidates; given like model.name."""


class EmbeddingSection(Section):
    """Training of sentence embedding models and rerankers (task: embedding)."""

    head: Literal["vector", "cross-encoder"] = "vector"
    """vector trains an embedding model; cross-encoder trains a reranker, which scores a query and a document together."""
    first_stage: str | None = None
    """Rerankers: the embedding model that retrieves the documents to rerank and mines the negatives. Default: model.name."""
    top_k: PositiveInt = 100
    """Rerankers: how many documents of the first stage are reranked."""
    loss: str | None = None
    """A loss of sentence-transformers that fits the dataset format; see `tunesmith losses`. Default: that of the format."""
    loss_options: dict[str, Any] = {}
    """Options of the loss, by upstream's names."""
    mix: Literal["concatenate", "proportional", "round_robin"] = "concatenate"
    """Combines data.also with data.train: as one table, or with a loss per file in batches by size, or in alternating batches."""
    losses: dict[str, str] = {}
    """Loss of each file of data.also, if it is not the default of the file's format."""
    matryoshka_dimensions: list[PositiveInt] = []
    """Matryoshka dimensions: truncated embeddings of these sizes are also trained, and evaluated against the base model's."""
    adaptive_layers: bool = False
    """Also train the embeddings of the first layers alone (AdaptiveLayerLoss)."""
    pooling: Literal["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] | None = None
    """Pooling of the token embeddings. Default: the base model's pooling, or mean."""
    dense: PositiveInt | None = None
    """Output dimensions of a dense layer after pooling."""
    normalize: bool | None = None
    """Normalize embeddings to length 1. Default: as in the base model; false if pooling or dense changes the model."""
    prompts: dict[Literal["query", "document"], str] = {}
    """Prompts (prefixes) of queries and documents, used in training and saved with the model."""
    batch_sampler: Literal["batch_sampler", "no_duplicates", "no_duplicates_hashed", "group_by_label"] | None = None
    """Batch sampler, by upstream's names. Default: the one that the loss needs."""
    guide: str | None = None
    """Guide model of GISTEmbedLoss, which filters false negatives; given like model.name. Default: the base model."""
    same: str | int | None = None
    """The label of pairs with the same meaning, if the data do not say it. Numbers do not, unless they are 0 and 1."""
    different: str | int | None = None
    """convert: triplet: the label of pairs whose second text is a negative. Default: contradiction, or every label but `same`."""
    score_range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    """Lowest and highest score; scores are scaled from this range to [0, 1]."""
    hard_negatives: HardNegativesSection | None = None
    """Mine hard negatives for (anchor, positive) pairs with the base model. Off by default."""
    convert: Literal["positive_pair", "triplet"] | None = None
    """Convert the rows to pairs or triplets first; possible for labelled texts, NLI pairs, and rows with several negatives."""


class SequenceSection(Section):
    """Combines rows of a causal language model into sequences."""

    packing: bool | None = None
    """Pack several rows into one sequence, without attention between rows. Default: true on a GPU, if it saves time."""
    padding_free: bool | None = None
    """Concatenate the rows of a batch instead of padding, without attention between rows. Default: true on a CPU, if possible."""


class SftSection(SequenceSection):
    """Supervised fine-tuning of a language model (task: sft)."""

    loss_on: Literal["completion", "assistant", "all"] | None = None
    """Supervised tokens: last answer, each assistant turn, or all. Default: assistant; texts all; encoder-decoders completion."""
    chat_template: str | None = None
    """Chat template, by name (chatml, alpaca, dialogue) or as a file. Used only if the tokenizer has no template."""
    long_rows: Literal["drop", "truncate", "split", "error"] | None = None
    """Handling of rows longer than data.max_length. Default: drop, so that no answer is truncated; split for plain texts."""
    max_target_length: PositiveInt | None = None
    """Encoder-decoders: maximum tokens of an answer; rows with longer ones are dropped. Default: the decoder's limit."""
    labels: list[str] = []
    """The answers are these labels: the model is evaluated and used as a classifier that generates one of them."""


class PretrainingSection(SequenceSection):
    """Continued pretraining on plain texts (task: pretraining)."""

    objective: Literal["causal", "masked", "seq2seq"] | None = None
    """Causal or masked language modelling, or denoising by an encoder-decoder. Default: the objective of the architecture."""
    mlm_probability: float = Field(default=0.15, gt=0.0, lt=1.0)
    """Fraction of the tokens that are masked."""
    noise_density: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Encoder-decoders: fraction of the tokens that are removed. Default: 0.15; 0.3 with a mask token (BART)."""
    mean_noise_span_length: float | None = Field(default=None, ge=1.0)
    """Encoder-decoders: mean length in tokens of the removed spans. Default: 3."""


class RewardSection(Section):
    """Training of a reward model on pairs of a better and a worse answer (task: reward), by TRL's names."""

    center_rewards_coefficient: float | None = Field(default=None, ge=0.0)
    """Weight of the squared sum of both rewards, which keeps their mean near 0 (usual: 0.01). Default: not centred."""
    truncation_side: Literal["left", "right"] = "left"
    """Side on which answers with their prompts are cut to data.max_length; on the right many pairs become equal."""
    chat_template: str | None = None
    """Decoders: chat template, by name (chatml, alpaca, dialogue) or as a file. Used only if the tokenizer has none."""
    shifted: str | None = None
    """A file of answers of another kind: measures how well scores of the model tell them from answers like those of train."""


class AnswersSection(Section):
    """Generation of answers when a language model is evaluated. Options as in transformers' `GenerationConfig`."""

    rows: NotNegative = 64
    """Rows per split for which answers are generated and compared with the reference; 0 turns it off."""
    max_new_tokens: PositiveInt | None = None
    """Maximum answer length in tokens. Default: a little more than the longest answer of the training rows."""
    num_beams: PositiveInt = 1
    """Number of beams; 1 is greedy decoding."""
    do_sample: bool = False
    """Sample instead of greedy decoding."""
    temperature: float | None = Field(default=None, gt=0.0)
    """Sampling temperature."""
    top_p: float | None = Field(default=None, gt=0.0, le=1.0)
    """Nucleus sampling: keep the most likely tokens up to this cumulative probability."""
    shots: NotNegative = 3
    """Examples in the prompt of the few_shot baseline; 0 turns this baseline off."""
    pattern: str | None = None
    """A regular expression whose first group extracts the part of an answer to compare: "#### (.*)"."""
    function: str | None = None
    """file.py:name, a function of (answer, reference, row) that returns a score from 0 to 1."""


class PreferenceSection(Section):
    """Learning from preferences (task: preference) with TRL. TRL's names; an option that the loss does not read is refused."""

    loss_type: str | list[str] = "sigmoid"
    """The loss: sigmoid (DPO), ipo, robust, kto, ..., or a list of DPO's losses; experimental: cpo, simpo, alphapo, orpo."""
    loss_weights: list[float] = []
    """Weights of several losses. Default: 1 each."""
    beta: float | None = Field(default=None, gt=0.0)
    """How strongly the model is held to the reference (orpo: weight of the odds ratio). Default: 0.1; simpo and alphapo: 2."""
    label_smoothing: float | None = Field(default=None, ge=0.0, lt=0.5)
    """Share of pairs that may be reversed; read by robust, exo_pair, aot, aot_unpaired, cpo, simpo, alphapo. Default: 0."""
    f_divergence_type: Literal["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"] = "reverse_kl"
    """The divergence from the reference (f-DPO)."""
    f_alpha_divergence_coef: float | None = None
    """Coefficient of alpha_divergence. Default: 0.5."""
    ld_alpha: float | None = Field(default=None, ge=0.0, le=1.0)
    """Weight of the tokens of the longer answer beyond the length of the shorter one (LD-DPO). Default: 1, all alike."""
    discopop_tau: float | None = Field(default=None, gt=0.0)
    """Temperature of discopop. Default: 0.05."""
    use_weighting: bool = False
    """Weigh pairs by the model's own probabilities of both answers (WPO)."""
    sync_ref_model: bool = False
    """Let the reference follow the model (TR-DPO); not with an adapter."""
    ref_model_mixup_alpha: float | None = Field(default=None, gt=0.0, le=1.0)
    """Share of the model in the reference at each synchronisation. Default: 0.6."""
    ref_model_sync_steps: PositiveInt | None = None
    """Optimizer steps between synchronisations. Default: 512."""
    desirable_weight: float | None = Field(default=None, gt=0.0)
    """kto: weight of the good answers. Default: 1."""
    undesirable_weight: float | None = Field(default=None, gt=0.0)
    """kto: weight of the bad answers. Default: 1."""
    cpo_alpha: float | None = Field(default=None, ge=0.0)
    """Weight of the loss of the chosen answer beside cpo's. Default: 1; simpo: 0, as in its paper."""
    simpo_gamma: float | None = Field(default=None, ge=0.0)
    """simpo, alphapo: the margin between the rewards of both answers, which are beta times nats a token. Default: 0.5."""
    alpha: float | None = None
    """alphapo: shape of its reward. Default: 0.25."""
    chat_template: str | None = None
    """Chat template, by name (chatml, alpaca, dialogue) or as a file. Used only if the tokenizer has no template."""
    long_rows: Literal["drop", "truncate", "error"] = "drop"
    """Pairs longer than data.max_length: left out; truncate cuts the prompt at its start, never an answer."""
