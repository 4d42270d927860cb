"""MRT-OAST: what its programs promise, on the stand-in it writes itself."""

from __future__ import annotations

import re
import string
import tomllib
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.programs import IMAGES, equal, events, learns, training, writes_once

if TYPE_CHECKING:
    from pathlib import Path

    from energy_plugin.declare.catalog import Catalog

FOLDER = IMAGES / "MRT-OAST"
TOML = tomllib.loads((FOLDER / "repository.toml").read_text("utf-8"))

pytestmark = pytest.mark.train


# Every tensor but the word vectors, with a tree's length as L: this is the model's definition.
ENCODER = [(384, 128), (384,), (128, 128), (128,), (512, 128), (512,), (128, 512), (128,)] + [(128,)] * 4
SHAPES = ENCODER * 6 + [(1, 2, 1, 1), (1,), (1, 1, "L", 1), (1,), (512, 128), (512,)]


def prepared(code: SimpleNamespace, data: Path, *flags: object) -> Any:
    return code.train.prepare(training(code, data, "--limit", 16, *flags, model="default"))


def after_two_steps(code: SimpleNamespace, data: Path, *flags: object) -> Any:
    """Weights before and after two steps on the same pairs, all settings, the row order."""
    import torch

    ready = prepared(code, data, *flags)
    before = [w.detach().clone() for w in ready.network.parameters()]
    order = torch.randperm(16, generator=ready.order)
    ready.network.train()
    torch.manual_seed(0)  # the same dropout masks, whatever the seed
    for rows in (torch.arange(4), torch.arange(4, 8)):
        code.train.step(ready, rows)
    (group,) = ready.optimizer.param_groups
    settings = {key: group[key] for key in ("lr", "weight_decay", "betas", "eps")}
    settings["dropout"] = {m.p for m in ready.network.modules() if isinstance(m, torch.nn.Dropout)}
    after = [w.detach() for w in ready.network.parameters()]
    return SimpleNamespace(before=before, after=after, order=order.tolist(), settings=settings)


def test_the_published_size_has_its_tensors_and_parameters(code: SimpleNamespace) -> None:
    import torch

    with torch.device("meta"):
        network = code.models.Mrt(words=110, length=256, dropout=0.2)
    words, *others = (tuple(w.shape) for w in network.parameters())
    assert words == (111, 128)
    assert others == [tuple(256 if size == "L" else size for size in shape) for shape in SHAPES]
    assert sum(w.numel() for w in network.parameters()) == 1_255_684 + 256 + 111 * 128 == 1_270_148


def test_padding_changes_no_vector_and_both_orders_count(code: SimpleNamespace) -> None:
    import torch

    torch.manual_seed(0)
    network = code.models.Mrt(words=9, length=6, dropout=0.0).eval()
    pre, post = torch.tensor([[1, 2, 3, 4, 0, 0]]), torch.tensor([[2, 4, 3, 1, 0, 0]])
    vector = network(pre, post)
    assert vector.shape == (1, 512)
    with torch.no_grad():
        network.words.weight[0] = 7.0
    assert torch.allclose(network(pre, post), vector, atol=1e-5)
    assert not torch.allclose(network(pre, pre), vector, atol=1e-3)
    assert not torch.allclose(network(post, post), vector, atol=1e-3)


