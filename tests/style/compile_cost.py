#!/usr/bin/env python3
"""Measures what cairn's headers cost the compiler, as ratios in one run.

Compiles each program and its measure in turn, several times, and prints the ratio of processor time and of memory
(medians). With --parent, a checkout of an earlier commit, it compiles two test sources of both. It fails only if a
source does not compile: the goals are printed beside the ratios, because times on a shared machine vary.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = "tests/style/compile_cost"
CODE = ["-O2", "-g", "-DNDEBUG", "-c", "-o", os.devnull]
SYNTAX = ["-fsyntax-only"]

# name, source, measure, flags, the most that the ratio may be
ROWS = [
    ("tour.cpp / smallest coroutine program on Asio", "examples/product/tour.cpp", f"{HERE}/plain_asio.cpp", CODE, 1.6),
    ("rules-only test / empty doctest program", f"{HERE}/rules.cpp", f"{HERE}/empty_doctest.cpp", CODE, 2.0),
    ("runtime.hpp / the Asio headers it needs", f"{HERE}/runtime_header.cpp", f"{HERE}/asio_headers.cpp", SYNTAX, 1.3),
]
# test sources that are compared with the parent's
TESTS = [("three_levels_test.cpp", "tests/product/three_levels_test.cpp"), ("runtime_test.cpp", "tests/runtime/runtime_test.cpp")]


def flags_of(root, generated):
    includes = [*sorted(root.glob("*/include")), *sorted(root.glob("*/internal")), *sorted(generated.glob("*/include")),
                root / "tests", root / "examples/product"]
    return ["-std=c++20", "-DMSGPACK_DEFAULT_API_VERSION=3", "-Wno-mismatched-new-delete", *(f"-I{one}" for one in includes)]


def cost(compiler, root, generated, source, flags):
    """Returns processor seconds and the most KiB of memory of one compilation."""
    command = [compiler, *flags_of(root, generated), *flags, str(root / source)]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    complaint = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"compile_cost: {source} does not compile:\n{complaint[:2000]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def show(line):
    """Shows a line of figures to whoever ran scripts/test, also if the test passes."""
    figures = os.environ.get("CAIRN_TEST_FIGURES")
    if figures:
        with open(figures, "a", encoding="utf-8") as file:
            print(line, file=file)
    else:
        print(line, flush=True)


def compare(name, most, rounds, measured, measure):
    costs = [(measured(), measure()) for _ in range(rounds)]
    time = statistics.median(one[0] / other[0] for one, other in costs)
    memory = statistics.median(one[1] / other[1] for one, other in costs)
    seconds = statistics.median(one[0] for one, _ in costs)
    mebibytes = statistics.median(one[1] for one, _ in costs) / 1024
    show(f"  {name:48} {time:5.2f} {memory:7.2f} {most:8.2f}   {seconds:6.1f} s {mebibytes:6.0f} MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release", help="has the generated headers")
    parser.add_argument("--parent", type=pathlib.Path, help="a checkout of an earlier commit")
    arguments = parser.parse_args()

    def compile_of(root, source, flags):
        return lambda: cost(arguments.compiler, root, arguments.build, source, flags)

    show(f"compile cost, {arguments.rounds} rounds{'':30} time  memory  at most   each")
    for name, source, measure, flags, most in ROWS:
        compare(name, most, arguments.rounds, compile_of(ROOT, source, flags), compile_of(ROOT, measure, flags))
    for name, source in TESTS if arguments.parent else []:
        compare(f"{name} / parent commit", 0.5, arguments.rounds, compile_of(ROOT, source, CODE),
                compile_of(arguments.parent.resolve(), source, CODE))


if __name__ == "__main__":
    main()
