"""The Telemetry API and the Logs API of heddle-shim: extensions get what happens in batches."""

import json

import pytest

import shimdriver
from hostdriver import free_port
from shimdriver import PYTHON_BOOTSTRAP, wait_for

ECHO = """
def handle(event):
    print("line", event.text.decode(), flush=True)
    api.respond(event.id, event.text)
loop(handle)
"""

# Receives batches, and prints each event as "got {json}".
RECEIVER = PYTHON_BOOTSTRAP + """
import http.server, threading
EXT = "/2020-01-01/extension"
registered = api.call("POST", EXT + "/register", '{"events": ["INVOKE", "SHUTDOWN"]}',
                      {"Lambda-Extension-Name": os.path.basename(sys.argv[0])})
ID = {"Lambda-Extension-Identifier": registered.headers["Lambda-Extension-Identifier"]}
STATUS = [200]
batches = []

class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        events = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = STATUS.pop(0) if len(STATUS) > 1 else STATUS[0]
        if status == 200:
            batches.append(events)
            os.write(1, b"".join(b"got " + json.dumps([self.path, e]).encode() + b"\\n" for e in events))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass

def subscribe(port, types, api_path="/2022-07-01/telemetry", **more):
    body = {"schemaVersion": "2022-12-13", "types": types, "buffering": {"timeoutMs": 25},
            "destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{port}/in"}, **more}
    return api.call("PUT", api_path, json.dumps(body), ID)

def serve(port):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()

def events():
    while True:
        event = json.loads(api.call("GET", EXT + "/event/next", headers=ID).text)
        if event["eventType"] == "SHUTDOWN":
            time.sleep(0.3)
            return
"""


@pytest.fixture
def start(tmp_path):
    shims = shimdriver.Shims(tmp_path)
    yield shims
    shims.end()


def got(shim, type=None):
    events = [json.loads(m[4:])[1] for m in shim.lines() if m.startswith("got ")]
    return [e for e in events if type is None or e["type"] == type]


def receiver(*lines):
    port = free_port()
    return RECEIVER + f"port = {port}\nserve(port)\n" + "\n".join(lines) + "\nevents()\n"


def test_everything_that_happens(start):
    shim = start.python("print('in init', flush=True)\n" + ECHO, extensions={"ext": receiver(
        "answer = subscribe(port, ['platform', 'function'])",
        "print('said', answer.status, answer.text.decode(), flush=True)")}).loaded()
    for n in range(2):
        assert shim.invoke(n, id=f"id-{n}").json() == n
    wait_for(lambda: len(got(shim, "platform.report")) == 2)
    assert 'said 200 "OK"' in shim.lines()
    types = [e["type"] for e in got(shim)]
    assert types == ["platform.initStart", "platform.telemetrySubscription", "platform.extension",
                     "function", "platform.initRuntimeDone", "platform.initReport",
                     *["platform.start", "function", "platform.runtimeDone", "platform.report"] * 2] or \
        sorted(types) == sorted(["platform.initStart", "platform.telemetrySubscription",
                                 "platform.extension", "function", "platform.initRuntimeDone",
                                 "platform.initReport", *["platform.start", "function",
                                                          "platform.runtimeDone", "platform.report"] * 2])
    assert [e["record"] for e in got(shim, "function")] == ["in init", "line 0", "line 1"]
    assert got(shim, "platform.extension")[0]["record"] == {
        "name": "ext", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]}
    assert got(shim, "platform.telemetrySubscription")[0]["record"] == {
        "name": "ext", "state": "Subscribed", "types": ["platform", "function"]}
    assert got(shim, "platform.start")[1]["record"] == {"requestId": "id-1", "version": "$LATEST"}
    done = got(shim, "platform.runtimeDone")[0]["record"]
    assert (done["requestId"], done["status"]) == ("id-0", "success")
    assert done["metrics"]["producedBytes"] == 1 and done["metrics"]["durationMs"] > 0
    first, second = (e["record"]["metrics"] for e in got(shim, "platform.report"))
    assert first["memorySizeMB"] == 128 and first["maxMemoryUsedMB"] > 0
    assert first["billedDurationMs"] >= first["durationMs"]
    assert first["initDurationMs"] > 0 and "initDurationMs" not in second
    assert all(e["time"].endswith("Z") and len(e["time"]) == 24 for e in got(shim))
    assert shim.stop() == 0


def test_only_what_was_asked_for(start):
    shim = start.python(ECHO, extensions={"ext": receiver("subscribe(port, ['function'])")}).loaded()
    assert shim.invoke(7).json() == 7
    wait_for(lambda: got(shim))
    assert {e["type"] for e in got(shim)} == {"function"}


