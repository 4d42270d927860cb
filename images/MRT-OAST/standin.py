"""Functions of Python's own standard library with rewritten copies, in the format of the clone data.

A copy is a clone: its variables are renamed, ``x += 1`` is ``x = x + 1``, comparisons are turned
round, and a statement without effect comes first. Pairs of different functions are not clones. The
functions of the training, validation and test pairs are different ones. They are those of the
running Python, so another version gives other rows. Standard library only.
"""

from __future__ import annotations

import ast
import csv
import random
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MODULES = (
    "textwrap",
    "shlex",
    "string",
    "bisect",
    "heapq",
    "colorsys",
    "calendar",
    "fnmatch",
    "statistics",
    "posixpath",
    "difflib",
    "fractions",
    "random",
    "gettext",
    "mimetypes",
    "quopri",
    "pprint",
    "argparse",
    "inspect",
    "tarfile",
    "configparser",
    "ast",
    "optparse",
    "shutil",
    "os",
    "ipaddress",
    "locale",
    "pydoc",
    "doctest",
    "subprocess",
    "smtplib",
    "imaplib",
    "ftplib",
)
NODES = (12, 36)  # of an optimised tree: large enough to tell apart, small enough to be quick
SPLITS = {"train": 128, "valid": 32, "test": 64}  # functions, each in one pair of each label
TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.Gt: ast.Lt,
    ast.LtE: ast.GtE,
    ast.GtE: ast.LtE,
}
LEFT_OUT = (ast.expr_context, ast.Load, ast.Store, ast.Del)


class Copies(NamedTuple):
    """One function and its rewritten copy."""

    original: ast.FunctionDef
    copy: ast.FunctionDef


def write_clones(folder: Path, name: str) -> None:
    """Write trees, dictionaries and the pairs of each split of data set *name*."""
    dice = random.Random(0)
    found = list(_functions())
    dice.shuffle(found)
    found = found[: sum(SPLITS.values())]
    if len(found) < sum(SPLITS.values()):
        raise SystemExit(f"Python's standard library here has only {len(found)} fitting functions")
    rows = [
        [number, file, ast.unparse(tree), " ".join(full(tree)), " ".join(optimised(tree))]
        for number, copies in enumerate(found)
        for file, tree in zip(("a.py", "b.py"), copies, strict=True)
    ]
    _write(folder / f"{name}_with_AST+OAST.csv", ["index", "file", "code", "AST", "OAST"], rows)
    for column, kind in ((3, "AST"), (4, "OAST")):
        words = dict.fromkeys(token for row in rows for token in str(row[column]).split())
        lines = (token for token in words if token not in ("[", "]"))
        (folder / f"{name}_{kind}_dictionary.txt").write_text("\n".join(lines) + "\n", "utf-8")
    start = 0
    for split, count in SPLITS.items():
        pairs = _pairs(list(range(start, start + count)), dice)
        _write(folder / f"{name}_{split}.csv", ["index1", "file1", "index2", "file2", "label"], pairs)
        start += count


def _pairs(numbers: list[int], dice: random.Random) -> list[list[object]]:
    """For each function its copy, and the copy of another one, in random order."""
    pairs: list[list[object]] = []
    for place, number in enumerate(numbers):
        other = numbers[(place + dice.randrange(1, len(numbers))) % len(numbers)]
        pairs += [[number, "a.py", number, "b.py", 1], [number, "a.py", other, "b.py", -1]]
    dice.shuffle(pairs)
    return pairs


def _functions() -> Iterator[Copies]:
    """Functions of fitting length with their copies, in a fixed order, each shape once."""
    shapes = set()
    for module in MODULES:
        file = Path(sysconfig.get_path("stdlib")) / f"{module}.py"
        if not file.is_file():  # some distributions leave modules out
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.FunctionDef):
                continue
            original = _bare(node)
            shape = tuple(optimised(original))
            if shape in shapes or not NODES[0] <= sum(token not in "[]" for token in shape) <= NODES[1]:
                continue
            shapes.add(shape)
            yield Copies(original, rewritten(original))


def _bare(function: ast.FunctionDef) -> ast.FunctionDef:
    """*function* without docstring, decorators and annotations."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    bare = ast.FunctionDef(
        name=function.name, args=function.args, body=body or [ast.Pass()], decorator_list=[], returns=None
    )
    return ast.fix_missing_locations(bare)


def rewritten(function: ast.FunctionDef) -> ast.FunctionDef:
    """A copy of *function* that does the same in other words."""
    copy = ast.parse(ast.unparse(function)).body[0]
    assert isinstance(copy, ast.FunctionDef)
    names = [node.arg for node in ast.walk(copy) if isinstance(node, ast.arg)]
    names += [n.id for n in ast.walk(copy) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    other = {name: f"v{number}" for number, name in enumerate(dict.fromkeys(names))}
    _Rewriter(other).visit(copy)
    copy.body.insert(0, ast.parse("unused = None").body[0])
    return ast.fix_missing_locations(copy)


class _Rewriter(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.arg = self._names.get(node.arg, node.arg)
        return node

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._names.get(node.id, node.id)
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.Assign:
        self.generic_visit(node)
        load = ast.parse(ast.unparse(node.target), mode="eval").body
        return ast.Assign(targets=[node.target], value=ast.BinOp(left=load, op=node.op, right=node.value))

    def visit_Compare(self, node: ast.Compare) -> ast.Compare:
        self.generic_visit(node)
        turned = TURNED.get(type(node.ops[0]))
        if len(node.ops) != 1 or turned is None:
            return node
        return ast.Compare(left=node.comparators[0], ops=[turned()], comparators=[node.left])


def full(tree: ast.AST) -> list[str]:
    """Tokens of the whole tree with its names: ``A [ B C ]``."""
    name = next(
        (str(getattr(tree, key)) for key in ("id", "arg", "attr", "name") if getattr(tree, key, None)), ""
    )
    return _tokens(tree, full, [type(tree).__name__, *([name] if name.isidentifier() else [])])


def optimised(tree: ast.AST) -> list[str]:
    """Tokens of the tree without names and contexts."""
    return _tokens(tree, optimised, [type(tree).__name__])


def _tokens(tree: ast.AST, below: object, own: list[str]) -> list[str]:
    assert callable(below)
    children = [
        token for c in ast.iter_child_nodes(tree) if not isinstance(c, LEFT_OUT) for token in below(c)
    ]
    children = own[1:] + children
    return [own[0], "[", *children, "]"] if children else own[:1]


def _write(file: Path, header: list[str], rows: Iterable[list[object]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
