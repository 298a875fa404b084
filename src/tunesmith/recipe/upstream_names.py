"""Lists names of the installed transformers as literals, so that a recipe is checked without importing it.

A test compares them with the installed version (transformers 5.23).
"""

# ruff: noqa: SIM905 - word lists read better than a quoted name on each line

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Every field of transformers.TrainingArguments.
UPSTREAM_FIELDS: frozenset[str] = frozenset(
    """
    accelerator_config activation_checkpointing activation_checkpointing_kwargs adam_beta1 adam_beta2 adam_epsilon
    auto_find_batch_size average_tokens_across_devices batch_eval_metrics bf16 bf16_full_eval data_seed dataloader_drop_last
    dataloader_in_order dataloader_multiprocessing_context dataloader_num_workers dataloader_persistent_workers
    dataloader_pin_memory dataloader_prefetch_factor ddp_backend ddp_broadcast_buffers ddp_bucket_cap_mb
    ddp_find_unused_parameters ddp_static_graph ddp_timeout debug deepspeed disable_tqdm do_eval do_predict do_train
    enable_jit_checkpoint eval_accumulation_steps eval_delay eval_do_concat_batches eval_on_start eval_steps eval_strategy
    eval_use_gather_object fp16 fp16_full_eval fsdp fsdp_config full_determinism gradient_accumulation_steps
    gradient_checkpointing gradient_checkpointing_kwargs greater_is_better hub_always_push hub_model_id hub_private_repo
    hub_revision hub_strategy hub_token ignore_data_skip include_for_metrics include_num_input_tokens_seen label_names
    label_smoothing_factor learning_rate length_column_name liger_kernel_config load_best_model_at_end local_rank log_level
    log_level_replica log_on_each_node logging_first_step logging_nan_inf_filter logging_steps logging_strategy
    lr_scheduler_kwargs lr_scheduler_type max_grad_norm max_steps metric_for_best_model neftune_noise_alpha num_train_epochs
    optim optim_args optim_target_modules output_dir parallelism_config per_device_eval_batch_size
    per_device_train_batch_size prediction_loss_only project push_to_hub remove_unused_columns report_to
    restore_callback_states_from_checkpoint resume_from_checkpoint run_name save_on_each_node save_only_model save_steps
    save_strategy save_total_limit seed skip_memory_metrics tf32 torch_compile torch_compile_backend torch_compile_mode
    torch_empty_cache_steps trackio_bucket_id trackio_space_id trackio_static_space_id train_sampling_strategy use_cache
    use_cpu use_liger_kernel warmup_steps weight_decay
    """.split()
)

# transformers.trainer_utils.SchedulerType
SCHEDULES: frozenset[str] = frozenset(
    """
    constant constant_with_warmup cosine cosine_warmup_with_min_lr cosine_with_min_lr cosine_with_restarts greedy
    inverse_sqrt linear polynomial reduce_lr_on_plateau warmup_stable_decay
    """.split()
)

# transformers.training_args.OptimizerNames
OPTIMIZERS: frozenset[str] = frozenset(
    """
    adafactor adagrad adalomo adamw_8bit adamw_anyprecision adamw_bnb_8bit adamw_torch adamw_torch_4bit adamw_torch_8bit
    adamw_torch_fused adamw_torch_npu_fused adamw_torch_xla ademamix ademamix_8bit apollo_adamw apollo_adamw_layerwise
    galore_adafactor galore_adafactor_layerwise galore_adamw galore_adamw_8bit galore_adamw_8bit_layerwise
    galore_adamw_layerwise grokadamw lion_32bit lion_8bit lomo paged_adamw_32bit paged_adamw_8bit paged_ademamix_32bit
    paged_ademamix_8bit paged_lion_32bit paged_lion_8bit rmsprop rmsprop_bnb rmsprop_bnb_32bit rmsprop_bnb_8bit
    schedule_free_adamw schedule_free_radam schedule_free_sgd sgd stable_adamw
    """.split()
)

# "eager", and the keys of transformers.modeling_utils.AttentionInterface that training can use.
ATTENTIONS: tuple[str, ...] = (
    *("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flash_attention_4", "flex_attention"),
)

_SHARED = (
    "gradient_accumulation_steps label_smoothing_factor learning_rate lr_scheduler_type max_grad_norm max_steps num_train_epochs "
    "optim per_device_eval_batch_size per_device_train_batch_size report_to run_name seed warmup_steps weight_decay"
).split()

_HUB = "hub_always_push hub_model_id hub_private_repo hub_revision hub_strategy push_to_hub".split()
_HUB_REMEDY = "It would upload checkpoints. Upload the finished model, with its card: hf upload ORGANISATION/NAME RUN/model"
_SHARDED = "deepspeed fsdp fsdp_config parallelism_config".split()
_SHARDED_REMEDY = (
    "The weights are not divided among processes: write parallel.processes (strategy: ddp), which keeps a copy on each. "
    "An adapter, quantisation or upstream.activation_checkpointing saves memory."
)
_NOT_UPSTREAMS = "eval_accumulation_steps eval_delay eval_do_concat_batches eval_use_gather_object include_for_metrics".split()

