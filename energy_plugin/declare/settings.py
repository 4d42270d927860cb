"""The seed study's JSON settings and its concurrency JSON, collected as declarations of ours."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from energy_plugin.declare.collect import Background, Declaration
from energy_plugin.declare.design import Design
from energy_plugin.declare.impossible import checked, is_number
from energy_plugin.errors import EnergyError, FileError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from energy_plugin.declare.catalog import Catalog, Model

MODES = ("mutation", "default", "parallel")
TOP_KEYS = {
    "experiment_name",
    "description",
    "governor",
    "runs_per_config",
    "max_retries",
    "mode",
    "use_deduplication",
    "historical_csvs",
    "experiments",
}
EXPERIMENT_KEYS = {
    "repo",
    "model",
    "mode",
    "mutate",
    "hyperparameters",
    "runs_per_config",
    "comment",
    "foreground",
    "background",
}
FOREGROUND_KEYS = {"repo", "model", "mode", "mutate", "hyperparameters", "runs_per_config", "comment"}
BACKGROUND_KEYS = {"repo", "model", "hyperparameters", "comment"}
PAIRS_KEYS = {"experiment_name", "description", "concurrent_mode", "model_pairs", "governor", "max_retries"}
OWN_KEYS = ("experiments", "model_pairs", "experiment_name", "concurrent_mode", "runs_per_config")
"""What no other kind of JSON file is likely to have."""
PAIR_KEYS = {"model_a", "model_b", "comment"}
SIDE_KEYS = {"repo", "model", "hp", "comment"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a settings file asks for.

    Attributes:
        declarations: by test name, in the file's order.
        wishes: options of the session it sets (``governor``, ``retries``); the command line wins.
        earlier: tables of earlier sessions whose runs are not repeated.
    """

    declarations: Mapping[str, Declaration]
    wishes: Mapping[str, Any] = field(default_factory=dict)
    earlier: tuple[Path, ...] = ()


