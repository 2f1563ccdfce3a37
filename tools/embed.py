#!/usr/bin/python3
"""Write files into a C source: embed.py OUTPUT ROOT FILE... The table is declared in
src/cli/template.h; names are relative to ROOT."""

import sys
from pathlib import Path


def literal(data):
    """One C string literal a line of the file; bytes that are not plain text become octal."""
    lines = []
    for line in data.splitlines(keepends=True) or [b""]:
        text = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\?' else f"\\{b:03o}" for b in line)
        lines.append(f'    "{text}"')
    return "\n".join(lines)


def main():
    output, root, *files = sys.argv[1:]
    parts = ['#include "cli/template.h"\n\nconst struct hd_template_file hd_template_files[] = {\n']
    for name in sorted(files):
        data = Path(name).read_bytes()
        parts.append(f'    {{"{Path(name).resolve().relative_to(Path(root).resolve())}",\n{literal(data)},\n'
                     f"     {len(data)}}},\n")
    parts.append(f"}};\nconst size_t hd_template_file_count = {len(files)};\n")
    Path(output).write_text("".join(parts))


if __name__ == "__main__":
    main()
