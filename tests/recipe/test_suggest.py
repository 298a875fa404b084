"""What an unknown key may have meant."""

import re

import pytest

from tunesmith.recipe.suggest import OTHER_NAMES, SENTENCES, closest, suggest, suggest_override, suggest_upstream
from tunesmith.recipe.tree import all_keys
from tunesmith.recipe.upstream_names import OWNED, RENAMED, UPSTREAM_KEYS


@pytest.mark.parametrize(
    ("key", "section", "sentence"),
    [
        ("seed", (), "Did you mean train.seed?"),
        ("early_stopping", (), "Did you mean train.early_stopping?"),
        ("label", ("data",), "Did you mean data.columns.label?"),
        ("train.seed", (), "Sections are nested in the file: write train: {seed: ...}"),
        ("adapter.r", (), "Sections are nested in the file: write adapter: {r: ...}"),
        ("epochs", ("train",), "Did you mean train.num_train_epochs?"),
        ("lr", ("train",), "Did you mean train.learning_rate?"),
        ("learning_rat", ("train",), "Did you mean train.learning_rate?"),
        ("learningRate", (), "Did you mean train.learning_rate?"),
        ("num-train-epochs", ("train",), "Did you mean train.num_train_epochs?"),
        ("Seed", ("train",), "Did you mean train.seed?"),
        ("weight_decacy", ("train",), "Did you mean train.weight_decay?"),
        ("batch_size", ("train",), "Did you mean train.per_device_train_batch_size?"),
        ("train_batch_size", (), "Did you mean train.per_device_train_batch_size?"),
        ("per_gpu_train_batch_size", (), "Did you mean train.per_device_train_batch_size?"),
        ("max_seq_length", ("train",), "Did you mean data.max_length?"),
        ("cutoff_len", (), "Did you mean data.max_length?"),
        ("sequence_len", (), "Did you mean data.max_length?"),
        ("model_name_or_path", (), "Did you mean model.name?"),
        ("base_model", (), "Did you mean model.name?"),
        ("dataset", (), "Did you mean data.train?"),
        ("evaluation_strategy", ("train",), "Did you mean train.n_evaluations?"),
        ("eval_steps", ("train",), "Did you mean train.n_evaluations?"),
        ("load_best_model_at_end", ("train",), "The best checkpoint by evaluate.checkpoint_metric is always the result."),
        ("lora_r", (), "Did you mean adapter.r?"),
        ("warmup_ratio", ("train",), "Did you mean train.warmup_steps? A value below 1 is a fraction of all steps."),
        ("fp16", ("train",), "train.fast chooses the precision for the machine; upstream.fp16: true forces it."),
        ("adam_beta1", ("train",), "It is a field of transformers.TrainingArguments: write upstream.adam_beta1."),
        ("colums", ("data",), "Did you mean data.columns?"),
        ("modle", (), "Did you mean model?"),
        ("zzz", ("evaluate",), "All keys: docs/reference/recipe.md"),
        ("zzz", ("train",), "All keys: docs/reference/recipe.md"),
        (
            "",
            (),
            "Keys of a recipe: task, model, data, adapter, quantisation, embedding, sft, preference, pretraining, reward, ppo, "
            "grpo, rewards, rounds, train, evaluate, diagnose, upstream, parallel, output.",
        ),
    ],
)
def test_suggestions(key: str, section: tuple[str, ...], sentence: str) -> None:
    assert suggest(key, section) == sentence


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("evaluation_strategy", "Write train.n_evaluations."),
        ("adam_bta1", "Did you mean adam_beta1?"),
        ("learning_rat", "Did you mean learning_rate? Write train.learning_rate."),
        ("no_cuda", "It is now upstream.use_cpu: true."),
        ("epochs", "Did you mean train.num_train_epochs?"),
        ("n_evaluations", "Did you mean train.n_evaluations?"),
        ("zzz", "It takes the fields of transformers.TrainingArguments."),
    ],
)
def test_suggestions_under_upstream(key: str, sentence: str) -> None:
    assert suggest_upstream(key) == sentence


NAMES = """
max_eval_samples: Write data.max_rows: {validation: N}.
max_predict_samples: Write data.max_rows: {test: N}.
device_map: The model is on one device, which is detected; parallel.processes trains on several, with a copy on each.
attn_implementation: Did you mean model.attn_implementation?
early_stopping_consider_epochs: Evaluations are counted, not epochs: train.n_evaluations, and train.early
pretraining_tp: Leave it out: the base model's own configuration has it; it only splits the same multiplications.
deepspeed: The weights are not divided among processes: write parallel.processes (strategy: ddp), which keeps a copy on each.
push_to_hub: A model is uploaded when it is finished, with its card: hf upload ORGANISATION/NAME RUN/model
lora_alpha: Did you mean adapter.lora_alpha?
train_on_inputs: Did you mean sft.loss_on?
"""


@pytest.mark.parametrize("line", NAMES.strip().splitlines())
def test_names_that_people_type_have_a_remedy_wherever_they_stand(line: str) -> None:
    name, remedy = line.split(": ", 1)
    for section in ((), ("train",), ("model",), ("data",)):
        assert suggest(name, section).startswith(remedy)
    assert remedy in suggest_upstream(name) or OWNED[name] == suggest_upstream(name)


