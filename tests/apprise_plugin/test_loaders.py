"""The three loaders, alone and together: one send, one row of details, no warning."""

import ast
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sms1680.apprise import NotifySMS1680, register
from sms1680.apprise.command import add
from sms1680.apprise.dropin import DropInError, make
from sms1680.sandbox import SandboxThread

A = "13800000000"
TEXT = "后门打开"
Program = Callable[..., subprocess.CompletedProcess[str]]

SEND = """
import json, logging, sys
lines = []
class Handler(logging.Handler):
    def emit(self, record):
        lines.append([record.levelname, record.getMessage()])
logging.getLogger("apprise").addHandler(Handler())
logging.getLogger("apprise").setLevel(logging.INFO)
url, text, loaders, plugins = sys.argv[1:]
import apprise
if "register" in loaders:
    from sms1680.apprise import register
    assert register() and register()
asset = apprise.AppriseAsset(plugin_paths=[plugins, plugins + "/"]) if "dropin" in loaders else None
sender = apprise.Apprise(asset=asset)
assert sender.add(url)
result = sender.notify(text)
rows = [row for row in sender.details()["schemas"] if row["service_name"] == "SMS 1680"]
kind = type(sender[0])
print(json.dumps({
    "result": bool(result), "lines": lines, "rows": len(rows), "enabled": rows[0].get("enabled", True),
    "vendored": "_vendor" in kind.__module__,
}))
"""


@pytest.mark.parametrize(
    "loaders",
    [
        ("loader",),
        ("dropin",),
        ("register",),
        ("loader", "dropin"),
        ("loader", "register"),
        ("dropin", "register"),
        ("loader", "dropin", "register"),
    ],
    ids="+".join,
)
def test_loaders_work_alone_and_together(
    loaders: tuple[str, ...],
    script: Program,
    url: Callable[..., str],
    box: SandboxThread,
    dropin: Path,
    with_loader: Path,
) -> None:
    path = {"PYTHONPATH": str(with_loader)} if "loader" in loaders else {}
    done = script(SEND, url(A), TEXT, " ".join(loaders), str(dropin), **path)
    assert done.returncode == 0, done.stderr
    output = json.loads(done.stdout.splitlines()[-1])
    assert [message.text for message in box.platform.messages] == [TEXT]
    assert (output["result"], output["rows"], output["vendored"]) == (True, 1, False)
    assert [line for level, line in output["lines"] if level in ("WARNING", "ERROR")] == []
    assert len([line for _, line in output["lines"] if line.startswith("sms1680")]) == 1


def test_details_list_the_service(program: Program, with_loader: Path) -> None:
    done = program("--details", PYTHONPATH=str(with_loader), COLUMNS="200")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("SMS 1680") == 1
    assert "sms1680://{user}:{password}@{product_id}/{targets}" in done.stdout


