"""Starting, refusing to start, and ending: exit codes are a promise to supervisors."""

import os
import shutil
import signal
import socket
import tempfile

import pytest

from conftest import FUNCTIONS
from heddle import BUILT, eventually, run
from wire import Wire, get


PROTECTED = {"guarded/index.ts": "Deno.serve(() => new Response('ok'));\n"}


def test_says_where_it_listens_and_ends_cleanly(start_node):
    node = start_node()
    assert node.url == f"http://127.0.0.1:{node.port}"
    assert node.get("hello").json() == {"message": "Hello, world!"}
    node.stop()
    assert node.children() == []


def test_functions_and_data_may_lie_where_only_their_owner_can_go(start_node):
    # Instances have a user of their own where the node is root; not in /tmp, which each has anew.
    with tempfile.TemporaryDirectory(dir=BUILT) as private:
        functions = shutil.copytree(FUNCTIONS, os.path.join(private, "functions"))
        data = os.path.join(private, "data")
        os.mkdir(data, 0o700)
        node = start_node(functions, "--data-dir", data)
        assert node.get("hello").json() == {"message": "Hello, world!"}
        node.stop()


def test_a_second_start_confines_functions_like_the_first(start_node, tmp_path):
    said = []
    for _ in range(2):
        node = start_node(None, "--data-dir", str(tmp_path / "data"))
        said.append(node.wait_record(lambda r: r["msg"] == "sandbox", what="what is confined")["parts"])
        node.stop()
    enforced = [text.partition("; not enforced: ")[2] for text in said]
    assert enforced[0] == enforced[1], said


def test_interrupt_ends_it_as_well(start_node):
    node = start_node()
    node.process.send_signal(signal.SIGINT)
    assert node.wait() == 0


def test_a_request_under_way_is_answered_before_the_end(start_node):
    node = start_node()
    node.get("slow?ms=1")  # warm
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/slow?ms=700"))
        node.wait_record(lambda r: r.get("msg") == "ready")
        eventually(lambda: in_flight(node) > 0, what="the request")
        node.process.send_signal(signal.SIGTERM)
        answer = wire.answer()
        assert (answer.status, answer.body) == (200, b"done")
        assert answer.get("connection", "").lower() == "close"
        assert wire.closed()
    assert node.wait() == 0


def in_flight(node):
    return sum(v for k, v in node.metrics().items() if k.startswith("heddle_requests_in_flight"))


def test_a_second_signal_ends_it_at_once(start_node):
    node = start_node()
    node.get("slow?ms=1")
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/slow?ms=20000"))
        eventually(lambda: in_flight(node) > 0, what="the request")
        children = node.children()
        node.process.send_signal(signal.SIGTERM)
        node.wait_record(lambda r: r["msg"] == "shutting down", what="the first signal's line")
        node.process.send_signal(signal.SIGTERM)
        node.expect_exit = 128 + signal.SIGTERM
        assert node.wait(10) == node.expect_exit
    eventually(lambda: not any(alive(pid) for pid in children), what="the end of all children")


def test_no_instance_outlives_a_killed_node(start_node):
    node = start_node()
    node.get("hello")
    children = node.children()
    assert children
    node.kill()
    eventually(lambda: not any(alive(pid) for pid in children), what="the end of all children")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_port_that_is_taken_is_said_with_exit_code_1(tmp_path, write_functions):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(tmp_path, "dev", write_functions({}), "--port", port)
    assert done.returncode == 1, done
    assert str(port) in done.stderr


def test_a_second_node_on_the_same_data_is_refused(start_node, write_functions):
    node = start_node(write_functions({}), command="dev")
    done = run(node.cwd, "dev", node.functions, "--port", "0")
    assert done.returncode == 1, done
    assert ".heddle" in done.stderr and "--data-dir" in done.stderr
    assert node.get("/").status == 200  # and the first one does not mind
    assert node.admin("/livez").status == 200


SECRET = {"JWT_SECRET": "x" * 40}


