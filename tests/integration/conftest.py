"""Fixtures of the black-box tests, and the daemon's log beside a failure."""

import contextlib
import subprocess

import pytest

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
