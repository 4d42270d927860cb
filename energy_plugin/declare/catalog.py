"""The catalogue: repositories, models and hyperparameters, read from ``images/*/repository.toml``."""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energy_plugin.declare.checkout import read_checkouts
from energy_plugin.errors import FileError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from energy_plugin.declare.case import Value
    from energy_plugin.declare.checkout import Checkout

TYPES: dict[str, type[int] | type[float]] = {"int": int, "float": float}
DISTRIBUTIONS = ("uniform", "log-uniform")


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Where values are drawn from; both ends included for integers."""

    low: float
    high: float
    distribution: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameter:
    """One hyperparameter of one model.

    Attributes:
        role: links different names of one thing over models (``epochs``: epochs, max_iter).
        default: what the program really does when ``flag`` is not passed.
        minimum: the program refuses what is below; None where it takes anything.
        ranges: ``default`` and named alternatives.
    """

    name: str
    role: str
    type: str
    flag: str
    default: Value
    minimum: float | None = None
    ranges: Mapping[str, Range]

    def cast(self, value: float) -> Value:
        """The value as the program's own type: whole numbers for ``int``."""
        return round(value) if self.type == "int" else float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model of a repository, with what the plan needs to know about its cost.

    Attributes:
        original: it is run by the original in the user's checkout, and has only the hyperparameters
            and metrics of that.
    """

    repository: str
    name: str
    title: str
    aliases: tuple[str, ...]
    hyperparameters: Mapping[str, Hyperparameter]
    metrics: tuple[str, ...]
    cost: Mapping[str, Any] = field(default_factory=dict)
    memory: Mapping[str, Any] = field(default_factory=dict)
    utilisation: Mapping[str, Any] = field(default_factory=dict)
    original: bool = False

    @property
    def path(self) -> str:
        """``repository/model``, the name used in selections."""
        return f"{self.repository}/{self.name}"

    def by_role(self, role: str) -> Hyperparameter | None:
        """The hyperparameter that plays *role* here."""
        return next((h for h in self.hyperparameters.values() if h.role == role), None)

    def defaults(self) -> dict[str, Value]:
        """Every hyperparameter at what the program does when told nothing."""
        return {name: h.default for name, h in self.hyperparameters.items()}

    def estimate_s(self, values: Mapping[str, Value], limit: int | None) -> float | None:
        """Seconds one training is thought to take, None when the catalogue has no cost."""
        if "epoch_s" not in self.cost:
            return None
        role = self.by_role("epochs")
        epochs = float(values[role.name]) if role else 1.0
        share = min(1.0, limit / self.cost["rows"]) if limit and "rows" in self.cost else 1.0
        return float(self.cost.get("startup_s", 0.0)) + epochs * share * float(self.cost["epoch_s"])


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A folder in ``images/`` with its models.

    Attributes:
        checkouts: by model, how an original in the user's own checkout would be run.
        original: what is known of the user's checkout that is run in place of ``program``, with its
            ``sources``; empty where none is given.
    """

    name: str
    title: str
    folder: Path
    program: Path
    data: Path | None
    framework: str
    models: Mapping[str, Model]
    metrics: Mapping[str, Mapping[str, Any]]
    checkouts: Mapping[str, Checkout] = field(default_factory=dict)
    original: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sources(self) -> str:
        """SHA-256 of what the programs are made of: the user's checkout where one is given, or ours."""
        return str(self.original["sources"]) if self.original else self.own_sources

    @cached_property
    def own_sources(self) -> str:
        """SHA-256 over this folder's files and the shared modules: what is in its image."""
        digest = hashlib.sha256()
        for path in image_files(self.folder):
            digest.update(path.relative_to(self.folder.parent).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
        return digest.hexdigest()

    def entry(self) -> dict[str, Any]:
        """What session.json embeds, so that the analysis never reads ``images/``."""
        return {
            "title": self.title,
            "sources": self.sources,
            "metrics": {name: dict(metric) for name, metric in self.metrics.items()},
            "models": {name: _model_entry(model) for name, model in self.models.items()},
            **({"original": dict(self.original)} if self.original else {}),
        }


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All repositories below one images folder."""

    folder: Path
    repositories: Mapping[str, Repository]

    def models(self) -> Iterator[Model]:
        """Every model, in catalogue order."""
        for repository in self.repositories.values():
            yield from repository.models.values()

    @cached_property
    def _by_name(self) -> dict[str, list[Model]]:
        names: dict[str, list[Model]] = {}
        for model in self.models():
            for name in (model.name, *model.aliases):
                names.setdefault(name, []).append(model)
                names.setdefault(f"{model.repository}/{name}", []).append(model)
        return names

    def model(self, name: str) -> Model:
        """The model called ``repository/model``, or ``model`` where that is unique; aliases work."""
        found = self._by_name.get(name, [])
        if not found:
            raise self._unknown(name)
        if len(found) > 1:
            raise UsageError(
                f"model {name!r} is in several repositories: {', '.join(m.path for m in found)}. "
                "Write repository/model."
            )
        return found[0]

    def _unknown(self, name: str) -> UnknownNameError:
        """With the model whose path, name or alias is spelt most alike."""
        near = difflib.get_close_matches(name, self._by_name, n=1)
        guess = self._by_name[near[0]][0].path if near else ""
        return UnknownNameError("model", name, (model.path for model in self.models()), guess)

    def select(self, patterns: Iterable[str]) -> list[Model]:
        """Models that match any of the patterns (``*`` and ``?``), in catalogue order, each once."""
        chosen: dict[str, Model] = {}
        for pattern in patterns:
            if any(sign in pattern for sign in "*?["):
                hits = [m for m in self.models() if fnmatch.fnmatchcase(m.path, pattern)]
                if not hits:
                    raise UnknownNameError("model", pattern, (model.path for model in self.models()))
            else:
                hits = [self.model(pattern)]
            chosen.update((hit.path, hit) for hit in hits)
        order = {model.path: index for index, model in enumerate(self.models())}
        return sorted(chosen.values(), key=lambda model: order[model.path])


def default_folder() -> Path:
    """``images/`` of the wheel, or of the checkout."""
    here = Path(__file__).resolve().parents[1]
    packed = here / "_images"
    return packed if packed.is_dir() else here.parent / "images"


def load_catalog(folder: Path | None = None) -> Catalog:
    """Read every ``repository.toml`` below *folder*.

    Raises:
        UsageError: the folder is missing or holds no repository.
        FileError: a ``repository.toml`` is broken; names file, key, value and mend.
    """
    folder = (folder or default_folder()).resolve()
    files = sorted(folder.glob("*/repository.toml"))
    if not files:
        raise UsageError(f"{folder}: no */repository.toml here; --energy-images takes a folder like images/")
    repositories = (_repository(file) for file in files)
    return Catalog(folder=folder, repositories={r.name: r for r in repositories})


def _repository(file: Path) -> Repository:
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileError(file, "file", file.name, f"not valid TOML: {error}") from None
    name = _text(file, table, "name")
    if name != file.parent.name:
        raise FileError(file, "name", name, f"must be the folder's name, {file.parent.name!r}")
    program = file.parent / table.get("program", "train.py")
    if not program.is_file():
        raise FileError(file, "program", table.get("program", "train.py"), "no such file in this folder")
    data = file.parent / table["data"] if "data" in table else None
    if data and not data.is_file():
        raise FileError(file, "data", table["data"], "no such file in this folder")
    metrics = _tables(file, table, "metrics")
    shared = _tables(file, table, "hyperparameters")
    models = {
        model: _model(file, name, model, entry, shared, metrics)
        for model, entry in _tables(file, table, "models").items()
    }
    if not models:
        raise FileError(file, "models", {}, "declare at least one [models.NAME]")
    return Repository(
        name=name,
        title=table.get("title", name),
        folder=file.parent,
        program=program,
        data=data,
        framework=table.get("framework", ""),
        models=models,
        metrics=metrics,
        checkouts=read_checkouts(
            file, table, {model: list(models[model].hyperparameters) for model in models}, list(metrics)
        ),
    )


def _model(
    file: Path,
    repository: str,
    name: str,
    entry: Mapping[str, Any],
    shared: Mapping[str, Mapping[str, Any]],
    metrics: Mapping[str, Any],
) -> Model:
    key = f"models.{name}"
    names = entry.get("uses", list(shared))
    over = entry.get("hyperparameters", {})
    for used in [*names, *over]:
        if used not in shared:
            raise FileError(
                file, f"{key}.hyperparameters", used, f"not declared; declared are {', '.join(shared)}"
            )
    listed = entry.get("metrics", [])
    for metric in listed:
        if metric not in metrics:
            raise FileError(
                file, f"{key}.metrics", metric, f"not declared; declared are {', '.join(metrics)}"
            )
    if not listed:
        raise FileError(
            file, f"{key}.metrics", listed, "name at least one metric: without it success is unknown"
        )
    return Model(
        repository=repository,
        name=name,
        title=entry.get("title", name),
        aliases=tuple(entry.get("aliases", ())),
        hyperparameters={n: _hyperparameter(file, key, n, {**shared[n], **over.get(n, {})}) for n in names},
        metrics=tuple(listed),
        cost=entry.get("cost", {}),
        memory=entry.get("memory", {}),
        utilisation=entry.get("utilisation", {}),
    )


def _hyperparameter(file: Path, where: str, name: str, entry: Mapping[str, Any]) -> Hyperparameter:
    key = f"{where}.hyperparameters.{name}"
    kind = entry.get("type")
    if kind not in TYPES:
        raise FileError(file, f"{key}.type", kind, f"must be one of {', '.join(TYPES)}")
    default = entry.get("default")
    if isinstance(default, bool) or not isinstance(default, (int, float)):
        raise FileError(file, f"{key}.default", default, f"must be a number of type {kind}")
    if kind == "int" and not isinstance(default, int):
        raise FileError(file, f"{key}.default", default, "must be a whole number, as type is int")
    flag = entry.get("flag")
    if not isinstance(flag, str) or not flag.startswith("-"):
        raise FileError(file, f"{key}.flag", flag, "must be the program's flag, such as --epochs")
    ranges = {"default": _range(file, key, entry, default)} if "range" in entry else {}
    for alternative, sub in entry.get("alternatives", {}).items():
        ranges[alternative] = _range(file, f"{key}.alternatives.{alternative}", sub, default)
    return Hyperparameter(
        name=name,
        role=(role := entry.get("role", name)),
        type=kind,
        flag=flag,
        default=TYPES[kind](default),
        minimum=entry.get("minimum", 1 if role == "epochs" else None),  # without an epoch nothing is trained
        ranges=ranges,
    )


def _range(file: Path, key: str, entry: Mapping[str, Any], default: float) -> Range:
    field_name = "factor" if "factor" in entry else "range"
    bounds = entry.get(field_name)
    numbers = (
        isinstance(bounds, list) and len(bounds) == 2 and all(isinstance(b, (int, float)) for b in bounds)
    )
    if not isinstance(bounds, list) or not numbers or not bounds[0] < bounds[1]:
        raise FileError(file, f"{key}.{field_name}", bounds, "must be [low, high] with low < high")
    scale = default if field_name == "factor" else 1.0
    distribution = entry.get("distribution", "uniform")
    if distribution not in DISTRIBUTIONS:
        raise FileError(
            file, f"{key}.distribution", distribution, f"must be one of {', '.join(DISTRIBUTIONS)}"
        )
    low, high = (float(f"{bound * scale:.12g}") for bound in bounds)  # 0.2 x 1e-5 is 2e-06
    if distribution == "log-uniform" and low <= 0:
        raise FileError(file, f"{key}.{field_name}", bounds, "log-uniform needs low > 0")
    return Range(low=low, high=high, distribution=distribution)


def _text(file: Path, table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise FileError(file, key, value, "must be a text that is not empty")
    return value


def _tables(file: Path, table: Mapping[str, Any], key: str) -> dict[str, dict[str, Any]]:
    value = table.get(key, {})
    if not isinstance(value, dict) or not all(isinstance(item, dict) for item in value.values()):
        raise FileError(file, key, value, f"must be tables: [{key}.NAME]")
    return value


def source_files(folder: Path) -> list[Path]:
    """What git would keep: no caches, no hidden folders."""

    def hidden(path: Path) -> bool:
        return any(part == "__pycache__" or part.startswith(".") for part in path.relative_to(folder).parts)

    return sorted(p for p in folder.rglob("*") if p.is_file() and not hidden(p))


def image_files(folder: Path) -> list[Path]:
    """What a repository's image is made of: its own files, then the modules all of them share."""
    return [*source_files(folder), *sorted((folder.parent / "base").glob("*.py"))]


def _model_entry(model: Model) -> dict[str, Any]:
    return {
        "title": model.title,
        "metrics": list(model.metrics),
        **({"memory": dict(model.memory)} if model.memory else {}),
        "hyperparameters": {
            name: {
                "role": h.role,
                "type": h.type,
                "flag": h.flag,
                "default": h.default,
                "ranges": {k: [r.low, r.high, r.distribution] for k, r in h.ranges.items()},
            }
            for name, h in model.hyperparameters.items()
        },
    }
