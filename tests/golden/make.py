"""Writes the golden session: a small made-up session in the exact form the plugin writes.

``python tests/golden/make.py FOLDER`` gives the same bytes every time. Its truth is closed-form:
package power 30 W, DRAM 3 W, GPU 100 W plus 10 W of idle share, time 2 s + 1.5 s an epoch, with 2 %
of seeded noise; learning rate and batch size do nothing to energy. Both packages' tests read it.
"""

from __future__ import annotations

import random
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from energy_plugin.declare.case import Case, Program
from energy_plugin.record.baseline import Baseline, Level
from energy_plugin.record.files import rebuild, write_json
from energy_plugin.record.journal import Journal
from energy_plugin.record.marks import Epoch
from energy_plugin.record.record import Cooldown, Order, Outcome, Record
from energy_plugin.record.trace import Channel, Reading, Window

SESSION = "run_20261121_190000"
GPU = "gpu:GPU-00000000-0000-0000-0000-000000000001"
POWER_W = {"cpu:package:0": 30.0, "cpu:dram:0": 3.0, GPU: 110.0}
IDLE_W = {"cpu:package:0": 12.0, "cpu:dram:0": 1.0, GPU: 10.0}
IDLE_UNC_W = {"cpu:package:0": 0.3, "cpu:dram:0": 0.05, GPU: 0.4}
STARTUP_S, EPOCH_S, NOISE = 2.0, 1.5, 0.02
CHANNELS = [
    Channel(id="cpu:package:0", meter="perf", source="rapl-pmu"),
    Channel(id="cpu:dram:0", meter="perf", source="rapl-pmu"),
    Channel(id=GPU, meter="nvml", source="nvml-counter", tick_s=0.1),
    Channel(id="cpu", meter="codecarbon", source="load-model", kind="model"),
    Channel(
        id="cpu",
        meter="calculator",
        source="tdp-table",
        kind="model",
        alive=False,
        reason="no-tdp",
        detail="no thermal design power was given",
        fix="--energy-tdp cpu=65",
    ),
]
HYPERPARAMETERS = {
    "epochs": {"role": "epochs", "type": "int", "flag": "--epochs", "default": 14},
    "batch_size": {"role": "batch_size", "type": "int", "flag": "--batch-size", "default": 32},
    "learning_rate": {"role": "learning_rate", "type": "float", "flag": "--learning-rate", "default": 1.0},
    "seed": {"role": "seed", "type": "int", "flag": "--seed", "default": 1},
}


def facts(planned: int) -> dict[str, Any]:
    """The content of session.json."""
    return {
        "schema_version": 1,
        "session": SESSION,
        "started_utc": "2026-11-21T19:00:00+00:00",
        "wattwhy": "0.1.0",
        "argv": ["pytest", "benchmarks/designs/demo.toml"],
        "executor": "local",
        "base": "python3.11 torch2.13.0",
        "options": {"meters": "auto", "retries": "2"},
        "order": {"kind": "blocks", "seed": 7},
        "value": "total_energy_joules",
        "planned": planned,
        "host": {
            "system": "Linux",
            "kernel": "6.1.0",
            "cpu_model": "Golden CPU",
            "cpus": 8,
            "memory_bytes": 16 << 30,
            "virtual": False,
        },
        "versions": {"python": "3.11.2", "torch": "2.13.0"},
        "git": {"sha": "0" * 40, "dirty": False},
        "simulated": "",
        "idle": [asdict(BEFORE), asdict(AFTER)],
        "channels": [asdict(channel) for channel in CHANNELS],
        "catalogue": {
            "examples": {
                "title": "Small vision and language examples",
                "sources": "0" * 64,
                "metrics": {
                    "test_accuracy": {"title": "accuracy on held-out rows", "unit": "1", "better": "higher"},
                    "test_loss": {"title": "loss on held-out rows", "unit": "nat", "better": "lower"},
                },
                "models": {
                    "mnist": {
                        "title": "Convolutional network on MNIST",
                        "metrics": ["test_accuracy", "test_loss"],
                        "hyperparameters": {n: {**h, "ranges": {}} for n, h in HYPERPARAMETERS.items()},
                    }
                },
            }
        },
        "complete": True,
        "done": planned,
        "exit_code": 1,
        "ended_utc": "2026-11-21T19:05:00+00:00",
    }


