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

BAD_INPUT, PARTLY_READ, NO_RUN = 2, 4, 5
"""Nothing can be read; the page is written without what could not be; it is written, but no run is usable.
(1 is Python's own, for a fault.)"""
CODES = (
    f"Ends with 0; {PARTLY_READ} where the page is written without what could not be read; with {NO_RUN} "
    f"where no run is usable; with {BAD_INPUT} where the input or an option cannot be used."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report and print where it is.

    Returns:
        0; 4 where the report is written but part of a table could not be read, which is said on
        standard error and on the page; 5 where no run is usable; 2 with a message when the input cannot
        be used, and nothing is written.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(given)
    try:
        page, lost, usable = _report(options, given)
    except ReportError as error:
        print(f"causal_report: {error}", file=sys.stderr)
        return BAD_INPUT
    print(page)
    for note in lost:
        print(f"causal_report: {note}", file=sys.stderr)
    if lost:
        print(f"causal_report: {page} is written without what could not be read", file=sys.stderr)
    if not usable:
        return NO_RUN
    return PARTLY_READ if lost else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m causal_report",
        description="Read sessions and tables, analyse them, and write report.html and report.json.",
        epilog=CODES,
    )
    parser.add_argument(
        "results",
        nargs="+",
        type=Path,
        metavar="RESULTS",
        help="session folder, folder of sessions or CSV table",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write; default: RESULTS, if it is one"
    )
    parser.add_argument(
        "--defaults",
        type=Path,
        metavar="PATH",
        help="fill hyperparameters that were not recorded: session, images folder or TOML file",
    )
    parser.add_argument(
        "--engine",
        choices=("dibs", "exact", "pc", "ges"),
        default="dibs",
        help="of the causal graph; exact leaves DiBS out, pc and ges need the extra 'more'",
    )
    parser.add_argument(
        "--recipe",
        choices=("sound", "seed"),
        default="sound",
        help="seed adds the numbers of the published study by its own recipe",
    )
    parser.add_argument("--keep-flagged", action="store_true", help="flagged rows enter the effects")
    parser.add_argument(
        "--until", default="", metavar="TIME", help="only runs that began before it (UTC), such as 2026-01-05"
    )
    parser.add_argument(
        "--path",
        action="append",
        default=[],
        type=_path,
        dest="paths",
        metavar="CAUSE:MEDIATOR:OUTCOME",
        help="a mediation path to test besides those found; may be given again",
    )
    parser.add_argument(
        "--margin",
        type=_share,
        default=0.01,
        metavar="SHARE",
        help="relative loss of performance that advice accepts",
    )
    parser.add_argument("--grid", type=_intensity, metavar="G_PER_KWH", help="carbon intensity of the grid")
    parser.add_argument(
        "--country", default="", metavar="ISO", help="its mean carbon intensity where --grid is not given"
    )
    parser.add_argument("--language", default="en", help="language of the page")
    parser.add_argument("--seed", type=_seed, default=0, help="of DiBS and the bootstrap")
    return parser


def _path(given: str) -> tuple[str, str, str]:
    names = tuple(part.strip() for part in given.split(":"))
    if len(names) != 3 or not all(names):
        raise argparse.ArgumentTypeError(
            f"{given!r} is not CAUSE:MEDIATOR:OUTCOME, such as epochs:energy_gpu_util_avg_percent:energy"
        )
    return names[0], names[1], names[2]


def _seed(given: str) -> int:
    if not given.isdecimal():
        raise argparse.ArgumentTypeError(f"{given!r} is not a whole number from 0 up")
    return int(given)


def _share(given: str) -> float:
    return _number(given, 0.0, 1.0, "a share between 0 and 1, such as 0.01")


def _intensity(given: str) -> float:
    return _number(given, 0.0, 5000.0, "grams of CO2e a kilowatt-hour, such as 380")


def _number(given: str, low: float, high: float, wanted: str) -> float:
    try:
        value = float(given)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{given!r} is not {wanted}")
    return value


def _report(options: argparse.Namespace, given: Sequence[str]) -> tuple[Path, list[str], bool]:
    """The page, what of the input is not in it, and whether any run is usable."""
    from causal_report import load, render
    from causal_report.analysis import analyse
    from causal_report.findings import to_json
    from causal_report.options import Options
    from causal_report.text import Text

    first: Path = options.results[0]
    if len(options.results) > 1 and options.out is None:
        raise InputError(
            f"several RESULTS need --out DIR: without it {first}'s own report would be overwritten"
        )
    text = Text(options.language)
    sources = load(options.results, defaults=options.defaults)
    chosen = Options(
        engine=options.engine,
        recipe=options.recipe,
        keep_flagged=options.keep_flagged,
        seed=options.seed,
        until=options.until,
        margin=options.margin,
        grid_g_per_kwh=options.grid,
        country=options.country,
        paths=tuple(options.paths),
        command=shlex.join(["python", "-m", "causal_report", *given]),
    )
    findings = analyse(sources, text, chosen)
    out: Path = options.out or (first if first.is_dir() else first.parent)
    page = render(findings)
    try:
        out.mkdir(parents=True, exist_ok=True)
        content = json.dumps(to_json(findings), indent=1, ensure_ascii=False, allow_nan=False)
        _write(out / "report.json", content + "\n")
        _write(out / "report.html", page)
        _advise(out / "advice.toml", findings.advice.design, text("advice.test.file"))
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}; choose another --out") from error
    usable = bool(findings.data.used or findings.data.pairs)
    if not usable:
        print(f"causal_report: {findings.verdict.sentences[0].text}", file=sys.stderr)
    strange = [p for p in findings.mediation.paths if not p.group]
    asked = [f"--path {p.cause}:{p.mediator}:{p.outcome}: {p.reason}" for p in strange]
    return out / "report.html", [*(note for source in sources for note in source.unread), *asked], usable


def _advise(path: Path, design: str, mark: str) -> None:
    """Write the design file; an earlier page's own is no advice of this one."""
    if design:
        _write(path, design)
    elif path.exists() and path.read_text(encoding="utf-8", errors="replace").startswith(f"# {mark}"):
        path.unlink()


def _write(path: Path, content: str) -> None:
    """By temporary file and rename: a reader never sees half a page."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(content, encoding="utf-8")
    os.replace(temporary, path)


if __name__ == "__main__":
    sys.exit(main())
