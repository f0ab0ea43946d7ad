# SPDX-License-Identifier: MIT
"""Scenarios of Debian images: built by a user, a guest that boots from its own disk, its new kernel, an installed control domain."""
import os
import re
import shutil
import stat
import subprocess
import time

import system
from system import demand, harness, image

PLACE = os.path.join(harness.BUILD, "installed")
JOIST = os.path.join(harness.BUILD, "tools", "joist")
PASSWORD = "only-a-test"
KERNEL_NAME = r"linux-image-(\d[\d.]*-\d+-amd64)"
FILE_BYTES = 150000
os.environ["PATH"] += ":/usr/sbin:/sbin"


def host_run(*argv, timeout=1800, **more):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=timeout, **more)
    text = done.stdout.decode(errors="replace")
    demand(done.returncode == 0, "%s ended with %d: %s" % (" ".join(argv)[:200], done.returncode, text.strip()[-600:]))
    return text


def need_mmdebstrap():
    if not shutil.which("mmdebstrap"):
        raise system.Skip("mmdebstrap is not installed: run scripts/setup test")


# ---- images, made once in build/installed ------------------------------------------------------

def build_image(path, *options):
    """`joist image build debian`, on this machine, without a hypervisor."""
    need_mmdebstrap()
    os.makedirs(PLACE, exist_ok=True)
    if not os.path.exists(path):
        host_run(JOIST, "image", "build", "debian", "--quiet", "--root-password=" + PASSWORD, *options, path)
    return path


# Kernels of the archive that no guest can be judged by: 6.1.192-1's ext4 follows a null pointer (Debian's bug 1154101).
BROKEN = ("6.1.0-55-amd64",)


def kernel_versions():
    """The versions of the newest two sound kernels of the archive, the older first."""
    out = host_run("apt-cache", "search", "--names-only", "^linux-image-[0-9.]+-[0-9]+-amd64$")
    found = sorted(set(re.findall(KERNEL_NAME + " ", out)), key=lambda v: [int(n) for n in re.findall(r"\d+", v)])
    found = [v for v in found if v not in BROKEN]
    if len(found) < 2:
        raise system.Skip("the archive has %d kernels, an upgrade needs two" % len(found))
    return found[-2:]


def guest_image():
    """A guest's disk, with the kernel before the newest."""
    kernel = kernel_versions()[0]
    return build_image(os.path.join(PLACE, "guest-%s.img" % kernel), "--size=2G", "--label=guest-root", "--hostname=debian1",
                       "--packages=linux-image-" + kernel)


def package_disk():
    """A disk that holds the package of the newest kernel, as it is in the archive."""
    name = "linux-image-" + kernel_versions()[1]
    path = os.path.join(PLACE, name + ".img")
    if not os.path.exists(path):
        tree = os.path.join(PLACE, "package")
        shutil.rmtree(tree, ignore_errors=True)
        os.makedirs(tree)
        host_run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name, cwd=tree)
        host_run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d", tree, path + ".new", "128M")
        shutil.rmtree(tree)
        os.rename(path + ".new", path)
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


def dom0_image():
    """The Debian image with `make install` in it, and its ESP; made again when a program is newer."""
    overlay, path = os.path.join(PLACE, "overlay"), os.path.join(PLACE, "dom0.img")
    newest = max(os.path.getmtime(p) for p, _ in image.our_tools())
    if os.path.exists(path) and os.path.getmtime(path) < newest:
        os.unlink(path)
    need_mmdebstrap()
    shutil.rmtree(overlay, ignore_errors=True)
    os.makedirs(overlay)
    host_run("make", "-C", system.ROOT, "install", "DESTDIR=" + overlay)
    host_run("systemctl", "--root=" + overlay, "enable", "joist-stored", "joist-consoled", "joistd", "joist-guests",
             "proc-xen.mount")
    with open(os.path.join(overlay, "etc/joist/debian1.cfg"), "w") as f:
        f.write("\n".join(('name = "debian1"', "memory = 512", "vcpus = 1", 'disk = ["phy:/dev/vdc,xvda,w"]', *EXTRACT)) + "\n")
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


def drive(path, number, options="snapshot=on,cache=unsafe"):
    return ["-drive", "file=%s,format=raw,if=none,id=d%d,%s" % (path, number, options),
            "-device", "virtio-blk-pci,drive=d%d" % number]


def copy_of(path, name):
    """A sparse copy that a machine may write to."""
    out = os.path.join(PLACE, name)
    host_run("cp", "--sparse=always", path, out)
    return out


