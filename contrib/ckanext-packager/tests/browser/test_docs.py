"""docs/button.md: its commands, as they are typed there, lead to the first mail."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .conftest import PATIENCE, Service, free_port, playwright, wait_for

ROOT = Path(__file__).parents[4]
TEN = 10


def commands():
    text = (ROOT / "docs" / "button.md").read_text(encoding="utf-8").partition("\n## ")[0]
    return [line.strip() for line in re.findall(r"^    (\S.*)$", text, re.M)]


def test_ten_commands_lead_to_the_first_mail(tmp_path, chromium, request, table):
    typed = commands()
    assert len(typed) == TEN
    port, ckan_port = free_port(), free_port()
    ini, packager, log = tmp_path / "ckan.ini", tmp_path / "packager", tmp_path / "log"
    text = Path(request.config.getoption("ckan_ini")).read_text()
    text = re.sub(r"^ckanext\.packager\..*$", "", text, flags=re.M).replace("testing=true", "testing=false")
    text = re.sub(r"^ckan\.site_url *=.*$", f"ckan.site_url = http://127.0.0.1:{ckan_port}", text, flags=re.M)
    text = re.sub(r"^(ckan\.plugins *=.*) packager$", r"\1", text, flags=re.M)
    ini.write_text(re.sub(r"^testing *=.*$", "", text, flags=re.M))
    # Only the places differ: folders of this test, and a port that is free here.
    places = f"ckan={Path(sys.executable).parents[1]} ini={ini} packager={packager}"
    typed = [places, *(line.replace("8765", str(port)) for line in typed[1:])]
    assert typed[8].endswith("serve &")
    typed[8] = typed[8].replace("serve &", f"serve --port {port} >{log} 2>&1 & echo $! >{tmp_path}/pid")

    def run(lines):
        command = ["bash", "-ec", "\n".join(lines)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    run(typed[:9])
    command = [str(Path(sys.executable).with_name("ckan")), "-c", str(ini), "run", "--disable-reloader"]
    ckan = Service([*command, "--port", str(ckan_port)], log, f"http://127.0.0.1:{ckan_port}/api/3/action/status_show")
    try:
        ckan.start()
        wait_for(f"http://127.0.0.1:{port}/jobs/x", ckan.process)
        context = chromium.new_context(base_url=f"http://127.0.0.1:{ckan_port}")
        page = context.new_page()
        page.goto(f"/dataset/{table['package_id']}/resource/{table['id']}")
        page.click("text=Request download")
        page.get_by_label("Your e-mail address").fill("someone@example.org")
        page.get_by_role("button", name="Request download").last.click()
        playwright.expect(page.get_by_role("heading", name="Your download")).to_be_visible(timeout=PATIENCE * 1000)
        context.close()
        run([typed[0], typed[9]])
    finally:
        ckan.stop()
        os.kill(int((tmp_path / "pid").read_text()), 15)
        shutil.rmtree(ROOT / "build", ignore_errors=True)
    (mail,) = (packager / "mail" / "new").iterdir()
    assert "someone@example.org" in mail.read_text()
    assert f"http://127.0.0.1:{port}/archives/" in mail.read_text()
