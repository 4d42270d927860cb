"""DiBS (Lorch et al. 2021) by dibs-lib, held to the tiers.

Three things are added to the library, none changed in it: forbidden edges have probability zero
everywhere the inference looks (a penalty or an intervention mask alone leaves them on the prior);
coefficients start near zero instead of at a random sign of at least one half, because an edge that
starts with the wrong sign is switched off and never comes back; and the data enter as the d × d
root of their Gram matrix, which has the same posterior at a cost that does not grow with the rows.
jax is imported here and nowhere else.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_report.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]

ALPHA_END, BETA_END = 50.0, 1000.0
"""End values of the annealing; slopes are end / steps, so that steps do not change the temperature."""
NOISE, JITTER, RIDGE = 0.5, 0.1, 1e-4
UNSTABLE_SD, CYCLIC_LIMIT = 0.15, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Particles:
    """What the seeds found together.

    Attributes:
        edge_probability: share of acyclic particles with the edge, [parent, child].
        seed_sd: standard deviation of that share between seeds.
        cyclic: share of particles that were cyclic and left out.
    """

    edge_probability: Matrix
    seed_sd: Matrix
    cyclic: float
    settings: Mapping[str, Any]
    warnings: tuple[str, ...]
    seconds: float


def discover(
    x: Matrix,
    allowed: Mask,
    *,
    seed: int,
    steps: int = 1000,
    particles: int = 20,
    mc: int = 32,
    seeds: int = 2,
) -> Particles:
    """Pool the particles of several seeds.

    Args:
        x: standardised, centred, complete data, shape (n, d).
        allowed: [parent, child].
        seed: one integer fixes everything on one machine.
        steps: of the particle gradient descent.
        particles: per seed.
        mc: graphs sampled per gradient; a quarter of it for the acyclicity term.
        seeds: how many independent runs are pooled.

    Raises:
        EngineError: a cell or a result is not a number, or too many particles are cyclic.
    """
    if not np.isfinite(x).all():
        raise EngineError("the data have cells that are not numbers")
    begun = time.perf_counter()
    graphs = _sample(x, allowed, seed=seed, steps=steps, particles=particles, mc=mc, seeds=seeds)
    acyclic = np.array([[_acyclic(g) for g in run] for run in graphs])
    cyclic = float(1 - acyclic.mean())
    if cyclic > CYCLIC_LIMIT:
        raise EngineError(f"{cyclic:.0%} of the particles are cyclic")
    per_seed = np.array([run[ok].mean(axis=0) for run, ok in zip(graphs, acyclic, strict=True) if ok.any()])
    pooled = graphs[acyclic].mean(axis=0)
    if bool((pooled[~allowed] > 0).any()):
        raise EngineError("an edge that the tiers forbid has probability above zero")
    spread = per_seed.std(axis=0)
    return Particles(
        edge_probability=pooled,
        seed_sd=spread,
        cyclic=cyclic,
        settings={
            "library": _library(),
            "model": "JointDiBS, linear Gaussian",
            "steps": steps,
            "particles": particles,
            "seeds": seeds,
            "graph_samples": mc,
            "noise_variance": NOISE,
            "alpha_end": ALPHA_END,
            "beta_end": BETA_END,
        },
        warnings=_warnings(cyclic, spread),
        seconds=round(time.perf_counter() - begun, 1),
    )


def _warnings(cyclic: float, spread: Matrix) -> tuple[str, ...]:
    found = []
    if cyclic > 0:
        found.append(f"{cyclic:.0%} of the particles were cyclic and are left out")
    unstable = int((spread > UNSTABLE_SD).sum())
    if unstable:
        found.append(f"{unstable} edges differ between seeds by more than {UNSTABLE_SD} (standard deviation)")
    return tuple(found)


def _acyclic(graph: NDArray[np.int_]) -> bool:
    """Whether peeling nodes without parents empties the graph."""
    left = graph.astype(bool)
    while len(left):
        roots = ~left.any(axis=0)
        if not roots.any():
            return False
        left = left[~roots][:, ~roots]
    return True


def _library() -> str:
    from importlib.metadata import version

    return f"dibs-lib {version('dibs-lib')}, jax {version('jax')}"


def _root(x: Matrix) -> Matrix:
    """Upper R with R'R = x'x: the same likelihood in d rows instead of n."""
    gram = x.T @ x + RIDGE * np.eye(x.shape[1])
    return np.asarray(np.linalg.cholesky(gram).T)


def _sample(
    x: Matrix, allowed: Mask, *, seed: int, steps: int, particles: int, mc: int, seeds: int
) -> NDArray[np.int_]:
    """Graphs of shape (seeds, particles, d, d)."""
    import jax.numpy as jnp
    from jax import random

    d = x.shape[1]
    model = _tiered(jnp.asarray(_root(x), jnp.float32), allowed, steps=steps, mc=mc)
    found = []
    for number in range(seeds):
        key = random.fold_in(random.PRNGKey(seed), number)
        graphs, theta = model.sample(key=key, n_particles=particles, steps=steps)
        if not bool(jnp.isfinite(theta).all()):
            raise EngineError("the particles' coefficients are not numbers: the run broke down")
        found.append(np.asarray(graphs, dtype=int).reshape(particles, d, d))
    return np.array(found)


def _tiered(root: Any, allowed: Mask, *, steps: int, mc: int) -> Any:
    """The library's joint inference with the tiers, the warm start and the fixed end temperatures."""
    import jax.numpy as jnp
    from dibs.inference import JointDiBS
    from dibs.models import ErdosReniDAGDistribution, LinearGaussian
    from jax import random

    mask = jnp.asarray(allowed, jnp.float32)
    d = root.shape[1]

    class WarmLinearGaussian(LinearGaussian):
        """Coefficients start around zero; the annealed gates then decide by likelihood, not by sign."""

        def sample_parameters(
            self, *, key: Any, n_vars: int, n_particles: int = 0, batch_size: int = 0
        ) -> Any:
            shape = tuple(size for size in (batch_size, n_particles, n_vars, n_vars) if size)
            return JITTER * random.normal(key, shape)

    class TieredDiBS(JointDiBS):
        """Every graph, soft or hard, and every edge probability is multiplied by the allowed mask."""

        def particle_to_g_lim(self, z: Any) -> Any:
            return _masked(super().particle_to_g_lim(z))

        def sample_g(self, p: Any, subk: Any, n_samples: int) -> Any:
            return _masked(super().sample_g(p, subk, n_samples))

        def particle_to_soft_graph(self, z: Any, eps: Any, t: Any) -> Any:
            return _masked(super().particle_to_soft_graph(z, eps, t))

        def particle_to_hard_graph(self, z: Any, eps: Any, t: Any) -> Any:
            return _masked(super().particle_to_hard_graph(z, eps, t))

        def edge_probs(self, z: Any, t: Any) -> Any:
            return _masked(super().edge_probs(z, t))

        def edge_log_probs(self, z: Any, t: Any) -> Any:
            log_p, log_not_p = super().edge_log_probs(z, t)
            return _masked(log_p), _masked(log_not_p)

    def _masked(value: Any) -> Any:
        return (value * mask).astype(value.dtype)

    design = ~allowed.any(axis=0)
    # two edges a node as usual, but never a prior probability above one half (at d = 5 it would be one)
    graphs = ErdosReniDAGDistribution(n_vars=d, n_edges_per_node=min(2.0, (d - 1) / 4))
    return TieredDiBS(
        x=root,
        interv_mask=jnp.asarray(np.tile(design, (d, 1)), jnp.int32),
        graph_model=graphs,
        likelihood_model=WarmLinearGaussian(n_vars=d, obs_noise=NOISE),
        alpha_linear=ALPHA_END / steps,
        beta_linear=BETA_END / steps,
        n_grad_mc_samples=mc,
        n_acyclicity_mc_samples=max(1, mc // 4),
    )
