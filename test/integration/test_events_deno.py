"""Events in the Deno host: its functions answer HTTP, so an event comes as a POST."""

import pytest

import hostdriver
from hostdriver import Connection

pytestmark = pytest.mark.skipif(hostdriver.missing("deno") is not None,
                                reason=str(hostdriver.missing("deno")))


@pytest.fixture
def start(tmp_path):
    hosts = hostdriver.Hosts("deno", tmp_path)
    yield hosts
    hosts.end()


def fault(answer):
    assert (answer.status, answer.field("x-heddle-function-error")) == (200, "Unhandled"), answer.body
    return answer.json()


SHOW = "async (req) => Response.json([req.method, new URL(req.url).pathname, req.headers.get('content-type'), " \
       "req.headers.get('x-heddle-event'), await req.json()], {status: 201, headers: {x: 'y'}})"


@pytest.mark.parametrize("text", [
    "Deno.serve(%s);", "export default { fetch: %s };",
    "globalThis.__edgeFunctionRegistry.register(%s, {public: true});", "globalThis.__edgeFunctionRegistry.register(%s);",
])
def test_handlers_get_an_event_as_a_post(start, text):
    host = start.loaded(text % SHOW, "fn/index.ts")
    connection = Connection(host.path)
    for _ in range(2):
        answer = connection.event(b'{"a":1}')
        assert answer.json() == ["POST", "/", "application/json", None, {"a": 1}]
        assert (answer.status, answer.field("content-type"), answer.field("x")) == (200, "application/json", None)
        assert answer.field("x-heddle-function-error") is answer.field("x-heddle-stream") is None


@pytest.mark.parametrize("made, error", [
    ("Response.json({why: 1}, {status: 404})", {"errorMessage": "status 404", "status": 404, "body": {"why": 1}}),
    ("new Response('words', {status: 500})", {"errorMessage": "status 500", "status": 500, "body": "words"}),
])
def test_a_status_of_400_or_more_is_a_function_error(start, made, error):
    host = start.loaded(f"Deno.serve(() => {made});", "fn/index.ts")
    for mode in ("buffered", "stream"):
        assert fault(host.event(mode=mode)) == {"errorType": "HttpError", **error}


def test_what_is_thrown_is_the_error(start):
    host = start.loaded("Deno.serve(() => { throw new RangeError('thrown'); });", "fn/index.ts")
    error = fault(host.event(id="id-t"))
    assert (error["errorType"], error["errorMessage"]) == ("RangeError", "thrown")
    assert "deno/host.ts" not in str(error["trace"])
    assert "thrown" in host.wait_record(lambda r: r["id"] == "id-t")["msg"]
    assert fault(host.event())["errorType"] == "RangeError"


def test_an_error_handler_of_the_function_answers(start):
    host = start.loaded("Deno.serve({onError: (e) => new Response(e.message)}, () => { throw new Error('mine'); });", "fn/index.ts")
    assert host.event().body == b"mine"


def test_what_is_no_response_is_an_error(start):
    error = fault(start.loaded("Deno.serve(() => 5 as any);", "fn/index.ts").event())
    assert error["errorType"] == "TypeError" and "instead of a Response" in error["errorMessage"]


def test_a_stream_streams_when_it_is_wanted(start):
    host = start.loaded("""Deno.serve(() => new Response(new ReadableStream({ start(c) {
        c.enqueue(new Uint8Array([65])); c.enqueue(new Uint8Array([66])); c.close(); } }), {headers: {"content-type": "text/x"}}));""", "fn/index.ts")
    streamed = host.event(mode="stream")
    assert (streamed.field("x-heddle-stream"), streamed.field("content-type"), streamed.body) == ("1", "text/x", b"AB")
    collected = host.event()
    assert (collected.field("x-heddle-stream"), collected.body) == (None, b"AB")


def test_a_result_may_have_six_mebibytes(start):
    host = start.loaded("Deno.serve(async (req) => new Response('x'.repeat(await req.json())));", "fn/index.ts")
    assert len(host.event(6291556).body) == 6291556
    assert fault(host.event(6291557))["errorType"] == "Function.ResponseSizeTooLarge"


def test_a_lambda_function_is_for_another_host(start):
    host = start({"index.ts": "Deno.serve(() => new Response());"})
    answer = host.load_lambda("index.handler")
    assert answer.status == 500 and "node or the python host" in answer.json()["message"]
