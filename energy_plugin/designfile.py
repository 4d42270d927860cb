"""Design files collected as test modules: one test function for each ``[[experiments]]`` block."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.declare.collect import MARK, read_design_file
from energy_plugin.errors import EnergyError
from energy_plugin.state import STATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from energy_plugin.declare.case import Case
    from energy_plugin.declare.collect import Declaration
    from energy_plugin.record.record import Record


class DesignFile(pytest.Module):
    """A TOML file that declares experiments, run exactly as a module with ``@experiments`` would be."""

    def _getobj(self) -> types.ModuleType:
        module = types.ModuleType(self.path.stem)
        try:
            declarations = read_design_file(self.path)
        except EnergyError as error:
            self.config.stash[STATE].refusal = str(error)
            return module
        for name, declaration in declarations.items():
            setattr(module, f"test_{name}", _test(declaration))
        return module


def _test(declaration: Declaration) -> Any:
    def test(case: Case, measure: Callable[[Case], Record]) -> None:
        assert measure(case).success

    return getattr(pytest.mark, MARK)(declaration)(test)
