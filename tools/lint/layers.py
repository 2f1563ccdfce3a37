"""The dependency table of the source folders against the #include lines: arrows go down only."""

import re

# Folder in src/: (what it may include, why it lies there). A folder without a row is an error.
TABLE = {
    "core": ([], "buffers, maps, loops, logs, options: knows nothing of ours"),
    "http": (["core"], "the codec, server and client serve every door and the pool"),
    "store": (["core"], "what is kept: records and durable queues, behind one thread"),
    "auth": (["core", "http"], "tokens, keys, signatures: doors need it, and it fetches key sets"),
    "functions": (["core"], "what functions there are, from files; bundles and layers"),
    "pool": (["core", "http", "functions"], "instances and what makes them"),
    "invoke": (["core", "http", "functions", "pool"],
               "a call with an event, as every door but the edge makes it"),
    "telemetry": (["core", "http"], "exporters; the instruments are core's"),
    "gateway": (["core", "http", "auth", "functions", "pool"],
                "the edge door; takes and gives places in instances by pool/pool.h"),
    "broker": (["core"], "AMQP: connecting, and what its errors mean"),
    "lambda": (["core", "http", "store", "auth", "functions", "pool", "invoke", "broker"],
               "the Lambda door: API, Invoke, function URLs, async queue, event sources"),
    "lanes": (["core", "http", "store", "auth", "functions", "pool", "invoke", "broker"],
              "event lanes over queues, RPC lanes over HTTP"),
    "shim": (["core", "http"],
             "the Runtime API inside an instance; a program of its own, linked statically"),
    "native": (["core", "http"], "functions written in C: the public handler API"),
    "node": (["core", "http", "store", "auth", "functions", "pool", "invoke", "broker", "telemetry",
              "gateway", "lambda", "lanes"], "puts the parts together"),
    "cli": (["core", "http", "functions", "pool", "lanes", "node"],
            "commands; `serve` and `dev` run a node, the others talk to one over HTTP, and `image`"
            " to a container engine"),
}
# Files directly in src/ may include every folder.
TOP_FILES = {"main.c"}

# What a public header may include: itself and the C library.
PUBLIC_SYSTEM = re.compile(r"(std\w+|string|sys/types|uv)\.h")

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def includes(tree, path):
    for number, line in tree.lines(path):
        found = INCLUDE.match(line)
        if found:
            yield number, found.group(1) == '"', found.group(2)


def check_source(tree, path):
    parts = path.split("/")
    if len(parts) == 2:
        if parts[1] not in TOP_FILES:
            yield f"{path}:1: only {', '.join(sorted(TOP_FILES))} lies directly in src/"
        return
    folder = parts[1]
    if folder not in TABLE:
        yield f"{path}:1: src/{folder}/ has no row in tools/lint/layers.py: give it one, and why"
        return
    allowed = [folder, *TABLE[folder][0]]
    for number, quoted, name in includes(tree, path):
        if quoted and "/" not in name:
            yield f'{path}:{number}: "{name}": write our headers as "folder/file.h" from src/'
        elif quoted and not (tree.root / "src" / name).is_file():
            yield f"{path}:{number}: there is no src/{name}"
        elif quoted and name.split("/")[0] not in allowed:
            yield (f"{path}:{number}: {folder} may not include {name}; it may include "
                   f"{', '.join(allowed)} (tools/lint/layers.py)")
        elif not quoted and (tree.root / "src" / name).is_file():
            yield f'{path}:{number}: <{name}>: our own headers stand in quotes'


def check_public(tree, path):
    for number, quoted, name in includes(tree, path):
        if quoted or not (name.startswith("heddle/") or PUBLIC_SYSTEM.fullmatch(name)):
            yield (f"{path}:{number}: {name}: a public header includes <heddle/...> and the C"
                   " library only")


def check(tree):
    """Returns (files looked at, problems)."""
    sources = tree.select(".c", ".h", under=["src/"])
    public = tree.select(".h", under=["include/"])
    problems = [p for path in sources for p in check_source(tree, path)]
    problems += [p for path in public for p in check_public(tree, path)]
    return len(sources) + len(public), problems
