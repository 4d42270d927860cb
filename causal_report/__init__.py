"""Why a training cost what it cost: analysis of recorded sessions, on files alone."""

from causal_report.analysis import analyse
from causal_report.page import render
from causal_report.sources import load

__all__ = ["analyse", "load", "render"]
