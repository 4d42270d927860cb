"""Design and settings files as test modules: collected, run, and not run twice."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.record.journal import records, session_facts
from tests.conftest import lines_with

if TYPE_CHECKING:
    from tests.conftest import Project

DESIGN = """
replicates = 2
[[experiments]]
name = "one"
select = "tiny/good"
design = { kind = "explicit", runs = [{ epochs = 1 }, { epochs = 3 }] }
"""
QUICK = ("--energy-warmup", "0", "--energy-order", "declared")


def collected(output: str) -> list[str]:
    return re.findall(r"\[(.+-r\d+)\]", output)


def settings(project: Project, name: str = "settings.json", **changes: Any) -> str:
    """A file of the study's form, with 'tiny' in place of its repositories."""
    table = {
        "experiment_name": "study",
        "runs_per_config": 2,
        "mode": "mutation",
        "experiments": [{"repo": "tiny", "model": "good", "mutate": ["epochs", "learning_rate"]}],
        **changes,
    }
    (project.folder / name).write_text(json.dumps({k: v for k, v in table.items() if v is not None}))
    return name


def test_settings_file_is_collected_when_it_is_named_and_only_then(project: Project) -> None:
    name = settings(project)
    ids = collected(project.run("--collect-only", "-q", name).stdout)
    assert len(ids) == 2
    assert all(re.match(r"tiny-good-alone-epochs:\d-learning_rate:[\d.]+-r1", one) for one in ids)
    assert not collected(project.run("--collect-only", "-q").stdout)


def test_settings_file_runs_and_its_name_is_the_design(project: Project) -> None:
    done = project.run(settings(project))
    assert done.returncode == 0, done.stdout
    assert [r.case.design for r in records(project.session)] == ["study", "study"]


def test_json_of_others_is_left_alone(project: Project) -> None:
    (project.folder / "package.json").write_text('{"name": "x", "dependencies": {}}')
    done = project.run("package.json")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "energy" not in done.stdout


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"experiments": None, "experimens": []}, "Did you mean 'experiments'?"),
        ({"runs_per_confg": 3}, "Did you mean 'runs_per_config'?"),
        (
            {"experiments": [{"repo": "tny", "model": "good", "mutate": ["all"]}]},
            "unknown repository 'tny'. Did you mean 'tiny'?",
        ),
        (
            {"experiments": [{"repo": "tiny", "model": "good", "mutate": ["epoch"]}]},
            "Did you mean 'epochs'?",
        ),
    ],
)
def test_a_slip_in_a_settings_file_names_the_nearest_valid_name(
    project: Project, changes: dict[str, Any], message: str
) -> None:
    done = project.run(settings(project, **changes))
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert message in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_retries_of_a_settings_file_apply_where_nothing_else_is_said(project: Project) -> None:
    crash: dict[str, Any] = {
        "experiments": [{"repo": "tiny", "model": "crash", "mode": "default"}],
        "runs_per_config": 1,
    }
    name = settings(project, max_retries=3, **crash)
    (project.folder / "pytest.ini").write_text("[pytest]\n")
    command = [part for part in project.command(name) if not part.startswith("--energy-retries")]

    def retries(*more: str) -> str:
        subprocess.run([*command, *more], cwd=project.folder, env=project.environment, capture_output=True)
        return str(session_facts(project.session)["options"]["retries"])

    assert retries() == "3"
    assert retries("--energy-retries=4") == "4"
    (project.folder / "pytest.ini").write_text("[pytest]\nenergy_retries = 1\n")
    assert retries() == "1"


def test_settings_files_that_contradict_each_other_are_refused(project: Project) -> None:
    first = settings(project, "first.json", max_retries=1)
    second = settings(project, "second.json", max_retries=2)
    done = project.run("--collect-only", first, second)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "max_retries = 2" in done.stderr
    assert "first.json says 1" in done.stderr


