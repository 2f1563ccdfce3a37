#!/usr/bin/env python3
"""Run the fuzz targets under libFuzzer: tools/fuzz.py [--seconds N] [TARGET ...]

Each target runs for N seconds, starting from its seeds in test/fuzz/corpus/ and what earlier runs
found, which stays in build/fuzz/found/. An input that breaks a target is saved among its seeds, so
that every later test run replays it. Exit code 1 when there was one.
"""

import argparse
import re
import subprocess
import sys

import build as builds

FOLDER = builds.ROOT / "test" / "fuzz"
LONGEST_INPUT = 4096
SLOWEST_INPUT_S = 10


def targets():
    return sorted(path.stem.removeprefix("fuzz_") for path in FOLDER.glob("fuzz_*.c"))


def run(build, target, seconds):
    """Returns whether the target held, and what to say about it."""
    found = build / "found" / target
    found.mkdir(parents=True, exist_ok=True)
    seeds = FOLDER / "corpus" / target
    log = build / f"{target}.log"
    command = [str(build / "test" / "fuzz" / f"fuzz_{target}"), str(found), str(seeds),
               f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}",
               f"-timeout={SLOWEST_INPUT_S}", "-rss_limit_mb=1024", "-print_final_stats=1",
               f"-artifact_prefix={seeds}/"]
    with open(log, "wb") as out:
        try:
            code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                  timeout=seconds + 60, check=False).returncode
        except subprocess.TimeoutExpired:
            return False, f"did not end; see {log}"
    text = log.read_text(errors="replace")
    if code == 0:
        runs = re.search(r"number_of_executed_units: (\d+)", text)
        cover = re.findall(r"cov: (\d+)", text)
        return True, f"{int(runs[1]) if runs else 0:,} inputs, {cover[-1] if cover else 0} edges"
    saved = re.search(r"Test unit written to (\S+)", text)
    claim = re.search(r".*does not hold.*|SUMMARY: .*", text)
    return False, f"{claim[0] if claim else f'exit {code}'}; {saved[1] if saved else log}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=" ".join(targets()))
    args = parser.parse_args()
    unknown = [name for name in args.targets if name not in targets()]
    if unknown:
        parser.error(f"no such target: {unknown[0]}; there are {', '.join(targets())}")
    build = builds.build("fuzz")
    held = True
    for target in args.targets or targets():
        print(f"{target:12} ", end="", flush=True)
        good, text = run(build, target, args.seconds)
        print(text if good else f"FAILED: {text}", flush=True)
        held = held and good
    return 0 if held else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
