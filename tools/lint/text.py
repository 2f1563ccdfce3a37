"""Checks of all text: length of files, unfinished work, paths of one machine, links, shell."""

import re

from tree import run, run_each

CODE = (".c", ".h", ".py", ".ts", ".mjs", ".js", ".sh")
MAX_LINES = 700


def check_length(tree):
    files = tree.select(*CODE)
    counts = {path: len(tree.text(path).splitlines()) for path in files}
    return len(files), [f"{path}:{n}: longer than {MAX_LINES} lines: two subjects?"
                        for path, n in counts.items() if n > MAX_LINES]


# Put together here so that this file does not contain them.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b")
MACHINE = re.compile(r"(?<![\w.~-])/(" + "|".join(["wo" + "rk", "fa" + "rm", "home/[a-z]\\w*",
                                                 "Users/\\w+", "root/\\w+"]) + r")(/|\b)")
HOST = re.compile(r"https?://(registry|deb|security)\.")


def check_words(tree):
    """Nothing unfinished by its own words, and nothing that is true on one machine only."""
    files = [path for path in tree.paths
             if not path.endswith("package-lock.json") and "/corpus/" not in path
             and tree.is_text(path)]
    problems = []
    for path in files:
        for number, line in tree.lines(path):
            if UNFINISHED.search(line):
                problems.append(f"{path}:{number}: unfinished by its own words: finish it, or say"
                                " it in doc/status.md")
            if MACHINE.search(line) or HOST.search(line):
                problems.append(f"{path}:{number}: a path or host of one machine")
    return len(files), problems


LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


def anchors(text):
    """The anchors of a page's headings, as hosting sites make them."""
    found = set()
    for line in without_code(text).splitlines():
        if line.startswith("#"):
            title = re.sub(r"[`*_]|\[([^\]]*)\]\([^)]*\)", r"\1", line.lstrip("#").strip().lower())
            found.add(re.sub(r"[^\w\- ]", "", title).replace(" ", "-"))
    return found


def without_code(text):
    """Blank out fenced blocks and `code`, keep line breaks."""
    text = re.sub(r"^```.*?^```", lambda f: re.sub(r"[^\n]", " ", f.group()), text,
                  flags=re.S | re.M)
    return re.sub(r"`[^`\n]*`", lambda f: " " * len(f.group()), text)


def check_links(tree):
    pages = tree.select(".md")
    problems = []
    for path in pages:
        for number, line in enumerate(without_code(tree.text(path)).splitlines(), 1):
            for found in LINK.finditer(line):
                target = found.group(1) or found.group(2)
                if re.match(r"[a-z]+:", target):
                    continue
                file, _, anchor = target.partition("#")
                at = (tree.root / path).parent / file if file else tree.root / path
                if not at.exists():
                    problems.append(f"{path}:{number}: {target} points to nothing")
                elif anchor and at.suffix == ".md" and anchor not in anchors(at.read_text()):
                    problems.append(f"{path}:{number}: {target}: no such heading")
    return len(pages), problems


def check_shell(tree):
    scripts = [path for path in tree.paths if tree.is_text(path)
               and re.match(r"#!.*\b(sh|bash|dash)\b", tree.text(path).split("\n", 1)[0])]

    def one(path):
        code, output = run(["shellcheck", "--format=gcc", path], tree.root)
        return [] if code == 0 else output.strip().splitlines()

    return len(scripts), [p for problems in run_each(scripts, one) for p in problems]
