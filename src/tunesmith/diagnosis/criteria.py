"""Matches similar texts of every two data sets, and explains how their label criteria differ."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import is_missing, one_line, plural
from tunesmith.data.personal import masked
from tunesmith.diagnosis.checks.criteria import MIN_UNITS, Chosen, Criteria, Figures, LabelCriterion, explain_criteria
from tunesmith.diagnosis.checks.similar_texts import Side, SimilarTexts, describe_texts, match_texts
from tunesmith.diagnosis.evidence import class_ids
from tunesmith.diagnosis.pool import Pool, public_start
from tunesmith.evaluation.baselines.frozen import Embedded
from tunesmith.report.data_sets import EVERY, CriteriaPart
from tunesmith.results import Finding

if TYPE_CHECKING:
    from tunesmith.generation.generator import TextGenerator

MOST_ROWS = 2_500
"""Rows of a data set that are matched, at random: the time grows with the cube."""
SIMILAR = 0.95
"""Quantile of the similarity of random texts of the two data sets from which a pair counts as similar."""
SAMPLED = 500
EXAMPLES, EXAMPLE_CHARACTERS = 4, 80
"""Pairs with different labels that a language model is shown, and characters of each text."""
ANSWER_TOKENS = 64
"""Room for a condition; a model of few positions is shown as many pairs as leave it."""
QUESTION = "Two groups label similar texts differently. Which condition do the differences depend on?"


@dataclass(frozen=True)
class ComparedSets:
    """Data sets whose label criteria are explained.

    Attributes:
        pool: their rows.
        vectors: embeddings of the rows of each data set.
        clusters: of the pooled rows (N), see ``row_clusters``.
        columns: whose values may be conditions.
        seed: of the rows that are matched, the halves and the swaps.
        generator: a language model that chooses one of the conditions.
    """

    pool: Pool
    vectors: Sequence[Embedded]
    clusters: Array
    columns: Sequence[str]
    seed: int
    generator: TextGenerator | None = None


def explain_all(compared: ComparedSets) -> Iterator[tuple[Criteria | None, tuple[str, str]]]:
    """Explains every two data sets; yields None beside their names where they have too few similar texts."""
    names = compared.pool.names
    for i, j in itertools.combinations(range(len(names)), 2):
        yield explain_two(compared, (i, j)), (names[i], names[j])


def explain_two(compared: ComparedSets, sets: tuple[int, int]) -> Criteria | None:
    """Explains two of the data sets, by their numbers; None where they have too few similar texts."""
    pool, draw = compared.pool, np.random.default_rng(compared.seed)
    chosen = [np.sort(draw.permutation(pool.sizes[i])[:MOST_ROWS]) for i in sets]
    units = unit_vectors(*(whole(compared.vectors[i])[rows] for i, rows in zip(sets, chosen, strict=True)))
    sample = [part[draw.permutation(len(part))[:SAMPLED]] for part in units]
    positions = match_texts(*units, floor=float(np.quantile(sample[0] @ sample[1].T, SIMILAR)))
    matched = [rows[at] for rows, at in zip(chosen, positions, strict=True)]
    if len(matched[0]) < MIN_UNITS:
        return None
    parts = [pool.sets[i].take(rows.tolist(), "all") for i, rows in zip(sets, matched, strict=True)]
    texts = [[f"{text} {pair}" for text, pair in zip(part.texts, part.pairs or [""] * len(part), strict=True)] for part in parts]
    cells = {name: (cell_words(parts[0].others[name]), cell_words(parts[1].others[name])) for name in compared.columns}
    first, second, conditions = describe_texts(texts[0], texts[1], cells)
    pairs = SimilarTexts(Side(class_ids(parts[0]), first), Side(class_ids(parts[1]), second), conditions)
    own = [compared.clusters[pool.slices()[i]][rows] for i, rows in zip(sets, matched, strict=True)]
    names = pool.names[sets[0]], pool.names[sets[1]]
    choose = None
    if compared.generator is not None:
        choose = partial(choose_by_model, compared.generator, Differences(names, pool.labels.names, pairs, texts))
    return explain_criteria(names, pairs, pool.labels.names, linked_pairs(*own), compared.seed, choose)


@dataclass(frozen=True)
class Differences:
    """What a language model is shown of two data sets.

    Attributes:
        names: of the data sets; ``labels``: of the classes.
        texts: of the pairs, of each data set.
    """

    names: tuple[str, str]
    labels: Sequence[str]
    pairs: SimilarTexts
    texts: Sequence[Sequence[str]]

    def examples(self, fitted: Array) -> list[str]:
        """Returns two lines for some of the fitted pairs whose labels differ, without pairs that hold personal data."""
        first, second = self.pairs.first.given, self.pairs.second.given
        different = fitted[first[fitted] != second[fitted]]
        public = [i for i in different.tolist() if all(public_start(side[i]) for side in self.texts)][:EXAMPLES]
        return [
            f"{name}: {one_line(side[i])[:EXAMPLE_CHARACTERS]} -> {self.labels[int(given[i])]}"
            for i in public
            for name, side, given in zip(self.names, self.texts, (first, second), strict=True)
        ]


def choose_by_model(generator: TextGenerator, shown: Differences, conditions: Sequence[str], fitted: Array) -> str:
    """Asks a language model which condition explains the labels of some fitted pairs; it must answer with one."""
    from tunesmith.generation.generator import generate

    examples = shown.examples(fitted)
    listed_conditions = ["Conditions:", *(f"- {condition}" for condition in conditions), "Answer:"]
    limit = getattr(generator.model.config.get_text_config(), "max_position_embeddings", None)
    question = "\n".join([QUESTION, *examples, *listed_conditions])
    while examples and limit is not None and len(generator.prompt_ids(question)) + ANSWER_TOKENS > limit:
        examples = examples[:-2]  # a pair
        question = "\n".join([QUESTION, *examples, *listed_conditions])
    return generate(generator, question, choices=conditions, max_new_tokens=ANSWER_TOKENS)[0][0].text


def whole(vectors: Embedded) -> Array:
    """Returns embeddings (N, D); those of both texts of a pair side by side."""
    return np.concatenate(vectors, axis=1) if isinstance(vectors, tuple) else vectors


def unit_vectors(first: Array, second: Array) -> tuple[Array, Array]:
    """Centres both sets on their common mean and scales each vector to length 1."""
    mean = np.concatenate([first, second]).mean(axis=0)
    ours, theirs = (
        part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-9) for part in (first - mean, second - mean)
    )
    return ours, theirs


def cell_words(cells: Sequence[object]) -> list[str]:
    return ["(missing)" if is_missing(cell) else masked(str(cell)) for cell in cells]


def linked_pairs(first: Array, second: Array) -> Array:
    """Numbers the unit of each pair (P): pairs whose rows are in one cluster, directly or through others, share one."""
    from scipy.sparse import coo_matrix  # type: ignore[import-untyped]
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    size = int(max(first.max(), second.max())) + 1
    _, number = connected_components(coo_matrix((np.ones(len(first)), (first, second)), shape=(size, size)), directed=False)
    return np.asarray(np.unique(number[first], return_inverse=True)[1])


def criteria_finding(explained: Criteria | None, names: tuple[str, str]) -> Finding:
    """Describes the rules of two data sets and how well they predict held-out texts."""
    name = f"criteria_{names[0]}_{names[1]}"
    if explained is None:
        return Finding(name, "", skipped=f"fewer than {MIN_UNITS} independent pairs of similar texts")
    shown = rule_lines(explained)
    choice = "" if explained.chosen is None else f" {choice_words(explained.chosen, names)}"
    if not shown:
        return Finding(name, f"{agreement_words(explained)}{choice}")
    summary = f"{agreement_words(explained)} {'; '.join(shown)}.{choice}"
    remedy = "Read the texts of each rule before you join the data sets: their labels do not mean the same there."
    return Finding(name, summary, remedy=remedy)


def criteria_part(explained: Criteria) -> CriteriaPart:
    """Prepares the criteria of two data sets for the page."""
    names = explained.first, explained.second
    choice = "" if explained.chosen is None else choice_words(explained.chosen, names)
    rules, tendencies = (list(map(asdict, part)) for part in (explained.rules, explained.tendencies))
    return CriteriaPart(*names, agreement_words(explained), rules, tendencies, choice)


def rule_lines(explained: Criteria) -> list[str]:
    """Formats the rules in their order, then the conditions that are none."""
    names = explained.first, explained.second
    return [rule_words(rule, names) for rule in explained.rules] + [
        f"also {rule_words(rule, names)}" for rule in explained.tendencies
    ]


def agreement_words(explained: Criteria) -> str:
    """Describes how well the rules predict the labels of held-out texts."""
    where = f"{plural(explained.n_held_out, 'held-out pair')} of similar texts"
    if not explained.rules and not explained.tendencies:
        return f"no word or length decides differently in {where}."
    if all(rule.condition == EVERY for rule in explained.rules):
        return f"no condition predicts {where} better than the most frequent label of each data set; but shares differ."
    own = f"{explained.agreement:.1%} [{explained.low:.1%}, {explained.high:.1%}]"
    common = f"the most frequent label of each data set ({explained.majority_agreement:.1%})"
    return f"the rules predict {own} of the labels of {where}, {gain_words(explained)} {common}."


def gain_words(figures: Figures) -> str:
    """Tells whether a list predicts more than the most frequent labels do."""
    return "more than" if figures.gain_low > 0 else "less than" if figures.gain_high < 0 else "not surely more than"


def choice_words(chosen: Chosen, names: tuple[str, str]) -> str:
    """Describes the condition that a language model chose, and how well it predicts held-out texts."""
    own = f"{chosen.agreement:.1%} [{chosen.low:.1%}, {chosen.high:.1%}]"
    return (
        f"Generated by the language model, one of {plural(chosen.n_candidates, 'condition')}: {rule_words(chosen.rule, names)}; "
        f"alone it predicts {own} of the held-out labels, {gain_words(chosen)} the most frequent label."
    )


def rule_words(rule: LabelCriterion, names: tuple[str, str]) -> str:
    """Formats a rule: the condition, the labels, and the shares of a label among held-out texts."""
    condition = "otherwise" if rule.condition == EVERY else f"if {rule.condition}"
    labels = f"{names[0]} {rule.first_label}, {names[1]} {rule.second_label}"
    shares = [f"{share:.0%} of {n}" if share is not None else "no text" for share, n in
              ((rule.first_share, rule.n_first), (rule.second_share, rule.n_second))]  # fmt: skip
    doubt = ", not confirmed" if rule.first_label != rule.second_label and not rule.is_confirmed else ""
    return f"{condition}: {labels} ({rule.label} {shares[0]} and {shares[1]}{doubt})"