REFERENCES = "ref_model reference_model ref_model_name ref_model_path reference_model_name_or_path model_ref ref_policy reference"
REWARDS = "reward_model reward_model_path reward_models reward_model_name_or_path reward_fn reward_function"
SECTIONS_OF_PREFERENCES = (
    (),
    ("model",),
    ("preference",),
    ("ppo",),
    ("grpo",),
    ("rewards",),
    ("reward",),
    ("train",),
    ("rounds",),
)


@pytest.mark.parametrize("name", REFERENCES.split())
def test_names_of_a_reference_model_say_that_it_is_the_model_at_the_start(name: str) -> None:
    answers = {suggest(name, section) for section in SECTIONS_OF_PREFERENCES} | {
        suggest_upstream(name),
        suggest_override(name, "x"),
    }
    (answer,) = answers
    assert answer.startswith("No key names a reference model: it is the model as its training starts.")
    assert "as model.name" in answer


@pytest.mark.parametrize("name", REWARDS.split())
def test_names_of_a_reward_model_lead_to_the_reward_functions(name: str) -> None:
    answers = {suggest(name, section) for section in SECTIONS_OF_PREFERENCES} | {
        suggest_upstream(name),
        suggest_override(name, "x"),
    }
    (answer,) = answers
    assert answer.startswith("Write rewards: {reward_funcs: [RUN]}")


@pytest.mark.parametrize("name", ["sync_ref_model", "ref_model_mixup_alpha", "ref_model_sync_steps"])
def test_options_of_a_moving_reference_stay_keys(name: str) -> None:
    assert suggest(name) == f"Did you mean preference.{name}?"


KEY_IN_TEXT = re.compile(
    r"\b(?:data|model|train|evaluate|embedding|sft|preference|pretraining|rewards?|ppo|grpo|rounds|parallel|upstream|diagnose)"
    r"(?:\.[a-z_0-9]+)+"
)


@pytest.mark.parametrize("text", sorted({*SENTENCES.values(), *OWNED.values(), *RENAMED.values()}))
def test_every_key_that_a_remedy_names_exists(text: str) -> None:
    keys = {".".join(path) for path in all_keys()} | {f"upstream.{name}" for name in UPSTREAM_KEYS}
    unknown = {key for key in KEY_IN_TEXT.findall(text) if key not in keys} - {"training.new_weights"}
    assert not unknown


def options_of_other_tools() -> list[str]:
    """Lists the fields of the installed tools' classes of options."""
    from dataclasses import fields

    from sentence_transformers import SentenceTransformerTrainingArguments
    from transformers import Seq2SeqTrainingArguments
    from trl import ModelConfig, ScriptArguments, SFTConfig

    classes = (SentenceTransformerTrainingArguments, Seq2SeqTrainingArguments, ModelConfig, ScriptArguments, SFTConfig)
    return sorted({field.name for options in classes for field in fields(options)})


RARE = {"ignore_bias_buffers", "router_aux_loss_coef", "router_mapping"}
"""Options without a counterpart."""


def test_every_option_of_the_installed_tools_has_a_remedy() -> None:
    without = {
        name
        for name in options_of_other_tools()
        for section in ((), ("train",), ("model",))
        if suggest(name, section).startswith(("Keys of", "All keys"))
    }
    assert without == RARE


def test_closest() -> None:
    assert closest("Tfdif", ["majority", "tfidf"]) == "Did you mean tfidf?"
    assert closest("zzz", ["majority"]) == ""
    assert closest("15", ["5", "1"]) == ""


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("learning_rate", "Recipe keys have no dashes: write train.learning_rate=3."),
        ("learning-rate", "Recipe keys have no dashes: write train.learning_rate=3."),
        ("train.learning_rate", "Recipe keys have no dashes: write train.learning_rate=3."),
        ("learing_rate", "Recipe keys have no dashes: write train.learning_rate=3."),
        ("epochs", "Recipe keys have no dashes: write train.num_train_epochs=3."),
        ("adam_beta1", "Recipe keys have no dashes: write upstream.adam_beta1=3."),
        ("metric", "Recipe keys have no dashes: write evaluate.metric=3 or train.early_stopping.metric=3."),
        ("fp16", SENTENCES["fp16"]),
        ("xyz", ""),
    ],
)
def test_an_option_that_is_a_recipe_key_is_an_override(name: str, remedy: str) -> None:
    assert suggest_override(name, "3") == remedy


def test_every_name_of_another_tool_leads_to_a_key() -> None:
    keys = {".".join(path) for path in all_keys()}
    assert {key for key in OTHER_NAMES.values() if not key.startswith("adapter.")} <= keys
    assert len(OTHER_NAMES) + len(SENTENCES) >= 60


def test_names_of_other_tools_are_not_keys() -> None:
    leaves = {path[-1] for path in all_keys()}
    assert not leaves & SENTENCES.keys()
    for name in leaves & OTHER_NAMES.keys():
        assert OTHER_NAMES[name] in suggest(name, ("model",))
    assert not OTHER_NAMES.keys() & SENTENCES.keys()
