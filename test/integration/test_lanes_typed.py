"""The typed serialiser against a second implementation of it in JavaScript, with random values."""

import os
import random
import subprocess
from pathlib import Path

import pytest

import hostdriver
from heddle import binary

PROGRAM = binary().parent / "test" / "integration" / "typed_lines"
VALUES = 700 # of each of nine kinds

pytestmark = [pytest.mark.skipif(not PROGRAM.exists(), reason=f"{PROGRAM} is not built"),
              pytest.mark.skipif(hostdriver.missing("node") is not None, reason=str(hostdriver.missing("node")))]


def check(seed, values):
    done = subprocess.run(["node", str(Path(__file__).with_name("typed_property.mjs")), str(seed), str(values), str(PROGRAM)],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"run it again with HEDDLE_TYPED_SEED={seed}\n{done.stdout[-6000:]}{done.stderr[-3000:]}"
    return int(done.stdout.split(" ")[0])


def test_random_values_go_there_and_back():
    seed = int(os.environ.get("HEDDLE_TYPED_SEED", 0)) or random.SystemRandom().randrange(1, 2**31)
    assert check(seed, VALUES) == VALUES * 9 + 4


def test_a_seed_is_a_sequence():
    assert check(20261121, 50) == 454
