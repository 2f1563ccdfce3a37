"""The Extensions API of heddle-shim: external extensions as scripts, internal ones inside the
runtime."""

import json

import pytest

import shimdriver
from shimdriver import PYTHON_BOOTSTRAP, is_running, wait_for

ECHO = "loop(lambda event: api.respond(event.id, event.text))\n"
EXT = "/2020-01-01/extension"

# An extension as a script; `on(event)` sees each event.
EXTENSION = PYTHON_BOOTSTRAP + f"""
EXT = {EXT!r}
NAME = os.path.basename(sys.argv[0])

def register(events, name=NAME, **headers):
    return api.call("POST", EXT + "/register", json.dumps({{"events": events}}),
                    {{"Lambda-Extension-Name": name, **headers}})

def events(on, *which):
    id = register(which).headers["Lambda-Extension-Identifier"]
    while True:
        answer = api.call("GET", EXT + "/event/next", headers={{"Lambda-Extension-Identifier": id}})
        answer.event = json.loads(answer.text)
        on(answer)
        if answer.event["eventType"] == "SHUTDOWN":
            return
"""
WATCHER = EXTENSION + """
def on(answer):
    print("event", json.dumps(answer.event), flush=True)
events(on, "INVOKE", "SHUTDOWN")
"""


@pytest.fixture
def start(tmp_path):
    shims = shimdriver.Shims(tmp_path)
    yield shims
    shims.end()


def told(shim, type):
    """The events of a type that watchers printed."""
    events = [json.loads(m.split(" ", 1)[1]) for m in shim.lines() if m.startswith("event ")]
    return [e for e in events if e["eventType"] == type]


def test_an_extension_sees_every_invocation_and_the_end(start):
    shim = start.python(ECHO, extensions={"watcher": WATCHER}).loaded()
    arn = "arn:aws:lambda:us-east-1:000000000000:function:fn"
    for n in range(3):
        assert shim.invoke(n, id=f"id-{n}", fields=[("x-heddle-arn", arn),
                                                    ("x-heddle-trace", "Root=1-2-3")]).json() == n
    assert shim.stop() == 0
    invokes = told(shim, "INVOKE")
    assert [e["requestId"] for e in invokes] == ["id-0", "id-1", "id-2"]
    assert all(e["invokedFunctionArn"] == arn and e["deadlineMs"] > 0 for e in invokes)
    assert invokes[0]["tracing"] == {"type": "X-Amzn-Trace-Id", "value": "Root=1-2-3"}
    assert [e["shutdownReason"] for e in told(shim, "SHUTDOWN")] == ["spindown"]


def test_what_registering_answers(start):
    shim = start.python(ECHO, extensions={"ext": EXTENSION + """
answer = register(["INVOKE"], **{"Lambda-Extension-Accept-Feature": "accountId"})
print("body", answer.text.decode().strip(), flush=True)
id = answer.headers["Lambda-Extension-Identifier"]
answer = api.call("GET", EXT + "/event/next", headers={"Lambda-Extension-Identifier": id})
print("id", answer.headers["Lambda-Extension-Event-Identifier"], flush=True)
time.sleep(1000)
"""}).loaded()
    body = json.loads(shim.wait_line("body ")["msg"][5:])
    assert body == {"functionName": "fn", "functionVersion": "$LATEST", "handler": "app.handler",
                    "accountId": "000000000000"}
    assert shim.invoke(1).json() == 1
    assert len(shim.wait_line("id ")["msg"]) == 3 + 36


