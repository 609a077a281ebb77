"""Chromium without a window, driven through its DevTools protocol, over two pipes."""

import base64
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.programs import needs
from support.workspace import PATIENCE

_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
_QUIET = ("--disable-background-networking", "--disable-dev-shm-usage", "--remote-debugging-pipe")
_WITH_PIPES = """
import os, sys
read, write = (os.dup(int(number)) for number in sys.argv[1:3])
read, write = os.dup(read), os.dup(write)  # by now, beyond 3 and 4
os.dup2(read, 3)
os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""  # these are the numbers that Chromium expects


class Browser:
    """One page; `complaints` is what the console and the network said that is no praise."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read, self._buffer, self._number = write, read, b"", 0
        self._session: str | None = None
        self.complaints: list[str] = []
        self._events: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def look_like(self, *, width: int, height: int = 900, scheme: str = "light", scripts: bool = True) -> None:
        """The size of the window, the preferred colour scheme, and whether pages may run scripts."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)

    def send_header(self, name: str, value: str) -> None:
        """Send a header with every request."""
        self.call("Network.setExtraHTTPHeaders", headers={name: value})

    def open(self, url: str) -> None:
        self._events.clear()
        self.call("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page, which may itself run no scripts."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def click(self, selector: str) -> None:
        """Click into the middle of an element with the mouse, and wait for the page that this leads to, if any does."""
        self._events.clear()
        place = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{place}.scrollIntoView({{block: 'center'}})")
        box = self.evaluate(f"JSON.stringify({place}.getBoundingClientRect())")
        at = json.loads(box)
        point = {"x": at["x"] + at["width"] / 2, "y": at["y"] + at["height"] / 2, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, **point)

    def wait_for(self, event: str) -> None:
        while event not in self._events:
            self._receive()
        self._events.clear()

    def picture(self, path: Path) -> None:
        """The page in its whole length."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != number:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"Chromium has said nothing for {PATIENCE} s"
            data = os.read(self._read, 1 << 20)
            assert data, "Chromium has ended"
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self._note(message["method"], message["params"])
        return message

    def _note(self, method: str, said: dict[str, Any]) -> None:
        self._events.append(method)
        if method == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")
        elif method in ("Runtime.exceptionThrown", "Network.loadingFailed"):
            self.complaints.append(json.dumps(said))
        elif method == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(said["args"]))


@contextmanager
def chromium(directory: Path) -> Iterator[Browser]:
    """A running Chromium, with its profile in a directory; the test is skipped where it is not installed."""
    program = needs("chromium", debian="chromium")
    (their_read, our_write), (our_read, their_write) = os.pipe(), os.pipe()

    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _WITH_PIPES,
            str(their_read),
            str(their_write),
            program,
            *_OPTIONS,
            *_QUIET,
            f"--user-data-dir={directory / 'profile'}",
            "about:blank",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(directory)},
        pass_fds=(their_read, their_write),
    )
    try:
        for descriptor in (their_read, their_write):
            os.close(descriptor)
        yield Browser(our_write, our_read)
    finally:
        process.terminate()
        process.wait(PATIENCE)
        for descriptor in (our_write, our_read):
            os.close(descriptor)
