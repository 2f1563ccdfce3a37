"""What is measured of the lanes: events through each kind of queue, calls of tasks over HTTP."""

import base64
import contextlib
import hashlib
import hmac
import json
import subprocess
import sys
import time

from lambda_node import BUILT, LambdaNode, build, load, request
from load import side_by_side
from servers import ROOT, free_port, wait_until

sys.path.append(str(ROOT / "test/integration"))
import rabbit  # noqa: E402 - the broker of the tests

ENVELOPE = 260  # bytes of a message beside its payload
SIZES = (200, 4096)
COUNTS = {"memory": (300_000, 100_000), "sqlite": (40_000, 20_000), "rabbitmq": (15_000, 10_000)}
AT_ONCE = 64
SECRET = "only-the-benchmark-knows-this-lane"
INPUT = b'{"input":{}}'

CONFIG = """
lanes:
  profile: {profile}
  profiles: {{ server: {{ serve: [open, hs256, eddsa] }}, client: {{}} }}
  tasks:
{tasks}
  rpc_lanes: {{ open: {{}}, hs256: {{}}, eddsa: {{}} }}
  communicators: {{ peer: {{ base_url: 'http://127.0.0.1:{port}/__runner', token: edge, pool: 64 }} }}
  bindings:
    - {{ lane: open, communicator: peer }}
    - {{ lane: hs256, communicator: peer, auth: {{ secret: {secret} }} }}
    - {{ lane: eddsa, communicator: peer, auth: {{ mode: jwt_asymmetric, algorithm: EdDSA,
        private_key_file: {key}, public_key_file: {key}.pub }} }}
"""
EXPOSURE = "  exposure: {{ http: {{ listen: {{ port: {port} }}, auth: {{ tokens: [edge] }} }} }}\n"
LANES = ("open", "hs256", "eddsa")
KINDS = ("c", "node")


def run(*command, cwd=None):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, timeout=300, cwd=cwd)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: {done.stderr[-2000:]}")
    return done.stdout


def build_lanes():
    build()
    run("ninja", "-C", ROOT / "build", "bench/lane_events", "bench/lane_bare", "bench/lane_calls")


def row(what, unit, better, **numbers):
    return {"what": what, "unit": unit, "better": better, **numbers}


# --- events ---

def events_of(settings, driver, count, size, *where):
    folder = settings.fresh("lane-events")
    return {"rps": float(run(BUILT / "lane_events", driver, count, size, *where, cwd=folder))}


def bare_of(count, size, url):
    return {"rps": float(run(BUILT / "lane_bare", count, size + ENVELOPE, url))}


@contextlib.contextmanager
def broker(settings):
    """RabbitMQ's URL, or None where there is none."""
    if rabbit.why_not() is not None:
        print(f"without RabbitMQ: {rabbit.why_not()}", file=sys.stderr)
        yield None
        return
    started = rabbit.Rabbit(settings.fresh("rabbit"))
    try:
        yield started.start().url
    finally:
        started.kill()


def events(settings, url):
    rows = []
    for driver, counts in COUNTS.items():
        for size, count in zip(SIZES, counts):
            if driver == "rabbitmq" and url is None:
                continue
            where = {"memory": (), "sqlite": ("heddle.db",), "rabbitmq": (url,)}[driver]
            contestants = {"heddle": lambda d=driver, c=count, s=size, w=where:
                           events_of(settings, d, c, s, *w)}
            if driver == "rabbitmq":
                contestants["direct"] = lambda c=count, s=size: bare_of(c, s, url)
            found = side_by_side(contestants, settings.rounds)
            rows.append(row(f"event lane, {driver}, {size:,} B", "events/s", "more",
                            **{name: numbers["rps"] for name, numbers in found.items()}))
    return rows


# --- calls ---

def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def lane_token(lane, task, key):
    """A token for the one body that is sent, good for an hour."""
    if lane == "open":
        return None
    now = int(time.time())
    claims = {"lane": lane, "cap": "produce", "kind": "rpc-task", "target": f"app.tasks.{task}",
              "hash": part(hashlib.sha256(INPUT).digest()), "iat": now, "exp": now + 3600}
    alg = "HS256" if lane == "hs256" else "EdDSA"
    text = ".".join(part(json.dumps(p, separators=(",", ":")).encode())
                    for p in ({"alg": alg, "typ": "JWT"}, claims))
    if lane == "hs256":
        signature = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()
    else:
        (key.parent / "text").write_text(text)
        run("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", key.parent / "text",
            "-out", key.parent / "signature")
        signature = (key.parent / "signature").read_bytes()
    return f"{text}.{part(signature)}"


def write_config(path, profile, port, key):
    remote = "remote: true" if profile == "client" else "function: noop-{kind}"
    tasks = "\n".join(
        f"    {kind}-{lane}: {{ {remote.format(kind=kind)}, lane: {lane} }}"
        for kind in KINDS for lane in LANES)
    text = CONFIG.format(profile=profile, tasks=tasks, port=port, secret=SECRET, key=key)
    path.write_text(text + (EXPOSURE.format(port=port) if profile == "server" else ""))


def serving(server, port, kind, lane, key, seconds):
    """Requests of a client that does nothing but send them."""
    task = f"{kind}-{lane}"
    token = lane_token(lane, task, key)
    fields = [("x-runner-token", "edge"), *([("authorization", f"Bearer {token}")] if token else [])]
    sent = request(f"/__runner/task/app.tasks.{task}", fields, INPUT)
    return lambda: load(seconds, AT_ONCE, server.folder, sent, [port])


def calls(settings):
    folder, port = settings.fresh("lane-calls"), free_port()
    key = folder / "key.pem"
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", key)
    run("openssl", "pkey", "-in", key, "-pubout", "-out", f"{key}.pub")
    write_config(folder / "heddle.yml", "server", port, key)
    write_config(folder / "client.yml", "client", port, key)
    seconds = max(1, settings.seconds // 4)
    contestants = {}
    with contextlib.ExitStack() as stack:
        server = LambdaNode(folder)
        stack.callback(server.stop)
        for kind in KINDS:
            server.make(f"noop-{kind}", kind)
        for kind in KINDS:
            for lane in LANES:
                contestants[f"{kind}, {lane}"] = serving(server, port, kind, lane, key, seconds)
        for lane in LANES:
            contestants[f"client, {lane}"] = lambda lane=lane: json.loads(
                run(BUILT / "lane_calls", folder / "client.yml", f"app.tasks.c-{lane}", 20000))
        for measure in contestants.values():  # all instances start
            measure()
        found = side_by_side(contestants, settings.rounds)
    names = {"open": "no lane auth", "hs256": "HS256", "eddsa": "EdDSA"}
    rows = []
    for name, numbers in found.items():
        who, lane = name.split(", ")
        what = ("a node calls a node, function in c" if who == "client"
                else f"task served, function in {who}") + ", " + names[lane]
        rows += [row(what, unit, better, heddle=numbers[key])
                 for unit, better, key in (("calls/s", "more", "rps"), ("p99 µs", "less", "p99_us"))]
    return rows


def lanes(settings):
    if not settings.with_heddle:
        return []
    build_lanes()
    with broker(settings) as url:
        rows = events(settings, url)
    return rows + calls(settings)


LANE_PARTS = {"lanes": lanes}
