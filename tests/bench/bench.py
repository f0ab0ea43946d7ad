#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bench.py [--efi IMAGE] [--xen IMAGE] [--parts dom0,domu,user] [--markdown]: costs side by side with Xen's.

QEMU counts one instruction as one tick (-icount shift=0), so figures repeat to the digit.  Parts:
dom0: the measuring guest in place of a dom0 kernel; domu: the same as a guest; user: user-space
programs in the control domain and in a guest.  A figure already taken of the same image is reused.
"""
import argparse
import hashlib
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "qemu"), os.path.join(HERE, "..", "system"),
                os.path.join(HERE, "..", "..", "scripts")]
import harness  # noqa: E402
import image  # noqa: E402
import system  # noqa: E402

# rows that must cost at most half of Xen's; every other row at most as much
HALF = ("xen_version(XENVER_version)", "bad hypercall (ENOSYS)", "evtchn send to self, upcalls masked",
        "evtchn send to self + upcall + iret", "update_va_mapping, other frame, no flush",
        "update_va_mapping, other frame, invlpg", "update_va_mapping, flags only (rw/ro)",
        "mmu_update of 64 entries, per entry", "direct write to a PTE (trap and emulate)",
        "pin + unpin L1 of 512 entries", "mmuext new_baseptr (address-space switch)",
        "user syscall + return, PV bounce", "page fault to guest handler + iret")
GUEST_ONLY = ("loop", "rdtsc", "cpuid (native instruction)")   # no hypervisor in them
LINE = re.compile(r"^(?:MICRO|USER) (.*) (\d+(?:\.\d+)?)$")


def figures(text):
    return {m.group(1): float(m.group(2)) for m in map(LINE.match, text.splitlines()) if m}


def micro_dom0(efi):
    elf = os.path.join(harness.BUILD, "bench", "micro.elf")
    with harness.Machine("bench-dom0", efi=efi, kernel=elf, smp=1, mem=1024, dom0_mem=256, icount="shift=0") as m:
        m.expect(r"MICRO end|MICRO trap[^\n]*|[Pp]anic", 600)
        if "MICRO end" not in m.all:
            raise RuntimeError("the measuring guest did not end:\n" + m.all[-1500:])
        errors = re.findall(r"MICRO error[^\n]*", m.all)
        if errors:
            harness.say("  note: " + "; ".join(errors))
        return figures(m.all)


def in_linux(efi, tools, parts):
    out = {}
    with system.Host("bench-linux", efi, tools=tools, smp=1, mem=2048, icount="shift=0", cmdline="joist.nodev") as h:
        h.up(900)
        if "domu" in parts:
            # the guest ends by itself, and the console with it
            out["domu"] = figures(h.sh(
                '%s create -c /etc/joist/guest.cfg \'name="micro"\' \'kernel="/guest/micro.elf"\' \'ramdisk=""\' '
                "'memory=16' 'tsc_mode=\"native\"'" % ("xl" if tools == "stock" else "joist"), 900))
        if "user" in parts:
            out["user dom0"] = figures(h.sh("pingpong", 900))
            h.create("g", 'tsc_mode="native"')
            out["user domu"] = figures(h.on_console("g", "pingpong", timeout=900)[0])
    return out


def measure(efi, tools, parts):
    """Part -> row -> ticks, from the cache where the image has been measured before."""
    with open(efi, "rb") as f:
        key = hashlib.sha256(f.read()).hexdigest()[:16]
    path = os.path.join(harness.BUILD, "bench", "figures-%s.json" % key)
    known = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            known = json.load(f)
    if "dom0" in parts and "dom0" not in known:
        known["dom0"] = micro_dom0(efi)
    wanted = [p for p in ("domu", "user") if p in parts and not any(k.startswith(p) for k in known)]
    if wanted:
        image.make("kernels", "guest", "dom0", "stock")
        known.update(in_linux(efi, tools, wanted))
    with open(path, "w", encoding="utf-8") as f:
        json.dump(known, f)
    return known


def table(part, xen, ours, markdown):
    """Prints the rows of a part; returns how many miss their bound."""
    row = "| %s | %.1f | %.1f | %.2f | %s |" if markdown else "%-58s %10.1f %10.1f %6.2f %s"
    print("\n" + ("| %s | Xen | Joist | ratio | bound |\n|---|---|---|---|---|" if markdown else
                  "%-58s        Xen      Joist  ratio bound") % part)
    misses = 0
    for name, x in xen.items():
        if name not in ours:
            print("%s: no figure" % name)
            misses += 1
            continue
        bound = 0.5 if name in HALF else 1.0
        ratio = ours[name] / x if x else 1.0
        missed = name not in GUEST_ONLY and ratio > bound * 1.005
        misses += missed
        print(row % (name, x, ours[name], ratio, "%.1f%s" % (bound, " missed" if missed else "")))
    return misses


def shown(value):
    if value is None:
        return "–"
    return "%.1f" % value if value < 1000 or value != int(value) else "%d" % value


def cells(xen, ours):
    ratio = "%.2f" % (ours / xen) if xen and ours else "–"
    return "%s | %s | %s" % (shown(xen), shown(ours), ratio)


def write_document(path, xen, ours):
    """Puts the figures into the rows of a document's tables; the rows are found by their names."""
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    for i, line in enumerate(lines):
        name = line.split(" | ")[0].lstrip("| ").strip("*")
        for dom0, domu in (("dom0", "domu"), ("user dom0", "user domu")):
            if line.startswith("| ") and name in xen.get(dom0, {}):
                lines[i] = "%s | %s | %s |" % (line.split(" | ")[0], cells(xen[dom0][name], ours[dom0].get(name)),
                                               cells(xen[domu].get(name), ours[domu].get(name)))
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(lines))


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--efi", default=harness.default_efi())
    p.add_argument("--xen")
    p.add_argument("--parts", default="dom0,domu,user")
    p.add_argument("--tools", default="joist", choices=("joist", "stock"))
    p.add_argument("--markdown", action="store_true")
    p.add_argument("--document", help="write the figures into its tables")
    args = p.parse_args()
    parts = args.parts.split(",")
    xen = measure(args.xen or image.stock_efi(), "stock", parts)
    ours = measure(args.efi, args.tools, parts)
    misses = sum(table(part, rows, ours.get(part, {}), args.markdown) for part, rows in xen.items()
                 if part.split()[0] in parts)
    if args.document:
        write_document(args.document, xen, ours)
    print("\n%d row(s) miss their bound" % misses)


if __name__ == "__main__":
    main()
