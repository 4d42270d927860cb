"""Every model as its program runs when told nothing: the baseline and the noise floor."""

from energy_plugin import defaults, experiments


@experiments("*", design=defaults(), replicates=3, name="defaults")
def test_as_published(case, measure):
    assert measure(case).success
