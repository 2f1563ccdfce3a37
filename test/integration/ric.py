"""The service's own runtime client for Node.js, from npm: its native part is built once, below
build/, from the sources in its package."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / "test" / "node_modules"
TOOLS = ["node", "cmake", "autoconf", "automake", "libtoolize", "g++", "make"]
BUILD_S = 900
PROGRAMS = {"aws-lambda-ric-3": "bin/index.mjs", "aws-lambda-ric-4": "index.mjs"}
NATIVE = {"aws-lambda-ric-3": "dist/rapid-client.node", "aws-lambda-ric-4": "rapid-client.node"}


class CannotBuild(Exception):
    pass


def node_headers():
    """The folder below which Node's headers lie in include/node."""
    prefix = Path(shutil.which("node")).resolve().parents[1]
    if not (prefix / "include/node/node_api.h").exists():
        raise CannotBuild(f"Node's headers are not in {prefix}/include/node")
    return prefix


def node_gyp(package):
    for folder in (MODULES / package / "node_modules", MODULES):
        if (folder / "node-gyp/bin/node-gyp.js").exists():
            return folder
    raise CannotBuild("node-gyp is not installed: run `make deps`")


def build(package, folder):
    modules = node_gyp(package)
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "npm_config_nodedir": str(node_headers()),
           "NODE_PATH": f"{modules}:{MODULES}", "DEPS_PREFIX": str(folder / "deps/artifacts"),
           "MAKEFLAGS": "-j2"}
    log = folder / "build.log"
    steps = [["sh", "scripts/preinstall.sh"],
             ["node", str(modules / "node-gyp/bin/node-gyp.js"), "rebuild",
              "--directory=" + (".", "src/native")[package.endswith("4")]]]
    with open(log, "w") as out:
        for step in steps:
            done = subprocess.run(step, cwd=folder, env=env, stdout=out, stderr=out, timeout=BUILD_S)
            if done.returncode != 0:
                lines = log.read_text(errors="replace").strip().splitlines()
                raise CannotBuild(f"{' '.join(step[-2:])} failed: {lines[-1] if lines else ''} ({log})")
    built = next(folder.glob("**/build/Release/rapid-client.node"))
    (folder / NATIVE[package]).parent.mkdir(exist_ok=True)
    shutil.copy(built, folder / NATIVE[package])


def program(package):
    """The client's file, built. Raises CannotBuild with the reason."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise CannotBuild(f"{', '.join(missing)} not installed: run `make deps`")
    if not (MODULES / package / "package.json").exists():
        raise CannotBuild(f"{package} is not installed: run `make deps`")
    node = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
    cache = ROOT / "build" / "ric"
    cache.mkdir(parents=True, exist_ok=True)
    done = cache / f"{package}-{node}"
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            begun = cache / f"{package}.new"
            shutil.rmtree(begun, ignore_errors=True)
            shutil.copytree(MODULES / package, begun, symlinks=True)
            build(package, begun)
            begun.rename(done)
    return done / PROGRAMS[package]
