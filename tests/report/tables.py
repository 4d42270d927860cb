"""Made-up tables and session folders with a known truth, in the form the plugin writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from causal_report.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "run_20261121_190000"
MODELS = ("mnist", "mnist_rnn")
ELASTICITY = 0.9
"""Truth of :func:`rows`: energy ∝ epochs^0.9; batch size, learning rate and dropout do nothing."""


def rows(n: int = 60, *, seed: int = 5, models: Sequence[str] = MODELS, noise: float = 0.03) -> pd.DataFrame:
    """*n* successful runs over *models* in randomised order, three blocks."""
    rng = np.random.default_rng(seed)
    model = np.array([models[i % len(models)] for i in range(n)])
    base = np.where(model == models[0], 200.0, 900.0)
    epochs = rng.integers(2, 16, n).astype(float)
    duration = base / 100 * epochs**ELASTICITY * np.exp(noise * rng.normal(size=n))
    power = 100 * np.exp(0.01 * rng.normal(size=n))
    utilisation = 55 + 4 * np.log(epochs) + rng.normal(size=n)
    accuracy = 0.8 + 0.05 * np.log(epochs) + 0.01 * rng.normal(size=n)
    total = power * duration
    return pd.DataFrame(
        {
            "experiment_id": [f"examples_{m}_{i + 1:03d}" for i, m in enumerate(model)],
            "timestamp": [f"2026-11-21T{i // 60:02d}:{i % 60:02d}:00.000000+00:00" for i in range(n)],
            "role": "a",
            "session": "run_made",
            "repository": "examples",
            "model": model,
            "mode": "alone",
            "is_parallel": False,
            "training_success": True,
            "duration_seconds": duration,
            "error_message": "",
            "total_energy_joules": total,
            "total_energy_status": "measured",
            "total_energy_reason": "",
            "energy_gpu_total_joules": total * 0.8,
            "energy_gpu_avg_watts": power * 0.8,
            "energy_gpu_util_avg_percent": utilisation,
            "estimate_codecarbon_joules": total * 1.2 * np.exp(0.05 * rng.normal(size=n)),
            "cpu_load_before": 0.2 + 0.05 * rng.random(n),
            "cpu_time_seconds": duration * (1 + 0.05 * rng.random(n)),
            "data_source": "mnist-5k",
            "device": "cuda",
            "block": np.arange(n) * 3 // n + 1,
            "hyperparam_epochs": epochs,
            "hyperparam_batch_size": rng.choice([16, 32, 64, 128], n).astype(float),
            "hyperparam_learning_rate": np.exp(rng.uniform(np.log(0.01), np.log(1.0), n)),
            "hyperparam_dropout": rng.uniform(0, 0.5, n),
            "hyperparam_seed": rng.integers(0, 9999, n).astype(float),
            "perf_test_accuracy": accuracy,
        }
    )


def source(frame: pd.DataFrame, **facts: Any) -> Source:
    """A session that was read, without files."""
    return Source(
        kind="session",
        path=Path("run_made"),
        name="run_made",
        frame=frame,
        sha256="0" * 64,
        facts={"host": {"cpus": 8, "cpu_model": "Made-up CPU"}, "catalogue": {}, **facts},
        planned=len(frame),
        done=len(frame),
    )


def golden(folder: Path) -> Path:
    """A copy of the golden session that a test may bend."""
    return Path(shutil.copytree(GOLDEN, folder / GOLDEN.name))


def without_meters(session: Path) -> Path:
    """Bend a session into one where no direct meter lived."""
    table = pd.read_csv(session / "summary.csv")
    gone = [str(c) for c in table if str(c).startswith(("energy_", "total_energy_"))]
    for name in gone:
        table[name] = np.nan
    table["total_energy_status"] = "unavailable"
    table["total_energy_reason"] = "cpu:package:0 no-permission"
    table.to_csv(session / "summary.csv", index=False)
    for path in session.glob("*/energy/readings.json"):
        models = [r for r in json.loads(path.read_text()) if r["kind"] == "model"]
        path.write_text(json.dumps(models))
    facts = json.loads((session / "session.json").read_text())
    for channel in facts["channels"]:
        if channel["kind"] == "direct":
            channel |= {
                "alive": False,
                "reason": "no-permission",
                "fix": "sysctl kernel.perf_event_paranoid=0",
            }
    (session / "session.json").write_text(json.dumps(facts))
    return session


def replayed(session: Path) -> Path:
    """Bend a session into one whose direct readings were played from a recording."""
    for path in session.glob("*/energy/readings.json"):
        readings = json.loads(path.read_text())
        for reading in readings:
            if reading["kind"] == "direct":
                reading["source"] = f"replay:{reading['source']}"
        path.write_text(json.dumps(readings))
    return session


def cut_short(session: Path, attempts: int = 10) -> Path:
    """Bend a session into one that was stopped after so many attempts."""
    journal = session / "journal.jsonl"
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    ended = [i for i, event in enumerate(events) if event["event"] == "attempt-end"]
    journal.write_text("".join(json.dumps(event) + "\n" for event in events[: ended[attempts - 1] + 1]))
    table = pd.read_csv(session / "summary.csv")
    table.iloc[:attempts].to_csv(session / "summary.csv", index=False)
    facts = json.loads((session / "session.json").read_text())
    (session / "session.json").write_text(json.dumps({**facts, "complete": False, "done": attempts}))
    return session


def write(folder: Path, frame: pd.DataFrame) -> Path:
    """A session folder that holds *frame* and nothing of meters."""
    folder.mkdir(parents=True)
    frame.to_csv(folder / "summary.csv", index=False)
    facts = {
        "session": "run_made",
        "complete": True,
        "planned": len(frame),
        "host": {"cpus": 8},
        "channels": [],
    }
    (folder / "session.json").write_text(json.dumps(facts))
    events = [{"event": "session-begin", "session": facts}, {"event": "session-end", "complete": True}]
    (folder / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder
