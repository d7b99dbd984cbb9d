"""The hooks of the documentation site: links out of docs/, lists, and no request to another host."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from docs_site import DOCS, REPOSITORY, link_to_repository, on_config, on_post_page, reindent_lists


def test_the_navigation_has_every_page_once() -> None:
    nav = on_config({})["nav"]
    pages = [page for entry in nav for page in ([entry] if isinstance(entry, str) else next(iter(entry.values())))]
    assert sorted(pages) == sorted(str(page.relative_to(DOCS)) for page in DOCS.glob("**/*.md"))


def test_only_links_to_files_outside_of_the_site_lead_to_the_repository() -> None:
    text = (
        "[a](upgrade.md) [b](../../deploy/nginx.conf) [c](../../nothing.md) [d](../runbooks) [e](https://example.org)"
    )
    assert link_to_repository(text, DOCS / "how-to" / "page.md") == (
        f"[a](upgrade.md) [b]({REPOSITORY}deploy/nginx.conf) [c](../../nothing.md) [d]({REPOSITORY}docs/runbooks) "
        "[e](https://example.org)"
    )


def test_what_belongs_to_an_item_of_a_list_is_indented_by_four_spaces() -> None:
    page = "Steps:\n1. First\n\n   ```sh\n   one\n     two\n   ```\n2. Second\n   - nested\n\nText\n\n- a\n  more\n- b"
    assert reindent_lists(page) == (
        "Steps:\n\n1. First\n\n    ```sh\n    one\n      two\n    ```\n\n2. Second\n    - nested\n\nText\n\n"
        "- a\n    more\n\n- b"
    )


def test_a_list_in_code_is_left_alone() -> None:
    page = "```yaml\nroutes:\n- a\n  b\n```"
    assert reindent_lists(page) == page


@pytest.mark.parametrize(
    "element",
    [
        '<script src="https://cdn.example/a.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        "<img src='http://a.example/b.png'>",
    ],
)
def test_a_page_that_asks_another_host_is_refused(element: str) -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="how-to/a.md"))
    with pytest.raises(ValueError, match=r"how-to/a\.md: a reader's browser would ask another host: <"):
        on_post_page(f"<p>{element}</p>", page)


def test_a_link_to_another_host_is_no_request() -> None:
    output = '<a href="https://example.org">there</a><script src="../assets/a.js"></script>'
    assert on_post_page(output, SimpleNamespace()) == output
