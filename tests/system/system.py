# SPDX-License-Identifier: MIT
"""What the Linux scenarios share: booting a control domain, and driving a toolstack in it."""
import os
import re
import socket
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, "tests", "qemu"), os.path.join(ROOT, "scripts")]
import harness  # noqa: E402
import image  # noqa: E402

IMAGE = image.IMAGE
CFG = "/etc/joist/guest.cfg"


class Wrong(Exception):
    """A scenario saw something else than it should; the text says what."""


class Skip(Exception):
    """A scenario cannot be run here; the text says why."""


def demand(cond, text):
    if not cond:
        raise Wrong(text)


def disk(name, size_mb=64):
    """A disk image full of noise, made once."""
    path = os.path.join(IMAGE, name + ".img")
    if not os.path.exists(path):
        with open(path + ".new", "wb") as f:
            for _ in range(size_mb):
                f.write(os.urandom(1 << 20))
        os.rename(path + ".new", path)
    return path


def device_args():
    """The disks and network cards that the control domain is tested with."""
    return ["-drive", "file=%s,format=raw,if=none,id=dv,snapshot=on" % disk("disk-virtio"),
            "-device", "virtio-blk-pci,drive=dv,serial=virtio",
            "-drive", "file=%s,format=raw,if=none,id=ds,snapshot=on" % disk("disk-ahci"),
            "-device", "ide-hd,drive=ds,bus=ide.0,serial=ahci",
            "-drive", "file=%s,format=raw,if=none,id=dn,snapshot=on" % disk("disk-nvme"),
            "-device", "nvme,drive=dn,serial=nvme",
            "-drive", "file=%s,format=raw,if=none,id=df,readonly=on" % program_disk("/usr/bin/fio"),
            "-device", "virtio-blk-pci,drive=df,serial=programs",
            "-netdev", "user,id=n0", "-device", "e1000e,netdev=n0",
            "-netdev", "user,id=n1", "-device", "virtio-net-pci,netdev=n1"]


def express_args():
    """A disk controller in parts, which needs PCI Express."""
    return ["-device", "pcie-root-port,id=rp,slot=1,chassis=1", "-device", "nvme-subsys,id=sub",
            "-device", "nvme,serial=parts,subsys=sub,bus=rp,sriov_max_vfs=2,sriov_vq_flexible=4,sriov_vi_flexible=2,"
                       "max_ioqpairs=6,msix_qsize=7"]


