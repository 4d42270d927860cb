"""pytorch_resnet_cifar10: what its programs promise, on drawn images in CIFAR-10's own files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.unit.programs import IMAGES, equal, events, small_cifar, training

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = IMAGES / "pytorch_resnet_cifar10"
PARAMETERS = {
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "resnet110": 1_727_962,
    "resnet1202": 19_421_274,
}
LEARNING = ("--limit", 320, "--batch-size", 16, "--lr", 0.05, "--epochs", 3)

pytestmark = pytest.mark.train


@pytest.fixture
def tiny(code: SimpleNamespace, tmp_path: Path) -> Path:
    return small_cifar(code, tmp_path)


def fit(code: SimpleNamespace, data: Path, *flags: object, model: str = "resnet20") -> Any:
    """A training under way on the CPU."""
    started = training(code, data, *flags, model=model)
    return code.train.Fit(started, code.data.Images(started.data, started.limit))


def weights(ready: Any) -> list[Any]:
    return [tensor.detach().clone() for tensor in ready.net.state_dict().values()]


def after_two_steps(code: SimpleNamespace, data: Path, *flags: object, model: str = "resnet20") -> Any:
    """Weights before and after one epoch of two batches, the optimizer's settings, the random draws."""
    ready = fit(code, data, "--limit", 16, *([] if "--batch-size" in flags else ["--batch-size", 8]), *flags)
    before = weights(ready)
    settings = {k: v for k, v in ready.optimizer.param_groups[0].items() if isinstance(v, (int, float))}
    state = ready.dice.get_state()
    draws = code.train.Draws(16, ready.dice)
    ready.dice.set_state(state)
    loss = ready.epoch()
    return SimpleNamespace(before=before, after=weights(ready), settings=settings, draws=draws, loss=loss)


# ---------------------------------------------------------------- networks


@pytest.mark.parametrize("model", PARAMETERS)
def test_each_network_has_its_depth_and_parameters(code: SimpleNamespace, model: str) -> None:
    import torch

    depth = code.models.DEPTHS[model]
    with torch.device("meta"):
        net = code.models.ResNet(depth)
    weighted = [layer for layer in net.modules() if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear))]
    assert len(weighted) == depth == int(model.removeprefix("resnet"))
    assert sum(weight.numel() for weight in net.parameters()) == PARAMETERS[model]


def test_a_depth_that_is_not_six_n_plus_two_is_refused(code: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="6n \\+ 2"):
        code.models.ResNet(21)


def test_a_shortcut_keeps_every_second_pixel_and_adds_empty_channels(code: SimpleNamespace) -> None:
    import torch

    block = code.models.Block(2, 4, 2).eval()
    for weight in block.norm2.parameters():
        torch.nn.init.zeros_(weight)  # the deep way gives nothing: what comes out is the shortcut
    x = torch.arange(32.0).reshape(1, 2, 4, 4)
    out = block(x)
    assert out.shape == (1, 4, 2, 2)
    assert out[:, 1:3].equal(x[:, :, ::2, ::2])
    assert not out[:, [0, 3]].any()


# ---------------------------------------------------------------- hyperparameters


@pytest.mark.parametrize(
    ("flag", "value", "setting"),
    [("--lr", 0.02, "lr"), ("--wd", 0.01, "weight_decay"), ("--seed", 7, None), ("--batch-size", 4, None)],
)
def test_a_hyperparameter_acts_and_acts_alone(
    code: SimpleNamespace, tiny: Path, flag: str, value: float, setting: str | None
) -> None:
    plain = after_two_steps(code, tiny)
    other = after_two_steps(code, tiny, flag, value)
    assert not equal(plain.after, other.after)
    differing = {key for key in plain.settings if plain.settings[key] != other.settings[key]}
    assert differing <= {setting, f"initial_{setting}"}
    assert (setting in differing) == (setting is not None)
    seeded = flag == "--seed"
    assert equal(plain.before, other.before) is not seeded
    assert plain.draws.order.equal(other.draws.order) is not seeded
    assert plain.draws.crops.equal(other.draws.crops) is not seeded


def test_more_epochs_leave_the_first_one_as_it_is(code: SimpleNamespace, tiny: Path) -> None:
    one, many = after_two_steps(code, tiny, "--epochs", 1), after_two_steps(code, tiny, "--epochs", 40)
    assert equal(one.after, many.after)
    assert one.loss == many.loss