def test_refusals(start):
    shim = start.python("""
EXT = "/2020-01-01/extension"
def say(what, answer):
    print(what, answer.status, json.loads(answer.text).get("errorType"), flush=True)
name = {"Lambda-Extension-Name": "inside"}
say("no-name", fresh("POST", EXT + "/register", '{"events": []}'))
say("shutdown-inside", fresh("POST", EXT + "/register", '{"events": ["SHUTDOWN"]}', name))
say("odd-event", fresh("POST", EXT + "/register", '{"events": ["OTHER"]}', name))
say("no-json", fresh("POST", EXT + "/register", 'x', name))
say("no-id", fresh("GET", EXT + "/event/next"))
say("bad-id", fresh("GET", EXT + "/event/next", headers={"Lambda-Extension-Identifier": "x"}))
unknown = {"Lambda-Extension-Identifier": "01234567-89ab-4def-8123-456789abcdef"}
say("unknown-id", fresh("GET", EXT + "/event/next", headers=unknown))
good = fresh("POST", EXT + "/register", '{"events": ["INVOKE"]}', name)
id = {"Lambda-Extension-Identifier": good.headers["Lambda-Extension-Identifier"]}
say("good", good)
say("again", fresh("POST", EXT + "/register", '{"events": []}', name))
say("no-header", fresh("POST", EXT + "/init/error", "{}", id))
keep = raw((f"GET {EXT}/event/next HTTP/1.1\\r\\nHost: x\\r\\nLambda-Extension-Identifier: " +
     id["Lambda-Extension-Identifier"] + "\\r\\n\\r\\n").encode())
time.sleep(0.2)
say("second-next", fresh("GET", EXT + "/event/next", headers=id))
def handle(event):
    say("closed", fresh("POST", EXT + "/register", '{"events": []}', {"Lambda-Extension-Name": "b"}))
    api.respond(event.id, "1")
loop(handle)
""").loaded()
    assert shim.invoke({}).json() == 1
    shim.wait_line("closed")
    said = {m.split()[0]: m.split()[1:] for m in shim.lines()}
    assert said == {
        "no-name": ["403", "Extension.InvalidExtensionName"],
        "shutdown-inside": ["403", "Extension.InvalidEventType"],
        "odd-event": ["403", "Extension.InvalidEventType"],
        "no-json": ["400", "InvalidRequestFormat"],
        "no-id": ["403", "Extension.MissingExtensionIdentifier"],
        "bad-id": ["403", "Extension.InvalidExtensionIdentifier"],
        "unknown-id": ["403", "Extension.UnknownExtensionIdentifier"],
        "good": ["200", "None"],
        "again": ["403", "Extension.InvalidExtensionState"],
        "no-header": ["403", "Extension.MissingHeader"],
        "second-next": ["403", "Extension.InvalidExtensionState"],
        "closed": ["403", "Extension.RegistrationClosed"],
    }


def test_extensions_come_before_the_runtime(start, tmp_path):
    """The runtime is started when each has registered; a stranger cannot register meanwhile."""
    shim = start.python("print('runtime', flush=True)\n" + ECHO, extensions={
        "a": EXTENSION + f"""
print("stranger", json.loads(register([], "stranger").text)["errorType"], flush=True)
print("other", json.loads(fresh("POST", EXT + "/register", '{{"events": []}}',
      {{"Lambda-Extension-Name": ""}}).text)["errorType"], flush=True)
time.sleep(0.2)
print("a registers", flush=True)
events(lambda a: None)
""", "b": WATCHER}).loaded()
    shim.wait_line("runtime")
    lines = shim.lines()
    assert lines.index("a registers") < lines.index("runtime")
    assert "stranger Extension.InvalidExtensionName" in lines
    assert "other Extension.InvalidExtensionName" in lines


def test_init_waits_for_the_first_next_of_each(start, tmp_path):
    shim = start.python(ECHO, extensions={"slow": EXTENSION + """
id = register(["INVOKE"]).headers["Lambda-Extension-Identifier"]
time.sleep(0.4)
print("asks", flush=True)
api.call("GET", EXT + "/event/next", headers={"Lambda-Extension-Identifier": id})
time.sleep(1000)
"""})
    assert shim.load().status == 200
    shim.wait_line("asks")


def test_an_event_waits_for_extensions(start):
    """The answer comes at once, the next event only when the extension asked again."""
    shim = start.python(ECHO, extensions={"slow": EXTENSION + """
def on(answer):
    print("begin", answer.event["requestId"], flush=True)
    time.sleep(0.3)
    print("end", answer.event["requestId"], flush=True)
events(on, "INVOKE")
"""}).loaded()
    for n in range(3):
        assert shim.invoke(n, id=f"id-{n}").json() == n
    shim.wait_line("end id-2")
    assert shim.lines() == [f"{w} id-{n}" for n in range(3) for w in ("begin", "end")]


