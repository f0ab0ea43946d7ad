# SPDX-License-Identifier: MIT
"""Attacks: hostile kernels (tests/guests/attack) as ordinary guests beside one that must not notice. Each ends with a verdict
of its own on its console; afterwards the machine must be as before. Most run side by side, one or two a scenario: those
that look for what another has left, and those during which the victim's lateness is measured."""
import re
import time

import guests
from system import CFG, demand

LOGS = {"joist": "/var/log/joist/console-%s.log", "stock": "/var/log/xen/console/guest-%s.log"}
VERDICT = r"TEST (\S+) (PASS|FAIL|SKIP)[^\r\n]*"
SIDE_BY_SIDE = ("addresses", "descriptors", "frames", "instructions", "numbers", "ports", "races", "rights", "rings", "steps",
                "tables", "timers")
VCPUS = {"races": 2, "floods": 2}
# A ring with indices that cannot be is not read again: nothing can be said on it.
GIVEN_UP = {"rings": "console ring inconsistent: not read any more"}
# attack, or the name of its guest -> what its failed checks say on stock Xen 4.17, each of them and nothing else. Where a guest goes on, it knows the
# difference itself (xen_or_joist()) and demands Xen's answer there. All are explained in docs/testing.md.
DIFFERENCES = {
    "finder": ("words of another guest", "words that are not 0"),
}
LATE = 0.1              # seconds that the victim's wake-up may come later, on average, under attack


def start(h, kernel, *lines, memory=32, words="", name=None):
    """Creates an attacker and lets it go, once its console is being written down."""
    name = name or "attack-" + kernel
    lines = ('name="%s"' % name, 'kernel="/guest/attack/%s.elf"' % kernel, 'ramdisk=""', "memory=%d" % memory,
             "vcpus=%d" % VCPUS.get(kernel, 1), 'cmdline="guest=%s %s"' % (kernel, words), 'on_poweroff="destroy"',
             'on_crash="preserve"') + lines
    h.must_tool("create -p %s %s" % (CFG, " ".join("'%s'" % x for x in lines)))
    h.must("for i in 1 2 3 4 5 6 7 8 9; do [ -e %s ] && break; sleep 1; done" % (LOGS[h.tools] % name))
    h.must_tool("unpause " + name)
    return name


def said(h, name):
    """(kind of the verdict or None, its line, the checks that failed)"""
    out = h.sh("grep -a -e 'TEST ' -e FAILED -e '^trap 0x' -e '^r[a-z0-9]* ' %s" % (LOGS[h.tools] % name))
    m = re.search(VERDICT, out)
    failed = [x.strip() for x in out.splitlines() if "FAILED" in x or x.startswith("trap 0x")]
    return (m.group(2), m.group(0), failed) if m else (None, "", failed)


def verdict_of(h, name, seconds=180, given_up=None, meanwhile=None):
    """Waits for the verdict; anything but PASS is wrong, unless the hypervisor is the one that DIFFERENCES is about.
    meanwhile() is called over and over."""
    end, listed = time.monotonic() + seconds, True
    while True:
        was_listed = bool(listed)       # what it has said last is written down before it goes
        kind, line, failed = said(h, name)
        if not kind and given_up and given_up in h.sh("cat " + LOGS[h.tools] % name):
            demand(not failed, "; ".join(failed))
            return "the daemon: " + given_up
        if kind:
            differs(h, name, failed or ([line] if kind != "PASS" else []), "; ".join(failed[:5] + [line]))
            return line.partition("PASS ")[2] if kind == "PASS" and not failed else "differs: " + line
        listed = h.domains().get(name)
        if not (listed or was_listed) or listed and "c" in listed[3] or time.monotonic() > end:
            text = ("no verdict; the domain is %r; its console: %s; %s"
                    % (listed, h.sh("tail -n 3 " + LOGS[h.tools] % name).strip()[-300:], last_words(h)))
            differs(h, name, ["no verdict"], text)
            h.tool("destroy " + name)
            return "differs: " + text
        if meanwhile:
            meanwhile()
        else:
            h.cmd("sleep 0.5")


def differs(h, name, failed, text):
    """Nothing may have failed; on stock Xen, what is listed as a difference must have, and nothing else."""
    known = DIFFERENCES.get(name.partition("attack-")[2] or name, ()) if h.tools == "stock" else ()
    unknown = [x for x in failed if not any(re.search(k, x) for k in known)]
    for line in unknown if h.tools == "stock" else ():
        print("  %s on stock Xen: %s" % (name, line), flush=True)
    demand(not unknown, text)
    for k in known:
        demand(any(re.search(k, x) for x in failed), "%r is listed as a difference, and is none any more: %s" % (k, text))


def last_words(h):
    """What the hypervisor says of the attackers."""
    return h.sh(("joist" if h.tools == "joist" else "xl") + " dmesg | grep ' d[0-9]' | tail -n 2").strip()


def prepare(h):
    if not hasattr(h, "attack_free"):
        h.create("victim")
        h.on_console("victim", "true")
        h.attack_free = h.free_mb()
        h.attackers = set()


def unharmed(h):
    """The victim answers, and all memory is back."""
    out = h.on_console("victim", "echo still $((40 + 2))")
    demand("still 42" in out[0], "the victim says %r" % out[0])
    free = h.free_mb()
    demand(abs(free - h.attack_free) <= 1, "%d MB were free before, %d after" % (h.attack_free, free))


def is_asked_for(kernel, args):
    return not args.names or any(n.startswith("attacks") and n.partition(".")[2] in ("", kernel, kernel + "-1cpu") for n in args.names)


