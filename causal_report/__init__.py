"""Why a training cost what it cost: analysis of recorded sessions, on files alone.

In a notebook::

    findings = causal_report.analyse("results/latest", engine="exact")
    causal_report.frames(findings)["effects"]
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from causal_report.notebook import frames
from causal_report.page import render
from causal_report.sources import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from causal_report.findings import Findings

__all__ = ["analyse", "frames", "load", "render"]


def analyse(
    results: str | Path | Sequence[str | Path],
    *,
    language: str = "en",
    defaults: str | Path | None = None,
    **options: Any,
) -> Findings:
    """Findings of one or several sessions or tables.

    Args:
        results: what ``python -m causal_report`` takes: session folders, CSV tables.
        language: of the sentences.
        defaults: where values of hyperparameters that were not recorded are taken from.
        options: fields of :class:`causal_report.options.Options`, such as ``engine="exact"``.

    Raises:
        InputError: the input cannot be used; the message names file, place and mend.
    """
    from causal_report.analysis import analyse as steps
    from causal_report.options import Options
    from causal_report.text import Text

    paths = [results] if isinstance(results, str | Path) else list(results)
    sources = load([Path(path) for path in paths], defaults=Path(defaults) if defaults else None)
    return steps(sources, Text(language), Options(**options))
