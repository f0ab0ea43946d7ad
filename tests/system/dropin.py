# SPDX-License-Identifier: MIT
"""Scenarios of the drop-in: stock xenstored, xenconsoled and xl, unmodified, on the hypervisor."""
import re
import time

from system import demand

# verb line, what its output or that of the check must contain, check command
STEPS = [
    ("xl list", "s2", None),
    ("xl list -l s2", "domid", None),
    ("xl domid s2", "", None),
    ("xl pause s2", "p", "xl list s2"),
    ("xl unpause s2", "", "xl list s2"),
    ("xl vcpu-list", "s2", None),
    ("xl vcpu-pin s2 0 1", " 1 / ", "xl vcpu-list s2"),
    ("xl vcpu-pin s2 all all", "", "xl vcpu-list s2"),
    ("xl mem-set s2 100", "", "sleep 2; xl list s2"),
    ("xl mem-set s2 128", "", "sleep 2; xl list s2"),
    ("xl mem-max s2 140", "", "xl list -l s2"),
    ("xl sched-credit2", "Cpupool", None),
    ("xl sched-credit2 -d s2 -w 512", "", "xl sched-credit2 -d s2"),
    ("xl cpupool-list", "Pool-0", None),
    ("xl uptime", "s2", None),
    ("xl info -n", "numa", None),
    ("xl dmesg", "", None),
    ("xl debug-keys q", "", None),
    ("xentop -b -i 1", "s2", None),
    ("xl rename s2 other", "other", "xl list"),
    ("xl rename other s2", "s2", "xl list"),
    ("xl trigger s2 nmi", "", None),
    ("xl sysrq s2 h", "", None),
    ("xenstore-ls /local/domain/$(xl domid s2)", "console", None),
]


def boot(h, _args):
    """The commands of the toolstack on an idle host."""
    for line in ("xl info", "xl list", "xl dmesg", "xenstore-ls /local/domain/0", "cat /proc/xen/capabilities"):
        rc, out = h.cmd(line)
        demand(rc == 0, "`%s` ended with %d: %s" % (line, rc, out[-300:]))
    demand("control_d" in out, "capabilities are %r" % out)
    out = h.sh("xl info")
    for word in ("xen-3.0-x86_64", "credit2", "4.17"):
        demand(word in out, "`xl info` lacks %s" % word)


def domu_create(h, _args):
    """Create with 1 and 2 vCPUs, console, destroy; create, shutdown."""
    times = []
    for n in (1, 2, 1):
        t = time.monotonic()
        h.create("s", "vcpus=%d" % n)
        out = h.on_console("s", "grep -c ^processor /proc/cpuinfo")
        times.append(time.monotonic() - t)
        demand(re.search(r"(?m)^%d$" % n, out[0]), "not %d vCPUs: %r" % (n, out[0]))
        h.must("xl list")
        h.must("xl destroy s")
    h.create("s")
    h.on_console("s", "true")
    h.must("xl shutdown -w s", 90)
    h.must("xl list; xl info; xl dmesg")
    return "to the console and back in %s s" % "/".join("%.1f" % t for t in times)


def lifecycle(h, _args):
    """A table of verbs; those that fail are named with the call that is missing."""
    h.create("s2", "vcpus=2")
    h.on_console("s2", "true")
    bad = []
    for line, want, check in STEPS:
        rc, out = h.cmd(line, 60)
        if check:
            out += h.sh(check)
        ok = rc == 0 and want in out
        print("  %-48s %s" % (line, "ok" if ok else "FAILED (%d): %s" % (rc, " ".join(out.split())[-200:])), flush=True)
        if not ok:
            bad.append(line)
    h.must("xl destroy s2")
    demand(not bad, "%d of %d failed: %s" % (len(bad), len(STEPS), "; ".join(bad)))
    return "%d verbs" % len(STEPS)
