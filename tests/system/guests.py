# SPDX-License-Identifier: MIT
"""Scenarios of guests: life, many cycles, bad behaviour, bad configurations."""
import re
import time

from system import demand

DAEMONS = ("joist-stored", "joist-consoled", "joistd", "xenstored", "xenconsoled")


def info(h, _args):
    """The host's own words: version, memory, CPUs, list, uptime."""
    out = h.must_tool("info")
    for word in ("xen_version", "4.17", "xen-3.0-x86_64", "credit2", "total_memory", "free_memory"):
        demand(word in out, "`info` lacks %s" % word)
    demand("Domain-0" in h.domains(), "Domain-0 is not listed")
    h.must_tool("uptime")
    h.must_tool("dmesg")
    return "%d MB free" % h.free_mb()


def vcpus(h, _args):
    """Guests with 1, 2 and 4 vCPUs come up with all of them and shut down."""
    for n in (1, 2, 4):
        name = "v%d" % n
        h.create(name, "vcpus=%d" % n)
        out = h.on_console(name, "grep -c ^processor /proc/cpuinfo", "uname -a", "dmesg | grep 'kernel on Xen'")
        demand(re.search(r"(?m)^%d$" % n, out[0]), "%s has not %d vCPUs: %r" % (name, n, out[0]))
        demand("Linux guest" in out[1], "uname says %r" % out[1])
        demand("kernel on Xen" in out[2], "the guest's log says %r" % out[2])
        demand(h.domains()[name][2] == n, "`list` shows other vCPUs")
        h.must_tool("vcpu-list " + name)
        h.must_tool("shutdown -w " + name)
        h.gone(name)


def pause(h, _args):
    """A paused guest does nothing until it is unpaused; a reboot brings it back."""
    h.create("p1")
    h.on_console("p1", "true")
    h.must_tool("pause p1")
    demand("p" in h.domains()["p1"][3], "not shown as paused: %s" % h.domains()["p1"][3])
    h.must_tool("unpause p1")
    h.on_console("p1", "true")
    before = h.domains()["p1"][0]
    h.must_tool("reboot p1")
    for _ in range(60):
        if h.domains().get("p1", (before,))[0] != before:
            break
        h.cmd("sleep 0.5")
    demand(h.domains().get("p1", (before,))[0] != before, "no new domain after reboot")
    h.on_console("p1", "true")
    h.must_tool("destroy p1")
    h.gone("p1")


def free_pages(h):
    return int(re.search(r'"free_pages":(\d+)', h.must_tool("info --json")).group(1))


def baseline(h):
    """Everything that must come back: memory to the page, event channels and grants of every domain, store nodes by name,
    descriptors of the daemons by what they are open on. The hypervisor's tables of ports and of mapped grants keep the frames
    for the most there ever were: what they keep is told apart (the most depends on how much happens at once), and the rest
    must come back exactly; a leak of ports or grants shows in their numbers."""
    h.cmd("sleep 1")
    h.must("xl debug-keys g")
    said = h.must_tool("dmesg").rpartition("'g' pressed")[2] if h.is_joist else ""
    held = re.findall(r"domain (\d+): (\d+ event channels, \d+ grants mapped, \d+ of its own in use)", said)
    tables = re.findall(r"tables: (\d+) frames of ports, (\d+) of handles", said)
    demand(len(tables) == len(held), "the tables' frames are not told: %r" % said)
    out = {"held": held, "domains": sorted(h.domains()),
           "store": h.sh("xenstore-ls -f / | sed 's/ = .*//' | grep -v '^/local/domain/0/data'").split()}
    if h.tools == "joist":
        out["pages"] = free_pages(h) + sum(int(ports) + int(handles) for ports, handles in tables)
    else:
        out["free"] = h.free_mb()
    for d in DAEMONS:
        pid = h.sh("pidof " + d).split()
        if pid:
            # sockets and event channels have changing numbers: what kind each is, not which
            out[d] = sorted(re.sub(r"[\d]+", "N", x) for x in h.sh("for f in /proc/%s/fd/*; do readlink $f; done" % pid[0]).split())
    return out


def difference(before, after):
    """What of two baselines differs, in words; "" if nothing."""
    out = []
    for what in sorted(set(before) | set(after)):
        b, a = before.get(what), after.get(what)
        if b != a and isinstance(b, list) and isinstance(a, list):
            b, a = [x for x in b if b.count(x) > a.count(x)], [x for x in a if a.count(x) > b.count(x)]
        if b != a:
            out.append("%s: %r became %r" % (what, b, a))
    return "; ".join(out)


def cycles(h, args):
    """create, run, destroy, over and over: nothing is left behind."""
    count = 50 if args.long else 5
    one_cycle(h, "c0", linux=True)                  # what is allocated once, is now
    one_cycle(h, "c1", linux=False)
    before = baseline(h)
    t = time.monotonic()
    for i in range(count):
        one_cycle(h, "c%d" % (i + 2), linux=i % 2 == 0)
    after = baseline(h)
    demand(not difference(before, after), difference(before, after))
    return "%d cycles, %.1f s each; %s; %d nodes" % (count, (time.monotonic() - t) / count,
                                                    dict(after["held"]).get("0", ""), len(after["store"]))


