#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""coverage.py BUILDDIR TEST... -- FUZZER...: run tests and fuzzers built with COVERAGE=1, then tell by file and in all which
lines and branches of xen-core/ and arch/x86_64/guest/ they reached (gcov's numbers). Exit 1 below 90 % of lines."""
import collections
import concurrent.futures
import json
import os
import subprocess
import sys

WANTED = ("xen-core/", "arch/x86_64/guest/")
LEAST = 90


def run(command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def notes(top):
    for where, _, names in os.walk(top):
        if any(("/" + w) in where + "/" for w in WANTED):
            yield from (os.path.join(where, n) for n in names if n.endswith(".gcno"))


def main():
    top, split = sys.argv[1], sys.argv.index("--")
    commands = [[t] for t in sys.argv[2:split]] + [[f, "-t", "6", f"tests/fuzz/corpus/{os.path.basename(f)}.pack"]
                                                         for f in sys.argv[split + 1:]]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        bad = [c[0] for c, d in zip(commands, pool.map(run, commands)) if d.returncode]
    lines, branches = collections.defaultdict(dict), collections.defaultdict(dict)
    for note in notes(top):
        done = subprocess.run(["gcov", "--json-format", "--stdout", "-b", note], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=False)
        for record in done.stdout.splitlines():
            for f in json.loads(record)["files"]:
                name = f["file"].removeprefix("./")
                if not name.startswith(WANTED):
                    continue
                for line in f["lines"]:
                    n = line["line_number"]
                    lines[name][n] = lines[name].get(n, 0) + line["count"]
                    for i, b in enumerate(line["branches"]):
                        branches[name][n, i] = branches[name].get((n, i), 0) + b["count"]
    hit = total = 0
    for name in sorted(lines):
        some = sum(c > 0 for c in lines[name].values())
        hit, total = hit + some, total + len(lines[name])
        missed = [n for n, c in sorted(lines[name].items()) if c == 0]
        print(f"  {100 * some / len(lines[name]):5.1f} %  {name}  {' '.join(map(str, missed[:12]))}{' …' if len(missed) > 12 else ''}")
    taken = sum(c > 0 for b in branches.values() for c in b.values())
    ways = sum(len(b) for b in branches.values())
    percent = 100 * hit / max(total, 1)
    done = set(subprocess.run(["git", "ls-files", *(f"{w}*.c" for w in WANTED)], stdout=subprocess.PIPE,
                              check=False).stdout.decode().split()) - set(lines)
    print("  not built for the host: " + (" ".join(sorted(done)) or "none"))
    for name in bad:
        print(f"  failed: {name}")
    print(f"TEST coverage {'PASS' if percent >= LEAST and not bad else 'FAIL'} {percent:.1f} % of {total} lines, "
          f"{100 * taken / max(ways, 1):.1f} % of {ways} branches")
    sys.exit(0 if percent >= LEAST and not bad else 1)


main()
