"""Declares the recipe: one frozen section per concern, each option once.

The reference, the JSON Schema and ``resolved.yaml`` are generated from it. Upstream's options keep their name, meaning and unit.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]
NotNegative = Annotated[int, Field(ge=0)]
TaskName = Literal["classification", "regression", "embedding", "sft", "pretraining"]
AUTO = "auto"
DEFAULT_EPOCHS = 3.0
ReportTo = Literal["none", "tensorboard", "wandb", "trackio"]


class Section(BaseModel):
    """Base class of the sections: frozen, and refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), use_attribute_docstrings=True)


class RopeSection(Section):
    """RoPE scaling: extends the context length of a model with rotary positions. Keys as in transformers' `rope_parameters`."""

    rope_type: Literal["yarn", "linear"] = "yarn"
    """Scaling method: YaRN (Peng et al. 2024), or linear position interpolation (Chen et al. 2023)."""
    factor: float = Field(gt=1.0)
    """Scaling factor of the context length: 2 doubles it."""


class ModelSection(Section):
    """The base model."""

    name: str = "builtin:minilm"
    """A hub id, a local folder, the folder of a finished run, or builtin:NAME (needs no network)."""
    revision: str | None = None
    """Branch, tag or commit of a hub id."""
    trust_remote_code: bool = False
    """Run the Python code in the model's repository."""
    new_tokens: list[str] = []
    """Tokens to add to a language model's tokenizer. Their embeddings start at the mean embedding and are trained."""
    rope_parameters: RopeSection | None = None
    """Extend the context length of a language model with rotary positions: {rope_type: yarn, factor: 2}."""


class ColumnsSection(Section):
    """Maps columns to their roles. Needed only if column names and contents are ambiguous."""

    text: str | None = None
    """The text, or the first text of a pair."""
    pair: str | None = None
    """The second text of a pair."""
    label: str | list[str] | None = None
    """The label. Several columns of 0 and 1 make a multi-label task."""
    id: str | None = None
    """Your own id of each row."""
    group: str | None = None
    """Rows with the same value go into the same split."""
    split: str | None = None
    """The split of each row: train, validation or test."""
    anchor: str | None = None
    """Embeddings: the anchor (query, question, claim)."""
    positive: str | None = None
    """Embeddings: the positive, a text that matches the anchor."""
    negative: str | list[str] | None = None
    """Embeddings: one or several negatives, texts that do not match the anchor."""
    score: str | list[str] | None = None
    """Embeddings: the similarity score of a pair, or the scores of a teacher model."""
    vector: str | None = None
    """Embeddings: the teacher model's embedding of the text."""
    prompt: str | None = None
    """Language models: the prompt, as text or as a list of messages."""
    completion: str | None = None
    """Language models: the completion, as text or as a list of messages."""
    messages: str | None = None
    """Language models: whole conversations, as lists of {role, content} or {from, value}."""
    annotators: dict[str, str] | list[str] | None = None
    """{class: column} if columns count the annotators of each class; a list if each column holds the labels of one annotator."""


class DataSection(Section):
    """The training, validation and test rows."""

    train: str = Field(...)
    """A file (csv, tsv, json, jsonl, parquet, each also .gz), a folder, or hub:NAME."""
    validation: Fraction | str | None = 0.1
    """A fraction of the training rows (stratified, or grouped by `group`), or a file."""
    test: Fraction | str | None = "auto"
    """A file, or a fraction of the training rows. auto: the source's, or a fifth of 200 training rows or more; null: none."""
    also: list[str] = []
    """Embeddings: additional training files, each with its own columns; see embedding.mix."""
    columns: ColumnsSection = ColumnsSection()
    """Needed only if the columns cannot be detected."""
    header: bool | None = None
    """Whether csv and tsv files have a header line. Default: detected."""
    encoding: str | None = None
    """Encoding of text files. UTF-8 and byte-order marks are detected; any other encoding is guessed and reported."""
    label_separator: str | None = None
    """Separator of several labels in one cell (multi-label), for example "|"."""
    keep_null_labels: bool = False
    """Whether labels such as null, nan, N/A, NA and - are names of classes. Default: they mean that a row has no label."""
    max_length: PositiveInt | None = None
    """Maximum input length in tokens. Longer inputs are truncated and counted. Default: the model's own limit."""
    max_rows: PositiveInt | None = None
    """Maximum number of training rows; a random sample (by train.seed) is used. Validation and test keep all of their rows."""

    def file(self, split: str) -> str | None:
        """Returns the file, folder or hub name of a split; None for a fraction, ``auto`` and null."""
        return source if isinstance(source := getattr(self, split), str) and source != AUTO else None


