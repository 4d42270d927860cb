"""bug-localization-by-dnn-and-rvsm: what its programs promise, on the stand-in it writes itself."""

from __future__ import annotations

import re
import string
import tomllib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.programs import IMAGES, events, training, writes_once

if TYPE_CHECKING:
    from pathlib import Path

    from energy_plugin.declare.catalog import Catalog

FOLDER = IMAGES / "bug-localization-by-dnn-and-rvsm"
TOML = tomllib.loads((FOLDER / "repository.toml").read_text("utf-8"))

pytestmark = pytest.mark.train


def run(code: SimpleNamespace, data: Path, *flags: object) -> dict[str, float]:
    found: dict[str, float] = code.train.train(training(code, data, *flags, model="default"))
    return found


def fitted(code: SimpleNamespace, data: Path, *flags: object, passes: int = 2) -> Any:
    """Parameters of the first fold's network after *passes*, and the fold."""
    asked = training(code, data, "--max-iter", passes, *flags, model="default")
    reports = code.data.Reports(asked.data, asked.limit)
    fold = code.models.folds(len(reports), asked.values["kfold"])[0]
    network, fit = code.train.fit_fold(reports, 0, fold, asked.values)
    return SimpleNamespace(parameters=network.parameters, losses=list(fit.losses), fold=fold)


def same(one: Any, two: Any) -> bool:
    return all((a == b).all() for a, b in zip(one.parameters, two.parameters, strict=True))


def test_the_network_has_2101_parameters(code: SimpleNamespace) -> None:
    import numpy as np

    network = code.models.Network(np.random.default_rng(0))
    assert [p.shape for p in network.parameters] == [(5, 300), (300,), (300, 1), (1,)]
    assert sum(p.size for p in network.parameters) == 2101


def test_a_step_follows_the_gradient_of_the_loss(code: SimpleNamespace) -> None:
    """Finite differences of half the squared error plus the penalty, for a weight of every layer."""
    import numpy as np

    dice = np.random.default_rng(1)
    inputs, wanted, alpha = dice.uniform(size=(7, 5)), dice.uniform(size=7), 0.5

    def loss(network: Any) -> float:
        weights = network.parameters[0], network.parameters[2]
        penalty = alpha * sum(float((w**2).sum()) for w in weights) / len(inputs)
        return 0.5 * (float(((network.predict(inputs) - wanted) ** 2).mean()) + penalty)

    for layer in range(4):
        network = code.models.Network(np.random.default_rng(2))
        flat = network.parameters[layer].reshape(-1)
        before, value = loss(network), flat[0]
        flat[0] = value + 1e-6
        slope = (loss(network) - before) / 1e-6
        flat[0] = value
        assert network.step(inputs, wanted, alpha) == pytest.approx(before)
        # the first Nesterov step is 1 + momentum times the plain one
        assert flat[0] - value == pytest.approx(-0.001 * 1.9 * slope, rel=1e-3)


def test_folds_hold_every_report_out_once_and_keep_their_order(code: SimpleNamespace) -> None:
    for count, kfold in ((80, 10), (81, 10), (7, 3), (2, 2)):
        folds = code.models.folds(count, kfold)
        assert len(folds) == kfold
        assert [i for fold in folds for i in fold] == list(range(count))
        assert max(map(len, folds)) - min(map(len, folds)) <= 1


def test_the_reports_held_out_are_not_trained_on(code: SimpleNamespace, standin: Path) -> None:
    values = training(code, standin, "--max-iter", 1, model="default").values
    parameters = []
    for seen in (1.0, 0.0):
        reports = code.data.Reports(standin, 20)
        for held_out in range(5, 10):
            reports.inputs[held_out] = reports.inputs[held_out] * seen
        parameters.append(code.train.fit_fold(reports, 1, range(5, 10), values)[0].parameters)
    assert all((a == b).all() for a, b in zip(*parameters, strict=True))


