"""The import rules of the house, and a light start."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGIN, REPORT = ROOT / "energy_plugin", ROOT / "causal_report"
HEAVY = {
    "numpy",
    "pandas",
    "jax",
    "docker",
    "pynvml",
    "codecarbon",
    "torch",
    "scipy",
    "statsmodels",
    "pyarrow",
}
ROOMS = {"declare", "run", "meters", "record"}
ALLOWED = {"declare": set[str](), "record": {"declare"}, "meters": {"record"}, "run": ROOMS}


def imports(file: Path) -> set[str]:
    """Dotted names of every module *file* imports anywhere, also for types and inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def modules(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.rglob("*.py") if "_images" not in path.parts)
    assert files
    return files


def room(name: str) -> str:
    """The room of ``energy_plugin`` a dotted name lies in, empty for its root modules."""
    parts = name.split(".")
    return parts[1] if parts[0] == "energy_plugin" and len(parts) > 1 and parts[1] in ROOMS else ""


@pytest.mark.parametrize("own", sorted(ALLOWED))
def test_room_imports_only_the_rooms_it_may(own: str) -> None:
    for file in modules(PLUGIN / own):
        used = {room(name) for name in imports(file)} - {"", own}
        assert used <= ALLOWED[own], f"{file} imports {used - ALLOWED[own]}"


def test_record_knows_only_case_of_declare() -> None:
    for file in modules(PLUGIN / "record"):
        declared = {name for name in imports(file) if room(name) == "declare"}
        assert all(name.startswith("energy_plugin.declare.case") for name in declared), file


def test_executors_know_neither_session_nor_attempt() -> None:
    for file in modules(PLUGIN / "run" / "executors"):
        names = imports(file)
        assert not any(
            name.startswith(("energy_plugin.run.session", "energy_plugin.run.attempt")) for name in names
        )


def test_attempt_knows_no_pytest() -> None:
    for name in ("attempt.py", "session.py"):
        assert "pytest" not in imports(PLUGIN / "run" / name)


def test_plugin_and_analysis_share_files_only() -> None:
    for file in modules(PLUGIN):
        assert not any(name.startswith("causal_report") for name in imports(file)), file
    forbidden = ("energy_plugin", "pytest", "docker", "pynvml", "images")
    for file in modules(REPORT):
        assert not any(name.split(".")[0] in forbidden for name in imports(file)), file


def test_simulated_hardware_knows_nothing_of_the_plugin() -> None:
    for file in modules(ROOT / "tests" / "simulated"):
        if file.name.startswith("test_"):
            continue
        assert not any(name.startswith("energy_plugin") for name in imports(file)), file


def test_loading_the_plugin_imports_nothing_heavy() -> None:
    code = "import sys, json, energy_plugin.plugin; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert "pytest" in loaded
    assert not loaded & HEAVY


def test_no_module_is_longer_than_400_lines() -> None:
    for folder in (PLUGIN, REPORT, ROOT / "images", ROOT / "tests"):
        for file in modules(folder):
            assert len(file.read_text().splitlines()) <= 400, file
