"""Hooks that other plugins and conftest.py files may implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_plugin.meters.protocols import Meter
    from energy_plugin.record.record import Record


@pytest.hookspec
def pytest_energy_meters(config: pytest.Config) -> Sequence[Meter] | None:
    """Further meters, used beside the chosen ones."""


@pytest.hookspec
def pytest_energy_case_done(config: pytest.Config, record: Record) -> None:
    """Called with each record after it was journalled."""
