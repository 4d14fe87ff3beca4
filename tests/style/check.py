#!/usr/bin/env python3
"""Holds the tree to its own style. Each check prints `file:line: reason` for what it finds, and exits with 1 if there is any.

    check.py includes    includes point one way only, each heavy library stays in its own folder, and names are in the namespace
                         of the ABI
    check.py headers     public headers compile alone; every header has `#pragma once` and says first what it is for
    check.py idioms      forbidden idioms, dead sources, long lines, stray white space, words that do not belong here

The rules are the tables at the top of each section: a new folder or a new library is a line there.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

# --------------------------------------------------------------------------------------------------------------------------------
# The tree

LIBRARIES = ["model", "persistence", "actors", "runtime", "testkit"]  # each may include itself and those before it
APPLICATIONS = ["examples", "tools", "tests", "benchmarks"]  # each may include itself and every library
SOURCE_FOLDERS = LIBRARIES + APPLICATIONS
SOURCE_SUFFIXES = {".hpp", ".cpp"}
THIS_FILE = pathlib.PurePosixPath("tests/style/check.py")  # it has to name what it forbids


class Tree:
    """The files of the repository, by path from its root, and what the checks ask of them."""

    def __init__(self, root):
        self.root = root
        self.files = sorted(self._list())
        self.sources = [f for f in self.files if f.parts[0] in SOURCE_FOLDERS and f.suffix in SOURCE_SUFFIXES]

    def _list(self):
        # What git knows or would add: no build folders, no editors' leavings. Without git, as in a release archive: everything.
        git = ["git", "-c", f"safe.directory={self.root}", "-C", str(self.root)]
        try:
            listed = subprocess.run(git + ["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                    capture_output=True, check=True).stdout.decode()
            paths = [pathlib.PurePosixPath(path) for path in listed.split("\0") if path]
        except (OSError, subprocess.CalledProcessError):
            found = (path.relative_to(self.root) for path in self.root.rglob("*"))
            paths = [pathlib.PurePosixPath(path) for path in found if path.parts[0] not in {".git", "build", ".cache"}]
        return {path for path in paths if (self.root / path).is_file()}

    def text(self, path):
        """The file's text; nothing for a file that is none."""
        try:
            return (self.root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return ""


TOKENS = re.compile(r'''
    //[^\n]* | /\*.*?\*/                                          # comments
  | R"(?P<fence>[^\s()\\]{0,16})\(.*?\)(?P=fence)"                # raw strings
  | "(?:\\.|[^"\\\n])*"                                           # strings
  | (?<![0-9a-zA-Z_])'(?:\\.|[^'\\\n])+'                          # characters, but not the marks in 1'000
''', re.DOTALL | re.VERBOSE)


def without(text, comments=False, strings=False):
    """The text with what is named blanked out; everything else stays where it is."""
    def blank(match):
        unwanted = comments if match.group().startswith("/") else strings
        return re.sub(r"[^\n]", " ", match.group()) if unwanted else match.group()
    return TOKENS.sub(blank, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


# --------------------------------------------------------------------------------------------------------------------------------
# includes: model <- persistence <- actors <- runtime <- testkit <- examples, tools, tests, benchmarks

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:<([^>\n]+)>|"([^"\n]+)")', re.MULTILINE)

