#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""image.py [WHAT...]: makes the disk contents of the demonstration and of the system tests.

WHAT: kernels guest driver dom0 stock disks bench esp all.  Everything comes from Debian packages, fetched with
`apt-get download` into build/cache and unpacked there; nothing is installed, no root rights,
mounts or loop devices are needed.  Archives (cpio) are written by this script itself, so that they
hold device nodes and root-owned files whoever runs it.

  build/image/vmlinuz-dom0, vmlinuz-guest    kernels of the two flavours
  build/image/guest.ird                      busybox guest
  build/image/driver.ird                     busybox guest with joistd --backend (for tests)
  build/image/dom0.ird                       control domain: busybox and our tools
  build/image/stock.ird                      adds the stock Xen toolstack (for tests)
  build/image/disks.ird                      adds qemu-nbd and qemu-img to that (for tests)
  build/image/bench.ird                      adds to stock.ird what the bench of devices needs on both sides
  build/image/esp.img                        EFI system partition of `make run`
"""
import glob
import gzip
import os
import shutil
import stat
import struct
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("JOIST_BUILD") or os.path.join(ROOT, "build")
CACHE = os.path.join(BUILD, "cache")
IMAGE = os.path.join(BUILD, "image")
DEMO = os.path.join(ROOT, "dom0-tools", "etc", "demo")

DOM0_PACKAGE, GUEST_PACKAGE = "linux-image-amd64", "linux-image-cloud-amd64"
DOM0_MODULES = """xen-privcmd xen-evtchn xen-gntdev xen-gntalloc xenfs xen-blkback xen-netback bridge loop nbd
    virtio_pci virtio_blk virtio_net nvme ahci sd_mod e1000e 9p 9pnet_virtio ext4 crc32c_generic
    vfat nls_ascii nls_cp437 nls_iso8859-1 nls_utf8 efivarfs af_packet
    nf_tables nft_chain_nat nft_masq""".split()
BACKEND_MODULES = "xen-blkback xen-netback bridge loop nbd nf_tables nft_chain_nat nft_masq ext4".split()
GUEST_MODULES = "xen-blkfront xen-netfront crc32c_generic xen-gntalloc xen-evtchn".split()
STOCK_PACKAGES = """xen-utils-4.17 xen-utils-common xenstore-utils libxenmisc4.17 libxencall1
    libxendevicemodel1 libxenevtchn1 libxenforeignmemory1 libxengnttab1 libxenhypfs1 libxenstore4
    libxentoolcore1 libxentoollog1 libyajl2 xen-hypervisor-4.17-amd64""".split()
STOCK_PROGRAMS = """xl xenstored xenconsoled xenconsole xen-init-dom0 libxl-save-helper xenctx xentop
    xenstore-control""".split()


class ImageError(Exception):
    """A step failed; the text says which and why."""


def say(step, text):
    print("[%s] %s" % (step, text), flush=True)


def run(*args, **kwargs):
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **kwargs)
    text = done.stdout.decode(errors="replace")
    if done.returncode:
        raise ImageError("%s ended with %d: %s" % (" ".join(args), done.returncode, text.strip()[-400:]))
    return text


# ---- packages ---------------------------------------------------------------------------------

def latest_kernel(meta):
    """The package that a kernel meta-package stands for; other names are taken as they are."""
    for line in run("apt-cache", "depends", meta).splitlines():
        name = line.split(":")[-1].strip().strip("<>")
        if "Depends" in line and name.startswith("linux-image-"):
            return name
    return meta


def fetch(package):
    """Downloads and unpacks a package, once; returns the directory of its files."""
    os.makedirs(CACHE, exist_ok=True)
    known = sorted(glob.glob(os.path.join(CACHE, package + "_*.done")))
    try:
        uri = run("apt-get", "download", "--print-uris", package).split()
        deb = uri[1]
    except (ImageError, IndexError) as e:
        if known:
            return known[-1][:-5]               # no package lists here, but fetched before
        raise ImageError("package %s cannot be found (%s); has `apt-get update` been run?"
                         % (package, str(e)[:200])) from e
    where = os.path.join(CACHE, deb[:-4])
    if os.path.exists(where + ".done"):
        return where
    say("download", "%s (%.1f MB)" % (package, int(uri[2]) / 1e6))
    run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package, cwd=CACHE)
    shutil.rmtree(where, ignore_errors=True)
    run("dpkg-deb", "-x", os.path.join(CACHE, deb), where)
    os.unlink(os.path.join(CACHE, deb))
    open(where + ".done", "w").close()
    return where


class Kernel:
    """A kernel package, or a kernel file given by the user (then with no modules of its own)."""

    def __init__(self, what):
        self.root = self.version = None
        if os.path.isfile(what):
            self.path = os.path.abspath(what)
            return
        self.root = fetch(latest_kernel(what))
        self.version = os.listdir(os.path.join(self.root, "lib", "modules"))[0]
        self.path = os.path.join(self.root, "boot", "vmlinuz-" + self.version)
        if not os.path.exists(self.tree("modules.dep.bin")):
            run("depmod", "-b", self.root, self.version)

    def tree(self, *parts):
        return os.path.join(self.root, "lib", "modules", self.version, *parts)

    def modules(self, names):
        """The named modules and what they depend on, as paths below the tree, in no order."""
        if not self.root:
            return []
        deps, byname = {}, {}
        with open(self.tree("modules.dep")) as f:
            for line in f:
                path, _, rest = line.partition(":")
                deps[path] = rest.split()
                byname[os.path.basename(path).split(".")[0].replace("-", "_")] = path
        with open(self.tree("modules.builtin")) as f:
            builtin = {os.path.basename(x.strip())[:-3].replace("-", "_") for x in f}
        out, todo = set(), []
        for name in (n.replace("-", "_") for n in names):
            if name in byname:
                todo.append(byname[name])
            elif name not in builtin:
                say("image", "note: %s has no module %s" % (self.version, name))
        while todo:
            path = todo.pop()
            if path not in out:
                out.add(path)
                todo += deps[path]
        return sorted(out)


# ---- shared libraries -------------------------------------------------------------------------

def needed(path):
    """The libraries that an ELF file names, and its interpreter; [] for other files."""
    with open(path, "rb") as f:
        b = f.read()
    if b[:5] != b"\x7fELF\x02":
        return []
    phoff, = struct.unpack_from("<Q", b, 32)
    size, count = struct.unpack_from("<HH", b, 54)
    loads, dyn, out = [], None, []
    for i in range(count):
        kind, _, off, va, _, filesz, _, _ = struct.unpack_from("<IIQQQQQQ", b, phoff + i * size)
        if kind == 1:
            loads.append((va, off, filesz))
        elif kind == 2:
            dyn = (off, filesz)
        elif kind == 3:
            out.append(b[off:off + filesz].rstrip(b"\0").decode())
    if dyn is None:
        return out
    tags = [struct.unpack_from("<QQ", b, dyn[0] + i) for i in range(0, dyn[1], 16)]
    strtab = next(v for t, v in tags if t == 5)
    base = next(off + strtab - va for va, off, n in loads if va <= strtab < va + n)
    for tag, v in tags:
        if tag == 1:
            end = b.index(b"\0", base + v)
            out.append(b[base + v:end].decode())
    return out


LIB_DIRS = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/ceph", "lib64", "usr/lib64",
            "usr/lib/xen-4.17/lib/x86_64-linux-gnu", "lib", "usr/lib")


def find_library(name, roots):
    for root in list(roots) + ["/"]:
        places = [name.lstrip("/")] if "/" in name else [os.path.join(d, name) for d in LIB_DIRS]
        for place in places:
            path = os.path.join(root, place)
            if os.path.exists(path):
                return path, place
    return None, None


# ---- archives ---------------------------------------------------------------------------------

class Archive:
    """An initramfs in the making: newc cpio, all files root's."""

    def __init__(self):
        self.parts, self.seen, self.ino = [], set(), 1

    def _entry(self, name, mode, data=b"", rdev=(0, 0)):
        head = b"070701" + b"".join(b"%08X" % x for x in (
            self.ino, mode, 0, 0, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(name) + 1, 0))
        self.ino += 1
        raw = head + name.encode() + b"\0"
        self.parts += [raw, b"\0" * (-len(raw) % 4), data, b"\0" * (-len(data) % 4)]

    def dir(self, path):
        path = path.strip("/")
        if path and path not in self.seen:
            self.dir(os.path.dirname(path))
            self.seen.add(path)
            self._entry(path, stat.S_IFDIR | 0o755)

    def _new(self, path):
        path = path.strip("/")
        self.dir(os.path.dirname(path))
        if path in self.seen:
            return None
        self.seen.add(path)
        return path

    def file(self, path, data, mode=0o644):
        path = self._new(path)
        if path:
            self._entry(path, stat.S_IFREG | mode, data)

    def link(self, path, target):
        path = self._new(path)
        if path:
            self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def node(self, path, major, minor, mode=0o600):
        self._entry(self._new(path), stat.S_IFCHR | mode, b"", (major, minor))

    def copy(self, source, path):
        with open(source, "rb") as f:
            self.file(path, f.read(), 0o755 if os.access(source, os.X_OK) else 0o644)

    def program(self, source, path, roots=()):
        """A program or library with all libraries that it needs."""
        self.copy(source, path)
        for name in needed(source):
            found, place = find_library(name, roots)
            if not found:
                raise ImageError("%s needs %s, which is not there" % (source, name))
            if place not in self.seen:
                self.program(os.path.realpath(found), place, roots)

    def tree(self, source, path):
        """A directory; executable bits and symbolic links are kept."""
        for base, dirs, files in os.walk(source):
            dirs.sort()
            rel = os.path.normpath(os.path.join(path, os.path.relpath(base, source)))
            for name in sorted(files):
                full = os.path.join(base, name)
                if os.path.islink(full):
                    self.link(os.path.join(rel, name), os.readlink(full))
                else:
                    self.copy(full, os.path.join(rel, name))

    def write(self, path):
        self._entry("TRAILER!!!", 0)
        data = b"".join(self.parts)
        data += b"\0" * (-len(data) % 512)
        tmp = path + ".new"
        with open(tmp, "wb") as f:
            with gzip.GzipFile(filename="", fileobj=f, mode="wb", compresslevel=1, mtime=0) as z:
                z.write(data)
        os.rename(tmp, path)


