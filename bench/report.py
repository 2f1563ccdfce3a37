"""The targets, and the tables for people."""

COLUMNS = ("direct", "nginx", "nginx_log", "heddle", "heddle_all", "bare", "cold", "prewarmed")
TITLES = {"direct": "direct", "nginx": "nginx", "nginx_log": "nginx with log",
          "heddle": "heddle", "heddle_all": "heddle, all policies", "bare": "bare runtime",
          "cold": "heddle, no prewarm", "prewarmed": "heddle, prewarmed"}


def number(value):
    if value is None:
        return ""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def find(rows, what, unit):
    return next((r for r in rows if r["what"] == what and r["unit"] == unit), None)


def ratio(rows, what, unit, above, below):
    r = find(rows, what, unit)
    return r[above] / r[below] if r and r.get(above) and r.get(below) else None


def value(rows, what, unit):
    r = find(rows, what, unit)
    return r.get("heddle") if r else None


def flatness(rows):
    """How much more the most functions cost than one does, in percent; below zero: less."""
    costs = [r["heddle"] for r in rows
             if r["what"].startswith("GET with ") and r["unit"].startswith("gateway CPU")]
    return (costs[-1] / costs[0] - 1) * 100 if costs else None


def added_us(rows, kind):
    """What the node adds to the median of one Invoke after the other."""
    r = find(rows, f"Invoke {kind}, 1 at once", "p50 µs")
    return r["heddle"] - r["direct"] if r and r.get("heddle") and r.get("direct") else None


RPS, P99, CPU = "requests/s", "p99 ms", "gateway CPU µs/request"

# (what, "at least" or "at most", limit, how to read it off the rows)
TARGETS = [
    ("requests/s to a Deno function, all policies on, over nginx", "≥", 1.3,
     lambda r: ratio(r, "GET deno-hello", RPS, "heddle_all", "nginx_log")),
    ("requests/s to a Deno function, all policies on, over calling it directly", "≥", 0.7,
     lambda r: ratio(r, "GET deno-hello", RPS, "heddle_all", "direct")),
    ("gateway CPU per request, all policies on, over nginx", "≤", 0.7,
     lambda r: ratio(r, "GET deno-hello", CPU, "heddle_all", "nginx_log")),
    ("p99 at 64 connections, all policies on, over nginx", "≤", 1.0,
     lambda r: ratio(r, "GET deno-hello", P99, "heddle_all", "nginx_log")),
    ("cold start with prewarm over starting bare Deno", "≤", 0.15,
     lambda r: ratio(r, "cold start, deno", "ms", "prewarmed", "bare")),
    ("cold start with prewarm over starting bare Node", "≤", 0.15,
     lambda r: ratio(r, "cold start, node", "ms", "prewarmed", "bare")),
    ("save to first fresh answer, Deno (ms)", "≤", 60,
     lambda r: value(r, "save to first fresh answer, deno", "ms")),
    ("save to first fresh answer, Node (ms)", "≤", 60,
     lambda r: value(r, "save to first fresh answer, node", "ms")),
    ("failed requests while reloading", "≤", 0,
     lambda r: value(r, "failed requests while reloading, deno", "requests")),
    ("start with 1,000 functions to first answer (ms)", "≤", 100,
     lambda r: value(r, "start with 1,000 functions to first answer", "ms")),
    ("memory of an idle node with 1,000 functions (MB)", "≤", 12,
     lambda r: value(r, "idle node, 1,000 functions", "MB")),
    ("memory of an idle connection (KB)", "≤", 1,
     lambda r: value(r, "idle connection", "KB")),
    *[(f"Invoke of a {kind} handler over calling it directly, p50 (µs added)", "≤", 150,
       lambda r, kind=kind: added_us(r, kind)) for kind in ("node", "python", "c")],
    ("Invoke requests/s of a native handler, load generator on the same machine", "≥", 20000,
     lambda r: value(r, "Invoke c by wrk, 64 at once", RPS)),
    ("first Invoke with prewarm over starting bare Node", "≤", 0.15,
     lambda r: ratio(r, "first Invoke, node", "ms", "prewarmed", "bare")),
    ("first Invoke with prewarm over starting bare Python", "≤", 0.15,
     lambda r: ratio(r, "first Invoke, python", "ms", "prewarmed", "bare")),
    ("events/s through a lane in memory, 200 B", "≥", 300000,
     lambda r: value(r, "event lane, memory, 200 B", "events/s")),
    ("durable events/s through a lane in SQLite, 200 B", "≥", 20000,
     lambda r: value(r, "event lane, sqlite, 200 B", "events/s")),
    *[(f"events/s through RabbitMQ over a bare loop of its client, {size} B", "≥", 0.8,
       lambda r, size=size: ratio(r, f"event lane, rabbitmq, {size} B", "events/s", "heddle",
                                  "direct")) for size in ("200", "4,096")],
    ("calls/s of a native task by a client that only sends", "≥", 36885,
     lambda r: value(r, "task served, function in c, no lane auth", "calls/s")),
    ("calls/s of a native task from node to node", "≥", 29181,
     lambda r: value(r, "a node calls a node, function in c, no lane auth", "calls/s")),
    ("cost per request from 1 to 10,000 functions grows by (%)", "≤", 5, flatness),
]


