"""Hooked DiBS against the library as it comes, CPU-seconds a thousand steps in the same process.

    python -m tests.benchmarks.dibs_speed [--steps N]

Compilation is left out of both by a first run of each. The stock run has the library's defaults:
all rows, 128 graphs a gradient, 32 for acyclicity.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from causal_report.discovery.prepare import allowed_edges
from tests.benchmarks.drawn import draw

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

ROWS, PARTICLES = 250, 20


def stock(x: Matrix, steps: int) -> float:
    """CPU-seconds of *steps* steps of the unchanged library, compiled before."""
    import jax.numpy as jnp
    from dibs.inference import JointDiBS
    from dibs.models import ErdosReniDAGDistribution, LinearGaussian
    from jax import random

    d = x.shape[1]
    model = JointDiBS(
        x=jnp.asarray(x, jnp.float32),
        graph_model=ErdosReniDAGDistribution(n_vars=d, n_edges_per_node=2),
        likelihood_model=LinearGaussian(n_vars=d),
    )
    marks: list[float] = []

    def mark(**given: Any) -> None:
        given["zs"].block_until_ready()
        marks.append(time.process_time())

    # two equal halves of one compiled loop: the second has nothing to compile
    model.sample(
        key=random.PRNGKey(0), n_particles=PARTICLES, steps=2 * steps, callback=mark, callback_every=steps
    )
    return marks[1] - marks[0]


def hooked(x: Matrix, steps: int) -> float:
    """CPU-seconds of *steps* steps as the report runs them, compiled before."""
    from causal_report.discovery import dibs
    from tests.benchmarks.drawn import PARTS

    allowed = allowed_edges(PARTS)

    def run(count: int) -> float:
        begun = time.process_time()
        # beneath the checks, which refuse so short a run for its cycles
        dibs._runs(
            x,
            allowed,
            seed=0,
            name="",
            steps=count,
            particles=PARTICLES,
            mc=dibs.GRAPH_SAMPLES,
            seeds=1,
        )
        return time.process_time() - begun

    run(2)
    return run(steps)


def ratio(steps: int) -> tuple[float, float, float]:
    """CPU-seconds a thousand steps of stock and hooked, and how many times faster the hooked one is."""
    x = draw(ROWS, seed=1000).x
    slow, fast = (1000 / steps * run(x, steps) for run in (stock, hooked))
    return slow, fast, slow / fast


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100)
    steps = parser.parse_args().steps
    slow, fast, times = ratio(steps)
    print(f"CPU-s a thousand steps: stock {slow:.1f}, hooked {fast:.1f}, {times:.1f} times faster")


if __name__ == "__main__":
    main()
