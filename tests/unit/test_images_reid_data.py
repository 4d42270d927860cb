"""Person_reID_baseline_pytorch: Market-1501's folders, the stand-in for them, the catalogue's entry."""

from __future__ import annotations

import re
import string
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.unit.programs import IMAGES, small_market, writes_once

if TYPE_CHECKING:
    from pathlib import Path
    from types import SimpleNamespace

    from energy_plugin.declare.catalog import Catalog

FOLDER = IMAGES / "Person_reID_baseline_pytorch"
TOML = tomllib.loads((FOLDER / "repository.toml").read_text("utf-8"))
MODELS = ("densenet121", "hrnet18", "pcb")

pytestmark = pytest.mark.train


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return small_market(tmp_path)


def test_the_standin_is_small_and_named(code: SimpleNamespace, standin: Path) -> None:
    files = [file.relative_to(standin) for file in standin.rglob("*") if file.is_file()]
    market = code.data.Market(standin)
    assert market.source == "stand-in"
    assert (market.classes, len(market.labels), market.train.size) == (16, 128, (64, 32))
    assert set(market.query.people) == set(market.gallery.people)
    assert not set(market.train.people) & set(market.gallery.people)
    names = {
        part: {f.name for f in files if f.parts[1:2] == (part,)} for part in ("train_all", "train", "val")
    }
    assert names["train"] | names["val"] == names["train_all"]
    assert not names["train"] & names["val"]


def test_the_standin_is_whole_and_leaves_foreign_folders_alone(
    code: SimpleNamespace, standin: Path, tmp_path: Path
) -> None:
    writes_once(code, standin, tmp_path)


def test_a_limit_keeps_every_person_and_changes_the_digest(code: SimpleNamespace, standin: Path) -> None:
    few, everyone = code.data.Market(standin, 20), code.data.Market(standin)
    counts = np.bincount(few.labels, minlength=16)
    assert counts.sum() == 20
    assert set(counts) == {1, 2}
    assert few.classes == 16
    assert len(few.gallery.ids) == len(everyone.gallery.ids)
    assert few.digest != everyone.digest
    with pytest.raises(SystemExit, match="--limit 1"):
        code.data.Market(standin, 1)


def picture() -> np.ndarray[Any, Any]:
    return np.random.default_rng(3).integers(0, 256, (4, 6, 3)).astype(np.uint8)


def test_ppm_files_are_read_with_and_without_comments(code: SimpleNamespace, tmp_path: Path) -> None:
    image = picture()
    for number, header in enumerate((b"P6\n6 4\n255\n", b"P6 # by hand\n# twice\n6\t4 255 ")):
        file = tmp_path / f"{number}.ppm"
        file.write_bytes(header + image.tobytes())
        assert (code.data.read_image(file) == image.transpose(2, 0, 1)).all()


def test_jpg_files_are_read_where_pillow_is(code: SimpleNamespace, tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    plain = np.full((16, 8, 3), (200, 100, 50), np.uint8)
    pillow.fromarray(plain).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(code.data.read_image(tmp_path / "a.jpg").astype(int) - plain.transpose(2, 0, 1)).max() < 4


def test_jpg_without_pillow_says_what_is_missing(
    code: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(SystemExit, match=r"a\.jpg: needs pillow"):
        code.data.read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.ppm", b"P5\n6 4\n255\n" + bytes(24), "expected a binary PPM, P6"),
        ("a.ppm", b"P6\n6 4\n65535\n" + bytes(144), "expected a binary PPM, P6"),
        ("a.ppm", b"P6\n6 4\n255\n" + bytes(71), "71 bytes of pixels, expected 72"),
        ("a.npy", b"not an array", "cannot be read"),
        ("a.jpg", b"not a picture", "cannot be read"),
    ],
)
def test_broken_images_are_named(
    code: SimpleNamespace, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    if name.endswith("jpg"):
        pytest.importorskip("PIL.Image")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SystemExit, match=f"{name}: .*{said}"):
        code.data.read_image(tmp_path / name)


