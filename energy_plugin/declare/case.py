"""Programs and cases: what is run, under which name, with which identity."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Role = Literal["a", "b", "load"]
Mode = Literal["alone", "pair", "background"]
Value = int | float | str | bool
Loop = Literal["", "restart", "endless"]
"""How a background load goes on: started again when it ends, or told never to end; empty for no load."""

KEY_VERSION = 1
"""Raised when the meaning of a case key changes; old sessions are then rerun, not resumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One training: a model of a repository with its hyperparameter values.

    Attributes:
        role: ``a`` and ``b`` are measured, ``load`` is background.
        values: every hyperparameter of the model, defaults included.
        passed: names given on the program's command line; the rest the program sets itself.
        varied: names the design changed on purpose (the treatment); a subset of ``passed``.
        limit: rows of training data used, None for all.
        loop: of a background load, how it goes on.
    """

    role: Role = "a"
    repository: str
    model: str
    values: Mapping[str, Value]
    passed: frozenset[str] = frozenset()
    varied: tuple[str, ...] = ()
    limit: int | None = None
    loop: Loop = ""

    def spec(self) -> dict[str, Any]:
        """What decides what this program does; part of the case key."""
        return {
            "role": self.role,
            "repository": self.repository,
            "model": self.model,
            "values": dict(sorted(self.values.items())),
            "passed": sorted(self.passed),
            "limit": self.limit,
            **({"loop": self.loop} if self.loop else {}),
        }

    def as_role(self, role: Role) -> Program:
        """The same program with another part in a case."""
        return replace(self, role=role)

    @property
    def path(self) -> str:
        """``repository/model``."""
        return f"{self.repository}/{self.model}"

    @property
    def label(self) -> str:
        """The varied values for people: ``epochs:3-batch_size:64``, or ``default``."""
        # ':' and not '=', which a -k expression cannot hold.
        return "-".join(f"{name}:{self.values[name]!r}" for name in self.varied) or "default"

    @property
    def full_label(self) -> str:
        """Every passed value and the row limit, whether varied or not."""
        parts = [f"{name}:{self.values[name]!r}" for name in sorted(self.passed)]
        parts += [f"limit:{self.limit}"] if self.limit is not None else []
        parts += [self.loop] if self.loop else []
        return "-".join(parts) or "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One declared experiment of one to two programs.

    Attributes:
        replicate: counts from 1; the same case again has the next number.
        design: name of the design or design file that declared it.
        power_limit_w: of the GPUs while it runs, None for whatever they have.
    """

    programs: tuple[Program, ...]
    replicate: int = 1
    design: str = ""
    power_limit_w: float | None = None

    @property
    def mode(self) -> Mode:
        """How the programs share the machine; follows from their roles."""
        roles = {program.role for program in self.programs}
        if "b" in roles:
            return "pair"
        return "background" if "load" in roles else "alone"

    @property
    def identity(self) -> tuple[object, ...]:
        """What its key says of the case itself: equal for cases that run the same, whoever declared them."""
        programs = (
            (p.role, p.repository, p.model, frozenset(p.values.items()), p.passed, p.limit, p.loop)
            for p in self.programs
        )
        return (*programs, self.replicate, self.power_limit_w)

    @property
    def measured(self) -> tuple[Program, ...]:
        """The programs that leave a row; a background load does not."""
        return tuple(program for program in self.programs if program.role != "load")

    @property
    def id(self) -> str:
        """For people and ``-k``: ``repository-model-mode-name:value-rN``."""
        return self._id([program.label for program in self.programs])

    @property
    def full_id(self) -> str:
        """The id with every passed value and the row limit, where the short one is not unique."""
        return self._id([program.full_label for program in self.programs])

    def _id(self, labels: Sequence[str]) -> str:
        names = "+".join(f"{p.repository}-{p.model}" for p in self.programs)
        limit = "" if self.power_limit_w is None else f"-power_limit:{self.power_limit_w:g}"
        return f"{names}-{self.mode}-{'+'.join(labels)}{limit}-r{self.replicate}"

    def key(self, *, sources: Mapping[str, str], base: str, executor: str) -> str:
        """Content hash (16 hex digits) that resume and de-duplication compare.

        Args:
            sources: repository name to the hash of its folder with contract.py.
            base: identity of what the programs run on (interpreter and torch, or base image).
            executor: kind of executor, since a container's overhead is part of the case.
        """
        spec = {
            "key_version": KEY_VERSION,
            "programs": [program.spec() for program in self.programs],
            "replicate": self.replicate,
            "sources": {p.repository: sources[p.repository] for p in self.programs},
            "base": base,
            "executor": executor,
            **({} if self.power_limit_w is None else {"power_limit_w": self.power_limit_w}),
        }
        text = json.dumps(spec, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
