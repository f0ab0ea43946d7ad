# SPDX-License-Identifier: MIT
"""Scenarios of guests' disks: files, images, attaching and detaching, refusals, killed daemons."""
import re
import time

import guests
import networks
from daemons import answers, kill
from system import Skip, demand

DIR = "/tmp/disks"
SUM = re.compile(r"\b[0-9a-f]{64}\b")


def image(h, name, mb, fill="/dev/urandom"):
    """Makes a file in the control domain; returns its path and the sum of what it holds."""
    path = "%s/%s" % (DIR, name)
    h.must("mkdir -p %s; dd if=%s of=%s bs=1M count=%d 2>/dev/null" % (DIR, fill, path, mb), 120)
    return path, total(h.must("sha256sum <" + path, 60))


def total(text):
    found = SUM.search(text)
    demand(found, "no sum in %r" % text)
    return found.group(0)


def loops(h):
    return h.sh("ls -d /sys/block/loop*/loop 2>/dev/null | wc -l").strip()


def exports(h):
    return h.sh("ls /run/joist/nbd 2>/dev/null | wc -l; pidof qemu-nbd | wc -w").split()


def baseline(h):
    # the directories above all disks and above the kernel's complaints stay when they are empty
    h.must("xenstore-write /local/domain/0/backend/vbd '' /local/domain/0/error/backend/vbd ''")
    out = guests.baseline(h)
    out["loops"] = loops(h)
    out["exports"] = exports(h)
    out["backends"] = h.sh("ls /sys/bus/xen-backend/devices | wc -l").strip()
    return out


def same(before, after):
    demand(before == after, "left behind: %r" % {k: (before[k], after[k]) for k in before if before[k] != after[k]})


def leaves_nothing(h, act, but=()):
    """Does it, and again as long as something more is held afterwards, three times in all. What is allocated once stays (a
    busy disk keeps grants mapped up to a limit): it grows no more at the next turn. A leak grows at each. but: what is not
    looked at."""
    def held():
        return {k: v for k, v in baseline(h).items() if k not in but}
    after = held()
    for _ in range(3):
        before = after
        act()
        after = held()
        if before == after:
            return
    same(before, after)


def files(h, args):
    """A guest with a disk, a read-only disk and a CD: written data arrive, read-only stays so, nothing is left."""
    one, _ = image(h, "one.img", 24)
    two, two_sum = image(h, "two.img", 8)
    three, three_sum = image(h, "three.img", 4)
    use_disks(h, args, one, two, three, two_sum, three_sum)      # what the host allocates once, it then has
    leaves_nothing(h, lambda: use_disks(h, args, one, two, three, two_sum, three_sum))


def use_disks(h, args, one, two, three, two_sum, three_sum):
    h.create("b1", 'disk=["%s,raw,xvda,rw", "format=raw, vdev=xvdb, access=ro, target=%s", "file:%s,xvdc:cdrom,r"]'
             % (one, two, three))
    out = h.on_console(
        "b1", "cat /sys/block/xvda/size /sys/block/xvdb/ro /sys/block/xvdc/ro", "sha256sum </dev/xvdb",
        "sha256sum </dev/xvdc",
        "dd if=/dev/urandom of=/tmp/p bs=1M count=6 2>/dev/null; sha256sum </tmp/p",
        "dd if=/tmp/p of=/dev/xvda bs=64k seek=32 conv=fsync 2>&1 | grep -c copied; echo 3 >/proc/sys/vm/drop_caches",
        "dd if=/dev/xvda bs=64k skip=32 count=96 2>/dev/null | sha256sum",
        "dd if=/tmp/p of=/dev/xvdb bs=64k count=1 conv=fsync 2>&1 || echo REFUSED")
    demand(out[0].split()[:3] == [str(24 << 11), "1", "1"], "size and read-only flags: %r" % out[0])
    demand(total(out[1]) == two_sum and total(out[2]) == three_sum, "other data than the host wrote")
    demand(total(out[3]) == total(out[5]), "what was written is not read back: %r" % out[3:6])
    demand("REFUSED" in out[6], "a read-only disk was written: %r" % out[6])
    listed = h.must_tool("block-list b1")
    demand(len(re.findall(r"(?m)^\d+\s+0\s+\d+\s+4\s", listed)) == 3, "block-list shows %r" % listed)
    demand("xvdb" in h.must_tool("block-list -l b1"), "block-list -l lacks xvdb")
    if args.long:
        restarted(h, listed, total(out[3]))
    h.must_tool("destroy b1")
    h.gone("b1")
    got = total(h.must("dd if=%s bs=64k skip=32 count=96 2>/dev/null | sha256sum" % one))
    demand(got == total(out[3]), "the file does not hold what the guest wrote and synced")
    demand(total(h.must("sha256sum <" + two)) == two_sum, "the read-only file was changed")


