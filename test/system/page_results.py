"""Results for the tests of hinge-bench's page, and what a page shows of them."""

import copy
import html.parser
import json
import math
import os
import tempfile
import unittest

import bench
from scripted_server import Server, echo

HOSTILE = '</script><script>alert(1)</script>&"\'<img src=x>'  # as a text of a result


def measured(folder, name, *arguments):
    """A short run, stored as NAME.json."""
    path = os.path.join(folder, name + ".json")
    with Server(echo) as server:
        bench.plainly("crr", "--target", server.target, "--warmup", "0", "--duration", "300ms",
                      *arguments, "--json", path)
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def swept(base):
    """A sweep whose last step isn't valid."""
    steps = []
    for step, offered in enumerate((1000, 5000, 9000, 13000)):
        report = copy.deepcopy(base)
        report["asked"]["rate"] = offered
        figures = report["figures"] or report["void_figures"]
        figures["per_second"] = offered - step
        for rank, name in enumerate(("min", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max")):
            figures["latency_ns"][name] = 1000 * 4 ** step * (rank + 7)
        valid = step < 3
        report["figures"], report["void_figures"] = (figures, None) if valid else (None, figures)
        report["verdict"] = {"valid": valid, "flaws": [] if valid else [
            {"kind": "throttled", "reason": "nothing to spare"}]}
        steps.append({"outcome": "follows" if valid else "behind", "why": "", "report": report})
    return {"format": "hinge-bench-sweep/1", "from": 1000, "to": 13000, "highest": 9000,
            "bound": 13000, "answered": True, "end": "", "steps": steps}


def compared(base):
    """A comparison of two works, of which the second isn't valid."""
    row = lambda candidate, reference, measure, ratio, half, control=False: {
        "candidate": candidate, "reference": reference, "measure": measure, "ratio": ratio,
        "low": ratio - half, "high": ratio + half, "control": control, "median": ratio,
        "reference_median": 1}
    ac = [row("epoll", "libev", "server CPU", 0.84, 0.011),
          row("uring", "libev", "server CPU", 0.78, 0.02),
          row("libuv", "libev", "server CPU", 1.01, 0.03),
          row("libev again", "libev", "server CPU", 1, 0.012, True)]
    crr = [row("epoll", "libev", "server CPU", 0.11, 0.001),
           row(HOSTILE, "libev", "server CPU", 3.5, 0.2)]
    flaw = {"kind": "too noisy", "reason": "the interval is wide"}
    work = lambda name, rows, flaws: {
        "work": name, "way": "one process", "own_network": True, "rounds": 60,
        "verdict": {"valid": not flaws, "flaws": flaws}, "figures": None if flaws else rows,
        "void_figures": rows if flaws else None, "kernel": {"ListenDrops": 0, "TCPSynRetrans": 17},
        "counted": [{"name": who, "system_calls": 3.0, "user_instructions": None, "packets": 7,
                     "bytes": 500, "missing": {}} for who in ("libev", "epoll")]}
    return {"format": "hinge-bench-compare/1", "valid": False, "interrupted": False,
            "asked": {"names": ["libev", "epoll", "uring", HOSTILE], "precision": 0.01},
            "comparisons": [work("ac", ac, []), work("crr", crr, [flaw])],
            "environment": {**base["environment"], "cpu": HOSTILE}}


def served():
    """hinge-serve's statistics, with several loops."""
    return {"backend": "epoll", "accepted": 800, "loops": [
        {"accepted": accepted} for accepted in (230, 226, 188, 104, 16, 6, 12, 18)]}


def is_valid(result):
    if "verdict" in result:
        return result["verdict"]["valid"]
    return result.get("answered", result.get("valid"))


def store(folder):
    """Results of each kind in files of `folder`; they are given by name."""
    opened = measured(folder, "open", "--rate", "400")
    closed = measured(folder, "closed", "--connections", "2")
    results = {"open": opened, "closed": closed, "swept": swept(opened),
               "compared": compared(opened), "served": served()}
    for name, result in results.items():
        if bench.jsonschema and name in ("open", "closed"):
            bench.jsonschema.validate(result, bench.SCHEMA)
        with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as file:
            json.dump(result, file)
    return results


def written(folder, names):
    """The path of the page of these results."""
    page = os.path.join(folder, "page.html")
    files = [os.path.join(folder, name + ".json") for name in names]
    done = bench.plainly("report", *files, "--html", page)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return page


class OfStoredResults(unittest.TestCase):
    """Of results of each kind, and of the page of all."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.results = store(cls.folder.name)
        cls.names = list(cls.results)
        cls.path = written(cls.folder.name, cls.names)


class Page(html.parser.HTMLParser):
    """The elements of a page, as (tag, attributes); those of a plot have its number and kind, as
    "plot" and "kind", too."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.texts = []
        self.plots = 0
        self.kind = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "data-plot" in attributes:
            self.plots += 1
            self.kind = attributes["data-plot"]
        self.elements.append((tag, {**attributes, "plot": self.plots, "kind": self.kind}))

    def handle_data(self, data):
        self.texts.append(data)

    def marks(self, kind, *having):
        """The attributes of a plot's elements that have those."""
        return [one for _, one in self.elements
                if one["kind"] == kind and all(name in one for name in having)]


def at(mark):
    """Where a mark stands: percent from the left and from the top."""
    return tuple(float(mark[name].rstrip("%")) for name in ("cx", "cy"))


def on_a_line(places):
    """Whether (value, place) of marks lie on one straight line: the axis is what it says it is."""
    (low, first), (high, last) = min(places), max(places)
    return high > low and all(
        abs(first + (value - low) / (high - low) * (last - first) - place) < 0.01
        for value, place in places)


def same_times(test, page, results, names):
    logarithm = lambda value: math.log10(max(float(value), 1))
    spread = lambda percent, most: -math.log10(max(1 - float(percent) / 100, 1 / most))
    figures = [results[name].get("figures") or results[name].get("void_figures")
               for name in names]
    expected = {(str(i), measure): found[measure + "_ns"] for i, found in enumerate(figures)
                if found for measure in ("latency", "service") if found[measure + "_ns"]}
    points = page.marks("percentiles", "data-percent")
    seen = {}
    for mark in points:
        seen.setdefault((mark["data-result"], mark["data-measure"]), []).append(
            [float(mark["data-percent"]), int(mark["data-ns"]), int(mark["data-count"])])
    test.assertEqual(seen, {key: times["curve"] for key, times in expected.items()})
    test.assertTrue(on_a_line([(logarithm(mark["data-ns"]), at(mark)[1]) for mark in points]))
    test.assertTrue(on_a_line([
        (spread(mark["data-percent"],
                expected[mark["data-result"], mark["data-measure"]]["curve"][-1][2]), at(mark)[0])
        for mark in points]))
    for mark in page.marks("percentiles", "data-name"):
        times = expected[mark["data-result"], mark["data-measure"]]
        test.assertEqual(int(mark["data-ns"]), times[mark["data-name"]])


def same_sweeps(test, page, results, names):
    expected = []
    for i, name in enumerate(names):
        for percentile in ("p50", "p99", "p99.9") if "steps" in results[name] else ():
            for step in results[name]["steps"]:
                report = step["report"]
                figures = report["figures"] or report["void_figures"]
                expected.append((str(i), percentile, report["asked"]["rate"],
                                 figures["per_second"], figures["latency_ns"][percentile],
                                 report["verdict"]["valid"]))
    marks = page.marks("sweep", "data-offered")
    test.assertEqual([(mark["data-result"], mark["data-measure"], float(mark["data-offered"]),
                       float(mark["data-completed"]), int(mark["data-ns"]),
                       "void" not in mark["class"].split()) for mark in marks], expected)
    test.assertEqual([float(mark["data-knee"]) for mark in page.marks("sweep", "data-knee")],
                     [results[name]["highest"] for name in names if "steps" in results[name]])
    test.assertTrue(on_a_line([(float(mark["data-offered"]), at(mark)[0]) for mark in marks]))
    test.assertTrue(on_a_line([(math.log10(int(mark["data-ns"])), at(mark)[1])
                               for mark in marks]))


def same_ratios(test, page, results, names):
    expected = [(work["work"] + ", " + row["measure"], row["candidate"], row["reference"],
                 row["ratio"], row["low"], row["high"], str(row["control"]).lower(),
                 str(work["verdict"]["valid"]).lower())
                for name in names for work in results[name].get("comparisons", [])
                for row in work["figures"] or work["void_figures"]]
    marks = page.marks("ratio", "data-ratio")
    test.assertEqual(
        [(mark["data-measure"], mark["data-candidate"], mark["data-reference"],
          float(mark["data-ratio"]), float(mark["data-low"]), float(mark["data-high"]),
          mark["data-control"], mark["data-valid"]) for mark in marks], expected)
    first = [mark for mark in marks if mark["data-measure"].startswith("ac")]
    test.assertTrue(on_a_line([(float(mark["data-ratio"]), at(mark)[0]) for mark in first]))


def same_loops(test, page, results, names):
    expected = [(str(i), str(number), loop["accepted"]) for i, name in enumerate(names)
                for number, loop in enumerate(results[name].get("loops", []))]
    marks = page.marks("fairness", "data-loop")
    test.assertEqual([(mark["data-result"], mark["data-loop"], int(mark["data-accepted"]))
                      for mark in marks], expected)
    test.assertTrue(on_a_line([(int(mark["data-accepted"]), float(mark["height"].rstrip("%")))
                               for mark in marks]))


def same_values(test, page, results, names):
    """All plots of a page have the values of the results, at the places of these values."""
    for compare in same_times, same_sweeps, same_ratios, same_loops:
        compare(test, page, results, names)
