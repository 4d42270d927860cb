"""One program's run, alone or in a pair, and two of them together, as the analysis of pairs sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Condition = tuple[tuple[str, str], ...]
    """What must be equal besides the setting for two runs to be comparable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Hyperparameters by role, the random seed left out: it is a label. ``label`` is for people."""

    values: tuple[tuple[str, float], ...]
    label: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Setting) and self.values == other.values

    def __hash__(self) -> int:
        return hash(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One measured program.

    Attributes:
        repeat: replicate number within its case.
        span_s: of the process; ``duration_s`` the same, in a pair without its wait for the other to load.
        energy_j: of a run alone; None in a pair, whose joules are both programs'.
    """

    session: str
    model: str
    setting: Setting
    conditions: Condition
    repeat: str
    span_s: float
    duration_s: float
    cpu_s: float | None = None
    energy_j: float | None = None
    idle_w: float | None = None
    gpu_percent: float | None = None
    memory_bytes: float | None = None
    gpu_memory_bytes: float | None = None
    performance: tuple[tuple[str, float], ...] = ()

    def metric(self, name: str) -> float | None:
        """A performance metric, None where it was not recorded."""
        return dict(self.performance).get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRun:
    """Both programs of one attempt.

    Attributes:
        joint_s: from the first start to the last end; in ``overlap_s`` of them both were there.
        own_a_j: joules while only ``a`` was there, ``own_a_lo_j`` at least; None without such windows.
    """

    experiment_id: str
    a: Run
    b: Run
    joint_s: float
    overlap_s: float
    energy_j: float | None
    cpu_j: float | None = None
    gpu_j: float | None = None
    own_a_j: float | None = None
    own_b_j: float | None = None
    own_a_lo_j: float = 0.0
    own_b_lo_j: float = 0.0

    def side(self, role: str) -> Run:
        """The program in that role."""
        return self.a if role == "a" else self.b


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One setting of both: its runs together, and those alone to compare with (none: never run alone)."""

    a: Setting
    b: Setting
    together: tuple[PairRun, ...]
    alone_a: tuple[Run, ...]
    alone_b: tuple[Run, ...]

    def setting(self, role: str) -> Setting:
        """The setting of the program in that role."""
        return self.a if role == "a" else self.b

    def alone(self, role: str) -> tuple[Run, ...]:
        """Runs alone of the program in that role at this setting."""
        return self.alone_a if role == "a" else self.alone_b


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """All runs of two models together, and of each of them alone."""

    a: str
    b: str
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """Both models for people."""
        return f"{self.a.rpartition('/')[2]} + {self.b.rpartition('/')[2]}"

    @property
    def runs(self) -> tuple[PairRun, ...]:
        """Every run of the pair."""
        return tuple(run for cell in self.cells for run in cell.together)

    @property
    def replicated(self) -> bool:
        """Whether some setting was run together more than once."""
        return any(len(cell.together) > 1 for cell in self.cells)

    def model(self, role: str) -> str:
        """The model in that role."""
        return self.a if role == "a" else self.b

    def alone(self, role: str) -> tuple[Run, ...]:
        """Runs alone of one program at any setting of this pair, each once."""
        found = {id(run): run for cell in self.cells for run in cell.alone(role)}
        return tuple(found.values())
