"""The control listener: where it is, who may, and what is there besides the Lambda API."""

import json
import re
import socket

import pytest

from heddle import INTERNAL_KEY, run

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
KEY = {"authorization": "Bearer " + INTERNAL_KEY}
INVOKE = "/2015-03-31/functions/{}/invocations"


def test_health_is_for_everybody_and_the_rest_for_the_key(node):
    assert node.ask_control("GET", "/healthz").json() == {"status": "ok"}
    assert node.ask_control("GET", "/metrics").status == 403
    assert b"heddle_" in node.ask_control("GET", "/metrics", KEY).body
    assert node.ask_control("GET", "/heddle/functions").status == 404
    names = {f["name"] for f in node.ask_control("GET", "/heddle/functions", KEY).json()["functions"]}
    assert names


def test_what_is_not_there_is_answered_as_the_lambda_api_does(node):
    answer = node.ask_control("GET", "/nope")
    assert answer.status == 404
    assert answer.get("x-amzn-ErrorType") == "UnknownOperationException"
    assert "Message" in answer.json()
    answer = node.ask_control("GET", "/2015-03-31/nope")
    assert answer.status == 404
    assert answer.get("x-amzn-ErrorType") == "UnknownOperationException"
    assert UUID.fullmatch(answer.get("x-amzn-RequestId"))


def test_edge_functions_are_not_on_the_control_listener(node):
    assert node.ask_control("GET", "/functions/v1/hello").status == 404
    assert node.request("GET", "/2015-03-31/functions").status == 404


def test_an_unknown_function_is_not_found_and_every_answer_has_an_id(node):
    answer = node.ask_control("POST", INVOKE.format("nobody"), body=b"{}")
    assert answer.status == 404
    assert answer.get("x-amzn-ErrorType") == "ResourceNotFoundException"
    assert answer.json() == {"Type": "User", "Message": "Function not found: arn:aws:lambda:us-east-1:"
                             "000000000000:function:nobody:$LATEST"}
    assert UUID.fullmatch(answer.get("x-amzn-RequestId"))


@pytest.mark.parametrize("headers", [
    {"origin": "https://evil.test"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
    {"host": "evil.test:8766"},
])
def test_web_pages_of_others_are_turned_away(node, headers):
    answer = node.ask_control("POST", INVOKE.format("nobody"), headers, b"{}")
    assert answer.status == 403, answer
    assert answer.get("x-amzn-ErrorType") == "AccessDeniedException"
    answer = node.ask_control("GET", "/2015-03-31/functions/", headers)
    assert answer.status == 403, answer


def test_what_is_wrong_with_an_invoke_is_said_before_anything_runs(node):
    def refused(path, body=b"{}", headers=None):
        answer = node.ask_control("POST", path, headers, body)
        return answer.status, answer.get("x-amzn-ErrorType")

    path = INVOKE.format("nobody")
    assert refused(path, b"{") == (400, "InvalidRequestContentException")
    assert refused(path, b"\xff") == (400, "InvalidRequestContentException")
    assert refused(path, b"{}", {"x-amz-invocation-type": "Later"}) == (400, "ValidationException")
    assert refused(INVOKE.format("no%20body")) == (400, "ValidationException")
    assert refused(INVOKE.format("a:b") + "?Qualifier=c") == (400, "InvalidParameterValueException")
    assert refused(INVOKE.format("arn:aws:lambda:eu-west-1:000000000000:function:f")) == (
        404, "ResourceNotFoundException")
    assert refused(INVOKE.format("111122223333:function:f")) == (403, "AccessDeniedException")
    assert refused(path, b"1" * 6291457) == (413, "RequestEntityTooLargeException")
    assert refused(path, b"1" * 1048577, {"x-amz-invocation-type": "Event"}) == (
        413, "RequestEntityTooLargeException")
    assert refused(path, b"1" * 6291456) == (404, "ResourceNotFoundException")


def test_a_default_port_that_is_taken_is_no_obstacle(start_node, write_functions):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8766))
            taken.listen()
        except OSError:
            pass  # somebody has it already: as good
        node = start_node(write_functions({}), command="dev", env={"HEDDLE_CONTROL_PORT": None})
    assert node.control != "http://127.0.0.1:8766"
    assert node.ask_control("GET", "/healthz").status == 200
    node.wait_record(lambda r: "--control-port" in r.get("msg", "") and r["wanted"] == 8766)


def test_a_port_that_was_asked_for_and_is_taken_ends_the_start(tmp_path, write_functions):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(tmp_path, "dev", write_functions({}), "--port", "0", "--control-port", port)
    assert done.returncode == 1, done
    assert str(port) in done.stderr and "--control-port" in done.stderr


def test_without_keys_nobody_else_can_reach_it(tmp_path, write_functions):
    done = run(tmp_path, "dev", write_functions({}), "--port", "0", "--control-host", "0.0.0.0")
    assert done.returncode in (64, 78), done
    assert "HEDDLE_LAMBDA_KEYS" in done.stderr
    assert not (tmp_path / ".heddle" / "heddle.db").exists()


def test_a_damaged_database_is_said_and_nothing_starts(tmp_path, write_functions):
    (tmp_path / ".heddle").mkdir(mode=0o700)
    (tmp_path / ".heddle" / "heddle.db").write_bytes(b"this is no database" * 1000)
    done = run(tmp_path, "dev", write_functions({}), "--port", "0")
    assert done.returncode != 0
    assert "heddle.db" in done.stderr


def test_a_big_body_is_not_kept_waiting_for(node):
    """One that says it is too large is answered before it is sent."""
    with socket.create_connection(("127.0.0.1", int(node.control.rsplit(":", 1)[1]))) as conn:
        conn.sendall(b"POST /2015-03-31/functions HTTP/1.1\r\nhost: localhost\r\n"
                     b"content-length: 70167212\r\n\r\n")
        head, _, body = conn.recv(65536).partition(b"\r\n\r\n")
    assert b" 413 " in head and b"RequestEntityTooLargeException" in head
    assert json.loads(body) == {"message": "Request must be smaller than 70167211 bytes for the "
                                "CreateFunction operation"}
