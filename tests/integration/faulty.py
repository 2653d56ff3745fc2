"""A mount that hangs and fails on command: tests/tools/fuse-fault.c, whose top says what there is.

    with faulty.Mount(backing, mountpoint) as mount:
        mount("hang read /slow/*.jpg")
        mount("wait 1")
        mount("clear")
"""

import os
import subprocess

import pytest

import harness

PROGRAM = os.path.join(os.path.dirname(harness.BINARY), "tests", "tools", "fuse-fault")
POSSIBLE = os.path.exists(PROGRAM) and os.access("/dev/fuse", os.R_OK | os.W_OK)

# For tests that need one.
needs_fuse = pytest.mark.skipif(not POSSIBLE, reason="no libfuse at build time, or no /dev/fuse")


class Mount:
    def __init__(self, backing, mountpoint, *options):
        self.path = os.fspath(mountpoint)
        os.makedirs(backing, exist_ok=True)
        os.makedirs(mountpoint, exist_ok=True)
        self.process = subprocess.Popen([PROGRAM, *options, backing, mountpoint], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == "ready\n"

    def __call__(self, command):
        """Returns the answer: "ok" or a number."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().rstrip("\n")
        assert answer and not answer.startswith("error"), f"{command}: {answer or 'it ended'}"
        return answer

    def close(self):
        """Unmounts; all that hangs gets an error."""
        self.process.stdin.close()
        self.process.wait(10 * harness.PATIENCE)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
