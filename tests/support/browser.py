"""Headless Chromium, driven by its DevTools protocol: one page at a time, and what it complained about."""

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

from tests.support.processes import PATIENCE

_OPTIONS = (
    "--headless",
    "--remote-debugging-port=0",
    "--no-sandbox",  # tests may run as root, and open nothing but their own pages
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--window-size=1280,1000",
)
_SOON = 20.0
# Until an expression is true, or throws no more: pages are not quicker than their requests.
_UNTIL = """
new Promise((resolve, reject) => {{
  const end = Date.now() + {patience} * 1000;
  const look = () => {{
    let found, problem = "never true";
    try {{ found = {expression}; }} catch (error) {{ problem = error; }}
    if (found) resolve();
    else if (Date.now() > end) reject(new Error(`{words}: ${{problem}}\\n${{document.body.innerText}}`));
    else setTimeout(look, 20);
  }};
  look();
}})
"""


class Browser:
    """Runs as long as the block lasts."""

    def __init__(self, program: str) -> None:
        self._program = program

    def __enter__(self) -> Self:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [self._program, *_OPTIONS, f"--user-data-dir={self._profile.name}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        told = (re.search(r"DevTools listening on (ws://\S+)", line) for line in self._process.stderr)
        self._url = next(found[1] for found in told if found)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._profile.cleanup()

    @contextmanager
    def open(self, url: str) -> Iterator["Page"]:
        """A page with storage of its own."""
        with connect(self._url, max_size=None, proxy=None) as connection:
            yield Page(connection, url)


class Page:
    """One page; `complaints` are its errors and violations of its policy."""

    def __init__(self, connection: ClientConnection, url: str) -> None:
        self._connection = connection
        self._number = 0
        self._session: dict[str, str] = {}
        self.complaints: list[str] = []
        context = self._call("Target.createBrowserContext")["browserContextId"]
        target = self._call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        self._session = {"sessionId": self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")
        self.goto(url)

    def goto(self, url: str) -> None:
        self._call("Page.navigate", url=url)
        self.until(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'")

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression, or of its promise."""
        done = self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"].get("exception", {}).get("description")
        return done["result"].get("value")

    def until(self, expression: str) -> None:
        """Waits for an expression to become true."""
        words = expression.replace("\\", "").replace("`", "'").replace("$", "")
        self.run(_UNTIL.format(expression=expression, patience=_SOON, words=words))

    def text(self, selector: str) -> str:
        text = self.run(f"document.querySelector({json.dumps(selector)}).innerText")
        assert isinstance(text, str)
        return text

    def click(self, selector: str) -> None:
        self.until(f"(found => found && (found.click(), true))(document.querySelector({json.dumps(selector)}))")

    def enter(self, selector: str, text: str) -> None:
        """As if it were typed."""
        self.run(
            f"{{ const field = document.querySelector({json.dumps(selector)});"
            " const { set } = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), 'value');"
            f" set.call(field, {json.dumps(text)});"
            " field.dispatchEvent(new Event('input', { bubbles: true })); }"
        )

    def _call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, **self._session}
        self._connection.send(json.dumps(message))
        while True:
            answer = json.loads(self._connection.recv(timeout=PATIENCE))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        if event["method"] == "Runtime.exceptionThrown":
            self.complaints.append(str(event["params"]["exceptionDetails"]))
        elif event["method"] == "Log.entryAdded":
            entry = event["params"]["entry"]
            # What the server answers is judged elsewhere.
            if entry["level"] == "error" and not entry["text"].startswith("Failed to load resource"):
                self.complaints.append(entry["text"])
