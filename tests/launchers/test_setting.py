"""The setting that says where trainings run, and its errors of one line."""

from pathlib import Path

import pytest

from hlx_assets.curriculum.settings import launcher_named
from hlx_assets.launchers.setting import launcher_of
from hlx_assets.launchers.slurm import Slurm
from tests.support.dagster_home import curriculum_program
from tests.support.waiting import PATIENCE

KUBERNETES = "kubernetes image=hlx-brain claim=hlx-home"


@pytest.mark.parametrize("text", [
    "local", "local gpus=2", "torchrun processes=4", "slurm", "slurm partition=gpu gpus=1 trainings=4",
    "slurm time=2-00:00:00 cpus=8", "slurm partition=a,b account=hlx_1 time=90 gpus=2 cpus=4 processes=2",
    "kubernetes namespace=hlx image=hlx-brain claim=hlx-home",
    "kubernetes namespace=hlx image=localhost:5000/a/b_c:1.0-cuda claim=hlx-home gpus=2 cpus=8 memory=1.5Gi time=2d",
    f"kubernetes namespace=hlx image=ghcr.io/a/hlx@sha256:{'0a' * 32} claim=a1 processes=2",
])  # fmt: skip
def test_a_setting_is_read_as_it_is_written(text: str) -> None:
    assert set(str(launcher_of(text)).split()) == set(text.split())
    assert launcher_of(f"  {text.replace(' ', '   ')} ") == launcher_of(text)


@pytest.mark.parametrize(("text", "error"), [
    ("here", "choose one of local, torchrun, slurm, kubernetes"),
    ("Slurm", "choose one of local, torchrun, slurm, kubernetes"),
    ("local gpu=1", "local has no option 'gpu': its options are gpus"),
    ("slurm gpu=1", "slurm has no option 'gpu': its options are gpus, cpus, processes, trainings, partition"),
    ("slurm --wrap=rm", "slurm has no option '--wrap': its options are gpus"),
    ("slurm gpus", "write the option gpus of slurm once, as gpus=value"),
    ("slurm gpus=", "write the option gpus of slurm once, as gpus=value"),
    ("slurm gpus=1 gpus=2", "write the option gpus of slurm once, as gpus=value"),
    ("slurm gpus=0", "slurm: gpus is '0': it must be a whole number above 0"),
    ("slurm gpus=many", "slurm: gpus is 'many': it must be a whole number above 0"),
    ("slurm trainings=1001", "slurm: trainings is '1001': it must be a whole number from 1 to 1000"),
    ("local gpus=0", "local: gpus is '0': it must be a whole number from 1 to 1000"),
    ("slurm partition=--uid=0", "slurm: partition is '--uid=0': it must be a name in Slurm"),
    ("slurm partition=a;b", "slurm: partition is 'a;b': it must be a name in Slurm"),
    ("slurm time=tomorrow", "slurm: time is 'tomorrow': it must be a time of Slurm, such as 90 (minutes)"),
    ("kubernetes", "kubernetes: needs namespace=…, a DNS label: small letters, digits and -"),
    (f"{KUBERNETES} namespace=HLX", "kubernetes: namespace is 'HLX': it must be a DNS label"),
    (f"{KUBERNETES} namespace=a/b", "kubernetes: namespace is 'a/b': it must be a DNS label"),
    (f"{KUBERNETES} namespace={'a' * 64}", "it must be a DNS label"),
    ("kubernetes namespace=hlx claim=home", "kubernetes: needs image=…, an image, such as registry.example.org/"),
    ("kubernetes namespace=hlx claim=home image=Hlx:cuda", "kubernetes: image is 'Hlx:cuda': it must be an image"),
    ("kubernetes namespace=hlx claim=home image=a::b", "kubernetes: image is 'a::b': it must be an image"),
    ("kubernetes namespace=hlx claim=home image=--x", "kubernetes: image is '--x': it must be an image"),
    ("kubernetes namespace=hlx image=a claim=-a", "kubernetes: claim is '-a': it must be a DNS label"),
    (f"{KUBERNETES} namespace=a memory=16", "kubernetes: memory is '16': it must be memory, such as 16Gi"),
    (f"{KUBERNETES} namespace=a memory=0Gi", "kubernetes: memory is '0Gi': it must be memory, such as 16Gi"),
    (f"{KUBERNETES} namespace=a time=1-0", "kubernetes: time is '1-0': it must be a time, such as 90m, 12h or 2d"),
    ("torchrun", "torchrun: needs processes=…, a whole number above 0"),
])  # fmt: skip
def test_what_is_wrong_is_one_line(text: str, error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"^HLX_TRAINER is ") as found:
        monkeypatch.setenv("HLX_TRAINER", text)
        launcher_named(None)
    assert error in str(found.value) and "\n" not in str(found.value)
    with pytest.raises(ValueError, match=r"^trainer is ") as found:
        launcher_named(text)
    assert error in str(found.value)


def test_a_run_may_name_another_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HLX_TRAINER", "slurm partition=gpu")
    assert launcher_named(None) == Slurm(partition="gpu")
    assert str(launcher_named("local")) == "local"
    monkeypatch.delenv("HLX_TRAINER")
    assert str(launcher_named(None)) == "local"


def test_a_missing_client_of_slurm_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match="the trainer is slurm gpus=1, and srun and scancel cannot be found"):
        launcher_of("slurm gpus=1").require()


def test_each_option_reaches_srun() -> None:
    slurm = launcher_of("slurm partition=gpu account=hlx time=1-0 gpus=2 cpus=3")
    assert isinstance(slurm, Slurm)
    assert slurm.options("hlx-1") == [
        "--job-name=hlx-1", "--nodes=1", "--ntasks=1", "--partition=gpu", "--account=hlx", "--time=1-0", "--gpus=2",
        "--cpus-per-task=6",
    ]  # fmt: skip


def test_make_curriculum_names_what_is_missing_before_anything_starts(tmp_path: Path) -> None:
    environment = {"DAGSTER_HOME": tmp_path, "HLX_TRAINER": "slurm", "PATH": tmp_path}
    with curriculum_program(**environment) as process:
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1 and "the trainer is slurm, and srun and scancel cannot be found" in said
    assert not list((tmp_path / "artifacts").rglob("*.parquet"))
