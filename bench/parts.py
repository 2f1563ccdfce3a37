"""What is measured. Each part returns rows: {"what", "unit", "better", contestant: number, ...}."""

import contextlib
import http.client
import json
import shutil
import socket
import statistics
import subprocess
import time
from pathlib import Path

from lambda_parts import LAMBDA_PARTS
from lane_parts import LANE_PARTS
from load import h2load, side_by_side, wrk
from servers import (BARE, FUNCTIONS, POLICIES_OFF, POLICIES_ON, PREFIX, Background, Heddle,
                     Host, Nginx, entry, rss_kb, token, wait_until)
from store import store

FUNCTION_COUNTS = (1, 1000, 10000)
IDLE_CONNECTIONS = 10000


class Settings:
    """How long and how often; and what can be started."""

    def __init__(self, folder, rounds, seconds, with_heddle):
        self.folder, self.rounds, self.seconds = Path(folder), rounds, seconds
        self.with_heddle = with_heddle

    def fresh(self, name):
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path


def copy_functions(folder, protected):
    """The functions with a manifest that makes all of them public, or none."""
    shutil.copytree(FUNCTIONS, folder)
    for function in folder.iterdir():
        (function / "heddle.json").write_text(json.dumps({"verify_jwt": protected}))
    return folder


def many_functions(folder, count):
    """So many public functions f0, f1, ... of a few lines each."""
    code = (FUNCTIONS / "node-hello" / "index.mjs").read_text()
    for n in range(count):
        function = folder / f"f{n}"
        function.mkdir(parents=True)
        (function / "index.mjs").write_text(code)
        (function / "heddle.json").write_text('{"verify_jwt": false}')
    return folder


@contextlib.contextmanager
def running(*servers):
    try:
        yield servers
    finally:
        for server in servers:
            server.stop()


def ask(port, path, headers=None, timeout=30):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


# --- throughput, latency, CPU ---

def throughput(settings, kind, body):
    """The same function called directly, behind nginx, behind heddle with policies off and on."""
    rows = []
    for runtime in ("deno", "node"):
        rows += throughput_of(settings, f"{runtime}-{kind}", body)
    return rows


