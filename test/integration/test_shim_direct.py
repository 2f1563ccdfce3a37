"""Functions that speak the host protocol themselves and take the node's socket from heddle-shim."""

import json
import os

import pytest

import shimdriver
from hostdriver import Connection
from shimdriver import PYTHON_BOOTSTRAP, is_running

# Answers every request with what it was, over a socket of its own.
DIRECT = PYTHON_BOOTSTRAP + """
import socketserver
path, token = os.environ.pop("HEDDLE_DIRECT_SOCKET"), os.environ.pop("HEDDLE_DIRECT_TOKEN")
fd = int(os.environ.pop("HEDDLE_DIRECT_FD"))

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while line := self.rfile.readline():
            fields = {}
            while (field := self.rfile.readline().strip()):
                name, value = field.decode().split(":", 1)
                fields[name.lower()] = value.strip()
            body = self.rfile.read(int(fields.get("content-length", 0))).decode()
            print("request", line.decode().strip(), flush=True)
            record = {"id": fields.get("x-heddle-id"), "level": "warn", "msg": "mine" + body, "ts": 1}
            os.write(2, b"\\x1e" + token.encode() + b" " + json.dumps(record).encode() + b"\\n")
            said = json.dumps({"pid": os.getpid(), "line": line.decode().strip(), "body": body,
                               "mine": fields.get("x-heddle-token") == token}).encode()
            self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(said) + said)

class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

def finish(*_):
    print("finishes", flush=True)
    time.sleep(0.2)
    os._exit(0)
signal.signal(signal.SIGTERM, finish)
"""
TAKES = """
server = Server(path, Handler)
os.write(fd, b"direct\\n")
os.close(fd)
server.serve_forever()
"""


@pytest.fixture
def start(tmp_path):
    shims = shimdriver.Shims(tmp_path)
    yield shims
    shims.end()


def test_the_node_reaches_the_function_without_a_hop(start):
    shim = start(DIRECT + TAKES)
    old = Connection(shim.path)
    answer = shim.load()
    assert (answer.status, answer.json()["kind"]) == (200, "native")
    connection = Connection(shim.path)
    for n in range(3):
        answer = shim.invoke_on(connection, n, id=f"id-{n}").json()
        assert (answer["line"], answer["body"]) == ("POST / HTTP/1.1", str(n))
        assert answer["pid"] != shim.process.pid
    assert shim.control("GET", "/.heddle/ping").json()["mine"]
    with pytest.raises((OSError, EOFError)):
        shim.invoke_on(old, 1)
    # Lines that it made itself go through as they are; the others have no id.
    assert shim.wait_record(lambda r: r["msg"] == "mine0")["id"] == "id-0"
    assert shim.wait_record(lambda r: r["msg"] == "mine0")["level"] == "warn"
    assert shim.wait_line("request POST")["id"] is None
    assert shim.raw == []
    assert shim.stop() == 0
    shim.wait_line("finishes")
    assert not is_running(answer["pid"])


def test_a_long_record_comes_whole(start):
    shim = start(DIRECT + TAKES)
    assert shim.load().json()["kind"] == "native"
    text = json.dumps("x" * 20000)
    shim.invoke(text.encode(), id="id-1")
    assert shim.wait_record(lambda r: r["id"] == "id-1")["msg"] == "mine" + text


def test_it_ends_and_so_does_the_shim(start):
    shim = start(DIRECT + TAKES)
    assert shim.load().json()["kind"] == "native"
    pid = shim.invoke(1).json()["pid"]
    os.kill(pid, 9)
    assert shim.ended() == 1


def test_who_does_not_take_it_is_served_as_always(start):
    """It knows of the offer, and calls `next` all the same."""
    shim = start(DIRECT + "loop(lambda e: api.respond(e.id, e.text))\n").loaded()
    assert shim.invoke(1).json() == 1
    os.stat(shim.path)
    assert not os.path.exists(shim.path + ".d")
    assert shim.stop() == 0


def test_it_says_so_and_does_not_listen(start):
    shim = start(DIRECT + "os.write(fd, b'direct\\n')\ntime.sleep(1000)\n")
    assert shim.load().json()["kind"] == "init-failed"
    answer = shim.invoke({})
    assert answer.json()["errorType"] == "Runtime.InvalidEntrypoint"
    assert "no such file" in answer.json()["errorMessage"].lower()
    assert shim.ended() == 1


def test_its_init_fails(start):
    shim = start(DIRECT + """
api.call("POST", BASE + "/init/error", '{"errorType": "Mine"}')
sys.exit(1)
""")
    assert shim.load().json()["kind"] == "init-failed"
    assert shim.invoke({}).json() == {"errorType": "Mine"}
    assert shim.ended() == 1


def test_who_knows_nothing_of_it_sees_nothing_of_it(start):
    shim = start.python("loop(lambda e: api.respond(e.id, json.dumps(sorted(os.environ))))\n").loaded()
    assert not [name for name in shim.invoke({}).json() if "DIRECT" in name]


def test_there_is_no_offer_with_extensions(start):
    """They are to see every event."""
    shim = start(PYTHON_BOOTSTRAP + "# HEDDLE_DIRECT_SOCKET\n"
                 "loop(lambda e: api.respond(e.id, json.dumps(sorted(os.environ))))\n",
                 extensions={"ext": PYTHON_BOOTSTRAP + """
id = api.call("POST", "/2020-01-01/extension/register", '{"events": []}',
    {"Lambda-Extension-Name": "ext"}).headers["Lambda-Extension-Identifier"]
api.call("GET", "/2020-01-01/extension/event/next", headers={"Lambda-Extension-Identifier": id})
"""}).loaded()
    assert not [name for name in shim.invoke({}).json() if "DIRECT" in name]
