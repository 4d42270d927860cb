"""The hooks that hold dibs-lib's joint inference to the tiers; loaded only when DiBS runs.

Nothing in the library is changed. A whole run is traced once for a shape, with data, tiers and end
temperatures as arguments: the library itself bakes the data into the compiled program, so that
every table costs a compilation and its memory. The two gradient estimators are the library's own
in another form: the sum of softmax(l) times grad l is the gradient of logsumexp(l), which takes one
backward pass instead of one for each sampled graph.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from dibs.inference import JointDiBS
from dibs.models import ErdosReniDAGDistribution, LinearGaussian
from jax import random
from jax.scipy.special import logsumexp

JITTER = 0.1
"""Standard deviation of the coefficients at the start. The library starts at a random sign of at least
one half; an edge that starts with the wrong sign is switched off and never comes back."""


class WarmLinearGaussian(LinearGaussian):  # type: ignore[misc]
    """Coefficients start around zero; the annealed gates then decide by likelihood, not by sign."""

    def sample_parameters(self, *, key: Any, n_vars: int, n_particles: int = 0, batch_size: int = 0) -> Any:
        """Coefficients to start from, shape (particles, d, d)."""
        shape = tuple(size for size in (batch_size, n_particles, n_vars, n_vars) if size)
        return JITTER * random.normal(key, shape)


class TieredDiBS(JointDiBS):  # type: ignore[misc]
    """Every graph, soft or hard, and every edge probability is multiplied by the allowed mask."""

    def __init__(self, *, allowed: Any, mutual: Any, **given: Any) -> None:
        super().__init__(**given)
        self.allowed, self.mutual = allowed, mutual

    def _masked(self, value: Any) -> Any:
        return (value * self.allowed).astype(value.dtype)

    def particle_to_g_lim(self, z: Any) -> Any:
        """Graphs at the end."""
        return self._masked(super().particle_to_g_lim(z))

    def sample_g(self, p: Any, subk: Any, n_samples: int) -> Any:
        """Graphs drawn from edge probabilities."""
        return self._masked(super().sample_g(p, subk, n_samples))

    def particle_to_soft_graph(self, z: Any, eps: Any, t: Any) -> Any:
        """Relaxed graphs."""
        return self._masked(super().particle_to_soft_graph(z, eps, t))

    def particle_to_hard_graph(self, z: Any, eps: Any, t: Any) -> Any:
        """Graphs with noise."""
        return self._masked(super().particle_to_hard_graph(z, eps, t))

    def edge_probs(self, z: Any, t: Any) -> Any:
        """Gates."""
        return self._masked(super().edge_probs(z, t))

    def edge_log_probs(self, z: Any, t: Any) -> Any:
        """Logarithms of the gates and of their complements."""
        log_p, log_not_p = super().edge_log_probs(z, t)
        return self._masked(log_p), self._masked(log_not_p)

    def constraint_gumbel(self, single_z: Any, single_eps: Any, t: Any) -> Any:
        """The library's acyclicity constraint on the nodes that can lie on a cycle: others add nothing."""
        graph = self.particle_to_soft_graph(single_z, single_eps, t)
        size, d = self.mutual.shape[0], single_z.shape[0]
        if size < 2:
            return 0.0 * graph.sum()
        block = jnp.eye(size) + graph[self.mutual[:, None], self.mutual[None, :]] / d
        return jnp.trace(jnp.linalg.matrix_power(block, d)) - size

    def grad_z_likelihood_gumbel(
        self, single_z: Any, single_theta: Any, single_sf_baseline: Any, t: Any, subk: Any
    ) -> Any:
        """The reparametrised gradient by the latent graph."""
        d = single_z.shape[0]
        subk, drawn = random.split(subk)
        eps = random.logistic(drawn, shape=(self.n_grad_mc_samples, d, d))
        each = jax.vmap(self.log_joint_prob_soft, (None, None, 0, None, None))
        return jax.grad(lambda z: logsumexp(each(z, single_theta, eps, t, subk)))(
            single_z
        ), single_sf_baseline

    def grad_theta_likelihood(self, single_z: Any, single_theta: Any, t: Any, subk: Any) -> Any:
        """The gradient by the coefficients."""
        graphs = self.sample_g(self.edge_probs(single_z, t), subk, self.n_grad_mc_samples)
        return jax.grad(lambda theta: logsumexp(self.eltwise_log_joint_prob(graphs, theta, subk)))(
            single_theta
        )


@partial(jax.jit, static_argnames=("particles", "mc"))
def sample(
    key: Any,
    root: Any,
    allowed: Any,
    mutual: Any,
    noise: Any,
    steps: Any,
    alpha_end: float,
    beta_end: float,
    *,
    particles: int,
    mc: int,
) -> tuple[Any, Any, Any, Any]:
    """One run: graphs and gates (particles, d, d), coefficients, and the log joint probabilities.

    Args:
        key: of jax.random.
        root: R with R'R = x'x.
        allowed: [parent, child], 0 or 1; a column without parents has no likelihood term.
        mutual: indices of the nodes that may cause each other.
        noise: variance of each column given its parents, shape (d,).
        steps: of the particle gradient descent.
        alpha_end: end value of the gates' inverse temperature.
        beta_end: end value of the acyclicity penalty's weight.
        particles: graphs.
        mc: graphs sampled per gradient; a quarter of it for the acyclicity term.
    """
    d = root.shape[1]
    given = jnp.broadcast_to(allowed.sum(axis=0) == 0, (root.shape[0], d)).astype(jnp.int32)
    model = TieredDiBS(
        allowed=allowed,
        mutual=mutual,
        x=root,
        interv_mask=given,
        # two edges a node as usual, but never a prior probability above one half (at d = 5 it would be one)
        graph_model=ErdosReniDAGDistribution(n_vars=d, n_edges_per_node=min(2.0, (d - 1) / 4)),
        likelihood_model=WarmLinearGaussian(n_vars=d, obs_noise=noise),
        alpha_linear=alpha_end / steps,
        beta_linear=beta_end / steps,
        n_grad_mc_samples=mc,
        n_acyclicity_mc_samples=max(1, mc // 4),
        latent_prior_std=d**-0.5,
    )
    key, first = random.split(key)
    z, theta = model._sample_initial_random_particles(key=first, n_particles=particles)
    begin, model.opt_update, model.get_params = model.opt
    state = (begin(z), begin(theta), key, jnp.zeros(particles))
    state = jax.lax.fori_loop(0, steps, lambda step, at: model._svgd_step(step, *at), state)
    z, theta = model.get_params(state[0]), model.get_params(state[1])
    graphs = model.particle_to_g_lim(z)
    joint = jax.vmap(lambda g, c: model.log_joint_prob(g, c, root, given, None))(graphs, theta)
    return graphs, model.edge_probs(z, steps), theta, joint
