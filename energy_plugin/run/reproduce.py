"""``wattwhy reproduce SESSION``: the exact cases of a recorded session, run again and compared."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energy_plugin.declare.catalog import load_catalog
from energy_plugin.errors import UsageError
from energy_plugin.record.journal import NAME, session_facts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from energy_plugin.declare.catalog import Catalog


def reproduce(
    session: Path, results: Path | None, arguments: Sequence[str], *, allow_changed: bool = False
) -> int:
    """Run the cases that succeeded in *session* again, in their recorded order, and print the comparison.

    The recorded settings (data, weights, GPUs, meters, limits) are used again; *arguments* come after
    them and win.

    Args:
        session: a recorded session's folder.
        results: folder for the new session; beside the recorded one when None.
        arguments: further pytest options, such as ``--energy-data DIR``.
        allow_changed: run even if the sources are not those of the recording.

    Returns:
        The exit code of the run if it failed, else that of the comparison.

    Raises:
        UsageError: no such session, or its sources are not the ones here.
    """
    session = session.resolve()
    if not (session / NAME).is_file():
        raise UsageError(f"{session}: no {NAME} here; give a session folder such as results/latest")
    facts = session_facts(session)
    if not allow_changed:
        images = [a.partition("=")[2] for a in arguments if a.startswith("--energy-images=")]
        _refuse_changed(facts, load_catalog(Path(images[-1]) if images else None))
    results = (results or session.parent).resolve()
    before = {path.name for path in results.glob("run_*")} if results.is_dir() else set()
    command = [sys.executable, "-m", "pytest", "-v", str(session / NAME), "-p", "energy_plugin.plugin"]
    command += [f"--energy-results={results}", f"--energy-executor={facts['executor']}"]
    command += [f"--energy-{name}={value}" for name, value in facts.get("options", {}).items()]
    command += ["--energy-order=declared", "--energy-yes", "--energy-report=never", *arguments]
    done = subprocess.run(command, check=False)
    fresh = sorted(path for path in results.glob("run_*") if path.name not in before)
    if not fresh:
        return done.returncode or 1
    compared = subprocess.run(
        [sys.executable, "-m", "causal_report.reproduction", str(session), str(fresh[-1])], check=False
    )
    return done.returncode or compared.returncode


def _refuse_changed(facts: Mapping[str, Any], catalog: Catalog) -> None:
    """The sources must be those of the recording: else it is another experiment."""
    for name, entry in facts["catalogue"].items():
        here = catalog.repositories.get(name)
        if here is None:
            raise UsageError(f"repository {name} of the recorded session is not in {catalog.folder}")
        if here.sources != entry["sources"]:
            raise UsageError(
                f"the sources of {name} have changed since that session ({entry['sources'][:12]} then, "
                f"{here.sources[:12]} now): check out its commit {facts['git'].get('sha') or '(unknown)'}, "
                "or add --changed to run what is here"
            )
