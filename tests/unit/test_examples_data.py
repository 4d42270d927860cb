"""The small real data of the example models: what is written, and how files are read."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.unit.programs import IMAGES, load

if TYPE_CHECKING:
    from types import ModuleType, SimpleNamespace

pytestmark = pytest.mark.train
FOLDER = IMAGES / "examples"
TRAIN_IMAGES = "MNIST/raw/train-images-idx3-ubyte"
PARTS = ("train", "valid", "test")


@pytest.fixture(scope="module")
def code() -> SimpleNamespace:
    pytest.importorskip("torch")
    return load(FOLDER)


@pytest.fixture(scope="module")
def data(code: SimpleNamespace) -> ModuleType:
    module: ModuleType = code.data
    return module


@pytest.fixture(scope="module")
def readers(code: SimpleNamespace) -> ModuleType:
    module: ModuleType = code.readers
    return module


@pytest.fixture(scope="module")
def written(data: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "examples"
    data.write(folder)
    return folder


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "copy"))


def test_digits_are_split_400_and_100_a_class(readers: ModuleType, written: Path) -> None:
    digits = readers.Digits(written, None, "cpu")
    assert digits.train.labels.bincount().tolist() == [400] * 10
    assert digits.test.labels.bincount().tolist() == [100] * 10
    assert len(digits.train.labels[:100].unique()) == 10, "sorted by label: a limit would lose classes"


def test_pixels_are_normalised_real_digits(readers: ModuleType, written: Path) -> None:
    images = readers.Digits(written, None, "cpu").train.images
    assert images.shape == (4000, 1, 28, 28)
    assert abs(images.mean().item()) < 0.05
    assert abs(images.std().item() - 1) < 0.05


def test_no_digit_and_no_sentence_is_both_trained_on_and_held_out(readers: ModuleType, written: Path) -> None:
    digits = readers.Digits(written, None, "cpu")
    trained = {image.numpy().tobytes() for image in digits.train.images}
    assert not trained & {image.numpy().tobytes() for image in digits.test.images}
    train, valid, test = (set((written / "text" / f"{p}.txt").read_text("utf-8").splitlines()) for p in PARTS)
    assert not train & valid
    assert not train & test
    assert not valid & test


def test_text_is_eight_to_one_to_one_and_reads_as_sentences(written: Path) -> None:
    lines = {part: (written / "text" / f"{part}.txt").read_text("utf-8").splitlines() for part in PARTS}
    total = sum(map(len, lines.values()))
    assert total > 1500
    assert {part: round(len(found) / total, 2) for part, found in lines.items()} == {
        "train": 0.8,
        "valid": 0.1,
        "test": 0.1,
    }
    assert all(line[-1] in ".!?" and line == line.lower() for found in lines.values() for line in found)


def test_markup_and_code_are_no_sentences(data: ModuleType) -> None:
    markup = (
        'Title here\n**********\n\nThe *name* is bound to\nthe left-\nhand side, as "x = 1".\n\n'
        ">>> print(1)\nThis is output of code here.\n\n   name ::= The grammar of this thing.\n\nToo short. "
    )
    assert list(data.sentences(markup)) == [
        "the name is bound to the left hand side , as x 1 .",
    ]


def test_writing_twice_changes_nothing(data: ModuleType, written: Path, tmp_path: Path) -> None:
    before = {file: file.read_bytes() for file in written.rglob("*") if file.is_file()}
    data.write(written)
    data.write(tmp_path / "again")
    assert before == {file: file.read_bytes() for file in written.rglob("*") if file.is_file()}
    for file, content in before.items():
        assert (tmp_path / "again" / file.relative_to(written)).read_bytes() == content


def test_a_folder_of_somebody_else_is_not_touched(data: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious", "utf-8")
    with pytest.raises(SystemExit, match="not empty"):
        data.write(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_without_mlxtend_the_error_names_the_mend_and_nothing_is_left(
    data: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "find_spec", lambda _: None)
    with pytest.raises(SystemExit, match=r"pip install 'wattwhy\[train\]'"):
        data.write(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_sources_are_named_and_the_users_own_files_are_called_user(readers: ModuleType, copy: Path) -> None:
    assert readers.Digits(copy, None, "cpu").source == "mnist-5k"
    assert readers.Text(copy, None).source.startswith("pydoc-topics-3.")
    (copy / "source.json").write_text(json.dumps({"mnist": "mnist-5k"}), "utf-8")
    assert readers.Text(copy, None).source == "user"


@pytest.mark.parametrize("place", ["MNIST/raw", "raw", "."])
def test_full_mnist_is_found_where_people_keep_it_packed_or_not(
    readers: ModuleType, written: Path, tmp_path: Path, place: str
) -> None:
    target = tmp_path / place
    target.mkdir(parents=True, exist_ok=True)
    for file in (written / "MNIST" / "raw").iterdir():
        (target / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), 1))
    assert readers.Digits(tmp_path, 50, "cpu").digest == readers.Digits(written, 50, "cpu").digest


def test_the_limit_cuts_training_rows_alone_and_shows_in_the_digest(
    readers: ModuleType, written: Path
) -> None:
    all_rows, some = readers.Digits(written, None, "cpu"), readers.Digits(written, 30, "cpu")
    assert len(some.train.labels) == 30
    assert len(some.test.labels) == len(all_rows.test.labels)
    assert some.digest != all_rows.digest
    text, less = readers.Text(written, None), readers.Text(written, 30)
    assert less.train == text.train[: len(less.train)]
    assert less.train.count(text.vocabulary["<eos>"]) == 30
    assert (less.test, less.vocabulary) == (text.test, text.vocabulary)


def test_rare_words_are_unknown_and_frequent_ones_are_not(readers: ModuleType, tmp_path: Path) -> None:
    for part in PARTS:
        (tmp_path / f"{part}.txt").write_text("red red blue\n\nred green <unk>\n", "utf-8")
    text = readers.Text(tmp_path, None)
    assert text.vocabulary == {"<unk>": 0, "<eos>": 1, "red": 2}
    assert text.train == [2, 2, 0, 1, 2, 0, 0, 1]


def break_magic(file: Path) -> None:
    file.write_bytes(struct.pack(">I", 2050) + file.read_bytes()[4:])


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def cut_header(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:9])


def fewer_images(file: Path) -> None:
    file.write_bytes(struct.pack(">IIII", 2051, 1, 28, 28) + bytes(784))


def other_size(file: Path) -> None:
    file.write_bytes(struct.pack(">IIII", 2051, 4000, 2, 2) + bytes(16000))


def spoiled_archive(file: Path) -> None:
    file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes())[:-9])
    file.unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (break_magic, "magic number 2050, expected 2051"),
        (cut_short, "3136015 bytes, expected 3136016"),
        (cut_header, "expected 2051"),
        (fewer_images, "4000 labels for 1 images"),
        (other_size, r"expected \(28, 28\)"),
        (spoiled_archive, "cannot be read"),
        (Path.unlink, "MNIST/raw/train-images-idx3-ubyte"),
    ],
)
def test_a_spoiled_file_is_named_with_what_was_expected(
    readers: ModuleType, copy: Path, spoil: object, said: str
) -> None:
    assert callable(spoil)
    spoil(copy / TRAIN_IMAGES)
    with pytest.raises(SystemExit, match=said) as stop:
        readers.Digits(copy, None, "cpu")
    assert "train" in str(stop.value)


def test_partners_are_of_the_same_digit_in_turn(readers: ModuleType, written: Path) -> None:
    import torch

    labels = readers.Digits(written, 500, "cpu").train.labels
    partner, same = readers.partners(labels, torch.Generator().manual_seed(3))
    assert same.tolist() == [1.0, 0.0] * 250
    assert ((labels[partner] == labels).float() == same).all()
    assert len(partner.unique()) > 200, "partners should be drawn from all rows"


def test_columns_follow_the_text_downwards_and_windows_cover_it(readers: ModuleType) -> None:
    text = readers.columns(list(range(200)), 2, "cpu")
    assert text[:, 1].tolist() == list(range(100, 200))
    seen = [(words, following) for words, following in readers.windows(text)]
    assert [len(words) for words, _ in seen] == [35, 35, 29]
    assert all(((words + 1).flatten() == following).all() for words, following in seen)


def test_too_little_text_for_the_batch_size_says_so(readers: ModuleType) -> None:
    with pytest.raises(SystemExit, match="lower the batch size"):
        readers.columns([1, 2, 3], 2, "cpu")
