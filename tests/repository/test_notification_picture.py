"""The picture of a notification shows what Alertmanager sent, whatever characters are in it."""

from __future__ import annotations

from notification_picture import card

MESSAGE = {
    "channel": "#data-export-pages",
    "attachments": [
        {
            "color": "danger",
            "title": "[FIRING: 1] ExportOverdue: a<b",
            "title_link": "https://grafana.example/d/x?a=1&b=2",
            "text": "Export a<b is 3h past its deadline.\nDashboard: https://grafana.example/d/x?a=1&b=2\n\n",
        }
    ],
}


def test_a_card_has_the_text_as_it_is_and_addresses_as_links() -> None:
    page = card(MESSAGE)
    assert "#data-export-pages" in page
    assert ">[FIRING: 1] ExportOverdue: a&lt;b</a>" in page
    link = '<a href="https://grafana.example/d/x?a=1&amp;b=2">https://grafana.example/d/x?a=1&amp;b=2</a>'
    assert f"<p>Export a&lt;b is 3h past its deadline.\nDashboard: {link}</p>" in page
