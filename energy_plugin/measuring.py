"""``with energy_plugin.measure("name") as m`` and ``@energy_plugin.measure("name")``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from energy_plugin import lane
from energy_plugin.calls import name_of
from energy_plugin.errors import UsageError
from energy_plugin.section import Section

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

P = ParamSpec("P")
R = TypeVar("R")


@overload
def measure(name: Callable[P, R]) -> Callable[P, R]: ...
@overload
def measure(
    name: str | None = None,
    *,
    values: Mapping[str, object] | None = None,
    meters: str | Sequence[str] | None = None,
    results: str | Path | None = None,
    quiet: bool = False,
    **options: Any,
) -> Section: ...
def measure(
    name: Any = None,
    *,
    values: Mapping[str, object] | None = None,
    meters: str | Sequence[str] | None = None,
    results: str | Path | None = None,
    quiet: bool = False,
    **options: Any,
) -> Any:
    """Measure a section or every call of a function with the meters of a ``pytest`` session.

    Meters are probed once a process. All sections of a process go into one folder below *results*, each
    with its record; the options of the first one hold until others are given.

    Args:
        name: of the model column; the same name with the same values is a replicate.
        values: numbers become hyperparameters (``hyperparam_*``), the rest is kept in the record.
        meters: names, such as ``"nvml,rapl"``; all that may be there by default.
        results: folder that receives the session, ``results`` by default.
        quiet: print nothing but what went wrong.
        options: others of ``pytest --help`` without ``--energy-``: ``tdp="cpu=65"``, ``strict=True``,
            ``idle=5`` (an idle baseline of five seconds before the first section, for net joules).

    Returns:
        A :class:`Section`, to be used as ``with measure("train") as m:`` or ``@measure("train")``.

    Raises:
        UsageError: an option or a name cannot be used.
    """
    if callable(name):
        return measure(name_of(name))(name)
    if name is not None and not isinstance(name, str):
        raise UsageError(f"name {name!r}: must be text")
    if values is not None and not isinstance(values, Mapping):
        raise UsageError(f"values {values!r}: must be a mapping, such as {{'batch_size': 32}}")
    if meters is not None and not meters:
        raise UsageError(
            f"meters {meters!r}: name at least one, such as 'rapl,nvml', or leave it away for all"
        )
    given = {**options}
    given |= {} if meters is None else {"meters": meters if isinstance(meters, str) else ",".join(meters)}
    given |= {} if results is None else {"results": str(results)}
    caller = sys._getframe(1)
    facts = {"file": caller.f_code.co_filename, "line": caller.f_lineno, "cwd": str(Path.cwd())}
    if name is None:
        name = Path(sys.argv[0]).stem or "python"
    return Section(
        name, values or {}, lambda: lane.HERE.lane(given), facts=facts, told=_quiet if quiet else _tell
    )


def _tell(section: Section) -> None:
    """One honest line."""
    from energy_plugin.receipt import line

    if section.record is not None and section.folder is not None:
        print(f"wattwhy: {line(section.record, section.folder)}", file=sys.stderr)


def _quiet(section: Section) -> None:
    """What went well needs no word."""
