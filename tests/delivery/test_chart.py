"""The Helm chart, as far as it can be judged without a cluster: schemas, refusals, and what it takes from elsewhere."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import helm_chart as chart
from exporter.config import loader
from monitoring import read_yaml
from tools import program

VALUES = sorted((chart.CHART / "ci").glob("*.yaml"))
CRDS = chart.ROOT / ".tools" / "crds"


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `chart` find helm where the other tools are; skip where there is none."""
    monkeypatch.setenv("PATH", str(Path(program("helm")).parent), prepend=os.pathsep)


def objects(values: Path) -> list[dict[str, Any]]:
    """Return what the chart creates with the values of a file."""
    return [document for document in yaml.safe_load_all(chart.rendered(values=values)) if document]


def succeeded(*command: str | Path) -> str:
    """Return what a command printed, which must exit with 0."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_written_files_are_up_to_date() -> None:
    schema = {chart.CHART / "values.schema.json": chart.values_schema((chart.CHART / "values.yaml").read_text("utf-8"))}
    readme = {chart.CHART / "README.md": chart.readme()}
    for path, text in (schema | readme | chart.manifests()).items():
        assert path.read_text("utf-8") == text, f"{path.relative_to(chart.ROOT)}: run `make chart`"


def test_every_value_is_described() -> None:
    """The schema has the description of each value that is no group of others."""

    def undescribed(schema: dict[str, Any], path: str) -> list[str]:
        if "properties" in schema:
            return [name for key, inner in schema["properties"].items() for name in undescribed(inner, f"{path}.{key}")]
        return [] if "description" in schema else [path]

    schema = yaml.safe_load(chart.values_schema((chart.CHART / "values.yaml").read_text("utf-8")))
    del schema["properties"]["global"]
    assert undescribed(schema, "") == []


def test_helm_finds_nothing_wrong() -> None:
    for values in VALUES:
        succeeded("helm", "lint", "--strict", "--quiet", chart.CHART, "--values", values, "--kube-version=1.34.0")


def test_its_own_tests_pass() -> None:
    succeeded("helm-unittest", "--strict", "--file=unittests/*_test.yaml", chart.CHART)


def test_a_misspelt_value_is_refused(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("ingres: {enabled: true}\n", "utf-8")
    done = subprocess.run(
        ["helm", "template", chart.CHART, "--values", values], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "ingres" in done.stderr


def test_kubernetes_has_every_field(tmp_path: Path) -> None:
    for values in VALUES:
        (tmp_path / values.name).write_text(chart.rendered(values=values), "utf-8")
    succeeded("kubectl-validate", tmp_path, "--local-crds", CRDS, "--version=1.30")


def test_the_rules_come_out_as_they_went_in() -> None:
    [rule] = [
        each for each in objects(chart.CHART / "ci" / "monitoring-values.yaml") if each["kind"] == "PrometheusRule"
    ]
    assert rule["spec"] == read_yaml(chart.ROOT / "alerts" / "dataexport.rules.yaml")


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_the_exporter_accepts_the_configuration_and_the_files_that_it_names(values: Path, tmp_path: Path) -> None:
    created = {each["kind"]: each for each in objects(values)}
    text = next(each for each in objects(values) if "dataexport.toml" in each.get("data", {}))["data"][
        "dataexport.toml"
    ]
    pod = (created.get("StatefulSet") or created["Deployment"])["spec"]["template"]["spec"]
    given = created.get("Secret", {"data": {"admin": "", "shop": ""}})["data"]
    for name in given:
        (tmp_path / name).write_text(f"token-of-{name}-0123456789", "utf-8")
        (tmp_path / name).chmod(0o440)
    path = tmp_path / "dataexport.toml"
    path.write_text(text.replace("/etc/dataexport/secrets", str(tmp_path)), "utf-8")
    (tmp_path / "url").write_text("postgresql+psycopg://user:password@db/dataexport", "utf-8")
    (tmp_path / "url").chmod(0o440)
    environment = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
    environment = {name: value.replace("/etc/dataexport/store", str(tmp_path)) for name, value in environment.items()}
    config = loader.load(path, environment | {"DATAEXPORT_DEFAULT_HOST": "0.0.0.0"})  # noqa: S104 - as the image has it
    assert config.store_url.startswith("postgresql" if "Deployment" in created else "sqlite:////data/")
