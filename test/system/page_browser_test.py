#!/usr/bin/env python3
"""The page of hinge-bench in a headless Chromium: no error in its console, the data's values in its
plots, light and dark as the reader has it, and nothing wider than a phone."""

import html
import os
import re
import shutil
import subprocess
import sys
import tempfile

import bench
import page_results

CHROMIUM = shutil.which("chromium")
# The page in a frame as wide as a phone, which a window can't be, and what is told of how it is
# laid out there. Its policy, which permits no script, is the frame's alone.
FRAME = """<!DOCTYPE html><iframe id="frame" width="360" height="800" srcdoc="{}"></iframe><script>
document.getElementById('frame').onload = event => {{
  const page = event.target.contentDocument, told = document.documentElement.dataset;
  const room = page.documentElement.clientWidth;
  const outside = [...page.querySelectorAll('figure text')].filter(one => {{
    const box = one.getBoundingClientRect();
    return box.width > 0 && (box.left < 0 || box.right > room);
  }});
  told.room = room;
  told.needed = page.documentElement.scrollWidth;
  told.outside = outside.map(one => one.textContent).join(' | ');
  told.paper = getComputedStyle(page.body).backgroundColor;
}};
</script>"""


class InABrowser(page_results.OfStoredResults):
    def opened(self, path, *arguments):
        """The page as the browser has it, and what its console said."""
        with tempfile.TemporaryDirectory() as profile:
            done = subprocess.run(
                [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update",
                 "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}",
                 "--enable-logging=stderr", *arguments, "--dump-dom", f"file://{path}"],
                capture_output=True, text=True, timeout=60, check=True,
                env={**os.environ, "HOME": profile})
        return done.stdout, re.findall(r"CONSOLE.*", done.stderr)

    def changed(self, change):
        """The path of another page, made of this one."""
        with open(self.path, encoding="utf-8") as file:
            text = file.read()
        path = os.path.join(self.folder.name, "changed.html")
        with open(path, "w", encoding="utf-8") as file:
            file.write(change(text))
        return path

    def in_a_frame(self, *arguments):
        text, console = self.opened(self.changed(lambda text: FRAME.format(html.escape(text))),
                                    *arguments)
        self.assertEqual(console, [])
        return next(one for tag, one in page_results.Page(text).elements if tag == "html")

    def test_values_and_no_error(self):
        text, console = self.opened(self.path)
        self.assertEqual(console, [])
        page_results.same_values(self, page_results.Page(text), self.results, self.names)

    def test_an_error_would_be_seen(self):
        """The page's own policy refuses what would be loaded, and the console says so."""
        path = self.changed(lambda text: text.replace(
            "</body>", "<img src='http://127.0.0.1:1/'></body>"))
        self.assertIn("Content Security Policy", "".join(self.opened(path)[1]))

    def test_narrow_in_light_and_dark(self):
        for arguments, paper in (([], "rgb(252, 251, 248)"),
                                 (["--blink-settings=preferredColorScheme=0"], "rgb(22, 23, 26)")):
            found = self.in_a_frame(*arguments)
            self.assertEqual(found["data-paper"], paper)
            self.assertGreater(int(found["data-room"]), 320)
            self.assertEqual(found["data-needed"], found["data-room"])
            self.assertEqual(found["data-outside"], "")


if __name__ == "__main__":
    if not CHROMIUM:
        print("chromium is not installed")
        sys.exit(77)
    bench.run_tests()
