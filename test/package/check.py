#!/usr/bin/env python3
"""Installs hinge under DESTDIR, then builds and runs programs as a stranger would: one on epoll,
one that chooses its backend and so links all that there are, and one that names io_uring where the
package says that it is there.

check.py KIND SOURCE BUILD COMPILER...  where KIND is
pkg-config, meson, cmake (against the installed tree, cmake linking either library), subproject
(SOURCE inside), or exports (what the shared library shows).
The installed tree lies elsewhere than its prefix says: so this also tests that it can be moved.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
# A program a row: the folder of its source, and which script of test/example/ runs it.
PROGRAMS = {
    "echo": ("docs/examples", "echo"),
    "greeter": ("docs/examples", "greeter"),
    "echo_uring": ("test/package", "echo"),
}


def run(command, **settings):
    print("+", " ".join(command), flush=True)
    return subprocess.run(command, check=True, text=True, **settings)


def options_of(build):
    answer = run(["meson", "introspect", "--buildoptions", build], stdout=subprocess.PIPE)
    return {option["name"]: option["value"] for option in json.loads(answer.stdout)}


def install(build, destination):
    """Installs; returns the tree that stands for the prefix, and its library folder."""
    run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", destination])
    options = options_of(build)
    tree = destination + options["prefix"]
    return tree, os.path.join(tree, options["libdir"])


def foreign_project(kind, folder):
    """A copy of the consumer's project, with its programs in it. Returns its folder."""
    if kind:
        shutil.copytree(os.path.join(HERE, kind), folder)
    else:
        os.mkdir(folder)
    for program, (source, _) in PROGRAMS.items():
        shutil.copy(os.path.join(os.path.dirname(TESTS), source, program + ".cpp"), folder)
    return folder


def build_pkg_config(project, environment, compiler):
    answer = run(["pkg-config", "--cflags", "--libs", "hinge"], env=environment,
                 stdout=subprocess.PIPE)
    for program in PROGRAMS:
        binary = os.path.join(project, program)
        run([*compiler, "-std=c++20", binary + ".cpp", *answer.stdout.split(), "-o", binary])
    return project


def build_meson(project, environment, *options):
    build = os.path.join(project, "build")
    run(["meson", "setup", build, project, *options], env=environment)
    run(["meson", "compile", "-C", build, "-j", "2"], env=environment)
    return build


def build_cmake(project, environment, tree, *options):
    build = os.path.join(project, "build")
    run(["cmake", "-S", project, "-B", build, f"-DCMAKE_PREFIX_PATH={tree}", *options],
        env=environment)
    run(["cmake", "--build", build], env=environment)
    return build


def run_programs(folder, environment):
    for program, (_, script) in PROGRAMS.items():
        run([sys.executable, os.path.join(TESTS, "example", script + ".py"),
             os.path.join(folder, program)], env=environment)


def check_exports(tree, libraries):
    """The shared library shows its public names and what the C++ library marks as unique; a
    backend's header is there when the backend is."""
    answer = run(["nm", "-D", "--defined-only", os.path.join(libraries, "libhinge.so.0")],
                 stdout=subprocess.PIPE)
    names = [line.split(maxsplit=2)[2] for line in answer.stdout.splitlines()]
    # As the Itanium C++ ABI mangles them: of a namespace, or what is made of that (_ZTV, _ZGV).
    strangers = [name for name in names
                 if not re.match(r"_Z(?:T\w|GV)?Z?N?[KO]*(?:5hinge|S[tabsiod]|9__gnu_cxx)", name)
                 or "5hinge3sys" in name]
    if strangers or "_ZN5hinge3nowEv" not in names:
        sys.exit(f"exported: {strangers}" if strangers else "hinge::now() is not exported")
    for header in "epoll", "uring", "kqueue":
        poller = f"{len(header) + 7}{header}_poller"
        built = any(name.startswith(f"_ZN5hinge{poller}4openE") for name in names)
        if built != os.path.exists(os.path.join(tree, "include", "hinge", header + ".hpp")):
            sys.exit(f"{header}.hpp doesn't belong to this library")


def main(kind, source, build, *compiler):
    if kind.startswith("cmake") and not shutil.which("cmake"):
        print("cmake is not installed")
        sys.exit(77)
    environment = dict(os.environ, CXX=" ".join(compiler))
    environment.pop("DESTDIR", None)
    with tempfile.TemporaryDirectory(prefix="hinge-package-") as room:
        stage = os.path.join(room, "stage")
        folder = os.path.join(room, "project")
        if kind == "subproject":
            project = foreign_project("meson", folder)
            os.mkdir(os.path.join(project, "subprojects"))
            os.symlink(source, os.path.join(project, "subprojects", "hinge"))
            # In few pieces: the build that this is a test of has compiled each source by itself.
            folder = build_meson(project, environment, "--force-fallback-for=hinge",
                                 "-Dunity=subprojects", "-Dunity_size=8", "-Ddebug=false",
                                 f"-Dhinge:io_uring={options_of(build)['io_uring']}")
        else:
            tree, libraries = install(build, stage)
            if kind == "exports":
                check_exports(tree, libraries)
                return
            environment["PKG_CONFIG_PATH"] = os.path.join(libraries, "pkgconfig")
            environment["PKG_CONFIG_SYSROOT_DIR"] = stage
            environment["LD_LIBRARY_PATH"] = libraries
            if kind == "pkg-config":
                folder = build_pkg_config(foreign_project(None, folder), environment, compiler)
            elif kind == "meson":
                folder = build_meson(foreign_project("meson", folder), environment,
                                     "--wrap-mode=nofallback", "-Ddebug=false")
            else:
                project = foreign_project("cmake", folder)
                run_programs(build_cmake(project, environment, tree), environment)
                # What is compiled already is linked once more.
                folder = build_cmake(project, environment, tree, "-DHINGE_USE_STATIC=ON")
        if kind in ("cmake", "subproject"):
            environment.pop("LD_LIBRARY_PATH", None)  # the static library is inside
        run_programs(folder, environment)


if __name__ == "__main__":
    main(*sys.argv[1:])
