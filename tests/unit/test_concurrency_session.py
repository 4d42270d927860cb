"""A real session of pairs, run by the plugin as a user would, through the analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from causal_report import concurrency, response, sources, table
from causal_report.text import Text

if TYPE_CHECKING:
    from tests.conftest import Project

DESIGN = """
replicates = 2

[[experiments]]
pairs = [["tiny/spin", "tiny/late"]]
design = { kind = "one_at_a_time", names = ["epochs"], levels = 2 }
"""


@pytest.mark.slow
def test_a_real_session_of_pairs_is_compared_with_its_runs_alone(project: Project) -> None:
    design = project.folder / "study.toml"
    design.write_text(DESIGN)
    project.environment["WATTWHY_TINY_EPOCH_S"] = "0.1"
    done = project.run(str(design), "--energy-cooldown", "0", "--energy-idle", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    read = sources.load([project.session])
    whole = table.build(read)
    chosen = response.choose(whole.frame[whole.frame["mode"] != "pair"])
    found = concurrency.analyse(whole, chosen, read, Text("en"))
    (pair,) = found.pairs
    assert pair.name == "spin + late"
    assert [(cell.n, cell.n_alone_a, cell.n_alone_b) for cell in pair.cells] == [(2, 2, 2)] * 3
    assert {cell.setting_b for cell in pair.cells} == {"defaults", "epochs 1", "epochs 4"}
    # late loads for half a second while spin only waits for it: together they end before both in turn
    assert pair.makespan.value is not None
    assert pair.makespan.value < 0
    # that wait of half a second is no slowdown of spin, whose whole run takes a quarter of one
    assert pair.slowdown_a.value is not None
    assert pair.slowdown_a.value < 1
    assert pair.saving.value is None
    assert pair.traits.cores is not None
    assert pair.verdict == "open"
