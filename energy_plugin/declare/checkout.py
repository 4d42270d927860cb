r"""The table ``[checkout]`` of a ``repository.toml``: how the user's own original is run and read.

One table a repository; ``[checkout.models.NAME]`` is laid over it, key by key, also inside of
``patterns``. Its keys:

``origin``, ``commit``  where the original lives, and the commit that was read for this table
``workdir``, ``script``  folder in the checkout that the command runs in; a file that must be in it
``command``      for ``sh``, run in ``workdir``. ``{model}``, ``{data}`` (folder of our or the user's
                 data), ``{output}`` (a folder that is kept) and every name in ``sets`` are filled in;
                 other braces are doubled. ``python3`` is the interpreter of the executor.
``sets``         the hyperparameters the original can be told; only these can be varied, and all of
                 them are always passed. ``minimum`` bounds them.
``links``        path in the checkout -> path in the data folder. Where the checkout has all of them
                 they stay; else, or with the user's ``--energy-data``, they are replaced by links.
``standin``      which entry of ``source.json`` the original uses, if it can run on the data that
                 ``data.py`` writes; empty: it refuses them, the user must bring the real ones
``environment``  variables beside the usual ones; ``device``: ``cuda`` or ``cpu`` where that is fixed;
``weights``      what the training starts from; ``needs``, ``note``: for people
``uncertainty_s``  how far an epoch's edges may be off: they are the arrivals of log lines

``[checkout.patterns]`` are searched in every log line; lines end at ``\n`` or ``\r``:

``start``     the first match is where the first epoch starts. Without one it is the first match of
              ``progress``; every later epoch starts where the one before it ended
``progress``  seen within an epoch; of a group ``loss`` the last value is the epoch's mean loss
``epoch``     an epoch has ended. Where there are ``progress`` patterns, only if one matched since the
              last one. Groups: ``loss``; ``seconds``, how long it took by the original's own clock,
              which then says where it started; all others are metrics of the epoch
``final``     groups are final metrics, the last match counts; of ``first`` the first, of ``best`` the
              largest. These are all the metrics such a run must have
``scale``, ``offset``  by metric: value = printed * scale + offset. A group ``NAME_of`` divides NAME.
"""

from __future__ import annotations

import re
import shlex
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import FileError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from energy_plugin.declare.case import Value

LISTS = ("start", "progress", "epoch", "first", "final", "best")
FINALS = ("first", "final", "best")
TEXTS = ("origin", "commit", "workdir", "script", "command", "standin", "device", "weights", "note")
TABLES = ("minimum", "environment", "links", "patterns")
NEEDED = ("origin", "commit", "script", "command", "weights")
PLACES = ("model", "data", "output")
KEYS = (*TEXTS, *TABLES, "sets", "needs", "uncertainty_s")
UNCERTAINTY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Patterns:
    """What lines of the original's log mean; see the module."""

    start: tuple[re.Pattern[str], ...] = ()
    progress: tuple[re.Pattern[str], ...] = ()
    epoch: tuple[re.Pattern[str], ...] = ()
    first: tuple[re.Pattern[str], ...] = ()
    final: tuple[re.Pattern[str], ...] = ()
    best: tuple[re.Pattern[str], ...] = ()
    scale: Mapping[str, float] = field(default_factory=dict)
    offset: Mapping[str, float] = field(default_factory=dict)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the final metrics, in the order of the patterns."""
        found = [name for key in FINALS for one in getattr(self, key) for name in one.groupindex]
        return tuple(dict.fromkeys(name for name in found if not name.endswith("_of")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """How the original of one model is run and read; see the module."""

    model: str
    origin: str
    commit: str
    script: str
    template: str
    weights: str
    patterns: Patterns
    workdir: str = "."
    standin: str = ""
    device: str = ""
    note: str = ""
    sets: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    minimum: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    uncertainty_s: float = UNCERTAINTY_S

    @property
    def uses_data(self) -> bool:
        """Whether anything comes from a data folder outside of the checkout."""
        return bool(self.links) or "data" in _fields(self.template)

    def command(self, values: Mapping[str, Value], *, data: str, output: str) -> str:
        """The shell command with everything filled in, quoted for ``sh``.

        Args:
            values: every hyperparameter in ``sets``, passed as ``repr``.
            data: the data folder as the command sees it.
            output: the folder that is kept, likewise.
        """
        places = {"model": self.model, "data": data, "output": output}
        filled = {name: shlex.quote(repr(values[name])) for name in self.sets}
        return self.template.format(**filled, **{name: shlex.quote(text) for name, text in places.items()})


def read_checkouts(
    file: Path, table: Mapping[str, Any], models: Mapping[str, Sequence[str]], metrics: Sequence[str]
) -> dict[str, Checkout]:
    """The checkouts of a repository by model; none where it has no table ``[checkout]``.

    Args:
        file: where *table* is from.
        table: the whole ``repository.toml``.
        models: names of the hyperparameters by model.
        metrics: all metrics of the repository.

    Raises:
        FileError: names file, key, value and mend.
    """
    shared = table.get("checkout")
    if shared is None:
        return {}
    if not isinstance(shared, dict):
        raise FileError(file, "checkout", shared, "must be a table: [checkout]")
    own = shared.get("models", {})
    if not isinstance(own, dict) or not all(isinstance(entry, dict) for entry in own.values()):
        raise FileError(file, "checkout.models", own, "must be tables: [checkout.models.NAME]")
    for name in own:
        if name not in models:
            raise FileError(
                file, f"checkout.models.{name}", name, str(UnknownNameError("model", name, models))
            )
    common = {key: value for key, value in shared.items() if key != "models"}
    found = {}
    for name, hyperparameters in models.items():
        where = f"checkout.models.{name}" if name in own else "checkout"
        reader = _Reader(file, where, _laid_over(common, own.get(name, {})))
        found[name] = reader.checkout(name, hyperparameters, metrics)
    return found


def _laid_over(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Key by key, and so inside of the patterns."""
    merged = {**common, **own}
    both = common.get("patterns"), own.get("patterns")
    if isinstance(both[0], dict) and isinstance(both[1], dict):
        merged["patterns"] = {**both[0], **both[1]}
    return merged


