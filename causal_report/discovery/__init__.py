"""Causal discovery under tiers: what was set has no causes here, what came out has no effects."""
