# SPDX-License-Identifier: MIT
"""Scenarios of a second, unprivileged guest that serves disks and interfaces to others (`joistd --backend`)."""
import os
import re
import time

import guests
from blocks import DIR, image, total
from system import CFG, IMAGE, demand, harness

SHARE = os.path.join(harness.BUILD, "run", "backends")
DISK = "backend=drv,vdev=xvda,access=rw,target=/dev/xvda"
VIF = "backend=drv,bridge=xenbr0,ip=10.7.0.2,mac=00:16:3e:00:07:02"
MAC = "00:16:3e:00:07:02"
os.makedirs(SHARE, exist_ok=True)


def machine_args():
    """The guest's ramdisk lies where the control domain finds it."""
    place = os.path.join(SHARE, "driver.ird")
    if os.path.exists(place):
        os.unlink(place)
    harness.link_or_copy(os.path.join(IMAGE, "driver.ird"), place)
    return []


def driver_up(h):
    """The serving guest: a disk of the control domain, a bridge of its own, no network to the control domain."""
    if "drv" in h.domains():
        return h.domains()["drv"][0]
    path, _ = image(h, "store.img", 16)
    h.create("drv", 'ramdisk="/share/driver.ird"', "memory=256", 'disk=["%s,raw,xvda,rw"]' % path, cfg=CFG)
    out = h.on_console("drv", "brctl addbr xenbr0; ip addr add 10.7.0.1/24 dev xenbr0; ip link set xenbr0 up",
                       "dd if=/dev/urandom of=/tmp/f.img bs=1M count=4 2>/dev/null; sha256sum </tmp/f.img",
                       "for i in 1 2 3 4 5 6 7 8 9; do pidof joistd && break; sleep 1; done; ls /dev/xen")
    demand(re.search(r"(?m)^\d+\s*$", out[2]), "joistd --backend does not run: %r" % out)
    driver_up.sum = total(out[1])
    return h.domains()["drv"][0]


def inside(h):
    """What the serving guest has of others: loop devices, exports, notes, packet rules, interfaces, back ends."""
    drv = h.domains()["drv"][0]
    out = h.on_console("drv", "ls -d /sys/block/loop*/loop 2>/dev/null; ls /run/joist/nbd 2>/dev/null; pidof qemu-nbd",
                       "ls /sys/class/net", "netprobe tables", "ls /sys/bus/xen-backend/devices")
    out.append(h.sh("xenstore-ls -f /local/domain/%d/data/joist 2>/dev/null | grep -E '/(vbd|vif)/[0-9]' " % drv))
    out.append(h.sh("xenstore-ls -f /local/domain/%d/backend 2>/dev/null | grep -E '/(vbd|vif)/[0-9]+/[0-9]' " % drv))
    return [sorted(x for x in o.split() if x.strip()) for o in out]


def empty(h, before, what):
    for _ in range(10):
        after = inside(h)
        if after == before:
            return
        h.cmd("sleep 0.5")
    demand(False, "%s: the serving guest had %r, has %r" % (what, before, after))


def front_up(h, *more):
    h.create("fr", 'disk=["%s"]' % DISK, 'vif=["%s"]' % VIF, *more)


def served(h, _args):
    """A guest whose disk and interface come from another guest: data, addresses, lists, rights, and nothing left."""
    drv = driver_up(h)
    before = inside(h)
    front_up(h)
    out = h.on_console(
        "fr", "dd if=/dev/urandom of=/tmp/p bs=1M count=4 2>/dev/null; sha256sum </tmp/p",
        "dd if=/tmp/p of=/dev/xvda bs=1M seek=2 conv=fsync 2>&1; echo 3 >/proc/sys/vm/drop_caches",
        "dd if=/dev/xvda bs=1M skip=2 count=4 2>/dev/null | sha256sum",
        "ip addr add 10.7.0.2/24 dev eth0; ip link set eth0 up; ping -c 3 -i 0.2 -W 5 10.7.0.1",
        "ip addr add 10.7.0.3/24 dev eth0; ping -c 2 -W 2 -I 10.7.0.3 10.7.0.1")
    demand(total(out[0]) == total(out[2]), "the disk reads other data than was written: %r" % out[:3])
    demand("3 packets received" in out[3], "no network: %r" % out[3])
    demand(re.search(r" 0 packets received", out[4]), "a false address gets through: %r" % out[4])
    got = total(h.must("dd if=%s/store.img bs=1M skip=2 count=4 2>/dev/null | sha256sum" % DIR))
    demand(got == total(out[0]), "the control domain's file does not hold what the guest wrote")
    fr = h.domains()["fr"][0]
    for verb, kind in (("block-list", "vbd"), ("network-list", "vif")):
        listed = h.must_tool(verb + " fr")
        demand("/local/domain/%d/backend/%s/%d/" % (drv, kind, fr) in listed, "%s: %r" % (verb, listed))
        path = "/local/domain/%d/backend/%s/%d" % (drv, kind, fr)
        rights = h.sh("xenstore-ls -p -f %s | head -n 3" % path)
        demand("n%d,r%d" % (drv, fr) in rights.replace(" ", ""), "rights of %s: %r" % (path, rights))
    demand(inside(h) != before, "the serving guest has nothing of the other")
    plug(h, 4)
    h.must_tool("reboot fr")
    for _ in range(80):
        if h.domains().get("fr", (fr,))[0] != fr:
            break
        h.cmd("usleep 250000")
    out = h.on_console("fr", "dd if=/dev/xvda bs=1M skip=2 count=4 2>/dev/null | sha256sum")
    demand(total(out[0]) == got, "after a restart the disk reads other data: %r" % out)
    h.must_tool("destroy fr")
    h.gone("fr")
    empty(h, before, "after destroy")


