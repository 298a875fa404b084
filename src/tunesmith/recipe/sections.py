"""Declares the recipe: one frozen section per concern, each option once.

The reference, the JSON Schema and ``resolved.yaml`` are generated from it. Upstream's options keep their name, meaning and unit.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PositiveInt

from tunesmith.recipe.reinforcement_sections import GrpoSection, PpoSection, RewardsSection, RoundsSection
from tunesmith.recipe.section import Fraction, NotNegative, Section
from tunesmith.recipe.task_sections import (
    AnswersSection,
    EmbeddingSection,
    PreferenceSection,
    PretrainingSection,
    RewardSection,
    SftSection,
)

TaskName = Literal["classification", "regression", "embedding", "sft", "preference", "pretraining", "reward", "ppo", "grpo"]
AUTO = "auto"
DEFAULT_EPOCHS = 3.0
ReportTo = Literal["none", "tensorboard", "wandb", "trackio"]


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
    tokenizer: str | None = None
    """The tokenizer of a checkpoint without one, given like model.name. It is saved with the run's model."""
    attn_implementation: str | None = None
    """Attention: eager, sdpa, flash_attention_2 (or 3, 4; needs a GPU and its package) or flex_attention. Default: chosen."""
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
    """The label. Several columns of 0 and 1 make a multi-label task. Preferences: which answer is better, or if one is good."""
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
    """Embeddings: the similarity score of a pair, or the scores of a teacher model. Preferences: the score of each answer."""
    vector: str | None = None
    """Embeddings: the teacher model's embedding of the text."""
    prompt: str | None = None
    """Language models: the prompt, as text or as a list of messages."""
    completion: str | list[str] | None = None
    """Language models: the completion, as text or as a list of messages. Preferences: also a list of answers, or two columns."""
    chosen: str | None = None
    """Preferences: the better answer, or the dialogue that ends with it."""
    rejected: str | None = None
    """Preferences: the worse answer, or the dialogue that ends with it."""
    margin: str | None = None
    """Preferences: the reward by which the chosen answer should be ahead, at least 0."""
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
    split_as: str | None = "auto"
    """A run on the same training file: test and validation rows are those that it held out. auto: the run of model.name."""
    also: list[str] = []
    """Further training files, each with its own columns; their rows follow those of train. Embeddings: see embedding.mix."""
    columns: ColumnsSection = ColumnsSection()
    """Needed only if the columns cannot be detected."""
    header: bool | None = None
    """Whether csv and tsv files have a header line. Default: detected."""
    encoding: str | None = None
    """Encoding of text files. UTF-8 and byte-order marks are detected; any other encoding is guessed and reported."""
    template: str | None = None
    """Joins columns to the text: "{title}. {body}". A missing cell is left out together with the separator beside it."""
    labels: dict[str, Any] = {}
    """Maps labels in the files to classes: {0: bad, 1: good}; null leaves rows out. Or {file: map}, a map for each file."""
    label_separator: str | None = None
    """Separator of several labels in one cell (multi-label), for example "|"."""
    keep_null_labels: bool = False
    """Whether labels such as null, nan, N/A, NA and - are names of classes. Default: they mean that a row has no label."""
    max_length: PositiveInt | None = None
    """Maximum input length in tokens. Longer inputs are truncated and counted. Default: the model's own limit."""
    max_rows: PositiveInt | dict[Literal["train", "validation", "test"], PositiveInt] | None = None
    """Maximum number of training rows, or of each split: {train: 1000, test: 500}. Samples are random, by train.seed."""

    def limit(self, split: str) -> int | None:
        """Returns the largest number of rows of a split (``max_rows``); None for all."""
        if isinstance(self.max_rows, int):
            return self.max_rows if split == "train" else None
        return next((limit for name, limit in (self.max_rows or {}).items() if name == split), None)

    def is_share(self, split: str) -> bool:
        """Tells whether the rows of a split are to be taken out of train: for a fraction and ``auto``."""
        return isinstance(value := getattr(self, split), float) or value == AUTO

    def file(self, split: str) -> str | None:
        """Returns the file, folder or hub name of a split; None for a fraction, ``auto`` and null."""
        return source if isinstance(source := getattr(self, split), str) and source != AUTO else None


