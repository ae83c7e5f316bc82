"""Several trainings share the GPUs of a machine; here a CPU stands in for each."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from hlx_assets.launchers import child
from hlx_assets.launchers.child import ChildProcess
from hlx_assets.launchers.setting import launcher_of
from tests.support.waiting import wait_for


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, and a trainer that only waits."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setattr(child, "TRAINER", "tests.support.sleeper")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


@contextmanager
def training(text: str = "local gpus=2") -> Iterator[ChildProcess]:
    """A training that was started."""
    with launcher_of(text).start([], {}, "hlx") as trainer:
        assert isinstance(trainer, ChildProcess)
        try:
            yield trainer
        finally:
            trainer.process.kill()
            trainer.process.wait()


def gpu(trainer: ChildProcess) -> str | None:
    """The GPU that a trainer sees."""
    return psutil.Process(trainer.process.pid).environ().get("CUDA_VISIBLE_DEVICES")


def test_each_training_has_a_gpu_of_its_own(home: Path) -> None:
    with training() as first, ExitStack() as stack:
        second = stack.enter_context(training())
        assert [gpu(first), gpu(second)] == ["0", "1"]
        with pytest.raises(ValueError, match="local gpus=2, and each of these GPUs trains a model"), training():
            pass
        stack.close()
        with training() as third:
            assert gpu(third) == "1"


def test_a_gpu_is_busy_until_its_trainer_has_ended(home: Path) -> None:
    with ExitStack() as stack:
        with launcher_of("local gpus=1").start([], {}, "hlx") as left:
            assert isinstance(left, ChildProcess)
            stack.callback(left.process.kill)
        # The process of its run is gone, and the trainer is not.
        with pytest.raises(ValueError, match="trains a model"), training("local gpus=1"):
            pass
        left.process.kill()
        left.process.wait()
        with training("local gpus=1") as trainer:
            assert gpu(trainer) == "0"


def test_visible_gpus_are_those_of_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-8f2a")
    with training() as first, training() as second:
        assert [gpu(first), gpu(second)] == ["3", "GPU-8f2a"]
    with pytest.raises(ValueError, match="has 2: choose fewer"), training("local gpus=3"):
        pass


def test_without_the_option_nothing_is_locked(home: Path) -> None:
    with training("local") as first, training("local") as second:
        wait_for(lambda: gpu(first) is gpu(second) is None)
    assert not list(home.rglob(".gpu-*"))
