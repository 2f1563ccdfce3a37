"""Answers that come in pieces: frames of InvokeWithResponseStream, on the wire and by clients."""

import base64
import json
import struct
import time
import zlib

import pytest

from awslambda import Lambda
from heddle import eventually
from lambdas import needs_sdk, sdk
from wire import Wire

PATH = "/2021-11-15/functions/{}/response-streaming-invocations"


def read_frame(data):
    """One frame at the begin of data: (headers, payload, bytes used), or None if it is cut."""
    if len(data) < 12:
        return None
    total, head, crc = struct.unpack(">III", data[:12])
    assert zlib.crc32(data[:8]) == crc
    if len(data) < total:
        return None
    assert zlib.crc32(data[:total - 4]) == struct.unpack(">I", data[total - 4:total])[0]
    headers, rest = {}, data[12:12 + head]
    while rest:
        name, rest = rest[1:1 + rest[0]].decode(), rest[1 + rest[0]:]
        assert rest[0] == 7, "not a string"
        size = struct.unpack(">H", rest[1:3])[0]
        headers[name], rest = rest[3:3 + size].decode(), rest[3 + size:]
    return headers, data[12 + head:total - 4], total


class Stream:
    """A streamed invocation, read as it comes."""

    def __init__(self, node, name, event=None, headers=(), receive_buffer=None):
        body = json.dumps(event or {})
        self.wire = Wire(int(node.control.rsplit(":", 1)[1]), receive_buffer=receive_buffer)
        self.wire.send("\r\n".join([f"POST {PATH.format(name)} HTTP/1.1", "Host: localhost",
                                    f"Content-Length: {len(body)}", *headers, "", body]))
        self.data = b""
        self.end = None

    def head(self):
        self.status, fields = self.wire.head()
        self.fields = {name.lower(): value for name, value in fields}
        self.chunks = self.wire.chunks()
        return self

    def pieces(self):
        """The function's pieces; at the end self.end is what InvokeComplete says."""
        while True:
            frame = read_frame(self.data)
            if frame is None:
                chunk = next(self.chunks, None)
                if chunk is None:
                    assert not self.data, "a frame is cut"
                    assert self.end is not None, "no InvokeComplete"
                    return
                self.data += chunk
                continue
            assert self.end is None, "something after InvokeComplete"
            headers, payload, used = frame
            self.data = self.data[used:]
            assert list(headers)[0] == ":message-type" and headers[":message-type"] == "event"
            if headers[":event-type"] == "PayloadChunk":
                assert headers[":content-type"] == "application/octet-stream"
                yield payload
            else:
                assert headers[":event-type"] == "InvokeComplete"
                assert headers[":content-type"] == "application/json"
                self.end = json.loads(payload)

    def all(self):
        self.head()
        assert self.status == 200, (self.status, self.fields)
        return list(self.pieces())


STREAMS = """
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
exports.handler = awslambda.streamifyResponse(async (event, out) => {
  if (event.throw === "before") throw new RangeError("nothing at all");
  out.write("first ");
  if (event.gate) await (await fetch(event.gate)).text();
  if (event.throw) throw new RangeError("in the middle");
  if (event.exit) { await wait(50); process.exit(7); }
  if (event.hang) await wait(60000);
  const block = Buffer.alloc(1 << 20, "x");
  for (let n = 0; n < (event.mb ?? 0); n++)
    if (!out.write(block)) await new Promise((done) => out.once("drain", done));
  if (event.log) console.log("said in a stream");
  out.end("last");
});
"""


@pytest.fixture(scope="module")
def streams(aws):
    aws.create("streams", STREAMS, Timeout=30)
    return aws


def test_pieces_come_when_they_are_written(streams, gate):
    it = Stream(streams.node, "streams", {"gate": gate.url}).head()
    assert it.status == 200
    assert it.fields["content-type"] == "application/vnd.amazon.eventstream"
    assert it.fields["x-amz-executed-version"] == "$LATEST"
    assert it.fields["transfer-encoding"] == "chunked"
    assert len(it.fields["x-amzn-requestid"]) == 36
    pieces = it.pieces()
    assert next(pieces) == b"first "
    assert gate.asked.wait(20) and not gate.open.is_set()
    gate.open.set()
    assert b"".join(pieces) == b"last"
    assert it.end == {}


def test_the_head_comes_before_the_first_piece(aws, gate):
    aws.create("thinks", """
exports.handler = awslambda.streamifyResponse(async (event, out) => {
  await (await fetch(event.gate)).text();
  out.end("thought");
});""")
    it = Stream(aws.node, "thinks", {"gate": gate.url}).head()
    assert it.status == 200 and not gate.open.is_set()
    gate.open.set()
    assert list(it.pieces()) == [b"thought"]


def test_a_handler_that_does_not_stream_is_one_piece(aws):
    aws.create("whole", "exports.handler = async (e) => ({ got: e });")
    it = Stream(aws.node, "whole", {"a": 1})
    assert it.all() == [b'{"got":{"a":1}}'] and it.end == {}


def test_an_error_before_the_first_byte_has_no_piece(streams):
    it = Stream(streams.node, "streams", {"throw": "before"})
    assert it.all() == []
    assert it.end["ErrorCode"] == "Unhandled"
    details = json.loads(it.end["ErrorDetails"])
    assert (details["errorType"], details["errorMessage"]) == ("RangeError", "nothing at all")


