"""Memory and cores of a container are those of its control group, of either version, if the machine has more."""

import os
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from hlx_model.training import host
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.memory import DoesNotFit, require_memory
from hlx_model.training.settings import Settings

MB = 1_000_000
V2 = {"memory.max": 700 * MB, "memory.current": 300 * MB, "memory.stat": f"anon 5\ninactive_file {50 * MB}\n"}
V1 = {
    "memory.limit_in_bytes": 700 * MB,
    "memory.usage_in_bytes": 300 * MB,
    "memory.stat": f"total_inactive_file {50 * MB}\n",
}
UNLIMITED_V2, UNLIMITED_V1 = {**V2, "memory.max": "max"}, {**V1, "memory.limit_in_bytes": 9223372036854771712}


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(host, "_MOUNT", tmp_path / "cgroup")


def write(folder: Path, files: Mapping[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(f"{content}".rstrip() + "\n")


@pytest.mark.parametrize(
    ("groups", "folders"),
    [
        ("0::/", {".": V2}),  # a container
        ("0::/user.slice/hlx", {"user.slice/hlx": V2}),
        ("0::/user.slice/hlx", {"user.slice/hlx": UNLIMITED_V2, "user.slice": V2}),  # the limit is an outer group's
        ("0::/user.slice/hlx", {"user.slice/hlx": V2, "user.slice": {**V2, "memory.max": 5000 * MB}}),
        ("11:cpu:/x\n4:memory:/docker/ab12", {"memory": V1}),  # a container, whose path is that outside
        ("4:memory:/docker/ab12", {"memory": UNLIMITED_V1, "memory/docker/ab12": V1}),
        ("7:cpu,memory:/job", {"memory/job": V1}),
        ("4:memory:/job\n0::/system", {"memory/job": V1}),  # both versions
    ],
)
def test_the_smaller_of_machine_and_group_counts(
    tmp_path: Path, groups: str, folders: Mapping[str, Mapping[str, object]]
) -> None:
    (tmp_path / "groups").write_text(f"{groups}\n")
    for folder, files in folders.items():
        write(tmp_path / "cgroup" / folder, files)
    assert host.available_host_memory() == 450 * MB


@pytest.mark.parametrize("groups", [None, "", "nonsense", "0::/", "0::/elsewhere", "4:memory:/x", "0::/full"])
def test_without_a_limit_that_can_be_read_it_is_the_machines(tmp_path: Path, groups: str | None) -> None:
    if groups is not None:
        (tmp_path / "groups").write_text(groups)
    write(tmp_path / "cgroup" / "full", {**UNLIMITED_V2, "memory.stat": "?"})
    machine = psutil.virtual_memory().available
    assert 0.5 * machine < host.available_host_memory() < 1.5 * machine


def test_a_training_that_does_not_fit_the_container_is_refused(tmp_path: Path) -> None:
    (tmp_path / "groups").write_text("0::/")
    write(tmp_path / "cgroup", {**V2, "memory.max": 302 * MB})
    with pytest.raises(DoesNotFit, match="50 MiB available"):
        require_memory(Settings(1, "tiny", 1, 8, 512, 1e-4), ExecutionConfig("cpu"))


@pytest.mark.parametrize(
    ("groups", "folders", "cores"),
    [
        ("0::/", {".": {"cpu.max": "150000 100000"}}, 1.5),
        ("0::/a/b", {"a/b": {"cpu.max": "max 100000"}, "a": {"cpu.max": "50000 100000"}}, 0.5),
        ("4:cpu,cpuacct:/job", {"cpu/job": {"cpu.cfs_quota_us": 25000, "cpu.cfs_period_us": 100000}}, 0.25),
        ("4:cpu:/job", {"cpu/job": {"cpu.cfs_quota_us": -1, "cpu.cfs_period_us": 100000}}, None),
        ("0::/", {".": {"cpu.max": "max 100000"}}, None),
        ("0::/", {".": {"cpu.max": "?"}}, None),
        ("0::/", {}, None),
    ],
)
def test_a_quota_limits_the_cores(
    tmp_path: Path, groups: str, folders: Mapping[str, Mapping[str, object]], cores: float | None
) -> None:
    (tmp_path / "groups").write_text(f"{groups}\n")
    for folder, files in folders.items():
        write(tmp_path / "cgroup" / folder, files)
    assert host.usable_cores() == (len(os.sched_getaffinity(0)) if cores is None else cores)
