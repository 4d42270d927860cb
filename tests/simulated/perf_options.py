"""The command line of a `perf stat`, as far as it is understood."""

from __future__ import annotations

from tests.simulated.perf_form import unknown_option

FLAGS = {"-a": "everywhere", "--all-cpus": "everywhere", "-j": "json", "--json-output": "json", "-A": "each"}
PLACES = {"--per-socket": "socket", "--per-die": "die"}
IGNORED = {"-B", "--no-big-num", "-v", "--no-merge", "--no-csv-summary", "--append", "-i", "--no-inherit"}
VALUES = {
    "-e": "events",
    "--event": "events",
    "-x": "separator",
    "--field-separator": "separator",
    "-I": "interval_ms",
    "--interval-print": "interval_ms",
    "-D": "delay_ms",
    "--delay": "delay_ms",
    "-o": "output",
    "--output": "output",
    "--control": "control",
    "--interval-count": "intervals",
    "--timeout": "timeout_ms",
    "-p": "pid",
    "-C": "processors",
}


class Stop(Exception):
    """perf ends now, with this message and code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Asked:
    """The command line."""

    everywhere = json = each = False
    separator = output = control = pid = processors = place = ""
    interval_ms = delay_ms = intervals = timeout_ms = 0

    def __init__(self, arguments: list[str], unknown: set[str]) -> None:
        self.events: list[str] = []
        rest = list(arguments)
        while rest and rest[0].startswith("-"):
            word = rest.pop(0)
            if word == "--":
                break
            self._take(word, rest, unknown)
        self.command = rest

    def _take(self, word: str, rest: list[str], unknown: set[str]) -> None:
        name, value = self._split(word)
        if name in unknown:
            raise Stop(unknown_option(name, json="-j" not in unknown), 129)
        if name in FLAGS:
            setattr(self, FLAGS[name], True)
        elif name in PLACES:
            self.place = PLACES[name]
        elif name in VALUES:
            self._set(VALUES[name], value if value is not None else rest.pop(0))
        elif name not in IGNORED:
            raise Stop(unknown_option(name, json="-j" not in unknown), 129)

    @staticmethod
    def _split(word: str) -> tuple[str, str | None]:
        if word.startswith("--"):
            name, found, value = word.partition("=")
            return name, value if found else None
        return word[:2], word[2:] or None

    def _set(self, name: str, value: str) -> None:
        if name == "events":
            self.events += [event for event in value.strip("{}").split(",") if event]
        elif isinstance(getattr(self, name), int):
            setattr(self, name, int(value))
        else:
            setattr(self, name, value)
