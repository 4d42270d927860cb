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
    assert found.cyclic == 0.0
    assert 1.0 <= found.weight <= 20.0


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


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers_and_another_name_others() -> None:
    x, allowed = five_nodes(100), allowed_edges(PARTS)
    first, again, other = (
        dibs.discover(x, allowed, seed=3, name=name, steps=60, particles=5, mc=4, seeds=1).edge_probability
        for name in ("a", "a", "b")
    )
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.slow
def test_the_gradients_are_the_librarys_own() -> None:
    """One backward pass through logsumexp against the library's sum over sampled graphs."""
    import jax.numpy as jnp
    from dibs.inference import JointDiBS
    from dibs.models import ErdosReniDAGDistribution
    from jax import random

    from causal_report.discovery import tiered

    x = jnp.asarray(five_nodes(50), jnp.float32)
    allowed = jnp.asarray(allowed_edges(PARTS), jnp.float32)
    model = tiered.TieredDiBS(
        allowed=allowed,
        mutual=jnp.asarray([2, 3]),
        x=x,
        graph_model=ErdosReniDAGDistribution(n_vars=5, n_edges_per_node=1),
        likelihood_model=tiered.WarmLinearGaussian(n_vars=5, obs_noise=0.5),
        n_grad_mc_samples=8,
        n_acyclicity_mc_samples=4,
        latent_prior_std=0.5,
    )
    key = random.PRNGKey(0)
    z, theta = model._sample_initial_random_particles(key=key, n_particles=1)
    ours, _ = model.grad_z_likelihood_gumbel(z[0], theta[0], 0.0, 20.0, key)
    theirs, _ = JointDiBS.grad_z_likelihood_gumbel(model, z[0], theta[0], 0.0, 20.0, key)
    assert np.asarray(ours) == pytest.approx(np.asarray(theirs), rel=1e-3, abs=1e-3)
    ours = model.grad_theta_likelihood(z[0], theta[0], 20.0, key)
    theirs = JointDiBS.grad_theta_likelihood(model, z[0], theta[0], 20.0, key)
    assert np.asarray(ours) == pytest.approx(np.asarray(theirs), rel=1e-3, abs=1e-3)
    eps = random.logistic(key, shape=(5, 5))
    ours = model.constraint_gumbel(z[0], eps, 20.0)
    theirs = JointDiBS.constraint_gumbel(model, z[0], eps, 20.0)
    assert float(ours) == pytest.approx(float(theirs), abs=1e-5)


@pytest.mark.slow
def test_hooked_dibs_is_five_times_faster_than_the_library_as_it_comes() -> None:
    from tests.benchmarks import dibs_speed

    slow, fast, times = dibs_speed.ratio(30)
    assert times >= 5, f"CPU-s a thousand steps: stock {slow:.1f}, hooked {fast:.1f}"


def test_the_noise_lies_between_what_is_explained_and_nothing() -> None:
    x, allowed = five_nodes(), allowed_edges(PARTS)
    noise = dibs._noise(x, allowed)
    assert noise[:2] == pytest.approx([1.0, 1.0])  # what was set has no parents
    y, given = x[:, 4], x[:, :4]
    rest = y - given @ np.linalg.lstsq(given, y, rcond=None)[0]
    assert noise[4] == pytest.approx(np.sqrt(rest @ rest / (len(x) - 5)), rel=1e-6)
