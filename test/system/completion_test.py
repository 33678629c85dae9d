#!/usr/bin/env python3
"""The completions of bash, zsh and fish, in these shells:

    completion_test.py NAME PROGRAM BASH-FILE ZSH-FILE FISH-FILE [unittest arguments]

What is offered is what the program's --help names; the words that are offered for a value are taken
by the program. A shell that isn't there is skipped.
"""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

NAME = PROGRAM = None
FILES = {}


def helped(*command):
    """The options and commands that --help names."""
    text = subprocess.run([PROGRAM, *command, "--help"], capture_output=True, text=True,
                          check=True, timeout=60).stdout
    options = re.findall(r"^  (?:-\w,)?(--[\w-]+)", text, re.M)
    commands = re.search(r"^Subcommands:\n((?:  .*\n)+)", text, re.M)
    return options, re.findall(r"^  (\w+)", commands[1], re.M) if commands else []


def in_bash(*words):
    """What bash offers for the last of these words."""
    script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); ' \
             f'_{NAME.replace("-", "_")}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", script, "bash", FILES["bash"], NAME, *words],
                          capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


def in_fish(folder, *words):
    done = subprocess.run(
        ["fish", "--no-config", "-c", f'source {FILES["fish"]}; complete -C "$argv"',
         " ".join([NAME, *words])],
        capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "HOME": folder, "XDG_CONFIG_HOME": folder, "XDG_DATA_HOME": folder})
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


class Offers(unittest.TestCase):
    def each_command(self):
        options, commands = helped()
        yield [], options, commands
        for command in commands:
            yield [command], helped(command)[0], []

    def test_bash(self):
        for words, options, commands in self.each_command():
            with self.subTest(words):
                self.assertEqual(sorted(in_bash(*words, "--")), sorted(options))
                if not words:
                    self.assertEqual(sorted(set(in_bash("")) - set(options)), sorted(commands))

    @unittest.skipUnless(shutil.which("fish"), "fish is not installed")
    def test_fish(self):
        with tempfile.TemporaryDirectory() as folder:
            for words, options, commands in self.each_command():
                with self.subTest(words):
                    self.assertEqual(sorted(in_fish(folder, *words, "--")), sorted(options))
                    if commands:
                        self.assertEqual(sorted(in_fish(folder, "")), sorted(commands))

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh(self):
        """At its prompt, as it completes for nobody else: a command, an option of it, a value."""
        typed = {"hinge-bench": [("cr\t", "crr "), ("crr --arr\t", "--arrivals "),
                                 ("crr --arrivals poi\t", "poisson ")],
                 "hinge-serve": [("--proto\t", "--protocol "),
                                 ("--protocol dis\t", "discard ")]}[NAME]
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(FILES["zsh"], os.path.join(folder, "_" + NAME))
            process, terminal = pty.fork()
            if process == 0:
                os.chdir(folder)
                os.execvpe("zsh", ["zsh", "-f", "-i"],
                           {**os.environ, "HOME": folder, "TERM": "dumb", "PS1": "ready> "})
            try:
                os.write(terminal, f"fpath=({folder} $fpath); autoload -Uz compinit; "
                                   "compinit -u -D; PS1='re''ady> '\n".encode())
                self.read_until(terminal, "ready> ")
                for keys, completed in typed:
                    os.write(terminal, f"{NAME} {keys}".encode())
                    self.read_until(terminal, completed)
                    os.write(terminal, b"\x15")  # forgets the line
            finally:
                os.kill(process, 9)
                os.waitpid(process, 0)
                os.close(terminal)

    def read_until(self, terminal, expected):
        seen = b""
        end = time.monotonic() + 30
        while expected.encode() not in seen:
            if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
                self.fail(f"no {expected!r} in {seen!r}")
            seen += os.read(terminal, 4096)


class Values(unittest.TestCase):
    def test_words_are_taken(self):
        """What is wrong with such a line is the option behind it."""
        options, commands = helped()
        known = 0
        for command in [[one] for one in commands] or [[]]:
            for option in helped(*command)[0] if command else options:
                for word in in_bash(*command, option, ""):
                    if word == "list" or word.startswith("-") or os.path.exists(word):
                        continue  # it asks for no more; behind a flag comes an option
                    known += 1
                    done = subprocess.run(
                        [PROGRAM, *command, option, word, "--no-such-option"],
                        capture_output=True, text=True, timeout=60, check=False)
                    self.assertRegex(done.stderr, "no-such-option|not in this build")
        self.assertGreater(known, 1)

    def test_files(self):
        """Of which bash knows the names, where the help says FILE."""
        if NAME != "hinge-bench":
            self.skipTest("it takes none")
        here = os.path.abspath(__file__)
        self.assertEqual(in_bash("crr", "--json", here[:-3]), [here])
        self.assertEqual(in_bash("report", here[:-3]), [here])
        self.assertEqual(in_bash("crr", "--rate", ""), [])


if __name__ == "__main__":
    NAME, PROGRAM = sys.argv.pop(1), sys.argv.pop(1)
    for shell in ("bash", "zsh", "fish"):
        FILES[shell] = os.path.abspath(sys.argv.pop(1))
    unittest.main()
