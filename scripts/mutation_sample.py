"""Takes a fixed random sample of changes of the code for `mutate_code`, made by cosmic-ray's operators."""

from __future__ import annotations

import ast
import difflib
import hashlib
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from monitoring import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MODULES = tuple(
    f"exporter/{package}/**/*.py" for package in ("domain", "ledger", "projection", "ingest", "metrics", "server/http")
)
"""The modules to change."""
LEFT_OUT = ("exporter/ledger/migrations/",)
SEED = "1"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module.

    Attributes:
        path: the module's path from the root of the repository.
        line: the number of the changed line.
        name: the module's and the function's name, the line before and after, and its number among equal ones.
        text: the changed module.
    """

    path: str
    line: int
    name: str
    text: str


def modules(patterns: Sequence[str]) -> list[str]:
    """Return the paths that the patterns match, from the root of the repository."""
    paths = {path.relative_to(ROOT).as_posix() for pattern in patterns for path in ROOT.glob(pattern)}
    return sorted(path for path in paths if not path.startswith(LEFT_OUT))


def sample(paths: Iterable[str], count: int) -> list[Mutant]:
    """Take a fixed random sample of mutants, at most one per place.

    A place is identified by its function and the text of its line, so that the sample stays the same if other code
    changes, or a module moves to another folder.
    """
    ranked = sorted((place.rank, place.path, place.line, place) for path in paths for place in _places(path))
    mutants: dict[str, Mutant] = {}
    for *_, place in ranked:
        if len(mutants) == count:
            break
        mutant = next(_mutants(place), None)
        if mutant is not None:
            mutants.setdefault(mutant.name, mutant)
    return list(mutants.values())


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """A place that operators can change; each operator has the number of its occurrence in the module."""

    rank: str
    path: str
    line: int
    owner: str
    operators: list[tuple[str, int]]


def _hash(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, (SEED, *parts))).encode()).hexdigest()


def _places(path: str) -> Iterator[_Place]:
    source = (ROOT / path).read_text("utf-8")
    lines, nodes, functions = source.splitlines(), list(ast_nodes(get_ast(source))), functions_of(path)
    operators_at: defaultdict[tuple[int, int], list[tuple[str, int]]] = defaultdict(list)
    for name in plugins.operator_names():
        kind = plugins.get_operator(name)
        if not kind.arguments():
            positions = (position for node in nodes for position, _ in kind().mutation_positions(node))
            for occurrence, position in enumerate(positions):
                operators_at[position].append((name, occurrence))
    alike: Counter[tuple[str, str, int]] = Counter()
    for (line, column), operators in sorted(operators_at.items()):
        text, owner = lines[line - 1], functions.owner(line)
        key = owner, text.strip(), column - len(text) + len(text.lstrip())
        alike[key] += 1
        rank, seen, order = _hash(*key, alike[key]), Counter[str](), {}
        for name, occurrence in operators:
            order[_hash(rank, name, seen[name])] = name, occurrence
            seen[name] += 1
        yield _Place(rank, path, line, owner, [order[operator_rank] for operator_rank in sorted(order)])


class Functions:
    """Finds the class or function of a line in a module."""

    def __init__(self, path: str) -> None:
        self._module = PurePosixPath(path.removesuffix("/__init__.py")).name.removesuffix(".py")
        self._spans: list[tuple[int, int, int, str]] = []
        self._bound: list[tuple[int, int, set[str]]] = []
        self._find(ast.parse((ROOT / path).read_text("utf-8")), self._module)

    def _find(self, node: ast.AST, owner: str) -> None:
        for child in ast.iter_child_nodes(node):
            name = owner
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{owner}.{child.name}"
                body = sys.maxsize if isinstance(child, ast.ClassDef) else child.body[0].lineno
                first = min(node.lineno for node in (child, *child.decorator_list))
                self._spans.append((first, child.end_lineno or child.lineno, body, name))
                self._bound.append((first, child.end_lineno or child.lineno, {child.name}))
            elif isinstance(child, ast.Assign | ast.AnnAssign):
                targets = child.targets if isinstance(child, ast.Assign) else [child.target]
                names = {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
                self._bound.append((child.lineno, child.end_lineno or child.lineno, names))
            self._find(child, name)

    def owner(self, line: int) -> str:
        """Return the dotted name of the module, class and function that contain the line."""
        return max(
            ((first, name) for first, last, _, name in self._spans if first <= line <= last), default=(0, self._module)
        )[1]

    def body(self, line: int) -> range | None:
        """Return the lines of the function body that contains the line; None if it runs on import."""
        bodies = [(body, last) for _, last, body, _ in self._spans if body <= line <= last]
        return range(max(bodies)[0], max(bodies)[1] + 1) if bodies else None

    def names(self, line: int) -> set[str]:
        """Return the names that the statement at the line binds: a constant's, a field's, a function's or a class's."""
        around = [(first, -last, names) for first, last, names in self._bound if first <= line <= last]
        return max(around, key=lambda each: each[:2])[2] if around else set()

    def bodies(self) -> set[int]:
        """Return the lines of all function bodies."""
        return {line for _, last, body, _ in self._spans for line in range(body, last + 1)}


functions_of = cache(Functions)


def _mutants(place: _Place) -> Iterator[Mutant]:
    source = (ROOT / place.path).read_text("utf-8")
    for name, occurrence in place.operators:
        try:
            text = mutate_code(source, plugins.get_operator(name)(), occurrence)
            same = text is None or _meaning(text) == _meaning(source)
        except (SyntaxError, AttributeError):  # cosmic-ray cannot replace an exception with a dotted name
            continue
        if not same:
            yield Mutant(place.path, place.line, f"{place.owner}: {_change(source, text, place.path)}", text)


def _meaning(source: str) -> str:
    """Return the syntax tree without annotations and imports for type checking, which never run."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns, parameters = None, node.args
            # The operators mistake the * before keyword-only parameters for a multiplication.
            parameters.args = [*parameters.posonlyargs, *parameters.args, *parameters.kwonlyargs]
            parameters.posonlyargs, parameters.kwonlyargs = [], []
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.test, node.body = ast.Constant(None), [ast.Pass()]
    return ast.dump(tree)


def _change(old: str, new: str, path: str) -> str:
    before, after = old.splitlines(), new.splitlines()
    opcodes = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    (_, i, j, k, m), *_ = [code for code in opcodes if code[0] != "equal"]
    replaced, replacement = (" ".join(" ".join(part).split()) for part in (before[i:j], after[k:m]))
    functions = functions_of(path)
    owner = functions.owner(i + 1)
    nth = sum(text == before[i] and functions.owner(line) == owner for line, text in enumerate(before[: i + 1], 1))
    return f"{replaced} -> {replacement or 'nothing'}" + (f" #{nth}" if nth > 1 else "")
