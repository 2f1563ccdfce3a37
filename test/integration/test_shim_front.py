"""Programs that take events at a front door of their own, as the emulator of the service's runtime
interface does, behind heddle-shim."""

import base64
import json

import pytest

import shimdriver
from hostdriver import free_port

SERVER = """#!/usr/bin/python3
import http.server, json, os, sys, time
class Door(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/2015-03-31/functions/function/invocations", self.path
        print("served", event, flush=True)
        fields = {n.lower(): v for n, v in self.headers.items()}
        if event.get("exit"):
            os._exit(event["exit"])
        if event.get("sleep"):
            time.sleep(event["sleep"])
        answer = json.dumps({"event": event, "fields": fields}).encode()
        if "answer" in event:
            answer = event["answer"].encode()
        if event.get("size"):
            answer = b'"' + b"x" * event["size"] + b'"'
        self.send_response(event.get("status", 200))
        self.send_header("Content-Type", event.get("type", "application/json"))
        if event.get("error"):
            self.send_header("X-Amz-Function-Error", "Unhandled")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *args):
        pass
time.sleep(float(os.environ.get("LATE", "0")))
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["DOOR"])), Door).serve_forever()
"""


@pytest.fixture
def start(tmp_path):
    shims = shimdriver.Shims(tmp_path)
    yield shims
    shims.end()


def with_door(start, text=SERVER, **env):
    port = free_port()
    shim = start(text, args=("--front", str(port)))
    return shim.loaded(env={"DOOR": str(port), **env})


def test_events_are_posted_and_answers_are_results(start):
    shim = with_door(start)
    for n in range(3):
        answer = shim.invoke({"n": n}, id=f"id-{n}")
        assert (answer.status, answer.field("x-heddle-function-error")) == (200, None)
        assert answer.json()["event"] == {"n": n}
        shim.wait_line(f"served {{'n': {n}}}", f"id-{n}")
    context = base64.b64encode(b'{"custom":{"a":1}}').decode()
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"
    fields = shim.invoke({}, id="one", fields=[("x-heddle-trace", trace),
                                               ("x-heddle-client-context", context)]).json()["fields"]
    assert fields["x-amzn-trace-id"] == trace and fields["x-amz-client-context"] == context
    assert fields["lambda-runtime-aws-request-id"] == "one"
    answer = shim.invoke({"answer": "plain", "type": "text/plain"})
    assert answer.body == b"plain" and answer.field("content-type") == "text/plain"
    big = shim.invoke({"size": 5_000_000})
    assert len(big.body) == 5_000_002
    # an answer that looks like an error is none
    answer = shim.invoke({"answer": '{"errorMessage": "no"}'})
    assert answer.field("x-heddle-function-error") is None
    assert shim.stop() == 0


def test_one_that_listens_late_is_waited_for(start):
    shim = with_door(start, LATE="0.5")
    assert shim.invoke({"a": 1}).json()["event"] == {"a": 1}


def test_errors_are_told_by_status_and_field(start):
    shim = with_door(start)
    said = '{"errorType": "Mine", "errorMessage": "no"}'
    for event in ({"error": True, "answer": said}, {"status": 502, "answer": said}):
        answer = shim.invoke(event)
        assert answer.field("x-heddle-function-error") == "Unhandled", event
        assert answer.json() == {"errorType": "Mine", "errorMessage": "no"}
    answer = shim.invoke({"status": 500, "answer": "nothing here"})
    assert answer.field("x-heddle-function-error") == "Unhandled"
    assert "answered with status 500" in answer.json()["errorMessage"]
    answer = shim.invoke({"size": 6 * 1024 * 1024 + 200})
    assert answer.json()["errorType"] == "Function.ResponseSizeTooLarge"
    assert shim.invoke({"after": 1}).json()["event"] == {"after": 1}


def test_an_exit_is_told(start):
    shim = with_door(start)
    answer = shim.invoke({"exit": 3}, id="x")
    assert answer.field("x-heddle-function-error") == "Unhandled"
    assert "exit status 3" in answer.json()["errorMessage"]
    shim.ended()


def test_a_deadline_ends_it(start):
    shim = with_door(start)
    answer = shim.invoke({"sleep": 60}, deadline_ms=300)
    assert "timed out" in answer.json()["errorMessage"]
    shim.ended()


@pytest.mark.parametrize("late", ["0", "0.5"])
def test_who_calls_the_runtime_api_is_given_events_there(start, late):
    """Also when something that is no such door listens there long before."""
    shim = with_door(start, LATE=late, text=shimdriver.PYTHON_BOOTSTRAP + """
import threading, http.server
class Door(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_error(404)
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["DOOR"])), Door)
threading.Thread(target=server.serve_forever, daemon=True).start()
time.sleep(float(os.environ["LATE"]))
loop(lambda event: api.respond(event.id, event.text))
""")
    for n in range(3):
        assert shim.invoke({"n": n}).json() == {"n": n}


def test_who_calls_it_late_is_given_events_there_from_then_on(start):
    shim = with_door(start, shimdriver.PYTHON_BOOTSTRAP + """
import threading, http.server
class Door(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        called.set()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'"door"')
    def log_message(self, *args):
        pass
called = threading.Event()
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["DOOR"])), Door)
threading.Thread(target=server.serve_forever, daemon=True).start()
called.wait()
loop(lambda event: api.respond(event.id, json.dumps("api")))
""")
    assert shim.invoke({}).json() == "door"
    shimdriver.wait_for(lambda: shim.invoke({}).json() == "api", "events by the Runtime API")
    assert shim.invoke({}).json() == "api"


def test_one_that_never_listens_is_too_late(start):
    port = free_port()
    shim = start("#!/bin/sh\nsleep 60\n", args=("--front", str(port)))
    answer = shim.load(lambda_={"initTimeoutMs": 300})
    assert answer.status == 200
    answer = shim.invoke({}, deadline_ms=500)
    assert "timed out" in answer.json()["errorMessage"]
