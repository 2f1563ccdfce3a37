"""Functions behind heddle-shim that do what they should not: nobody waits for ever, the caller gets
one clear answer, and nothing of them is left."""

import json
import os
import signal
import socket

import pytest

import shimdriver
from shimdriver import SHELL_BOOTSTRAP, STREAM, is_running, open_stream, read_chunks, wait_for

ECHO = "loop(lambda event: api.respond(event.id, event.text))\n"


@pytest.fixture
def start(tmp_path):
    shims = shimdriver.Shims(tmp_path)
    yield shims
    shims.end()


def failed(answer, type, *words, exits=True):
    """The one answer of an instance that ends."""
    assert answer.status == 200
    assert answer.field("x-heddle-function-error") == "Unhandled"
    assert answer.field("x-heddle-exit") == ("1" if exits else None)
    body = answer.json()
    assert body["errorType"] == type, body
    for word in words:
        assert word in body["errorMessage"], body
    return body


# In init ---------------------------------------------------------------------------------------

def init_failed(shim, **more):
    """The load succeeds, the first event is told, and the shim ends."""
    answer = shim.load(**more)
    assert (answer.status, answer.json()["kind"]) == (200, "init-failed")
    answer = shim.invoke({}, id="id-1")
    assert shim.ended() == 1
    return answer


def test_there_is_no_bootstrap(start):
    shim = start()
    body = failed(init_failed(shim), "Runtime.InvalidEntrypoint")
    assert body["errorMessage"] == ("RequestId: id-1 Error: Couldn't find valid bootstrap(s): "
                                    f"[{shim.task}/bootstrap {shim.opt}/bootstrap]")


@pytest.mark.parametrize("text, mode, words", [
    ("#!/bin/sh\n", 0o644, "permission denied"),
    ("#!/no/such/interpreter\n", 0o755, "no such file or directory"),
    ("neither a script nor a program\n", 0o755, "exec format error"),
    ("\x7fELF\x02\x01\x01" + "\0" * 11 + "\xb7" + "\0" * 45, 0o755, "exec format error"),
])
def test_a_bootstrap_that_cannot_run(start, tmp_path, text, mode, words):
    shim = start(text)
    (tmp_path / "task/bootstrap").write_bytes(text.encode("latin-1"))
    (tmp_path / "task/bootstrap").chmod(mode)
    failed(init_failed(shim), "Runtime.InvalidEntrypoint", "RequestId: id-1 Error: fork/exec", words)


def test_a_command_that_is_not_there(start):
    failed(init_failed(start(args=["--", "no-such-command"])), "Runtime.InvalidEntrypoint",
           "no-such-command: no such file or directory")


@pytest.mark.parametrize("code, words", [
    ("sys.exit(3)", "Runtime exited with error: exit status 3"),
    ("os._exit(0)", "Runtime exited without providing a reason"),
    ("os.kill(os.getpid(), signal.SIGKILL)", "Runtime exited with error: signal: killed"),
])
def test_it_exits_in_init(start, code, words):
    shim = start.python(f"print('last words', flush=True)\n{code}\n")
    body = failed(init_failed(shim), "Runtime.ExitError")
    assert body["errorMessage"] == f"RequestId: id-1 Error: {words}"
    shim.wait_line("last words")


def test_it_reports_an_error_in_init(start):
    text = '{"errorType": "Mine", "errorMessage": "no luck", "trace": []}'
    shim = start.python(f"""
said = api.call("POST", BASE + "/init/error", {text!r},
                {{"Lambda-Runtime-Function-Error-Type": "Runtime.NoLuck"}})
print("said", said.status, flush=True)
time.sleep(1000)
""")
    answer = init_failed(shim)
    assert answer.body.decode() == text
    assert answer.field("x-heddle-error-type") == "Runtime.NoLuck"
    assert answer.field("x-heddle-exit") == "1"


