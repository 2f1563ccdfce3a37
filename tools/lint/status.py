"""Every test that doc/status.md names is there, and no row says yes without naming one."""

import re

PAGE = "doc/status.md"
ROW = re.compile(r"\| (\d+) \| .* \| (yes|partly|no) \| (.*) \|")
# unit|sim|fuzz NAME, where several may follow; and NAME: `test`, `test`
PROGRAM = re.compile(r"\b(unit|sim|fuzz) ([a-z][a-z0-9_]*)")
NAMED = re.compile(r"(?:\b(unit|sim|fuzz) )?\b([a-z][a-z0-9_]*)(?: \([^)`]*\))?: ((?:`\w+`(?:, )?)+)")
PATHS = {"unit": "test/unit/test_%s.c", "sim": "test/sim/sim_%s.c", "fuzz": "test/fuzz/fuzz_%s.c",
         None: "test/integration/test_%s.py"}


def tests_of(tree, path):
    """The names of the tests in a file."""
    if path.endswith(".py"):
        return set(re.findall(r"^(?:async )?def test_(\w+)\(", tree.text(path), re.M))
    return set(re.findall(r"^static void (\w+)\(void \*\*", tree.text(path), re.M))


def check_row(tree, said):
    """Yields (what is wrong) of one row, and None for each test that it names and that is there."""
    for kind, name in PROGRAM.findall(said):
        yield None if PATHS[kind] % name in tree.paths else f"there is no {PATHS[kind] % name}"
    for kind, name, tests in NAMED.findall(said):
        path = PATHS[kind or None] % name
        if path not in tree.paths:
            yield f"there is no {path}"
            continue
        for test in re.findall(r"`(\w+)`", tests):
            there = test in tests_of(tree, path)
            yield None if there else f"{path} has no test `{test}`"
    for word in re.findall(r"(?:^|; |, )([a-z][a-z0-9_]*)(?=$|;|,| \()", said):
        if PATHS[None] % word in tree.paths:
            yield None


def check(tree):
    """Returns (files looked at, problems)."""
    if PAGE not in tree.paths:
        return 0, []
    problems, good_before = [], False
    for number, line in enumerate(tree.text(PAGE).splitlines(), 1):
        row = ROW.fullmatch(line)
        if not row:
            continue
        found = list(check_row(tree, row[3])) if row[2] != "no" else []
        good = None in found or (good_before and re.match(r"same\b", row[3]) is not None)
        problems += [f"{PAGE}:{number}: {why}" for why in found if why]
        if row[2] == "yes" and not good:
            problems.append(f"{PAGE}:{number}: row {row[1]} says yes and names no test")
        good_before = good
    return 1, problems
