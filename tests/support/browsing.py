"""Opens pages in Debian's Chromium as a person would see them, and collects what is wrong with them."""

from __future__ import annotations

from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING, Literal, Self

from playwright.sync_api import Error, sync_playwright

import tools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page, Request

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
DESKTOP = (1400, 900)
PHONE = (360, 740)
PATIENCE_MILLISECONDS = 120_000
"""This limit proves nothing: it only ends a test that hangs, and a busy machine stays far below it."""
AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
RUN_AXE = """async (only) => (await axe.run(document, {
  resultTypes: ["violations"], ...(only ? { runOnly: [only] } : {}),
})).violations.map(
  (violation) => `${violation.id}: ${violation.help}: ` + violation.nodes.map((node) => node.html).join(" | "))"""
NO_OVERFLOW = "() => document.scrollingElement.scrollWidth <= document.scrollingElement.clientWidth"


class Browser:
    """A Chromium without a window, for the tests of one module."""

    def __enter__(self) -> Self:
        path = tools.browser()
        self._playwright = sync_playwright().start()
        # Root, in a container, cannot have Chromium's own sandbox; it opens only pages of the tests.
        try:
            self._browser = self._playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error as error:
            self._playwright.stop()
            tools.missing(f"{path} does not start: {error.message.splitlines()[0]}")
        return self

    def __exit__(self, *_: object) -> None:
        self._browser.close()
        self._playwright.stop()

    @contextmanager
    def page(  # noqa: PLR0913 - what a viewer may prefer
        self,
        url: str,
        *,
        scheme: Scheme = "light",
        size: tuple[int, int] = DESKTOP,
        javascript: bool = True,
        timezone: str = "Europe/Berlin",
        allowed_errors: tuple[str, ...] = (),
    ) -> Iterator[Page]:
        """Open a page of an exporter in a browser profile of its own, and close it afterwards.

        At the end, the page must not have logged an error, nor asked another host for anything.

        Args:
            url: the address of the page.
            scheme: the colour scheme that the viewer prefers.
            size: width and height of the window, in pixels.
            javascript: whether scripts run.
            timezone: the viewer's.
            allowed_errors: texts of errors that the test provokes.
        """
        context = self._browser.new_context(
            color_scheme=scheme,
            viewport={"width": size[0], "height": size[1]},
            java_script_enabled=javascript,
            timezone_id=timezone,
            reduced_motion="reduce",
        )
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        problems: list[str] = []
        origin = "/".join(url.split("/")[:3]) + "/"

        def check_host(request: Request) -> None:
            if not request.url.startswith((origin, "data:", "blob:")):
                problems.append(f"asked another host: {request.url}")

        try:
            page = context.new_page()
            page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("request", check_host)
            page.goto(url)
            yield page
        finally:
            context.close()
        assert [problem for problem in problems if not any(text in problem for text in allowed_errors)] == []


def accessibility_problems(page: Page, only: str = "") -> list[str]:
    """Return what axe-core finds wrong with a page, by all of its rules or by a single one."""
    page.evaluate(f"() => {{ if (!window.axe) {{ {AXE} }} }}")
    found: list[str] = page.evaluate(RUN_AXE, only)
    return found


def fits_the_width(page: Page) -> bool:
    """Return whether a page as a whole needs no horizontal scrolling."""
    fits: bool = page.evaluate(NO_OVERFLOW)
    return fits


def refresh(page: Page) -> None:
    """Make a page refresh itself now, as it does when it becomes visible again."""
    with page.expect_response(page.url):
        page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
