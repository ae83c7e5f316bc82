"""The compose files and the unit of systemd are valid and name only what exists; only the proxy is published."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from hlx_assets.center.__main__ import HEALTH
from hlx_assets.settings import DagsterEnvironment
from hlx_model.cli import application
from hlx_model.serving.server import GRACE_SECONDS
from hlx_model.serving.service import Limits

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "docker-compose.yaml"
GPU = DEPLOY / "docker-compose.gpu.yaml"
COMPOSE_FILES = (COMPOSE, GPU)
UNIT = DEPLOY / "hlx-serve.service"
ANALYZE = shutil.which("systemd-analyze")
SECRETS = {"POSTGRES_PASSWORD", "HLX_LOGIN_USER", "HLX_LOGIN_HASH"}


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read(COMPOSE)["services"]
    return found


def option(service: str, name: str) -> str:
    """The value of an option in a service's command."""
    command = services()[service]["command"]
    return str(command[command.index(f"--{name}") + 1])


def variables() -> dict[str, set[str]]:
    """The variables of the compose files, each with what follows its name: `:?…`, `:-…` or nothing."""
    found: dict[str, set[str]] = {}
    for path in COMPOSE_FILES:
        for name, rest in re.findall(r"\$\{(\w+)([^}]*)\}", path.read_text(encoding="utf-8")):
            found.setdefault(name, set()).add(rest)
    for service in services().values():
        for name, value in service.get("environment", {}).items():
            if value is None:
                found.setdefault(name, set())
    return found


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)
def test_the_compose_files_follow_the_compose_specification(path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_only_the_proxy_publishes_ports_by_default_on_loopback() -> None:
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert list(published) == ["proxy"]
    assert all(port.startswith("${HLX_BIND:-127.0.0.1}:") for port in published["proxy"])
    assert not any({"ports", "network_mode"} & set(service) for service in read(GPU)["services"].values())
    assert read(COMPOSE)["networks"]["inside"] == {"internal": True}
    outside = {name for name, service in services().items() if "outside" in service["networks"]}
    assert outside == {"code", "center", "proxy"}


def test_secrets_come_from_the_environment_and_have_no_default() -> None:
    taken = variables()
    assert taken.keys() >= SECRETS
    for name in SECRETS:
        assert all(rest.startswith(":?") for rest in taken[name]), name
    example = (DEPLOY / ".env.example").read_text(encoding="utf-8")
    for name in SECRETS:
        assert re.search(rf"^{name}=(?:'')?$", example, re.MULTILINE), name
    assert not SECRETS & set(re.findall(r"\w+", (DEPLOY / "Dockerfile").read_text(encoding="utf-8")))


def test_the_example_of_the_environment_names_every_variable() -> None:
    example = (DEPLOY / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^(?:# )?([A-Z_]+)=", example, re.MULTILINE)) == set(variables())


def test_the_code_location_gets_every_variable_that_it_reads() -> None:
    known = set(DagsterEnvironment.names())
    of_the_server = {"HLX_SITE", "HLX_API_TOKEN", "HLX_BEHIND_PROXY", "HLX_ALLOWED_ORIGINS", "HLX_CENTER_PORT"}
    of_the_trainer = {"HLX_RUN_ID"}
    assert services()["code"]["environment"].keys() == known - of_the_server - of_the_trainer


def test_the_training_center_and_the_code_location_train_the_same_by_default() -> None:
    center, code = (services()[name]["environment"] for name in ("center", "code"))
    chosen = {"HLX_PROFILE", "HLX_CORPUS", "HLX_ENTRIES", "HLX_EVAL", "HLX_MOST_QUARANTINED"}
    chosen |= {"HLX_PROVIDER_HOSTS", "HLX_CENTER_KEY_FILE"}  # and call the same providers with the same keys
    assert chosen <= center.keys() & code.keys()
    on_gpu = read(GPU)["services"]
    assert on_gpu["center"]["image"] == on_gpu["code"]["image"]


def test_servers_trust_the_proxy_alone_and_answer_their_health_checks() -> None:
    for name in ("webserver", "center", "serve"):
        service = services()[name]
        assert service["environment"]["HLX_BEHIND_PROXY"] == "1" and "ports" not in service
        assert f"http://127.0.0.1:{option(name, 'port')}/" in service["healthcheck"]["test"][-1]
    assert f"127.0.0.1:{option('center', 'port')}{HEALTH}" in services()["center"]["healthcheck"]["test"][-1]
    assert not [name for name in ("center", "serve") if "HLX_API_TOKEN" in services()[name]["environment"]]


def test_the_server_of_the_model_is_optional_and_can_write_nowhere() -> None:
    served = services()["serve"]
    assert served["profiles"] == ["serve"] and served["networks"] == ["inside"] and "depends_on" not in served
    (home,) = re.findall(r"DAGSTER_HOME=(\S+)", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
    assert served["volumes"] == [f"home:{home}:ro"] and served["read_only"] is True
    needed = {name for name, service in services().items() if "serve" in service.get("depends_on", {})}
    assert not needed and [name for name, service in services().items() if "profiles" in service] == ["serve"]
    asked = [*served["entrypoint"], *served["command"]]
    command: Any = typer.main.get_command(application(["serve"]))
    assert asked[:2] == ["hlx", "serve"]
    assert command.commands["serve"].make_context("serve", asked[2:]).params["watch"] is True


def test_every_part_of_dagster_prepares_its_home_before_it_starts() -> None:
    assert 'ENTRYPOINT ["python", "-m", "hlx_assets.home"]' in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert [name for name, service in services().items() if "entrypoint" in service] == ["serve"]  # not of Dagster


def test_the_key_of_the_vault_is_kept_outside_of_the_home() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    (home, state) = re.findall(r"(?:DAGSTER_HOME|XDG_STATE_HOME)=(\S+)", dockerfile)
    assert not Path(state).is_relative_to(home) and "install -d -m 700 -o hlx -g hlx state" in dockerfile


def test_services_name_only_what_is_declared() -> None:
    declared, all_services = read(COMPOSE), services()
    for name, service in all_services.items():
        assert "image" in service and "healthcheck" in service, name
        assert set(service["networks"]) <= declared["networks"].keys()
        for other, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"} and "healthcheck" in all_services[other]
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in declared["volumes"], volume
    assert read(GPU)["services"].keys() <= all_services.keys()


def test_the_image_is_built_from_files_that_exist() -> None:
    built = [service["build"] for service in services().values() if "build" in service]
    assert built and all(build == built[0] for build in built)
    context = (DEPLOY / built[0]["context"]).resolve()
    assert context == ROOT and (context / built[0]["dockerfile"]) == DEPLOY / "Dockerfile"
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    sent = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [s for line in re.findall(r"^COPY (.+)$", dockerfile, re.MULTILINE) for s in line.split()[:-1]]
    sources = [source for source in copied if not source.startswith("--")]
    assert sources
    for source in sources:
        assert (context / source).exists() and f"!{source}" in sent, source
    arguments = set(re.findall(r"^ARG (\w+)", dockerfile, re.MULTILINE))
    assert set(read(GPU)["services"]["code"]["build"]["args"]) <= arguments
    assert re.search(r"^USER (?!root)", dockerfile, re.MULTILINE)


def test_the_services_find_each_other() -> None:
    (location,) = read(DEPLOY / "workspace.yaml")["load_from"]
    (local,) = read(ROOT / "workspace.yaml")["load_from"]
    assert location["grpc_server"]["host"] in services()
    assert location["grpc_server"]["port"] == int(option("code", "port"))
    assert location["grpc_server"]["location_name"] == local["python_module"]["location_name"]
    assert option("code", "module-name") == local["python_module"]["module_name"]
    door = (DEPLOY / "Caddyfile").read_text(encoding="utf-8")
    assert f"reverse_proxy webserver:{option('webserver', 'port')}" in door and "basic_auth {" in door
    assert f"reverse_proxy @center center:{option('center', 'port')}" in door
    assert f"reverse_proxy serve:{option('serve', 'port')}" in door
    assert option("center", "workspace") == option("webserver", "workspace") == option("daemon", "workspace")
    assert set(re.findall(r"\{\$(\w+)", door)) == services()["proxy"]["environment"].keys()


def test_every_part_of_dagster_has_the_same_home_and_the_same_database() -> None:
    parts = [services()[name] for name in ("code", "webserver", "center", "daemon")]
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    (home, state) = re.findall(r"(?:DAGSTER_HOME|XDG_STATE_HOME)=(\S+)", dockerfile)
    assert all(part["volumes"] == [f"home:{home}", f"state:{state}"] for part in parts)
    (url,) = {part["environment"]["HLX_POSTGRES_URL"] for part in parts}
    database = services()["postgres"]["environment"]
    assert re.fullmatch(r"postgresql://(\w+):\$\{POSTGRES_PASSWORD:\?[^}]*\}@postgres:5432/(\w+)", url)
    assert url.startswith(f"postgresql://{database['POSTGRES_USER']}:") and url.endswith(f"/{database['POSTGRES_DB']}")


HARDENED = {
    "DynamicUser": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "read-only",
    "PrivateTmp": "yes", "CapabilityBoundingSet": "", "RestrictNamespaces": "yes", "Restart": "on-failure",
    "EnvironmentFile": "-/etc/hlx/serve.env", "IPAddressDeny": "any", "IPAddressAllow": "localhost",
}  # fmt: skip


def test_the_unit_of_systemd_has_no_rights_that_it_does_not_need() -> None:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    assert {name: found[name] for name in HARDENED} == {name: [value] for name, value in HARDENED.items()}
    (command,) = found["ExecStart"]
    assert command == "/opt/hlx-brain/.venv/bin/hlx serve --watch"
    assert not [value for value in found["Environment"] if "TOKEN" in value]
    assert int(*found["TimeoutStopSec"]) > Limits().seconds + GRACE_SECONDS


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is missing")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    assert ANALYZE is not None
    unit = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/hlx-brain/.venv/bin/hlx", str(shutil.which("true"))), encoding="utf-8")
    for arguments in (["verify"], ["security", "--offline=true", "--threshold=20"]):
        ran = subprocess.run([ANALYZE, *arguments, str(unit)], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert unit.name not in ran.stderr
