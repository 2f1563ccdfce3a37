#!/usr/bin/env python3
"""Check the text of the project: tools/lint/run.py [--match NAME] [--json FILE] [ROOT]

Each check runs over the tree, and then over its bad examples in test/lint/bad/<check>/<case>/:
small trees with an expect.txt whose every line must stand in what the check says about them. A check
that lets one pass, that has none, or that looked at no file fails itself.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import c_code
import layers
import reference
import status
import text
from tree import Tree

ROOT = Path(__file__).resolve().parents[2]

# name: (check, tool it needs)
CHECKS = {
    "layers": (layers.check, None),
    "banned": (c_code.check_banned, None),
    "headers": (c_code.check_headers, "g++"),
    "format": (c_code.check_format, "clang-format"),
    "warnings": (c_code.check_warnings, None),
    "listed": (c_code.check_listed, None),
    "length": (text.check_length, None),
    "words": (text.check_words, None),
    "links": (text.check_links, None),
    "shell": (text.check_shell, "shellcheck"),
    "reference": (reference.check, None),
    "status": (status.check, None),
}


def result(name, files=0, problems=(), skipped=None):
    return {"name": name, "files": files, "problems": list(problems), "skipped": skipped}


def check_tree(name, tree):
    found = CHECKS[name][0](tree)
    if isinstance(found, str):
        return result(name, skipped=found)
    files, problems = found
    if files == 0:
        problems = [f"{name}: looked at no file"]
    return result(name, files, problems)


def check_bad_example(name, folder):
    """The check must reject it, and for the reason that it is an example of."""
    title = f"{name} rejects {folder.name}"
    expected = [line for line in (folder / "expect.txt").read_text().splitlines() if line]
    found = CHECKS[name][0](Tree(folder))
    if isinstance(found, str):
        return result(title, skipped=found)
    said = "\n".join(found[1])
    missing = [f"{folder.name}: accepted, but should say: {line}"
               for line in expected if line not in said]
    if not expected:
        missing = [f"{folder.name}: expect.txt is empty"]
    return result(title, found[0], missing)


def run_check(name, root):
    tool = CHECKS[name][1]
    if tool and shutil.which(tool) is None:
        yield result(name, skipped=f"{tool} is not installed; `make deps` does that")
        return
    yield check_tree(name, Tree(root))
    folder = ROOT / "test" / "lint" / "bad" / name
    examples = sorted(p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    if not examples:
        yield result(name + " bad examples", problems=[f"{name}: has no bad example in {folder}"])
    for example in examples:
        yield check_bad_example(name, example)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--match", default="", help="only checks whose name contains it")
    parser.add_argument("--json", metavar="FILE", help="write the results there as well")
    parser.add_argument("root", nargs="?", default=ROOT)
    args = parser.parse_args()

    results = []
    for name in CHECKS:
        if args.match in name:
            results += run_check(name, args.root)
    for r in results:
        verdict = "skip" if r["skipped"] else "FAIL" if r["problems"] else "ok"
        print(f"{verdict:4} {r['name']}"
              + (f": {r['skipped']}" if r["skipped"] else f" ({r['files']} files)"))
        for problem in r["problems"]:
            print("    " + problem)
    if args.json:
        Path(args.json).write_text(json.dumps(results))
    return 1 if not results or any(r["problems"] for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
