"""``python -m causal_report RESULTS...``: read sessions, analyse, write report.html and report.json."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from causal_report.errors import InputError, ReportError

if TYPE_CHECKING:
    from collections.abc import Sequence

BAD_INPUT = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report and print where it is; 2 with a message when the input cannot be used."""
    given = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(given)
    try:
        print(_report(options, given))
    except ReportError as error:
        print(f"causal_report: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m causal_report", description=__doc__)
    parser.add_argument(
        "results", nargs="+", type=Path, metavar="RESULTS", help="session folder or CSV table"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write; default: RESULTS, if it is one"
    )
    parser.add_argument("--engine", choices=("dibs", "exact"), default="dibs", help="exact leaves DiBS out")
    parser.add_argument("--keep-flagged", action="store_true", help="flagged rows enter the effects")
    parser.add_argument("--language", default="en", help="language of the page")
    parser.add_argument("--seed", type=int, default=0, help="of DiBS and the bootstrap")
    return parser


def _report(options: argparse.Namespace, given: Sequence[str]) -> Path:
    from causal_report import analyse, load, render
    from causal_report.findings import to_json
    from causal_report.text import Text

    first: Path = options.results[0]
    if len(options.results) > 1 and options.out is None:
        raise InputError(
            f"several RESULTS need --out DIR: without it {first}'s own report would be overwritten"
        )
    text = Text(options.language)
    findings = analyse(
        load(options.results),
        text,
        engine=options.engine,
        keep_flagged=options.keep_flagged,
        seed=options.seed,
        command=shlex.join(["python", "-m", "causal_report", *given]),
    )
    out: Path = options.out or (first if first.is_dir() else first.parent)
    page = render(findings)
    try:
        out.mkdir(parents=True, exist_ok=True)
        content = json.dumps(to_json(findings), indent=1, ensure_ascii=False, allow_nan=False)
        _write(out / "report.json", content + "\n")
        _write(out / "report.html", page)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}; choose another --out") from error
    return out / "report.html"


def _write(path: Path, content: str) -> None:
    """By temporary file and rename: a reader never sees half a page."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(content, encoding="utf-8")
    os.replace(temporary, path)


if __name__ == "__main__":
    sys.exit(main())