# A library's headers, who may include them, and where that leaves everybody else.
THIRD_PARTY = [
    ("caf/", lambda path: path.parts[:2] == ("tests", "actors") or
     (path.parts[0] in {"actors", "testkit"} and "include" not in path.parts) or ("interop" in path.name and path.suffix == ".hpp"),
     "CAF stays in the sources of actors/ and testkit/, in their tests, and in headers for interoperation"),
    ("boost/asio", lambda path: path.parts[0] in {"runtime", "testkit", *APPLICATIONS},
     "Asio is at the edge: runtime/ and what is built on it"),
    ("rocksdb/", lambda path: (path.parts[:2] == ("persistence", "derived") and path.name.startswith("rocksdb_")) or
     path.parts[:2] in {("tests", "crash"), ("tests", "corruption"), ("tests", "persistence")},
     "RocksDB stays in persistence/derived/rocksdb_*, and in the tests that damage its files"),
    ("openssl/", lambda path: path.parts[0] == "persistence", "OpenSSL stays in persistence/"),
    ("doctest/", lambda path: path.parts[0] in {"testkit", "tests"}, "doctest stays in testkit/ and the tests"),
    ("rapidcheck", lambda path: path.parts[0] in {"testkit", "tests"}, "rapidcheck stays in testkit/ and the tests"),
    ("nlohmann/", lambda path: path.parts[:2] == ("persistence", "maintenance"),
     "nlohmann-json stays in persistence/maintenance/, so that a build of the other libraries does not need it"),
]
# Within persistence/, too: each of these may include itself and those before it.
PERSISTENCE = ["contract", "log", "derived", "store", "maintenance"]
STANDARD_HEADER = re.compile(r"[a-z_0-9]+")
NOT_FOR_VALUES = {"condition_variable", "filesystem", "fstream", "future", "iostream", "mutex", "shared_mutex", "thread"}


def may_include(user, used):
    """Whether a file in the folder `user` may include one in the folder `used`."""
    if user == used:
        return True
    if used not in LIBRARIES:
        # Tests and benchmarks try out the examples; tools/command_line is what all programs have in common.
        return user not in LIBRARIES and used in {"examples", "tools"}
    return user in APPLICATIONS or LIBRARIES.index(used) < LIBRARIES.index(user)


def within_persistence(path, name):
    """Whether a source in a folder of persistence/ includes only what that folder, or one before it, has."""
    used = pathlib.PurePosixPath(os.path.normpath(path.parent / name))
    if path.parts[0] != "persistence" or used.parts[0] != "persistence":
        return True
    if path.parts[1] not in PERSISTENCE or used.parts[1] not in PERSISTENCE:
        return True
    return PERSISTENCE.index(used.parts[1]) <= PERSISTENCE.index(path.parts[1])



# CMake makes these headers, each from a template in its folder's include/.
GENERATED = {"cairn/version.hpp": "model"}


# What a namespace is that begins a line: the libraries' own one, and those of programs and tests.
NAMESPACE = re.compile(r"^(?:inline )?namespace cairn\b(?!::(?:tests|benchmarks|fuzz)\b)", re.MULTILINE)
ABI_NAMESPACE = "namespace cairn::inline v1"


def check_namespaces(tree):
    for path in tree.sources:
        text = without(tree.text(path), comments=True, strings=True)
        for match in NAMESPACE.finditer(text):
            if path.parts[0] not in LIBRARIES:
                yield path, line_of(text, match.start()), "only the libraries add to namespace cairn"
            elif not text.startswith(ABI_NAMESPACE, match.start()):
                yield path, line_of(text, match.start()), f"the libraries' names are in `{ABI_NAMESPACE}`"


