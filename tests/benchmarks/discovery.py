"""How often the engines find a known graph on tables drawn like this field's.

    python -m tests.benchmarks.discovery --out FOLDER dibs exact ols random
    python -m tests.benchmarks.discovery --out FOLDER PC GES DirectLiNGAM NOTEARS  # own environment
    python -m tests.benchmarks.discovery --out FOLDER --report docs/discovery-accuracy.md

Every engine gets the same rows and the same tiers. Seeds 1000 to 1199 were used for tuning; results on 0
to 59 led to changes and so count as seen; 5000 to 5059 were drawn once, after the last change. DiBS,
which takes seconds a table, gets the first 20 of them. A score of one half or more is an edge.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from causal_report.discovery.prepare import allowed_edges
from tests.benchmarks.drawn import KINDS, draw

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]

SEEDS, DIBS_SEEDS = range(5000, 5060), range(5000, 5020)
ROWS = 150
FIELDS = (
    "kind", "n", "engine", "seed", "auprc", "f1", "shd", "auroc", "auprc_allowed", "f1_allowed",
    "forbidden", "false_share", "cpu_s",
)  # fmt: skip
NAMES = {"dibs": "DiBS", "exact": "exact", "ols": "OLS, BH 0.05", "random": "random scores"}


def score(name: str, x: Matrix, allowed: Mask, seed: int) -> Matrix:
    """What engine *name* says of every ordered pair."""
    if name == "exact":
        from causal_report.discovery import exact

        return exact.edge_probabilities(x, allowed)
    if name == "dibs":
        from causal_report.discovery import dibs

        return dibs.discover(x, allowed, seed=seed).edge_probability
    if name == "random":
        return np.where(allowed, np.random.default_rng([seed, 77]).random(allowed.shape), 0.0)
    if name == "ols":
        return _ols(x, allowed)
    from tests.benchmarks import others

    return others.ENGINES[name](x, allowed)


def _ols(x: Matrix, allowed: Mask) -> Matrix:
    """One less q, so that q = 0.05 lies at one half of the score's scale."""
    from causal_report import regression

    pairs, p = [], []
    for child in range(x.shape[1]):
        parents = np.flatnonzero(allowed[:, child])
        if len(parents):
            fit = regression.ols(x[:, child], {str(i): x[:, i] for i in parents}, {})
            pairs += [(int(name), child) for name in fit.coefficients]
            p += [c.p for c in fit.coefficients.values()]
    result = np.zeros(allowed.shape)
    for pair, q in zip(pairs, regression.benjamini_hochberg(p), strict=True):
        result[pair] = 0.05 / (0.05 + (q or 0.0))
    return result


