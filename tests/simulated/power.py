"""Power known in closed form: the terms of a trace, and the live work of real processes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from pathlib import Path

MASK = (1 << 64) - 1


def u01(seed: int, stream: int, k: int) -> float:
    """Evenly from [0, 1): the same number for the same arguments, here and in world.c."""
    x = (seed * 0x9E3779B97F4A7C15 + stream * 0xBF58476D1CE4E5B9 + k * 0xD6E8FEB86659FD93) & MASK
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return ((x ^ (x >> 31)) >> 11) / 2**53


class Term(Protocol):
    """A part of a power trace; seconds count from the hardware's t0."""

    def energy_j(self, t_s: float) -> float:
        """Joules from the trace's beginning up to *t_s*."""

    def line(self) -> str:
        """As the simulated library reads it."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Watts above idle from ``start_s`` to ``end_s``, for the share ``duty`` of every period."""

    start_s: float
    end_s: float
    power_w: float
    period_s: float = 1.0
    duty: float = 1.0

    def energy_j(self, t_s: float) -> float:
        """Joules above idle up to *t_s*."""
        x = min(max(t_s, self.start_s), self.end_s) - self.start_s
        if self.duty >= 1:
            return self.power_w * x
        whole = math.floor(x / self.period_s)
        on_s = self.period_s * self.duty
        return self.power_w * (whole * on_s + min(x - whole * self.period_s, on_s))

    def line(self) -> str:
        """As the simulated library reads it."""
        if self.duty >= 1:
            return f"const {self.start_s} {self.end_s} {self.power_w}"
        return f"square {self.start_s} {self.end_s} {self.power_w} {self.period_s} {self.duty}"


@dataclass(frozen=True, kw_only=True)
class Burst:
    """One burst of ``on_s`` in every period, begun up to ``jitter_s`` late (jitter + on <= period)."""

    start_s: float
    end_s: float
    power_w: float
    on_s: float
    period_s: float
    jitter_s: float = 0.0
    seed: int = 0

    def energy_j(self, t_s: float) -> float:
        """Joules above idle up to *t_s*."""
        x = min(max(t_s, self.start_s), self.end_s) - self.start_s
        k = math.floor(x / self.period_s)
        begin = k * self.period_s + self.jitter_s * u01(self.seed, 0, k)
        return self.power_w * (k * self.on_s + min(max(x - begin, 0.0), self.on_s))

    def line(self) -> str:
        """As the simulated library reads it."""
        span = f"{self.start_s} {self.end_s}"
        return f"burst {span} {self.power_w} {self.on_s} {self.period_s} {self.jitter_s} {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """From one power above idle to another, linear."""

    start_s: float
    end_s: float
    from_w: float
    to_w: float

    def energy_j(self, t_s: float) -> float:
        """Joules above idle up to *t_s*."""
        x = min(max(t_s, self.start_s), self.end_s) - self.start_s
        return self.from_w * x + (self.to_w - self.from_w) * x * x / (2 * (self.end_s - self.start_s))

    def line(self) -> str:
        """As the simulated library reads it."""
        return f"ramp {self.start_s} {self.end_s} {self.from_w} {self.to_w}"


@dataclass(frozen=True, kw_only=True)
class Sine:
    """A mean power above idle that swings by ``amplitude_w`` up and down."""

    start_s: float
    end_s: float
    power_w: float
    amplitude_w: float
    period_s: float

    def energy_j(self, t_s: float) -> float:
        """Joules above idle up to *t_s*."""
        x = min(max(t_s, self.start_s), self.end_s) - self.start_s
        turn = self.period_s / (2 * math.pi)
        return self.power_w * x + self.amplitude_w * turn * (1 - math.cos(x / turn))

    def line(self) -> str:
        """As the simulated library reads it."""
        return f"sine {self.start_s} {self.end_s} {self.power_w} {self.amplitude_w} {self.period_s}"


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Idle power moves by ``rate_w_s`` from ``start_s`` to ``end_s`` and stays where it came to."""

    rate_w_s: float
    start_s: float = 0.0
    end_s: float = math.inf

    def energy_j(self, t_s: float) -> float:
        """Joules of the change up to *t_s*."""
        x = min(max(t_s, self.start_s), self.end_s) - self.start_s
        return self.rate_w_s * (x * x / 2 + x * max(0.0, t_s - max(self.end_s, self.start_s)))

    def line(self) -> str:
        """As the simulated library reads it."""
        return f"drift {self.start_s} {self.end_s} {self.rate_w_s}"


@dataclass(frozen=True, kw_only=True)
class Swing:
    """Idle power swings for ever, slowly."""

    amplitude_w: float
    period_s: float

    def energy_j(self, t_s: float) -> float:
        """Joules of the swing up to *t_s*."""
        turn = self.period_s / (2 * math.pi)
        return self.amplitude_w * turn * (1 - math.cos(t_s / turn))

    def line(self) -> str:
        """As the simulated library reads it."""
        return f"swing {self.amplitude_w} {self.period_s}"


def term_of(line: str) -> Term:
    """The term that wrote this line."""
    kind, *rest = line.split()
    v = [float(word) for word in rest]
    if kind == "const":
        return Segment(start_s=v[0], end_s=v[1], power_w=v[2])
    if kind == "square":
        return Segment(start_s=v[0], end_s=v[1], power_w=v[2], period_s=v[3], duty=v[4])
    if kind == "burst":
        return Burst(
            start_s=v[0], end_s=v[1], power_w=v[2], on_s=v[3], period_s=v[4], jitter_s=v[5], seed=int(v[6])
        )
    if kind == "ramp":
        return Ramp(start_s=v[0], end_s=v[1], from_w=v[2], to_w=v[3])
    if kind == "sine":
        return Sine(start_s=v[0], end_s=v[1], power_w=v[2], amplitude_w=v[3], period_s=v[4])
    if kind == "drift":
        return Drift(start_s=v[0], end_s=v[1], rate_w_s=v[2])
    if kind == "swing":
        return Swing(amplitude_w=v[0], period_s=v[1])
    raise ValueError(f"no such term: {line!r}")


class Work(NamedTuple):
    """Live work of one process: from ``begin_ns`` to ``end_ns`` (infinite while it lasts)."""

    begin_ns: int
    end_ns: float
    pid: int
    power_w: float
    device: int
    tied: bool

    def energy_j(self, t_ns: float) -> float:
        """Joules up to *t_ns*."""
        return self.power_w * max(0.0, min(t_ns, self.end_ns) - self.begin_ns) / 1e9


def works(path: Path) -> list[Work]:
    """The live work a file tells of; a line that is still being written is left out."""
    found: list[Work] = []
    text = path.read_text() if path.exists() else ""
    follow(found, text[: text.rfind("\n") + 1])
    return found


def follow(found: list[Work], text: str) -> None:
    """Add to *found* what further whole lines tell."""
    for line in text.splitlines():
        mark, t_ns, pid, *rest = line.split()
        if mark == "E":
            _end(found, int(t_ns), int(pid), int(rest[0]) if rest else 0)
        else:
            device = int(rest[1]) if len(rest) > 1 else 0
            found.append(Work(int(t_ns), math.inf, int(pid), float(rest[0]), device, mark == "L"))


def _end(found: list[Work], end_ns: int, pid: int, device: int) -> None:
    for i in reversed(range(len(found))):
        if (found[i].pid, found[i].device, found[i].end_ns) == (pid, device, math.inf):
            found[i] = found[i]._replace(end_ns=end_ns)
            return