def plug(h, count):
    """A file there, and a second interface, attached and detached; the last time looked at."""
    h.must("for i in $(seq %d); do joist block-attach fr backend=drv,vdev=xvdb,access=r,target=/tmp/f.img && "
           "joist network-attach fr backend=drv bridge=xenbr0 vifname=second && joist block-detach fr xvdb && "
           "joist network-detach fr second || { echo BAD $i; false; }; done" % (count - 1), 60 * count)
    h.must_tool("block-attach fr backend=drv,vdev=xvdb,access=r,target=/tmp/f.img")
    out = h.on_console("fr", "sha256sum </dev/xvdb; cat /sys/block/xvdb/ro")
    demand(total(out[0]) == driver_up.sum and re.search(r"(?m)^1\s*$", out[0]), "the file reads otherwise: %r" % out)
    rc, said = h.tool("block-resize fr xvdb")
    demand(rc == 1 and "disk 51728 comes from the domain drv" in said, "resize: %r" % said)
    h.must_tool("block-detach fr xvdb")


REFUSED = [
    # verb, words, what the message must say
    ("block-attach", "backend=nosuch,vdev=xvdb,target=/tmp/f.img", r"backend=nosuch: there is no such domain"),
    ("block-attach", "backend=fr,vdev=xvdb,target=/tmp/f.img", r"backend=fr: that is the guest itself"),
    ("block-attach", "backend=drv,vdev=xvdb,target=f.img", r"the target must begin with /"),
    ("block-attach", "backend=drv,vdev=xvdb,target=/none", r"domain {drv} \(drv\) refuses it: .*/none: cannot be opened .*No such file"),
    ("block-attach", "backend=drv,vdev=xvdb,target=/dev/../dev/xvda", r"refuses it: .*xvda: it is in use by the guest fr .*as xvda"),
    ("block-attach", "backend=drv,vdev=xvdb,format=qcow2,target=/tmp/f.img", r"refuses it: .*qemu-nbd"),
    ("network-attach", "backend=drv bridge=nobr", r"domain {drv} \(drv\) refuses it: .*there is no bridge nobr"),
    ("network-attach", "backend=drv script=/none", r"refuses it: .*/none: the script cannot be run"),
    ("network-attach", "backend=drv bridge=xenbr0 mac=" + MAC, r"is that of the guest's interface 0"),
]


def refused(h, _args):
    """What the other guest cannot give: its reason is told here, and nothing is left, here and there."""
    drv = driver_up(h)
    front_up(h)
    h.on_console("fr", "true")
    base = guests.baseline(h)["store"]
    before = inside(h)
    for verb, words, want in REFUSED:
        rc, out = h.tool("%s fr %s" % (verb, words))
        demand(rc == 1 and re.search(want.replace("{drv}", str(drv)), out), "%s %s: code %d, %s" % (verb, words, rc, out))
    rc, out = h.tool("create %s name=bad 'disk=[\"backend=drv,vdev=xvda,target=/none\"]'" % CFG)
    demand(rc == 1 and "/none: cannot be opened" in out and "bad" not in h.domains(), "create: %d %s" % (rc, out))
    for words in ("vfb=[\"vnc=1,backend=drv\"]", "channel=[\"name=a,connection=pty,backend=drv\"]"):
        rc, out = h.tool("create %s name=bad '%s'" % (CFG, words))
        demand(rc == 1 and "control domain" in out, "%s: %d %s" % (words, rc, out))
    h.on_console("drv", "kill -STOP $(pidof joistd)")
    t = time.monotonic()
    rc, out = h.tool("block-attach fr backend=drv,vdev=xvdb,access=r,target=/tmp/f.img")
    demand(rc == 1 and re.search(r"disk 51728: waited 10 s for joistd --backend in domain %d \(drv\)" % drv, out),
           "time-out: %d %s" % (rc, out))
    took = time.monotonic() - t
    h.on_console("drv", "kill -CONT $(pidof joistd)")
    empty(h, before, "after refusals")
    left = sorted(set(guests.baseline(h)["store"]) - set(base))
    demand(not [x for x in left if "/error" not in x], "nodes left: %r" % left)
    h.must_tool("destroy fr")
    h.gone("fr")
    return "%d refusals; a daemon that does not answer: %.0f s" % (len(REFUSED) + 3, took)


