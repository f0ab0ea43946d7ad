#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""runtests.py --results FILE --stage NAME [--fuzz SECONDS] PROGRAM...: run host test programs, two at a time, and
append one line per test case (cmocka) or per program (fuzzers) to FILE: VERDICT<TAB>stage<TAB>name<TAB>text."""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys

CASE = re.compile(r"^\[ *(OK|FAILED|SKIPPED) *\] (\w+)\s*$")
REASON = re.compile(r"^\[ *(?:ERROR|LINE) *\] --- (.+)$")
VERDICT = {"OK": "PASS", "FAILED": "FAIL", "SKIPPED": "SKIP"}


def run(program, args):
    env = dict(os.environ, ASAN_OPTIONS="abort_on_error=0", UBSAN_OPTIONS="print_stacktrace=1")
    name = os.path.basename(program)
    command = [program]
    if args.fuzz:
        if args.libfuzzer:
            found = os.path.join(args.libfuzzer, name)
            os.makedirs(found, exist_ok=True)
            if os.path.exists(f"tests/fuzz/corpus/{name}.pack"):
                env["JOIST_CORPUS"] = f"tests/fuzz/corpus/{name}.pack"
            command += [f"-max_total_time={args.fuzz}", "-print_final_stats=1", "-timeout=60", "-rss_limit_mb=0",
                        f"-artifact_prefix={found}-", found]
        else:
            command += ["-t", str(args.fuzz), f"tests/fuzz/corpus/{name}.pack"]
    try:
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=args.timeout + args.fuzz, check=False)
    except subprocess.TimeoutExpired as e:
        text = (e.stdout or b"").decode(errors="replace")
        return name, [("FAIL", name, "no end within the time limit")], text
    text = done.stdout.decode(errors="replace")
    cases = {}
    why = {}
    for line in text.splitlines():
        m = CASE.match(line)
        said = REASON.match(line)
        if said:
            why["last"] = (why.get("last", "") + " " + said.group(1)).strip()[:300]
        if m:
            why[m.group(2)] = why.pop("last", "")
        if m and not (m.group(2) in cases and cases[m.group(2)] == "FAIL"):
            cases[m.group(2)] = VERDICT[m.group(1)]
    rows = [(v, f"{name}.{case}", why.get(case, "") if v == "FAIL" else "") for case, v in cases.items()]
    if done.returncode and not any(v == "FAIL" for v, _, _ in rows):
        last = " ".join(text.split())[-300:]
        rows.append(("FAIL", name, f"ended with {done.returncode}: {last}"))
    elif not rows:
        count = re.search(r"stat::number_of_executed_units: (\d+)", text)
        blind = re.search(r"(\d+) inputs, (\d+) mutations", text)
        reach = re.findall(r" cov: (\d+)", text)
        rows.append(("PASS", name, f"{count.group(1)} executions, {reach[-1] if reach else 0} edges" if count else
                     f"{blind.group(1)} inputs, {blind.group(2)} mutations" if blind else ""))
    return name, rows, text


def table(found):
    """What `make fuzz` came to: target, executions, edges reached, inputs kept, finding."""
    print(f"\n  {'target':22} {'executions':>11} {'edges':>7} {'inputs':>7}  finding")
    executions = 0
    for name, rows, text, kept in found:
        count = re.search(r"stat::number_of_executed_units: (\d+)", text)
        reach = re.findall(r" cov: (\d+)", text)
        bad = re.search(r"SUMMARY: (.+)|((?:panic|Assertion).+)", text)
        ok = not any(r[0] == "FAIL" for r in rows)
        executions += int(count.group(1)) if count else 0
        print(f"  {name:22} {count.group(1) if count else '?':>11} {reach[-1] if reach else '?':>7} {kept:>7}  "
              f"{'none' if ok else bad.group(0)[:70] if bad else 'ended with an error'}")
    print(f"  {len(found)} targets, {executions} executions, "
          f"{sum(any(r[0] == 'FAIL' for r in rows) for _, rows, _, _ in found)} findings", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", required=True)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--fuzz", type=int, default=0)
    parser.add_argument("--libfuzzer", help="the programs are libFuzzer's; the directory of what they find")
    parser.add_argument("--timeout", type=int, default=300)
    parser.add_argument("programs", nargs="*")
    args = parser.parse_args()
    bad = 0
    found = []
    if not os.path.isdir("/proc/self/task"):
        print(f"  {args.stage:8} no /proc here: built without the address sanitizer", flush=True)
    with concurrent.futures.ThreadPoolExecutor(2) as pool, open(args.results, "a", encoding="utf-8") as out:
        for name, rows, text in pool.map(lambda p: run(p, args), args.programs):
            failed = sum(v == "FAIL" for v, _, _ in rows)
            passed = sum(v == "PASS" for v, _, _ in rows)
            skipped = len(rows) - failed - passed
            print(f"  {args.stage:8} {name}: {passed} passed" + (f", {failed} failed" if failed else "") +
                  (f", {skipped} skipped" if skipped else "") +
                  (f" ({rows[0][2]})" if args.fuzz and rows[0][2] and not failed else ""), flush=True)
            if failed:
                print(text[-20000:])
            bad += failed
            if args.libfuzzer:
                found.append((name, rows, text, len(os.listdir(os.path.join(args.libfuzzer, name)))))
            for row in rows:
                out.write("\t".join((row[0], args.stage, row[1], row[2])) + "\n")
    if found:
        table(found)
    sys.exit(1 if bad else 0)


main()
