"""When the client goes away, the function's request ends too."""

import os
import signal
import threading

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


def kill_children(node):
    for pid in node.children():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def test_an_instance_that_dies_is_a_502_and_replaced(start_node):
    node = start_node()
    node.get("slow?ms=1")
    with Wire(node.port) as wire:
        # a GET would be tried again on another instance
        wire.send(get("/functions/v1/slow?ms=60000", "Content-Length: 0", method="POST"))
        eventually(lambda: in_flight(node) == 1, what="the request")
        kill_children(node)
        answer = wire.answer()
        assert answer.status == 502
        assert answer.json()["error"] == "Bad gateway"
    answer = eventually(lambda: ok(node.get("slow?ms=1")), what="a new instance")
    assert answer.body == b"done"


def test_what_may_be_repeated_is_tried_once_more(start_node):
    node = start_node()
    node.get("slow?ms=1")
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/slow?ms=1500"))
        eventually(lambda: in_flight(node) == 1, what="the request")
        kill_children(node)
        answer = wire.answer()
        assert (answer.status, answer.body) == (200, b"done")


def test_a_death_under_load_costs_no_more_than_what_was_in_flight(start_node):
    """Contract section 23, row 20."""
    node = start_node(None, "--min-instances", "2", "--concurrency", "4", kind="release",
                      env={"HEDDLE_PREWARM": "2"})
    assert ok(node.post("slow?ms=1"))
    statuses, end = [], threading.Event()

    def load():
        while not end.is_set():
            statuses.append(node.post("slow?ms=5").status)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            served = len(statuses)
            eventually(lambda: len(statuses) > served + 50, what="load")
            failed = sum(status != 200 for status in statuses)
            # One after the other, the hosts that wait as well: a client can be hit on each of the
            # two instances, and on a host that had just taken the place of one.
            kill_children(node)
            assert ok(eventually(lambda: ok(node.post("slow?ms=1")), what="the next answer"))
            served = len(statuses)
            eventually(lambda: len(statuses) > served + 20, what="load after the deaths")
            assert sum(status != 200 for status in statuses) - failed <= 4 * 4
    finally:
        end.set()
        for thread in threads:
            thread.join()
    assert set(statuses) <= {200, 502}
    assert not [k for k, v in node.metrics().items() if k.startswith("heddle_breaker") and
                'state="open"' in k and v]


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
        kill_children(node)
        try:
            for _ in chunks:
                pass
            complete = True
        except Closed:
            complete = False
        assert not complete
