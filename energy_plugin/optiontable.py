"""The table of options: each row is a flag on the command line, an ini key and a line of the docs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

EXECUTORS = ("local", "docker")
METERS = ("perf", "rapl", "nvml", "codecarbon", "calculator")
"""What ``auto`` means; ``wall`` joins them where one is named."""
BY_NAME = ("wall", "zeus", "replay")
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
    "estimate_nvml_joules",
    "estimate_zeus_joules",
    "duration_seconds",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One row of the table.

    Attributes:
        kind: ``text``, ``int``, ``float``, ``flag``, or a repeatable one: ``list``, whose parts are kept
            comma-separated, and ``lines``, whose parts may hold commas and are kept one a line.
        bare: value of the flag when it stands alone; empty where it must have one.
    """

    name: str
    kind: str
    default: Any
    help: str
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    bare: str = ""

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
        help=f"meters by name, comma-separated, of: {', '.join((*METERS, *BY_NAME))}; "
        f"auto is {', '.join(METERS)}",
    ),
    Option(
        name="strict",
        kind="flag",
        default=False,
        help="stop before the first run if a chosen meter is dead, and run no case on a busy host",
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
    Option(
        name="noise",
        kind="float",
        default=0.0,
        metavar="PCT",
        help="spread of replicates to plan with, one standard deviation; 0 takes it from past sessions",
    ),
    Option(
        name="effect",
        kind="float",
        default=0.0,
        metavar="PCT",
        help="effect to find: --energy-plan says how many replicates that needs",
    ),
    Option(
        name="earlier",
        kind="lines",
        default="",
        metavar="PATH",
        help="leave out what succeeded in this session, results folder or table (our summary.csv or the "
        "published study's); repeatable",
    ),
    Option(
        name="resume",
        kind="text",
        default="",
        metavar="SESSION",
        bare="latest",
        help="go on in an earlier session: a name, a folder, or latest, which it is when it stands alone",
    ),
    Option(name="yes", kind="flag", default=False, help="run even if more than an hour is expected"),
    Option(
        name="retries",
        kind="int",
        default=2,
        metavar="N",
        help="new attempts after a failed training, at most",
    ),
    Option(
        name="warmup",
        kind="float",
        default=30.0,
        metavar="S",
        help="let a background train so long before the measured training starts",
    ),
    Option(
        name="governor",
        kind="text",
        default="",
        metavar="NAME",
        help="frequency governor of the processors during the session, put back after it; needs root",
    ),
    Option(
        name="power-limit",
        kind="text",
        default="",
        metavar="W,W",
        help="run every case under each of these GPU power limits, put back after it; needs root",
    ),
    Option(
        name="lock",
        kind="text",
        default="",
        metavar="FILE",
        help="lock that keeps two sessions on one host apart; default: one file for all users",
    ),
    Option(
        name="cooldown",
        kind="float",
        default=60.0,
        metavar="S",
        help="longest rest between two cases, 0 none; it ends when temperature and idle power are back, "
        "and is none where nothing can tell",
    ),
    Option(
        name="idle",
        kind="float",
        default=5.0,
        metavar="S",
        help="watch the idle machine so long before the first and after the last case, 0 not; "
        "only where a direct meter lives",
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
        name="sysfs",
        kind="text",
        default="",
        metavar="DIR",
        help="where the host's /sys is mounted, for perf and rapl",
    ),
    Option(
        name="wall",
        kind="lines",
        default="",
        metavar="NAME=URL",
        help="wall meter of this machine: a Shelly or Tasmota plug by URL, or NAME=command:CMD; repeatable",
    ),
    Option(
        name="value",
        kind="text",
        default="auto",
        help="what pytest-benchmark sees of a case",
        choices=VALUES,
    ),
)