def restarted(h, listed, want):
    """The restarted guest has its disks again."""
    h.must_tool("reboot b1")
    for _ in range(60):
        rc, text = h.tool("block-list b1")
        if rc == 0 and len(re.findall(r"(?m)^\d+\s+0\s+\d+\s+4\s", text)) == 3 and text != listed:
            break
        h.cmd("sleep 0.5")
    again = h.on_console("b1", "dd if=/dev/xvda bs=64k skip=32 count=96 2>/dev/null | sha256sum")
    demand(total(again[0]) == want, "the restarted guest reads other data")


REFUSED = [
    # what, the disk entry, what the message must say
    ("missing image", "/nowhere.img,raw,xvda,rw", r"/nowhere\.img: cannot be opened .*No such file"),
    ("a directory", "/tmp,raw,xvda,r", r"/tmp: it is neither a file nor a block device"),
    ("an empty file", "{d}/empty,raw,xvda,rw", r"empty: it is empty: 0 bytes"),
    ("unknown key", "format=raw,vdev=xvda,tragte=x", r"unknown key .tragte. of a disk"),
    ("unknown format", "/x,rwa,xvda,rw", r"unknown format .rwa."),
    ("no such device", "/x,raw,xvd,rw", r"xvd. is no virtual device"),
    ("in use by a guest", "{d}/held.img,raw,xvda,rw", r"held\.img: it is in use by the guest holder .*xvda, for writing"),
    ("in use, for reading", "{d}/held.img,raw,xvda,r", r"held\.img: it is in use by the guest holder"),
    ("mounted in dom0", "/dev/loop99,raw,xvda,rw", r"/dev/loop99: it is in use in the control domain: mounted on /mnt"),
    ("file of dom0", "{d}/fs.img,raw,xvda,r", r"fs\.img: it is in use in the control domain by /dev/loop99"),
    ("twice in one guest", '{d}/empty,raw,xvda,rw", "{d}/empty,raw,xvdb,rw', r"is the guest's xvda too"),
    ("twice by two names", '{d}/two,raw,xvda,rw", "{d}/../disks/two,raw,xvdb,rw', r"two: it is in use by the same guest as xvda"),
    ("number taken", '{d}/empty,raw,xvda,rw", "{d}/held.img,raw,xvda,r', r"already has a disk"),
    ("no image of that format", "{d}/noise.img,qcow2,xvda,rw", r"qemu-nbd"),
]


