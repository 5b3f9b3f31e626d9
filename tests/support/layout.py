"""Measure the layout of the integration, the size of the code and its English: `nox -s house`.

The files are read as text; nothing is imported. The Python must know the integration's syntax (3.13).
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)

ROOT = Path(__file__).resolve().parents[2]
INTEGRATION = ROOT / "custom_components" / "sms1680"

# The largest value that each measure may have.
LIMITS = {
    "modules in the root of the integration": 20,
    "levels of rooms": 8,
    "cycles of modules": 0,
    "cycles of rooms": 0,
    "class names defined twice": 0,
    "own ContextVars": 1,  # events/context.py: the context for a change that one of our events caused
    "functions with more than 10 parameters": 0,
    "production modules above 400 lines": 0,
    "production lines": 21_647,
    "lines of scripts, noxfile and demo": 1900,
    "lines of README.md": 150,
    "lines of README.zh-Hans.md": 150,
    "% of inverted sentences in production": 6,
    "% of inverted sentences in scripts and demo": 6,
    "% of inverted sentences in the sandbox": 6,
    "% of inverted sentences in tests": 6,
}
# Printed, but not enforced: features that came after the house was rebuilt add lines.
PENDING = {"production lines"}

# Phrases of inverted or archaic English. A single marked sentence may be right; a high share shows a text to rewrite.
MARKERS = re.compile(
    r"\b(?:[Ww]here (?:it|they|there|that|no|none|nothing|nobody|one|another|somebody|possible)\b"
    r"|(?:of|to|for|from|with|and|than|as|on|by|in|knows?|tells?|keeps?|holds?|notes?|takes?|is|are)"
    r" (?:what|whom|whoever|whose) (?!the\b)\w+"
    r"|anew|behind|besides?|at hand|nobody|no more|any more|thereby|meanwhile|be it"
    r"|let(?:s|ting)? go|comes? of|came of|becomes? of|became of|stands?|gets? lost|gives? up|given up|befalls?"
    r"|(?:is|are) (?:none|no)|tells?|told|hears?|heard|(?:of|in|by|that) which|such as that"
    r"|may (?:be|have|not|go|take|come))\b"
)
COMMENT_FOR_TOOLS = re.compile(r"#\s*(?:noqa|type:|!|pragma)")


def python_files(*folders: Path) -> list[Path]:
    """Return the Python files in these folders, sorted."""
    return [path for folder in folders for path in sorted(folder.rglob("*.py"))]


def import_graph(package: Path) -> dict[Path, set[Path]]:
    """Return the modules that each module of a package imports, also inside functions and for types only."""
    files = set(python_files(package))
    return {path: set(imported(path, files)) - {path} for path in sorted(files)}


def imported(path: Path, files: set[Path]) -> Iterator[Path]:
    """Yield the modules that a module imports relatively."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for target in (base, *(base / alias.name for alias in node.names)):
                yield from {target.with_name(f"{target.name}.py"), target / "__init__.py"} & files


def room_graph(modules: Mapping[Path, set[Path]], package: Path) -> dict[str, set[str]]:
    """Return the imports between rooms: a room is a module in the root of the package, or a folder there."""
    rooms: dict[str, set[str]] = {}
    for path, targets in modules.items():
        room = path.relative_to(package).parts[0]
        others = {target.relative_to(package).parts[0] for target in targets} - {room}
        rooms[room] = rooms.get(room, set()) | others
    return rooms


def cycles(graph: Mapping[Node, set[Node]]) -> list[list[Node]]:
    """Return cycles in a graph, each with nodes of its own; there is at least one if the graph has any."""
    left = {node: set(targets) for node, targets in graph.items()}
    found: list[list[Node]] = []
    while True:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            cycle = error.args[1][1:]
            found.append(cycle)
            left = {node: targets - set(cycle) for node, targets in left.items() if node not in cycle}
        else:
            return found


def levels(graph: Mapping[Node, set[Node]]) -> int:
    """Return the number of levels of a graph without cycles: each node is above everything that it imports."""
    level: dict[Node, int] = {}
    for node in TopologicalSorter(graph).static_order():
        level[node] = 1 + max((level[target] for target in graph.get(node, ())), default=0)
    return max(level.values(), default=0)


