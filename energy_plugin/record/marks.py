"""Event lines of a program (images/base/contract.py) become marks and windows."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from energy_plugin.record.trace import Window

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from energy_plugin.declare.case import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One epoch as the program marked it; times are CLOCK_MONOTONIC."""

    number: int
    t0_ns: int
    t1_ns: int
    loss: float | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A part of a program that it gave a name; phases may overlap each other and the epochs."""

    name: str
    t0_ns: int
    t1_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What a program said about itself; ``fault`` is empty when every line could be read.

    Attributes:
        phases: each name once; the same name again became ``name#2``.
        unc_ns: each mark lies within ± this; 0 where the program wrote it itself, large where it was
            read from a log (``unc_ns`` of the event ``begin``).
    """

    begin: Mapping[str, Any] = field(default_factory=dict)
    ready_ns: int | None = None
    epochs: tuple[Epoch, ...] = ()
    phases: tuple[Phase, ...] = ()
    end: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""
    unc_ns: int = 0

    def windows(self, program: Role) -> list[Window]:
        """The training window (first epoch's start to last epoch's end), each epoch and each phase."""
        spans = [("training", e[0].t0_ns, e[-1].t1_ns)] if (e := self.epochs) else []
        spans += [(f"epoch:{epoch.number}", epoch.t0_ns, epoch.t1_ns) for epoch in self.epochs]
        spans += [(f"phase:{phase.name}", phase.t0_ns, phase.t1_ns) for phase in self.phases]
        return [
            Window(program=program, name=name, t0_ns=t0, t1_ns=t1, unc_ns=self.unc_ns)
            for name, t0, t1 in spans
        ]


def read_marks(path: Path) -> Marks:
    """Read an events file; a torn or foreign line becomes the fault, what is readable is kept."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Marks(fault="no event was written")
    begin: dict[str, Any] = {}
    end: dict[str, Any] = {}
    ready_ns: int | None = None
    unc_ns = 0
    epochs: list[Epoch] = []
    phases: list[Phase] = []
    fault = "" if raw.endswith(b"\n") or not raw else "the last event line is torn"
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
            match event["event"]:
                case "begin":
                    begin, unc_ns = event, max(0, int(event.get("unc_ns", 0)))
                case "ready":
                    ready_ns = int(event["t_ns"])
                case "epoch":
                    epochs.append(_epoch(event, epochs))
                case "phase":
                    phases.append(_phase(event, phases))
                case "end":
                    end = {**event, "metrics": _numbers(event.get("metrics", {}))}
                case other:
                    raise ValueError(f"unknown event {other!r}")
        except (ValueError, KeyError, TypeError, OverflowError, AttributeError) as error:
            fault = fault or f"event line {number} cannot be read ({error}): {line[:80]!r}"
    return Marks(
        begin=begin,
        ready_ns=ready_ns,
        epochs=tuple(epochs),
        phases=tuple(phases),
        end=end,
        fault=fault,
        unc_ns=unc_ns,
    )


def _epoch(event: Mapping[str, Any], earlier: list[Epoch]) -> Epoch:
    number, t0, t1 = int(event["number"]), int(event["start_ns"]), int(event["t_ns"])
    if number != len(earlier) + 1:
        raise ValueError(f"epoch {number} follows epoch {len(earlier)}")
    if t1 < t0 or (earlier and t0 < earlier[-1].t1_ns):
        raise ValueError(f"epoch {number} goes back in time")
    loss = _numbers({"loss": event.get("loss")})["loss"]
    return Epoch(number=number, t0_ns=t0, t1_ns=t1, loss=loss, metrics=_numbers(event.get("metrics", {})))


def _phase(event: Mapping[str, Any], earlier: list[Phase]) -> Phase:
    name, t0, t1 = str(event["name"]), int(event["start_ns"]), int(event["t_ns"])
    if t1 < t0:
        raise ValueError(f"phase {name!r} goes back in time")
    taken = {phase.name for phase in earlier}
    again = itertools.chain([name], (f"{name}#{n}" for n in itertools.count(2)))
    return Phase(name=next(one for one in again if one not in taken), t0_ns=t0, t1_ns=t1)


def _numbers(values: Mapping[str, Any]) -> dict[str, float | None]:
    """The values themselves, each a finite number or null as the contract writes what is not finite."""
    for name, value in values.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if value is not None and not number:
            raise ValueError(f"{name} is {value!r}, not a finite number")
    return dict(values)