def refused(h, args):
    """Disks that cannot be: an error that says why, and nothing of the guest left."""
    if args.tools != "joist":
        raise Skip("messages of ours")
    held, _ = image(h, "held.img", 2)
    image(h, "noise.img", 2)
    h.must("touch %s/empty; truncate -s 1M %s/two" % (DIR, DIR))
    h.must("dd if=/dev/zero of=%s/fs.img bs=1M count=8 2>/dev/null; mknod /dev/loop99 b 7 99 2>/dev/null; "
           "losetup /dev/loop99 %s/fs.img && mke2fs -F /dev/loop99 >/dev/null && modprobe ext4 && "
           "mount -t ext2 /dev/loop99 /mnt" % (DIR, DIR), 60)
    h.must_tool("create -p /etc/joist/guest.cfg 'name=\"holder\"' 'disk=[\"%s,raw,xvda,rw\"]'" % held)
    before = baseline(h)
    for what, entry, want in REFUSED:
        rc, out = h.tool("create /etc/joist/guest.cfg 'name=\"bad\"' 'disk=[\"%s\"]'" % entry.replace("{d}", DIR))
        demand(rc != 0, "%s: was accepted" % what)
        demand(re.search(want, out), "%s: the message is %r" % (what, out.strip()[-300:]))
        demand("bad" not in h.domains(), "%s: a guest was left" % what)
    said = bad_bases(h, args.long) if h.cmd("[ -x /usr/bin/qemu-nbd ]")[0] == 0 else ""
    rc, out = h.tool("block-attach holder %s,raw,xvdb,r" % held)
    demand(rc != 0 and "xvda" in out, "attached the same file again: %r" % out)
    rc, out = h.tool("block-detach holder xvdz")
    demand(rc != 0 and re.search(r"no disk .xvdz., but xvda|no disk .xvdz., but 51712", out), "unknown device: %r" % out)
    h.must_tool("create -p /etc/joist/guest.cfg 'name=\"shared\"' 'disk=[\"%s,raw,xvda,w!\"]'" % held)
    h.must_tool("destroy shared")
    h.gone("shared")
    same(before, baseline(h))
    h.must_tool("destroy holder")
    h.gone("holder")
    h.must("umount /mnt; losetup -d /dev/loop99")
    return "%d refusals%s" % (len(REFUSED) + 2, said)


def bad_bases(h, is_long):
    """Images based on what cannot be: a name that would steer a terminal; a pipe, which qemu-nbd opens without end."""
    make = "cd %s; qemu-img create -q -f qcow2 -u -F raw -b %s %s.qcow2 1M"
    h.must(make % (DIR, "\"$(printf '/none/\\033[2Jx')\"", "esc"))
    h.must("mkfifo %s/pipe" % DIR)
    h.must(make % (DIR, DIR + "/pipe", "pipe"))
    rc, out = h.tool("create /etc/joist/guest.cfg 'name=\"bad\"' 'disk=[\"%s/esc.qcow2,qcow2,xvda,rw\"]'" % DIR)
    demand(rc != 0 and "/none/?[2Jx" in out and "\x1b" not in out, "a base with an escape: %d %r" % (rc, out))
    if not is_long:
        return ""
    t = time.monotonic()
    rc, out = h.tool("create /etc/joist/guest.cfg 'name=\"bad\"' 'disk=[\"%s/pipe.qcow2,qcow2,xvda,rw\"]'" % DIR)
    demand(rc != 0 and "pipe.qcow2: qemu-nbd has not opened it in 20 s" in out, "a pipe as a base: %d %r" % (rc, out))
    demand("bad" not in h.domains(), "a guest was left")
    return "; a base that is a pipe: after %.0f s" % (time.monotonic() - t)


def plugging(h, args):
    """Attach and detach, over and over, while the guest writes to another disk; then a disk that grows."""
    count = 100 if args.long else 5
    busy, _ = image(h, "busy.img", 8, "/dev/zero")
    path, want = image(h, "plug.img", 4)
    h.create("b2", 'disk=["%s,raw,xvda,rw"]' % busy)
    h.on_console("b2", "(while :; do dd if=/dev/zero of=/dev/xvda bs=64k conv=fsync 2>/dev/null; done) & sleep 1")
    plug(h, path, 1)                                # what is allocated once, is now
    took = []
    leaves_nothing(h, lambda: took.append(plug(h, path, count)))
    h.must_tool("block-attach b2 %s,raw,xvdb,rw" % path)
    h.must("dd if=/dev/zero of=%s bs=1M seek=4 count=4 2>/dev/null; joist block-resize b2 xvdb" % path)
    out = h.on_console("b2", "dd if=/dev/xvdb bs=1M count=4 2>/dev/null | sha256sum", "cat /sys/block/xvdb/size")
    demand(total(out[0]) == want, "the attached disk reads other data")
    demand(str(8 << 11) in out[1].split(), "the guest does not see the new size: %r" % out[1])
    h.must_tool("pause b2")                         # a guest that does not answer
    rc, said = h.tool("block-detach b2 xvdb", 60)
    demand(rc != 0 and "b2: disk 51728: the guest did not close it in 10 s: its front end is Connected" in said,
           "detached without the guest: %r" % said)
    demand("xvdb" in h.must_tool("block-list -l b2"), "no longer listed")
    h.must_tool("block-detach --force b2 xvdb")
    h.must_tool("unpause b2")
    demand("xvdb" not in h.must_tool("block-list -l b2"), "still listed after --force")
    if args.long:
        closed_late(h, path)
    h.must_tool("destroy b2")
    h.gone("b2")
    return "%d cycles, %.2f s each" % (count * len(took), min(took))


