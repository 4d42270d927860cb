"""Made-up sessions of pairs with a known truth, in exactly the columns the plugin writes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from causal_report.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA = Path(__file__).resolve().parents[2] / "energy_plugin" / "record" / "schema" / "summary.json"
COLUMNS: tuple[str, ...] = tuple(json.loads(SCHEMA.read_text())["columns"])
SESSION = "run_paired"
IDLE_W = 40.0
EPOCHS, LEARNING_RATE = 10.0, 0.1
SHARED = "shared by the pair: see shared_energy_joules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A program: seconds an epoch, watts above idle, processors and GPU it keeps busy."""

    name: str
    epoch_s: float = 10.0
    watts: float = 60.0
    cores: float = 2.0
    gpu_percent: float = 40.0
    memory_mib: float = 800.0
    accuracy: float = 0.8
    by_epochs: float = 0.10
    by_rate: float = -0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Couple:
    """Two programs at once.

    Attributes:
        slow_a: while both run ``a`` takes (1 + slow_a) times as long for the same work.
        draw: watts above idle of both together, as a share of the sum alone.
        shift: factor on ``b``'s accuracy; ``bend`` is added to its elasticity in the learning rate.
    """

    a: Model
    b: Model
    slow_a: float = 0.3
    slow_b: float = 0.2
    draw: float = 0.9
    shift: float = 1.0
    bend: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a run of both goes without noise."""

    a_s: float
    b_s: float
    joint_s: float
    overlap_s: float
    joint_j: float
    a_j: float
    own_a_j: float
    own_b_j: float


MNIST = Model(name="mnist", gpu_percent=12, memory_mib=450)
DENSENET = Model(name="densenet121", epoch_s=25.0, watts=150, gpu_percent=72, memory_mib=3300)
OAST = Model(name="oast", epoch_s=20.0, watts=140, gpu_percent=93, memory_mib=1950)
COUPLES = (
    Couple(a=MNIST, b=DENSENET, slow_a=0.2, slow_b=0.1, draw=0.95),
    Couple(a=MNIST, b=OAST, slow_a=0.4, slow_b=0.15, draw=0.9),
    Couple(a=DENSENET, b=OAST, slow_a=1.1, slow_b=1.2, draw=0.55),
)
DEFAULT = {"epochs": EPOCHS, "learning_rate": LEARNING_RATE, "seed": 1.0}
TREATMENTS: tuple[Mapping[str, float], ...] = (
    {},
    {"learning_rate": LEARNING_RATE / 5},
    {"learning_rate": LEARNING_RATE * 5},
    {"epochs": EPOCHS / 2},
    {"epochs": EPOCHS * 1.5},
)


def course(couple: Couple, a_s: float, b_s: float) -> Course:
    """Both at once, from what each would take alone; the second to end runs on alone."""
    left_a, left_b = a_s * (1 + couple.slow_a), b_s * (1 + couple.slow_b)
    overlap = min(left_a, left_b)
    own_a = max(0.0, a_s - overlap / (1 + couple.slow_a))
    own_b = max(0.0, b_s - overlap / (1 + couple.slow_b))
    a_w, b_w = couple.a.watts * couple.draw, couple.b.watts * couple.draw
    own_a_j, own_b_j = own_a * (IDLE_W + couple.a.watts), own_b * (IDLE_W + couple.b.watts)
    return Course(
        a_s=overlap + own_a,
        b_s=overlap + own_b,
        joint_s=overlap + own_a + own_b,
        overlap_s=overlap,
        joint_j=overlap * (IDLE_W + a_w + b_w) + own_a_j + own_b_j,
        a_j=overlap * (IDLE_W / 2 + a_w) + own_a_j,
        own_a_j=own_a_j,
        own_b_j=own_b_j,
    )


def alone_s(model: Model, values: Mapping[str, float]) -> float:
    """Seconds alone."""
    return model.epoch_s * values["epochs"]


def alone_j(model: Model, values: Mapping[str, float]) -> float:
    """Joules alone."""
    return alone_s(model, values) * (IDLE_W + model.watts)


def accuracy(model: Model, values: Mapping[str, float], bend: float = 0.0) -> float:
    """A power law in both hyperparameters."""
    rate = (values["learning_rate"] / LEARNING_RATE) ** (model.by_rate + bend)
    return float(model.accuracy * (values["epochs"] / EPOCHS) ** model.by_epochs * rate)


def truth(couple: Couple, treatment: Mapping[str, float]) -> Mapping[str, float]:
    """What the analysis should find for one setting of b."""
    b = {**DEFAULT, **treatment}
    a_s, b_s = alone_s(couple.a, DEFAULT), alone_s(couple.b, b)
    one = course(couple, a_s, b_s)
    joules = alone_j(couple.a, DEFAULT) + alone_j(couple.b, b)
    return {
        "slowdown_a": one.a_s / a_s - 1,
        "slowdown_b": one.b_s / b_s - 1,
        "makespan": one.joint_s / (a_s + b_s) - 1,
        "saving": 1 - one.joint_j / joules,
        "joint_j": one.joint_j,
        "a_j": one.a_j,
    }


def over_settings(couple: Couple, name: str) -> float:
    """The same over all settings, as the mean of log ratios."""
    found = [truth(couple, treatment)[name] for treatment in TREATMENTS]
    if name == "saving":
        return float(1 - np.exp(np.mean(np.log1p([-value for value in found]))))
    return float(np.expm1(np.mean(np.log1p(found))))


@dataclass(slots=True)
class _Writer:
    """Rows in order, with noise."""

    rng: np.random.Generator
    noise: float
    rows: list[dict[str, Any]] = field(default_factory=list)
    readings: list[dict[str, Any]] = field(default_factory=list)
    number: int = 0

    def factor(self, scale: float = 1.0) -> float:
        return float(np.exp(scale * self.noise * self.rng.standard_normal()))

    def alone(self, model: Model, treatment: Mapping[str, float], replicate: int) -> None:
        values = {**DEFAULT, **treatment}
        seconds = alone_s(model, values) * self.factor()
        joules = seconds * (IDLE_W + model.watts) * self.factor()
        row = self._row(f"paired_{model.name}", "a", model, treatment, replicate, "alone")
        row |= {
            "duration_seconds": seconds,
            "cpu_time_seconds": model.cores * seconds,
            "perf_test_accuracy": accuracy(model, values) * self.factor(0.2),
            "total_energy_joules": joules,
            "total_energy_status": "measured",
            "total_energy_reason": "",
            "energy_net_joules": joules - IDLE_W * seconds,
            "idle_power_watts": IDLE_W,
            "energy_gpu_util_avg_percent": model.gpu_percent,
            "gpu_memory_peak": model.memory_mib * 2**20,
            "estimate_codecarbon_joules": joules * 1.2,
            "estimate_codecarbon_status": "estimated",
        }
        self.rows.append(row)

    def pair(self, couple: Couple, treatment: Mapping[str, float], replicate: int) -> None:
        b = {**DEFAULT, **treatment}
        one = course(couple, alone_s(couple.a, DEFAULT) * self.factor(), alone_s(couple.b, b) * self.factor())
        drawn = self.factor()
        joint = one.joint_j * drawn
        name = f"paired_{couple.a.name}+paired_{couple.b.name}"
        shared = {
            "total_energy_status": "unavailable",
            "total_energy_reason": SHARED,
            "shared_energy_joules": joint,
            "shared_energy_status": "measured",
            "shared_energy_reason": "",
            "shared_cpu_joules": joint * 0.3,
            "shared_gpu_joules": joint * 0.7,
            "shared_duration_seconds": one.joint_s,
            "shared_overlap_seconds": one.overlap_s,
            "shared_estimate_codecarbon_joules": joint * 1.2,
            "shared_estimate_codecarbon_status": "estimated",
            "gpu_memory_peak": (couple.a.memory_mib + couple.b.memory_mib) * 2**20,
        }
        first = self._row(name, "a", couple.a, {}, replicate, "pair") | shared
        second = self._row(name, "b", couple.b, treatment, replicate, "pair") | shared
        second |= {n: first[n] for n in ("experiment_id", "timestamp", "case_id")}
        for row, seconds, model, other in (
            (first, one.a_s, couple.a, couple.b),
            (second, one.b_s, couple.b, couple.a),
        ):
            row |= {
                "duration_seconds": seconds,
                "cpu_time_seconds": model.cores * alone_s(model, DEFAULT | _settings(row)),
                "barrier_wait_seconds": 0.0,
                "partner_repository": "paired",
                "partner_model": other.name,
            }
        first["perf_test_accuracy"] = accuracy(couple.a, DEFAULT) * self.factor(0.2)
        second["perf_test_accuracy"] = accuracy(couple.b, b, couple.bend) * couple.shift * self.factor(0.2)
        self.rows += [first, second]
        self._read(str(first["experiment_id"]), joint, one, drawn)

    def _read(self, experiment: str, joint: float, one: Course, drawn: float) -> None:
        windows = (
            ("joint", None, joint),
            ("process", "a", joint - one.own_b_j * drawn),
            ("process", "b", joint - one.own_a_j * drawn),
        )
        for window, program, joules in windows:
            self.readings.append(
                {
                    "experiment_id": experiment,
                    "meter": "perf",
                    "channel": "cpu:package:0",
                    "kind": "direct",
                    "window": window,
                    "program": program,
                    "status": "measured",
                    "joules": joules,
                    "lo_j": joules * 0.999,
                    "hi_j": joules * 1.001,
                }
            )

    def _row(
        self, name: str, role: str, model: Model, treatment: Mapping[str, float], replicate: int, mode: str
    ) -> dict[str, Any]:
        if role == "a":
            self.number += 1
        values = {**DEFAULT, **treatment}
        return {
            **dict.fromkeys(COLUMNS),
            "experiment_id": f"{name}_{self.number:03d}",
            "timestamp": f"2026-11-21T{self.number // 60:02d}:{self.number % 60:02d}:00.000000+00:00",
            "role": role,
            "session": SESSION,
            "repository": "paired",
            "model": model.name,
            "mode": mode,
            "is_parallel": False,
            "training_success": True,
            "error_message": "",
            "retries": 0,
            "device": "cuda",
            "executor": "local",
            "exit_code": 0,
            "num_mutated_params": len(treatment),
            "mutated_param": "+".join(treatment),
            "case_id": f"{name}-{mode}-r{replicate}",
            "attempt": 1,
            "replicate": replicate,
            "block": replicate,
            "simulated": "",
            "schema_version": 1,
            **{f"hyperparam_{key}": value for key, value in values.items()},
        }


def _settings(row: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(row[f"hyperparam_{name}"]) for name in DEFAULT}


def session(
    couples: Sequence[Couple] = COUPLES, *, replicates: int = 3, noise: float = 0.02, seed: int = 1
) -> Source:
    """A session as it would be read: each pair by each treatment of b, each program of these alone once."""
    writer = _Writer(rng=np.random.default_rng(seed), noise=noise)
    for replicate in range(1, replicates + 1):
        seen: set[tuple[str, str]] = set()
        for couple in couples:
            for treatment in TREATMENTS:
                writer.pair(couple, treatment, replicate)
                for model, values in ((couple.a, {}), (couple.b, treatment)):
                    key = (model.name, repr(sorted(values.items())))
                    if key not in seen:
                        seen.add(key)
                        writer.alone(model, values, replicate)
    frame = pd.DataFrame(writer.rows)
    return Source(
        kind="session",
        path=Path(SESSION),
        name=SESSION,
        frame=frame,
        sha256="0" * 64,
        readings=tuple(writer.readings),
        facts={
            "host": {"cpus": 8, "cpu_model": "Made-up CPU"},
            "catalogue": {
                "paired": {
                    "metrics": {"test_accuracy": {"unit": "1", "better": "higher"}},
                    "models": {},
                }
            },
        },
        planned=len(frame),
        done=len(frame),
    )


def without(source: Source, rows: pd.Series[bool]) -> Source:
    """The session without these rows."""
    return replace(source, frame=source.frame.loc[~rows])
