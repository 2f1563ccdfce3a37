#!/usr/bin/env python3
"""Measure heddle beside nginx and beside its functions called directly: bench/run.py [PART ...]

Without a PART all of them run, and doc/benchmarks.md and bench/results.json are written. With parts
only the table is printed, unless --write says to put the new rows in the place of older ones.
"""

import argparse
import datetime
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import report
from load import CONNECTIONS
from parts import IDLE_CONNECTIONS, PARTS, Settings
from servers import HEDDLE, HOSTS, ROOT


def machine():
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {"cores": len(os.sched_getaffinity(0)), "cpu": cpu.group(1) if cpu else "unknown CPU",
            "memory_gb": round(pages * size / 2**30), "kernel": os.uname().release}


def version(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+[\w.]*", done.stdout + done.stderr)
    return found.group() if found else "unknown"


def versions():
    return {"heddle": version(HEDDLE, "version"), "nginx": version("nginx", "-v"),
            "Deno": version(HOSTS["deno"][0], "--version"), "Node": version("node", "--version"),
            "Python": version("/usr/bin/python3", "--version"),
            "wrk": version("wrk", "-v"), "h2load": version("h2load", "--version")}


def merged(old, new):
    """The older rows, each replaced by the newer one of the same name; what is new comes last."""
    def name(row):
        return row["what"], row["unit"]
    newer = {name(row): row for row in new}
    known = {name(row) for row in old}
    return [newer.get(name(row), row) for row in old] + [r for r in new if name(r) not in known]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each load")
    parser.add_argument("--without-heddle", action="store_true", help="only the peers")
    parser.add_argument("--write", action="store_true",
                        help="with parts as well: their rows take the place of older ones")
    args = parser.parse_args()
    chosen = []
    for name in args.parts:  # "lambda" stands for all that begin with "lambda-"
        parts = [part for part in PARTS if part == name or part.startswith(name + "-")]
        if not parts:
            parser.error(f"no such part: {name}; there are {', '.join(PARTS)}")
        chosen += parts

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE_CONNECTIONS * 2
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))

    rows = []
    with tempfile.TemporaryDirectory(prefix="heddle-bench-") as folder:
        settings = Settings(folder, args.rounds, args.seconds, not args.without_heddle)
        for part in chosen or PARTS:
            print(f"measuring {part} ...", file=sys.stderr, flush=True)
            rows += PARTS[part](settings)

    print(report.rows_table(rows), "\n\n" + report.targets_table(rows))
    if args.without_heddle or (args.parts and not args.write):
        return
    if args.parts:
        rows = merged(json.loads((ROOT / "bench" / "results.json").read_text())["rows"], rows)
    results = {"date": datetime.date.today().isoformat(), "machine": machine(),
               "versions": versions(), "rounds": args.rounds, "seconds": args.seconds,
               "connections": CONNECTIONS, "rows": rows}
    (ROOT / "bench" / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (ROOT / "doc" / "benchmarks.md").write_text(report.page(results))


if __name__ == "__main__":
    main()
