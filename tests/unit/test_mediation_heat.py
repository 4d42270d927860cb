"""Power heats: a path by way of a temperature is kept, but is not the answer where another is clear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_report import mediation, response, table
from causal_report.text import Text
from tests.report import tables

if TYPE_CHECKING:
    from causal_report.findings.mediation import Mediation

UTILISATION, TEMPERATURE = "energy_gpu_util_avg_percent", "energy_gpu_temp_avg_celsius"


def _asked(*, utilisation: float) -> Mediation:
    """Epochs make energy dearer by way of heat, clearly, and by way of use as much as is asked for."""
    frame = tables.rows(120, seed=5)
    rng = np.random.default_rng(6)
    epochs = np.log(frame["hyperparam_epochs"].astype(float))
    heat = 8 * (epochs - epochs.mean()) + 1.5 * rng.normal(size=120)
    use = 4 * (epochs - epochs.mean()) + 2.0 * rng.normal(size=120)
    frame[TEMPERATURE], frame[UTILISATION] = 60 + heat, 50 + use
    frame["total_energy_joules"] *= np.exp(0.08 * heat + utilisation * use)
    built = table.build([tables.source(frame.drop(columns="cpu_time_seconds"))])
    return mediation.estimate(built, response.choose(built.frame), {}, Text("en"), seed=0)


def test_another_clear_path_is_told_before_a_stronger_one_by_heat() -> None:
    found = _asked(utilisation=0.05)
    clear = {p.mediator: abs(p.sobel_z or 0.0) for p in found.paths if p.clear}
    assert clear[TEMPERATURE] > clear[UTILISATION]
    assert "by way of GPU utilisation, mean" in found.sentences[0].text
    heated = next(s.text for s in found.sentences if s.key == "heated")
    assert f"of the {sum(p.clear for p in found.paths)} clear paths go by way of a temperature" in heated


def test_heat_alone_is_told_with_what_it_leaves_open() -> None:
    found = _asked(utilisation=0.0)
    assert "by way of GPU temperature, mean" in found.sentences[0].text
    assert "heated" in {s.key for s in found.sentences}
