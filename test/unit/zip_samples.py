"""Archives as Python's zipfile writes them, in all the ways it can: zip_samples.py FOLDER."""

import io
import stat
import sys
import zipfile
from pathlib import Path

CONTENT = {"index.js": b"exports.handler = async () => 1\n", "lib/a.txt": b"a" * 100_000,
           "lib/deep/er/\u00fc\u4e2d.txt": "\u00fc".encode()}


def fill(archive, kind):
    for name, data in CONTENT.items():
        info = zipfile.ZipInfo(name, (2024, 5, 6, 7, 8, 10))
        info.compress_type = kind
        info.external_attr = (stat.S_IFREG | (0o755 if name.endswith(".js") else 0o640)) << 16
        archive.writestr(info, data)
    link = zipfile.ZipInfo("current")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(link, "lib/deep")
    folder = zipfile.ZipInfo("empty/")
    folder.external_attr = (stat.S_IFDIR | 0o750) << 16
    archive.writestr(folder, b"")


class Pipe(io.RawIOBase):
    """What cannot be sought in: zipfile then writes data descriptors."""

    def __init__(self):
        self.parts = []

    def writable(self):
        return True

    def write(self, data):
        self.parts.append(bytes(data))
        return len(data)


def zip64(path):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in CONTENT.items():
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as f:
                f.write(data)
    # A Zip64 end, as an archive with very many entries has it.
    old = zipfile.ZIP_FILECOUNT_LIMIT
    zipfile.ZIP_FILECOUNT_LIMIT = 1
    try:
        with zipfile.ZipFile(path.with_name("zip64_end.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            fill(archive, zipfile.ZIP_DEFLATED)
    finally:
        zipfile.ZIP_FILECOUNT_LIMIT = old


def main():
    folder = Path(sys.argv[1])
    for name, kind in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            fill(archive, kind)
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        fill(archive, zipfile.ZIP_DEFLATED)
    (folder / "streamed.zip").write_bytes(b"".join(pipe.parts))
    with zipfile.ZipFile(folder / "comment.zip", "w") as archive:
        fill(archive, zipfile.ZIP_DEFLATED)
        archive.comment = b"PK\x05\x06 is what an end looks like; this one is a comment" * 1000
    plain = (folder / "deflated.zip").read_bytes()
    (folder / "prefixed.zip").write_bytes(b"#!/usr/bin/env python3\n" + plain)
    (folder / "trailed.zip").write_bytes(plain + b"\n")
    zip64(folder / "zip64.zip")


main()
