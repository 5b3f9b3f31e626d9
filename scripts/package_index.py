"""Translate the user's pip settings (index, mirror, proxy, certificates) for uv, which does not read pip's files."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from typing import Mapping
from urllib.parse import urlsplit
from urllib.request import url2pathname


def uv_settings(pip_config: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make uv use the settings of pip.

    `pip_config` is the output of `pip config list`. A setting that the user made for uv itself stays as it is.
    """
    pip = parse_pip_config(pip_config)
    settings: dict[str, str] = {}

    def carry(value: str | None, *variables: str) -> None:
        if value and not any(environment.get(variable) for variable in variables):
            settings[variables[0]] = value

    if not uv_has_own_index(environment):
        extra = [address for address in pip.get("extra-index-url", "").split() if is_reachable(address)]
        links = [address for address in pip.get("find-links", "").split() if is_reachable(address)]
        carry(pip.get("index-url"), "UV_DEFAULT_INDEX")
        carry(" ".join(extra), "UV_INDEX")
        carry(",".join(links), "UV_FIND_LINKS")
        carry("1" if pip.get("no-index", "").lower() in {"1", "true", "yes", "on"} else None, "UV_NO_INDEX")
        # pip takes the best version of all indexes. The default of uv is the first index that has the name.
        carry("unsafe-best-match" if extra else None, "UV_INDEX_STRATEGY")
    carry(pip.get("cert"), "SSL_CERT_FILE")
    carry(pip.get("client-cert"), "SSL_CLIENT_CERT")
    carry(" ".join(pip.get("trusted-host", "").split()), "UV_INSECURE_HOST")
    carry(pip.get("timeout") or pip.get("default-timeout"), "UV_HTTP_TIMEOUT")
    carry(pip.get("proxy"), "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    carry(pip.get("proxy"), "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    # pip trusts the certificates of the system, including those of a company.
    carry("true", "UV_SYSTEM_CERTS", "UV_NATIVE_TLS")
    return settings


def read_pip_config(python: Path) -> str:
    """Return the output of `pip config list`: variables and all configuration files in one."""
    command = [str(python), "-m", "pip", "config", "list"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return done.stdout.decode("utf-8", "replace")


def parse_pip_config(text: str) -> dict[str, str]:
    """Return option → value. As in pip, a variable overrides `[install]`, which overrides `[global]`."""
    found: dict[str, dict[str, str]] = {":env:": {}, "install": {}, "global": {}}
    for line in text.splitlines():
        match = re.match(r"(:env:|install|global)\.([a-z-]+)=(['\"].*)$", line)
        if match:
            found[match[1]][match[2]] = str(ast.literal_eval(match[3]))
    return {**found["global"], **found["install"], **found[":env:"]}


def uv_has_own_index(environment: Mapping[str, str]) -> bool:
    """Return whether the user has set an index for uv, in a variable or in a file of uv."""
    names = ("DEFAULT_INDEX", "INDEX_URL", "INDEX", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX")
    if any(environment.get(f"UV_{name}") for name in names):
        return True
    home = Path(environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME") or "~").expanduser() / ".config")
    files = [
        Path("/etc/uv/uv.toml"),
        home / "uv" / "uv.toml",
        Path(environment.get("UV_CONFIG_FILE") or "/nonexistent"),
    ]
    settings = re.compile(r"^\s*(\[\[index\]\]|(extra-)?index(-url)?\s*=|find-links\s*=|no-index\s*=)", re.MULTILINE)
    return any(file.is_file() and settings.search(file.read_text("utf-8", "replace")) for file in files)


def is_reachable(address: str) -> bool:
    """Return whether an address can exist: pip ignores a missing folder, uv stops with an error."""
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path)).exists()
    return bool(parts.netloc) or Path(address).exists()
