"""Fixtures of the black-box tests, and the daemon's log beside a failure."""

import contextlib
import ctypes
import os
import subprocess

import pytest

import faulty as faulty_fs
import harness


def pytest_configure(config):
    config.addinivalue_line("markers", "harness: tests the tests; needs no daemon")


def pytest_collection_modifyitems(config, items):
    with contextlib.suppress(OSError):
        if subprocess.run([harness.BINARY, "--version"], capture_output=True).stdout:
            return
    skip = pytest.mark.skip(reason=f"no daemon at {harness.BINARY} (see PICTOPY_SYNC_BIN)")
    for item in items:
        if "harness" not in item.keywords:
            item.add_marker(skip)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for library in getattr(item, "libraries", ()):
            text = library.log_text()
            if text:
                report.sections.append((f"daemon below {library.base}", text))


@pytest.fixture
def library(request):
    """Makes libraries (arguments as Library()'s); each is closed and removed at the end."""
    made = request.node.libraries = []

    def make(*args, **kwargs):
        made.append(harness.Library(*args, **kwargs))
        return made[-1]

    yield make
    errors = []
    for item in made:
        try:
            item.close()
        except AssertionError as error:
            errors.append(str(error))
    assert not errors, errors


_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS = 0x00020000


@pytest.fixture
def own_mounts():
    """This process gets a mount namespace of its own for one test."""
    before = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    cwd = os.getcwd()
    if _libc.unshare(_CLONE_NEWNS) != 0:
        os.close(before)
        pytest.skip("needs root and a mount namespace of its own")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    yield
    assert _libc.setns(before, _CLONE_NEWNS) == 0
    os.chdir(cwd)
    os.close(before)


@pytest.fixture
def faulty():
    """Makes faulty.Faulty()s, and unmounts them before their library is removed."""
    if not os.access(faulty_fs.PROGRAM, os.X_OK):
        pytest.skip("built without libfuse3: no fuse-fault")
    if not os.path.exists("/dev/fuse") or os.geteuid() != 0:
        pytest.skip("needs root and /dev/fuse")
    made = []

    def make(*args):
        made.append(faulty_fs.Faulty(*args))
        return made[-1]

    yield make
    for item in made:
        item.close()
