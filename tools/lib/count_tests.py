#!/usr/bin/python3
"""Adds up what the tests reported and prints `N passed, N failed` (`, N skipped`).

Usage: count_tests.py [--meson testlog.json]… [--pytest junit.xml]… [--line TEXT]…

A meson test is a cmocka program: its cases are counted, and a program that died before it could
say how its cases went counts as one failure more. --line adds up lines that an earlier run of this
program printed. Exits 1 when something failed or nothing ran.
"""
import json
import re
import sys
from xml.etree import ElementTree

# Names only: cmocka's "[  ERROR   ] --- 1 != 2" and "[  FAILED  ] 2 test(s), …" are no cases.
CASE = re.compile(r'^\[ *(OK|FAILED|ERROR|SKIPPED) *\] ([A-Za-z_]\w*)$', re.MULTILINE)
SUMMARY = re.compile(r'^\[=+\] (?:.*: )?\d+ test\(s\) run\.', re.MULTILINE)
LINE = re.compile(r'(\d+) passed, (\d+) failed(?:, (\d+) skipped)?')


def count_program(test):
    """One line of testlog.json: (passed, failed, skipped) of a cmocka program's cases."""
    output = test.get('stdout', '') + '\n' + test.get('stderr', '')
    states = {}
    for state, name in CASE.findall(output):
        if states.get(name) not in ('FAILED', 'ERROR'):
            states[name] = state
    passed = sum(state == 'OK' for state in states.values())
    skipped = sum(state == 'SKIPPED' for state in states.values())
    failed = len(states) - passed - skipped
    if test['result'] == 'SKIP':
        return passed, failed, max(skipped, 1)
    ended_well = test['result'] in ('OK', 'EXPECTEDFAIL')
    if not ended_well and (failed == 0 or not SUMMARY.search(output)):
        failed += 1
    elif ended_well and not states:
        passed = 1
    return passed, failed, skipped


def count_meson(path):
    total = [0, 0, 0]
    with open(path, encoding='utf-8', errors='replace') as log:
        for line in log:
            total = [a + b for a, b in zip(total, count_program(json.loads(line)))]
    return total


def count_pytest(path):
    total = [0, 0, 0]
    for case in ElementTree.parse(path).iter('testcase'):
        kinds = {child.tag for child in case}
        if kinds & {'failure', 'error'}:
            total[1] += 1
        elif 'skipped' in kinds:
            total[2] += 1
        else:
            total[0] += 1
    return total


def count_line(text):
    return [int(number or 0) for number in LINE.fullmatch(text).groups()]


def main(arguments):
    readers = {'--meson': count_meson, '--pytest': count_pytest, '--line': count_line}
    total = [0, 0, 0]
    for option, value in zip(arguments[::2], arguments[1::2]):
        try:
            counted = readers[option](value)
        except (OSError, ValueError, KeyError, AttributeError, ElementTree.ParseError) as error:
            print(f'no result in {value}: {error}', file=sys.stderr)
            counted = [0, 1, 0]
        total = [a + b for a, b in zip(total, counted)]
    passed, failed, skipped = total
    print(f'{passed} passed, {failed} failed' + (f', {skipped} skipped' if skipped else ''))
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
