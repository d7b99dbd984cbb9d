"""People who ask for a page get one, also if the store fails or there is none; programs get a problem document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from running_here import LocalExporter

if TYPE_CHECKING:
    from pathlib import Path

HTML, JSON = "text/html; charset=utf-8", "application/problem+json"
BROWSER = {"Accept": "text/html,application/xhtml+xml"}
PROGRAM = {"Accept": "*/*"}


def test_an_error_is_a_page_for_people_and_a_document_for_programs(tmp_path: Path) -> None:
    with LocalExporter(tmp_path) as exporter:

        def kind(path: str, headers: dict[str, str]) -> tuple[int, str]:
            response = exporter.admin(path, headers=headers)
            return response.status_code, response.headers["Content-Type"]

        for path in ("/exports/none", "/quarantine/9", "/nowhere"):
            assert kind(path, BROWSER) == (404, HTML)
            assert kind(path, PROGRAM) == (404, JSON)
        assert kind("/api/v1/exports/none", BROWSER) == (404, JSON)
        missing = exporter.admin("/exports/none", headers=BROWSER).text
        assert '<a href="../">All exports</a>' in missing
        assert "data-refresh" not in missing

        exporter.database.rename(tmp_path / "aside.db")
        for path in ("/sources", "/quarantine", "/exports/none"):
            assert kind(path, BROWSER) == (503, HTML)
            assert kind(path, PROGRAM) == (503, JSON)
        assert kind("/metrics", BROWSER) == (503, JSON)
        failing = exporter.admin("/sources", headers=BROWSER)
        assert "The store fails, so this page cannot be shown." in failing.text
        assert "ExportStoreFailing.md" in failing.text
        assert 'data-refresh="15"' in failing.text
        assert failing.headers["Retry-After"]
        (tmp_path / "aside.db").rename(exporter.database)
        assert exporter.admin("/sources", headers=BROWSER).status_code == 200