def sentences(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each sentence of at least four words in docstrings and comments, with its line."""
    source = path.read_text("utf-8")
    texts = [
        (getattr(node, "lineno", 1), ast.get_docstring(node) or "")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    texts += [
        (token.start[0], token.string.lstrip("# "))
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and not COMMENT_FOR_TOOLS.match(token.string)
    ]
    for line, text in texts:
        for sentence in re.split(r"(?<=[.!?])\s+|\n\n", text):
            words = " ".join(sentence.split())
            if words.count(" ") >= 3:
                yield line, words


def inverted(*folders: Path) -> list[str]:
    """Return the marked sentences as `file:line: sentence`."""
    return [
        f"{path.relative_to(ROOT)}:{line}: {sentence}"
        for path in python_files(*folders)
        for line, sentence in sentences(path)
        if MARKERS.search(sentence)
    ]


def inverted_share(*folders: Path) -> int:
    """Return how many percent of the sentences are marked."""
    return 100 * len(inverted(*folders)) // max(1, sum(1 for path in python_files(*folders) for _ in sentences(path)))


def class_names(paths: list[Path]) -> Counter[str]:
    """Return how often each class name is defined."""
    trees = (ast.walk(ast.parse(path.read_text("utf-8"))) for path in paths)
    return Counter(node.name.lstrip("_") for tree in trees for node in tree if isinstance(node, ast.ClassDef))


def long_signatures(paths: list[Path]) -> list[str]:
    """Return the functions with more than ten parameters, except the constructor that Apprise calls by keyword."""
    found = []
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and path.name != "plugin.py":
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                if sum(argument.arg not in ("self", "cls") for argument in arguments) > 10:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}")
    return found


def line_count(path: Path) -> int:
    """Return how many lines a file has."""
    return len(path.read_text("utf-8").splitlines())


def measure() -> dict[str, tuple[int, list[str]]]:
    """Return each measure of LIMITS: its value and the places that it counts."""
    production = python_files(INTEGRATION, ROOT / "apprise_plugin")
    modules = import_graph(INTEGRATION)
    rooms = room_graph(modules, INTEGRATION)
    module_cycles = [" → ".join(str(path.relative_to(INTEGRATION)) for path in cycle) for cycle in cycles(modules)]
    room_cycles = [" → ".join(cycle) for cycle in cycles(rooms)]
    root = [path.name for path in sorted(INTEGRATION.glob("*.py"))]
    twice = sorted(name for name, count in class_names(production).items() if count > 1)
    variables = [
        str(path.relative_to(ROOT)) for path in production for _ in re.findall(r"\bContextVar\(", path.read_text())
    ]
    long = [f"{path.relative_to(ROOT)}: {line_count(path)}" for path in production if line_count(path) > 400]
    tools = [path for path in (ROOT / "scripts").iterdir() if path.is_file()]
    tools += [ROOT / "noxfile.py", *python_files(ROOT / "demo")]
    found: dict[str, tuple[int, list[str]]] = {
        "modules in the root of the integration": (len(root), root),
        "levels of rooms": (levels(rooms) if not room_cycles else sys.maxsize, []),
        "cycles of modules": (len(module_cycles), module_cycles),
        "cycles of rooms": (len(room_cycles), room_cycles),
        "class names defined twice": (len(twice), twice),
        "own ContextVars": (len(variables), variables),
        "functions with more than 10 parameters": (len(long_signatures(production)), long_signatures(production)),
        "production modules above 400 lines": (len(long), long),
        "production lines": (sum(map(line_count, production)), []),
        "lines of scripts, noxfile and demo": (sum(map(line_count, tools)), []),
    }
    for page in ("README.md", "README.zh-Hans.md"):
        found[f"lines of {page}"] = (line_count(ROOT / page), [])
    folders = {
        "production": (INTEGRATION, ROOT / "apprise_plugin"),
        "scripts and demo": (ROOT / "scripts", ROOT / "demo"),
        "the sandbox": (ROOT / "sandbox",),
        "tests": (ROOT / "tests",),
    }
    for name, where in folders.items():
        found[f"% of inverted sentences in {name}"] = (inverted_share(*where), [])
    return found


def main(arguments: list[str]) -> None:
    """Print every measure and its limit; with `--english FOLDER ...` the marked sentences instead."""
    if arguments[:1] == ["--english"]:
        print("\n".join(inverted(*(ROOT / folder for folder in arguments[1:]))))
        return
    for name, (value, places) in measure().items():
        verdict = "ok" if value <= LIMITS[name] else "pending" if name in PENDING else "TOO MUCH"
        print(f"{verdict:<9} {name}: {value} (at most {LIMITS[name]})")
        if value > LIMITS[name]:
            print("".join(f"              {place}\n" for place in places), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
