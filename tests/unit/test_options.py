"""Options of designs and sessions: types, checks with their mend, ini twins, what a reproduction keeps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from energy_plugin.errors import UsageError
from energy_plugin.options import CARRIED, plain_options
from energy_plugin.optiontable import OPTIONS

if TYPE_CHECKING:
    from pathlib import Path


def test_every_row_has_a_flag_an_ini_twin_and_a_help_of_one_line() -> None:
    assert len({option.flag for option in OPTIONS}) == len(OPTIONS)
    for option in OPTIONS:
        assert option.ini == option.flag.removeprefix("--").replace("-", "_")
        assert option.help
        assert "\n" not in option.help


def test_everything_carried_is_an_option() -> None:
    assert set(CARRIED) <= {option.name for option in OPTIONS}


def test_nothing_is_asked_for_by_default(tmp_path: Path) -> None:
    options = plain_options({}, tmp_path)
    assert (options.resume, options.governor, options.lock) == ("", "", None)
    assert (options.power_limit, options.earlier) == ((), ())
    assert (options.warmup, options.noise, options.effect) == (30, 0, 0)
    assert options.said == frozenset()


def test_values_are_read_and_relative_paths_are_the_callers(tmp_path: Path) -> None:
    (tmp_path / "old.csv").touch()
    (tmp_path / "run_1").mkdir()
    options = plain_options(
        {"power_limit": "200, 250,200", "lock": "my.lock", "earlier": "old.csv\nrun_1\nold.csv", "warmup": 2},
        tmp_path,
    )
    assert options.power_limit == (200.0, 250.0)
    assert options.lock == tmp_path / "my.lock"
    assert options.earlier == (tmp_path / "old.csv", tmp_path / "run_1")
    assert options.given["power-limit"] == "200, 250,200"
    assert options.given["warmup"] == "2.0"


def test_a_nought_that_was_given_is_carried_and_one_that_is_the_default_is_not(tmp_path: Path) -> None:
    given = plain_options({"cooldown": 0, "retries": 0, "timeout": 0}, tmp_path).given
    assert (given["cooldown"], given["retries"]) == ("0.0", "0")
    assert "timeout" not in given
    assert "memory" not in given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"power_limit": "200W"}, "write watts above 0, such as 200,250"),
        ({"power_limit": "0"}, "write watts above 0"),
        ({"power_limit": "nan"}, "write watts above 0"),
        ({"power_limit": "inf"}, "write watts above 0"),
        ({"warmup": -1}, "must be a number of at least 0"),
        ({"warmup": math.inf}, "must be a number of at least 0"),
        ({"warmup": "long"}, "must be of type float"),
        ({"noise": math.nan}, "must be a number of at least 0"),
        ({"effect": -5}, "must be a number of at least 0"),
        ({"earlier": "nowhere"}, "no such file or folder"),
        ({"order": "random"}, "Valid: blocks, declared"),
    ],
)
def test_wrong_values_are_refused_with_the_mend(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plain_options(given, tmp_path)


def from_pytest(pytester: pytest.Pytester, *arguments: str, ini: str = "") -> dict[str, str]:
    """The options of a pytest run, as text by field."""
    pytester.makeini(f"[pytest]\n{ini}")
    pytester.makeconftest(
        "pytest_plugins = ['energy_plugin.plugin']\n"
        "def pytest_collection_finish(session):\n"
        "    from energy_plugin.state import STATE\n"
        "    options = session.config.stash[STATE].options\n"
        "    for name in ('resume', 'earlier', 'said', 'power_limit', 'governor', 'warmup'):\n"
        "        print('OPTION', name, getattr(options, name), sep='|')\n"
    )
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", *arguments)
    return {line.split("|")[1]: line.split("|")[2] for line in result.outlines if line.startswith("OPTION|")}


def test_a_bare_resume_is_the_latest_and_the_ini_twin_speaks(pytester: pytest.Pytester) -> None:
    assert from_pytest(pytester, "--energy-resume")["resume"] == "latest"
    assert from_pytest(pytester, "--energy-resume=run_1")["resume"] == "run_1"
    assert from_pytest(pytester)["resume"] == ""
    twin = from_pytest(pytester, ini="energy_resume = latest\nenergy_power_limit = 200\n")
    assert (twin["resume"], twin["power_limit"]) == ("latest", "(200.0,)")
    assert twin["said"] == "frozenset({'resume', 'power-limit'})" or twin["said"] == (
        "frozenset({'power-limit', 'resume'})"
    )


def test_a_resume_that_swallowed_what_was_to_be_collected_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pilot.toml").touch()
    for swallowed in ("pilot.toml", "."):
        with pytest.raises(UsageError, match=r"write --energy-resume=latest"):
            plain_options({"resume": swallowed}, tmp_path)
    (tmp_path / "run_1").mkdir()
    (tmp_path / "run_1" / "journal.jsonl").touch()
    assert plain_options({"resume": "run_1"}, tmp_path).resume == "run_1"
    assert plain_options({"resume": "run_2"}, tmp_path).resume == "run_2"


def test_earlier_is_repeatable_and_one_a_line_in_the_ini_file(pytester: pytest.Pytester) -> None:
    for name in ("a.csv", "b.csv"):
        (pytester.path / name).write_text("repository,model,training_success\n")
    two = from_pytest(pytester, "--energy-earlier=a.csv", "--energy-earlier=b.csv")["earlier"]
    assert two.count(".csv") == 2
    twin = from_pytest(pytester, ini="energy_earlier =\n    a.csv\n    b.csv\n")["earlier"]
    assert twin == two