def measures(found: Matrix, truth: Mask, allowed: Mask) -> dict[str, float]:
    """Ranking and decisions over all ordered pairs, and over those that the tiers allow."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    off = ~np.eye(len(truth), dtype=bool)
    said = found >= 0.5
    ranked = bool(truth.any())
    wrong = said != truth
    return {
        "auprc": average_precision_score(truth[off], found[off]) if ranked else np.nan,
        "f1": _f1(said, truth, off) if ranked else np.nan,
        "shd": float((wrong | wrong.T)[np.triu_indices(len(truth), 1)].sum()),  # a reversal counts once
        "auroc": roc_auc_score(truth[off], found[off]) if ranked else np.nan,
        "auprc_allowed": average_precision_score(truth[allowed], found[allowed]) if ranked else np.nan,
        "f1_allowed": _f1(said, truth, allowed) if ranked else np.nan,
        "forbidden": float((found[~allowed & off] > 0).sum()),
        "false_share": float((said & ~truth)[allowed].mean()),
    }


def _f1(said: Mask, truth: Mask, where: Mask) -> float:
    right = float((said & truth)[where].sum())
    return 2 * right / max(1.0, float(said[where].sum() + truth[where].sum()))


def measure(engines: Sequence[str], out: Path, kinds: Sequence[str], rows: int) -> None:
    """Append one line a table and engine to ``<engine>.csv`` in *out*."""
    for kind in KINDS:
        for seed in SEEDS if kind in kinds else ():
            table = draw(rows, seed=seed, kind=kind)
            allowed = allowed_edges(table.parts)
            for name in engines:
                if name == "dibs" and seed not in DIBS_SEEDS:
                    continue
                begun = time.process_time()
                found = score(name, table.x, allowed, seed)
                spent = time.process_time() - begun
                line: dict[str, object] = {
                    "kind": kind,
                    "n": rows,
                    "engine": name,
                    "seed": seed,
                    "cpu_s": spent,
                }
                _append(out / f"{name}.csv", {**line, **measures(found, table.truth, allowed)})


def _append(path: Path, line: dict[str, object]) -> None:
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        if fresh:
            writer.writeheader()
        writer.writerow({k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()})


def report(out: Path) -> str:
    """Means and every value as Markdown."""
    lines = [line for path in sorted(out.glob("*.csv")) for line in csv.DictReader(path.open())]
    text = ["\n# Results"]
    for (kind, n), mine in _by(lines, "kind", "n").items():
        text += [f"\n## {kind}, N = {n}\n", _means(mine, noise=kind == "noise")]
    text += ["\n## Every value\n", "kind | N | engine | seed | AUPRC | F1 | SHD | AUPRC allowed | F1 allowed"]
    text += ["--- | --- | --- | --- | --- | --- | --- | --- | ---"]
    shown = ("kind", "n", "engine", "seed", "auprc", "f1", "shd", "auprc_allowed", "f1_allowed")
    ordered = sorted(lines, key=lambda v: (v["kind"], int(v["n"]), v["engine"], int(v["seed"])))
    text += [" | ".join(_cell(v[k], places=k not in ("n", "seed")) for k in shown) for v in ordered]
    return "\n".join(text) + "\n"


def _cell(value: str, *, places: bool = True) -> str:
    try:
        number = float(value)
    except ValueError:
        return value
    return "–" if np.isnan(number) else f"{number:.3f}" if places else value


def _by(lines: Iterable[dict[str, str]], *keys: str) -> dict[tuple[str, ...], list[dict[str, str]]]:
    found = defaultdict(list)
    for line in lines:
        found[tuple(line[k] for k in keys)].append(line)
    return dict(sorted(found.items()))


def _means(lines: list[dict[str, str]], *, noise: bool) -> str:
    columns = (
        ("false_share", "shd") if noise else ("auprc", "f1", "shd", "auroc", "auprc_allowed", "f1_allowed")
    )
    heads = {
        "false_share": "false edges, share of allowed pairs", "auprc": "AUPRC", "f1": "F1", "shd": "SHD",
        "auroc": "AUROC", "auprc_allowed": "AUPRC allowed", "f1_allowed": "F1 allowed",
    }  # fmt: skip
    text = ["engine | tables | " + " | ".join(heads[c] for c in columns) + " | forbidden edges | CPU-s"]
    text.append(" | ".join(["---"] * (len(columns) + 4)))
    for (engine,), mine in _by(lines, "engine").items():
        means = [f"{statistics.fmean(float(v[c]) for v in mine):.3f}" for c in columns]
        forbidden = sum(float(v["forbidden"]) for v in mine)
        spent = statistics.fmean(float(v["cpu_s"]) for v in mine)
        name = NAMES.get(engine, engine)
        text.append(f"{name} | {len(mine)} | {' | '.join(means)} | {forbidden:.0f} | {spent:.2f}")
    return "\n".join(text)


def main() -> None:
    """Measure, or write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engines", nargs="*")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--report", type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")  # third parties'
    measure(given.engines, given.out, given.kinds, given.rows)
    if given.report:
        head = given.report.read_text(encoding="utf-8").partition("\n# Results\n")[0].rstrip() + "\n"
        given.report.write_text(head + report(given.out), encoding="utf-8")
    else:
        sys.stdout.write(_brief(given.out))


def _brief(out: Path) -> str:
    return report(out).partition("\n## Every value")[0] + "\n"


if __name__ == "__main__":
    main()
