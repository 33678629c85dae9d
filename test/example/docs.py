#!/usr/bin/env python3
"""Keeps the documents true: docs.py SOURCE-FOLDER

The README's listing is the example; files that are named exist, and ARCHITECTURE.md names all of
the library's; POLLER_CONTRACT.md and the conformance suite name the same cases; the tests that
ACCEPT_CONTRACT.md and RESTARTS.md name exist, and they name all that were written for them;
hinge-serve's man page names every counter and cause, and TELEMETRY.md every figure; links lead
somewhere.
"""

import glob
import os
import re
import sys

RULES = 10
# The tests that were written for ACCEPT_CONTRACT.md.
ACCEPT_TESTS = (
    "test/fault/full_ring_test.cpp", "test/fault/loop_fault_test.cpp",
    "test/fault/memory_fault_test.cpp", "test/conformance/accept_test.cpp",
    "test/conformance/deadline_test.cpp", "test/conformance/door_test.cpp",
    "test/conformance/process_test.cpp", "test/conformance/telemetry_test.cpp",
    "test/system/crowd_test.py", "test/system/exhaustion_test.py",
    "test/system/overload_test.cpp", "test/system/queue_overflow_test.py",
    "test/system/usdt_test.py")
# And for RESTARTS.md.
RESTART_TESTS = ("test/conformance/closing_test.cpp", "test/unit/retirement_test.cpp",
                 "test/system/restart_test.py")
PLACES = ("", "include/hinge/", "lib/", "test/conformance/")  # of files that are named without


def listing_errors(readme, example):
    if f"```cpp\n{example}```\n" not in readme:
        yield "README.md: the listing is not docs/examples/echo.cpp"


def path_errors(path, text, exists):
    """What looks like a file or a folder of the project is one."""
    for word in sorted(set(re.findall(r"`([\w./-]+)`", text))):
        named = re.search(r"\.(?:hpp|cpp|py|md)$|^(?:include|lib|test|tools|bench|docs)/", word)
        if named and not any(exists(place + word) for place in PLACES):
            yield f"{path}: there is no {word}"


def unnamed_errors(text, files):
    for name in files:
        if f"`{name}`" not in text:
            yield f"ARCHITECTURE.md: doesn't name {name}"


def contract_errors(text, cases):
    """Every case of a rule is named under that rule, and nothing else is."""
    named = set()
    sections = r"^## (?:Rule (\d+): )?[^\n]*\n(.*?)(?=^## |\Z)"
    for number, part in re.findall(sections, text, re.M | re.S):
        found = re.findall(r'^- "(.*)"$', part, re.M)
        named.update(found)
        if number and not found:
            yield f"POLLER_CONTRACT.md: rule {number} names no test"
        for name in found:
            if number and f"rule {number}: " not in name:
                yield f"POLLER_CONTRACT.md: '{name}' stands under rule {number}"
    for number in range(1, RULES + 1):
        if not re.search(rf"^## Rule {number}: ", text, re.M):
            yield f"POLLER_CONTRACT.md: no rule {number}"
    for name in sorted(named - cases):
        yield f"POLLER_CONTRACT.md: no test is called '{name}'"
    for name in sorted(case for case in cases - named if "rule " in case):
        yield f"POLLER_CONTRACT.md: doesn't name '{name}'"


def promise_errors(path, text, tests, own, without=()):
    """Every section but those names a test, each of them exists, and its own are all named."""
    for title, part in re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", text, re.M | re.S):
        if title not in without and not re.search(r'^- ".*"$', part, re.M):
            yield f"{path}: '{title}' names no test"
    named = set(re.findall(r'^- "(.*)"$', text, re.M))
    for name in sorted(named - tests):
        yield f"{path}: no test is called '{name}'"
    for name in sorted(own - named):
        yield f"{path}: doesn't name '{name}'"


def counters_of(header):
    """Of loop_counters.hpp: each counter's name and its metric."""
    return re.findall(r'{"(\w+)", "(\w+)", &loop_counters::\1,', header)


def causes_of(header):
    names = re.search(r"close_cause_names = {(.*?)}", header, re.S)[1]
    return [name for name in re.findall(r'"(\w+)"', names) if name != "none"]


def metrics_of(source):
    """The families that are written by hand."""
    return re.findall(r'(?:out\.single|out\.family|(?<![.\w])add)\(\s*"(\w+)"', source)


def figure_errors(path, text, figures):
    for name in figures:
        if not re.search(rf"(?<!\w){name}(?!\w)", text):
            yield f"{path}: doesn't name {name}"


def anchors(text):
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def link_errors(path, text, exists, read):
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        place = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
        if not exists(place):
            yield f"{path}: the link to {target} leads nowhere"
        elif anchor and anchor not in anchors(read(place)):
            yield f"{path}: {place} has no heading #{anchor}"