class AdapterSection(Section):
    """Parameter-efficient fine-tuning with the installed peft. Other keys are options of the method, by peft's names."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=(), use_attribute_docstrings=True)

    method: str = Field(...)
    """Any method of the installed peft (lora, dora, ia3, prefix_tuning, ...), or a bottleneck adapter: houlsby, pfeiffer."""


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
    """Supervised tokens: those of the last answer, of every assistant turn, or all. Default: assistant; all for plain texts."""
    chat_template: str | None = None
    """Chat template, by name (chatml, alpaca, dialogue) or as a file. Used only if the tokenizer has no template."""
    long_rows: Literal["drop", "truncate", "split", "error"] | None = None
    """Handling of rows longer than data.max_length. Default: drop, so that no answer is truncated; split for plain texts."""
    labels: list[str] = []
    """The answers are these labels: the model is evaluated and used as a classifier that generates one of them."""


class PretrainingSection(SequenceSection):
    """Continued pretraining on plain texts (task: pretraining)."""

    objective: Literal["causal", "masked"] | None = None
    """Causal or masked language modelling. Default: the objective of the architecture."""
    mlm_probability: float = Field(default=0.15, gt=0.0, lt=1.0)
    """Fraction of the tokens that are masked."""


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


class EarlyStoppingSection(Section):
    """Stops training when the selection metric no longer improves on validation."""

    patience: PositiveInt = 3
    """Evaluations without improvement before training stops."""
    delta: float = Field(default=0.0, ge=0.0)
    """Smallest change of the metric that counts as an improvement."""


class TrainSection(Section):
    """Training arguments."""

    num_train_epochs: float | None = Field(default=None, gt=0.0)
    """Number of training epochs. Default: 3; for labels, as many more as give 300 optimizer steps, at most 100 epochs."""
    max_steps: PositiveInt | None = None
    """Number of optimizer steps, in place of num_train_epochs; giving both is an error."""
    learning_rate: float | None = Field(default=None, gt=0.0)
    """Peak learning rate. Default: chosen by model size and by the trained parameters."""
    per_device_train_batch_size: PositiveInt | None = None
    """Batch size per device. Default: 8 for sft; 64 for small models with at least 4,000 training rows; otherwise 32."""
    per_device_eval_batch_size: PositiveInt = 64
    """Evaluation batch size per device."""
    gradient_accumulation_steps: PositiveInt = 1
    """Batches per optimizer step."""
    weight_decay: float = Field(default=0.01, ge=0.0)
    """AdamW's decoupled weight decay (not applied to biases and LayerNorm)."""
    dropout: float | None = Field(default=None, ge=0.0, lt=1.0)
    """Dropout of the base model in training. Default: 0 below 50 million parameters, otherwise the model's own."""
    warmup_steps: float = Field(default=0.06, ge=0.0)
    """Linear warm-up steps; a value below 1 is a fraction of all steps."""
    lr_scheduler_type: str = "linear"
    """Any learning-rate schedule of the installed transformers."""
    optim: str = "adamw_torch_fused"
    """Any optimizer of the installed transformers."""
    max_grad_norm: float = Field(default=1.0, ge=0.0)
    """Maximum gradient norm (clipping); 0 turns clipping off."""
    train_layers: str | list[str] = "all"
    """all; head (body frozen); "last N" (head and last N layers, embeddings frozen); or a list of parameter-name patterns."""
    head_init: Literal["linear", "random"] = "linear"
    """How a new head starts: as a linear model of the untuned model's vectors (linear probing, then fine-tuning), or random."""
    distillation: Literal["auto", "none"] = "auto"
    """auto: a new model of at most 2,000 pairs, or of texts of clear classes (with head_init: linear), is first distilled."""
    class_weights: Literal["none", "balanced"] | dict[str, float] = "none"
    """Class weights in the loss; balanced is n / (K * n_c), as in scikit-learn."""
    label_smoothing_factor: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Label smoothing: fraction of the target probability spread over all classes."""
    early_stopping: EarlyStoppingSection | None = None
    """Early stopping on evaluate.metric. Off by default."""
    n_evaluations: PositiveInt = 10
    """Evaluations on validation during training, at evenly spaced steps."""
    n_logs: PositiveInt = 100
    """Log entries during training, at evenly spaced steps."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Random seed of everything: split, row order, dropout, new weights."""
    n_seeds: PositiveInt = 1
    """Train with this many seeds (seed, seed + 1, ...); intervals then cover rows and seeds."""
    fast: bool = True
    """The fast path: precision, attention, dropout and batch order chosen for the machine. false: plain transformers."""
    report_to: ReportTo | list[ReportTo] = "none"
    """Experiment trackers that receive the logs, in addition to the run folder."""
    run_name: str | None = None
    """Name of the run in the trackers. Default: the name of the output folder."""

    @property
    def epochs(self) -> float:
        """Number of training epochs; 3 if the recipe gives none."""
        return self.num_train_epochs or DEFAULT_EPOCHS

    @property
    def batch_rows(self) -> int:
        """Training batch size per device; 32 if the recipe gives none."""
        return self.per_device_train_batch_size or 32