def must_be_clean(path):
    """The file system was unmounted: nothing to replay, nothing to mend."""
    features = host_run("dumpe2fs", "-h", path)
    demand("needs_recovery" not in features, "%s was not unmounted" % os.path.basename(path))
    host_run("e2fsck", "-fn", path)


# ---- on the consoles ---------------------------------------------------------------------------

def log_in(m, host, timeout):
    """From the login prompt to a quiet shell."""
    m.expect(host + r" login: ", timeout)
    m.send("root\n")
    m.expect("Password: ", 60)
    m.send(PASSWORD + "\n")
    m.expect(r"root@%s:~# " % host, 90)
    # what the kernel finds worth saying on a slow machine is not part of a command's output
    m.cmd("stty -echo; PS1=; export TERM=dumb SYSTEMD_PAGER=cat; dmesg -n 1")


def leave_guest(m):
    m.drain(0.5)
    for _ in range(4):
        m.send("\x1d")
        m.drain(1)
        m.send("\n")
        if "debian1" in m.sh("joist list"):
            return
    raise system.Wrong("the guest's console could not be left, or the guest is not listed")


def on_guest(m, work):
    """Logs in on the guest's console, does the work there and leaves it; returns the seconds to the login."""
    t = time.monotonic()
    m.send("joist console debian1\n")
    log_in(m, "debian1", 600)
    t = time.monotonic() - t
    work(m)
    leave_guest(m)
    return t


def check_guest(m):
    state = m.sh("systemctl is-system-running --wait", 300).strip()
    demand(state == "running", "the guest is %s: %s" % (state, m.sh("systemctl --failed --no-legend --plain")))
    demand("/dev/xvda ext4" in re.sub(" +", " ", m.sh("findmnt -no SOURCE,FSTYPE /")), "the root is another one")


def check_packages(m):
    check_guest(m)
    verify = m.sh("dpkg --verify", 900).strip()
    demand(not verify, "dpkg --verify says %r" % verify)


# A writer that reports a file's number when its bytes and its name are on the disk, beside one that only writes.
WRITERS = ("mkdir -p /root/w; sync; (while :; do dd if=/dev/urandom of=/root/noise bs=1M count=20; done) >/dev/null 2>&1 & "
           "(i=0; while :; do i=$((i+1)); yes \"line $i\" | head -c %d | dd of=/root/w/$i conv=fsync 2>/dev/null && "
           "sync /root/w && echo SYNCED $i. >/dev/hvc0; done) & sleep 0.1" % FILE_BYTES)


def destroy_while_writing(m):
    """Destroys the guest while it writes; returns the number of the last file it told to be synced."""
    m.send("joist console debian1\n")
    log_in(m, "debian1", 600)
    m.sh(WRITERS)
    m.expect(r"SYNCED 12\.", 200)
    leave_guest(m)
    m.must("joist destroy debian1", 60)
    return max(int(n) for n in re.findall(r"SYNCED (\d+)\.", m.all))


def check_written(m, last):
    """All files that were told to be synced are whole, and the journal was replayed."""
    out = m.sh("for i in $(seq %d); do yes \"line $i\" | head -c %d | cmp - /root/w/$i || echo LOST $i; done; "
               "systemctl is-system-running --wait" % (last, FILE_BYTES), 300)
    demand("LOST" not in out and "differ" not in out, "of %d synced files: %r" % (last, out[-300:]))
    out = m.sh("(dmesg; cat /run/initramfs/fsck.log 2>/dev/null) | grep -E 'recovery complete|recovering journal'")
    demand(out.strip(), "the journal was not replayed")


def create(m, *settings):
    m.must("joist create 'name=\"debian1\"' memory=512 %s" % " ".join("'%s'" % s for s in settings), 180)


def shut_down(m, timeout=300):
    """Asks the guest to power off and waits for its end; if that does not come, says how far it got."""
    try:
        m.must("joist shutdown -w debian1", timeout)
    except harness.Timeout as e:
        m.send("\x03\n")
        m.drain(3)
        said = m.sh("joist list; joist vcpu-list debian1; tail -n 5 /var/log/joist/joistd.log; "
                    "tail -c 1500 /var/log/joist/console-debian1.log")
        m.send("joist console debian1\n\n")
        raise system.Wrong("the guest does not end: %s; on its console: %r"
                           % (" ".join(said.split())[-600:], m.drain(10)[-200:])) from e


GRUB = 'firmware="pvgrub64"'
EXTRACT = ('bootloader="joist-extract"', 'cmdline="root=LABEL=guest-root ro console=hvc0"')
DISK = 'disk=["phy:/dev/vdb,xvda,w"]'


