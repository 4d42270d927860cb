"""Errors meant for the person at the command line; their text says what is wrong and the way out."""

from __future__ import annotations


class ReportError(Exception):
    """Root of all errors of this package."""


class InputError(ReportError):
    """The results given cannot be read: missing folder, missing file, unknown column or unit."""


class EngineError(ReportError):
    """A discovery engine refuses the data or failed; the page says so in its column."""