def test_passing_a_default_changes_nothing(code: SimpleNamespace, tiny: Path) -> None:
    defaults = [("--lr", 0.1), ("--wd", 1e-4), ("--seed", 1334), ("--epochs", 200)]
    plain = after_two_steps(code, tiny)
    passed = after_two_steps(code, tiny, *(item for pair in defaults for item in pair))
    assert equal(plain.after, passed.after)
    assert plain.settings == passed.settings


def test_the_rate_falls_after_half_and_three_quarters(code: SimpleNamespace) -> None:
    rates = [code.train.rate_factor(epoch, 200, warm=False) for epoch in range(200)]
    assert rates == pytest.approx([1.0] * 100 + [0.1] * 50 + [0.01] * 50)
    assert [code.train.rate_factor(0, epochs, warm=False) for epochs in (1, 2, 3)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(("model", "first"), [("resnet56", 0.1), ("resnet110", 0.01)])
def test_only_deep_networks_warm_up_for_an_epoch(
    code: SimpleNamespace, tiny: Path, model: str, first: float
) -> None:
    ready = fit(code, tiny, model=model)
    assert ready.optimizer.param_groups[0]["lr"] == pytest.approx(first)
    ready.optimizer.step()
    ready.schedule.step()
    assert ready.optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_a_crop_is_a_window_of_the_padded_image(code: SimpleNamespace) -> None:
    import torch

    images = torch.from_numpy(code.standin.stand_in(3, 0)[0])
    top, left, flip = torch.tensor([0, 4, 8]), torch.tensor([3, 4, 8]), torch.tensor([0, 1, 1])
    crops = code.train.cropped(images, top, left, flip).numpy()
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (4, 4), (4, 4)))
    assert (crops[0] == padded[0, :, 0:32, 3:35]).all()
    assert (crops[1] == images[1].numpy()[:, :, ::-1]).all()
    assert (crops[2] == padded[2, :, 8:40, 8:40][:, :, ::-1]).all()


# ---------------------------------------------------------------- learning


@pytest.mark.slow
def test_it_learns_true_labels_and_not_shuffled_ones(code: SimpleNamespace, standin: Path) -> None:
    import torch

    true, shuffled = fit(code, standin, *LEARNING), fit(code, standin, *LEARNING)
    images, labels = shuffled.train
    shuffled.train = images, labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    losses = [true.epoch() for _ in range(3)]
    for _ in range(3):
        shuffled.epoch()
    assert losses[2] < losses[1] < losses[0]
    assert true.accuracy() > 0.35  # chance: 0.10, standard error 0.013
    assert shuffled.accuracy() < 0.2


def run(data: Path, events: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """The program as an executor starts it."""
    environment = os.environ | {
        "PYTHONPATH": str(IMAGES / "base"),
        "WATTWHY_EVENTS": str(events),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, str(FOLDER / "train.py"), "--data", str(data), "--output", str(events.parent)]
    return subprocess.run([*command, *flags], env=environment, capture_output=True, text=True, timeout=120)


def test_the_program_writes_its_events_and_metrics(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "events"
    flags = ("--model", "resnet20", "--epochs", "3", "--batch-size", "16", "--limit", "20", "--device", "cpu")
    done = run(tiny, file, *flags)
    assert done.returncode == 0, done.stderr
    found = events(file)
    assert [event["event"] for event in found] == ["begin", "ready", *["epoch"] * 3, "end"]
    accuracies = [event["metrics"]["test_accuracy"] for event in events(file, "epoch")]
    end = found[-1]
    assert end["metrics"] == {"test_accuracy": accuracies[-1], "best_val_accuracy": max(accuracies)}
    assert end["data_source"] == "user"
    assert re.fullmatch("[0-9a-f]{16}", end["data_digest"])


@pytest.mark.parametrize("flag", ["--epochs", "--batch-size"])
def test_zero_epochs_or_rows_a_batch_are_refused(code: SimpleNamespace, tiny: Path, flag: str) -> None:
    with pytest.raises(SystemExit, match="0: must be at least 1"):
        code.train.train(training(code, tiny, flag, 0, model="resnet20"))
