#!/usr/bin/env python3
"""Holds the README and docs/ to the code: what they show is what is compiled, run and printed.

In a page, the line before a block of code says where the block comes from:

    <!-- snippet: examples/product/tour.cpp -->            a ```cpp block: these lines stand in that file, one after another
    <!-- snippet: none, a sketch of another library -->    a ```cpp block that is in no file, and why
    <!-- output: examples/product/tour.cpp -->             a ```text block: the program made from that file prints these lines

An output may name its program, where that is not called as its source, and the arguments it is run with:

    <!-- output: examples/product/tour.cpp product_tour --short -->

A ```cpp block without such a line is an error. So is a relative link to what is not there. Prints `file:line: reason`.
"""

import argparse
import functools
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import textwrap
import urllib.parse

FENCE = re.compile(r"^(?P<indent> *)(?P<marks>`{3,}|~{3,})\s*(?P<language>[^\s`]*)[^`]*$")
MARK = re.compile(r"^\s*<!--\s*(?P<kind>snippet|output):\s*(?P<rest>.*?)\s*-->\s*$")
NOT_IN_A_FILE = re.compile(r"none,\s*\S")
CPP = {"cpp", "c++", "cxx", "cc", "hpp"}
LINK = re.compile(r'\]\(\s*<?([^\s<>()]+(?:\([^\s()]*\)[^\s<>()]*)?)>?(?:\s+"[^"]*")?\s*\)|^\s*\[[^\]]+\]:\s*<?([^\s>]+)>?|'
                  r'<(?:img|a)\b[^>]*?\b(?:src|href)="([^"]+)"', re.MULTILINE)
SECONDS_MAX = 120


class Block:
    """A fenced block: where it begins, what it is in, its lines, and the mark before it, if any."""

    def __init__(self, line, language, mark):
        self.line = line
        self.language = language
        self.mark = mark
        self.lines = []


def read_page(text):
    """The fenced blocks of a page, the marks that stand before none, and the page without code for the links."""
    blocks, stray, prose = [], [], []
    mark = block = closing = None
    for number, line in enumerate(text.split("\n"), 1):
        if block is not None:
            prose.append("")
            if closing.match(line):
                block = None
            else:
                block.lines.append(line)
            continue
        fence, found = FENCE.match(line), MARK.match(line)
        if fence:
            block = Block(number, fence["language"].lower(), mark)
            closing = re.compile(rf"^ *{re.escape(fence['marks'][0])}{{{len(fence['marks'])},}}\s*$")
            blocks.append(block)
            mark = None
        elif line.strip() and mark:
            stray.append(mark[0])
            mark = None
        if found:
            mark = (number, found["kind"], found["rest"])
        prose.append("" if fence else re.sub(r"`[^`]*`", "", line))
    if mark:
        stray.append(mark[0])
    return blocks, stray, "\n".join(prose)


def level(lines):
    """Without common indentation, and without white space at the ends of lines and blank lines at either end."""
    return textwrap.dedent("\n".join(line.rstrip() for line in lines)).strip("\n").split("\n")


def stands_in(wanted, lines):
    """Whether `wanted` is a run of `lines`, whatever the run's indentation."""
    wanted = level(wanted)
    starts = (at for at, line in enumerate(lines) if line.strip() == wanted[0].strip())
    return any(level(lines[at:at + len(wanted)]) == wanted for at in starts)


@functools.lru_cache(maxsize=None)
def output_of(folders, program, arguments):
    """What the program prints, or a ValueError that says why it cannot be known."""
    found = sorted({path for folder in folders for path in folder.rglob(program) if path.is_file() and os.access(path, os.X_OK)})
    if len(found) != 1:
        places = " and ".join(map(str, folders))
        raise ValueError(f"there {'is no program' if not found else 'is more than one program'} '{program}' under {places}")
    with tempfile.TemporaryDirectory() as scratch:  # programs may leave a journal where they run
        try:
            run = subprocess.run([found[0], *arguments], cwd=scratch, capture_output=True, text=True, timeout=SECONDS_MAX,
                                 stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise ValueError(f"{program} ran for more than {SECONDS_MAX} s") from None
    if run.returncode != 0:
        raise ValueError(f"{program} ended with {run.returncode}: {run.stderr.strip()}")
    return run.stdout.split("\n")


def check_snippet(root, block, rest):
    if NOT_IN_A_FILE.match(rest):
        return
    source = root / rest
    if rest.rstrip(",") == "none":
        yield block.line, "a block that is in no file says why: <!-- snippet: none, reason -->"
    elif source.suffix not in {".cpp", ".hpp"} or not source.is_file():
        yield block.line, f"'{rest}' is not a source file of this tree"
    elif not stands_in(block.lines, source.read_text(encoding="utf-8").split("\n")):
        yield block.line, f"these lines do not stand in {rest}, one after another"


def check_output(root, binaries, block, rest):
    source, *command = shlex.split(rest) or [""]
    if not (root / source).is_file():
        yield block.line, f"'{source}' is not a file"
        return
    program = command[0] if command else pathlib.Path(source).stem
    try:
        printed = output_of(binaries, program, tuple(command[1:]))
    except ValueError as error:
        yield block.line, str(error)
        return
    if not stands_in(block.lines, printed):
        yield block.line, f"{program} does not print these lines, one after another; it prints:\n" + "\n".join(printed).rstrip()


def check_links(root, page, prose):
    for match in LINK.finditer(prose):
        link = next(group for group in match.groups() if group)
        parts = urllib.parse.urlsplit(link)
        if parts.scheme or parts.netloc or not parts.path:
            continue
        path = urllib.parse.unquote(parts.path)
        target = root / path.lstrip("/") if path.startswith("/") else page.parent / path
        if not target.exists():
            yield prose.count("\n", 0, match.start()) + 1, f"the link leads nowhere: {link}"


def check_page(root, binaries, page):
    blocks, stray, prose = read_page(page.read_text(encoding="utf-8"))
    for line in stray:
        yield line, "no block of code follows this mark"
    for block in blocks:
        line, kind, rest = block.mark or (block.line, None, "")
        if block.language in CPP:
            if kind == "snippet":
                yield from check_snippet(root, block, rest)
            else:
                yield block.line, "this block does not say where it comes from: <!-- snippet: path/of/a/source.cpp -->"
        elif kind == "snippet":
            yield line, "a snippet is a ```cpp block"
        elif kind == "output" and block.language != "text":
            yield line, "an output is a ```text block"
        elif kind == "output":
            yield from check_output(root, binaries, block, rest)
    yield from check_links(root, page, prose)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parents[2], help="the repository")
    parser.add_argument("--bin", type=pathlib.Path, action="append", required=True,
                        help="a build folder where programs are; may be given several times")
    options = parser.parse_args()
    root = options.root.resolve()
    binaries = tuple(folder.resolve() for folder in options.bin)

    pages = sorted(root.glob("*.md")) + sorted((root / "docs").rglob("*.md"))
    if root / "README.md" not in pages:
        sys.exit("check_snippets.py: there is no README.md")
    failures = 0
    for page in pages:
        for line, reason in sorted(check_page(root, binaries, page)):
            print(f"{page.relative_to(root)}:{line}: {reason}")
            failures += 1
    if failures:
        sys.exit(f"docs: {failures} found in {len(pages)} pages")
    print(f"docs: nothing found in {len(pages)} pages")


if __name__ == "__main__":
    main()
