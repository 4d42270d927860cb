"""trace.csv: everything the meters sampled during one attempt, in one long table.

Columns ``meter, channel, kind, source, form, quantity, t_ns, value``. ``quantity`` is ``energy_j``
(cumulative), a gauge (``power_w`` ...), a property of the channel (``tick_s``, and ``range_j``,
``average_s``, ``limit_w`` where it has them: one row for each trace, without a time) or ``fault:<code>``
(the value is its text).
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, get_args

from energy_plugin.errors import FileError
from energy_plugin.record.trace import Channel, Fault, Form, Kind, Sample, Trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

COLUMNS = ("meter", "channel", "kind", "source", "form", "quantity", "t_ns", "value")
PROPERTIES = ("tick_s", "range_j", "average_s", "limit_w")


def write_traces(path: Path, traces: Sequence[Trace]) -> None:
    """Write *traces*; floats in full precision."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for trace in traces:
            channel = trace.channel
            head = (trace.meter, channel.id, channel.kind, channel.source, trace.form)
            writer.writerows((*head, *row) for row in _rows(trace))


def _rows(trace: Trace) -> Iterator[tuple[str, int | str, float | str]]:
    for name in PROPERTIES:
        value = float(getattr(trace.channel, name))
        if value or name == "tick_s":
            yield name, "", repr(value)
    for t_ns, joules in trace.samples:
        yield "energy_j", t_ns, repr(float(joules))
    for name, values in trace.gauges.items():
        for t_ns, value in values:
            yield name, t_ns, repr(float(value))
    for t_ns, code, detail in trace.faults:
        yield f"fault:{code}", t_ns, detail


def read_traces(path: Path) -> list[Trace]:
    """The traces :func:`write_traces` wrote, in order.

    Raises:
        FileError: a column is missing or a value is no number; it names the line.
    """
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise FileError(path, "columns", reader.fieldnames, f"write {', '.join(COLUMNS)}")
        for row in reader:
            key = (row["meter"], row["channel"], row["kind"], row["source"], row["form"])
            parts = found.setdefault(key, {"properties": {}, "samples": [], "faults": [], "gauges": {}})
            try:
                _keep(parts, row)
            except (TypeError, ValueError):
                mend = "write a time in whole nanoseconds and a number"
                raise FileError(path, f"line {reader.line_num}", row, mend) from None
    return [_trace(path, key, parts) for key, parts in found.items()]


def _keep(parts: dict[str, Any], row: dict[str, str]) -> None:
    quantity, value = row["quantity"], row["value"]
    if quantity in PROPERTIES and not row["t_ns"]:
        parts["properties"][quantity] = float(value)
    elif quantity == "energy_j":
        parts["samples"].append(Sample(int(row["t_ns"]), float(value)))
    elif quantity.startswith("fault:"):
        parts["faults"].append(Fault(int(row["t_ns"]), quantity.removeprefix("fault:"), value))
    else:
        parts["gauges"].setdefault(quantity, []).append((int(row["t_ns"]), float(value)))


def _trace(path: Path, key: tuple[str, ...], parts: dict[str, Any]) -> Trace:
    meter, channel, kind, source, form = key
    for name, value, valid in (("kind", kind, get_args(Kind)), ("form", form, get_args(Form))):
        if value not in valid:
            raise FileError(path, name, value, f"write one of {', '.join(valid)}")
    return Trace(
        meter=meter,
        channel=Channel(id=channel, meter=meter, source=source, kind=kind, **parts["properties"]),  # type: ignore[arg-type]
        form=form,  # type: ignore[arg-type]
        samples=tuple(parts["samples"]),
        faults=tuple(parts["faults"]),
        gauges={name: tuple(values) for name, values in parts["gauges"].items()},
    )
