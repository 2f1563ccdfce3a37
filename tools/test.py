#!/usr/bin/env python3
"""The test run: everything that proves the project, in one go.

  tools/test.py [PART ...] [-k NAME]

Parts run in this order: lint unit clang tsan integration; none named means all of them. NAME picks
tests whose name contains it. Output of each step goes to build/test-logs/. An integration test that
failed is run once more by itself; when it passes then, it counts as passed and is listed with what
it said the first time. The last line is "N passed, N failed, N skipped"; the exit code is 1 when
something failed or when nothing ran.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
from pathlib import Path

import build as builds

ROOT = builds.ROOT
LOGS = ROOT / "build" / "test-logs"
PARTS = ("lint", "unit", "clang", "tsan", "integration")

# Slow machines and sanitizers: each meson test's own timeout times this.
TIMEOUT_FACTOR = "3"
STEP_TIMEOUT_S = 3000

# Files of integration tests at a time: most of them wait for something most of the time.
WORKERS = "4"

# The units that start threads; the rest would prove nothing under the thread sanitizer.
THREADED = re.compile(r"^(loop|log|work|pool|snapshot|limit|ratelimit|jwks|metric|cache"
                      r"|server|client|node|store|async_threads|lanes|rabbitmq|alive|relay)")

# More failures than this are no chance, and none of them is run again.
AGAIN_MAX = 20
PROGRAMS_AGAIN_MAX = 3
SANITIZER = re.compile(r"Sanitizer|runtime error:")

SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=0:exitcode=66:second_deadlock_stack=1",
}


class Tally:
    """What happened so far."""

    def __init__(self):
        self.passed = 0
        self.failures = []  # (name, what to show)
        self.second = []  # (name, what it said the first time): passed when run again
        self.skips = []  # (name, reason)

    def fail(self, name, text=""):
        self.failures.append((name, text))

    def counts(self):
        return self.passed, len(self.failures), len(self.skips)


def tail(path, lines=60):
    try:
        text = path.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(text[-lines:])


def run_logged(command, log, env=None, timeout=STEP_TIMEOUT_S):
    """Run a command with all its output in a file. Returns its exit code, or 124 at the deadline."""
    with open(log, "ab") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out,
                                   stdin=subprocess.DEVNULL, start_new_session=True,
                                   env=dict(os.environ, **(env or {})))
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            return 124
        except KeyboardInterrupt:
            os.killpg(process.pid, 15)
            process.wait()
            raise


def make(tally, name, log):
    """Compile one build; a build that fails is a failed test."""
    try:
        with open(log, "ab") as out:
            return builds.build(name, out=out)
    except (subprocess.CalledProcessError, OSError) as error:
        tally.fail("build " + name, f"{error}\n{tail(log)}")
        return None


# --- cmocka programs under meson ---

CASE = re.compile(r"^\[\s*(OK|FAILED|SKIPPED)\s*\] (\w+)$", re.M)


def count_program(tally, where, test):
    """One program of meson's testlog.json: count its cmocka cases, or itself where it has none."""
    name = f"{where} {test['name'].split(' / ')[-1]}"
    output = test.get("stdout", "")
    text = output + test.get("stderr", "")
    result = test["result"]
    if result == "SKIP":
        lines = text.strip().splitlines()
        tally.skips.append((name, lines[-1] if lines else "no reason given"))
        return
    cases = {}
    for verdict, case in CASE.findall(text):
        # cmocka names a failed case again in its summary
        cases[case] = verdict if cases.get(case) != "FAILED" else "FAILED"
    failed = [case for case, verdict in cases.items() if verdict == "FAILED"]
    for case, verdict in cases.items():
        if verdict == "SKIPPED":
            before = output.split(f"[  SKIPPED ] {case}")[0].strip().splitlines()
            reason = before[-1] if before and not before[-1].startswith("[") else "no reason given"
            tally.skips.append((f"{name}: {case}", reason))
        elif verdict == "OK":
            tally.passed += 1
    for case in failed:
        tally.fail(f"{name}: {case}", text[-6000:])
    if result not in ("OK", "EXPECTEDFAIL") and not failed:
        tally.fail(f"{name} ({result.lower()}, exit {test.get('returncode')})", text[-6000:])
    if result == "OK" and not cases:
        tally.passed += 1


def by_chance(test):
    """May a program be run again? Only where a case failed, without a word of a sanitizer, and with
    no seed that would make it fail again."""
    text = test.get("stdout", "") + test.get("stderr", "")
    return test["result"] == "FAIL" and not SANITIZER.search(text) and "seed" not in text and any(
        verdict == "FAILED" for verdict, _ in CASE.findall(text))


