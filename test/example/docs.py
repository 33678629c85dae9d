#!/usr/bin/env python3
"""Keeps the documents true: docs.py SOURCE-FOLDER

The README's listing is the example; files that are named exist, and ARCHITECTURE.md names all of
the library's; POLLER_CONTRACT.md and the conformance suite name the same cases; links lead
somewhere.
"""

import glob
import os
import re
import sys

RULES = 10
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


def conformance_cases(sources):
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
    cases = conformance_cases(map(read, files("test/conformance/*.cpp")))
    errors = [*controls(), *listing_errors(read("README.md"), read("docs/examples/echo.cpp")),
              *unnamed_errors(architecture, map(os.path.basename, files("include/hinge/*.hpp"))),
              *unnamed_errors(architecture, files("lib/*.[ch]pp")),
              *contract_errors(read("docs/POLLER_CONTRACT.md"), cases)]
    documents = files("*.md") + files("docs/*.md")
    for path in documents:
        errors += path_errors(path, read(path), exists)
        errors += link_errors(path, read(path), exists, read)
    print("\n".join([*errors, f"{len(documents)} documents, {len(cases)} conformance cases, "
                              f"{len(errors)} errors"]))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
