"""Advice for every model, mode and pair, as findings with their sentences."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from causal_report import number, regression
from causal_report.advice import carbon, confirm, judge
from causal_report.advice.unit import units
from causal_report.errors import InputError
from causal_report.findings.advice import Advice, AdviceGroup, AdviceSetting
from causal_report.findings.sentence import Sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.advice.carbon import Grid
    from causal_report.advice.judge import Judged
    from causal_report.findings import Response
    from causal_report.findings.advice import AdviceChange
    from causal_report.table import Table
    from causal_report.text import Text

Q = 0.05
MARGIN = 0.01
LIKE = 0.01
"""Sure savings within one hundredth of each other count as like: the setting with fewer changes is taken."""


def give(
    table: Table,
    response: Response,
    text: Text,
    *,
    margin: float = MARGIN,
    grid_g_per_kwh: float | None = None,
    country: str = "",
    seed: int = 0,
) -> Advice:
    """The safe setting with the largest sure saving, for every model, mode and pair that has one.

    A setting is safe when a simultaneous 95 % bound over all settings and metrics looked at excludes both
    that it saves nothing and that any metric loses more than *margin* of the reference, and when it holds
    against the number of groups looked at (Benjamini-Hochberg). That no setting is safe is an answer too.

    Args:
        table: usable rows, pairs included.
        response: the energy that is analysed.
        text: the page's words.
        margin: relative loss of performance that is accepted.
        grid_g_per_kwh: carbon intensity for kilograms of CO2e.
        country: instead, an ISO 3166 alpha-3 code that codecarbon knows.
        seed: of the draws for simultaneous bounds.

    Raises:
        InputError: a margin outside 0 to 1, or an intensity or country that is none.
    """
    if not (math.isfinite(margin) and 0 <= margin < 1):
        raise InputError(f"a margin of {margin}: give the accepted loss as a share from 0 to below 1")
    grid = carbon.choose(grid_g_per_kwh, country, text)
    judged = [judge.judge(unit, text, margin=margin, grid=grid, seed=seed) for unit in units(table, response)]
    q = regression.benjamini_hochberg([one.p for one in judged])
    groups = [
        _group(one, value, margin, index, text)
        for index, (one, value) in enumerate(zip(judged, q, strict=True), start=1)
    ]
    blocks = [group.test.block for group in groups if group.test and group.test.block]
    return Advice(
        sentences=_sentences(groups, margin, grid, text),
        margin=margin,
        grid_g_per_kwh=grid.g_per_kwh,
        grid_source=grid.source,
        groups=tuple(groups),
        design=confirm.file(blocks, text),
    )


def _group(judged: Judged, q: float | None, margin: float, number_: int, text: Text) -> AdviceGroup:
    if not judged.looked:
        return judged.group
    sure = q is not None and q <= Q
    safe = [setting for setting in judged.looked if setting.safe and sure]
    if safe:
        best = min(safe, key=lambda s: (round(s.hi / LIKE), len(s.changes), s.hi))
    else:
        best = max(judged.looked, key=lambda s: (confirm.ease(judged, s, margin), -s.ratio))
        best = replace(best, safe=False)
    return replace(
        judged.group,
        advised=best if safe else None,
        closest=None if safe else best,
        q=q,
        test=confirm.test(judged, best, margin, number_, text),
    )


def _sentences(groups: Sequence[AdviceGroup], margin: float, grid: Grid, text: Text) -> tuple[Sentence, ...]:
    looked = [group for group in groups if group.settings]
    advised = [group for group in looked if group.advised is not None]
    share = number.percent(100 * margin, 1, sign=False)
    counts = {"groups": len(looked), "margin": share, "n": sum(group.n for group in looked)}
    found: list[tuple[str, str]] = []
    if not looked:
        found.append(("nothing", text("advice.nothing_looked", reason=_commonest(groups, text))))
    elif not advised:
        found.append(("none", text("advice.none", **counts)))
    else:
        found.append(("some", text("advice.some", advised=len(advised), **counts)))
    found += [("save", save(group, group.advised, text)) for group in advised if group.advised is not None]
    open_ = [group for group in looked if group.closest is not None]
    found += [("close", close(group, group.closest, text)) for group in open_ if group.closest is not None]
    if looked:
        key = "carbon" if grid.g_per_kwh is not None else "no_carbon"
        intensity = number.significant(grid.g_per_kwh)
        found.append((key, text(f"advice.{key}", intensity=intensity, source=grid.source)))
    return tuple(Sentence(key=key, text=words) for key, words in found)


def _commonest(groups: Sequence[AdviceGroup], text: Text) -> str:
    """Why most groups were not looked at; of reasons that differ by their numbers the best-placed group's."""
    if not groups:
        return text("advice.empty")
    kinds = Counter(_wordless(group.reason) for group in groups)
    most = min(kinds, key=lambda kind: (-kinds[kind], kind))
    return max((g for g in groups if _wordless(g.reason) == most), key=lambda g: (g.n, g.model)).reason


def _wordless(reason: str) -> str:
    return "".join(letter for letter in reason if not letter.isdigit())


def save(group: AdviceGroup, setting: AdviceSetting, text: Text) -> str:
    """What is advised for a group, in words."""
    worst = min(setting.metrics, key=lambda m: m.bound)
    return text(
        "advice.save",
        place=place(group, text),
        changes=changes(setting.changes, text),
        reference=text(f"advice.reference.{group.reference.replace(' ', '_')}"),
        change=number.percent(100 * (setting.ratio - 1)),
        lo=number.percent(100 * (setting.lo - 1)),
        hi=number.percent(100 * (setting.hi - 1)),
        saved=number.energy(setting.saved_j),
        metric=worst.label,
        bound=number.percent(100 * worst.bound, 2),
        n=group.n,
    )


def close(group: AdviceGroup, setting: AdviceSetting, text: Text) -> str:
    """How close the best setting of a group without advice came, and what would settle it."""
    worst = min(setting.metrics, key=lambda m: m.bound)
    if group.test is None:
        settle = text("advice.settle.none")
    else:
        more = group.test.wanted > group.test.replicates
        key = "hopeless" if group.test.wanted > confirm.LARGE else "many" if more else "runs"
        settle = text(f"advice.settle.{key}", replicates=group.test.replicates, wanted=group.test.wanted)
    return text(
        "advice.close",
        place=place(group, text),
        changes=changes(setting.changes, text),
        change=number.percent(100 * (setting.ratio - 1)),
        lo=number.percent(100 * (setting.lo - 1)),
        hi=number.percent(100 * (setting.hi - 1)),
        metric=worst.label,
        bound=number.percent(100 * worst.bound, 2) if worst.bound > -1 else text("advice.unbounded"),
        settle=settle,
        n=group.n,
    )


def place(group: AdviceGroup, text: Text) -> str:
    """A model in its mode, or a pair, in words."""
    return text(f"advice.place.{group.mode}", model=group.model, partner=group.partner)


def changes(found: Sequence[AdviceChange], text: Text) -> str:
    """Changed hyperparameters in words."""
    return ", ".join(
        text(
            "advice.change_of" if change.role else "advice.change",
            role=change.role,
            factor=change.label,
            value=number.level(change.value),
            reference=number.level(change.reference),
        )
        for change in found
    )
