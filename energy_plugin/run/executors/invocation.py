"""How a program of ours is called, wherever it runs: the name of its log and its command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from energy_plugin.declare.case import Program
    from energy_plugin.declare.catalog import Model


def name(program: Program) -> str:
    """Of its log and its events, without suffix."""
    return "training" if program.role == "a" else f"training_{program.role}"


def arguments(program: Program, model: Model, *, data: str, output: str, weights: str = "") -> list[str]:
    """What comes after ``train.py``: a value that was not passed is left to the program.

    Args:
        program: what runs.
        model: its model in the catalogue.
        data: folder of its data, where the program sees it.
        output: folder it may write to, likewise.
        weights: file it starts from, likewise; random weights if empty.
    """
    argv = ["--model", program.model, "--data", data, "--output", output]
    for passed in sorted(program.passed):
        argv += [model.hyperparameters[passed].flag, repr(program.values[passed])]
    if program.limit is not None:
        argv += ["--limit", str(program.limit)]
    return [*argv, "--weights", weights] if weights else argv
