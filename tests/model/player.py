"""Plays sequences one after the other in one world, and looks closer at those that fail."""

import collections
import contextlib
import copy
import ctypes
import glob
import json
import os
import re
import select
import signal
import sys
import traceback

import shrink
from compare import Divergence
from generator import Generator, weight
from model import Model
from rules import Rules
from world import World

PR_SET_PDEATHSIG = 1
FAULT_OPS = ("kill", "restart", "freeze", "flood", "lock", "umount", "limit")
CHECK_EVERY = 50  # sequences; the program's own `check` is run at the end of these


class Player:
    def __init__(self, options):
        self.options = options
        self.world = None
        self.faults = collections.Counter()
        self.log_start = 0
        self.played = []

    def rules(self):
        return Rules(self.options.returns, self.options.blind_directories,
                     frozenset(self.options.tolerate))

    def close(self):
        if self.world:
            world, self.world = self.world, None
            world.close()

    def run(self, ops, check=False):
        """None, or what is wrong. After a failure the world is made anew."""
        self.played = []
        try:
            if self.world is None:
                self.world = World(self.options.faults)
            self.log_start = os.path.getsize(self.world.library.path("daemon.log"))
            self.sequence(copy.deepcopy(ops), check)
            return None
        except Exception as error:  # whatever it is, the seed must be told
            text = str(error) if isinstance(error, Divergence) else traceback.format_exc()
            self.log = self.world.log(self.log_start) if self.world else ""
            try:
                self.close()
            except Exception as other:
                text += f"\n{other}"
            return text

    def sequence(self, ops, check):
        model = Model(self.rules())
        self.world.checkpoint(model)
        for op in ops:
            if self.world.play(model, op):
                self.played.append(op)
                self.faults[op["op"]] += 1
        self.world.faults.end_all(model)
        self.world.checkpoint(model)
        if check and not self.may_be_stale(model):
            self.world.library.check()
        self.world.clear(model)
        self.world.checkpoint(Model(self.rules()))


    def may_be_stale(self, model):
        """Are there edits that nothing told of? `check` sees them."""
        if {"hard-link-edits", "hidden-edits"} & set(self.options.tolerate):
            return True
        inodes = (entry.inode() for _, entry in model.walk())
        return any(inode and (inode.linked or inode.unseen) for inode in inodes)


def end(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # not again, while it clears up
    sys.exit(143)


@contextlib.contextmanager
def player(options):
    """A player whose daemon and mounts end with this process, however that ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGTERM, end)
    made = Player(options)
    try:
        yield made
    finally:
        made.close()


def show(ops):
    return "\n".join("  " + json.dumps(op) for op in ops)


def work(options):
    """A worker: its share of the sequences, a line of JSON each, until standard input ends."""
    with player(options) as playing:
        for number in range(options.first + options.worker, options.first + options.sequences,
                            options.jobs):
            if select.select([sys.stdin], [], [], 0)[0]:
                break
            print(json.dumps(play(playing, number)), flush=True)
    return 0


def play(playing, number):
    options = playing.options
    seed = f"{options.seed}:{number}"
    ops = Generator(seed, options.faults, options.length).sequence()
    playing.faults.clear()
    wrong = playing.run(ops, number % CHECK_EVERY == 0)
    faults = {name: count for name, count in playing.faults.items() if name in FAULT_OPS}
    report = "" if wrong is None else explain(playing, seed, wrong)
    return {"ok": wrong is None, "report": report, "operations": sum(map(weight, ops)),
            "faults": faults}


def explain(playing, seed, wrong):
    """The report of a failing sequence, and files: the daemon's log, the sequence for --replay."""
    options = playing.options
    base = os.path.join(options.output, f"failed-{seed.replace(':', '-')}")
    with open(f"{base}.log", "w", encoding="utf-8") as file:
        file.write(playing.log)
    last = max((i for i, op in enumerate(playing.played) if op["op"] == "settle"), default=0)
    report = [f"==> sequence {seed} failed", wrong, "", "operations of the last burst:",
              show(playing.played[last + 1:]), "", "all operations:", show(playing.played), "",
              f"the daemon's log: {base}.log"]
    if options.shrink:
        kinds = signature(wrong)
        short = shrink.shrink(playing.played, lambda part: fails(playing, part, kinds),
                              options.shrink)
        wrong = None
        for _ in range(5):
            wrong = wrong or playing.run(short)
        save(f"{base}.jsonl", short)
        report += ["", f"shrunk to {len(short)} (tests/model/run --replay {base}.jsonl):",
                   show(short), wrong or "(it does not fail every time)"]
    return "\n".join(report)


# Paths, ids and numbers.
VARIES = re.compile(r"^.*?': |(\(new\) )?[0-9a-f]{8}-[0-9a-f-]{27}|'[^']*'|; that id .*|\d+"
                    r"|, expected.*")


def signature(wrong):
    """What kinds of things are wrong, so that shrinking does not end at another failure."""
    return {VARIES.sub("", line) for line in wrong.splitlines()}


def fails(playing, ops, kinds):
    """What was done of ops until it failed in one of these ways, or None."""
    for _ in range(3):
        wrong = playing.run(ops, check=True)
        if wrong is not None and signature(wrong) & kinds:
            return playing.played
    return None


def replay(options):
    """One file, or all of a directory."""
    files = [options.replay]
    if os.path.isdir(options.replay):
        files = sorted(glob.glob(f"{options.replay}/*.jsonl"))
    with player(options) as playing:
        if options.reduce:
            return reduce(playing, read(options.replay))
        results = [repeat(playing, path) for path in files]
    failed = sum(results)
    print(f"{len(files) - failed} passed, {failed} failed")
    return 1 if failed else 0


def read(path):
    with open(path, encoding="ascii") as file:
        return [json.loads(line) for line in file if line.strip()]


def repeat(playing, path):
    """Plays one sequence a few times; True when it ever failed."""
    options = playing.options
    failures = collections.Counter()
    for _ in range(options.times):
        wrong = playing.run(read(path), check=True)
        failures.update([wrong] if wrong is not None else [])
        if options.log and (wrong is not None or options.times == 1):
            print(playing.log if wrong is not None else playing.world.log(playing.log_start))
    if failures:
        print(f"==> {path} failed {failures.total()} of {options.times} times; the first time:",
              next(iter(failures)), "", sep="\n")
    return bool(failures)


def reduce(playing, ops):
    """Makes the sequence of a file short, in place."""
    wrong = next(filter(None, (playing.run(ops) for _ in range(5))), None)
    if wrong is None:
        print("it does not fail")
        return 1
    kinds = signature(wrong)
    short = shrink.shrink(ops, lambda part: fails(playing, part, kinds), playing.options.shrink)
    save(playing.options.replay, short)
    print(wrong, show(short), sep="\n")
    return 0


def save(path, ops):
    with open(path, "w", encoding="ascii") as file:
        file.writelines(json.dumps(op) + "\n" for op in ops)
