"""The fixture ``joules`` in test suites of users."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from energy_plugin.record.journal import records
from energy_plugin.run.code import clean_name
from tests.conftest import lines_with, summary
from tests.simulated.hardware import Gpu

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Project

TDP = ("--energy-tdp", "cpu=50")


def write(project: Project, body: str) -> None:
    (project.folder / "test_own.py").write_text("import time\nimport pytest\n" + body)


def test_any_test_measures_its_own_code(project: Project) -> None:
    write(
        project,
        """
@pytest.mark.parametrize(("epochs", "kind"), [(1, "a b"), (2, "a b")])
def test_fit(joules, epochs, kind):
    with joules("step") as m:
        time.sleep(0.05)
        m.metrics["accuracy"] = 0.5
    assert m.record.success
    assert m.estimates_j["calculator"] > 2

def test_call(joules):
    assert joules.measure(divmod, 7, 2).result == (3, 1)

def test_plain():
    pass
""",
    )
    done = project.run("-v", *TDP)
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines_with(done.stdout, "energy: calculator: alive cpu")
    assert lines_with(done.stdout, "NO DIRECT METER LIVES HERE")
    assert lines_with(done.stdout, "test_fit[1-a b] PASSED", "about", "by calculator")
    assert lines_with(done.stdout, "results:", "run_")
    one, two, three = summary(project.session)
    spaced = clean_name("test_fit-a b.step")
    assert spaced.startswith("test_fit-a-b.step-")
    assert [row["model"] for row in (one, two, three)] == [
        spaced,
        spaced,
        "test_call",
    ]
    assert [row["hyperparam_epochs"] for row in (one, two, three)] == ["1", "2", ""]
    assert one["perf_accuracy"] == "0.5"
    facts = json.loads((project.session / "session.json").read_text())
    assert (facts["complete"], facts["done"], facts["executor"]) == (True, 3, "in-process")


def test_without_use_no_session_is_made_and_no_meter_touched(project: Project) -> None:
    write(project, "def test_it(joules):\n    assert joules\n")
    done = project.run("-v")
    assert done.returncode == 0
    assert "energy:" not in done.stdout
    assert not (project.folder / "results").exists()


def test_sections_and_cases_share_one_session(project: Project) -> None:
    project.declare("""
@experiments("tiny/good")
def test_case(case, measure):
    assert measure(case).success

def test_own(joules):
    with joules():
        pass

@experiments("tiny/other")
def test_both(case, measure, joules):
    with joules("around"):
        measure(case)
""")
    done = project.run("--energy-order", "declared", *TDP)
    assert lines_with(done.stdout, "a case needs the meters that an open section of joules has")
    assert lines_with(done.stdout, "1 failed, 2 passed")
    assert [(r["repository"], r["model"]) for r in summary(project.session)] == [
        ("tiny", "good"),
        ("code", "test_own"),
        ("code", "test_both-tiny-other-alone-default-r1.around"),
    ]
    assert records(project.session)[0].executor == "local"
    facts = json.loads((project.session / "session.json").read_text())
    assert set(facts["catalogue"]) == {"tiny", "code"}


def test_a_failing_test_leaves_a_failed_record(project: Project) -> None:
    write(project, "def test_it(joules):\n    with joules():\n        assert 1 == 2\n")
    done = project.run(*TDP)
    assert done.returncode == 1
    assert "assert 1 == 2" in done.stdout
    assert records(project.session)[0].outcomes[0].reason == "exception"


def test_pytest_benchmark_sees_the_value_of_a_section_or_keeps_its_own(project: Project) -> None:
    write(
        project,
        """
def test_section(joules):
    with joules():
        time.sleep(0.1)

def test_own(joules, benchmark):
    with joules("all"):
        benchmark.pedantic(time.sleep, args=(0.01,), rounds=3)