class AdapterSection(Section):
    """Parameter-efficient fine-tuning with the installed peft. Other keys are options of the method, by peft's names."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=(), use_attribute_docstrings=True)

    method: str = Field(...)
    """Any method of the installed peft (lora, dora, ia3, prefix_tuning, ...), or a bottleneck adapter: houlsby, pfeiffer."""


class QuantisationSection(Section):
    """Options of 4-bit weights by transformers' names (BitsAndBytesConfig), in place of the name nf4."""

    bnb_4bit_quant_type: Literal["nf4", "fp4"] = "nf4"
    """Format of the weights: nf4 (for weights that are normally distributed), or fp4 (a small floating-point number)."""
    bnb_4bit_compute_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of the products; auto: bfloat16 where the machine has it in hardware, else float32."""
    bnb_4bit_use_double_quant: bool = True
    """Quantize the scales of the blocks of weights as well."""


class EarlyStoppingSection(Section):
    """Stops training when a metric no longer improves on validation."""

    metric: str | None = None
    """The metric that stops training; loss is the training loss on validation. Default: evaluate.metric; reward: log_loss."""
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
    """Early stopping on validation. Off by default."""
    n_evaluations: PositiveInt = 10
    """Evaluations on validation during training, at evenly spaced steps."""
    n_logs: PositiveInt = 100
    """Log entries during training, at evenly spaced steps."""
    save_strategy: Literal["best", "all", "none"] = "best"
    """Models that a finished run keeps: that of the best evaluation; also those of all evaluations; or none, just the results."""
    save_total_limit: PositiveInt | None = None
    """With save_strategy: all, the largest number of evaluations whose models are kept: the best and the newest. Default: all."""
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
    """The primary metric: leads the verdict and, unless others are named, selects the checkpoint and stops early."""
    checkpoint_metric: str | None = None
    """Selects the best checkpoint on validation; loss is the training loss there. Default: evaluate.metric; reward: log_loss."""
    positive_class: str | int | None = None
    """The class that f1 and accuracy_f1 count as positive. Default: 1, yes, true, or X beside not_X; needed for other names."""
    function: str | None = None
    """file.py:name, a function of labels, predictions, ..., or of ranked documents, for metrics. See how-to/own-metrics."""
    function_range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    """Lowest and highest value of the function, if it has them, such as [0, 1]: its intervals then stay inside."""
    lower_is_better: list[str] = []
    """Names of the function's metrics, or of evaluators' values, of which lower is better."""
    evaluators: list[str] = []
    """Embeddings: evaluators of sentence-transformers by class name, such as TripletEvaluator, computed before and after."""
    tune_threshold: bool = True
    """Binary and multi-label: tune the decision threshold on validation, if the metric depends on it."""
    retrieval: str | None = None
    """Embeddings: a folder in the BEIR layout, for retrieval evaluation before and after training."""
    corpus: str = "all"
    """Embeddings: texts that pairs are searched among: all (of every split), split (of the evaluated one), or a file of more."""
    answers: AnswersSection = AnswersSection()
    """Language models: generation of answers for evaluation."""
    stride: PositiveInt | None = None
    """Language models: stride in tokens of the sliding window for perplexity. Default: the window size (no overlap)."""
    context_lengths: list[PositiveInt] = []
    """Language models: also compute perplexity with these context lengths."""
    general: str | None = None
    """Language models: a file of plain texts that measures forgetting. Default: texts that come with tunesmith."""
    baselines: (
        list[Literal["majority", "chance", "tfidf", "frozen", "untuned", "bm25", "few_shot", "length", "bag_of_words"]] | None
    ) = None
    """Default: those of the task: majority, chance, tfidf, frozen, untuned; preference: untuned, length; ..."""
    n_resamples: PositiveInt = 10_000
    """Bootstrap resamples of every confidence interval."""


class DiagnoseSection(Section):
    """Settings of `tunesmith diagnose`."""

    method: Literal["frozen", "finetune"] = "frozen"
    """frozen: linear models on words and on embeddings of the base model (seconds). finetune: also fine-tune it once per fold."""
    n_folds: int | None = Field(default=None, ge=2)
    """Cross-validation folds; near-duplicates and groups stay in one fold. Default: 10 below 2,000 rows, otherwise 5."""
    null_model: Literal["prior", "trained"] = "prior"
    """Null model of PVI: the class frequencies, or a model trained without the text, in the same folds (finetune: fine-tuned)."""
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
    """classification, regression, embedding, sft (answers), pretraining (texts), preference, reward (pairs), ppo or grpo."""
    model: ModelSection = ModelSection()
    """The base model."""
    data: DataSection = Field(...)
    """The training, validation and test rows."""
    adapter: AdapterSection | None = None
    """Parameter-efficient fine-tuning. Default: full fine-tuning."""
    quantisation: Literal["nf4", "fp4", "int8"] | QuantisationSection | None = None
    """Quantize the frozen base model to 4 or 8 bits with bitsandbytes: nf4, fp4, int8, or keys. Needs an adapter."""
    embedding: EmbeddingSection = EmbeddingSection()
    """Training of sentence embedding models and rerankers."""
    sft: SftSection = SftSection()
    """Supervised fine-tuning of a language model."""
    preference: PreferenceSection = PreferenceSection()
    """Learning from preferences: better and worse answers."""
    pretraining: PretrainingSection = PretrainingSection()
    """Continued pretraining on plain texts."""
    reward: RewardSection = RewardSection()
    """Training of a reward model."""
    ppo: PpoSection = PpoSection()
    """Proximal policy optimisation."""
    grpo: GrpoSection = GrpoSection()
    """Group relative policy optimisation, and REINFORCE leave-one-out."""
    rewards: RewardsSection = RewardsSection()
    """Rewards of generated answers."""
    rounds: RoundsSection | None = None
    """Rounds of preference learning: `tunesmith rounds` instead of `tunesmith train`."""
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