def _fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


class _Reader:
    """Reads one model's table; every error names file, key, value and mend."""

    def __init__(self, file: Path, where: str, entry: Mapping[str, Any]) -> None:
        self._file = file
        self._where = where
        self._entry = entry

    def _wrong(self, key: str, value: object, mend: str) -> FileError:
        return FileError(self._file, f"{self._where}.{key}", value, mend)

    def checkout(self, model: str, hyperparameters: Sequence[str], metrics: Sequence[str]) -> Checkout:
        for key, value in self._entry.items():
            if key not in KEYS:
                raise self._wrong(key, value, str(UnknownNameError("key", key, KEYS)))
        texts = {key: self._text(key) for key in TEXTS}
        sets = self._texts("sets")
        minimum = self._numbers("minimum", self._table("minimum"))
        for name in (*sets, *minimum):
            known = hyperparameters if name in sets else sets
            if name not in known:
                key = "sets" if name in sets else "minimum"
                raise self._wrong(key, name, f"no such hyperparameter here; there are {', '.join(known)}")
        self._check_command(texts["command"], sets)
        return Checkout(
            model=model,
            template=texts.pop("command"),
            **{**texts, "workdir": texts["workdir"] or "."},
            sets=sets,
            needs=self._texts("needs"),
            minimum=minimum,
            environment=self._text_table("environment"),
            links=self._text_table("links"),
            uncertainty_s=self._uncertainty(),
            patterns=self._patterns(metrics),
        )

    def _check_command(self, template: str, sets: Sequence[str]) -> None:
        try:
            used = _fields(template)
        except ValueError as error:
            raise self._wrong("command", template, f"{error}; write a brace of the shell twice") from None
        for name in sorted(used - {*sets, *PLACES}):
            mend = f"{{{name}}} cannot be filled in; there are {', '.join((*PLACES, *sets))}"
            raise self._wrong("command", template, mend)
        for name in sorted(set(sets) - used):
            raise self._wrong("sets", name, f"the command has no {{{name}}}")

    def _patterns(self, metrics: Sequence[str]) -> Patterns:
        table = self._table("patterns")
        for key, value in table.items():
            if key not in (*LISTS, "scale", "offset"):
                mend = str(UnknownNameError("key", key, (*LISTS, "scale", "offset")))
                raise self._wrong(f"patterns.{key}", value, mend)
        lists = {key: self._expressions(key, table.get(key, [])) for key in LISTS}
        found = Patterns(
            **lists,
            scale=self._numbers("patterns.scale", table.get("scale", {})),
            offset=self._numbers("patterns.offset", table.get("offset", {})),
        )
        if not found.metrics:
            raise self._wrong("patterns.final", [], "name at least one metric: without it success is unknown")
        for name in (*found.metrics, *found.scale, *found.offset):
            if name not in metrics and name != "loss":
                mend = str(UnknownNameError("metric", name, metrics))
                raise self._wrong("patterns", name, mend)
        starts = found.start or found.progress or all("seconds" in e.groupindex for e in found.epoch)
        if found.epoch and not starts:
            mend = "where the first epoch starts is unknown: give start, progress or a group seconds"
            raise self._wrong("patterns.epoch", [e.pattern for e in found.epoch], mend)
        return found

    def _expressions(self, key: str, value: object) -> tuple[re.Pattern[str], ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(f"patterns.{key}", value, "must be a list of regular expressions")
        found = []
        for text in value:
            try:
                found.append(re.compile(text))
            except re.error as error:
                raise self._wrong(f"patterns.{key}", text, f"no regular expression: {error}") from None
            if key in FINALS and not found[-1].groupindex:
                raise self._wrong(f"patterns.{key}", text, "must have a group: (?P<METRIC>...)")
        return tuple(found)

    def _text(self, key: str) -> str:
        value = self._entry.get(key, "")
        if not isinstance(value, str) or (key in NEEDED and not value):
            raise self._wrong(key, value or None, "must be a text that is not empty")
        return value

    def _texts(self, key: str) -> tuple[str, ...]:
        value = self._entry.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, value, "must be a list of texts")
        return tuple(value)

    def _table(self, key: str) -> dict[str, Any]:
        value = self._entry.get(key, {})
        if not isinstance(value, dict):
            raise self._wrong(key, value, f"must be a table: {key} = {{ NAME = ... }}")
        return value

    def _text_table(self, key: str) -> dict[str, str]:
        value = self._table(key)
        if not all(isinstance(item, str) for item in value.values()):
            raise self._wrong(key, value, "every value must be a text")
        return value

    def _numbers(self, key: str, value: object) -> dict[str, float]:
        if not isinstance(value, dict) or not all(_is_number(item) for item in value.values()):
            raise self._wrong(key, value, "must be a table of numbers")
        return {name: float(number) for name, number in value.items()}

    def _uncertainty(self) -> float:
        value = self._entry.get("uncertainty_s", UNCERTAINTY_S)
        if not _is_number(value) or value <= 0:
            raise self._wrong("uncertainty_s", value, "must be seconds above 0")
        return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
