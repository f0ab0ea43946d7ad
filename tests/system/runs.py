# SPDX-License-Identifier: MIT
"""Scenarios of `make run` itself (scripts/run): as a person at a terminal, as a script in several sizes, with a kernel that cannot be
control domain."""
import os
import pty
import re
import signal
import subprocess
import time

from system import ROOT, Skip, demand, harness

SHARED = ("cache", "tools", "guests", "bench", "joist.efi")


class Terminal(harness.Console):
    """scripts/run with a terminal or, if not is_person, with no input. Its images lie apart from those of the other scenarios."""

    def __init__(self, name, is_person, **env):
        build = os.path.join(harness.BUILD, "run", "demo")
        os.makedirs(build, exist_ok=True)
        for part in SHARED:
            link = os.path.join(build, part)
            if not os.path.islink(link) and os.path.exists(os.path.join(harness.BUILD, part)):
                os.symlink(os.path.join(harness.BUILD, part), link)
        os.makedirs(harness.LOGS, exist_ok=True)
        log = open(os.path.join(harness.LOGS, name + ".log"), "w", encoding="utf-8", errors="replace")
        master, slave = pty.openpty()
        self.p = subprocess.Popen([os.path.join(ROOT, "scripts", "run")], stdin=slave if is_person else subprocess.DEVNULL,
                                  stdout=slave, stderr=slave, env=dict(os.environ, JOIST_BUILD=build, **env),
                                  start_new_session=True)
        os.close(slave)
        super().__init__(master, master, log)

    def end(self, timeout):
        """Waits for its end; the exit status."""
        until = time.monotonic() + timeout
        while self.pump(0.5):
            demand(time.monotonic() < until, "scripts/run does not end: ...%s" % self.all[-500:])
        return self.p.wait(20)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.p.poll() is None:
            os.killpg(self.p.pid, signal.SIGTERM)   # QEMU dies with scripts/run
            self.p.wait()
        os.close(self.rfd)
        self.log.close()


def ours(args):
    if args.tools != "joist" or os.path.abspath(args.efi) != os.path.join(harness.BUILD, "joist.efi"):
        raise Skip("`make run` is that of the tree's own image")


def terminal(_h, args):
    """A person: the shell's prompt comes, with the guest running; a verb is typed; poweroff ends it."""
    ours(args)
    with Terminal("run-terminal", True) as t:
        t.expect(r"This is the control domain", 400)
        t.expect(r"dom0# ", 20)
        t.drain(1)
        t.send("joist list\n")
        m = t.expect(r"(?m)^Domain-0 +0 +\d+ .*\n(guest +1 +128 .*)\n", 30)
        t.expect(r"dom0# ", 20)
        t.send("poweroff\n")
        status = t.end(120)
        demand(status == 0, "scripts/run ended with %d" % status)
        demand("The machine has ended." in t.all, "no word at its end")
    return m.group(1)


def wrong_kernel(_h, args):
    """A cloud kernel as control domain: within half a minute of silence, a word that names the likely cause."""
    ours(args)
    with Terminal("run-wrong-kernel", False, DOM0_KERNEL="linux-image-cloud-amd64") as t:
        t.expect(r"\(JOIST\) ", 300)
        began = time.monotonic()
        status = t.end(120)
        took = time.monotonic() - began
        demand(status == 1, "scripts/run ended with %d" % status)
        m = re.search(r"run: FAILED: .*cloud.*", t.all)
        demand(m, "the cause is not named: ...%s" % t.all[-500:])
    demand(took < 45, "the word came after %.0f s" % took)
    return m.group(0)


def script(args, **env):
    ours(args)
    with Terminal("run-script", False, **env) as t:
        status = t.end(600)
        demand(status == 0 and "all is well" in t.all, "scripts/run ended with %d: ...%s" % (status, t.all[-700:]))
        return re.search(r"QEMU with [^\n]*", t.all).group(0).strip()


def sizes(_h, args):
    """As a script: the sizes of machine that issue 2 names."""
    if not args.long:
        raise Skip("in the long form only: four boots")
    return "; ".join(script(args, **env) for env in ({"CPUS": "1"}, {"CPUS": "4", "MEM": "6G"}, {"CPUS": "8"}, {"MEM": "16G"}))