def check_includes(tree, _options):
    yield from check_namespaces(tree)
    public = dict(GENERATED)  # what stands between < and > → the folder that offers it
    for path in tree.sources:
        if "include" in path.parts:
            public[str(pathlib.PurePosixPath(*path.parts[path.parts.index("include") + 1:]))] = path.parts[0]

    def quoted(path, name):
        """The folders that `name` can mean: beside the file first, as the compiler looks, then anywhere in the tree."""
        beside = pathlib.PurePosixPath(os.path.normpath(path.parent / name))
        if beside in tree.sources:
            return {beside.parts[0]}
        return {other.parts[0] for other in tree.sources if str(other).endswith("/" + name)}

    for path in tree.sources:
        folder = path.parts[0]
        text = without(tree.text(path), comments=True)
        for match in INCLUDE.finditer(text):
            line = line_of(text, match.start())
            name = match.group(1) or match.group(2)
            if match.group(2):
                folders = quoted(path, name)
                if not folders:
                    yield path, line, f'"{name}" is nowhere in the tree; others\' headers are included with <>'
                elif not within_persistence(path, name):
                    yield path, line, f'persistence/{path.parts[1]}/ may not include "{name}"; the order is {" ← ".join(PERSISTENCE)}'
                elif not any(may_include(folder, used) for used in folders):
                    yield path, line, f'{folder}/ may not include "{name}", which is in {"/, ".join(sorted(folders))}/'
                continue
            if name.startswith("cairn/"):
                used = public.get(name)
                if used is None:
                    yield path, line, f"<{name}> is in no folder's include/"
                elif not may_include(folder, used):
                    yield path, line, f"{folder}/ may not include <{name}>, which is in {used}/"
                continue
            for prefix, allowed, reason in THIRD_PARTY:
                if name.startswith(prefix) and not allowed(path):
                    yield path, line, f"<{name}> does not belong here: {reason}"
            if folder == "model":
                if not STANDARD_HEADER.fullmatch(name) and name != "msgpack.hpp" and not name.startswith("msgpack/"):
                    yield path, line, f"<{name}> does not belong here: model/ knows the standard library and msgpack, no more"
                elif name in NOT_FOR_VALUES:
                    yield path, line, f"<{name}> does not belong here: model/ holds values, with no I/O and no thread"


# --------------------------------------------------------------------------------------------------------------------------------
# headers: each can be included first, and alone

# A header that needs one of these compiles only where its library is installed.
OPTIONAL_HEADERS = ("rapidcheck.h",)


def check_headers(tree, options):
    headers = [path for path in tree.sources if path.suffix == ".hpp"]
    for path in headers:
        text = tree.text(path)
        if not text.startswith(("//", "/*")):
            yield path, 1, "the first line is not a comment that says what the header is for"
        if not re.search(r"^#pragma once$", text, re.MULTILINE):
            yield path, 1, "there is no #pragma once"

    include_folders = sorted({str(tree.root / path.parts[0] / "include") for path in headers if "include" in path.parts})
    compiler = [options.compiler, "-std=c++20", "-fsyntax-only", "-x", "c++"]
    compiler += [f"-I{folder}" for folder in include_folders + options.include]
    compiler += [f"-D{definition}" for definition in options.define]

    def lacks_library(said):
        return any(f"fatal error: {name}: No such file" in said for name in OPTIONAL_HEADERS)

    def compile_alone(path):
        name = pathlib.PurePosixPath(*path.parts[path.parts.index("include") + 1:])
        run = subprocess.run(compiler + ["-"], input=f"#include <{name}>\n", capture_output=True, text=True)
        return path, run.returncode, run.stderr

    public = [path for path in headers if path.parts[1:3] == ("include", "cairn")]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for path, status, said in pool.map(compile_alone, public):
            if status != 0 and not lacks_library(said):
                where = re.search(rf"{re.escape(path.name)}:(\d+)", said)
                yield path, int(where.group(1)) if where else 1, "does not compile alone:\n" + said.rstrip()


# --------------------------------------------------------------------------------------------------------------------------------
# idioms

COLUMNS = 130


def is_source(path):
    return path.parts[0] in SOURCE_FOLDERS and path.suffix in SOURCE_SUFFIXES


def is_script(path):
    return path.suffix in {".py", ".sh", ".cmake"} or path.name in {"CMakeLists.txt"} or path.parts[0] in {"scripts", ".ci"}


