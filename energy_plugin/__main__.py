"""The ``wattwhy`` command: what is not a pytest run."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from energy_plugin.errors import EnergyError

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_S = 3600.0
"""No phase of ``doctor --measure`` is longer."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run the command; errors meant for the user end with exit code 2."""
    given = list(sys.argv[1:] if argv is None else argv)
    own, rest = _split(given)
    arguments = _parser().parse_args(own)
    arguments.rest = rest
    try:
        return int(arguments.run(arguments))
    except EnergyError as error:
        print(f"wattwhy: {error}", file=sys.stderr)
        return 2


def _split(given: list[str]) -> tuple[list[str], list[str]]:
    """The command line before and after ``--``; argparse would mix the two up."""
    if "--" not in given:
        return given, []
    at = given.index("--")
    return given[:at], given[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="wattwhy", description="What training costs, and why.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    doctor = commands.add_parser("doctor", help="each meter: alive, or why not and how to mend it")
    doctor.add_argument("--meters", default="auto", metavar="LIST", help="by name, comma-separated")
    doctor.add_argument("--tdp", default="", metavar="cpu=W,gpu=W", help="for the calculator")
    doctor.add_argument(
        "--wall",
        action="append",
        default=[],
        metavar="NAME=URL",
        help="a plug, or NAME=command:CMD",
    )
    doctor.add_argument("--sysfs", default="", metavar="DIR", help="where the host's /sys is mounted")
    doctor.add_argument("--strict", action="store_true", help="exit code 1 when no direct meter lives")
    doctor.add_argument(
        "--measure",
        type=float,
        default=0.0,
        metavar="S",
        help="watch S seconds idle and S seconds with every processor busy, every living meter side by side",
    )
    doctor.set_defaults(run=_doctor)
    listing = commands.add_parser("list", help="models and their hyperparameters")
    listing.add_argument("--images", type=Path, default=None, help="folder like images/")
    listing.set_defaults(run=_list)
    run = commands.add_parser(
        "run",
        help="run and measure any command: wattwhy run --set batch_size=32 -- python train.py",
        epilog="the command follows --; its exit code, terminal and signals pass through",
    )
    _add_run_arguments(run)
    run.set_defaults(run=_run)
    report = commands.add_parser("report", help="analyse sessions: python -m causal_report")
    report.add_argument("arguments", nargs=argparse.REMAINDER, help="see python -m causal_report --help")
    report.set_defaults(run=_report)
    reproduce = commands.add_parser(
        "reproduce",
        help="run a recorded session's exact cases again and compare, metric by metric",
        epilog="what follows -- goes to pytest: wattwhy reproduce results/latest -- --energy-data=DIR",
    )
    reproduce.add_argument("session", type=Path)
    reproduce.add_argument("--results", type=Path, default=None, help="where the new session goes")
    reproduce.add_argument(
        "--changed", action="store_true", help="run even if the sources have changed since"
    )
    reproduce.set_defaults(run=_reproduce)
    _add_images(commands)
    clean = commands.add_parser("clean", help="remove the containers of sessions that are dead")
    clean.set_defaults(run=_clean)
    rebuild = commands.add_parser("rebuild", help="write a session's files anew from its journal")
    rebuild.add_argument("session", type=Path)
    rebuild.set_defaults(run=_rebuild)
    return parser


def _add_images(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    images = commands.add_parser("images", help="container images of the repositories")
    actions = images.add_subparsers(required=True, metavar="ACTION")
    for name, text in {
        "build": "build what is missing or of old sources",
        "list": "what the engine has, and whether it is of the present sources",
        "save": "write images into a file, for a machine without a registry",
        "load": "read images from such a file",
    }.items():
        action = actions.add_parser(name, help=text)
        action.add_argument("--images", type=Path, default=None, help="folder like images/")
        if name in ("save", "load"):
            action.add_argument("file", type=Path)
        if name in ("build", "save"):
            action.add_argument("names", nargs="*", metavar="NAME", help="repositories; default all")
        if name == "build":
            action.add_argument(
                "--base",
                default="local",
                help="local (this Debian host's own files with its torch), plain (without torch), "
                "cuda (the public PyTorch image) or any image with python3; default %(default)s",
            )
        action.set_defaults(run=_images, action=name)


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="", help="what the report calls it; default: the script's name")
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="hyperparameters that this run has, for the table and the report",
    )
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="run it so often; default 1")
    parser.add_argument("--results", default="results", metavar="DIR", help="folder for the session")
    parser.add_argument(
        "--join",
        type=Path,
        default=None,
        metavar="SESSION",
        help="add to an earlier session of runs, such as results/latest, instead of making a new one",
    )
    parser.add_argument("--meters", default="auto", metavar="LIST", help="such as rapl,nvml; default all")
    parser.add_argument("--timeout", type=float, default=0.0, metavar="S", help="end it after so long")
    parser.add_argument("--no-report", action="store_true", help="do not write report.html at the end")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other --energy-NAME option of pytest, such as tdp=cpu=65 or idle=0; repeatable",
    )


def _images(arguments: argparse.Namespace) -> int:
    from energy_plugin.run.imagecommands import ACTIONS

    ACTIONS[arguments.action](arguments)
    return 0


def _clean(arguments: argparse.Namespace) -> int:
    from energy_plugin.run.executors.engine import connect, sweep

    client = connect()
    try:
        print(f"{sweep(client)} containers of dead sessions removed")
    finally:
        client.close()
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from energy_plugin import doctor
    from energy_plugin.errors import UsageError
    from energy_plugin.meters.select import meters_of
    from energy_plugin.options import plain_options

    if not 0 <= arguments.measure <= MOST_S:
        raise UsageError(f"--measure {arguments.measure:g}: give seconds, {MOST_S:g} at most")
    given = {name: getattr(arguments, name) for name in ("meters", "tdp", "wall", "sysfs")}
    options = plain_options(given, Path.cwd())
    return doctor.run(meters_of(options), sys.stdout, strict=arguments.strict, measure_s=arguments.measure)


def _run(arguments: argparse.Namespace) -> int:
    from energy_plugin.command import run

    return run(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from energy_plugin.declare.catalog import load_catalog

    for model in load_catalog(arguments.images).models():
        aliases = f" (also {', '.join(model.aliases)})" if model.aliases else ""
        print(f"{model.path}{aliases}: {model.title}")
        for name, hyperparameter in model.hyperparameters.items():
            spans = [
                f"{label} {span.low:g}..{span.high:g} {span.distribution}"
                for label, span in hyperparameter.ranges.items()
            ]
            print(f"    {name} {hyperparameter.flag} = {hyperparameter.default}; {'; '.join(spans)}")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    return subprocess.run(
        [sys.executable, "-m", "causal_report", *arguments.arguments], check=False
    ).returncode


def _reproduce(arguments: argparse.Namespace) -> int:
    from energy_plugin.run.reproduce import reproduce

    return reproduce(arguments.session, arguments.results, arguments.rest, allow_changed=arguments.changed)


def _rebuild(arguments: argparse.Namespace) -> int:
    from energy_plugin.errors import UsageError
    from energy_plugin.record.files import rebuild
    from energy_plugin.record.journal import NAME, read_journal

    if not (arguments.session / NAME).is_file():
        raise UsageError(f"{arguments.session}: no {NAME} here; give a session folder such as results/latest")
    print(f"{rebuild(arguments.session)} attempts written from {arguments.session / NAME}")
    for event in read_journal(arguments.session):
        if event["event"] == "damaged":
            print(f"line {event['line']} of it is damaged and was passed over", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