def program_tree(source, where):
    """A program and the libraries that it needs, with the loader, in one directory for a control domain to start it from."""
    os.makedirs(where, exist_ok=True)
    todo, seen = [source], set()
    while todo:
        path = todo.pop()
        shutil.copy(os.path.realpath(path), os.path.join(where, os.path.basename(path)))
        for name in needed(path):
            found, _ = find_library(name, ())
            if not found:
                raise ImageError("%s needs %s, which is not there" % (path, name))
            if os.path.basename(name) not in seen:
                seen.add(os.path.basename(name))
                todo.append(found)


def busybox():
    for place in ("/bin/busybox", "/usr/bin/busybox"):
        if os.path.exists(place) and not [x for x in needed(place) if "libc" in x]:
            return place
    return os.path.join(fetch("busybox-static"), "bin", "busybox")


def skeleton(a, kernel, modules, inittab, rc, profile):
    """What both kinds of domain have: busybox, modules, init's table."""
    box = busybox()
    a.node("dev/console", 5, 1)
    a.node("dev/null", 1, 3, 0o666)
    for d in "bin sbin usr/bin usr/sbin proc sys tmp run/lock var/log mnt root etc".split():
        a.dir(d)
    a.link("var/run", "../run")
    a.link("var/lock", "../run/lock")
    a.copy(box, "bin/busybox")
    a.link("init", "bin/busybox")
    a.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    a.file("etc/group", b"root:x:0:\njoist:x:990:\n")
    a.file("etc/inittab", inittab)
    a.file("etc/rc", rc, 0o755)
    a.file("etc/profile", profile)
    if kernel.root:
        base = "lib/modules/%s" % kernel.version
        for m in kernel.modules(modules):
            a.copy(kernel.tree(m), os.path.join(base, m))
        for m in ("modules.builtin", "modules.order"):
            a.copy(kernel.tree(m), os.path.join(base, m))
        keep = set(kernel.modules(modules))
        with open(kernel.tree("modules.dep")) as f:
            dep = "".join(line for line in f if line.partition(":")[0] in keep)
        a.file(base + "/modules.dep", dep.encode())
        with open(kernel.tree("modules.alias")) as f:
            names = {os.path.basename(m).split(".")[0].replace("-", "_") for m in keep}
            text = "".join(x for x in f if x.split()[-1].replace("-", "_") in names)
        a.file(base + "/modules.alias", text.encode())