def throughput_of(settings, name, body):
    folder = settings.fresh("throughput")
    with contextlib.ExitStack() as stack:
        def start(make, *args, **options):
            server = make(*args, **options)
            stack.callback(server.stop)
            return server

        direct = start(Host, name, settings.fresh("throughput/direct"), unix=False)
        behind = start(Host, name, settings.fresh("throughput/behind"), unix=True)
        nginx = start(Nginx, folder, [behind])
        targets = {
            "direct": (direct.url, [], ""),
            "nginx": (f"{nginx.quiet}/{name}", nginx.gateway_pids(), ""),
            "nginx_log": (f"{nginx.logging}/{name}", nginx.gateway_pids(), ""),
        }
        if settings.with_heddle:
            off = start(Heddle, folder / "off", copy_functions(folder / "public", False),
                        "no access log", env=POLICIES_OFF)
            on = start(Heddle, folder / "on", copy_functions(folder / "protected", True),
                       env=POLICIES_ON)
            targets["heddle"] = (f"{off.url}/{name}", off.gateway_pids(), "")
            targets["heddle_all"] = (f"{on.url}/{name}", on.gateway_pids(), token())

        def once(url, pids, key):
            return lambda: wrk(url, settings.seconds, body, key, pids)

        def again(url, _, key):
            return lambda: {"rps": h2load(url, max(1, settings.seconds // 2), body, key)}

        for url, pids, key in targets.values():  # warm
            wrk(url, 1, body, key, pids)
        found = side_by_side({n: once(*t) for n, t in targets.items()}, settings.rounds)
        second = side_by_side({n: again(*t) for n, t in targets.items()}, settings.rounds)

    what = f"{'GET' if not body else 'POST'} {name}" + (f" {body} B" if body else "")
    return [
        row(what, "requests/s", "more", found, "rps"),
        row(what, "requests/s by h2load", "more", second, "rps"),
        row(what, "p50 ms", "less", found, "p50_ms"),
        row(what, "p99 ms", "less", found, "p99_ms"),
        row(what, "gateway CPU µs/request", "less", found, "cpu_us"),
    ]


def row(what, unit, better, found, key):
    return {"what": what, "unit": unit, "better": better,
            **{name: numbers[key] for name, numbers in found.items() if numbers[key] is not None}}


# --- cold start ---

def cold(settings):
    """First answer of a function that was never called, beside starting the bare runtime."""
    return [cold_of(settings, runtime) for runtime in ("deno", "node")]


def cold_of(settings, runtime):
    def bare():
        start = time.monotonic()
        subprocess.run(BARE[runtime], check=True, stdin=subprocess.DEVNULL)
        return {"ms": (time.monotonic() - start) * 1000}

    contestants = {"bare": bare}
    functions = settings.fresh("cold") / "functions"
    for n in range(settings.rounds + 1):
        for kind in ("with", "without"):
            shutil.copytree(FUNCTIONS / f"{runtime}-hello", functions / f"{kind}{n}")
            (functions / f"{kind}{n}" / "heddle.json").write_text('{"verify_jwt": false}')
    with contextlib.ExitStack() as stack:
        if settings.with_heddle:
            for kind, flag in (("with", "prewarm"), ("without", "no prewarm")):
                node = Heddle(settings.folder / f"cold-{kind}", functions, "lazy", flag,
                              env=POLICIES_OFF)
                stack.callback(node.stop)
                contestants["prewarmed" if kind == "with" else "cold"] = first_call(node, kind)
        for measure in contestants.values():  # warms the disk cache; makes the first spare hosts
            measure()
        found = side_by_side(contestants, settings.rounds)
    return row(f"cold start, {runtime}", "ms", "less", found, "ms")


def first_call(node, kind):
    names = iter(range(1000))

    def measure():
        time.sleep(0.7)  # the spare host that the last call took is replaced meanwhile
        start = time.monotonic()
        status, body = ask(node.port, f"{PREFIX}/{kind}{next(names)}")
        if status != 200:
            raise RuntimeError(f"cold start: {status} {body[:300]}")
        return {"ms": (time.monotonic() - start) * 1000}

    return measure


# --- hot reload ---

def reload(settings):
    """From the end of writing a file to the first answer made by the new code, under load."""
    rows = []
    if not settings.with_heddle:
        return rows
    for runtime in ("deno", "node"):
        functions = settings.fresh("reload") / "functions"
        shutil.copytree(FUNCTIONS / f"{runtime}-hello", functions / "hello")
        (functions / "hello" / "heddle.json").write_text('{"verify_jwt": false}')
        file = functions / "hello" / entry(f"{runtime}-hello").name
        text, failed, times = file.read_text(), [], []
        with running(Heddle(settings.folder / "reload-node", functions, command="dev",
                            env=POLICIES_OFF)) as (node,):
            path = f"{PREFIX}/hello"
            wait_until(lambda: ask(node.port, path)[0] == 200, "the first answer")

            def load():
                status, body = ask(node.port, path)
                if status != 200:
                    failed.append((status, body))

            with Background(load):
                for n in range(settings.rounds * 2):
                    time.sleep(0.5)
                    word = f"round {n}"
                    file.write_text(text.replace("Hello, world!", word))
                    start = time.monotonic()
                    wait_until(lambda: word.encode() in ask(node.port, path)[1], "the new code")
                    times.append((time.monotonic() - start) * 1000)
        rows.append({"what": f"save to first fresh answer, {runtime}", "unit": "ms",
                     "better": "less", "heddle": statistics.median(times)})
        rows.append({"what": f"failed requests while reloading, {runtime}", "unit": "requests",
                     "better": "less", "heddle": len(failed)})
    return rows


# --- many functions, many connections ---

def start_many(settings):
    """From exec to the first answer with 1,000 functions in the folder."""
    if not settings.with_heddle:
        return []
    functions = many_functions(settings.fresh("start") / "functions", 1000)

    def measure():
        with running(Heddle(settings.folder / "start-node", functions, "lazy", "prewarm",
                            env=POLICIES_OFF)) as (node,):
            wait_until(lambda: ask(node.port, f"{PREFIX}/f500")[0] == 200, "the first answer")
            return {"ms": (time.monotonic() - node.started) * 1000}

    measure()
    found = side_by_side({"heddle": measure}, settings.rounds)
    return [row("start with 1,000 functions to first answer", "ms", "less", found, "ms")]


def memory(settings):
    """Resident memory: idle, with 1,000 functions, and for an idle connection."""
    rows = []
    if not settings.with_heddle:
        return rows
    for count in (0, 1000):
        functions = many_functions(settings.fresh("memory") / "functions", count)
        functions.mkdir(exist_ok=True)
        with running(Heddle(settings.folder / "memory-node", functions, "lazy", "no prewarm",
                            env=POLICIES_OFF)) as (node,):
            wait_until(lambda: ask(node.port, "/")[0] == 200, "an answer")
            time.sleep(0.5)
            idle = rss_kb(node.gateway_pids())
            rows.append({"what": f"idle node, {count:,} functions", "unit": "MB", "better": "less",
                         "heddle": idle / 1024})
            if count == 0:
                open_and_ask(node.port, 200)  # what is allocated once is not a connection's
                before = rss_kb(node.gateway_pids())
                held = open_and_ask(node.port, IDLE_CONNECTIONS)
                time.sleep(0.5)
                used = (rss_kb(node.gateway_pids()) - before) / len(held)
                rows.append({"what": "idle connection", "unit": "KB", "better": "less",
                             "heddle": used})
                for s in held:
                    s.close()
    return rows


def open_and_ask(port, count):
    """Keep-alive connections that have each had one answer."""
    held = []
    for _ in range(count):
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
        if not s.recv(4096).startswith(b"HTTP/1.1 200"):
            raise RuntimeError("a connection was not served")
        held.append(s)
    return held


def scale(settings):
    """Cost of a request as the number of functions grows."""
    if not settings.with_heddle:
        return []
    settings.fresh("scale")
    with contextlib.ExitStack() as stack:
        contestants = {}
        for count in FUNCTION_COUNTS:
            functions = many_functions(settings.folder / "scale" / str(count), count)
            node = Heddle(settings.folder / f"scale-{count}", functions, "lazy", "no access log",
                          env=POLICIES_OFF)
            stack.callback(node.stop)
            url, pids = f"{node.url}/f{count // 2}", node.gateway_pids()
            wait_until(lambda n=node, c=count: ask(n.port, f"{PREFIX}/f{c // 2}")[0] == 200, "f")
            contestants[str(count)] = (
                lambda url=url, pids=pids: wrk(url, settings.seconds, pids=pids))
            contestants[str(count)]()
        found = side_by_side(contestants, settings.rounds)
    return [{"what": f"GET with {count:,} functions", "unit": unit, "better": better,
             "heddle": found[str(count)][key]}
            for count in FUNCTION_COUNTS
            for unit, better, key in (("requests/s", "more", "rps"),
                                      ("gateway CPU µs/request", "less", "cpu_us"))]


PARTS = {
    "hello": lambda s: throughput(s, "hello", 0),
    "echo256": lambda s: throughput(s, "echo", 256),
    "echo64k": lambda s: throughput(s, "echo", 65536),
    "cold": cold,
    "reload": reload,
    "start": start_many,
    "memory": memory,
    "scale": scale,
    "store": store,
    **LAMBDA_PARTS,
    **LANE_PARTS,
}