def closed_late(h, path):
    """A guest that lets go only after the detach has given up: the next detach needs no --force."""
    h.must_tool("block-attach b2 %s,raw,xvdb,r" % path)
    h.must_tool("pause b2")
    rc, said = h.tool("block-detach b2 xvdb", 60)
    demand(rc != 0 and "the guest did not close it in 10 s" in said, "detached without the guest: %r" % said)
    h.must_tool("unpause b2")
    h.cmd("sleep 2")
    h.must_tool("block-detach b2 xvdb")
    demand("xvdb" not in h.must_tool("block-list -l b2"), "still listed")


def plug(h, path, count):
    """So many times; the seconds that one took."""
    t = time.monotonic()
    script = "for i in $(seq %d); do joist block-attach b2 %s,raw,xvdb,r && joist block-detach b2 xvdb || echo BAD $i; done"
    out = h.must(script % (count, path), 60 + 20 * count)
    demand("BAD" not in out, "attach or detach failed: %r" % out)
    return (time.monotonic() - t) / count


def images(h, args):
    """A qcow2 overlay: the guest reads the base, writes the overlay, the base stays; exports end with the guest."""
    if h.cmd("[ -x /usr/bin/qemu-nbd ]")[0] != 0:
        raise Skip("qemu-nbd is not installed on this machine")
    base, want = image(h, "base.img", 8)
    wrote = []
    leaves_nothing(h, lambda: wrote.append(use_overlay(h, want)))
    demand(total(h.must("sha256sum <" + base)) == want, "the base was changed")
    if not args.long:
        return
    h.create("b4", 'disk=["%s/over.qcow2,qcow2,xvda,r"]' % DIR)
    again = h.on_console("b4", "dd if=/dev/xvda bs=1M skip=1 count=2 2>/dev/null | sha256sum")
    demand(total(again[0]) == wrote[-1], "the overlay lost what was written")
    h.must_tool("destroy b4")
    h.gone("b4")


def use_overlay(h, want):
    """A guest reads the base through a new overlay and writes to it; the sum of what it wrote."""
    h.must("cd %s; rm -f over.qcow2; joist image snapshot base.img over.qcow2" % DIR)
    h.create("b3", 'disk=["%s/over.qcow2,qcow2,xvda,rw"]' % DIR)
    out = h.on_console("b3", "sha256sum </dev/xvda", "dd if=/dev/urandom of=/tmp/p bs=1M count=2 2>/dev/null",
                       "dd if=/tmp/p of=/dev/xvda bs=1M seek=1 conv=fsync 2>/dev/null; sha256sum </tmp/p")
    demand(total(out[0]) == want, "the overlay does not show its base")
    ids = h.sh("grep -hE '^(Uid|CapEff|Seccomp|NoNewPrivs):' /proc/$(pidof qemu-nbd | cut -d' ' -f1)/status").split()
    demand(ids[1] != "0" and "0000000000200002" in ids, "qemu-nbd runs with %r" % ids)
    rc, said = h.tool("create /etc/joist/guest.cfg 'name=\"twice\"' 'disk=[\"%s/over.qcow2,qcow2,xvda,rw\"]'" % DIR)
    demand(rc != 0 and "in use by the guest b3" in said, "an image in use was given twice: %r" % said)
    h.must_tool("destroy b3")
    h.gone("b3")
    return total(out[2])


