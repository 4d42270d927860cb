"""From the table of options to the command line, the ini twins and frozen, checked Options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from energy_plugin.errors import UnknownNameError, UsageError
from energy_plugin.meters.wall_targets import read_walls
from energy_plugin.optiontable import BY_NAME, LEAST_MEMORY_GIB, METERS, OPTIONS, Option

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from energy_plugin.meters.wall_targets import Target

TYPES: dict[str, Any] = {"int": int, "float": float, "text": str}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of this invocation, checked; plain values only.

    Attributes:
        given: those of :data:`CARRIED` that are set, as they were written.
    """

    given: dict[str, str]
    executor: str
    meters: tuple[str, ...]
    strict: bool
    results: Path
    report: str
    mutate: tuple[str, ...]
    runs: int
    seed: int
    plan: bool
    yes: bool
    retries: int
    cooldown: float
    idle: float
    timeout: float
    order: str
    images: Path | None
    data: Path | None
    weights: Path | None
    checkout: dict[str, Path]
    limit: int | None
    gpus: tuple[str, ...]
    memory: float
    cpus: float
    tdp: dict[str, float]
    replay: Path | None
    country: str
    sysfs: Path | None
    walls: tuple[Target, ...]
    value: str


CARRIED = (
    "meters", "data", "weights", "gpus", "memory", "cpus", "timeout", "tdp", "sysfs", "wall", "checkout",
    "retries",
)  # fmt: skip
"""Options that decide what a run is or what is measured of it; a reproduction uses them again."""


def add_options(parser: pytest.Parser) -> None:
    """Put every row of the table on the command line and into the ini file."""
    group = parser.getgroup("energy", "training energy (wattwhy)")
    for option in OPTIONS:
        if option.kind == "flag":
            group.addoption(option.flag, action="store_true", default=None, help=option.help)
        else:
            shown = option.metavar or ("|".join(option.choices) if option.choices else None)
            # Checked in Options, with the valid choices and the nearest guess; None lets ini speak.
            group.addoption(
                option.flag,
                action="append" if option.kind in ("list", "lines") else "store",
                default=None,
                metavar=shown,
                help=f"{option.help} ({option.default})",
            )
        ini_type: Literal["bool", "string"] = "bool" if option.kind == "flag" else "string"
        parser.addini(option.ini, option.help, type=ini_type, default=None)


def read_options(config: pytest.Config) -> Options:
    """Command line before ini before default.

    Raises:
        UsageError: a value of the wrong type or not among the choices.
    """
    values = {option.name: _value(config, option) for option in OPTIONS}
    root = Path(config.invocation_params.dir)
    return _checked(values, root, _base(config, root, "results"))


def plain_options(given: Mapping[str, Any], root: Path) -> Options:
    """Options outside of pytest: *given* by name, defaults for the rest; relative folders are *root*'s.

    Args:
        given: such as ``{"meters": "nvml", "tdp": "cpu=65"}``; ``_`` and ``-`` in a name are one.
        root: the folder that relative ones are in.

    Raises:
        UnknownNameError: there is no such option.
        UsageError: a value of the wrong type or not among the choices.
    """
    named = {name.replace("_", "-"): value for name, value in given.items()}
    for name in named:
        if name not in {option.name for option in OPTIONS}:
            raise UnknownNameError("option", name, [option.name for option in OPTIONS])
    values = {o.name: _typed(o, named[o.name], o.name) if o.name in named else o.default for o in OPTIONS}
    return _checked(values, root, root)


def _checked(values: Mapping[str, Any], root: Path, base: Path) -> Options:
    """What read_options and plain_options share; *base* is where relative results lie."""
    results = Path(values["results"]).expanduser()
    return Options(
        given={name: str(values[name]) for name in CARRIED if values[name] not in ("", 0, 0.0)},
        executor=values["executor"],
        meters=_meters(values["meters"], values["replay"], values["wall"]),
        strict=values["strict"],
        results=results if results.is_absolute() else base / results,
        report=values["report"],
        mutate=_names(values["mutate"]),
        runs=_at_least("runs", values["runs"], 1),
        seed=values["seed"],
        plan=values["plan"],
        yes=values["yes"],
        retries=_at_least("retries", values["retries"], 0),
        cooldown=_at_least("cooldown", values["cooldown"], 0.0),
        idle=_at_least("idle", values["idle"], 0.0),
        timeout=_at_least("timeout", values["timeout"], 0.0),
        order=values["order"],
        images=_folder("images", values["images"], root),
        data=_folder("data", values["data"], root),
        weights=_folder("weights", values["weights"], root),
        checkout=_checkouts(values["checkout"], root),
        limit=_at_least("limit", values["limit"], 0) or None,
        **_container(values),
        tdp=read_tdp(values["tdp"]),
        replay=_path(values["replay"], root),
        country=values["country"],
        sysfs=_sysfs(values["sysfs"], root),
        walls=read_walls(values["wall"].splitlines()),
        value=values["value"],
    )


