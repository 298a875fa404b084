"""The diagnoses of a split, in the order they are reported: one line each."""

from __future__ import annotations

from collections.abc import Callable

from tunesmith.diagnosis.checks.class_pairs import class_difficulty
from tunesmith.diagnosis.checks.conflicts import annotator_disagreement, conflicts, duplicates
from tunesmith.diagnosis.checks.damage import encoding_damage
from tunesmith.diagnosis.checks.dynamics import aum, cartography, forgetting
from tunesmith.diagnosis.checks.label_errors import confident_learning, loss_rank
from tunesmith.diagnosis.checks.languages import language
from tunesmith.diagnosis.checks.privacy import personal_data
from tunesmith.diagnosis.checks.pvi import pvi
from tunesmith.diagnosis.checks.shapley import shapley
from tunesmith.diagnosis.checks.shortcuts import shortcut_words, surface
from tunesmith.diagnosis.checks.suspects import suspect_labels
from tunesmith.diagnosis.checks.unlabelled import unlabelled
from tunesmith.diagnosis.evidence import Diagnosis, Evidence

MAIN = "suspect_labels"

DIAGNOSES: tuple[tuple[str, Callable[[Evidence], Diagnosis]], ...] = (
    (MAIN, suspect_labels),
    ("unlabelled", unlabelled),
    ("conflicting_labels", conflicts),
    ("annotator_disagreement", annotator_disagreement),
    ("loss_rank", loss_rank),
    ("confident_learning", confident_learning),
    ("pvi", pvi),
    ("knn_shapley", shapley),
    ("aum", aum),
    ("forgetting", forgetting),
    ("cartography", cartography),
    ("duplicates", duplicates),
    ("class_pairs", class_difficulty),
    ("shortcut_words", shortcut_words),
    ("surface_form", surface),
    ("encoding_damage", encoding_damage),
    ("language", language),
    ("personal_data", personal_data),
)


def diagnoses_of(evidence: Evidence) -> list[Diagnosis]:
    """Every diagnosis of one split, skipped ones with their reason."""
    return [diagnosis(evidence) for _, diagnosis in DIAGNOSES]