def killed(h, args):
    """joistd killed in the middle of attaching, detaching, creating, destroying: nothing leaks, guests go on."""
    if args.tools != "joist":
        raise Skip("stock daemons cannot be restarted")
    busy, _ = image(h, "busy.img", 4, "/dev/zero")
    path, want = image(h, "plug.img", 4)
    h.create("b5", 'disk=["%s,raw,xvda,rw"]' % busy)   # what is allocated once, is now
    h.on_console("b5", "dd if=/dev/zero of=/dev/xvda bs=64k count=4 conv=fsync")
    h.must_tool("destroy b5")
    h.gone("b5")
    before = baseline(h)
    h.create("b5", 'disk=["%s,raw,xvda,rw"]' % busy)
    h.on_console("b5", "true")
    steady = loops(h)
    for i in range(8 if args.long else 3):
        h.cmd("(joist block-attach b5 %s,raw,xvdb,r >/dev/null 2>&1 &) ; usleep %d; kill -9 $(pidof joistd)"
              % (path, 20000 + 40000 * i))
        answers(h)
        settled(h, "b5", steady)
    demand(loops(h) == steady, "loop devices %s, before %s" % (loops(h), steady))
    out = h.on_console("b5", "dd if=/dev/zero of=/dev/xvda bs=64k count=4 conv=fsync 2>&1 && echo WRITTEN")
    demand("WRITTEN" in out[0], "the guest's first disk does not work any more: %r, %r"
           % (out[0], h.tool("block-list -l b5")[1]))
    for i in range(3 if args.long else 1):
        h.cmd("(joist create /etc/joist/guest.cfg 'name=\"b6\"' 'disk=[\"%s,raw,xvda,r\"]' >/dev/null 2>&1 &) ; "
              "usleep %d; kill -9 $(pidof joistd)" % (path, 200000 + 150000 * i))
        answers(h)
        h.tool("destroy b6")
        h.gone("b6")
    h.cmd("(joist destroy b5 >/dev/null 2>&1 &) ; usleep 30000; kill -9 $(pidof joistd)")
    answers(h)
    h.tool("destroy b5")
    h.gone("b5")
    after = baseline(h)
    for d in ("joistd",):                           # a new process: its descriptors are its own
        before.pop(d, None)
        after.pop(d, None)
    same(before, after)
    demand(total(h.must("sha256sum <" + path)) == want, "a file given read-only was changed")


def reboots(h, args):
    """A guest with a disk and an interface reboots over and over, writing and sending each time: loop devices, grants, ports,
    nodes, descriptors, interfaces and memory are as before."""
    count = 50 if args.long else 2
    networks.bridge_up(h)
    path, _ = image(h, "turns.img", 8)
    reboot_guest(h, path, 0)                        # what is allocated once, is now
    h.must("xenstore-write /local/domain/0/backend/vif '' /local/domain/0/error/backend/vif ''")
    before = dict(baseline(h), interfaces=sorted(h.sh("ls /sys/class/net").split()))
    free = guests.free_pages(h)
    t = time.monotonic()
    reboot_guest(h, path, count)
    each = (time.monotonic() - t) / (count + 1)
    after = dict(baseline(h), interfaces=sorted(h.sh("ls /sys/class/net").split()))
    same(before, after)
    return "%d reboots, %.1f s each; %s; the tables of grants and ports keep %d pages more" % (
        count, each, dict(after["held"]).get("0", ""), free - guests.free_pages(h))


def reboot_guest(h, path, count):
    """Starts a guest, lets it work, reboots it `count` times, destroys it."""
    h.create("r1", 'disk=["%s,raw,xvda,rw"]' % path, 'vif=["bridge=xenbr0,mac=00:16:3e:00:00:91,ip=10.0.0.91"]')
    for turn in range(count + 1):
        mark = "turn%04d" % turn
        out = h.on_console("r1", "ip addr add 10.0.0.91/24 dev eth0; ip link set eth0 up; ping -c 1 -W 5 %s" % networks.HOST,
                           "echo %s >/tmp/m; dd if=/tmp/m of=/dev/xvda bs=512 seek=%d conv=sync,fsync 2>&1" % (mark, turn),
                           "(while :; do dd if=/dev/zero of=/dev/xvda bs=64k seek=16 conv=fsync 2>/dev/null; done) & "
                           "(ping -q -i 0.05 %s >/dev/null 2>&1) & true" % networks.HOST)
        demand("1 packets received" in out[0], "turn %d: no answer to the guest's ping: %r" % (turn, out[0]))
        demand(mark in h.sh("dd if=%s bs=512 skip=%d count=1 2>/dev/null" % (path, turn)), "turn %d: %r" % (turn, out[1]))
        if turn < count:
            dom = h.domains()["r1"][0]
            h.must_tool("reboot r1")
            for _ in range(120):
                if h.domains().get("r1", (dom,))[0] != dom:
                    break
                h.cmd("usleep 250000")
            demand(h.domains().get("r1", (dom,))[0] != dom, "turn %d: no new domain after reboot" % turn)
    h.must_tool("destroy r1")
    h.gone("r1")


