"""Formats samples exactly as the Prometheus client library does, but line by line, so that lines can be cached.

The library renders every sample at every scrape, which takes seconds for 100,000 samples. A property test compares
the text made here with the library's, byte for byte. https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PLAIN_BELOW = 1_000_000
"""The library writes numbers below this as Python's `repr` does, without an exponent."""
_INSTANTS = 1e9, 1e10
"""Unix timestamps with ten digits, from 2001 to 2286."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family: its name without the suffix ``_total``, its type, and its help text."""

    name: str
    kind: str
    documentation: str

    @property
    def sample_name(self) -> str:
        """The name of its samples, for families other than histograms."""
        return f"{self.name}_total" if self.kind == "counter" else self.name

    def header(self, *, openmetrics: bool) -> str:
        """The HELP and TYPE lines."""
        name = self.name if openmetrics else self.sample_name
        text = escape(self.documentation) if openmetrics else _escape_help(self.documentation)
        return f"# HELP {name} {text}\n# TYPE {name} {self.kind}\n"


def format_value(value: float) -> str:
    """Format a sample value."""
    # Small numbers and timestamps are nearly all values; the library takes five times as long for them.
    if isinstance(value, float):
        if -math.inf < value < PLAIN_BELOW:
            return repr(value)
        if _INSTANTS[0] <= value < _INSTANTS[1]:
            # Event times, and so deadlines, are whole seconds, which many exports share.
            return _format_whole_instant(value) if value.is_integer() else _format_instant(value)
    elif 0 <= value < PLAIN_BELOW:
        return f"{int(value)}.0"
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _format_instant(value: float) -> str:
    digits = repr(value)
    return f"{digits[0]}.{digits[1:10]}{digits[11:]}".rstrip("0.") + "e+09"


_format_whole_instant = lru_cache(maxsize=1024)(_format_instant)


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def escape(text: str) -> str:
    """Escape a label value, or a help text for OpenMetrics."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def format_labels(labels: Mapping[str, str]) -> str:
    """Format labels without braces, sorted by name as the library sorts them."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in sorted(labels.items()))


def sample_line(name: str, label_text: str, value: float) -> str:
    """Format one sample, with its labels already formatted."""
    return f"{name}{{{label_text}}} {format_value(value)}\n"


def histogram_pieces(name: str, label: str, second: str, bounds: Sequence[float]) -> list[str]:
    """Prepare the lines of a histogram with two labels; filling them in takes a tenth of formatting them.

    Each line is four pieces, of which the caller fills in the second and the fourth:

        NAME_bucket{LABEL="  (escaped value)  ",le="5.0",SECOND}  (count)

    The lines are the buckets, with cumulative counts, then ``_count`` and ``_sum``.

    Args:
        name: the name of the family.
        label: the name of the first label; it sorts before ``le``.
        second: the second label, formatted; it sorts after ``le``.
        bounds: the upper bounds of the buckets, without infinity.
    """
    ends = [(f"{name}_bucket", f'",le="{format_value(bound)}",{second}}} ') for bound in (*bounds, math.inf)]
    ends += [(f"{name}_{suffix}", f'",{second}}} ') for suffix in ("count", "sum")]
    pieces = [piece for sample, end in ends for piece in (f'\n{sample}{{{label}="', "", end, "")]
    pieces[0] = pieces[0].lstrip()
    return [*pieces, "\n"]
