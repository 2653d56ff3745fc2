"""A failing sequence made short: delta debugging, each candidate is played again.

What was taken out may make a later operation impossible; that one is passed over. Failures that
depend on timing do not fail every time, so a candidate counts as harmless only after some tries.
"""

import time


def shrink(ops, fails, seconds=90):
    """
    The shortest part of ops found in this time that fails. fails(ops) returns the operations that
    were really done up to the failure, or None when there was none.
    """
    deadline = time.monotonic() + seconds
    parts = 2
    while len(ops) >= 2 and time.monotonic() < deadline:
        size = max(1, len(ops) // parts)
        for start in range(0, len(ops), size):
            rest = ops[:start] + ops[start + size:]
            if time.monotonic() >= deadline:
                break
            done = fails(rest) if rest else None
            if done:
                ops, parts = done, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(2 * parts, len(ops))
    return ops
