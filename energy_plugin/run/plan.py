"""What a plan costs and what it can see, before anything runs: hours, disk, the smallest effect found."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from energy_plugin.run.expect import loads
from energy_plugin.run.past import bytes_each, name_of
from energy_plugin.run.precision import detectable_percent, noise_of, replicates_for, stated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from energy_plugin.declare.case import Case
    from energy_plugin.declare.catalog import Catalog
    from energy_plugin.run.expect import Expectation, Expected
    from energy_plugin.run.past import PastRun
    from energy_plugin.run.precision import Noise

Treatment = tuple[tuple[tuple[object, ...], ...], tuple[object, ...]]
"""What of a case is changed in each program, and what its replicates share besides."""
GUESSED_BYTES = 1 << 20
"""Of one case, where none is there to be weighed: a log, readings and a trace of some minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the cases of one kind can see of a level against the base.

    Attributes:
        treated: replicates of the level that has fewest. ``base``: of the base.
        noise: None where nothing is known of it.
        percent: the smallest effect found; None where no test is possible.
        needed: replicates for the wanted effect; None where none is wanted, or too many are needed.
    """

    name: str
    treated: int
    base: int
    noise: Noise | None
    percent: float | None
    needed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything ``--energy-plan`` shows.

    Attributes:
        seconds: of all cases, None if nothing is known. ``rest_s``: of these, of each case beside its run.
        bytes_each: of one case, median of ``weighed`` cases; guessed where there are none.
        effect: that is wanted, in percent, 0 for none.
    """

    cases: int
    expected: tuple[Expected, ...]
    seconds: float | None
    rest_s: float
    bytes_each: float
    weighed: int
    free_bytes: int
    sights: tuple[Sight, ...]
    effect: float = 0.0


def plan_of(
    cases: Sequence[Case],
    catalog: Catalog,
    expectation: Expectation,
    past: Sequence[PastRun],
    results: Path,
    *,
    noise: float = 0.0,
    effect: float = 0.0,
) -> Plan:
    """The plan of *cases*.

    Args:
        cases: what would run.
        catalog: of their models.
        expectation: of durations.
        past: runs of earlier sessions, for the noise.
        results: folder of sessions, for the disk.
        noise: stated spread of replicates in percent, 0 to take it from *past*.
        effect: wanted effect in percent, 0 for none.

    Raises:
        UsageError: noise or effect is no percentage above 0.
    """
    work = dict(sorted(loads(catalog, cases).items()))
    weighed = bytes_each(results)
    own = stated(noise) if noise else None
    found = {} if own else noise_of(past)
    here = next(folder for folder in (results, *results.parents) if folder.exists())
    return Plan(
        cases=len(cases),
        expected=tuple(expectation.by_name(work)),
        seconds=expectation.total(work, 0.0),
        rest_s=expectation.beside_s(0.0),
        bytes_each=weighed[0] if weighed else GUESSED_BYTES,
        weighed=weighed[1] if weighed else 0,
        free_bytes=shutil.disk_usage(here).free,
        sights=tuple(_sights(cases, {name: own or found.get(name) for name in work}, effect)),
        effect=effect,
    )


def _sights(cases: Iterable[Case], noises: Mapping[str, Noise | None], effect: float) -> Iterable[Sight]:
    counts: dict[str, Counter[Treatment]] = defaultdict(Counter)
    for case in cases:
        counts[name_of(case)][_treatment(case)] += 1
    for name, treatments in sorted(counts.items()):
        base = max((count for treatment, count in treatments.items() if not any(treatment[0])), default=0)
        treated = min((count for treatment, count in treatments.items() if any(treatment[0])), default=0)
        noise = noises[name]
        yield Sight(
            name=name,
            treated=treated,
            base=base,
            noise=noise,
            percent=detectable_percent(noise, treated, base) if noise else None,
            needed=replicates_for(noise, effect) if noise and effect else None,
        )


def _treatment(case: Case) -> Treatment:
    changed = tuple(tuple((name, p.values[name]) for name in p.varied) for p in case.measured)
    return changed, (case.power_limit_w, *(program.limit for program in case.programs))
