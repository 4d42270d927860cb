"""What every training program of WattWhy obeys: its flags, its events, the barrier of pairs.

A program is ``train.py`` beside its ``repository.toml``. It calls :func:`main` with one function a
model. The flags and their defaults come from ``repository.toml``, so the catalogue cannot say one
thing and the program do another. Standard library only: this file is also copied into images.

Events are JSON lines in the file named by the environment variable ``WATTWHY_EVENTS``, one write
each, with CLOCK_MONOTONIC nanoseconds, which a container shares with its host:

``begin``  pid, model, values, which of them were passed, device
``ready``  everything is loaded; then the program waits for the file ``WATTWHY_GO``, if that is set
``epoch``  number from 1, ``start_ns``, ``t_ns``, loss, metrics
``end``    final metrics, data source and digest, weights
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GO_POLL_S = 0.001
TYPES: dict[str, type[int] | type[float]] = {"int": int, "float": float}


M = TypeVar("M")


class Training:
    """One training as its program sees it.

    Attributes:
        values: every hyperparameter by its catalogue name.
        data: folder of this repository's data. ``output``: folder the program may write to.
        limit: use at most so many rows of training data, None for all.
        device: ``cpu`` or ``cuda``, already resolved.
    """

    def __init__(self, arguments: argparse.Namespace, values: Mapping[str, Any], passed: list[str]) -> None:
        self.model: str = arguments.model
        self.values = dict(values)
        self.data = Path(arguments.data)
        self.output = Path(arguments.output)
        self.limit: int | None = arguments.limit
        self.device = resolve_device(arguments.device)
        self.weights_file = Path(arguments.weights) if arguments.weights else None
        self.data_source = ""
        self.data_digest = ""
        self.weights = "random"
        path = os.environ.get("WATTWHY_EVENTS")
        self._events = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) if path else None
        self._epochs = 0
        self._epoch_start_ns = 0
        self.emit(
            "begin", pid=os.getpid(), model=self.model, values=self.values, passed=passed, device=self.device
        )

    def emit(self, event: str, **fields: Any) -> None:
        """Write one event line; numbers that are not finite become null."""
        line = {"event": event, "t_ns": time.monotonic_ns(), **fields}
        if self._events is not None:
            os.write(self._events, (json.dumps(_finite(line), separators=(",", ":")) + "\n").encode())

    def synchronise(self) -> None:
        """Wait until the GPU has done what it was given, so that marks are not early."""
        if self.device == "cuda":
            import torch

            torch.cuda.synchronize()

    def ready(self) -> None:
        """Say that everything is loaded, wait at the barrier if there is one, start the first epoch."""
        self.synchronise()
        self.emit("ready")
        go = os.environ.get("WATTWHY_GO")
        while go and not os.path.exists(go):
            time.sleep(GO_POLL_S)
        self._epoch_start_ns = time.monotonic_ns()

    def epoch(self, loss: float, **metrics: float) -> None:
        """Say that an epoch ended, with its mean loss and any metrics known now."""
        self.synchronise()
        self._epochs += 1
        self.emit(
            "epoch",
            number=self._epochs,
            start_ns=self._epoch_start_ns,
            loss=float(loss),
            metrics={name: float(value) for name, value in metrics.items()},
        )
        shown = " ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        print(f"epoch {self._epochs}: loss {loss:.4f} {shown}".rstrip(), flush=True)
        self._epoch_start_ns = time.monotonic_ns()

    def load_weights(self, network: M) -> M:
        """*network* itself, with the tensors of ``--weights`` that fit it by name and shape.

        A new head keeps its random start, as in fine-tuning. A file of which nothing fits ends the
        program: it would otherwise train from random weights under another name.
        """
        if self.weights_file is None:
            return network
        import torch

        state = torch.load(self.weights_file, map_location="cpu", weights_only=True)
        module: Any = network
        own = module.state_dict()
        fitting = {n: t for n, t in state.items() if n in own and own[n].shape == t.shape}
        if not fitting:
            raise SystemExit(f"{self.weights_file}: no tensor fits {self.model} by name and shape")
        module.load_state_dict(fitting, strict=False)
        self.weights = "file"
        print(f"weights: {len(fitting)} of {len(own)} tensors from {self.weights_file.name}", flush=True)
        return network

    def end(self, metrics: Mapping[str, float]) -> None:
        """Say that training completed, with its final metrics."""
        self.synchronise()
        self.emit(
            "end",
            metrics={name: float(value) for name, value in metrics.items()},
            data_source=self.data_source,
            data_digest=self.data_digest,
            weights=self.weights,
        )
        for name, value in metrics.items():
            print(f"final {name}: {value:.6g}", flush=True)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return value


def resolve_device(name: str) -> str:
    """``auto`` becomes ``cuda`` where torch sees a GPU, else ``cpu``; a missing ``cuda`` is an error."""
    if name == "cpu":
        return name
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise SystemExit("--device cuda: torch sees no CUDA device here; use --device auto or cpu")
    return "cpu"


def hyperparameters_of(repository: Mapping[str, Any], model: str) -> dict[str, dict[str, Any]]:
    """The hyperparameters of *model*: the repository's, with the model's own entries laid over them."""
    own = repository["models"][model]
    names = own.get("uses", list(repository["hyperparameters"]))
    over = own.get("hyperparameters", {})
    return {name: {**repository["hyperparameters"][name], **over.get(name, {})} for name in names}


def _number(kind: str, minimum: float | None) -> Callable[[str], float]:
    """A reader of finite numbers, of *minimum* at least, for argparse."""

    def number(text: str) -> float:
        try:
            value = TYPES[kind](text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no {kind}") from None
        if not math.isfinite(value) or (minimum is not None and value < minimum):
            least = "" if minimum is None else f", at least {minimum}"
            raise argparse.ArgumentTypeError(f"{text} must be finite{least}")
        return value

    return number


def parse(
    repository: Mapping[str, Any], argv: list[str]
) -> tuple[argparse.Namespace, dict[str, Any], list[str]]:
    """Arguments, all hyperparameter values, and the names that were passed.

    Args:
        repository: the parsed ``repository.toml``.
        argv: the command line without the program's name.

    Raises:
        SystemExit: with code 2 and a line on stderr, for a name, flag or value that cannot be.
    """
    models = repository["models"]
    aliases = {alias: name for name, model in models.items() for alias in model.get("aliases", [])}
    first = argparse.ArgumentParser(prog=repository["name"], add_help=False, allow_abbrev=False)
    first.add_argument("--model", choices=[*models, *aliases], required=True)
    model = first.parse_known_args(argv)[0].model
    model = aliases.get(model, model)
    parser = argparse.ArgumentParser(prog=repository["name"], allow_abbrev=False)
    parser.add_argument("--model", required=True, help=", ".join(models))
    parser.add_argument("--data", required=True, help="folder of this repository's data")
    parser.add_argument("--output", required=True, help="folder for what the program writes")
    parser.add_argument(
        "--limit", type=_number("int", 1), default=None, help="use at most so many training rows"
    )
    parser.add_argument("--weights", default=None, help="state dict (torch.save) to start from")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    known = hyperparameters_of(repository, model)
    for name, entry in known.items():
        parser.add_argument(
            entry["flag"],
            dest=f"hp_{name}",
            type=_number(entry["type"], entry.get("minimum")),
            default=None,
            help=f"default {entry['default']}",
        )
    arguments = parser.parse_args(argv)
    arguments.model = model
    given = {name: getattr(arguments, f"hp_{name}") for name in known}
    passed = [name for name, value in given.items() if value is not None]
    types = {name: TYPES[entry["type"]] for name, entry in known.items()}
    values = {
        name: types[name](entry["default"] if given[name] is None else given[name])
        for name, entry in known.items()
    }
    return arguments, values, passed


def main(file: str, programs: Mapping[str, Callable[[Training], Mapping[str, float]]]) -> None:
    """Run one training; the exit code is 0 only when it completed.

    Args:
        file: the caller's ``__file__``; ``repository.toml`` lies beside it.
        programs: model name to the function that trains it and returns its final metrics.
    """
    repository = tomllib.loads((Path(file).resolve().parent / "repository.toml").read_text("utf-8"))
    arguments, values, passed = parse(repository, sys.argv[1:])
    training = Training(arguments, values, passed)
    shown = " ".join(f"{name}={value}" for name, value in values.items())
    print(f"{repository['name']}/{training.model} on {training.device}: {shown}", flush=True)
    metrics = programs[training.model](training)
    listed = repository["models"][training.model]["metrics"]
    if set(metrics) != set(listed):
        raise SystemExit(f"{training.model} gave {sorted(metrics)}; repository.toml lists {sorted(listed)}")
    training.end(metrics)
