"""Load that nobody declared: somebody else's beside a run, before it, or another measured run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from causal_report.quality.comparable import Level, cells, level, neighbours
from causal_report.quality.hit import hits
from causal_report.quality.thresholds import limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from causal_report.quality.hit import Hit
    from causal_report.quality.view import Mask, Vector, View

FLOORS = {"cpu-power": 0.02, "memory-power": 0.02, "gpu-power": 0.03, "gpu-use": 1.5}
"""Spreads below these are the meters' own."""
OWN = 0.25
"""Load only adds: a run's own level is the lower quartile of comparable runs; most may be loaded."""
SPREADING = 5
"""Rounds in which a stretch of foreign load grows by its neighbours."""
SHOWN = {
    "cpu-power": "CPU power",
    "memory-power": "memory power",
    "gpu-power": "GPU power",
    "gpu-use": "GPU utilisation",
}


def foreign(view: View, near: NDArray[np.intp], rows: Mask) -> Iterator[Hit]:
    """Runs during which somebody else used the machine.

    A run alone is one by its own signals, or by power somewhat high among such runs. A run with a
    background load is one by power above its own background level among such runs. CPU power that is
    raised by less, with memory and GPU as usual, is a note: such a run did its own work on a machine
    that drew more.
    """
    found = _levels(view, near, rows)
    certain = _unexplained(view, rows, rows & view.alone & _certain(view, found), found, _certain)
    loaded, around = certain.copy(), np.zeros(view.n, bool)
    if loaded.any() and "cpu-power" in found:
        high = _unexplained(view, rows, rows & ~loaded & _high(view, found), found, _high)
        for _ in range(SPREADING):
            asked = rows & view.alone & np.isfinite(found["cpu-power"].off)
            more = high & ~loaded & ~around & _among(view, asked, loaded)
            if not more.any():
                break
            around |= more
            loaded |= more & view.alone
    yield from hits("foreign-load", loaded | around, lambda at: _say(view, found, at, not certain[at]))
    if "cpu-power" in found:
        raised = rows & view.alone & ~loaded & _raised(view, found)
        raised = _unexplained(view, rows, raised, found, _raised)
        yield from hits("power-raised", raised, lambda at: _say(view, found, at, False))


def _levels(view: View, near: NDArray[np.intp], rows: Mask) -> dict[str, Level]:
    asked = rows & (view.alone | view.background)
    return {name: level(view, near, x, asked, FLOORS[name], OWN) for name, x in view.signals.items()}


def _unexplained(
    view: View,
    rows: Mask,
    candidates: Mask,
    found: Mapping[str, Level],
    judge: Callable[[View, Mapping[str, Level]], Mask],
) -> Mask:
    """Candidates that no hyperparameter explains: they stand out from the runs most alike in each of them."""
    for setting in view.settings:
        if setting.label_only or not candidates.any():
            continue
        alike = _levels(view, neighbours(view, candidates, setting.name), rows)
        candidates = candidates & judge(
            view, {name: replace(one, spread=found[name].spread) for name, one in alike.items()}
        )
    return candidates


def _certain(view: View, found: Mapping[str, Level]) -> Mask:
    """CPU power far up; or somewhat up with memory power or GPU use; or GPU use far up with GPU power."""

    def up(name: str, z: str, least: str = "") -> Mask:
        return (
            _beyond(found[name], limit(least or name), limit(z)) if name in found else np.zeros(view.n, bool)
        )

    use = up("gpu-use", "z")
    beside = use | up("memory-power", "z-weak")
    return (
        up("cpu-power", "z")
        | (up("cpu-power", "z-weak", "weak") & beside)
        | (use & up("gpu-power", "z-weak"))
    )


def _raised(view: View, found: Mapping[str, Level]) -> Mask:
    return _beyond(found["cpu-power"], limit("raised"), limit("z"))


def _high(view: View, found: Mapping[str, Level]) -> Mask:
    out = _beyond(found["cpu-power"], limit("weak"), limit("beside-z"))
    if "memory-power" in found:
        out = out | _beyond(found["memory-power"], limit("memory-power"), limit("beside-z"))
    return out


def _beyond(found: Level, least: float, z: float) -> Mask:
    with np.errstate(invalid="ignore"):
        return np.asarray((found.off >= least) & (found.z >= z))


def _among(view: View, asked: Mask, loaded: Mask) -> Mask:
    """Rows of which half of the runs alone around are *loaded*; with a background load, on both sides."""
    out = np.zeros(view.n, bool)
    each, within = int(limit("beside")), limit("beside-h") * 3600
    for at in cells(view.session, np.isfinite(view.when)):
        order = at[np.argsort(view.when[at], kind="stable")]
        alone = order[asked[order]]
        if len(alone) < each:
            continue
        place = np.searchsorted(view.when[alone], view.when[order])
        offsets = np.arange(-each, each + 1)
        index = place[:, None] + offsets
        inside = (index >= 0) & (index < len(alone))
        near = alone[np.clip(index, 0, len(alone) - 1)]
        inside &= (near != order[:, None]) & (np.abs(view.when[near] - view.when[order][:, None]) <= within)
        far = loaded[near] & inside
        votes = far.sum(axis=1)
        between = far[:, :each].any(axis=1) & far[:, each:].any(axis=1)
        out[order] = (votes >= 2) & (2 * votes >= inside.sum(axis=1)) & (between | view.alone[order])
    return out


def _say(view: View, found: Mapping[str, Level], at: int, around: bool) -> str:
    parts = []
    for name, one in found.items():
        if not np.isfinite(one.off[at]):
            continue
        now, usual = view.signals[name][at], one.usual[at]
        if name == "gpu-use":
            parts.append(f"{SHOWN[name]} {now:.0f} % (comparable runs: {usual:.0f} %)")
        else:
            parts.append(f"{SHOWN[name]} {np.exp(now):.1f} W (comparable runs: {np.exp(usual):.1f} W)")
    among = "; the runs around it were loaded too" if around else ""
    return ", ".join(parts) + among


def before(view: View, sources_cpus: Mapping[str, float]) -> Iterator[Hit]:
    """Load before a run far above what its session is used to: a predecessor leaves load behind too."""
    load = view.column("cpu_load_before")
    names = view.text("session")
    for at in cells(view.session, np.isfinite(load)):
        cpus = sources_cpus.get(str(names[at[0]]), 0.0)
        if not cpus:
            continue
        usual = float(np.median(load[at]))
        wide = 4 * 1.4826 * float(np.median(np.abs(load[at] - usual)))
        most = max(limit("load-before") * cpus, usual + max(wide, limit("load-usual")))
        rows = np.zeros(view.n, bool)
        rows[at] = load[at] > most
        yield from hits("load-before", rows, _before(load, cpus, usual))


def _before(load: Vector, cpus: float, usual: float) -> Callable[[int], str]:
    return lambda at: f"load {load[at]:.1f} on {cpus:g} cores before it began; usual here: {usual:.1f}"


def shared(view: View) -> Iterator[Hit]:
    """Runs during which another measured run went on: the counters saw both."""
    if "shared_with" not in view.frame:
        return
    others = np.asarray(view.frame["shared_with"].fillna("").astype(str), dtype=object)
    yield from hits(
        "shared", others != "", lambda at: f"measured at the same time on this host: {others[at]}"
    )