def test_governor_of_a_settings_file_reaches_the_host(project: Project) -> None:
    sysfs = project.folder / "sys"
    cpu = sysfs / "devices/system/cpu/cpu0/cpufreq"
    cpu.mkdir(parents=True)
    (sysfs / "class").mkdir()
    (cpu / "scaling_governor").write_text("powersave\n")
    done = project.run(settings(project, governor="performance"), f"--energy-sysfs={sysfs}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert session_facts(project.session)["governor"]["during"] == {"performance": 1}
    assert (cpu / "scaling_governor").read_text().strip() == "powersave"


def test_an_earlier_session_is_not_run_again(project: Project) -> None:
    (project.folder / "one.toml").write_text(DESIGN)
    first = project.run("one.toml", *QUICK)
    assert "4 passed" in first.stdout
    (project.folder / "two.toml").write_text(DESIGN.replace("replicates = 2", "replicates = 3"))
    before = project.session
    again = project.run("two.toml", "--energy-earlier", str(before), *QUICK)
    assert "2 passed, 4 deselected" in again.stdout
    assert lines_with(again.stdout, f"energy: 4 of 6 cases were run before in {before}: left out")
    assert sorted(record.case.replicate for record in records(project.session)) == [3, 3]
    both = project.run("two.toml", "--energy-earlier", "results", *QUICK)
    assert "6 deselected" in both.stdout
    assert both.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    assert lines_with(both.stdout, "4 of 6 cases were run before in", before.name)
    plan = project.run("two.toml", f"--energy-earlier={before}", "--energy-plan")
    assert lines_with(plan.stdout, "plan of 2 cases")
    assert lines_with(plan.stdout, "4 of 6 cases were run before")


def test_failed_cases_of_an_earlier_session_are_run_again(project: Project) -> None:
    project.case("crash", "good")
    project.run()
    before = project.session
    again = project.run("--energy-earlier", str(before))
    assert "1 failed, 1 deselected" in again.stdout


def test_history_of_a_settings_file_is_left_out(project: Project) -> None:
    """The study's own bug: it compared 3.000000 epochs with 3, so nothing was ever left out."""
    ids = collected(project.run("--collect-only", "-q", settings(project)).stdout)
    epochs, rate = re.findall(r"epochs:(\d+)-learning_rate:([\d.e-]+)-r1", ids[0])[0]
    (project.folder / "data.csv").write_text(
        "experiment_id,timestamp,repository,model,training_success,hyperparam_epochs,hyperparam_learning_rate\n"
        f"tiny_good_001,t,tiny,good,True,{float(epochs):.6f},{float(rate):.8f}\n"
    )
    name = settings(project, use_deduplication=True, historical_csvs=["data.csv"])
    left = collected(project.run("--collect-only", "-q", name).stdout)
    assert sorted([*left, ids[0]]) == sorted(ids)
    name = settings(project, use_deduplication=False, historical_csvs=["data.csv"])
    assert len(collected(project.run("--collect-only", "-q", name).stdout)) == 2


def test_earlier_that_is_not_there_or_no_table_is_a_usage_error(project: Project) -> None:
    project.case("good")
    done = project.run("--energy-earlier", "nowhere")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--energy-earlier nowhere: no such file or folder" in done.stderr
    (project.folder / "other.csv").write_text("a,b\n1,2\n")
    done = project.run("--energy-earlier=other.csv")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "no summary.csv and no table of the study" in done.stderr


def test_power_limits_multiply_the_cases_and_are_in_their_ids(project: Project) -> None:
    project.case("good")
    ids = collected(project.run("--collect-only", "-q", "--energy-power-limit", "200,250").stdout)
    assert sorted(ids) == [
        "tiny-good-alone-default-power_limit:200-r1",
        "tiny-good-alone-default-power_limit:250-r1",
    ]
    done = project.run("--energy-power-limit", "200")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--energy-power-limit" in done.stdout + done.stderr


def test_pairs_and_loads_are_ordered_in_blocks_with_order_and_seed_recorded(
    project: Project,
) -> None:
    (project.folder / "both.toml").write_text(
        "replicates = 2\n[[experiments]]\nname = 'pairs'\npairs = [['tiny/good', 'tiny/other']]\n"
        "[[experiments]]\nname = 'loaded'\nselect = 'tiny/good'\nbackground = { model = 'tiny/other' }\n"
    )
    ids = collected(project.run("--collect-only", "-q", "both.toml", "--energy-seed", "5").stdout)
    assert [one[-1] for one in ids] == sorted(one[-1] for one in ids)
    done = project.run("both.toml", "-k", "pair", "--energy-seed", "5")
    assert done.returncode == 0, done.stdout
    orders = [record.order for record in records(project.session) if record.case.mode == "pair"]
    assert [order.block for order in orders] == [1, 2]
    assert {(order.seed, order.kind) for order in orders} == {(5, "blocks")}
    assert all(order.index >= 0 for order in orders)


TWO_BLOCKS = """
[[experiments]]
name = "first"
select = "tiny/good"
replicates = 2
design = { kind = "explicit", runs = [{ epochs = 1 }] }

[[experiments]]
name = "second"
select = "tiny/good"
design = { kind = "explicit", runs = [{ epochs = 1 }, { epochs = 3 }] }

[[experiments]]
name = "third"
select = "tiny/good"
design = { kind = "defaults", base = { epochs = 1 } }
"""


def test_a_case_of_several_blocks_runs_once_and_the_header_says_so(project: Project) -> None:
    (project.folder / "blocks.toml").write_text(TWO_BLOCKS)
    result = project.run("blocks.toml", *QUICK)
    assert result.returncode == 0, result.stdout
    found = records(project.session)
    assert [(r.case.programs[0].values["epochs"], r.case.replicate) for r in found] == [
        (1, 1),
        (1, 2),
        (3, 1),
    ]
    assert [r.case.design for r in found] == ["blocks", "blocks", "blocks"]
    assert len({r.case_key for r in found}) == 3
    assert "energy: 2 cases are declared more than once: each runs once" in result.stdout
    again = project.run("blocks.toml", *QUICK, "--energy-resume")
    assert "3 of 3 done" in again.stdout


def test_what_is_selected_alone_runs_though_another_block_declares_it_too(project: Project) -> None:
    (project.folder / "blocks.toml").write_text(TWO_BLOCKS)
    result = project.run("blocks.toml", *QUICK, "-k", "third", "--collect-only", "-q")
    assert collected(result.stdout) == ["tiny-good-alone-default-r1"]


def test_a_case_with_further_parameters_is_asked_for_each_time(project: Project) -> None:
    body = (
        "import pytest\n\n"
        "@pytest.mark.parametrize('time', ['cold', 'warm'])\n"
        "@experiments('tiny/good')\ndef test_both(case, measure, time):\n    assert measure(case).success\n"
    )
    project.declare(body)
    result = project.run("--collect-only", "-q")
    assert "2 tests collected" in result.stdout


def test_what_the_catalogue_refuses_names_the_file_and_the_block(project: Project) -> None:
    (project.folder / "fine.toml").write_text(DESIGN)
    (project.folder / "wrong.toml").write_text(TWO_BLOCKS.replace("runs = [{ epochs", "runs = [{ epoch", 1))
    result = project.run("fine.toml", "wrong.toml")
    assert "ERROR: wrong.toml::test_first: unknown hyperparameter of tiny/good 'epoch'" in result.stderr
    assert "Did you mean 'epochs'?" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_every_wrong_file_is_named_at_once(project: Project) -> None:
    (project.folder / "empty.toml").write_text("")
    (project.folder / "wrong.toml").write_text(DESIGN.replace("epochs = 3", "epochs = 0"))
    done = project.run("empty.toml", "wrong.toml")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert lines_with(done.stderr, "empty.toml: experiments = None: write at least one [[experiments]] block")
    assert lines_with(done.stderr, "wrong.toml::test_one: epochs = 0: must be at least 1")


def test_bases_share_the_blocks_of_the_treatments_and_a_short_range_is_told(project: Project) -> None:
    design = "{ kind = 'joint', names = ['epochs'], n = 30, base_replicates = 5 }"
    (project.folder / "short.toml").write_text(
        f"replicates = 2\n[[experiments]]\nselect = 'tiny/good'\ndesign = {design}\n"
    )
    done = project.run("short.toml")
    assert lines_with(done.stdout, "tiny/good: only 3 treatments beside the base for n = 30 (epochs)")
    found = [(r.order.block, r.case.programs[0].label) for r in records(project.session)]
    assert [block for block, _ in found] == [1] * 6 + [2] * 5
    assert [label for block, label in found if block == 2].count("default") == 2
