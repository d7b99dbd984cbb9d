"""Defines every setting of the configuration file: its name, type, limits, default and meaning.

The docstring of a setting is its text in docs/reference/configuration.md, which `make reference` writes. A default
that the code does not give is the last sentence: "Default: …".
`exporter.config.values` parses the values, and `exporter.config.loader` builds the `Config` that the
rest of the program uses.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr

from exporter.config import values
from exporter.config.values import Address
from exporter.config.variables import DEFAULT_SOURCE
from exporter.domain import event_time
from exporter.domain.exports import CRITICAL, DEFAULT_OBJECTIVE, WARNING
from exporter.domain.frequency import DAY, HOUR, MAX_INTERVAL
from exporter.ingest.vendors import registry

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "console"]

ListenAddress = Annotated[Address, BeforeValidator(values.address)]
ZonedDatetime = Annotated[datetime, BeforeValidator(values.instant)]
Label = Annotated[str, BeforeValidator(values.label)]
Severity = Annotated[str, BeforeValidator(values.severity)]
Boolean = Annotated[bool, BeforeValidator(values.true_or_false)]
FileName = Annotated[str, values.text('the name of a file, such as "secrets/shop"')]
FileNames = Annotated[list[str], values.texts('file names, such as ["secrets/shop"]')]
Tokens = Annotated[list[SecretStr], values.texts('tokens: ["…"]')]


class Section(BaseModel):
    """A table of the file. Unknown settings are rejected; values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class BasicSettings(Section):
    """``basic``: a user name, and a password or the file that contains it."""

    username: Annotated[str, values.text("a user name")]
    """The user name."""
    password: Annotated[SecretStr, values.text("a password")] | None = None
    """The password, of at least 16 characters. Prefer `password_file`. Default: none."""
    password_file: FileName | None = None
    """A file with the password, relative to the folder of the configuration file. Default: none."""


class Server(Section):
    """``[server]``: the listeners."""

    webhook_listen: ListenAddress = Address("127.0.0.1", 8080)
    """Address of the public webhook listener. An address other than loopback requires a credential for every source."""
    admin_listen: ListenAddress = Address("127.0.0.1", 10047)
    """Address of metrics, health, API and status page. An address other than loopback requires a credential, or
    `server.admin_open`."""
    admin_tokens: Tokens = []
    """Bearer tokens for the admin listener, each of at least 16 characters. Health needs none. Default: none."""
    admin_tokens_file: FileNames = []
    """Files with one such token per line, relative to the folder of the configuration file. Blank lines and lines that
    start with `#` are skipped. Default: none."""
    admin_basic: BasicSettings | None = None
    """A user name and password for the admin listener: `{ username, password_file }` or `{ username, password }`.
    Default: none."""
    admin_open: Boolean = False
    """Allow an admin listener on an address other than loopback without a credential. Everyone who can reach it can
    read everything and reload."""
    trusted_hops: Annotated[int, values.integer(0, 16)] = 0
    """Number of trusted proxies in front of the webhook. With N, the client address is the Nth entry from the right in
    `X-Forwarded-For`; with 0 the header is ignored. If set too high, clients can spoof the address used for rate
    limiting."""
    keep_alive: Annotated[int, values.duration(5, HOUR)] = 75
    """How long an idle connection to the webhook listener is kept open. Set it longer than the load balancer in front
    keeps its connections, or a request may reach a connection that was just closed."""
    tls_certificate_file: FileName | None = None
    """PEM file with the certificate and its chain. The webhook listener then accepts only TLS, 1.2 or newer. Requires
    `server.tls_key_file`. A reload reads both files without closing a connection; turning TLS on or off needs a
    restart. Default: none."""
    tls_key_file: FileName | None = None
    """PEM file with the key of the certificate, without a passphrase. Default: none."""
    allow_readable_secrets: Boolean = False
    """Accept files with secrets that every user of the machine can read. For containers that mount secrets with mode
    0444; otherwise such files are rejected."""


class Store(Section):
    """``[store]``: the database, and how long it keeps events and bodies."""

    url: Annotated[SecretStr, BeforeValidator(values.url_of_store)] = SecretStr("sqlite:///dataexport.db")
    """The database. A relative SQLite path is relative to the folder of the configuration file; in a variable, to the
    working folder. For PostgreSQL with a standby, write `?host=A:5432&host=B:5432` instead of a host."""
    retention: Annotated[int, values.duration(DAY)] = 400 * DAY
    """How long events are kept. Counters are unaffected. After pruning has begun, older events are quarantined."""
    quarantine_retention: Annotated[int, values.duration(HOUR)] = 30 * DAY
    """How long quarantined and refused bodies are kept. They may contain personal data."""
    backup_max_age: Annotated[int, values.duration(HOUR)] | None = None
    """How old the newest backup may become before `ExportBackupOld` fires. Default: none, so it never fires."""
    allow_open_folder: Boolean = False
    """Accept a SQLite store in a folder that every user of the machine can write to. For containers that mount volumes
    with mode 0777; otherwise such a folder is rejected."""


