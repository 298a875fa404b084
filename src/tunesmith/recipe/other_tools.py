"""Lists the names of options in other tools, with the recipe key or the sentence that says what to write instead.

Sources of the names: the fields of transformers.TrainingArguments and Seq2SeqTrainingArguments (4.x and 5.23), of TRL's
SFTConfig, ModelConfig and ScriptArguments (1.16), of SentenceTransformerTrainingArguments (6.2), the arguments of
``from_pretrained``, the example scripts run_glue.py and run_clm.py, simpletransformers, SetFit, axolotl and LLaMA-Factory.
Names of reference and reward models are also those of TRL's trainers of preferences and policies, of OpenRLHF and of verl.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


def by_name(names_of: Mapping[str, str], *, reverse: bool = False) -> Mapping[str, str]:
    """Returns name -> text, of texts with the names that lead to them; ``reverse``: of names with their text."""
    pairs = ((text, names) if reverse else (names, text) for names, text in names_of.items())
    return MappingProxyType({name: text for names, text in pairs for name in names.split()})


# Recipe key -> the names that mean it.
MORE_NAMES = by_name(
    {
        "adapter.lora_alpha": "lora_alpha",
        "adapter.lora_dropout": "lora_dropout",
        "adapter.modules_to_save": "lora_modules_to_save additional_target",
        "adapter.target_parameters": "lora_target_parameters",
        "adapter.use_rslora": "use_rslora",
        "adapter.fan_in_fan_out": "lora_fan_in_fan_out",
        "embedding.losses": "multi_dataset_loss",
        "embedding.loss_options": "distance_metric margin",
        "embedding.matryoshka_dimensions": "truncate_dim truncate_dims",
        "embedding.mix": "multi_dataset_batch_sampler",
        "embedding.prompts": "default_prompt_name",
        "evaluate.answers.max_new_tokens": "generation_max_length eval_max_new_tokens val_max_target_length max_target_length",
        "evaluate.answers.num_beams": "generation_num_beams",
        "evaluate.metric": "metric_name early_stopping_metric_minimize compute_accuracy",
        "model.rope_parameters": "rope_scaling",
        "model.new_tokens": "special_tokens new_special_tokens resize_vocab",
        "pretraining.packing": "group_texts",
        "model.name": "policy policy_model policy_model_path actor actor_model sft_model_path",
        "sft.chat_template": "template chat_template_path",
        "sft.loss_on": (
            "train_on_inputs train_on_prompt completion_only_loss assistant_only_loss mask_history roles_to_train train_on_eos"
        ),
        "sft.long_rows": "truncation_mode excess_length_strategy",
        "train.seed": "shuffle_seed",
        "train.head_init": "use_differentiable_head head_params",
        "train.save_strategy": (
            "save_steps saves_per_epoch save_every save_eval_checkpoints save_model_every_epoch save_best_model no_save "
            "best_model_dir checkpoint_steps"
        ),
        "train.train_layers": "freeze_extra_modules train_custom_parameters_only custom_layer_parameters",
    },
    reverse=True,
)

_HUB = "A model is uploaded when it is finished, with its card: hf upload ORGANISATION/NAME RUN/model"
_ONE_DEVICE = "The model is on one device, which is detected; parallel.processes trains on several, with a copy on each."
_CACHE = "Nothing is cached: each run reads and tokenises its rows."
_PADDING = "Batches are padded to their longest row; train.fast groups rows by length."
_CORES = "The tokenizer uses every core by itself; upstream.dataloader_num_workers loads batches in further processes."
_REFERENCE = (
    "No key names a reference model: it is the model as its training starts. Name the model to start from, such as a finished "
    "run, as model.name."
)
_REWARDS = "Write rewards: {reward_funcs: [RUN]}, with a finished run of task: reward, or a function: FILE.py:FUNCTION."
_BASE = "The tokenizer and the configuration are those of model.name."

# Names -> the sentence.
MORE_SENTENCES = by_name(
    {
        "max_eval_samples max_val_samples eval_max_samples": "Write data.max_rows: {validation: N}.",
        "max_predict_samples max_test_samples": "Write data.max_rows: {test: N}.",
        "samples_per_label": "Write data.max_rows; the rows are drawn at random by train.seed.",
        "device_map max_memory offload_folder offload_buffers low_cpu_mem_usage tp_plan": _ONE_DEVICE,
        "flash_attention_2 xformers_attention flash_optimum s2_attention shift_attn": (
            "Write model.attn_implementation: sdpa, eager, flash_attention_2 or flex_attention."
        ),
        "early_stopping_consider_epochs evaluate_each_epoch eval_max_steps": (
            "Evaluations are counted, not epochs: train.n_evaluations, and train.early_stopping.patience of them."
        ),
        "pretraining_tp": "Leave it out: the base model's own configuration has it; it only splits the same multiplications.",
        "use_unsloth use_unsloth_gc infer_backend": "train.fast chooses the fastest exact path for the machine.",
        "use_galore use_apollo": "Write train.optim, such as galore_adamw, with upstream.optim_target_modules.",
        "adafactor_eps adafactor_relative_step adafactor_scale_parameter adafactor_clip_threshold adafactor_decay_rate": (
            "Write train.optim: adafactor, with upstream.optim_args."
        ),
        "cosine_schedule_num_cycles polynomial_decay_schedule_lr_end polynomial_decay_schedule_power": (
            "Write upstream.lr_scheduler_kwargs: {num_cycles: 2}, by upstream's names."
        ),
        "enable_liger_kernel": "Write upstream.use_liger_kernel: true.",
        "noisy_embedding_alpha": "Write upstream.neftune_noise_alpha.",
        "activation_offloading": "Write upstream.activation_checkpointing: true, which saves memory.",
        "quantization_bit quantization_method quantization_config double_quantization bnb_4bit_quant_storage "
        "use_bnb_nested_quant": "Write quantisation: nf4, or int8.",
        "use_dora": "Write adapter: {method: dora}.",
        "pissa_init": "Write adapter: {method: pissa}.",
        "loraplus_lr_ratio head_learning_rate": "One rate holds for all trained weights: train.learning_rate.",
        "lora_task_type": "The task of the recipe decides.",
        "adapter_name_or_path create_new_adapter": "Name the finished run, or its model folder, as model.name.",
        "config config_name config_overrides config_kwargs tokenizer_name tokenizer_type model_type processor_kwargs "
        "model_kwargs model_init_kwargs subfolder variant gguf_file use_safetensors weights_only is_llama_derived_model "
        "use_fast_tokenizer do_lower_case split_special_tokens skip_special_tokens eos_token pad_token modules": _BASE,
        "ignore_mismatched_sizes": "A new head is made for the labels of the data by itself.",
        "token use_auth_token hub_token": "Secrets do not belong in a recipe: log in with hf auth login",
        "cache_folder": "Set the Hub's environment variable HF_HOME to choose the download folder.",
        "force_download local_files_only": "Set the Hub's environment variable HF_HUB_OFFLINE=1 to use only what was downloaded.",
        "output_loading_info": "New and missing weights are always listed: training.new_weights in result.json.",
        "dataset_config dataset_config_name": "Write data.train: hub:NAME:CONFIG.",
        "dataset_dir": "Write data.train: FOLDER/FILE.",
        "dataset_train_split dataset_test_split train_split_name validation_split_name test_split_name remove_splits": (
            "The splits of hub:NAME are used by their names; data.columns.split divides one table."
        ),
        "streaming dataset_streaming lazy_loading buffer_size": "Rows are read whole; data.max_rows limits how many are used.",
        "overwrite_cache no_cache use_cached_eval_features reprocess_input_data dataset_prepared_path": _CACHE,
        "pad_to_max_length pad_to_multiple_of pad_to_sequence_len sortish_sampler": _PADDING,
        "preprocessing_num_workers dataset_num_proc process_count thread_count multiprocessing_chunksize use_multiprocessing "
        "use_multiprocessing_for_evaluation": _CORES,
        "remove_columns dataset_kwargs use_hf_datasets": "data.columns names the columns that are used.",
        "text_column_delimiter": "Pairs have two columns: data.columns.text and data.columns.pair.",
        "shuffle_train_dataset shuffle_dataset shuffle_merged_datasets disable_shuffling": (
            "Training rows are shuffled in each epoch, by train.seed."
        ),
        "labels_list labels_map id2label label2id": "The labels are read from the data.",
        "regression do_regression": "Write task: regression.",
        "multi_target_strategy": "A classification is multi-label by its data: data.label_separator.",
        "sliding_window tie_value": "Longer texts are truncated at data.max_length and counted.",
        "line_by_line keep_linebreaks": "Every row of a text file is one text: task: pretraining.",
        "neat_packing eval_packing eval_sample_packing": "Write sft.packing, or pretraining.packing.",
        "predict_with_generate generation_config": "Answers are generated in evaluations by evaluate.answers.",
        "ignore_pad_token_for_loss": "Padding never counts in a loss.",
        "source_prefix": "Write the prefix into the rows; an embedding model has embedding.prompts.",
        "similarity_fn_name": "Vectors are compared by cosine.",
        "use_amp": "train.fast chooses the precision for the machine; upstream.bf16: true forces it.",
        "silent show_progress_bar evaluate_during_training_silent evaluate_during_training_verbose plot_loss": (
            "Progress is shown on a terminal only; curves and figures are in the run's report.html."
        ),
        "wandb_kwargs wandb_entity wandb_watch wandb_log_model wandb_run_id": (
            "Write train.report_to: wandb; its own environment variables (WANDB_PROJECT, WANDB_ENTITY, ...) hold."
        ),
        "hub_model_id hub_strategy hub_always_push hub_private_repo hub_revision push_to_hub push_to_hub_model_id "
        "push_to_hub_organization push_to_hub_token push_dataset_to_hub export_hub_model_id": _HUB,
        "export_dir export_size": "The finished model is in RUN/model, as transformers loads it.",
        "ref ref_model ref_models ref_model_name ref_model_name_or_path ref_model_path ref_model_id ref_model_revision "
        "ref_model_init_kwargs ref_model_kwargs ref_model_adapters ref_model_quantization_bit ref_adapter_name ref_name ref_path "
        "ref_policy ref_policy_path ref_pretrain model_ref model_ref_name policy_ref reference reference_model "
        "reference_model_name reference_model_name_or_path reference_model_path reference_model_id reference_model_revision "
        "reference_policy reference_policy_path force_use_ref_model": _REFERENCE,
        "precompute_ref_log_probs precompute_ref_batch_size": (
            "Leave it out: the reference's log-probabilities are computed with each batch, and none are kept in a file."
        ),
        "reference_free": "Losses without a reference are simpo, alphapo, cpo and orpo: preference.loss_type.",
        "reward_model reward_models reward_model_name reward_model_name_or_path reward_model_path reward_model_id "
        "reward_model_revision reward_model_adapters reward_model_quantization_bit reward_model_type reward_model_kwargs "
        "reward_pretrain reward_path reward_adapter reward_fn reward_fns reward_func reward_function reward_functions "
        "custom_reward_function remote_rm_url rm rm_path model_reward": _REWARDS,
        "value_model value_model_path critic critic_model critic_model_path critic_pretrain": (
            "Its value head reads the policy's own hidden states; with ppo.value_head: separate, those of a copy."
        ),
        "save_optimizer_and_scheduler save_only_model not_saved_args": (
            "An unfinished run keeps the whole state for --resume; the finished run keeps only models."
        ),
    }
)
