"""`hlx doctor` says whether this machine can train, and what to do; nothing that is broken stops it."""

import json
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from hlx_model.cli import doctor
from hlx_model.files import write_json
from hlx_model.layout import TICK
from hlx_model.model import device
from hlx_model.profiles import PROFILES
from hlx_model.runs.liveness import leave_tick
from hlx_model.training import memory
from hlx_model.training.memory import GIB, estimate_disk
from hlx_model.training.plan import settings_of
from tests.support.command import Hlx

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
Doctor = Callable[..., "Found"]


class Found:
    """What the doctor said, by check."""

    def __init__(self, code: int, content: dict[str, Any]) -> None:
        self.code, self.content = code, content

    def __getitem__(self, check: str) -> list[tuple[str, str, str]]:
        return [(c["outcome"], c["found"], c["advice"]) for c in self.content["checks"] if c["check"] == check]

    def one(self, check: str) -> tuple[str, str, str]:
        """Return the one line of a check."""
        (line,) = self[check]
        return line


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("HLX_SHARED", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def examined(hlx: Hlx) -> Doctor:
    """Return a function that runs `hlx doctor --json`, which must say `ready` as its exit code does."""

    def run(*arguments: object) -> Found:
        ran = hlx("doctor", "--json", *arguments)
        content = json.loads(ran.out)
        assert content["ready"] is (ran.code == 0) and ran.err == ""
        assert content["ready"] is all(check["outcome"] != "fail" for check in content["checks"])
        return Found(ran.code, content)

    return run


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Return a function after which torch answers as on a machine with a GPU."""

    def pretend(
        capability: tuple[int, int] = (8, 6), architectures: Sequence[str] = ("sm_80", "sm_86"), *,
        free: float = 7.5, total: float = 8.0, count: int = 1, bf16: bool = True,
    ) -> None:  # fmt: skip
        answers = {
            "is_available": True, "get_device_name": "NVIDIA GeForce RTX 3070", "get_device_capability": capability,
            "get_arch_list": list(architectures), "device_count": count, "is_bf16_supported": bf16,
            "mem_get_info": (int(free * GIB), int(total * GIB)),
        }  # fmt: skip
        for name, answer in answers.items():
            monkeypatch.setattr(torch.cuda, name, lambda *_, _answer=answer, **__: _answer)
        monkeypatch.setattr(torch.version, "cuda", "13.0")
        monkeypatch.setattr(device, "_DRIVER", tmp_path / "driver")
        (tmp_path / "driver").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Mon\n")

    return pretend


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let torch be built for the CPU, on a machine without a driver."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(device, "_DRIVER", tmp_path / "absent")


def test_each_check_has_a_line_on_one_screen(hlx: Hlx, no_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    ran = hlx("doctor")
    lines = ran.out.splitlines()
    assert ran.code == 0 and len(lines) <= 24
    for check in doctor.PROBES:
        assert any(line.split()[:2] in ([sign, check] for sign in ("ok", "warn")) for line in lines), check
    assert lines[-1] == "a training with the profile quick can run here"


@pytest.mark.parametrize(("profile", "sign"), [("quick", "ok"), ("production", "warn")])
def test_a_machine_without_a_gpu_can_train(
    profile: str, sign: str, examined: Doctor, no_gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HLX_PROFILE", profile)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=2**50))
    monkeypatch.setattr(memory, "available_host_memory", lambda: 16.0 * GIB)
    found = examined()
    outcome, text, _ = found.one("device")
    assert (outcome, text) == (sign, "cpu: no GPU found because this torch is built for the CPU alone")
    assert found.code == 0 and found.content["profile"] == profile


def test_a_driver_that_torch_cannot_use_is_named(
    examined: Doctor, gpu: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu()

    def too_old() -> bool:
        warnings.warn("CUDA initialization: The NVIDIA driver on your system is too old", UserWarning, stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", too_old)
    (sign, text, advice), (other, said, _) = examined()["device"]
    assert (sign, other) == ("warn", "warn") and "docs/production.md" in advice
    assert text.startswith("cpu: no GPU found because torch cannot use") and "NVIDIA driver 580.95.05" in text
    assert said == "CUDA initialization: The NVIDIA driver on your system is too old"


def test_a_gpu_is_named_with_driver_capability_and_memory(examined: Doctor, gpu: Callable[..., None]) -> None:
    gpu(count=2)
    found = examined()
    outcome, text, _ = found.one("device")
    assert outcome == "ok" and text == (
        "cuda: NVIDIA GeForce RTX 3070, the first of 2, compute capability 8.6, driver 580.95.05, torch for CUDA 13.0"
    )
    assert ("ok", "7.5 GiB of 8.0 GiB of GPU memory free", "") in found["memory"]
    assert found.one("precision")[1].startswith("bf16")
    (_, quick, _), (sign, production, _) = found["sizes"]
    assert sign == "ok" and "100m 2.7 GiB" in production.partition("; too large: ")[0]
    assert production.endswith("; too large: 500m 9.0 GiB, 1b 18.7 GiB") and "tiny" in quick


def test_a_gpu_that_torch_has_no_code_for_cannot_train(examined: Doctor, gpu: Callable[..., None]) -> None:
    gpu((6, 1), ["sm_75", "sm_80"])
    found = examined()
    sign, text, advice = found.one("device")
    assert found.code == 1 and sign == "fail" and "docs/production.md" in advice
    assert text.endswith(
        "compute capability 6.1, driver 580.95.05, torch for CUDA 13.0, which has code for sm_75 sm_80 alone"
    )


def test_an_older_gpu_computes_in_fp16(examined: Doctor, gpu: Callable[..., None]) -> None:
    gpu((7, 5), ["sm_75"], bf16=False)
    assert examined().one("precision")[1].startswith("fp16")


def test_gpu_memory_that_others_use_is_a_warning(
    examined: Doctor, gpu: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu(free=2.0)
    found = examined()
    assert found.code == 0 and found["memory"][1][0] == "warn" and "nvidia-smi" in found["memory"][1][2]
    # The other profile does not fit: that stops nothing with this one.
    assert [line[0] for line in found["sizes"]] == ["ok", "warn"]
    monkeypatch.setenv("HLX_PROFILE", "production")
    found = examined()
    sign, _, advice = found["sizes"][1]
    assert found.code == 1 and sign == "fail"
    assert "100m with batch size 4 and sequence length 256 needs 2.7 GiB" in advice and "would need" in advice


@needs_gpu
@pytest.mark.gpu
def test_the_gpu_of_this_machine_is_described(examined: Doctor) -> None:
    found = examined()
    sign, text, _ = found.one("device")
    assert sign == "ok" and torch.cuda.get_device_name(0) in text and f"torch for CUDA {torch.version.cuda}" in text
    assert "driver unknown" not in text
    total = torch.cuda.get_device_properties(0).total_memory / GIB
    assert f" of {total:.1f} GiB of GPU memory free" in found["memory"][1][1]
    assert found.one("precision")[1].startswith("bf16") is torch.cuda.is_bf16_supported(including_emulation=False)


@pytest.mark.parametrize(
    ("enough_for", "sign"), [("all phases", "ok"), ("the largest phase", "warn"), ("less than it", "fail")]
)
def test_the_disk_must_have_room_for_the_largest_phase(
    enough_for: str, sign: str, examined: Doctor, no_gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = [estimate_disk(settings_of(phase, PROFILES["production"])) for phase in (1, 2, 3)]
    free = {"all phases": sum(needed), "the largest phase": max(needed), "less than it": max(needed) - 1}[enough_for]
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=int(free)))
    monkeypatch.setattr(memory, "available_host_memory", lambda: 16.0 * GIB)
    assert examined().one("disk")[0] == "ok"  # of quick
    monkeypatch.setenv("HLX_PROFILE", "production")
    found = examined()
    assert found.one("disk")[0] == sign and found.code == (sign == "fail")
    assert "production 34.0 GiB" in found.one("disk")[1]


def test_a_home_is_written_to_and_nothing_is_left(examined: Doctor, home: Path) -> None:
    assert examined().one("home") == ("ok", f"DAGSTER_HOME={home}: has no training yet, and can be written", "")
    assert not home.exists()
    (home / "artifacts" / "training").mkdir(parents=True)
    assert examined().one("home")[:2] == ("ok", f"DAGSTER_HOME={home}: can be written, and files in it locked")
    assert [*home.rglob("*")] == [home / "artifacts", home / "artifacts" / "training"]


def test_a_home_that_cannot_be_used_stops_a_training(
    examined: Doctor, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write_text("a file")
    found = examined()
    assert found.code == 1 and found.one("home")[0] == "fail"
    assert found.one("home")[1].endswith(f"{home}: Not a directory")
    monkeypatch.setenv("DAGSTER_HOME", "~/home")
    found = examined()
    assert found.code == 1 and found.one("home")[1] == "DAGSTER_HOME is '~/home': it must be an absolute path"
    monkeypatch.setenv("DAGSTER_HOME", "home")
    found = examined()
    assert found.code == 1 and found.one("home")[1] == "DAGSTER_HOME is 'home': it must be an absolute path"


def test_a_disk_without_locks_stops_a_training(examined: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", no_locks)
    found = examined()
    assert found.code == 1 and "Function not implemented: this disk does not lock files" in found.one("home")[1]


def test_the_named_folder_is_examined(examined: Doctor, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "training"
    leave_tick(folder)
    found = examined("--checkpoint-dir", folder)
    assert found.one("home")[1].startswith(f"{folder}: ") and f"free in {folder};" in found.one("disk")[1]
    assert found.one("watchdog")[0] == "ok"


def test_it_says_whether_the_watchdog_sleeps(examined: Doctor, home: Path) -> None:
    training = home / "artifacts" / "training"
    sign, text, _ = examined().one("watchdog")
    assert sign == "warn" and text.startswith("asleep: the watchdog has never run here: `make ui` runs it")
    leave_tick(training)
    assert examined().one("watchdog")[:2] == ("ok", "its last check was 0 seconds ago")
    write_json(training / TICK, {"time": time.time() - 3600, "interval": 60.0})
    assert examined().one("watchdog")[1].startswith("asleep: the last check of the watchdog was 3600 seconds ago")


def test_a_wrong_setting_is_a_line_and_the_rest_is_reported(
    examined: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = tmp_path / "corpus.md"
    for name, value in {
        "HLX_PROFILE": "fast", "HLX_SAVE_SECONDS": "7", "HLX_API_TOKEN": "s3cret", "HLX_POSTGRES_URL": "hid:den",
        "HLX_PROFLIE": "quick", "HLX_ABC": "1", "HLX_EVAL": f"{tmp_path / 'exam.md'}", "HLX_CORPUS": f"{document}",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    found = examined()
    assert found.code == 1 and [*doctor.PROBES] == [*dict.fromkeys(c["check"] for c in found.content["checks"])]
    assert found["settings"] == [
        ("warn", "HLX_ABC: hlx reads no variable of this name", ""),
        ("fail", "HLX_PROFILE is 'fast': choose one of quick, production", ""),
        ("warn", "HLX_PROFLIE: hlx reads no variable of this name", "is it HLX_PROFILE?"),
        ("ok", f"HLX_API_TOKEN, HLX_CORPUS={document}, HLX_EVAL={tmp_path / 'exam.md'}, HLX_SAVE_SECONDS=7", ""),
        ("ok", "HLX_POSTGRES_URL: `make ui` and `make curriculum` check them when they start", ""),
        ("fail", f"HLX_CORPUS: {document} does not exist", "name a document"),
        ("warn", f"HLX_EVAL: {tmp_path / 'exam.md'} does not exist", "name a document"),
    ]  # fmt: skip
    assert "s3cret" not in str(found.content) and "hid:den" not in str(found.content)


def test_paths_that_are_not_utf_8_are_shown_by_codes(
    examined: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HLX_CORPUS", f"{tmp_path}/\udcff.md")
    monkeypatch.setenv("DAGSTER_HOME", f"{tmp_path}/\udcfe")
    found = examined()
    assert f"DAGSTER_HOME={tmp_path}/⟨U+DCFE⟩: " in found.one("home")[1]
    assert ("fail", f"HLX_CORPUS: {tmp_path}/⟨U+DCFF⟩.md does not exist", "name a document") in found["settings"]


def test_the_words_that_name_no_document_are_no_missing_files(
    examined: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HLX_CORPUS", "composed")
    monkeypatch.setenv("HLX_EVAL", "default")
    assert examined().one("settings") == ("ok", "HLX_CORPUS=composed, HLX_EVAL=default", "")


def test_without_settings_it_says_so(examined: Doctor) -> None:
    assert examined().one("settings") == ("ok", "no variable is set: defaults apply", "")


def test_alerts_are_counted_and_not_shown(examined: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert examined().one("alerts")[:2] == ("warn", "HLX_ALERTS names no address")
    monkeypatch.setenv("HLX_ALERTS", "json://user:s3cret@host/a slack://s3cret")
    found = examined()
    assert found.one("alerts")[:2] == ("ok", "HLX_ALERTS has 2 addresses; `make alert` sends each a test message")
    assert "s3cret" not in str(found.content)


def test_more_threads_than_cores_is_a_warning(examined: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hlx_model.training.host.usable_cores", lambda: 1.5)
    for threads, sign, advice in ((2, "ok", ""), (16, "warn", "set OMP_NUM_THREADS=1")):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        text = f"1.5 CPU cores for this process, torch uses {threads} threads"
        assert examined().one("cores") == (sign, text, advice)


def test_another_torch_than_the_tested_one_is_a_line(
    examined: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [line[0] for line in examined()["versions"]] == ["ok"]
    (tmp_path / "constraints.txt").write_text("tomli==2.5.0\ntorch==1.0.0\ntqdm==4\n")
    monkeypatch.setattr(doctor, "_CONSTRAINTS", tmp_path / "constraints.txt")
    _, (sign, text, _) = examined()["versions"]
    assert sign == "warn" and text.endswith("the tests of this version run with torch 1.0.0 (constraints.txt)")
    monkeypatch.setattr(doctor, "_CONSTRAINTS", tmp_path / "absent")  # an installed wheel
    assert len(examined()["versions"]) == 1


def test_with_a_broken_torch_the_rest_is_reported(examined: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    found = examined()
    assert found.code == 1
    for check in ("device", "precision", "memory", "cores"):
        sign, text, _ = found.one(check)
        assert sign == "fail" and text.startswith("ModuleNotFoundError: import of torch halted")
    assert {found.one(check)[0] for check in ("versions", "home", "settings")} == {"ok"}


def test_a_probe_that_fails_is_a_line(examined: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    def probe(case: doctor.Case) -> Iterator[tuple[str, ...]]:
        yield "ok", "the first line"
        raise RuntimeError("CUDA error: uncorrectable ECC error\n\x1b[31mencountered")

    monkeypatch.setitem(doctor.PROBES, "memory", probe)
    found = examined()
    assert found.code == 1 and found.one("watchdog")
    assert found["memory"] == [
        ("ok", "the first line", ""),
        ("fail", "RuntimeError: CUDA error: uncorrectable ECC error ␛[31mencountered", ""),
    ]
