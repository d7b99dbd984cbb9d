"""Lists files in Amazon S3, Google Cloud Storage and Azure Blob Storage, through obstore.

Only this module knows obstore, which is imported when the first list is made. No message of it is shown, because one
may contain a signed address.
"""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from exporter.domain.errors import ExporterError
from exporter.domain.landing import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from exporter.domain.landing import Landing

PAGE_SIZE = 1000
MAX_RETRIES = 3
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.2, 2.0
CONNECT_SECONDS = 5
REQUEST_SECONDS = 10
"""How long one request may take; a check makes one for every 1000 objects."""

DENIED = "denied"
NO_BUCKET = "no such bucket"
THROTTLED = "throttled"
TIMED_OUT = "timed out"
UNREACHABLE = "unreachable"
NO_CREDENTIAL = "no credential"
TOO_MANY = "too many objects"
FAILED = "failed"
CUT_OFF = "cut off"

_PERMISSIONS = {"s3": "s3:ListBucket", "gs": "storage.objects.list", "az": "Storage Blob Data Reader"}
_STATUS = re.compile(r"\b(?:status(?: code)?:? ?|HTTP )?([45]\d\d) [a-z]")
_KIND = re.compile(r"\bkind: (connect|timeout)\b")
_IDENTITY_SERVICES = ("169.254.169.254", "169.254.170.2", "metadata.google.internal", "metadata/identity")


class ListingError(ExporterError):
    """The files could not be listed.

    Attributes:
        reason: one of the words of this module.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


def find_files(landing: Landing, url: str, since: float, monotonic: Callable[[], float] = time.monotonic) -> Found:
    """Return the files whose names begin with a URL and that were modified since an instant in Unix seconds.

    Raises:
        ListingError: they cannot all be listed; there is no partial answer.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    ends_at = monotonic() + landing.timeout
    try:
        files = _within_limits(_pages(_open(scheme, bucket, landing), prefix), landing, url, ends_at, monotonic)
        counted = [file for file in files if file["path"].startswith(prefix) and _modified(file) >= since]
    except ListingError:
        raise
    except Exception as error:  # noqa: BLE001 - obstore has no common class for all that it raises
        problem = _Problem(error, timed_out=monotonic() >= ends_at)
        raise _explain(problem, scheme, url, landing) from None
    return Found(len(counted), sum(file["size"] for file in counted), max(map(_modified, counted), default=0.0))


def _within_limits(
    pages: Iterator[Sequence[Any]], landing: Landing, url: str, ends_at: float, monotonic: Callable[[], float]
) -> Iterator[Any]:
    """Yield the objects of pages.

    Raises:
        ListingError: they are too many, or take too long.
    """
    listed = 0
    for page in pages:
        listed += len(page)
        if listed > landing.max_objects:
            raise ListingError(TOO_MANY, _MESSAGES[TOO_MANY].format(url=url, landing=landing))
        if monotonic() > ends_at:
            raise ListingError(TIMED_OUT, _MESSAGES[TIMED_OUT].format(url=url, landing=landing))
        yield from page


def _modified(file: Any) -> float:  # noqa: ANN401 - a dictionary whose type only obstore has
    return float(file["last_modified"].timestamp())


def _open(scheme: str, bucket: str, landing: Landing) -> Any:  # noqa: ANN401 - one of three classes of an optional package
    from obstore import store  # noqa: PLC0415 - only a configured landing needs it

    given = dict(landing.options + landing.secrets)
    endpoint = given.get("endpoint")
    if scheme == "s3":
        names = {name: name for name in ("region", "endpoint", "access_key_id", "secret_access_key")}
    elif scheme == "gs":
        names = {"endpoint": "base_url", "service_account_file": "service_account"}
    else:
        names = {"account": "account_name", "account_key": "account_key", "endpoint": "endpoint"}
    config: dict[str, Any] = {names[name]: value for name, value in given.items() if name in names}
    if "anonymous" in given:
        config["skip_signature"] = True
    kinds: dict[str, Any] = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}
    return kinds[scheme](
        bucket,
        config=config,
        client_options={
            "timeout": timedelta(seconds=min(REQUEST_SECONDS, landing.timeout)),
            "connect_timeout": timedelta(seconds=min(CONNECT_SECONDS, landing.timeout)),
            "allow_http": endpoint is not None and endpoint.startswith("http://"),
        },
        retry_config={
            "max_retries": MAX_RETRIES,
            "retry_timeout": timedelta(seconds=landing.timeout),
            "backoff": {
                "init_backoff": timedelta(seconds=FIRST_RETRY_SECONDS),
                "max_backoff": timedelta(seconds=LONGEST_RETRY_SECONDS),
                "base": 2,
            },
        },
    )


