"""Originals in a user's own checkout, run by real pytest: stand-ins of our own in their log formats."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.record.journal import records
from tests.conftest import ROOT, Project, lines_with
from tests.originals import snapshot, write_original

if TYPE_CHECKING:
    from pathlib import Path

    from energy_plugin.record.record import Outcome


@dataclass
class Originals:
    """A project that uses our real catalogue, and a user's checkout beside it."""

    project: Project
    folder: Path
    data: list[str] = field(default_factory=list)

    def checkout(self, repository: str) -> Path:
        folder = write_original(repository, self.folder / "src" / repository)
        if repository == "Person_reID_baseline_pytorch":
            (self.folder / "data" / repository / "pytorch" / "train_all").mkdir(parents=True)
            self.data = [f"--energy-data={self.folder / 'data'}"]
        return folder

    def run(self, repository: str, models: str, design: str, *more: str, behaviour: str = "") -> Any:
        listed = ", ".join(repr(f"{repository}/{model}") for model in models.split())
        self.project.declare(
            f"@experiments({listed}, design={design})\n"
            "def test_case(case, measure):\n    assert measure(case).success\n"
        )
        self.project.environment["WATTWHY_TEST_ORIGINAL"] = behaviour
        if not any(option.startswith("--energy-checkout") for option in more):
            more = (f"--energy-checkout={repository}={self.folder / 'src' / repository}", *more)
        return self.project.run(*more, *self.data)

    def runs(self, repository: str, *more: str) -> Path:
        """Assert that it runs as :data:`EXPECTED`, and leaves the checkout, which is given back, alone."""
        models, design, epochs, metrics, source = EXPECTED[repository]
        folder = self.checkout(repository)
        before = snapshot(folder)
        done = self.run(repository, models, design, *more)
        assert done.returncode == 0, done.stdout + done.stderr
        assert snapshot(folder) == before
        found = self.outcomes()
        assert set(found) == set(models.split())
        for outcome in found.values():
            assert len(outcome.epochs) == epochs
            assert outcome.metrics == pytest.approx(metrics)
            assert outcome.data_source == source
            assert (self.project.session / outcome.log).read_text()
        assert not list(self.project.session.glob("*/*.checkout"))
        return folder

    def outcomes(self) -> dict[str, Outcome]:
        """By model."""
        return {r.outcomes[0].program.model: r.outcomes[0] for r in records(self.project.session)}


@pytest.fixture
def originals(project: Project, tmp_path: Path) -> Originals:
    """Our own images folder in place of the tiny one."""
    project.images = ROOT / "images"
    return Originals(project, tmp_path)


def two(name: str = "epochs", n: int = 2) -> str:
    """A design of one case with *n* in the hyperparameter *name*."""
    return f'joint("{name}", ranges={{"{name}": [{n}, {n}.1]}})'


EXPECTED: dict[str, tuple[str, str, int, dict[str, float], str]] = {
    "pytorch_resnet_cifar10": (
        "resnet20",
        two(),
        2,
        {"test_accuracy": 0.905, "best_val_accuracy": 0.9125},
        "checkout",
    ),
    "Person_reID_baseline_pytorch": (
        "densenet121 pcb",
        two(n=10),
        10,
        {"rank1": 0.883907, "rank5": 0.954276, "map": 0.716512},
        "user",
    ),
    "bug-localization-by-dnn-and-rvsm": (
        "default",
        two("max_iter"),
        0,
        {
            "top1_accuracy": 0.31,
            "top5_accuracy": 0.35,
            "top10_accuracy": 0.4,
            "top20_accuracy": 0.5,
            "rvsm_top1_accuracy": 0.21,
        },
        "stand-in",
    ),
    "MRT-OAST": (
        "default",
        two(),
        2,
        {"accuracy": 0.9375, "precision": 0.91, "recall": 0.97, "f1": 0.939},
        "checkout",
    ),
}


@pytest.mark.parametrize("repository", EXPECTED)
def test_an_original_is_run_and_its_log_is_read(originals: Originals, repository: str) -> None:
    originals.runs(repository)