def test_an_event_may_wait_for_the_failure(start, tmp_path):
    """Sent before the load was answered, as whoever caused the start does."""
    shim = start.python(f"""
while not os.path.exists({str(tmp_path / "go")!r}):
    time.sleep(0.01)
sys.exit(1)
""")
    load = shim.connect()
    body = json.dumps({"root": str(shim.task), "env": {"PATH": os.environ["PATH"]}}).encode()
    load.send_head("POST", "/.heddle/load", [("x-heddle-token", shim.token),
                                             ("Content-Length", str(len(body)))])
    load.send(body)
    event = shim.connect()
    wait_for(lambda: shim.control("POST", "/.heddle/load", b"{}").status == 409)
    event.send_head("POST", "/", [*shim.event_fields(), ("Content-Length", "2")])
    event.send(b"{}")
    (tmp_path / "go").touch()
    answer = load.head()
    assert json.loads(load.body(answer))["kind"] == "init-failed"
    answer = event.head()
    answer.body = event.body(answer)
    failed(answer, "Runtime.ExitError", "exit status 1")
    assert shim.ended() == 1


def test_an_init_that_takes_too_long_is_begun_again(start, tmp_path):
    """The second time it is the event's own time that goes."""
    shim = start.python(f"""
mark = {str(tmp_path / "mark")!r}
if not os.path.exists(mark):
    open(mark, "w").write(str(os.getpid()))
    time.sleep(1000)
{ECHO}""")
    answer = shim.load(lambda_={"initTimeoutMs": 300})
    assert (answer.status, answer.json()["kind"]) == (200, "provided")
    shim.wait_line("INIT_REPORT Init Duration:")
    wait_for(lambda: not is_running(int((tmp_path / "mark").read_text())))
    assert shim.invoke(1).json() == 1
    assert shim.invoke(2).json() == 2
    assert shim.stop() == 0


def test_an_init_that_takes_too_long_twice(start):
    shim = start.python("time.sleep(1000)\n")
    assert shim.load(lambda_={"initTimeoutMs": 100}).status == 200
    failed(shim.invoke({}, deadline_ms=300, id="id-1"), "Sandbox.Timedout",
           "RequestId: id-1 Error: Task timed out after 0.30 seconds")
    assert shim.ended() == 1


def test_an_init_that_takes_too_long_twice_without_a_deadline(start):
    shim = start.python("time.sleep(1000)\n")
    assert shim.load(lambda_={"initTimeoutMs": 100}).status == 200
    failed(shim.invoke({}, deadline_ms=None), "Sandbox.Timedout", "Init timed out after 0.10 seconds")
    assert shim.ended() == 1


def test_sigterm_in_init(start):
    shim = start.python("time.sleep(1000)\n")
    load = shim.connect()
    body = json.dumps({"root": str(shim.task), "env": {"PATH": os.environ["PATH"]}}).encode()
    load.send_head("POST", "/.heddle/load", [("x-heddle-token", shim.token),
                                             ("Content-Length", str(len(body)))])
    load.send(body)
    wait_for(lambda: shim.control("POST", "/.heddle/load", b"{}").status == 409)
    assert shim.stop() == 0


# In an invocation ------------------------------------------------------------------------------

@pytest.mark.parametrize("code, words", [
    ("sys.exit(7)", "Runtime exited with error: exit status 7"),
    ("os._exit(0)", "Runtime exited without providing a reason"),
    ("os.kill(os.getpid(), signal.SIGKILL)", "Runtime exited with error: signal: killed"),
    ("os.kill(os.getpid(), signal.SIGSEGV)", "Runtime exited with error: signal: segmentation fault"),
])
@pytest.mark.parametrize("mode", ["buffered", "stream"])
def test_it_exits(start, code, words, mode):
    shim = start.python(f"""
def handle(event):
    print("last words", flush=True)
    {code}
loop(handle)
""").loaded()
    body = failed(shim.invoke({}, mode, id="id-1"), "Runtime.ExitError")
    assert body["errorMessage"] == f"RequestId: id-1 Error: {words}"
    shim.wait_line("last words", "id-1")
    assert shim.ended() == 1


