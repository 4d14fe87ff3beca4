#!/usr/bin/env python3
"""Runs every fuzzer of a build for some seconds and says what it tried.

    run.py --build FOLDER --source FOLDER --compiler CLANG++

Builds them first, with the compiler that is given; without one there is nothing to run. CAIRN_TEST_SECONDS is how long each one
runs (8 where it is not given), from CAIRN_TEST_SEED (1). What a fuzzer finds is kept beside the build, with the command that
shows it again.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

LIMITS = ["-rss_limit_mb=1024", "-malloc_limit_mb=4", "-max_len=65536", "-timeout=20", "-print_final_stats=1"]


def build(options):
    ccache = shutil.which("ccache")
    launcher = [f"-DCMAKE_CXX_COMPILER_LAUNCHER={ccache}"] if ccache else []
    subprocess.run(["cmake", "-S", options.source, "-B", options.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=None",
                    f"-DCMAKE_CXX_COMPILER={options.compiler}"] + launcher, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", options.build], check=True, stdout=subprocess.DEVNULL)


def run(fuzzer, folder, seconds, seed):
    """The inputs tried and, where there is a finding, what to show of it."""
    name = fuzzer.name.removeprefix("fuzz_")
    corpus = folder / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    findings = folder / "findings"
    findings.mkdir(exist_ok=True)
    command = [str(fuzzer), str(corpus), str(folder / "seeds" / name), f"-max_total_time={seconds}", f"-seed={seed}",
               f"-artifact_prefix={findings}/{name}-", *LIMITS]
    scratch = folder / "scratch" / name  # for what a fuzzer writes to files
    scratch.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env={**os.environ, "TMPDIR": str(scratch)})
    shutil.rmtree(scratch, ignore_errors=True)
    tried = re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)
    if done.returncode == 0 and tried:
        return int(tried.group(1)), ""
    kept = re.findall(r"Test unit written to (\S+)", done.stderr)
    again = "".join(f"\nshow it again: {fuzzer} {path}" for path in kept)
    return int(tried.group(1)) if tried else 0, done.stderr[-6000:] + again


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--source")
    parser.add_argument("--compiler")
    options = parser.parse_args()
    if not options.compiler:
        print("skipped: no clang++ was found, and libFuzzer comes with it")
        return 0
    build(options)
    folder = pathlib.Path(options.build).resolve()
    seconds = int(os.environ.get("CAIRN_TEST_SECONDS") or 8)
    seed = int(os.environ.get("CAIRN_TEST_SEED") or 1)
    shutil.rmtree(folder / "seeds", ignore_errors=True)
    subprocess.run([folder / "fuzz_seeds", folder / "seeds"], check=True)
    fuzzers = sorted(path for path in folder.glob("fuzz_*") if path.name != "fuzz_seeds" and os.access(path, os.X_OK))
    failed = False
    lines = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = pool.map(lambda fuzzer: run(fuzzer, folder, seconds, seed), fuzzers)
        for fuzzer, (tried, finding) in zip(fuzzers, results):
            lines.append(f"fuzz: {fuzzer.name.removeprefix('fuzz_'):16} {tried:>12,} inputs in {seconds} s, "
                         f"findings {1 if finding else 0}, seed {seed}")
            if finding:
                failed = True
                print(f"{fuzzer.name}:\n{finding}", file=sys.stderr)
    figures = os.environ.get("CAIRN_TEST_FIGURES")
    with open(figures, "a", encoding="utf-8") if figures else sys.stdout as out:
        print("\n".join(lines), file=out)
    return 1 if failed or not fuzzers else 0


if __name__ == "__main__":
    sys.exit(main())
