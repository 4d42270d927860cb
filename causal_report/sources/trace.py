"""Reads trace.csv: what the meters sampled during one attempt."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COLUMNS = ("meter", "channel", "kind", "source", "form", "quantity", "t_ns", "value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One channel of one meter.

    Attributes:
        values: by quantity (``energy_j``, ``power_w`` ...) pairs of CLOCK_MONOTONIC ns and value.
        faults: moment and code.
    """

    meter: str
    channel: str
    kind: str
    form: str
    tick_s: float
    values: Mapping[str, tuple[tuple[int, float], ...]]
    faults: tuple[tuple[int, str], ...]


def read(path: Path) -> tuple[Trace, ...]:
    """Every trace in *path*; none where the file is missing or cannot be read.

    A line that cannot be read ends its file: what stands before it is kept.
    """
    found: dict[tuple[str, ...], dict[str, list[tuple[int, float]]]] = {}
    faults: dict[tuple[str, ...], list[tuple[int, str]]] = {}
    ticks: dict[tuple[str, ...], float] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            if tuple(next(reader, ())) != COLUMNS:
                return ()
            for meter, channel, kind, _, form, quantity, t_ns, value in reader:
                key = (meter, channel, kind, form)
                values = found.setdefault(key, {})
                if quantity == "tick_s":
                    ticks[key] = float(value)
                elif not t_ns:
                    continue  # another property of the channel
                elif quantity.startswith("fault:"):
                    faults.setdefault(key, []).append((int(t_ns), quantity.removeprefix("fault:")))
                else:
                    values.setdefault(quantity, []).append((int(t_ns), float(value)))
    except (OSError, UnicodeDecodeError):
        return ()
    except (ValueError, csv.Error):
        pass  # torn while it was written
    return tuple(
        Trace(
            meter=key[0],
            channel=key[1],
            kind=key[2],
            form=key[3],
            tick_s=ticks.get(key, 0.0),
            values={name: tuple(points) for name, points in values.items()},
            faults=tuple(faults.get(key, ())),
        )
        for key, values in found.items()
    )
