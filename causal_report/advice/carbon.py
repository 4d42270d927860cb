"""Kilowatt hours and kilograms of CO2e, derived from joules and a chosen carbon intensity."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causal_report.errors import InputError

if TYPE_CHECKING:
    from causal_report.text import Text

JOULES_PER_KWH = 3.6e6
MIX = ("data", "private_infra", "global_energy_mix.json")
"""Where codecarbon keeps the energy mix of countries, by ISO 3166-1 alpha-3 code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A carbon intensity and where it comes from; None with the reason."""

    g_per_kwh: float | None
    source: str

    def kg(self, joules: float) -> float | None:
        """Kilograms of CO2e of so many joules."""
        return None if self.g_per_kwh is None else kwh(joules) * self.g_per_kwh / 1000


def kwh(joules: float) -> float:
    """Kilowatt hours."""
    return joules / JOULES_PER_KWH


def choose(g_per_kwh: float | None, country: str, text: Text) -> Grid:
    """The intensity given, else the country's in the installed codecarbon, else none with its reason.

    Raises:
        InputError: an intensity below zero or not finite, or a country that codecarbon does not know.
    """
    if g_per_kwh is not None:
        if not (math.isfinite(g_per_kwh) and g_per_kwh >= 0):
            raise InputError(f"a carbon intensity of {g_per_kwh} g/kWh: give a number of at least 0")
        return Grid(g_per_kwh=float(g_per_kwh), source=text("advice.grid.given"))
    if not country:
        return Grid(g_per_kwh=None, source=text("advice.grid.none"))
    mix = _mix()
    if mix is None:
        return Grid(g_per_kwh=None, source=text("advice.grid.missing"))
    entry = mix.get(country.upper())
    if entry is None or entry.get("carbon_intensity") is None:
        known = ", ".join(sorted(mix)[:5])
        raise InputError(f"country {country!r}: codecarbon has no carbon intensity; codes are like {known}")
    source = text("advice.grid.country", country=entry["country_name"], year=entry["year"])
    return Grid(g_per_kwh=float(entry["carbon_intensity"]), source=source)


def _mix() -> dict[str, dict[str, Any]] | None:
    """Codecarbon's table of countries, read as a file: nothing of codecarbon is run."""
    spec = find_spec("codecarbon")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent.joinpath(*MIX)
    if not path.exists():
        return None
    mix: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return mix
