"""Load, and what it found: wrk for everything, h2load as a second opinion."""

import json
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

from servers import cpu_s

LUA = Path(__file__).parent / "wrk.lua"
CONNECTIONS = 64


def wrk(url, seconds, body=0, token="", pids=(), connections=CONNECTIONS):
    """Load for some seconds. Returns requests/s, p50 and p99 in ms, CPU time per request in µs."""
    before = cpu_s(pids)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s",
               str(LUA), url, "--", str(body), token]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=True)
    used = cpu_s(pids) - before
    found = json.loads(done.stdout.strip().splitlines()[-1])
    if found["bad_status"] or found["broken"] or not found["requests"]:
        raise RuntimeError(f"{url}: not every answer was good: {found}")
    return {
        "rps": found["requests"] / (found["us"] / 1e6),
        "p50_ms": found["p50_us"] / 1000,
        "p99_ms": found["p99_us"] / 1000,
        "cpu_us": used * 1e6 / found["requests"] if pids else None,
    }


def h2load(url, seconds, body=0, token=""):
    """Requests/s over HTTP/1.1 by another client."""
    command = ["h2load", "--h1", "-t1", f"-c{CONNECTIONS}", f"-D{seconds}"]
    if token:
        command += ["-H", "authorization: Bearer " + token]
    with tempfile.NamedTemporaryFile() as file:
        if body:
            file.write(b'"' + b"x" * (body - 2) + b'"')
            file.flush()
            command += ["-d", file.name, "-H", "content-type: application/json"]
        done = subprocess.run([*command, url], capture_output=True, text=True,
                              timeout=seconds + 30, check=True)
    bad = re.search(r"status codes: \d+ 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done.stdout)
    if not bad or any(int(n) for n in bad.groups()):
        raise RuntimeError(f"{url}: not every answer was good:\n{done.stdout}")
    return float(re.search(r"finished in [^,]*, ([\d.]+) req/s", done.stdout).group(1))


def medians(rounds):
    """The median of each key over rounds of equal dicts."""
    return {key: None if rounds[0][key] is None else statistics.median(r[key] for r in rounds)
            for key in rounds[0]}


def side_by_side(contestants, rounds):
    """
    Measure each once a round, in turns: A B C, C B A, A B C ...
    contestants: {name: function that returns a dict of numbers}. Returns {name: medians}.
    """
    names = list(contestants)
    results = {name: [] for name in names}
    for n in range(rounds):
        for name in names if n % 2 == 0 else reversed(names):
            results[name].append(contestants[name]())
    return {name: medians(found) for name, found in results.items()}
