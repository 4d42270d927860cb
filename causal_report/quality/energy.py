"""Energies that contradict power, time or their own parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_report.quality.comparable import cells, spread
from causal_report.quality.hit import hits
from causal_report.quality.thresholds import limit
from causal_report.quality.view import positive_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from causal_report.quality.hit import Hit
    from causal_report.quality.view import Mask, Vector, View

FLOOR = 0.003
"""Spread of joules over watts x seconds below which it is rounding."""
AROUND = 11
"""Runs of about the same duration whose ratio is a run's own."""
JOULES = ("energy_cpu_total_joules", "energy_gpu_total_joules", "energy_wall_joules")


def ratio(view: View) -> Vector:
    """Log of GPU joules over mean watts x seconds; NaN where not known or too short to tell."""
    joules, watts = view.column("energy_gpu_total_joules"), view.column("energy_gpu_avg_watts")
    out = positive_log(joules) - positive_log(watts) - view.log_s
    return np.where(view.seconds >= limit("least-s"), out, np.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """How far energy is off power x time, and off what runs of the model with such a duration are off.

    Attributes:
        off: log of energy over power x time, NaN where not known.
        usual: what runs like it are off; 0 where there are too few.
        spread: robust spread of ``off`` less ``usual`` in the row's cell.
        told: rows that have runs like them.
    """

    off: Vector
    usual: Vector
    spread: Vector
    told: Mask

    @property
    def away(self) -> Vector:
        """Distance of ``off`` from what is usual."""
        return np.abs(self.off - self.usual)


def misfit(view: View, rows: Mask) -> Misfit:
    """Energy against power x time in *rows*."""
    off = ratio(view)
    usual, scale = np.zeros(view.n), np.full(view.n, FLOOR)
    told = np.zeros(view.n, bool)
    for at in cells(view.cell, rows & np.isfinite(off)):
        if len(at) < limit("least"):
            continue
        order = at[np.argsort(view.seconds[at], kind="stable")]
        middle = pd.Series(off[order]).rolling(AROUND, center=True, min_periods=1).median()
        usual[order] = middle.to_numpy()
        scale[at] = spread(off[at] - usual[at], FLOOR)
        told[at] = True
    return Misfit(off=off, usual=usual, spread=scale, told=told)


def mismatch(view: View, rows: Mask) -> Iterator[Hit]:
    """Energy off power x time, and off what runs of the model with such a duration are off."""
    found = misfit(view, rows)
    with np.errstate(invalid="ignore"):
        own = found.away >= np.maximum(limit("mismatch-own"), limit("mismatch-z") * found.spread)
        plain = np.abs(np.expm1(found.off)) > limit("mismatch")
    false = rows & np.where(found.told, own, plain)
    yield from hits("energy-mismatch", false, _say(view, found.off, found.usual, found.told))


def bias(view: View, rows: Mask) -> Iterator[Hit]:
    """Energy off power x time in this run as in all of its model: the meter's doing, not the run's."""
    off = ratio(view)
    out = np.zeros(view.n, bool)
    for at in cells(view.cell, rows & np.isfinite(off)):
        if len(at) >= limit("least") and abs(np.expm1(np.median(off[at]))) > limit("mismatch"):
            out[at] = np.abs(np.expm1(off[at])) > limit("mismatch")
    yield from hits("energy-bias", out, _say(view, off, np.zeros(view.n), np.zeros(view.n, bool)))


def _say(view: View, off: Vector, usual: Vector, told: Mask) -> Callable[[int], str]:
    joules, watts = view.column("energy_gpu_total_joules"), view.column("energy_gpu_avg_watts")

    def say(at: int) -> str:
        product = watts[at] * view.seconds[at]
        like = f"; {np.expm1(usual[at]):+.0%} in runs like it" if told[at] else ""
        return (
            f"GPU energy {joules[at]:,.0f} J, but mean power × duration is {product:,.0f} J "
            f"({np.expm1(off[at]):+.0%}{like})"
        )

    return say


def parts(view: View) -> Iterator[Hit]:
    """CPU totals that are not package plus memory."""
    package, memory, total = (view.column(f"energy_cpu_{part}_joules") for part in ("pkg", "ram", "total"))
    with np.errstate(invalid="ignore"):
        rows = np.abs(package + memory - total) > limit("parts") * np.abs(total)
    yield from hits(
        "energy-parts",
        rows,
        lambda at: (
            f"CPU total {total[at]:,.1f} J, but package {package[at]:,.1f} J + memory {memory[at]:,.1f} J"
        ),
    )


def absent(view: View) -> Iterator[Hit]:
    """Successful runs without any joules in a table whose other runs of the model have some."""
    known = np.zeros(view.n, bool)
    for name in (*JOULES, "total_energy_joules", "shared_energy_joules"):
        known |= np.isfinite(view.column(name))
    has = np.zeros(view.model.max(initial=0) + 1, bool)
    has[view.model[known]] = True
    rows = view.success & ~known & has[view.model]
    yield from hits("energy-missing", rows, lambda at: "no joules, though other runs of the model have some")


def impossible(view: View) -> Iterator[Hit]:
    """Values no machine gives: negative, silent for long, hotter or stronger than any device."""
    long = view.seconds >= limit("silent-s")
    for name in JOULES:
        joules = view.column(name)
        yield from hits("impossible", joules < 0, _value(name, joules, "a counter cannot fall"))
        yield from hits(
            "impossible", (joules == 0) & long, _value(name, joules, "nothing drawn in all that time")
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            watts = joules / view.seconds
        yield from hits(
            "impossible",
            np.isfinite(watts) & (watts > limit("watts")),
            _value(f"{name} per second", watts, "no device draws that"),
        )
    yield from hits(
        "impossible", view.seconds < 0, _value("duration_seconds", view.seconds, "time cannot run back")
    )
    for part, most in (("watts", limit("watts")), ("percent", 100.5), ("celsius", limit("celsius"))):
        for name in [str(n) for n in view.frame if str(n).startswith("energy_") and str(n).endswith(part)]:
            values = view.column(name)
            rows = (values < 0) | (values > most)
            yield from hits("impossible", rows, _value(name, values, f"outside 0 to {most:g}"))
    low, mean, high = (view.column(f"energy_gpu_{x}_watts") for x in ("min", "avg", "max"))
    rows = (mean > high * 1.001) | (mean < low * 0.999)
    yield from hits(
        "impossible", rows, _value("energy_gpu_avg_watts", mean, "a mean outside its lowest and highest")
    )


def _value(name: str, values: Vector, why: str) -> Callable[[int], str]:
    return lambda at: f"{name} is {values[at]:,.4g}: {why}"
