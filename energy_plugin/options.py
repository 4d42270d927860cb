"""From the table of options to the command line, the ini twins and frozen, checked Options."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from energy_plugin import optionvalues as check
from energy_plugin.errors import UnknownNameError, UsageError
from energy_plugin.meters.wall_targets import read_walls
from energy_plugin.optiontable import OPTIONS, Option

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
        said: names of the options that the command line or the ini file sets.
        resume: the session to go on in: ``latest``, a name or a folder; empty for a new one.
        lock: file of the host's lock; the host's own when None.
        earlier: sessions, results folders and tables whose runs are not repeated.
        power_limit: GPU power limits in watts; every case runs once under each.
        warmup: seconds of work of a background before the measured window.
        noise, effect: percent, 0 when not stated.
    """

    given: dict[str, str]
    said: frozenset[str] = frozenset()
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
    resume: str
    earlier: tuple[Path, ...]
    noise: float
    effect: float
    retries: int
    cooldown: float
    idle: float
    timeout: float
    warmup: float
    governor: str
    power_limit: tuple[float, ...]
    lock: Path | None
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
    "retries", "cooldown", "idle", "warmup", "governor", "power-limit",
)  # fmt: skip
"""Options that decide what a run is or what is measured of it; a reproduction uses them again."""
DEFAULTS = {option.name: option.default for option in OPTIONS}


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
                **({"nargs": "?", "const": option.bare} if option.bare else {}),
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
    said = (option.name for option in OPTIONS if _said(config, option) not in (None, ""))
    return replace(_checked(values, root, _base(config, root, "results")), said=frozenset(said))


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
        given={name: str(values[name]) for name in CARRIED if values[name] or values[name] != DEFAULTS[name]},
        executor=values["executor"],
        meters=check.meters(values["meters"], values["replay"], values["wall"]),
        strict=values["strict"],
        results=results if results.is_absolute() else base / results,
        report=values["report"],
        mutate=check.names_of(values["mutate"]),
        runs=check.at_least("runs", values["runs"], 1),
        seed=values["seed"],
        plan=values["plan"],
        yes=values["yes"],
        resume=check.resume(values["resume"], root),
        earlier=check.earlier(values["earlier"], root),
        noise=check.at_least("noise", values["noise"], 0.0),
        effect=check.at_least("effect", values["effect"], 0.0),
        retries=check.at_least("retries", values["retries"], 0),
        cooldown=check.at_least("cooldown", values["cooldown"], 0.0),
        idle=check.at_least("idle", values["idle"], 0.0),
        timeout=check.at_least("timeout", values["timeout"], 0.0),
        warmup=check.at_least("warmup", values["warmup"], 0.0),
        governor=values["governor"],
        power_limit=check.limits_w(values["power-limit"]),
        lock=check.path_of(values["lock"], root),
        order=values["order"],
        images=check.folder("images", values["images"], root),
        data=check.folder("data", values["data"], root),
        weights=check.folder("weights", values["weights"], root),
        checkout=check.checkouts(values["checkout"], root),
        limit=check.at_least("limit", values["limit"], 0) or None,
        **check.container(values),
        tdp=check.read_tdp(values["tdp"]),
        replay=check.path_of(values["replay"], root),
        country=values["country"],
        sysfs=check.sysfs(values["sysfs"], root),
        walls=read_walls(values["wall"].splitlines()),
        value=values["value"],
    )


def _value(config: pytest.Config, option: Option) -> Any:
    where = option.flag if config.getoption(option.flag) is not None else f"ini {option.ini}"
    return _typed(option, _said(config, option), where)


def _said(config: pytest.Config, option: Option) -> Any:
    """What the command line says, else what the ini file says; None where both are silent."""
    given = config.getoption(option.flag)
    return config.getini(option.ini) if given is None else given


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
