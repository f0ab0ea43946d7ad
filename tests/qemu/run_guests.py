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

# name[:variant] -> arguments of harness.Machine, vcpus if not as many as CPUs, and nmis: seconds between NMIs of the machine
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
    "nmi": {"smp": 2, "nmis": 0.1},
    "stress": {"smp": 4},
    "control": {"smp": 2, "vcpus": 1},
    "published": {"vcpus": 2},
    "longest": {"mem": 1024, "dom0_mem": 192},
    "attack/owner": {},
    # those that look for dead ends of the hypervisor's own (the others run as guests: tests/system/attacks.py); long form
    "attack/races": {"smp": 2},
    "attack/descriptors": {},
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
# By name only, on a hypervisor built with CONFIG_PREEMPT_MEASURE: no call may go further than this between two check points.
# An extent of memory is one step, and the largest that a guest can have is 512 frames.
# Grants unmapped for one flush (256, xen-core/gnttab/gnttab_op.c) are finished in one go behind it.
STRETCH, STRETCH_MAX, EXTENT_MAX, UNMAP_MAX = "stretches", 50000, 700000, 100000
# All that can be had against speculation, whether QEMU's processor needs it or not; page-table isolation above all.
GUARDED = "xpti=on spec-ctrl=verw,div-scrub,rsb,bti-thunk=retpoline"
# with that: every guest of the long form, of the short form those that come in by every way, change tables and share them
for guest in [g for g in GUESTS if ":" not in g]:
    GUESTS[guest + ":guarded"] = dict(GUESTS[guest], options=GUARDED)
# the same guests linked to lie at 1 MiB, with a virtual base of 0 and few notes
GUESTS.update({"hello:low": {}, "traps:low": {}, "published:low": {"vcpus": 2}})
SHORT_GUARDED = ("hcalls", "mmu-basic", "traps", "smp", "nmi")
LONG_ONLY = ("attack/races", "attack/descriptors")
LIVE = {"live-tables": "", "live-tables:guarded": GUARDED}
LIMIT = 120
VERDICT = r"TEST (\S+) (PASS|FAIL|SKIP)\b[^\n]*\n"
DEAD = r"Panic on CPU[^\n]*|\(JOIST\)[^\n]*[Pp]anic[^\n]*|Hardware Dom0[^\n]*crashed[^\n]*|Domain 0 crashed[^\n]*"


def await_verdict(m, nmis):
    """To the guest's verdict, or the hypervisor's end; meanwhile, with nmis, an NMI every so many seconds."""
    end = time.monotonic() + LIMIT
    while nmis and time.monotonic() < end:
        try:
            m.expect(VERDICT + "|" + DEAD, nmis)
            return
        except harness.Timeout:
            if "test guest" in m.all:
                m.qmp.run("inject-nmi")
    m.expect(VERDICT + "|" + DEAD, LIMIT)


def run(name, efi, verbose=False):
    """Boots one guest; returns (verdict line, seconds)."""
    opts = dict(GUESTS.get(name, {}))
    guest = name.partition(":")[0]
    elf = os.path.join(harness.BUILD, "guests", "low" if name.endswith(":low") else "", guest + ".elf")
    t = time.monotonic()
    if not os.path.exists(elf):
        return "TEST %s FAIL %s does not exist" % (name, os.path.relpath(elf)), 0
    echo = (lambda s: print(s, end="", flush=True)) if verbose else None
    smp, nmis = opts.pop("smp", 1), opts.pop("nmis", 0)
    options = "dom0_max_vcpus=%d %s" % (opts.pop("vcpus", smp), opts.pop("options", ""))
    opts = {"mem": 512, "dom0_mem": 128, **opts}
    with harness.Machine("guest-" + re.sub("[:/]", "-", name), efi=efi, kernel=elf, cmdline="guest=" + guest, smp=smp,
                         options=options, echo=echo, **opts) as m:
        try:
            await_verdict(m, nmis)
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


def mapped(monitor, cpu):
    """The hypervisor's part of the tables that a cpu runs on: (first address, bytes, machine address, flags)."""
    rows = [(int(va, 16), int(pa, 16), flags) for va, pa, flags in
            re.findall(r"(?m)^([0-9a-f]{16}): ([0-9a-f]{16}) ([-A-Z]{9})", monitor("info tlb", cpu))]
    out = []
    for (va, pa, flags), after in zip(rows, rows[1:] + [(1 << 64, 0, "")]):
        if 0xffff800000000000 <= va < 0xffff880000000000:
            large = 1 << 30 if not va % (1 << 30) and after[0] >= va + (1 << 30) else 1 << 21
            out.append((va, large if flags[2] == "P" else 4096, pa, flags))
    return out


