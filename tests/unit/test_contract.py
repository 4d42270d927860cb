"""What every training program obeys: flags, events, the barrier."""

from __future__ import annotations

import importlib.util
import json
import math
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

FILE = Path(__file__).resolve().parents[2] / "images" / "base" / "contract.py"
REPOSITORY: dict[str, Any] = {
    "name": "toy",
    "hyperparameters": {
        "epochs": {"type": "int", "flag": "--epochs", "default": 3, "minimum": 1},
        "learning_rate": {"type": "float", "flag": "--learning-rate", "default": 1.0},
        "alpha": {"type": "float", "flag": "--alpha", "default": 1},
    },
    "models": {
        "small": {"metrics": ["score"], "uses": ["epochs", "learning_rate"], "aliases": ["tiny"]},
        "large": {"metrics": ["score"], "hyperparameters": {"learning_rate": {"default": 0.1}}},
    },
}
FIXED = ["--data", "data", "--output", "out"]


@pytest.fixture(scope="module")
def contract() -> ModuleType:
    spec = importlib.util.spec_from_file_location("contract_under_test", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "events"
    monkeypatch.setenv("WATTWHY_EVENTS", str(file))
    monkeypatch.delenv("WATTWHY_GO", raising=False)
    return file


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def training(contract: ModuleType, *argv: str) -> Any:
    return contract.Training(*contract.parse(REPOSITORY, ["--model", "small", *FIXED, *argv]))


def refused(contract: ModuleType, capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as stop:
        contract.parse(REPOSITORY, [*FIXED, *argv])
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_what_is_not_passed_takes_the_default_of_the_model_and_is_not_called_passed(
    contract: ModuleType,
) -> None:
    small = contract.parse(REPOSITORY, ["--model", "small", *FIXED, "--epochs", "5"])
    large = contract.parse(REPOSITORY, ["--model", "large", *FIXED])
    assert small[1:] == ({"epochs": 5, "learning_rate": 1.0}, ["epochs"])
    assert large[1:] == ({"epochs": 3, "learning_rate": 0.1, "alpha": 1.0}, [])
    assert isinstance(large[1]["alpha"], float)


def test_a_default_that_is_passed_is_called_passed(contract: ModuleType) -> None:
    _, values, passed = contract.parse(REPOSITORY, ["--model", "small", *FIXED, "--epochs", "3"])
    assert values["epochs"] == 3
    assert passed == ["epochs"]


def test_a_value_arrives_with_every_digit(contract: ModuleType) -> None:
    sent = 0.1 + 0.2
    _, values, _ = contract.parse(REPOSITORY, ["--model", "small", *FIXED, "--learning-rate", repr(sent)])
    assert values["learning_rate"] == sent


def test_an_alias_is_its_model(contract: ModuleType) -> None:
    assert contract.parse(REPOSITORY, ["--model", "tiny", *FIXED])[0].model == "small"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--model", "huge"], "invalid choice: 'huge'"),
        ([], "--model"),
        (["--model", "small", "--alpha", "1"], "unrecognized arguments: --alpha"),
        (["--model", "small", "--epoch", "1"], "unrecognized arguments: --epoch"),
        (["--model", "small", "--epochs", "1.5"], "'1.5' is no int"),
        (["--model", "small", "--epochs", "0"], "at least 1"),
        (["--model", "small", "--learning-rate", "nan"], "finite"),
        (["--model", "small", "--limit", "0"], "at least 1"),
        (["--model", "small", "--device", "tpu"], "invalid choice: 'tpu'"),
    ],
)
def test_what_cannot_be_is_refused_with_its_name(
    contract: ModuleType, capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    assert said in refused(contract, capsys, *argv)


def test_a_model_takes_only_the_hyperparameters_it_uses(contract: ModuleType) -> None:
    assert set(contract.hyperparameters_of(REPOSITORY, "small")) == {"epochs", "learning_rate"}


def test_events_tell_the_training_from_begin_to_end(contract: ModuleType, events: Path) -> None:
    one = training(contract, "--device", "cpu", "--epochs", "2")
    one.data_source = "toy-5"
    one.ready()
    one.epoch(0.5, accuracy=0.25)
    one.epoch(0.25)
    one.end({"score": 0.75})
    begin, ready, first, second, end = lines(events)
    assert [begin["event"], ready["event"], end["event"]] == ["begin", "ready", "end"]
    assert begin["values"] == {"epochs": 2, "learning_rate": 1.0}
    assert begin["passed"] == ["epochs"]
    assert (first["number"], first["loss"], first["metrics"]) == (1, 0.5, {"accuracy": 0.25})
    times = [begin["t_ns"], ready["t_ns"], first["start_ns"], first["t_ns"], second["start_ns"], end["t_ns"]]
    assert times == sorted(times)
    assert end["metrics"] == {"score": 0.75}
    assert end["data_source"] == "toy-5"


def test_a_loss_that_is_not_finite_is_null_and_the_line_stays_json(
    contract: ModuleType, events: Path
) -> None:
    one = training(contract, "--device", "cpu")
    one.ready()
    one.epoch(math.nan, accuracy=math.inf)
    last = lines(events)[-1]
    assert last["loss"] is None
    assert last["metrics"] == {"accuracy": None}


def test_the_barrier_holds_the_first_epoch_until_the_file_is_there(
    contract: ModuleType, events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    monkeypatch.setenv("WATTWHY_GO", str(go))
    one = training(contract, "--device", "cpu")
    held = threading.Thread(target=one.ready, daemon=True)
    held.start()
    held.join(0.1)
    assert held.is_alive()
    opened_ns = time.monotonic_ns()
    go.touch()
    held.join(5)
    assert not held.is_alive()
    one.epoch(1.0)
    assert lines(events)[-1]["start_ns"] >= opened_ns


def test_without_an_events_file_a_program_runs_all_the_same(
    contract: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WATTWHY_EVENTS", raising=False)
    monkeypatch.delenv("WATTWHY_GO", raising=False)
    one = training(contract, "--device", "cpu")
    one.ready()
    one.epoch(1.0)
    assert "epoch 1: loss 1.0000" in capsys.readouterr().out


def write_program(folder: Path) -> str:
    folder.joinpath("repository.toml").write_text(
        'name = "toy"\n[hyperparameters.epochs]\ntype = "int"\nflag = "--epochs"\ndefault = 1\n'
        '[models.small]\nmetrics = ["score"]\n',
        "utf-8",
    )
    return str(folder / "train.py")


def test_metrics_other_than_those_listed_are_no_completed_training(
    contract: ModuleType, events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = write_program(tmp_path)
    monkeypatch.setattr("sys.argv", [program, "--model", "small", *FIXED, "--device", "cpu"])
    with pytest.raises(SystemExit, match=r"gave \['points'\]; repository.toml lists \['score'\]"):
        contract.main(program, {"small": lambda _: {"points": 1.0}})
    assert [line["event"] for line in lines(events)] == ["begin"]
    contract.main(program, {"small": lambda _: {"score": 1.0}})
    assert lines(events)[-1]["metrics"] == {"score": 1.0}
