"""Values on their way out: pytest-benchmark, status words, header, replay, strict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.record.journal import records, session_facts
from tests.conftest import lines_with, summary

if TYPE_CHECKING:
    from tests.conftest import Project


def replayed(project: Project, joules: float) -> str:
    """A file of recorded joules for every case, as an option."""
    path = project.folder / f"replay-{joules:g}.json"
    channel = {"meter": "perf", "channel": "cpu:package:0", "kind": "direct", "joules": joules}
    path.write_text(json.dumps({"cases": {"*": [channel]}}))
    return f"--energy-replay={path}"


def benchmark_json(project: Project) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((project.folder / "out.json").read_text())
    return data


def run_replay(project: Project, joules: float, *arguments: str) -> Any:
    return project.run("--energy-meters", "replay", replayed(project, joules), *arguments)


def test_benchmark_json_carries_the_value_and_everything_else(project: Project) -> None:
    project.case("good")
    done = run_replay(project, 400.0, "--benchmark-json=out.json")
    assert done.returncode == 0, done.stdout
    (benchmark,) = benchmark_json(project)["benchmarks"]
    assert benchmark["stats"]["mean"] == 400.0
    info = benchmark["extra_info"]
    assert info["value"] == "total_energy_joules"
    assert info["total_energy_joules"] == 400.0
    assert info["duration_seconds"] > 0
    assert info["hyperparam_epochs"] == 2
    assert info["perf_accuracy"] == 0.9


def test_every_estimator_of_the_session_has_its_columns_and_is_compared(project: Project) -> None:
    read = {
        ("perf", "cpu:package:0", "direct"): 100.0,
        ("nvml", "gpu:x", "model"): 260.0,
        ("acme", "cpu", "model"): 120.0,
    }
    channels = [
        {"meter": m, "channel": c, "kind": kind, "joules": joules} for (m, c, kind), joules in read.items()
    ]
    file = project.folder / "recorded.json"
    file.write_text(json.dumps({"cases": {"*": channels}}))
    project.case("good")
    value = "--energy-value=estimate_nvml_joules"
    arguments = (f"--energy-replay={file}", "--energy-report=always", value, "--benchmark-json=out.json")
    done = project.run("--energy-meters", "replay", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert benchmark_json(project)["benchmarks"][0]["stats"]["mean"] == 260.0
    (row,) = summary(project.session)
    assert (row["total_energy_joules"], row["total_energy_status"]) == ("100.0", "partial")
    for name, joules in {"nvml": "260.0", "acme": "120.0"}.items():
        assert (row[f"estimate_{name}_joules"], row[f"estimate_{name}_status"]) == (joules, "estimated")
    assert (row["estimate_codecarbon_joules"], row["estimate_codecarbon_status"]) == ("", "unavailable")
    report = json.loads((project.session / "report.json").read_text())
    compared = {(a["estimator"], a["part"]): a for a in report["agreement"]}
    assert compared["acme", "cpu"]["bias_pct"] == pytest.approx(20.0)
    assert ("nvml", "total") in compared


@pytest.mark.parametrize(("joules", "code"), [(480.0, 1), (404.0, 0)])
def test_compare_fail_sees_twenty_percent_more_joules(project: Project, joules: float, code: int) -> None:
    project.case("good")
    assert run_replay(project, 400.0, "--benchmark-save=base").returncode == 0
    done = run_replay(project, joules, "--benchmark-compare", "--benchmark-compare-fail=mean:5%")
    assert done.returncode == code, done.stdout
    assert lines_with(done.stdout, "results: ")


def test_joules_are_not_compared_with_seconds(project: Project) -> None:
    project.case("good")
    run_replay(project, 400.0, "--benchmark-save=base")
    done = run_replay(project, 400.0, "--benchmark-compare", "--energy-value=duration_seconds")
    assert done.returncode != 0
    assert "give --energy-value total_energy_joules" in done.stdout + done.stderr


def test_value_falls_to_duration_where_no_joules_are_and_says_so(project: Project) -> None:
    project.case("good")
    project.run("--benchmark-json=out.json")
    (benchmark,) = benchmark_json(project)["benchmarks"]
    assert benchmark["extra_info"]["value"] == "duration_seconds"
    (record,) = records(project.session)
    assert benchmark["stats"]["mean"] == pytest.approx(record.duration_s)
    assert session_facts(project.session)["value"] == "duration_seconds"


def test_runs_without_pytest_benchmark(project: Project) -> None:
    project.case("good")
    assert project.run("-p", "no:benchmark").returncode == 0


def test_verbose_word_is_joules_when_measured(project: Project) -> None:
    project.case("good")
    assert lines_with(run_replay(project, 412.0, "-v").stdout, "PASSED 412 J")


def test_verbose_word_is_seconds_with_the_estimate_named(project: Project) -> None:
    project.case("good")
    done = project.run("-v", "--energy-tdp", "cpu=65")
    assert lines_with(done.stdout, "PASSED", " s (about", "by calculator)")


def test_header_says_host_meters_executor_and_seed(project: Project) -> None:
    project.case("good")
    out = project.run("--energy-meters", "perf,calculator", "--energy-seed", "9").stdout
    assert lines_with(out, "energy: ", "CPUs", "Linux")
    assert lines_with(out, "energy: executor local", "seed 9")
    assert lines_with(out, "energy: calculator: unavailable cpu: no-tdp")
    assert lines_with(out, "NO DIRECT METER LIVES HERE")


def test_header_stays_silent_without_cases(project: Project) -> None:
    (project.folder / "test_other.py").write_text("def test_it(): pass\n")
    done = project.run()
    assert "energy:" not in done.stdout
    assert not (project.folder / "results").exists()


def test_strict_stops_before_the_first_run(project: Project) -> None:
    project.case("good")
    done = project.run("--energy-strict")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "calculator cpu: no-tdp, --energy-tdp cpu=" in done.stdout + done.stderr
    assert not list(project.folder.glob("results/*/journal.jsonl"))


def test_eta_counts_down_and_status_file_follows(project: Project) -> None:
    project.case("good", replicates=3)
    out = project.run().stdout
    assert lines_with(out, "1 of 3 cases", "left")
    assert lines_with(out, "3 of 3 cases", "done")
    status = json.loads((project.session / "status.json").read_text())
    assert (status["planned"], status["done"], status["failed"]) == (3, 3, 0)


def test_cooldown_is_zero_with_its_reason_where_nothing_shows_rest(project: Project) -> None:
    project.case("good", replicates=2)
    project.run()
    assert [(record.cooldown.seconds, record.cooldown.reason) for record in records(project.session)] == [
        (0.0, "first case"),
        (0.0, "no temperature or power channel lives here"),
    ]


def test_hooks_add_a_meter_and_see_each_record(project: Project) -> None:
    (project.folder / "conftest.py").write_text(
        'pytest_plugins = ["energy_plugin.plugin"]\n'
        "from energy_plugin.meters.calculator import CalculatorMeter\n"
        "def pytest_energy_meters(config):\n"
        "    meter = CalculatorMeter({'cpu': 7})\n"
        "    meter.name = 'mine'\n"
        "    return [meter]\n"
        "def pytest_energy_case_done(config, record):\n"
        "    print('DONE', record.case.id)\n"
    )
    project.case("good")
    done = project.run("-s")
    assert "DONE tiny-good-alone-default-r1" in done.stdout
    assert [r.joules for r in records(project.session)[0].readings if r.joules]


@pytest.mark.slow
def test_ten_thousand_cases_collect_in_four_seconds_of_cpu(project: Project) -> None:
    """A generous ceiling on a busy machine; tests/benchmarks measures the real figure."""
    import resource

    project.declare(
        "@experiments('tiny/good', design=one_at_a_time('learning_rate', levels=2000), replicates=5)\n"
        "def test_many(case, measure): measure(case)\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = project.run("--collect-only", "-q")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "10005 tests collected" in done.stdout or "1000" in done.stdout.splitlines()[-1]
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 8


def test_report_that_fails_keeps_the_measurements_and_says_so(project: Project) -> None:
    project.case("good")
    broken = project.folder / "causal_report"
    broken.mkdir()
    (broken / "__init__.py").write_text("")
    (broken / "__main__.py").write_text("raise SystemExit('planned failure')")
    project.environment["PYTHONPATH"] = f"{project.folder}:{project.environment['PYTHONPATH']}"
    done = project.run("--energy-report", "always")
    assert done.returncode == 9
    assert "planned failure" in done.stdout
    assert Path(project.session, "summary.csv").is_file()
