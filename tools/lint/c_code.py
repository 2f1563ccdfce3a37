"""Checks of C sources: banned functions, headers that stand alone, format, compiler warnings."""

import re

from tree import run, run_each

BANNED = {
    "strcpy": "hd_buf, or memcpy with a checked length",
    "stpcpy": "hd_buf, or memcpy with a checked length",
    "strcat": "hd_buf",
    "strncat": "hd_buf",
    "sprintf": "hd_buf_fmt or snprintf",
    "vsprintf": "hd_buf_vfmt or vsnprintf",
    "gets": "fgets",
    "strtok": "a cursor over (ptr, end)",
    "atoi": "hd_str_to_u64 and its kin",
    "atol": "hd_str_to_u64 and its kin",
    "atoll": "hd_str_to_u64 and its kin",
    "strtol": "hd_str_to_u64 and its kin",
    "alloca": "an arena or a buffer with a ceiling",
}
CALL = re.compile(r"\b(" + "|".join(BANNED) + r")\s*\(")
NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """The text with comments and literals blanked out, line breaks kept."""
    return NOT_CODE.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)


def c_files(tree):
    return tree.select(".c", ".h", under=["src/", "include/", "test/", "bench/", "examples/",
                                          "runtimes/"])


def check_banned(tree):
    problems = []
    # examples are other people's programs: they have none of our functions to take instead
    files = [path for path in c_files(tree) if not path.startswith("examples/")]
    for path in files:
        for number, line in enumerate(code_only(tree.text(path)).splitlines(), 1):
            for found in CALL.finditer(line):
                name = found.group(1)
                problems.append(f"{path}:{number}: {name}() is not used here: take {BANNED[name]}")
    return len(files), problems


OURS = ["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-x", "c"]
PUBLIC = [["gcc", "-std=c17", "-pedantic-errors", "-x", "c"],
          ["g++", "-std=c++17", "-pedantic-errors", "-x", "c++"]]
WARN = ["-Wall", "-Wextra", "-Werror", "-Iinclude", "-Isrc", "-fsyntax-only", "-"]


def check_headers(tree):
    """Compile each header alone, twice in a row: it includes what it needs, once."""
    headers = tree.select(".h", under=["src/", "include/"])

    def one(path):
        problems = []
        text = tree.text(path)
        if "#pragma once" not in text:
            problems.append(f"{path}:1: no #pragma once")
        name = path.split("/", 1)[1]
        line = f"#include <{name}>\n" if path.startswith("include/") else f'#include "{name}"\n'
        for command in [OURS] + (PUBLIC if path.startswith("include/") else []):
            code, output = run(command + WARN, tree.root, line + line)
            if code != 0:
                how = " ".join(command[:2])
                problems.append(f"{path}:1: does not compile alone ({how}): "
                                + " | ".join(output.strip().splitlines()[:4]))
        return problems

    return len(headers), [p for problems in run_each(headers, one) for p in problems]


def check_format(tree):
    files = c_files(tree)

    def one(path):
        code, output = run(["clang-format", "--dry-run", "-Werror", path], tree.root)
        if code == 0:
            return []
        first = output.split("\n", 1)[0]
        found = re.search(r":(\d+):\d+:", first)
        line = found.group(1) if found else "1"
        return [f"{path}:{line}: not formatted: clang-format -i {path}"]

    return len(files), [p for problems in run_each(files, one) for p in problems]


WARNINGS = ["-Wshadow", "-Wconversion", "-Wformat=2", "-Wstrict-prototypes",
            "-Wmissing-prototypes", "-Wvla"]


def check_warnings(tree):
    """The compiler looks for variable-length arrays and the like: it must be asked to."""
    if "meson.build" not in tree.paths:
        return 0, []
    text = tree.text("meson.build")
    problems = [f"meson.build:1: {flag} is not among the project's arguments"
                for flag in WARNINGS if f"'{flag}'" not in text]
    if not re.search(r"warning_level=[23]", text):
        problems.append("meson.build:1: warning_level must be 2 or 3 (-Wall -Wextra)")
    return 1, problems


def check_listed(tree):
    """A source file that no meson.build names is not built, and a test that none names never runs."""
    problems = []
    sources = [path for path in tree.select(".c", under=["src/", "test/unit/", "test/sim/",
                                                         "test/fuzz/"])]
    for path in sources:
        folder, _, name = path.rpartition("/")
        word = name[:-2]
        for prefix in ("test_", "sim_", "fuzz_"):
            if folder.startswith("test/"):
                word = word.removeprefix(prefix)
        meson = "meson.build" if folder == "src" else f"{folder}/meson.build"
        text = re.sub(r"#.*", "", tree.text(meson)) if meson in tree.paths else ""
        if not any(f"'{n}'" in text for n in {name, word, name[:-2], path}):
            problems.append(f"{path}:1: {meson} does not name it")
    return len(sources), problems
