"""Two trainings at once, both measured: the published twelve, and twelve that the catalogue chooses."""

from energy_plugin import Sampling, defaults, experiments, one_at_a_time

TWELVE = (
    ("examples/mnist", "Person_reID_baseline_pytorch/densenet121"),
    ("examples/mnist", "MRT-OAST/default"),
    ("Person_reID_baseline_pytorch/densenet121", "MRT-OAST/default"),
    ("examples/mnist", "examples/mnist_rnn"),
    ("examples/mnist", "examples/mnist_ff"),
    ("examples/mnist", "pytorch_resnet_cifar10/resnet20"),
    ("pytorch_resnet_cifar10/resnet44", "pytorch_resnet_cifar10/resnet56"),
    ("examples/mnist", "VulBERTa/cnn"),
    ("pytorch_resnet_cifar10/resnet44", "Person_reID_baseline_pytorch/hrnet18"),
    ("examples/mnist", "bug-localization-by-dnn-and-rvsm/default"),
    ("examples/mnist", "Person_reID_baseline_pytorch/hrnet18"),
    ("pytorch_resnet_cifar10/resnet44", "Person_reID_baseline_pytorch/densenet121"),
)
ENDS = one_at_a_time("learning_rate", "epochs", levels=2, ranges="concurrency")


@experiments(pairs=TWELVE, design=ENDS, replicates=3, name="twelve")
def test_published_twelve(case, measure):
    assert measure(case).success


@experiments(pairs=Sampling(n=12), design=defaults(), alone=False, replicates=3, name="chosen")
def test_chosen_twelve(case, measure):
    assert measure(case).success
