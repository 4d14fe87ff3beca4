#!/usr/bin/env python3
"""Compares read_store.py, which knows only docs/record_format.md, with `cairn export`.

Both must print the same of a store of load_simulation, and of a store of unusual records in several segments.
Then the test flips bits in the logs of both. read_store.py must report damage, or print the same as before.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    import read_store
    import write_store
except SystemExit as skip:
    print(skip)
    sys.exit(0)

FLIPS, SEED = 200, 1


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True)
    if done.returncode != 0:
        sys.exit(f"compare.py: {command[0]} exits with {done.returncode}: {done.stderr.decode().strip()}")
    return done.stdout


def meaning(line):
    """Returns the JSON values of a line. In it, 1, 1.0 and true differ, and the order of names counts."""
    return repr(json.loads(line, object_pairs_hook=tuple))


def compare(cairn, store):
    expected = run(cairn, "export", store).splitlines()
    found = run(sys.executable, pathlib.Path(__file__).with_name("read_store.py"), store).splitlines()
    for number, (left, right) in enumerate(zip(expected, found), 1):
        if meaning(left) != meaning(right):
            sys.exit(f"compare.py: line {number} differs.\ncairn export:  {left}\nread_store.py: {right}")
    if len(expected) != len(found):
        sys.exit(f"compare.py: cairn export prints {len(expected)} lines, and read_store.py {len(found)}")
    count = len(list((store / "log").glob("*.log")))
    segments = "1 segment" if count == 1 else f"{count} segments"
    print(f"python reader: {len(found) - 2:,} records in {segments}, equal to cairn export")


def flip_bits(store, flips):
    logs = {path: path.read_bytes() for path in sorted((store / "log").glob("*.log"))}
    expected, generator, reported = read_store.export(store), random.Random(SEED), 0
    for flip in range(flips):
        path, = generator.choices(list(logs), [len(log) for log in logs.values()])
        # Each tenth flip is in the header of the segment or soon behind it.
        byte = generator.randrange(1024 if flip % 10 == 0 else len(logs[path]))
        damaged = bytearray(logs[path])
        damaged[byte] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        try:
            if read_store.export(store) != expected:
                sys.exit(f"compare.py: read_store.py misses a flipped bit in byte {byte} of {path.name}")
        except read_store.Damage:
            reported += 1
        path.write_bytes(logs[path])
    return reported


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cairn", required=True, type=pathlib.Path)
    parser.add_argument("--load-simulation", required=True, type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        usual, unusual = pathlib.Path(name, "usual"), pathlib.Path(name, "unusual")
        run(options.load_simulation, "--commands", 3000, "--products", 50,
            "--data", usual, "--html", f"{usual}.html")
        compare(options.cairn, usual)
        write_store.write_unusual_store(unusual)
        compare(options.cairn, unusual)
        reported = flip_bits(usual, FLIPS) + flip_bits(unusual, FLIPS)
    print(f"python reader: {reported} of {2 * FLIPS} flipped bits are damage, the others change nothing")


if __name__ == "__main__":
    main()
