#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run_guests.py [--efi IMAGE] [NAME...]: boot each test guest in place of a dom0 kernel; print its verdict line.

The guests must be built (`make guests`).  With the image of a stock Xen they check themselves:
the oracle must pass every one of them.
"""
import argparse
import concurrent.futures
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

# name[:variant] -> arguments of harness.Machine, and vcpus if not as many as CPUs
GUESTS = {
    "hello": {},
    "hcalls": {},
    "mmu-basic": {},
    "mmu-bad": {},
    "ptwrite": {},
    "traps": {},
    "events": {},
    "grants": {},
    "timer": {},
    "fpu": {"vcpus": 2},
    "sched": {"vcpus": 2},
    "smp": {"smp": 4},
    "smp:crowded": {"smp": 2, "vcpus": 4},
    "stress": {"smp": 4},
    "control": {"smp": 2, "vcpus": 1},
    "longest": {"mem": 1024, "dom0_mem": 192},
    "attack/owner": {},
}
# Ends of the hypervisor itself, provoked by a key of its console: the key, and what the report must show in this order.
ENDS = {
    "panic": ("C", [r"\*\*\* Panic on cpu \d: asked for by key", r"cpu \d, cr0 [0-9a-f]+ cr2 [0-9a-f]+ cr3 [0-9a-f]+ cr4",
                    r"from 0xffff87ff8\w+ panic\+0x", r"from 0xffff87ff8\w+ key_panic\+0x",
                    r"from 0xffff87ff8\w+ irq_handle\+0x", r"from 0xffff87ff8\w+ irq_common\+0x",
                    r"stopped \('noreboot'\)"]),
    "double-fault": ("D", [r"\*\*\* Panic on cpu \d: double fault \(vector 8, error 0\) in the hypervisor at 0xffff87ff8",
                           r"rip \w{4}:ffff87ff8\w+ +rflags \w+ +rsp \w{4}:000080000000[01]000",
                           r"rax \w{16} rbx \w{16} rcx \w{16} rdx \w{16}", r"r13 \w{16} r14 \w{16} r15 \w{16}",
                           r"at   0xffff87ff8\w+ port_double_fault\+0x", r"stopped \('noreboot'\)"]),
}
LIVE = "live-tables"
# By name only, on a hypervisor built with CONFIG_PREEMPT_MEASURE: no call may go further than this between two check points.
# An extent of memory is one step, and the largest that a guest can have is 512 frames.
STRETCH, STRETCH_MAX, EXTENT_MAX = "stretches", 50000, 700000
LIMIT = 120
VERDICT = r"TEST (\S+) (PASS|FAIL|SKIP)\b[^\n]*\n"
DEAD = r"Panic on CPU[^\n]*|\(JOIST\)[^\n]*[Pp]anic[^\n]*|Hardware Dom0[^\n]*crashed[^\n]*|Domain 0 crashed[^\n]*"


def run(name, efi, verbose=False):
    """Boots one guest; returns (verdict line, seconds)."""
    opts = dict(GUESTS.get(name, {}))
    guest = name.partition(":")[0]
    elf = os.path.join(harness.BUILD, "guests", guest + ".elf")
    t = time.monotonic()
    if not os.path.exists(elf):
        return "TEST %s FAIL %s does not exist" % (name, os.path.relpath(elf)), 0
    echo = (lambda s: print(s, end="", flush=True)) if verbose else None
    smp = opts.pop("smp", 1)
    options = "dom0_max_vcpus=%d" % opts.pop("vcpus", smp)
    opts = {"mem": 512, "dom0_mem": 128, **opts}
    with harness.Machine("guest-" + re.sub("[:/]", "-", name), efi=efi, kernel=elf, cmdline="guest=" + guest, smp=smp,
                         options=options, echo=echo, **opts) as m:
        try:
            m.expect(VERDICT + "|" + DEAD, LIMIT)
            found = re.search(VERDICT, m.all)
            if found:
                line = found.group(0).strip().replace("TEST " + guest, "TEST " + name, 1)
            else:
                m.drain(1)
                line = "TEST %s FAIL %s" % (name, re.search(DEAD, m.all).group(0).strip())
        except (harness.Timeout, harness.Ended) as e:
            line = "TEST %s FAIL no verdict: %s" % (name, str(e).splitlines()[0])
        failed = [x for x in m.all.splitlines() if "FAILED " in x]
    if failed and " PASS " in line:
        line = "TEST %s FAIL %s" % (name, failed[0])
    return "\n".join(failed + [line]), time.monotonic() - t


def provoke(name, efi, verbose=False):
    """Ends the hypervisor by a key while a guest runs; returns (verdict line, seconds)."""
    key, want = ENDS[name]
    t = time.monotonic()
    echo = (lambda s: print(s, end="", flush=True)) if verbose else None
    with harness.Machine("guest-" + name, efi=efi, kernel=os.path.join(harness.BUILD, "guests", "sched.elf"), mem=512,
                         smp=2, dom0_mem=128, options="conswitch=ax noreboot", echo=echo) as m:
        try:
            m.expect("test guest sched on", LIMIT)
            m.send(key)
            for regex in want:
                m.expect(regex, 20)
            line = "TEST %s PASS %d parts of the report" % (name, len(want))
        except (harness.Timeout, harness.Ended) as e:
            line = "TEST %s FAIL %s" % (name, str(e).splitlines()[0])
    return line, time.monotonic() - t


def live_tables(name, efi, verbose=False):
    """While a guest runs: what the processor's tables say of the hypervisor's addresses, read by the emulator."""
    t = time.monotonic()
    echo = (lambda s: print(s, end="", flush=True)) if verbose else None
    with harness.Machine("guest-" + name, efi=efi, kernel=os.path.join(harness.BUILD, "guests", "sched.elf"), mem=512,
                         smp=2, dom0_mem=128, echo=echo) as m:
        try:
            m.expect("test guest sched on", LIMIT)
            rows = re.findall(r"(?m)^([0-9a-f]{16}): ([0-9a-f]{16}) ([-A-Z]{9})", m.qmp.monitor("info tlb"))
        except (harness.Timeout, harness.Ended) as e:
            return "TEST %s FAIL %s" % (name, str(e).splitlines()[0]), time.monotonic() - t
    bad, text, count = [], 0, 0
    for va, _, flags in rows:
        va, no_execute, user, writable = int(va, 16), flags[0] == "X", flags[7] == "U", flags[8] == "W"
        if not 0xffff800000000000 <= va < 0xffff880000000000:
            continue
        count += 1
        text += not no_execute and not writable
        if writable and not no_execute:
            bad.append("%x is writable and executable" % va)
        if user and (writable or not no_execute or va >= 0xffff808000000000):
            bad.append("%x is the guest's: %s" % (va, flags))
    if bad or count < 100 or text < 10:
        return "TEST %s FAIL %d entries, %d of text; %s" % (name, count, text, "; ".join(bad[:4])), time.monotonic() - t
    return "TEST %s PASS %d entries, %d of text, none writable and executable" % (name, count, text), time.monotonic() - t


def stretches(name, efi, verbose=False):
    """The longest operations, with each instruction one tick: the table of what was recorded between check points."""
    t = time.monotonic()
    echo = (lambda s: print(s, end="", flush=True)) if verbose else None
    with harness.Machine("guest-" + name, efi=efi, kernel=os.path.join(harness.BUILD, "guests", "longest.elf"), mem=1024, smp=1,
                         dom0_mem=192, cmdline="guest=longest stay", options="conswitch=ax", icount="shift=0", echo=echo) as m:
        try:
            m.expect("longest: all done", 4 * LIMIT)
            m.send("l")
            m.expect("longest console_io", 30)
            m.drain(2)
        except (harness.Timeout, harness.Ended) as e:
            return "TEST %s FAIL %s" % (name, str(e).splitlines()[0]), time.monotonic() - t
    rows = sorted(((int(n), call, op, where) for call, op, n, where in re.findall(r"longest (\w+) (\d+): (\d+) to ([\w ]+)", m.all)),
                  reverse=True)
    table = ["%8d  %s %s, to %s" % row for row in rows]
    bad = [x for x in table if int(x.split()[0]) > (EXTENT_MAX if "memory_op" in x else STRETCH_MAX)]
    bad += re.findall("FAILED .*", m.all)
    if bad or len(rows) < 20:
        return "\n".join(table + ["TEST %s FAIL %d calls; %s" % (name, len(rows), "; ".join(bad[:5]))]), time.monotonic() - t
    return "\n".join(table + ["TEST %s PASS %d calls, at most %d instructions between two check points; without those for extents of memory, %d"
                              % (name, len(rows), rows[0][0], max(r[0] for r in rows if r[1] != "memory_op"))]), time.monotonic() - t


def one(name, args):
    how = provoke if name in ENDS else live_tables if name == LIVE else stretches if name == STRETCH else run
    return how(name, args.efi, args.verbose)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--efi", default=harness.default_efi())
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("-v", "--verbose", action="store_true", help="show the console")
    p.add_argument("names", nargs="*", metavar="NAME")
    args = p.parse_args()
    names = args.names or [*GUESTS, *ENDS]  # LIVE by name only, until it has been seen green
    bad = 0
    jobs = 1 if args.verbose else args.jobs
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for line, secs in pool.map(lambda n: one(n, args), names):
            print(line, "(%.1f s)" % secs, flush=True)
            bad += " FAIL" in line
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
