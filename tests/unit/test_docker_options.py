"""What containers are asked for, who owns them, and which engines are refused; without an engine."""

from __future__ import annotations

import os
import platform
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from requests.exceptions import ConnectionError as Refused

from energy_plugin.declare.case import Program
from energy_plugin.errors import ExecutorError, UsageError
from energy_plugin.record.marks import Marks
from energy_plugin.run.executors import container, engine
from energy_plugin.run.executors.dockerjob import DockerJob, _epoch_s
from energy_plugin.run.executors.engine import LABEL, is_orphan, labels_of
from energy_plugin.run.executors.hostpath import HostPaths
from energy_plugin.run.executors.owner import owner
from energy_plugin.run.executors.protocols import Exit
from energy_plugin.run.outcome import failure_of

MINE = labels_of(owner())


def made(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "data": tmp_path,
        "folder": tmp_path,
        "name": "training",
        "limits": container.limits(2, 1.5, 0, ()),
        "environment": {},
        "paths": HostPaths(None),
    }
    return container.options(**given | changes)


# --- options ----------------------------------------------------------------------------------------


def test_container_is_hardened(tmp_path: Path) -> None:
    asked = made(tmp_path)
    assert asked["network_mode"] == "none"
    assert asked["read_only"] is True
    assert asked["cap_drop"] == ["ALL"]
    assert asked["security_opt"] == ["no-new-privileges"]
    assert asked["init"] is True
    assert asked["user"] == (f"{os.getuid()}:{os.getgid()}" if os.getuid() else "1000:1000")
    assert asked["mem_limit"] == asked["memswap_limit"] == 2 * 2**30
    assert asked["nano_cpus"] == 1_500_000_000
    assert asked["pids_limit"] == 4096
    assert "device_requests" not in asked
    assert "auto_remove" not in asked  # the exit code would be lost


def test_only_results_are_writable(tmp_path: Path) -> None:
    mounts = made(tmp_path, go=tmp_path / "start.go")["mounts"]
    assert {mount["Target"]: mount["ReadOnly"] for mount in mounts} == {
        "/data": True,
        "/out": False,
        "/go": True,
    }


def test_barrier_is_named_as_the_program_sees_it(tmp_path: Path) -> None:
    asked = made(tmp_path, go=tmp_path / "start.go")
    assert asked["environment"]["WATTWHY_GO"] == "/go/start.go"


def test_mounts_are_named_by_the_hosts_paths(tmp_path: Path) -> None:
    asked = made(tmp_path, paths=HostPaths({str(tmp_path): "/home/me/study"}))
    assert {mount["Source"] for mount in asked["mounts"]} == {"/home/me/study"}


