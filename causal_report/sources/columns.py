"""What the cells of a column must be, read off its name: words or numbers, of which unit and range."""

from __future__ import annotations

import math

IDENTITY = ("experiment_id", "repository", "model")
"""Without these no row says what it is, and a table of them answers nothing."""
REQUIRED = (*IDENTITY, "timestamp", "training_success", "duration_seconds")
KEY = ("experiment_id", "timestamp", "role")
WORDS = {
    *("experiment_id", "timestamp", "role", "session", "repository", "model", "mode", "error_message"),
    *("data_source", "data_digest", "weights", "device", "executor", "shared_with", "simulated"),
}
UNITS = ("joules", "watts", "celsius", "percent", "status", "reason", "source")
"""Endings that a column named ``energy_*`` or ``estimate_*`` may have (and ``energy_per_epoch``)."""
NUMBER_ENDINGS = ("_joules", "_watts", "_seconds", "_percent", "_celsius", "_bytes")
NUMBERS = {"energy_per_epoch", "time_per_epoch", "convergence_epoch", "gpu_memory_peak", "cpu_load_before"}
SIGNED = ("_net_", "_tail_", "_lo_", "_skew_")
"""Parts of names whose joules or seconds may be below zero: differences and lower bounds."""
FOREGROUND = "fg_"
HOTTEST_C = 150.0
COLDEST_C = -60.0
"""Silicon is damaged or frozen beyond these: a temperature outside them is not one."""
FULL_PERCENT = 100.5
"""Utilisation is a share of time, rounded by its reader."""


def is_words(name: str) -> bool:
    """Whether the column holds words, even where every cell is empty."""
    name = name.removeprefix(FOREGROUND)
    return name in WORDS or name.endswith(("_status", "_reason"))


def is_number(name: str) -> bool:
    """Whether a cell of the column that is no number cannot be used."""
    bare = name.removeprefix(FOREGROUND)
    prefixed = bare.startswith(("hyperparam_", "perf_", "bg_hyperparam_"))
    return prefixed or bare in NUMBERS or (bare.endswith(NUMBER_ENDINGS) and not is_words(name))


def has_known_unit(name: str) -> bool:
    """Whether an energy column ends in a unit that is understood."""
    bare = name.removeprefix(FOREGROUND)
    if not bare.startswith(("energy_", "estimate_", "total_energy_")):
        return True
    return bare == "energy_per_epoch" or bare.rsplit("_", 1)[-1] in UNITS


def bounds(name: str) -> tuple[float, float]:
    """The least and the largest value that is possible in the column's unit."""
    if name.endswith("_celsius"):
        return COLDEST_C, HOTTEST_C
    if name.startswith("energy_") and "_util_" in name and name.endswith("_percent"):
        return 0.0, FULL_PERCENT
    physical = name.startswith(("energy_", "estimate_", "total_energy_", "idle_power_"))
    physical = physical or name in ("duration_seconds", "training_duration_seconds", "cpu_time_seconds")
    if physical and not any(part in name for part in SIGNED):
        return 0.0, math.inf
    return -math.inf, math.inf