def beside(kernel, pending):
    """One of those that run side by side: the first of them starts all that are still to be judged.  On stock Xen each has the
    machine for itself: what one does there to domain 0 must not be another's verdict."""
    def scenario(h, args):
        prepare(h)
        name = "attack-" + kernel
        if name not in h.attackers:
            for other in [k for k in pending if k == kernel or h.tools == "joist" and is_asked_for(k, args)]:
                h.attackers.add(start(h, other))
        pending.remove(kernel)
        text = verdict_of(h, name, given_up=GIVEN_UP.get(kernel))
        h.gone(name)
        return text
    return scenario


def leftovers(h, _args):
    """What a guest has had, given back and left behind at its end, is not to be found by the next."""
    prepare(h)
    name = start(h, "leftovers", memory=64, words="holder", name="holder")
    verdict_of(h, name)
    h.gone(name)
    first = blocks_of(h, name)
    # xl lets no guest have more than it starts with
    name = start(h, "leftovers", "maxmem=256", memory=16 if h.tools == "joist" else 256, name="finder")
    text = verdict_of(h, name)
    h.gone(name)
    again = first & blocks_of(h, name)
    demand(again, "none of the blocks of memory came again")
    unharmed(h)
    return "%s; %d of %d blocks came again" % (text, len(again), len(first))


def blocks_of(h, name):
    """The 2 MiB blocks that the guest says it had frames in."""
    m = re.search(r"frames in blocks([ \d-]+) end", h.sh("cat " + LOGS[h.tools] % name))
    demand(m, "%s does not tell its memory" % name)
    out = set()
    for part in m.group(1).split():
        first, _, last = part.partition("-")
        out.update(range(int(first), int(last) + 1))
    return out


def registers(h, _args):
    """On one processor, one guest keeps a mark in every register and another looks for it."""
    prepare(h)
    names = [start(h, "registers", 'cpus="0"', words=w, name=n) for w, n in (("holder", "marker"), ("", "reader"))]
    text = [verdict_of(h, n) for n in names]
    for n in names:
        h.gone(n)
    unharmed(h)
    return "; ".join(text)


def measured(kernel, memory=32, words="", seconds=180):
    """An attack during which the victim's lateness is measured."""
    def scenario(h, _args):
        prepare(h)
        calm, under = guests.pulses(h, "victim"), []
        name = start(h, kernel, memory=memory, words=words)
        text = verdict_of(h, name, seconds, meanwhile=lambda: under.append(guests.pulses(h, "victim")))
        h.gone(name)
        demand(under, "the attack was over before anything could be measured")
        told = []
        for who, idle, busy in (("domain 0", calm[0], [u[0] for u in under]), ("victim", calm[1], [u[1] for u in under])):
            told.append("%s late by %.0f ms (idle %.0f, worst of %d: %.0f)"
                        % (who, sum(busy) / len(busy) * 1000, idle * 1000, len(busy), max(busy) * 1000))
            demand(h.tools == "stock" or sum(busy) / len(busy) < 2 * idle + LATE, told[-1])
        unharmed(h)
        return "; ".join(told + [text])
    return scenario


# case of the guest `crashes`: what the hypervisor must say of its end
ENDS = {
    "user-hole": "no stack for an entry", "user-nothing": "no stack for an entry", "user-canonical": "no stack for an entry",
    "hole": "no stack for an entry", "nothing": "no stack for an entry", "no-handler": "exception 6 .* without a handler",
    "return-hole": "no stack for an entry", "return-nothing": "no stack for an entry",
    "no-user": "iret to user mode without user page tables", "bad-handler": "no stack for an entry",
}


def crashes(h, _args):
    """Guests that cannot go on end alone, with a message that names the reason."""
    prepare(h)
    names = {case: start(h, "crashes", memory=16, words="case=" + case, name="crash-" + case) for case in ENDS}
    end = time.monotonic() + 90
    while not all(guests.has_crashed(h.domains(), n) for n in names.values()):
        demand(time.monotonic() < end, "still running: %r" % h.domains())
        h.cmd("sleep 0.5")
    log = h.must_tool("dmesg")
    for case, name in names.items():
        demand("it went on" not in h.sh("cat " + LOGS[h.tools] % name), "%s went on" % case)
        listed = h.domains().get(name)
        demand(listed and "c" in listed[3], "%s has not crashed: %r" % (name, listed))
        demand(h.tools != "joist" or re.search(r"\bd%d\b.*%s" % (listed[0], ENDS[case]), log), "no word of why %s has crashed: %s"
               % (case, "; ".join(re.findall(r"[^\n]*\bd%d\b[^\n]*" % listed[0], log))))
        h.must_tool("destroy " + name)
    for name in names.values():
        h.gone(name)
    unharmed(h)
    return "%d cases" % len(names)


def afterwards(h, _args):
    """When all have ended."""
    prepare(h)
    unharmed(h)
    demand(sorted(h.domains()) == ["Domain-0", "victim"], "left: %r" % sorted(h.domains()))
    return "the victim answers, %d MB free" % h.free_mb()


def big_trees(h, args):
    """512 x 512 full tables in a guest of more than 1 GiB."""
    return measured("trees", memory=1100, words="big", seconds=1500)(h, args)


def group(mark=""):
    """The scenarios, for one machine; mark tells it from another in their names."""
    pending = list(SIDE_BY_SIDE)
    out = []
    for name, scenario in [(k, beside(k, pending)) for k in SIDE_BY_SIDE] + [
            ("leftovers", leftovers), ("registers", registers), ("crashes", crashes), ("floods", measured("floods")), ("trees", measured("trees")),
            ("afterwards", afterwards)]:
        def named(h, args, scenario=scenario):
            return scenario(h, args)
        named.__name__ = name + mark
        named.__module__ = __name__
        out.append(named)
    return out


ALL = group()
ONE_CPU = group("-1cpu")
