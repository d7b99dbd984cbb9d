"""The text of samples, byte for byte as the client library writes it, but piece by piece.

https://prometheus.io/docs/instrumenting/exposition_formats/. The library renders all samples
anew at every scrape, which takes seconds at 100,000 of them; pieces can be kept. A property test
holds what is written here against the library's own rendering.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_PLAIN = 1_000_000
"""Below this the library writes whole numbers without an exponent."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: its name without the suffix of its samples, its type, and its help text."""

    name: str
    kind: str
    documentation: str

    @property
    def sample_name(self) -> str:
        """The name of its plain samples."""
        return f"{self.name}_total" if self.kind == "counter" else self.name

    def header(self, *, openmetrics: bool) -> str:
        """Its HELP and TYPE lines."""
        name = self.name if openmetrics else self.sample_name
        text = escape(self.documentation) if openmetrics else _escape_help(self.documentation)
        return f"# HELP {name} {text}\n# TYPE {name} {self.kind}\n"


def number(value: float) -> str:
    """A value as the library writes it."""
    if isinstance(value, int) and 0 <= value < _PLAIN:
        return f"{int(value)}.0"
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def escape(text: str) -> str:
    """A label value as it stands between quotation marks."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def labels(given: Mapping[str, str]) -> str:
    """The labels of a sample, in the library's order, without braces."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in sorted(given.items()))


def sample(name: str, label_text: str, value: float) -> str:
    """One line."""
    return f"{name}{{{label_text}}} {number(value)}\n"


def histogram(name: str, given: Mapping[str, str], bounds: Sequence[float], counts: Sequence[int], total: float) -> str:
    """The lines of one histogram.

    Args:
        name: of the family.
        given: its labels.
        bounds: upper bounds of its buckets, but for the last, which has none.
        counts: how many are in each bucket alone.
        total: the sum of what was observed.
    """
    lines = []
    text = labels(given)
    # "le" stands where its name sorts among the others.
    before = labels({label: value for label, value in given.items() if label < "le"})
    after = labels({label: value for label, value in given.items() if label > "le"})
    running = 0
    for bound, count in zip((*bounds, float("inf")), counts, strict=True):
        running += count
        bucket = ",".join(filter(None, (before, f'le="{number(bound)}"', after)))
        lines.append(sample(f"{name}_bucket", bucket, running))
    lines += [sample(f"{name}_count", text, running), sample(f"{name}_sum", text, total)]
    return "".join(lines)