def test_right_files_are_oversampled_to_ten_and_wrong_ones_are_not(code: SimpleNamespace) -> None:
    import numpy as np

    inputs, match = code.models.oversample(np.arange(10.0).reshape(2, 5), np.array([1.0, 0.0]))
    assert match.tolist() == [1.0] * 10 + [0.0]
    assert inputs[9].tolist() == [0, 1, 2, 3, 4]
    assert inputs[10].tolist() == [5, 6, 7, 8, 9]


def test_a_constant_ranking_finds_nothing_and_a_perfect_one_everything(code: SimpleNamespace) -> None:
    import numpy as np

    match = [np.eye(1, 51)[0]] * 3
    assert set(code.models.top_accuracy([np.zeros(51)] * 3, match).values()) == {0.0}
    assert set(code.models.top_accuracy(match, match).values()) == {1.0}
    fifth = np.zeros(51)
    fifth[0:5] = [1, 2, 3, 4, 5]
    assert code.models.top_accuracy([fifth], match[:1]) == {1: 0.0, 5: 1.0, 10: 1.0, 20: 1.0}


def test_a_fold_stops_when_its_loss_no_longer_falls(code: SimpleNamespace, standin: Path) -> None:
    losses = fitted(code, standin, "--limit", 12, passes=400).losses
    assert 32 < len(losses) < 400


def test_max_iter_acts_and_the_shorter_fit_begins_the_longer(code: SimpleNamespace, standin: Path) -> None:
    short, long = fitted(code, standin, passes=2), fitted(code, standin, passes=3)
    assert long.losses[:2] == short.losses
    assert not same(short, long)


def test_alpha_acts_on_the_weights_and_on_nothing_else(code: SimpleNamespace, standin: Path) -> None:
    """Within the published range, where float32 would lose it."""
    low, high = (fitted(code, standin, "--alpha", alpha) for alpha in (5e-6, 2e-5))
    assert low.fold == high.fold
    assert not same(low, high)
    for one, two in zip(low.parameters, high.parameters, strict=True):
        assert abs(one - two).max() < 1e-6  # so the draws were the same


def test_seed_acts_on_the_draws_and_leaves_the_folds(code: SimpleNamespace, standin: Path) -> None:
    one, two = (fitted(code, standin, "--seed", seed) for seed in (42, 43))
    assert one.fold == two.fold
    assert abs(one.parameters[0] - two.parameters[0]).max() > 1e-3


def test_kfold_acts_on_the_folds_and_leaves_the_draws(
    code: SimpleNamespace, standin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (fitted(code, standin, "--kfold", kfold) for kfold in (2, 4))
    assert (len(one.fold), len(two.fold)) == (40, 20)
    assert abs(one.parameters[0] - two.parameters[0]).max() < 0.05  # the same draw, trained on more
    monkeypatch.setenv("WATTWHY_EVENTS", str(tmp_path / "events"))
    run(code, standin, "--kfold", 4, "--max-iter", 1)
    assert [e["number"] for e in events(tmp_path / "events", "epoch")] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["alpha", "seed", "kfold"])
def test_passing_a_default_changes_nothing(code: SimpleNamespace, standin: Path, name: str) -> None:
    entry = TOML["hyperparameters"][name]
    assert same(fitted(code, standin), fitted(code, standin, entry["flag"], entry["default"]))


