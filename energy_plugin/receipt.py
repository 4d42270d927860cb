"""What one measured run is told in, right after it: one line, or a table of its readings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy_plugin.record.baseline import net
from energy_plugin.record.record import Total, direct, total
from energy_plugin.terminal import between, joules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from energy_plugin.record.record import Record
    from energy_plugin.record.trace import Reading

NO_METER = "no meter"
"""Reason of a total that no channel could have been part of: it is no code behind a channel."""
HEAD = ("channel", "meter", "gross", "net of idle", "bounds", "status", "source")


def line(record: Record, folder: Path) -> str:
    """One honest line: joules or why there are none, seconds, failure, who else measured, where."""
    name = record.case.programs[0].model
    whole = record.total()
    parts = [seconds(record.duration_s)]
    if whole.joules is None:
        parts.append(f"no joules measured: {reason(whole)}")
        parts += [f"about {joules(e.joules)} by {n}" for n, e in record.estimates().items() if e.joules]
    else:
        parts.insert(0, _measured(whole))
    if not record.success:
        parts.append(f"FAILED, {record.failure.split(': ', 1)[-1]}")
    parts += strangers(record)
    if record.simulated:
        parts.append(f"SIMULATED hardware: {record.simulated}")
    return f"{name}: {'; '.join(parts)}; {folder / record.experiment_id}"


def _measured(whole: Total) -> str:
    """Joules with their status; and their bounds where these are far off, as of windows that are short."""
    value_j = whole.joules or 0.0
    bounds = between(value_j, whole.lo_j or 0.0, whole.hi_j or 0.0)
    return f"{joules(value_j)} {whole.status}{f' ({whole.reason})' if whole.reason else ''}{bounds}"


def seconds(value: float) -> str:
    """Three figures of short times, tenths of long ones."""
    return f"{value:.1f} s" if value >= 100 else f"{value:.3g} s"


def reason(whole: Total) -> str:
    """Why a total has no joules, each code once, and what tells the mend."""
    parts = whole.reason.split("; ")
    codes = dict.fromkeys(part if part == NO_METER else part.rpartition(" ")[2] for part in parts)
    return f"{', '.join(codes)} (wattwhy doctor says how to mend it)"


def strangers(record: Record) -> list[str]:
    """Whoever measured on this host meanwhile, and GPU processes that were not the program's."""
    found = []
    if others := record.provenance.get("shared_with"):
        found.append(f"SHARED: also measured here meanwhile: {', '.join(others)}")
    if foreign := record.provenance.get("foreign_gpu_processes"):
        names = ", ".join(dict.fromkeys(f"{p['name']} (pid {p['pid']})" for p in foreign))
        found.append(f"SHARED: other processes on the GPU: {names}")
    return found


def table(record: Record, folder: Path) -> Iterator[str]:
    """Every reading of the whole run, the totals, and where the files are."""
    program = record.case.programs[0]
    values = ", ".join(f"{name}={value!r}" for name, value in program.values.items())
    code = record.outcomes[0].exit_code
    ended = "not started" if code is None else f"exit code {code}"
    yield f"{program.model}{f' ({values})' if values else ''}: {seconds(record.duration_s)}, {ended}"
    mine = [r for r in record.readings if r.window.name == record.whole]
    yield from _columns([HEAD, *(_row(r) for r in mine if r.joules is not None)])
    if dead := [f"{r.meter} {r.channel}: {r.reason}" for r in mine if r.joules is None]:
        yield f"unavailable: {', '.join(dict.fromkeys(dead))}"
    whole = record.total()
    if whole.joules is None:
        above = any(reading.joules is not None for reading in mine)
        yield f"NO JOULES MEASURED: {reason(whole)}{'; the joules above are estimated' if above else ''}"
    else:
        yield f"total: {_measured(whole)}"
    for name, estimate in record.estimates().items():
        if estimate.joules is not None:
            yield f"estimate of {name}: {joules(estimate.joules)}"
    if epochs := record.outcomes[0].epochs:
        yield f"{len(epochs)} epochs, each with its own readings"
    yield from strangers(record)
    if not record.success:
        yield f"FAILED: {record.failure.split(': ', 1)[-1]}"
    yield f"files: {folder / record.experiment_id}"


def of_window(record: Record, window: str) -> tuple[Total, dict[str, Total]]:
    """Total of the direct meters, and of each estimator, in a window by its name."""
    mine = [reading for reading in record.readings if reading.window.name == window]
    models = sorted({r.meter for r in mine if r.kind == "model"})
    estimates = {m: total(r for r in mine if r.meter == m and r.kind == "model") for m in models}
    if read := direct(mine):
        return total(read), estimates
    # Dead channels have a reading of the whole run only, with the reason.
    return Total(status="unavailable", reason=record.total().reason), estimates


def _row(reading: Reading) -> tuple[str, ...]:
    bounds = "" if reading.lo_j is None else f"[{reading.lo_j:.4g}, {reading.hi_j:.4g}] J"
    above = net(reading)
    known = "" if above.joules is None else f"{joules(above.joules)} ± {above.unc_j or 0.0:.2g}"
    kind = "" if reading.kind == "direct" else " (model)"
    return (
        reading.channel,
        reading.meter,
        joules(reading.joules or 0.0),
        known,
        bounds,
        f"{reading.status}{f': {reading.reason}' if reading.reason else ''}",
        f"{reading.source}{kind}",
    )


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows aligned; columns that are empty but for their title are left out."""
    if len(rows) < 2:
        return
    kept = [i for i in range(len(rows[0])) if any(row[i] for row in rows[1:])]
    widths = {i: max(len(row[i]) for row in rows) for i in kept}
    for row in rows:
        yield "  " + "  ".join(row[i].ljust(widths[i]) for i in kept).rstrip()
