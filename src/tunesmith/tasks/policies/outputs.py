"""Writes the model, the prediction columns, the answers before and after training, and the fits of over-optimisation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tunesmith.data.chat import load as chat
from tunesmith.data.chat.rows import first_prompt
from tunesmith.data.split import spread_positions
from tunesmith.disk import write_text
from tunesmith.evaluation.outputs import Outputs
from tunesmith.evaluation.over_optimisation import LAWS, Fit, Law, before_half_is_lost, fit_law
from tunesmith.models.equivalence import equal_tokens
from tunesmith.models.language.save import save_language_model
from tunesmith.models.load import load_tokenizer
from tunesmith.models.source import ModelSource
from tunesmith.recipe.metric_names import REWARD_METRICS
from tunesmith.results import TEXT_CHARACTERS, Certificate
from tunesmith.run_folder import RunFolder
from tunesmith.tasks.language.evaluation import UNTUNED
from tunesmith.tasks.language.outputs import ANSWERS, CERTIFIED_TEXTS, SHOWN_ANSWERS
from tunesmith.tasks.policies.evaluation import GOLD, KL
from tunesmith.tasks.policies.model import PolicySession
from tunesmith.tasks.policies.training import sample_ids
from tunesmith.tasks.task import Evaluation, SavedModel
from tunesmith.training.history import evaluations
from tunesmith.training.trainers.policies import turn_of

LAW: Law = "reinforcement"


def save_model(session: PolicySession, folder: Path, _thresholds: list[float] | None) -> SavedModel:
    """Saves the policy, with its adapter merged if possible, and proves that the files give the same logits.

    What the training alone needs, such as a value head, is not saved.
    """
    sample = [ids.tolist() for ids in sample_ids(session)]
    saved = save_language_model(session.policy, session.tokenizer, folder, session.data.source, sample)
    return SavedModel((*saved.certificates, saved_tokens(session, folder)), saved.notes)


def saved_tokens(session: PolicySession, folder: Path) -> Certificate:
    """Certifies that the saved tokenizer, with its template, gives the tokens of prompts of every split."""
    tokenizer = load_tokenizer(ModelSource(str(folder), str(folder), "folder"))
    template = session.template
    if template.source != "none":
        template = replace(template, text=str(tokenizer.get_chat_template()))
    expected, saved = list[list[int]](), list[list[int]]()
    for split in session.splits.values():
        few = split.rows.take(spread_positions(len(split), CERTIFIED_TEXTS), split.rows.split)
        expected += [split.prompts[i] for i in spread_positions(len(split), CERTIFIED_TEXTS)]
        saved += replace(session.reader, tokenizer=tokenizer, template=template).prompts(few)
    return equal_tokens(expected, saved)


def prediction_columns(session: PolicySession, name: str, outputs: Outputs) -> dict[str, list[Any]]:
    """Returns the columns of predictions.parquet for one split: prompts, answers, and the scores of each."""
    rows = session.splits[name].rows
    return {
        "row_id": list(rows.row_ids),
        "split": [name] * len(rows),
        "prediction": list(outputs.texts),
        **{metric: values.astype(float).tolist() for metric, values in outputs.row_scores.items()},
        "text": [first_prompt(turns)[:TEXT_CHARACTERS] for turns in rows.turns],
    }


def save_files(evaluation: Evaluation, folder: RunFolder) -> None:
    """Writes a few answers of the main split before and after training, with their rewards."""
    session: PolicySession = evaluation.best.session
    name = list(session.evaluation_splits)[-1]
    rows, ours = session.splits[name].rows, evaluation.best.outputs[name]
    systems = {system.name: system.outputs[name] for system in evaluation.systems.systems if name in system.outputs}
    answers = [
        {
            "row_id": rows.row_ids[i],
            "prompt": first_prompt(rows.turns[i])[:TEXT_CHARACTERS],
            "this run": ours.texts[i],
            **{system: outputs.texts[i] for system, outputs in systems.items()},
        }
        for i in range(min(SHOWN_ANSWERS, len(ours.texts)))
    ]
    content = {"seen": [], "split": name, "answers": answers, "before": UNTUNED}
    write_text(folder.work / ANSWERS, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def data_record(session: PolicySession) -> dict[str, Any]:
    """Returns the data record of result.json."""
    return chat.data_record(session.data.rows) | {"problem_type": f"{session.reader.objective.name}_language_model"}


def training_record(evaluation: Evaluation) -> dict[str, Any]:
    """Returns the template, rewards by KL of the policy and of the best of n, and what gold did, for result.json."""
    session: PolicySession = evaluation.best.session
    base = evaluation.systems.base.get(list(session.evaluation_splits)[-1])
    points = rewards_by_kl(evaluation)
    return {
        "objective": session.data.section_name,
        "template": session.template.name,
        "template_source": session.template.source,
        "rewards_by_kl": points,
        "best_of_n": [] if base is None else list(base.best_of_n),
        "over_optimisation": over_optimisation(evaluation, points, None if base is None else base.best_of_n_law),
    }


def rewards_by_kl(evaluation: Evaluation) -> list[dict[str, float]]:
    """Returns step, exact KL and rewards on validation of the untuned model and of each evaluation; empty without validation."""
    base = evaluation.systems.base.get("validation")
    if base is None:
        return []
    names = [name for name in REWARD_METRICS if name in base.row_scores]
    start = {name: float(base.row_scores[name].mean()) for name in names}
    measured = [entry for entry in evaluations(evaluation.best.fit.history) if f"eval_{KL}" in entry]
    curve = [{"step": entry["step"], **{name: entry[f"eval_{name}"] for name in (KL, *names)}} for entry in measured]
    return [{"step": 0, KL: 0.0, **start}, *curve]


def over_optimisation(evaluation: Evaluation, points: Sequence[Mapping[str, float]], of_best: Fit | None) -> dict[str, Any]:
    """Returns the turn of the gold reward, and the laws fitted to its gain; empty without gold.

    The law of the policy is fitted up to the loss of half of the gain.

    Args:
        points: see ``rewards_by_kl``.
        of_best: the law of the best of n untuned answers.
    """
    if not points or GOLD not in points[0]:
        return {}
    kl, gold = [point[KL] for point in points], [point[GOLD] for point in points]
    kept, turn = before_half_is_lost(kl, gold), turn_of(evaluation.best.fit.history)
    fit = fit_law(LAW, [kl[i] for i in kept], [gold[i] - gold[0] for i in kept])
    found = None if turn is None else {"best": dict(points[turn.best + 1]), "seen": dict(points[turn.seen + 1])}
    return {"turn": found, "fit": fit_record(fit), "best_of_n_fit": fit_record(of_best)}


def fit_record(fit: Fit | None) -> dict[str, Any] | None:
    """Returns a fitted law as a JSON object with its formula."""
    return None if fit is None else {**asdict(fit), "formula": LAWS[fit.law], "d": "sqrt(KL)"}