def baseline(name: str, t0_ns: int) -> Baseline:
    """Five quiet seconds."""
    levels = [
        Level(
            meter=channel.meter,
            channel=channel.id,
            power_w=IDLE_W[channel.id],
            median_w=IDLE_W[channel.id],
            unc_w=IDLE_UNC_W[channel.id],
            drift_w=0.0,
            temperature_c=35.0 if channel.id == GPU else None,
            seconds=5.0,
        )
        for channel in CHANNELS
        if channel.id in IDLE_W
    ]
    return Baseline(
        name=name,
        t0_ns=t0_ns,
        t1_ns=t0_ns + 5 * 10**9,
        levels=tuple(levels),
        cpu_load=0.01,
        gpu_processes=0,
    )


BEFORE = baseline("idle:before", 990_000_000_000)
AFTER = baseline("idle:after", 3_000_000_000_000)


def cases(rng: random.Random) -> list[Case]:
    """Eight cases in three blocks: defaults, one-at-a-time, joint; blocks in random order."""
    varied: list[dict[str, Any]] = [
        {},
        {"epochs": 2},
        {"epochs": 6},
        {"batch_size": 16},
        {"batch_size": 128},
        {"learning_rate": 0.25},
        {"epochs": 3, "batch_size": 64, "learning_rate": 0.5},
        {"epochs": 5, "batch_size": 24, "learning_rate": 2.0},
    ]
    ordered: list[Case] = []
    for replicate in (1, 2, 3):
        block = [_case(values, replicate) for values in varied]
        rng.shuffle(block)
        ordered += block
    return ordered


def _case(changed: dict[str, Any], replicate: int) -> Case:
    base: dict[str, Any] = {"epochs": 4, "batch_size": 32, "learning_rate": 1.0, "seed": 1}
    program = Program(
        repository="examples",
        model="mnist",
        values={**base, **changed},
        passed=frozenset({"epochs", *changed}),
        varied=tuple(changed),
        limit=1000,
    )
    return Case(programs=(program,), replicate=replicate, design="demo")


def record(case: Case, index: int, rng: random.Random) -> Record:
    """One attempt; the one at index 9 crashes halfway and keeps its energy."""
    program = case.programs[0]
    failed = index == 9
    epochs = int(program.values["epochs"]) // (2 if failed else 1)
    t0 = 1_000_000_000_000 + index * 60_000_000_000
    seconds = (STARTUP_S + EPOCH_S * epochs) * rng.gauss(1.0, NOISE)
    process = Window(program="a", name="process", t0_ns=t0, t1_ns=t0 + round(seconds * 1e9), unc_ns=500_000)
    marks = [
        Epoch(
            number=n,
            t0_ns=t0 + round((STARTUP_S * 0.8 + EPOCH_S * (n - 1)) * 1e9),
            t1_ns=t0 + round((STARTUP_S * 0.8 + EPOCH_S * n) * 1e9),
            loss=2.0 / n,
            metrics={},
        )
        for n in range(1, epochs + 1)
    ]
    accuracy = 0.95 - 0.1 / max(1, epochs) + rng.gauss(0, 0.004)
    return Record(
        experiment_id=f"examples_mnist_{index + 1:03d}",
        session=SESSION,
        case=case,
        case_key=f"{index:016x}",
        attempt=1,
        started_utc=f"2026-11-21T19:{index:02d}:00.000000+00:00",
        outcomes=(
            Outcome(
                program=program,
                success=not failed,
                reason="exit-code" if failed else "",
                detail="the program ended with exit code 1" if failed else "",
                exit_code=1 if failed else 0,
                windows=(process, *_windows(marks)),
                epochs=tuple(marks),
                metrics={} if failed else {"test_accuracy": accuracy, "test_loss": 1 - accuracy},
                data_source="mnist-5k",
                data_digest="0123456789abcdef",
                weights="random",
                device="cuda",
                cpu_s=seconds * 0.9,
                memory_peak_bytes=400 << 20,
                log=f"examples_mnist_{index + 1:03d}/training.log",
            ),
        ),
        readings=tuple(_readings(process, seconds, rng)),
        order=Order(block=case.replicate, index=index, seed=7),
        cooldown=Cooldown(seconds=1.5, reason="back at idle"),
        idle=BEFORE,
        provenance={
            "load_1min": 0.1,
            "foreign_gpu_processes": [],
            "gpu_gauges": {
                "power_w_avg": 110.0,
                "power_w_min": 95.0,
                "power_w_max": 130.0,
                "temperature_c_avg": 50.0,
                "temperature_c_max": 55.0,
                "utilization_percent_avg": 60.0,
                "utilization_percent_max": 80.0,
                "memory_used_bytes_max": float(500 << 20),
            },
        },
    )


