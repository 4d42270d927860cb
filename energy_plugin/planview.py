"""The plan as lines for people; every figure says what it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy_plugin.run.expect import EARLIER, GUESS, OTHERS, SAME
from energy_plugin.run.precision import ALPHA, MAX_REPLICATES, POWER
from energy_plugin.terminal import span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from energy_plugin.options import Options
    from energy_plugin.run.expect import Expected
    from energy_plugin.run.plan import Plan, Sight
    from energy_plugin.run.precision import Noise

SOURCES = {
    SAME: "median of {runs} runs of this session",
    EARLIER: "median of {runs} past runs",
    OTHERS: "the catalogue's guess, scaled by {runs} runs of other models",
    GUESS: "the catalogue's guess",
}


def plan_lines(plan: Plan, options: Options) -> Iterator[str]:
    """Cases, hours, disk, and what the design can see."""
    yield f"energy: plan of {plan.cases} cases, about {span(plan.seconds)}"
    for expected in plan.expected:
        yield f"energy:   {_expected(expected)}"
    yield f"energy: {_rests(plan, options)}"
    yield f"energy: {_retries(options)}"
    yield f"energy: {_disk(plan, options)}"
    yield (
        f"energy: smallest effect found with {POWER * 100:.0f} % power at p < {ALPHA:g}, a level against the "
        "base (t-test of logarithms):"
    )
    for sight in plan.sights:
        yield f"energy:   {sight.name}: {_sight(sight, plan.effect)}"


def _expected(one: Expected) -> str:
    source = SOURCES.get(one.source, "").format(runs=one.runs)
    return f"{one.name}: {one.cases} cases, about {span(one.seconds)}{f' ({source})' if source else ''}"


def _rests(plan: Plan, options: Options) -> str:
    if plan.rest_s:
        return f"rests of {span(plan.rest_s)} a case are counted, the median of past sessions"
    if not options.cooldown:
        return "no rests between cases: --energy-cooldown 0"
    most = span(options.cooldown * max(0, plan.cases - 1))
    return (
        f"rests are not counted: {span(options.cooldown)} a case and {most} in all at most, less once at idle"
    )


def _retries(options: Options) -> str:
    if not options.retries:
        return "a failed training is not tried again: --energy-retries 0"
    return f"a failed training is tried again, {options.retries} times at most: not counted"


def _disk(plan: Plan, options: Options) -> str:
    each = (
        f"median of {plan.weighed} cases in {options.results}"
        if plan.weighed
        else "a guess: no case is there yet"
    )
    total, free = size(plan.bytes_each * plan.cases), size(plan.free_bytes)
    return f"disk: about {total}, {size(plan.bytes_each)} a case ({each}); {free} free"


def _sight(sight: Sight, effect: float) -> str:
    if sight.noise is None:
        return "unknown, as no past session has replicates of it: state the spread with --energy-noise PCT"
    told = _noise(sight.noise)
    if not sight.treated:
        seen = f"nothing is changed, so this is the noise floor ({told})"
    elif not sight.base:
        seen = f"no runs at the base to compare with ({told})"
    elif sight.percent is None:
        seen = f"none: one run of a level and one of the base allow no test ({told})"
    else:
        seen = f"{sight.percent:.3g} % ({sight.treated} runs of each level, {sight.base} of the base; {told})"
    return seen + (f"; {_needed(sight, effect)}" if effect else "")


def _needed(sight: Sight, effect: float) -> str:
    if sight.needed is None:
        return f"{effect:g} % is out of reach: more than {MAX_REPLICATES} replicates"
    return f"{effect:g} % needs {sight.needed} replicates of each level and of the base"


def _noise(noise: Noise) -> str:
    if not noise.column:
        return f"stated noise {noise.percent:.3g} %"
    return (
        f"noise {noise.percent:.3g} % of {noise.column}, {noise.freedom} degrees of freedom in past sessions"
    )


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024 or unit == "GiB":
            return f"{count:.3g} {unit}"
    raise AssertionError