def applets(a):
    """Links for busybox's applets, after the real programs have taken their names."""
    for name in run(busybox(), "--list").split():
        if name != "busybox" and not any(d + "/" + name in a.seen for d in ("bin", "sbin", "usr/bin", "usr/sbin")):
            a.link("bin/" + name, "busybox")
    a.link("sbin/poweroff", "../bin/busybox")
    a.link("sbin/reboot", "../bin/busybox")
    a.link("sbin/modprobe", "../bin/busybox")


def demo(name):
    with open(os.path.join(DEMO, name), "rb") as f:
        return f.read()


# ---- what can be made -------------------------------------------------------------------------

def kernels():
    """(dom0's kernel, the guest's kernel), as the environment or the defaults say."""
    return (Kernel(os.environ.get("DOM0_KERNEL") or DOM0_PACKAGE),
            Kernel(os.environ.get("GUEST_KERNEL") or GUEST_PACKAGE))


def make_kernels():
    dom0, guest = kernels()
    shutil.copyfile(dom0.path, os.path.join(IMAGE, "vmlinuz-dom0"))
    shutil.copyfile(guest.path, os.path.join(IMAGE, "vmlinuz-guest"))
    say("image", "kernels: dom0 %s, guest %s" % (dom0.version or dom0.path, guest.version or guest.path))