# Writes a number into block after block, reads each back, counts; a wrong answer or an error ends it with a word.
WORKER = ("n=0; while [ ! -e /tmp/stop ]; do n=$((n + 1)); printf %08d $n >/tmp/w.DISK; "
          "dd if=/tmp/w.DISK of=/dev/DISK bs=512 seek=$((n % 1000)) count=1 conv=sync,fsync 2>/dev/null || { echo ERROR >/tmp/DISK; break; }; "
          "echo 3 >/proc/sys/vm/drop_caches; [ \"$(dd if=/dev/DISK bs=512 skip=$((n % 1000)) count=1 2>/dev/null | head -c 8)\" = "
          "$(cat /tmp/w.DISK) ] || { echo WRONG >/tmp/DISK; break; }; echo $n >/tmp/DISK; done")


def progress(h, name, disks):
    """Waits until the work on each disk has gone on; what each says."""
    def said():
        return h.on_console(name, "cat " + " ".join("/tmp/" + d for d in disks))[0].split()
    first = said()
    for _ in range(20):
        now = said()
        if len(first) != len(disks):
            first = now                             # looked at while it was being written
        if len(now) == len(disks) and all(b.isdigit() and int(b) > int(a) + 1 for a, b in zip(first, now)):
            return now
        demand("WRONG" not in now and "ERROR" not in now, "the work on %r says %r" % (disks, now))
        h.cmd("sleep 0.5")
    demand(False, "no progress: %r, then %r" % (first, now))
    return []


def under_io(h, args):
    """While a guest writes and reads back on a file and on a qcow2 image: each daemon killed, a disk detached, qemu-nbd killed."""
    if args.tools != "joist":
        raise Skip("stock daemons cannot be restarted")
    has_nbd = h.cmd("[ -x /usr/bin/qemu-nbd ]")[0] == 0
    one, _ = image(h, "io.img", 4, "/dev/zero")
    two, _ = image(h, "io2.img", 4, "/dev/zero")
    said = []
    # new processes: their descriptors are their own
    leaves_nothing(h, lambda: said.append(io_and_kills(h, args, one, two, has_nbd)), but=guests.DAEMONS)
    return "killed: joistd, joist-stored, joist-consoled%s; detached under I/O: %s" % (
        ", qemu-nbd" if has_nbd else "", said[-1])


def io_and_kills(h, args, one, two, has_nbd):
    """One guest, from its start to its end; how the disk went."""
    h.must("cd %s; rm -f io.qcow2; joist image snapshot io2.img io.qcow2" % DIR) if has_nbd else None
    second = "%s/io.qcow2,qcow2" % DIR if has_nbd else two + ",raw"
    h.create("b7", 'disk=["%s,raw,xvda,rw", "%s,xvdb,rw"]' % (one, second))
    h.on_console("b7", *["echo '%s' >/tmp/%s.sh; sh /tmp/%s.sh >/dev/null 2>&1 & true" % (WORKER.replace("DISK", d), d, d)
                         for d in ("xvda", "xvdb")])
    progress(h, "b7", ("xvda", "xvdb"))
    h.must("xenstore-write /test/answer yes")
    for daemon in ("joistd", "joist-stored", "joist-consoled"):
        kill(h, daemon)
        answers(h)
        if daemon == "joistd" and not args.long:
            continue                                # looked at together with the next
        progress(h, "b7", ("xvda", "xvdb"))
    rc, out = h.tool("block-detach b7 xvdb", 60)    # in use: the guest's kernel closes it when its users have
    demand(rc == 0 or "the guest did not close it in 10 s" in out, "detach under I/O: %d %s" % (rc, out))
    if rc != 0:
        h.must_tool("block-detach --force b7 xvdb")
    demand("xvdb" not in h.must_tool("block-list -l b7"), "xvdb is still listed")
    progress(h, "b7", ("xvda",))
    if has_nbd:
        h.must_tool("block-attach b7 %s,xvdc,rw" % second)
        h.on_console("b7", "(while dd if=/dev/zero of=/dev/xvdc bs=64k conv=fsync 2>/dev/null; do :; done) & true")
        h.must("kill -9 $(pidof qemu-nbd)")         # the guest gets errors, nobody hangs
        h.must_tool("block-list -l b7")
        progress(h, "b7", ("xvda",))
        h.tool("block-detach b7 xvdc", 60)
        h.must_tool("block-detach --force b7 xvdc") if "xvdc" in h.must_tool("block-list -l b7") else None
    h.must_tool("destroy b7")
    h.gone("b7")
    h.must("xenstore-rm /test")
    return "at once" if rc == 0 else "by force"