def targets(rows):
    """[(what, sign, limit, measured or None, met or None)]"""
    found = []
    for what, sign, limit, read in TARGETS:
        measured = read(rows)
        met = None if measured is None else measured >= limit if sign == "≥" else measured <= limit
        found.append((what, sign, limit, measured, met))
    return found


def table(header, lines):
    return "\n".join("| " + " | ".join(line) + " |"
                     for line in [header, ["---"] * len(header), *lines])


def rows_table(rows):
    columns = [c for c in COLUMNS if any(r.get(c) is not None for r in rows)]
    lines = [[r["what"], r["unit"], *(number(r.get(c)) for c in columns)] for r in rows]
    return table(["what", "unit", *(TITLES[c] for c in columns)], lines)


def targets_table(rows):
    lines = [[what, f"{sign} {limit:g}", number(measured) or "not measured",
              "" if met is None else "met" if met else "**not met**"]
             for what, sign, limit, measured, met in targets(rows)]
    return table(["target", "limit", "measured", ""], lines)


def page(results):
    """doc/benchmarks.md"""
    m = results["machine"]
    return f"""# Benchmarks

Made by `make bench` on {results["date"]}; the numbers are in `bench/results.json` as well. One part
alone: `make bench B=hello`. What stands in one row was measured side by side in one run: each
contestant in turn, {results["rounds"]} rounds of {results["seconds"]} s, medians. What counts is
the ratio; the machine only explains the size of the numbers.

- machine: {m["cores"]} cores, {m["cpu"]}, {m["memory_gb"]} GB, Linux {m["kernel"]}
- versions: {", ".join(f"{name} {version}" for name, version in results["versions"].items())}
- load: wrk, 1 thread, {results["connections"]} connections; h2load as a second opinion
- *direct*: the function in its runtime host, on a TCP port. *nginx*: `proxy_pass` to the same
  function on a Unix socket, kept connections, as many workers as cores. *heddle*: policies off.
  *all policies*: JWT (HS256), rate limit, metrics and access log on.
- *Invoke*: the Lambda API on the control listener, for a handler that does nothing, at so many requests
  at a time; directly: as many hosts as requests, on TCP ports (*shell*, a bootstrap with curl: a Runtime
  API that has the next event at once). One load generator for both, `bench/lambda/load.c`.
  *first Invoke*: of a function that has no instance; bare: `node -e 0`, `python3 -c pass`, and the
  program in C by itself.
- *event lane*: from the emission to a hook in the same process that does nothing, 1,024 emissions under
  way; SQLite on the disk and RabbitMQ (quorum queue, prefetch 64) confirmed. Directly: librabbitmq in a
  loop with the same queue, prefetch and window, `bench/lanes/bare.c`. *task served*: 64 connections that
  send one request after the other to the exposure; *a node calls a node*: 64 calls under way by the
  pooled client of another process.
- gateway CPU: user and system time of the gateway's own processes, divided by the requests.

## Targets

{targets_table(results["rows"])}

## Everything

{rows_table(results["rows"])}
"""
