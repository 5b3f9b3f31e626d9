"""Run the programs of docs/fixed-address.md on loopback, with the configurations of the page.

Every program runs as the user of the tests, on free ports, and ends with its test. A missing one skips the test.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
import unittest
from collections.abc import Mapping
from pathlib import Path

from support.pages import examples
from support.shared_server import free_port

PAGE = "docs/fixed-address"
_SEARCH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin"
_PRIVILEGES = Path("/run/sshd")  # the folder that sshd needs if root starts it


def recipe(name: str, changes: Mapping[str, object]) -> str:
    """Return a configuration of the page with some parts replaced. Each of them must be in it."""
    [text] = [example.text for example in examples(PAGE) if (example.kind, example.name) == ("recipe", name)]
    for old, new in changes.items():
        assert old in text, f"{old!r} is not in the recipe {name}"
        text = text.replace(old, str(new))
    return text


def program(name: str) -> str:
    """Return the path of a program. Skip the test if it is not installed."""
    path = shutil.which(name, path=_SEARCH)
    if path is None:
        raise unittest.SkipTest(f"needs the program {name}")
    return path


class Programs:
    """The programs of one test. Their logs are files in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def write(self, name: str, text: str) -> Path:
        """Write a file of the test, which other users may read."""
        path = self.folder / name
        path.write_text(text, "utf-8")
        return path

    def start(self, command: list[str], *ports: int) -> None:
        """Start a program and wait until it listens on these ports. Fail with its log if it ends before."""
        log = self.folder / f"{len(self._running)}-{Path(command[0]).name}.log"
        environment = {**os.environ, "HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder / "data")}
        with log.open("wb") as output:
            running = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder, env=environment
            )
        self._running.append(running)
        for port in ports:
            for _ in range(6000):
                if running.poll() is not None:
                    raise AssertionError(f"{command[0]} ended: {log.read_text('utf-8', 'replace')[-2000:]}")
                if _listens(port):
                    break
                time.sleep(0.01)  # noqa: TID251 - a program starts
            else:
                raise AssertionError(f"{command[0]} does not listen: {log.read_text('utf-8', 'replace')[-2000:]}")

    def stop(self) -> None:
        """End all programs, the last one first."""
        while self._running:
            running = self._running.pop()
            running.terminate()
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()

    def logs(self) -> str:
        """Return everything that the programs logged."""
        return "".join(path.read_text("utf-8", "replace") for path in self.folder.rglob("*.log"))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def start_tinyproxy(programs: Programs, changes: Mapping[str, object]) -> int:
    """Start tinyproxy, whose connections come from 127.0.0.2; return its port."""
    path, port = program("tinyproxy"), free_port()
    config = recipe("tinyproxy", {"Port 8888": f"Port {port}", **changes}) + "Bind 127.0.0.2\n"
    programs.start([path, "-d", "-c", str(programs.write("tinyproxy.conf", config))], port)
    return port


def start_squid(programs: Programs, changes: Mapping[str, object]) -> int:
    """Start Squid, whose connections come from 127.0.0.2; return its port."""
    path, port = program("squid"), free_port()
    folder = programs.folder / "squid"
    folder.mkdir()
    folder.chmod(0o777)  # started by root, it becomes another user
    config = recipe("squid", {"127.0.0.1:8888": f"127.0.0.1:{port}", **changes}) + (
        f"tcp_outgoing_address 127.0.0.2\npid_filename none\ncache_log {folder}/cache.log\n"
        f"coredump_dir {folder}\nshutdown_lifetime 1 seconds\nvisible_hostname localhost\npinger_enable off\n"
    )
    programs.start([path, "-N", "-f", str(programs.write("squid.conf", config))], port)
    return port


