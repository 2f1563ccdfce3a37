"""Durable queues: items put, claimed and done, measured from inside (store_bench.c)."""

import json
import subprocess

from load import side_by_side
from servers import ROOT

# (bytes of a body, puts under way, items)
LOADS = ((200, 1024, 200_000), (4096, 1024, 50_000), (200, 1, 10_000))


def measure(settings, size, under_way, items):
    file = settings.fresh("store") / "heddle.db"
    done = subprocess.run([ROOT / "build" / "bench" / "store_bench", file, str(items), str(size),
                           str(under_way)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def store(settings):
    if not settings.with_heddle:
        return []
    subprocess.run(["ninja", "--quiet", "-C", ROOT / "build", "bench/store_bench"], check=True)
    rows = []
    for load in LOADS:
        size, under_way, _ = load
        found = side_by_side({"heddle": lambda load=load: measure(settings, *load)},
                             settings.rounds)["heddle"]
        what = f"durable queue, {size} B, {under_way:,} puts under way"
        rows += [{"what": what, "unit": unit, "better": better, "heddle": found[key]}
                 for unit, better, key in (("items/s", "more", "items_per_s"),
                                           ("put p50 µs", "less", "put_p50_us"),
                                           ("put p99 µs", "less", "put_p99_us"))]
    return rows
