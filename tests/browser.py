"""A browser for tests: Chromium through chromedriver, spoken to by the WebDriver protocol (W3C), without a client library."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
MISSING = "no browser here: apt-get install chromium chromium-driver"
KEYS = {"left": "\ue012", "right": "\ue014", "down": "\ue015", "back": "\ue003", "tab": "\ue004", "enter": "\ue007",
        "escape": "\ue00c", "delete": "\ue017"}
HELD = {"alt": "\ue00a", "control": "\ue009"}
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """One window."""

    def __init__(self, session: str) -> None:
        self._session = session

    def call(self, method: str, place: str, body: Any = None) -> Any:
        """Send one command of the protocol and return its value."""
        return _call(method, f"{self._session}/{place}", body)

    def open(self, url: str) -> None:
        """Load a page."""
        self.call("POST", "url", {"url": url})

    def run(self, script: str) -> Any:
        """Return what a script in the page returns."""
        return self.call("POST", "execute/sync", {"script": script, "args": []})

    def text(self, name: str) -> str:
        """Return the visible text of the element with an id."""
        return str(self.run(f"return document.getElementById({json.dumps(name)}).innerText"))

    def press(self, key: str, *held: str) -> None:
        """Press a key and let it go, while others (``alt``, ``control``) are held."""
        value, down = KEYS.get(key, key), [HELD[name] for name in held]
        keys = [{"type": "keyDown", "value": one} for one in (*down, value)] + [{"type": "keyUp", "value": one} for one in (value, *down)]
        self.call("POST", "actions", {"actions": [{"type": "key", "id": "keyboard", "actions": keys}]})

    def click(self, selector: str) -> None:
        """Click what a CSS selector finds."""
        found = self.call("POST", "element", {"using": "css selector", "value": selector})
        self.call("POST", f"element/{found[ELEMENT]}/click", {})

    def write(self, text: str) -> None:
        """Press a key for each letter."""
        keys = [{"type": kind, "value": letter} for letter in text for kind in ("keyDown", "keyUp")]
        self.call("POST", "actions", {"actions": [{"type": "key", "id": "keyboard", "actions": keys}]})

    def wait(self, condition: str, seconds: float = 10.0) -> None:
        """Wait until a JavaScript expression is true."""
        ends = time.monotonic() + seconds
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < ends, f"never true: {condition}\n{self.run('return document.body.innerText')}"
            time.sleep(0.03)

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """Show the page in a viewport of so many px, in light or dark colours."""
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.devtools("Emulation.setEmulatedMedia", features=scheme)

    def devtools(self, command: str, **parameters: Any) -> Any:
        """Send a command of Chromium's own protocol."""
        return self.call("POST", "goog/cdp/execute", {"cmd": command, "params": parameters})

    def screenshot(self, path: Path) -> None:
        """Write the viewport as a PNG."""
        path.write_bytes(base64.b64decode(self.call("GET", "screenshot")))

    def log(self) -> list[str]:
        """Return what the console said since it was last asked."""
        return [str(entry["message"]) for entry in self.call("POST", "se/log", {"type": "browser"})]


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start a headless browser whose profile is in ``folder``; it ends with the block."""
    assert CHROMIUM, MISSING
    assert DRIVER, MISSING
    driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert driver.stdout is not None
        port = next(line.rsplit("port ", 1)[1].strip(" .\n") for line in driver.stdout if "started successfully on port" in line)
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
                 "--disable-sync", "--no-first-run", "--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}"]  # fmt: skip
        options = {"binary": CHROMIUM, "args": flags}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        root = f"http://127.0.0.1:{port}/session"
        made = _call("POST", root, {"capabilities": {"alwaysMatch": wanted}})
        session = f"{root}/{made['sessionId']}"
        try:
            yield Browser(session)
        finally:
            _call("DELETE", session)
    finally:
        driver.terminate()
        driver.wait(10)


def _call(method: str, url: str, body: Any = None) -> Any:
    data = json.dumps(body).encode() if method == "POST" else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.loads(reply.read())["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {url}: {error.read().decode(errors='replace')[:600]}") from None
