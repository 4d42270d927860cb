"""Findings as frames: every table by its path, the same numbers as in report.json."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import causal_report
from causal_report.errors import InputError
from causal_report.findings import to_json
from tests.report import tables

if TYPE_CHECKING:
    from pathlib import Path

    from causal_report.findings import Findings


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    session = tables.golden(tmp_path_factory.mktemp("notebook"))
    return causal_report.analyse(session, engine="exact")


def test_a_frame_has_a_row_for_each_item_and_its_numbers(findings: Findings) -> None:
    effects = causal_report.frames(findings)["effects"]
    found = to_json(findings)["effects"]
    assert len(effects) == len(found)
    assert effects["estimate"].tolist() == pytest.approx([e["estimate"] for e in found], nan_ok=True)
    assert effects["factor"].tolist() == [e["factor"] for e in found]


def test_what_lies_in_a_mapping_or_in_a_row_carries_its_keys(findings: Findings) -> None:
    frames = causal_report.frames(findings)
    assert set(frames["groups.edges"]["group"]) == {"examples"}
    nodes = frames["groups.graphs.nodes"]
    assert {"all", "alone"} >= set(nodes["mode"])
    checks = frames["quality.flagged.checks"]
    assert {"experiment_id", "timestamp", "name", "evidence"} <= set(checks)


def test_text_that_is_no_path_is_refused_with_the_mend() -> None:
    with pytest.raises(InputError, match="no such folder or file"):
        causal_report.analyse("nowhere/at/all")


def test_an_option_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="engines"):
        causal_report.analyse(tables.golden(tmp_path), engines="exact")