# Fields that tunesmith sets itself -> the key to use instead, or the reason that there is none.
OWNED: Mapping[str, str] = MappingProxyType(
    {name: f"Write train.{name}." for name in _SHARED}
    | dict.fromkeys(_HUB, _HUB_REMEDY)
    | dict.fromkeys(_SHARDED, _SHARDED_REMEDY)
    | dict.fromkeys(
        _NOT_UPSTREAMS, "Evaluations are tunesmith's own, and the field has no effect on them; see train.n_evaluations."
    )
    | {
        "batch_eval_metrics": "Metrics and their intervals need all predictions at once.",
        "bf16_full_eval": "It leaves the model in bf16 after the first evaluation; train.fast evaluates in bf16 by autocast.",
        "do_eval": "The command (train, evaluate, predict) decides.",
        "do_predict": "The command (train, evaluate, predict) decides.",
        "do_train": "The command (train, evaluate, predict) decides.",
        "enable_jit_checkpoint": "SIGTERM and Ctrl-C always save and stop at the next step.",
        "eval_steps": "Write train.n_evaluations, the number of evaluations.",
        "eval_strategy": "Write train.n_evaluations.",
        "fp16_full_eval": "It leaves the model in fp16 after the first evaluation.",
        "greater_is_better": "The directions of metrics are known; those of a function: evaluate.lower_is_better.",
        "hub_token": "Secrets do not belong in a recipe: it is saved with the run. Log in with: hf auth login",
        "ignore_data_skip": "A resumed run continues with the very next row.",
        "load_best_model_at_end": "The best checkpoint by evaluate.checkpoint_metric is always the result.",
        "label_names": "The loss is computed from the labels of the data.",
        "length_column_name": "The lengths are those of the tokenised rows; train.fast groups rows by length.",
        "local_rank": "The launcher sets it; write parallel.processes.",
        "logging_nan_inf_filter": "A non-finite loss always stops the run.",
        "logging_steps": "Write train.n_logs: log lines are counted, not spaced.",
        "logging_strategy": "Write train.n_logs.",
        "metric_for_best_model": "Write evaluate.checkpoint_metric, or evaluate.metric, which also leads the verdict.",
        "output_dir": "Write output.",
        "prediction_loss_only": "The metrics need the predictions.",
        "remove_unused_columns": "The trained rows hold nothing that is not used; data.columns selects the columns.",
        "restore_callback_states_from_checkpoint": "A resumed run continues with the whole state.",
        "resume_from_checkpoint": "Use: tunesmith train RECIPE --resume",
        "save_on_each_node": "A run is on one machine.",
        "save_only_model": "Checkpoints of an unfinished run are always complete, so that it can be resumed.",
        "save_steps": "Models are saved at evaluations: write train.save_strategy and train.n_evaluations.",
        "save_strategy": "Write train.save_strategy.",
        "save_total_limit": "Write train.save_total_limit.",
    }
)

# Fields with numbers that upstream uses in the middle of the training only -> the lowest value, and whether it is whole.
LOWEST: Mapping[str, tuple[int, bool]] = MappingProxyType(
    {
        "neftune_noise_alpha": (0, False),
        "torch_empty_cache_steps": (1, True),
    }
)

# Fields of transformers 4.x that were removed -> their replacement.
RENAMED: Mapping[str, str] = {
    "evaluation_strategy": "Write train.n_evaluations.",
    "fp16_backend": "It was removed in transformers 5; upstream.fp16 is enough.",
    "fp16_opt_level": "It was removed in transformers 5; upstream.fp16 is enough.",
    "group_by_length": "It is now upstream.train_sampling_strategy: group_by_length; train.fast does it by itself.",
    "half_precision_backend": "It was removed in transformers 5; upstream.bf16 or upstream.fp16 is enough.",
    "include_inputs_for_metrics": "Metrics are computed from labels and predictions.",
    "include_tokens_per_second": "It is now upstream.include_num_input_tokens_seen: all.",
    "jit_mode_eval": "It was removed in transformers 5.",
    "logging_dir": "It was removed in transformers 5: the trackers' files are in the run folder (output).",
    "no_cuda": "It is now upstream.use_cpu: true.",
    "overwrite_output_dir": "Use: tunesmith train RECIPE --overwrite",
    "past_index": "It was removed in transformers 5.",
    "per_gpu_eval_batch_size": "Write train.per_device_eval_batch_size.",
    "per_gpu_train_batch_size": "Write train.per_device_train_batch_size.",
    "save_safetensors": "Models are always saved as safetensors.",
    "tpu_num_cores": "It was removed in transformers 5.",
    "use_mps_device": "It was removed in transformers 5: the device is detected.",
    "warmup_ratio": "Write train.warmup_steps: a value below 1 is a fraction of all steps.",
}

UPSTREAM_KEYS: frozenset[str] = UPSTREAM_FIELDS - OWNED.keys()
"""The keys allowed under ``upstream``."""
