"""DiBS (Lorch et al. 2021) by dibs-lib, held to the tiers.

Three things are added to the library, none changed in it: forbidden edges have probability zero
everywhere the inference looks (a penalty or an intervention mask alone leaves them on the prior);
coefficients start near zero instead of at a random sign of at least one half; and the data enter as
the d × d root of their Gram matrix, which has the same posterior at a cost that does not grow with
the rows. An edge's probability is the mean over acyclic particles of its gate at the end of the
annealing; the share of particles with a hard edge ranks worse. jax is imported here and in
:mod:`~causal_report.discovery.tiered` alone, and only when DiBS runs.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_report.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]

ALPHA_END, BETA_END = 50.0, 1000.0
"""End values of the annealing; slopes are end / steps, so that steps do not change the temperature."""
STEPS, PARTICLES, GRAPH_SAMPLES, SEEDS = 500, 20, 16, 2
RIDGE, LEAST_NOISE = 1e-4, 0.01
UNSTABLE_SD, CYCLIC_LIMIT = 0.15, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Particles:
    """What the seeds found together.

    Attributes:
        edge_probability: mean gate over the acyclic particles, [parent, child].
        share: share of the acyclic particles with the edge.
        seed_sd: standard deviation of the probability between seeds.
        cyclic: share of particles that were cyclic and left out.
        weight: effective number of particles, were they weighted by their posterior; least over seeds.
    """

    edge_probability: Matrix
    share: Matrix
    seed_sd: Matrix
    cyclic: float
    weight: float
    settings: Mapping[str, Any]
    warnings: tuple[str, ...]


def discover(
    x: Matrix,
    allowed: Mask,
    *,
    seed: int,
    name: str = "",
    steps: int = STEPS,
    particles: int = PARTICLES,
    mc: int = GRAPH_SAMPLES,
    seeds: int = SEEDS,
) -> Particles:
    """Pool the particles of several seeds.

    Args:
        x: standardised, centred, complete data, shape (n, d).
        allowed: [parent, child].
        seed: one integer fixes everything on one machine.
        name: of the table, so that each has its own stream whatever was run before it.
        steps: of the particle gradient descent.
        particles: per seed.
        mc: graphs sampled per gradient; a quarter of it for the acyclicity term.
        seeds: how many independent runs are pooled.

    Raises:
        EngineError: a cell or a result is not a number, or too many particles are cyclic.
    """
    if not np.isfinite(x).all():
        raise EngineError("the data have cells that are not numbers")
    runs = _runs(x, allowed, seed=seed, name=name, steps=steps, particles=particles, mc=mc, seeds=seeds)
    graphs, gates, joint = (np.array(part) for part in zip(*runs, strict=True))
    acyclic = np.array([[_acyclic(g) for g in run] for run in graphs])
    cyclic = float(1 - acyclic.mean())
    if cyclic > CYCLIC_LIMIT:
        raise EngineError(f"{cyclic:.0%} of the particles are cyclic")
    pooled = gates[acyclic].mean(axis=0)
    if bool((pooled[~allowed] > 0).any()):
        raise EngineError("an edge that the tiers forbid has probability above zero")
    per_seed = np.array([run[ok].mean(axis=0) for run, ok in zip(gates, acyclic, strict=True) if ok.any()])
    spread = per_seed.std(axis=0)
    return Particles(
        edge_probability=pooled,
        share=graphs[acyclic].mean(axis=0),
        seed_sd=spread,
        cyclic=cyclic,
        weight=min(_effective(run) for run in joint),
        settings={
            "library": _library(),
            "model": "JointDiBS, linear Gaussian",
            "steps": steps,
            "particles": particles,
            "seeds": seeds,
            "graph_samples": mc,
            "noise_variance": "root of the residual variance by least squares",
            "alpha_end": ALPHA_END,
            "beta_end": BETA_END,
        },
        warnings=_warnings(cyclic, spread),
    )


def pooled(found: Sequence[Particles]) -> Particles:
    """Several tables' answers as one: the mean over them; ``seed_sd`` is then the spread between them."""
    edges = np.array([one.edge_probability for one in found])
    spread = edges.std(axis=0)
    cyclic = float(np.mean([one.cyclic for one in found]))
    return replace(
        found[0],
        edge_probability=edges.mean(axis=0),
        share=np.mean([one.share for one in found], axis=0),
        seed_sd=spread,
        cyclic=cyclic,
        weight=min(one.weight for one in found),
        settings={**found[0].settings, "fillings": len(found)},
        warnings=_warnings(cyclic, spread, "fillings"),
    )


def forget() -> None:
    """Let jax drop its compiled programs, so that memory does not grow from report to report."""
    from typing import cast

    import jax

    cast(Any, jax).clear_caches()


def _warnings(cyclic: float, spread: Matrix, between: str = "seeds") -> tuple[str, ...]:
    found = []
    if cyclic > 0:
        found.append(f"{cyclic:.0%} of the particles were cyclic and are left out")
    unstable = int((spread > UNSTABLE_SD).sum())
    if unstable:
        found.append(
            f"{unstable} edges differ between {between} by more than {UNSTABLE_SD} (standard deviation)"
        )
    return tuple(found)


def _effective(joint: Matrix) -> float:
    """(Σw)² / Σw² of the posterior weights (Kish 1965)."""
    weights = np.exp(joint - joint.max())
    return float(weights.sum() ** 2 / (weights**2).sum())


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


def _noise(x: Matrix, allowed: Mask) -> Matrix:
    """Noise variance of each column: the geometric mean of its variance, one, and what least squares leaves.

    The library has one variance for all, 0.1. A column that its causes hardly explain then takes false
    edges, and one that they explain wholly loses its small ones. Between no parent and all of them the
    truth is unknown; on tuning tables the mean found as much as 0.5 for all did, and far less in noise.
    """
    found = np.ones(x.shape[1])
    for child in range(x.shape[1]):
        parents = np.flatnonzero(allowed[:, child])
        spare = len(x) - len(parents) - 1
        if len(parents) and spare > 0:
            y, given = x[:, child], x[:, parents]
            rest = y - given @ np.linalg.lstsq(given, y, rcond=None)[0]
            found[child] = np.sqrt(np.clip(float(rest @ rest) / spare, LEAST_NOISE, 1.0))
    return found


def _runs(
    x: Matrix, allowed: Mask, *, seed: int, name: str, steps: int, particles: int, mc: int, seeds: int
) -> list[tuple[NDArray[np.int_], Matrix, Matrix]]:
    """Graphs, gates and log joint probabilities of each seed."""
    import jax.numpy as jnp
    from jax import random

    from causal_report.discovery import tiered

    root = jnp.asarray(_root(x), jnp.float32)
    mask = jnp.asarray(allowed, jnp.float32)
    mutual = jnp.asarray(np.flatnonzero((allowed & allowed.T).any(axis=0)), jnp.int32)
    noise = jnp.asarray(_noise(x, allowed), jnp.float32)
    own = random.fold_in(random.PRNGKey(seed), zlib.crc32(name.encode()))
    found = []
    for number in range(seeds):
        graphs, gates, theta, joint = tiered.sample(
            random.fold_in(own, number),
            root,
            mask,
            mutual,
            noise,
            steps,
            ALPHA_END,
            BETA_END,
            particles=particles,
            mc=mc,
        )
        if not bool(jnp.isfinite(theta).all()):
            raise EngineError("the particles' coefficients are not numbers: the run broke down")
        found.append((np.asarray(graphs), np.asarray(gates, float), np.asarray(joint, float)))
    return found