def helpers(a):
    """Small programs of the tests, where they have been built."""
    for name in ("bench/pingpong", "bench/clocks", "bench/unixcat", "system/netprobe", "system/badfront"):
        path = os.path.join(BUILD, name)
        if os.path.exists(path):
            a.program(path, "bin/" + os.path.basename(name))


def make_guest():
    _, kernel = kernels()
    a = Archive()
    skeleton(a, kernel, GUEST_MODULES, demo("guest-inittab"), demo("guest-rc"), demo("guest-profile"))
    for name in ("spin", "flood", "crash"):
        a.file("bin/" + name, demo("guest-" + name), 0o755)
    helpers(a)
    applets(a)
    a.write(os.path.join(IMAGE, "guest.ird"))
    say("image", "guest.ird %.1f MB" % (os.path.getsize(os.path.join(IMAGE, "guest.ird")) / 1e6))


def make_driver():
    """The guest with a daemon that serves disks and interfaces to other guests."""
    _, kernel = kernels()
    a = Archive()
    skeleton(a, kernel, GUEST_MODULES + BACKEND_MODULES, demo("guest-inittab") + demo("driver-inittab"), demo("guest-rc"),
             demo("guest-profile"))
    a.program(os.path.join(BUILD, "tools", "joistd"), "usr/libexec/joist/joistd")
    for name in ("qemu-nbd", "qemu-img"):
        found = shutil.which(name)
        if found:
            a.program(found, "usr/bin/" + name)
    helpers(a)
    applets(a)
    a.write(os.path.join(IMAGE, "driver.ird"))
    say("image", "driver.ird %.1f MB" % (os.path.getsize(os.path.join(IMAGE, "driver.ird")) / 1e6))


def our_tools():
    """(file, its place in the control domain) of each program that has been built."""
    out = []
    for path in sorted(glob.glob(os.path.join(BUILD, "tools", "*"))):
        name = os.path.basename(path)
        if os.access(path, os.X_OK) and "." not in name:
            out.append((path, ("usr/bin/" if name == "joist" else "usr/libexec/joist/") + name))
    return out


# programs of the host that the system tests use in the control domain, where they are installed
EXTRA_PROGRAMS = ("/usr/bin/efivar", "/usr/bin/chattr", "/usr/bin/strace", "/usr/sbin/mke2fs", "/usr/sbin/debugfs",
                  "/usr/sbin/e2fsck", "/usr/sbin/dumpe2fs")


def run_files(a):
    """What `joist run` and PV GRUB find installed: a guest kernel with its ramdisk, GRUB's PV image."""
    _, kernel = kernels()
    joist, part = os.path.join(BUILD, "tools", "joist"), os.path.join(IMAGE, "run.ird")
    if kernel.root and os.path.exists(joist):
        run(joist, "image", "ramdisk", "--kernel=" + kernel.path, "--modules=" + kernel.root, part)
        a.copy(part, "usr/lib/joist/run/ramdisk")
        a.link("usr/lib/joist/run/vmlinuz", "/guest/vmlinuz")
        os.unlink(part)
    grub = "usr/lib/grub-xen/grub-x86_64-xen.bin"
    a.copy("/" + grub if os.path.exists("/" + grub) else os.path.join(fetch("grub-xen-host"), grub), grub)


