"""How long until every directory is watched?"""

import subprocess

from programs import BenchError
from table import Table, median, ratio, seconds, spread


def warm(root):
    """Has the kernel know every inode: what is measured is not the disk."""
    subprocess.run(["find", root, "-printf", "%s"], stdout=subprocess.DEVNULL, check=True)


def _check(program, library):
    """Was it ready when it said so?"""
    if hasattr(program, "counters") and program.counters()["watches"] != library.n_folders:
        raise BenchError(f"{program.name} is ready, but not every directory is watched")


def measure(bench, library):
    """{name: seconds of each run}; the programs take turns."""
    times = {}
    for _ in range(bench.runs):
        for program in [bench.floor(), bench.daemon(library), *bench.peers()]:
            with bench.running(program):
                took = program.start(library.root)
                _check(program, library)
            times.setdefault(program.name, []).append(took)
            bench.say(f"{program.name}: {took:.2f} s")
    return times


def run(bench):
    library = bench.photo_library()
    warm(library.root)
    times = measure(bench, library)
    middle = {name: median(values) for name, values in times.items()}
    floor, ours = middle[bench.floor().name], middle["pictopy-sync"]
    table = Table("startup", f"until all of {library.n_folders:,} directories with "
                  f"{library.n_photos:,} photos are watched",
                  ["program", "median", "least … most", "of the floor", "of inotifywait"])
    for name, values in times.items():
        table.row(name, seconds(middle[name]), spread(values), ratio(middle[name], floor),
                  ratio(middle[name], middle["inotifywait"]))
    table.goal("pictopy-sync / floor", ours / floor, 1.3)
    table.goal("pictopy-sync / inotifywait", ours / middle["inotifywait"], 0.6)
    pairs = [a / b for a, b in zip(times["pictopy-sync"], times[bench.floor().name])]
    table.note("pictopy-sync / floor, run by run: " + ", ".join(f"{pair:.2f}" for pair in pairs)
               + f"; the middle of them is {median(pairs):.2f}.")
    table.note("pictopy-sync: from exec(2) to READY=1 on its notification socket, with every row "
               "and thumbnail in place and nothing to decode. Warm cache.")
    return table
