"""A function in C: in the host protocol, offered the short way, at the Runtime API, and by hand."""

import base64
import json
import os
import re
import secrets
import shutil
import subprocess
import threading
import time
import zipfile

import pytest

import hostdriver
from heddle import binary, eventually
from hostdriver import Connection
from runtimeapi import RuntimeApi

PROGRAM = binary().parent / "test" / "integration" / "native_function"
ARCHIVE = binary().parent / "src" / "native" / "libheddle-function.a"
INCLUDE = hostdriver.REPOSITORY / "include" / "heddle"

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason=f"{PROGRAM} is not built")


class Native(hostdriver.Host):
    """The program under test as a host; a folder of its own for each."""

    def __init__(self, folder, env=None, token=True, direct=False):
        self.root, self.run_dir = str(folder), str(folder)
        self.path = str(folder / "s")
        self.token = secrets.token_hex(16)
        self.records, self.raw = [], []
        self.changed = threading.Condition()
        environment = {"PATH": os.environ["PATH"], "HOME": "/nowhere", **(env or {})}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                environment[name] = os.environ[name]
        pass_fds = ()
        if direct:
            self.ready, writes = os.pipe()
            environment |= {"HEDDLE_DIRECT_SOCKET": self.path, "HEDDLE_DIRECT_TOKEN": self.token,
                            "HEDDLE_DIRECT_FD": str(writes)}
            pass_fds = (writes,)
        else:
            environment["HEDDLE_SOCKET"] = self.path
            if token:
                environment["HEDDLE_HOST_TOKEN"] = self.token
        self.process = subprocess.Popen([PROGRAM], env=environment, stdin=subprocess.PIPE, pass_fds=pass_fds,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for fd in pass_fds:
            os.close(fd)
        for stream in (self.process.stdout, self.process.stderr):
            threading.Thread(target=self._collect, args=(stream,), daemon=True).start()

    def wait(self):
        self._wait_for_socket()
        return self


@pytest.fixture
def begin(tmp_path):
    started = []

    def start(**options):
        started.append(Native(tmp_path, **options))
        return started[-1]

    yield start
    for host in started:
        if host.process.poll() is None:
            host.terminate()
            host.process.stdin.close()
            assert host.ended() == 0
        assert not [line for line in host.raw if "Sanitizer" in line], host.raw


@pytest.fixture
def host(begin):
    """One that has loaded its function as a Lambda function."""
    host = begin().wait()
    answer = host.load_lambda("bootstrap", env={"K": "v"})
    assert answer.json() == {"ok": True, "kind": "native", "concurrency": 1}
    return host


def fault(answer):
    assert (answer.status, answer.field("x-heddle-function-error")) == (200, "Unhandled"), answer.body
    return answer.json()


def encoded(value):
    return base64.b64encode(json.dumps(value).encode()).decode()


# The host protocol --------------------------------------------------------------------------------

def test_an_event_is_answered_on_a_connection_that_stays(host):
    connection = Connection(host.path)
    for body in (b'{"a":"\xc3\xbc"}', b"[1, 2]", b"7"):
        answer = connection.event(body)
        assert (answer.status, answer.body, answer.field("content-type")) == (200, body, "application/json")
        assert answer.field("x-heddle-function-error") is None
    assert connection.event(b"").body == b"{}"


def test_the_event_tells_its_context(host):
    seen = host.event({"do": "context", "a": [0, {"b": 5}]}, id="id-c", deadline="5000", arn="arn:x", trace="Root=1-a", tenant="t",
                      client_context=encoded({"custom": {"a": 1}}), identity=encoded({"i": 1})).json()
    assert 0 < seen.pop("left") <= 5000
    assert seen == {"init": 1, "id": "id-c", "arn": "arn:x", "trace": "Root=1-a", "client": '{"custom": {"a": 1}}',
                    "identity": '{"i": 1}', "tenant": "t", "value": "5", "env": "v", "hidden": "yes"}
    bare = host.event({"do": "context"}).json()
    assert bare["left"] == 2 ** 63 - 1 and bare["client"] == bare["arn"] == bare["value"] == ""
    assert host.event({"do": "context"}, client_context="???").json()["client"] == ""


def test_a_chunked_event_and_one_in_small_pieces_are_whole(host):
    connection = Connection(host.path)
    connection.send_head("POST", "/", [("x-heddle-event", "buffered"), ("Transfer-Encoding", "chunked")])
    for part in (b'{"s":"', b"y" * 200000, b'"}'):
        connection.send_chunk(part)
    connection.send(b"0\r\n\r\n")
    assert connection.body(connection.head()) == b'{"s":"' + b"y" * 200000 + b'"}'
    wire = b"POST / HTTP/1.1\r\nHost: x\r\nx-heddle-event: buffered\r\nContent-Length: 5\r\n\r\n[1,2]"
    for i in range(len(wire)):
        connection.send(wire[i:i + 1])
    assert connection.body(connection.head()) == b"[1,2]"
    connection.send(wire + wire) # both at once
    assert [connection.body(connection.head()) for _ in range(2)] == [b"[1,2]", b"[1,2]"]


def test_the_control_requests_are_answered(begin):
    host = begin().wait()
    assert host.control("GET", "/.heddle/ping", token="0" * 32).status == 403
    assert host.event().status == 503
    assert host.load_lambda("bootstrap").status == 200
    assert host.load_lambda("bootstrap").status == 409
    assert host.control("GET", "/.heddle/ping").json() == {"background": 0}
    assert host.control("POST", "/.heddle/drain").json() == {}
    assert host.control("GET", "/.heddle/other").status == 404


@pytest.mark.parametrize("body", [b"", b"[]", b'{"env": {"A=B": "x"}}', b'{"env": {"A": 5}}', b'{"env": {"A": "x\\u0000y"}}'])
def test_a_load_that_makes_no_sense_is_refused(begin, body):
    answer = begin().wait().control("POST", "/.heddle/load", body)
    assert answer.status == 500 and answer.json()["message"].startswith("load request: ")


def test_an_init_that_fails_is_told_to_the_first_event(begin):
    host = begin(env={"INIT_FAILS": "users"}).wait()
    assert host.load_lambda("bootstrap").json()["kind"] == "init-failed"
    answer = host.event(id="id-i")
    assert host.wait_record(lambda r: "no table" in r["msg"])["id"] == "id-i"
    assert fault(answer) == {"errorType": "Function.InitFailed", "errorMessage": 'no table for "users"'}
    assert answer.field("x-heddle-exit") == "1" and host.ended() == 1


def test_an_init_that_fails_fails_the_load_of_an_edge_function(begin):
    answer = begin(env={"INIT_FAILS": "users"}).wait().load("x", env={})
    assert (answer.status, answer.json()) == (500, {"ok": False, "message": 'no table for "users"'})


@pytest.mark.parametrize("event, error", [
    ({"do": "error"}, {"errorType": "NoUser", "errorMessage": 'user "ü" is not there'}),
    ({"do": "code"}, {"errorType": "Function.Failed", "errorMessage": "the handler returned -5"}),
    ({"do": "big", "n": 6291557}, {"errorType": "Function.ResponseSizeTooLarge", "errorMessage":
     "Response payload size exceeded maximum allowed payload size (6291556 bytes)."}),
])
def test_errors_are_told_as_json_and_logged(host, event, error):
    connection = Connection(host.path)
    answer = connection.event(json.dumps(event).encode(), id="id-e")
    assert fault(answer) == error and answer.field("x-heddle-exit") is None
    assert connection.event(b"1").body == b"1"
    record = host.wait_record(lambda r: error["errorType"] in r["msg"])
    assert (record["id"], record["level"]) == ("id-e", "error")


def test_a_result_may_have_six_mebibytes(host):
    assert len(host.event({"do": "big", "n": 6291556}).body) == 6291556


def test_what_is_too_long_or_no_http_is_refused(host):
    connection = Connection(host.path)
    connection.send_head("POST", "/", [("x-heddle-event", "buffered"), ("Content-Length", str((1 << 20) + 1))])
    assert connection.head().status == 413
    connection = Connection(host.path)
    connection.send(b"what is this?\r\n\r\n")
    assert connection.head().status == 400
    connection = Connection(host.path)
    connection.send_head("POST", "/", [("Transfer-Encoding", "chunked")])
    connection.send(b"zz\r\n")
    assert connection.head().status == 400
    assert host.event(b"1").body == b"1"


def test_a_node_that_asks_first_is_told_to_go_on(host):
    connection = Connection(host.path)
    connection.send_head("POST", "/", [("x-heddle-event", "buffered"), ("Content-Length", "1"), ("Expect", "100-continue")])
    assert connection.head().status == 100
    connection.send(b"7")
    assert connection.body(connection.head()) == b"7"


def test_log_lines_carry_the_id_and_lambdas_format(host):
    host.event({"do": "log"}, id="id-l")
    host.wait_raw("raw")
    find = lambda text: host.wait_record(lambda r: text in r["msg"])
    assert find("quiet")["level"] == "debug"
    record = find("two\rlines 7")
    assert (record["id"], record["level"]) == ("id-l", "warn")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\tid-l\tWARN\ttwo\rlines 7", record["msg"])
    eventually(lambda: "".join(r["msg"] for r in host.records if r["level"] == "error").endswith("0" * 8999 + "1"))
    assert all(len(r["msg"]) <= 8192 for r in host.records)


def test_log_lines_in_json_and_by_level(begin):
    host = begin().wait()
    host.load_lambda("bootstrap", env={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "WARN"})
    host.event({"do": "log"}, id="id-j")
    line = json.loads(host.wait_record(lambda r: "lines" in r["msg"])["msg"])
    assert (line["level"], line["requestId"], line["message"]) == ("WARN", "id-j", "two\nlines 7")
    assert not [r for r in host.records if "quiet" in r["msg"]]


def test_an_exit_breaks_the_connection(host):
    with pytest.raises((EOFError, ConnectionError)):
        host.event({"do": "exit"})
    assert host.ended() == 3


def test_sigterm_waits_for_the_answer_and_what_is_half_sent(host):
    slow, half = Connection(host.path), Connection(host.path)
    half.send_head("POST", "/", [("x-heddle-event", "buffered"), ("Content-Length", "2")])
    half.send(b"1")
    slow.send_event(b'{"do":"sleep"}')
    time.sleep(0.05) # both are read, or are not: each way the answers come
    host.terminate()
    host.process.stdin.write(b"\n")
    host.process.stdin.flush()
    assert slow.body(slow.head()) == b"null"
    half.send(b"2")
    assert half.body(half.head()) == b"12"
    assert host.ended() == 0
    host.wait_raw("bye 1")


# Streams ------------------------------------------------------------------------------------------

def test_chunks_come_as_they_are_flushed(host):
    connection = Connection(host.path)
    connection.send_event(b'{"do":"stream","mode":"wait"}', mode="stream")
    head = connection.head()
    assert (head.field("x-heddle-stream"), head.field("content-type")) == ("1", "text/x")
    assert connection.chunk() == b"one"
    host.process.stdin.write(b"\n")
    host.process.stdin.flush()
    assert (connection.chunk(), connection.chunk(), connection.trailers) == (b"two", b"", {})
    assert connection.event(b"1").body == b"1"


@pytest.mark.parametrize("mode, body, kind", [
    ("", b"onetwo", "text/x"), ("empty", b"", "text/x"),
    ("http", b'{"statusCode":201}' + bytes(8) + b"onetwo", "application/vnd.awslambda.http-integration-response"),
])
def test_streams_end_in_each_way(host, mode, body, kind):
    answer = host.event({"do": "stream", "mode": mode}, mode="stream")
    assert (answer.body, answer.field("content-type"), answer.field("x-heddle-stream")) == (body, kind, "1")


def test_a_long_stream_comes_whole(host):
    body = host.event({"do": "stream", "mode": "big"}, mode="stream").body
    assert len(body) == 10000006 and body.startswith(b"one") and body.endswith(b"two")


def test_a_stream_that_fails_early_is_a_function_error(host):
    assert fault(host.event({"do": "stream", "mode": "early"}))["errorType"] == "Early"
    assert fault(host.event({"do": "stream", "mode": "type"}))["errorType"] == "Function.InvalidResponse"


def test_a_stream_that_fails_midway_tells_it_in_trailers(host):
    connection = Connection(host.path)
    assert connection.event(b'{"do":"stream","mode":"midway"}', mode="stream").body == b"one"
    assert connection.trailers["x-heddle-function-error"] == "Unhandled"
    assert connection.trailers["x-heddle-error-type"] # "Mid<tab>way" may stand in a field
    error = json.loads(base64.b64decode(connection.trailers["x-heddle-error-body"]))
    assert error == {"errorType": "Mid\tway", "errorMessage": "after one"}
    assert "x-heddle-exit" not in connection.trailers


def test_a_reader_that_leaves_is_told_to_the_function(host):
    connection = Connection(host.path)
    connection.send_event(b'{"do":"stream","mode":"big"}', mode="stream")
    connection.head()
    connection.close()
    assert "stopped with" in host.wait_record(lambda r: "stopped" in r["msg"])["msg"]
    assert host.event(b"1").body == b"1"


# The edge door ------------------------------------------------------------------------------------

def test_an_http_function_answers_requests(begin):
    host = begin(token=False).wait()
    assert host.request("GET", "/", id="").status in (200, 201)
    connection = Connection(host.path)
    assert connection.request("GET", "/").status == 200 # is it there?
    answer = connection.request("POST", "/fn/x?q=1", [("x-heddle-id", "i"), ("X-Mine", "m")], b"body")
    assert (answer.status, answer.body) == (201, b"POST /fn/x?q=1 m body")
    assert (answer.field("content-type"), answer.field("x-name")) == ("text/plain", "value")
    head = connection.request("HEAD", "/fn", [("x-heddle-id", "i")])
    assert (head.status, head.field("content-length")) == (201, str(len("HEAD /fn  ")))
    bad = connection.request("GET", "/fn", [("x-heddle-id", "i"), ("X-Bad", "1")])
    assert (bad.status, bad.field("x-heddle-error"), bad.json()) == (500, "unhandled", {"error": "Internal server error"})
    assert host.event({"do": "context"}).json()["hidden"] == "yes"
    assert host.control("GET", "/.heddle/ping").status == 403


def test_wrong_settings_are_named():
    run = lambda **env: subprocess.run([PROGRAM], env={"PATH": "/bin", **env}, capture_output=True, text=True, timeout=30)
    assert run(PORT="x").returncode == 64 and "PORT" in run(PORT="x").stderr
    bad = run(HEDDLE_SOCKET="/nowhere/s", HEDDLE_HOST_TOKEN="short")
    assert bad.returncode == 64 and "32 hex digits" in bad.stderr
    lost = run(HEDDLE_SOCKET="/nowhere/s", HEDDLE_HOST_TOKEN="0" * 32)
    assert lost.returncode == 69 and "/nowhere/s" in lost.stderr
    nobody = run(AWS_LAMBDA_RUNTIME_API="127.0.0.1")
    assert nobody.returncode == 69 and "host:port" in nobody.stderr


# As a bootstrap: the offer ------------------------------------------------------------------------

def test_the_offer_is_taken(begin):
    host = begin(direct=True, env={"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1", "K": "v"})
    with os.fdopen(host.ready, "rb") as ready:
        assert ready.read() == b"direct\n" # and closed
    assert host.event({"do": "context"}).json()["hidden"] == "yes"
    assert host.control("GET", "/.heddle/ping").json() == {"background": 0}
    assert oct(os.stat(host.path).st_mode & 0o777) == "0o600"
    host.event({"do": "log"}, id="id-d")
    assert host.wait_record(lambda r: "lines" in r["msg"])["id"] == "id-d"


def test_an_init_that_fails_is_told_to_the_runtime_api_in_each_case(begin):
    for direct in (True, False):
        api = RuntimeApi()
        env = {"AWS_LAMBDA_RUNTIME_API": api.address, "INIT_FAILS": "users"}
        if direct:
            host = begin(direct=True, env=env)
            with os.fdopen(host.ready, "rb") as ready:
                assert ready.read() == b""
            assert host.ended() == 1
        else:
            assert subprocess.run([PROGRAM], env=env, timeout=30).returncode == 1
        post = api.post()
        assert post.path == "/2018-06-01/runtime/init/error"
        assert post.fields["lambda-runtime-function-error-type"] == "Function.InitFailed"
        assert post.json()["errorMessage"] == 'no table for "users"'
        api.stop()


# The Runtime API ----------------------------------------------------------------------------------

@pytest.fixture
def api():
    api = RuntimeApi()
    process = subprocess.Popen([PROGRAM], env={"AWS_LAMBDA_RUNTIME_API": api.address, "K": "v", **{
        k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    api.process = process
    yield api
    if process.poll() is None:
        process.kill()
    text = process.communicate(timeout=30)[1]
    assert "Sanitizer" not in text, text
    api.stop()


def test_events_of_the_runtime_api_are_answered(api):
    for i in range(3):
        post = api.call(b'{"n":%d}' % i, id=f"r-{i}")
        assert post.path == f"/2018-06-01/runtime/invocation/r-{i}/response"
        assert (post.body, post.fields["content-type"]) == (b'{"n":%d}' % i, "application/json")
        assert post.fields["user-agent"].startswith("libheddle-function/")
    assert api.call(b"", id="e").body == b"{}"


def test_the_runtime_apis_fields_become_the_context(api):
    seen = api.call({"do": "context"}, id="r-c", Deadline_Ms=str(int(time.time() * 1000) + 60000), Invoked_Function_Arn="arn:y",
                    Trace_Id="Root=1-b", Client_Context='{"c":1}', Cognito_Identity='{"i":2}', Aws_Tenant_Id="t").json()
    assert 0 < seen.pop("left") <= 60000
    assert seen == {"init": 1, "id": "r-c", "arn": "arn:y", "trace": "Root=1-b", "client": '{"c":1}', "identity": '{"i":2}',
                    "tenant": "t", "value": "", "env": "v", "hidden": "yes"}


def test_errors_are_posted(api):
    post = api.call({"do": "error"}, id="r-e")
    assert post.path.endswith("/r-e/error") and post.json()["errorType"] == "NoUser"
    assert api.call({"do": "big", "n": 6291557}).json()["errorType"] == "Function.ResponseSizeTooLarge"
    assert api.call(b"1").body == b"1"


def test_streams_are_posted_in_chunks(api):
    post = api.call({"do": "stream", "mode": "http"})
    assert post.fields["lambda-runtime-function-response-mode"] == "streaming" and post.path.endswith("/response")
    assert post.body.endswith(b"onetwo") and post.trailers == {}
    post = api.call({"do": "stream", "mode": "midway"})
    assert post.body == b"one" and post.trailers["lambda-runtime-function-error-type"]
    assert json.loads(base64.b64decode(post.trailers["lambda-runtime-function-error-body"]))["errorMessage"] == "after one"
    assert "x-heddle-function-error" not in post.trailers
    assert api.call({"do": "stream", "mode": "early"}).path.endswith("/error")
    assert api.call(b"1").body == b"1"


def test_a_connection_that_the_runtime_api_closes_is_made_again(api):
    for i in range(3):
        api.give(b"%d" % i, id=f"r-{i}", close=True)
        assert api.post().body == b"%d" % i
    api.drop_posts = 1
    assert api.call(b"9").body == b"9"
    assert api.call(b"10").body == b"10"


def test_the_runtime_api_may_have_a_name():
    api = RuntimeApi()
    port = api.address.split(":")[1]
    with subprocess.Popen([PROGRAM], env={"AWS_LAMBDA_RUNTIME_API": f"localhost:{port}"}) as process:
        assert api.call(b"5").body == b"5"
        process.kill()
    done = subprocess.run([PROGRAM], env={"AWS_LAMBDA_RUNTIME_API": f"no-such-host.invalid:{port}"},
                          capture_output=True, timeout=60)
    assert done.returncode == 69 and b"no-such-host.invalid" in done.stderr
    api.stop()


def test_without_a_runtime_api_it_ends(api):
    assert api.call(b"1").body == b"1"
    api.stop()
    assert api.process.wait(30) == 69


# By hand ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("args, text, out, code", [
    (['{"a":1}'], None, '{"a":1}\n', 0), ([], '{"b":2}', '{"b":2}\n', 0), ([], "", "{}\n", 0),
    (['{"do":"stream"}'], None, "onetwo", 0),
    (['{"do":"error"}'], None, '{"errorType":"NoUser","errorMessage":"user \\"ü\\" is not there"}\n', 1),
])
def test_a_function_can_be_tried_by_hand(args, text, out, code):
    done = subprocess.run([PROGRAM, *args], input=text, env={}, capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.returncode) == (out, code) and "bye 1" in done.stderr


# Installed ----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What `make install` gives those who write functions in C, and the environment to find it."""
    if not (hostdriver.REPOSITORY / "build/src/native/libheddle-function.a").exists():
        pytest.skip("the release build is not there: run `make`")
    for tool in ("pkg-config", "zip"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: run `make deps`")
    root = tmp_path_factory.mktemp("dest")
    subprocess.run([hostdriver.REPOSITORY / "tools/install", root, "/usr", "native"], check=True)
    return {"PATH": os.environ["PATH"], "PKG_CONFIG_SYSROOT_DIR": str(root),
            "PKG_CONFIG_PATH": str(root / "usr/lib/pkgconfig")}


def test_the_example_builds_with_what_is_installed(installed, tmp_path):
    example = hostdriver.REPOSITORY / "examples" / "lambda" / "hello-c"
    done = subprocess.run([example / "build.sh", tmp_path], env=installed, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with zipfile.ZipFile(tmp_path / "hello-c.zip") as package:
        assert [(i.filename, i.external_attr >> 16 & 0o111) for i in package.infolist()] == [("bootstrap", 0o111)]
    run = lambda *args, **env: subprocess.run([tmp_path / "bootstrap", *args], env=env, input="", capture_output=True, text=True, timeout=30)
    assert run('{"name":"Ada"}').stdout == '{"message":"Hello","to":"Ada"}\n'
    assert run().stdout == '{"message":"Hello","to":"world"}\n'
    assert "statically" in run(AWS_LAMBDA_RUNTIME_API="some.name:1").stderr
    api = RuntimeApi()
    with subprocess.Popen([tmp_path / "bootstrap"], env={"AWS_LAMBDA_RUNTIME_API": api.address}) as process:
        assert api.call({"name": "Bo"}).json() == {"message": "Hello", "to": "Bo"}
        process.kill()
    api.stop()


@pytest.mark.parametrize("compiler, options", [("gcc", ["-std=c17", "-pedantic"]), ("g++", ["-std=c++17", "-pedantic", "-x", "c++"])])
def test_a_function_may_have_names_that_are_ours_inside(installed, tmp_path, compiler, options):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed: run `make deps`")
    (tmp_path / "f.c").write_text("""#include <heddle/function.h>
        int hd_msgio_read(void); int hd_buf_init(void);
        int hd_msgio_read(void) { return 40; } int hd_buf_init(void) { return 2; }
        static int f(struct hd_event *e, struct hd_reply *r) { (void)e;
            return hd_reply_fmt(r, "%d", hd_msgio_read() + hd_buf_init()); }
        int main(int argc, char **argv) { return hd_function_main(argc, argv, f, NULL); }""")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "heddle-function"], env=installed, check=True,
                           capture_output=True, text=True).stdout.split()
    done = subprocess.run([compiler, "-Wall", "-Wextra", "-Werror", *options, "-o", tmp_path / "f", tmp_path / "f.c",
                           "-x", "none", *flags], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([tmp_path / "f", "{}"], capture_output=True, check=True).stdout == b"42\n"


# The library's promise ----------------------------------------------------------------------------

def test_only_what_the_headers_declare_can_be_seen():
    listed = (hostdriver.REPOSITORY / "src/native/symbols.txt").read_text().split()
    output = subprocess.run(["nm", "--defined-only", "-g", ARCHIVE], check=True, capture_output=True, text=True).stdout
    seen = re.findall(r"^[0-9a-f]+ [A-Z] (\w+)$", output, re.M)
    assert sorted(name for name in seen if not re.match(r"_*(asan|odr|ubsan)", name)) == listed
    declared = set()
    for header in ("function.h", "error.h", "str.h"):
        text = re.sub(r"/\*.*?\*/", "", (INCLUDE / header).read_text(), flags=re.S)
        text = re.sub(r"static inline.*?\n}\n", "", text, flags=re.S)
        declared |= set(re.findall(r"\b(hd_\w+)\s*\((?!\*)", text)) - {"hd_str_n"}
    assert sorted(declared) == listed
