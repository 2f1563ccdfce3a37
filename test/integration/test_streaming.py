"""Bodies stream in both directions with back-pressure: no size of body grows the node."""

import threading

import pytest

from wire import Wire, get

MB = 1 << 20


@pytest.fixture
def release(start_node):
    """Memory is measured on the build that is shipped: sanitizers keep what was freed."""
    node = start_node(kind="release", env={"HEDDLE_BODY_LIMIT_MB": "2000",
                                            "HEDDLE_SHUTDOWN_GRACE_MS": "1000"})
    assert node.get("hello").status == 200
    assert node.get("big?mb=1").status == 200
    assert node.post("upload", b"x").status == 200
    return node


class Watch:
    """The node's largest resident size while something runs."""

    def __init__(self, node):
        self.node = node
        self.first = self.most = node.rss_kb()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._end.wait(0.02):
            self.most = max(self.most, self.node.rss_kb())

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    @property
    def growth_kb(self):
        return self.most - self.first


def test_a_gigabyte_to_a_reader_that_pauses_keeps_memory_flat(release):
    with Watch(release) as watch, Wire(release.port, timeout=60, receive_buffer=65536) as wire:
        wire.send(get("/functions/v1/big?mb=1024"))
        status, _ = wire.head()
        assert status == 200
        total, pause = 0, threading.Event()
        for chunk in wire.chunks():
            total += len(chunk)
            if total % (64 * MB) < len(chunk):
                pause.wait(0.1)  # the reader is slow on purpose
        assert total == 1024 * MB
    assert watch.growth_kb < 8 * 1024, f"grew by {watch.growth_kb} KB"


def test_a_gigabyte_up_to_a_slow_function_keeps_memory_flat(release):
    piece = b"x" * MB
    with Watch(release) as watch, Wire(release.port, timeout=120) as wire:
        wire.send(get("/functions/v1/upload?ms=0", f"Content-Length: {1024 * MB}", method="POST"))
        for _ in range(1024):
            wire.send(piece)
        assert wire.answer().json() == {"bytes": 1024 * MB}
    assert watch.growth_kb < 8 * 1024, f"grew by {watch.growth_kb} KB"


def test_a_function_that_reads_slowly_slows_the_sender(release):
    with Watch(release) as watch, Wire(release.port, timeout=1) as wire:
        wire.send(get("/functions/v1/upload?ms=500", f"Content-Length: {256 * MB}", method="POST"))
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 256 * MB:
                sent += wire.socket.send(b"x" * 65536)
        assert sent < 64 * MB
    assert watch.growth_kb < 8 * 1024


def test_both_directions_flow_at_once(node):
    """An echo answers before the request is complete: each piece comes back on its own."""
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/echo", "Transfer-Encoding: chunked", method="POST"))
        wire.send(b"5\r\nfirst\r\n")
        status, _ = wire.head()
        assert status == 200
        chunks = wire.chunks()
        assert next(chunks) == b"first"
        for n in range(20):
            wire.send(b"2\r\n%02d\r\n" % n)
            assert next(chunks) == b"%02d" % n
        wire.send(b"0\r\n\r\n")
        assert list(chunks) == []


def test_a_large_body_comes_back_byte_by_byte_the_same(node):
    body = bytes(n * 31 % 251 for n in range(3 * MB + 17))
    assert node.post("echo", body).body == body


def test_an_event_stream_is_not_held_back(start_node, write_functions):
    functions = write_functions({
        "ticks/index.ts": """
Deno.serve(() => {
  let n = 0;
  return new Response(new ReadableStream({
    async pull(c) {
      if (n === 3) return c.close();
      await new Promise((r) => setTimeout(r, n ? 400 : 0));
      c.enqueue(new TextEncoder().encode(`data: ${n++}\\n\\n`));
    },
  }), { headers: { "content-type": "text/event-stream" } });
});
""",
        "ticks/heddle.json": '{"verify_jwt": false}\n'})
    node = start_node(functions)
    node.get("ticks")
    with Wire(node.port, timeout=0.3) as wire:
        wire.send(get("/functions/v1/ticks"))
        wire.head()
        chunks = wire.chunks()
        assert next(chunks) == b"data: 0\n\n"  # the second comes after the timeout
        wire.socket.settimeout(10)
        assert list(chunks) == [b"data: 1\n\n", b"data: 2\n\n"]
