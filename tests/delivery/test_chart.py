"""The Helm chart, as far as it can be judged without a cluster: schemas, refusals, and what it takes from elsewhere."""

from __future__ import annotations

import os
import re
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
POLICY = chart.CHART / "ci" / "networkpolicy-values.yaml"
LANDING_PAGE = chart.ROOT / "docs" / "how-to" / "check-that-files-landed.md"
DNS = [{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}]
CRDS = chart.ROOT / ".tools" / "crds"


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `chart` find helm where the other tools are; skip where there is none."""
    monkeypatch.setenv("PATH", str(Path(program("helm")).parent), prepend=os.pathsep)


def objects(values: Path, *settings: str) -> list[dict[str, Any]]:
    """Return what the chart creates with the values of a file, and settings in addition."""
    return [document for document in yaml.safe_load_all(chart.rendered(*settings, values=values)) if document]


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


def network_policy(values: Path, *settings: str) -> dict[str, Any]:
    """Return what the NetworkPolicy of the chart allows."""
    [policy] = [each["spec"] for each in objects(values, *settings) if each["kind"] == "NetworkPolicy"]
    return dict(policy)


def test_a_network_policy_admits_the_webhook_and_the_scrape_from_where_the_values_say_and_nothing_else() -> None:
    policy = network_policy(POLICY)
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    [pod] = [each["spec"]["template"] for each in objects(POLICY) if each["kind"] == "StatefulSet"]
    assert policy["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    ports = {each["name"]: each["containerPort"] for each in pod["spec"]["containers"][0]["ports"]}
    assert ports == {"webhook": 8080, "metrics": 10047}
    values = read_yaml(POLICY)["networkPolicy"]
    assert policy["ingress"] == [
        {"ports": [{"port": "webhook"}], "from": values["webhookFrom"]},
        {"ports": [{"port": "metrics"}], "from": values["metricsFrom"]},
    ]
    default = network_policy(chart.CHART / "ci" / "default-values.yaml", "networkPolicy.enabled=true")
    assert default["ingress"] == [
        {"ports": [{"port": "webhook"}]},
        {"ports": [{"port": "metrics"}], "from": [{"podSelector": {}}]},
    ]


def test_a_network_policy_lets_the_exporter_reach_dns_its_database_and_what_the_values_add(tmp_path: Path) -> None:
    block = re.search(r"^```yaml\n(networkPolicy:.*?)^```", LANDING_PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert block is not None
    buckets = tmp_path / "values.yaml"
    buckets.write_text(block[1], "utf-8")
    postgres = chart.CHART / "ci" / "postgres-replicas-values.yaml"
    assert network_policy(POLICY)["egress"] == DNS
    assert network_policy(postgres, "networkPolicy.enabled=true")["egress"] == [*DNS, {"ports": [{"port": 5432}]}]
    assert network_policy(buckets, "networkPolicy.enabled=true")["egress"] == [*DNS, {"ports": [{"port": 443}]}]
