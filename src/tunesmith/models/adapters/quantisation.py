"""Describes in how few bits the frozen weights under an adapter are, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.errors import ModelError
from tunesmith.recipe.sections import Recipe

Kind = Literal["nf4", "fp4", "int8"]
ComputeDtype = Literal["auto", "float32", "bfloat16", "float16"]
NAMES: Mapping[Kind, str] = {"nf4": "4 bits (NF4)", "fp4": "4 bits (FP4)", "int8": "8 bits"}
FOUR_BIT_OPTIONS = {
    "bnb_4bit_quant_type": "kind",
    "bnb_4bit_compute_dtype": "compute_dtype",
    "bnb_4bit_use_double_quant": "double_quant",
}
"""Upstream's name of each option of 4 bits -> the field of ``Quantisation``."""


@dataclass(frozen=True)
class Quantisation:
    """The format of quantised weights.

    Attributes:
        kind: NF4 (Dettmers et al. 2023, "QLoRA"), FP4, or LLM.int8() (Dettmers et al. 2022).
        compute_dtype: of the products with 4-bit weights; auto is bfloat16 where the machine has it in hardware, else float32.
        double_quant: the scales of 4-bit blocks are quantised as well.
    """

    kind: Kind
    compute_dtype: ComputeDtype = "auto"
    double_quant: bool = True

    @classmethod
    def read(cls, value: str | Mapping[str, Any] | None) -> Quantisation | None:
        """Reads the recipe's value or the record of an adapter: a name, or upstream's options of 4 bits.

        Raises ModelError for any other, as a later version may write.
        """
        if value is None:
            return None
        given = {"kind": value} if isinstance(value, str) else {FOUR_BIT_OPTIONS.get(key, key): x for key, x in value.items()}
        if not given.keys() <= set(FOUR_BIT_OPTIONS.values()) or given.get("kind", "nf4") not in NAMES:
            raise ModelError.one("quantisation", f"{value} is no known format of weights.", f"Known: {', '.join(NAMES)}.")
        return cls(**{"kind": "nf4", **given})

    @property
    def record(self) -> str | dict[str, Any]:
        """The value as a recipe writes it: the name alone where the other options are the defaults."""
        if self == Quantisation(self.kind):
            return self.kind
        return {option: getattr(self, field) for option, field in FOUR_BIT_OPTIONS.items()}

    @property
    def words(self) -> str:
        """The number of bits and the format, e.g. ``4 bits (NF4)``."""
        return NAMES[self.kind]

    @property
    def details(self) -> str:
        """One line with every option, for the check."""
        if self.kind == "int8":
            return self.kind
        double = "on" if self.double_quant else "off"
        return f"{self.kind}, compute dtype {self.compute_dtype}, double quantisation {double}"


def quantisation_of(recipe: Recipe) -> Quantisation | None:
    """Returns the format that a recipe gives to the frozen weights; None for unquantised ones."""
    value = recipe.quantisation
    return Quantisation.read(value if value is None or isinstance(value, str) else value.model_dump())


def published(quantisation: Quantisation | None) -> str:
    """Describes the untuned base model of a run, whose weights are in as many bits as those of the saved model."""
    return "the base model as published" + ("" if quantisation is None else f", in {quantisation.words}")