def test_extensions_see_less_of_the_environment(start):
    shim = start.python(ECHO, extensions={"ext": EXTENSION + """
print("env", json.dumps(sorted(os.environ)), flush=True)
events(lambda a: None)
"""}).loaded(env={"MINE": "1", "_MINE": "1", "AWS_EXECUTION_ENV": "x", "LAMBDA_TASK_ROOT": "x",
                  "AWS_LAMBDA_FUNCTION_NAME": "fn"})
    names = json.loads(shim.wait_line("env ")["msg"][4:])
    assert {"MINE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_RUNTIME_API"} <= set(names)
    assert not {n for n in names if n.startswith("_")} - {"_"}
    assert not {"AWS_EXECUTION_ENV", "LAMBDA_TASK_ROOT", "_HANDLER"} & set(names)


def test_only_executable_files_are_extensions(start, tmp_path):
    start.script("opt/extensions/good", WATCHER)
    start.script("opt/extensions/folder/nested", WATCHER)
    start.script("opt/extensions/data", "not a program")
    (tmp_path / "opt/extensions/data").chmod(0o644)
    shim = start.python(ECHO).loaded()
    assert shim.invoke(1).json() == 1


# Failures --------------------------------------------------------------------------------------

def init_failure(shim, type):
    answer = shim.load()
    assert (answer.status, answer.json()["kind"]) == (200, "init-failed")
    answer = shim.invoke({}, id="id-1")
    assert answer.field("x-heddle-exit") == "1"
    assert answer.json()["errorType"] == type, answer.body
    assert shim.ended() == 1
    return answer.json()["errorMessage"]


def test_one_that_cannot_be_started(start):
    message = init_failure(start.python(ECHO, extensions={"bad": "#!/no/such\n"}),
                           "Extension.LaunchError")
    assert "extensions/bad: no such file or directory" in message


def test_one_that_ends_in_init(start):
    message = init_failure(start.python(ECHO, extensions={"bad": "#!/bin/sh\nexit 4\n"}),
                           "Extension.Crash")
    assert message == "RequestId: id-1 Error: extension bad exited with error: exit status 4"


def test_one_that_reports_an_error_in_init(start):
    shim = start.python(ECHO, extensions={"bad": EXTENSION + """
id = register([]).headers["Lambda-Extension-Identifier"]
api.call("POST", EXT + "/init/error", '{"errorMessage": "no license"}',
         {"Lambda-Extension-Identifier": id, "Lambda-Extension-Function-Error-Type": "Extension.NoLicense"})
time.sleep(1000)
"""})
    assert "no license" in init_failure(shim, "Extension.NoLicense")


def test_there_are_too_many(start):
    shim = start.python(ECHO, extensions={f"e{n:02}": WATCHER for n in range(11)})
    init_failure(shim, "TooManyExtensions")


def test_ten_are_not_too_many(start):
    shim = start.python(ECHO, extensions={f"e{n:02}": WATCHER for n in range(10)}).loaded()
    assert shim.invoke(1, id="id-1").json() == 1
    wait_for(lambda: len(told(shim, "INVOKE")) == 10)
    assert shim.stop() == 0


def test_one_that_ends_in_an_invocation(start):
    shim = start.python("loop(lambda event: time.sleep(1000))\n", extensions={
        "bad": EXTENSION + "events(lambda a: os._exit(2), 'INVOKE')\n", "watcher": WATCHER}).loaded()
    answer = shim.invoke({}, id="id-1")
    assert answer.field("x-heddle-exit") == "1"
    assert answer.json()["errorType"] == "Extension.Crash"
    assert "extension bad exited with error: exit status 2" in answer.json()["errorMessage"]
    assert shim.ended() == 1
    assert [e["shutdownReason"] for e in told(shim, "SHUTDOWN")] == ["failure"]


