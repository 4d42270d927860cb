"""VulBERTa: its data, that is formats, tokens and the stand-in."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.unit.programs import IMAGES, writes_once

if TYPE_CHECKING:
    from pathlib import Path
    from types import SimpleNamespace

FOLDER = IMAGES / "VulBERTa"

pytestmark = pytest.mark.train


def test_c_is_split_into_its_tokens_without_comments(code: SimpleNamespace) -> None:
    source = 'a->b[0x1F] += f("x /* y */\\"", \'\\n\'); // end\n/* more\n */ if (i >= n && !p) i <<= 2;'
    assert code.tokens.split(source) == [
        *("a", "->", "b", "[", "0x1F", "]", "+=", "f", "(", '"x /* y */\\""', ",", "'\\n'", ")", ";"),
        *("if", "(", "i", ">=", "n", "&&", "!", "p", ")", "i", "<<=", "2", ";"),
    ]


def test_rows_are_cut_and_padded_to_their_length(code: SimpleNamespace) -> None:
    vocabulary = code.tokens.Vocabulary.of(["b a b"], 50)
    assert vocabulary.encode("b a z", 6) == [0, 5, 6, 3, 2, 1]
    assert vocabulary.encode("b a b a b", 4) == [0, 5, 6, 2]


def test_limit_keeps_both_classes_and_only_cuts_training(code: SimpleNamespace, standin: Path) -> None:
    few, all_ = code.data.Functions(standin, 6), code.data.Functions(standin)
    assert [row.target for row in few.train].count(1) == 3
    assert len(few.train) == 6
    assert few.test == all_.test
    assert few.corpus == all_.corpus
    assert few.digest != all_.digest
    assert re.fullmatch("[0-9a-f]{16}", all_.digest)
    rows = [code.data.Row(int(place == 9), "x") for place in range(10)]
    assert [row.target for row in code.data.few(rows, 4)] == [0, 0, 0, 1]
    with pytest.raises(SystemExit, match="--limit 1: expected at least 2"):
        code.data.Functions(standin, 1)


def test_the_splits_of_the_standin_share_no_row(code: SimpleNamespace, standin: Path) -> None:
    found = code.data.Functions(standin)
    assert found.source == "stand-in"
    assert [len(rows) for rows in (found.train, found.valid, found.test)] == [256, 64, 128]
    train = {row.code for row in found.train}
    assert not train & {row.code for row in found.test}
    guards = [re.search(r"\w+ >= \w+", row.code) is not None for row in found.test]
    assert guards == [row.target == 0 for row in found.test]


def test_the_standin_is_the_same_every_time_and_is_not_written_over(
    code: SimpleNamespace, standin: Path, tmp_path: Path
) -> None:
    writes_once(code, standin, tmp_path)


D2A = 'id,label,code\n1,0,int a(void);\n2,1,"int b(void)\n{ return 1; }"\n'


def test_d2a_is_read_and_its_unlabelled_test_rows_give_way_to_dev(
    code: SimpleNamespace, tmp_path: Path
) -> None:
    for split in ("train", "dev"):
        (tmp_path / f"d2a_lbv1_function_{split}.csv").write_text(D2A, "utf-8")
    (tmp_path / "d2a_lbv1_function_test.csv").write_text("id,code\n3,int c;\n", "utf-8")
    found = code.data.Functions(tmp_path)
    assert found.train == [(0, "int a(void);"), (1, "int b(void)\n{ return 1; }")]
    assert found.test == found.valid
    assert found.source == "user"
    (tmp_path / "d2a_lbv1_function_test.csv").write_text(D2A.replace("a(", "c("), "utf-8")
    assert code.data.Functions(tmp_path).test[0].code == "int c(void);"
    (tmp_path / "Devign.json").write_text("[]", "utf-8")
    with pytest.raises(SystemExit, match="holds both"):
        code.data.Functions(tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("Devign.json", "[1", r"Devign\.json: not valid JSON"),
        ("Devign.json", "{}", r"Devign\.json: dict at the top, expected a list"),
        ("Devign.json", '[{"target": 1}]', r"Devign\.json, row 0: expected an object with .* 'func'"),
        ("Devign.json", '[{"target": 3, "func": ""}]', r"Devign\.json, row 0: target 3, expected 0 or 1"),
        ("train.txt", "0\n448\n", r"train\.txt, line 2: '448', expected a row number from 0 to 447"),
        ("valid.txt", "x\n", r"valid\.txt, line 1: 'x', expected a row number"),
        ("test.txt", "\n", r"test\.txt: no row number"),
        ("test.txt", "0\n2\n", r"the 2 test rows are not of both classes"),
    ],
)
def test_bad_devign_data_is_refused_with_file_place_and_value(
    code: SimpleNamespace, standin: Path, tmp_path: Path, file: str, text: str, said: str
) -> None:
    for source in standin.iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes())
    (tmp_path / file).write_text(text, "utf-8")
    with pytest.raises(SystemExit, match=said):
        code.data.Functions(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (D2A.replace("code", "src"), r"train\.csv, line 1: no column code; expected id,label,code"),
        (D2A.replace("2,1", "2,yes"), r"train\.csv, line 4: label 'yes', expected 0 or 1"),
    ],
)
def test_bad_d2a_data_is_refused_with_file_line_and_value(
    code: SimpleNamespace, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "train.csv").write_text(text, "utf-8")
    (tmp_path / "dev.csv").write_text(D2A, "utf-8")
    with pytest.raises(SystemExit, match=said):
        code.data.Functions(tmp_path)


def test_an_empty_folder_is_refused_and_a_vocabulary_is_used_and_checked(
    code: SimpleNamespace, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=r"neither Devign\.json nor train\.csv here; write the stand-in"):
        code.data.Functions(tmp_path)
    file = tmp_path / "vocab.json"
    numbers = {token: number for number, token in enumerate([*code.tokens.SPECIAL, "int"])}
    file.write_text(json.dumps(numbers), "utf-8")
    assert code.tokens.Vocabulary.read(file, 100).encode("int x", 4) == [0, 5, 3, 2]
    for broken, said in (
        ("[]", "0 to 4"),
        (json.dumps({**numbers, "int": 100}), "'int' has 100, expected 0 to 99"),
    ):
        file.write_text(broken, "utf-8")
        with pytest.raises(SystemExit, match=said):
            code.tokens.Vocabulary.read(file, 100)
