"""What does it cost when nothing happens?"""

import contextlib
import time

from processes import Activity, Memory
from programs import WATCHDOG_USEC
from table import Table, median

SECONDS = 60


def _measure(programs, seconds):
    """{name: Activity before, after}; all of them sleep through the same time."""
    before = {p.name: Activity(p.pid) for p in programs}
    time.sleep(seconds)
    return {p.name: (before[p.name], Activity(p.pid)) for p in programs}


def _who(wakeups):
    return ", ".join(f"{name} {count}" for name, count in sorted(wakeups.items())) or "none"


def run(bench):
    library = bench.photo_library()
    seconds = max(5, SECONDS * min(1.0, bench.scale))
    programs = [bench.daemon(library), *bench.peers()]
    with contextlib.ExitStack() as stack:
        for program in programs:
            stack.enter_context(bench.running(program))
            program.start(library.root)
        programs[0].settle()
        results, passes = [], [programs[0].counters()["collections"]]
        for _ in range(bench.runs):
            time.sleep(2)  # until everybody has told what there was to tell
            results.append(_measure(programs, seconds))
            passes.append(programs[0].counters()["collections"])  # so far
            bench.say(_who(_wakeups(results[-1]["pictopy-sync"])))
        memory = {p.name: Memory(p.pid) for p in programs}
        watches = programs[0].counters()["watches"]
    table = _table(results, memory, watches, seconds)
    _note_runs(table, [result["pictopy-sync"] for result in results], passes)
    return table


def _wakeups(pair):
    before, after = pair
    return after.since(before)


def _table(results, memory, watches, seconds):
    table = Table("idle", f"{watches:,} watches and nothing happens for {seconds:.0f} s",
                  ["program", "wake-ups", "CPU time", "clock ticks", "resident"])
    totals = {}
    for name in memory:
        wakeups = [sum(_wakeups(result[name]).values()) for result in results]
        cpu = [result[name][1].cpu - result[name][0].cpu for result in results]
        ticks = [result[name][1].ticks - result[name][0].ticks for result in results]
        totals[name] = median(wakeups), median(ticks)
        table.row(name, f"{median(wakeups):.0f}", f"{median(cpu) * 1000:.1f} ms",
                  f"{median(ticks):.0f}", f"{memory[name].resident / 2**20:.0f} MiB")
    allowed = seconds * 1e6 / (WATCHDOG_USEC / 2)
    table.goal("pictopy-sync, wake-ups", totals["pictopy-sync"][0], allowed + 1, "{:.0f}")
    table.goal("pictopy-sync, CPU, clock ticks of 10 ms", totals["pictopy-sync"][1], 0, "{:.0f}")
    table.note(f"The service manager's watchdog (every {WATCHDOG_USEC // 2_000_000} s) accounts "
               f"for {allowed:.0f} wake-ups.")
    table.note("Wake-ups: voluntary context switches of all threads and child processes. The "
               "library is the one of startup; its rows are on disk, not in memory.")
    return table


def _note_runs(table, pairs, passes):
    """A median hides the run into which the daily work falls: each run, and that one by itself."""
    table.note("pictopy-sync, wake-ups run by run: "
               + ", ".join(f"{sum(_wakeups(pair).values()):,}" for pair in pairs) + ".")
    for number, (pair, before, after) in enumerate(zip(pairs, passes, passes[1:]), 1):
        if after > before:
            table.note(f"In run {number} ended what is done some minutes after the start and then "
                       "once a day: thumbnails that no row names, and graves that are too old, are "
                       f"looked for. Wake-ups: {_who(_wakeups(pair))}; CPU time "
                       f"{pair[1].cpu - pair[0].cpu:.2f} s.")
