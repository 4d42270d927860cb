"""Reads a bare table with the published study's columns, flaws included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_report.sources.source import Source, digest, read_table

if TYPE_CHECKING:
    from pathlib import Path

REASON = "as published: the GPU part is a plain sum of power samples, which reads low when the CPU is busy"


def read(path: Path) -> Source:
    """The table at *path*; its total is CPU plus GPU as published, with status ``partial``."""
    frame = read_table(path)
    frame["session"] = path.stem
    if "mode" in frame and "is_parallel" in frame:
        parallel = frame["is_parallel"].astype(str).str.lower() == "true"
        frame["mode"] = np.where(parallel, "background", "alone")
    if "total_energy_joules" not in frame:
        parts = [c for c in ("energy_cpu_total_joules", "energy_gpu_total_joules") if c in frame]
        frame["total_energy_joules"] = frame[parts].sum(axis=1, skipna=False) if parts else np.nan
        known = frame["total_energy_joules"].notna()
        frame["total_energy_status"] = np.where(known, "partial", "unavailable")
        frame["total_energy_reason"] = np.where(known, REASON, "a part is missing in the published table")
    return Source(
        kind="published",
        path=path,
        name=path.stem,
        frame=frame,
        sha256=digest(path),
        done=len(frame),
        notes=(
            "A published table: meters, machine and the order of its runs were not recorded, "
            "and only changed hyperparameters were.",
        ),
    )
