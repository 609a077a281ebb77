"""Web servers for tests: Apache and nginx with the files of contrib/, on free ports, as the users that there are."""

import os
import pwd
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from configparser import RawConfigParser
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.programs import is_there, needs
from support.workspace import Workspace, environment, until

import ckanpackager

CONTRIB = Path(__file__).parents[2] / "contrib"
MODULES = Path("/usr/lib/apache2/modules")
AS_ROOT = os.geteuid() == 0
WEB, WORKER = ("www-data", "nobody") if AS_ROOT else (None, None)  # who runs the web server, and who the worker
GROUP = "www-data"  # which both belong to

_APACHE = """\
ServerRoot "{run}"
DefaultRuntimeDir "{run}"
PidFile "{run}/apache.pid"
ErrorLog "{run}/error.log"
ServerName localhost
Listen 127.0.0.1:{port}
{modules}
{user}
<IfModule cgid_module>
    ScriptSock "{run}/cgid.socket"
</IfModule>
<IfModule wsgi_module>
    WSGISocketPrefix "{run}/wsgi"
</IfModule>
<Directory />
    Options FollowSymLinks
    AllowOverride None
    Require all denied
</Directory>
Include "{site}"
"""
_NGINX = """\
{user}
daemon off;
worker_processes 1;
pid {run}/nginx.pid;
error_log {run}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {run}/body;
    proxy_temp_path {run}/proxy;
    fastcgi_temp_path {run}/fastcgi;
    uwsgi_temp_path {run}/uwsgi;
    scgi_temp_path {run}/scgi;
    include {site};
}}
"""


class Prefix(NamedTuple):
    """An installation, as /opt/ckanpackager is one, for everybody to run."""

    directory: Path

    @property
    def python(self) -> str:
        return str(self.directory / "bin" / "python")


class Site:
    """A configured ckanpackager in a directory of its own: in place of /etc/ckanpackager and /var/lib/ckanpackager."""

    def __init__(self, prefix: Prefix, directory: Path, *, umask: int = 0o077, **settings: Any) -> None:
        self.prefix, self.umask = prefix, umask
        self.directory, self.run = directory / "site", directory / "run"
        self.settings = settings
        for path, mode in ((directory, 0o755), (self.directory, 0o2770), (self.run, 0o755)):
            path.mkdir(exist_ok=True)
            _give(path, WORKER, mode)
        _give(self.run, WEB, 0o755)
        for name in ("spool", "store"):
            (self.directory / name).mkdir()
            _give(self.directory / name, WORKER, 0o2770)
        (self.directory / "stats.db").touch()
        _give(self.directory / "stats.db", WORKER, 0o660)
        self.workspace = Workspace(self.directory)
        for path in (self.directory / "spool").iterdir():
            _give(path, WORKER, 0o2770)

    def configure(self, address: str) -> None:
        """The configuration, of a receiver at this address; its secrets are for the group alone."""
        self.workspace.configure(download_url=f"{address}/archives", public_url=address, **self.settings)
        _give(self.workspace.file, None, 0o640)

    def shipped(self, name: str, changes: Mapping[str, str]) -> Path:
        """A file of contrib/ with the paths of this site."""
        text = (CONTRIB / name).read_text()
        for old, new in changes.items():
            assert old in text, f"{old} is not in {name}"
            text = text.replace(old, new)
        text = text.replace("/opt/ckanpackager", str(self.prefix.directory))
        text = re.sub("/(etc|var/lib)/ckanpackager", str(self.directory), text)
        path = self.run / Path(name).name
        path.write_text(text)
        return path

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `ckanpackager` as the worker's user."""
        command = [self.prefix.python, "-m", "ckanpackager", "--config", str(self.workspace.file), *words]
        pipes: Any = {"capture_output": True, "text": True, "timeout": 60}
        return subprocess.run(command, check=False, **pipes, **_as(WORKER), umask=self.umask, cwd=self.directory)

    def log(self) -> str:
        """What the servers had to say."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.run.glob("*.log")))


Server = Callable[[Site, ExitStack, int], subprocess.Popen[bytes]]


def apache_cgi(site: Site, stack: ExitStack, port: int) -> subprocess.Popen[bytes]:
    """Apache, with a process for each request."""
    return _apache(site, stack, port, "apache/ckanpackager-cgi.conf", {})


def apache_wsgi(site: Site, stack: ExitStack, port: int) -> subprocess.Popen[bytes]:
    """Apache with mod_wsgi."""
    whose = f"user={WORKER or pwd.getpwuid(os.geteuid()).pw_name} group={GROUP}"
    whose = whose if AS_ROOT else whose.partition(" ")[0]
    changes = {"user=ckanpackager group=ckanpackager": whose}
    return _apache(site, stack, port, "apache/ckanpackager-wsgi.conf", changes)


def nginx_serve(site: Site, stack: ExitStack, port: int) -> subprocess.Popen[bytes]:
    """nginx before `ckanpackager serve`, which systemd's unit starts."""
    unit = RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(site.shipped("systemd/ckanpackager-serve.service", {}).read_text())
    name, _, value = unit["Service"]["Environment"].partition("=")
    program = [*shlex.split(unit["Service"]["ExecStart"]), "--port", "0"]
    log = site.run / "serve.log"
    _start(stack, program, log, WORKER, site.umask, {name: value})
    said = until(lambda: re.search(r"http://([0-9.:]+)/|^.+(?<!\n)\Z", log.read_text()))
    assert said[1], said[0]
    return _nginx(site, stack, port, "nginx/ckanpackager-serve.conf", {"127.0.0.1:8765": said[1]})


