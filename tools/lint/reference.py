"""doc/reference.md is what the program itself says about its options."""

from tree import run

PAGE = "doc/reference.md"
BUILDS = ("build/heddle", "build/asan/heddle")


def check(tree):
    """Returns (files looked at, problems), or a sentence: why it could not look."""
    programs = [path for path in BUILDS if (tree.root / path).is_file()]
    if not programs:
        return "no build of heddle to ask; `make` makes one"
    code, output = run(["./" + programs[0], "help", "--markdown"], tree.root)
    if code != 0 and PAGE not in tree.paths:
        return f"{programs[0]} has no `help --markdown`, and there is no {PAGE}"
    if code != 0:
        return 1, [f"{PAGE}:1: `{programs[0]} help --markdown` fails with exit code {code}"]
    if PAGE not in tree.paths or tree.text(PAGE) != output:
        return 1, [f"{PAGE}:1: out of date: {programs[0]} help --markdown >{PAGE}"]
    return 1, []