def test_threads_are_one_unless_the_image_knows_better(tmp_path: Path) -> None:
    assert made(tmp_path)["environment"]["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in made(tmp_path, environment={"OMP_NUM_THREADS": "8"})["environment"]


@pytest.mark.parametrize("path", [Path("relative"), Path("/nonexistent")])
def test_folder_that_cannot_be_mounted_is_refused(tmp_path: Path, path: Path) -> None:
    with pytest.raises(ExecutorError, match=r"data folder.*must exist and be absolute"):
        made(tmp_path, data=path)


def test_limits_without_options_are_the_hosts_less_a_reserve() -> None:
    limits = container.limits(0, 0, 0, ())
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0.85 * host < limits.memory_bytes < host
    assert limits.cpus is None
    assert limits.deadline_s == container.ORPHAN_S


def test_more_processors_than_there_are_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--energy-cpus 4096: this host has \d+"):
        container.limits(0, 4096, 0, ())


def test_deadline_in_the_container_lies_after_the_hosts_own() -> None:
    limits = container.limits(0, 0, 90, ())
    assert limits.deadline_s > 90
    start = container.entrypoint(limits.deadline_s, "training", ["python3", "train.py"])
    assert start[:4] == ["timeout", "-k", "5", str(limits.deadline_s)]
    assert start[-2:] == ["python3", "train.py"]


# --- owners -----------------------------------------------------------------------------------------


def test_own_container_is_no_orphan() -> None:
    assert not is_orphan(MINE, time.time())


@pytest.mark.parametrize(
    "changed",
    [{"pid": "1999999999"}, {"born": "1"}, {"boot": "another"}],
    ids=["process-gone", "process-id-reused", "host-rebooted"],
)
def test_container_of_a_dead_process_is_an_orphan(changed: dict[str, str]) -> None:
    labels = MINE | {f"{LABEL}.{name}": value for name, value in changed.items()}
    assert is_orphan(labels, time.time())


def test_owner_in_another_namespace_is_alive_until_the_deadline() -> None:
    labels = MINE | {f"{LABEL}.pids": "pid:[1]", f"{LABEL}.pid": "12", f"{LABEL}.deadline": "1000"}
    assert not is_orphan(labels, 999)
    assert is_orphan(labels, 1001)


# --- engines ----------------------------------------------------------------------------------------


def test_engine_on_another_kernel_is_refused() -> None:
    engine.check_same_machine({"KernelVersion": platform.release()})
    with pytest.raises(UsageError, match=r"6\.6\.0-linuxkit.*not on this machine's meters"):
        engine.check_same_machine({"KernelVersion": "6.6.0-linuxkit"})


def test_gpus_need_the_runtime_or_a_description_of_nvidia_devices(tmp_path: Path) -> None:
    engine.check_gpus({"Runtimes": {"runc": {}}}, ())
    engine.check_gpus({"Runtimes": {"runc": {}, "nvidia": {}}}, ("GPU-1a",))
    info = {"Runtimes": {"runc": {}}, "CDISpecDirs": [str(tmp_path)]}
    with pytest.raises(UsageError, match="no NVIDIA runtime"):
        engine.check_gpus(info, ("GPU-1a",))
    (tmp_path / "nvidia.yaml").touch()
    engine.check_gpus(info, ("GPU-1a",))


def test_engines_time_stamp_is_read_to_the_millisecond() -> None:
    assert _epoch_s("2026-11-21T22:19:40.250000001Z") == pytest.approx(1795299580.25, abs=1e-3)
    assert _epoch_s("2026-11-21T22:19:40Z") == 1795299580.0


# --- an engine that is lost ---------------------------------------------------------------------------


class Lost:
    """A container whose engine dies while it runs."""

    id = "4f" * 32

    def __init__(self) -> None:
        self.attrs = {"State": {"Pid": 0}}
        self.removed = 0

    def start(self) -> None:
        """The last that works."""

    def reload(self) -> None:
        """So does this."""

    def wait(self, timeout: float | None) -> dict[str, int]:
        raise Refused("connection refused")

    def remove(self, *, force: bool, v: bool) -> None:
        self.removed += 1
        raise Refused("connection refused")


def test_no_exit_code_is_made_up_when_the_engine_is_lost(tmp_path: Path) -> None:
    lost = Lost()
    ended = threading.Event()
    job = DockerJob(lost, tmp_path, "training", {})  # type: ignore[arg-type]
    job.start(ended.set)
    assert ended.wait(5)
    end = job.close()
    assert (end.code, end.reason) == (None, "engine-lost: connection refused")
    assert lost.removed == 1


def test_job_that_never_started_says_why(tmp_path: Path) -> None:
    job = DockerJob(Lost(), tmp_path, "training", {})  # type: ignore[arg-type]
    job.kill("interrupted")
    assert (job.close().code, job.close().reason) == (None, "interrupted")


# --- judging ----------------------------------------------------------------------------------------


def judged(detail: dict[str, Any], device: str, reason: str = "") -> tuple[str, str]:
    program = Program(repository="r", model="m", values={})
    marks = Marks(begin={"device": device}, end={"metrics": {"accuracy": 0.9}})
    exit_ = Exit(code=0, t0_ns=0, t1_ns=1, detail=detail, reason=reason)
    return failure_of(program, exit_, marks, {"r/m": ("accuracy",)}, 0.0)


def test_program_on_the_processor_fails_when_gpus_were_asked_for() -> None:
    assert judged({"gpus": ["GPU-1a"]}, "cpu")[0] == "no-gpu"
    assert judged({"gpus": ["GPU-1a"]}, "cuda") == ("", "")
    assert judged({"gpus": []}, "cpu") == ("", "")


def test_what_the_executor_knows_outweighs_exit_code_zero() -> None:
    assert judged({}, "cpu", "out-of-memory: a child") == ("out-of-memory", "a child")
