"""`heddle image build`: images of what is installed here, made without a registry."""

import os
import subprocess
import tarfile

import pytest

from docker_engine import build_image, find
from heddle import run


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The unpacked root file system of an image with Python and one program more."""
    folder = tmp_path_factory.mktemp("image")
    said = build_image("--runtime", "python", "--with", "/usr/bin/md5sum", "--output", "image.tar",
                       cwd=folder)
    assert said.startswith(f"{folder}/image.tar: ") and "python 3." in said and "node" not in said
    (folder / "root").mkdir()
    with tarfile.open(folder / "image.tar") as tar:
        names = [m.name for m in tar.getmembers()]
        assert not any(name.startswith("/") or ".." in name.split("/") for name in names)
        assert len(names) == len(set(names))
        assert all((m.uid, m.gid) == (0, 0) for m in tar.getmembers())
        tar.extractall(folder / "root")
    return folder / "root"


def inside(root, *command):
    if os.geteuid() != 0:
        pytest.skip("chroot needs root")
    done = subprocess.run([find("chroot"), "--userspec=993:990", str(root), *command], env={},
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_in_it_runs_by_itself(root):
    text = inside(root, "/usr/bin/python3", "-c",
                  "import ctypes, hashlib, json, os, socket, sqlite3, ssl, sys; print(os.getuid())")
    assert text == "993\n"
    assert inside(root, "/bin/sh", "-c", "echo a b | cut -d ' ' -f 2 && ls /") \
        .startswith("b\nbin\n")
    assert inside(root, "/usr/bin/md5sum", "/etc/passwd").endswith("passwd\n")


def test_it_has_the_places_that_instances_need(root):
    for name in ("var/task", "var/runtime", "opt", "proc", "sys", "dev", "heddle/run"):
        assert (root / name).is_dir()
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert "993:990" in (root / "etc/passwd").read_text()
    # nobody of this machine is in it
    assert len((root / "etc/passwd").read_text().splitlines()) == 2


def test_node_runs_in_an_image_of_its_own(tmp_path):
    said = run(tmp_path, "image", "build", "-r", "node", "-o", "n.tar", kind="release", timeout=300)
    if said.returncode == 66:
        pytest.skip("there is no node here")
    assert said.returncode == 0 and ", node v" in said.stdout, said.stderr
    (tmp_path / "root").mkdir()
    subprocess.run(["tar", "-C", tmp_path / "root", "-xf", tmp_path / "n.tar"], check=True)
    assert inside(tmp_path / "root", "/usr/bin/node", "-p", "require('crypto').randomUUID().length") \
        == "36\n"
    assert not (tmp_path / "root/usr/bin/python3").exists()


def test_the_engine_has_it_under_its_name(tmp_path, engine):
    said = build_image("--runtime", "python", "--tag", "127.0.0.1:5000/team/base:1.2",
                       "--docker-host", engine.host)
    info = engine.call("GET", "/images/127.0.0.1:5000/team/base:1.2/json")
    assert info["Id"] in said
    assert info["Config"]["WorkingDir"] == "/var/task"
    assert "PATH=/usr/local/bin:/usr/bin:/bin" in info["Config"]["Env"]
    engine.call("DELETE", "/images/127.0.0.1:5000/team/base:1.2")


@pytest.mark.parametrize("args, code, words", [
    (["pull"], 64, "`build` is all there is"),
    (["build", "--runtime", "perl"], 64, "must be node or python"),
    (["build", "--tag", "no good"], 64, "must be a reference such as name:tag"),
    (["build", "--tag", "a@sha256:0"], 64, "a digest is no name"),
    (["build", "--output", "no/such/folder/x"], 73, "no/such/folder/x"),
    (["build", "--output", "x", "--with", "no-such-program"], 1, "there is no such program here"),
    (["build", "--output", "x", "--with", "./script"], 1, "is a script"),
    (["build", "--output", "x", "-r", "python", "--python", "/bin/false"], 66, "python does not run"),
    (["build", "-r", "python", "--docker-host", "unix:///no/such.sock"], 1,
     "cannot reach the Docker socket /no/such.sock"),
    (["build", "-r", "python", "--docker-host", "ssh://me"], 1, "must be unix:///"),
])
def test_what_cannot_be_is_said(tmp_path, args, code, words):
    (tmp_path / "script").write_text("#!/bin/sh\n")
    (tmp_path / "script").chmod(0o755)
    done = run(tmp_path, "image", *args, kind="release", timeout=300)
    assert done.returncode == code and words in done.stderr, (done.returncode, done.stderr)