def _pages(store: Any, prefix: str) -> Iterator[Sequence[Any]]:  # noqa: ANN401 - as in `_open`
    """Yield pages of the objects that may begin with the prefix."""
    import obstore  # noqa: PLC0415 - only a configured landing needs it

    folder, _, start = prefix.rpartition("/")
    offset = None
    if start:
        # Begin just before the first name that begins with it.
        before = start[:-1] + chr(ord(start[-1]) - 1) + "~~~~"
        offset = f"{folder}/{before}" if folder else before
    for page in obstore.list(store, folder or None, offset=offset, chunk_size=PAGE_SIZE):
        yield page
        last = page[-1]["path"]
        if start and last > prefix and not last.startswith(prefix):
            return


class _Problem:
    """What obstore raised, as far as its class and its text show.

    Args:
        error: the exception.
        timed_out: whether the time for the check is over.
    """

    def __init__(self, error: Exception, *, timed_out: bool) -> None:
        self.name = type(error).__name__
        text, _, details = str(error).lower().partition("\n\ndebug source")
        kind = _KIND.search(details)
        self.text = text
        self.kind = kind[1] if kind else ""
        match = _STATUS.search(self.text)
        self.status = int(match[1]) if match else 0
        self.timed_out = timed_out

    def mentions(self, *words: str) -> bool:
        """Return whether the text has one of some words."""
        return any(word in self.text for word in words)


_REASONS: tuple[tuple[str, Callable[[_Problem], bool]], ...] = (
    (NO_CREDENTIAL, lambda problem: problem.mentions(*_IDENTITY_SERVICES)),
    (
        DENIED,
        lambda problem: (
            problem.status in {401, 403} or problem.name in {"PermissionDeniedError", "UnauthenticatedError"}
        ),
    ),
    (NO_BUCKET, lambda problem: problem.status == 404 or problem.name == "FileNotFoundError"),  # noqa: PLR2004 - not found
    (THROTTLED, lambda problem: problem.status in {429, 503}),
    (FAILED, lambda problem: problem.status > 0),
    (UNREACHABLE, lambda problem: problem.kind == "connect"),
    (TIMED_OUT, lambda problem: problem.timed_out or problem.kind == "timeout"),
)
"""What each reason is recognised by; the first one that applies counts."""

_MESSAGES = {
    NO_CREDENTIAL: "no credential was found for {bucket}; give one, or run where a role of the cloud gives one",
    DENIED: "{bucket} may not be listed (status {status}); allow {permission}, or correct the credential",
    NO_BUCKET: "{bucket} does not exist; correct landing.url, the region or the account",
    THROTTLED: "{bucket} asks for fewer requests (status {status}), also after retries",
    FAILED: "{bucket} answered with status {status}",
    TIMED_OUT: "{url} could not be listed within {landing.timeout} s; if the store is slow, raise landing.timeout",
    UNREACHABLE: "{bucket} cannot be reached; check the network and landing.endpoint",
    TOO_MANY: "more than {landing.max_objects} objects are in the folder of {url}; make landing.url more specific, "
    "with a date or the request id, or raise landing.max_objects",
    CUT_OFF: "{url} could not be listed to its end: the answer broke off, or is not a listing",
}


def _explain(problem: _Problem, scheme: str, url: str, landing: Landing) -> ListingError:
    """Return what went wrong in our own words. obstore has few classes of errors, so its text decides."""
    reason = next((reason for reason, applies in _REASONS if applies(problem)), CUT_OFF)
    message = _MESSAGES[reason].format(
        url=url,
        bucket="/".join(url.split("/")[:3]),
        status=problem.status or problem.name,
        permission=_PERMISSIONS[scheme],
        landing=landing,
    )
    return ListingError(reason, message)