def one_cycle(h, name, linux):
    if linux:
        h.create(name)
        h.on_console(name, "true")
        h.must_tool("destroy " + name)
    else:
        h.create(name, 'kernel="/guest/hello.elf"', 'ramdisk=""', "memory=16", 'cmdline="guest=hello"')
    h.gone(name)


def has_crashed(domains, name):
    """Gone, or shown as crashed while its end is being dealt with."""
    return name not in domains or "c" in domains[name][3]


PULSES, PULSE = 20, 0.05
WAIT = 0.05             # seconds that a wake-up may take longer, on average, with others wanting every CPU
PULSE_LINE = ("a=$(cut -d' ' -f1 /proc/uptime); for i in $(seq %d); do usleep %d; done; echo PULSE $a $(cut -d' ' -f1 /proc/uptime)"
              % (PULSES, PULSE * 1e6))


def lateness(text):
    """Seconds on the domain's own clock that each pulse (a sleep, the start of a program) took beyond its sleep."""
    m = re.search(r"PULSE ([\d.]+) ([\d.]+)", text)
    demand(m, "no pulse: %r" % text[-200:])
    return (float(m.group(2)) - float(m.group(1))) / PULSES - PULSE


def pulses(h, name):
    """(of the control domain, of a guest)"""
    return lateness(h.sh(PULSE_LINE)), lateness(h.on_console(name, PULSE_LINE)[0])


def misbehaving(h, _args):
    """A guest that crashes, one that spins, one that floods its console: others do not notice."""
    h.create("good")
    h.on_console("good", "true")
    calm = pulses(h, "good")
    h.create("spin", "vcpus=2", 'cmdline="console=hvc0 quiet guest.run=/bin/spin"')
    h.create("flood", 'cmdline="console=hvc0 quiet guest.run=/bin/flood"')
    h.create("crash", 'cmdline="console=hvc0 quiet guest.run=/bin/crash"', 'on_crash="destroy"')
    end = time.monotonic() + 90
    while not has_crashed(h.domains(), "crash") and time.monotonic() < end:
        h.cmd("sleep 1")
    worst = 0
    for _ in range(5):
        t = time.monotonic()
        h.must_tool("list")
        worst = max(worst, time.monotonic() - t)
    demand(worst < 5, "`list` took %.1f s" % worst)
    busy = pulses(h, "good")
    said = ", ".join("%s %.0f ms (idle %.0f)" % (who, b * 1000, c * 1000)
                     for who, b, c in zip(("control domain", "second guest"), busy, calm))
    demand(all(b < 2 * c + WAIT for b, c in zip(busy, calm)), "sleeping and starting a program late by " + said)
    state = h.domains()
    demand(has_crashed(state, "crash"), "the crashed guest is %r" % (state.get("crash"),))
    demand("spin" in state and "flood" in state, "a guest is missing: %r" % state)
    for name in [n for n in state if n != "Domain-0"]:
        h.must_tool("destroy " + name)
        h.gone(name)
    return "list <= %.1f s; late by: %s" % (worst, said)


BAD = [
    # what, lines that replace the example's, what the message must say
    ("syntax error", "memory = = 3\n", r"(?i)line|:\d+"),
    ("unknown kernel file", 'kernel = "/nowhere"\n', r"/nowhere"),
    ("no PV kernel", 'kernel = "/bin/busybox"\n', r"(?i)kernel|note|elf|image"),
    ("not a kernel at all", 'kernel = "/etc/passwd"\n', r"(?i)kernel|format|magic|image|passwd"),
    ("too much memory", "memory = 900000\n", r"(?i)memory"),
    ("memory of nothing", "memory = 0\n", r"(?i)memory"),
]


def bad_configs(h, args):
    """Configurations that cannot work: an error that says why, and nothing left."""
    before = baseline(h)
    for what, lines, want in BAD:
        h.sh("cp /etc/joist/guest.cfg /tmp/bad.cfg; printf '%s' >>/tmp/bad.cfg" % lines.replace("\n", "\\n"))
        rc, out = h.tool("create /tmp/bad.cfg")
        demand(rc != 0, "%s: accepted" % what)
        demand(re.search(want, out), "%s: the message is %r" % (what, out.strip()[-300:]))
        demand("guest" not in h.domains(), "%s: a domain is left" % what)
    h.create("twice")
    rc, out = h.tool("create /etc/joist/guest.cfg 'name=\"twice\"'")
    demand(rc != 0 and "twice" in out, "duplicate name: %d %r" % (rc, out))
    h.must_tool("destroy twice")
    h.gone("twice")
    if args.tools == "joist":
        rc, out = h.tool("create /etc/joist/guest.cfg nonsense_key=3")
        demand(rc != 0 and "nonsense_key" in out, "unknown key: %d %r" % (rc, out))
    after = baseline(h)
    demand(not difference(before, after), difference(before, after))
    return "%d refused" % (len(BAD) + 2)