def wrong_rights(rows):
    """What is writable and executable, by this mapping or by another of the same frames, or open to the guest."""
    text = [(pa, pa + size) for _, size, pa, flags in rows if flags[0] != "X"]
    for va, size, pa, flags in rows:
        if flags[8] == "W" and flags[0] != "X":
            yield "%x is writable and executable" % va
        if flags[8] == "W" and any(a < pa + size and pa < b for a, b in text):
            yield "%x makes text writable" % va
        if flags[7] == "U" and (flags[8] == "W" or flags[0] != "X" or va >= 0xffff808000000000):
            yield "%x is the guest's: %s" % (va, flags)


def beyond_entry(rows, cpu, syms_of):
    """What a guest's table maps of the hypervisor and must not, with page-table isolation."""
    syms = {}
    with open(os.path.join(os.path.dirname(syms_of), "joist-syms"), encoding="ascii") as f:
        for line in f:
            addr, _, name = line.split()
            syms[name] = int(addr, 16)
    area = 0xffff87ff40000000 + cpu * 0x400000
    allowed = [(0xffff800000000000, 0xffff808000000000), (syms["guard_text_start"], syms["guard_text_end"]),
               (syms["idt"], syms["idt"] + 4096), (area, area + 0x21000)]
    return ["%x is mapped" % va for va, size, _, _ in rows if not any(a <= va and va + size <= b for a, b in allowed)]


def live_tables(name, efi, verbose=False):
    """While a guest runs: what the processors' tables say of the hypervisor's addresses, read by the emulator."""
    t = time.monotonic()
    echo = (lambda s: print(s, end="", flush=True)) if verbose else None
    isolated = "xpti=on" in LIVE[name]
    bad, text, count, guest = [], 0, 0, 0
    with harness.Machine("guest-" + name.replace(":", "-"), efi=efi, mem=512, smp=2, dom0_mem=128, echo=echo,
                         kernel=os.path.join(harness.BUILD, "guests", "sched.elf"), options=LIVE[name]) as m:
        def monitor(line, cpu):
            return m.qmp.run("human-monitor-command", **{"command-line": line, "cpu-index": cpu})
        try:
            m.expect("test guest sched on", LIMIT)
            # until a cpu has been seen in the guest on its table, and in the hypervisor
            for _ in range(100):
                m.qmp.run("stop")
                for cpu in (0, 1):
                    in_guest = "CPL=3" in monitor("info registers", cpu)
                    rows = mapped(monitor, cpu)
                    bad += wrong_rights(rows)
                    bad += beyond_entry(rows, cpu, efi) if isolated and in_guest else []
                    count, guest = max(count, len(rows)), guest + in_guest
                    text = max(text, sum(r[3][0] != "X" for r in rows))
                m.qmp.run("cont")
                if guest and count > 100 or bad:
                    break
                m.drain(0.03)
        except (harness.Timeout, harness.Ended) as e:
            return "TEST %s FAIL %s" % (name, str(e).splitlines()[0]), time.monotonic() - t
    if bad or count < 100 or text < 10 or not guest:
        return "TEST %s FAIL %d entries, %d of text, in the guest %d times; %s" % (
            name, count, text, guest, "; ".join(bad[:4])), time.monotonic() - t
    return "TEST %s PASS %d entries, %d of text, none writable and executable%s" % (
        name, count, text, "; the guest's table has the entry pages alone" if isolated else ""), time.monotonic() - t


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
    bad = [x for x in table if int(x.split()[0]) > (EXTENT_MAX if "memory_op" in x else UNMAP_MAX if "grant_table_op 1," in x
                                                    else STRETCH_MAX)]
    bad += re.findall("FAILED .*", m.all)
    if bad or len(rows) < 20:
        return "\n".join(table + ["TEST %s FAIL %d calls; %s" % (name, len(rows), "; ".join(bad[:5]))]), time.monotonic() - t
    return "\n".join(table + ["TEST %s PASS %d calls, at most %d instructions between two check points; without those for extents of memory, %d"
                              % (name, len(rows), rows[0][0], max(r[0] for r in rows if r[1] != "memory_op"))]), time.monotonic() - t


def one(name, args):
    how = provoke if name in ENDS else live_tables if name in LIVE else stretches if name == STRETCH else run
    return how(name, args.efi, args.verbose)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--efi", default=harness.default_efi())
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--long", action="store_true", help="every guest by the guarded ways too")
    p.add_argument("-v", "--verbose", action="store_true", help="show the console")
    p.add_argument("names", nargs="*", metavar="NAME")
    args = p.parse_args()
    short = [n for n in GUESTS if (n.partition(":")[0] in SHORT_GUARDED if n.endswith(":guarded") else n not in LONG_ONLY)]
    names = args.names or [*(GUESTS if args.long else short), *ENDS, *LIVE]
    bad = 0
    jobs = 1 if args.verbose else args.jobs
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for line, secs in pool.map(lambda n: one(n, args), names):
            print(line, "(%.1f s)" % secs, flush=True)
            bad += " FAIL" in line
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
