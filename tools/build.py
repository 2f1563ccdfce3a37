#!/usr/bin/env python3
"""Configure and compile one of the project's builds: tools/build.py NAME [--no-tests].

One table says what the builds are; the Makefile and tools/test.py both come here.
With CI=true in the environment a warning is an error in all of them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What gcc guesses about uninitialized values is wrong in code that a sanitizer rewrote; the release
# build asks the same question of the code as it is.
NO_GUESS = "-Wno-maybe-uninitialized"


def sanitize(*which, args=()):
    return ["-Db_sanitize=" + ",".join(which), "-Db_lundef=false", "-Doptimization=1",
            "-Ddebug=true", "-Dc_args=" + " ".join(args)]


def memory(*args):
    return sanitize("address", "undefined", args=("-fno-sanitize-recover=all", *args))


# name: folder, compiler, meson options
BUILDS = {
    "release": ("build", "gcc", ["-Dbuildtype=debugoptimized", "-Dtests=false"]),
    "asan": ("build/asan", "gcc", memory(NO_GUESS)),
    "clang": ("build/clang", "clang", [*memory(), "-Dwerror=true"]),
    "tsan": ("build/tsan", "gcc", sanitize("thread", args=[NO_GUESS])),
    "fuzz": ("build/fuzz", "clang", [*memory(), "-Dfuzz=true"]),
}


def jobs():
    return str(min(len(os.sched_getaffinity(0)), 8))


def options(name):
    chosen = list(BUILDS[name][2])
    if os.environ.get("CI") == "true" and "-Dwerror=true" not in chosen:
        chosen.append("-Dwerror=true")
    if name == "release":
        chosen.append("--prefix=" + os.environ.get("PREFIX", "/usr/local"))
    return chosen


def configure(name, out=None):
    """Run meson setup when there is no such build yet, or when it was made with other options."""
    folder = ROOT / BUILDS[name][0]
    compiler = BUILDS[name][1]
    wanted = json.dumps([compiler, options(name)])
    stamp = folder / ".options"
    if (folder / "build.ninja").exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    there = (folder / "meson-private" / "coredata.dat").exists()
    command = ["meson", "configure" if there else "setup", str(folder), *options(name)]
    env = dict(os.environ, CC=compiler)
    subprocess.run(command, cwd=ROOT, env=env, check=True, stdout=out or subprocess.DEVNULL,
                   stderr=out)
    stamp.write_text(wanted)


def build(name, targets=(), out=None):
    """Make it up to date. Raises CalledProcessError when that fails."""
    configure(name, out)
    folder = ROOT / BUILDS[name][0]
    quiet = [] if out else ["--quiet"]
    subprocess.run(["ninja", *quiet, "-C", str(folder), "-j", jobs(), *targets], cwd=ROOT,
                   check=True, stdout=out, stderr=out)
    return folder


def main():
    names = sys.argv[1:]
    if not names or any(name not in BUILDS for name in names):
        sys.exit("usage: tools/build.py " + "|".join(BUILDS))
    for name in names:
        try:
            build(name)
        except subprocess.CalledProcessError as failed:
            sys.exit(failed.returncode)


if __name__ == "__main__":
    main()
