"""contrib/logrotate: a real logrotate rotates the log of a running receiver, which goes on in a new file."""

import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support.programs import needs
from support.workspace import Workspace
from support.wsgi_client import serving

SHIPPED = Path(__file__).parents[2] / "contrib" / "logrotate" / "ckanpackager"
LOGROTATE = needs("logrotate", debian="logrotate")


def configuration(workspace: Workspace) -> Path:
    """The shipped one, for the log of a workspace."""
    text = SHIPPED.read_text()
    assert "/var/log/ckanpackager/*.log {" in text and "su ckanpackager ckanpackager\n" in text
    text = text.replace("/var/log/ckanpackager/", f"{workspace.directory}/log/").replace(
        "su ckanpackager ckanpackager", ""
    )
    path = workspace.directory / "logrotate.conf"
    path.write_text(text)
    path.chmod(0o644)
    return path


def rotate(workspace: Workspace) -> None:
    command = [LOGROTATE, "--force", "--state", str(workspace.directory / "state"), str(configuration(workspace))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def refused(address: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{address}/{path}", timeout=60)


def test_logrotate_understands_the_file(workspace: Workspace) -> None:
    command = [LOGROTATE, "--debug", "--state", str(workspace.directory / "state"), str(configuration(workspace))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0 and "error" not in done.stderr.lower(), done.stderr
    assert "weekly (12 rotations)" in done.stderr


def test_a_running_receiver_goes_on_in_a_new_file(workspace: Workspace) -> None:
    log = workspace.directory / "log"
    log.mkdir(mode=0o700)
    workspace.configure(secret="a secret", log="log/ckanpackager.log")
    with serving(workspace) as address:
        for number, name in enumerate(("first", "second", "third")):
            if number:
                rotate(workspace)
            refused(address, name)
    told = {path.name: path for path in log.iterdir()}
    assert set(told) == {"ckanpackager.log", "ckanpackager.log.1", "ckanpackager.log.2.gz"}
    assert "/third" in told["ckanpackager.log"].read_text() and "/second" in told["ckanpackager.log.1"].read_text()
    assert told["ckanpackager.log"].stat().st_mode & 0o777 == 0o640
