"""Clients as people use them: curl, fetch in a browser's way, supabase-js."""

import json
import shutil
import subprocess

import pytest

from heddle import ROOT, token


def curl(node, *args):
    done = subprocess.run(["curl", "-sS", "--max-time", "20", *args], capture_output=True,
                          text=True, timeout=30)
    assert done.returncode == 0, done
    return done.stdout


def test_curl_gets_and_posts(node):
    base = node.url + "/functions/v1"
    assert json.loads(curl(node, base + "/hello?name=curl")) == {"message": "Hello, curl!"}
    assert curl(node, "-d", "some text", base + "/echo") == "some text"
    assert curl(node, "-H", "Transfer-Encoding: chunked", "-d", "in chunks",
                base + "/echo") == "in chunks"
    assert curl(node, "-o", "/dev/null", "-w", "%{http_code}", base + "/private") == "401"


def test_curl_uploads_a_large_file_with_expect(node, tmp_path):
    file = tmp_path / "large"
    file.write_bytes(b"x" * (5 << 20))
    answer = curl(node, "-H", "Expect: 100-continue", "-T", str(file), "-X", "POST",
                  node.url + "/functions/v1/upload")
    assert json.loads(answer) == {"bytes": 5 << 20}


def run_js(source, *args):
    done = subprocess.run([shutil.which("node"), "--input-type=module", "-e", source, *args],
                          cwd=ROOT / "test", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


needs_npm = pytest.mark.skipif(
    not (ROOT / "test/node_modules/@supabase").is_dir(),
    reason="test/node_modules is not installed; `make deps` does that")

SUPABASE = """
import { createClient } from "@supabase/supabase-js";
import WebSocket from "ws";
const [url, key] = process.argv.slice(1);
const client = createClient(url, key, {
  auth: { persistSession: false, autoRefreshToken: false },
  realtime: { transport: WebSocket },
});
const hello = await client.functions.invoke("hello", { method: "GET" });
const echo = await client.functions.invoke("echo", { body: { a: 1 } });
const own = await client.functions.invoke("private", { body: {} });
const missing = await client.functions.invoke("missing", { body: {} });
const thrown = await client.functions.invoke("throws", { body: {} });
console.log(JSON.stringify({
  hello: hello.data, echo: echo.data, own: own.data,
  missing: [missing.error?.name, missing.error?.context?.status],
  thrown: [thrown.error?.name, thrown.error?.context?.status],
}));
process.exit(0);
"""


@needs_npm
def test_supabase_js_invokes_functions(node):
    assert run_js(SUPABASE, node.url, token()) == {
        "hello": {"message": "Hello, world!"},
        "echo": {"a": 1},
        "own": {"userId": "user-1", "email": "user@example.org", "role": "authenticated"},
        "missing": ["FunctionsHttpError", 404],
        "thrown": ["FunctionsHttpError", 500],
    }


BROWSER = """
const [base] = process.argv.slice(1);
const origin = { origin: "https://app.example.org" };
const pre = await fetch(base + "/hello", { method: "OPTIONS", headers: {
  ...origin, "access-control-request-method": "POST",
  "access-control-request-headers": "authorization, content-type" } });
const own = await fetch(base + "/hello", { headers: origin });
const show = (r, ...names) => [r.status, ...names.map((n) => r.headers.get(n))];
console.log(JSON.stringify({
  pre: show(pre, "access-control-allow-origin", "vary"),
  methods: pre.headers.get("access-control-allow-methods"),
  headers: pre.headers.get("access-control-allow-headers"),
  own: show(own, "access-control-allow-origin"),
}));
"""


def test_a_browser_of_an_allowed_origin_is_let_in(start_node):
    node = start_node(env={"HEDDLE_CORS_ORIGIN": "https://app.example.org"})
    seen = run_js(BROWSER, node.url + "/functions/v1")
    assert seen["pre"] == [204, "https://app.example.org", "Origin"]
    assert "POST" in seen["methods"] and "authorization" in seen["headers"]
    assert seen["own"] == [200, "https://app.example.org"]


def test_a_browser_of_another_origin_gets_no_permission(start_node):
    node = start_node(env={"HEDDLE_CORS_ORIGIN": "https://other.example.org"})
    seen = run_js(BROWSER, node.url + "/functions/v1")
    assert seen["pre"][:2] == [204, None]
    assert seen["own"][1] is None
