"""When the client goes away, the function's request ends too."""

import os
import signal

from heddle import eventually
from wire import Closed, Wire, get


def in_flight(node):
    return sum(v for k, v in node.metrics().items() if k.startswith("heddle_requests_in_flight"))


def test_a_client_that_goes_away_aborts_the_request(start_node):
    node = start_node()
    node.get("slow?ms=1")
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/slow?ms=60000"))
        eventually(lambda: in_flight(node) == 1, what="the request")
    node.wait_record(lambda r: "the client went away" in str(r), what="the abort in the function")
    eventually(lambda: in_flight(node) == 0, what="the end of the request")


def test_a_client_that_leaves_in_mid_answer_frees_everything(start_node):
    node = start_node()
    for _ in range(10):
        with Wire(node.port) as wire:
            wire.send(get("/functions/v1/big?mb=512"))
            assert wire.head()[0] == 200
            wire.fill()
    eventually(lambda: in_flight(node) == 0, what="the end of the requests")
    assert node.get("hello").status == 200


def test_a_client_that_leaves_in_mid_upload_harms_nobody(start_node):
    node = start_node()
    for _ in range(10):
        with Wire(node.port) as wire:
            wire.send(get("/functions/v1/upload", "Content-Length: 100000", method="POST") + "abc")
    assert node.post("upload", b"abc").json() == {"bytes": 3}
    eventually(lambda: in_flight(node) == 0, what="the end of the requests")


def test_an_instance_that_dies_is_a_502_and_replaced(start_node):
    node = start_node()
    node.get("slow?ms=1")
    with Wire(node.port) as wire:
        # a GET would be tried again on another instance
        wire.send(get("/functions/v1/slow?ms=60000", "Content-Length: 0", method="POST"))
        eventually(lambda: in_flight(node) == 1, what="the request")
        for pid in node.children():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        answer = wire.answer()
        assert answer.status == 502
        assert answer.json()["error"] == "Bad gateway"
    answer = eventually(lambda: ok(node.get("slow?ms=1")), what="a new instance")
    assert answer.body == b"done"


def ok(answer):
    return answer if answer.status == 200 else None


def test_an_instance_that_dies_in_mid_answer_cuts_it_visibly(start_node):
    node = start_node()
    node.get("big?mb=1")
    with Wire(node.port, receive_buffer=65536) as wire:
        wire.send(get("/functions/v1/big?mb=512"))
        assert wire.head()[0] == 200
        chunks = wire.chunks()
        next(chunks)
        for pid in node.children():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            for _ in chunks:
                pass
            complete = True
        except Closed:
            complete = False
        assert not complete
