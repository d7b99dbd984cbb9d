"""The Helm chart in a real Kubernetes, in namespaces that enforce the Pod Security Standard *restricted*."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
import requests
import yaml

from builders import fields, vendor_clock
from monitoring import ROOT, Monitoring
from pages import commands
from postgres import Postgres
from running import PATIENCE_SECONDS, wait_until
from tools import missing, program, tool

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]

CHART = ROOT / "charts" / "dataexport-exporter"
PAGE = ROOT / "docs" / "how-to" / "install-kubernetes.md"
NAME = "dataexport-exporter"
RESTRICTED = ("pod-security.kubernetes.io/enforce=restricted", "pod-security.kubernetes.io/warn=restricted")
STORED = 'dataexport_webhook_events_total{source="default",status="completed"} 1.0'
TIMEOUT = f"--timeout={PATIENCE_SECONDS}s"


@pytest.fixture(scope="module")
def cluster() -> None:
    """Define the custom resources of the Prometheus Operator; skip where there is no private cluster."""
    if "PRIVATE_CLUSTER" not in os.environ:
        missing("no private cluster; make chart-check starts one")
    kubectl("apply", "--server-side", f"--filename={(ROOT / '.tools' / 'crds').resolve()}")
    kubectl("wait", "--for=condition=Established", "--all", TIMEOUT, "customresourcedefinitions")


@contextmanager
def namespace(name: str, *labels: str) -> Iterator[None]:
    """Create a namespace, which is deleted afterwards with everything in it."""
    with deleted(name):
        kubectl("create", "namespace", name)
        for label in labels:
            kubectl("label", "namespace", name, label)
        yield


@contextmanager
def deleted(name: str) -> Iterator[None]:
    """Delete a namespace afterwards with everything in it; a failure carries what its pods were doing."""
    try:
        yield
    except BaseException as failure:
        failure.add_note(evidence(name))
        raise
    finally:
        kubectl("delete", "namespace", name, TIMEOUT)


def evidence(name: str) -> str:
    """Return the state, the events and the end of the log of each pod in a namespace."""
    here = f"--namespace={name}"
    texts = [kubectl("get", "events", here, check=False), kubectl("describe", "pods", here, check=False)]
    for pod in kubectl("get", "pods", "--output=name", here, check=False).splitlines():
        texts += [f"Log of {pod}:", kubectl("logs", pod, "--all-containers", "--tail=50", here, check=False)]
    return "\n".join(texts)


def kubectl(*arguments: str, check: bool = True) -> str:
    """Run kubectl, and return its output with what it wrote to standard error."""
    return succeeded("kubectl", *arguments, check=check)


def succeeded(*command: str, check: bool = True) -> str:
    """Run a command, and return its output with what it wrote to standard error."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert not check or done.returncode == 0, done.stdout
    return done.stdout


class Release:
    """A release of the chart in a namespace.

    Args:
        namespace: the namespace, which exists.
        values: options of helm with values, for the installation and each upgrade.
    """

    def __init__(self, namespace: str, *values: str) -> None:
        self.namespace = namespace
        self._values = values

    def __enter__(self) -> Self:
        self.helm("install", str(CHART), "--wait", TIMEOUT, *self._values)
        return self

    def __exit__(self, *_: object) -> None:
        """The namespace is deleted with everything in it."""

    def helm(self, command: str, *arguments: str) -> str:
        """Run a command of helm on this release; no pod may violate the standard of the namespace."""
        output = succeeded(program("helm"), command, "dataexport", f"--namespace={self.namespace}", *arguments)
        assert "would violate PodSecurity" not in output
        return output

    def upgrade(self, *values: str) -> None:
        """Upgrade to other values, and wait until all pods have them."""
        self.helm("upgrade", str(CHART), "--wait", TIMEOUT, *self._values, *values)

    def get(self, kind: str, *arguments: str) -> dict[str, Any]:
        """Return an object of the API, or a list of them."""
        output = kubectl("get", kind, *arguments, f"--namespace={self.namespace}", "--output=json")
        found: dict[str, Any] = json.loads(output)
        return found

    def pods(self) -> list[dict[str, Any]]:
        """Return the pods of the exporter that are not about to end."""
        pods = self.get("pods", f"--selector=app.kubernetes.io/name={NAME}")["items"]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def token(self, key: str) -> str:
        """Return a token of the secret that the chart made."""
        return base64.b64decode(self.get("secret", NAME)["data"][key]).decode("ascii")

    def address(self, service: str) -> str:
        """Return the address of a service, as IP:PORT."""
        spec = self.get("service", f"{NAME}-{service}")["spec"]
        return f"{spec['clusterIP']}:{spec['ports'][0]['port']}"

    @cached_property
    def _webhook(self) -> tuple[str, dict[str, str]]:
        headers = {"Authorization": f"Bearer {self.token('webhook-token')}"}
        return f"http://{self.address('webhook')}/webhooks/clevertap/default", headers

    def post(self, body: dict[str, object]) -> dict[str, int]:
        """Post a body through the service of the webhook until it is answered 200, as a sender that retries."""
        url, headers = self._webhook
        responses: list[requests.Response] = []

        def answered() -> bool:
            with suppress(requests.ConnectionError):
                responses.append(requests.post(url, json=body, headers=headers, timeout=PATIENCE_SECONDS))
                assert responses[-1].status_code in {200, 503}, responses[-1].text
                return responses[-1].ok
            return False

        wait_until(answered, "the webhook")
        answer: dict[str, int] = responses[-1].json()
        return answer

    def scrape(self, address: str | None = None) -> str:
        """Return the metrics of a pod, or of any through the service; empty if it does not answer.

        Args:
            address: host and port of the pod.
        """
        headers = {"Authorization": f"Bearer {self.token('admin-token')}"}
        url = f"http://{address or self.address('metrics')}/metrics"
        with suppress(requests.ConnectionError):
            response = requests.get(url, headers=headers, timeout=PATIENCE_SECONDS)
            return response.text if response.ok else ""
        return ""

    def wait_until_stored(self) -> None:
        """Wait until the scrape shows that one event is stored."""
        wait_until(lambda: STORED in self.scrape(), "the event in the scrape")