def _value(config: pytest.Config, option: Option) -> Any:
    given = config.getoption(option.flag)
    where = option.flag
    if given is None:
        given = config.getini(option.ini)
        where = f"ini {option.ini}"
    return _typed(option, given, where)


def _typed(option: Option, given: Any, where: str) -> Any:
    if given is None or given == "":
        return option.default
    if option.kind == "flag":
        return bool(given)
    if option.kind == "list":
        return given if isinstance(given, str) else ",".join(given)
    if option.kind == "lines":
        return given if isinstance(given, str) else "\n".join(given)
    try:
        value = TYPES[option.kind](given)
    except ValueError:
        raise UsageError(f"{where} {given!r}: must be of type {option.kind}") from None
    if option.choices and value not in option.choices:
        raise UnknownNameError(f"{where}", value, option.choices)
    return value


def _base(config: pytest.Config, root: Path, name: str) -> Path:
    # A relative folder on the command line is the caller's; a default or ini one the project's.
    # Not rootpath: pytest takes the values of unknown options for paths when it looks for that.
    given = config.getoption(f"--energy-{name}") is not None
    return root if given or config.inipath is None else config.inipath.parent


def _container(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options of containers; without one they would say what nothing does."""
    checked = {
        "gpus": _names(values["gpus"]),
        "memory": _at_least("memory", values["memory"], 0.0),
        "cpus": _at_least("cpus", values["cpus"], 0.0),
    }
    if 0 < checked["memory"] < LEAST_MEMORY_GIB:
        raise UsageError(f"--energy-memory {checked['memory']:g}: must be at least {LEAST_MEMORY_GIB:g} GiB")
    given = [name for name, value in checked.items() if value]
    if given and values["executor"] != "docker":
        listed = ", ".join(f"--energy-{name}" for name in given)
        raise UsageError(f"{listed}: only with --energy-executor docker")
    return checked


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _meters(text: str, replay: str, wall: str) -> tuple[str, ...]:
    """Names of meters; a plug that is named is read, whatever else is."""
    if replay and text == "auto":
        names: tuple[str, ...] = ("replay",)
    else:
        names = METERS if text == "auto" else _names(text)
    for name in names:
        if name not in (*METERS, *BY_NAME):
            raise UnknownNameError("meter", name, (*METERS, *BY_NAME))
    if wall and "wall" not in names:
        names = (*names, "wall")
    if len(set(names)) < len(names) or ("replay" in names and len(names) > 1):
        # Two readings of one channel would be added up.
        raise UsageError(f"--energy-meters {','.join(names)}: name each meter once, and replay alone")
    if "replay" in names and not replay:
        raise UsageError("--energy-meters replay needs --energy-replay FILE")
    if "wall" in names and not wall:
        raise UsageError("--energy-meters wall needs a plug to read: --energy-wall NAME=http://HOST")
    return names


def _at_least(name: str, value: Any, low: float) -> Any:
    if not low <= value < float("inf"):
        raise UsageError(f"--energy-{name} {value}: must be a number of at least {low:g}")
    return value


def _path(text: str, root: Path) -> Path | None:
    return (root / Path(text).expanduser()).resolve() if text else None


def _folder(name: str, text: str, root: Path) -> Path | None:
    path = _path(text, root)
    if path is not None and not path.is_dir():
        raise UsageError(f"--energy-{name} {text}: no such folder")
    return path


def _sysfs(text: str, root: Path) -> Path | None:
    path = _folder("sysfs", text, root)
    if path is not None and not any((path / part).is_dir() for part in ("class", "bus")):
        raise UsageError(f"--energy-sysfs {text}: neither class/ nor bus/ is in it, so it is no /sys")
    return path


def _checkouts(text: str, root: Path) -> dict[str, Path]:
    """Folders by repository from ``NAME=DIR,NAME=DIR``; what is in them is checked with the catalogue."""
    found: dict[str, Path] = {}
    for part in _names(text):
        name, sign, folder = part.partition("=")
        if not (name and sign and folder):
            raise UsageError(f"--energy-checkout {part!r}: write REPOSITORY=DIR")
        if name in found:
            raise UsageError(f"--energy-checkout {part!r}: {name} is given twice")
        path = (root / Path(folder).expanduser()).resolve()
        if not path.is_dir():
            raise UsageError(f"--energy-checkout {part}: no such folder: {path}")
        found[name] = path
    return found


def read_tdp(text: str) -> dict[str, float]:
    """Watts by device from ``cpu=65,gpu=320``."""
    watts: dict[str, float] = {}
    for part in _names(text):
        device, _, number = part.partition("=")
        if device not in ("cpu", "gpu"):
            raise UnknownNameError("--energy-tdp device", device, ("cpu", "gpu"))
        try:
            watts[device] = float(number)
        except ValueError:
            raise UsageError(f"--energy-tdp {part!r}: write {device}=WATTS, such as {device}=65") from None
        if not 0 < watts[device] < float("inf"):
            raise UsageError(f"--energy-tdp {part!r}: watts must be a number above 0")
    return watts
