"""Log lines of originals become marks: patterns on text in the documented formats."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.declare.catalog import Catalog, load_catalog
from energy_plugin.declare.checkout import Checkout, Patterns
from energy_plugin.record.marks import read_marks
from energy_plugin.run.logmarks import Lines, LogMarks, tee

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECOND = 10**9


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The real catalogue."""
    return load_catalog()


def table(**patterns: Any) -> Checkout:
    """A table with these patterns and nothing else of interest."""
    compiled: dict[str, Any] = {
        key: tuple(map(re.compile, value)) if isinstance(value, list) else value
        for key, value in patterns.items()
    }
    return Checkout(
        model="m",
        origin="o",
        commit="c",
        script="s",
        template="true",
        weights="random",
        patterns=Patterns(**compiled),
    )


def read(checkout: Checkout, log: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Epoch events and final metrics of a log whose lines arrive a second apart."""
    marks = LogMarks(checkout)
    marks.begin(0)
    found = []
    lines = [line for line in re.split(r"[\r\n]", log) if line]
    for number, line in enumerate(lines, start=1):
        found += marks.feed(line, number * SECOND)
    return found, marks.end(len(lines) * SECOND)["metrics"]


LOGS: dict[str, tuple[str, list[dict[str, Any]], dict[str, float]]] = {
    "pytorch_resnet_cifar10/resnet20": (
        "current lr 1.00000e-01\n"
        "Epoch: [0][0/391]\tTime 0.200 (0.200)\tData 0.1 (0.1)\tLoss 2.5 (2.5)\tPrec@1 9.0 (9.0)\n"
        "Epoch: [0][390/391]\tTime 0.020 (0.021)\tData 0.0 (0.0)\tLoss 1.1 (1.5)\tPrec@1 56.0 (42.0)\n"
        "Test: [0/79]\tTime 0.100 (0.100)\tLoss 1.0 (1.0)\tPrec@1 60.0 (60.0)\n"
        " * Prec@1 91.250\n"
        "current lr 1.00000e-01\n"
        "Epoch: [1][390/391]\tTime 0.020 (0.021)\tData 0.0 (0.0)\tLoss 0.9 (0.75)\tPrec@1 80.0 (79.0)\n"
        " * Prec@1 90.500\n",
        [
            {"start_s": 1, "end_s": 5, "loss": 1.5, "test_accuracy": 0.9125},
            {"start_s": 5, "end_s": 8, "loss": 0.75, "test_accuracy": 0.905},
        ],
        {"test_accuracy": 0.905, "best_val_accuracy": 0.9125},
    ),
    "Person_reID_baseline_pytorch/hrnet18": (
        "Epoch 0/9\n"
        " 0%|    | 32/12936 [00:01, 99it/s, ordered_dict={'phase': 'train', 'Loss': '6.5', 'Acc': '0.0'}]\r"
        "100%|###| 12936/12936 [00:40, 300it/s, ordered_dict=OrderedDict([('phase', 'train'), "
        "('Loss', '2.5'), ('Acc', '0.1')])]\n"
        "\r10%|#  | 9/90 [00:01, 9it/s, ordered_dict={'phase': 'val', 'Loss': '9.9', 'Acc': '0.2'}]\n"
        "Training complete in 0m 41s\n\n"
        "Training complete in 0m 41s\n"
        "Rank@1:0.883907 Rank@5:0.954276 Rank@10:0.970012 mAP:0.716512\n",
        [{"start_s": 1, "end_s": 5, "loss": 2.5}],
        {"rank1": 0.883907, "rank5": 0.954276, "map": 0.716512},
    ),
    "VulBERTa/mlp": (
        "  0%|          | 0/11610 [00:00<?, ?it/s]\r"
        "{'loss': 0.69, 'learning_rate': 2.8e-05, 'epoch': 0.43}\n"
        "{'eval_loss': 0.6931, 'eval_runtime': 9.1, 'eval_samples_per_second': 65.2, 'epoch': 1.0}\n"
        "{'eval_loss': '0.7011', 'eval_runtime': '9.1', 'eval_samples_per_second': '64.0', 'epoch': '2'}\n"
        "{'train_runtime': 99.0, 'train_samples_per_second': 14.1, 'train_loss': 0.55, 'epoch': 2.0}\n",
        [
            {"start_s": 1, "end_s": 3, "loss": None, "eval_loss": 0.6931},
            {"start_s": 3, "end_s": 4, "loss": None, "eval_loss": 0.7011},
        ],
        {"eval_loss": 0.7011, "eval_samples_per_second": 64.0, "train_samples_per_second": 14.1},
    ),
    "VulBERTa/cnn": (
        "Training started.....\nnothing\nnothing\nnothing\n"
        "Epoch 1 - Training acc: 0.61 -Training loss: 0.64 - Val acc: 0.58 - Val loss: 0.67 - Time: 3.5s \n"
        "Testing started.......\nAccuracy: 0.6125\nPrecision: 0.5\nF-measure: 0.553\n",
        [{"start_s": 1.5, "end_s": 5, "loss": 0.64, "valid_accuracy": 0.58, "valid_loss": 0.67}],
        {"final_training_loss": 0.64, "accuracy": 0.6125, "f1": 0.553},
    ),
    "bug-localization-by-dnn-and-rvsm/default": (
        "Fold: 1 / 2\rFold: 2 / 2\r{" + ", ".join(f"{k}: {0.3 + k / 100:.3f}" for k in range(1, 21)) + "}\n"
        "{" + ", ".join(f"{k}: {0.2 + k / 100:.3f}" for k in range(1, 21)) + "}\n",
        [],
        {
            "top1_accuracy": 0.31,
            "top5_accuracy": 0.35,
            "top10_accuracy": 0.4,
            "top20_accuracy": 0.5,
            "rvsm_top1_accuracy": 0.21,
        },
    ),
    "MRT-OAST/default": (
        "  0%|          | 0/100 [00:00<?, ?it/s]\r"
        "  1%|1         | 0/100 [00:00<?, ?it/s, loss=0.693147, lr=0.000000]\r"
        "Accuracy: 60/64 = 0.9375 | Precision:0.9000 | Recall:0.8000 | F1 score:0.8471\n"
        "  ----avg loss is 0.412345\n"
        "    Accuracy on test is 120/128 = 0.937500\n"
        "    Precision: 0.91\n    Recall   : 0.97\n    F1 score : 0.939\n \n",
        [{"start_s": 2, "end_s": 4, "loss": 0.412345}],
        {"accuracy": 0.9375, "precision": 0.91, "recall": 0.97, "f1": 0.939},
    ),
    "examples/mnist": (
        "Train Epoch: 1 [0/60000 (0%)]\tLoss: 2.329474\n"
        "Train Epoch: 1 [640/60000 (1%)]\tLoss: 1.419021\n"
        "\nTest set: Average loss: 0.0459, Accuracy: 9841/10000 (98%)\n\n",
        [{"start_s": 1, "end_s": 3, "loss": None, "test_loss": 0.0459, "test_accuracy": 0.9841}],
        {"test_loss": 0.0459, "test_accuracy": 0.9841},
    ),
    "examples/siamese": (
        "Train Epoch: 1 [0/60000 (0%)]\tLoss: 0.693147\n"
        "\nTest set: Average loss: 0.0001, Accuracy: 9700/10000 (97%)\n\n",
        [{"start_s": 1, "end_s": 2, "loss": None, "test_accuracy": 0.97}],
        {"test_accuracy": 0.97},
    ),
    "examples/mnist_ff": (
        "training layer:  0\nLoss:  0.7281\ntraining layer:  1\nLoss:  0.41\n"
        "train error: 0.06550002098083496\ntest error: 0.0674999952316284\n",
        [],
        {"train_error": 0.0655, "test_error": 0.0675, "test_accuracy": 0.9325},
    ),
    "examples/word_lm": (
        "| epoch   1 |   200/ 2983 batches | lr 20.00 | ms/batch 10.00 | loss  7.63 | ppl  2068.39\n"
        "-----\n-----\n"
        "| end of epoch   1 | time:  2.50s | valid loss  5.78 | valid ppl   322.28\n"
        "| End of training | test loss  4.61 | test ppl   100.48\n",
        [{"start_s": 1.5, "end_s": 4, "loss": None, "valid_loss": 5.78, "valid_perplexity": 322.28}],
        {"test_loss": 4.61, "test_perplexity": 100.48},
    ),
}


@pytest.mark.parametrize("name", LOGS)
def test_a_log_in_the_documented_format_is_read(catalog: Catalog, name: str) -> None:
    log, epochs, finals = LOGS[name]
    checkout = _checkout(catalog, name)
    events, metrics = read(checkout, log)
    found = [
        {"start_s": e["start_ns"] / SECOND, "end_s": e["t_ns"] / SECOND, "loss": e["loss"], **e["metrics"]}
        for e in events
    ]
    assert len(found) == len(epochs)
    for one, expected in zip(found, epochs, strict=True):
        assert one == pytest.approx(expected)
    assert metrics == pytest.approx(finals, abs=1e-6)
    assert set(finals) == set(checkout.patterns.metrics)


def test_no_checkout_is_without_a_log_here(catalog: Catalog) -> None:
    shown = [_checkout(catalog, name).patterns for name in LOGS]
    for repository in catalog.repositories.values():
        assert all(checkout.patterns in shown for checkout in repository.checkouts.values())


def _checkout(catalog: Catalog, name: str) -> Checkout:
    model = catalog.model(name)
    return catalog.repositories[model.repository].checkouts[model.name]


def test_first_last_and_largest_matches_count() -> None:
    checkout = table(first=["a (?P<x>\\d+)"], final=["a (?P<y>\\d+)"], best=["a (?P<z>\\d+)"])
    assert read(checkout, "a 2\na 5\na 3\n")[1] == {"x": 2, "y": 3, "z": 5}


def test_a_number_that_is_none_leaves_the_metric_without_a_value() -> None:
    checkout = table(final=["acc (?P<x>\\S+)"], best=["acc (?P<z>\\S+)"])
    assert read(checkout, "acc 0.9\nacc nan\n")[1] == {"x": None, "z": 0.9}
    assert read(checkout, "acc 0.5.1\n")[1] == {"x": None, "z": None}


def test_a_share_of_nothing_is_no_number() -> None:
    checkout = table(final=["(?P<x>\\d+)/(?P<x_of>\\d+)"])
    assert read(checkout, "0/0\n")[1] == {"x": None}


def test_an_epoch_that_claims_to_have_begun_before_the_last_ended_begins_there() -> None:
    checkout = table(epoch=["took (?P<seconds>[\\d.]+)"], final=["(?P<x>x)"])
    events, _ = read(checkout, "took 90\ntook 90\n")
    assert [(e["start_ns"], e["t_ns"]) for e in events] == [(0, SECOND), (SECOND, 2 * SECOND)]


def test_colours_and_cursor_moves_are_not_part_of_a_line() -> None:
    checkout = table(final=["^acc (?P<x>[\\d.]+)$"])
    assert read(checkout, "\x1b[A\x1b[1;32macc 0.5\x1b[0m\n")[1] == {"x": 0.5}


def test_lines_end_at_either_sign_and_carry_the_time_of_their_last_byte() -> None:
    lines = Lines()
    assert lines.feed(b"one\r\ntw", 1) == [("one", 1)]
    assert lines.feed(b"o", 2) == []
    assert lines.feed(b"\rthree\nfour", 3) == [("two", 2), ("three", 3)]
    assert lines.feed(b"", 4) == []
    assert lines.rest() == [("four", 3)]
    assert lines.rest() == []


def test_bytes_that_never_end_a_line_are_cut() -> None:
    lines = Lines()
    cut = [line for _ in range(40) for line, _ in lines.feed(b"x" * 65536, 1)]
    assert [len(line) for line in cut] == [17 * 65536] * 2
    assert lines.feed(b"\xff\n", 2)[0][0].endswith("\N{REPLACEMENT CHARACTER}")


def test_the_events_of_a_log_are_those_the_marks_are_read_from(tmp_path: Path) -> None:
    checkout = table(progress=["batch"], epoch=["done (?P<loss>\\S+)"], final=["acc (?P<x>\\S+)"])
    log, events = tmp_path / "a.log", tmp_path / "a.jsonl"
    marks = LogMarks(checkout, begin={"unc_ns": 5, "device": "cpu"}, end={"data_source": "user"})
    tee([b"batch 1\rba", b"tch 2\ndone 0.5\nacc 0.9"], log, events, marks)
    assert log.read_bytes() == b"batch 1\rbatch 2\ndone 0.5\nacc 0.9"
    found = read_marks(events)
    assert (found.fault, found.unc_ns, found.begin["device"]) == ("", 5, "cpu")
    assert found.end["metrics"] == {"x": 0.9}
    assert found.end["data_source"] == "user"
    assert {window.unc_ns for window in found.windows("a")} == {5}
    assert [epoch.loss for epoch in found.epochs] == [0.5]


def test_a_log_that_cannot_be_written_does_not_stop_the_program_and_is_no_success(tmp_path: Path) -> None:
    events = tmp_path / "a.jsonl"
    taken = []

    def chunks() -> Iterator[bytes]:
        for number in range(3):
            taken.append(number)
            yield b"acc 0.9\n"

    tee(chunks(), tmp_path / "missing" / "a.log", events, LogMarks(table(final=["acc (?P<x>\\S+)"])))
    assert taken == [0, 1, 2]
    assert not events.exists() or not read_marks(events).end


def test_programs_that_mark_themselves_have_exact_windows(tmp_path: Path) -> None:
    events = [
        {"event": "begin", "t_ns": 1},
        {"event": "epoch", "t_ns": 3, "number": 1, "start_ns": 2, "loss": 0.5, "metrics": {}},
    ]
    (tmp_path / "e").write_text("".join(json.dumps(event) + "\n" for event in events))
    assert {window.unc_ns for window in read_marks(tmp_path / "e").windows("a")} == {0}