def nginx_fcgiwrap(site: Site, stack: ExitStack, port: int) -> subprocess.Popen[bytes]:
    """nginx with fcgiwrap."""
    server = site.run / "fcgiwrap.socket"
    server.unlink(missing_ok=True)
    _start(
        stack,
        [needs("fcgiwrap", debian="fcgiwrap"), "-f", "-s", f"unix:{server}"],
        site.run / "fcgiwrap.log",
        WEB,
        site.umask,
    )
    until(server.exists)
    return _nginx(site, stack, port, "nginx/ckanpackager-fcgiwrap.conf", {"/run/fcgiwrap.socket": str(server)})


DOORS: dict[str, Server] = {
    "apache-cgi": apache_cgi,
    "apache-wsgi": apache_wsgi,
    "nginx-serve": nginx_serve,
    "nginx-fcgiwrap": nginx_fcgiwrap,
}


def require(way: str) -> None:
    """Skip the test if a program is missing of this one of DOORS."""
    kind, _, other = way.partition("-")
    if kind == "apache":
        needs("apache2", debian="apache2-bin")
    else:
        needs("nginx", debian="nginx")
    if other == "fcgiwrap":
        needs("fcgiwrap", debian="fcgiwrap")
    if other == "wsgi" and not (MODULES / f"mod_wsgi.so-{_version()}").exists():
        pytest.skip(f"there is no mod_wsgi for Python {_version()} (Debian: libapache2-mod-wsgi-py3)")


def is_installed(way: str) -> bool:
    return is_there(lambda: require(way))


@contextmanager
def running(site: Site, server: Server) -> Iterator[str]:
    """A site behind a web server, on a port that the system chose; its address."""
    for attempt in range(1, 6):
        with ExitStack() as stack, socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
            free.close()
            site.configure(f"http://127.0.0.1:{port}")
            process = server(site, stack, port)
            until(lambda port=port, process=process: _answers(port) or process.poll() is not None)
            if process.poll() is None:
                yield f"http://127.0.0.1:{port}"
                return
            # The port was free a moment ago; if another program has taken it meanwhile, the next one will do.
            assert attempt < 5 and "in use" in site.log(), site.log()


