"""The project's own tools: the layer check and the counting of tests fail when they should."""

import json
import os
import subprocess

import pytest

import harness

pytestmark = pytest.mark.harness


def tool(name, *arguments):
    return subprocess.run([os.path.join(harness.TOP, "tools", name), *map(str, arguments)],
                          capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path):
    """A small source tree that keeps the layers."""
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return tmp_path
    for name in ("util/a.h", "store/b.h", "watch/c.h", "sync/d.h"):
        write("include/" + name, "/* title */\n#pragma once\n")
    write("src/store/b.c", '#include "store/b.h"\n#include <stdio.h>\n#include "util/a.h"\n')
    return write


@pytest.mark.parametrize("name, text, complaint", [
    ("src/store/x.c", '#include "util/a.h"\n', None),
    ("src/store/x.c", '#include "sync/d.h"\n', "above it"),
    ("src/store/x.c", '#include "watch/c.h"\n', "sibling watch"),
    ("include/util/x.h", '#pragma once\n#include "store/b.h"\n', "above it"),
    ("src/store/x.c", '#include "util/none.h"\n', "does not exist"),
    ("src/store/x.c", '#include "a.h"\n', "names no layer"),
    ("src/store/x.c", "#include <util/a.h>\n", "with brackets"),
    ("src/elsewhere/x.c", "", "is no layer"),
    ("include/util/x.h", "int x;\n", "no #pragma once"),
    ("src/sync/d.c", '#include "util/a.h"\n#include "sync/d.h"\n', "its own"),
    ("tests/unit/sync/test_d.c", '#include "sync/d.h"\n#include "watch/c.h"\n', None),
])
def test_layers(tree, name, text, complaint):
    result = tool("check-layers", tree(name, text))
    if complaint is None:
        assert (result.returncode, result.stdout.count("\n")) == (0, 1), result.stdout
    else:
        assert result.returncode == 1
        assert complaint in result.stdout
        assert result.stdout.startswith(name + ": ")


def meson_log(path, *tests):
    path.write_text("".join(json.dumps(test) + "\n" for test in tests), encoding="utf-8")
    return path


CASES = ("[==========] Running 3 test(s).\n[ RUN      ] a\n[       OK ] a\n[ RUN      ] b\n"
         "[ RUN      ] c\n[  SKIPPED ] c\n")
ALL_RAN = "[==========] 3 test(s) run.\n"


@pytest.mark.parametrize("test, line", [
    ({"result": "OK", "stdout": CASES + "[       OK ] b\n" + ALL_RAN},
     "2 passed, 0 failed, 1 skipped"),
    ({"result": "FAIL", "stdout": CASES + ALL_RAN,
      "stderr": "[  ERROR   ] --- 0x1 != 0x2\n[  FAILED  ] b\n"
                "[  FAILED  ] 1 test(s), listed below:\n[  FAILED  ] b\n"},
     "1 passed, 1 failed, 1 skipped"),
    ({"result": "FAIL", "stdout": CASES}, "1 passed, 1 failed, 1 skipped"),
    ({"result": "TIMEOUT", "stdout": ""}, "0 passed, 1 failed"),
    # A sanitizer's finding at exit, after all cases went well.
    ({"result": "ERROR", "stdout": CASES + "[       OK ] b\n" + ALL_RAN},
     "2 passed, 1 failed, 1 skipped"),
    ({"result": "OK", "stdout": ""}, "1 passed, 0 failed"),
    ({"result": "SKIP", "stdout": ""}, "0 passed, 0 failed, 1 skipped"),
])
def test_count_meson(tmp_path, test, line):
    result = tool("lib/count_tests.py", "--meson", meson_log(tmp_path / "log.json", test))
    assert result.stdout == line + "\n"
    assert result.returncode == (0 if " 0 failed" in line and not line.startswith("0") else 1)


def test_count_adds_up(tmp_path):
    junit = tmp_path / "junit.xml"
    junit.write_text('<testsuites><testsuite><testcase name="a"/><testcase name="b"><failure/>'
                     '</testcase><testcase name="c"><skipped/></testcase><testcase name="d"><error/>'
                     '</testcase></testsuite></testsuites>', encoding="utf-8")
    log = meson_log(tmp_path / "log.json", {"result": "OK", "stdout": ""})
    result = tool("lib/count_tests.py", "--meson", log, "--pytest", junit,
                  "--line", "10 passed, 0 failed, 2 skipped", "--line", "5 passed, 1 failed")
    assert (result.returncode, result.stdout) == (1, "17 passed, 3 failed, 3 skipped\n")


def test_count_misses_no_result(tmp_path):
    """A run that left no result, or a line that is none, is a failure."""
    for option, value in (("--pytest", tmp_path / "none.xml"), ("--meson", tmp_path / "none.json"),
                          ("--line", "Traceback (most recent call last):")):
        result = tool("lib/count_tests.py", option, value)
        assert (result.returncode, result.stdout) == (1, "0 passed, 1 failed\n")
