"""VulBERTa: what its programs promise, on the stand-in it writes itself."""

from __future__ import annotations

import re
import string
import tomllib
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.programs import IMAGES, equal, events, learns, training

if TYPE_CHECKING:
    from pathlib import Path

    from energy_plugin.declare.catalog import Catalog

FOLDER = IMAGES / "VulBERTa"
TOML = tomllib.loads((FOLDER / "repository.toml").read_text("utf-8"))

pytestmark = pytest.mark.train


MODELS = ["mlp", "cnn"]


def prepared(code: SimpleNamespace, data: Path, *flags: object, model: str) -> Any:
    return code.train.prepare(training(code, data, "--limit", 16, *flags, model=model))


def after_two_steps(code: SimpleNamespace, data: Path, *flags: object, model: str) -> Any:
    """Weights before and after two steps on the same rows, the optimiser's settings, the row order."""
    import torch

    ready = prepared(code, data, *flags, model=model)
    before = [w.detach().clone() for w in ready.network.parameters()]
    order = torch.randperm(16, generator=ready.order)
    ready.network.train()
    torch.manual_seed(0)  # the same dropout, whatever the seed
    for rows in (torch.arange(8), torch.arange(8, 16)):
        code.train.step(ready, rows)
    keys = ("lr", "weight_decay", "betas", "eps")
    settings = [{key: group[key] for key in keys} for group in ready.optimizer.param_groups]
    after = [w.detach() for w in ready.network.parameters()]
    return SimpleNamespace(before=before, after=after, order=order.tolist(), settings=settings)


@pytest.mark.parametrize(
    ("model", "parameters", "trained"), [("mlp", 124_836_866, 124_836_866), ("cnn", 40_430_810, 2_030_810)]
)
def test_the_full_models_have_their_parameters(
    code: SimpleNamespace, model: str, parameters: int, trained: int
) -> None:
    import torch

    with torch.device("meta"):
        network = code.models.MODELS[model](code.models.FULL)
    counts = [(w.numel(), w.requires_grad) for w in network.parameters()]
    assert sum(count for count, _ in counts) == parameters
    assert sum(count for count, grad in counts if grad) == trained


@pytest.mark.parametrize("model", MODELS)
def test_the_full_models_give_two_logits_for_1024_tokens(code: SimpleNamespace, model: str) -> None:
    import torch

    size = code.models.FULL
    with torch.device("meta"):
        network = code.models.MODELS[model](size)
        tokens = torch.zeros(size.batch[model], size.length, dtype=torch.long)
        assert network(tokens).shape == (size.batch[model], 2)


