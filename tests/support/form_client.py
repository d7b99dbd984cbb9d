"""Uses pages as a browser without JavaScript does: keeps cookies, and sends forms with all of their fields."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import requests

from running import START_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from running import Exporter

Attributes = dict[str, str]


class Form:
    """A form of a page.

    Attributes:
        action: where it is sent, relative to its page.
        fields: the fields that a browser sends, with what a person sees in them at first.
        choices: the values of each list to choose from.
        buttons: name and value of each button.
    """

    def __init__(self, attributes: Attributes) -> None:
        self.action = attributes.get("action", "")
        self.method = attributes.get("method", "get")
        self.id = attributes.get("id", "")
        self.fields: dict[str, str] = {}
        self.choices: dict[str, list[str]] = {}
        self.buttons: list[tuple[str, str]] = []


class _Forms(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._select = ""
        self._textarea = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        name, value = attributes.get("name", ""), attributes.get("value", "")
        if tag == "form":
            self._form = Form(attributes)
            self.forms.append(self._form)
        elif self._form is None:
            return
        elif tag == "input" and (attributes.get("type") not in {"radio", "checkbox"} or "checked" in attributes):
            self._form.fields[name] = value
        elif tag == "button":
            self._form.buttons.append((name, value))
        elif tag == "select":
            self._select = name
            self._form.choices[name] = []
        elif tag == "option":
            self._form.choices[self._select].append(value)
            if "selected" in attributes or self._select not in self._form.fields:
                self._form.fields[self._select] = value
        elif tag == "textarea":
            self._textarea = name
            self._form.fields[name] = ""

    def handle_data(self, data: str) -> None:
        if self._form is not None and self._textarea:
            self._form.fields[self._textarea] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "textarea":
            self._textarea = ""


def forms(page: requests.Response) -> list[Form]:
    """Return the forms of a page in order."""
    return _Forms(page.text).forms


def form_with(page: requests.Response, field: str) -> Form:
    """Return the first form of a page that has a field, or a button with this name or value."""
    for form in forms(page):
        if field in form.fields or any(field in button for button in form.buttons):
            return form
    message = f"no form with {field} in {page.text}"
    raise AssertionError(message)


def text_of(page: requests.Response) -> str:
    """Return what a person reads, with single spaces."""
    text = re.sub("</(td|th|p|dt|dd|h1|h2|li|option|label|a)>|<br>", " ", page.text)
    return html.unescape(" ".join(re.sub("<[^>]*>", "", text).split()))


class FormClient:
    """A browser of one person, at the admin listener of an exporter."""

    def __init__(self, exporter: Exporter) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update({"Accept": "text/html,*/*;q=0.8", "Connection": "close"})
        self._url = exporter.admin_url

    def get(self, path: str) -> requests.Response:
        """Open a page."""
        return self.session.get(self._url + path, timeout=START_SECONDS)

    def send(
        self,
        page: requests.Response,
        form: Form,
        /,
        *,
        headers: Attributes | None = None,
        follow: bool = True,
        typed: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send a form of a page with some fields filled in; by default, follow where the answer leads."""
        sent = {"Origin": self._url, "Sec-Fetch-Site": "same-origin"} | (headers or {})
        return self.session.post(
            urljoin(page.url, form.action),
            data=form.fields | dict(typed or {}),
            headers=sent,
            timeout=START_SECONDS,
            allow_redirects=follow,
        )
