"""Every command of the README works as it is typed; those that change the machine are tried in a chroot."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.chroot import Chroot, chroot
from support.programs import needs
from support.workspace import PATIENCE, FakeSmtpServer, Workspace
from support.wsgi_client import serving

from ckanpackager.demo import sample
from ckanpackager.demo.ckan_api import CkanApi, Resource

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
RESOURCE = "b3f1d6a0-6d5f-4d0e-9a59-4e36c1f0a9d4"
SITE, PACKAGER = "https://data.example.org", "https://packager.example.org"
NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", ".demo", ".*_cache", "build", "dist", "*.egg-info", "__pycache__")
CHANGING = ("apt-get", "useradd", "python3", "/opt/ckanpackager/bin/pip", "ln", "install", "runuser")  # the machine


def section(title: str) -> str:
    found = re.search(rf"^#+ {title}\n(.+?)(?=^#|\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def blocks(text: str) -> list[str]:
    """The indented pieces of code."""
    return [re.sub("^    ", "", code, flags=re.MULTILINE) for code in re.findall(r"(?:^    .*\n)+", text, re.MULTILINE)]


def commands(text: str) -> list[str]:
    """The commands of the indented pieces of code, continued lines joined."""
    lines = "\n".join(blocks(text)).replace("\\\n", " ").splitlines()
    return [line for line in lines if re.match(r"[/\w.-]+ (?!\{)[^:]", line) and not line.startswith((" ", "#"))]


@pytest.fixture
def ckan() -> Iterator[CkanApi]:
    with CkanApi({RESOURCE: Resource(sample.FIELDS, list(sample.rows(5000)))}) as api:
        yield api


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the source, whose `.venv` has what this Python has."""
    copy = tmp_path / "clone"
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    (copy / ".venv").mkdir()
    for name in ("bin", "lib", "lib64", "include", "pyvenv.cfg"):
        if (Path(sys.prefix) / name).exists():
            (copy / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    for name in ("created", "installed", "installed-test"):
        (copy / ".venv" / name).touch()
    return copy


def make(clone: Path, *words: str) -> str:
    command = [needs("make", debian="make"), *words]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(command, cwd=clone, timeout=2 * PATIENCE, check=False, **pipes)
    assert done.returncode == 0, done.stdout
    return str(done.stdout)


def test_a_test_here_tries_every_command() -> None:
    tried = {"make demo", "make test", "make test-fast", "make lint", "make bench"}
    rest = [line for line in commands(README) if re.split("  +#", line)[0] not in tried]
    assert [line.split()[0] for line in rest if not line.startswith(CHANGING)] == ["ckanpackager", "curl", "curl"]
    assert [line for line in rest if line.startswith(CHANGING)] == commands(section("Install"))
    assert len(commands(section("Install"))) == 12


def test_make_demo_shows_the_archives_the_mail_and_the_statistics(clone: Path) -> None:
    said = make(clone, "demo")
    assert "resource.csv" in said and "Subject: " in said and "ckanpackager stats" in said
    assert len(list((clone / ".demo" / "store").glob("*/*.zip"))) == 2


@pytest.mark.parametrize(("target", "folders"), [("test", {"unit", "system"}), ("test-fast", {"unit"})])
def test_make_runs_the_tests_that_it_says(clone: Path, target: str, folders: set[str]) -> None:
    said = make(clone, target, "PYTEST=-n 0 --collect-only -q -q")
    assert set(re.findall(r"^tests/(\w+)/", said, re.MULTILINE)) == folders


def test_make_bench_measures(clone: Path) -> None:
    said = make(clone, "bench", "BENCH=100")
    assert "ckanpackager" in said and "xlsx" in said


def test_the_ci_script_runs_the_other_make_targets() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert {"make lint", "make test"} <= set(script.splitlines())


def test_the_terminal_excerpt_is_what_the_program_prints(workspace: Workspace, ckan: CkanApi) -> None:
    (excerpt,) = re.findall(r"^```console\n(.+?)^```", README, re.MULTILINE | re.DOTALL)
    workspace.configure(download_url=f"{PACKAGER}/archives", public_url=PACKAGER)
    defaults = workspace.directory / "defaults.json"
    defaults.write_text(json.dumps({"api_url": ckan.api_url}))
    printed, id = "", ""
    for line in re.findall(r"^\$ ckanpackager (.+)$", excerpt, re.MULTILINE):
        words = [re.sub("^[0-9]{8}T.*", id, word) for word in shlex.split(line)]
        done = workspace.run("-d", str(defaults), *words)
        assert (done.returncode, done.stderr) == (0, ""), line
        id = id or done.stdout.strip()
        printed += f"$ ckanpackager {' '.join(words)}\n{done.stdout}"
    assert general(printed).splitlines()[: excerpt.count("\n")] == general(excerpt).splitlines()


def general(text: str) -> str:
    """Without what differs from run to run."""
    text = re.sub(r"\d{8}T\d+-[0-9a-f]{32}", "JOB", text)
    text = re.sub(r"[0-9a-f]{32}-[0-9a-f]{32}", "ARCHIVE", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", text)
    text = re.sub(r"[\d.]+ [kM]B", "SIZE", text)
    text = re.sub(r"-\d{4}-\d\d-\d\d\.zip", "-DAY.zip", text)
    text = re.sub(r"from (127.0.0.1:\d+|data.example.org)", "from SITE", text)
    return re.sub(r"  \S+:\d+: worked", "  WORKER: worked", text)


def test_the_queue_command_packs_what_it_asks_for(workspace: Workspace, ckan: CkanApi) -> None:
    (line,) = [line for line in commands(README) if line.startswith("ckanpackager ")]
    done = workspace.run("-D", *shlex.split(line.replace(SITE, ckan.url))[1:])
    assert (done.returncode, done.stderr) == (0, "")
    workspace.work()
    job = workspace.find(done.stdout.strip())[1]
    assert job.archive and job.archive.rows == 1250
    assert job.request.email == "ann@example.org"


def curl(workspace: Workspace, title: str, ckan: CkanApi) -> Any:
    """What a receiver replies to the curl command of a section."""
    program = needs("curl", debian="curl")
    (line,) = [line for line in commands(section(title)) if line.startswith("curl ")]
    with serving(workspace) as address:
        words = shlex.split(line.replace(SITE, ckan.url).replace(PACKAGER, address))
        done = subprocess.run([program, "-sS", *words[1:]], capture_output=True, timeout=PATIENCE, check=True)
    reply = json.loads(done.stdout)
    assert reply["success"] is True, reply
    return reply


def test_curl_queues_a_job(workspace: Workspace, ckan: CkanApi) -> None:
    workspace.configure(secret="a-long-secret-of-your-own")
    job = curl(workspace, "HTTP", ckan)["job"]
    workspace.work()
    assert workspace.find(job)[0] == "done"


def test_curl_refreshes_the_named_package_of_a_dataset(workspace: Workspace, ckan: CkanApi) -> None:
    (block,) = [block for block in blocks(section("Named packages")) if block.startswith("named_packages:")]
    settings = yaml.safe_load(block.replace(SITE, ckan.url))
    workspace.configure(secret="a-long-secret-of-your-own", **settings)
    description = ckan.site.description(RESOURCE)
    ckan.datasets["specimens"] = {"id": "d1", "name": "specimens", "title": "x", "resources": [description]}
    reply = curl(workspace, "Named packages", ckan)
    assert list(reply["jobs"]) == ["gbif-specimens"]


def test_the_defaults_are_json_and_the_settings_are_settings(workspace: Workspace) -> None:
    (defaults,) = [block for block in blocks(section("The tasks")) if block.startswith("{")]
    assert json.loads(defaults) == {"api_url": f"{SITE}/api/3/action/datastore_search"}
    (fields,) = [block for block in blocks(section("The tasks")) if block.startswith("dwc_")]
    workspace.configure(**yaml.safe_load(fields), **settings_of_the_installation())
    assert workspace.settings.darwin_core.dwc_extension_fields.keys() == {"Associated Media"}


def settings_of_the_installation() -> dict[str, Any]:
    (block,) = [block for block in blocks(section("Install")) if block.startswith("secret: ")]
    settings: dict[str, Any] = yaml.safe_load(block)
    return settings


def test_the_installation_and_the_lines_for_web_servers_work_as_typed(
    clone: Path, ckan: CkanApi, smtp: FakeSmtpServer, tmp_path: Path
) -> None:
    shutil.rmtree(clone / ".venv")
    with chroot(tmp_path, clone) as machine:
        check_registries(machine)
        for line in commands(section("Install")):
            if line.startswith("runuser"):
                configure(machine, smtp)
            typed(machine, line.replace(SITE, ckan.url))
        (queue,) = [line for line in commands(README) if line.startswith("ckanpackager ")]
        typed(machine, queue.replace(SITE, ckan.url))
        for line in cron_lines(machine):
            assert typed(machine, line) == ""
        assert smtp.mails[0]["To"] == "ann@example.org"
        body = smtp.mails[0].get_body(("plain",))
        link = re.search(rf"{PACKAGER}/archives/(\S+)", body.get_content() if body else "")
        assert link and typed(machine, f"ls /var/lib/ckanpackager/store/{link[1]}")
        for_web_servers(machine, link[1])
        for_monitoring(machine, ckan)


def for_web_servers(machine: Chroot, archive: str) -> None:
    """The commands of docs/deployment.md, but for those that ask systemd or a running web server."""
    text = (ROOT / "docs" / "deployment.md").read_text()
    lines = [line for line in commands(text) if not line.startswith(("systemctl", "curl"))]
    assert len(lines) == 8
    for line in lines:
        typed(machine, line)
    assert typed(machine, f"runuser -u www-data -- head -c 2 /var/lib/ckanpackager/store/{archive}") == "PK"
    cgi = "SERVER_NAME=x SERVER_PORT=80 SERVER_PROTOCOL=HTTP/1.1 REQUEST_METHOD=GET SCRIPT_NAME= PATH_INFO=/status"
    said = typed(machine, f"runuser -u www-data -- env {cgi} /opt/ckanpackager/cgi/ckanpackager.cgi")
    assert said.startswith("Status: 405 ")
    for name in ("cgi/ckanpackager.wsgi", "nginx/ckanpackager-serve.conf", "ckanpackager.yaml.example"):
        typed(machine, f"test -s /opt/ckanpackager/share/ckanpackager/{name}")


def for_monitoring(machine: Chroot, ckan: CkanApi) -> None:
    """The commands of docs/monitoring.md, but for those that ask systemd, or a running server, or read its log."""
    typed(machine, "mkdir -p /var/lib/prometheus/node-exporter")  # as the package of node_exporter does
    lines = commands((ROOT / "docs" / "monitoring.md").read_text())
    lines = [line for line in lines if line.startswith(("ckanpackager ", "install", "promtool", "ch", "runuser"))]
    assert len(lines) == 9
    has_promtool = machine.run("promtool --version").returncode == 0
    for line in lines:
        if line.startswith("promtool check config"):
            typed(machine, "cp contrib/prometheus/prometheus.yml /etc/prometheus/")
            typed(machine, "echo x > /etc/prometheus/ckanpackager.secret")
        if has_promtool or not ("promtool" in line or "/etc/prometheus" in line):
            typed(machine, line.replace(SITE, ckan.url))
    assert "ckanpackager_build_info" in typed(machine, "cat /var/lib/prometheus/node-exporter/ckanpackager.prom")


def typed(machine: Chroot, line: str) -> str:
    done = machine.run(line)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr if "-- env" in line else done.stdout


def check_registries(machine: Chroot) -> None:
    """Skip the test where the packages that it installs cannot be had; let apt-get ask nothing."""
    typed(machine, "echo 'APT::Get::Assume-Yes \"true\";' > /etc/apt/apt.conf.d/90assume-yes")
    if machine.run("dpkg -s python3-venv").returncode and machine.run("apt-get -qq update").returncode:
        pytest.skip("Debian's packages cannot be reached")
    if machine.run("python3 -m venv /tmp/empty && /tmp/empty/bin/pip download --no-deps -qd /tmp click").returncode:
        pytest.skip("Python's packages cannot be reached")


def configure(machine: Chroot, smtp: FakeSmtpServer) -> None:
    """Set the keys that the README names, in the documented example."""
    file = "/etc/ckanpackager/ckanpackager.yaml"
    settings = settings_of_the_installation() | {"smtp_host": "127.0.0.1", "smtp_port": smtp.port}
    for key, value in settings.items():
        assert typed(machine, f"grep -Ec '^#?{key}: ' {file}") == "1\n"
        typed(machine, f"sed -Ei 's|^#?{key}: .*|{key}: {value}|' {file}")


def cron_lines(machine: Chroot) -> list[str]:
    """What cron does at the times of /etc/cron.d/ckanpackager, each as the user that its line names."""
    text = typed(machine, "cat /etc/cron.d/ckanpackager")
    environment = " ".join(re.findall(r"^\w+=\S+$", text, re.MULTILINE))
    jobs = re.findall(r"^(?:[\d*/]+ +){5}(\w+) +(.+)$", text, re.MULTILINE)
    assert len(jobs) == 3
    return [f"runuser -u {user} -- env -i {environment} sh -c {shlex.quote(command)}" for user, command in jobs]