def from_disk(_host, args):
    """A Debian guest from its disk by PV GRUB: login, all units run, its packages are whole; a shutdown leaves a clean disk."""
    with system.Host("system-debian", args.efi, extra=drive(guest_image(), 0)) as m:
        m.up()
        create(m, GRUB, DISK)
        login = on_guest(m, check_packages)
        shut_down(m)
        m.gone("debian1")
        out = m.must("blockdev --flushbufs /dev/vdb; /usr/sbin/dumpe2fs -h /dev/vdb 2>/dev/null; /usr/sbin/e2fsck -fn /dev/vdb 2>&1", 300)
        demand("needs_recovery" not in out and "guest-root: " in out, "after the shutdown: %r" % out[-300:])
    return "login after %.0f s" % login


def destroyed(_host, args):
    """A Debian guest is destroyed while it writes: the journal is replayed, and every file that it told to be synced is whole."""
    with system.Host("system-destroyed", args.efi, extra=drive(guest_image(), 0)) as m:
        m.up()
        create(m, *EXTRACT, DISK)       # GRUB reads slowly
        last = destroy_while_writing(m)
        out = m.must("blockdev --flushbufs /dev/vdb; /usr/sbin/dumpe2fs -h /dev/vdb 2>/dev/null", 60)
        demand("needs_recovery" in out, "there is nothing to replay: %r" % out[-300:])
        create(m, *EXTRACT, DISK)
        on_guest(m, lambda m: check_written(m, last))
        shut_down(m)
    return "%d synced files kept" % last


def new_kernel(_host, args):
    """After an upgrade of its kernel the guest's next start runs the new one: after a reboot by the reader of kernels, then by
    PV GRUB; in the long form also the one before, by name."""
    old, new = kernel_versions()
    extra = drive(guest_image(), 0) + drive(package_disk(), 1, "readonly=on")

    def runs(version):
        def work(m):
            out = m.sh("uname -r").strip()
            demand(out == version, "the guest runs %s, not %s" % (out, version))
        return work

    def upgrade(m):
        runs(old)(m)
        m.must("mount -o ro /dev/xvdb /mnt", 60)
        # a ramdisk for this machine alone is made in a third of the time
        m.must("echo MODULES=dep >/etc/initramfs-tools/conf.d/dep")
        t = time.monotonic()
        m.must("DEBIAN_FRONTEND=noninteractive dpkg --force-unsafe-io -i /mnt/linux-image-*.deb", 1500)
        took.append(time.monotonic() - t)
        m.must("umount /mnt")
        m.send("reboot\n")

    took = []
    with system.Host("system-kernel", args.efi, extra=extra) as m:
        m.up()
        create(m, *EXTRACT, 'disk=["phy:/dev/vdb,xvda,w","phy:/dev/vdc,xvdb,r"]')
        first = m.domains()["debian1"][0]
        on_guest(m, upgrade)
        end = time.monotonic() + 300
        while m.domains().get("debian1", (first,))[0] == first:
            demand(time.monotonic() < end, "the guest does not start again")
            time.sleep(2)
        on_guest(m, runs(new))
        more = [((GRUB,), new)]
        if args.long:
            more.append(((*EXTRACT, 'bootloader_args="--kernel=/vmlinuz.old --ramdisk=/initrd.img.old"'), old))
        for settings, version in more:
            shut_down(m)
            m.gone("debian1")
            create(m, *settings, DISK)
            on_guest(m, runs(version))
        shut_down(m)
    return "%s, then %s; the package took %.0f s" % (old, new, took[0])


def installed_dom0(_host, _args):
    """The installed control domain under systemd runs a command in a guest and starts a guest from its disk; the machine's end
    ends both properly."""
    guest = copy_of(guest_image(), "guest-used.img")
    dom0, esp = dom0_image()
    dom0 = copy_of(dom0, "dom0-used.img")
    extra = drive(dom0, 0, "cache=unsafe") + drive(guest, 1, "cache=unsafe")
    times = []
    with harness.Machine("system-installed", esp=esp, smp=2, mem=2048, extra=extra) as m:
        t = time.monotonic()
        log_in(m, "dom0", 600)
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
        m.must("joist create /etc/joist/debian1.cfg", 180)
        times.append(on_guest(m, check_guest))
        t = time.monotonic()
        m.send("systemctl poweroff\n")
        m.wait_end(400)
        times.append(time.monotonic() - t)
    for path in (guest, dom0):
        must_be_clean(path)
        os.unlink(path)
    return "dom0 login %.0f s, guest login %.0f s, power off of both %.0f s" % tuple(times)


