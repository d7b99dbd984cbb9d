"""Who may use the admin listener: credentials, people who sign in with a browser, and no pages of other sites."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from form_client import FormClient, form_with, forms
from running_here import LocalExporter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import requests

TOKEN = "an-admin-token-of-24-letters"
OTHER_TOKEN = "another-token-of-24-letters"
CONFIGURATION = f"""
[server]
admin_tokens = ["{TOKEN}"]
admin_basic = {{ username = "ada", password = "an-admin-password" }}
"""


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExporter]:
    with LocalExporter(tmp_path_factory.mktemp("access"), CONFIGURATION) as running:
        yield running


@pytest.fixture
def browser(exporter: LocalExporter) -> FormClient:
    return FormClient(exporter)


def sign_in(
    browser: FormClient, typed: Mapping[str, str] | None = None, *, path: str = "/", follow: bool = True
) -> requests.Response:
    page = browser.get(path)
    return browser.send(page, form_with(page, "secret"), follow=follow, typed={"secret": TOKEN} | dict(typed or {}))


def test_a_browser_without_a_credential_gets_a_form_and_nothing_else(browser: FormClient) -> None:
    page = browser.get("/")
    assert page.status_code == 401
    assert page.headers["WWW-Authenticate"] == 'Bearer realm="admin"'  # Basic would open a window of the browser
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "User name" in page.text
    assert "Exports</h2>" not in page.text
    assert browser.get("/sign-in").status_code == 401  # it leads to the page


def test_any_other_client_gets_a_problem_document_that_names_both_schemes(exporter: LocalExporter) -> None:
    answer = exporter.admin("/")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="admin", Basic realm="admin"'
    assert answer.json()["detail"] == "no valid credential for the admin listener"


@pytest.mark.parametrize("typed", [{"secret": TOKEN}, {"user": "ada", "secret": "an-admin-password"}])
def test_a_person_signs_in_to_the_page_that_was_asked_for(browser: FormClient, typed: dict[str, str]) -> None:
    answer = sign_in(browser, typed, path="/?page=1&q=a%20b")
    assert answer.status_code == 200
    assert answer.url.endswith("/?page=1&q=a%20b")
    assert "Sign out" in answer.text


def test_the_session_is_a_cookie_that_neither_scripts_nor_other_sites_can_use(browser: FormClient) -> None:
    answer = sign_in(browser, follow=False)
    assert answer.status_code == 303
    cookie = answer.headers["Set-Cookie"]
    assert TOKEN not in cookie
    attributes = {part.strip() for part in cookie.split(";")[1:]}
    assert {"HttpOnly", "SameSite=Strict", "Max-Age=43200"} <= attributes
    assert not {each for each in attributes if each.startswith(("Path", "Secure"))}


def test_the_session_is_sent_only_over_https_if_the_browser_uses_it(browser: FormClient) -> None:
    page = browser.get("/")
    encrypted = {"Origin": "https://exports.example"}
    answer = browser.send(page, form_with(page, "secret"), headers=encrypted, follow=False, typed={"secret": TOKEN})
    assert "Secure" in answer.headers["Set-Cookie"].split("; ")


WRONG: list[dict[str, str]] = [
    {"secret": ""},
    {"secret": "wrong"},
    {"user": "ada", "secret": "wrong"},
    {"user": "ada", "secret": TOKEN},
    {"secret": "an-admin-password"},
    {"secret": "ada:an-admin-password"},
    {"user": "grace", "secret": "an-admin-password"},
]


def test_a_wrong_credential_begins_no_session_and_after_ten_in_a_minute_only_a_valid_one_passes(tmp_path: Path) -> None:
    with LocalExporter(tmp_path, CONFIGURATION) as exporter:
        browser = FormClient(exporter)
        for typed in WRONG:
            answer = sign_in(browser, typed, path="/?page=2", follow=False)
            assert answer.status_code == 401
            assert "Set-Cookie" not in answer.headers
            assert "not a valid credential" in answer.text
            again = form_with(answer, "secret")
            assert (again.fields["page"], again.fields["user"]) == ("?page=2", typed.get("user", ""))
            assert browser.get("/").status_code == 401
        failures = [sign_in(browser, {"secret": "wrong"}).status_code for _ in range(11 - len(WRONG))]
        assert failures == [401] * (10 - len(WRONG)) + [429]
        wrong = {"Authorization": "Bearer wrong"}
        assert exporter.admin("/metrics", headers=wrong).status_code == 429
        assert exporter.admin("/metrics").status_code == 401  # without a credential it is no guess
        assert exporter.admin("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert sign_in(browser).status_code == 200


@pytest.mark.parametrize("page", ["//evil.example/", "https://evil.example/", "/\\evil.example", "a\nb", "..//x"])
def test_signing_in_leads_to_no_other_site(browser: FormClient, page: str) -> None:
    answer = sign_in(browser, {"page": page}, follow=False)
    location = answer.headers["Location"]
    assert location.startswith("./")
    assert ":" not in location
    assert "\\" not in location


def test_a_form_without_its_token_is_shown_again(browser: FormClient) -> None:
    answer = sign_in(browser, {"form_token": "made up"})
    assert answer.status_code == 401
    assert "This form was out of date" in answer.text
    assert sign_in(browser, {"form_token": "\u20ac"}).status_code == 401


def test_a_form_of_another_site_begins_no_session(browser: FormClient) -> None:
    page = browser.get("/")
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "", "Origin": "https://evil.example"}):
        answer = browser.send(page, form_with(page, "secret"), headers=headers, typed={"secret": TOKEN})
        assert answer.status_code == 403


def test_a_session_ends_when_its_person_signs_out_and_the_cookie_of_it_opens_nothing(browser: FormClient) -> None:
    page = sign_in(browser)
    ignored = browser.send(page, forms(page)[0], typed={"form_token": "made up"})
    assert ignored.status_code == 401  # the browser forgets the cookie, though the form was not ours
    page = sign_in(browser)
    [(name, value)] = browser.session.cookies.items()
    assert browser.send(page, forms(page)[0]).status_code == 401
    assert not browser.session.cookies
    browser.session.headers["Cookie"] = f"{name}={value}"
    assert browser.get("/").status_code == 401


def test_a_session_ends_with_the_credential_that_it_began_with(tmp_path: Path) -> None:
    with LocalExporter(tmp_path, CONFIGURATION) as exporter:
        browser = FormClient(exporter)
        assert sign_in(browser).status_code == 200
        exporter.config_path.write_text(CONFIGURATION.replace(TOKEN, OTHER_TOKEN), "utf-8")
        authorized = {"Authorization": f"Bearer {TOKEN}"}
        assert exporter.admin("/-/reload", "POST", headers=authorized).status_code == 200
        assert browser.get("/").status_code == 401


def test_the_files_of_the_form_and_health_need_no_credential(browser: FormClient) -> None:
    assert browser.get("/static/style.css").status_code == 200
    assert browser.get("/-/healthy").status_code == 200
    for path in ("/static/../metrics", "/static/x/y", "/sign-out", "/metrics"):
        assert browser.get(path).status_code == 401