def read_settings(file: Path, catalog: Catalog) -> Settings:
    """Read either form; which one it is follows from ``model_pairs``.

    Raises:
        FileError: names the file, the key, the value and the mend.
    """
    try:
        table = json.loads(file.read_text("utf-8-sig"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:  # JSON, UTF-8, a field given twice
        raise FileError(file, "file", file.name, f"not valid JSON: {error}") from None
    if not isinstance(table, dict):
        raise FileError(file, "file", table, "must be an object: {...}")
    reader = _Reader(file, catalog, table)
    return reader.pairs() if "model_pairs" in table or "concurrent_mode" in table else reader.settings()


def is_settings(file: Path) -> bool:
    """Whether a JSON file looks like one of the two forms, so that others are left alone."""
    try:
        table = json.loads(file.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return True  # named on the command line and broken: read_settings says what is wrong
    if not isinstance(table, dict):
        return False
    # A field that is nearly one of theirs is a slip, which read_settings names.
    return any(difflib.get_close_matches(name, OWN_KEYS, n=1, cutoff=0.8) for name in table)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose fields are given once each: JSON would take the last one and say nothing."""
    table = dict(pairs)
    for name in table:
        values = [value for other, value in pairs if other == name]
        if len(values) > 1:
            raise ValueError(f"{name} is given twice in one object, as {values[0]!r} and {values[1]!r}")
    return table


class _Reader:
    """One file being read; every check names where it is."""

    def __init__(self, file: Path, catalog: Catalog, table: dict[str, Any]) -> None:
        self._file = file
        self._catalog = catalog
        self._table = table
        self._name = self._text("experiment_name", table.get("experiment_name") or file.stem)

    # --- the two forms ---

    def settings(self) -> Settings:
        table = self._table
        self._only("", table, TOP_KEYS)
        self._mode("", table, "mutation")
        self._runs("", table)
        found = {}
        for index, entry in enumerate(self._list("experiments", table), start=1):
            found[f"experiment_{index}"] = self._experiment(f"experiments[{index}]", entry)
        return Settings(declarations=found, wishes=self._wishes(), earlier=self._earlier())

    def pairs(self) -> Settings:
        table = self._table
        self._only("", table, PAIRS_KEYS)
        if table.get("concurrent_mode", True) is not True:
            self._wrong(
                "concurrent_mode", table["concurrent_mode"], "must be true where model_pairs are given"
            )
        found = {}
        for index, entry in enumerate(self._list("model_pairs", table), start=1):
            found[f"pair_{index}"] = self._pair(f"model_pairs[{index}]", entry)
        return Settings(declarations=found, wishes=self._wishes())

    def _wishes(self) -> dict[str, Any]:
        wishes: dict[str, Any] = {}
        if self._table.get("governor") is not None:
            wishes["governor"] = self._text("governor", self._table["governor"])
        if "max_retries" in self._table:
            wishes["retries"] = self._whole("max_retries", self._table, 0)
        return wishes

    def _earlier(self) -> tuple[Path, ...]:
        table = self._table
        if not isinstance(table.get("use_deduplication", False), bool):
            self._wrong("use_deduplication", table["use_deduplication"], "must be true or false")
        listed = table.get("historical_csvs", [])
        if not isinstance(listed, list):
            self._wrong("historical_csvs", listed, "must be a list of files")
        names = [self._text("historical_csvs", name) for name in listed]
        return tuple(map(self._table_at, names)) if table.get("use_deduplication") else ()

    def _table_at(self, name: str) -> Path:
        """A table beside the settings file, or where pytest was started: there, as the study did."""
        places = (self._file.parent, Path.cwd())
        found = next((place / name for place in places if (place / name).is_file()), None)
        if found is None:
            told = " or ".join(dict.fromkeys(map(str, places)))
            self._wrong("historical_csvs", name, f"no such file in {told}")
        return found

    # --- one experiment ---

    def _experiment(self, key: str, entry: Any) -> Declaration:
        entry = self._object(key, entry)
        self._only(key, entry, EXPERIMENT_KEYS)
        mode = self._mode(key, entry, self._table.get("mode", "mutation"))
        if mode != "parallel":
            for name in ("foreground", "background"):
                if name in entry:
                    self._wrong(f"{key}.{name}", entry[name], 'only with "mode": "parallel"')
            return self._declared(key, entry, mode, self._runs(key, entry))
        for name in ("mutate", "hyperparameters"):
            if name in entry:
                self._wrong(f"{key}.{name}", entry[name], "write it into foreground, the model it is of")
        front = self._object(f"{key}.foreground", entry.get("foreground"))
        self._only(f"{key}.foreground", front, FOREGROUND_KEYS)
        runs = self._runs(key, entry, f"{key}.foreground", front)
        inner = self._mode(f"{key}.foreground", front, "mutation" if "mutate" in front else "default")
        if inner == "parallel":
            self._wrong(f"{key}.foreground.mode", inner, "must be mutation or default")
        return self._declared(f"{key}.foreground", front, inner, runs, self._background(key, entry))

    def _mode(self, key: str, entry: Mapping[str, Any], otherwise: Any) -> str:
        mode = entry.get("mode", otherwise)
        if mode not in MODES:
            self._wrong(f"{key}.mode".lstrip("."), mode, str(UnknownNameError("mode", mode, MODES)))
        return str(mode)

    def _runs(self, key: str, entry: Mapping[str, Any], inner: str = "", front: Any = None) -> int:
        """The experiment's own number before its foreground's before the file's."""
        for where, table in ((key, entry), (inner, front or {}), ("", self._table)):
            if "runs_per_config" in table:
                return self._whole(f"{where}.runs_per_config".lstrip("."), table, 1)
        return 1

    def _declared(
        self, key: str, entry: Mapping[str, Any], mode: str, runs: int, load: Background | None = None
    ) -> Declaration:
        model = self._model(key, entry)
        values = self._values(f"{key}.hyperparameters", model, entry.get("hyperparameters", {}))
        if mode == "mutation":
            names = entry.get("mutate")
            names = ["all"] if names == "all" else names
            if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
                self._wrong(f"{key}.mutate", names, 'must be a list of hyperparameters, or ["all"]')
            design = Design(kind="joint", names=tuple(names), n=runs, base=values)
            self._try(f"{key}.mutate", names, lambda: checked(design).treatments(model, 0))
        else:
            if "mutate" in entry:
                self._wrong(f"{key}.mutate", entry["mutate"], 'only with "mode": "mutation"')
            design = Design(kind="defaults", base=values)
        return Declaration(
            select=(model.path,),
            design=design,
            background=load,
            alone=False,
            replicates=1 if mode == "mutation" else runs,
            name=self._name,
        )

    def _background(self, key: str, entry: Mapping[str, Any]) -> Background:
        key = f"{key}.background"
        table = self._object(key, entry.get("background"))
        self._only(key, table, BACKGROUND_KEYS)
        model = self._model(key, table)
        values = self._values(f"{key}.hyperparameters", model, table.get("hyperparameters", {}))
        return Background(model=model.path, values=values, loop="restart")

    # --- one pair ---

    def _pair(self, key: str, entry: Any) -> Declaration:
        entry = self._object(key, entry)
        self._only(key, entry, PAIR_KEYS)
        (a, of_a), (b, of_b) = (
            self._side(f"{key}.{name}", entry.get(name)) for name in ("model_a", "model_b")
        )
        return Declaration(
            pairs=((a.path, b.path),),
            design=Design(kind="defaults", base=of_b),
            base_a=of_a,
            alone=False,
            name=self._name,
        )

    def _side(self, key: str, entry: Any) -> tuple[Model, dict[str, Any]]:
        entry = self._object(key, entry)
        self._only(key, entry, SIDE_KEYS)
        model, given = self._model(key, entry), entry.get("hp", "default")
        if given == "default":
            return model, {}
        if not isinstance(given, dict):
            self._wrong(f"{key}.hp", given, 'must be "default" or an object of values')
        return model, self._values(f"{key}.hp", model, given)

    # --- checks ---

    def _model(self, key: str, entry: Mapping[str, Any]) -> Model:
        """A model by ``repo`` and ``model``; a repository's name may be cut short where that is unique."""
        repo, model = (self._text(f"{key}.{name}", entry.get(name)) for name in ("repo", "model"))
        valid = list(self._catalog.repositories)
        hits = [name for name in valid if name == repo]
        hits = hits or [name for name in valid if name.casefold().startswith(repo.casefold())]
        if len(hits) != 1:
            mend = (
                f"could be {' or '.join(hits)}" if hits else str(UnknownNameError("repository", repo, valid))
            )
            self._wrong(f"{key}.repo", repo, mend)
        found: Model = self._try(f"{key}.model", model, lambda: self._catalog.model(f"{hits[0]}/{model}"))
        return found

    def _values(self, key: str, model: Model, given: Any) -> dict[str, Any]:
        values = self._object(key, given)
        for name, value in values.items():
            if not is_number(value):
                self._wrong(f"{key}.{name}", value, "must be a number")
        self._try(key, values, lambda: checked(Design(kind="defaults", base=values)).passed(model))
        return values

    def _try(self, key: str, value: object, ask: Any) -> Any:
        try:
            return ask()
        except EnergyError as error:
            self._wrong(key, value, str(error))

    def _list(self, key: str, table: Mapping[str, Any]) -> list[Any]:
        value = table.get(key)
        if not isinstance(value, list) or not value:
            self._wrong(key, value, "must be a list with at least one entry")
        return list(value)

    def _object(self, key: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._wrong(key, value, "must be an object: {...}")
        return dict(value)

    def _text(self, key: str, value: Any) -> str:
        if not isinstance(value, str) or not value:
            self._wrong(key, value, "must be a text that is not empty")
        return str(value)

    def _whole(self, key: str, table: Mapping[str, Any], least: int) -> int:
        value = table[key.rpartition(".")[2]]
        if type(value) is not int or value < least:
            self._wrong(key, value, f"must be a whole number of at least {least}")
        return int(value)

    def _only(self, key: str, table: Mapping[str, Any], valid: Iterable[str]) -> None:
        for name in table:
            if name not in valid:
                self._wrong(
                    f"{key}.{name}".lstrip("."), table[name], str(UnknownNameError("field", name, valid))
                )

    def _wrong(self, key: str, value: object, mend: str) -> NoReturn:
        raise FileError(self._file, key, value, mend)
