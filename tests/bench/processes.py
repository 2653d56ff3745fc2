"""What /proc tells of a program and its children: memory, wake-ups, CPU time."""

import contextlib
import os


def tree(pid):
    """A process and all below it."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(FileNotFoundError):
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children", encoding="ascii") as file:
                    found += map(int, file.read().split())
    return found


def _fields(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return dict(line.split(":", 1) for line in file if ":" in line)


def _kilobytes(text):
    return int(text.split()[0]) * 1024


class Memory:
    """Bytes: what nobody else shares (anonymous), and all that is resident."""

    def __init__(self, pid):
        self.anonymous = self.resident = 0
        for each in tree(pid):
            rollup = _fields(f"/proc/{each}/smaps_rollup")
            self.anonymous += _kilobytes(rollup["Pss_Anon"])
            self.resident += _kilobytes(rollup["Rss"])


class Activity:
    """Times that any thread went to sleep or was put aside, and CPU time in seconds."""

    def __init__(self, pid):
        self.wakeups = {}
        self.cpu = 0.0
        self.ticks = 0
        for each in tree(pid):
            with open(f"/proc/{each}/stat", encoding="utf-8", errors="replace") as file:
                stat = file.read().rpartition(")")[2].split()
            self.ticks += int(stat[11]) + int(stat[12])  # utime, stime: proc(5), fields 14 and 15
            for task in os.listdir(f"/proc/{each}/task"):
                self._add_thread(each, f"/proc/{each}/task/{task}")

    def _add_thread(self, pid, path):
        status = _fields(f"{path}/status")
        # The others, when it was made to wait for the processor, only happen while it is awake.
        switches = int(status["voluntary_ctxt_switches"])
        self.wakeups[(pid, path.rpartition("/")[2], status["Name"].strip())] = switches
        with contextlib.suppress(FileNotFoundError), open(f"{path}/schedstat",
                                                          encoding="ascii") as file:
            self.cpu += int(file.read().split()[0]) / 1e9

    def since(self, before):
        """{thread's name: wake-ups} of the threads that had any."""
        found = {}
        for thread, count in self.wakeups.items():
            count -= before.wakeups.get(thread, 0)
            if count:
                found[thread[2]] = found.get(thread[2], 0) + count
        return found
