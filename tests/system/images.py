# SPDX-License-Identifier: MIT
"""Scenarios of images: one command in a guest, a Debian guest from its own disk, an installed control domain."""
import os
import re
import shutil
import subprocess
import time

import system
import repack_kernel
from system import demand, harness, image

HERE = os.path.dirname(os.path.abspath(__file__))
PLACE = os.path.join(harness.BUILD, "installed")
JOIST = os.path.join(harness.BUILD, "tools", "joist")
SHARE = os.path.join(harness.BUILD, "share-images")
PASSWORD = "only-a-test"

os.makedirs(SHARE, exist_ok=True)


def host_run(*argv, timeout=1200):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=timeout)
    text = done.stdout.decode(errors="replace")
    demand(done.returncode == 0, "%s ended with %d: %s" % (" ".join(argv)[:200], done.returncode, text.strip()[-600:]))
    return text


def need_mmdebstrap():
    if not shutil.which("mmdebstrap"):
        raise system.Skip("mmdebstrap is not installed here")


def build_image(path, *options):
    """`joist image build debian`, on this machine, without a hypervisor."""
    os.makedirs(PLACE, exist_ok=True)
    if not os.path.exists(path):
        host_run(JOIST, "image", "build", "debian", "--quiet", "--root-password=" + PASSWORD, *options, path)
    return path


def library_packages():
    """The packages that hold the libraries of our programs."""
    out, todo = set(), [p for p, _ in image.our_tools()]
    for name in {n for p in todo for n in image.needed(p) if ".so" in n and not n.startswith("/")}:
        path = os.path.realpath(image.find_library(name, ())[0])
        for place in (path, path.replace("/usr/", "/", 1)):     # merged /usr: dpkg knows one of the names
            owner = subprocess.run(["dpkg", "-S", place], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   check=False).stdout.decode()
            if owner:
                out.add(owner.split(":")[0])
    return sorted(out)


def guest_image():
    return build_image(os.path.join(PLACE, "guest.img"), "--size=1500M", "--label=guest-root", "--hostname=debian1")


def dom0_image():
    """The Debian image with `make install` in it, and its ESP."""
    overlay, path = os.path.join(PLACE, "overlay"), os.path.join(PLACE, "dom0.img")
    os.makedirs(overlay, exist_ok=True)
    host_run("make", "-C", system.ROOT, "install", "DESTDIR=" + overlay)
    host_run("systemctl", "--root=" + overlay, "enable", "joist-stored", "joist-consoled", "joistd", "joist-guests",
             "proc-xen.mount")
    guest = ('name = "debian1"\nfirmware = "pvgrub64"\nmemory = 512\nvcpus = 1\n'
             'disk = ["phy:/dev/vdc,xvda,w"]\n')
    with open(os.path.join(overlay, "etc/joist/debian1.cfg"), "w") as f:
        f.write(guest)
    build_image(path, "--size=2G", "--label=dom0-root", "--hostname=dom0", "--overlay=" + overlay,
                "--packages=linux-image-amd64,grub-xen-host," + ",".join(library_packages()))
    return path, dom0_esp(path)


