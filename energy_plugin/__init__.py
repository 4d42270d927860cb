"""WattWhy's pytest plugin: cases, attempts, meters and records of training energy."""

from __future__ import annotations

__version__ = "0.1.0"
