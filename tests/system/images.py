# SPDX-License-Identifier: MIT
"""Scenarios of images on the busybox control domain: one command in a guest, kernels out of a guest's disk."""
import os
import re
import time

from system import demand, harness, image
import repack_kernel

SHARE = os.path.join(harness.BUILD, "share-images")

os.makedirs(SHARE, exist_ok=True)


def small_root(h):
    """A root file system with busybox alone, in the control domain's /tmp/r."""
    h.must("rm -rf /tmp/r; mkdir -p /tmp/r/bin /tmp/r/etc; cp /bin/busybox /tmp/r/bin; "
           "for a in sh echo cat ls true sleep head wc cksum; do ln -s busybox /tmp/r/bin/$a; done")


def run_command(h, args):
    """`joist run` gives back what the command writes and its exit code, and leaves nothing."""
    small_root(h)
    before = h.sh("ls /tmp; losetup -a; joist list | cut -d' ' -f1")
    rows = [("/bin/sh -c 'exit 7'", 7, ""), ("/nosuch", 127, "No such file"), ("sh -c 'kill -9 $$'", 137, "")]
    if args.long:
        rows += [("true", 0, ""), ("/etc", 126, "denied"),
                 ("--kernel /guest/vmlinuz --ramdisk /usr/lib/joist/run/ramdisk -- true", 0, ""),
                 ("sh -c 'echo to-out; echo to-err >&2; exit 3'", 3, "to-out\nto-err")]
    took = []
    for words, code, text in rows:
        t = time.monotonic()
        rc, out = h.cmd("TERM=linux joist run --rootfs /tmp/r %s%s" % ("" if " -- " in words else "-- ", words), 120)
        took.append(time.monotonic() - t)
        demand(rc == code, "%s gave %d, not %d: %r" % (words, rc, code, out[-400:]))
        demand(text in out, "%s wrote %r" % (words, out[-400:]))
        demand("making the root disk" in out, "there was no bar on the terminal: %r" % out[-400:])
    out = h.must("tar -C /tmp/r -czf /tmp/r.tgz . && printf 'root:x:0\\nno end' | joist run --rootfs /tmp/r.tgz --memory 128 -- sh -c "
                 "'cat; echo =; wc -c </bin/busybox' 2>/dev/null; rm /tmp/r.tgz", 120)
    demand(out.strip() == "root:x:0\nno end=\n" + h.sh("wc -c </bin/busybox").strip(), "the archive's guest wrote %r" % out)
    # bytes of any value, there and back; more than all buffers on the way hold, while nobody reads
    out = h.sh("head -c 20000 /bin/busybox >/tmp/data; joist run --rootfs /tmp/r -- cat </tmp/data 2>/tmp/err | cmp - /tmp/data && "
               "wc -c </tmp/err; rm /tmp/data /tmp/err", 120)
    demand(out.strip() == "0", "what went there did not come back: %r" % out)
    out = h.sh("joist run --rootfs /tmp/r -- head -c 300000 /bin/busybox 2>/dev/null | (sleep 20; cat >/tmp/got); "
               "head -c 300000 /bin/busybox | cmp - /tmp/got && wc -c </tmp/got; rm /tmp/got", 180)
    demand(out.strip() == "300000", "what a slow reader got: %r" % out)
    after = h.sh("ls /tmp; losetup -a; joist list | cut -d' ' -f1")
    demand(before == after, "left behind: before %r, after %r" % (before, after))
    return "exit codes %s; %.1f s each" % (" ".join(str(r[1]) for r in rows), sorted(took)[len(took) // 2])


def run_killed(h):
    """A `joist run` that is killed leaves neither its guest nor its files, whatever it was doing."""
    before = h.sh("ls /tmp /var/tmp; losetup -a")
    h.must("cp -r /tmp/r /tmp/rr; head -c 8000000 /dev/urandom >/tmp/rr/f")     # so that the making takes a while
    for when in ("ls -d /*tmp/joist-image-*/disk.img /var/tmp/joist-image-*/disk.img 2>/dev/null | grep -q disk",
                 "joist list killed >/dev/null 2>&1", "grep -q I-RUN /tmp/out"):
        h.sh("rm -f /tmp/out; (joist run --rootfs /tmp/rr --name killed -- sh -c 'echo I-RUN; sleep 1000' >/tmp/out 2>/dev/null </dev/null & "
             "echo $! >/tmp/pid)")
        h.must("n=0; until %s; do n=$((n+1)); [ $n -lt 600 ] || break; sleep 0.1; done; [ $n -lt 600 ]" % when, 120)
        h.must("kill -9 $(cat /tmp/pid)")
        h.must("n=0; while joist list killed >/dev/null 2>&1 || ls -d /tmp/joist-image-* /var/tmp/joist-image-* 2>/dev/null | grep -q .; "
               "do n=$((n+1)); [ $n -lt 900 ] || break; sleep 0.1; done; [ $n -lt 900 ]", 120)
    # joistd killed: the command runs on, its end is seen, nothing stays
    out = h.sh("rm -f /tmp/out; ((joist run --rootfs /tmp/r --name killed -- sh -c 'echo I-RUN; sleep 4; exit 5' >/tmp/out </dev/null; "
               "echo rc=$?) & n=0; until grep -q I-RUN /tmp/out; do n=$((n+1)); [ $n -lt 900 ] || break; sleep 0.1; done; "
               "kill -9 $(pidof joistd); wait); joist list killed", 180)
    demand("rc=5" in out and "no such domain" in out, "with joistd killed in the middle: %r" % out[-400:])
    h.sh("rm -rf /tmp/rr /tmp/out /tmp/pid")
    after = h.sh("ls /tmp /var/tmp; losetup -a")
    demand(before == after, "left behind: before %r, after %r" % (before, after))


def run_ends(h, args):
    """Ctrl-C destroys the guest; bad words are told before anything is made; killed: nothing stays (long form)."""
    small_root(h)
    if args.long:
        run_killed(h)
    h.send("joist run --rootfs /tmp/r --name ends -- sh -c 'echo I-RUN; sleep 1000'\n")
    h.expect("I-RUN\n", 90)
    h.send("\x03")
    h.drain(2)
    rc, out = h.cmd("echo rc=$?; joist list ends", 60)
    demand(rc == 1 and "rc=130" in out and "no such domain" in out, "after Ctrl-C: %r" % out)
    h.must("mkdir -p /tmp/big; dd if=/dev/urandom of=/tmp/big/f bs=1M count=24 2>/dev/null")
    for words, code, text in (("", 2, "give --rootfs"), ("--rootfs /nosuch", 125, "/nosuch: is no directory"),
                              ("--rootfs /tmp/r --kernel /etc/passwd", 125, "no bzImage"),
                              ("--rootfs /tmp/r --size 1M", 2, "size"), ("--rootfs /dev/null", 125, "/dev/null"),
                              ("--rootfs /tmp/big --size 16M", 125, "24 MiB in 2 files do not fit into 16 MiB; give a larger"),
                              ("--rootfs /tmp/r --memory none", 125, "memory")):
        rc, out = h.cmd("joist run %s -- true" % words, 60)
        demand(rc == code and re.search(text, out), "`joist run %s` gave %d: %r" % (words, rc, out[-300:]))
    h.must("rm -r /tmp/big")
    demand(len(h.domains()) == 1, "a guest is left: %r" % h.domains())
    demand("joist-image" not in h.sh("ls /tmp /var/tmp"), "temporary files are left")


def boot_disk(h):
    """A disk with kernel, ramdisk and a GRUB menu, /tmp/boot.img.  GRUB 2.06 does not unpack lz4: gzip will do."""
    with open(os.path.join(image.IMAGE, "vmlinuz-guest"), "rb") as f:
        kernel = repack_kernel.repack(f.read(), "gzip")
    with open(os.path.join(SHARE, "vmlinuz"), "wb") as f:
        f.write(kernel)
    h.must("rm -rf /tmp/b; mkdir -p /tmp/b/boot/grub && cp /share/vmlinuz /tmp/b/boot/vmlinuz-1 && "
           "cp /guest/initrd /tmp/b/boot/initrd-1 && ln -sf boot/vmlinuz-1 /tmp/b/vmlinuz && "
           "ln -sf boot/initrd-1 /tmp/b/initrd.img")
    h.must("printf '%s\\n' 'set timeout=0' 'search --no-floppy --set=root --label boot-disk' "
           "'menuentry one {' 'linux /vmlinuz console=hvc0 from=grub' 'initrd /initrd.img' '}' >/tmp/b/boot/grub/grub.cfg")
    h.must("rm -f /tmp/boot.img; /usr/sbin/mke2fs -q -t ext4 -L boot-disk -O ^metadata_csum_seed,^orphan_file -d /tmp/b /tmp/boot.img "
           "64M && rm -rf /tmp/b", 60)


def start_from_disk(h, name, *settings):
    words = " ".join("'%s'" % s for s in settings)
    h.must_tool("create 'name=\"%s\"' memory=192 'disk=[\"file:/tmp/boot.img,xvda,w\"]' %s" % (name, words), 120)
    out = h.on_console(name, "cat /proc/cmdline", "ls -d /sys/block/xvda", timeout=120)
    h.must_tool("shutdown -w " + name, 120)
    h.gone(name)
    demand("/sys/block/xvda" in out[1], "the guest has no disk: %r" % out[1])
    return out[0]


def extracted(h, _args):
    """bootloader=: kernel and ramdisk of the guest's own disk; a disk of another kind is refused by name."""
    boot_disk(h)
    out = start_from_disk(h, "ext", 'bootloader="joist-extract"', 'cmdline="console=hvc0 from=extract"')
    demand("from=extract" in out, "the guest was started with %r" % out)
    h.must("dd if=/dev/zero of=/tmp/xfs.img bs=1M count=1 2>/dev/null; printf XFSB | dd of=/tmp/xfs.img conv=notrunc 2>/dev/null")
    for image_name, more, text in (("xfs.img", "", "it holds XFS at byte 0, and only ext2, ext3 and ext4 are read"),
                                   ("boot.img", "'bootloader_args=\"--kernel=/none\"'", "there is no /none in it")):
        rc, out = h.tool("create 'name=\"bad\"' 'bootloader=\"pygrub\"' %s 'disk=[\"file:/tmp/%s,xvda,w\"]'"
                         % (more, image_name))
        demand(rc == 1 and text in out, "`create` gave %d: %r" % (rc, out))
    demand(len(h.domains()) == 1 and not h.sh("losetup -a").strip(), "something is left of the refused guests")


def pv_grub(h, _args):
    """firmware="pvgrub64": GRUB's PV image shows the disk's own menu and boots its entry."""
    boot_disk(h)
    out = start_from_disk(h, "grub", 'firmware="pvgrub64"')
    demand("from=grub" in out, "the guest was started with %r" % out)
    h.must("rm /tmp/boot.img")