def test_notebooks_are_run_as_scripts_and_tell_their_epochs_as_they_end(originals: Originals) -> None:
    originals.checkout("VulBERTa")
    done = originals.run("VulBERTa", "mlp cnn", "defaults()")
    assert done.returncode == 0, done.stdout
    mlp, cnn = (originals.outcomes()[name] for name in ("mlp", "cnn"))
    assert mlp.metrics == pytest.approx(
        {"eval_loss": 0.7, "eval_samples_per_second": 65.2, "train_samples_per_second": 14.1}
    )
    assert [epoch.metrics["eval_loss"] for epoch in mlp.epochs] == pytest.approx(
        [0.8 - n / 100 for n in range(1, 11)]
    )
    assert all(epoch.t1_ns - epoch.t0_ns > 10e6 for epoch in mlp.epochs), "not all at the end"
    assert cnn.metrics == pytest.approx({"accuracy": 0.6125, "f1": 0.553, "final_training_loss": 0.6})
    assert [epoch.loss for epoch in cnn.epochs] == pytest.approx([0.7, 0.6])
    assert (mlp.weights, mlp.program.values) == ("pretrained", {})


def test_the_examples_each_run_in_their_own_folder(originals: Originals) -> None:
    folder = originals.checkout("examples")
    before = snapshot(folder)
    done = originals.run("examples", "mnist mnist_rnn siamese mnist_ff word_lm", two())
    assert done.returncode == 0, done.stdout
    assert snapshot(folder) == before
    found = originals.outcomes()
    for name in ("mnist", "mnist_rnn"):
        assert found[name].metrics == pytest.approx({"test_loss": 0.1, "test_accuracy": 0.902})
        assert [epoch.metrics["test_accuracy"] for epoch in found[name].epochs] == [0.901, 0.902]
        assert found[name].data_source == "mnist-5k"
    assert found["siamese"].metrics == pytest.approx({"test_accuracy": 0.902})
    assert found["mnist_ff"].metrics == pytest.approx(
        {"train_error": 0.0625, "test_error": 0.08, "test_accuracy": 0.92}
    )
    assert not found["mnist_ff"].epochs
    words = found["word_lm"]
    assert words.metrics == pytest.approx({"test_loss": 4.61, "test_perplexity": 100.48})
    assert words.data_source.startswith("pydoc-topics")
    assert [epoch.t1_ns - epoch.t0_ns for epoch in words.epochs] == [100_000_000] * 2
    assert (originals.project.session / "examples_word_lm_001" / "output" / "model.pt").is_file()


def test_the_record_says_what_ran_and_how_sure_its_windows_are(originals: Originals) -> None:
    folder = originals.checkout("pytorch_resnet_cifar10")
    done = originals.run("pytorch_resnet_cifar10", "resnet20", two())
    assert lines_with(done.stdout, "is the original in", str(folder), "no commit of its own", "d5489e8")
    (record,) = records(originals.project.session)
    (program,) = record.provenance["programs"]
    said = program["checkout"]
    assert (said["folder"], said["marks"], said["marks_unc_s"]) == (str(folder), "log-lines", 0.5)
    assert "trainer.py --arch=resnet20 --epochs 2 -b 128 --lr 0.1" in said["command"]
    (outcome,) = record.outcomes
    assert outcome.program.passed == {"epochs", "learning_rate", "weight_decay", "batch_size"}
    assert [epoch.loss for epoch in outcome.epochs] == pytest.approx([1.9, 0.9])
    by_name = {window.name: window for window in outcome.windows}
    assert set(by_name) == {"process", "training", "epoch:1", "epoch:2"}
    assert by_name["process"].unc_ns < 100e6
    assert {w.unc_ns for name, w in by_name.items() if name != "process"} == {500_000_000}
    assert by_name["process"].t0_ns < by_name["training"].t0_ns
    assert by_name["epoch:1"].t1_ns == by_name["epoch:2"].t0_ns
    facts = json.loads((originals.project.session / "session.json").read_text())
    entry = facts["catalogue"]["pytorch_resnet_cifar10"]
    assert entry["sources"] == entry["original"]["sources"] == said["sources"]
    assert set(entry["models"]["resnet20"]["hyperparameters"]) == outcome.program.passed