# A pattern, the files it must not be in, and the reason. CODE is looked for in code only; COMMENTED keeps the comments, so that
# a comment counts as content; TEXT is looked for everywhere in the file.
CODE = [
    (r"\busing\s+namespace\b", lambda path: path.suffix == ".hpp",
     "`using namespace` in a header is forced on everybody who includes it"),
    (r"\b(?:sleep_for|sleep_until|usleep)\b", lambda path: path.parts[0] == "tests",
     "a test that sleeps is slow when it is right and flaky when it is not: wait for the event, or advance a clock"),
    (r"\bsystem_clock\s*::\s*now\b", lambda path: str(path) != "model/time.cpp",
     "the wall clock is read in model/time.cpp only; a clock is passed in"),
    (r"\bstd\s*::\s*cout\b", lambda path: path.parts[0] in LIBRARIES, "a library does not print"),
]
COMMENTED = [
    (r"\bcatch\s*\(\s*\.\.\.\s*\)\s*\{\s*\}", lambda path: True,
     "nothing is swallowed: handle the failure, pass it on, or say in the block why it may be ignored"),
]
TEXT = [
    (r"#[ \t]*include[ \t]*[<\"]caf/all\.hpp", is_source, "caf/all.hpp takes seconds to compile: include what is used"),
    (r"\b(?:TODO|FIXME|XXX)\b", lambda path: True, "do it, or file it, but do not leave it here"),
    (r"[ \t]+$", lambda path: True, "white space at the end of the line"),
    (r"\t", lambda path: path.suffix not in {".tsv", ".csv", ".go"}, "a tab"),
    (rf"^.{{{COLUMNS + 1},}}$", lambda path: is_source(path) or is_script(path), f"the line is longer than {COLUMNS} columns"),
    (r"(?i)\bissue #", lambda path: True, "say what it is about: a number means nothing to who reads this elsewhere"),
    (r"/work/|/tmp/\w", lambda path: True, "a path of one machine"),
]


def check_idioms(tree, options):
    for path in tree.files:
        text = tree.text(path)
        views = [(TEXT, text)]
        if is_source(path):
            views += [(CODE, without(text, comments=True, strings=True)), (COMMENTED, without(text, strings=True))]
        if path != THIS_FILE:
            for rules, view in views:
                for pattern, concerns, reason in rules:
                    if concerns(path):
                        for match in re.finditer(pattern, view, re.MULTILINE):
                            yield path, line_of(view, match.start()), reason
    yield from dead_sources(tree, options)


def dead_sources(tree, options):
    """A .cpp file is alive if a CMake file of its folder or one above names it (a helper may add the suffix), or if the
    build's compile commands have it."""
    named = {}
    for path in tree.files:
        if path.name == "CMakeLists.txt" or path.suffix == ".cmake":
            text = re.sub(r"\$\{\w+\}/", "", re.sub(r"#[^\n]*", "", tree.text(path)))
            named.setdefault(path.parent, set()).update(re.split(r'[\s()";]+', text))
    compiled = ""
    if options.compile_commands and os.path.exists(options.compile_commands):
        compiled = pathlib.Path(options.compile_commands).read_text(encoding="utf-8")
    for path in tree.sources:
        if path.suffix != ".cpp" or f'"{tree.root / path}"' in compiled:
            continue
        names = ((named.get(folder, set()), path.relative_to(folder)) for folder in path.parents)
        if not any(str(name) in tokens or str(name.with_suffix("")) in tokens for tokens, name in names):
            yield path, 1, "no CMake file names this file, so nothing builds it"


# --------------------------------------------------------------------------------------------------------------------------------

CHECKS = {"includes": check_includes, "headers": check_headers, "idioms": check_idioms}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("check", choices=CHECKS)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parents[2], help="the repository")
    parser.add_argument("--compiler", default="g++", help="headers: the compiler to use")
    parser.add_argument("-I", "--include", action="append", default=[], help="headers: an include folder outside of the tree")
    parser.add_argument("-D", "--define", action="append", default=[], help="headers: a macro that the build defines")
    parser.add_argument("--jobs", type=int, default=2, help="headers: how many compilers run at once")
    parser.add_argument("--compile-commands", help="idioms: the build's compile_commands.json")
    options = parser.parse_args()

    tree = Tree(options.root.resolve())
    if not tree.sources:
        sys.exit(f"check.py: there are no sources under {tree.root}")
    findings = list(CHECKS[options.check](tree, options))
    for path, line, reason in findings:
        print(f"{path}:{line}: {reason}")
    if findings:
        sys.exit(f"{options.check}: {len(findings)} found")
    print(f"{options.check}: nothing found in {len(tree.sources)} sources")


if __name__ == "__main__":
    main()
