"""One table of options: it makes the command line, the ini twins, the docs and frozen Options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from energy_plugin.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    import pytest

EXECUTORS = ("local", "docker")
METERS = ("perf", "nvml", "codecarbon", "calculator")
REPORTS = ("auto", "always", "never")
LEAST_MEMORY_GIB = 1 / 64
"""A container with less does not even start."""
ORDERS = ("blocks", "declared")
VALUES = (
    "auto",
    "total_energy_joules",
    "energy_cpu_total_joules",
    "energy_gpu_total_joules",
    "estimate_codecarbon_joules",
    "estimate_calculator_joules",
    "duration_seconds",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One row of the table; ``kind`` is ``text``, ``list`` (repeatable), ``int``, ``float`` or ``flag``."""

    name: str
    kind: str
    default: Any
    help: str
    metavar: str | None = None
    choices: tuple[str, ...] | None = None

    @property
    def flag(self) -> str:
        """Spelling on the command line."""
        return f"--energy-{self.name}"

    @property
    def ini(self) -> str:
        """Spelling in pytest's configuration file."""
        return f"energy_{self.name.replace('-', '_')}"


OPTIONS = (
    Option(name="executor", kind="text", default="local", help="where programs run", choices=EXECUTORS),
    Option(
        name="meters",
        kind="text",
        default="auto",
        metavar="LIST",
        help=f"meters by name, comma-separated, of: {', '.join(METERS)}; auto is all of them",
    ),
    Option(
        name="strict", kind="flag", default=False, help="stop before the first run if a chosen meter is dead"
    ),
    Option(
        name="results", kind="text", default="results", metavar="DIR", help="folder that receives the session"
    ),
    Option(
        name="report", kind="text", default="auto", help="analyse at the end of the session", choices=REPORTS
    ),
    Option(
        name="mutate",
        kind="text",
        default="",
        metavar="NAMES",
        help="hyperparameters (comma-separated, or all) for designs declared with from_options()",
    ),
    Option(name="runs", kind="int", default=1, metavar="N", help="runs of each mutation, for from_options()"),
    Option(name="seed", kind="int", default=0, metavar="N", help="seed of drawn values and of the order"),
    Option(name="plan", kind="flag", default=False, help="show what would run and for how long, then stop"),
    Option(name="yes", kind="flag", default=False, help="run even if more than an hour is expected"),
    Option(
        name="retries",
        kind="int",
        default=2,
        metavar="N",
        help="new attempts after a failed training, at most",
    ),
    Option(
        name="cooldown",
        kind="float",
        default=60.0,
        metavar="S",
        help="rest before each case where a GPU or wall meter lives, else none",
    ),
    Option(
        name="timeout",
        kind="float",
        default=0.0,
        metavar="S",
        help="end a training after so many seconds, 0 never",
    ),
    Option(
        name="order",
        kind="text",
        default="blocks",
        help="seeded random blocks, or as declared",
        choices=ORDERS,
    ),
    Option(name="images", kind="text", default="", metavar="DIR", help="folder of repositories like images/"),
    Option(
        name="data", kind="text", default="", metavar="DIR", help="your own data: one folder a repository"
    ),
    Option(
        name="checkout",
        kind="list",
        default="",
        metavar="REPOSITORY=DIR",
        help="run the original project in DIR in place of our program of REPOSITORY; repeatable",
    ),
    Option(
        name="weights",
        kind="text",
        default="",
        metavar="DIR",
        help="pretrained weights to start from: DIR/<repository>/<model>.pt",
    ),
    Option(
        name="limit",
        kind="int",
        default=0,
        metavar="N",
        help="use at most N training rows in every case, 0 all",
    ),
    Option(
        name="gpus",
        kind="text",
        default="",
        metavar="UUIDS",
        help="GPUs a container sees (comma-separated); executor docker only",
    ),
    Option(
        name="memory",
        kind="float",
        default=0.0,
        metavar="GIB",
        help="memory of a container, 0 nine tenths of the host's; executor docker only",
    ),
    Option(
        name="cpus",
        kind="float",
        default=0.0,
        metavar="N",
        help="processors' worth of time of a container, 0 all; executor docker only",
    ),
    Option(
        name="tdp",
        kind="text",
        default="",
        metavar="cpu=W,gpu=W",
        help="thermal design power for the calculator",
    ),
    Option(
        name="replay",
        kind="text",
        default="",
        metavar="FILE",
        help="recorded session or readings instead of live meters",
    ),
    Option(
        name="country", kind="text", default="", metavar="ISO", help="three letters, for derived CO2e only"
    ),
    Option(
        name="value",
        kind="text",
        default="auto",
        help="what pytest-benchmark sees of a case",
        choices=VALUES,
    ),
)

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
    value: str


CARRIED = ("meters", "data", "weights", "gpus", "memory", "cpus", "timeout", "tdp", "checkout", "retries")
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
                action="append" if option.kind == "list" else "store",
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
    results = Path(values["results"]).expanduser()
    return Options(
        given={name: str(values[name]) for name in CARRIED if values[name] not in ("", 0, 0.0)},
        executor=values["executor"],
        meters=_meters(values["meters"], values["replay"]),
        strict=values["strict"],
        results=results if results.is_absolute() else _base(config, root, "results") / results,
        report=values["report"],
        mutate=_names(values["mutate"]),
        runs=_at_least("runs", values["runs"], 1),
        seed=values["seed"],
        plan=values["plan"],
        yes=values["yes"],
        retries=_at_least("retries", values["retries"], 0),
        cooldown=_at_least("cooldown", values["cooldown"], 0.0),
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
        value=values["value"],
    )


def _value(config: pytest.Config, option: Option) -> Any:
    given = config.getoption(option.flag)
    where = option.flag
    if given is None:
        given = config.getini(option.ini)
        where = f"ini {option.ini}"
    if given is None or given == "":
        return option.default
    if option.kind == "flag":
        return bool(given)
    if option.kind == "list":
        return given if isinstance(given, str) else ",".join(given)
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


def _container(values: dict[str, Any]) -> dict[str, Any]:
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


def _meters(text: str, replay: str) -> tuple[str, ...]:
    if replay and text == "auto":
        return ("replay",)
    names = METERS if text == "auto" else _names(text)
    for name in names:
        if name not in (*METERS, "replay"):
            raise UnknownNameError("meter", name, (*METERS, "replay"))
    if len(set(names)) < len(names) or ("replay" in names and len(names) > 1):
        # Two readings of one channel would be added up.
        raise UsageError(f"--energy-meters {text}: name each meter once, and replay alone")
    if "replay" in names and not replay:
        raise UsageError("--energy-meters replay needs --energy-replay FILE")
    return tuple(names)


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
