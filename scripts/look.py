"""Pictures of a report as people see it: two themes on a desk and on a telephone, and whether any text is cut or overlaps.

Needs Chromium, which it drives through a pipe: `python scripts/look.py DIR/report.html FOLDER`. The exit code is 1 when
something overlaps or is wider than the screen.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SCREENS = {"desk": (1280, 800), "telephone": (390, 844)}
"""CSS pixels."""
FAULTS = """
(() => {
  const found = [];
  const seen = element => element.checkVisibility({visibilityProperty: true});
  const page = document.documentElement;
  if (page.scrollWidth > innerWidth) found.push(`the page is ${page.scrollWidth} px wide, the screen ${innerWidth}`);
  for (const svg of [...document.querySelectorAll("svg")].filter(seen)) {
    const texts = [...svg.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect()]);
    texts.forEach(([one, a], at) => {
      if (a.left < -1 || a.right > innerWidth + 1) found.push(`cut at the screen's edge: ${one}`);
      for (const [other, b] of texts.slice(at + 1))
        if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2)
          found.push(`overlap: ${one} / ${other}`);
    });
  }
  for (const element of [...document.querySelectorAll("main *, header *, footer *")].filter(seen)) {
    const box = element.getBoundingClientRect();
    if (!element.closest("svg, .scroll, thead") && box.width && box.right > innerWidth + 1)
      found.push(`beyond the screen: <${element.tagName}> ${element.textContent.trim().slice(0, 40)}`);
  }
  return found;
})()
"""


class Chromium:
    """A headless browser with one page; `send` speaks its DevTools protocol over file descriptors 3 and 4."""

    def __init__(self, program: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={self._folder.name}"]
        theirs, self._to = os.pipe()
        self._from, back = os.pipe()
        launch = f'exec "$0" "$@" 3<&{theirs} 4>&{back}'
        self._process = subprocess.Popen(
            ["bash", "-c", launch, program, *flags, "--remote-debugging-pipe"],
            pass_fds=(theirs, back),
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(back)
        self._buffer, self._number, self._session = b"", 0, ""
        page = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        self.send("Page.enable")

    def send(self, method: str, **values: Any) -> dict[str, Any]:
        """The result of one command. Raises RuntimeError with the browser's message."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": values}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return dict(answer["result"])

    def wait(self, event: str) -> None:
        while self._next().get("method") != event:
            pass

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            read = os.read(self._from, 1 << 20)
            if not read:
                raise RuntimeError("the browser ended.")
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()


def look(page: Path, folder: Path, *, program: str, opened: bool, first: bool) -> list[str]:
    """Write `report-SCREEN-THEME.png` for every screen and theme; returns what overlaps or is cut."""
    faults: list[str] = []
    folder.mkdir(parents=True, exist_ok=True)
    with Chromium(program) as browser:
        for screen, (width, height) in SCREENS.items():
            for theme in ("light", "dark"):
                size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": screen == "telephone"}
                browser.send("Emulation.setDeviceMetricsOverride", **size)
                browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
                browser.send("Page.navigate", url=page.resolve().as_uri())
                browser.wait("Page.loadEventFired")
                if opened:
                    script = "document.querySelectorAll('details').forEach(one => one.open = true)"
                    browser.send("Runtime.evaluate", expression=script)
                found = browser.send("Runtime.evaluate", expression=FAULTS, returnByValue=True)["result"]
                faults += [f"{screen} {theme}: {fault}" for fault in found["value"]]
                shot = browser.send("Page.captureScreenshot", captureBeyondViewport=not first)
                (folder / f"report-{screen}-{theme}.png").write_bytes(base64.b64decode(shot["data"]))
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--browser", default=shutil.which("chromium") or shutil.which("google-chrome") or "chromium")
    parser.add_argument("--open", action="store_true", help="unfold what is folded away")
    parser.add_argument("--first", action="store_true", help="the first screen only")
    chosen = parser.parse_args()
    faults = look(chosen.page, chosen.folder, program=chosen.browser, opened=chosen.open, first=chosen.first)
    print("\n".join(faults) if faults else "nothing overlaps, nothing is cut")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
