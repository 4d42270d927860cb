"""The user's checkout: its identity, its copy, its data, and the script that runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from energy_plugin.declare.case import Case, Program
from energy_plugin.declare.catalog import Catalog, Repository, load_catalog
from energy_plugin.errors import ExecutorError, UsageError
from energy_plugin.run import checkout
from energy_plugin.run.checkout import Data, with_checkouts
from energy_plugin.run.data import DataStore
from energy_plugin.run.executors.local import LocalExecutor
from tests.originals import snapshot, write_original

RESNET = "pytorch_resnet_cifar10"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout of the residual networks that is no checkout of git's."""
    return write_original(RESNET, tmp_path / "src")


def catalog_with(folder: Path, repository: str = RESNET) -> Catalog:
    return with_checkouts(load_catalog(), {repository: folder}, folder.parent / "results")


def original(folder: Path, repository: str = RESNET) -> Repository:
    return catalog_with(folder, repository).repositories[repository]


def program(model: str = "resnet20", repository: str = RESNET, **values: float) -> Program:
    defaults = load_catalog().model(f"{repository}/{model}").defaults()
    return Program(repository=repository, model=model, values={**defaults, **values})


def git(folder: Path, *arguments: str) -> str:
    own = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *own, "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return git(folder, "rev-parse", "HEAD")


# --- identity -------------------------------------------------------------------------------------


def test_the_commit_is_told_and_whether_it_was_changed(folder: Path) -> None:
    sha = commit(folder)
    facts = original(folder).original
    assert (facts["commit"], facts["dirty"]) == (sha, False)
    (folder / "resnet.py").write_text("# changed\n")
    assert original(folder).original["dirty"]


def test_a_folder_inside_another_checkout_has_no_commit_of_its_own(folder: Path) -> None:
    commit(folder.parent)
    assert original(folder).original["commit"] is None


def test_every_change_of_a_file_is_another_source(folder: Path) -> None:
    commit(folder)
    (folder / ".gitignore").write_text("scratch\n")
    seen = [original(folder).sources]
    (folder / "scratch").write_text("ignored by git")
    assert original(folder).sources == seen[0]
    for path, text in {"resnet.py": "# changed", "new.py": "", "other.py": ""}.items():
        (folder / path).write_text(text)
        seen.append(original(folder).sources)
    (folder / "new.py").unlink()
    seen.append(original(folder).sources)
    assert len(set(seen)) == len(seen)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "second")
    assert original(folder).sources == seen[-1]


def test_without_git_every_file_that_is_not_hidden_counts(folder: Path) -> None:
    before = original(folder).sources
    (folder / ".cache").write_text("x")
    assert original(folder).sources == before
    (folder / "data" / "more").write_text("x")
    assert original(folder).sources != before


def test_the_case_key_is_another_than_that_of_our_own_program(folder: Path) -> None:
    case = Case(programs=(program(),))
    keys = {
        case.key(sources={RESNET: c.repositories[RESNET].sources}, base="b", executor="local")
        for c in (load_catalog(), catalog_with(folder))
    }
    assert len(keys) == 2


def test_a_model_has_only_what_the_original_can_be_told(folder: Path) -> None:
    model = original(folder).models["resnet20"]
    assert set(model.hyperparameters) == {"epochs", "learning_rate", "weight_decay", "batch_size"}
    assert set(load_catalog().model(model.path).hyperparameters) - set(model.hyperparameters) == {"seed"}


def test_the_plan_guesses_all_epochs_of_an_original_that_cannot_be_told_how_many(tmp_path: Path) -> None:
    write_original("VulBERTa", tmp_path / "src")
    model = original(tmp_path / "src", "VulBERTa").models["mlp"]
    ours = load_catalog().model("VulBERTa/mlp")
    assert model.estimate_s({}, None) == ours.estimate_s(ours.defaults(), None)


# --- data -----------------------------------------------------------------------------------------


