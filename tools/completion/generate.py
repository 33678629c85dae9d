#!/usr/bin/env python3
"""Prints a shell's completions for a program, made of what the program says of itself by --help:

    generate.py bash|zsh|fish NAME PROGRAM

A value is completed as the name of a file where the help calls it FILE, as a word where it is in
WORDS, and not at all otherwise.
"""

import re
import subprocess
import sys
from dataclasses import dataclass, field

FILES = {"FILE", "PROGRAM"}
# test/system/completion_test.py asks the programs whether they take them.
WORDS = {
    "--arrivals": ["constant", "poisson"],
    "--backend": ["auto", "epoll", "kqueue", "uring", "list"],
    "--on-exhaustion": ["queue", "reset"],
    "--policy": ["automatic", "sharded", "sharded_cpu", "shared_fifo", "shared_exclusive",
                 "dispatch", "thread_per_connection"],
    "--protocol": ["echo", "discard", "http"],
}


@dataclass
class Option:
    name: str
    value: str  # what the help calls it; empty: it takes none
    help: str

    @property
    def words(self):
        return WORDS.get(self.name, [])

    @property
    def is_file(self):
        return self.value in FILES


@dataclass
class Command:
    name: str
    help: str
    options: list = field(default_factory=list)
    takes_files: bool = False
    commands: list = field(default_factory=list)


def asked(program, *command):
    return subprocess.run([program, *command, "--help"], capture_output=True, text=True,
                          check=True, timeout=60).stdout


def read(program, name, help_text, *path):
    """What --help says of a program, or of a command of it."""
    command = Command(name, help_text)
    section = None
    # A name that fills its column has its help on the next line.
    text = re.sub(r"^(  \S.*\S)\n {10,}", r"\1  ", asked(program, *path), flags=re.M)
    for line in text.splitlines():
        if re.match(r"\w+:$", line):
            section = line[:-1]
        if not (row := re.match(r"  (\S+)((?: \S+)*)(?:  +(\S.*))?$", line)):
            continue
        word, value, said = row[1].split(",")[-1], row[2].strip(), row[3] or ""
        # What may stand only behind "=" isn't asked for.
        value = "" if value.startswith("[") else re.sub(r"( \.\.\.)+$", "", value)
        if section == "Options":
            command.options.append(Option(word, value, said))
        elif section == "Positionals":
            command.takes_files = value in FILES
        elif section == "Subcommands":
            command.commands.append(read(program, word, said, *path, word))
    return command


def identifier(name):
    return "_" + name.replace("-", "_")


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def bash(program):
    every = {one.name: one for command in [program, *program.commands]
             for one in command.options if one.value}.values()
    names = "|".join(one.name for one in program.commands)
    lines = [f"# bash completion for {program.name}", f"{identifier(program.name)}() {{",
             "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}",
             "  local command= one words files=", "  COMPREPLY=()"]
    if names:
        lines += ["  for one in \"${COMP_WORDS[@]:1:COMP_CWORD - 1}\"; do",
                  f"    case $one in {names}) command=$one; break ;; esac", "  done"]
    lines += ["  case $command in"]
    for one in [*program.commands, program]:
        words = [option.name for option in one.options] + [sub.name for sub in one.commands]
        label = "*" if one is program else one.name
        files = " files=yes" if one.takes_files else ""
        lines.append(f"    {label}) words={quoted(' '.join(words))}{files} ;;")
    lines += ["  esac", "  case $before in"]
    for one in every:
        done = ("words= files=yes" if one.is_file else
                f"words={quoted(' '.join(one.words))} files=" if one.words else "return")
        lines.append(f"    {one.name}) {done} ;;")
    lines += ["  esac", "  [[ -z $words ]] ||",
              "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")",
              "  [[ -z $files || $word == -* ]] || {", "    compopt -o filenames 2>/dev/null",
              "    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- \"$word\")", "  }",
              "}", f"complete -F {identifier(program.name)} {program.name}"]
    return lines


def zsh_options(command):
    def one(option):
        said = re.sub(r"([\[\]:])", r"\\\1", option.help)
        value = option.value.replace(":", "\\:")
        how = "_files" if option.is_file else f"({' '.join(option.words)})" if option.words else " "
        return quoted(f"{option.name}[{said}]" + (f":{value}:{how}" if value else ""))
    return [one(option) for option in command.options] + (
        [quoted("*:file:_files")] if command.takes_files else [])


def zsh(program):
    name = identifier(program.name)
    lines = [f"#compdef {program.name}", f"{name}() {{"]
    if program.commands:
        lines += ["  local context state line", "  local -a commands",
                  "  _arguments -C \\", *(f"    {one} \\" for one in zsh_options(program)),
                  "    '1:command:->command' '*::argument:->argument'", "  case $state in",
                  "    command)", "      commands=("]
        lines += [f"        {quoted(one.name + ':' + one.help.replace(':', chr(92) + ':'))}"
                  for one in program.commands]
        lines += ["      )", "      _describe command commands ;;", "    argument)",
                  "      case $words[1] in"]
        for one in program.commands:
            lines += [f"        {one.name})", "          _arguments \\",
                      *(f"            {option} \\" for option in zsh_options(one)),
                      "            ;;"]
        lines += ["      esac ;;", "  esac"]
    else:
        lines += ["  _arguments \\", *(f"    {one} \\" for one in zsh_options(program)), ""]
    return lines + ["}", f"{name} \"$@\""]


def fish(program):
    lines = [f"# fish completion for {program.name}", f"complete -c {program.name} -f"]
    fish_quoted = lambda text: "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    for command in [program, *program.commands]:
        where = ("__fish_use_subcommand" if command is program and program.commands else
                 f"__fish_seen_subcommand_from {command.name}" if command is not program else "")
        begin = f"complete -c {program.name}" + (f" -n {fish_quoted(where)}" if where else "")
        lines += [f"{begin} -a {one.name} -d {fish_quoted(one.help)}" for one in command.commands]
        if command.takes_files:
            lines.append(f"{begin} -F")
        for option in command.options:
            value = (" -r -F" if option.is_file else f" -x -a {fish_quoted(' '.join(option.words))}"
                     if option.words else " -x" if option.value else "")
            lines.append(f"{begin} -l {option.name[2:]}{value} -d {fish_quoted(option.help)}")
    return lines


def main():
    shell, name, path = sys.argv[1:]
    program = read(path, name, "")
    print("\n".join({"bash": bash, "zsh": zsh, "fish": fish}[shell](program)))


if __name__ == "__main__":
    main()
