#!/usr/bin/env python3
"""The page of hinge-bench: its plots have the values of the stored results, it asks nothing of a
network, and its colours can be read. What a browser makes of it: page_browser_test.py."""

import json
import os
import re
import tempfile
import unittest

import bench
import page_results
from scripted_server import Server, echo


def luminance(colour):
    """Of WCAG: of "#rrggbb"."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * one for one in colour[1:])
    parts = [int(digits[i:i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
                        for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


class ThePage(page_results.OfStoredResults):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with open(cls.path, encoding="utf-8") as file:
            cls.text = file.read()
        cls.page = page_results.Page(cls.text)

    def test_values(self):
        page_results.same_values(self, self.page, self.results, self.names)
        kinds = [one["data-plot"] for _, one in self.page.elements if "data-plot" in one]
        self.assertEqual(kinds, ["sweep", "percentiles"] + 6 * ["ratio"] + ["fairness"])

    def test_verdicts(self):
        said = [one["data-valid"] for tag, one in self.page.elements
                if tag == "p" and "data-valid" in one]
        self.assertEqual(said, [str(page_results.is_valid(self.results[name])).lower()
                                for name in self.names if name != "served"])
        self.assertIn("✗ 3 of 4 results aren't valid.", self.page.texts)
        for name in ("open", "closed"):  # too short, whatever else
            for flaw in self.results[name]["verdict"]["flaws"]:
                self.assertIn(": " + flaw["reason"], self.page.texts)
        self.assertIn("void per second", self.page.texts)

    def test_environment(self):
        named = [one["data-environment"] for _, one in self.page.elements
                 if "data-environment" in one]
        self.assertEqual(named, list(self.results["open"]["environment"]))

    def test_kernel(self):
        """Of both works of the comparison together."""
        named = [one["data-kernel"] for _, one in self.page.elements if "data-kernel" in one]
        self.assertIn("TCPSynRetrans", named)
        self.assertIn("34", self.page.texts)

    def test_nothing_of_a_network(self):
        """No element that a browser would load something for, and nothing of a result's text is
        markup."""
        tags = {tag for tag, _ in self.page.elements}
        self.assertFalse(tags & {"script", "img", "link", "iframe", "object", "use", "image"}, tags)
        self.assertIn(page_results.HOSTILE, self.page.texts)
        self.assertNotIn("url(", self.text)
        self.assertNotIn("@import", self.text)
        policy = [one["content"] for tag, one in self.page.elements
                  if tag == "meta" and one.get("http-equiv") == "Content-Security-Policy"]
        self.assertEqual(policy, ["default-src 'none'; style-src 'unsafe-inline'"])

    def test_colours(self):
        """Text has a contrast of 4.5 at least (WCAG AA), on the paper and on a card."""
        light, dark = re.findall(r":root \{(.*?)\}", self.text, re.S)
        for scheme in light, dark:
            colours = dict(re.findall(r"--([\w-]+): (#\w+)", scheme))
            self.assertEqual(len(colours), 13)
            for name in set(colours) - {"paper", "card", "rule"}:
                for ground in "paper", "card":
                    with self.subTest(name=name, colour=colours[name], ground=colours[ground]):
                        self.assertGreaterEqual(contrast(colours[name], colours[ground]), 4.5)


class Commands(unittest.TestCase):
    def test_page_of_a_run(self):
        """Is that of the run's stored result."""
        with Server(echo) as server, tempfile.TemporaryDirectory() as folder:
            page = os.path.join(folder, "run.html")
            stored = os.path.join(folder, f"crr 127.0.0.1:{server.target}.json")
            bench.plainly("crr", "--target", server.target, "--warmup", "0", "--duration", "200ms",
                          "--html", page, "--json", stored)
            done = bench.plainly("report", stored, "--html", "-")
            with open(page, encoding="utf-8") as file:
                self.assertEqual(file.read(), done.stdout)
            self.assertIn("data-plot=\"percentiles\"", done.stdout)

    def test_comparisons_of_the_same(self):
        """Of several each row says which it is of."""
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, f"{name}.json") for name in ("one", "other")]
            found = page_results.compared({"environment": {}})
            for path in paths:
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(found, file)
            alone = bench.plainly("report", paths[0], "--html", "-").stdout
            both = bench.plainly("report", *paths, "--html", "-").stdout
        self.assertIn("<b>epoll / libev</b>", alone)
        for name in "one", "other":
            self.assertIn(f"<b>{name}: epoll / libev</b>", both)

    def test_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            def refused(text):
                path = os.path.join(folder, "a.json")
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
                done = bench.plainly("report", path, "--html", os.path.join(folder, "page"))
                self.assertEqual(done.returncode, 2)
                self.assertFalse(os.path.exists(os.path.join(folder, "page")))
                self.assertTrue(done.stderr.startswith(f"hinge-bench: {path}: "), done.stderr)
                return done.stderr
            self.assertIn("isn't a result of hinge-bench", refused(""))
            self.assertIn("isn't a result of hinge-bench", refused("[1]"))
            self.assertIn("isn't a result of hinge-bench", refused('{"format": "hinge-bench/2"}'))
            self.assertIn("is of the format hinge-bench/1,", refused('{"format": "hinge-bench/1"}'))
            done = bench.plainly("report", os.path.join(folder, "none"), "--html", "-")
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("No such file or directory", done.stderr)
        for arguments, said in ((["report", "--html", "-"], "say which results"),
                                (["report", "a.json"], "say --html")):
            done = bench.plainly(*arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn(said, done.stderr)


if __name__ == "__main__":
    bench.run_tests()
