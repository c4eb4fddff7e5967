"""The files of deploy/ agree with each other, with `ui` and with the page that explains them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from registry_pipeline_tests.scale.deployment import DEPLOY

CHECKOUT = DEPLOY.parent
VARIABLE = re.compile(r"^([A-Z_]+)=", re.MULTILINE)


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def list_variables() -> set[str]:
    return set(VARIABLE.findall((DEPLOY / "environment.example").read_text(encoding="utf-8")))


def test_the_settings_are_those_of_one_machine_with_another_storage() -> None:
    settings = read_yaml(DEPLOY / "dagster.yaml")
    storage = settings.pop("storage")["postgres"]["postgres_db"]

    assert settings == read_yaml(CHECKOUT / "dagster.yaml")
    assert storage.pop("scheme") == "postgresql+psycopg2"
    assert storage.pop("params") == {"options": "-c timezone=UTC"}
    assert {value["env"] for value in storage.values()} <= list_variables()


def test_every_container_of_ours_has_the_variables_of_the_example() -> None:
    services = read_yaml(DEPLOY / "compose.yaml")["services"]
    ours = {name: service for name, service in services.items() if service["image"] == "registry-pipeline"}

    assert set(ours) == {"webserver", "daemon", "worker-1", "worker-2"}
    assert all(list_variables() <= set(service["environment"]) for service in ours.values())


def test_no_file_has_a_secret_or_the_host_of_an_image() -> None:
    services = read_yaml(DEPLOY / "compose.yaml")["services"]
    example = (DEPLOY / "environment.example").read_text(encoding="utf-8")

    assert all("/" not in service["image"] for service in services.values())
    assert set(re.findall(r"(?:PASSWORD=|redis://:)([^@\n]+)", example)) == {"replace-me"}


def test_the_image_has_the_programs_that_the_product_starts_and_no_password() -> None:
    image = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    left_out = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()

    assert {"git", "openssh-client", "openssl"} <= set(image.split())
    assert {"**/.env", ".git", ".venv"} <= set(left_out)


def test_the_paths_in_the_compose_file_exist_in_the_image() -> None:
    services = read_yaml(DEPLOY / "compose.yaml")["services"]
    words = [str(word) for service in services.values() for word in service.get("command", ())]
    inside = [word.removeprefix("/opt/registry-pipeline/") for word in words if word.startswith("/opt/")]

    assert len(inside) == 4
    assert all((CHECKOUT / path).is_file() for path in inside)


@pytest.mark.parametrize("missing", ["CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "DAGSTER_HOME"])
def test_a_worker_does_not_start_without_its_variables(missing: str) -> None:
    variables = dict.fromkeys(list_variables() - {missing}, "x") | {"PATH": os.environ["PATH"]}

    started = subprocess.run([DEPLOY / "worker.sh", "one"], env=variables, capture_output=True, text=True, check=False)

    assert started.returncode != 0
    assert missing in started.stderr
