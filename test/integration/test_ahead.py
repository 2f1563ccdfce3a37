"""Functions are compiled before they are called, and what is served is what is in their files."""

import os
import time

import pytest

import hostdriver
from heddle import eventually

pytestmark = pytest.mark.skipif(hostdriver.missing("deno") is not None,
                                reason=str(hostdriver.missing("deno")))

OPEN = '{"verify_jwt": false}'
LAZY = ("--lazy", "--prewarm", "1", "--cold-wait-ms", "30000")


def says(word):
    return f"""import {{ word }} from "../_shared/word.ts";
const text: string = "{word}";
console.log("loaded " + text);
Deno.serve(() => new Response(text + " " + word));
"""


def files(count):
    return {"_shared/word.ts": 'export const word: string = "one";',
            **{f"f{n}/index.ts": says(f"f{n}") for n in range(count)},
            **{f"f{n}/heddle.json": OPEN for n in range(count)}}


def compiled(node, path):
    """The newest compiled form of a function's file, or None."""
    found = list((node.cwd / ".heddle/cache/gen").glob(f"**/functions/{path}.js"))
    return found[0].read_text() if found else None


def test_what_was_never_called_is_compiled_and_not_run(start_node, write_functions):
    broken = {"bad/index.ts": "const x: = ;", "bad/heddle.json": OPEN,
              "far/index.ts": 'import "https://nowhere.invalid/x.ts";', "far/heddle.json": OPEN}
    node = start_node(write_functions({**files(2), **broken}), *LAZY)
    for name in ("f0", "f1"):
        eventually(lambda name=name: compiled(node, f"{name}/index.ts"), 30, f"{name} is compiled")
    assert compiled(node, "_shared/word.ts")
    assert "loaded" not in node.text()
    assert node.get("f0").body == b"f0 one"
    assert node.get("f1").body == b"f1 one"
    assert node.get("bad").status >= 500


def test_a_changed_file_is_compiled_again_and_never_served_as_it_was(start_node, write_functions):
    folder = write_functions(files(1))
    node = start_node(folder, *LAZY, "--hmr")
    eventually(lambda: compiled(node, "f0/index.ts"), 30, "it is compiled")
    for word in ("second", "third"):
        (folder / "f0/index.ts").write_text(says(word))
        eventually(lambda word=word: f'"{word}"' in (compiled(node, "f0/index.ts") or ""), 30,
                   "it is compiled again")
    assert "loaded" not in node.text()
    # Older than what was compiled, and as long: the bytes count.
    (folder / "f0/index.ts").write_text(says("fifth"))
    os.utime(folder / "f0/index.ts", (time.time() - 1000,) * 2)
    (folder / "_shared/word.ts").write_text('export const word: string = "two";')
    eventually(lambda: node.get("f0").body == b"fifth two", 30, "the answer of what is there now")

