"""What is measured of the Lambda API."""

import contextlib
import itertools
import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from lambda_node import (API, EVENT, KINDS, LambdaHost, LambdaNode, RuntimeApi, build, drain, files,
                         load, package, request)
from load import side_by_side, wrk
from servers import BARE, rss_kb, wait_until

CONCURRENCIES = (1, 8, 64)
MANY = 1000
STREAM_MIB = 64


@contextlib.contextmanager
def node(settings, name, *flags):
    build()
    started = LambdaNode(settings.fresh(name), *flags)
    try:
        yield started
    finally:
        started.stop()


def row(what, unit, better, **numbers):
    return {"what": what, "unit": unit, "better": better, **numbers}


# --- Invoke beside the same handler called directly ---

def invoke(settings):
    """Requests/s, p50 and p99 of Invoke, at three concurrencies, of a handler that does nothing."""
    rows = []
    for kind in KINDS:
        for concurrency in CONCURRENCIES:
            rows += invoke_of(settings, kind, concurrency)
    return rows + door(settings)


def direct_of(settings, kind, concurrency):
    """What measures the handler without a node: as many hosts as events under way."""
    folder = settings.fresh("direct")
    if kind == "shell":
        program = folder / "bootstrap"
        program.write_text(files(kind)["bootstrap"])
        program.chmod(0o755)
        return lambda seconds: RuntimeApi(program, concurrency, folder).measure(seconds), []
    hosts = [LambdaHost(kind, folder / str(n)) for n in range(concurrency)]
    ports = [host.port for host in hosts]
    return lambda seconds: load(seconds, concurrency, folder, request("/", EVENT), ports), hosts