def bad_front(h, args):
    """A front end that writes garbage into its nodes and its rings: the tools answer, print nothing of it that a terminal would
    obey, take its devices away; another guest's disk goes on; nothing is left."""
    networks.bridge_up(h)
    one, _ = image(h, "bad.img", 4)
    two, two_sum = image(h, "good.img", 4)
    h.must("xenstore-write /local/domain/0/backend/vif '' /local/domain/0/error/backend/vif ''")
    behave_badly(h, one, "store", 2, 60)            # what is allocated once, is now
    before = dict(baseline(h), interfaces=sorted(h.sh("ls /sys/class/net").split()))
    h.create("good", 'disk=["%s,raw,xvda,rw"]' % two)
    h.on_console("good", "true")
    said = []
    for seed in range(1, 40 if args.long else 2):
        said.append(behave_badly(h, one, "store", seed, 600))
        said.append(behave_badly(h, one, "ring", seed, 3))
    out = h.on_console("good", "echo 3 >/proc/sys/vm/drop_caches; sha256sum </dev/xvda")
    demand(total(out[0]) == two_sum, "the other guest's disk: %r" % out)
    h.must_tool("destroy good")
    h.gone("good")
    same(before, dict(baseline(h), interfaces=sorted(h.sh("ls /sys/class/net").split())))
    connected = sum(int(re.search(r"(\d+) connected", x).group(1)) for x in said)
    demand(connected > 0, "no ring was ever connected: %r" % said)
    return "%d guests, %d rings with garbage" % (len(said), connected)


def behave_badly(h, path, what, seed, count):
    """One guest that does, from its start to its end; what it says."""
    h.create("bad", 'disk=["%s,raw,xvda,rw"]' % path, 'vif=["bridge=xenbr0,mac=00:16:3e:00:00:92"]', 'on_crash="preserve"')
    out = h.on_console("bad", "cd /sys/bus/xen/drivers; echo vbd-51712 >vbd/unbind; echo vif-0 >vif/unbind; cd /; "
                       "modprobe -a xen-gntalloc xen-evtchn; ls /dev/xen",
                       "badfront %s %d %d" % (what, seed, count), timeout=120)
    demand("BADFRONT %s" % what in out[1], "the bad guest says %r" % out)
    for line in ("block-list bad", "block-list -l bad", "block-list --json bad", "network-list bad", "network-list --json bad",
                 "list", "list -l bad"):
        shown = h.must_tool(line)
        demand(not re.search(r"[^\n\t -~]", shown), "`%s` prints control characters: %r" % (line, shown))
    if seed % 2:
        for line in ("network-detach --force bad 0", "block-detach --force bad xvda"):
            rc, shown = h.tool(line)
            demand(rc == 0, "`%s`: %d %r" % (line, rc, shown))
    h.must_tool("destroy bad")
    h.gone("bad")
    return out[1]


def settled(h, name, steady):
    """After a restart: either the disk is there and listed, and can be taken away, or nothing is."""
    for _ in range(40):
        rc, out = h.tool("block-list -l " + name)
        if rc == 0 and "xvdb" not in out and loops(h) == steady:
            return
        if rc == 0 and "xvdb" in out:
            h.tool("block-detach %s xvdb" % name)
        h.cmd("sleep 0.3")
    demand(False, "not settled: %r, %s loop devices, before %s" % (out, loops(h), steady))
