"""Every alarm that the documentation promises goes off in a whole run of every task, where its cause is planted.

Three runs of each task plant all causes: ``stuck`` starts from a model with a wrong head and does not move; ``short`` ends in its
warm-up, with rows cut to a few tokens, an evaluation that is not finite, and a certificate that fails; ``far`` memorises its rows
what is wrong for validation and for general texts.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.contract import toy_task
from tests.contract.cases import (
    ALL,
    BAD,
    CASES,
    GOOD,
    N_ROWS,
    PAIRS,
    PREFERENCES,
    PREFERRED,
    TEXTS,
    THINGS,
    Case,
    Row,
    write_rows,
)
from tests.contract.conftest import Runs
from tests.language_models import questions
from tunesmith.diagnosis import after_training
from tunesmith.recipe.metric_names import higher_is_better
from tunesmith.recipe.tasks import TASKS
from tunesmith.results import Alarm, Certificate
from tunesmith.tasks import evaluate, save
from tunesmith.training.guarded import GuardedTrainer

ROOT = Path(__file__).resolve().parents[2]
SEQ2SEQ = frozenset(case.name for case in CASES if case.name.startswith("seq2seq"))
"""Encoder-decoders, whose runs have the records of other language models: causes that need a model of their own are left out."""
EVERY = frozenset(case.name for case in CASES) - SEQ2SEQ
POLICIES = frozenset({"ppo", "grpo"})
CAUSAL, MASKED = "causal pretraining", "masked pretraining"
PRETRAINING = frozenset({CAUSAL, MASKED})
# Alarm -> the cases it is promised for. The others have no loss of known size (embedding); no classes (regression, embedding,
# pretraining, and sft whose answers are not from a list); a loss as metric, which has no ceiling (sft, pretraining); no
# commonest answer (embedding, sft, pretraining); or texts that are divided into windows, so that nothing is lost (pretraining).
# Preference runs start as their reference, which is checked before the training. A policy (ppo, grpo) makes its own training
# rows, so that its loss does not fall.
PROMISED: Mapping[str, frozenset[str]] = {
    "not finite": EVERY | SEQ2SEQ,
    "first loss abnormal": EVERY - {"embedding", "preference", *POLICIES},
    "one class": frozenset({"classification", "reranker", "sft", "toy"}),
    "not above majority": frozenset({"classification", "regression", "reranker", "toy"}),
    "not above chance": frozenset({"classification", "reranker"}),
    "at the ceiling": frozenset({"classification", "regression", "embedding", "reranker", "preference", "toy"}),
    "loss not lower": EVERY - POLICIES,
    "validation far from training": EVERY - POLICIES,
    "learning rate not reached": EVERY | SEQ2SEQ,
    "most rows truncated": (EVERY - PRETRAINING) | {"seq2seq sft"},
    "forgets general text": frozenset({"sft", *PRETRAINING}),
    "collapsed embeddings": frozenset({"embedding"}),
    "certificate failed": EVERY | SEQ2SEQ,
    "still improving at the end": EVERY,
    "empty answers": frozenset({"sft", "preference", *POLICIES}),
    "repetitive answers": frozenset({"sft", "preference", *POLICIES}),
    "constant rewards": POLICIES,
    "answers are cut": POLICIES,
    "KL beyond the budget": POLICIES,
    "value not learning": frozenset({"ppo"}),
    "groups without variance": frozenset({"grpo"}),
    "over-optimised": POLICIES,
    "both answers less likely": frozenset({"preference"}),
    "margin saturated": frozenset({"preference"}),
    "loss far below zero": frozenset({"preference"}),
    "answer length drifted": frozenset({"preference"}),
    "not above length": frozenset({"preference", "reward"}),
    "not above words": frozenset({"reward"}),
    "pairs equal after cut": frozenset({"reward"}),
}
STUCK = (
    "first loss abnormal", "one class", "not above majority", "not above chance", "loss not lower", "collapsed embeddings",
    "not above length", "not above words",
)  # fmt: skip
CUT = ("pairs equal after cut",)
SHORT = ("learning rate not reached", "most rows truncated", "not finite", "certificate failed")
RISING = ("still improving at the end",)
MUTE, LOOPING = ("empty answers",), ("repetitive answers",)
HACKED = ("answers are cut", "KL beyond the budget", "over-optimised")
AIMLESS = ("constant rewards", "value not learning")
EQUAL = ("groups without variance",)
SOLVED = ("at the ceiling",)
DRIVEN, SHORTENED = ("both answers less likely", "margin saturated"), ("answer length drifted",)
BOTTOMLESS = ("loss far below zero",)
FAR = ("validation far from training", "forgets general text")
LABELS = ["Ann", "Ben", "Cem"]
STILL = {"learning_rate": 1e-12, "max_steps": 4, "n_evaluations": 1, "n_logs": 4}


@pytest.fixture(autouse=True)
def no_diagnosis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the checks of training rows, which no alarm reads."""
    monkeypatch.setattr(after_training, "findings_after_training", lambda data, *_: data.findings)


