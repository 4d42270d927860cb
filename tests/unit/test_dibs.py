"""DiBS under tiers: the known truth, the guards, and that nothing else imports jax."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from causal_report.discovery import dibs
from causal_report.discovery.prepare import allowed_edges
from causal_report.errors import EngineError
from tests.unit.test_exact import PARTS, TRUTH, five_nodes


@pytest.mark.slow
def test_the_five_node_truth_is_found_and_tiers_hold() -> None:
    allowed = allowed_edges(PARTS)
    found = dibs.discover(five_nodes(), allowed, seed=0, steps=200, particles=20, mc=16, seeds=2)
    assert (found.edge_probability[~allowed] == 0).all()
    true = [found.edge_probability[edge] for edge in sorted(TRUTH)]
    false = [found.edge_probability[i, j] for i, j in np.argwhere(allowed) if (i, j) not in TRUTH]
    assert min(true) > 0.6
    assert np.mean(true) - np.mean(false) > 0.35
    assert found.settings["alpha_end"] == 50.0
    assert found.seconds > 0


def test_a_cell_that_is_no_number_is_refused_before_anything_runs() -> None:
    """The library itself would return an empty graph without a word."""
    x = five_nodes(30)
    x[0, 0] = np.nan
    with pytest.raises(EngineError, match="not numbers"):
        dibs.discover(x, allowed_edges(PARTS), seed=0)


def test_the_root_keeps_the_gram_matrix() -> None:
    x = five_nodes()
    root = dibs._root(x)
    assert root.shape == (5, 5)
    assert root.T @ root == pytest.approx(x.T @ x, abs=1e-3)


def test_cycles_are_told_from_paths() -> None:
    path = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    assert dibs._acyclic(path)
    assert not dibs._acyclic(path + np.eye(3, k=-2, dtype=int))


def test_the_package_loads_without_jax() -> None:
    code = "import sys, causal_report, causal_report.discovery.evidence; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
