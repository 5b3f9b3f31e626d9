"""The settings of pip reach uv, and settings for uv itself stay as they are."""

from pathlib import Path

import pytest
from package_index import parse_pip_config, read_pip_config, uv_settings
from support.environments import TOOLS

NOBODY = {"HOME": "/nonexistent"}


def index_of(settings: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in settings.items() if name != "UV_SYSTEM_CERTS"}


def test_index_and_proxy_of_pips_file_reach_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real pip reads the settings from the user's file."""
    file = tmp_path / "pip" / "pip.conf"
    file.parent.mkdir()
    file.write_text("[global]\nindex-url = https://mirror.example/simple\nproxy = http://proxy.example:3128\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PIP_CONFIG_FILE", "PIP_INDEX_URL", "PIP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    settings = uv_settings(read_pip_config(TOOLS / "python"), NOBODY)
    assert settings["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert settings["HTTPS_PROXY"] == settings["HTTP_PROXY"] == "http://proxy.example:3128"


def test_variable_overrides_install_section_which_overrides_global_one() -> None:
    config = "global.index-url='https://c'\ninstall.index-url='https://b'\n:env:.index-url='https://a'"
    assert parse_pip_config(config) == {"index-url": "https://a"}
    assert parse_pip_config("install.index-url='https://b'\nglobal.index-url='https://c'") == {"index-url": "https://b"}


def test_extra_indexes_are_searched_as_pip_searches_them(tmp_path: Path) -> None:
    config = f"global.extra-index-url='file://{tmp_path}\\nhttps://more.example/simple'"
    assert index_of(uv_settings(config, NOBODY)) == {
        "UV_INDEX": f"file://{tmp_path} https://more.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_missing_folders_are_left_out(tmp_path: Path) -> None:
    config = f"global.extra-index-url='file://{tmp_path}/no'\nglobal.find-links='{tmp_path}/no {tmp_path}'"
    assert index_of(uv_settings(config, NOBODY)) == {"UV_FIND_LINKS": str(tmp_path)}


def test_certificates_time_limits_and_trusted_hosts_reach_uv() -> None:
    config = (
        ":env:.cert='/ca.pem'\nglobal.client-cert='/me.pem'\nglobal.timeout='90'\n"
        "global.trusted-host='a.example\\nb.example'\nglobal.no-index='true'"
    )
    assert index_of(uv_settings(config, NOBODY)) == {
        "SSL_CERT_FILE": "/ca.pem",
        "SSL_CLIENT_CERT": "/me.pem",
        "UV_HTTP_TIMEOUT": "90",
        "UV_INSECURE_HOST": "a.example b.example",
        "UV_NO_INDEX": "1",
    }


@pytest.mark.parametrize("own", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_NO_INDEX"])
def test_index_set_for_uv_stays(own: str) -> None:
    config = "global.index-url='https://pips.example'\nglobal.extra-index-url='https://more.example'"
    assert index_of(uv_settings(config, {**NOBODY, own: "https://uvs.example"})) == {}


@pytest.mark.parametrize("text", ["[[index]]\nurl = 'https://x'", "index-url = 'https://x'", "find-links = ['/x']"])
def test_index_in_a_file_of_uv_stays(tmp_path: Path, text: str) -> None:
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv.toml").write_text(text)
    config = "global.index-url='https://pips.example'"
    assert index_of(uv_settings(config, {"XDG_CONFIG_HOME": str(tmp_path)})) == {}


def test_file_of_uv_without_an_index_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv.toml").write_text("concurrent-downloads = 2")
    settings = uv_settings("global.index-url='https://pips.example'", {"XDG_CONFIG_HOME": str(tmp_path)})
    assert settings["UV_DEFAULT_INDEX"] == "https://pips.example"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_proxy_of_the_environment_stays(name: str) -> None:
    assert "HTTPS_PROXY" not in uv_settings("global.proxy='http://pips'", {**NOBODY, name: "http://own"})


def test_uv_trusts_the_systems_certificates_by_default() -> None:
    assert uv_settings("", NOBODY) == {"UV_SYSTEM_CERTS": "true"}
    assert uv_settings("", {**NOBODY, "UV_NATIVE_TLS": "false"}) == {}