class Limits(Section):
    """``[limits]``: the size of requests, the number of exports, and what a source may send."""

    exports_per_source: Annotated[int, values.integer(1, 100_000)] = 200
    """Exports of a source with series of their own. Further exports share `export="other"`, with the earliest of their
    deadlines."""
    event_bytes: Annotated[int, values.integer(1024, 1048576)] = 65536
    """Size of one event, in bytes. A larger one is answered 413."""
    request_bytes: Annotated[int, values.integer(1024, 16777216)] = 1048576
    """Size of one request body, in bytes. A larger one is answered 413."""
    events_per_minute: Annotated[int, values.integer(1, 1_000_000_000)] = 100_000
    """Events that a source may send in a minute, duplicates included. Beyond one of these four budgets the source gets
    429 with `Retry-After`; other sources are not affected. Each process counts from its start."""
    new_exports_per_day: Annotated[int, values.integer(1, 1_000_000_000)] = 10_000
    """Combinations of partner, type, frequency and request id of a source, new to the process, in a day. At least ten
    times `limits.exports_per_source` is always allowed."""
    test_calls_per_minute: Annotated[int, values.integer(1, 1_000_000_000)] = 60
    """Test calls of a source in a minute."""
    quarantined_bytes_per_day: Annotated[int, values.integer(1, 1_000_000_000_000)] = 67108864
    """Bytes of quarantined bodies of a source in a day."""
    total_request_bytes: Annotated[int, values.integer(1048576, 4294967296)] = 67108864
    """Bytes of all requests being received or processed. Beyond it, a request over 64 KiB gets 503 with `Retry-After`.
    At least `limits.request_bytes`."""


class Log(Section):
    """``[log]``: what is logged to standard error, and how."""

    level: Annotated[LogLevel, values.choice("debug", "info", "warning", "error")] = "info"
    """The least severe level that is logged."""
    format: Annotated[LogFormat, values.choice("auto", "json", "console")] = "auto"
    """`auto` logs JSON, or columns if standard error is a terminal."""


class LandingSettings(Section):
    """``landing``: where the files of an export land, so that the exporter can look for them."""

    url: Annotated[str, BeforeValidator(values.landing_url)]
    """What the names of the files of a run begin with: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or
    `az://CONTAINER/PREFIX`. `{date}` is the day on which the run started, in the time zone of the source, also with a
    format such as `{date:%Y/%m/%d}`; `{request_id}` is the export request id."""
    min_objects: Annotated[int, values.integer(1, 1_000_000)] = 1
    """How many files a run must have written."""
    min_bytes: Annotated[int, values.integer(0, 1_000_000_000_000_000)] = 1
    """How many bytes these must have together."""
    within: Annotated[int, values.duration(60, DAY)] = 1800
    """How long after Completed the files may take to appear before `ExportNothingLanded` fires."""
    timeout: Annotated[int, values.duration(1, 600)] = 30
    """How long one check may take."""
    max_objects: Annotated[int, values.integer(1, 10_000_000)] = 100_000
    """How many objects one check may list. If there are more under the prefix, the check fails; make `url` more
    specific, with `{date}` or `{request_id}`."""
    region: Annotated[str, values.text('a region, such as "eu-west-1"')] | None = None
    """Region of an S3 bucket. Default: `AWS_REGION`, or `us-east-1`."""
    endpoint: (
        Annotated[
            str,
            values.optional_text(
                'an address, such as "https://minio.example:9000"', re.compile(r"https?://[^\s/]\S*").fullmatch
            ),
        ]
        | None
    ) = None
    """Address of the store, if it is not the cloud's own. Default: the cloud's."""
    access_key_id: Annotated[str, values.text("the id of an access key")] | None = None
    """Id of the access key for S3. Requires `secret_access_key_file` or `secret_access_key`. Default: the environment,
    or the role of the machine."""
    secret_access_key: Annotated[SecretStr, values.text("a secret access key")] | None = None
    """Secret access key for S3. Prefer `secret_access_key_file`. Default: none."""
    secret_access_key_file: FileName | None = None
    """File with the secret access key, relative to the folder of the configuration file. Default: none."""
    account: Annotated[str, values.text("the name of a storage account")] | None = None
    """Name of the Azure storage account. Default: `AZURE_STORAGE_ACCOUNT_NAME`."""
    account_key: Annotated[SecretStr, values.text("the key of a storage account")] | None = None
    """Key of the Azure storage account. Prefer a managed identity, or `account_key_file`. Default: none."""
    account_key_file: FileName | None = None
    """File with the key of the Azure storage account, relative to the folder of the configuration file. Default:
    none."""
    service_account_file: FileName | None = None
    """File with the key of a Google service account, relative to the folder of the configuration file. Default:
    `GOOGLE_APPLICATION_CREDENTIALS`, or the identity of the machine."""
    anonymous: Boolean = False
    """Look without any credential, for public buckets."""