def _windows(marks: list[Epoch]) -> list[Window]:
    training = Window(program="a", name="training", t0_ns=marks[0].t0_ns, t1_ns=marks[-1].t1_ns)
    each = [Window(program="a", name=f"epoch:{e.number}", t0_ns=e.t0_ns, t1_ns=e.t1_ns) for e in marks]
    return [training, *each]


def _readings(process: Window, seconds: float, rng: random.Random) -> list[Reading]:
    readings = []
    for channel in CHANNELS:
        if not channel.alive:
            readings.append(
                Reading(
                    meter=channel.meter,
                    channel=channel.id,
                    window=process,
                    status="unavailable",
                    reason=channel.reason,
                    source=channel.source,
                    kind=channel.kind,
                )
            )
            continue
        model = channel.kind == "model"
        watts = 45.0 if model else POWER_W[channel.id]
        joules = watts * seconds * rng.gauss(1.0, 0.05 if model else 0.005)
        gpu = channel.meter == "nvml"
        readings.append(
            Reading(
                meter=channel.meter,
                channel=channel.id,
                window=process,
                status="estimated" if model else "measured",
                joules=joules,
                lo_j=joules * 0.99,
                hi_j=joules * 1.01,
                covered_s=seconds,
                source=channel.source,
                method="resolved-edges" if gpu else "exact-window",
                kind=channel.kind,
                idle_w=IDLE_W.get(channel.id),
                idle_unc_w=IDLE_UNC_W.get(channel.id),
            )
        )
        if gpu:
            readings.append(_tail(channel, process))
    return readings


def _tail(channel: Channel, process: Window) -> Reading:
    """The GPU falls back to its idle power: 5 J more than that in a quarter of a second."""
    window = Window(program=None, name="tail", t0_ns=process.t1_ns, t1_ns=process.t1_ns + 250_000_000)
    return Reading(
        meter=channel.meter,
        channel=channel.id,
        window=window,
        status="measured",
        joules=7.5,
        lo_j=7.0,
        hi_j=8.0,
        covered_s=0.25,
        source=channel.source,
        method="linear-edges",
        idle_w=IDLE_W[GPU],
        idle_unc_w=IDLE_UNC_W[GPU],
    )


def write(folder: Path) -> Path:
    """Write the session below *folder* and return its own folder."""
    rng = random.Random(20261121)
    session = folder / SESSION
    session.mkdir(parents=True, exist_ok=True)
    (session / "journal.jsonl").unlink(missing_ok=True)
    planned = cases(rng)
    content = facts(len(planned))
    journal = Journal(session)
    journal.append("session-begin", content["started_utc"], session=content)
    journal.append("idle", content["started_utc"], baseline=asdict(BEFORE))
    for index, case in enumerate(planned):
        done = record(case, index, rng)
        journal.append(
            "attempt-begin",
            done.started_utc,
            experiment_id=done.experiment_id,
            case_id=case.id,
            case_key=done.case_key,
            attempt=1,
        )
        journal.end(done.started_utc, done, "" if done.success else "0" * 16)
    journal.append("idle", content["ended_utc"], baseline=asdict(AFTER))
    journal.append("session-end", content["ended_utc"], exit_code=1, complete=True)
    journal.close()
    write_json(session / "session.json", content)
    rebuild(session)
    return session


if __name__ == "__main__":
    print(write(Path(sys.argv[1])))
