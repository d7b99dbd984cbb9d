"""Hooks of MkDocs: the pages are written for a repository's web page, and this makes a site of them.

It makes the navigation from the folders, points links that leave ``docs`` to the repository, and writes lists as
Python's Markdown reads them. A built page that would load something from another host stops the build.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
REPOSITORY = "https://github.com/dataexport/dataexport-exporter/blob/main/"
SECTIONS = {
    "Tutorial": "tutorial",
    "How to": "how-to",
    "Runbooks": "runbooks",
    "Reference": "reference",
    "Explanation": "explanation",
    "Design decisions": "adr",
    "Contributing": "contributing",
}
_LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")
_ITEM = re.compile(r"(?:[-*]|\d+\.) +(?=\S)")
_OTHER_HOST = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//[^>]*|<link\b[^>]*\bhref=["']?(?:https?:)?//[^>]*"""
)


def on_config(config: Any, **_: object) -> Any:  # noqa: ANN401 - MkDocs is installed for the site only
    """Make the navigation: an index, and a section for each folder with its README first."""
    config["nav"] = [
        "README.md",
        *(
            {title: [str(page.relative_to(DOCS)) for page in sorted((DOCS / folder).glob("*.md"), key=_readme_first)]}
            for title, folder in SECTIONS.items()
        ),
        *(page.name for page in sorted(DOCS.glob("*.md")) if page.name != "README.md"),
    ]
    return config


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:  # noqa: ANN401 - see above
    """Rewrite links and lists of a page."""
    return reindent_lists(link_to_repository(markdown, DOCS / page.file.src_uri))


def on_post_page(output: str, page: Any, **_: object) -> str:  # noqa: ANN401 - see above
    """Refuse a page that loads something from another host.

    Raises:
        ValueError: names the page and the element.
    """
    found = _OTHER_HOST.search(output)
    if found is not None:
        message = f"{page.file.src_uri}: a reader's browser would ask another host: {found[0]}"
        raise ValueError(message)
    return output


def link_to_repository(markdown: str, page: Path) -> str:
    """Point links to existing files outside of ``docs`` to the repository; others are left for MkDocs to check."""

    def target(link: re.Match[str]) -> str:
        path = (page.parent / link[1]).resolve()
        page_of_site = path.is_relative_to(DOCS) and path.suffix
        if page_of_site or not path.is_relative_to(ROOT) or not path.exists():
            return link[1]
        return REPOSITORY + str(path.relative_to(ROOT))

    return _LINK.sub(target, markdown)


def reindent_lists(markdown: str) -> str:
    """Indent what belongs to a list item by four spaces, and put an empty line before a list."""
    lines: list[str] = []
    fenced = False
    width = 0  # of the marker of the current item; 0 outside of lists
    for line in markdown.splitlines():
        item = None if fenced else _ITEM.match(line)
        if item is not None:
            if lines and lines[-1] and (not width or lines[-1].startswith(" ")):
                lines.append("")
            width = len(item[0])
        elif width and line.startswith(" " * width):
            line = "    " + line[width:]  # noqa: PLW2901 - what becomes of the line
        elif line and not fenced:
            width = 0
        fenced ^= line.lstrip().startswith("```")
        lines.append(line)
    return "\n".join(lines)


def _readme_first(page: Path) -> tuple[bool, str]:
    return page.name != "README.md", page.name
