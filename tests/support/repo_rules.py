"""The rules of this repository that no general tool checks: imports of the core, unfinished marks, long files."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CORE = "custom_components/sms1680/client"
CARRIERS = "http/httpx_transport.py"  # the one module of the core that may import httpx
LONGEST = 600

# Split, so that this file does not match itself.
UNFINISHED = re.compile(r"\b(TO" + "DO|FIX" + "ME|XX" + r"X)\b")
TEXT = {".py", ".md", ".yaml", ".yml", ".json", ".toml", ".js", ".css", ".html", ".sh", ".pyi", ""}


def findings(root: Path) -> list[str]:
    """Return one line for each violation."""
    return [*core_imports(root / CORE, root), *unfinished_marks(root), *long_files(root)]


def core_imports(core: Path, root: Path) -> Iterator[str]:
    """Yield each import of the core that is neither relative nor of the standard library (httpx: transport only)."""
    for path in sorted(core.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"), str(path))
        for_types = set(imports_for_types(tree))
        for line, name in absolute_imports(tree):
            top = name.split(".")[0]
            if top in sys.stdlib_module_names or (top == "httpx" and (path == core / CARRIERS or line in for_types)):
                continue
            yield f"{path.relative_to(root)}:{line}: the core may not import {name}"
        for line, name in escaping_imports(tree, depth=len(path.relative_to(core).parts)):
            yield f"{path.relative_to(root)}:{line}: {name} leads out of the core"


def absolute_imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and name of each absolute import, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module or ""


def imports_for_types(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of imports below `if TYPE_CHECKING:`, which do not run."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from (statement.lineno for statement in node.body)


def escaping_imports(tree: ast.AST, depth: int) -> Iterator[tuple[int, str]]:
    """Yield relative imports with more dots than the file has folders of the core above it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level > depth:
            yield node.lineno, "." * node.level + (node.module or "")


def tracked(root: Path) -> list[Path]:
    """Return the text files that git tracks or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=str(root),
        stdout=subprocess.PIPE,
        check=True,
    )
    paths = (root / name for name in listed.stdout.decode("utf-8").split("\0") if name)
    return [path for path in paths if path.suffix in TEXT and path.is_file() and not path.is_symlink()]


def unfinished_marks(root: Path) -> Iterator[str]:
    """Yield each mark of unfinished work."""
    for path in tracked(root):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            found = UNFINISHED.search(line)
            if found:
                yield f"{path.relative_to(root)}:{number}: {found[0]}"


def long_files(root: Path) -> Iterator[str]:
    """Yield each Python file above the limit of lines."""
    for path in tracked(root):
        if path.suffix == ".py":
            lines = path.read_text("utf-8").count("\n")
            if lines > LONGEST:
                yield f"{path.relative_to(root)}: {lines} lines, {LONGEST} at most"


if __name__ == "__main__":
    found = findings(Path(__file__).resolve().parents[2])
    print("\n".join(found), end="\n" if found else "")
    sys.exit(1 if found else 0)
