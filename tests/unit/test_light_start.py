"""The plugin must cost nothing where it is merely installed."""

from __future__ import annotations

from tests.benchmarks.overhead import loading_ms


def test_loading_the_plugin_adds_under_100_ms_of_cpu() -> None:
    assert loading_ms() < 100
