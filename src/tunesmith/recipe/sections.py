"""The recipe: one frozen section per concern, each option declared here and nowhere else.

The reference page, the JSON Schema and the command-line help are made from these fields.
Options that exist upstream keep upstream's name, meaning and unit.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

Share = Annotated[float, Field(gt=0.0, lt=1.0)]
NotNegative = Annotated[int, Field(ge=0)]
TaskName = Literal["classification", "regression", "embedding", "sft", "pretraining"]
ReportTo = Literal["none", "tensorboard", "wandb", "trackio"]


class Section(BaseModel):
    """A part of the recipe: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), use_attribute_docstrings=True)


class RopeSection(Section):
    """Rotary positions stretched over longer texts than the model was made for; upstream's names."""

    rope_type: Literal["yarn", "linear"] = "yarn"
    """YaRN (Peng et al. 2024), or linear interpolation of positions (Chen et al. 2023)."""
    factor: float = Field(gt=1.0)
    """How many times as many tokens."""


class ModelSection(Section):
    """The base model."""

    name: str = "builtin:minilm"
    """A hub id, a local folder, a finished run's folder, or builtin:NAME (works without a network)."""
    revision: str | None = None
    """Branch, tag or commit of a hub id."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model."""
    new_tokens: list[str] = []
    """Tokens to add to a language model's tokenizer; their vectors start at the mean of the others and are learnt."""
    rope_parameters: RopeSection | None = None
    """Let a language model with rotary positions read more tokens than it was made for: {rope_type: yarn, factor: 2}."""


class ColumnsSection(Section):
    """Which column plays which part, where the names and the content do not say it."""

    text: str | None = None
    """The text, or the first text of a pair."""
    pair: str | None = None
    """The second text of a pair."""
    label: str | list[str] | None = None
    """The label; several columns of 0 and 1 make a multi-label task."""
    id: str | None = None
    """The user's own name of a row."""
    group: str | None = None
    """Rows with the same value stay in the same split."""
    split: str | None = None
    """A column that says train, validation or test."""
    anchor: str | None = None
    """Embeddings: the text that asks (query, question, claim)."""
    positive: str | None = None
    """Embeddings: the text that belongs to it."""
    negative: str | list[str] | None = None
    """Embeddings: a text that does not, or several."""
    score: str | list[str] | None = None
    """Embeddings: how alike a pair is, or what a teacher says of the texts."""
    vector: str | None = None
    """Embeddings: the vector a teacher gives a text."""
    prompt: str | None = None
    """Language models: what is asked, as a text or as a list of messages."""
    completion: str | None = None
    """Language models: what is answered."""
    messages: str | None = None
    """Language models: whole conversations, as lists of {role, content} or {from, value}."""
    annotators: dict[str, str] | list[str] | None = None
    """{class: column} where a column counts the annotators who chose a class; a list where each holds one annotator's label."""


class DataSection(Section):
    """The rows."""

    train: str = Field(...)
    """A file (csv, tsv, json, jsonl, parquet, each also .gz), a folder, or hub:NAME."""
    validation: Share | str | None = 0.1
    """A share of the training rows (stratified, or grouped by `group`), or a file."""
    test: Share | str | None = None
    """A file, or a share of the training rows. Without one the verdict is given on validation."""
    also: list[str] = []
    """Embeddings: further training files, each with columns of its own; see embedding.mix."""
    columns: ColumnsSection = ColumnsSection()
    """Only where detection cannot know."""
    header: bool | None = None
    """Whether csv and tsv files have a header line; found out when not said."""
    encoding: str | None = None
    """Of text files; UTF-8 or a byte-order mark is found out, anything else has to be said or is guessed and reported."""
    label_separator: str | None = None
    """Splits a label cell into several labels (multi-label), for instance "|"."""
    max_length: PositiveInt | None = None
    """Longest input in tokens; longer ones are truncated and counted. The model's own limit when not said."""
    max_rows: PositiveInt | None = None
    """Use at most so many training rows (a random sample by the seed)."""