def test_it_exits_and_leaves_somebody_with_its_output(start):
    """A child that keeps the pipes open is not waited for."""
    shim = start.python("""
import subprocess
def handle(event):
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    print("child", child.pid, flush=True)
    os._exit(1)
loop(handle)
""").loaded()
    failed(shim.invoke({}), "Runtime.ExitError", "exit status 1")
    child = int(shim.wait_line("child ")["msg"].split()[1])
    assert shim.ended() == 1
    assert not is_running(child)


def test_it_exits_while_it_is_idle(start):
    shim = start.python("""
import threading
def handle(event):
    api.respond(event.id, "1")
    threading.Timer(0.2, os._exit, [5]).start()
loop(handle)
""").loaded()
    assert shim.invoke({}).json() == 1
    assert shim.ended() == 1


def test_it_exits_after_its_answer(start):
    """The answer stands; an event that came early was not given to it."""
    shim = start.python("""
def handle(event):
    api.respond(event.id, "1")
    time.sleep(1)
    os._exit(0)
loop(handle)
""").loaded()
    assert shim.invoke({}).json() == 1
    answer = shim.invoke({})
    assert (answer.status, answer.field("x-heddle-undelivered")) == (503, "1")
    assert shim.ended() == 1


def test_it_exits_in_mid_stream(start):
    shim = start.python(STREAM + """
def handle(event):
    def parts():
        yield b"half"
        time.sleep(0.1)
        os._exit(9)
    stream(event, parts())
loop(handle)
""").loaded()
    connection = open_stream(shim)
    connection.head()
    chunks, ended = read_chunks(connection)
    assert chunks == [b"half"] and ended["x-heddle-error-type"] == "Runtime.ExitError"
    assert shim.ended() == 1


HANG = """
import subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def handle(event):
    child = subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 1000"], start_new_session=True)
    print("pids", os.getpid(), child.pid, flush=True)
    %s
loop(handle)
"""


def test_it_hangs(start):
    shim = start.python(HANG % "time.sleep(1000)").loaded()
    body = failed(shim.invoke({}, deadline_ms=400, id="id-1"), "Sandbox.Timedout")
    assert body["errorMessage"] == "RequestId: id-1 Error: Task timed out after 0.40 seconds"
    pids = [int(pid) for pid in shim.wait_line("pids")["msg"].split()[1:]]
    assert shim.ended() == 1
    assert not any(is_running(pid) for pid in pids)


def test_it_answers_and_never_asks_again(start):
    shim = start.python(HANG % "api.respond(event.id, '1'); time.sleep(1000)").loaded()
    assert shim.invoke({}, deadline_ms=500).json() == 1
    assert shim.ended() == 1


def test_it_hangs_in_mid_stream(start):
    shim = start.python(STREAM + """
def handle(event):
    def parts():
        yield b"half"
        time.sleep(1000)
    stream(event, parts())
loop(handle)
""").loaded()
    connection = shim.connect()
    connection.send_head("POST", "/", [*shim.event_fields("stream", 600), ("Content-Length", "2")])
    connection.send(b"{}")
    connection.head()
    chunks, ended = read_chunks(connection)
    assert chunks == [b"half"] and ended["x-heddle-error-type"] == "Sandbox.Timedout"
    assert shim.ended() == 1


def test_the_node_gave_up_and_ends_it(start, tmp_path):
    """A cancelled request, then SIGTERM: there is nobody to finish for."""
    shim = start.python(HANG % f"open({str(tmp_path / 'began')!r}, 'w'); time.sleep(1000)").loaded()
    connection = shim.connect()
    connection.send_head("POST", "/", [*shim.event_fields(), ("Content-Length", "2")])
    connection.send(b"{}")
    wait_for((tmp_path / "began").exists)
    connection.close()
    wait_for(lambda: shim.control("GET", "/.heddle/ping").status == 200)
    assert shim.stop() == 0


def test_a_late_answer_reaches_nobody(start):
    """What was too late for one instance is told so, and the next one knows nothing of it."""
    shim = start.python("""
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def handle(event):
    if json.loads(event.text) == "slow":
        time.sleep(1)
    api.respond(event.id, event.text)
loop(handle)
""").loaded()
    connection = shim.connect()
    assert shim.invoke_on(connection, "slow", deadline_ms=200).json()["errorType"] == "Sandbox.Timedout"
    with pytest.raises((OSError, EOFError)):
        shim.invoke_on(connection, "next")
    assert shim.ended() == 1


