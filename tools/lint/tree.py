"""What the checks look at: the text files of a source tree, without what is built or installed."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SKIPPED = {".git", ".heddle", "node_modules", "__pycache__", ".pytest_cache"}


class Tree:
    """The files below a root, read once."""

    def __init__(self, root):
        self.root = Path(root).resolve()
        self.paths = sorted(self._walk())
        self._texts = {}

    def _walk(self):
        for folder, folders, files in os.walk(self.root):
            relative = Path(folder).relative_to(self.root)
            folders[:] = [name for name in folders if name not in SKIPPED
                          and not (relative == Path(".") and name.startswith("build"))
                          and (relative / name).as_posix() != "test/lint/bad"]
            for name in files:
                if name not in SKIPPED:
                    yield (relative / name).as_posix()

    def select(self, *suffixes, under=("",)):
        """Paths that end in one of the suffixes and begin with one of the folders."""
        return [path for path in self.paths
                if path.endswith(suffixes) and path.startswith(tuple(under))]

    def text(self, path):
        if path not in self._texts:
            data = (self.root / path).read_bytes()
            self._texts[path] = data.decode("utf-8", "replace")
        return self._texts[path]

    def lines(self, path):
        """(number, line) from 1."""
        return enumerate(self.text(path).splitlines(), 1)

    def is_text(self, path):
        with open(self.root / path, "rb") as file:
            return b"\0" not in file.read(4096)


def run(command, cwd, text=None):
    """Run a tool. Returns (exit code, its output)."""
    done = subprocess.run(command, cwd=cwd, input=text, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def run_each(items, work):
    """Do independent work on as many cores as there are; results in order."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(work, items))
