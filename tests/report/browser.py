"""A browser without a window, over the DevTools protocol: what a page does when a person opens it."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from websockets.sync.client import ClientConnection, connect

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def browser() -> str | None:
    """Return the browser of this machine, None where it has none."""
    return next((found for name in BROWSERS if (found := shutil.which(name)) is not None), None)


class Tab:
    """One tab: commands go in, and what the browser says meanwhile is kept in `events`."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._number = socket, 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Return what the browser answers to a command."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while (answer := json.loads(self._socket.recv(timeout=120))).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def wait(self, event: str) -> None:
        """Wait until an event has come since the page was opened."""
        while not self.said(event):
            self.events.append(json.loads(self._socket.recv(timeout=120)))

    def value(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def open(self, page: Path, width: int, scheme: str = "light") -> None:
        """Open a file as a screen so wide shows it, and forget what was said before."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        self.wait("Page.loadEventFired")

    def said(self, *methods: str) -> list[dict[str, Any]]:
        """Return what the browser said of these kinds since the page was opened."""
        return [event for event in self.events if event.get("method") in methods]


def _tab_of(address: str) -> str:
    """Return where the one open tab listens, of a browser that listens at `address`."""
    with urlopen(f"http://{urlsplit(address).netloc}/json/list", timeout=120) as answer:
        found = [tab for tab in json.loads(answer.read()) if tab["type"] == "page"]
    return str(found[0]["webSocketDebuggerUrl"])


@contextmanager
def opened(folder: Path) -> Iterator[Tab]:
    """Start a browser with a profile of its own, and end it."""
    found = browser()
    assert found is not None, "there is a browser"
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0")
    command = [found, *flags, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stderr is not None
            address = next(line.split()[-1] for line in process.stderr if "DevTools listening on" in line)
            with connect(_tab_of(address), max_size=None, proxy=None) as socket:
                yield Tab(socket)
        finally:
            process.terminate()