def run_programs_again(tally, where, failed, meson):
    """Run failed programs once more, one after the other."""
    for test in failed:
        first, now = Tally(), Tally()
        count_program(first, where, test)
        for again in meson([test["name"].split(" / ")[-1]], "1"):
            count_program(now, where, again)
        if now.failures or now.passed == 0:
            count_program(tally, where, test)
            continue
        tally.passed += now.passed
        tally.skips += now.skips
        tally.second += first.failures


def meson_tests(tally, where, folder, log, pattern, only=None, prefix=()):
    """Run the programs of one build whose names fit."""
    listing = subprocess.run(["meson", "introspect", str(folder), "--tests"], check=True,
                             capture_output=True, text=True)
    names = [test["name"] for test in json.loads(listing.stdout)
             if not any(suite.endswith("lint") for suite in test["suite"])]
    names = [n for n in names if pattern in n and (only is None or only.match(n))]
    if not names:
        return
    results = folder / "meson-logs" / "testlog.json"
    code = None

    def meson(programs, at_a_time):
        nonlocal code
        results.unlink(missing_ok=True)
        command = [*prefix, "meson", "test", "-C", str(folder), "--no-rebuild", "--print-errorlogs",
                   "--num-processes", at_a_time, "--timeout-multiplier", TIMEOUT_FACTOR]
        code = run_logged(command + programs, log, SANITIZER_ENV)
        lines = results.read_text().splitlines() if results.exists() else []
        return [json.loads(line) for line in lines]

    before = tally.counts()
    tests = meson(names, builds.jobs())
    if not tests or (code != 0 and all(test["result"] in ("OK", "SKIP") for test in tests)):
        tally.fail(f"{where}: meson test (exit {code})", tail(log))
    failed = [test for test in tests if by_chance(test)]
    if len(failed) > PROGRAMS_AGAIN_MAX:
        failed = []
    for test in tests:
        if test not in failed:
            count_program(tally, where, test)
    run_programs_again(tally, where, failed, meson)
    if tally.counts() == before:
        tally.fail(f"{where}: nothing was counted", tail(log))


# --- the parts ---

def lint(tally, pattern, log):
    make(tally, "release", log)  # one check asks the program for its reference page
    report = LOGS / "lint.json"
    report.unlink(missing_ok=True)
    code = run_logged([sys.executable, str(ROOT / "tools/lint/run.py"), "--json", str(report),
                       "--match", pattern], log)
    results = json.loads(report.read_text()) if report.exists() else []
    for result in results:
        name = "lint " + result["name"]
        if result["skipped"]:
            tally.skips.append((name, result["skipped"]))
        elif result["problems"]:
            tally.fail(name, "\n".join(result["problems"]))
        else:
            tally.passed += 1
    if code != 0 and not any(r["problems"] for r in results):
        tally.fail(f"lint (exit {code})", tail(log))


def unit(tally, pattern, log):
    folder = make(tally, "asan", log)
    if folder:
        meson_tests(tally, "unit", folder, log, pattern)


def clang(tally, pattern, log):
    folder = make(tally, "clang", log)
    if folder:
        meson_tests(tally, "clang", folder, log, pattern)


def tsan(tally, pattern, log):
    folder = make(tally, "tsan", log)
    if folder:
        # The thread sanitizer of gcc 12 cannot place its shadow under full address randomisation.
        prefix = ["setarch", "-R"] if shutil.which("setarch") else []
        meson_tests(tally, "tsan", folder, log, pattern, THREADED, prefix)


class Case:
    """One test of pytest's report."""

    def __init__(self, element):
        self.key = (element.get("classname", ""), element.get("name"))
        module, *classes = self.key[0].removeprefix("test.integration.").split(".")
        self.file = f"test/integration/{module}.py"
        self.node = "::".join([self.file, *classes, self.key[1]])
        self.name = f"integration {'.'.join([module, *classes])}::{self.key[1]}"
        self.skipped = element.find("skipped")
        self.around = element.find("error") is not None  # before or after the test itself
        bad = [*element.findall("failure"), *element.findall("error")]
        self.bad = len(bad) > 0
        self.text = "\n".join(part.text or part.get("message") or "" for part in bad)

    def merge(self, other):
        """The same test's other entry: one that failed, and then could not clean up, has two."""
        if other.bad:
            self.text = f"{self.text}\n{other.text}" if self.bad else other.text
        self.around, self.bad = self.around or other.around, self.bad or other.bad

    def by_chance(self):
        """May it be run again? Not when a sanitizer spoke: that does not go away."""
        return bool((ROOT / self.file).exists() and not SANITIZER.search(self.text))


def read_junit(path):
    """All tests of a report by key."""
    cases = {}
    if path.exists():
        for element in xml.parse(path).getroot().iter("testcase"):
            case = Case(element)
            if case.key in cases:
                cases[case.key].merge(case)
            else:
                cases[case.key] = case
    return cases