""",
    )
    done = project.run("--benchmark-json=out.json", *TDP)
    assert done.returncode == 0, done.stdout
    found = json.loads((project.folder / "out.json").read_text())
    own, section = sorted(found["benchmarks"], key=lambda b: str(b["name"]))
    assert section["stats"]["mean"] == pytest.approx(0.1, rel=0.5)
    assert section["extra_info"]["model"] == "test_section"
    assert own["stats"]["mean"] == pytest.approx(0.01, rel=0.9)
    assert own["extra_info"]["test_own.all.estimate_calculator_joules"] > 1.4


def test_tests_with_chinese_names_are_chosen_and_told_by_them(project: Project) -> None:
    write(
        project,
        """
@pytest.mark.parametrize("data", ["验证", "训练"])
def test_训练(joules, data):
    with joules("第一步"):
        pass

def test_验证(joules):
    with joules():
        pass
""",
    )
    done = project.run("-v", "-k", "test_训练", "--energy-report=always", *TDP)
    assert done.returncode == 0, done.stdout + done.stderr
    names = ["test_训练-验证.第一步", "test_训练-训练.第一步"]
    told = [(row["model"], row["replicate"]) for row in summary(project.session)]
    assert told == [(name, "1") for name in names]
    for name, record in zip(names, records(project.session), strict=True):
        assert name in record.case.id
        assert (project.session / f"code_{name}_001" / "experiment.json").is_file()
        assert lines_with(done.stdout, f"code/{name}: 1 of 1 attempts succeeded")
        assert name in (project.session / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("status", ["measured", "partial"])
def test_a_partial_run_is_no_benchmark_and_no_warning(project: Project, status: str) -> None:
    write(project, "def test_it(joules):\n    with joules():\n        time.sleep(0.6)\n")
    recorded = project.folder / "recorded.json"
    cpu = {"meter": "perf", "channel": "cpu:package:0", "kind": "direct", "joules": 100.0}
    gpu = {"meter": "nvml", "channel": "gpu:x", "kind": "direct", "joules": 260.0}
    lost = {**gpu, "joules": None, "reason": "gpu-lost"}
    channels = [cpu, gpu if status == "measured" else lost]
    recorded.write_text(json.dumps({"cases": {"*": channels}}))
    done = project.run("--energy-meters=replay", f"--energy-replay={recorded}", "--benchmark-json=out.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout
    said = {
        "measured": "1 of 1 attempts succeeded, 1 s, 360 J measured in 1 attempt",
        "partial": "1 of 1 attempts succeeded, 1 s, 100 J partial in 1 attempt",
    }
    assert lines_with(done.stdout, "code/test_it: ", said[status])
    out = project.folder / "out.json"  # pytest-benchmark writes none without benchmarks
    means = (
        [one["stats"]["mean"] for one in json.loads(out.read_text())["benchmarks"]] if out.exists() else []
    )
    assert means == ([360.0] if status == "measured" else [])


def test_results_that_cannot_be_written_end_the_session(project: Project) -> None:
    (project.folder / "results").write_text("a file")
    write(project, "def test_it(joules):\n    with joules():\n        print('ran')\n")
    done = project.run()
    assert done.returncode == 8
    assert "choose another --energy-results" in done.stdout + done.stderr


@pytest.mark.compiler
def test_joules_beside_passed_are_measured_where_a_meter_lives(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "hardware"
    folder.mkdir()
    gpu = Gpu(folder=folder, t0_ns=time.monotonic_ns(), idle_w=200.0)
    project.environment |= gpu.install()
    write(
        project,
        "def test_it(joules):\n    with joules() as m:\n        time.sleep(0.5)\n    assert m.energy_j",
    )
    done = project.run("-v", "--energy-meters", "nvml")
    assert done.returncode == 0, done.stdout
    (record,) = records(project.session)
    window = record.outcomes[0].windows[0]
    total = record.total()
    assert total.status == "measured"
    assert total.joules == pytest.approx(gpu.energy_j(window.t0_ns, window.t1_ns), rel=0.03)
    assert lines_with(done.stdout, "test_it PASSED", " J ")
    assert record.provenance.get("foreign_gpu_processes", []) == []
