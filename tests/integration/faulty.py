"""A FUSE file system that breaks on command (tests/tools/fuse-fault.c says how)."""

import os
import subprocess

import harness

PROGRAM = os.path.join(os.environ.get("PICTOPY_SYNC_BUILD") or os.path.dirname(harness.BINARY),
                       "tests", "tools", "fuse-fault")


class Faulty:
    """What is in the directory `backing` of a library, shown at `at`."""

    def __init__(self, lib, backing, at, *options):
        self.point = lib.mkdir(at)
        self.process = subprocess.Popen([PROGRAM, *options, lib.mkdir(backing), self.point],
                                        text=True, bufsize=1, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == "ready\n"

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        answer = self.process.stdout.readline().strip()
        assert answer and not answer.startswith("error"), f"{command}: {answer}"
        return answer

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        subprocess.run(["umount", "-l", self.point], check=False, stderr=subprocess.DEVNULL)

