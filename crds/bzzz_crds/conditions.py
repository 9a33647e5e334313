"""Conditions, as every Kubernetes object reports what is true of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bzzz_crds.values import Between, ListMapBy, Model, Moment


class Condition(Model):
    """One thing that is so, or not, or not known."""

    type: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[A-Z][A-Za-z0-9]*$")] = Field(
        description="What it is about: Ready, Progressing, Degraded."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it is so.")
    reason: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[A-Z][A-Za-z0-9]*$")] = Field(
        description="Why, in one word that programs may rely on."
    )
    message: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="Why, for people: the manifest's field and the remedy."
    )
    last_transition_time: Moment = Field(description="Since when status is what it is.")
    observed_generation: Annotated[int, Between(0, 2**53)] | None = Field(
        default=None, description="The metadata.generation that this is about."
    )


Conditions = Annotated[tuple[Condition, ...], Field(strict=False, max_length=20), ListMapBy("type")]
