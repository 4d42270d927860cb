"""A table of a million rows: seconds and memory from the CSV file to the answer of question 1.

``python -m tests.benchmarks.million [--rows N] [--folder DIR] [--whole]`` writes a made-up table in the
published form (six repositories, eleven models, nine hyperparameters, a tenth of the runs failed or
without a metric, half of them beside a background load; everything but the seed random) and reads,
types, checks and analyses it in a process of its own. Each line is a stage; peak is the largest
resident size up to its end. ``--whole`` runs the command instead, with the exact engine.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

LIMIT_S, LIMIT_GIB = 120.0, 4.0
"""What a table of a million rows may take on two cores."""
MODELS = [f"repository_{i % 6}/model_{i}" for i in range(11)]
HYPERPARAMETERS = ("epochs", "batch_size", "learning_rate", "dropout", "seed", "weight_decay", "kfold")
METRICS = ("test_accuracy", "test_loss", "precision", "recall", "map")
ELASTICITY = 0.9
"""Truth: energy is proportional to epochs to this power, and nothing else that was set moves it."""


def made(n: int, seed: int = 7) -> pa.Table:
    """*n* runs in the published form."""
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    which = rng.integers(0, len(MODELS), n)
    background = rng.random(n) < 0.5
    epochs = rng.integers(2, 200, n).astype(float)
    seconds = (5 + 3 * which) * epochs**ELASTICITY * np.exp(0.2 * background + 0.1 * rng.normal(size=n))
    watts = 150 * np.exp(0.05 * rng.normal(size=n))
    names = np.array([name.split("/") for name in MODELS])[which]
    success = rng.random(n) > 0.05
    table: dict[str, NDArray[np.generic] | list[str]] = {
        "experiment_id": [f"run_{i:07d}{'_parallel' if b else ''}" for i, b in enumerate(background)],
        "timestamp": (np.datetime64("2026-01-01T00:00:00") + np.arange(n)).astype(str),
        "repository": names[:, 0],
        "model": names[:, 1],
        "is_parallel": np.where(background, "True", "False"),
        "training_success": np.where(success, "True", "False"),
        "duration_seconds": seconds,
        "error_message": np.where(success, "", "failed"),
    }
    doses = {
        "epochs": epochs,
        "batch_size": 2.0 ** rng.integers(3, 9, n),
        "learning_rate": np.exp(rng.uniform(-7, 0, n)),
        "seed": rng.integers(0, 9999, n).astype(float),
    }
    for name in HYPERPARAMETERS:
        table[f"hyperparam_{name}"] = doses.get(name, rng.random(n))
    empty = rng.random(n) < 0.05
    for name in METRICS:
        table[f"perf_{name}"] = np.where(empty, np.nan, rng.random(n))
    cpu = 40 * seconds * np.exp(0.05 * rng.normal(size=n))
    table |= {
        "energy_cpu_pkg_joules": cpu,
        "energy_cpu_ram_joules": 0.1 * cpu,
        "energy_cpu_total_joules": 1.1 * cpu,
        "energy_gpu_avg_watts": watts,
        "energy_gpu_max_watts": 1.2 * watts,
        "energy_gpu_min_watts": 0.5 * watts,
        "energy_gpu_total_joules": watts * seconds,
        "energy_gpu_temp_avg_celsius": rng.uniform(50, 70, n),
        "energy_gpu_temp_max_celsius": rng.uniform(70, 85, n),
        "energy_gpu_util_avg_percent": rng.uniform(40, 90, n),
        "energy_gpu_util_max_percent": rng.uniform(90, 100, n),
        "mode": np.where(background, "parallel", ""),
    }
    return pa.table({k: pa.array(v, from_pandas=True) for k, v in table.items()})


def write(path: Path, n: int) -> None:
    """The made-up table as CSV; an empty cell where a value is missing."""
    from pyarrow import csv

    csv.write_csv(made(n), path)


def stages(path: Path) -> None:
    """Read, type, check and answer question 1 in this process, and say what each stage took."""
    started = time.perf_counter()
    last, last_cpu = started, time.process_time()

    def stage(name: str) -> None:
        nonlocal last, last_cpu
        wall, cpu = time.perf_counter() - last, time.process_time() - last_cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{name:28} {wall:7.1f} s  {cpu:7.1f} CPU s   peak {peak:5.2f} GiB", flush=True)
        last, last_cpu = time.perf_counter(), time.process_time()

    from causal_report import effects, outcomes, quality, response, table
    from causal_report.sources import load

    stage("imports")
    sources = load([path])
    stage("load (read, type, check)")
    whole = table.build(sources)
    stage("table")
    flags = quality.check(whole, sources, keep_flagged=False)
    stage(f"quality ({len(flags):,} flags)")
    usable = whole.where(quality.usable(whole, flags))
    stage(f"usable ({len(usable.frame):,} rows)")
    chosen = response.choose(usable.frame)
    energy = response.column(chosen)
    stage("response")
    best = usable.of("performance")[:1]
    wanted = [*([energy] if energy else []), outcomes.DURATION, *best]
    found = effects.estimate(usable.frame, usable.of("design"), wanted)
    stage(f"question 1 ({len(found)} effects)")
    wall, cpu = time.perf_counter() - started, time.process_time()
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{'all':28} {wall:7.1f} s  {cpu:7.1f} CPU s   peak {gib:5.2f} GiB")
    print(f"limits on two idle cores: {LIMIT_S:.0f} s and {LIMIT_GIB:.0f} GiB")
    for effect in found:
        if effect.factor == "design_epochs" and energy and effect.outcome == energy.name:
            print(f"epochs on energy, {effect.scope}: {effect.estimate} ({effect.lo} to {effect.hi})")
            break


def whole(path: Path, out: Path) -> None:
    """The command with the exact engine, as a user runs it."""
    command = [sys.executable, "-m", "causal_report", str(path), "--engine", "exact", "--out", str(out)]
    started = time.perf_counter()
    code = subprocess.run(command, check=False).returncode
    gib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"exit code {code}: {time.perf_counter() - started:.1f} s, peak {gib:.2f} GiB")


def main() -> None:
    """Write the table, then measure in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="keep the table here; default: a temporary folder")
    parser.add_argument("--whole", action="store_true", help="run the command, not the stages")
    parser.add_argument("--stages", type=Path, metavar="CSV", help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, metavar="CSV", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write(options.write, options.rows)
        return
    if options.stages:
        stages(options.stages)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        path = folder / f"rows_{options.rows}.csv"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "tests.benchmarks.million", "--rows", str(options.rows)]
            subprocess.run([*command, "--write", str(path)], check=True)  # its memory is not measured
        print(f"{options.rows:,} rows, {path.stat().st_size / 2**20:.0f} MiB")
        if options.whole:
            whole(path, folder / "report")
        else:
            command = [sys.executable, "-m", "tests.benchmarks.million", "--stages", str(path)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
