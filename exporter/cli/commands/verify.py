"""The command `verify`: checks the public URL of a source from outside, and sends a test page."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from exporter.cli.alert_rules import DASHBOARDS, JOB, RUNBOOKS, Installation
from exporter.cli.alertmanager import ALERT, LASTS_MINUTES, send_test_page
from exporter.cli.commands import FAILED
from exporter.cli.http_client import Credential
from exporter.cli.options import ADDRESS, SERVER_URL
from exporter.cli.tables import format_check
from exporter.cli.verification import Target
from exporter.cli.verification import verify as run_checks


@click.command()
@click.argument("url", type=SERVER_URL, required=False)
@click.option("--token-file", type=click.Path(path_type=Path), help="File with the source's token.")
@click.option("--header", help="Header that carries the token, if it is not Authorization: Bearer.")
@click.option("--user", help="User name, if the source has HTTP Basic; the file has the password.")
@click.option("--admin-url", type=SERVER_URL, help="Admin listener, if it can be reached from here.")
@click.option(
    "--admin-token-file",
    type=click.Path(path_type=Path),
    help="File with the admin listener's token, or the password of --admin-user.",
)
@click.option("--admin-user", default="", help="User name, if the admin listener has HTTP Basic.")
@click.option("--alertmanager", help="Base URL of an Alertmanager to send a test page through.")
@click.option("--job", default=JOB, help="With --alertmanager: the job label of the alert.")
@click.option("--runbook-url", type=ADDRESS, default=RUNBOOKS, help="With --alertmanager: where the runbooks are.")
@click.option("--dashboard-url", type=ADDRESS, default=DASHBOARDS, help="With --alertmanager: where Grafana is.")
def verify(  # noqa: PLR0913, PLR0917 - one for each option
    url: str | None,
    token_file: Path | None,
    header: str | None,
    user: str | None,
    admin_url: str | None,
    admin_token_file: Path | None,
    admin_user: str,
    alertmanager: str | None,
    job: str,
    runbook_url: str,
    dashboard_url: str,
) -> None:
    """Check the public webhook, or send a test page.

    URL is the webhook's, as CleverTap has it. Run the command on a machine outside your network. It checks the
    name, the certificate, redirects, the test call, that a wrong token is rejected, and that /metrics is not
    public; with --admin-url also that the exporter counted the test call. Each line is ok, or says what to do.
    The wrong token counts as one refused request of the source.

    With --alertmanager, send the critical alert ExportTestPage to the people whom you page. It ends after
    5 minutes.

    \b
    Example:
      dataexport-exporter verify https://exports.example/webhooks/clevertap/shop --token-file secrets/shop
      dataexport-exporter verify --alertmanager http://127.0.0.1:9093
    """
    if not (url or alertmanager):
        message = "give the URL of a webhook, or --alertmanager"
        raise click.UsageError(message)
    passed = True
    if url:
        credential = Credential("--token-file", token_file, header or "", user or "")
        admin_credential = Credential("--admin-token-file", admin_token_file, user=admin_user)
        for finding in run_checks(Target(url, credential, admin_url or "", admin_credential)):
            click.echo(format_check(finding.text, passed=finding.passed))
            passed = passed and finding.passed
    if alertmanager:
        routed = send_test_page(alertmanager, Installation(job, runbook_url, dashboard_url))
        if routed.suppressed_by:
            text = f"alert: suppressed by {', '.join(routed.suppressed_by)}; nobody is paged while that is in effect"
        else:
            text = (
                f"alert: {ALERT} goes to {', '.join(routed.receivers)}; see it arrive within group_wait, "
                f"and end after {LASTS_MINUTES} minutes"
            )
        click.echo(format_check(text, passed=not routed.suppressed_by))
        passed = passed and not routed.suppressed_by
    sys.exit(0 if passed else FAILED)
