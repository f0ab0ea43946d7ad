# SPDX-License-Identifier: MIT
"""Attacks: hostile kernels (tests/guests/attack) as ordinary guests beside one that must not notice. Each ends with a verdict
of its own on its console; afterwards the machine must be as before."""
import re
import time

from system import CFG, demand

LOG = "/var/log/joist/console-%s.log"
VERDICT = r"TEST \S+ (PASS|FAIL|SKIP)[^\r\n]*"


def verdict_of(h, name, seconds, given_up):
    end = time.monotonic() + seconds
    while True:
        out = h.sh("grep -a -e 'TEST ' -e FAILED " + LOG % name)
        m = re.search(VERDICT, out)
        if not m and given_up and given_up in h.sh("cat " + LOG % name):
            demand("FAILED" not in out, out)
            return "the daemon: " + given_up
        if m:
            failed = [x.strip() for x in out.splitlines() if "FAILED" in x]
            demand(m.group(1) == "PASS" and not failed, "; ".join(failed[:5] + [m.group(0)]))
            return m.group(0)
        listed = h.domains().get(name)
        demand(listed and "c" not in listed[3] and time.monotonic() < end,
               "no verdict; the domain is %r; its console: %s; %s"
               % (listed, h.sh("tail -n 3 " + LOG % name).strip()[-300:], h.sh("joist dmesg | grep ' d[0-9]' | tail -n 2").strip()))
        h.cmd("sleep 1")


def attack(kernel, memory=32, seconds=180, given_up=None):
    def scenario(h, _args):
        if "victim" not in h.domains():
            h.create("victim")
            h.on_console("victim", "true")
        free = h.free_mb()
        name = "attack-" + kernel
        lines = ('name="%s"' % name, 'kernel="/guest/attack/%s.elf"' % kernel, 'ramdisk=""', "memory=%d" % memory,
                 'cmdline="guest=%s"' % kernel, 'on_poweroff="destroy"', 'on_crash="preserve"')
        h.must_tool("create -p %s %s" % (CFG, " ".join("'%s'" % x for x in lines)))
        h.must("for i in 1 2 3 4 5 6 7 8 9; do [ -e %s ] && break; sleep 1; done" % (LOG % name))
        h.must_tool("unpause " + name)
        text = verdict_of(h, name, seconds, given_up)
        h.gone(name)
        out = h.on_console("victim", "echo still $((40 + 2))")
        demand("still 42" in out[0], "the victim says %r" % out[0])
        demand(abs(h.free_mb() - free) <= 1, "%d MB were free before, %d after" % (free, h.free_mb()))
        return text
    scenario.__name__ = kernel
    scenario.__module__ = __name__
    return scenario


ALL = [attack(k) for k in ("addresses", "descriptors", "frames", "instructions", "numbers", "ports", "rights", "tables", "timers")]
# A ring with indices that cannot be is not read again: nothing can be said on it.
ALL += [attack("rings", given_up="console ring inconsistent: not read any more")]