def count_cases(tally, cases):
    for case in cases:
        if case.bad:
            tally.fail(case.name, case.text[-6000:])
        elif case.skipped is not None:
            reason = case.skipped.get("message") or "no reason given"
            tally.skips.append((case.name, reason))
        else:
            tally.passed += 1


def run_again(tally, failed, pytest):
    """Run failed tests once more, one file at a time and nothing beside it.

    What fails around a test (its node's start or end) belongs to the file, so the whole file runs.
    """
    files = {}
    for case in failed:
        files.setdefault(case.file, []).append(case)
    for file, cases in files.items():
        whole = any(case.around for case in cases)
        now = pytest([file] if whole else [case.node for case in cases])
        for case in cases:
            after = now.pop(case.key, None)
            if after is None or after.bad or after.skipped is not None:
                text = after.text if after is not None and after.bad else "did not run"
                tally.fail(case.name, f"{case.text[-6000:]}\n--- run again ---\n{text[-6000:]}")
            else:
                tally.passed += 1
                tally.second.append((case.name, case.text[-6000:]))
        for other in now.values():  # of the whole file: has been counted, unless it fails only now
            if other.bad:
                tally.fail(other.name + " (when run again)", other.text[-6000:])


def integration(tally, pattern, log):
    asan = make(tally, "asan", log)
    release = make(tally, "release", log)
    if not asan or not release:
        return
    env = dict(SANITIZER_ENV, PYTHONDONTWRITEBYTECODE="1",
               HEDDLE_BIN=str(asan / "heddle"), HEDDLE_RELEASE_BIN=str(release / "heddle"))
    if (ROOT / "build/tsan/heddle").exists():
        env["HEDDLE_TSAN_BIN"] = str(ROOT / "build/tsan/heddle")
    results = LOGS / "integration.xml"
    code = None

    def pytest(args):
        nonlocal code
        results.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-ra",
                   "--durations=40", "--junitxml", str(results)]
        # A short path: sockets lie below it, and theirs have 107 bytes at most.
        with tempfile.TemporaryDirectory(prefix="hd-", ignore_cleanup_errors=True) as folder:
            code = run_logged([*command, "--basetemp", folder + "/t", *args], log, env)
        return read_junit(results)

    # A file's tests share a node, so a file is never split.
    args = ["-n", WORKERS, "--dist", "loadfile", "test/integration"]
    cases = pytest(args + (["-k", pattern] if pattern else []))
    if code not in (0, 1, 5) or (code == 1 and not any(case.bad for case in cases.values())):
        tally.fail(f"integration: pytest (exit {code})", tail(log))
    failed = [case for case in cases.values() if case.bad and case.by_chance()]
    if len(failed) > AGAIN_MAX:
        failed = []
    count_cases(tally, [case for case in cases.values() if case not in failed])
    run_again(tally, failed, pytest)


def report(tally):
    if tally.skips:
        print("\nskipped:")
        for name, reason in tally.skips:
            print(f"  {name}: {reason}")
    for title, tests in (("passed only when run again", tally.second), ("failed", tally.failures)):
        if tests:
            print(f"\n{title}:")
        for name, text in tests:
            print(f"  {name}")
            for line in text.strip().splitlines():
                print(f"      {line}")
    # Once more without the text: a log that was cut still names them.
    for title, tests in (("passed only when run again", tally.second), ("failed", tally.failures)):
        if tests:
            print(f"\n{title}, in short:")
        for name, _ in tests:
            print(f"  {name}")
    passed, failed, skipped = tally.counts()
    if passed + failed == 0:
        print("\nnothing ran: is the name right?")
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 0 if failed == 0 and passed > 0 else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join(PARTS))
    parser.add_argument("-k", dest="pattern", default="", help="only tests whose name contains it")
    args = parser.parse_args()
    unknown = [part for part in args.parts if part not in PARTS]
    if unknown:
        parser.error(f"no such part: {unknown[0]}; there are {', '.join(PARTS)}")

    LOGS.mkdir(parents=True, exist_ok=True)
    tally = Tally()
    for part in [p for p in PARTS if p in (args.parts or PARTS)]:
        log = LOGS / f"{part}.log"
        log.write_bytes(b"")
        before, start = tally.counts(), time.monotonic()
        print(f"{part:12} ", end="", flush=True)
        globals()[part](tally, args.pattern, log)
        passed, failed, skipped = (now - was for now, was in zip(tally.counts(), before))
        print(f"{passed} passed, {failed} failed, {skipped} skipped"
              f"  ({time.monotonic() - start:.1f} s)", flush=True)
    return report(tally)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
