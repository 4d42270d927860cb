"""Classes of pairs: by the memory of both and by whether together they ask for more than there is."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Literal

from causal_report.findings.concurrency import PairTraits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from causal_report.concurrency.run import Pairing, Run
    from causal_report.sources.source import Source

    Load = Literal["complementary", "competing", "unknown"]

MEDIUM_MIB, HIGH_MIB = 1500, 3000
"""From here on memory is medium, high: the bounds of the published concurrency study's classes."""
FULL_PERCENT = 100.0
"""Two programs complement each other when their utilisations alone add up to no more than one GPU."""
MIB = 2.0**20


def traits(pairing: Pairing, sources: Sequence[Source]) -> PairTraits:
    """The pair's classes: measured figures alone first for load, the catalogue's first for memory."""
    memory, memory_source = _memory(pairing, sources)
    gpu = _sum(_mean(pairing.alone(role), lambda run: run.gpu_percent) for role in ("a", "b"))
    cores = _sum(_mean(pairing.alone(role), _cores) for role in ("a", "b"))
    load, load_source = _load(gpu, cores, _cpus(pairing, sources))
    peaks = [run.a.gpu_memory_bytes for run in pairing.runs if run.a.gpu_memory_bytes is not None]
    return PairTraits(
        memory_class="+".join(memory_class(mib) for mib in sorted(memory)) if memory else "unknown",
        memory_mib=sum(memory) if memory else None,
        memory_source=memory_source,
        load_class=load,
        gpu_percent=gpu,
        cores=cores,
        load_source=load_source,
        peak_mib=max(peaks) / MIB if peaks else None,
    )


def memory_class(mib: float) -> str:
    """``low``, ``medium`` or ``high``."""
    return "low" if mib < MEDIUM_MIB else "medium" if mib < HIGH_MIB else "high"


def _memory(pairing: Pairing, sources: Sequence[Source]) -> tuple[list[float], str]:
    """MiB of each program and whose figures these are; empty where nobody knows both."""
    entries = [_entry(sources, model).get("memory", {}) for model in (pairing.a, pairing.b)]
    given = [entry.get("gpu_mib", entry.get("study_mib")) for entry in entries]
    if all(mib is not None for mib in given):
        named = sorted({str(entry.get("source", "catalogue")) for entry in entries})
        return [float(mib) for mib in given], f"catalogue ({', '.join(named)})"
    for measure, words in (
        (lambda run: run.gpu_memory_bytes, "peak GPU memory, measured alone"),
        (lambda run: run.memory_bytes, "peak main memory, measured alone: no GPU was seen"),
    ):
        peaks = [_mean(pairing.alone(role), measure) for role in ("a", "b")]
        known = [peak / MIB for peak in peaks if peak is not None]
        if len(known) == 2:
            return known, words
    return [], "neither in the catalogue nor measured alone"


def _load(gpu: float | None, cores: float | None, cpus: int | None) -> tuple[Load, str]:
    """Competing where one resource is asked for beyond what there is, complementary where none is."""
    said, over = [], False
    if gpu is not None:
        said.append(f"GPU {gpu:.0f} % of 100 %")
        over |= gpu > FULL_PERCENT
    if cores is not None and cpus:
        said.append(f"{cores:.1f} of {cpus} processor cores")
        over |= cores > cpus
    if not said:
        return "unknown", "utilisation alone was not recorded"
    return "competing" if over else "complementary", "alone, summed: " + "; ".join(said)


def _cores(run: Run) -> float | None:
    return run.cpu_s / run.duration_s if run.cpu_s is not None else None


def _mean(runs: Iterable[Run], measure: Callable[[Run], float | None]) -> float | None:
    known = [value for run in runs if (value := measure(run)) is not None]
    return statistics.fmean(known) if known else None


def _sum(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if any(v is None for v in known) else sum(v for v in known if v is not None)


def _cpus(pairing: Pairing, sources: Sequence[Source]) -> int | None:
    sessions = {run.a.session for run in pairing.runs}
    found = [s.facts.get("host", {}).get("cpus") for s in sources if s.name in sessions]
    known = [int(cpus) for cpus in found if cpus]
    return min(known) if known else None


def _entry(sources: Sequence[Source], model: str) -> Mapping[str, Any]:
    repository, _, name = model.partition("/")
    for source in sources:
        models = source.facts.get("catalogue", {}).get(repository, {}).get("models", {})
        if name in models:
            entry: Mapping[str, Any] = models[name]
            return entry
    return {}
