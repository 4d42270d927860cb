"""The example models: their sizes, that each hyperparameter acts alone, and that they learn."""

from __future__ import annotations

import importlib
import json
import os
import struct
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    Train = Callable[..., "Run"]

pytestmark = pytest.mark.train
IMAGES = Path(__file__).resolve().parents[2] / "images"
REPOSITORY = tomllib.loads((IMAGES / "examples" / "repository.toml").read_text("utf-8"))
MODELS = list(REPOSITORY["models"])
NAMES = ("train", "models", "readers", "contract")
ROWS = 66


class Run(NamedTuple):
    """What one training left: its events, its final metrics, the batch losses of every mean taken."""

    events: list[dict[str, Any]]
    metrics: dict[str, float]
    losses: list[list[tuple[float, int]]]

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """The epoch events alone."""
        return [event for event in self.events if event["event"] == "epoch"]


@pytest.fixture(scope="module")
def program() -> Iterator[ModuleType]:
    """``train`` of the examples; other repositories have modules of these names."""
    pytest.importorskip("torch")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(IMAGES / "base"))
        patch.syspath_prepend(str(IMAGES / "examples"))
        for name in NAMES:
            patch.delitem(sys.modules, name, raising=False)
        yield importlib.import_module("train")
        for name in NAMES:
            sys.modules.pop(name)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "examples"
    subprocess.run([sys.executable, str(IMAGES / "examples" / "data.py"), str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def small(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first hundred digits, 66 training lines: enough to see what a flag does."""
    folder = tmp_path_factory.mktemp("small")
    for file in (data / "MNIST" / "raw").iterdir():
        content = file.read_bytes()
        header, row = (16, 784) if "images" in file.name else (8, 1)
        cut = content[:4] + struct.pack(">I", 100) + content[8 : header + 100 * row]
        (folder / file.name).write_bytes(cut)
    for file in (data / "text").iterdir():
        (folder / file.name).write_text("\n".join(file.read_text("utf-8").splitlines()[:ROWS]), "utf-8")
    return folder


@pytest.fixture
def train(program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Run one training in this process: ``train(data, model, *flags)``."""
    taken: list[list[tuple[float, int]]] = []
    mean = program.mean

    def spied(losses: list[Any]) -> Any:
        taken.append([(float(loss), rows) for loss, rows in losses])
        return mean(losses)

    monkeypatch.setattr(program, "mean", spied)
    monkeypatch.delenv("WATTWHY_GO", raising=False)

    def run(folder: Path, model: str, *flags: str) -> Run:
        taken.clear()
        file = tmp_path / f"events-{len(list(tmp_path.iterdir()))}"
        monkeypatch.setenv("WATTWHY_EVENTS", str(file))
        argv = ["--model", model, "--data", str(folder), "--output", str(tmp_path), "--device", "cpu"]
        training = program.contract.Training(*program.contract.parse(REPOSITORY, [*argv, *flags]))
        metrics = program.PROGRAMS[model](training)
        training.end(metrics)
        events = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        return Run(events, metrics, list(taken))

    return run


def timeless(run: Run) -> list[dict[str, Any]]:
    hidden = {"t_ns", "start_ns", "passed"}
    return [{key: value for key, value in event.items() if key not in hidden} for event in run.events]


def flags(model: str, **values: float) -> list[str]:
    """Small values that every model can take, with *values* laid over them."""
    known = {"epochs": 1, "batch_size": 16, **values}
    given = {name: entry["flag"] for name, entry in REPOSITORY["hyperparameters"].items() if name in known}
    limit = ["--limit", "34"] if model == "siamese" else []  # its steps are slow
    return [*limit, *(part for name, flag in given.items() for part in (flag, str(known[name])))]


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("DigitCnn", (), 1_199_882),
        ("DigitLstm", (), 26_602),
        ("ForwardForward", (), 784 * 500 + 500 + 500 * 500 + 500),
        ("Siamese", (), 11_432_897),
        ("WordLstm", (2000,), 1_445_200),
    ],
)
def test_models_have_the_published_number_of_parameters(
    program: ModuleType, name: str, arguments: tuple[int, ...], expected: int
) -> None:
    model = getattr(sys.modules["models"], name)(*arguments)
    assert sum(weights.numel() for weights in model.parameters()) == expected


def test_every_model_of_the_catalogue_has_a_program(program: ModuleType) -> None:
    assert list(program.PROGRAMS) == MODELS


@pytest.mark.parametrize("model", MODELS)
def test_a_model_gives_the_metrics_the_catalogue_lists(train: Train, small: Path, model: str) -> None:
    run = train(small, model, *flags(model))
    assert list(run.metrics) == REPOSITORY["models"][model]["metrics"]
    assert run.events[-1]["data_source"] == "user"
    assert len(run.events[-1]["data_digest"]) == 16


@pytest.mark.parametrize("model", MODELS)
def test_a_default_passed_explicitly_changes_nothing(train: Train, small: Path, model: str) -> None:
    one_epoch = ["--epochs", "1", "--limit", "34"] if model == "siamese" else ["--epochs", "1"]
    told = train(small, model, *one_epoch)
    values = told.events[0]["values"]
    rest = [
        part
        for name, entry in REPOSITORY["hyperparameters"].items()
        if name != "epochs"
        for part in (entry["flag"], repr(values[name]))
    ]
    explicit = train(small, model, *one_epoch, *rest)
    assert told.events[0]["passed"] == ["epochs"]
    assert set(explicit.events[0]["passed"]) == set(values)
    assert timeless(explicit) == timeless(told)


@pytest.mark.parametrize("model", MODELS)
def test_epochs_only_add_epochs(train: Train, small: Path, model: str) -> None:
    one, two = (train(small, model, *flags(model, epochs=epochs)) for epochs in (1, 2))
    assert [event["number"] for event in two.epochs] == [1, 2]
    assert two.epochs[0]["loss"] == one.epochs[0]["loss"]
    assert two.epochs[1]["loss"] != one.epochs[0]["loss"]


@pytest.mark.parametrize("model", MODELS)
def test_the_learning_rate_changes_the_updates_not_weights_order_or_number_of_steps(
    train: Train, small: Path, model: str
) -> None:
    low, high = (train(small, model, *flags(model, learning_rate=rate)) for rate in (0.01, 0.02))
    assert low.losses[0][0] == high.losses[0][0], "the first loss is from before the first update"
    assert [rows for _, rows in low.losses[0]] == [rows for _, rows in high.losses[0]]
    assert low.losses[0][-1] != high.losses[0][-1]


@pytest.mark.parametrize("model", MODELS)
def test_the_batch_size_changes_the_number_of_steps_not_the_rows(
    train: Train, small: Path, model: str
) -> None:
    sixteen, eight = (train(small, model, *flags(model, batch_size=size)).losses[0] for size in (16, 8))
    assert len(eight) > len(sixteen)
    if model != "word_lm":  # whose columns drop the last few words
        assert sum(rows for _, rows in eight) == sum(rows for _, rows in sixteen)


@pytest.mark.parametrize("model", [model for model in MODELS if model != "word_lm"])
def test_the_batch_size_changes_neither_the_first_weights_nor_the_order_of_rows(
    program: ModuleType, train: Train, small: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: list[float] = []
    rows: list[int] = []
    step, batches = program.step, program.batches

    def spied_step(optimizer: Any, *others: Any) -> Any:
        weights.append(
            sum(float(w.detach().double().abs().sum()) for w in optimizer.param_groups[0]["params"])
        )
        return step(optimizer, *others)

    def spied_batches(*arguments: Any) -> Any:
        cut = batches(*arguments)
        rows.extend(int(row) for batch in cut for row in batch)
        return cut

    monkeypatch.setattr(program, "step", spied_step)
    monkeypatch.setattr(program, "batches", spied_batches)
    seen = []
    for size in (8, 16):
        weights.clear()
        rows.clear()
        train(small, model, *flags(model, batch_size=size))
        seen.append((weights[0], list(rows)))
    assert seen[0] == seen[1]
    assert sorted(set(seen[0][1])) == list(range(len(set(seen[0][1]))))


@pytest.mark.parametrize("model", MODELS)
def test_the_seed_seeds_and_does_nothing_else(train: Train, small: Path, model: str) -> None:
    import torch

    one, again, other = (train(small, model, *flags(model, seed=seed)) for seed in (7, 7, 8))
    assert timeless(again) == timeless(one)
    assert other.losses[0][0][0] != one.losses[0][0][0]
    assert [rows for _, rows in other.losses[0]] == [rows for _, rows in one.losses[0]]
    assert other.events[-1]["data_digest"] == one.events[-1]["data_digest"]
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark


def test_a_last_single_row_joins_the_batch_before_it(train: Train, small: Path) -> None:
    run = train(small, "mnist_rnn", *flags("mnist_rnn"), "--limit", "33")
    assert [rows for _, rows in run.losses[0]] == [16, 17]


@pytest.fixture(scope="module")
def process(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], int, int]:
    """One training as a process behind the barrier: events, when it was let go, exit code."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("process")
    events, go = folder / "events", folder / "go"
    command = [sys.executable, str(IMAGES / "examples" / "train.py"), "--model", "mnist_rnn"]
    command += ["--data", str(data), "--output", str(folder), "--epochs", "2", "--limit", "256"]
    env = os.environ | {"PYTHONPATH": str(IMAGES / "base"), "OMP_NUM_THREADS": "1"}
    env |= {"WATTWHY_EVENTS": str(events), "WATTWHY_GO": str(go)}
    with subprocess.Popen([*command, "--device", "cpu"], env=env, stdout=subprocess.DEVNULL) as child:
        until = time.monotonic() + 60
        while not (events.is_file() and '"ready"' in events.read_text("utf-8")):
            assert child.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        time.sleep(0.3)
        assert '"epoch"' not in events.read_text("utf-8"), "the barrier did not hold"
        let_go_ns = time.monotonic_ns()
        go.touch()
        code = child.wait(60)
    return [json.loads(line) for line in events.read_text("utf-8").splitlines()], let_go_ns, code


def test_a_process_writes_every_event_in_order_and_exits_0(
    process: tuple[list[dict[str, Any]], int, int],
) -> None:
    events, _, code = process
    assert code == 0
    assert [event["event"] for event in events] == ["begin", "ready", "epoch", "epoch", "end"]
    times = [event["t_ns"] for event in events]
    assert times == sorted(set(times))
    assert events[0]["values"] == {"epochs": 2, "batch_size": 32, "learning_rate": 0.1, "seed": 1}
    assert events[-1]["data_source"] == "mnist-5k"


def test_a_process_waits_at_the_barrier(process: tuple[list[dict[str, Any]], int, int]) -> None:
    events, let_go_ns, _ = process
    assert events[1]["t_ns"] < let_go_ns <= events[2]["start_ns"]


def test_a_process_without_its_data_fails_and_does_not_end(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    events = tmp_path / "events"
    command = [sys.executable, str(IMAGES / "examples" / "train.py"), "--model", "mnist"]
    env = os.environ | {"PYTHONPATH": str(IMAGES / "base"), "WATTWHY_EVENTS": str(events)}
    place = ["--data", str(tmp_path), "--output", str(tmp_path), "--device", "cpu"]
    done = subprocess.run([*command, *place], env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert "train-images-idx3-ubyte" in done.stderr
    assert "Traceback" not in done.stderr
    assert '"end"' not in events.read_text("utf-8")


def shuffle_labels(data: Path, folder: Path) -> Path:
    """The same digits; the training labels belong to other images."""
    raw = folder / "raw"
    raw.mkdir()
    for file in (data / "MNIST" / "raw").iterdir():
        content = file.read_bytes()
        if file.name == "train-labels-idx1-ubyte":
            content = content[:8] + content[1008:] + content[8:1008]
        (raw / file.name).write_bytes(content)
    return folder


def test_held_out_digits_are_learned_from_true_labels_and_not_from_wrong_ones(
    train: Train, data: Path, tmp_path: Path
) -> None:
    values = ["--epochs", "2", "--batch-size", "32", "--limit", "600"]
    honest = train(data, "mnist", *values)
    shuffled = train(shuffle_labels(data, tmp_path), "mnist", *values)
    assert honest.metrics["test_accuracy"] > 0.6
    assert shuffled.metrics["test_accuracy"] < 0.2


def test_the_lstm_beats_chance(train: Train, data: Path) -> None:
    run = train(data, "mnist_rnn", "--epochs", "3", "--learning-rate", "1.0", "--limit", "2000")
    assert run.metrics["test_accuracy"] > 0.5


def test_forward_forward_beats_chance(train: Train, data: Path) -> None:
    run = train(data, "mnist_ff", "--epochs", "40", "--batch-size", "100", "--limit", "500")
    assert run.metrics["test_accuracy"] > 0.25
    assert run.metrics["test_error"] == pytest.approx(1 - run.metrics["test_accuracy"])
    assert run.epochs[-1]["loss"] < run.epochs[0]["loss"]


@pytest.mark.slow
def test_siamese_pairs_beat_chance(train: Train, data: Path) -> None:
    run = train(data, "siamese", "--epochs", "3", "--learning-rate", "0.1", "--limit", "600")
    assert run.metrics["test_accuracy"] > 0.56, "1,000 guesses stay below that"


@pytest.mark.slow
def test_the_language_model_knows_more_than_the_frequency_of_words(
    train: Train, data: Path, program: ModuleType
) -> None:
    import numpy as np

    run = train(data, "word_lm", "--epochs", "2")
    text = program.Text(data, None)
    counts = np.bincount(text.train, minlength=len(text.vocabulary)) + 1
    frequency = np.exp(-np.log(counts / counts.sum())[text.test].mean())
    assert run.metrics["test_perplexity"] < frequency < len(text.vocabulary)
    assert run.metrics["test_perplexity"] == pytest.approx(np.exp(run.metrics["test_loss"]))