def test_one_that_reports_its_exit(start):
    shim = start.python("loop(lambda event: time.sleep(1000))\n", extensions={"bad": EXTENSION + """
def on(answer):
    said = api.call("POST", EXT + "/exit/error", "{}", {
        "Lambda-Extension-Identifier": ID, "Lambda-Extension-Function-Error-Type": "Extension.Gone"})
    time.sleep(1000)
ID = register(["INVOKE"]).headers["Lambda-Extension-Identifier"]
on(api.call("GET", EXT + "/event/next", headers={"Lambda-Extension-Identifier": ID}))
"""}).loaded()
    assert shim.invoke({}).json()["errorType"] == "Extension.Gone"
    assert shim.ended() == 1


# The shutdown phase ----------------------------------------------------------------------------

@pytest.mark.parametrize("code, event, reason", [
    ("time.sleep(1000)", {}, "timeout"),
    ("sys.exit(1)", {}, "failure"),
])
def test_extensions_are_told_why(start, code, event, reason):
    shim = start.python(f"loop(lambda event: {code})\n", extensions={"watcher": EXTENSION + """
import threading
def on(answer):
    print("event", json.dumps(answer.event), flush=True)
events(on, "SHUTDOWN")
"""}).loaded()
    assert shim.invoke(event, deadline_ms=500).field("x-heddle-exit") == "1"
    assert shim.ended() == 1
    assert [e["shutdownReason"] for e in told(shim, "SHUTDOWN")] == [reason]


def test_one_that_is_busy_is_told_when_it_asks(start):
    shim = start.python("loop(lambda event: time.sleep(1000))\n", extensions={"busy": EXTENSION + """
def on(answer):
    print("event", json.dumps(answer.event), flush=True)
    if answer.event["eventType"] == "INVOKE":
        time.sleep(0.8)
events(on, "INVOKE", "SHUTDOWN")
"""}).loaded()
    assert shim.invoke({}, deadline_ms=300).json()["errorType"] == "Sandbox.Timedout"
    assert shim.ended() == 1
    assert [e["shutdownReason"] for e in told(shim, "SHUTDOWN")] == ["timeout"]


def test_the_runtime_is_asked_first(start, tmp_path):
    """With extensions there is time: SIGTERM for the runtime, then the event for them."""
    shim = start.python("""
def on_term(*_):
    print("runtime ends", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, on_term)
""" + ECHO, extensions={"watcher": WATCHER}).loaded()
    assert shim.invoke(1).json() == 1
    assert shim.stop() == 0
    lines = [m for m in shim.lines() if "SHUTDOWN" in m or m == "runtime ends"]
    assert lines[0] == "runtime ends" and "SHUTDOWN" in lines[1]


def test_nobody_ends_by_himself(start):
    """Runtime and extension ignore everything; the budget ends them."""
    shim = start.python("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                        "loop(lambda event: api.respond(event.id, str(os.getpid())))\n",
                        extensions={"stubborn": EXTENSION + """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("pid", os.getpid(), flush=True)
events(lambda a: None, "SHUTDOWN")
time.sleep(1000)
"""}).loaded()
    pids = [shim.invoke({}).json(), int(shim.wait_line("pid")["msg"].split()[1])]
    assert shim.stop() == 0
    assert not any(is_running(pid) for pid in pids)


def test_an_internal_extension(start):
    shim = start.python("""
import threading
def watch():
    mine = Api()
    registered = mine.call("POST", EXT + "/register", '{"events": ["INVOKE"]}',
                           {"Lambda-Extension-Name": "inside"})
    id = {"Lambda-Extension-Identifier": registered.headers["Lambda-Extension-Identifier"]}
    ready.set()
    while True:
        print("event", mine.call("GET", EXT + "/event/next", headers=id).text.decode(), flush=True)
EXT = "/2020-01-01/extension"
ready = threading.Event()
threading.Thread(target=watch, daemon=True).start()
ready.wait()
signal.signal(signal.SIGTERM, lambda *_: (print("asked to end", flush=True), os._exit(0)))
""" + ECHO).loaded()
    for n in range(3):
        assert shim.invoke(n, id=f"id-{n}").json() == n
    wait_for(lambda: [e["requestId"] for e in told(shim, "INVOKE")] == ["id-0", "id-1", "id-2"])
    assert shim.stop() == 0
    shim.wait_line("asked to end")
