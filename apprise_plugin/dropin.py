"""Creates the drop-in: a folder `sms1680` for Apprise's plugin paths that contains a copy of the core and the plugin.

It is meant for hosts that do not allow the installation of packages. The copy needs only what Apprise itself needs.
"""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from . import core

NAME = "sms1680"
_PLUGIN = Path(__file__).parent
_CORE = Path(core.Account.__init__.__code__.co_filename).parent
_EXCLUDED = {"cmpp", "cli", "__main__.py"}  # the plugin sends over HTTP only, and runs in a host
_COPY = "_vendor"

# The module that Apprise loads. It imports everything at once, because Apprise then removes the module's name from
# sys.modules.
_LOADER = '''\
"""Registers sms1680:// with Apprise. Created by `sms1680 apprise`; run it again after an update of sms1680."""

import sys

if sys.version_info < (3, 11):
    from apprise.logger import logger

    logger.error("sms1680:// needs Python 3.11 or newer; this one is %d.%d", *sys.version_info[:2])
else:
    try:
        from sms1680.apprise import register  # prefer an installed package
    except Exception:
        from ._vendor.sms1680.apprise import register

    register()
'''


class DropInError(Exception):
    """The drop-in cannot be created there; the text names the cause and the remedy."""


def make(into: Path) -> Path:
    """Create the drop-in in one of Apprise's plugin folders, replacing an older one, and return its path.

    Raises DropInError, or OSError if the folder cannot be written.
    """
    into = into.expanduser().absolute()
    target = into / NAME
    if (into / "__init__.py").exists():
        raise DropInError(
            core.say(
                f"{into} has an __init__.py: Apprise treats such a folder as one plugin and reads nothing else in it",
                f"`{into}` 含有 `__init__.py`：Apprise 把这样的目录当作一个插件，不再读取其中的其他内容",
            )
        )
    if target.exists() and not (target / _COPY).is_dir():
        raise DropInError(
            core.say(
                f"{target} exists and is not a drop-in of sms1680: move it away",
                f"`{target}` 已存在，且不是由本程序生成的，请移走",
            )
        )
    into.mkdir(parents=True, exist_ok=True)
    # Apprise ignores the hidden folder. Renaming makes the finished drop-in appear at once.
    with tempfile.TemporaryDirectory(prefix=f".{NAME}-", dir=into) as scratch:
        new = Path(scratch) / "new"
        _fill(new)
        if target.exists():
            target.rename(Path(scratch) / "old")
        new.rename(target)
    return target


def _fill(folder: Path) -> None:
    package = folder / _COPY / NAME
    _copy_modules(_CORE, package, _CORE.rglob("*.py"))
    _copy_modules(_PLUGIN, package / "apprise", _PLUGIN.glob("*.py"))
    (folder / _COPY / "__init__.py").write_text('"""The copy of sms1680 that belongs to this folder."""\n', "utf-8")
    (folder / "__init__.py").write_text(_LOADER, "utf-8")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)  # hosts read it as other users


def _copy_modules(source: Path, target: Path, modules: Iterable[Path]) -> None:
    for module in sorted(modules):
        relative = module.relative_to(source)
        if relative.parts[0] not in _EXCLUDED:
            (target / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(module, target / relative)
