"""The database of a node: one node at a time, and clear words where it cannot be used."""

import sqlite3

import pytest

from heddle import run


def refused(tmp_path, *args):
    """What a node that does not start says last."""
    done = run(tmp_path, "serve", "functions", "--host", "127.0.0.1", "--port", "0",
               "--control-port", "0", *args, env={"JWT_SECRET": "x" * 40})
    assert done.returncode != 0, done
    return done.stderr + done.stdout


@pytest.fixture
def database(tmp_path, write_functions, start_node):
    """The database that a node has made and left."""
    start_node(write_functions({})).stop()
    return tmp_path / ".heddle" / "heddle.db"


def test_a_second_node_with_the_same_data_is_told(tmp_path, write_functions, start_node):
    node = start_node(write_functions({}))
    said = refused(tmp_path)
    assert str(node.pid) in said and "stop that one first" in said
    assert node.ask_control("GET", "/healthz").status == 200


def test_it_is_readable_while_a_node_works_with_it(tmp_path, write_functions, start_node):
    start_node(write_functions({}))
    with sqlite3.connect(f"file:{tmp_path}/.heddle/heddle.db?mode=ro", uri=True) as shell:
        assert shell.execute("SELECT count(*) FROM record_function").fetchone() == (0,)
        assert shell.execute("PRAGMA quick_check").fetchone() == ("ok",)


def test_a_newer_schema_is_refused(tmp_path, database):
    with sqlite3.connect(database) as shell:
        shell.execute("PRAGMA user_version=99")
    said = refused(tmp_path)
    assert "newer heddle" in said and str(database) in said


def test_what_is_no_database_is_refused_and_left_alone(tmp_path, database):
    database.write_text("notes\n" * 100)
    said = refused(tmp_path)
    assert "not a database" in said and str(database) in said and "move the file away" in said
    assert database.read_text() == "notes\n" * 100


def test_damage_is_refused(tmp_path, database):
    bytes_ = bytearray(database.read_bytes())
    bytes_[4096:] = b"\xa5" * (len(bytes_) - 4096)
    database.write_bytes(bytes_)
    said = refused(tmp_path)
    assert "malformed" in said and str(database) in said and "restore a copy" in said
