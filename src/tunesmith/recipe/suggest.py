"""Suggests the right key for an unknown one, also for the names of other tools, which are not accepted.

Sources of the names: transformers.TrainingArguments 4.x and its example scripts, LLaMA-Factory, axolotl, simpletransformers,
Ludwig, sentence-transformers, SetFit, spaCy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType

from tunesmith.recipe.other_tools import MORE_NAMES, MORE_SENTENCES, by_name
from tunesmith.recipe.tree import all_keys, section_at
from tunesmith.recipe.upstream_names import OWNED, RENAMED, UPSTREAM_KEYS

_CLOSE = 0.72
_MANY_KEYS = 15
_NUMBER = re.compile(r"[-+]?[\d.]+")

_GROUPS: dict[str, str] = {
    "model.name": (
        "model_name model_name_or_path base_model base_model_config model_path pretrained_model_name_or_path model_id "
        "encoder checkpoint"
    ),
    "model.revision": "model_revision revision_of_model",
    "model.trust_remote_code": "trust_remote trustremotecode",
    "data.train": (
        "dataset datasets dataset_name dataset_path train_file train_data train_dataset train_path training_file "
        "data_path data_dir data_files corpora.train"
    ),
    "data.validation": (
        "val val_size val_set_size valid dev validation_file validation_split eval_file eval_data eval_dataset dev_file "
        "dev_data val_data validation_data test_size train_size split_ratio corpora.dev"
    ),
    "data.test": "test_file test_data test_dataset test_path test_datasets predict_file",
    "data.max_length": (
        "max_seq_length max_seq_len max_sequence_length cutoff_len cutoff_length sequence_len seq_len seq_length "
        "model_max_length max_source_length max_len block_size"
    ),
    "data.max_rows": "max_samples max_train_samples sample_size subsample n_rows limit",
    "data.columns": "column_mapping field_mapping input_features output_features feature_columns",
    "data.columns.text": (
        "text_column text_column_name text_field dataset_text_field sentence1_key input_column premise sentence "
        "sentence1 question"
    ),
    "data.columns.pair": "text_pair text2 text_b sentence2 sentence2_key hypothesis second_text",
    "data.columns.label": "label_column label_column_name label_field target target_column output_column labels",
    "data.columns.group": "group_column group_by groups",
    "data.columns.split": "split_column",
    "data.columns.id": "id_column row_id idx",
    "data.label_separator": "label_delimiter labels_separator multi_label_separator",
    "data.keep_null_labels": "keep_default_na na_filter na_values missing_labels null_labels keep_na",
    "adapter.method": "finetuning_type peft_type peft_method adapter_type tuner_type train_type use_peft use_lora",
    "adapter.r": "lora_r lora_rank rank",
    "adapter.lora_alpha": "alpha",
    "adapter.target_modules": "lora_target lora_target_modules lora_target_linear lora_modules",
    "train.num_train_epochs": "epochs epoch num_epochs n_epochs max_epochs train_epochs nb_epochs num_epoch",
    "train.max_steps": (
        "steps num_steps train_steps total_steps max_train_steps num_train_steps iters num_iterations iterations"
    ),
    "train.learning_rate": "lr learn_rate base_lr body_learning_rate eta initial_learning_rate max_lr learning_rate_init",
    "train.per_device_train_batch_size": (
        "batch_size train_batch_size per_gpu_train_batch_size micro_batch_size mini_batch_size bs batchsize "
        "per_device_batch_size device_batch_size"
    ),
    "train.per_device_eval_batch_size": (
        "eval_batch_size per_gpu_eval_batch_size test_batch_size val_batch_size valid_batch_size predict_batch_size"
    ),
    "train.gradient_accumulation_steps": (
        "grad_accum grad_accumulation gradient_accumulation accumulate_grad_batches accumulation_steps "
        "accumulate_gradient grad_accumulation_steps grad_accum_steps"
    ),
    "train.weight_decay": "decay l2 l2_weight wd adam_weight_decay",
    "train.lr_scheduler_type": "scheduler lr_scheduler schedule lr_schedule learning_rate_scheduler scheduler_type",
    "train.optim": "optimizer optimiser optimizer_type optimizer_class optimizer_name",
    "train.max_grad_norm": (
        "grad_clip gradient_clip gradient_clipping gradient_clip_val clip_grad_norm clip_grad gradient_clip_norm "
        "max_gradient_norm"
    ),
    "train.train_layers": (
        "freeze_layers freeze freeze_body freeze_encoder freeze_trainable_layers freeze_trainable_modules "
        "unfrozen_parameters trainable_layers trainable trainable_layer num_layers end_to_end"
    ),
    "train.class_weights": "class_weight weight weights loss_weights pos_weight",
    "train.label_smoothing_factor": "label_smoothing smoothing",
    "train.early_stopping": "use_early_stopping early_stop",
    "train.early_stopping.patience": "early_stopping_patience early_stop_patience early_stopping_steps",
    "train.early_stopping.delta": "early_stopping_threshold early_stopping_delta min_delta threshold_patience",
    "train.n_evaluations": (
        "eval_steps evaluation_steps evaluation_strategy eval_strategy evaluate_during_training "
        "evaluate_during_training_steps eval_frequency evals_per_epoch steps_between_evals val_check_interval test_freq "
        "eval_every"
    ),
    "train.n_logs": (
        "logging_steps log_steps log_every log_every_n_steps logging_strategy log_interval log_freq logging_frequency"
    ),
    "train.seed": "random_seed random_state manual_seed data_seed rng_seed",
    "train.n_seeds": "num_seeds seeds n_repeats num_runs n_trials repeats",
    "train.report_to": "use_wandb wandb wandb_project tensorboard logger loggers trackers log_with tensorboard_dir tracking",
    "train.run_name": "experiment_name wandb_run_name wandb_name exp_name run_id job_name",
    "evaluate.metric": ("metrics eval_metric validation_metric score_weights"),
    "evaluate.checkpoint_metric": "metric_for_best_model best_metric selection_metric",
    "evaluate.positive_class": "pos_label positive_label",
    "evaluate.function": "compute_metrics metric_function custom_metric",
    "evaluate.evaluators": "evaluator dev_evaluator test_evaluator",
    "train.early_stopping.metric": "early_stopping_metric monitor",
    "evaluate.tune_threshold": "threshold decision_threshold",
    "evaluate.baselines": "baseline",
    "evaluate.n_resamples": "n_bootstrap num_bootstrap bootstrap bootstrap_samples n_boot",
    "parallel.processes": (
        "num_processes nproc_per_node n_gpu n_gpus num_gpus devices world_size workers num_workers ngpus gpus"
    ),
    "parallel.strategy": "distributed distributed_type ddp accelerator backend strategy_name",
    "output": (
        "output_dir output_path output_directory out out_dir save_dir save_path run_dir run_folder log_dir model_dir results_dir"
    ),
    "task": "task_type problem_type task_name objective stage type_of_task",
}

# Name in another tool -> recipe key.
OTHER_NAMES: Mapping[str, str] = MappingProxyType({**MORE_NAMES, **by_name(_GROUPS, reverse=True)})

_SENTENCES: dict[str, str] = {
    "amp bf16 dtype precision torch_dtype": "train.fast chooses the precision for the machine; upstream.bf16: true forces it.",
    "attention attn attn_impl flash_attention flash_attn use_flash_attention use_flash_attention_2 sdp_attention": (
        "Write model.attn_implementation: sdpa, eager, flash_attention_2 or flex_attention."
    ),
    "cache_dir": "Set the Hub's environment variable HF_HOME to choose the download folder.",
    "device use_cuda": "The device is detected; upstream.use_cpu: true keeps the run off the GPU.",
    "do_eval do_predict do_train": "The command (train, evaluate, predict) decides.",
    "fp16": "train.fast chooses the precision for the machine; upstream.fp16: true forces it.",
    "gradient_checkpointing": "Write upstream.activation_checkpointing: true.",
    "greater_is_better": "The directions of metrics are known; those of a function: evaluate.lower_is_better.",
    "group_by_length group_texts_by_length": "train.fast groups rows by length.",
    "load_best_model load_best_model_at_end": "The best checkpoint by evaluate.checkpoint_metric is always the result.",
    "load_in_4bit quantization_config": "Write quantisation: nf4, or {bnb_4bit_quant_type: fp4}.",
    "load_in_8bit": "Write quantisation: int8. It has no further options; those that begin with bnb_4bit belong to 4 bits.",
    "lora": "Write adapter: {method: lora}.",
    "multi_label": "A classification is multi-label by its data: data.label_separator, or a list as data.columns.label.",
    "no_cuda": "Write upstream.use_cpu: true.",
    "num_labels": "The labels are read from the data.",
    "overwrite overwrite_output_dir": "Use: tunesmith train RECIPE --overwrite",
    "quantization": "Write quantisation: nf4, fp4 or int8.",
    "resume resume_from_checkpoint": "Use: tunesmith train RECIPE --resume",
    "sample_packing": "Language models have sft.packing and pretraining.packing; others avoid padding by train.fast.",
    "use_fast": "The tokenizer is always a fast one.",
    "warmup warmup_proportion warmup_ratio": "Did you mean train.warmup_steps? A value below 1 is a fraction of all steps.",
}

# Names without a corresponding key, or whose key needs an explanation -> the whole sentence.
SENTENCES: Mapping[str, str] = MappingProxyType({**MORE_SENTENCES, **by_name(_SENTENCES)})


def suggest(key: str, section_path: Sequence[str] = ()) -> str:
    """Suggests a key in one sentence.

    Tries in this order: a dotted key, the same key in another section, the name in other tools, the closest spelling,
    and finally the list of keys.

    Args:
        key: the unknown key as written.
        section_path: the section of the key, e.g. ``("train",)``; empty for the top level.
    """
    section, keys, name = tuple(section_path), all_keys(), _snake_case(key)
    path = (*section, *key.split("."))
    if "." in key and (path in keys or path[0] in ("upstream", "adapter")):
        return f"Sections are nested in the file: write {'.'.join(path[:-1])}: {{{path[-1]}: ...}}"
    near = _elsewhere(name, section, keys) or _other_tools(name) or _closest_key(name, section, keys)
    model = section_at(section)
    if near or model is None or (section and len(model.model_fields) > _MANY_KEYS):
        return near or "All keys: docs/reference/recipe.md"
    return f"Keys of {'.'.join(section) or 'a recipe'}: {', '.join(model.model_fields)}."


def suggest_upstream(key: str) -> str:
    """Suggests a field for a name that is not allowed under ``upstream``, in one sentence."""
    name = _snake_case(key)
    if name in RENAMED or name in OWNED:
        return RENAMED.get(name) or OWNED[name]
    near = get_close_matches(name, sorted(UPSTREAM_KEYS | OWNED.keys()), 1, _CLOSE)
    if near:
        return f"Did you mean {near[0]}? {OWNED.get(near[0], '')}".rstrip()
    outside = _elsewhere(name, ("upstream",), all_keys()) or _other_tools(name)
    return outside or "It takes the fields of transformers.TrainingArguments."


def suggest_override(name: str, value: str) -> str:
    """Suggests the override ``KEY=VALUE`` for a recipe key, or its name in another tool, written as an option; empty for none."""
    plain, keys = _snake_case(name), all_keys()
    if plain in SENTENCES:
        return SENTENCES[plain]
    paths = [".".join(path) for path in keys if plain in (".".join(path), path[-1])]
    if not paths and plain in OTHER_NAMES:
        paths = [OTHER_NAMES[plain]]
    if not paths and plain in UPSTREAM_KEYS:
        paths = [f"upstream.{plain}"]
    if not paths:
        last = get_close_matches(plain, dict.fromkeys(path[-1] for path in keys), 1, 0.8)
        paths = [".".join(path) for path in keys if [path[-1]] == last]
    paths.sort(key=lambda path: path.count("."))  # evaluate.metric before train.early_stopping.metric
    return f"Recipe keys have no dashes: write {' or '.join(f'{path}={value}' for path in paths)}." if paths else ""


TASK_OF_METHOD: Mapping[str, str] = {
    **dict.fromkeys(("dpo", "kto", "orpo", "simpo", "cpo", "ipo"), "preference"),
    **dict.fromkeys(("rm", "reward_model", "reward_modeling", "reward_modelling"), "reward"),
    "rlhf": "ppo",
    "rloo": "grpo",
}
"""Word in the place of a task -> the task that has the method of this name."""


def closest(word: str, names: Iterable[str]) -> str:
    """Returns ``Did you mean NAME?`` for the closest spelling; empty if no name is similar, and for numbers."""
    if _NUMBER.fullmatch(word.strip()):
        return ""  # 15 is no misspelled 5
    spelled = {name.lower(): name for name in names}
    near = get_close_matches(word.lower(), spelled, 1, 0.6)
    return f"Did you mean {spelled[near[0]]}?" if near else ""


def _snake_case(key: str) -> str:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key.strip().lstrip("-"))
    return snake.lower().replace("-", "_").replace(" ", "_")


def _did_you_mean(paths: Sequence[tuple[str, ...]]) -> str:
    return f"Did you mean {' or '.join('.'.join(path) for path in paths)}?"


def _elsewhere(name: str, section: tuple[str, ...], keys: list[tuple[str, ...]]) -> str:
    if (*section, name) in keys:
        return _did_you_mean([(*section, name)])
    same = [path for path in keys if path[-1] == name]
    if same:
        also = [tuple(OTHER_NAMES[name].split("."))] if name in OTHER_NAMES else []
        return _did_you_mean([*also, *same])
    if name in UPSTREAM_KEYS and section != ("upstream",) and name not in SENTENCES:
        return f"It is a field of transformers.TrainingArguments: write upstream.{name}."
    return ""


def _other_tools(name: str) -> str:
    if name in SENTENCES:
        return SENTENCES[name]
    if name in OTHER_NAMES:
        return f"Did you mean {OTHER_NAMES[name]}?"
    return RENAMED.get(name) or OWNED.get(name, "")


def _closest_key(name: str, section: tuple[str, ...], keys: list[tuple[str, ...]]) -> str:
    own = {path[-1]: path for path in keys if path[:-1] == section}
    everywhere = {path[-1]: path for path in reversed(keys)} | own
    for names in (own, everywhere):
        near = get_close_matches(name, names, 1, _CLOSE)
        if near:
            return _did_you_mean([names[near[0]]])
    near = get_close_matches(name, [*OTHER_NAMES, *SENTENCES], 1, 0.85)
    return _other_tools(near[0]) if near else ""
