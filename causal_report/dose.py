"""The factor that matters most against the response, run by run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causal_report.findings import Dose, Point

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.findings import Effect
    from causal_report.table import Column, Table

MOST_POINTS = 800
"""More runs than this are thinned evenly, in the order of the table."""


def choose(table: Table, energy: Column, found: Sequence[Effect]) -> Dose | None:
    """The factor with the smallest q on the response, and its runs."""
    tested = [e for e in found if e.outcome == energy.name and e.q is not None]
    if not tested:
        return None
    best = min(tested, key=lambda e: (e.q or 0.0, -abs(e.plain or 0.0)))
    factor = next(column for column in table.of("design") if column.name == best.factor)
    known = table.frame.dropna(subset=[factor.name, energy.name])
    known = known[known[energy.name] > 0]
    if factor.log:
        known = known[known[factor.name] > 0]
    shown = known.iloc[:: -(-len(known) // MOST_POINTS)] if len(known) else known
    columns = (shown[name] for name in ("experiment_id", "model_id", factor.name, energy.name))
    return Dose(
        factor=factor.name,
        factor_label=factor.label,
        outcome=energy.name,
        outcome_label=energy.label,
        unit=energy.unit,
        log_x=factor.log,
        of=len(known),
        points=tuple(
            Point(experiment_id=str(run), model=str(model), x=float(x), y=float(y))
            for run, model, x, y in zip(*columns, strict=True)
        ),
    )