def test_an_error_in_the_middle_ends_in_order(streams):
    it = Stream(streams.node, "streams", {"throw": "middle"})
    assert b"".join(it.all()) == b"first "
    assert it.end["ErrorCode"] == "Unhandled"
    assert json.loads(it.end["ErrorDetails"])["errorType"] == "RangeError"


def test_an_exit_in_the_middle_is_said(streams):
    it = Stream(streams.node, "streams", {"exit": True})
    assert b"".join(it.all()) == b"first "
    assert it.end["ErrorCode"] == "Unhandled"
    assert json.loads(it.end["ErrorDetails"])["errorType"] == "Runtime.ExitError"
    again = Stream(streams.node, "streams")
    assert b"".join(again.all()) == b"first last"


def test_time_runs_out_in_the_middle(aws):
    aws.create("slow", STREAMS, Timeout=2)
    it = Stream(aws.node, "slow", {"hang": True})
    assert b"".join(it.all()) == b"first "
    assert it.end["ErrorCode"] == "Unhandled"
    details = json.loads(it.end["ErrorDetails"])
    assert details["errorType"] == "Sandbox.Timedout"
    assert details["errorMessage"].endswith("Task timed out after 2.00 seconds")


def test_the_tail_comes_with_the_end(streams):
    it = Stream(streams.node, "streams", {"log": True}, ["X-Amz-Log-Type: Tail"])
    assert b"".join(it.all()) == b"first last"
    tail = base64.b64decode(it.end["LogResult"]).decode()
    assert "said in a stream" in tail and "REPORT RequestId: " in tail
    assert it.fields["x-amzn-requestid"] in tail


def test_what_cannot_run_is_an_ordinary_error(streams):
    it = Stream(streams.node, "nobody").head()
    assert it.status == 404
    assert it.fields["x-amzn-errortype"] == "ResourceNotFoundException"
    refused = Stream(streams.node, "streams", headers=["X-Amz-Invocation-Type: Event"]).head()
    assert refused.status == 400
    dry = Stream(streams.node, "streams", headers=["X-Amz-Invocation-Type: DryRun"]).head()
    assert dry.status == 204


def test_much_arrives_unchanged(streams):
    it = Stream(streams.node, "streams", {"mb": 40})
    pieces = it.all()
    assert b"".join(pieces) == b"first " + b"x" * (40 << 20) + b"last"
    assert max(map(len, pieces)) <= 1 << 20


def test_who_reads_slowly_costs_no_memory(streams):
    before = streams.node.rss_kb()
    it = Stream(streams.node, "streams", {"mb": 100}, receive_buffer=8192).head()
    pieces = it.pieces()
    got = sum(len(next(pieces)) for _ in range(3))
    assert streams.node.rss_kb() < before + 16 * 1024
    got += sum(map(len, pieces))
    assert got == (100 << 20) + len(b"first last") and it.end == {}


def test_who_goes_away_hurts_nobody(streams):
    it = Stream(streams.node, "streams", {"mb": 100}).head()
    next(it.pieces())
    it.wire.socket.close()
    again = Stream(streams.node, "streams")
    assert b"".join(again.all()) == b"first last"
    eventually(lambda: sum(value for name, value in streams.node.metrics().items() if
                           name.startswith("heddle_lambda_concurrent_executions")) == 0)


def test_a_stream_has_a_longest(start_node, write_functions):
    aws = Lambda(start_node(write_functions({}), "--lambda-stream-max=1"))
    aws.create("streams", STREAMS)
    it = Stream(aws.node, "streams", {"mb": 3})
    assert len(b"".join(it.all())) <= 1 << 20
    assert it.end["ErrorCode"] == "Function.ResponseSizeTooLarge"
    assert "1048576" in it.end["ErrorDetails"]


def test_a_stream_keeps_its_rate(start_node, write_functions):
    aws = Lambda(start_node(write_functions({}), "--lambda-stream-rate=4"))
    aws.create("streams", STREAMS)
    assert b"".join(Stream(aws.node, "streams").all()) == b"first last"
    begin = time.monotonic()
    assert len(b"".join(Stream(aws.node, "streams", {"mb": 12}).all())) == (12 << 20) + 10
    assert time.monotonic() - begin > 1.3  # 6 MiB at 4 MiB a second


@needs_sdk
def test_the_javascript_sdk(streams):
    got = sdk(streams.node, """
const answer = await client.send(new aws.InvokeWithResponseStreamCommand({
  FunctionName: "streams", LogType: "Tail", Payload: JSON.stringify({ log: true, mb: 2 }) }));
let bytes = 0, end = null, text = "";
for await (const event of answer.EventStream) {
  if (event.PayloadChunk) {
    const piece = Buffer.from(event.PayloadChunk.Payload);
    bytes += piece.length;
    text = (text + piece.toString("latin1")).slice(-4);
  } else end = event.InvokeComplete;
}
done({ status: answer.StatusCode, version: answer.ExecutedVersion, bytes, text,
  log: Buffer.from(end.LogResult, "base64").toString(), code: end.ErrorCode ?? null });
""")
    assert got["status"] == 200 and got["version"] == "$LATEST"
    assert got["bytes"] == (2 << 20) + 10 and got["text"] == "last"
    assert "said in a stream" in got["log"] and got["code"] is None
