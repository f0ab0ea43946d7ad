#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tally.py BUILDDIR STAGE...: run `make STAGE` for each stage, then sum BUILDDIR/test-results. The last line is
`N passed, N failed, N skipped`; the exit status is not 0 if a test failed or none passed."""
import os
import subprocess
import sys
import time


def main():
    out, stages = sys.argv[1], sys.argv[2:]
    os.makedirs(out, exist_ok=True)
    results = os.path.join(out, "test-results")
    open(results, "w", encoding="utf-8").close()
    jobs = str(len(os.sched_getaffinity(0)))
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    for stage in stages:
        before = os.path.getsize(results)
        began = time.monotonic()
        print(f"== {stage}", flush=True)
        code = subprocess.run(["make", "-j", jobs, stage, f"O={out}"], env=env, check=False).returncode
        took = int(time.monotonic() - began)
        with open(results, "r+", encoding="utf-8") as f:
            f.seek(before)
            rows = f.read().splitlines()
            if code and not any(r.startswith("FAIL\t") for r in rows):
                f.write(f"FAIL\t{stage}\tmake\tmake {stage} ended with {code}\n")
        print(f"== {stage}: {'FAILED' if code else 'ok'} after {took} s", flush=True)
    count = {"PASS": 0, "FAIL": 0, "SKIP": 0}
    for line in open(results, encoding="utf-8"):
        fields = line.rstrip("\n").split("\t")
        count[fields[0]] += 1
        if fields[0] == "FAIL":
            print("FAILED:", " ".join(fields[1:]))
    print(f"{count['PASS']} passed, {count['FAIL']} failed, {count['SKIP']} skipped")
    sys.exit(1 if count["FAIL"] or not count["PASS"] else 0)


main()
