"""What an analysis may be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The choices of one analysis; the defaults are the sound ones.

    Attributes:
        engine: of discovery: ``dibs`` beside ``exact``, or ``exact`` alone; ``pc`` and ``ges`` beside it.
        recipe: ``seed`` adds the published study's own numbers, labelled as that.
        keep_flagged: let flagged rows into the effects; failed ones never enter.
        seed: of DiBS and every bootstrap.
        until: only runs that began before this UTC time (ISO 8601) are read; empty for all.
        margin: relative loss of performance that advice accepts.
        grid_g_per_kwh: carbon intensity of the grid, in grams of CO2e a kilowatt-hour.
        country: ISO 3166 code (three letters) whose intensity is taken where none is given.
        paths: mediation paths asked for by name: (cause, mediator, outcome).
        command: how to get this page again.
    """

    engine: Literal["dibs", "exact", "pc", "ges"] = "dibs"
    recipe: Literal["sound", "seed"] = "sound"
    keep_flagged: bool = False
    seed: int = 0
    until: str = ""
    margin: float = 0.01
    grid_g_per_kwh: float | None = None
    country: str = ""
    paths: tuple[tuple[str, str, str], ...] = ()
    command: str = ""