def invoke_of(settings, kind, concurrency):
    seconds = max(1, settings.seconds // 4)
    contestants = {}
    with contextlib.ExitStack() as stack:
        direct, hosts = direct_of(settings, kind, concurrency)
        for host in hosts:
            stack.callback(host.stop)
        contestants["direct"] = lambda: direct(seconds)
        if settings.with_heddle:
            server = stack.enter_context(node(settings, "invoke"))
            server.make("noop", kind)
            sent = request(f"{API}/noop/invocations")
            contestants["heddle"] = lambda: load(seconds, concurrency, server.folder, sent,
                                                 [server.control])
        for measure in contestants.values():  # all instances start
            measure()
        found = side_by_side(contestants, settings.rounds)
    what = f"Invoke {kind}, {concurrency} at once"
    return [row(what, unit, better, **{name: numbers[key] for name, numbers in found.items()})
            for unit, better, key in (("requests/s", "more", "rps"), ("p50 µs", "less", "p50_us"),
                                      ("p99 µs", "less", "p99_us"))]


def door(settings):
    """Invoke of the function in C, with another load generator."""
    if not settings.with_heddle:
        return []
    with node(settings, "door") as server:
        server.make("noop", "c")
        url = f"http://127.0.0.1:{server.control}{API}/noop/invocations"
        wrk(url, 1, 16)
        found = side_by_side({"heddle": lambda: wrk(url, max(1, settings.seconds // 2), 16,
                                                    pids=server.gateway_pids())}, settings.rounds)
    return [row("Invoke c by wrk, 64 at once", unit, better, heddle=found["heddle"][key])
            for unit, better, key in (("requests/s", "more", "rps"), ("p50 ms", "less", "p50_ms"),
                                      ("p99 ms", "less", "p99_ms"),
                                      ("gateway CPU µs/request", "less", "cpu_us"))]


# --- cold start ---

BARE_OF = {"node": BARE["node"], "python": ["/usr/bin/python3", "-c", "pass"]}


def cold(settings):
    """The first Invoke of a function, beside starting the bare runtime."""
    return [cold_of(settings, kind) for kind in ("node", "python", "c")]


def cold_of(settings, kind):
    build()
    program = BARE_OF.get(kind)
    if program is None:
        bare_file = settings.fresh("bare") / "bootstrap"
        bare_file.write_bytes(files(kind)["bootstrap"])
        bare_file.chmod(0o755)
        program = [str(bare_file), "{}"]

    def bare():
        begin = time.monotonic()
        subprocess.run(program, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        return {"ms": (time.monotonic() - begin) * 1000}

    contestants = {"bare": bare}
    with contextlib.ExitStack() as stack:
        if settings.with_heddle:
            for name, flag in (("prewarmed", "prewarm"), ("cold", "no prewarm")):
                server = stack.enter_context(node(settings, f"cold-{name}", flag))
                contestants[name] = first_invoke(server, kind, settings.rounds + 1,
                                                 spare=2 if flag == "prewarm" else 0)
        for measure in contestants.values():  # the disk cache
            measure()
        found = side_by_side(contestants, settings.rounds)
    return row(f"first Invoke, {kind}", "ms", "less",
               **{name: numbers["ms"] for name, numbers in found.items()})


def first_invoke(server, kind, count, spare):
    names = itertools.count()
    for n in range(count):
        server.make(f"f{n}", kind)

    def measure():
        time.sleep(0.3)  # what the last call left behind is tidied up
        wait_until(lambda: server.metrics()["heddle_prewarm_hosts"] >= spare, "a spare host")
        name = f"f{next(names)}"
        begin = time.monotonic()
        server.invoke(name)
        return {"ms": (time.monotonic() - begin) * 1000}

    return measure


# --- many functions ---

def many(settings):
    """A thousand functions: made, listed, each invoked once."""
    if not settings.with_heddle:
        return []
    with node(settings, "many", "prewarm") as server:
        begin = time.monotonic()
        code = package("c")
        names = [f"f{n}" for n in range(MANY)]

        def made(name):
            server.make(name, "c", code=code)

        def called(name):
            server.invoke(name)

        idle = rss_kb(server.gateway_pids()) / 1024
        took = {}
        with ThreadPoolExecutor(8) as pool:
            for what, work in (("created", made), ("invoked once", called)):
                begin = time.monotonic()
                list(pool.map(work, names))
                took[what] = (time.monotonic() - begin) * 1000 / MANY
                if what == "created":
                    resting = rss_kb(server.gateway_pids()) / 1024
                    begin = time.monotonic()
                    listed = list_all(server)
                    took["listed, all of them"] = (time.monotonic() - begin) * 1000
                    if len(listed) != MANY:
                        raise RuntimeError(f"{len(listed)} functions are listed")
        used = rss_kb(server.gateway_pids()) / 1024
    return [row(f"{MANY:,} functions, {what}", "ms" if "listed" in what else "ms each", "less",
                heddle=ms) for what, ms in took.items()] + [
        row(f"{MANY:,} functions, node's memory: {when}", "MB", "less", heddle=mb)
        for when, mb in (("none yet", idle), ("created", resting), ("each invoked", used))]


def list_all(server):
    found, marker = [], ""
    while marker is not None:
        page = json.loads(server.want(200, "GET", f"/2015-03-31/functions/?{marker}"))
        found += page["Functions"]
        marker = page.get("NextMarker") and f"Marker={page['NextMarker']}"
    return found


# --- asynchronous invocation ---

def asynchronous(settings):
    """Events accepted, each on disk before its 202, and all of them run."""
    if not settings.with_heddle:
        return []
    with node(settings, "async") as server:
        server.make("noop", "c")
        server.invoke("noop")
        sent = request(f"{API}/noop/invocations", (("X-Amz-Invocation-Type", "Event"),))
        found = side_by_side({"heddle": lambda: burst(server, sent)}, settings.rounds)["heddle"]
    return [row("asynchronous Invoke, 64 at once", unit, better, heddle=found[key])
            for unit, better, key in (("events/s accepted", "more", "accepted"),
                                      ("events/s run", "more", "run"),
                                      ("p50 µs", "less", "p50_us"), ("p99 µs", "less", "p99_us"))]


def burst(server, sent):
    """One second of events, and the wait until the last one has run."""
    before = invocations(server)
    begin = time.monotonic()
    found = load(1, 64, server.folder, sent, [server.control], status=202)
    wait_until(lambda: invocations(server) - before >= found["sent"], "all events have run",
               timeout=300)
    return {"accepted": found["rps"], "run": found["sent"] / (time.monotonic() - begin),
            "p50_us": found["p50_us"], "p99_us": found["p99_us"]}


def invocations(server):
    return sum(value for name, value in server.metrics().items()
               if name.startswith("heddle_lambda_invocations_total"))


# --- streaming ---

def streaming(settings):
    """A streamed answer of the function in C: from it directly, and by InvokeWithResponseStream."""
    build()
    event = json.dumps({"mib": STREAM_MIB}).encode()
    contestants = {}
    with contextlib.ExitStack() as stack:
        host = LambdaHost("c", settings.fresh("stream-direct") / "host")
        stack.callback(host.stop)
        stream = (*(pair for pair in EVENT if pair[0] != "x-heddle-event"),
                  ("x-heddle-event", "stream"))
        contestants["direct"] = lambda: drain(host.port, request("/", stream, event))
        if settings.with_heddle:
            server = stack.enter_context(node(settings, "stream"))
            server.make("noop", "c")
            path = "/2021-11-15/functions/noop/response-streaming-invocations"
            contestants["heddle"] = lambda: drain(server.control, request(path, (), event))
        for measure in contestants.values():
            measure()
        found = side_by_side(contestants, settings.rounds)
    return [row(f"streamed answer of {STREAM_MIB} MiB", "MB/s", "more",
                **{name: numbers["mb_s"] for name, numbers in found.items()})]


LAMBDA_PARTS = {
    "lambda-invoke": invoke,
    "lambda-cold": cold,
    "lambda-many": many,
    "lambda-async": asynchronous,
    "lambda-stream": streaming,
}