@contextmanager
def prefix() -> Iterator[Prefix]:
    """An installation with the libraries of this Python, for a Python that every user can run."""
    base = next((path for path in (f"/usr/bin/python{_version()}", sys.executable) if os.access(path, os.X_OK)), "")
    with open_directory() as directory:
        opt = directory / "opt"
        subprocess.run([base, "-m", "venv", "--without-pip", str(opt)], check=True, timeout=60)
        libraries = opt / "lib" / f"python{_version()}" / "site-packages"
        source = Path(ckanpackager.__file__).parent
        installed = Path(pytest.__file__).parent.parent
        if not _is_open(source):
            shutil.copytree(source, libraries / "ckanpackager")
        if not _is_open(installed):
            shutil.copytree(installed, libraries, dirs_exist_ok=True)
        (libraries / "tested.pth").write_text(f"{source.parent}\n{installed}\n")
        for name in ("ckanpackager.cgi", "ckanpackager.wsgi"):
            target = opt / "cgi" / name
            target.parent.mkdir(exist_ok=True)
            target.write_text((CONTRIB / "cgi" / name).read_text().replace("/opt/ckanpackager", str(opt)))
            target.chmod(0o755)
        command = opt / "bin" / "ckanpackager"
        command.write_text(f"#!{opt}/bin/python\nfrom ckanpackager.cli.main import main\n\nmain()\n")
        command.chmod(0o755)
        try:
            subprocess.run([str(opt / "bin" / "python"), "-c", "import ckanpackager.cli"], check=True, **_as(WORKER))
        except (OSError, subprocess.CalledProcessError):
            pytest.skip(f"{base}, or what it needs, is not for other users to run")
        yield Prefix(opt)


@contextmanager
def open_directory() -> Iterator[Path]:
    """A directory that other users may reach, too; paths of sockets must be short."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def _apache(site: Site, stack: ExitStack, port: int, name: str, changes: Mapping[str, str]) -> subprocess.Popen[bytes]:
    found = needs("apache2", debian="apache2-bin")
    shipped = site.shipped(name, {"*:80": f"127.0.0.1:{port}", **changes})
    named = re.search(r"^#   a2enmod (.+)", shipped.read_text(), re.MULTILINE)  # what the file says it needs
    assert named
    modules = ""
    for module in ("mpm_event", "authz_core", *named[1].split()):
        if not (file := MODULES / f"mod_{module}.so").exists():
            pytest.skip(f"Apache has no module {module} (Debian: apache2-bin)")
        modules += f"LoadModule {module}_module {file}\n"
    user = f"User {WEB}\nGroup {GROUP}" if WEB else ""
    configuration = site.run / "apache.conf"
    configuration.write_text(_APACHE.format(run=site.run, port=port, modules=modules, user=user, site=shipped))
    command = [found, "-f", str(configuration), "-D", "FOREGROUND"]
    return _start(stack, command, site.run / "apache.log", None, site.umask)


def _nginx(site: Site, stack: ExitStack, port: int, name: str, changes: Mapping[str, str]) -> subprocess.Popen[bytes]:
    shipped = site.shipped(name, {"listen 80;": f"listen 127.0.0.1:{port};", **changes})
    configuration = site.run / "nginx.conf"
    user = f"user {WEB} {GROUP};" if WEB else ""
    configuration.write_text(_NGINX.format(run=site.run, user=user, site=shipped))
    command = [needs("nginx", debian="nginx"), "-c", str(configuration), "-e", str(site.run / "error.log")]
    return _start(stack, command, site.run / "nginx.log", None, site.umask)


def _start(
    stack: ExitStack, command: list[str], log: Path, user: str | None, umask: int, environ: Mapping[str, str] = {}
) -> subprocess.Popen[bytes]:
    """Start a server that ends with the stack."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            umask=umask,
            cwd="/",
            env=environment(dict(environ)),
            **_as(user),
        )

    def stop() -> None:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()

    stack.callback(stop)
    return process


def _as(user: str | None) -> dict[str, Any]:
    return {"user": user, "group": GROUP, "extra_groups": []} if user else {}


def _give(path: Path, user: str | None, mode: int) -> None:
    if AS_ROOT:
        shutil.chown(path, user or "root", GROUP)
    path.chmod(mode)


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _is_open(path: Path) -> bool:
    return all(workspace.stat().st_mode & 0o005 == 0o005 for workspace in (path, *path.parents))


def _version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"