def make_dom0():
    kernel, _ = kernels()
    a = Archive()
    for path, place in our_tools():
        a.program(path, place)
    libgcc, place = find_library("libgcc_s.so.1", ())
    if libgcc:
        a.copy(os.path.realpath(libgcc), place)     # pthread_cancel() loads it at run time
    skeleton(a, kernel, DOM0_MODULES, demo("dom0-inittab"), demo("dom0-rc"), demo("dom0-profile"))
    a.file("etc/service", demo("dom0-service"), 0o755)
    a.file("etc/motd", demo("dom0-motd"))
    a.file("etc/mdev.conf", b"$MODALIAS=.* 0:0 660 @modprobe -q \"$MODALIAS\"\n")
    for d in "etc/joist var/lib/joist var/log/joist run/joist run/xenstored".split():
        a.dir(d)
    for cfg in sorted(glob.glob(os.path.join(DEMO, "*.cfg"))):
        a.copy(cfg, "etc/joist/" + os.path.basename(cfg))
    a.copy(os.path.join(IMAGE, "vmlinuz-guest"), "guest/vmlinuz")
    a.copy(os.path.join(IMAGE, "guest.ird"), "guest/initrd")
    run_files(a)
    a.program(os.path.join(fetch("util-linux-extra"), "sbin", "hwclock"), "sbin/hwclock")
    helpers(a)
    a.copy(os.path.join(ROOT, "tests", "system", "restart.sh"), "bin/restart")
    for elf in sorted(glob.glob(os.path.join(BUILD, "guests", "*.elf"))
                      + glob.glob(os.path.join(BUILD, "bench", "*.elf"))):
        a.file("guest/" + os.path.basename(elf), strip(elf), 0o755)
    a.dir("guest/attack")
    for elf in sorted(glob.glob(os.path.join(BUILD, "guests", "attack", "*.elf"))):
        a.file("guest/attack/" + os.path.basename(elf), strip(elf), 0o755)
    applets(a)
    a.write(os.path.join(IMAGE, "dom0.ird"))
    say("image", "dom0.ird %.1f MB, our programs: %s"
        % (os.path.getsize(os.path.join(IMAGE, "dom0.ird")) / 1e6,
           " ".join(os.path.basename(p) for p, _ in our_tools()) or "none"))


def strip(elf):
    """An ELF file without its debugging sections."""
    out = os.path.join(IMAGE, "stripped")
    run("strip", "-o", out, elf)
    with open(out, "rb") as f:
        data = f.read()
    os.unlink(out)
    return data


def stock_roots():
    return [fetch(p) for p in STOCK_PACKAGES]


def stock_efi():
    """Debian's xen.efi: the oracle."""
    here = "/boot/xen-4.17-amd64.efi"
    return here if os.path.exists(here) else os.path.join(fetch("xen-hypervisor-4.17-amd64"), here.lstrip("/"))


def make_stock():
    """dom0.ird followed by an archive with the stock toolstack; `joist.stock` starts that one."""
    roots = stock_roots()
    a = Archive()
    for path in EXTRA_PROGRAMS:
        if os.path.exists(path):
            a.program(path, path.lstrip("/"))
    for name in STOCK_PROGRAMS:
        place = "usr/lib/xen-4.17/bin/" + name
        a.program(find_library("/" + place, roots)[0], place, roots)
    for name in "chmod exists list ls read rm watch write".split():
        place = "usr/bin/xenstore-" + name
        a.program(os.path.realpath(find_library("/" + place, roots)[0]), place, roots)
    for d in "var/lib/xen var/lib/xenstored var/log/xen run/xen run/xenstored".split():
        a.dir(d)
    a.tree(os.path.join(fetch("xen-utils-common"), "etc", "xen"), "etc/xen")
    a.file("etc/stock", demo("dom0-stock"), 0o755)
    extend("dom0.ird", a, "stock.ird")


