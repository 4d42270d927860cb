"""Trainings beside another one that goes on all the time; alone they are in the other files."""

from energy_plugin import Background, experiments, joint

DIGITS = Background(model="examples/mnist", values={"batch_size": 64})
ENDLESS = Background(model="examples/mnist", loop="endless")


@experiments("*", background=DIGITS, alone=False, replicates=3, name="load")
def test_as_published_in_company(case, measure):
    assert measure(case).success


@experiments(
    "MRT-OAST/default",
    "pytorch_resnet_cifar10/resnet20",
    "examples/mnist_rnn",
    design=joint(n=5),
    background=DIGITS,
    alone=False,
    replicates=2,
    name="load",
)
def test_changed_in_company(case, measure):
    assert measure(case).success


@experiments(
    "examples/siamese", "examples/mnist_rnn", background=ENDLESS, alone=False, replicates=3, name="load"
)
def test_in_company_that_never_ends(case, measure):
    assert measure(case).success