@pytest.mark.parametrize(
    ("behaviour", "reason", "code"), [("no metrics", "no-metrics", 0), ("crash", "exit-code", 1)]
)
def test_an_original_fails_by_its_exit_code_or_without_its_metrics(
    originals: Originals, behaviour: str, reason: str, code: int
) -> None:
    originals.checkout("pytorch_resnet_cifar10")
    done = originals.run("pytorch_resnet_cifar10", "resnet20", two(), behaviour=behaviour)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    outcome = originals.outcomes()["resnet20"]
    assert (outcome.success, outcome.reason, outcome.exit_code) == (False, reason, code)
    if code:
        assert "RuntimeError: planned" in done.stdout
    else:
        assert outcome.detail == "exit code 0, but no final test_accuracy, best_val_accuracy"


def test_an_original_that_hangs_is_ended_and_its_copy_removed(originals: Originals) -> None:
    originals.checkout("pytorch_resnet_cifar10")
    more = "--energy-timeout=1"
    done = originals.run("pytorch_resnet_cifar10", "resnet20", two(), more, behaviour="hang")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    outcome = originals.outcomes()["resnet20"]
    assert outcome.reason == "timeout"
    assert "hanging" in (originals.project.session / outcome.log).read_text()
    assert not list(originals.project.session.glob("*/*.checkout"))


RESNET = "pytorch_resnet_cifar10"


@pytest.mark.parametrize(
    ("design", "more", "said"),
    [
        ('one_at_a_time("seed", levels=2)', (), "cannot be told seed; it can be told epochs, learning_rate"),
        (two(), ("--energy-limit=10",), "cannot limit its rows to 10"),
    ],
    ids=["seed", "limit"],
)
def test_what_an_original_cannot_do_is_refused_before_any_run(
    originals: Originals, design: str, more: tuple[str, ...], said: str
) -> None:
    originals.checkout(RESNET)
    refused(originals, originals.run(RESNET, "resnet20", design, *more), said)


def test_a_value_below_the_originals_least_is_refused(originals: Originals) -> None:
    name = "Person_reID_baseline_pytorch"
    originals.checkout(name)
    done = originals.run(name, "densenet121", two(n=9))
    refused(originals, done, "epochs 9 is below the original's least, 10")


def test_a_folder_that_is_no_checkout_of_it_is_refused(originals: Originals) -> None:
    (originals.folder / "src" / RESNET).mkdir(parents=True)
    said = "no trainer.py there; expected a checkout of https://github.com/akamaster/pytorch_resnet_cifar10"
    refused(originals, originals.run(RESNET, "resnet20", two()), said)


def test_a_model_whose_script_is_missing_is_refused(originals: Originals) -> None:
    folder = originals.checkout("examples")
    (folder / "siamese_network" / "main.py").unlink()
    refused(originals, originals.run("examples", "siamese", two()), "no siamese_network/main.py there")


def test_an_original_that_needs_real_data_is_refused_without_them(originals: Originals) -> None:
    folder = originals.checkout(RESNET)
    (folder / "data" / "cifar-10-batches-py" / "real").unlink()
    (folder / "data" / "cifar-10-batches-py").rmdir()
    refused(
        originals, originals.run(RESNET, "resnet20", two()), "takes only the real data. Give --energy-data"
    )


def test_results_inside_the_checkout_are_refused(originals: Originals) -> None:
    folder = originals.checkout(RESNET)
    done = originals.run(RESNET, "resnet20", two(), f"--energy-results={folder / 'results'}")
    refused(originals, done, "would be written into the checkout")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("resnet", "write REPOSITORY=DIR"),
        (f"{RESNET}=nowhere", "no such folder"),
        (f"{RESNET}=.,{RESNET}=.", "is given twice"),
        ("resnet=.", "Valid: MRT-OAST"),
    ],
)
def test_a_wrong_option_is_one_clear_error(originals: Originals, given: str, said: str) -> None:
    refused(originals, originals.run(RESNET, "resnet20", two(), f"--energy-checkout={given}"), said)


def refused(originals: Originals, done: Any, said: str) -> None:
    """One clear line, a usage error, and nothing ran."""
    text = done.stdout + done.stderr
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, text
    assert said in text
    assert "Traceback" not in text
    results = originals.project.folder / "results"
    assert not results.exists() or not os.listdir(results)
