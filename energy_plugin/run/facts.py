"""What session.json says of a session when it begins."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import energy_plugin
from energy_plugin.run.host import git_facts, host_facts, simulated_by, versions
from energy_plugin.run.probe import as_facts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from energy_plugin.declare.catalog import Repository
    from energy_plugin.options import Options
    from energy_plugin.record.trace import Channel


def facts_of(
    *,
    options: Options,
    executor: str,
    base: str,
    channels: Sequence[Channel],
    repositories: Sequence[Repository],
    root: Path,
) -> dict[str, Any]:
    """Everything but the session's own name, times and numbers.

    Args:
        options: of this invocation.
        executor: its name.
        base: what the programs run on.
        channels: what the meters found, dead ones too.
        repositories: those that the cases use; their catalogue entries are embedded.
        root: folder whose commit is recorded.
    """
    return {
        "wattwhy": energy_plugin.__version__,
        "argv": ["pytest", *sys.argv[1:]],
        "executor": executor,
        "base": base,
        "options": carried(options),
        "order": order_of(options),
        "host": host_facts(),
        "versions": versions(),
        "git": git_facts(root),
        "channels": as_facts(channels),
        "simulated": simulated_by(),
        "catalogue": {repository.name: repository.entry() for repository in repositories},
    }


def carried(options: Options) -> Mapping[str, str]:
    """What was set, with folders as absolute paths."""
    folders = {"data": options.data, "weights": options.weights, "sysfs": options.sysfs}
    checkouts = ",".join(f"{name}={path}" for name, path in options.checkout.items())
    paths = {name: str(path) for name, path in folders.items() if path}
    return options.given | paths | ({"checkout": checkouts} if checkouts else {})


def order_of(options: Options) -> dict[str, Any]:
    """How the cases are put in order, and by which seed."""
    return {"kind": options.order, "seed": options.seed}
