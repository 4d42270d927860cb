"""When a session rests: before its first case, between cases until the machine is back, and at the end."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from energy_plugin.record.baseline import Baseline
from energy_plugin.record.record import Cooldown
from energy_plugin.run.idle import Slice, baseline_of, sensing, slice_s, watch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from energy_plugin.clock import Clock
    from energy_plugin.record.baseline import Level
    from energy_plugin.run.guard import Guarded

SETTLE_S = 2.0
"""Before a baseline: what made the meters ready took power itself."""
TRIES = 3
"""A baseline that drifts is taken again, so often at most."""
STEADY_SHARE = 0.05
BACK_SHARE = 0.05
BACK_W = 0.5
"""Back at idle: within this share and these watts of the first baseline (and its uncertainty) ..."""
BACK_C = 3.0
"""... and no more than this many degrees above its temperature."""
TOLD_S = 3.0
"""A longer wait is announced."""
SLICES = 2
"""Slices of a cooldown that must be back, one after the other; they are the next case's baseline."""


class Rest:
    """Idle baselines and cooldowns of one session.

    Args:
        meters: the living ones; only those that see the machine's power now take part.
        idle_s: length of the baselines before and after, 0 none.
        cooldown_s: longest rest between two cases, 0 none.
        tell: called once for each wait longer than three seconds, with what is waited for.

    Attributes:
        held: the baseline that the next attempt's readings carry.
        first: the one before the first case, None until it was taken.
    """

    def __init__(
        self,
        meters: Sequence[Guarded],
        clock: Clock,
        idle_s: float,
        cooldown_s: float,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._meters = sensing(meters)
        self._clock = clock
        self._idle_s = idle_s
        self._cooldown_s = cooldown_s
        self._tell = tell
        self.first: Baseline | None = None
        self.held = Baseline(name="idle:before", reason=self.why_not())

    def why_not(self) -> str:
        """Why no baseline is taken here; empty when one is."""
        if not self._meters:
            return "no direct meter lives here"
        return "" if self._idle_s else "--energy-idle 0"

    @property
    def most_s(self) -> float:
        """The longest a cooldown will take here."""
        return self._cooldown_s if self._hot or self._levels else 0.0

    @property
    def _hot(self) -> bool:
        """Whether a GPU or wall meter lives: then a fixed rest is better than none."""
        return any(c.alive and c.id.startswith(("gpu:", "mains:")) for m in self._meters for c in m.channels)

    @property
    def _levels(self) -> list[Level]:
        """The levels to come back to."""
        return [level for level in (self.first.levels if self.first else ()) if level.power_w is not None]

    # --- before and after ---

    def before(self) -> Baseline:
        """The baseline before the first case; takes some seconds, none where there is nothing to see."""
        self.first = self.held = self._steady("idle:before", None)
        return self.first

    def after(self) -> Baseline:
        """The baseline after the last case."""
        return self._steady("idle:after", self.first)

    def ends(self, *, interrupted: bool) -> list[Baseline]:
        """The baseline before all cases and, taken now, the one after them; none where no case ran.

        Args:
            interrupted: whoever wants to leave does not wait for the last one.
        """
        if self.first is None or self.first.reason:
            return [self.first] if self.first else []
        return [
            self.first,
            Baseline(name="idle:after", reason="interrupted") if interrupted else self.after(),
        ]

    def _steady(self, name: str, earlier: Baseline | None) -> Baseline:
        """Settle, then watch until a whole window shows no drift."""
        if self.why_not():
            return Baseline(name=name, reason=self.why_not())
        if (wait_s := SETTLE_S + self._idle_s) > TOLD_S:
            longer = f", up to {TRIES} times as long while its power drifts"
            self._tell(f"watching the machine at rest for {wait_s:g} s{longer}")
        self._clock.sleep(SETTLE_S)
        for _ in range(TRIES):
            baseline = baseline_of(name, self._window(), earlier)
            if all(_is_steady(level) for level in baseline.levels):
                break
        return baseline

    def _window(self) -> list[Slice]:
        """In halves, where they are long enough: their difference is the drift."""
        count = 2 if self._idle_s >= 2 * slice_s(self._meters) else 1
        return [watch(self._meters, self._clock, self._idle_s / count) for _ in range(count)]

    # --- between ---

    def between(self) -> Cooldown:
        """Rest until temperature and idle power are back; the last slices are the next baseline."""
        if not self._cooldown_s:
            return Cooldown(seconds=0.0, reason="--energy-cooldown 0")
        if not self.most_s:
            return Cooldown(seconds=0.0, reason=self._why_no_cooldown())
        if not self._levels:
            if self._cooldown_s > TOLD_S:
                self._tell(f"resting for {self._cooldown_s:g} s before the next case")
            self._clock.sleep(self._cooldown_s)
            return Cooldown(seconds=self._cooldown_s, reason="fixed rest")
        return self._until_back()

    def _why_no_cooldown(self) -> str:
        if not self._meters:
            return "no temperature or power channel lives here"
        codes = sorted({level.reason for level in self.held.levels if level.reason})
        return f"no idle level to come back to: {', '.join(codes) or self.held.reason}"

    def _until_back(self) -> Cooldown:
        began_ns = self._clock.now_ns()
        last: deque[Slice] = deque(maxlen=SLICES)
        wanted_s, why, told = slice_s(self._meters), "", False
        while (left_s := self._cooldown_s - self._since_s(began_ns)) >= wanted_s or not last:
            if not told and self._since_s(began_ns) + wanted_s > TOLD_S:
                told = True
                above = f" ({why})" if why else ""
                self._tell(f"waiting until the machine is back at rest{above}, {left_s:.0f} s at most")
            last.append(watch(self._meters, self._clock, min(wanted_s, left_s)))
            why = next(filter(None, (self._not_back(part) for part in last)), "")
            if not why and len(last) == SLICES:
                break
        self.held = baseline_of("idle:between", list(last), self.first)
        seconds = self._since_s(began_ns)
        if why:
            return Cooldown(seconds=seconds, reason=f"not back at idle: {why}")
        return Cooldown(seconds=seconds, reason="back at idle")

    def _since_s(self, began_ns: int) -> float:
        return (self._clock.now_ns() - began_ns) / 1e9

    def _not_back(self, part: Slice) -> str:
        """The first channel that is still above its first level, with how much."""
        for level in self._levels:
            seen = part.seen.get((level.meter, level.channel))
            if seen is None or level.power_w is None:
                continue
            above_w = (seen.power_w or 0.0) - level.power_w
            if above_w > max(BACK_SHARE * level.power_w, BACK_W, 3 * ((level.unc_w or 0.0) + seen.unc_w)):
                return f"{level.channel} {above_w:+.3g} W"
            above_c = (seen.temperature_c or 0.0) - (level.temperature_c or 0.0)
            if level.temperature_c is not None and above_c > BACK_C:
                return f"{level.channel} {above_c:+.3g} °C"
        return ""


def _is_steady(level: Level) -> bool:
    """Whether watching longer could help: the drift is small, or there is none to see."""
    if level.power_w is None or level.drift_w is None:
        return True
    return abs(level.drift_w) <= max(STEADY_SHARE * level.power_w, BACK_W)