def test_names(path, source):
    """Of a source of tests: its cases, its methods, or the fuzzer that it is."""
    name = os.path.basename(path).rsplit(".", 1)[0]
    if path.endswith(".py"):
        return {f"{name}: {method}" for method in re.findall(r"^    def (test_\w+)", source, re.M)}
    if "LLVMFuzzerTestOneInput" in source:
        return {f"fuzz: {name}"}
    return cases_of([source])


def cases_of(sources):
    literals = r'TEST_CASE\(((?:\s*"(?:[^"\\]|\\.)*")+)'
    return {"".join(re.findall(r'"((?:[^"\\]|\\.)*)"', found))
            for source in sources for found in re.findall(literals, source)}


def controls():
    """Each check on a text that it must refuse; an error where it doesn't."""
    rules = "".join(f'## Rule {n}: x\n- "rule {n}: x"\n' for n in range(1, RULES + 1))
    cases = {f"rule {n}: x" for n in range(1, RULES + 1)}

    def is_file(place):
        return place in ("a.md", "lib/fd.cpp")

    fires = {
        "listing": listing_errors("```cpp\nint a;\n```\n", "int b;\n"),
        "path": path_errors("a.md", "`fd.cpp` `nothing.hpp`", is_file),
        "unnamed": unnamed_errors("`a.hpp`", ["b.hpp"]),
        "a case that there isn't": contract_errors(rules + '- "rule 10: y"\n', cases),
        "a case that isn't named": contract_errors(rules, cases | {"rule 3: y"}),
        "a case under another rule": contract_errors(rules + '- "rule 1: x"\n', cases),
        "a missing rule": contract_errors(rules.replace("## Rule 10: x", "## Other"), cases),
        "a section without a test": promise_errors("a.md", "## A\nx\n", set(), set()),
        "a test that there isn't": promise_errors("a.md", '## A\n- "x"\n', set(), set()),
        "a test that isn't named": promise_errors("a.md", '## A\n- "x"\n', {"x"}, {"x", "y"}),
        "a figure that isn't named": figure_errors("a.md", "a_total", ["a", "a_total"]),
        "a counter": counters_of('{"a", "a_total", &loop_counters::a, ""}'),
        "a cause": causes_of('close_cause_names = {"none", "a"}'),
        "a metric": metrics_of('add("a", 1); out_.add("b");'),
        "link": link_errors("a.md", "[x](b.md)", is_file, str),
        "anchor": link_errors("a.md", "[x](#y)", is_file, lambda place: "# z\n"),
    }
    for name, found in fires.items():
        if len(list(found)) != 1:
            yield f"docs.py: the control '{name}' doesn't fire"
    if list(contract_errors(rules, cases)):
        yield "docs.py: a good contract is refused"


def main(root):
    def read(path):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            return file.read()

    def exists(path):
        return os.path.exists(os.path.join(root, path))

    def files(pattern):
        return sorted(glob.glob(pattern, root_dir=root))

    architecture = read("docs/ARCHITECTURE.md")
    cases = cases_of(map(read, files("test/conformance/*.cpp")))
    by_path = {path: test_names(path, read(path))
               for path in files("test/*/*.cpp") + files("test/*/*.py")}
    tests = set().union(*by_path.values())
    errors = [*controls(), *listing_errors(read("README.md"), read("docs/examples/echo.cpp")),
              *unnamed_errors(architecture, map(os.path.basename, files("include/hinge/*.hpp"))),
              *unnamed_errors(architecture, files("lib/*.[ch]pp")),
              *contract_errors(read("docs/POLLER_CONTRACT.md"), cases),
              *promise_errors("ACCEPT_CONTRACT.md", read("docs/ACCEPT_CONTRACT.md"), tests,
                              set().union(*(by_path[path] for path in ACCEPT_TESTS)),
                              without=("What all of this costs",)),
              *promise_errors("RESTARTS.md", read("docs/RESTARTS.md"), tests,
                              set().union(*(by_path[path] for path in RESTART_TESTS)),
                              without=("What it can't do",))]
    counters = counters_of(read("include/hinge/loop_counters.hpp"))
    errors += figure_errors(
        "hinge-serve.1.scd", read("docs/hinge-serve.1.scd"),
        [name for name, _ in counters] + causes_of(read("include/hinge/close_cause.hpp")))
    errors += figure_errors(
        "TELEMETRY.md", read("docs/TELEMETRY.md"),
        [f"hinge_{name}" for name in [metric for _, metric in counters] +
         metrics_of(read("lib/prometheus.cpp"))])
    documents = files("*.md") + files("docs/*.md")
    for path in documents:
        errors += path_errors(path, read(path), exists)
        errors += link_errors(path, read(path), exists, read)
    print("\n".join([*errors, f"{len(documents)} documents, {len(cases)} conformance cases, "
                              f"{len(errors)} errors"]))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