def event() -> dict[str, object]:
    """Return the body of a completed export."""
    return fields("Completed", vendor_clock(time.time() - 60))


def test_a_namespace_with_the_standard_refuses_what_violates_it() -> None:
    """The control of all tests in such namespaces."""
    with namespace("control", *RESTRICTED):
        output = kubectl("run", "root", "--image=any", "--namespace=control", check=False)
        assert 'violates PodSecurity "restricted:latest"' in output


def test_events_survive_the_end_of_the_pod_an_upgrade_and_an_uninstallation() -> None:
    with namespace("survival", *RESTRICTED), Release("survival") as release:
        assert "Phase:          Succeeded" in release.helm("test", TIMEOUT)  # by the names of the services
        assert release.post(event()) == {"accepted": 1, "duplicates": 0, "quarantined": 0}
        release.wait_until_stored()
        token = release.token("webhook-token")
        [first] = release.pods()

        kubectl("delete", "pod", f"{NAME}-0", "--namespace=survival", TIMEOUT)
        release.wait_until_stored()
        [second] = release.pods()
        assert second["metadata"]["uid"] != first["metadata"]["uid"]

        release.upgrade("--set=podAnnotations.changed=yes")
        release.wait_until_stored()
        [third] = release.pods()
        assert third["metadata"]["annotations"]["changed"] == "yes"
        assert release.token("webhook-token") == token
        assert sum(status["restartCount"] for status in third["status"]["containerStatuses"]) == 0

        release.helm("uninstall", "--wait", TIMEOUT)
        wait_until(lambda: release.pods() == [], "the end of the pods")
        assert release.get("persistentvolumeclaim", f"data-{NAME}-0")["status"]["phase"] == "Bound"
        with Release("survival") as again:
            again.wait_until_stored()


def test_what_the_prometheus_operator_reads_is_accepted_and_leads_to_the_exporter() -> None:
    values = CHART / "ci" / "monitoring-values.yaml"
    with namespace("operator", *RESTRICTED), Release("operator", f"--values={values}") as release:
        rules = yaml.safe_load((ROOT / "alerts" / "dataexport.rules.yaml").read_text("utf-8"))
        assert release.get("prometheusrule", NAME)["spec"] == rules

        monitor = release.get("servicemonitor", NAME)["spec"]
        [endpoint] = monitor["endpoints"]
        labels = ",".join(f"{name}={value}" for name, value in monitor["selector"]["matchLabels"].items())
        [service] = release.get("services", f"--selector={labels}")["items"]
        assert [port["name"] for port in service["spec"]["ports"]] == [endpoint["port"]]
        credentials = endpoint["authorization"]["credentials"]
        assert credentials == {"name": NAME, "key": "admin-token"}
        wait_until(lambda: "dataexport_build_info" in release.scrape(), "a scrape")

        dashboards = release.get("configmaps", "--selector=grafana_dashboard=1")["items"]
        shipped = sorted(path.name for path in (ROOT / "grafana" / "dashboards").glob("*.json"))
        assert sorted(name for dashboard in dashboards for name in dashboard["data"]) == shipped


