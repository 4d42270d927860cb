"""Runs that carry an effect by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_report.quality.comparable import cells
from causal_report.quality.hit import hits
from causal_report.quality.thresholds import limit
from causal_report.table import LOGGED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from causal_report.quality.hit import Hit
    from causal_report.quality.view import Mask, Setting, Vector, View


def leverage(view: View, rows: Mask) -> Iterator[Hit]:
    """Runs that carry much of the variation of a hyperparameter by themselves."""
    for setting in view.settings:
        if setting.label_only:
            continue
        dose = setting.dose if setting.name in LOGGED else setting.value
        out, share = np.zeros(view.n, bool), np.zeros(view.n)
        for at in cells(view.model, rows & np.isfinite(dose)):
            square = (dose[at] - dose[at].mean()) ** 2
            total = float(square.sum())
            if len(at) >= limit("least") and total > 0:
                share[at] = square / total
                out[at] = share[at] > limit("leverage")
        yield from hits("leverage", out, _carried(setting, share))


def _carried(setting: Setting, share: Vector) -> Callable[[int], str]:
    name = setting.name.replace("_", " ")
    return lambda at: f"{name} {setting.value[at]:g} carries {share[at]:.0%} of this model's variation of it"