class Server:
    """A small server: sshd, with the rights of the page for the machine at home."""

    def __init__(self, programs: Programs, changes: Mapping[str, object]) -> None:
        path, keygen = program("sshd"), program("ssh-keygen")
        if os.geteuid() == 0 and not _PRIVILEGES.is_dir():
            raise unittest.SkipTest(f"sshd needs the folder {_PRIVILEGES}, which its service makes")
        self._programs = programs
        self.port = free_port()
        folder = programs.folder
        for name in ("host", "home"):
            subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        kind, key = (folder / "home.pub").read_text().split()[:2]
        keys = recipe("authorized-keys", {f"{kind} AAAA...": f"{kind} {key}", **changes})
        config = f"""
            Port {self.port}
            ListenAddress 127.0.0.1
            HostKey {folder}/host
            PidFile none
            AuthorizedKeysFile {programs.write("authorized_keys", keys)}
            StrictModes no
            UsePAM no
            PasswordAuthentication no
            PermitRootLogin prohibit-password
        """
        programs.start([path, "-D", "-e", "-f", str(programs.write("sshd_config", config))], self.port)

    def connect(self, name: str, changes: Mapping[str, object], listens: int) -> None:
        """Open the tunnel of a recipe, and wait until it listens on its port."""
        command = recipe(name, {"tunnel@server.example.com": f"{getpass.getuser()}@127.0.0.1", **changes}).split()
        folder = self._programs.folder
        options = ["-F", "none", "-p", str(self.port), "-i", str(folder / "home")]
        options += ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder / 'known'}"]
        options += ["-o", "BatchMode=yes"]
        self._programs.start([program(command[0]), *options, *command[1:]], listens)


def certificate(folder: Path) -> tuple[Path, Path]:
    """Return a new certificate for localhost, and its key."""
    public, private = folder / "certificate.pem", folder / "key.pem"
    command = [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", str(private), "-out", str(public)], check=True, capture_output=True)
    private.chmod(0o644)
    return public, private


def start_nginx(programs: Programs, target: int) -> tuple[int, int, Path]:
    """Start nginx in front of a port of this machine; return its ports for http and https, and its certificate."""
    path, plain, secure = program("nginx"), free_port(), free_port()
    public, private = certificate(programs.folder)
    server = recipe(
        "nginx",
        {
            "listen 80;": f"listen 127.0.0.1:{plain};",
            "listen 443 ssl;": f"listen 127.0.0.1:{secure} ssl;",
            "sms.example.com;": "localhost;",
            "/etc/letsencrypt/live/sms.example.com/fullchain.pem": public,
            "/etc/letsencrypt/live/sms.example.com/privkey.pem": private,
            "/var/log/nginx/error.log": programs.folder / "nginx-error.log",
            "127.0.0.1:18124": f"127.0.0.1:{target}",
        },
    )
    paths = "".join(
        f"{name}_temp_path {programs.folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = (
        f"daemon off; master_process off;\npid {programs.folder}/nginx.pid;\nevents {{}}\nhttp {{\n{paths}{server}}}\n"
    )
    log = programs.folder / "nginx-start.log"
    programs.start([path, "-e", str(log), "-c", str(programs.write("nginx.conf", main))], plain, secure)
    return plain, secure, public


def start_caddy(programs: Programs, target: int) -> tuple[int, int, Path]:
    """Start Caddy in front of a port of this machine; return its ports for http and https, and its authority.

    It makes the certificate of localhost itself, with its own authority.
    """
    path, plain, secure = program("caddy"), free_port(), free_port()
    own = "admin off\n\tskip_install_trust\n\tauto_https disable_redirects\n"
    own += f"\thttp_port {plain}\n\thttps_port {secure}"
    changes = {
        "{\n\tlog {": f"{{\n\t{own}\n\tlog {{",
        "http://sms.example.com": f"http://localhost:{plain}",
        "https://sms.example.com": f"https://localhost:{secure}",
        "127.0.0.1:18124": f"127.0.0.1:{target}",
    }
    site = recipe("caddy", changes)
    config = programs.write("Caddyfile", site)
    programs.start([path, "run", "--adapter", "caddyfile", "--config", str(config)], plain, secure)
    for _ in range(6000):
        if "certificate obtained successfully" in programs.logs():
            break
        time.sleep(0.01)  # noqa: TID251 - a program makes its certificate
    return plain, secure, programs.folder / "data" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
