"""What a `perf stat` writes: the shapes of perf 6.1 as text, `-x SEP` and `-j`, and its messages."""

from __future__ import annotations

from typing import Any, NamedTuple

USAGE = """
 Usage: perf stat [<options>] [<command>]

    -a, --all-cpus        system-wide collection from all CPUs
    -D, --delay <n>       ms to wait before starting measurement (-1: start with events disabled)
    -e, --event <event>   event selector. use 'perf list' to list available events
    -I, --interval-print <n>
                          print counts at regular interval in ms (overhead is possible for values <= 100ms)
{json}    -x, --field-separator <separator>
                          print counts with custom separator
        --per-socket      aggregate counts per processor socket
"""
JSON_USAGE = "    -j, --json-output     print counts in JSON format\n"

NO_PERMISSION = """Error:
Access to performance monitoring and observability operations is limited.
Consider adjusting /proc/sys/kernel/perf_event_paranoid setting to open
access to performance monitoring and observability operations for processes
without CAP_PERFMON, CAP_SYS_PTRACE or CAP_SYS_ADMIN Linux capability.
perf_event_paranoid setting is 2:
  -1: Allow use of (almost) all events by all users
"""

WRAPPER = """WARNING: perf not found for kernel 6.8.0-45

  You may need to install the following packages for this specific kernel:
    linux-tools-6.8.0-45-generic
    linux-cloud-tools-6.8.0-45-generic
"""


def unknown_event(event: str) -> str:
    """For an event that the unit ``power`` does not have, or without such a unit at all."""
    term = event.split("/")[1] if event.startswith("power/") else ""
    why = f"unknown term '{term}' for pmu 'power'" if term else "parser error"
    body = f"event syntax error: '{event}'\n                     \\___ {why}\n"
    return f"{body}Run 'perf list' for a list of valid events\n{USAGE.format(json=JSON_USAGE)}"


def unknown_option(option: str, json: bool) -> str:
    """For a switch that this perf does not know."""
    kind = "option" if option.startswith("--") else "switch"
    usage = USAGE.format(json=JSON_USAGE if json else "")
    return f"  Error: unknown {kind} `{option.lstrip('-')}'\n{usage}"


class Row(NamedTuple):
    """One count: ``value`` None where ``note`` stands for it."""

    event: str
    where: str
    counters: int
    value: float | None
    note: str
    unit: str
    run_ns: int
    metric: float
    metric_unit: str


class Form:
    """One output format.

    Args:
        asked: the parsed options.
        comma: decimal commas, as in many locales.
        count_key: the JSON name of the number of counters; it changed from version to version.
    """

    def __init__(self, asked: Any, *, comma: bool, count_key: str) -> None:
        self._asked = asked
        self._comma = comma
        self._count_key = count_key

    def _number(self, text: str) -> str:
        return text.replace(".", ",") if self._comma else text

    def line(self, row: Row, at_s: float | None) -> str:
        """One count as one line."""
        if self._asked.json:
            return self._json(row, at_s)
        return self._csv(row, at_s) if self._asked.separator else self._text(row, at_s)

    def _json(self, row: Row, at_s: float | None) -> str:
        key = {"S": "die" if "-D" in row.where else "socket", "C": "cpu"}.get(row.where[:1], "")
        value = row.note or self._number(f"{row.value:.6f}")
        where = row.where.removeprefix("CPU")
        parts = [
            f'"interval" : {self._number(f"{at_s:.9f}")}' if at_s is not None else "",
            f'"{key}" : "{where}"' if key else "",
            f'"{self._count_key}" : {row.counters}' if key in ("die", "socket") else "",
            f'"counter-value" : "{value}", "unit" : "{row.unit}", "event" : "{row.event}"',
            f'"event-runtime" : {row.run_ns}, "pcnt-running" : {self._number("100.00")}',
            f'"metric-value" : {self._number(f"{row.metric:.6f}")}, "metric-unit" : "{row.metric_unit}"',
        ]
        return "{" + ", ".join(part for part in parts if part) + "}"

    def _csv(self, row: Row, at_s: float | None) -> str:
        counts = f"{row.value or 0:.2f}" if row.unit else f"{row.value or 0:.0f}"
        fields = [
            *([self._number(f"{at_s:16.9f}")] if at_s is not None else []),
            *([row.where] if row.where else []),
            *([str(row.counters)] if row.where.startswith("S") else []),
            row.note or self._number(counts),
            row.unit,
            row.event,
            str(row.run_ns),
            self._number("100.00"),
            self._number(f"{row.metric:.3f}") if row.metric_unit else "",
            row.metric_unit,
        ]
        return str(self._asked.separator).join(fields)

    def _text(self, row: Row, at_s: float | None) -> str:
        counts = f"{row.value or 0:18,.2f}" if row.unit else f"{row.value or 0:18,.0f}"
        where = f"{row.where:<5}{row.counters:6d} " if row.where.startswith("S") else f"{row.where:<9}"
        metric = f"  # {self._number(f'{row.metric:8.3f}')} {row.metric_unit}" if row.metric_unit else ""
        value = f"{row.note:>18}" if row.note else self._number(counts)
        time = self._number(f"{at_s:16.9f} ") if at_s is not None else ""
        return f"{time}{where if row.where else ''}{value} {row.unit:<6} {row.event:<24}{metric}"