def extend(base, a, name):
    """Writes the ramdisk `name`: what `base` holds, and the archive."""
    path = os.path.join(IMAGE, name + ".part")
    a.write(path)
    with open(os.path.join(IMAGE, name), "wb") as out:
        for part in (os.path.join(IMAGE, base), path):
            with open(part, "rb") as f:
                data = f.read()
                out.write(data + b"\0" * (-len(data) % 4))
    os.unlink(path)
    say("image", "%s %.1f MB" % (name, os.path.getsize(os.path.join(IMAGE, name)) / 1e6))


def make_disks():
    """stock.ird and the programs that serve disk images other than raw ones, where they are installed."""
    a = Archive()
    for name in ("qemu-nbd", "qemu-img"):
        found = shutil.which(name)
        if found:
            a.program(found, "usr/bin/" + name)
    extend("stock.ird", a, "disks.ird")


# Xen's hotplug scripts are written for these; busybox's applets of the same names do not do
HOTPLUG_PROGRAMS = ("/bin/bash", "/usr/bin/flock", "/usr/bin/stat", "/usr/bin/readlink", "/sbin/ip", "/sbin/losetup")


def make_bench():
    """stock.ird with the programs of Xen's hotplug scripts, a guest that can mount ext4, and fio's jobs."""
    _, kernel = kernels()
    jobs = os.path.join(ROOT, "tests", "bench", "disks.fio")
    guest = os.path.join(IMAGE, "guest-bench.ird")
    a = Archive()
    skeleton(a, kernel, GUEST_MODULES + ["ext4"], demo("guest-inittab"), demo("guest-rc"), demo("guest-profile"))
    helpers(a)
    a.copy(jobs, "etc/disks.fio")
    applets(a)
    a.write(guest)
    a = Archive()
    for name in HOTPLUG_PROGRAMS:
        a.program(os.path.realpath(name), "bin/" + os.path.basename(name))
    a.copy(guest, "guest/bench.ird")
    a.copy(jobs, "etc/disks.fio")
    extend("stock.ird", a, "bench.ird")


def make_esp(efi=None, options="", cmdline=""):
    """A FAT image with loader, configuration, kernel and ramdisk, made with mtools."""
    efi = efi or os.environ.get("EFI") or os.path.join(BUILD, "joist.efi")
    if not os.path.exists(efi):
        raise ImageError("%s does not exist: run make first" % efi)
    image = os.path.join(IMAGE, "esp.img")
    cfg = os.path.join(IMAGE, "BOOTX64.cfg")
    with open(cfg, "w") as f:
        f.write("# Configuration of the loader, in the format of xen.efi.\n"
                "[global]\ndefault=demo\n\n[demo]\noptions=%s\nkernel=vmlinuz console=hvc0 %s\n"
                "ramdisk=initrd\n" % (options, cmdline))
    files = [(efi, "BOOTX64.EFI"), (cfg, "BOOTX64.CFG"), (os.path.join(IMAGE, "vmlinuz-dom0"), "vmlinuz"),
             (os.path.join(IMAGE, "dom0.ird"), "initrd")]
    size = sum(os.path.getsize(p) for p, _ in files) + (8 << 20)
    size = max(size, 40 << 20) + (-size % (1 << 20))
    with open(image, "wb") as f:
        f.truncate(size)
    run("mformat", "-i", image, "-F", "-h", "64", "-s", "32", "-T", str(size // 512), "-v", "JOIST", "::")
    run("mmd", "-i", image, "::/EFI", "::/EFI/BOOT")
    for path, name in files:
        run("mcopy", "-i", image, path, "::/EFI/BOOT/" + name)
    say("image", "esp.img %.1f MB" % (size / 1e6))
    return image


STEPS = {"kernels": make_kernels, "guest": make_guest, "driver": make_driver, "dom0": make_dom0, "stock": make_stock, "disks": make_disks,
         "bench": make_bench, "esp": make_esp}


def make(*what):
    os.makedirs(IMAGE, exist_ok=True)
    for name in what:
        STEPS[name]()


def main():
    what = sys.argv[1:] or ["all"]
    if what == ["all"]:
        what = ["kernels", "guest", "dom0", "esp"]
    bad = [w for w in what if w not in STEPS]
    if bad:
        sys.exit(__doc__)
    t = time.monotonic()
    try:
        make(*what)
    except (ImageError, OSError) as e:
        sys.exit("image.py: %s" % e)
    say("image", "done in %.1f s" % (time.monotonic() - t))


if __name__ == "__main__":
    main()
