"""The table of docs/identity.md: what every way to move a photo keeps.

test_ways_to_move.py measures a row for each way and compares it with the page. To write the page
anew from what is measured now, run this file; arguments go to pytest:

    python3 tests/integration/ways_page.py -n 2
"""

import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(HERE, "..", "..", "docs", "identity.md")
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
HEADER = "| way | pictopy-sync keeps | PictoPy's own way keeps |\n| --- | --- | --- |\n"
# Where the tests note their rows instead of comparing them.
NOTES = "PICTOPY_TEST_WAYS_NOTES"


def row(title, ours, theirs):
    return f"| {title} | {ours} | {theirs} |\n"


def publish(number, group, line):
    """Is this row on the page? Or notes it, when the page is being written."""
    notes = os.environ.get(NOTES)
    if notes:
        with open(notes, "a", encoding="utf-8") as file:
            file.write(json.dumps([number, group, line]) + "\n")
        return
    with open(PAGE, encoding="utf-8") as file:
        assert line in file, f"not in docs/identity.md; see ways_page.py:\n{line}"


def _text(rows):
    text, last = "", None
    for _, group, line in rows:
        if group != last:
            text += f"\n### {group}\n\n{HEADER}"
        text, last = text + line, group
    return text + "\n"


def _write(rows):
    with open(PAGE, encoding="utf-8") as file:
        before, rest = file.read().split(BEGIN)
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + _text(rows) + END + rest.split(END)[1])


def main():
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as notes:
        result = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider",
             os.path.join(HERE, "test_ways_to_move.py"), *sys.argv[1:]],
            env=os.environ | {NOTES: notes.name}, check=False)
        rows = sorted(json.loads(line) for line in notes)
    if result.returncode != 0 or not rows or len(rows) != rows[-1][0] + 1:
        sys.exit("not every way was played to its end: the page is left as it is")
    _write(rows)


if __name__ == "__main__":
    main()