@pytest.mark.parametrize("model", MODELS)
def test_the_tiny_size_serves_the_standin_and_the_full_one_the_users_data(
    code: SimpleNamespace,
    standin: Path,
    tmp_path: Path,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prepared(code, standin, model=model)
    assert "size tiny" in capsys.readouterr().out
    for file in standin.glob("[!s]*"):
        (tmp_path / file.name).symlink_to(file)
    asked: list[Any] = []

    def refuse(size: Any) -> Any:
        asked.append(size)
        raise MemoryError

    monkeypatch.setitem(code.models.MODELS, model, refuse)
    with pytest.raises(MemoryError):
        prepared(code, tmp_path, model=model)
    assert asked == [code.models.FULL]
    assert code.data.Functions(tmp_path).source == "user"


def test_padding_changes_no_logit(code: SimpleNamespace) -> None:
    import torch

    torch.manual_seed(0)
    network = code.models.Mlp(code.models.TINY).eval()
    short = torch.tensor([[0, 7, 8, 9, 2]])
    long = torch.tensor([[0, 7, 8, 9, 2, 1, 1, 1]])
    assert torch.allclose(network(short), network(long), atol=1e-6)
    assert not torch.allclose(network(short), network(torch.tensor([[0, 8, 7, 9, 2]])), atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_the_learning_rate_acts_alone(code: SimpleNamespace, standin: Path, model: str) -> None:
    one, two = (after_two_steps(code, standin, "--learning-rate", lr, model=model) for lr in (1e-3, 2e-3))
    assert equal(one.before, two.before)
    assert one.order == two.order
    assert not equal(one.after, two.after)
    assert [{**s, "lr": 0} for s in one.settings] == [{**s, "lr": 0} for s in two.settings]


@pytest.mark.parametrize("model", MODELS)
def test_weight_decay_acts_alone_and_on_matrices_only(
    code: SimpleNamespace, standin: Path, model: str
) -> None:
    """At the default learning rate and the low end of the published range, where AdamW's would vanish."""
    one, two = (after_two_steps(code, standin, "--weight-decay", decay, model=model) for decay in (0.0, 1e-5))
    assert equal(one.before, two.before)
    assert one.order == two.order
    assert not equal(one.after, two.after)
    decays = [[group["weight_decay"] for group in x.settings] for x in (one, two)]
    assert decays == [[0.0, 0.0], [1e-5, 0.0]]
    assert [{**s, "weight_decay": 0} for s in one.settings] == [
        {**s, "weight_decay": 0} for s in two.settings
    ]


@pytest.mark.parametrize("model", MODELS)
def test_the_seed_acts_on_weights_and_order_alone(code: SimpleNamespace, standin: Path, model: str) -> None:
    one, two = (after_two_steps(code, standin, "--seed", seed, model=model) for seed in (42, 43))
    assert not equal(one.before, two.before)
    assert one.order != two.order
    assert one.settings == two.settings


@pytest.mark.parametrize("model", MODELS)
def test_fewer_epochs_are_the_beginning_of_more(
    code: SimpleNamespace, standin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    losses = []
    for epochs in (1, 2):
        monkeypatch.setenv("WATTWHY_EVENTS", str(tmp_path / f"{epochs}"))
        code.train.fit(training(code, standin, "--limit", 16, "--epochs", epochs, model=model))
        losses.append([event["loss"] for event in events(tmp_path / f"{epochs}", "epoch")])
    assert [len(one) for one in losses] == [1, 2]
    assert losses[1][:1] == losses[0]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["learning_rate", "seed", "weight_decay"])
def test_passing_a_default_changes_nothing(
    code: SimpleNamespace, standin: Path, model: str, name: str
) -> None:
    entry = code.contract.hyperparameters_of(TOML, model)[name]
    one = after_two_steps(code, standin, model=model)
    two = after_two_steps(code, standin, entry["flag"], entry["default"], model=model)
    assert equal(one.after, two.after)
    assert one.order == two.order


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_training_learns_the_labels_but_not_shuffled_ones(
    code: SimpleNamespace, standin: Path, model: str
) -> None:
    """Chance is 0.5 with a deviation of 0.044."""
    made = partial(training, code, standin, "--learning-rate", 1e-3, model=model)
    learns(made, code, 3, least=0.75, most=0.65)


def test_both_classes_count_the_same_in_the_loss(code: SimpleNamespace, standin: Path) -> None:
    import torch

    weights = code.train.class_weights(torch.tensor([0, 0, 0, 1]))
    assert weights.tolist() == pytest.approx([4 / 6, 2.0])
    losses = []
    for heavy in (1.0, 9.0):
        ready = prepared(code, standin, model="cnn")._replace(weights=torch.tensor([1.0, heavy]))
        ready.network.eval()
        losses.append(code.train.step(ready, torch.arange(8)).item())
    assert losses[0] != losses[1]


def test_held_out_rows_are_looked_at_without_dropout_or_learning(
    code: SimpleNamespace, standin: Path
) -> None:
    ready = prepared(code, standin, model="cnn")
    ready.network.train()
    before = [w.detach().clone() for w in ready.network.parameters()]
    one, two = (code.train.held_out(ready, ready.valid)["eval_loss"] for _ in range(2))
    assert one == two
    assert equal(before, ready.network.parameters())


@pytest.mark.parametrize("model", MODELS)
def test_final_metrics_are_declared_and_of_the_test_rows(
    code: SimpleNamespace, standin: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    entry = catalog.model(f"VulBERTa/{model}")
    asked = training(code, standin, "--limit", 8, "--epochs", 1, model=model)
    looked, plain = [], code.train.held_out

    def look(ready: Any, rows: Any) -> Any:
        looked.append(rows)
        return plain(ready, rows)

    monkeypatch.setattr(code.train, "held_out", look)
    found = code.train.fit(asked)
    assert [len(rows.targets) for rows in looked] == [64, 128]
    assert set(found) == set(entry.metrics)
    assert all(value > 0 for name, value in found.items() if name.endswith("_per_second"))
    assert asked.data_source == "stand-in"
    assert asked.weights == "random"


def test_defaults_are_the_published_ones(catalog: Catalog) -> None:
    common = {"seed": 42, "weight_decay": 0.0}
    assert catalog.model("mlp").defaults() == {"epochs": 10, "learning_rate": 3e-5, **common}
    assert catalog.model("cnn").defaults() == {"epochs": 20, "learning_rate": 5e-4, **common}


LOGS = {
    "mlp": (
        "{'loss': 0.41, 'epoch': 0.5}\n{'eval_loss': 0.6931, 'eval_runtime': 9.1, "
        "'eval_samples_per_second': 65.2, 'epoch': 1.0}\n"
        "{'train_runtime': 99.0, 'train_samples_per_second': 14.1, 'train_loss': 0.55, 'epoch': 1.0}\n",
        {"eval_loss": "0.6931"},
        {
            "eval_loss": "0.6931",
            "eval_samples_per_second": "65.2",
            "train_samples_per_second": "14.1",
        },
    ),
    "cnn": (
        "Epoch 2 - Training acc: 0.61 -Training loss: 0.64 - Val acc: 0.58 - Val loss: 0.67 - Time: 3.2s\n"
        "Accuracy: 0.6\nF-measure: 0.55\n",
        {"loss": "0.64", "valid_accuracy": "0.58", "valid_loss": "0.67", "seconds": "3.2"},
        {"accuracy": "0.6", "f1": "0.55", "final_training_loss": "0.64"},
    ),
}


@pytest.mark.parametrize("model", MODELS)
def test_the_checkout_sets_nothing_and_reads_the_log(model: str) -> None:
    checkout = TOML["checkout"]["models"][model]
    assert [field for _, field, _, _ in string.Formatter().parse(checkout["command"]) if field] == []
    assert TOML["checkout"]["sets"] == []
    log, epoch, final = LOGS[model]
    (pattern,) = checkout["patterns"]["epoch"]
    (found,) = re.finditer(pattern, log, re.MULTILINE)
    assert found.groupdict() == epoch
    results: dict[str, str] = {}
    for pattern in checkout["patterns"]["final"]:
        results |= [m.groupdict() for m in re.finditer(pattern, log, re.MULTILINE)][-1]
    assert results == final
    assert set(final) <= set(TOML["metrics"])
