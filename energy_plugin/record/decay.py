"""What flowed after a window while power came down: carried back from the later ticks to its end."""

from __future__ import annotations

import itertools
import math
import statistics
from typing import TYPE_CHECKING

from energy_plugin.record import lag
from energy_plugin.record.line import Level, Line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from energy_plugin.record.lag import Ends

CLEAR = 4.0  # standard deviations that make an excess of energy a fact
MODEL = 0.1  # a decay is an exponential to this share
SLOWEST = 0.98  # ratio of one tick's excess to the one before it, at most ...
FASTEST = 0.3  # ... and at least: what decays faster looks like a counter that lags
USUAL = 0.85  # ... and where noise hides it: by this much
LAGS = 9  # values of the lag that the joules are the mean over
DOUBT = 4.0  # an excess of so many standard deviations weighs as much as what is usual


def decays(excess: Sequence[float], noise_j: float, unc_j: float) -> bool:
    """Whether power is clearly still above idle, or clearly coming down, from the second edge on."""
    late_j = statistics.fmean(excess[1:]) if len(excess) > 2 else 0.0
    falling = len(excess) > 2 and excess[0] - late_j > CLEAR * noise_j
    return falling or sum(excess) > CLEAR * math.hypot(noise_j, unc_j)


def decayed(line: Line, excess: Sequence[float], idle_w: float, noise_j: float, ends: Ends) -> Level:
    """Take off what flowed after the end while the power came down, as the later ticks show it.

    The excess over idle power falls by the same factor from tick to tick (an exponential decay). What
    the second tick holds beyond that is the window's own, shown late. How much flowed between the end
    and an edge depends on the counter's lag: the joules are the mean over all lags there may be.
    """
    tick_s = statistics.fmean(u - t for t, u in itertools.pairwise(line.times_s))
    # What blurs a tick's energy at idle power blurs it more at a greater one.
    noise_j *= 1 + max(0.0, statistics.fmean(excess)) / max(idle_w * tick_s, 1e-9)
    ratio, unc = _ratio(excess[1:], noise_j)
    low, level, high = (
        _carried(line, excess, idle_w, noise_j, min(max(r, FASTEST), SLOWEST), ends)
        for r in (ratio - unc, ratio, ratio + unc)
    )
    return level._replace(unc_j=math.hypot(level.unc_j, (high.joules - low.joules) / 2))


def _carried(
    line: Line, excess: Sequence[float], idle_w: float, noise_j: float, ratio: float, ends: Ends
) -> Level:
    """The value at the end, given the ratio of one tick's excess to that of the one before it."""
    tick_s = statistics.fmean(u - t for t, u in itertools.pairwise(line.times_s))
    # The excess of the tick that ends at the second edge: from all later ones by the ratio, and with it.
    later = max(0.0, sum(excess[1:])) / sum(ratio**i for i in range(1, len(excess)))
    every = max(0.0, sum(excess)) / sum(ratio**i for i in range(len(excess)))
    amounts = (every / ratio, later)

    def flowed(late: int, lag_s: float) -> float:
        return _back(amounts[late], ratio, max(0.0, line.times_s[late] - lag_s) / tick_s)

    own = (excess[0] - later, CLEAR * noise_j + MODEL * later)
    least, most = _lags(line.times_s[0], tick_s, flowed, own, ends)
    lags = [least + (most - least) * (i + 0.5) / LAGS for i in range(LAGS)]
    seen = [int(lag_s > line.times_s[0]) for lag_s in lags]
    taken = [flowed(late, lag_s) for late, lag_s in zip(seen, lags, strict=True)]
    joules = [line.joules[k] - idle_w * line.times_s[k] - j for k, j in zip(seen, taken, strict=True)]
    doubt_j = math.hypot(noise_j, 2 * MODEL * statistics.fmean(taken), statistics.pstdev(joules))
    return Level(statistics.fmean(joules), doubt_j)


def _lags(
    first_s: float,
    tick_s: float,
    flowed: Callable[[int, float], float],
    own: tuple[float, float],
    ends: Ends,
) -> tuple[float, float]:
    """The lag is between these seconds.

    Args:
        first_s: from the window's end to the first edge.
        tick_s: the most a counter lags.
        flowed: excess after the end that an edge (0: the first, 1: the second) holds, given a lag.
        own: joules of the window that the second tick seems to hold, and their doubt: with none the
            lag ends before the first edge.
        ends: what the counter shows at both ends.
    """
    first_s = min(max(0.0, first_s), tick_s)
    own_j, doubt_j = own
    if own_j > doubt_j:
        least, most = first_s, tick_s
    else:
        least, most = 0.0, min(tick_s, first_s + max(0.0, own_j + doubt_j) / max(ends.mean_w, 1e-9))
    return lag.between(ends, first_s, flowed, (least, most))


def _ratio(excess: Sequence[float], noise_j: float) -> tuple[float, float]:
    """The factor from one tick's excess to the next, from all of them, and its standard uncertainty.

    Where noise rules it is the usual one, known to 1 / DOUBT.
    """
    doubt_j = (DOUBT * noise_j) ** 2 / max(sum(excess[:-1]), noise_j, 1e-9)
    old, new = sum(excess[:-1]) + doubt_j, sum(excess[1:]) + doubt_j * USUAL
    if old <= 0:
        return USUAL, 1 / DOUBT
    return min(max(new / old, FASTEST), SLOWEST), 1 / math.hypot(DOUBT, old / max(noise_j, 1e-9))


def _back(amount_j: float, ratio: float, ticks: float) -> float:
    """Excess of the last *ticks* (a share) of a tick that holds *amount_j* of a decay by *ratio* a tick.

    A tick with excess power *a* at its front holds ``a τ (1 - ratio)``, its last ``x`` ticks
    ``a τ (ratio^(1-x) - ratio)``.
    """
    return float(amount_j * (ratio ** (1 - ticks) - ratio) / (1 - ratio))