def test_similarity_goes_from_0_to_1(code: SimpleNamespace) -> None:
    import torch

    one, other = torch.tensor([[1.0, 0.0]] * 3), torch.tensor([[2.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert code.models.similarity(one, other).tolist() == pytest.approx([1.0, 0.5, 0.0])


@pytest.mark.parametrize(
    ("text", "pre", "post"),
    [
        ("A", "A", "A"),
        ("A [ B C ]", "A B C", "B C A"),
        ("A [ B [ C D ] E [ F ] ]", "A B C D E F", "C D B F E A"),
        ("A [ ] B", "A B", "A B"),
    ],
)
def test_trees_are_read_in_both_orders(code: SimpleNamespace, text: str, pre: str, post: str) -> None:
    assert code.data.orders(text.split()) == (pre.split(), post.split())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no node"),
        ("[ A ]", "without a node before"),
        ("A ]", "closes a bracket too many"),
        ("A [ B", "leaves 1 brackets open"),
    ],
)
def test_broken_trees_are_refused(code: SimpleNamespace, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        code.data.orders(text.split())


def test_trees_are_cut_and_padded_to_their_length(code: SimpleNamespace) -> None:
    assert code.train.padded([[1, 2, 3, 4], [5]], 3).tolist() == [[1, 2, 3], [5, 0, 0]]


CHANGES = [("learning_rate", "lr", 1e-4, 2e-4), ("weight_decay", "weight_decay", 0.0, 1e-5)]


@pytest.mark.parametrize(("name", "key", "low", "high"), [*CHANGES, ("dropout", "dropout", 0.1, 0.2)])
def test_a_hyperparameter_acts_alone(
    code: SimpleNamespace, standin: Path, name: str, key: str, low: float, high: float
) -> None:
    flag = TOML["hyperparameters"][name]["flag"]
    one, two = (after_two_steps(code, standin, flag, value) for value in (low, high))
    assert equal(one.before, two.before)
    assert one.order == two.order
    assert not equal(one.after, two.after)
    differ = {setting for setting in one.settings if one.settings[setting] != two.settings[setting]}
    assert differ == {key}


def test_dropout_reaches_every_layer_that_drops(code: SimpleNamespace, standin: Path) -> None:
    import torch

    ready = prepared(code, standin, "--dropout", 0.25)
    kinds = [m for m in ready.network.modules() if isinstance(m, torch.nn.Dropout)]
    assert len(kinds) == 1 + 6 * 3
    assert {m.p for m in kinds} == {0.25}
    attention = [m for m in ready.network.modules() if isinstance(m, torch.nn.MultiheadAttention)]
    assert {m.dropout for m in attention} == {0.25}


def test_the_seed_acts_on_weights_and_order_alone(code: SimpleNamespace, standin: Path) -> None:
    one, two = (after_two_steps(code, standin, "--seed", seed) for seed in (1334, 1335))
    assert not equal(one.before, two.before)
    assert one.order != two.order
    assert one.settings == two.settings


def test_fewer_epochs_are_the_beginning_of_more(
    code: SimpleNamespace, standin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = []
    for epochs in (1, 2):
        monkeypatch.setenv("WATTWHY_EVENTS", str(tmp_path / f"{epochs}"))
        code.train.fit(training(code, standin, "--limit", 16, "--epochs", epochs, model="default"))
        losses.append([event["loss"] for event in events(tmp_path / f"{epochs}", "epoch")])
    assert [len(one) for one in losses] == [1, 2]
    assert losses[1][:1] == losses[0]


@pytest.mark.parametrize("name", ["learning_rate", "seed", "dropout", "weight_decay"])
def test_passing_a_default_changes_nothing(code: SimpleNamespace, standin: Path, name: str) -> None:
    entry = TOML["hyperparameters"][name]
    one = after_two_steps(code, standin)
    two = after_two_steps(code, standin, entry["flag"], entry["default"])
    assert equal(one.after, two.after)
    assert one.order == two.order
    assert one.settings == two.settings


@pytest.mark.slow
def test_training_learns_the_labels_but_not_shuffled_ones(code: SimpleNamespace, standin: Path) -> None:
    """Chance is 0.5 with a deviation of 0.044."""
    flags = ("--learning-rate", 5e-4, "--dropout", 0)
    made = partial(training, code, standin, *flags, model="default")
    learns(made, code, 2, least=0.64, most=0.62)


def test_held_out_pairs_are_looked_at_without_dropout_or_learning(
    code: SimpleNamespace, standin: Path
) -> None:
    ready = prepared(code, standin, "--dropout", 0.3)
    ready.network.train()
    before = [w.detach().clone() for w in ready.network.parameters()]
    assert code.train.held_out(ready, ready.valid) == code.train.held_out(ready, ready.valid)
    assert not ready.network.training
    assert equal(before, ready.network.parameters())


def test_held_out_metrics_count_the_clones(
    code: SimpleNamespace, standin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four pairs, two of them clones, three are called clones: two rightly."""
    import torch

    ready = prepared(code, standin)
    pairs = code.train.Pairs(torch.arange(4), torch.arange(4), torch.tensor([1.0, 1.0, 0.0, 0.0]))
    monkeypatch.setattr(code.train, "alike", lambda *_: torch.tensor([0.9, 0.8, 0.7, 0.1]))
    found = code.train.held_out(ready, pairs)
    assert found == pytest.approx({"accuracy": 0.75, "precision": 2 / 3, "recall": 1.0, "f1": 0.8})
    monkeypatch.setattr(code.train, "alike", lambda *_: torch.zeros(4))
    found = code.train.held_out(ready, pairs)
    assert found == {"accuracy": 0.5, "precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_limit_keeps_both_labels_and_only_cuts_training(code: SimpleNamespace, standin: Path) -> None:
    few, all_ = code.data.Clones(standin, 6), code.data.Clones(standin)
    assert [pair.target for pair in few.train].count(1) == 3
    assert (len(few.train), few.test, few.words) == (6, all_.test, all_.words)
    assert few.digest != all_.digest
    assert re.fullmatch("[0-9a-f]{16}", all_.digest)
    assert all_.source == "stand-in"
    with pytest.raises(SystemExit, match="--limit 1: expected at least 2"):
        code.data.Clones(standin, 1)


def test_the_splits_of_the_standin_share_no_function(code: SimpleNamespace, standin: Path) -> None:
    found = code.data.Clones(standin)
    functions = [
        {key[0] for pair in pairs for key in (pair.left, pair.right)}
        for pairs in (found.train, found.valid, found.test)
    ]
    assert [len(one) for one in functions] == [128, 32, 64]
    assert len(set().union(*functions)) == 128 + 32 + 64
    for pair in [*found.train, *found.valid, *found.test]:
        assert (pair.left[0] == pair.right[0]) == bool(pair.target)


def test_a_copy_differs_in_its_tree_and_does_the_same(code: SimpleNamespace) -> None:
    import ast

    tree = ast.parse(
        "def f(a, b):\n    total = 0\n    while a < b:\n        total += a\n        a += 1\n    return total"
    )
    function = tree.body[0]
    copy = code.standin.rewritten(function)
    assert code.standin.optimised(copy) != code.standin.optimised(function)
    assert "total" in code.standin.full(function)
    assert "total" not in code.standin.full(copy)
    results = []
    for one in (function, copy):
        space: dict[str, Any] = {}
        exec(ast.unparse(one), space)
        results.append(space["f"](2, 9))
    assert results == [35, 35]


def test_the_standin_is_the_same_every_time_and_is_not_written_over(
    code: SimpleNamespace, standin: Path, tmp_path: Path
) -> None:
    writes_once(code, standin, tmp_path)


TREES = 'index,file,code,AST,OAST\n1,a,"x = 1\ny = 2",A [ x ],A [ B B ]\n1,b,x,A,A [ B ]\n2,a,z,B,B\n'
PAIRS = "index1,file1,index2,file2,label\n1,a,1,b,1\n1,a,2,a,-1\n"


def small(folder: Path, **files: str) -> Path:
    """A data set X of three trees and two pairs a split, with *files* instead of its own."""
    contents = {"trees": TREES, "train": PAIRS, "valid": PAIRS, "test": PAIRS, "words": "A\nB\n", **files}
    names = {"trees": "X_with_AST+OAST.csv", "words": "X_OAST_dictionary.txt"}
    for name, text in contents.items():
        (folder / names.get(name, f"X_{name}.csv")).write_text(text, "utf-8")
    return folder


def test_a_data_set_of_the_user_is_read(code: SimpleNamespace, tmp_path: Path) -> None:
    found = code.data.Clones(small(tmp_path))
    assert found.source == "user"
    assert found.words == 2
    assert found.trees["1", "a"] == ([1, 2, 2], [2, 2, 1])
    assert found.train == [(("1", "a"), ("1", "b"), 1), (("1", "a"), ("2", "a"), 0)]


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("trees", TREES.replace("OAST", "SAST"), r"OAST\.csv, line 1: no column OAST"),
        (
            "trees",
            TREES.replace("[ B ]", "[ C ]"),
            r"OAST\.csv, line 4: node type 'C' is not in the OAST dict",
        ),
        ("trees", TREES.replace("[ B ]", "[ B"), r"OAST\.csv, line 4: OAST leaves 1 brackets open"),
        ("trees", TREES.replace("2,a", "3,a"), r"OAST\.csv: no row with index,file 2,a, which a pair names"),
        ("train", PAIRS.replace("-1", "2"), r"X_train\.csv, line 3: label '2', expected 1 or -1"),
        ("valid", "a,b\n", r"X_valid\.csv, line 1: no column index1"),
        ("test", PAIRS.replace("-1", "1"), r"the 2 test pairs are not of both labels"),
        ("train", PAIRS.replace(",2,a,-1", ""), r"X_train\.csv, line 3: no value for index2, file2, label"),
        ("words", "\n", r"X_OAST_dictionary\.txt: no node type"),
    ],
)
def test_bad_data_is_refused_with_file_line_and_value(
    code: SimpleNamespace, tmp_path: Path, file: str, text: str, said: str
) -> None:
    with pytest.raises(SystemExit, match=said):
        code.data.Clones(small(tmp_path, **{file: text}))


def test_an_empty_folder_is_refused_with_the_way_out(code: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"expected one file X_with_AST\+OAST\.csv, found none; write"):
        code.data.Clones(tmp_path)


def test_final_metrics_are_declared_and_of_the_test_pairs(
    code: SimpleNamespace, standin: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = catalog.model("MRT-OAST/default")
    defaults = {"epochs": 10, "learning_rate": 1e-4, "seed": 1334, "dropout": 0.2, "weight_decay": 0.0}
    assert model.defaults() == defaults
    asked = training(code, standin, "--limit", 4, "--epochs", 1, model="default")
    looked, plain = [], code.train.held_out

    def look(ready: Any, pairs: Any) -> Any:
        looked.append(pairs)
        return plain(ready, pairs)

    monkeypatch.setattr(code.train, "held_out", look)
    assert set(code.train.fit(asked)) == set(model.metrics)
    assert [len(pairs.targets) for pairs in looked] == [64, 128]
    assert (asked.data_source, asked.weights) == ("stand-in", "random")


def test_the_checkout_sets_what_it_says_and_reads_the_log() -> None:
    checkout = TOML["checkout"]
    fields = {field for _, field, _, _ in string.Formatter().parse(checkout["command"]) if field}
    assert fields == set(checkout["sets"]) < set(TOML["hyperparameters"])
    log = (
        "  ----avg loss is 0.412345\n"
        "Accuracy: 60/64 = 0.9375 | Precision:0.9000 | Recall:0.8000 | F1 score:0.8471\n"
        "    Accuracy on test is 120/128 = 0.937500\n"
        "    Precision: 0.91\n    Recall   : 0.97\n    F1 score : 0.939\n \n"
    )
    (pattern,) = checkout["patterns"]["epoch"]
    assert re.findall(pattern, log, re.MULTILINE) == ["0.412345"]
    results: dict[str, str] = {}
    for pattern in checkout["patterns"]["final"]:
        (found,) = re.finditer(pattern, log, re.MULTILINE)
        results |= found.groupdict()
    assert results == {"accuracy": "0.937500", "precision": "0.91", "recall": "0.97", "f1": "0.939"}