class AdapterSection(Section):
    """A parameter-efficient method of the installed peft library, with its own option names."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=(), use_attribute_docstrings=True)

    method: str = Field(...)
    """Method: any of the installed peft (lora, dora, ia3, prefix_tuning, ...), or houlsby or pfeiffer (bottlenecks)."""


class HardNegativesSection(Section):
    """Wrong answers that the base model takes for right ones, mined before training; options as upstream names them."""

    num_negatives: PositiveInt = 1
    """Negatives beside each pair; a pair with fewer is not used."""
    range_min: NotNegative = 0
    """The nearest so many texts are passed over, since some of them are right as well."""
    range_max: PositiveInt | None = None
    """Only the nearest so many are candidates. Not said: as many as the negatives and margins need."""
    absolute_margin: float | None = None
    """A candidate's similarity must stay so far below the right text's."""
    relative_margin: float | None = None
    """The same as a share of the right text's similarity: 0.05 leaves out candidates above 95 % of it."""
    max_score: float | None = None
    """Candidates above this similarity are left out."""
    min_score: float | None = None
    """Candidates below this similarity are left out."""
    sampling_strategy: Literal["top", "random"] = "top"
    """The nearest candidates, or some of them at random."""
    cross_encoder: str | None = None
    """A reranker that scores the candidates again; named like model.name."""


