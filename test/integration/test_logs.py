"""The log: one line a request, each line of output where it belongs."""

import json
import re
import socket
import subprocess

import pytest

from heddle import Node, bearer, binary, eventually, run
from sources import OPEN

CHATTY = """
console.log("while loading");
Deno.serve(async (req) => {
  const word = new URL(req.url).searchParams.get("word");
  console.log("first", word, { a: 1 });
  await new Promise((done) => setTimeout(done, 20));
  console.error("second " + word);
  return new Response(word);
});
"""

ACCESS = {"ts", "level", "msg", "id", "method", "fn", "path", "status", "ms", "wait_ms", "ip",
          "bytes_in", "bytes_out", "cold"}


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("logs")
    files = {"chatty/index.ts": CHATTY, "chatty/heddle.json": OPEN, "guarded/index.ts": CHATTY}
    for name, text in files.items():
        path = cwd / "functions" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    node = Node(cwd, cwd / "functions")
    try:
        yield node.start()
        node.stop()
    finally:
        node.kill()


def access_line(node, answer):
    id = answer.get("x-heddle-invocation-id")
    return node.wait_record(lambda r: r["msg"] == "request" and r["id"] == id, what="the line")


def test_each_request_has_a_line(node):
    answer = node.post("chatty/deep/path?word=hello&secret=1", b"12345")
    line = access_line(node, answer)
    assert ACCESS <= set(line), line
    assert (line["method"], line["fn"], line["status"]) == ("POST", "chatty", 200)
    assert (line["bytes_in"], line["bytes_out"], line["ip"]) == (5, 5, "127.0.0.1")
    assert line["level"] == "info" and line["ms"] >= 20 and line["cold"] is False
    assert line["path"] == "/deep/path" and "secret" not in json.dumps(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["ts"])


def test_a_line_says_who_and_what_was_wrong(node):
    line = access_line(node, node.get("guarded"))
    assert line["status"] == 401 and line["reason"] == "missing_token" and "user" not in line
    line = access_line(node, node.get("guarded?word=x", bearer(sub="user-7")))
    assert line["status"] == 200 and line["user"] == "user-7"
    assert "eyJ" not in node.text()  # no token gets into the log


def test_hostile_paths_are_harmless(node):
    path = "/functions/v1/chatty/%0a%1b%5b31m?word=a"
    line = access_line(node, node.get(path))
    assert line["path"] == "/%0a%1b%5b31m"


def output(node, id):
    return [r for r in node.records() if r["msg"] == "output" and r.get("id") == id]


def test_output_belongs_to_its_request(node):
    answers = {word: None for word in "abcdef"}
    import threading

    def ask(word):
        answers[word] = node.get("chatty?word=" + word)

    threads = [threading.Thread(target=ask, args=(word,)) for word in answers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for word, answer in answers.items():
        id = answer.get("x-heddle-invocation-id")
        lines = eventually(lambda: output(node, id) if len(output(node, id)) >= 2 else None,
                           what="its two lines")
        assert len(lines) == 2
        assert lines[0]["text"].startswith(f"first {word}") and lines[0]["level"] == "info"
        assert lines[1]["text"] == f"second {word}" and lines[1]["level"] == "error"
        assert {line["function"] for line in lines} == {"chatty"}


def test_output_while_loading_has_no_request(node):
    line = node.wait_record(lambda r: r["msg"] == "output" and r["text"] == "while loading")
    assert "id" not in line


def logs(node, *args):
    done = run(node.cwd, "logs", *args)
    assert done.returncode == 0, done
    return done.stdout


def test_heddle_logs_shows_what_was_said(node):
    node.get("chatty?word=findme")
    eventually(lambda: "second findme" in logs(node), what="the lines")
    assert "first findme" in logs(node, "--function", "chatty")
    assert "findme" not in logs(node, "--function", "guarded")


def test_heddle_logs_follows(node):
    process = subprocess.Popen([str(binary()), "logs", "-f", "--function", "chatty"], cwd=node.cwd, text=True,
                               env={**node.env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        answered = node.get("chatty?word=followed")
        assert answered.status == 200
        for line in process.stdout:
            if "second followed" in line:
                break
        else:
            raise AssertionError(process.stderr.read())
    finally:
        process.terminate()
        process.wait(10)


def test_followers_that_go_away_or_stall_harm_nobody(node):
    path = str(node.cwd / ".heddle/run/admin.sock")
    stalled = []
    for n in range(8):
        follower = socket.socket(socket.AF_UNIX)
        follower.connect(path)
        follower.sendall(b"GET /heddle/logs?follow=1 HTTP/1.1\r\nHost: a\r\n\r\n")
        if n % 2:
            assert follower.recv(100)
            follower.close()
        else:
            stalled.append(follower)
    # One that breaks the framing of a body nobody asked for.
    bad = socket.socket(socket.AF_UNIX)
    bad.connect(path)
    bad.sendall(b"GET /heddle/logs?follow=1 HTTP/1.1\r\nHost: a\r\n"
                b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
    for n in range(200):
        assert node.get(f"chatty?word={'x' * 500}{n}").status == 200
    for follower in stalled:
        follower.close()
    bad.close()
    assert node.get("chatty?word=end").status == 200


def test_nothing_is_logged_of_requests_when_it_is_off(start_node, write_functions):
    node = start_node(write_functions({"chatty/index.ts": CHATTY, "chatty/heddle.json": OPEN}),
                      "--no-access-log")
    node.get("chatty?word=quiet")
    node.wait_record(lambda r: r.get("text") == "second quiet")
    assert not [r for r in node.records() if r["msg"] == "request"]
