"""C functions made up by a seeded generator, in the format of the Devign data.

A function copies into an array at an index it was given; the vulnerable ones lack the check of
that index. Both kinds have another check that has nothing to do with it, so that counting checks
does not help. Results on them say nothing about finding vulnerabilities. Standard library only.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SPLITS = {"train": 256, "valid": 64, "test": 128}
NAMES = ("copy", "store", "put", "parse", "load", "decode", "emit", "read", "write", "push")
THINGS = ("frame", "packet", "header", "chunk", "entry", "block", "field", "slot", "tile", "token")
FORMS = (
    "static int {name}({kind} *{dst}, const {kind} *{src}, int {index}, int {size})\n"
    "{{\n    int {temp} = {number};\n{checks}    {dst}[{index}] = {src}[{temp}];\n    return {temp};\n}}\n",
    "int {name}({kind} *{dst}, int {index}, int {size}, {kind} *{src})\n"
    "{{\n{checks}    for (int {temp} = 0; {temp} < {number}; {temp}++)\n"
    "        {dst}[{index}] += {src}[{temp}];\n    return {index};\n}}\n",
    "void {name}(struct {thing} *{src}, {kind} *{dst}, int {size}, int {index})\n"
    "{{\n    {kind} {temp} = {src}->value; /* {number} */\n{checks}    {dst}[{index}] = {temp};\n}}\n",
)
GUARDS = (
    "if ({index} >= {size})\n        return{back};",
    "if ({index} < 0 || {index} >= {size}) return{back};",
)
OTHERS = (
    "if (!{src}) return{back};",
    "if ({src} == NULL)\n        return{back};",
    "if ({dst} == NULL) return{back};",
)


def write_devign(folder: Path) -> None:
    """Write ``Devign.json`` and the row numbers in ``train.txt``, ``valid.txt`` and ``test.txt``."""
    dice = random.Random(0)
    rows = []
    for number in range(sum(SPLITS.values())):
        target = number % 2  # as many of each in every split
        code = function(dice, vulnerable=bool(target))
        rows.append({"project": "stand-in", "commit_id": f"{number:040x}", "target": target, "func": code})
    (folder / "Devign.json").write_text(json.dumps(rows, indent=0) + "\n", "utf-8")
    start = 0
    for split, count in SPLITS.items():
        lines = "".join(f"{row}\n" for row in range(start, start + count))
        (folder / f"{split}.txt").write_text(lines, "utf-8")
        start += count


def function(dice: random.Random, *, vulnerable: bool) -> str:
    """One C function; the vulnerable kind does not check its index."""
    form = dice.randrange(len(FORMS))
    names = {
        "name": f"{dice.choice(NAMES)}_{dice.choice(THINGS)}",
        "thing": dice.choice(THINGS),
        "kind": dice.choice(("int", "char", "uint8_t", "float")),
        "dst": dice.choice(("dst", "out", "buf", "table")),
        "src": dice.choice(("src", "in", "data", "from")),
        "index": dice.choice(("i", "idx", "pos", "n")),
        "size": dice.choice(("size", "len", "count", "max")),
        "temp": dice.choice(("tmp", "val", "k", "x")),
        "number": str(dice.randrange(64)),
        "back": "" if form == 2 else " -1",
    }
    checks = [dice.choice(OTHERS)] + ([] if vulnerable else [dice.choice(GUARDS)])
    if vulnerable and dice.random() < 0.5:
        checks.append(dice.choice(OTHERS))
    dice.shuffle(checks)
    text = "".join(f"    {check.format(**names)}\n" for check in checks)
    return FORMS[form].format(**names, checks=text)
