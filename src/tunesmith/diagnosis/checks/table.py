"""The checks of a split, in the order they are reported."""

from __future__ import annotations

from collections.abc import Callable

from tunesmith.diagnosis.checks.class_pairs import class_difficulty
from tunesmith.diagnosis.checks.conflicts import annotator_disagreement, conflicts, duplicates
from tunesmith.diagnosis.checks.dynamics import aum, cartography, forgetting
from tunesmith.diagnosis.checks.label_errors import SUSPECTS, confident_learning, loss_rank, suspect_labels
from tunesmith.diagnosis.checks.languages import language
from tunesmith.diagnosis.checks.pvi import pvi
from tunesmith.diagnosis.checks.rows import NO_LABEL, PERSONAL_DATA, encoding_damage, personal_data, unlabelled
from tunesmith.diagnosis.checks.shapley import shapley
from tunesmith.diagnosis.checks.shortcuts import shortcut_words, surface
from tunesmith.diagnosis.evidence import Diagnosis, Evidence

CHECKS: tuple[tuple[str, Callable[[Evidence], Diagnosis]], ...] = (
    (SUSPECTS, suspect_labels),
    (NO_LABEL, unlabelled),
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
    (PERSONAL_DATA, personal_data),
)