def test_arrays_of_objects_are_not_unpickled(code: SimpleNamespace, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(SystemExit, match=r"a\.npy: cannot be read"):
        code.data.read_image(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("part", "name", "image", "said"),
    [
        (
            "query/0001",
            "0001_front.npy",
            (64, 32, 3),
            r"0001_front\.npy: not an image of '0001'; expected pytorch",
        ),
        ("query/0001", "0009_c1s1_000001_00.npy", (64, 32, 3), "not an image of '0001'"),
        ("gallery/0001", "0001_c3s1_000001_00.npy", (32, 32, 3), r"\(32, 32\), expected \(64, 32\)"),
        ("gallery/0001", "0001_c3s1_000001_00.npy", (64, 32), r"expected uint8 \[height, width, 3\]"),
    ],
)
def test_files_that_do_not_belong_are_named(
    code: SimpleNamespace, tiny: Path, part: str, name: str, image: tuple[int, ...], said: str
) -> None:
    np.save(tiny / "pytorch" / part / name, np.zeros(image, np.uint8))
    with pytest.raises(SystemExit, match=said):
        code.data.Market(tiny)


def test_missing_folders_and_broken_sources_are_named(code: SimpleNamespace, tiny: Path) -> None:
    (tiny / "pytorch" / "query").rename(tiny / "pytorch" / "queries")
    with pytest.raises(SystemExit, match="query: no images; expected pytorch/"):
        code.data.Market(tiny)
    (tiny / "source.json").write_text("[]")
    with pytest.raises(SystemExit, match=r"source\.json: expected"):
        code.data.Market(tiny)


# ---------------------------------------------------------------- catalogue


def test_the_catalogue_has_the_published_defaults_and_ranges(catalog: Catalog) -> None:
    known = catalog.model("pcb").hyperparameters
    assert catalog.model("pcb").defaults() == {
        "epochs": 60,
        "learning_rate": 0.05,
        "seed": 1334,
        "dropout": 0.5,
        "batch_size": 32,
    }
    drawn = {name: h.ranges["default"] for name, h in known.items() if h.ranges}
    assert {name: (r.low, r.high) for name, r in drawn.items()} == {
        "epochs": (30, 90),
        "learning_rate": (0.025, 0.075),
        "seed": (0, 9999),
        "dropout": (0.3, 0.6),
    }
    assert known["learning_rate"].ranges["concurrency"].high == pytest.approx(0.25)
    assert {model.name for model in catalog.models()} == set(MODELS)


@pytest.mark.parametrize(("model", "seconds"), [("densenet121", 2715), ("hrnet18", 4132), ("pcb", 4130)])
def test_the_cost_is_the_published_duration(catalog: Catalog, model: str, seconds: float) -> None:
    known = catalog.model(model)
    estimate = known.estimate_s(known.defaults(), None)
    assert estimate == pytest.approx(seconds + known.cost["startup_s"], rel=0.01)


@pytest.mark.parametrize("model", MODELS)
def test_a_checkouts_command_is_described(catalog: Catalog, model: str) -> None:
    checkout = TOML["checkout"] | TOML["checkout"]["models"][model]
    fields = {name for _, name, _, _ in string.Formatter().parse(checkout["command"]) if name}
    assert fields == {"model", "data", *checkout["sets"]}
    assert set(checkout["sets"]) < set(catalog.model(model).hyperparameters)


@pytest.mark.parametrize(
    "post", ["[('phase', 'train'), ('Loss', '2.5'), ('Acc', '0.1')]", "{'phase': 'train', 'Loss': '2.5'}"]
)
def test_a_checkouts_log_is_described(post: str) -> None:
    log = (
        "Epoch 0/59\n"
        f" 50%|#####     | 6468/12936 [00:20, 300it/s, ordered_dict=OrderedDict({post})]\r"
        "10%|#   | 9/90 [00:01, 9it/s, ordered_dict=OrderedDict({'phase': 'val', 'Loss': '9.9'})]\n"
        "Training complete in 1m 5s\n\n"
        "Rank@1:0.883907 Rank@5:0.954276 Rank@10:0.970012 mAP:0.716512\n"
    )
    patterns = TOML["checkout"]["patterns"]
    lines = re.split(r"[\r\n]", log)

    def matches(kind: str) -> list[dict[str, str]]:
        found = (re.search(patterns[kind][0], line) for line in lines)
        return [match.groupdict() for match in found if match]

    assert matches("progress") == [{"loss": "2.5"}]
    assert len(matches("epoch")) == 1
    assert matches("final") == [{"rank1": "0.883907", "rank5": "0.954276", "map": "0.716512"}]
