# SPDX-License-Identifier: MIT
"""Scenarios of killed daemons: the supervisor starts them again and nothing is lost."""
import difflib
import re

from system import Skip, demand

DAEMONS = ("joist-stored", "joist-consoled", "joistd")


def pid_of(h, name):
    out = h.sh("pidof " + name).split()
    return out[0] if out else ""


LIMIT = 1.0             # seconds from the kill of a daemon to its first answer (tests/system/restart.sh)
# On a busy host starting any program takes long. Between kill and answer the supervisor starts the daemon, which starts work of
# its own, and a question is asked: what a start and a question take, measured just before, is allowed three times on top.
STARTS = 3


def kill(h, name, guest="none"):
    """kill -9, then waits until the new process answers; (seconds that took, seconds of one
    start and one question). guest: whose console is asked."""
    demand(pid_of(h, name), "%s does not run" % name)
    rc, out = h.cmd("restart %s %s" % (name, guest))
    demand(rc == 0, "%s was not started again: %s %s" % (name, out, h.sh("tail -n 3 /var/log/joist/%s.log" % name)))
    m = re.search(r"RESTART (\d+) (\d+)", out)
    return int(m.group(1)) / 100, int(m.group(2)) / 100


def need_ours(args):
    if args.tools != "joist":
        raise Skip("stock daemons cannot be restarted")


def answers(h):
    """joist answers again within a few seconds."""
    for _ in range(20):
        rc, out = h.tool("list")
        if rc == 0:
            return out
        h.cmd("sleep 0.5")
    demand(False, "joist does not answer: %s" % out)
    return ""


def kill_each(h, args):
    """Each daemon killed three times while a guest runs: list, store, console, shutdown still work."""
    need_ours(args)
    h.create("d1")
    h.on_console("d1", "true")
    dom = h.domains()["d1"][0]
    h.must("xenstore-write /test/answer yes")
    took = {name: [] for name in DAEMONS}
    for i in range(3):
        for name in DAEMONS:
            h.must("xenstore-write /test/%s kept%d" % (name, i))
            before = h.sh("xenstore-ls /local/domain/%d | grep -v tty" % dom)
            took[name].append(kill(h, name, "d1"))
            answers(h)
            got = h.sh("xenstore-read /test/" + name).strip()
            demand(got == "kept%d" % i, "an acknowledged write is lost: %r" % got)
            after = h.sh("xenstore-ls /local/domain/%d | grep -v tty" % dom)
            change = [x for x in difflib.ndiff(before.splitlines(), after.splitlines()) if x[0] in "+-" and x[1:].strip()]
            demand(not change, "the guest's nodes changed after %s was killed: %r" % (name, change))
            demand("d1" in h.domains(), "d1 is no longer listed after %s" % name)
            out = h.on_console("d1", "echo alive $((6 * 7))")
            demand("alive 42" in out[0], "console after %s: %r" % (name, out[0]))
    h.must("xenstore-rm /test")
    h.must_tool("shutdown -w d1")                   # the watches of the guest's kernel work still
    h.gone("d1")
    h.create("d2")                                  # and dom0's, and all of the tools
    h.on_console("d2", "true")
    h.must_tool("destroy d2")
    h.gone("d2")
    slow = {name: t for name, t in took.items() if any(a - STARTS * b >= LIMIT for a, b in t)}
    demand(not slow, "seconds from kill to answer, and of a start and a question: %r" % slow)
    return "kill to answer (start and question): " + ", ".join("%s <= %.2f s (%.2f s)" % ((name,) + max(took[name])) for name in DAEMONS)


def console_survives(h, args):
    """An attached console is told that its daemon went, and goes on."""
    need_ours(args)
    h.create("d3")
    h.on_console("d3", "true")
    h.send("(sleep 5; kill -9 $(pidof joist-consoled)) & joist console d3\n")
    h.at_prompt("guest# ", 30)
    h.drain(9)
    h.send("\n")
    h.at_prompt("guest# ", 30)
    h.send("echo resumed $((20 + 3))\n")
    h.expect(r"resumed 23", 20)
    demand(re.search(r"d3: attached again", h.all[-3000:]), "the console said nothing of the restart")
    h.leave_console()
    h.must_tool("destroy d3")
    h.gone("d3")


def kernel_ring_survives(h, args):
    """Through the kernel's own ring: a watch outlives three kills, a request that nobody answered is answered."""
    need_ours(args)
    ring = "XENSTORED_PATH=/dev/xen/xenbus "
    h.must(ring + "xenstore-write /test/a one; xenstore-write /test/answer yes")
    h.must("sh -c '%s xenstore-watch -n 4 /test > /tmp/watched &'; sleep 1" % ring)
    for i in range(3):
        old = pid_of(h, "joist-stored")
        h.must("kill -STOP " + old)
        h.must("sh -c '%s xenstore-read /test/a > /tmp/answer 2>&1 &'; sleep 0.5" % ring)
        early = h.sh("cat /tmp/answer").strip()
        demand(early == "", "a stopped daemon answered: %r" % early)
        kill(h, "joist-stored")
        answers(h)
        for _ in range(20):
            got = h.sh("cat /tmp/answer").strip()
            if got:
                break
            h.cmd("sleep 0.5")
        demand(got == "one", "the request of before the kill got %r" % got)
        h.must(ring + "xenstore-write /test/n%d x" % i)
    h.cmd("sleep 1")
    events = h.sh("cat /tmp/watched").split()
    demand(events == ["/test", "/test/n0", "/test/n1", "/test/n2"], "the watch saw %r" % events)
    h.must("xenstore-rm /test; rm /tmp/watched /tmp/answer")