def planted_in(alarm: str) -> str:
    """The run that plants the cause of an alarm."""
    planted = {"stuck": STUCK, "short": SHORT, "far": FAR, "rising": RISING, "mute": MUTE, "looping": LOOPING, "solved": SOLVED}
    planted["cut"] = CUT
    planted |= {"hacked": HACKED, "aimless": AIMLESS, "equal": EQUAL}
    planted |= {"driven": DRIVEN, "shortened": SHORTENED, "bottomless": BOTTOMLESS}
    return next(name for name, alarms in planted.items() if alarm in alarms)


@pytest.mark.parametrize(("alarm", "case"), [(a, c) for a, names in PROMISED.items() for c in CASES if c.name in names], ids=str)
def test_the_alarm_goes_off_where_its_cause_is_planted(
    runs: Runs, alarm: str, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = planted_in(alarm)
    found: tuple[Alarm, ...] = RUNS[name](runs, case, monkeypatch)
    assert alarm in [one.name for one in found]
    assert all(one.message and one.remedy for one in found)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_other_alarm_goes_off_in_a_short_run(runs: Runs, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {alarm.name for alarm in short(runs, case, monkeypatch)}
    assert (
        found & {"first loss abnormal", "validation far from training", "forgets general text", "collapsed embeddings"} == set()
    )


def test_the_documentation_promises_these_alarms_to_these_tasks() -> None:
    toy = {toy_task.NAME}
    page = (ROOT / "docs" / "explanation" / "alarms.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")][1:]
    documented = {
        name: TASKS.keys() - toy if tasks == "all" else set(re.findall(r"[a-z]+(?=,|$| \()", tasks)) for name, _, tasks in rows
    }
    assert documented == {alarm: {case.task for case in CASES if case.name in names} - toy for alarm, names in PROMISED.items()}


def test_every_alarm_in_the_source_is_promised_to_some_task() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    assert set(re.findall(r"\bAlarm\(\s*\"([^\"]+)\"", source)) == PROMISED.keys()


def stuck(runs: Runs, case: Case, monkeypatch: pytest.MonkeyPatch) -> tuple[Alarm, ...]:
    """A run from a model whose head is wrong, at a learning rate of nothing."""
    train: dict[str, Any] = dict(STILL)
    if case.name == "toy":
        honest = toy_task.counted_words
        monkeypatch.setattr(toy_task, "counted_words", lambda *sizes: scaled(honest(*sizes), "weights", [0.0, 20.0]))
    if case.name == MASKED:  # its loss depends on what is masked, so it is driven up
        train["learning_rate"] = 1.0
    changes: dict[str, Any] = {"train": train, "evaluate": {"baselines": baselines(case)}}
    if case.name in WRONG_HEADS:
        changes["model"] = {"name": str(WRONG_HEADS[case.name](runs, case))}
    if case.name == "regression":  # the rank correlation of a wrong head has any sign
        changes["evaluate"]["metric"] = "rmse"
    if case.name == "reranker":
        changes["data"] = {"validation": 0.5}
    if case.name == "sft":
        changes["sft"] = {"labels": LABELS}
    return runs.run(case, "stuck", **changes).result.alarms


def baselines(case: Case) -> list[str]:
    if case.name in ("preference", "reward"):
        return ["length", "bag_of_words"][: 2 if case.name == "reward" else 1]
    return [name for name in ("majority", "chance") if case.name in PROMISED[f"not above {name}"]]


def scaled(model: Any, name: str, values: float | list[float]) -> Any:
    """The model with a parameter multiplied by a number, or filled with numbers along its last axis."""
    with torch.no_grad():
        parameter = model.get_parameter(name)
        if isinstance(values, list):
            parameter.copy_(torch.tensor(values).expand_as(parameter))
        else:
            parameter.mul_(values)
    return model


def classifier(runs: Runs, case: Case) -> Path:
    """The tiny model with a head that always gives the last class, or a number that is far away."""
    from transformers import AutoModelForSequenceClassification

    n = 1 if case.name in ("regression", "reward") else 2
    model = AutoModelForSequenceClassification.from_pretrained(runs.models["bert"], num_labels=n)
    if case.name == "reward":
        return saved(runs, case, scaled(model, "classifier.weight", 1e6))
    return saved(runs, case, scaled(model, "classifier.bias", [5.0] if n == 1 else [-50.0, 50.0]))


def collapsed(runs: Runs, case: Case) -> Path:
    """The tiny model without a word embedding: all texts of a length are one."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(runs.models["bert"])
    for name in ("word_embeddings", "position_embeddings"):
        scaled(model, f"embeddings.{name}.weight", 0.0)
    return saved(runs, case, model)


def language_model(runs: Runs, case: Case) -> Path:
    """The tiny language model with an output layer that is sure of anything."""
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    if case.name == MASKED:
        model = AutoModelForMaskedLM.from_pretrained(runs.models["masked"])
        return saved(runs, case, scaled(model, "cls.predictions.transform.LayerNorm.weight", 100.0))
    model = scaled(AutoModelForCausalLM.from_pretrained(runs.models["llama"]), "lm_head.weight", 200.0)
    if case.name == "sft":
        always_ann(model, runs.models["llama"], case.rows[0]["prompt"])
    return saved(runs, case, model)


def always_ann(model: Any, folder: Path, prompt: str) -> None:
    """Makes the first label the likeliest after a prompt, and so after those like it."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        state = model.model(**tokenizer(prompt, return_tensors="pt")).last_hidden_state[0, -1]
        for label, sign in zip(LABELS, (1, -1, -1), strict=True):
            model.lm_head.weight[tokenizer.convert_tokens_to_ids(f" {label}")] = sign * state


def saved(runs: Runs, case: Case, model: Any) -> Path:
    from transformers import AutoTokenizer

    folder = runs.folder(case, "wrong")
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(runs.models[case.model]).save_pretrained(folder)
    return folder


WRONG_HEADS: Mapping[str, Callable[[Runs, Case], Path]] = {
    "classification": classifier,
    "regression": classifier,
    "embedding": collapsed,
    "reranker": classifier,
    "reward": classifier,
    "sft": language_model,
    CAUSAL: language_model,
    MASKED: language_model,
}


def short(runs: Runs, case: Case, monkeypatch: pytest.MonkeyPatch) -> tuple[Alarm, ...]:
    """A run of four steps in a warm-up of a thousand, on rows of six tokens."""
    honest = GuardedTrainer.evaluate
    seen = []

    def evaluate(trainer: Any, *arguments: Any, **named: Any) -> Any:
        measure = trainer.evaluate_fn
        if not seen:
            trainer.evaluate_fn = lambda model: {**measure(model), "loss": math.nan}
        seen.append(1)
        try:
            return honest(trainer, *arguments, **named)
        finally:
            trainer.evaluate_fn = measure

    monkeypatch.setattr(GuardedTrainer, "evaluate", evaluate)
    failed = Certificate("a row alone equals the row in a padded batch", False, 1.0, 1e-6, "planted")
    monkeypatch.setattr(save, "batch_invariance", lambda *_: failed)
    changes: dict[str, Any] = {"data": {"max_length": 6}}
    if case.task in ("sft", "preference"):
        changes = {"data": {"max_length": 14}, case.task: {"long_rows": "truncate"}}
    if case.name in POLICIES:  # six tokens are those of the answer, and the shortest prompts have eighteen
        case = replace(case, rows=sorted(case.rows, key=lambda row: len(row["prompt"].split()))[4:])
        changes = {"data": {"max_length": 6 + 18}}
    train = {"max_steps": 4, "n_evaluations": 2, "n_logs": 4, "warmup_steps": 1000}
    return runs.run(case, "short", train=train, evaluate={"baselines": []}, **changes).result.alarms


def far(runs: Runs, case: Case, monkeypatch: pytest.MonkeyPatch) -> tuple[Alarm, ...]:
    """A run that memorises its rows; validation and general texts have other answers."""
    rows, other = FAR_ROWS.get(case.name, lambda: (case.rows, case.other))()
    train: dict[str, Any] = {"max_steps": FAR_STEPS.get(case.name, 32), "n_evaluations": 4, "n_logs": 4}
    is_language = case.name in PROMISED["forgets general text"]
    changes: dict[str, Any] = {"evaluate": {"baselines": ["untuned"] if is_language else []}, "train": train}
    if is_language:
        train["learning_rate"] = 0.02
        words = ["no", "?", ".", "was", "Cem", "yes", "not", "why", "who", "him"]
        strange = [{"text": " ".join(random.Random(i).choices(words, k=9))} for i in range(12)]
        changes["evaluate"]["general"] = write_rows(runs.folder(case, "far") / "strange", strange)
    return runs.run(replace(case, rows=rows, other=other), "far", **changes).result.alarms


def flipped() -> tuple[list[Row], list[Row]]:
    rows = [{"text": text, "label": label} for text, label, _ in ALL]
    other = [{**row, "label": "neg" if row["label"] == "pos" else "pos"} for row in rows[N_ROWS:]]
    return rows[:N_ROWS], other


def reversed_scores() -> tuple[list[Row], list[Row]]:
    rows = [{"text": text, "score": score} for text, _, score in ALL]
    return rows[:N_ROWS], [{**row, "score": f"{1 - float(row['score']):g}"} for row in rows[N_ROWS:]]


def mixed_pairs() -> tuple[list[Row], list[Row]]:
    """Validation pairs of a text with the words of another."""
    other = PAIRS[N_ROWS:]
    return list(PAIRS[:N_ROWS]), [{**row, "positive": other[i - 7]["positive"]} for i, row in enumerate(other)]


def ranks_of_nothing() -> tuple[list[Row], list[Row]]:
    """Each query has words of its own, so that its pairs carry no information about those of another."""
    rows = []
    for i in range(N_ROWS):
        good, bad = (GOOD, BAD) if i * 7 % 16 < 8 else (BAD, GOOD)
        thing, other = THINGS[i % 4], THINGS[i // 4]
        texts = {"anchor": f"they was the {other} {thing}", "positive": f"{good[i % 4]} and {good[i // 4]} {thing} it"}
        rows.append({**texts, "negative": f"{bad[i % 4]} and {bad[i // 4]} {thing} it"})
    return rows, rows


def turned_pairs() -> tuple[list[Row], list[Row]]:
    """Validation pairs in which the worse answer is chosen."""
    rows = PREFERENCES[N_ROWS:]
    return list(PREFERENCES[:N_ROWS]), [{**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in rows]


def other_answers() -> tuple[list[Row], list[Row]]:
    """One answer to everything; validation has another to the same questions."""
    rows = questions(N_ROWS)
    return [{**row, "completion": " Ann"} for row in rows], [{**row, "completion": " red"} for row in rows]


def backwards() -> tuple[list[Row], list[Row]]:
    rows = TEXTS[N_ROWS:]
    return list(TEXTS[:N_ROWS]), [{"text": " ".join(reversed(row["text"].split()))} for row in rows]


def turned_round() -> tuple[list[Row], list[Row]]:
    """Validation prefers the other answer."""
    other = [{**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in PREFERRED[:N_ROWS]]
    return list(PREFERRED[:N_ROWS]), other


FAR_ROWS: Mapping[str, Callable[[], tuple[list[Row], list[Row]]]] = {
    "classification": flipped,
    "regression": reversed_scores,
    "embedding": mixed_pairs,
    "reranker": ranks_of_nothing,
    "reward": turned_pairs,
    "sft": other_answers,
    "preference": turned_round,
    CAUSAL: backwards,
    MASKED: backwards,
    "toy": flipped,
}
FAR_STEPS = {"reranker": 64, "sft": 24, CAUSAL: 24, MASKED: 40}


def rising(runs: Runs, case: Case, monkeypatch: pytest.MonkeyPatch) -> tuple[Alarm, ...]:
    """A run whose selection metric improves at every evaluation."""
    honest, values = GuardedTrainer.evaluate, iter(range(100))

    def evaluate(trainer: Any, *arguments: Any, **named: Any) -> Any:
        measure, place = trainer.evaluate_fn, next(values)
        trainer.evaluate_fn = lambda model: {name: better(name, place) for name in measure(model)}
        try:
            return honest(trainer, *arguments, **named)
        finally:
            trainer.evaluate_fn = measure

    monkeypatch.setattr(GuardedTrainer, "evaluate", evaluate)
    train = {"max_steps": 4, "n_evaluations": 4, "n_logs": 4}
    return runs.run(case, "rising", train=train, evaluate={"baselines": []}).result.alarms


def better(name: str, place: int) -> float:
    return 0.1 * (place + 1) if higher_is_better(name) else 1.0 - 0.1 * place


def solved(runs: Runs, case: Case, monkeypatch: pytest.MonkeyPatch) -> tuple[Alarm, ...]:
    """A run on a test that the model and every baseline solve."""
    monkeypatch.setattr(evaluate, "defined_value", lambda *_: 1.0)
    train = {"max_steps": 4, "n_evaluations": 1, "n_logs": 4}
    names = ["untuned"] if case.name in ("embedding", "preference") else ["majority"]
    return runs.run(case, "solved", train=train, evaluate={"baselines": names}).result.alarms


def cut(runs: Runs, case: Case, _monkeypatch: pytest.MonkeyPatch) -> tuple[Alarm, ...]:
    """A run whose answers are cut on the right, so that long prompts leave nothing of them."""
    changes: dict[str, Any] = {"data": {"max_length": 8}, "reward": {"truncation_side": "right"}}
    train = {"max_steps": 4, "n_evaluations": 1, "n_logs": 4}
    return runs.run(case, "cut", train=train, evaluate={"baselines": []}, **changes).result.alarms


def mute(runs: Runs, case: Case, _monkeypatch: pytest.MonkeyPatch) -> tuple[Alarm, ...]:
    """A run of a model that always generates padding, or of a policy that is rewarded for short answers."""
    if case.name in POLICIES:
        return rewarded(runs, case, "mute", "short")
    return answering(runs, case, "mute", "<pad>")


def looping(runs: Runs, case: Case, _monkeypatch: pytest.MonkeyPatch) -> tuple[Alarm, ...]:
    """A run of a model that always generates the same word, or of a policy that is rewarded for one."""
    if case.name in POLICIES:
        return rewarded(runs, case, "looping", "red")
    return answering(runs, case, "looping", " red")


FREE: Mapping[str, dict[str, Any]] = {"ppo": {"kl_coef": 0.0}, "grpo": {"beta": 0.0, "num_iterations": 1}}
"""Policy -> no penalty."""
ONE_PASS: Mapping[str, dict[str, Any]] = {"ppo": {"num_ppo_epochs": 1, "vf_coef": 0.0}, "grpo": {"num_iterations": 1}}


def rewarded(runs: Runs, case: Case, name: str, function: str) -> tuple[Alarm, ...]:
    """A run of a policy with this reward and no penalty; the alarm is about its last model."""
    rewards = {"reward_funcs": [f"{runs.folder(case, name) / 'rewards.py'}:{function}"]}
    train = {"max_steps": 60, "n_evaluations": 1, "n_logs": 4}
    return runs.run(case, name, rewards=rewards, train=train, **{case.name: {**FREE[case.name], "best_of_n": 0}}).result.alarms


def hacked(runs: Runs, case: Case, _monkeypatch: pytest.MonkeyPatch) -> tuple[Alarm, ...]:
    """A run of a policy whose reward counts a word, while its gold reward falls with every further one."""
    file = runs.folder(case, "hacked") / "rewards.py"
    rewards = {"reward_funcs": [f"{file}:red"], "gold": f"{file}:without_red"}
    train = {"max_steps": 90, "learning_rate": 5e-3, "n_evaluations": 16, "n_logs": 8}
    own = {"kl_budget": 0.5, **FREE[case.name]}
    return runs.run(case, "hacked", rewards=rewards, train=train, **{case.name: own}).result.alarms


def aimless(runs: Runs, case: Case, _monkeypatch: pytest.MonkeyPatch) -> tuple[Alarm, ...]:
    """A run of a policy whose reward is always the same, with a value that is not trained."""
    rewards = {"reward_funcs": [f"{runs.folder(case, 'aimless') / 'rewards.py'}:constant"]}
    train = {"max_steps": 12, "n_evaluations": 1, "n_logs": 12, "learning_rate": 1e-12}
    return runs.run(case, "aimless", rewards=rewards, train=train, **{case.name: ONE_PASS[case.name]}).result.alarms


def equal(runs: Runs, case: Case, _monkeypatch: pytest.MonkeyPatch) -> tuple[Alarm, ...]:
    """A run of a policy whose reward depends on the prompt alone."""
    rewards = {"reward_funcs": [f"{runs.folder(case, 'equal') / 'rewards.py'}:of_prompt"]}
    train = {"max_steps": 4, "n_evaluations": 1, "n_logs": 4, "learning_rate": 1e-12}
    return runs.run(case, "equal", rewards=rewards, train=train).result.alarms


def answering(runs: Runs, case: Case, name: str, token: str) -> tuple[Alarm, ...]:
    """A run at a learning rate of nothing from a model whose likeliest next token is always this one."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(runs.models["llama"])
    scaled(model, "lm_head.weight", 0.0)
    scaled(model, "model.embed_tokens.weight", [1.0])
    with torch.no_grad():
        model.lm_head.weight[AutoTokenizer.from_pretrained(runs.models["llama"]).convert_tokens_to_ids(token)] = 1.0
    folder = saved(runs, case, model)
    answers = {"rows": 8, "max_new_tokens": 6}
    changes: dict[str, Any] = {"model": {"name": str(folder)}, "train": dict(STILL)}
    return runs.run(case, name, evaluate={"baselines": [], "answers": answers}, **changes).result.alarms


def driven(runs: Runs, case: Case, _monkeypatch: pytest.MonkeyPatch) -> tuple[Alarm, ...]:
    """A run that moves the model away from both answers."""
    return pushed(runs, case, "driven", 0.05)


def bottomless(runs: Runs, case: Case, _monkeypatch: pytest.MonkeyPatch) -> tuple[Alarm, ...]:
    """A run with a loss for data of which many pairs are reversed, on pairs of which none is."""
    found = pushed(runs, case, "bottomless", 0.02, preference={"loss_type": "robust", "label_smoothing": 0.4})
    assert "margin saturated" not in {alarm.name for alarm in found}
    return found


def shortened(runs: Runs, case: Case, _monkeypatch: pytest.MonkeyPatch) -> tuple[Alarm, ...]:
    """A run that learns short answers, where the better answers of the evaluated rows are long."""
    return pushed(runs, case, "shortened", 0.01, turned=True)


def pushed(
    runs: Runs, case: Case, name: str, learning_rate: float, *, turned: bool = False, **sections: Any
) -> tuple[Alarm, ...]:
    """A run of pairs whose shorter answer is always chosen, in the evaluated rows the longer one if they are turned."""
    longer = [{**row, "rejected": row["chosen"] + " and it was there"} for row in PREFERRED]
    other = longer[N_ROWS:]
    if turned:
        other = [{**row, "chosen": row["chosen"] + " and it was there" * 3, "rejected": row["chosen"]} for row in other]
    changes: dict[str, Any] = {
        "train": {"learning_rate": learning_rate, "n_evaluations": 1},
        "evaluate": {"answers": {"max_new_tokens": 16}},
        **sections,
    }
    return runs.run(replace(case, rows=longer[:N_ROWS], other=other), name, **changes).result.alarms


RUNS: Mapping[str, Callable[[Runs, Case, pytest.MonkeyPatch], tuple[Alarm, ...]]] = {
    "stuck": stuck,
    "short": short,
    "far": far,
    "rising": rising,
    "mute": mute,
    "looping": looping,
    "hacked": hacked,
    "aimless": aimless,
    "equal": equal,
    "solved": solved,
    "cut": cut,
    "driven": driven,
    "shortened": shortened,
    "bottomless": bottomless,
}
