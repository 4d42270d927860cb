"""The mode of each run of a bare table: alone, background or pair, by all that the row says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_report.sources.cells import FALSE, TRUE
from causal_report.sources.notes import named
from causal_report.sources.raw import known

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from causal_report.sources.notes import Notes

    Votes = NDArray[np.int64]

MEANING = {
    **dict.fromkeys(("alone", "default", "mutation", "nonparallel", "solo"), "alone"),
    **dict.fromkeys(("background", "parallel"), "background"),
    **dict.fromkeys(("pair", "concurrent"), "pair"),
}
"""Our words and those of the published study, which calls a background load parallel."""
SUFFIX = "_parallel"
"""The published study marks such runs in their experiment_id too."""


def settle(name: str, frame: pd.DataFrame, notes: Notes) -> None:
    """Give *frame* the columns ``mode`` and ``is_parallel`` in one meaning; say where the row disagrees.

    The word in ``mode`` and ``is_parallel`` decide. Where they contradict each other, the background
    program that is named and the run's id are asked too, and ``mode`` decides what is still open.
    """
    if "mode" not in frame and "is_parallel" not in frame:
        notes.mended(f"{name}: neither mode nor is_parallel is recorded; " + _fallback(frame))
    elif "is_parallel" not in frame:
        notes.mended(f"{name}: no column is_parallel; taken from mode")
    words = _words(name, frame, notes)
    flag, hints = _flag(name, frame, notes), _hints(frame)
    spoken = words.map({"alone": -1, "background": 1, "pair": -1}).fillna(0).to_numpy(dtype=np.int64)
    if "mode" in frame and "background" in set(words):
        spoken = np.where(words.to_numpy() == "", -1, spoken)  # the published form leaves it empty for alone
    apart = (spoken * flag < 0) | ((flag < 0) & (hints > 0) & (spoken <= 0))
    total = spoken + flag + hints
    background = (
        np.where(apart, np.where(total == 0, spoken, total), np.where(spoken != 0, spoken, flag + hints)) > 0
    )
    mode = np.where(background, "background", np.where(words.to_numpy() == "pair", "pair", "alone"))
    _say(name, frame, apart, mode, notes)
    frame["mode"] = mode
    frame["is_parallel"] = background


def _fallback(frame: pd.DataFrame) -> str:
    if (_hints(frame) > 0).any():
        return "runs that name a background program are taken as background, the others as alone"
    return "every run is taken as alone"


def _words(name: str, frame: pd.DataFrame, notes: Notes) -> pd.Series[str]:
    """The mode in our words; empty where the row has none that is known."""
    if "mode" not in frame:
        import pandas as pd

        return pd.Series("", index=frame.index, dtype="str")
    given = frame["mode"].astype("str").str.strip().str.lower()
    words = given.map(MEANING).fillna("").astype("str")
    odd = (given != "") & (words == "")
    if bool(odd.any()):
        notes.lost(
            f"{name}: mode is not known in {named(frame, odd, frame['mode'])}; known are "
            f"{', '.join(MEANING)}. Taken as if it were empty"
        )
    return words


def _flag(name: str, frame: pd.DataFrame, notes: Notes) -> Votes:
    """``is_parallel``: 1 true, -1 false, 0 not said."""
    if "is_parallel" not in frame:
        return np.zeros(len(frame), dtype=np.int64)
    given = frame["is_parallel"].astype("str").str.strip().str.lower()
    distinct = list(given.unique())
    yes = given.isin([word for word in distinct if word in TRUE])
    no = given.isin([word for word in distinct if word in FALSE])
    empty = ~known(frame["is_parallel"]) | given.isin(["nan", "none"])
    odd = ~yes & ~no & ~empty
    if bool(odd.any()):
        notes.lost(
            f"{name}: is_parallel is neither True nor False in {named(frame, odd, frame['is_parallel'])}"
        )
    if bool(empty.any()):
        notes.mended(
            f"{name}: is_parallel is empty in {named(frame, empty)}; taken from what else the row says"
        )
    return yes.to_numpy(dtype=np.int64) - no.to_numpy(dtype=np.int64)


def _hints(frame: pd.DataFrame) -> Votes:
    """Signs of a background load: a program that is named, and the id's ending."""
    found: Votes = np.asarray(frame["experiment_id"].str.endswith(SUFFIX), dtype=np.int64)
    program = next((column for column in ("bg_model", "bg_repository") if column in frame), None)
    return found + (known(frame[program]).to_numpy(dtype=np.int64) if program else 0)


def _say(
    name: str, frame: pd.DataFrame, apart: NDArray[np.bool_], mode: NDArray[np.str_], notes: Notes
) -> None:
    if not apart.any():
        return
    import pandas as pd

    bad = pd.Series(apart, index=frame.index)
    shown = pd.Series("taken as " + mode.astype(object), index=frame.index)
    notes.lost(
        f"{name}: mode and is_parallel, or the background program that is named, contradict each other in "
        f"{named(frame, bad, shown)}"
    )
