"""Hot reload: a save is answered by fresh code, and no request pays for it."""

import os
import shutil
import threading
import time

import pytest

from heddle import bearer, eventually, expect
from load import Load
from sources import OPEN, manifest, says
from test_limits import function

# `make test` has little time; HEDDLE_TEST_RELOADS=1000 is the whole claim.
RELOADS = int(os.environ.get("HEDDLE_TEST_RELOADS", "60"))


def functions(node):
    return node.admin("/heddle/functions").json()["functions"]


class Project:
    """A folder of functions that is served with hot reload."""

    def __init__(self, start_node, write_functions, files, *args, **options):
        self.write = write_functions
        self.functions = write_functions(files)
        self.node = start_node(self.functions, *args, command="dev", **options)
        # From here on there is a version that answers: what comes after may not lose a request.
        eventually(lambda: all(f["state"] in ("ready", "failed") for f in functions(self.node)),
                   what="the first load")

    def save(self, name, text):
        """As editors do: write beside it, then rename."""
        path = self.functions / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name("." + path.name + ".tmp")
        beside.write_text(text)
        beside.rename(path)

    def version(self, name):
        return function(self.node, name)["version"]

    def reloads(self):
        return self.node.metrics()["heddle_reloads_total"]

    def answers(self, name, text):
        """Wait until the function answers with this text; nothing may fail before."""
        def look():
            answer = self.node.get(name)
            assert answer.status == 200, answer
            return answer if answer.body.decode() == text else None
        return eventually(look, what=f"{name} saying {text!r}")

    def quiet(self):
        """Wait until a save of something else was seen: then all before it was, too."""
        self.save("canary/index.ts", says("canary"))
        eventually(lambda: self.node.get("canary").status in (200, 401), what="the canary")
        self.functions.joinpath("canary/index.ts").unlink()
        eventually(lambda: self.node.get("canary").status == 404, what="the canary's end")


@pytest.fixture
def project(start_node, write_functions):
    def make(files, *args, **options):
        files = {**files}
        for name in [n for n in files if n.endswith("/index.ts")]:
            files.setdefault(name.replace("index.ts", "heddle.json"), OPEN)
        return Project(start_node, write_functions, files, *args, **options)
    return make


def test_a_save_is_answered_fresh(project):
    p = project({"hello/index.ts": says("one")})
    assert p.node.get("hello").body == b"one"
    for text in ("two", "three"):
        p.save("hello/index.ts", says(text))
        p.answers("hello", text)
    (p.functions / "hello/index.ts").write_text(says("in place"))
    p.answers("hello", "in place")


def test_a_save_of_the_same_bytes_does_nothing(project):
    p = project({"hello/index.ts": says("one")})
    p.answers("hello", "one")
    version, launches = p.version("hello"), launched(p)
    p.save("hello/index.ts", says("one"))
    os.utime(p.functions / "hello/index.ts")
    (p.functions / "hello/index.ts").write_text(says("one"))
    p.quiet()
    assert p.version("hello") == version and launched(p) == launches


def launched(p):
    return p.node.metrics()['heddle_pool_launches_total{function="hello"}']


def test_a_syntax_error_leaves_the_version_before_in_service(project):
    p = project({"hello/index.ts": says("good")})
    p.answers("hello", "good")
    p.save("hello/index.ts", "Deno.serve(() => new Response('bad');\n")
    p.node.wait_record(lambda r: r["msg"] == "function failed to load" and r["function"] == "hello",
                       what="the error in the log")
    for _ in range(5):
        answer = p.node.get("hello")
        assert (answer.status, answer.body) == (200, b"good"), answer
        assert answer.get("x-heddle-stale") == "1"
    assert p.node.get("/health").json()["status"] == "degraded"
    p.save("hello/index.ts", says("healed"))
    answer = p.answers("hello", "healed")
    assert answer.get("x-heddle-stale") is None
    eventually(lambda: p.node.get("/health").json()["status"] == "ok", what="good health")


def declares(text, options):
    return (f"globalThis.__edgeFunctionRegistry.register(() => new Response({text!r}), "
            f"{{ {options} }});\n")


def test_who_may_call_the_version_before_is_what_that_version_declared(project):
    p = project({"open/index.ts": declares("open", "public: true"), "open/heddle.json": "{}",
                 "shut/index.ts": declares("shut", "require: ['admin']"), "shut/heddle.json": "{}"})
    user, admin = bearer(), bearer(role="admin")
    assert p.node.get("open").body == b"open"
    assert (p.node.get("shut", user).status, p.node.get("shut", admin).body) == (403, b"shut")
    for name in ("open", "shut"):
        p.save(f"{name}/index.ts", "this is no program\n")
        p.node.wait_record(lambda r: r["msg"] == "function failed to load" and
                           r["function"] == name, what="the error in the log")
    assert (p.node.get("open").status, p.node.get("open").get("x-heddle-stale")) == (200, "1")
    assert [p.node.get("shut", who).status for who in ({}, user, admin)] == [401, 403, 200]


