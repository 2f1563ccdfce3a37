"""Commands that need no node, and those that talk to one, against servers of the test's own."""

import http.server
import json
import os
import pty
import re
import shutil
import socketserver
import subprocess
import threading
from pathlib import Path

import pytest

from heddle import ROOT, binary, run

COMMANDS = ["serve", "dev", "init", "new", "invoke", "list", "logs", "config", "doctor", "version",
            "help", "lambda", "lanes", "emit", "call", "image"]


# --- help, version, wrong command lines ---

def test_help_lists_every_command_and_exit_code(tmp_path):
    done = run(tmp_path, "help")
    assert done.returncode == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name}  +\w", done.stdout, re.M), name
    for code in (0, 1, 22, 64, 66, 69, 73, 78):
        assert re.search(rf"^ +{code}  \w", done.stdout, re.M), code
    assert run(tmp_path, "--help").stdout == done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_in_both_ways(tmp_path, name):
    done = run(tmp_path, name, "--help", env={"COLUMNS": "72"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: heddle {name}")
    assert run(tmp_path, "help", name, env={"COLUMNS": "72"}).stdout == done.stdout


def test_version_is_bare_unless_asked_for_more(tmp_path):
    bare = run(tmp_path, "--version")
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", bare.stdout)
    assert run(tmp_path, "version").stdout == run(tmp_path, "-v").stdout == bare.stdout
    details = json.loads(run(tmp_path, "version", "--json").stdout)
    assert details["version"] == bare.stdout.strip()
    assert {"libuv", "openssl", "curl"} <= set(details["libraries"])


@pytest.mark.parametrize("args, words", [
    (["srve"], ['unknown command "srve"', "did you mean `heddle serve`?"]),
    (["banana"], ['unknown command "banana"', "heddle help"]),
    (["serve", "--prot", "1"], ["unknown flag --prot", "did you mean --port?"]),
    (["--prot=1"], ["unknown flag --prot", "did you mean --port?"]),
    (["list", "--jsn"], ["unknown flag --jsn", "did you mean --json?"]),
    (["serve", "a/", "b/"], ['unexpected argument "b/"', "usage: heddle serve"]),
    (["new"], ["which name?"]),
    (["new", "9lives"], ["cannot be a function's name"]),
    (["new", "x", "--runtime", "ruby"], ["--runtime: must be deno, node, python or http"]),
    (["config"], ["heddle config show"]),
    (["config", "explain"], ["explain which function?"]),
    (["invoke"], ["which function?"]),
    (["invoke", "a/b"], ["cannot be a function's name"]),
    (["invoke", "a", "--path", "x"], ["must begin with / or ?"]),
    (["invoke", "a", "--header", "x"], ["must be 'name: value'"]),
    (["invoke", "a", "--body", "x", "--file", "y"], ["only one body"]),
    (["help", "banana"], ['there is no command "banana"']),
])
def test_a_wrong_command_line_says_what_and_what_to_do(tmp_path, args, words):
    done = run(tmp_path, *args)
    assert (done.returncode, done.stdout) == (64, "")
    for word in words:
        assert word in done.stderr


def test_what_cannot_be_written_is_not_done(tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run([str(binary()), "help"], cwd=tmp_path, stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=30)
    assert done.returncode == 1
    assert "cannot write the output: No space left on device" in done.stderr


# --- colour ---

def on_a_terminal(tmp_path, *args, **env):
    """What a command writes to a terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen([str(binary()), *args], cwd=tmp_path, stdout=slave, stderr=slave,
                               stdin=slave, env={"PATH": os.environ["PATH"], "TERM": "xterm", **env})
    os.close(slave)
    text = b""
    try:
        while chunk := os.read(master, 4096):
            text += chunk
    except OSError:  # the last writer is gone
        pass
    os.close(master)
    assert process.wait(30) == 0
    return text.decode()


def test_colour_is_for_terminals_without_no_color(tmp_path):
    assert "\033[1m" in on_a_terminal(tmp_path, "help")
    assert "\033[" not in on_a_terminal(tmp_path, "help", NO_COLOR="1")
    assert "\033[" not in on_a_terminal(tmp_path, "help", TERM="dumb")
    assert "\033[" not in run(tmp_path, "help", env={"TERM": "xterm"}).stdout


# --- init and new ---

def test_init_writes_what_config_and_list_understand(tmp_path):
    done = run(tmp_path, "init")
    assert done.returncode == 0, done
    assert "heddle dev" in done.stdout
    for name in ("heddle.yml", "functions/hello/index.ts", "functions/hello/heddle.json"):
        assert (tmp_path / name).is_file(), name
    assert ".heddle/\n" in (tmp_path / ".gitignore").read_text()
    shown = json.loads(run(tmp_path, "config", "show", "--json").stdout)
    assert shown["functions_dir"] == {"value": str(tmp_path / "functions"), "secret": False,
                                      "origin": "heddle.yml:3 functions_dir"}
    listed = json.loads(run(tmp_path, "list", "--json").stdout)
    assert [(f["name"], f["runtime"], f["problem"]) for f in listed["functions"]] == \
        [("hello", "deno", None)]
    assert listed["node"] is False


def test_init_overwrites_nothing(tmp_path):
    (tmp_path / "heddle.yml").write_text("dev: true\n")
    done = run(tmp_path, "init")
    assert done.returncode == 73
    assert "heddle.yml is there already; nothing was written" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["heddle.yml"]
    (tmp_path / "heddle.yml").unlink()
    (tmp_path / ".gitignore").write_text("mine")
    assert run(tmp_path, "init").returncode == 0
    assert (tmp_path / ".gitignore").read_text().startswith("mine\n# heddle")


@pytest.mark.parametrize("runtime, entry", [
    ("deno", "index.ts"), ("node", "index.mjs"), ("python", "index.py"), ("http", "server.mjs")])
def test_new_writes_a_function_that_is_found(tmp_path, runtime, entry):
    (tmp_path / "functions").mkdir()
    assert run(tmp_path, "new", "resize", "--runtime", runtime, "--public").returncode == 0
    assert "resize" in (tmp_path / "functions/resize" / entry).read_text()
    listed = json.loads(run(tmp_path, "list", "--json").stdout)["functions"]
    assert [(f["name"], f["runtime"], f["verifyJwt"], f["problem"]) for f in listed] == \
        [("resize", runtime, False, None)]
    again = run(tmp_path, "new", "resize", "--runtime", runtime)
    assert again.returncode == 73
    assert "is there already" in again.stderr


def test_a_new_function_is_protected_unless_public(tmp_path):
    assert run(tmp_path, "new", "pay", "--functions", "fn").returncode == 0
    assert json.loads((tmp_path / "fn/pay/heddle.json").read_text()) == {"verify_jwt": True}


def test_new_where_nothing_can_be_written_says_so(tmp_path):
    (tmp_path / "functions").write_text("a file")
    done = run(tmp_path, "new", "pay", "--functions", "functions")
    assert done.returncode == 73
    assert "not a directory" in done.stderr


# --- config ---

def test_config_show_masks_secrets_and_names_origins(tmp_path):
    (tmp_path / "heddle.yml").write_text("listen:\n  port: 4000\nauth:\n  jwt_secret: from-the-file\n")
    env = {"SUPABASE_SERVICE_ROLE_KEY": "service-hunter2", "HEDDLE_HOST": "::1", "NO_COLOR": "1",
           "INTERNAL_KEY": "internal-hunter2"}
    done = run(tmp_path, "config", "show", "--rpm", "7", env=env)
    assert done.returncode == 0, done
    for secret in ("from-the-file", "hunter2"):
        assert secret not in done.stdout + done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert re.search(r"4000 +heddle.yml:2 listen.port$", rows["listen.port"])
    assert re.search(r"::1 +HEDDLE_HOST$", rows["listen.host"])
    assert re.search(r" 7 +--rpm$", rows["limits.rpm"])
    assert re.search(r"\(set\) +heddle.yml:4 auth.jwt_secret$", rows["auth.jwt_secret"])
    assert re.search(r"\(set\) +SUPABASE_SERVICE_ROLE_KEY$", rows["auth.service_keys"])
    assert re.search(r" 150000 +default$", rows["timeouts.function_ms"])
    changed = json.loads(run(tmp_path, "config", "show", "--changed", "--json", env=env).stdout)
    assert set(changed) == {"listen.port", "listen.host", "auth.jwt_secret", "auth.service_keys",
                            "auth.internal_key"}


def test_a_wrong_file_is_named_with_line_and_key(tmp_path):
    (tmp_path / "heddle.yml").write_text("listen:\n  prot: 1\n")
    done = run(tmp_path, "config", "show")
    assert done.returncode == 78
    assert "heddle.yml:2: listen.prot: unknown key; did you mean listen.port?" in done.stderr


def test_config_explain_tells_who_said_each_setting(tmp_path):
    run(tmp_path, "init")
    (tmp_path / "functions/hello/heddle.json").write_text('{\n  "verify_jwt": false,\n  "rpm": 9\n}\n')
    rows = json.loads(run(tmp_path, "config", "explain", "hello", "--json",
                          env={"HEDDLE_TIMEOUT_MS": "1234"}).stdout)
    found = {row["key"]: (row["value"], row["origin"]) for row in rows}
    assert found["rpm"][0] == "9" and "heddle.json:3" in found["rpm"][1]
    assert found["timeoutMs"] == ("1234", "HEDDLE_TIMEOUT_MS")
    assert found["runtime"][0] == "deno"
    missing = run(tmp_path, "config", "explain", "helo")
    assert missing.returncode == 66
    assert "did you mean hello?" in missing.stderr


# --- doctor ---

def test_doctor_tells_what_is_missing_and_how_to_mend_it(tmp_path):
    run(tmp_path, "init")
    done = run(tmp_path, "doctor", "--json", "--port", "0", "--deno", "/nowhere/deno")
    report = json.loads(done.stdout)
    checks = {check["check"]: check for check in report["checks"]}
    assert {"deno", "node", "python", "port", "namespaces", "seccomp", "cgroups", "file watches", "runtime hosts",
            "open files", "disk", "data folder", "functions"} <= set(checks)
    assert checks["deno"]["result"] == "note"
    assert "/nowhere/deno was not found" in checks["deno"]["found"]
    assert "--deno PATH" in checks["deno"]["fix"]
    assert checks["functions"]["result"] == checks["data folder"]["result"] == "ok"
    assert report["ok"] == all(check["result"] != "bad" for check in report["checks"])
    assert done.returncode == (0 if report["ok"] else 1)


def test_doctor_looks_into_the_database(tmp_path, write_functions, start_node):
    node = start_node(write_functions({}))
    database = tmp_path / ".heddle" / "heddle.db"

    def findings():
        done = run(tmp_path, "doctor", "--json", "--port", "0")
        return {f["check"]: f for f in json.loads(done.stdout)["checks"]}

    assert findings()["database"]["result"] == "ok"  # also while somebody works with it
    node.stop()
    database.write_bytes(b"SQLite format 3\0" + b"\xa5" * 9000)
    found = findings()["database"]
    assert found["result"] == "bad"
    assert str(database) in found["found"]
    database.unlink()
    assert "database" not in findings()


def test_doctor_sees_a_taken_port_and_a_broken_runtime(tmp_path):
    broken = tmp_path / "node"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    with socketserver.TCPServer(("127.0.0.1", 0), None) as taken:
        port = taken.server_address[1]
        done = run(tmp_path, "doctor", "--port", port, "--node", broken)
    assert done.returncode == 1
    assert f"port {port} is taken" in done.stdout
    assert f"{broken} does not run" in done.stdout


def test_doctor_looks_at_what_lambda_functions_need(tmp_path):
    (tmp_path / ".heddle" / "bundles").mkdir(parents=True)
    socket_path = tmp_path / "engine.sock"

    def findings(*args, **env):
        done = run(tmp_path, "doctor", "--json", "--port", "0", "--control-port", "0",
                   "--docker-host", f"unix://{socket_path}", *args, env=env)
        return {f["check"]: f for f in json.loads(done.stdout)["checks"]}

    found = findings()
    assert found["control port"]["result"] == "ok"
    assert found["code store"]["result"] in ("ok", "note")
    assert str(tmp_path / ".heddle/bundles") in found["code store"]["found"]
    assert found["container engine"]["result"] == "note"
    assert str(socket_path) in found["container engine"]["found"]
    assert "PackageType Image" in found["container engine"]["fix"]
    assert findings("--lambda-backend", "docker")["container engine"]["result"] == "bad"
    with socketserver.UnixStreamServer(str(socket_path), socketserver.BaseRequestHandler):
        assert findings()["container engine"]["result"] == "ok"
    with socketserver.TCPServer(("127.0.0.1", 0), None) as taken:
        port = taken.server_address[1]
        found = findings("--control-port", port)["control port"]
    assert found["result"] == "bad" and "--control-port 0" in found["fix"]


# --- invoke, list and logs against a server of the test's ---

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen = None

    def answer(self):
        length = self.headers.get("content-length")
        if length is not None:
            body = self.rfile.read(int(length))
        elif self.headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = b""
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        status, text = self.server.answers(self.path)
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = answer

    def address_string(self):
        return "client"

    def log_message(self, *args):
        pass


class UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@pytest.fixture
def serve():
    """serve(answers, at): an HTTP server on loopback, or on a Unix socket."""
    servers = []

    def start(answers, at=None):
        server = UnixServer(str(at), Handler) if at else \
            http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.seen, server.answers = [], answers
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        return server

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


def test_invoke_sends_what_it_is_told(tmp_path, serve):
    server = serve(lambda path: (200, b"answer"))
    port = server.server_address[1]
    done = run(tmp_path, "invoke", "hello", "--port", port, "--path", "/x?q=1", "--method", "PUT",
               "--body", '{"a": 1}', "-H", "X-List: a, b", "--token", "abc")
    assert (done.returncode, done.stdout) == (0, "answer")
    assert done.stderr.startswith("HTTP 200 OK (")
    method, path, fields, body = server.seen[0]
    assert (method, path, body) == ("PUT", "/functions/v1/hello/x?q=1", b'{"a": 1}')
    fields = {name.lower(): value for name, value in fields.items()}
    assert fields["x-list"] == "a, b"
    assert fields["authorization"] == "Bearer abc"
    assert fields["content-type"] == "application/json"
    assert run(tmp_path, "invoke", "hello", "--url", f"http://127.0.0.1:{port}/").returncode == 0
    assert server.seen[1][:2] == ("GET", "/functions/v1/hello")
    assert "authorization" not in {name.lower() for name in server.seen[1][2]}


def test_invoke_streams_stdin_and_files(tmp_path, serve):
    server = serve(lambda path: (201, b""))
    port = server.server_address[1]
    (tmp_path / "body.txt").write_text("from a file")
    assert run(tmp_path, "invoke", "a", "-", "-p", port, input="from stdin").returncode == 0
    assert run(tmp_path, "invoke", "a", "--file", "body.txt", "-p", port).returncode == 0
    assert run(tmp_path, "invoke", "a", "--file", "-", "-p", port, input="again").returncode == 0
    assert [(m, b) for m, _, _, b in server.seen] == \
        [("POST", b"from stdin"), ("POST", b"from a file"), ("POST", b"again")]
    gone = run(tmp_path, "invoke", "a", "--file", "gone", "-p", port)
    assert gone.returncode == 66
    assert "gone: No such file" in gone.stderr


def test_invoke_tells_a_bad_status_by_its_exit_code(tmp_path, serve):
    server = serve(lambda path: (404, b'{"error":"no"}'))
    done = run(tmp_path, "invoke", "a", "-p", server.server_address[1])
    assert (done.returncode, done.stdout) == (22, '{"error":"no"}')
    assert "HTTP 404" in done.stderr


def test_invoke_without_a_node_says_so(tmp_path):
    with socketserver.TCPServer(("127.0.0.1", 0), None, bind_and_activate=False) as server:
        server.server_bind()  # bound, and nobody listens
        done = run(tmp_path, "invoke", "a", "-p", server.server_address[1])
    assert done.returncode == 69
    assert "nobody answers at http://127.0.0.1:" in done.stderr and "heddle dev" in done.stderr
    assert run(tmp_path, "invoke", "a", "--url", "ftp://x/").returncode == 64


def test_invoke_uses_development_keys_on_this_machine_only(tmp_path, serve):
    server = serve(lambda path: (200, b""))
    port = server.server_address[1]
    data = tmp_path / ".heddle"
    data.mkdir(mode=0o700)
    keys = data / "dev-keys.json"
    keys.write_text(json.dumps({"jwt_secret": "s", "anon_key": "ANON", "service_key": "SERVICE"}))
    keys.chmod(0o600)
    run(tmp_path, "invoke", "a", "-p", port)
    run(tmp_path, "invoke", "a", "-p", port, "--service")
    run(tmp_path, "invoke", "a", "-p", port, "-H", "Authorization: Bearer MINE")
    sent = [{k.lower(): v for k, v in fields.items()}["authorization"]
            for _, _, fields, _ in server.seen]
    assert sent == ["Bearer ANON", "Bearer SERVICE", "Bearer MINE"]
    away = run(tmp_path, "invoke", "a", "--service", "--url", "http://127.1.evil.invalid")
    assert away.returncode == 78
    assert "there is no service key" in away.stderr
    keys.chmod(0o644)
    assert "chmod 600" in run(tmp_path, "invoke", "a", "-p", port).stderr


LINES = [
    {"tsMs": 1767225600123, "level": "info", "fn": "hello", "id": None, "message": "one"},
    {"tsMs": 1767225600124, "level": "error", "fn": "pay", "id": "x", "message": "t\033[2Jwo",
     "extra": 5},
]


def test_logs_are_read_from_the_admin_socket(tmp_path, serve):
    text = "".join(json.dumps(line) + "\n" for line in LINES).encode()
    server = serve(lambda path: (200, text), at=tmp_path / "admin.sock")
    args = ["logs", "--admin-socket", "admin.sock"]
    done = run(tmp_path, *args, "--function", "pay", "--level", "warn", env={"TZ": "UTC"})
    assert done.returncode == 0, done
    assert server.seen[0][1] == "/heddle/logs?follow=0&function=pay&level=warn"
    assert done.stdout == ("00:00:00.123 info  hello one\n"
                           "00:00:00.124 error pay t\\x1b[2Jwo extra=5\n")
    last = run(tmp_path, *args, "-n", "1", "--json")
    assert [json.loads(line) for line in last.stdout.splitlines()] == LINES[1:]
    follow = run(tmp_path, *args, "-f")
    assert server.seen[2][1] == "/heddle/logs?follow=1"
    assert follow.stdout.count("\n") == 2


def test_logs_without_a_node_say_so(tmp_path):
    done = run(tmp_path, "logs")
    assert done.returncode == 69
    assert "no node runs here" in done.stderr and "heddle dev" in done.stderr


def test_list_shows_the_state_in_the_running_node(tmp_path, serve):
    run(tmp_path, "init")
    run(tmp_path, "new", "pay")
    live = {"functions": [
        {"name": "hello", "state": "ready", "public": True, "invocations": 12, "errors": 1,
         "instances": {"idle": 1, "busy": 2, "starting": 0, "draining": 0}},
        {"name": "pay", "state": "failed", "public": None, "invocations": 0, "errors": 0,
         "instances": {"idle": 0, "busy": 0}, "error": "SyntaxError: it is wrong"}]}
    serve(lambda path: (200, json.dumps(live).encode()), at=tmp_path / "admin.sock")
    done = run(tmp_path, "list", "--admin-socket", "admin.sock")
    assert done.returncode == 0, done
    rows = [line.split(None, 7) for line in done.stdout.splitlines()]
    assert rows[0][:4] == ["NAME", "RUNTIME", "ACCESS", "STATE"]
    assert rows[1] == ["hello", "deno", "public", "ready", "3", "12", "1"]
    assert rows[2][:4] == ["pay", "deno", "token", "failed"]
    assert rows[2][7] == "SyntaxError: it is wrong"


def test_list_of_a_missing_folder_says_what_to_do(tmp_path):
    done = run(tmp_path, "list")
    assert done.returncode == 78
    assert "heddle init" in done.stderr


# --- what is made from the tables ---

@pytest.mark.parametrize("args, path", [
    (["--markdown"], "doc/reference.md"),
    (["--completion", "bash"], "packaging/completions/heddle.bash"),
    (["--completion", "zsh"], "packaging/completions/_heddle"),
    (["--completion", "fish"], "packaging/completions/heddle.fish"),
])
def test_what_is_made_from_the_tables_is_current(tmp_path, args, path):
    made = run(tmp_path, "help", *args).stdout
    assert (ROOT / path).read_text() == made, f"run: heddle help {' '.join(args)} >{path}"


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_manual_page_is_good_roff(tmp_path):
    page = run(tmp_path, "help", "--man").stdout
    done = subprocess.run(["groff", "-man", "-ww", "-Wbreak", "-Tascii", "-rLL=78n"], input=page, text=True,
                          capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    text = re.sub(".\x08", "", done.stdout)  # bold is written by striking twice
    assert "--route-prefix" in text and "EXIT STATUS" in text


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_commands_and_flags(tmp_path):
    script = Path(ROOT / "packaging/completions/heddle.bash")
    ask = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _heddle; '
           'echo "${COMPREPLY[*]}"')

    def complete(*words):
        return subprocess.run(["bash", "-c", ask, "bash", str(script), *words], text=True,
                              capture_output=True, timeout=30, check=True).stdout.split()

    assert complete("heddle", "in") == ["init", "invoke"]
    assert complete("heddle", "serve", "--route") == ["--route-prefix"]
    assert complete("heddle", "logs", "--f") == ["--follow", "--function", "--functions"]
