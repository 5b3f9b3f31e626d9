"""Carries the user's pip settings (index, mirror, proxy, certificates) over to uv, which does not read pip's files."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from typing import Mapping
from urllib.parse import urlsplit
from urllib.request import url2pathname


def uv_settings(pip_config: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment variables that make uv use what pip is set up to use.

    `pip_config` is what `pip config list` prints. What the user has set for uv itself is left alone.
    """
    pip = parse_pip_config(pip_config)
    settings: dict[str, str] = {}

    def carry(option: str, *variables: str, value: str | None = None) -> None:
        text = pip.get(option, "") if value is None else value
        if text and not any(environment.get(variable) for variable in variables):
            settings[variables[0]] = text

    if not uv_has_own_index(environment):
        extra = [address for address in pip.get("extra-index-url", "").split() if is_there(address)]
        links = [address for address in pip.get("find-links", "").split() if is_there(address)]
        carry("index-url", "UV_DEFAULT_INDEX")
        carry("extra-index-url", "UV_INDEX", value=" ".join(extra))
        carry("find-links", "UV_FIND_LINKS", value=",".join(links))
        if pip.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
            settings["UV_NO_INDEX"] = "1"
        if extra:
            # pip takes the best version of all indexes; uv would take the first index that knows the name.
            carry("", "UV_INDEX_STRATEGY", value="unsafe-best-match")
    carry("cert", "SSL_CERT_FILE")
    carry("client-cert", "SSL_CLIENT_CERT")
    carry("trusted-host", "UV_INSECURE_HOST", value=" ".join(pip.get("trusted-host", "").split()))
    carry("timeout", "UV_HTTP_TIMEOUT", value=pip.get("timeout") or pip.get("default-timeout", ""))
    carry("proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    carry("proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    # pip trusts the certificates of the system, a company's own among them; so does uv with this.
    carry("", "UV_SYSTEM_CERTS", "UV_NATIVE_TLS", value="true")
    return settings


def read_pip_config(python: Path) -> str:
    """Returns what `pip config list` prints: environment, user's, machine's and environment's own files in one."""
    done = subprocess.run(
        [str(python), "-m", "pip", "config", "list"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    )
    return done.stdout.decode("utf-8", "replace")


def parse_pip_config(text: str) -> dict[str, str]:
    """Returns option → value; a variable of the environment beats `[install]`, which beats `[global]`, as in pip."""
    found: dict[str, dict[str, str]] = {":env:": {}, "install": {}, "global": {}}
    for line in text.splitlines():
        match = re.match(r"(:env:|install|global)\.([a-z-]+)=(['\"].*)$", line)
        if match:
            found[match[1]][match[2]] = str(ast.literal_eval(match[3]))
    return {**found["global"], **found["install"], **found[":env:"]}


def uv_has_own_index(environment: Mapping[str, str]) -> bool:
    """Tells whether the user has set an index for uv, by a variable or in uv's own files."""
    names = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX")
    if any(environment.get(name) for name in names):
        return True
    home = Path(environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME") or "~").expanduser() / ".config")
    files = [Path("/etc/uv/uv.toml"), home / "uv" / "uv.toml"]
    if environment.get("UV_CONFIG_FILE"):
        files.append(Path(environment["UV_CONFIG_FILE"]))
    settings = re.compile(r"^\s*(\[\[index\]\]|(extra-)?index(-url)?\s*=|find-links\s*=|no-index\s*=)", re.MULTILINE)
    return any(file.is_file() and settings.search(file.read_text("utf-8", "replace")) for file in files)


def is_there(address: str) -> bool:
    """Tells whether a place is worth asking: a folder of this machine must exist, others are the network's matter."""
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path)).exists()
    return bool(parts.netloc) or Path(address).exists()
