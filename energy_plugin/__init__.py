"""WattWhy's pytest plugin: cases, attempts, meters and records of training energy.

In a test module::

    from energy_plugin import experiments, one_at_a_time

    @experiments("examples/*", design=one_at_a_time(levels=5), replicates=3)
    def test_one_factor(case, measure):
        assert measure(case).success

Around any code::

    with energy_plugin.measure("train", values={"batch_size": 32}) as m:
        train()
    print(m.energy_j, m.status)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from energy_plugin.declare.collect import Background, Sampling, experiments
    from energy_plugin.declare.design import (
        defaults,
        explicit,
        factorial,
        from_options,
        joint,
        latin_hypercube,
        one_at_a_time,
        orthogonal,
    )
    from energy_plugin.measuring import measure

__version__ = "0.1.0"
__all__ = [
    "Background",
    "Sampling",
    "__version__",
    "defaults",
    "experiments",
    "explicit",
    "factorial",
    "from_options",
    "joint",
    "latin_hypercube",
    "measure",
    "one_at_a_time",
    "orthogonal",
]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: pytest loads this package in every project where it is installed.
    if name in ("Background", "Sampling", "experiments"):
        from energy_plugin.declare import collect

        return getattr(collect, name)
    if name == "measure":
        from energy_plugin.measuring import measure

        return measure
    if name in __all__:
        from energy_plugin.declare import design

        return getattr(design, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