def test_functions_come_and_go(project):
    p = project({"hello/index.ts": says("hello")})
    assert p.node.get("new").status == 404
    p.save("new/heddle.json", OPEN)
    p.save("new/index.ts", says("new"))
    answer = eventually(lambda: found(p.node.get("new")), what="the new one")
    assert answer.body == b"new"
    shutil.rmtree(p.functions / "new")
    eventually(lambda: p.node.get("new").status == 404, what="its end")
    assert p.node.get("hello").body == b"hello"
    names = [f["name"] for f in p.node.admin("/heddle/functions").json()["functions"]]
    assert names == ["hello"]


def found(answer):
    return None if answer.status in (404, 401) else answer


def test_an_edit_of_shared_code_reloads_who_imports_it_and_nobody_else(project):
    imports = 'import { word } from "../_shared/word.ts";\nDeno.serve(() => new Response(word));\n'
    p = project({"_shared/word.ts": 'export { word } from "./deep/word.ts";\n',
                 "_shared/deep/word.ts": 'export const word = "one";\n',
                 "_shared/nobody.ts": "export {};\n",
                 "a/index.ts": imports, "b/index.ts": imports, "c/index.ts": says("c")})
    p.answers("a", "one")
    before = {name: p.version(name) for name in "abc"}
    p.save("_shared/deep/word.ts", 'export const word = "two";\n')
    p.answers("a", "two")
    p.answers("b", "two")
    after = {name: p.version(name) for name in "abc"}
    assert after["a"] != before["a"] and after["b"] != before["b"] and after["c"] == before["c"]
    p.save("_shared/nobody.ts", "export const x = 1;\n")
    p.quiet()
    assert {name: p.version(name) for name in "abc"} == after


def test_an_edit_of_an_environment_file_reaches_the_functions(project):
    p = project({"word/index.ts": "Deno.serve(() => new Response(Deno.env.get('WORD') ?? '-'));\n"})
    env = p.functions.parent / ".env"
    p.answers("word", "-")
    env.write_text("WORD=one\n")
    p.answers("word", "one")
    env.write_text("# a comment\nWORD=two\n")
    p.answers("word", "two")
    env.unlink()
    p.answers("word", "-")
    text = p.node.text()
    assert "environment files changed" in text and "WORD" in text and '"two"' not in text


def test_a_broken_manifest_is_the_end_of_that_function_only(project):
    p = project({"a/index.ts": says("a"), "b/index.ts": says("b")})
    p.answers("a", "a")
    p.save("a/heddle.json", '{\n  "verify_jwt": false,\n  "timeoutMs": "soon"\n}\n')
    answer = eventually(lambda: p.node.get("a") if p.node.get("a").status != 200 else None,
                        what="the failure")
    assert answer.status == 503, answer
    assert answer.json()["reason"] == "function_boot_failed"
    message = answer.json()["message"]  # development: it is for who writes it
    assert "a/heddle.json:3" in message and "timeoutMs" in message
    assert p.node.get("b").body == b"b"
    p.node.wait_record(lambda r: "a/heddle.json:3" in str(r) and "timeoutMs" in str(r))
    p.save("a/heddle.json", OPEN)
    eventually(lambda: p.node.get("a").status == 200, what="the mended one")


def test_settings_that_need_no_new_instance_get_none(project):
    p = project({"hello/index.ts": says("hello")}, env={"HEDDLE_DISABLE_RATE_LIMIT": None})
    p.answers("hello", "hello")
    version, launches = p.version("hello"), launched(p)
    p.save("hello/heddle.json", manifest(rpm=1, minInstances=2, idleMs=60000))
    eventually(lambda: p.node.get("hello").status == 429, what="the new limit")
    eventually(lambda: function(p.node, "hello")["instances"]["idle"] == 2, what="the second one")
    assert p.version("hello") == version and launched(p) == launches + 1


def test_a_linked_function_is_followed_to_its_real_place(project, tmp_path):
    real = tmp_path / "elsewhere"
    real.mkdir()
    (real / "index.ts").write_text(says("one"))
    (real / "heddle.json").write_text(OPEN)
    p = project({"hello/index.ts": says("hello")})
    (p.functions / "linked").symlink_to(real)
    eventually(lambda: p.node.get("linked").status == 200, what="the linked one")
    (real / "index.ts").write_text(says("two"))
    p.answers("linked", "two")