def test_broken_package_does_not_break_apprise(script: Program, with_loader: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "sms1680"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('broken')\n")
    text = (
        "import apprise; print(apprise.Apprise().add('json://localhost'), apprise.Apprise().add('sms1680://u:p@1/2'))"
    )
    done = script(text, PYTHONPATH=f"{broken.parent}{os.pathsep}{with_loader}")
    assert done.stdout.split() == ["True", "False"], done.stderr


def test_import_registers_nothing(script: Program) -> None:
    text = (
        "import sms1680.apprise\nfrom apprise.manager_plugins import NotificationManager\n"
        "manager = NotificationManager()\nprint(manager._schema_map is None)"
    )
    assert script(text).stdout.split() == ["True"]


def test_drop_in_contains_every_module_that_it_imports(dropin: Path) -> None:
    """The copy uses only relative imports, so an installed package makes no difference."""
    package = dropin / "sms1680" / "_vendor" / "sms1680"
    modules = {path.relative_to(dropin).as_posix() for path in dropin.rglob("*.py")}
    assert "sms1680/_vendor/sms1680/apprise/plugin.py" in modules
    assert "sms1680/_vendor/sms1680/http/client.py" in modules
    assert {path.parts[0] for path in map(Path, modules)} == {"sms1680"}
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                folder = path.parents[node.level - 1]
                names = [node.module] if node.module else [alias.name for alias in node.names if alias.name != "cmpp"]
                for name in names:
                    module = folder.joinpath(*name.split("."))
                    assert module.is_dir() or module.with_suffix(".py").is_file(), f"{path.name} imports {name}"


def test_service_of_the_drop_in_can_be_pickled(script: Program, dropin: Path) -> None:
    text = (
        "import pickle, sys, apprise\nsys.modules['sms1680'] = None\n"
        "sender = apprise.Apprise(asset=apprise.AppriseAsset(plugin_paths=[sys.argv[1]]))\n"
        "assert sender.add('sms1680://user:secret@61341/13800000000')\n"
        "again = pickle.loads(pickle.dumps(sender[0]))\n"
        "print('_vendor' in type(again).__module__, again.url() == sender[0].url())"
    )
    done = script(text, str(dropin))
    assert done.stdout.split() == ["True", "True"], done.stderr


def test_drop_in_works_if_its_folder_is_on_sys_path(script: Program, dropin: Path) -> None:
    """A program that starts in the plugin folder imports the drop-in as `sms1680`."""
    text = (
        "import sys, apprise\nsys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f)]\n"
        "sys.path = [p for p in sys.path if 'custom_components' not in p]\nsys.path.insert(0, sys.argv[1])\n"
        "sender = apprise.Apprise(asset=apprise.AppriseAsset(plugin_paths=[sys.argv[1]]))\n"
        "print(sender.add('sms1680://user:secret@61341/13800000000'))"
    )
    done = script(text, str(dropin))
    assert done.stdout.split() == ["True"], done.stderr
    assert not done.stderr


def test_old_python_logs_a_clear_error(dropin: Path) -> None:
    loader = (dropin / "sms1680" / "__init__.py").read_text()
    logged: list[str] = []

    class Logger:
        def error(self, text: str, *given: object) -> None:
            logged.append(text % given)

    class OldSys:
        version_info = (3, 9, 2)

    source = loader.replace("import sys\n", "").replace("from apprise.logger import logger", "")
    exec(compile(source, "loader", "exec"), {"sys": OldSys, "logger": Logger(), "__name__": "dropin"})
    assert logged == ["sms1680:// needs Python 3.11 or newer; this one is 3.9"]


def test_register_can_be_called_twice() -> None:
    assert register()
    assert register()
    assert pickle.loads(pickle.dumps(NotifySMS1680)) is NotifySMS1680


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-P", "-m", "sms1680", "apprise", *arguments]
    return subprocess.run(run, capture_output=True, text=True, env={**os.environ, **variables}, check=False)


def test_command_creates_the_drop_in_in_the_default_folder(tmp_path: Path) -> None:
    done = command(HOME=str(tmp_path))
    folder = tmp_path / ".config" / "apprise" / "plugins" / "sms1680"
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Created the drop-in {folder}\nThe apprise command finds it by default.\n")
    assert (folder / "__init__.py").is_file()
    assert [path.name for path in folder.parent.iterdir()] == ["sms1680"]


def test_command_creates_the_drop_in_elsewhere(tmp_path: Path) -> None:
    output = json.loads(command("--into", str(tmp_path / "mine"), "--json").stdout)
    assert output == {"folder": str(tmp_path / "mine" / "sms1680"), "plugin_path": str(tmp_path / "mine")}
    again = command("--into", str(tmp_path / "mine"))
    assert f"apprise -P {tmp_path / 'mine'}" in again.stdout


def test_old_drop_in_is_replaced_completely(tmp_path: Path) -> None:
    folder = make(tmp_path)
    (folder / "_vendor" / "sms1680" / "gone.py").write_text("")
    assert make(tmp_path) == folder
    assert not (folder / "_vendor" / "sms1680" / "gone.py").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["sms1680"]


def test_foreign_folders_are_not_changed(tmp_path: Path) -> None:
    (tmp_path / "sms1680").mkdir()
    (tmp_path / "sms1680" / "mine.txt").write_text("mine")
    with pytest.raises(DropInError, match="not a drop-in"):
        make(tmp_path)
    assert (tmp_path / "sms1680" / "mine.txt").read_text() == "mine"
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    done = command("--into", str(tmp_path / "package"))
    assert done.returncode == 1
    assert "treats such a folder as one plugin" in done.stderr


def test_drop_in_is_readable_by_everyone(tmp_path: Path) -> None:
    folder = make(tmp_path)
    assert {oct(path.stat().st_mode & 0o777) for path in folder.rglob("*") if path.is_file()} == {"0o644"}
    assert {oct(path.stat().st_mode & 0o777) for path in (folder, *folder.rglob("*")) if path.is_dir()} == {"0o755"}


def test_command_is_added_to_the_parser() -> None:
    import argparse

    subparsers: Any = argparse.ArgumentParser().add_subparsers()
    add(subparsers)
    assert list(subparsers.choices) == ["apprise"]