def free_port():
    """A TCP port of this host that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def program_disk(source):
    """A disk with an ext4 file system that holds a program, its libraries and the loader, for the control domain to start it
    from; made once."""
    name = os.path.basename(source)
    path = os.path.join(IMAGE, "disk-%s.ext4" % name)
    if not os.path.exists(source):
        raise image.ImageError("%s is not installed: run scripts/setup test" % source)
    if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(source):
        with tempfile.TemporaryDirectory() as tree:
            image.program_tree(source, tree)
            size = sum(os.path.getsize(os.path.join(tree, x)) for x in os.listdir(tree))
            image.run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d", tree, path + ".new",
                      "%dM" % ((size >> 20) * 5 // 4 + 4), env=dict(os.environ, PATH="/usr/sbin:/sbin:" + os.environ["PATH"]))
        os.rename(path + ".new", path)
    return path


class Host(harness.Machine):
    """A machine whose control domain has come up, with a toolstack: "joist" or "stock"."""

    def __init__(self, name, efi, tools="joist", smp=2, mem=2048, dom0_mem=768, dom0_vcpus=None, cmdline="",
                 options="", kernel=None, ramdisk=None, extra=(), **more):
        self.tools, self.is_joist = tools, False
        if dom0_vcpus:
            options += " dom0_max_vcpus=%d" % dom0_vcpus
        super().__init__(name, efi=efi, kernel=kernel or os.path.join(IMAGE, "vmlinuz-dom0"),
                         ramdisk=ramdisk or os.path.join(IMAGE, "stock.ird"),
                         cmdline="console=hvc0 print-fatal-signals=1 %s %s"
                                 % ("joist.stock" if tools == "stock" else "", cmdline),
                         smp=smp, mem=mem, dom0_mem=dom0_mem, options=options, extra=extra, **more)

    def up(self, timeout=240):
        """Waits for the shell and the toolstack."""
        try:
            self.login(timeout)
            self.is_joist = "(JOIST)" in self.all
            for _ in range(30):
                if self.cmd("[ -S /run/joist/joistd.sock ] || pidof xenconsoled")[0] == 0:
                    return self
                self.cmd("sleep 1")
        except harness.Timeout as e:
            raise Wrong("the control domain did not come up: ...%s" % self.all[-700:]) from e
        raise Wrong("joistd does not come up: " + self.sh("tail -n 5 /var/log/joist/*.log"))

    def cmd(self, line, timeout=60):
        """As harness.Console.cmd(); when no answer comes and a new shell has greeted us, the control domain's kernel is asked
        what became of the old one."""
        try:
            return super().cmd(line, timeout)
        except harness.Timeout as e:
            if "This is the control domain." not in str(e):
                raise
        try:
            why = super().cmd("dmesg | grep -i -e 'fatal signal' -e segfault -e traps: -e 'killed process' | tail -n 5", 20)[1]
            raise Wrong("the shell died during or before %r: %s" % (line, " ".join(why.split()) or "the kernel says nothing"))
        except harness.Timeout as e:
            raise Wrong("the shell died during or before %r, and the next does not answer" % line) from e

    # ---- the toolstack ----
    def tool(self, line, timeout=90):
        """A command of the toolstack in use; xl's and joist's words are the same."""
        return self.cmd(("xl " if self.tools == "stock" else "joist ") + line, timeout)

    def must_tool(self, line, timeout=90):
        rc, out = self.tool(line, timeout)
        demand(rc == 0, "`%s` ended with %d: %s" % (line, rc, out.strip()[-400:]))
        return out

    def domains(self):
        """name -> (id, MB, vcpus, state) of `list`."""
        out = {}
        for line in self.must_tool("list").splitlines():
            f = line.split()
            if len(f) >= 6 and f[1].isdigit() and f[0] != "(null)":
                out[f[0]] = (int(f[1]), int(f[2]), int(f[3]), f[4])
        return out

    def free_mb(self):
        m = re.search(r"free_memory\s*:\s*(\d+)", self.must_tool("info"))
        demand(m, "`info` does not tell the free memory")
        return int(m.group(1))

    def create(self, name, *overrides, cfg=CFG, timeout=120):
        extra = " ".join("'%s'" % o for o in overrides)
        return self.must_tool("create %s 'name=\"%s\"' %s" % (cfg, name, extra), timeout)

    def gone(self, name, timeout=60):
        """Waits until no such domain is listed."""
        end = time.monotonic() + timeout
        while name in self.domains():
            demand(time.monotonic() < end, "%s is still listed" % name)
            self.cmd("sleep 0.3")

    def on_console(self, name, *commands, prompt="guest# ", timeout=90):
        """Runs commands on a guest's console; returns their outputs."""
        self.send("%s console %s\n" % ("xl" if self.tools == "stock" else "joist", name))
        self.at_prompt(prompt, timeout)
        self.send("stty -echo; PS1=\n")
        self.drain(0.4)
        out = [self.sh(c, timeout) for c in commands]
        self.send("PS1='%s'; stty echo\n" % prompt)
        self.leave_console()
        return out

    def at_prompt(self, prompt, timeout):
        end = time.monotonic() + timeout
        while True:
            try:
                self.expect(prompt, 1.5)    # a console that is attached again shows none until Enter is pressed
                return
            except harness.Timeout:
                demand(time.monotonic() < end, "no prompt on the guest's console: ...%s" % self.all[-500:])
                self.send("\n")

    def leave_console(self):
        self.drain(0.3)
        for _ in range(4):
            self.send("\x1d")
            self.drain(0.5)
            self.send("echo AT''HOME$(hostname)\n")
            try:
                self.expect("ATHOMEdom0", 8)
                self.drain(0.3)
                return
            except harness.Timeout:
                continue
        raise Wrong("the guest's console could not be left")
