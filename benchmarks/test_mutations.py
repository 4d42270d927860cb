"""Hyperparameters changed on purpose: one at a time, all together, or as the command line says."""

from energy_plugin import experiments, from_options, joint, one_at_a_time


@experiments("*", design=one_at_a_time(levels=5, default=False), replicates=3, name="one_factor")
def test_one_factor(case, measure):
    assert measure(case).success


@experiments("*", design=joint(n=10), replicates=2, name="joint")
def test_together(case, measure):
    assert measure(case).success


@experiments("*", design=from_options(), name="options")
def test_asked(case, measure):
    assert measure(case).success