def test_training_beats_chance_and_rvsm_but_not_with_shuffled_matches(
    code: SimpleNamespace, standin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    found = run(code, standin, "--kfold", 2, "--max-iter", 40)
    assert found["top1_accuracy"] > 0.4
    assert found["top1_accuracy"] > found["rvsm_top1_accuracy"] + 0.1
    losses = fitted(code, standin, "--kfold", 2, passes=40).losses
    assert losses[-1] < 0.8 * losses[0]

    plain, dice = code.data.Reports, np.random.default_rng(0)

    def shuffled(*asked: Any) -> Any:
        reports = plain(*asked)
        reports.match = [dice.permutation(match) for match in reports.match]
        return reports

    monkeypatch.setattr(code.train, "Reports", shuffled)
    assert run(code, standin, "--kfold", 2, "--max-iter", 40)["top1_accuracy"] < 0.1


def test_limit_keeps_the_earliest_reports_and_changes_the_digest(
    code: SimpleNamespace, standin: Path
) -> None:
    few, all_ = code.data.Reports(standin, 10), code.data.Reports(standin)
    assert len(few) == 10
    assert (few.inputs[9] == all_.inputs[9]).all()
    assert few.digest != all_.digest
    assert all_.source == "stand-in"
    assert re.fullmatch("[0-9a-f]{16}", all_.digest)


def test_reports_are_in_the_order_of_their_time(code: SimpleNamespace, standin: Path) -> None:
    times = list(code.data._report_order(standin / code.data.REPORTS).values())
    assert len(times) == 80
    assert times == sorted(times)


def test_the_standin_is_the_same_every_time_and_is_not_written_over(
    code: SimpleNamespace, standin: Path, tmp_path: Path
) -> None:
    writes_once(code, standin, tmp_path)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("features.csv", "match\n", "hit\n", r"features\.csv, line 1: no column match"),
        ("features.csv", "0.", "x.", r"features\.csv, line 2: rVSM_similarity 'x\.\d+', expected a number"),
        ("features.csv", "\n1,", "\n999,", r"features\.csv, line 2: report_id '999' is not in Eclipse"),
        ("features.csv", ",1\n", ",2\n", r"features\.csv, line 2: match '2', expected 0 or 1"),
        ("Eclipse_Platform_UI.txt", "\t20", "\tx20", r"Platform_UI\.txt, line 2: report_time 'x20"),
        ("Eclipse_Platform_UI.txt", "\n2\t", "\n1\t", r"Platform_UI\.txt, line 3: id '1' occurs twice"),
    ],
)
def test_bad_data_is_refused_with_file_line_and_value(
    code: SimpleNamespace, standin: Path, tmp_path: Path, file: str, old: str, new: str, said: str
) -> None:
    for source in standin.iterdir():
        text = source.read_text("utf-8")
        if source.name == file:
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / source.name).write_text(text, "utf-8")
    with pytest.raises(SystemExit, match=said):
        code.data.Reports(tmp_path)


def test_a_missing_file_is_refused_by_name(code: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"Eclipse_Platform_UI\.txt: no such file"):
        code.data.Reports(tmp_path)


@pytest.mark.parametrize(("flag", "value"), [("--kfold", 1), ("--kfold", 81), ("--max-iter", 0)])
def test_impossible_values_are_refused(code: SimpleNamespace, standin: Path, flag: str, value: int) -> None:
    with pytest.raises(SystemExit, match=f"{flag} {value}: expected"):
        run(code, standin, flag, value)


def test_the_device_is_the_cpu_and_cuda_is_refused(code: SimpleNamespace) -> None:
    assert code.train.on_cpu(["train.py", "--device", "auto"])[-2:] == ["--device", "cpu"]
    with pytest.raises(SystemExit, match="CPU only"):
        code.train.on_cpu(["train.py", "--device", "cuda"])


def test_the_catalogue_declares_what_the_program_returns(
    code: SimpleNamespace, standin: Path, catalog: Catalog
) -> None:
    model = catalog.model("bug-localization-by-dnn-and-rvsm/default")
    assert model.defaults() == {"max_iter": 10000, "kfold": 10, "alpha": 1e-5, "seed": 42}
    role = model.by_role("epochs")
    assert role is not None
    assert role.name == "max_iter"
    assert set(run(code, standin, "--kfold", 2, "--max-iter", 1)) == set(model.metrics)


def test_the_checkout_sets_what_it_says_and_reads_the_log() -> None:
    checkout = TOML["checkout"]
    fields = {field for _, field, _, _ in string.Formatter().parse(checkout["command"]) if field}
    assert fields == set(checkout["sets"]) == set(TOML["hyperparameters"])
    tops = ", ".join(f"{k}: {0.3 + k / 100:.3f}" for k in range(1, 21))
    (pattern,) = checkout["patterns"]["first"]
    found = re.search(pattern, "{" + tops + "}", re.MULTILINE)
    assert found
    assert found.groupdict() == {
        "top1_accuracy": "0.310",
        "top5_accuracy": "0.350",
        "top10_accuracy": "0.400",
        "top20_accuracy": "0.500",
    }