class SourceSettings(Section):
    """``[[sources]]``: one webhook URL."""

    slug: Annotated[str, BeforeValidator(values.slug)]
    """Name of the source, in the webhook's path and in the `source` label."""
    vendor: Annotated[str, BeforeValidator(values.vendor)] = registry.DEFAULT
    """Which adapter parses its events."""
    timezone: Annotated[str, BeforeValidator(values.zone)] = event_time.AUTO
    """Time zone of the project that sends the events, such as `"Asia/Kolkata"`. `"auto"` infers the offset of each
    event from its arrival, which is right for deliveries up to about 13 minutes late."""
    severity: Severity = WARNING
    """Severity of an overdue undeclared export of the source; see `exports.severity`."""
    tokens: Tokens = []
    """Tokens for the webhook, each of at least 16 characters and used by no other source. Any of them is accepted, so
    two can be valid during a rotation. Default: none."""
    tokens_file: FileNames = []
    """Files with one such token per line, relative to the folder of the configuration file. Blank lines and lines that
    start with `#` are skipped. Default: none."""
    basic: BasicSettings | None = None
    """A user name and password for the webhook: `{ username, password_file }` or `{ username, password }`. Default:
    none."""
    header: Annotated[
        str,
        values.optional_text(
            'the name of a header, such as "X-Export-Token"', re.compile("[A-Za-z0-9-]{1,64}").fullmatch
        ),
    ] = ""
    """The header that carries the token. Default: `Authorization: Bearer …`."""
    landing: LandingSettings | None = None
    """The place to which the files of every export of the source go, unless `exports.landing` says otherwise.
    Default: the exporter does not look."""


class MatchSettings(Section):
    """``match``: which events belong to a declared export."""

    request_id: Annotated[str, BeforeValidator(values.request_id)] | None = None
    """The export request id. Default: any."""
    partner: Label | None = None
    """The partner, such as `"Amazon S3"`. Default: any."""
    data_type: Label | None = None
    """The type, such as `"events"`, in any case. Default: any."""
    frequency: Label | None = None
    """The frequency, such as `"24h"`, `"Daily"` or `"one-time"`. Default: any."""


class ExportSettings(Section):
    """``[[exports]]``: a declared export, which is monitored even if no event ever arrives."""

    name: Annotated[str, BeforeValidator(values.export_name)]
    """Name of the export, and its `export` label. `any` and `other` are reserved names."""
    source: Annotated[str, values.text("the slug of a source")] = DEFAULT_SOURCE
    """Slug of its source."""
    match: MatchSettings
    """Which events belong to the export. An event must match every field that is given; at least one is required. If
    several declarations match an event, the first one in the file gets it."""
    interval: Annotated[int, values.duration(60, MAX_INTERVAL)] | None = None
    """Expected time between two runs. Required unless `match` has a frequency with an interval, the frequency
    `"one-time"`, or a `request_id`. Default: the interval of the matched frequency."""
    grace: Annotated[int, values.duration(0)] | None = None
    """Allowed delay after the expected time. Default: 20 % of the interval, at least 30 minutes."""
    max_runtime: Annotated[int, values.duration(60)] | None = None
    """How long a run may take before it is stuck. Default: the interval, at most 6 hours; 24 hours for a one-time
    export."""
    first_expected: ZonedDatetime | None = None
    """When the first completion is expected; the first deadline is the grace period later. Default: one interval after
    the exporter first read the declaration."""
    muted_until: ZonedDatetime | None = None
    """Suppress alerts for the export until this time. Default: not muted."""
    objective: Annotated[float, BeforeValidator(values.share)] = DEFAULT_OBJECTIVE
    """On-time objective: the target share of slots on time."""
    severity: Severity = CRITICAL
    """What happens if the export is overdue. `"critical"` pages at the deadline. `"warning"` is a ticket at the
    deadline and a page one interval later. `"info"` is shown on dashboards only."""
    owner: Annotated[str, values.optional_text("a text of at most 128 characters", lambda text: len(text) <= 128)] = ""  # noqa: PLR2004 - as its message says
    """Who is responsible, shown in alerts and on the status page. Default: none."""
    runbook_url: Annotated[
        str,
        values.optional_text(
            'an address of at most 512 characters, such as "https://wiki.example/nightly"',
            re.compile(r"(?=.{1,512}$)https?://\S+").fullmatch,
        ),
    ] = ""
    """Address of the export's own runbook, shown in alerts and on the status page. Default: none."""
    landing: LandingSettings | None = None
    """The place to which its files go. Default: `sources.landing`."""


class Settings(Section):
    """The whole file."""

    server: Server = Server()
    store: Store = Store()
    limits: Limits = Limits()
    log: Log = Log()
    sources: list[SourceSettings] = []
    """One table per project that sends events. Default: one source, `default`."""
    exports: list[ExportSettings] = []
    """Declared exports: exports you expect, alerted on even if no event ever arrives. Default: none."""
