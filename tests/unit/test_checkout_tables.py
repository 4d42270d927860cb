"""The table [checkout]: merged by model, filled in, and every mistake named."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from energy_plugin.declare.catalog import load_catalog
from energy_plugin.errors import FileError

if TYPE_CHECKING:
    from pathlib import Path

    from energy_plugin.declare.checkout import Checkout

TABLE = """
[checkout]
origin = "https://example.org/tiny"
commit = "abc"
script = "main.py"
weights = "random"
sets = ["epochs"]
command = "python3 main.py --epochs {epochs}"

[checkout.patterns]
start = ['begin']
epoch = ['done']
final = ['acc (?P<accuracy>[0-9.]+)']
"""


def tables(images: Path, text: str) -> dict[str, Checkout]:
    """The checkouts of ``tiny`` with *text* after its catalogue entry."""
    file = images / "tiny" / "repository.toml"
    if "[checkout]" in file.read_text():
        file.write_text(file.read_text().partition("[checkout]")[0])
    file.write_text(file.read_text() + text)
    return dict(load_catalog(images).repositories["tiny"].checkouts)


def test_a_table_holds_for_every_model(images: Path) -> None:
    found = tables(images, TABLE)
    assert set(found) == set(load_catalog(images).repositories["tiny"].models)
    assert found["good"].command({"epochs": 3}, data="/d", output="/o") == "python3 main.py --epochs 3"
    assert (found["good"].workdir, found["good"].uncertainty_s, found["good"].uses_data) == (".", 0.5, False)


def test_no_table_is_no_checkout(images: Path) -> None:
    assert tables(images, "") == {}


def test_a_models_own_table_is_laid_over_key_by_key(images: Path) -> None:
    more = """
[checkout.models.good]
workdir = "sub folder"
links = { "data/x" = "x" }
[checkout.models.good.patterns]
final = ['other (?P<accuracy>[0-9.]+)']
"""
    found = tables(images, TABLE + more)
    assert (found["good"].workdir, found["crash"].workdir) == ("sub folder", ".")
    assert found["good"].uses_data
    assert found["good"].patterns.final[0].pattern.startswith("other")
    assert found["good"].patterns.epoch == found["crash"].patterns.epoch


def test_places_are_quoted_and_values_are_exact(images: Path) -> None:
    text = TABLE.replace("{epochs}", "{epochs} --data {data}/x --save {output} --arch={model}")
    filled = tables(images, text)["good"].command({"epochs": 0.1 + 0.2}, data="/my data", output="/o$")
    assert (
        filled == "python3 main.py --epochs 0.30000000000000004 --data '/my data'/x --save '/o$' --arch=good"
    )


@pytest.mark.parametrize(
    ("old", "new", "key", "mend"),
    [
        ('origin = "https://example.org/tiny"\n', "", "origin", "must be a text that is not empty"),
        ('weights = "random"', "weights = 3", "weights", "must be a text"),
        ('commit = "abc"', 'comit = "abc"', "comit", "Did you mean 'commit'?"),
        ('sets = ["epochs"]', 'sets = ["epoch"]', "sets", "no such hyperparameter here"),
        ('sets = ["epochs"]', "sets = []", "command", "{epochs} cannot be filled in"),
        ("--epochs {epochs}", "--epochs 3", "sets", "the command has no {epochs}"),
        ("{epochs}", "{epochs} ${HOME}", "command", "{HOME} cannot be filled in"),
        ("{epochs}", "{epochs} {", "command", "write a brace of the shell twice"),
        ("accuracy>[", "acuracy>[", "patterns", "Did you mean 'accuracy'?"),
        ("'acc (?P<accuracy>[0-9.]+)'", "'acc ('", "patterns.final", "no regular expression"),
        ("'acc (?P<accuracy>[0-9.]+)'", "'acc'", "patterns.final", "must have a group"),
        ("final = ['acc (?P<accuracy>[0-9.]+)']", "", "patterns.final", "without it success is unknown"),
        ("final = [", "last = [", "patterns.last", "unknown key 'last'"),
        ("start = ['begin']", "", "patterns.epoch", "where the first epoch starts is unknown"),
        ("start = ['begin']", "start = 'begin'", "patterns.start", "must be a list of regular expressions"),
        ("[checkout.patterns]", 'uncertainty_s = 0\n[checkout.patterns]', "uncertainty_s", "above 0"),
        ("[checkout.patterns]", 'minimum = { lr = 1 }\n[checkout.patterns]', "minimum", "no such hyperp"),
        ("[checkout.patterns]", 'minimum = { epochs = "1" }\n[checkout.patterns]', "minimum", "of numbers"),
        ("[checkout.patterns]", "links = { a = 1 }\n[checkout.patterns]", "links", "must be a text"),
        ("[checkout.patterns]", '[checkout.models.god]\n[checkout.patterns]', "models.god", "'good'"),
    ],
)  # fmt: skip
def test_a_mistake_names_file_key_value_and_mend(
    images: Path, old: str, new: str, key: str, mend: str
) -> None:
    assert old in TABLE
    with pytest.raises(FileError) as caught:
        tables(images, TABLE.replace(old, new))
    text = str(caught.value)
    assert text.startswith(str(images / "tiny" / "repository.toml"))
    assert f"checkout.{key} = " in text
    assert mend in text


def test_the_real_tables_can_all_be_filled_in() -> None:
    catalog = load_catalog()
    for repository in catalog.repositories.values():
        assert set(repository.checkouts) == set(repository.models)
        for name, checkout in repository.checkouts.items():
            defaults = repository.models[name].defaults()
            command = checkout.command(defaults, data="/data", output="/output")
            assert "{" not in command
            assert set(checkout.patterns.metrics) <= set(repository.models[name].metrics), name
            for value in (defaults[setting] for setting in checkout.sets):
                assert repr(value) in command


def test_the_command_of_a_shell_is_valid() -> None:
    shell = shutil.which("sh")
    assert shell
    for repository in load_catalog().repositories.values():
        for name, checkout in repository.checkouts.items():
            command = checkout.command(repository.models[name].defaults(), data="/my data", output="/o")
            done = subprocess.run([shell, "-n", "-c", command], capture_output=True, text=True)
            assert not done.returncode, f"{repository.name}/{name}: {done.stderr}"