@pytest.mark.parametrize("args, env, code, words", [
    (["--data-dir", "functions/heddle.json/x"], SECRET, 78, ["functions/heddle.json/x"]),
    (["--runtimes-dir", "nowhere"], SECRET, 78, ["nowhere"]),
    (["--jwks-file", "nowhere.json"], SECRET, 78, ["nowhere.json"]),
    (["--jwks-url", "ftp://keys.test/"], SECRET, 64, ["--jwks-url", "https://"]),
    (["--cors-origin", "https://a.test:99999"], SECRET, 78, ["cors"]),
    (["--trusted-proxies", "10.0.0.0/99"], SECRET, 78, ["10.0.0.0/99"]),
    (["--host", "192.0.2.1"], SECRET, 1, ["192.0.2.1"]),
    (["--admin-socket", "no/such/folder/x.sock"], SECRET, 1, ["no/such/folder/x.sock"]),
    ([], {**SECRET, "HEDDLE_JWKS": "{]"}, 78, ["jwks"]),
])
def test_a_start_that_fails_says_why_and_leaves_nothing(tmp_path, write_functions, args, env, code,
                                                        words):
    functions = write_functions({**PROTECTED, "heddle.json": "{}"})
    done = run(tmp_path, "serve", functions, "--port", "0", *args, env=env)
    assert done.returncode == code, done
    for word in words:
        assert word.lower() in done.stderr.lower(), done.stderr
    assert not list(tmp_path.rglob("*.sock"))


@pytest.mark.parametrize("args, code, words", [
    (["--prot", "80"], 64, ["--prot", "--port"]),
    (["--port", "80x"], 64, ["--port", "80x"]),
    (["--port", "65536"], 64, ["--port"]),
    (["--port"], 64, ["--port"]),
    (["--sandbox", "sometimes"], 64, ["--sandbox", "sometimes"]),
])
def test_a_wrong_command_line_ends_with_64(tmp_path, write_functions, args, code, words):
    done = run(tmp_path, "serve", write_functions({}), *args)
    assert done.returncode == code, done
    for word in words:
        assert word in done.stderr


def test_a_wrong_variable_ends_with_78_and_its_name(tmp_path, write_functions):
    done = run(tmp_path, "dev", write_functions({}), env={"HEDDLE_DEFAULT_RPM": "many"})
    assert done.returncode == 78, done
    assert "HEDDLE_DEFAULT_RPM" in done.stderr


def test_a_missing_folder_ends_with_78_and_its_name(tmp_path):
    done = run(tmp_path, "serve", tmp_path / "nowhere", env={"JWT_SECRET": "x" * 40})
    assert done.returncode == 78, done
    assert "nowhere" in done.stderr


def test_production_needs_a_secret_for_protected_functions(tmp_path, write_functions):
    done = run(tmp_path, "serve", write_functions(PROTECTED), "--port", "0")
    assert done.returncode == 78, done
    assert "JWT_SECRET" in done.stderr


def test_production_refuses_the_well_known_secret(tmp_path, write_functions):
    known = "super-secret-jwt-token-with-at-least-32-characters-long"
    done = run(tmp_path, "serve", write_functions(PROTECTED), "--port", "0",
               env={"JWT_SECRET": known})
    assert done.returncode == 78, done
    assert known not in done.stderr


def test_public_functions_need_no_secret(start_node, write_functions):
    functions = write_functions({"open/index.ts": "Deno.serve(() => new Response('ok'));\n",
                                 "open/heddle.json": '{"verify_jwt": false}\n'})
    node = start_node(functions, env={"JWT_SECRET": None})
    assert node.get("open").status == 200


def test_development_starts_with_nothing(start_node, write_functions):
    node = start_node(write_functions(PROTECTED), command="dev", env={"JWT_SECRET": None})
    assert node.get("guarded").status == 401


def test_an_empty_folder_is_served(start_node, write_functions):
    node = start_node(write_functions({}))
    assert node.get("/").json() == {"status": "ok"}
    assert node.get("hello").status == 404