def dom0_esp(path):
    """An EFI system partition with the loader, and the kernel that lies in the image."""
    files = [(os.path.join(harness.BUILD, "joist.efi"), "BOOTX64.EFI"), (os.path.join(PLACE, "joist.cfg"), "BOOTX64.CFG")]
    with open(files[1][0], "w") as f:
        f.write("[global]\ndefault=joist\n\n[joist]\noptions=console=com1 com1=115200,8n1 dom0_mem=768M,max:768M\n"
                "kernel=vmlinuz root=LABEL=dom0-root ro console=hvc0 quiet\nramdisk=initrd\n")
    for link, name in (("/vmlinuz", "vmlinuz"), ("/initrd.img", "initrd")):
        out = os.path.join(PLACE, name)
        target = re.search(r'Fast link dest: "([^"]+)"', host_run("debugfs", "-R", "stat " + link, path))
        demand(target, "%s is no link in the image" % link)
        host_run("debugfs", "-R", "dump /%s %s" % (target.group(1).lstrip("/"), out), path)
        files.append((out, name))
    esp = os.path.join(PLACE, "esp.img")
    size = sum(os.path.getsize(p) for p, _ in files) + (16 << 20)
    size += -size % (1 << 20)
    with open(esp, "wb") as f:
        f.truncate(size)
    host_run("mformat", "-i", esp, "-F", "-h", "64", "-s", "32", "-T", str(size // 512), "-v", "JOIST", "::")
    host_run("mmd", "-i", esp, "::/EFI", "::/EFI/BOOT")
    for source, name in files:
        host_run("mcopy", "-i", esp, source, "::/EFI/BOOT/" + name)
    return esp


# ---- the short ones: on the busybox control domain ---------------------------------------------

def small_root(h):
    """A root file system with busybox alone, in the control domain's /tmp/r."""
    h.must("rm -rf /tmp/r; mkdir -p /tmp/r/bin /tmp/r/etc; cp /bin/busybox /tmp/r/bin; "
           "for a in sh echo cat ls true sleep head wc; do ln -s busybox /tmp/r/bin/$a; done")


def run_command(h, args):
    """`joist run` gives back what the command writes and its exit code, and leaves nothing."""
    small_root(h)
    before = h.sh("ls /tmp; losetup -a; joist list | cut -d' ' -f1")
    rows = [("/bin/sh -c 'exit 7'", 7, ""), ("/nosuch", 127, "No such file"), ("sh -c 'kill -9 $$'", 137, "")]
    if args.long:
        rows += [("true", 0, ""), ("/etc", 126, "denied"), ("sh -c 'echo to-out; echo to-err >&2; exit 3'", 3, "to-out\nto-err")]
    took = []
    for words, code, text in rows:
        t = time.monotonic()
        rc, out = h.cmd("joist run --rootfs /tmp/r -- " + words, 120)
        took.append(time.monotonic() - t)
        demand(rc == code, "%s gave %d, not %d: %r" % (words, rc, code, out[-400:]))
        demand(text in out, "%s wrote %r" % (words, out[-400:]))
    out = h.must("tar -C /tmp/r -czf /tmp/r.tgz . && joist run --rootfs /tmp/r.tgz --memory 128 -- sh -c "
                 "'cat; echo $(wc -c </bin/busybox)' </etc/passwd; rm /tmp/r.tgz", 120)
    demand("root:x:0:0" in out and h.sh("wc -c </bin/busybox").strip() in out, "the archive's guest wrote %r" % out)
    out = h.sh("joist run --rootfs /tmp/r -- head -c 300000 /dev/zero | wc -c", 120)
    demand("300000" in out, "of 300000 bytes arrived: %r" % out)
    after = h.sh("ls /tmp; losetup -a; joist list | cut -d' ' -f1")
    demand(before == after, "left behind: before %r, after %r" % (before, after))
    return "exit codes %s; %.1f s each" % (" ".join(str(r[1]) for r in rows), sorted(took)[len(took) // 2])


def run_ends(h, _args):
    """Ctrl-C destroys the guest; bad words are told before anything is made."""
    small_root(h)
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


# ---- the long one: an installed control domain -------------------------------------------------

def log_in(m, host, timeout):
    """From the login prompt to a quiet shell."""
    m.expect(host + r" login: ", timeout)
    m.send("root\n")
    m.expect("Password: ", 60)
    m.send(PASSWORD + "\n")
    m.expect(r"root@%s:~# " % host, 90)
    m.cmd("stty -echo; PS1=; export TERM=dumb SYSTEMD_PAGER=cat")


def on_guest(m, work):
    """Logs in on the guest's console, does the work there and leaves it; returns the seconds to the login."""
    t = time.monotonic()
    m.send("joist console debian1\n")
    log_in(m, "debian1", 400)
    t = time.monotonic() - t
    work(m)
    m.send("\x1d")
    m.drain(2)
    m.send("\n")
    demand("debian1" in m.sh("joist list"), "the guest is not listed")
    return t


def check_guest(m):
    state = m.sh("systemctl is-system-running --wait", 200).strip()
    demand(state == "running", "the guest is %s: %s" % (state, m.sh("systemctl --failed --no-legend --plain")))
    demand("/dev/xvda ext4" in re.sub(" +", " ", m.sh("findmnt -no SOURCE,FSTYPE /")), "the root is another one")
    verify = m.sh("dpkg --verify", 200).strip()
    demand(not verify, "dpkg --verify says %r" % verify)


def write_and_leave(m):
    m.must("seq 1 200000 >/root/kept && sync")
    m.must("(while :; do dd if=/dev/urandom of=/root/noise bs=1M count=20; done) >/dev/null 2>&1 & sleep 3")


def check_written(m):
    out = m.sh("cksum </root/kept; seq 1 200000 | cksum; (dmesg; cat /run/initramfs/fsck.log 2>/dev/null) | grep -cE 'recovery complete|recovering journal'").strip().split("\n")
    demand(out[0] == out[1], "the synced file is not what was written: %r" % out)
    demand(out[2].strip() not in ("", "0"), "the journal was not replayed: %r" % out)
    m.sh("systemctl is-system-running --wait", 200)


def installed_dom0(_host, _args):
    """The installed control domain under systemd starts a guest from its disk by PV GRUB, and again after a destroy by the
    reader of kernels; both shut down."""
    need_mmdebstrap()
    guest = guest_image()
    dom0, esp = dom0_image()
    extra = ["-drive", "file=%s,format=raw,if=none,id=d0,snapshot=on" % dom0, "-device", "virtio-blk-pci,drive=d0",
             "-drive", "file=%s,format=raw,if=none,id=d1,snapshot=on" % guest, "-device", "virtio-blk-pci,drive=d1"]
    times = []
    with harness.Machine("system-installed", esp=esp, smp=2, mem=2048, extra=extra) as m:
        t = time.monotonic()
        log_in(m, "dom0", 400)
        times.append(time.monotonic() - t)
        m.must("systemctl is-system-running --wait || systemctl --failed --no-legend", 200)
        failed = m.sh("systemctl --failed --no-legend --plain").strip()
        demand(not failed, "units failed: %s" % failed)
        for unit in ("joist-stored", "joist-consoled", "joistd", "joist-guests"):
            state = m.sh("systemctl is-active " + unit).strip()
            demand(state == "active", "%s is %s: %s" % (unit, state, m.sh("journalctl -u %s | tail -n 5" % unit)))
        m.must("mkdir -p /r/bin /r/lib64 /r/lib/x86_64-linux-gnu; cp /bin/dash /r/bin/sh; cp /lib64/ld-linux-x86-64.so.2 /r/lib64; "
               "cp /lib/x86_64-linux-gnu/libc.so.6 /r/lib/x86_64-linux-gnu")
        rc, out = m.cmd("joist run --rootfs /r -- sh -c 'echo said; exit 9'", 180)
        demand(rc == 9 and "said" in out, "with the control domain's kernel `joist run` gave %d: %r" % (rc, out))
        m.must("joist create /etc/joist/debian1.cfg", 120)
        times.append(on_guest(m, check_guest))
        m.must("joist shutdown -w debian1", 200)
        out = m.must("fsck.ext4 -fn /dev/vdc 2>&1", 120)
        demand("guest-root: " in out and "recovering" not in out, "after the shutdown fsck says %r" % out[-300:])
        # the same disk without GRUB; the guest is destroyed while it writes
        m.must("sed -e '/^firmware/d' /etc/joist/debian1.cfg >/root/extract.cfg; echo 'bootloader = \"joist-extract\"' >>/root/extract.cfg; "
               "echo 'cmdline = \"root=LABEL=guest-root ro console=hvc0\"' >>/root/extract.cfg")
        m.must("joist create /root/extract.cfg", 120)
        on_guest(m, write_and_leave)
        m.must("joist destroy debian1", 60)
        m.must("joist create /root/extract.cfg", 120)
        on_guest(m, check_written)
        t = time.monotonic()
        m.send("systemctl poweroff\n")
        m.wait_end(300)
        times.append(time.monotonic() - t)
    return "dom0 login %.0f s, guest login %.0f s, power off of both %.0f s" % tuple(times)