class EvaluateSection(Section):
    """Evaluation and baselines."""

    metric: str | None = None
    """Selects the best checkpoint and is the primary metric of the verdict. Default: the task's default metric."""
    tune_threshold: bool = True
    """Binary and multi-label: tune the decision threshold on validation, if the metric depends on it."""
    retrieval: str | None = None
    """Embeddings: a folder in the BEIR layout, for retrieval evaluation before and after training."""
    answers: AnswersSection = AnswersSection()
    """Language models: generation of answers for evaluation."""
    stride: PositiveInt | None = None
    """Language models: stride in tokens of the sliding window for perplexity. Default: the window size (no overlap)."""
    context_lengths: list[PositiveInt] = []
    """Language models: also compute perplexity with these context lengths."""
    general: str | None = None
    """Language models: a file of plain texts that measures forgetting. Default: texts that come with tunesmith."""
    baselines: list[Literal["majority", "chance", "tfidf", "frozen", "untuned", "bm25", "few_shot"]] | None = None
    """Default: majority, chance, tfidf, frozen, untuned; embedding: untuned, tfidf, bm25; sft: untuned, few_shot, chance."""
    n_resamples: PositiveInt = 10_000
    """Bootstrap resamples of every confidence interval."""


class DiagnoseSection(Section):
    """Settings of `tunesmith diagnose`."""

    method: Literal["frozen", "finetune"] = "frozen"
    """frozen: linear models on words and on embeddings of the base model (seconds). finetune: also fine-tune it once per fold."""
    n_folds: int | None = Field(default=None, ge=2)
    """Cross-validation folds; near-duplicates and groups stay in one fold. Default: 10 below 2,000 rows, otherwise 5."""
    null_model: Literal["prior", "trained"] = "prior"
    """Null model of PVI: the class frequencies, or a model trained without the text, in the same folds."""
    inputs: list[str] = []
    """Input ablations: text_only (premise_only), pair_only (hypothesis_only), shuffled_words, overlap_only, or column names."""
    slices: list[str] = []
    """Columns to slice by: reports the mean PVI for each value."""
    words_of_rows: NotNegative | list[NotNegative] = 0
    """Leave-one-word-out PVI for this many rows with the lowest PVI of each split, or for these row ids of train."""
    word_lists: dict[str, str | list[str]] = {}
    """Word lists (each a list, or a file with a word per line): measures their label bias and the effect of hypernyms."""


class ParallelSection(Section):
    """Distributed training."""

    strategy: Literal["auto", "none", "ddp"] = "auto"
    """Distribution strategy; auto is ddp if `processes` is above 1, otherwise none."""
    processes: PositiveInt = 1
    """Number of training processes."""


class Recipe(Section):
    """The top-level section."""

    task: TaskName = "classification"
    """classification (one label or several), regression, embedding, sft (prompts and answers), or pretraining (plain texts)."""
    model: ModelSection = ModelSection()
    """The base model."""
    data: DataSection = Field(...)
    """The training, validation and test rows."""
    adapter: AdapterSection | None = None
    """Parameter-efficient fine-tuning. Default: full fine-tuning."""
    quantisation: Literal["nf4", "int8"] | None = None
    """Quantize the frozen base model to 4 or 8 bits with bitsandbytes; needs an adapter."""
    embedding: EmbeddingSection = EmbeddingSection()
    """Training of sentence embedding models and rerankers."""
    sft: SftSection = SftSection()
    """Supervised fine-tuning of a language model."""
    pretraining: PretrainingSection = PretrainingSection()
    """Continued pretraining on plain texts."""
    train: TrainSection = TrainSection()
    """Training arguments."""
    evaluate: EvaluateSection = EvaluateSection()
    """Evaluation and baselines."""
    diagnose: DiagnoseSection = DiagnoseSection()
    """Settings of `tunesmith diagnose`."""
    upstream: dict[str, Any] = {}
    """Any other field of transformers.TrainingArguments; names are checked."""
    parallel: ParallelSection = ParallelSection()
    """Distributed training."""
    output: str = "runs/run"
    """The run folder. It must not exist yet."""