class EmbeddingSection(Section):
    """How sentence embeddings are learnt (task: embedding)."""

    head: Literal["vector", "cross-encoder"] = "vector"
    """vector, or cross-encoder: a reranker, which reads a question and a text together and says whether they belong together."""
    first_stage: str | None = None
    """Of a reranker: the model whose best texts are reranked, and by which negatives are mined; model.name when not said."""
    top_k: PositiveInt = 100
    """Of a reranker: how many texts of the first stage are put in order again."""
    loss: str | None = None
    """A loss of sentence-transformers for rows of this shape (see `tunesmith losses`). Not said: the shape's default."""
    loss_options: dict[str, Any] = {}
    """Options of the loss, by upstream's names."""
    mix: Literal["concatenate", "proportional", "round_robin"] = "concatenate"
    """How data.also joins data.train: as one table of one shape, or with a loss each, in batches by size or in turns."""
    losses: dict[str, str] = {}
    """File of data.also -> its loss, where it is not its shape's default."""
    matryoshka_dimensions: list[PositiveInt] = []
    """The vectors are also trained to be good when cut to these sizes, and judged at each beside the base model's."""
    adaptive_layers: bool = False
    """The first layers alone are trained to give good vectors, too."""
    pooling: Literal["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] | None = None
    """How the vectors of the tokens become one. Not said: as the base model has it, else the mean."""
    dense: PositiveInt | None = None
    """A dense layer to so many dimensions after the pooling."""
    normalize: bool | None = None
    """Whether vectors get length 1. Not said: as the base model has it; no, where pooling or dense make it another."""
    prompts: dict[Literal["query", "document"], str] = {}
    """Put before the texts that ask and before those that answer, in training and afterwards."""
    batch_sampler: Literal["batch_sampler", "no_duplicates", "no_duplicates_hashed", "group_by_label"] | None = None
    """How batches are drawn, by upstream's names. Not said: what the loss needs."""
    guide: str | None = None
    """The model that tells GISTEmbedLoss which negatives are none; named like model.name. Not said: the base model itself."""
    same: str | None = None
    """The label that says two texts mean the same, where it is none of the usual words."""
    score_range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    """The lowest and the highest score, which become 0 and 1."""
    hard_negatives: HardNegativesSection | None = None
    """Off unless given: negatives for pairs that belong together, by the base model."""
    convert: Literal["positive_pair", "triplet"] | None = None
    """The rows become pairs or triplets first: labelled texts, NLI pairs, rows with several negatives."""


class SequenceSection(Section):
    """How rows of a causal language model share sequences."""

    packing: bool | None = None
    """Several rows in one sequence, none of which sees another. Not said: on a GPU, where it saves time."""
    padding_free: bool | None = None
    """The rows of a batch in one sequence, none of which sees another, instead of padded. Not said: on a CPU, where it can."""


class SftSection(SequenceSection):
    """How a language model learns to answer (task: sft)."""

    loss_on: Literal["completion", "assistant", "all"] | None = None
    """Which tokens are learnt: of the last answer, of every answer, or all. Not said: assistant; all for plain texts."""
    chat_template: str | None = None
    """How turns become text, by name (chatml, alpaca, dialogue) or as a file; only where the tokenizer has no template."""
    long_rows: Literal["drop", "truncate", "split", "error"] | None = None
    """What becomes of rows longer than data.max_length. Not said: drop, so that no answer is cut; split for plain texts."""
    labels: list[str] = []
    """The answers are these labels: the model is used and judged as a classifier that writes one of them."""


class PretrainingSection(SequenceSection):
    """How a model goes on learning from plain texts (task: pretraining)."""

    objective: Literal["causal", "masked"] | None = None
    """Next tokens, or masked ones. Not said: as the architecture has it."""
    mlm_probability: float = Field(default=0.15, gt=0.0, lt=1.0)
    """Share of the tokens that are masked."""


class AnswersSection(Section):
    """How answers are written when a language model is judged; options of generation as upstream names them."""

    rows: NotNegative = 64
    """Rows of a split whose answers are written and compared; 0 writes none."""
    max_new_tokens: PositiveInt | None = None
    """Longest answer in tokens. Not said: a little more than the longest answer of the training rows."""
    num_beams: PositiveInt = 1
    """Beams of the search; 1 is greedy."""
    do_sample: bool = False
    """Draw tokens instead of taking the likeliest."""
    temperature: float | None = Field(default=None, gt=0.0)
    """Of the drawing."""
    top_p: float | None = Field(default=None, gt=0.0, le=1.0)
    """Of the drawing: the likeliest tokens up to this probability."""
    shots: NotNegative = 3
    """Examples in the prompt of the base model, which is compared with; 0 leaves this baseline out."""
    pattern: str | None = None
    """A regular expression whose first group is what counts of an answer: "#### (.*)"."""
    function: str | None = None
    """file.py:name, a function of (answer, reference, row) that returns a number from 0 to 1."""


class EarlyStoppingSection(Section):
    """Stop when validation no longer improves."""

    patience: PositiveInt = 3
    """Evaluations without an improvement before training stops."""
    delta: float = Field(default=0.0, ge=0.0)
    """Smallest change of the metric that counts as an improvement."""


class TrainSection(Section):
    """How the model is trained."""

    num_train_epochs: float = Field(default=3.0, gt=0.0)
    """Passes over the training rows."""
    max_steps: PositiveInt | None = None
    """Optimizer steps, in place of num_train_epochs; giving both is refused."""
    learning_rate: float | None = Field(default=None, gt=0.0)
    """Highest learning rate. When not said it follows from the size of the model and from what is trained."""
    per_device_train_batch_size: PositiveInt | None = None
    """Rows per device and forward pass. Not said: 8 for sft; 64 for small models from 4,000 rows on; else 32."""
    per_device_eval_batch_size: PositiveInt = 64
    """Rows per device in one evaluation pass."""
    gradient_accumulation_steps: PositiveInt = 1
    """Forward passes per optimizer step."""
    weight_decay: float = Field(default=0.01, ge=0.0)
    """AdamW's decoupled weight decay (not on biases and LayerNorm)."""
    dropout: float | None = Field(default=None, ge=0.0, lt=1.0)
    """Dropout of the base model while it is trained. Not said: none below 50 million weights, the model's own above."""
    warmup_steps: float = Field(default=0.06, ge=0.0)
    """Steps of linear warm-up; below 1 it is a share of all steps."""
    lr_scheduler_type: str = "linear"
    """Any schedule of the installed transformers."""
    optim: str = "adamw_torch_fused"
    """Any optimizer name of the installed transformers."""
    max_grad_norm: float = Field(default=1.0, ge=0.0)
    """Gradients are scaled down to this norm; 0 turns it off."""
    train_layers: str | list[str] = "all"
    """all; head (frozen body); "last N" (head and last N layers, frozen embeddings); or a list of parameter-name patterns."""
    class_weights: Literal["none", "balanced"] | dict[str, float] = "none"
    """Weights of the classes in the loss: balanced is n / (K * n_c)."""
    label_smoothing_factor: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the target's weight spread over all classes."""
    early_stopping: EarlyStoppingSection | None = None
    """Off unless given. It watches evaluate.metric, whose direction is known."""
    n_evaluations: PositiveInt = 10
    """Evaluations on validation during training, resolved to whole steps."""
    n_logs: PositiveInt = 100
    """Log lines during training, resolved to whole steps."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Of everything random: split, order, dropout, new weights."""
    n_seeds: PositiveInt = 1
    """Train so many times (seed, seed + 1, ...) and give intervals over rows and seeds."""
    fast: bool = True
    """The fast path: precision, attention, dropout and batch order chosen for the machine. False is the plain upstream path."""
    report_to: ReportTo | list[ReportTo] = "none"
    """Experiment trackers that get the logs besides the run folder."""
    run_name: str | None = None
    """Name of the run in the trackers; the output folder's name when not said."""

    @property
    def batch_rows(self) -> int:
        """Rows per device in one forward pass, also where nothing was said."""
        return self.per_device_train_batch_size or 32


class EvaluateSection(Section):
    """How the result is judged."""

    metric: str | None = None
    """Chooses the best checkpoint and leads the verdict; the task's own default when not said."""
    tune_threshold: bool = True
    """Binary and multi-label: choose the decision threshold on validation, where the metric depends on one."""
    retrieval: str | None = None
    """Embeddings: a folder in the BEIR layout, searched before and after."""
    answers: AnswersSection = AnswersSection()
    """Language models: the answers that are written."""
    stride: PositiveInt | None = None
    """Language models: tokens that the sliding window of perplexity moves on; the whole window when not said."""
    context_lengths: list[PositiveInt] = []
    """Language models: perplexity with windows of these sizes, too."""
    general: str | None = None
    """Language models: a file of plain texts that should not be forgotten. Not said: texts that come with tunesmith."""
    baselines: list[Literal["majority", "tfidf", "frozen", "untuned", "bm25", "few_shot"]] | None = None
    """Not said: majority, tfidf, frozen, untuned; for embeddings untuned, tfidf, bm25; for language models untuned, few_shot."""
    n_resamples: PositiveInt = 10_000
    """Bootstrap resamples behind every interval."""


class DiagnoseSection(Section):
    """How `tunesmith diagnose` looks at the rows."""

    method: Literal["frozen", "finetune"] = "frozen"
    """Judge rows by linear models on words and the untouched base model (seconds), or also fine-tune it once for each fold."""
    n_folds: int | None = Field(default=None, ge=2)
    """A row is judged by a model of the other folds; near-duplicates and groups share one. Not said: 5, below 2,000 rows 10."""
    null_model: Literal["prior", "trained"] = "prior"
    """What PVI compares with: the share of each class, or a model trained without the text, in the same folds."""
    inputs: list[str] = []
    """What parts tell: text_only (premise_only), pair_only (hypothesis_only), shuffled_words, overlap_only, or columns."""
    slices: list[str] = []
    """Columns; the mean PVI of the rows with each of their values."""
    words_of_rows: NotNegative | list[NotNegative] = 0
    """So many rows of each split with the lowest PVI, or these row ids of train, are judged without each of their words."""
    word_lists: dict[str, str | list[str]] = {}
    """Lists of words, each a list or a file with a word a line: their pinned bias, and what replacing them by hypernyms does."""


class ParallelSection(Section):
    """Several processes."""

    strategy: Literal["auto", "none", "ddp"] = "auto"
    """How the work is divided; auto is one process unless `processes` says more."""
    processes: PositiveInt = 1
    """Number of training processes."""


class Recipe(Section):
    """The whole recipe."""

    task: TaskName = "classification"
    """What is learnt: classification (one label or several), regression, embedding, sft (answers), pretraining (texts)."""
    model: ModelSection = ModelSection()
    """The base model."""
    data: DataSection = Field(...)
    """The rows."""
    adapter: AdapterSection | None = None
    """Parameter-efficient fine-tuning; the whole model is trained without it."""
    quantisation: Literal["nf4", "int8"] | None = None
    """The frozen base model in 4 or 8 bits, by bitsandbytes; needs an adapter."""
    embedding: EmbeddingSection = EmbeddingSection()
    """How sentence embeddings are learnt."""
    sft: SftSection = SftSection()
    """How a language model learns to answer."""
    pretraining: PretrainingSection = PretrainingSection()
    """How a model goes on learning from plain texts."""
    train: TrainSection = TrainSection()
    """How the model is trained."""
    evaluate: EvaluateSection = EvaluateSection()
    """How the result is judged."""
    diagnose: DiagnoseSection = DiagnoseSection()
    """How the rows are looked at."""
    upstream: dict[str, Any] = {}
    """Any other field of transformers.TrainingArguments, checked by name."""
    parallel: ParallelSection = ParallelSection()
    """Several processes."""
    output: str = "runs/run"
    """The run folder; must not exist yet."""
