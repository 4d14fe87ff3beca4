#!/usr/bin/env python3
"""Compares this checkout's cairn with another one's, by rows of the speed benchmark.

The sources of this checkout's speed benchmark are built twice: against its own library, and against the other's.
Both programs then run alternately, one row at a time: this one first in even rounds, the other first in odd ones.
Each run is a new process with new stores. Each figure is the ratio of the two runs of one round, so that a machine
that changes its pace hits both.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = ["load", "measure", "pipeline_rows", "postgres", "postgres_rows", "recovery_rows", "report",
           "speed_benchmark", "store", "store_rows", "trace"]

# The name of each row, and its figures: "ours", "against", "ratio", or one that the row reports besides.
ROWS = [
    ("1k-1k", ["ours", "µs CPU a command", "ratio"]),
    ("1k-10k", ["ours", "µs CPU a command", "ratio"]),
    ("100k-10k", ["ours", "µs CPU a command", "ratio"]),
    ("hot", ["ours", "µs CPU a command", "ratio"]),
    ("zipf", ["ours"]),
    ("snapshots", ["ours", "ratio"]),
    ("chain", ["ours", "ratio"]),
    ("ids", ["ours"]),
    ("ids-10k", ["ours"]),
    ("awaitable-4", ["ours", "ratio"]),
    ("awaitable-1", ["ours", "ratio"]),
    ("many-one", ["ours", "ratio"]),
    ("subscribers", ["ours", "ratio"]),
    ("many-each", ["ours", "ratio"]),
    ("bare-1k", ["ours", "ratio"]),
    ("bare-100k", ["ours", "ratio"]),
    ("p99-100k", ["ours", "µs median", "µs CPU a command"]),
    ("p99-200k", ["ours", "µs median", "µs CPU a command"]),
    ("p99-hot", ["ours"]),
    ("cold-tail", ["ours"]),
    ("cold-snapshot", ["ours"]),
    ("fold", ["ours", "against"]),
    ("verify", ["ours", "against"]),
    ("written-batches", ["ours", "ratio"]),
    ("written-commands", ["ours", "ratio"]),
]


class Failure(Exception):
    pass


def run(command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        shown = " ".join(map(str, command[:3]))
        raise Failure(f"{shown} …: exit code {done.returncode}\n{done.stdout[:2000]}")
    return done.stdout


def build_against(other):
    """Builds the speed benchmark of this checkout with the other's library. Returns the program's path."""
    build = other / "build" / "release"
    if not (build / "build.ninja").exists():
        raise Failure(f"{other} is not built; run `scripts/benchmark speed --quick` there once")
    run(["cmake", "--build", build, "--target", "speed_benchmark"])
    commands = json.loads((build / "compile_commands.json").read_text())
    known = next(c for c in commands if c["file"].endswith("benchmarks/speed_benchmark.cpp"))
    compile_words = words_without(known["command"].split(), "-o", "-c")
    link = run(["ninja", "-C", build, "-t", "commands", "speed_benchmark"]).strip().splitlines()[-1]
    link_words = words_without(link.split()[2:-2], "-o")  # without ": &&" and "&& :"
    link_words = [word for word in link_words if not word.startswith("benchmarks/")]

    folder = build / "compare"
    program = folder / "speed_benchmark"
    own_sources = list(HERE.glob("*.hpp")) + list(HERE.glob("*.cpp"))
    libraries = [build / word for word in link_words if word.endswith(".a")]
    newest = max(one.stat().st_mtime for one in own_sources + libraries)
    if program.exists() and program.stat().st_mtime > newest:
        return program

    # Includes such as "../persistence/x.hpp" must find the other checkout.
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "benchmarks").mkdir(parents=True)
    (folder / "persistence").symlink_to(other / "persistence")
    private = other / "actors" / "include" / "cairn" / "actors"  # of an older checkout
    (folder / "actors").symlink_to(private if (private / "engine.hpp").exists() else other / "actors")
    for source in own_sources:
        shutil.copy2(source, folder / "benchmarks")
    sources = [folder / "benchmarks" / f"{name}.cpp" for name in SOURCES]
    objects = [str(source.with_suffix(".o")) for source in sources]

    def compile_one(source):
        # A header of the testkit that the other checkout does not have yet comes from this one.
        run(compile_words + ["-idirafter", str(HERE.parent / "testkit" / "include")]
            + ["-c", str(source), "-o", str(source.with_suffix(".o"))], cwd=known["directory"])

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_one, sources))
    # The archives come behind the objects that need them.
    run(link_words[:1] + objects + link_words[1:] + ["-o", str(program)], cwd=build)
    return program


def words_without(words, *options):
    """The command without these options and their arguments."""
    kept = []
    rest = iter(words)
    for word in rest:
        if word in options:
            next(rest)
        else:
            kept.append(word)
    return kept


def measure(program, row, seconds):
    """Runs one round of a row. Returns its figures by name."""
    with tempfile.NamedTemporaryFile(suffix=".json") as figures:
        run([program, "--only", row, "--rounds", "1", "--seconds", str(seconds), "--json", figures.name])
        row_found = json.loads(pathlib.Path(figures.name).read_text())["rows"][0]
    found = row_found["rounds"][0]
    return {"ours": found["ours"], "against": found["against"], "ratio": found["ours"] / found["against"],
            "unit": row_found["unit"], "title": row_found["title"], "other side": row_found["against"],
            **found["besides"]}


def short(value):
    for least, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= least:
            return f"{value / (1e3 if unit == ' k' else least):.3g}{unit}"
    return f"{value:.3g}"


def name_of(figure, found):
    if figure == "ours":
        return f"{found['title']}, {found['unit']}"
    if figure == "against":
        return f"  {found['other side']}, {found['unit']}"
    if figure == "ratio":
        return f"  ÷ {found['other side']}"
    return f"  {figure}"


def print_row(row, figures, rounds):
    for figure in figures:
        pairs = [(this[figure], other[figure]) for this, other in rounds]
        ratios = [this / other for this, other in pairs if other]
        if not ratios:
            continue
        ours, theirs = (statistics.median(side) for side in zip(*pairs))
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        name = f"{row if figure == 'ours' else '':18}{name_of(figure, rounds[0][0]):62}"
        print(f"{name}{short(ours):>9}{short(theirs):>10}   {spread}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="scripts/benchmark compare", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path, help=argparse.SUPPRESS)  # this checkout's speed benchmark
    parser.add_argument("other", type=pathlib.Path, metavar="OTHER_CHECKOUT",
                        help="the checkout to compare with, its release preset built")
    parser.add_argument("--rounds", type=int, default=5, metavar="N",
                        help="how often each row is measured on both sides (default: 5)")
    parser.add_argument("--seconds", type=float, default=1, metavar="N",
                        help="how long each measurement takes (default: 1)")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[row for row, _ in ROWS],
                        help="these rows alone: " + ", ".join(row for row, _ in ROWS))
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write every round's figures to this file")
    chosen = parser.parse_args()
    if chosen.rounds < 1:
        parser.error("--rounds must be at least 1")
    other = build_against(chosen.other.resolve())

    print(f"This checkout and {chosen.other}, alternately; {chosen.rounds} rounds, {chosen.seconds:g} s each\n")
    print(f"{'':80}{'this':>9}{'other':>10}   this ÷ other, median (least to most)", flush=True)
    everything = {}
    for row, figures in ROWS:
        if chosen.only and row not in chosen.only:
            continue
        rounds = everything[row] = []
        for number in range(chosen.rounds):
            order = [chosen.program, other]
            if number % 2 != 0:
                order.reverse()
            found = {program: measure(program, row, chosen.seconds) for program in order}
            rounds.append((found[chosen.program], found[other]))
        print_row(row, figures, rounds)
    if chosen.json:
        chosen.json.write_text(json.dumps(everything, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except Failure as failure:
        sys.exit(f"compare: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
