"""The bootstrap of a path by moments against the loop of refits, and its coverage.

Run: ``python -m tests.benchmarks.mediation``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_report.absorption import centred
from causal_report.mediation import intervals, moments

if TYPE_CHECKING:
    from collections.abc import Callable

DRAWS = 1000
TIMED = 40
SIZES = (50, 150, 250, 800)
CELLS = ((50, 0.4, 0.4), (150, 0.0, 0.4), (150, 0.15, 0.15), (150, 0.4, 0.4), (300, 0.4, 0.4))


def made(n: int, a: float, b: float, *, seed: int) -> pd.DataFrame:
    """One table: cause, control, mediator, outcome with indirect effect a * b."""
    rng = np.random.default_rng(seed)
    x, control = rng.normal(size=n), rng.normal(size=n)
    m = a * x + 0.3 * control + rng.normal(size=n)
    y = b * m + 0.2 * x + 0.3 * control + rng.normal(size=n)
    return pd.DataFrame({"control": control, "x": x, "m": m, "y": y})


def naive(frame: pd.DataFrame, draws: int) -> list[float]:
    """The indirect effect by resampling the frame and fitting three formulas."""
    import statsmodels.formula.api as smf

    found = []
    for draw in range(draws):
        drawn = frame.sample(len(frame), replace=True, random_state=draw)
        a = smf.ols("m ~ x + control", drawn).fit().params["x"]
        smf.ols("y ~ x + control", drawn).fit()
        b = smf.ols("y ~ x + m + control", drawn).fit().params["m"]
        found.append(float(a * b))
    return found


def by_moments(
    frame: pd.DataFrame, *, draws: int = DRAWS, seed: int = 0
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Percentile and BCa interval, jackknife included."""
    strata = np.zeros(len(frame), dtype=np.intp)
    z = centred(frame.to_numpy(), strata)
    found, left_out, whole = (
        moments.slopes(grams, *moments.swept(grams, [0]), (1, 2, 3)).indirect
        for grams in (
            moments.resampled(z, strata, draws, np.random.default_rng(seed)),
            moments.jackknifed(z, strata),
            (z.T @ z)[None],
        )
    )
    return intervals.percentile(found), intervals.bca(found, float(whole[0]), left_out)


def coverage(n: int, a: float, b: float, *, tables: int, draws: int = 1000) -> float:
    """Share of percentile intervals that hold a * b; seeds 0 to *tables* - 1."""
    held = 0
    for seed in range(tables):
        (low, high), _ = by_moments(made(n, a, b, seed=seed), draws=draws, seed=seed)
        held += low <= a * b <= high
    return held / tables


def timed(work: Callable[[], object]) -> float:
    """CPU seconds of *work*."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Print the tables."""
    print(f"{DRAWS} resamples of one path, CPU time; naive: {TIMED} timed and scaled")
    print("    N    naive s    moments ms    ratio")
    for n in SIZES:
        frame = made(n, 0.4, 0.4, seed=n)
        by_moments(frame)
        naive(frame, 1)
        ours = min(timed(lambda: by_moments(frame)) for _ in range(5))  # noqa: B023
        loop = timed(lambda: naive(frame, TIMED)) * DRAWS / TIMED  # noqa: B023
        print(f"{n:5d} {loop:10.1f} {1000 * ours:13.1f} {loop / ours:8.0f}")
    print("coverage of the 95 % percentile interval, 1000 tables a cell (seeds 0 to 999)")
    for n, a, b in CELLS:
        print(f"N {n:4d}  a {a:4.2f}  b {b:4.2f}  {coverage(n, a, b, tables=1000):.3f}")


if __name__ == "__main__":
    main()
