"""Load that is not what the row says: somebody else's on a run alone, none beside one in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_report.quality.comparable import Level, cells, level
from causal_report.quality.hit import hits
from causal_report.quality.thresholds import limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from causal_report.quality.hit import Hit
    from causal_report.quality.view import Mask, Vector, View

FLOORS = {"cpu-power": 0.02, "gpu-power": 0.03, "gpu-use": 1.5}
"""Spreads below these are the meters' own."""
OWN = 0.25
"""Load only adds: a run's own level is the lower quartile of comparable runs; most may be loaded."""
EDGE = 0.9
"""Share of a model's runs alone that are taken as its range."""
LOUD, CLEARLY = 0.25, 2.0
"""A load is missed only where it shows in a quarter of the model's runs, at twice the threshold."""
SPREADING = 5
"""Rounds in which a stretch of foreign load grows by its neighbours."""
SHOWN = {"cpu-power": "CPU power", "gpu-power": "GPU power", "gpu-use": "GPU utilisation"}


def foreign(view: View, near: NDArray[np.intp], rows: Mask) -> Iterator[Hit]:
    """Runs during which somebody else used the machine.

    A run alone is one by its own signals, or by CPU power somewhat high among such runs. A run with a
    background load is one by CPU power above its own background level among such runs. CPU power that is
    raised by less than a foreign training takes, with the GPU as usual, is a note: such a run did its own
    work on a machine that drew more.
    """
    found = {
        name: level(view, near, x, rows & (view.alone | view.background), FLOORS[name], OWN)
        for name, x in view.signals.items()
    }
    loaded = _certain(view, rows & view.alone, found)
    around = np.zeros(view.n, bool)
    if loaded.any() and "cpu-power" in found:
        high = rows & _beyond(found["cpu-power"], limit("weak"), limit("beside-z"))
        for _ in range(SPREADING):
            asked = rows & view.alone & np.isfinite(found["cpu-power"].off)
            more = high & ~loaded & ~around & _among(view, asked, loaded)
            if not more.any():
                break
            around |= more
            loaded |= more & view.alone
        around &= ~_certain(view, rows & view.alone, found)
    yield from hits("foreign-load", loaded | around, lambda at: _say(view, found, at, bool(around[at])))
    if "cpu-power" in found:
        raised = rows & view.alone & ~loaded & _beyond(found["cpu-power"], limit("raised"), limit("z"))
        yield from hits("power-raised", raised, lambda at: _say(view, found, at, False))


def _certain(view: View, rows: Mask, found: Mapping[str, Level]) -> Mask:
    far = {name: _beyond(one, limit(name), limit("z")) for name, one in found.items()}
    none = np.zeros(view.n, bool)
    use, power = far.get("gpu-use", none), far.get("gpu-power", none)
    if "cpu-power" not in found:
        return rows & use & power
    cpu = found["cpu-power"]
    unread = ~np.isfinite(cpu.off)
    weak = _beyond(cpu, limit("weak"), limit("z-weak"))
    return rows & (far["cpu-power"] | (weak & use) | (unread & use & power))


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


def missing(view: View, rows: Mask, trusted: Mask, slower: Vector) -> Iterator[Hit]:
    """Runs said to have a background load that are like the model's runs alone.

    *slower* is log duration above what the model needs alone for the same work, NaN where not known.
    """
    edges = _edges(view, trusted & view.alone)
    asked = rows & view.background
    seen, told = np.zeros(view.n, bool), np.zeros(view.n, int)
    for name, (_, high) in edges.items():
        with np.errstate(invalid="ignore"):
            seen |= view.signals[name] > high + limit(NO_LOAD[name])
        told += np.isfinite(view.signals[name]) & np.isfinite(high)
    with np.errstate(invalid="ignore"):
        asleep = (told > 0) & _asleep(view, edges)
        seen |= slower > limit("no-load-time")
    told += np.isfinite(slower)
    silent = asked & (told >= 2) & (~seen | asleep)
    silent &= _heard(view, asked, silent, edges, slower) | asleep
    yield from hits(
        "load-missing", silent, lambda at: _say_missing(view, edges, slower, at, bool(asleep[at]))
    )


def _heard(
    view: View, asked: Mask, silent: Mask, edges: Mapping[str, tuple[Vector, Vector]], slower: Vector
) -> Mask:
    """Rows of models whose load shows: a quarter of their runs beside it lie well beyond the range alone.

    A light load leaves some runs within that range by chance. To leave these out would choose the runs by
    what came out, and make the load seem heavier than it is. Where every run is silent there is no choice.
    """
    models = view.model.max(initial=0) + 1
    heard = np.bincount(view.model, asked & ~silent, models) == 0
    above = {name: (view.signals[name] - high, limit(NO_LOAD[name])) for name, (_, high) in edges.items()}
    above["duration"] = (slower, limit("no-load-time"))
    for far, least in above.values():
        for at in cells(view.model, asked & np.isfinite(far)):
            heard[view.model[at[0]]] |= bool(np.quantile(far[at], 1 - LOUD) >= CLEARLY * least)
    return np.asarray(heard[view.model])


NO_LOAD = {"cpu-power": "no-load-cpu", "gpu-power": "no-load-gpu", "gpu-use": "no-load-use"}


def _edges(view: View, rows: Mask) -> dict[str, tuple[Vector, Vector]]:
    """Range of each signal over the model's runs alone, given to every row of the model."""
    found: dict[str, tuple[Vector, Vector]] = {}
    for name, x in view.signals.items():
        low, high = (
            np.full(view.model.max(initial=0) + 1, np.nan),
            np.full(view.model.max(initial=0) + 1, np.nan),
        )
        for at in cells(view.model, rows & np.isfinite(x)):
            if len(at) >= limit("least"):
                low[view.model[at[0]]], high[view.model[at[0]]] = np.quantile(x[at], [1 - EDGE, EDGE])
        found[name] = (low[view.model], high[view.model])
    return found


def _asleep(view: View, edges: Mapping[str, tuple[Vector, Vector]]) -> Mask:
    if "gpu-power" not in edges or "gpu-use" not in edges:
        return np.zeros(view.n, bool)
    power, use = view.signals["gpu-power"], view.signals["gpu-use"]
    return np.asarray((power < edges["gpu-power"][0] - limit("asleep")) & (use <= edges["gpu-use"][1]))


def _say_missing(
    view: View, edges: Mapping[str, tuple[Vector, Vector]], slower: Vector, at: int, asleep: bool
) -> str:
    parts = []
    for name, (low, high) in edges.items():
        now = view.signals[name][at]
        if not np.isfinite(now) or not np.isfinite(high[at]):
            continue
        turn = (lambda x: x) if name == "gpu-use" else np.exp
        unit = "%" if name == "gpu-use" else "W"
        parts.append(
            f"{SHOWN[name]} {turn(now):.1f} {unit} (alone {turn(low[at]):.1f} to {turn(high[at]):.1f})"
        )
    if np.isfinite(slower[at]):
        parts.append(f"duration {np.expm1(slower[at]):+.0%} against alone")
    return ("the GPU did nothing: " if asleep else "a background load nobody can see: ") + ", ".join(parts)


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