def test_it_forks_many_children(start):
    shim = start.python("""
import subprocess
children = []
def handle(event):
    for _ in range(150):
        children.append(subprocess.Popen(["sh", "-c", "sleep 1000 & sleep 1000"], start_new_session=True))
    api.respond(event.id, json.dumps([c.pid for c in children]))
loop(handle)
""").loaded()
    pids = shim.invoke({}).json()
    assert len(pids) == 150 and all(is_running(pid) for pid in pids)
    assert shim.stop() == 0
    assert not any(is_running(pid) for pid in pids)


def test_it_forks_without_end(start):
    """A process that forks before it is killed is followed."""
    shim = start.python("""
def run_away():
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if os.fork() == 0:
            os.setsid()
            continue
        os._exit(0)
def handle(event):
    if os.fork() == 0:
        run_away()
        os._exit(0)
    api.respond(event.id, str(os.getpid()))
loop(handle)
""").loaded()
    group = shim.invoke({}).json()
    assert shim.stop() == 0
    assert not is_running(group)
    wait_for(lambda: not forks_of(shim), "the end of the last fork")


def forks_of(shim):
    """Processes that still have this function's folder as theirs."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd") == str(shim.task) and is_running(int(pid)):
                found.append(pid)
        except OSError:
            pass
    return [pid for pid in found if int(pid) != shim.process.pid]


def test_it_closes_its_output(start):
    shim = start.python("""
os.close(1)
os.close(2)
""" + ECHO).loaded()
    for n in range(3):
        assert shim.invoke(n).json() == n
    assert shim.stop() == 0


# Output ----------------------------------------------------------------------------------------

def test_a_flood_of_lines_is_bounded(start):
    """100 MB, and somebody who reads nothing: the function goes on, what is lost is counted."""
    shim = start.python("""
def handle(event):
    line = b"x" * 999 + b"\\n"
    for _ in range(100):
        os.write(1, line * 1000)
    api.respond(event.id, "1")
loop(handle)
""", collect=False).loaded()
    assert shim.invoke({}, deadline_ms=60000).json() == 1
    rss = int(open(f"/proc/{shim.process.pid}/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")
    assert rss < 150 << 20
    shim.collect_now()
    lost = shim.wait_record(lambda r: "lines of output were dropped" in r["msg"])
    assert lost["level"] == "warn"
    assert 10_000 < int(lost["msg"].split()[0]) < 100_000
    assert shim.invoke({}, deadline_ms=60000).json() == 1


def test_nobody_reads_the_output_any_more(start):
    shim = start.python("""
def handle(event):
    for _ in range(1000):
        os.write(2, b"y" * 1000 + b"\\n")
    api.respond(event.id, "1")
loop(handle)
""", collect=False).loaded()
    shim.process.stderr.close()
    for _ in range(3):
        assert shim.invoke({}).json() == 1
    assert shim.stop() == 0


# The shim's own --------------------------------------------------------------------------------

def test_a_killed_shell_bootstrap(start):
    shim = start(SHELL_BOOTSTRAP).loaded()
    assert shim.invoke(1).json() == {"echo": 1}
    children = lambda: open(f"/proc/{shim.process.pid}/task/{shim.process.pid}/children").read().split()
    wait_for(lambda: len(children()) == 1)
    os.kill(int(children()[0]), signal.SIGKILL)
    assert shim.ended() == 1


def test_garbage_on_both_sides(start):
    shim = start.python("loop(lambda e: api.respond(e.id, json.dumps(HOST)))\n").loaded()
    host, port = shim.invoke({}).json().split(":")
    for make in (shim.connect, lambda: None):
        for bytes_ in (b"\x00\xff" * 100 + b"\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n",
                       b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"):
            connection = make()
            s = connection.sock if connection else socket.create_connection((host, int(port)))
            s.settimeout(20)
            s.sendall(bytes_)
            assert s.recv(1000).startswith(b"HTTP/1.1 ")
            s.close()
    assert shim.invoke({}).status == 200
