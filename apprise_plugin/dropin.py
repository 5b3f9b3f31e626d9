"""Makes the drop-in: a folder `sms1680` for Apprise's plugin paths that carries the core and the plugin with it.

For hosts in which nothing can be installed: the copy needs nothing that Apprise does not bring.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from . import core

NAME = "sms1680"
_HERE = Path(__file__).parent
_CORE = Path(core.Account.__init__.__code__.co_filename).parent
_CORE_PACKAGES = ("http", "limits")  # CMPP is left out: the plugin sends over HTTP only
_COPY = "_vendor"

# What Apprise reads. All imports at once: it takes the name of what it has read away again.
_LOADER = '''\
"""Makes sms1680:// known to Apprise; made by `sms1680 apprise`, which also makes it anew after an update."""

import sys

if sys.version_info < (3, 11):
    from apprise.logger import logger

    logger.error("sms1680:// needs Python 3.11 or newer; this one is %d.%d", *sys.version_info[:2])
else:
    try:
        from sms1680.apprise import register  # an installed package goes first
    except Exception:
        from ._vendor.sms1680.apprise import register

    register()
'''


class DropInError(Exception):
    """The drop-in can't be made there; the text says why and what to do."""


def make(into: Path) -> Path:
    """Put the drop-in into one of Apprise's plugin folders, in place of an older one; returns where it is.

    Raises DropInError, or OSError where the folder can't be written.
    """
    into = into.expanduser().absolute()
    target = into / NAME
    if (into / "__init__.py").exists():
        raise DropInError(
            f"{into} has an __init__.py: Apprise takes such a folder for one plugin and reads nothing in it"
        )
    if target.exists() and not (target / _COPY).is_dir():
        raise DropInError(f"{target} is there already and is no drop-in of sms1680: move it away")
    into.mkdir(parents=True, exist_ok=True)
    # Built outside of what Apprise reads, as far as the file system allows, and put in place at once.
    with tempfile.TemporaryDirectory(prefix=f".{NAME}-", dir=into) as scratch:
        new = Path(scratch) / "new"
        _fill(new)
        if target.exists():
            target.rename(Path(scratch) / "old")
        new.rename(target)
    return target


def _fill(folder: Path) -> None:
    package = folder / _COPY / NAME
    _copy_modules(_CORE, package)
    for name in _CORE_PACKAGES:
        _copy_modules(_CORE / name, package / name)
    _copy_modules(_HERE, package / "apprise")
    (folder / _COPY / "__init__.py").write_text('"""The copy of sms1680 that this folder brings along."""\n', "utf-8")
    (folder / "__init__.py").write_text(_LOADER, "utf-8")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)  # hosts read it under other users


def _copy_modules(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for module in sorted(source.glob("*.py")):
        shutil.copyfile(module, target / module.name)
