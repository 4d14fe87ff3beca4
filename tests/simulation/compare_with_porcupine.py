#!/usr/bin/env python3
"""Holds cairn's checker of histories against Porcupine: both must say the same of every history.

    compare_with_porcupine.py --build FOLDER --source FOLDER --writer WRITE_HISTORIES

Builds the Go program of the source folder, has random and simulated histories of the stock product written, and compares the
verdicts.
CAIRN_TEST_SEED is where randomness starts (1). Without go, or where Porcupine cannot be fetched, there is nothing to compare.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

RANDOM = 600
SIMULATED = 50
USUAL_PLACE_OF_GO = "/usr/local/go/bin"  # of its own installer, which leaves it to the user to put it on the path


def build(go, source, program):
    """Why the program cannot be built here, or nothing."""
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    try:
        fetched = subprocess.run([go, "mod", "download"], cwd=source, env=env, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return "Porcupine cannot be fetched: no answer in two minutes"
    if fetched.returncode != 0:
        return "Porcupine cannot be fetched: " + " ".join(fetched.stderr.split())
    subprocess.run([go, "build", "-o", program, "."], cwd=source, env=env, check=True)
    return None


def verdicts(text):
    """By history: whether it is linearizable."""
    found = re.findall(r"(\d+\.jsonl):? (not )?linearizable\b", text)
    return {name: negation == "" for name, negation in found}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--source", required=True)
    parser.add_argument("--writer", required=True)
    options = parser.parse_args()

    go = shutil.which("go") or shutil.which("go", path=USUAL_PLACE_OF_GO)
    if not go:
        print("skipped: no go")
        return 0
    folder = options.build.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    missing = build(go, options.source, folder / "porcupine")
    if missing:
        print(f"skipped: {missing}")
        return 0

    seed = os.environ.get("CAIRN_TEST_SEED") or "1"
    written = subprocess.run([options.writer, folder, str(RANDOM), str(SIMULATED), seed], capture_output=True, text=True,
                             check=True)
    ours = verdicts(written.stdout)
    checked = subprocess.run([folder / "porcupine", *sorted(ours)], cwd=folder, capture_output=True, text=True)
    theirs = verdicts(checked.stdout)
    sys.stderr.write(checked.stderr)

    different = [name for name in ours if ours[name] != theirs.get(name)]
    for name in different[:10]:
        print(f"{folder / name}: cairn says linearizable: {ours[name]}, Porcupine: {theirs.get(name)}")
    sound = sum(ours.values())
    faulty = len(ours) - sound
    figures = os.environ.get("CAIRN_TEST_FIGURES")
    with open(figures, "a", encoding="utf-8") if figures else sys.stdout as out:
        print(f"checker: Porcupine agrees on {len(ours) - len(different)} of {RANDOM + SIMULATED} histories of products, "
              f"{SIMULATED} of them simulated: {sound} linearizable, {faulty} not, seed {seed}", file=out)
    agreed = not different and len(ours) == RANDOM + SIMULATED and checked.returncode == 1
    return 0 if agreed and min(sound, faulty) > RANDOM // 5 else 1


if __name__ == "__main__":
    sys.exit(main())
