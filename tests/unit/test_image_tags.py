"""Names and contents of images: what they are made of decides, without an engine."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from energy_plugin.declare.catalog import default_folder, load_catalog
from energy_plugin.errors import UsageError
from energy_plugin.run import baseimage, images

ROOT = default_folder()


class Engine:
    """As much of an engine as finding an image takes."""

    def __init__(self, found: list[Any]) -> None:
        self.images = self
        self._found = found

    def list(self, filters: dict[str, str]) -> list[Any]:
        return self._found


class Stored:
    """An image in that engine."""

    def __init__(self, tag: str, sources: str, base: str, created: str) -> None:
        self.id, self.tags = f"sha256:{tag}", [tag]
        self.labels = {images.SOURCES: sources, images.BASE: base, images.BASE_IS: base}
        self.attrs = {"Config": {"Env": ["PATH=/bin"], "Entrypoint": ["python3"]}, "Created": created}


def stored(name: str, base: str, created: str, sources: str | None = None) -> Stored:
    repository = load_catalog().repositories[name]
    return Stored(images.tag_of(repository, base), sources or repository.sources, base, created)


def find(names: list[str], *found: Stored) -> dict[str, images.Image]:
    repositories = [load_catalog().repositories[name] for name in names]
    return images.find(Engine(list(found)), repositories)  # type: ignore[arg-type]


def test_every_repository_has_its_dockerfile_and_they_are_alike() -> None:
    texts = {
        name: (repository.folder / "Dockerfile").read_text().replace(name, "NAME")
        for name, repository in load_catalog().repositories.items()
    }
    assert len(texts) == 6
    assert len(set(texts.values())) == 1
    (text,) = set(texts.values())
    assert f"ARG BASE_IMAGE={images.CUDA_BASE}\n" in text
    assert not any(word in text for word in ("--mount", "<<", "--link", "syntax=", "\nRUN"))
    copied = [word for line in text.splitlines() if line.startswith("COPY") for word in line.split()[1:-1]]
    assert all(list(ROOT.glob(word.replace("NAME", name))) for word in copied for name in texts)


def test_tag_is_lower_case_and_names_sources_and_base() -> None:
    repository = load_catalog().repositories["VulBERTa"]
    assert images.tag_of(repository, "local-1") == f"wattwhy/vulberta:{repository.sources[:12]}-local-1"


def test_context_holds_the_contract_and_one_folder_without_caches(tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT, tmp_path / "images")
    (folder / "examples" / "__pycache__").mkdir(exist_ok=True)
    (folder / "examples" / "__pycache__" / "train.pyc").touch()
    with tarfile.open(fileobj=images.context(folder / "examples")) as tar:
        names = tar.getnames()
        assert {member.uid for member in tar} == {0}
    assert {"base/contract.py", "base/prepared.py"} <= set(names)
    assert {"examples/train.py", "examples/repository.toml", "examples/Dockerfile"} <= set(names)
    assert not any("__pycache__" in name or name.startswith("VulBERTa") for name in names)


def test_newest_image_of_the_present_sources_is_taken() -> None:
    old, new = stored("examples", "local-1", "2026-01-01"), stored("examples", "local-2", "2026-02-01")
    assert find(["examples"], old, new)["examples"].base_id == "local-2"


def test_all_repositories_of_a_session_are_on_one_base() -> None:
    found = find(
        ["examples", "VulBERTa"],
        stored("examples", "local-1", "2026-01-01"),
        stored("VulBERTa", "local-1", "2026-01-01"),
        stored("examples", "local-2", "2026-02-01"),
    )
    assert {image.base_id for image in found.values()} == {"local-1"}


def test_tag_alone_does_not_make_an_image_of_these_sources() -> None:
    with pytest.raises(UsageError, match=r"only images of other sources.*wattwhy images build examples"):
        find(["examples"], stored("examples", "local-1", "2026-01-01", sources="0" * 64))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("pytorch/pytorch:2.9", ("pytorch/pytorch", "2.9")),
        ("debian", ("debian", "latest")),
        ("host:5000/own/base", ("host:5000/own/base", "latest")),
    ],
)
def test_port_of_a_registry_is_no_tag(name: str, split: tuple[str, str]) -> None:
    assert images._name_and_tag(name) == split


# --- the local base ---------------------------------------------------------------------------------


def test_local_base_needs_a_debian_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match=r"Debian or Ubuntu host.*--base IMAGE"):
        baseimage.debian_packages()


def test_local_base_needs_the_distributions_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def none_owns(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, "", "no path found")

    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/dpkg-query")
    monkeypatch.setattr(subprocess, "run", none_owns)
    monkeypatch.setattr(sys, "_base_executable", str(tmp_path / "python3"), raising=False)
    with pytest.raises(UsageError, match=r"belongs to no package.*from /usr/bin/python3"):
        baseimage.debian_packages()


def test_local_base_needs_its_distributions() -> None:
    with pytest.raises(UsageError, match=r"needs no-such-distribution.*pip install 'wattwhy\[train\]'"):
        baseimage.python_distributions(("no-such-distribution",))


def test_sources_without_a_compiled_form_get_one(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("x = = 1\n")
    with tarfile.open(tmp_path / "out.tar", "w") as tar:
        baseimage.add_all(tar, {"lib/a.py": tmp_path / "a.py", "lib/broken.py": tmp_path / "broken.py"})
    tag = sys.implementation.cache_tag
    with tarfile.open(tmp_path / "out.tar") as tar:
        assert tar.getnames() == ["lib/a.py", f"lib/__pycache__/a.{tag}.pyc", "lib/broken.py"]
        source, compiled = tar.getmember("lib/a.py"), tar.extractfile(f"lib/__pycache__/a.{tag}.pyc")
        assert compiled is not None
        # Python trusts a compiled form by the source's time and size, found in its bytes 8 to 16
        header = compiled.read(16)
        assert int.from_bytes(header[8:12], "little") == source.mtime
        assert int.from_bytes(header[12:16], "little") == source.size


def test_file_below_a_merged_folder_is_stored_below_usr() -> None:
    assert baseimage._merged("lib") == "lib"
    stored_as = baseimage._merged("lib/x/y.so")
    assert stored_as == ("usr/lib/x/y.so" if Path("/lib").is_symlink() else "lib/x/y.so")
