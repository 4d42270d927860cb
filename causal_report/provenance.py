"""How to get the page again: command, seed, versions, and where the rows came from."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from causal_report import agreement, simulated
from causal_report.findings import Provenance, SourceFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.options import Options
    from causal_report.sources.source import Source

NAMED = ("wattwhy", "numpy", "pandas", "scipy", "statsmodels", "jax", "dibs-lib")


def trace(sources: Sequence[Source], options: Options) -> Provenance:
    """The provenance of an analysis of *sources* by *options*."""
    return Provenance(
        command=options.command,
        seed=options.seed,
        versions=_versions(),
        keep_flagged=options.keep_flagged,
        sources=tuple(_source(source) for source in sources),
        channels=agreement.channels(sources),
    )


def _source(source: Source) -> SourceFacts:
    facts = source.facts
    return SourceFacts(
        kind=source.kind,
        name=source.name,
        rows=len(source.frame),
        complete=source.complete,
        done=source.done,
        planned=source.planned,
        sha256=source.sha256,
        started_utc=str(facts.get("started_utc", "")),
        host=facts.get("host", {}),
        versions=facts.get("versions", {}),
        command=" ".join(map(str, facts.get("argv", ()))),
        order_seed=facts.get("order", {}).get("seed"),
        executor=str(facts.get("executor", "")),
        simulated=simulated.of(source),
    )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in NAMED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