def test_lines_of_extensions(start):
    shim = start.python(ECHO, extensions={"ext": receiver("subscribe(port, ['platform'])"),
                                          "talks": PYTHON_BOOTSTRAP + """
registered = api.call("POST", "/2020-01-01/extension/register", '{"events": []}',
                      {"Lambda-Extension-Name": "talks"})
print("I am here", flush=True)
ID = {"Lambda-Extension-Identifier": registered.headers["Lambda-Extension-Identifier"]}
api.call("GET", "/2020-01-01/extension/event/next", headers=ID)
""", "hears": receiver("subscribe(port, ['extension'])").replace(
        'os.write(1, b"".join', 'open(os.environ["SEEN"], "ab").write(b"".join')}).loaded(
            env={"SEEN": str(start.folder / "seen")})
    seen = lambda: (start.folder / "seen").read_text() if (start.folder / "seen").exists() else ""
    wait_for(lambda: "I am here" in seen())
    assert {json.loads(line[4:])[1]["type"] for line in seen().splitlines()} == {"extension"}


def test_objects_in_json_format(start):
    shim = start.python("""
def handle(event):
    print('{"level": "INFO", "n": 1}', flush=True)
    print("no object", flush=True)
    api.respond(event.id, "1")
loop(handle)
""", extensions={"ext": receiver("subscribe(port, ['function'])")}).loaded(
        env={"AWS_LAMBDA_LOG_FORMAT": "JSON"})
    shim.invoke({})
    wait_for(lambda: len(got(shim)) == 2)
    assert [e["record"] for e in got(shim)] == [{"level": "INFO", "n": 1}, "no object"]


def test_the_logs_api(start):
    shim = start.python(ECHO, extensions={"ext": receiver(
        "subscribe(port, ['platform', 'function'], '/2020-08-15/logs', schemaVersion='2021-03-18')")}).loaded()
    assert shim.invoke(1, id="id-1").json() == 1
    wait_for(lambda: got(shim, "platform.report"))
    types = {e["type"] for e in got(shim)}
    assert "platform.end" in types and "platform.logsSubscription" in types
    assert not [t for t in types if t.startswith("platform.init")]


@pytest.mark.parametrize("change, words", [
    ("types=[]", "types"),
    ("types=['other']", "types[0]"),
    ("buffering={'maxItems': 5}", "buffering.maxItems"),
    ("destination={'protocol': 'TCP'}", "destination.protocol"),
    ("destination={'protocol': 'HTTP', 'URI': 'http://example.com:80/'}", "destination.URI"),
])
def test_refusals(start, change, words):
    shim = start.python(ECHO, extensions={"ext": receiver(
        f"more = dict({change})",
        "answer = subscribe(port, more.pop('types', ['platform']), **more)",
        "print('said', answer.status, answer.text.decode(), flush=True)")}).loaded()
    said = shim.wait_line("said 400")["msg"]
    assert "ValidationError" in said and words in said


def test_it_is_too_late_after_init(start):
    shim = start.python(ECHO, extensions={"ext": RECEIVER + """
api.call("GET", EXT + "/event/next", headers=ID)
answer = subscribe(1, ["platform"])
print("said", answer.status, answer.text.decode(), flush=True)
events()
"""}).loaded()
    shim.invoke(1)
    assert "Telemetry.SubscriptionClosed" in shim.wait_line("said 403")["msg"]


def test_a_receiver_that_fails_is_asked_again(start):
    shim = start.python(ECHO, extensions={"ext": receiver(
        "STATUS[:] = [500, 503, 200]", "subscribe(port, ['function'])")}).loaded()
    assert shim.invoke(1).json() == 1
    wait_for(lambda: got(shim))
    assert [e["record"] for e in got(shim)] == ["line 1"]


def test_what_cannot_be_delivered_is_counted(start):
    """Three times refused: dropped, and told when it works again."""
    shim = start.python(ECHO, extensions={"ext": receiver(
        "STATUS[:] = [500, 500, 500, 200]", "subscribe(port, ['function'])")}).loaded()
    assert shim.invoke(1).json() == 1
    dropped = wait_for(lambda: got(shim, "platform.logsDropped"))[0]["record"]
    assert dropped["droppedRecords"] == 1 and dropped["droppedBytes"] > 0
    assert shim.invoke(2).json() == 2
    wait_for(lambda: [e["record"] for e in got(shim, "function")] == ["line 2"])


def test_nobody_receives(start):
    """A port where nothing listens stops nobody."""
    shim = start.python(ECHO, extensions={"ext": RECEIVER +
                                          f"subscribe({free_port()}, ['platform', 'function'])\nevents()\n"}).loaded()
    for n in range(5):
        assert shim.invoke(n).json() == n
    assert shim.stop() == 0


def test_the_end_is_told_too(start):
    """What happened last arrives while the extension shuts down."""
    shim = start.python("loop(lambda event: time.sleep(1000))\n", extensions={
        "ext": receiver("subscribe(port, ['platform'], buffering={'timeoutMs': 30000})")}).loaded()
    assert shim.invoke({}, deadline_ms=400).json()["errorType"] == "Sandbox.Timedout"
    assert shim.ended() == 1
    report = got(shim, "platform.report")[0]["record"]
    assert report["status"] == "timeout" and report["metrics"]["durationMs"] >= 300
