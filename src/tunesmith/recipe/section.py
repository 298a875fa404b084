"""Defines the base class of all sections of the recipe, and the types of numbers that they share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]
NotNegative = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    """Base class of the sections: frozen, and refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), use_attribute_docstrings=True)
