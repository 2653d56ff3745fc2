"""How much memory does a watched directory take?"""

import time

from processes import Memory
from table import Table, median

QUIET = 5.0  # seconds without a change, so that what a start needed is given back
LONGEST = 90.0


def _at_rest(pid):
    """What a program takes once it has come to rest."""
    memory = Memory(pid)
    since = begun = time.monotonic()
    while time.monotonic() - since < QUIET and time.monotonic() - begun < LONGEST:
        time.sleep(0.25)
        now = Memory(pid)
        if now.anonymous != memory.anonymous:
            memory, since = now, time.monotonic()
    return memory


def _measure(bench, program, root):
    with bench.running(program):
        program.start(root)
        counters = None
        if hasattr(program, "settle"):
            program.settle()
            counters = program.counters()
        return _at_rest(program.pid), counters


def _pairs(bench, empty, full):
    """(program on nothing, root, program on the directories, root)."""
    yield bench.daemon(empty), empty.root, bench.daemon(full), full.root
    for a, b in zip(bench.peers(), bench.peers()):
        yield a, empty.root, b, full.root


def run(bench):
    empty, full = bench.new_library("nothing"), bench.empty_library()
    each, resident, counters = {}, {}, None
    for _ in range(bench.runs):
        for small, small_root, large, large_root in _pairs(bench, empty, full):
            base, _ = _measure(bench, small, small_root)
            whole, seen = _measure(bench, large, large_root)
            counters = seen or counters
            each.setdefault(large.name, []).append(
                (whole.anonymous - base.anonymous) / (full.n_folders - 1))
            resident.setdefault(large.name, []).append((base.resident, whole.resident))
            bench.say(f"{large.name}: {each[large.name][-1]:.0f} bytes")
    table = Table("memory", f"user-space memory for each of {full.n_folders:,} watched directories",
                  ["program", "bytes a directory", "resident, none", "resident, all"])
    for name, values in each.items():
        table.row(name, f"{median(values):.0f}",
                  f"{median([r[0] for r in resident[name]]) / 2**20:.1f} MiB",
                  f"{median([r[1] for r in resident[name]]) / 2**20:.1f} MiB")
    nodes = counters["node_bytes"] / counters["nodes"]
    table.goal("pictopy-sync, the node of a directory with its name, its place in two hash tables and "
               "what malloc(3) adds, bytes", nodes, 150, "{:.0f}")
    table.note("The difference in anonymous memory (Pss_Anon, child processes included) between a "
               "program that watches these directories and one that watches an empty one, divided "
               "by their number, once it has come to rest; names of 12 bytes.")
    table.note("The rest of the daemon's is about rows, not about watching: the list of registered "
               "folders that GET /folders answers from, with their ids and whole paths.")
    return table
