"""When a counter that updates in a steady rhythm will update next."""

from __future__ import annotations

import math

KNOWN_AFTER = 4  # edges seen in rhythm before the next one is foretold
SHARP = 0.6  # an edge known to less than this share of a tick says something of the phase
OFF_BEAT = 0.35  # an edge this share of a tick away from its time is another rhythm
PULL = 0.3  # how far one edge, known to its poll gap only, pulls the phase


class Ticker:
    """Period and phase of a counter's updates, from edges each known to lie between two moments.

    The period is the mean over all edges since the rhythm was found, so its error falls with their
    number; the phase follows the last edges, so that a rhythm that wanders is followed too.

    Args:
        tick_s: the period to begin with, as the probe saw it.
    """

    def __init__(self, tick_s: float) -> None:
        self._tick_ns = tick_s * 1e9
        self._first_ns = self._last_ns = 0.0
        self._ticks = self._seen = 0
        self.scatter_ns = 0.0  # how far edges come from when they were foretold, on average

    @property
    def tick_ns(self) -> float:
        """The period as known by now."""
        return self._tick_ns

    @property
    def known(self) -> bool:
        """Whether enough edges came in rhythm to foretell the next."""
        return self._seen >= KNOWN_AFTER

    def saw(self, lo_ns: float, hi_ns: float) -> None:
        """The counter moved somewhere between these two moments."""
        if hi_ns - lo_ns > SHARP * self._tick_ns:
            return
        seen_ns = (lo_ns + hi_ns) / 2
        ticks = max(1, round((seen_ns - self._last_ns) / self._tick_ns)) if self._seen else 0
        expected_ns = self._last_ns + ticks * self._tick_ns
        if not ticks or abs(seen_ns - expected_ns) > OFF_BEAT * self._tick_ns:
            self._first_ns = self._last_ns = seen_ns
            self._ticks, self._seen = 0, 1
            return
        self._ticks += ticks
        self._seen += 1
        self.scatter_ns += PULL * (abs(seen_ns - expected_ns) - self.scatter_ns)
        self._last_ns = expected_ns + PULL * (seen_ns - expected_ns)
        if self._ticks >= KNOWN_AFTER:
            self._tick_ns = (seen_ns - self._first_ns) / self._ticks

    def first_after(self, t_ns: float) -> float:
        """The first update foretold for *t_ns* or later."""
        ticks = math.ceil((t_ns - self._last_ns) / self._tick_ns)
        return self._last_ns + ticks * self._tick_ns