def test_a_signal_looks_again_where_nothing_is_watched(start_node, write_functions):
    functions = write_functions({"hello/index.ts": says("one"), "hello/heddle.json": OPEN})
    node = start_node(functions)
    (functions / "hello/index.ts").write_text(says("two"))
    assert node.get("hello").body == b"one"
    node.process.send_signal(1)
    eventually(lambda: node.get("hello").body == b"two", what="the new code")


def test_requests_under_way_end_in_the_version_they_began_in(project):
    slow = """
    Deno.serve(async () => {
      await new Promise((done) => setTimeout(done, 1500));
      return new Response("old");
    });
    """
    p = project({"hello/index.ts": slow})
    p.node.get("hello")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(p.node.get("hello")))
    thread.start()
    eventually(lambda: function(p.node, "hello")["inFlight"] == 1, what="the request")
    p.save("hello/index.ts", says("new"))
    p.answers("hello", "new")
    thread.join()
    assert (answers[0].status, answers[0].body) == (200, b"old")


def test_no_request_is_lost_while_a_function_is_reloaded_again_and_again(project):
    p = project({"busy/index.ts": says("0"), "calm/index.ts": says("calm")})
    p.answers("busy", "0")
    calm = p.version("calm")

    def check(path, answer, body):
        good = body == b"calm" if path.endswith("calm") else body.isdigit()
        return answer.status if good else f"{answer.status} {body[:80]!r}"

    with Load(p.node, ["busy", "busy", "calm"], connections=3, check=check) as load:
        for n in range(1, RELOADS + 1):
            p.save("busy/index.ts", says(str(n)))
            p.answers("busy", str(n))
        eventually(lambda: load.count() > 50, what="some load")
    assert set(load.seen) == {200}, (load.seen, load.problems)
    assert p.version("calm") == calm
    assert p.reloads() >= RELOADS


def status_or_why(path, answer, body):
    return answer.status if answer.status == 200 else f"{answer.status} {body[:300]!r}"


def test_saves_faster_than_reloads_end_with_the_last_one(project):
    p = project({"busy/index.ts": says("0")})
    with Load(p.node, ["busy"], connections=2, check=status_or_why) as load:
        for n in range(1, 300):
            (p.functions / "busy/index.ts").write_text(says(str(n)))
        p.answers("busy", "299")
    assert set(load.seen) == {200}, (load.seen, load.problems)


def loaded(answer):
    """Not before it was found, nor while it loads."""
    return None if answer.get("x-heddle-warming") or answer.status in (404, 401) else answer


def save_in_two_steps(path, text):
    """As many editors and copies do: made empty, and written a moment later."""
    with open(path, "w") as file:
        time.sleep(0.01)
        file.write(text)


def test_saves_that_empty_the_file_first_lose_no_request(project):
    p = project({"busy/index.ts": says("0"), "busy/heddle.json": OPEN})
    with Load(p.node, ["busy"], connections=2, check=status_or_why) as load:
        for n in range(1, 80):
            save_in_two_steps(p.functions / "busy/heddle.json", manifest(rpm=1000 + n))
            save_in_two_steps(p.functions / "busy/index.ts", says(str(n)))
        p.answers("busy", "79")
    assert set(load.seen) == {200}, (load.seen, load.problems)


def test_the_same_bytes_once_more_while_it_starts_are_what_it_runs(project):
    p = project({"calm/index.ts": says("calm")})
    for n in range(5):
        name = f"new{n}"
        p.save(f"{name}/heddle.json", OPEN)
        path = p.functions / name / "index.ts"
        path.write_text(says("same"))
        for _ in range(30):
            save_in_two_steps(path, says("same"))
        answer = eventually(lambda: loaded(p.node.get(name)), what="the new one")
        assert (answer.status, answer.body) == (200, b"same"), answer
        assert p.node.get(name).status == 200


def test_a_new_function_that_is_still_being_written_is_waited_for(project):
    p = project({"calm/index.ts": says("calm")})
    p.save("new/heddle.json", OPEN)
    with open(p.functions / "new/index.ts", "w") as file:
        eventually(lambda: any(f["name"] == "new" for f in functions(p.node)),
                   what="its discovery")
        file.write(says("whole"))
    answer = eventually(lambda: loaded(p.node.get("new")), what="the new one")
    assert (answer.status, answer.body) == (200, b"whole"), answer


def test_a_reload_resets_the_breaker(project):
    p = project({"flaky/index.ts": "Deno.serve(() => new Response('', { status: 500 }));\n",
                 "flaky/heddle.json": manifest(recycle={"errorWindow": 3, "cooldownMs": 600000})})
    assert [p.node.get("flaky").status for _ in range(3)] == [500] * 3
    expect(p.node.get("flaky"), 503, {"error": "Service temporarily unavailable",
                                      "reason": "circuit_breaker_open"})
    p.save("flaky/index.ts", says("mended"))
    eventually(lambda: p.node.get("flaky").status == 200, what="the mended one")
