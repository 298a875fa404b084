"""Lists the losses of sentence-transformers: the formats of the rows that each takes, its needs, and the default per format.

The table is data: names are upstream's, and a test compares it with the installed library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tunesmith.data.pairs.formats import PairKind


@dataclass(frozen=True)
class Loss:
    """One loss.

    Attributes:
        formats: formats of the rows that it takes.
        does: its objective, in words.
        in_batch: the other rows of a batch are its negatives: a repeated text among them is a false negative, and larger
            batches are better.
        has_weights: it has parameters of its own, or has them with ``projection_dim``; they are trained and must be resumed.
        classes: required number of classes of the labels: two for same or different; 0 for no label, or any number.
        teacher: it needs a second model, or the outputs of one.
    """

    formats: tuple[PairKind, ...]
    does: str
    in_batch: bool = False
    has_weights: bool = False
    classes: int = 0
    teacher: bool = False


@dataclass(frozen=True)
class Wrapper:
    """A loss around another one."""

    does: str


@dataclass(frozen=True)
class Default:
    """The loss of a recipe that names none."""

    loss: str
    because: str


RANKED: tuple[PairKind, ...] = ("positive_pair", "triplet", "tuple")
LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        "MultipleNegativesRankingLoss": Loss(RANKED, "the positive ranked above all other texts of the batch", in_batch=True),
        "CachedMultipleNegativesRankingLoss": Loss(RANKED, "the same, for batches larger than memory", in_batch=True),
        "MultipleNegativesSymmetricRankingLoss": Loss(("positive_pair",), "the same in both directions", in_batch=True),
        "CachedMultipleNegativesSymmetricRankingLoss": Loss(
            ("positive_pair",), "the same in both directions, for batches larger than memory", in_batch=True
        ),
        "GISTEmbedLoss": Loss(
            RANKED, "the same, without negatives that a guide model scores too high", in_batch=True, teacher=True
        ),
        "CachedGISTEmbedLoss": Loss(RANKED, "the same, for batches larger than memory", in_batch=True, teacher=True),
        "MegaBatchMarginLoss": Loss(("positive_pair",), "a margin to the hardest negative of a large batch", in_batch=True),
        "TripletLoss": Loss(("triplet",), "a margin between the positive and the negative"),
        "CoSENTLoss": Loss(("scored_pair",), "pairs ranked by their scores"),
        "AnglELoss": Loss(("scored_pair",), "pairs ranked by their scores, by angles in the complex plane"),
        "CosineSimilarityLoss": Loss(("scored_pair",), "the cosine equal to the score"),
        "ContrastiveLoss": Loss(("labelled_pair",), "similar pairs close, others beyond a margin", classes=2),
        "OnlineContrastiveLoss": Loss(("labelled_pair",), "the same, on the hard pairs of each batch", classes=2),
        "SoftmaxLoss": Loss(("labelled_pair",), "a classifier on both vectors and their difference", has_weights=True),
        "BatchAllTripletLoss": Loss(("labelled_text",), "a margin in all triplets of a batch"),
        "BatchHardTripletLoss": Loss(("labelled_text",), "a margin in the hardest triplet of each text"),
        "BatchHardSoftMarginTripletLoss": Loss(("labelled_text",), "the hardest triplet of each text, with a soft margin"),
        "BatchSemiHardTripletLoss": Loss(("labelled_text",), "a margin in the semi-hard triplets of a batch"),
        "DenoisingAutoEncoderLoss": Loss(
            ("single_text",), "the text reconstructed from a corrupted copy's vector (TSDAE)", has_weights=True
        ),
        "ContrastiveTensionLoss": Loss(
            ("single_text",), "two copies of the model: equal texts close, others apart", has_weights=True
        ),
        "ContrastiveTensionLossInBatchNegatives": Loss(
            ("single_text",), "the same, with the other texts of the batch as negatives", in_batch=True, has_weights=True
        ),
        "MarginMSELoss": Loss(("teacher_scores",), "the teacher's difference between positive and negative", teacher=True),
        "DistillKLDivLoss": Loss(("teacher_scores",), "the teacher's distribution over the texts", teacher=True),
        "MSELoss": Loss(
            ("teacher_vectors",), "the teacher's vectors: for smaller models and other languages", has_weights=True, teacher=True
        ),
        "EmbedDistillLoss": Loss(
            ("teacher_vectors",), "the teacher's vectors, by cosine or distance", has_weights=True, teacher=True
        ),
    }
)
WRAPPERS: Mapping[str, Wrapper] = MappingProxyType(
    {
        "MatryoshkaLoss": Wrapper("also trains the first dimensions alone, so that vectors can be truncated"),
        "AdaptiveLayerLoss": Wrapper("also trains the first layers alone, so that layers can be removed"),
        "Matryoshka2dLoss": Wrapper("both of these"),
        "GlobalOrthogonalRegularizationLoss": Wrapper("added to a loss: spreads vectors of different texts over the sphere"),
    }
)
DEFAULTS: Mapping[PairKind, Default] = MappingProxyType(
    {
        "positive_pair": Default("MultipleNegativesRankingLoss", "every other text of the batch is a negative at no cost"),
        "triplet": Default("MultipleNegativesRankingLoss", "the given negative and every other text of the batch"),
        "tuple": Default("MultipleNegativesRankingLoss", "all given negatives and every other text of the batch"),
        "scored_pair": Default("CoSENTLoss", "it trains on the order of the scores, which Spearman's correlation measures"),
        "labelled_pair": Default("SoftmaxLoss", "it takes any number of classes; for two, OnlineContrastiveLoss"),
        "labelled_text": Default("BatchAllTripletLoss", "it uses every triplet of the batch, so none has to be mined"),
        "single_text": Default("DenoisingAutoEncoderLoss", "it needs texts only (TSDAE)"),
        "teacher_scores": Default("MarginMSELoss", "differences of scores transfer between models, scores themselves do not"),
        "teacher_vectors": Default("MSELoss", "the student's space becomes the teacher's"),
    }
)
SAME_OR_DIFFERENT = Default("OnlineContrastiveLoss", "two classes mean same or different, and hard pairs contribute most")


def default_for(kind: PairKind, n_classes: int = 0) -> Default:
    """Returns the default loss of a format; for pairs with two classes, a contrastive one."""
    return SAME_OR_DIFFERENT if kind == "labelled_pair" and n_classes == 2 else DEFAULTS[kind]


def fitting(kind: PairKind, n_classes: int = 0) -> tuple[str, ...]:
    """Returns the losses that take rows of a format with that number of classes, the default first."""
    first = default_for(kind, n_classes).loss
    takes = [name for name, loss in LOSSES.items() if kind in loss.formats and loss.classes in (0, n_classes or loss.classes)]
    return (first, *(name for name in takes if name != first))
