"""Design files and recorded sessions collected as test modules.

A design file gives one test function for each ``[[experiments]]`` block, a settings file of the seed
study one for each of its experiments. A session's ``journal.jsonl``
gives one test with exactly the cases that succeeded in it: how ``wattwhy reproduce`` runs them again.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.declare.collect import MARK, Recorded
from energy_plugin.declare.designtoml import read_design_file
from energy_plugin.errors import EnergyError, UsageError
from energy_plugin.state import STATE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from energy_plugin.declare.case import Case
    from energy_plugin.declare.collect import Declaration
    from energy_plugin.record.record import Record


class DesignFile(pytest.Module):
    """A file that declares experiments, run exactly as a module with ``@experiments`` would be."""

    def _getobj(self) -> types.ModuleType:
        module = types.ModuleType(self.path.stem)
        try:
            declarations = self._declarations()
        except EnergyError as error:
            self.config.stash[STATE].selection.refusals.append(str(error))
            return module
        for name, declaration in declarations.items():
            setattr(module, f"test_{name}", _test(declaration))
        return module

    def _declarations(self) -> Mapping[str, Declaration | Recorded]:
        if self.path.suffix == ".toml":
            return read_design_file(self.path)
        if self.path.suffix == ".json":
            from energy_plugin.declare.settings import read_settings

            selection = self.config.stash[STATE].selection
            settings = read_settings(self.path, selection.catalog)
            selection.wish(self.path, settings.wishes, settings.earlier)
            return settings.declarations
        return _recorded(self.path)


def is_ours(path: Path) -> bool:
    """Whether a file that was named declares experiments; of JSON files only the two known forms do."""
    if path.suffix != ".json":
        return True
    from energy_plugin.declare.settings import is_settings

    return is_settings(path)


def _recorded(path: Path) -> Mapping[str, Recorded]:
    from energy_plugin.record.journal import records

    # By key, which is unique: two designs may give different cases one id. A retry has the same key.
    cases = {record.case_key: record.case for record in records(path.parent) if record.success}
    if not cases:
        raise UsageError(f"{path}: no case succeeded in this session, so there is none to run again")
    return {"recorded": Recorded(cases=tuple(cases.values()))}


def _test(declaration: Declaration | Recorded) -> Any:
    def test(case: Case, measure: Callable[[Case], Record]) -> None:
        assert measure(case).success

    return getattr(pytest.mark, MARK)(declaration)(test)
