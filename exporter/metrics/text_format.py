"""The text of samples, byte for byte as the client library writes it, but piece by piece.

https://prometheus.io/docs/instrumenting/exposition_formats/. The library renders all samples
anew at every scrape, which takes seconds at 100,000 of them; pieces can be kept. A property test
holds what is written here against the library's own rendering.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


PLAIN_BELOW = 1_000_000
"""Below this the library writes numbers without an exponent of its own."""
_LEAST = -float("inf")
_TEN_DIGITS = 1e9, 1e10


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


def format_value(value: float) -> str:
    """A value as the library writes it."""
    # What nearly all are, in a fifth of the time that the library takes: small counts, and instants.
    if isinstance(value, float):
        if _LEAST < value < PLAIN_BELOW:
            return repr(value)
        if _TEN_DIGITS[0] <= value < _TEN_DIGITS[1]:
            # Whole seconds are what senders tell, and deadlines are made of them: many exports share one.
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
    """A label value as it stands between quotation marks."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def format_labels(given: Mapping[str, str]) -> str:
    """The labels of a sample, in the library's order, without braces."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in sorted(given.items()))


def sample_line(name: str, label_text: str, value: float) -> str:
    """One line."""
    return f"{name}{{{label_text}}} {format_value(value)}\n"


def histogram_pieces(name: str, label: str, second: str, bounds: Sequence[float]) -> list[str]:
    """The lines of one histogram in pieces, to be joined; to fill them in takes a tenth of building each line.

    Of each line there are four: its beginning, the escaped value of its first label, what comes
    then, and its value, which is the count up to each bound, that of all twice, and the sum.

    Args:
        name: of the family.
        label: the name of its first label.
        second: its second label, with its value; "le" sorts between the two.
        bounds: upper bounds of its buckets, but for the last, which has none.
    """
    ends = [(f"{name}_bucket", f'",le="{format_value(bound)}",{second}}} ') for bound in (*bounds, float("inf"))]
    ends += [(f"{name}_{each}", f'",{second}}} ') for each in ("count", "sum")]
    pieces = [piece for each, end in ends for piece in (f'\n{each}{{{label}="', "", end, "")]
    pieces[0] = pieces[0].lstrip()
    return [*pieces, "\n"]
