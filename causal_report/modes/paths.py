"""Step 4 and the study's three questions by mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causal_report import regression
from causal_report.findings.modes import ModeDrivers, ModePath
from causal_report.modes import rows, rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Literal

    import pandas as pd

    from causal_report.findings.mediation import ModeDifference
    from causal_report.findings.modes import ModeInteraction


def paths(differences: Sequence[ModeDifference]) -> tuple[ModePath, ...]:
    """Indirect effects side by side, in the order of group and path."""
    found = [
        ModePath(
            group=d.group,
            cause=d.cause_label,
            mediator=d.mediator_label,
            outcome=d.outcome_label,
            alone=d.alone.indirect,
            alone_lo=d.alone.lo,
            alone_hi=d.alone.hi,
            alone_p=d.alone.p,
            background=d.background.indirect,
            background_lo=d.background.lo,
            background_hi=d.background.hi,
            background_p=d.background.p,
            difference=d.difference,
            lo=d.lo,
            hi=d.hi,
            p=d.p,
            q=d.q,
            reason=d.reason,
        )
        for d in differences
    ]
    return tuple(sorted(found, key=lambda p: (p.group, p.cause, p.mediator, p.outcome)))


def drivers(
    frame: pd.DataFrame, interactions: Sequence[ModeInteraction], found: Sequence[ModePath], energy: str
) -> tuple[ModeDrivers, ...]:
    """Questions 1 to 3 by group and mode: what moves energy, what moves both, which paths there are.

    Args:
        frame: runs alone and with a load.
        interactions: of step 3; their slopes by mode are the answers.
        found: of step 4.
        energy: the outcome that is analysed as energy, duration where no joules exist.
    """
    modes: tuple[Literal["alone", "background"], ...] = ("alone", "background")
    return tuple(
        _drivers(frame, group, mode, interactions, found, energy)
        for group in sorted(frame["repository"].astype(str).unique())
        for mode in modes
    )


def _drivers(
    frame: pd.DataFrame,
    group: str,
    mode: Literal["alone", "background"],
    interactions: Sequence[ModeInteraction],
    found: Sequence[ModePath],
    energy: str,
) -> ModeDrivers:
    mine = [i for i in interactions if i.group == group and not i.model]
    verdicts: dict[str, set[str]] = {"clear": set(), "bounded": set(), "open": set()}
    performance: set[str] = set()
    for item in mine:
        verdict = next((s.verdict for s in item.slopes if s.mode == mode), "open")
        if item.outcome == energy:
            verdicts[verdict].add(item.factor_label)
        elif item.outcome_part == "performance" and verdict == "clear":
            performance.add(item.factor_label)
    rows_in = frame[(frame["repository"] == group) & (frame["mode"] == mode)]
    return ModeDrivers(
        group=group,
        mode=mode,
        n=len(rows_in),
        energy=_sorted(verdicts["clear"]),
        performance=_sorted(performance),
        shared=_sorted(verdicts["clear"] & performance),
        bounded=_sorted(verdicts["bounded"]),
        open=_sorted(verdicts["open"]),
        paths=_clear([p for p in found if p.group == group], mode),
    )


def _clear(found: Sequence[ModePath], mode: str) -> tuple[str, ...]:
    """Paths of one mode whose interval leaves out nought and which survive the correction for many."""
    alone = mode == rows.ALONE
    q = regression.benjamini_hochberg([p.alone_p if alone else p.background_p for p in found])
    clear = []
    for path, value in zip(found, q, strict=True):
        lo, hi = (path.alone_lo, path.alone_hi) if alone else (path.background_lo, path.background_hi)
        outside = lo is not None and hi is not None and (lo > 0 or hi < 0)
        if outside and value is not None and value < rules.ALPHA:
            clear.append(f"{path.cause} → {path.mediator} → {path.outcome}")
    return _sorted(clear)


def _sorted(labels: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(labels))
