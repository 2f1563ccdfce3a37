"""When the client goes away, the function's request ends too."""

import os
import signal
import threading

from heddle import eventually
from sources import INSTANCE, OPEN
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


def test_a_death_under_load_costs_no_more_than_what_was_in_flight(start_node, write_functions):
    """Contract section 23, row 20."""
    functions = write_functions({"work/index.ts": INSTANCE, "work/heddle.json": OPEN})
    node = start_node(functions, "--min-instances", "2", "--concurrency", "4",
                      "--cold-wait-ms", "15000", kind="release")
    assert ok(node.post("work"))
    answers, end = [], threading.Event()

    def load():
        while not end.is_set():
            answers.append(node.post("work?ms=5").status)

    def failed():
        return sum(status != 200 for status in answers)

    def more(count):
        goal = len(answers) + count
        eventually(lambda: len(answers) >= goal, what="load")

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            more(50)
            before = failed()
            assert node.post("work?exit=1").status == 502
            assert ok(node.post("work"))  # the very next one
            more(50)
            assert failed() - before <= 4
    finally:
        end.set()
        for thread in threads:
            thread.join()
    assert set(answers) <= {200, 502}
    assert not [r for r in node.records() if r.get("msg") == "circuit breaker open"]


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
