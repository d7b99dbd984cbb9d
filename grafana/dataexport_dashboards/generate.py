"""Write every generated file: ``grafana/generate [FOLDER]``."""

from __future__ import annotations

import sys
from pathlib import Path

from dataexport_dashboards import output


def main() -> None:
    """Write them under the folder, ``grafana/`` itself where none is given."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent
    for name, text in output.files():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