@contextmanager
def database(namespace: str) -> Iterator[None]:
    """Start a PostgreSQL on the node, and create the secret with its URL in a namespace."""
    node = json.loads(kubectl("get", "node", "node", "--output=json"))
    [address] = [each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"]
    with Postgres({"listen_addresses": "*"}) as server:
        with (server.folder / "data" / "pg_hba.conf").open("a", encoding="utf-8") as rules:
            rules.write("host all all all scram-sha-256\n")
        server.execute("SELECT pg_reload_conf()")
        url = f"--from-literal=url={server.url().replace('127.0.0.1', address)}"
        kubectl("create", "secret", "generic", "dataexport-database", url, f"--namespace={namespace}")
        yield


@contextmanager
def traffic(release: Release) -> Iterator[list[int]]:
    """Post an event after the other, and yield how many of each were counted."""
    counted: list[int] = []
    ended = threading.Event()

    def send() -> None:
        while not ended.is_set():
            answer = release.post(fields("Initiated", vendor_clock(1_780_000_000 + len(counted))))
            counted.append(answer["accepted"] + answer["duplicates"])

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield counted
    finally:
        ended.set()
        sender.join()


def test_two_replicas_on_postgresql_lose_nothing_while_an_upgrade_replaces_them() -> None:
    values = ("--set=store.type=postgresql", "--set=store.postgresql.existingSecret=dataexport-database")
    with namespace("replicas", *RESTRICTED), database("replicas"), Release("replicas", *values) as release:
        assert release.post(event()) == {"accepted": 1, "duplicates": 0, "quarantined": 0}
        before = release.pods()
        assert len(before) == 2
        addresses = [f"{pod['status']['podIP']}:10047" for pod in before]
        wait_until(lambda: all(STORED in release.scrape(each) for each in addresses), "the event in both replicas")
        wait_until(lambda: release.get("poddisruptionbudget", NAME)["status"]["disruptionsAllowed"] == 1, "the budget")

        with traffic(release) as counted:
            wait_until(lambda: bool(counted), "the first event")
            release.upgrade("--set=podAnnotations.changed=yes")
        after = {pod["metadata"]["uid"] for pod in release.pods()}
        assert after.isdisjoint(pod["metadata"]["uid"] for pod in before)
        assert set(counted) == {1}
        initiated = f'dataexport_webhook_events_total{{source="default",status="initiated"}} {float(len(counted))}'
        wait_until(lambda: initiated in release.scrape(), "every event once")


@pytest.fixture
def notification(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Type the commands of the page that use Helm, and return the page that they lead to.

    Its setup is the time from the first command to the page received; pytest shows it with ``--durations``.
    """
    for name in ("prometheus", "alertmanager"):
        tool(name)
    with_helm, _ = halves(tmp_path)
    with deleted("monitoring"):
        typed(with_helm, tmp_path)
        release = Release("monitoring")
        wait_until(lambda: bool(release.scrape()), "a scrape")
        with Monitoring(tmp_path, release.address("metrics"), token=release.token("admin-token")) as monitoring:
            wait_until(lambda: bool(monitoring.receiver.of("/page", "firing")), "the page")
        yield monitoring.receiver.of("/page", "firing")[0]


def test_the_commands_with_helm_work_as_typed_and_lead_to_a_page_received(notification: dict[str, Any]) -> None:
    assert notification["alerts"][0]["labels"]["export"] == "first-page"


def test_the_commands_without_helm_work_as_typed(tmp_path: Path) -> None:
    _, without_helm = halves(tmp_path)
    with deleted("monitoring"):
        typed(without_helm, tmp_path)
        kubectl("rollout", "status", f"statefulset/{NAME}", "--namespace=monitoring", TIMEOUT)


def halves(folder: Path) -> list[Path]:
    """Write what the page says about Helm and what it says about going without to a file each."""
    texts = PAGE.read_text("utf-8").split("\n## Without Helm\n")
    assert len(texts) == 2
    paths = [folder / "with-helm.md", folder / "without-helm.md"]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, "utf-8")
    return paths


def typed(page: Path, folder: Path) -> None:
    """Type all commands of a page into one shell in a folder, with the chart and the manifests of this checkout."""
    script = "\n".join(["set -e", *commands(page)])
    script = re.sub(r"oci://\S+", str(CHART), script).replace("deploy/", f"{ROOT}/deploy/")
    environment = {**os.environ, "PATH": f"{Path(program('helm')).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