# ---- on this machine alone ---------------------------------------------------------------------

USER = 61980            # nobody's


def as_user(argv):
    """The words that run argv as an ordinary user who has a range of user ids, as an administrator gives one."""
    if os.geteuid() != 0:
        return argv
    script = ("mount --bind \"$1\" /etc/subuid && mount --bind \"$1\" /etc/subgid && mount --bind \"$2\" /etc/passwd && shift 2 && "
              "exec setpriv --reuid=%d --regid=%d --clear-groups \"$@\"" % (USER, USER))
    ranges, users = os.path.join(PLACE, "subuid"), os.path.join(PLACE, "passwd")
    with open(ranges, "w") as f:
        f.write("joist-test:1000000:65536\n")
    with open("/etc/passwd") as f:
        text = f.read()
    with open(users, "w") as f:
        f.write(text + "joist-test:x:%d:%d::/tmp:/bin/sh\n" % (USER, USER))
    return ["unshare", "--mount", "--propagation=private", "sh", "-c", script, "sh", ranges, users, *argv]


def owners(path):
    """{(user, group)} -> names of what is in the image's file system, and the mode of each."""
    found, modes, todo = {}, {}, ["/"]
    while todo:
        out = host_run("debugfs", "-f", "/dev/stdin", path, input=("".join("ls -p %s\n" % d for d in todo)).encode())
        parts = re.split(r"(?m)^debugfs: ls -p (\S+)\n", out)
        todo = []
        for folder, text in zip(parts[1::2], parts[2::2]):
            for line in text.splitlines():
                f = line.split("/")
                if len(f) < 7 or f[5] in (".", "..", ""):
                    continue
                name, mode = folder.rstrip("/") + "/" + f[5], int(f[2], 8)
                modes[name] = mode
                found.setdefault((int(f[3]), int(f[4])), []).append(name)
                if stat.S_ISDIR(mode) and " " not in name:
                    todo.append(name)
    return found, modes


def user_build(_host, _args):
    """An image that an ordinary user builds: its files belong to root and to the system's users, not to the builder; rights and
    set-user-id bits are kept; the file system is clean."""
    need_mmdebstrap()
    place = os.path.join("/var/tmp", "joist-user-build-%d" % os.getpid())
    os.makedirs(place)
    os.makedirs(PLACE, exist_ok=True)
    try:
        overlay = os.path.join(place, "overlay")
        os.makedirs(os.path.join(overlay, "opt", "mine"))
        with open(os.path.join(overlay, "opt", "mine", "file"), "w") as f:
            f.write("mine\n")
        shutil.copy(JOIST, place)
        for top, dirs, files in os.walk(place):
            for name in [top] + [os.path.join(top, n) for n in dirs + files]:
                if os.geteuid() == 0:
                    os.chown(name, USER, USER)
        path = os.path.join(place, "user.img")
        argv = [os.path.join(place, "joist"), "image", "build", "debian", "--quiet", "--root-password=" + PASSWORD, "--size=2G",
                "--hostname=mine", "--overlay=" + overlay, path]
        done = subprocess.run(as_user(argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=1800,
                              env=dict(os.environ, TMPDIR=place, HOME=place))
        text = done.stdout.decode(errors="replace")
        if "chroot mode" in text or "unshare" in text.split("\n")[0]:
            raise system.Skip("no user namespaces for users here: " + text.strip()[-200:])
        demand(done.returncode == 0, "the user's build ended with %d: %s" % (done.returncode, text.strip()[-600:]))
        demand(sorted(os.listdir(place)) == ["joist", "overlay", "user.img"], "left behind: %s" % os.listdir(place))
        host_run("e2fsck", "-fn", path)
        found, modes = owners(path)
        alien = [(who, names[:3]) for who, names in found.items() if max(who) >= 1000 and max(who) != 65534]
        demand(not alien, "owners that are no users of the system: %r" % alien)
        demand(len(found) > 3 and len(modes) > 5000, "only %d names of %d owners were read" % (len(modes), len(found)))
        for name in ("/", "/etc", "/root", "/opt/mine/file", "/boot/grub/grub.cfg", "/etc/fstab", "/usr/bin/bash"):
            demand(name == "/" or name in found[(0, 0)], "%s does not belong to root" % name)
        demand(modes["/usr/bin/su"] & 0o7777 == 0o4755 and modes["/etc/shadow"] & 0o7777 == 0o640, "rights were lost")
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return "%d names, owners %s" % (len(modes), " ".join("%d:%d" % w for w in sorted(found)))
