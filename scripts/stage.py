#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""stage.py RESULTS STAGE SCRIPT [ARG...]: run a test script that prints lines `TEST name PASS|FAIL|SKIP text`, show its
output and append its verdicts to RESULTS. No verdict at all, or a bad exit without a FAIL, is a failure."""
import os
import re
import subprocess
import sys

VERDICT = re.compile(r"^TEST (\S+) (PASS|FAIL|SKIP)\s*(.*)$")


def main():
    results, stage, script, *rest = sys.argv[1:]
    rows = []
    code = 0
    if not os.path.exists(script):
        rows.append(("FAIL", stage, f"{script} does not exist"))
    else:
        with subprocess.Popen([sys.executable, script, *rest], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
            for raw in child.stdout:
                line = raw.decode(errors="replace").rstrip()
                print(line, flush=True)
                m = VERDICT.match(line)
                if m:
                    rows.append((m.group(2), m.group(1), m.group(3)))
            code = child.wait()
        if not rows:
            rows.append(("FAIL", stage, "no verdict"))
        elif code and not any(r[0] == "FAIL" for r in rows):
            rows.append(("FAIL", stage, f"{script} ended with {code}"))
    with open(results, "a", encoding="utf-8") as out:
        for verdict, name, text in rows:
            out.write("\t".join((verdict, stage, name, text.replace("\t", " "))) + "\n")
    sys.exit(1 if any(r[0] == "FAIL" for r in rows) else 0)


main()
