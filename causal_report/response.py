"""Which joules are analysed, and what they may be called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causal_report.findings import Response
from causal_report.table import Column

if TYPE_CHECKING:
    import pandas as pd

SHARE = 0.5
"""A column is the response when at least this share of the usable rows has it."""
ESTIMATORS = ("codecarbon", "calculator")


def choose(frame: pd.DataFrame) -> Response:
    """The energy to analyse over *frame*'s usable rows.

    Joules of direct meters when most rows have them as ``measured``; else as ``partial`` for one
    common reason (rows that miss different parts must not be compared); else an estimate under its
    own name; else none, and only duration is left. An estimate is never called measured.
    """
    n = len(frame)
    if "total_energy_joules" in frame and "total_energy_status" in frame:
        reasons = _reasons(frame)
        for status in ("measured", "partial"):
            rows = (frame["total_energy_status"] == status) & frame["total_energy_joules"].notna()
            reason = "" if status == "measured" or not rows.any() else str(reasons[rows].mode().iloc[0])
            if status == "partial":
                rows &= reasons == reason
            if rows.sum() > 0 and rows.sum() >= SHARE * n:
                return Response(
                    column="total_energy_joules",
                    label="energy",
                    status="measured" if status == "measured" else "partial",
                    reason=reason,
                    n=int(rows.sum()),
                    of=n,
                )
    for name in _estimators(frame):
        column = f"estimate_{name}_joules"
        known = int(_estimated(frame, column).sum())
        if known and known >= SHARE * n:
            return Response(
                column=column,
                label=f"energy estimated by {name}",
                status="estimated",
                reason=_why_not(frame),
                estimator=name,
                n=known,
                of=n,
            )
    return Response(
        column="", label="", status="unavailable", reason=_few(frame) or _why_not(frame), n=0, of=n
    )


def _few(frame: pd.DataFrame) -> str:
    """What is said where some rows have joules, but too few of them alike."""
    names = [name for name in ("total_energy_joules", *_columns(frame)) if name in frame]
    most = max((int(frame[name].notna().sum()) for name in names), default=0)
    return f"{most} of {len(frame)} usable runs have them, fewer than half in one way" if most else ""


def column(response: Response) -> Column | None:
    """The typed column of the response, None where no joules exist."""
    if not response.column:
        return None
    return Column(name=response.column, label=response.label, part="energy", unit="J", log=True)


def rows(frame: pd.DataFrame, response: Response) -> pd.Series[bool]:
    """Rows whose energy has exactly the response's status and reason."""
    if response.column != "total_energy_joules":
        return _estimated(frame, response.column)
    known = frame[response.column].notna()
    known &= frame["total_energy_status"] == response.status
    if response.status == "partial":
        known &= _reasons(frame) == response.reason
    return known


def _estimated(frame: pd.DataFrame, column: str) -> pd.Series[bool]:
    """Rows that have an estimate of all that the estimator reads."""
    known = frame[column].notna()
    status = f"{column.removesuffix('_joules')}_status"
    return known & (frame[status] != "partial") if status in frame else known


def _reasons(frame: pd.DataFrame) -> pd.Series[str]:
    """The reason of each row; empty where a table, or one of several, has none."""
    import pandas as pd

    if "total_energy_reason" not in frame:
        return pd.Series("", index=frame.index, dtype=str)
    return frame["total_energy_reason"].astype(object).fillna("").astype(str)


def _columns(frame: pd.DataFrame) -> list[str]:
    return [str(c) for c in frame if str(c).startswith("estimate_") and str(c).endswith("_joules")]


def _estimators(frame: pd.DataFrame) -> list[str]:
    found = [c.removeprefix("estimate_").removesuffix("_joules") for c in _columns(frame)]
    return sorted(found, key=lambda name: (name not in ESTIMATORS, name))


def _why_not(frame: pd.DataFrame) -> str:
    """The commonest reason the rows themselves give for having no measured joules."""
    if not len(frame):
        return "no row was measured"
    reasons = _reasons(frame)
    reasons = reasons[reasons != ""]
    return str(reasons.mode().iloc[0]) if len(reasons) else "no direct meter was recorded"
