# SPDX-License-Identifier: MIT
"""Scenarios of guest kernels in every wrapping that distributions use, whole and damaged, built by `create`."""
import os
import shutil

import boots
from system import IMAGE, demand, harness

SHARE = os.path.join(harness.BUILD, "run", "wrappings")
os.makedirs(SHARE, exist_ok=True)
FORMS = ("xz", "gzip", "zstd", "lz4", "elf")
DAMAGED = ("truncated-xz", "flipped-xz", "truncated-gzip", "flipped-gzip", "truncated-zstd", "flipped-zstd",
           "truncated-lz4", "flipped-lz4", "truncated-elf")


def share(form):
    """The generic kernel in that form, where the control domain finds it; as shipped: xz."""
    path = os.path.join(IMAGE, "vmlinuz-dom0") if form == "xz" else boots.variant(form)
    shutil.copy(path, os.path.join(SHARE, form))
    return "kernel=\"/share/%s\"" % form


def whole(h, _args):
    """All at once: each comes up, says so, and goes."""
    for form in FORMS:
        h.create("k-" + form, share(form), "memory=160", 'cmdline="console=hvc0 guest.run=/bin/true"')
    for form in FORMS:
        h.gone("k-" + form, 120)
        log = h.sh("cat /var/log/joist/console-k-%s.log" % form)
        demand("GUEST-READY" in log, "the %s kernel has not come up: ...%s" % (form, log[-300:]))
    return ", ".join(FORMS)


def damaged(h, _args):
    """Each is refused with a line that says what is wrong with it, and leaves nothing."""
    before = h.domains(), h.sh("xenstore-ls / | wc -l"), h.free_mb()
    for form in DAMAGED:
        rc, out = h.tool("create /etc/joist/guest.cfg name=bad '%s'" % share(form))
        demand(rc == 1 and "/share/" + form in out and ("truncated" in out or "corrupt" in out or "damaged" in out),
               "%s: ended with %d: %s" % (form, rc, out))
        os.remove(os.path.join(SHARE, form))
    after = h.domains(), h.sh("xenstore-ls / | wc -l"), h.free_mb()
    demand(before == after, "before %r, after %r" % (before, after))
    return "%d refused" % len(DAMAGED)
