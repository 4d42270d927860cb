"""``python -m causal_report.reproduction RECORDED REPRODUCED``: two sessions of the same cases compared.

Cases are paired by their id. For each model and metric the table gives both medians, the mean ratio
reproduced / recorded with its 95 % interval, and a paired t-test on the log-ratios (on differences
where values may be zero or negative), corrected over the table by Benjamini-Hochberg. A reproduction
that is exact in every pair needs no test and says ``identical``.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

METRICS = (
    "duration_seconds",
    "total_energy_joules",
    "energy_cpu_total_joules",
    "energy_gpu_total_joules",
)
SAME = ("data_digest", "device", "executor", "weights")
LEAST_PAIRS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One metric of one model. ``scale`` is ``ratio`` or ``difference``; p is None where not tested."""

    model: str
    metric: str
    n: int
    recorded: float
    reproduced: float
    scale: str
    change: float
    lo: float | None = None
    hi: float | None = None
    p: float | None = None
    q: float | None = None
    note: str = ""


def compare(recorded: pd.DataFrame, reproduced: pd.DataFrame) -> list[Line]:
    """One line for each model and metric both tables have.

    Args:
        recorded: summary rows of the recorded session.
        reproduced: summary rows of the same case ids, run again.
    """
    pairs = _pairs(recorded, reproduced)
    lines: list[Line] = []
    for model, group in pairs.groupby("name", sort=True):
        both = sorted(str(c).removesuffix("_old") for c in group.columns if str(c).endswith("_old"))
        estimates = [c for c in both if c.startswith("estimate_") and c.endswith("_joules")]
        metrics = [*METRICS, *estimates, *(c for c in both if c.startswith("perf_"))]
        for metric in metrics:
            line = _line(str(model), metric, group)
            if line:
                lines.append(line)
    return _corrected(lines)


def _pairs(recorded: pd.DataFrame, reproduced: pd.DataFrame) -> pd.DataFrame:
    """Last successful row of each case and role on both sides, side by side."""
    keys = ["case_id", "role"]
    sides = [t[t["training_success"]].drop_duplicates(keys, keep="last") for t in (recorded, reproduced)]
    both = sides[0].merge(sides[1], on=keys, suffixes=("_old", "_new"))
    both = both.copy()  # whole again after the merge
    both["name"] = both["repository_old"] + "/" + both["model_old"]
    return both


def _line(model: str, metric: str, group: pd.DataFrame) -> Line | None:
    import numpy as np
    from scipy import stats

    if f"{metric}_old" not in group or f"{metric}_new" not in group:
        return None
    values = group[[f"{metric}_old", f"{metric}_new"]].astype(float).dropna().to_numpy()
    if not len(values):
        return None
    old, new = values[:, 0], values[:, 1]
    positive = bool((values > 0).all())
    gap = np.log(new / old) if positive else new - old
    centre = float(gap.mean())
    line = Line(
        model=model,
        metric=metric,
        n=len(gap),
        recorded=float(np.median(old)),
        reproduced=float(np.median(new)),
        scale="ratio" if positive else "difference",
        change=math.exp(centre) if positive else centre,
    )
    if np.array_equal(old, new):
        return replace(line, note="identical")
    if len(gap) < LEAST_PAIRS:
        return replace(line, note=f"{len(gap)} pairs: no test under {LEAST_PAIRS}")
    if float(gap.std()) == 0.0:
        return replace(line, note="the same change in every pair")
    test = stats.ttest_1samp(gap, 0.0)
    interval = test.confidence_interval(0.95)
    bounds = (float(interval.low), float(interval.high))
    lo, hi = (math.exp(bounds[0]), math.exp(bounds[1])) if positive else bounds
    return replace(line, lo=lo, hi=hi, p=float(test.pvalue))


def _corrected(lines: list[Line]) -> list[Line]:
    from causal_report.regression import benjamini_hochberg

    q = benjamini_hochberg([line.p for line in lines])
    return [replace(line, q=value) for line, value in zip(lines, q, strict=True)]


def differences(recorded: Path, reproduced: Path, old: pd.DataFrame, new: pd.DataFrame) -> list[str]:
    """What was not the same: sources, base, versions, data, device."""
    before, after = (json.loads((folder / "session.json").read_text()) for folder in (recorded, reproduced))
    found = []
    for name, entry in before["catalogue"].items():
        if after["catalogue"].get(name, {}).get("sources") != entry["sources"]:
            found.append(f"the sources of {name} differ")
    keys = ("base", "executor")
    found += [f"{key}: {before[key]} then, {after[key]} now" for key in keys if before[key] != after[key]]
    if before["host"] != after["host"]:
        changed = [k for k in before["host"] if before["host"][k] != after["host"].get(k)]
        found.append(f"host differs in {', '.join(changed)}")
    pairs = _pairs(old, new)
    for column in SAME:
        if column in old and column in new:
            count = int((pairs[f"{column}_old"].fillna("") != pairs[f"{column}_new"].fillna("")).sum())
            if count:
                found.append(f"{column} differs in {count} of {len(pairs)} pairs")
    return found


def table(lines: Sequence[Line]) -> str:
    """The comparison as text."""
    rows = [("model", "metric", "n", "recorded", "reproduced", "change", "95 % interval", "p", "q", "")]
    for line in lines:
        interval = f"{line.lo:.4g} .. {line.hi:.4g}" if line.lo is not None and line.hi is not None else "-"
        sign = "x" if line.scale == "ratio" else "+"
        p, q = (f"{v:.3g}" if v is not None else "-" for v in (line.p, line.q))
        numbers = (f"{line.recorded:.5g}", f"{line.reproduced:.5g}", f"{sign}{line.change:.4g}")
        rows.append((line.model, line.metric, str(line.n), *numbers, interval, p, q, line.note))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print the comparison; 1 when no case could be paired, 2 on bad input."""
    import pandas as pd

    parser = argparse.ArgumentParser(prog="python -m causal_report.reproduction", description=__doc__)
    parser.add_argument("recorded", type=Path)
    parser.add_argument("reproduced", type=Path)
    options = parser.parse_args(argv)
    for folder in (options.recorded, options.reproduced):
        if not (folder / "summary.csv").is_file():
            print(f"reproduction: {folder}: no summary.csv here; give a session folder", file=sys.stderr)
            return 2
    old, new = (pd.read_csv(folder / "summary.csv") for folder in (options.recorded, options.reproduced))
    lines = compare(old, new)
    for note in differences(options.recorded, options.reproduced, old, new):
        print(f"not the same: {note}")
    if not lines:
        print("no case succeeded in both sessions: nothing to compare", file=sys.stderr)
        return 1
    print(table(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