def test_the_users_data_come_first_then_the_checkouts(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own" / RESNET
    own.mkdir(parents=True)
    repository = original(folder)
    with_own = DataStore(load_catalog(), tmp_path / "own", cache=tmp_path / "cache")
    without = DataStore(load_catalog(), None, cache=tmp_path / "cache")
    assert checkout.data_of(repository, "resnet20", with_own) == Data(own, "user")
    assert checkout.data_of(repository, "resnet20", without) == Data(None, "checkout")


def test_a_checkout_with_a_part_of_the_data_is_given_all_of_ours(tmp_path: Path) -> None:
    name = "bug-localization-by-dnn-and-rvsm"
    folder = write_original(name, tmp_path / "src")
    (folder / "data").mkdir()
    (folder / "data" / "Eclipse_Platform_UI.txt").write_text("theirs")
    repository = original(folder, name)
    found = checkout.data_of(repository, "default", DataStore(load_catalog(), None, cache=tmp_path / "cache"))
    assert found.source == "stand-in"
    checkout.copy(folder, tmp_path / "copy", repository.checkouts["default"], found)
    assert (tmp_path / "copy" / "data" / "Eclipse_Platform_UI.txt").read_text() != "theirs"
    assert (tmp_path / "copy" / "data" / "features.csv").is_file()
    assert (folder / "data" / "Eclipse_Platform_UI.txt").read_text() == "theirs"


# --- copy and script ------------------------------------------------------------------------------


def test_the_copy_has_no_history_and_keeps_links(folder: Path, tmp_path: Path) -> None:
    commit(folder)
    (folder / "away").symlink_to("/nowhere")
    checkout.copy(folder, tmp_path / "copy", original(folder).checkouts["resnet20"], Data(None, "checkout"))
    assert not (tmp_path / "copy" / ".git").exists()
    assert os.readlink(tmp_path / "copy" / "away") == "/nowhere"
    assert (tmp_path / "copy" / "data" / "cifar-10-batches-py" / "real").is_file()


def test_a_file_that_cannot_be_copied_is_said(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(ExecutorError, match="could not be copied"):
        checkout.copy(folder, tmp_path / "copy", original(folder).checkouts["resnet20"], Data(None, ""))


@pytest.mark.parametrize("links", [True, False])
def test_the_script_can_make_the_copy_itself_from_a_read_only_mount(
    folder: Path, tmp_path: Path, links: bool
) -> None:
    commit(folder)
    (folder / ".hidden").write_text("x")
    table = replace(original(folder).checkouts["resnet20"], template="pwd && ls -A . data/*")
    data = tmp_path / "my data" / "cifar-10-batches-py"
    data.mkdir(parents=True)
    (data / "mine").touch()
    work, before = tmp_path / "my work", snapshot(folder)
    script = checkout.script(
        table, program(), work=str(work), data=str(data.parent), output="/o", source=str(folder), links=links
    )
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    words = done.stdout.split()
    assert str(work) in done.stdout
    assert {"trainer.py", ".hidden", "mine" if links else "real"} <= set(words)
    assert not {".git", "real" if links else "mine"} & set(words)
    assert snapshot(folder) == before


def test_the_script_ends_with_the_exit_code_of_the_original(folder: Path, tmp_path: Path) -> None:
    table = replace(original(folder).checkouts["resnet20"], template="true && exit 7")
    script = checkout.script(table, program(), work=str(tmp_path), data="", output="/o")
    assert subprocess.run(["/bin/sh", "-c", script]).returncode == 7
    gone = checkout.script(table, program(), work=str(tmp_path / "gone"), data="", output="/o")
    assert subprocess.run(["/bin/sh", "-c", gone], capture_output=True).returncode not in (0, 7)


def test_in_a_pair_the_original_starts_when_it_may(folder: Path, tmp_path: Path) -> None:
    catalog = catalog_with(folder)
    executor = LocalExecutor(catalog, DataStore(catalog, None, cache=tmp_path / "cache"))
    go = tmp_path / "go"
    job = executor.prepare(program(epochs=2), tmp_path / "out", go=go)
    job.start(lambda: None)
    time.sleep(0.3)
    assert job.poll() is None
    assert job.log.read_bytes() == b""
    go.touch()
    exit_ = job.close()
    assert exit_.code == 0
    assert job.log.read_bytes().startswith(b"current lr")


def test_an_original_has_a_home_of_its_own_and_the_running_interpreter(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "users"))
    monkeypatch.setenv("SECRET_TOKEN", "x")
    (folder / "trainer.py").write_text(
        "import os, site, sys\n"
        "print(sys.executable, os.environ['HOME'], site.getuserbase(), os.environ.get('SECRET_TOKEN'))\n"
        "open(os.path.expanduser('~/written'), 'w')\n"
        "print(os.environ['HF_HUB_OFFLINE'], os.environ['MPLBACKEND'])\n"
    )
    catalog = catalog_with(folder)
    executor = LocalExecutor(catalog, DataStore(catalog, None, cache=tmp_path / "cache"))
    job = executor.prepare(program(), tmp_path / "out")
    job.start(lambda: None)
    assert job.close().code == 0
    first, second = job.log.read_text().splitlines()
    executable, home, base, secret = first.split()
    assert Path(executable).parent == Path(sys.executable).parent
    assert not Path(home).exists(), "removed at the end"
    assert str(tmp_path / "out") in home
    assert not base.startswith(home)
    assert (secret, second) == ("None", "1 Agg")
    assert not (tmp_path / "users" / "written").exists()


def test_nothing_is_left_when_a_job_never_started(folder: Path, tmp_path: Path) -> None:
    catalog = catalog_with(folder)
    executor = LocalExecutor(catalog, DataStore(catalog, None, cache=tmp_path / "cache"))
    job = executor.prepare(program(), tmp_path / "out")
    assert job.close().code is None
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["output"]


def test_an_unknown_repository_and_one_without_a_table_are_refused(folder: Path) -> None:
    catalog = load_catalog()
    with pytest.raises(UsageError, match="Did you mean 'pytorch_resnet_cifar10'"):
        with_checkouts(catalog, {"pytorch_resnet_cifar": folder}, folder.parent)
    bare = replace(catalog.repositories[RESNET], checkouts={})
    with pytest.raises(UsageError, match=r"no table \[checkout\]"):
        with_checkouts(replace(catalog, repositories={RESNET: bare}), {RESNET: folder}, folder.parent)
