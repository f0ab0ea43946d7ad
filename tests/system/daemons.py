# SPDX-License-Identifier: MIT
"""Scenarios of killed daemons: the supervisor starts them again and nothing is lost."""
import difflib
import re
import time

from system import Skip, demand

DAEMONS = ("joist-stored", "joist-consoled", "joistd")


def pid_of(h, name):
    out = h.sh("pidof " + name).split()
    return out[0] if out else ""


def kill(h, name):
    """kill -9, then waits for the new process; seconds that took."""
    old = pid_of(h, name)
    demand(old, "%s does not run" % name)
    t = time.monotonic()
    h.must("kill -9 " + old)
    for _ in range(50):
        new = pid_of(h, name)
        if new and new != old:
            return time.monotonic() - t
        h.cmd("sleep 0.1")
    demand(False, "%s was not started again" % name)
    return 0


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
    worst = 0
    for i in range(3):
        for name in DAEMONS:
            h.must("xenstore-write /test/%s kept%d" % (name, i))
            before = h.sh("xenstore-ls /local/domain/%d | grep -v tty" % dom)
            worst = max(worst, kill(h, name))
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
    return "restart within %.1f s" % worst


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
    h.must(ring + "xenstore-write /test/a one")
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