def killed(h, args):
    """kill -9 of the daemon there, with devices attached and while they come and go: served on, nothing leaks."""
    drv = driver_up(h)
    before = inside(h)
    front_up(h)
    h.on_console("fr", "(while :; do dd if=/dev/zero of=/dev/xvda bs=64k count=64 seek=128 conv=fsync 2>/dev/null; done) & true")
    with_front = inside(h)
    # as if killed between the last note of a guest and its directory
    h.must("xenstore-write /local/domain/%d/data/joist/999/device/vbd ''" % drv)
    for i in range(12 if args.long else 2):
        h.on_console("drv", "((sleep 4; usleep %d; kill -9 $(pidof joistd)) >/dev/null 2>&1 &)" % (i * 40000))
        h.cmd("sleep 1; for i in $(seq 6); do joist block-attach fr backend=drv,vdev=xvdb,access=r,target=/tmp/f.img; "
              "joist block-detach fr xvdb || joist block-detach --force fr xvdb; done >/dev/null 2>&1", 200)
        h.tool("block-detach --force fr xvdb")
        out = h.on_console("drv", "pidof joistd")
        demand(re.search(r"\d", out[0]), "the daemon there was not started again")
    empty(h, with_front, "after kill -9")
    demand("999" not in h.sh("xenstore-ls /local/domain/%d/data/joist" % drv), "an empty directory of notes stays")
    out = h.on_console("fr", "dd if=/dev/xvda of=/dev/null bs=64k count=16 2>&1 && echo READ; "
                       "ip addr add 10.7.0.2/24 dev eth0; ip link set eth0 up; ping -c 2 -W 5 10.7.0.1")
    demand("READ" in out[0] and "2 packets received" in out[0], "no longer served: %r" % out)
    h.on_console("drv", "kill -9 $(pidof joistd)")
    h.must_tool("destroy fr")
    h.gone("fr")
    empty(h, before, "after destroy")


def ended(h, _args):
    """The serving guest ends while another uses it: that one can be listed, unplugged, destroyed, without waiting."""
    drv = driver_up(h)
    front_up(h)
    h.on_console("fr", "(while :; do dd if=/dev/xvda of=/dev/null bs=64k 2>/dev/null; done) & true")
    h.must_tool("pause drv")                        # answers nothing, but is there
    t = time.monotonic()
    h.must_tool("destroy fr", 60)
    h.gone("fr")
    paused = time.monotonic() - t
    demand(paused < 40, "destroying took %.0f s with a paused server" % paused)
    h.must_tool("unpause drv")
    front_up(h)
    h.on_console("fr", "(while :; do dd if=/dev/xvda of=/dev/null bs=64k 2>/dev/null; done) & true")
    h.must_tool("destroy drv")
    h.gone("drv")
    h.must_tool("block-list -l fr")
    t = time.monotonic()
    h.must_tool("network-detach fr 0")
    out = h.on_console("fr", "echo alive $((6 * 7))")
    demand("alive 42" in out[0], "the guest says %r" % out)
    h.must_tool("destroy fr")
    h.gone("fr")
    took = time.monotonic() - t
    demand(took < 30, "detach and destroy took %.0f s" % took)
    nodes = h.sh("xenstore-ls -f / | grep -E '/(backend|device)/(vbd|vif)/|domain/%d/'" % drv).strip()
    demand(not nodes, "nodes left: " + nodes)
    rc, said = h.tool("create %s name=fr 'disk=[\"%s\"]'" % (CFG, DISK))
    demand(rc == 1 and "backend=drv: there is no such domain" in said, "create without the server: %r" % said)
    return "paused server: destroyed after %.1f s; gone server: detached and destroyed after %.1f s" % (paused, took)


ALL = [served, refused, killed, ended]
