# SPDX-License-Identifier: MIT
"""Boots a hypervisor under QEMU and drives its serial console.

Only the standard library is used.  A QEMU never outlives the test that started it, everything it
needs lies in a directory of its own under build/, and no root rights, mounts or loop devices are
needed: the EFI system partition is a directory that QEMU shows as a FAT disk.

The hypervisor is build/joist.efi unless `efi=` or $JOIST_EFI says otherwise.  Because the loader
reads the configuration format of xen.efi, the same tests boot a stock Xen image, which makes it
the oracle of every test that is about the guest ABI.
"""
import ctypes
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

import stale

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("JOIST_BUILD") or os.path.join(ROOT, "build")
LOGS = os.path.join(BUILD, "logs")
OVMF = "/usr/share/OVMF"
QEMU = os.environ.get("QEMU") or "qemu-system-x86_64"
# QEMU before 9.1 faults wrongly on a ring-3 IRET under SMAP when it emulates (TCG)
CPU = "max,-smap"
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")
PR_SET_PDEATHSIG = 1
CURE_AFTER = 40     # seconds of a wait after which the machine is looked at (stale.py)

_libc = ctypes.CDLL(None, use_errno=True)


class Timeout(Exception):
    """The far end did not say what was waited for."""


class Ended(Exception):
    """QEMU ended while something was waited for."""


def say(*args):
    print(*args)
    sys.stdout.flush()


def default_efi():
    return os.environ.get("JOIST_EFI") or os.path.join(BUILD, "joist.efi")


def die_with_parent():
    """Runs in the child before exec: the kernel kills it when this process ends."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setpgrp()


class Console:
    """Reads and writes one serial line, in the manner of expect(1)."""

    seq = 0

    def __init__(self, rfd, wfd, log, echo=None):
        self.rfd, self.wfd, self.log, self.echo = rfd, wfd, log, echo
        self.buf = ""               # received and not yet consumed
        self.before = ""            # what the last expect() skipped
        self.all = ""               # everything received since the start
        self.marks = {}             # name -> [regex, seconds since the start or None]
        self.eof = False
        self.t0 = self.last = time.monotonic()

    def mark(self, name, regex):
        """Notes when regex first appears in the stream."""
        self.marks[name] = [re.compile(regex), None]

    def times(self):
        return {k: round(v[1], 2) for k, v in self.marks.items() if v[1] is not None}

    def pump(self, wait):
        """Takes in what there is, waiting at most `wait` seconds; False at the end of the stream."""
        if self.eof:
            return False
        ready, _, _ = select.select([self.rfd], [], [], max(wait, 0))
        if not ready:
            return True
        try:
            data = os.read(self.rfd, 65536)
        except OSError:
            data = b""
        if not data:
            self.eof = True
            return False
        self.last = time.monotonic()
        text = data.decode("latin-1").replace("\r", "")
        self.log.write(text)
        self.log.flush()
        text = ANSI.sub("", text)
        if self.echo:
            self.echo(text)
        self.buf += text
        self.all += text
        for mark in self.marks.values():
            if mark[1] is None and mark[0].search(self.all, max(0, len(self.all) - 8192)):
                mark[1] = self.last - self.t0
        return True

    def expect(self, regex, timeout=60, silence=None):
        """Waits for regex and returns the match; the text up to its end is consumed.

        silence: give up earlier if nothing at all arrives for so many seconds.
        """
        rx = re.compile(regex)
        end = time.monotonic() + timeout
        while True:
            m = rx.search(self.buf)
            if m:
                self.before = self.buf[:m.start()]
                self.buf = self.buf[m.end():]
                return m
            now = time.monotonic()
            left = end - now
            if silence is not None:
                left = min(left, max(self.last, self.t0) + silence - now)
            if left <= 0:
                raise Timeout("waited for %r; last output:\n%s" % (regex, self.buf[-2000:]))
            if not self.pump(left):
                raise Ended("QEMU ended while %r was waited for; last output:\n%s"
                            % (regex, self.buf[-2000:]))

    def send(self, text, chunk=24, gap=0.02):
        """Types text, in small pieces since the receive rings on the way are small."""
        data = text.encode("latin-1")
        for i in range(0, len(data), chunk):
            os.write(self.wfd, data[i:i + chunk])
            self.pump(gap)

    def drain(self, secs=0.2):
        """Everything that arrives within secs, and what was not yet consumed."""
        end = time.monotonic() + secs
        while time.monotonic() < end and self.pump(end - time.monotonic()):
            pass
        out, self.buf = self.buf, ""
        return out

    def cmd(self, line, timeout=60):
        """Runs a shell command at the far end; returns (exit status, output).

        Programs that run on are started as "(... &)": busybox's shell ends for an end of file when a job of its own
        ends while it waits for a line on a terminal without echo.
        """
        Console.seq += 1
        tag = "%d" % Console.seq
        # the typed line is echoed: the quotes keep the echo from matching the marker
        self.send("{ %s ; } 2>&1; echo E''ND%s:$?:\n" % (line, tag))
        m = self.expect(r"END%s:(\d+):" % tag, timeout)
        out = self.before
        cut = out.rfind("ND%s:$?:\n" % tag)     # the echo may come twice: the terminal's and the shell's
        if cut >= 0:
            out = out[cut:].split("\n", 1)[1]
        return int(m.group(1)), out

    def sh(self, line, timeout=60):
        return self.cmd(line, timeout)[1]

    def must(self, line, timeout=60):
        """Like sh(), and an exit status other than 0 raises."""
        rc, out = self.cmd(line, timeout)
        if rc:
            raise RuntimeError("%r ended with status %d:\n%s" % (line, rc, out))
        return out


class Qmp:
    """The few commands of QEMU's machine protocol that tests need."""

    def __init__(self, path, timeout=10):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        end = time.monotonic() + timeout
        while True:
            try:
                self.sock.connect(path)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        self.file = self.sock.makefile("rw", encoding="utf-8")
        self.file.readline()
        self.run("qmp_capabilities")

    def run(self, command, **args):
        self.file.write(json.dumps({"execute": command, "arguments": args}) + "\n")
        self.file.flush()
        while True:
            line = self.file.readline()
            if not line:
                raise Ended("QEMU's control socket closed")
            reply = json.loads(line)
            if "return" in reply:
                return reply["return"]
            if "error" in reply:
                raise RuntimeError("%s: %s" % (command, reply["error"]["desc"]))

    def monitor(self, line, cpu=0):
        return self.run("human-monitor-command", **{"command-line": line, "cpu-index": cpu})


def write_cfg(path, options, kernel, ramdisk):
    with open(path, "w") as f:
        f.write("[global]\ndefault=test\n\n[test]\noptions=%s\nkernel=%s\n" % (options, kernel))
        if ramdisk:
            f.write("ramdisk=%s\n" % ramdisk)


def link_or_copy(src, dst):
    """A hard link if the file systems allow, else a copy (a symbolic link is no use to vvfat)."""
    try:
        os.link(os.path.realpath(src), dst)
    except OSError:
        shutil.copy(src, dst)


def make_esp(path, efi, options, kernel, cmdline, ramdisk):
    """A directory that holds an EFI system partition's contents."""
    boot = os.path.join(path, "EFI", "BOOT")
    os.makedirs(boot)
    link_or_copy(efi, os.path.join(boot, "BOOTX64.EFI"))
    if kernel:
        link_or_copy(kernel, os.path.join(boot, "kernel"))
    if ramdisk:
        link_or_copy(ramdisk, os.path.join(boot, "ramdisk"))
    write_cfg(os.path.join(boot, "BOOTX64.cfg"), options, ("kernel " + cmdline).strip(),
              "ramdisk" if ramdisk else "")


class Machine(Console):
    """One run of QEMU.

    esp: a ready directory or image to boot from, instead of one made from efi, options, kernel,
    cmdline and ramdisk.  native: boot the kernel with no hypervisor.  extra: more QEMU arguments.
    board: QEMU's kind of machine.
    """

    def __init__(self, name, efi=None, options="", kernel=None, cmdline="", ramdisk=None, smp=2,
                 mem=1024, icount=None, accel=None, cpu=CPU, esp=None, native=False, share=None,
                 vga=False, net="none", noreboot=True, echo=None, extra=(), dom0_mem=None, board="q35"):
        os.makedirs(LOGS, exist_ok=True)
        self.name = name
        self.dir = os.path.join(BUILD, "run", "%s.%d" % (name, os.getpid()))
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        self.p = None
        self.native = native
        self._qmp = None
        args = [QEMU, "-name", name, "-machine", board, "-cpu", cpu, "-smp", str(smp), "-m", str(mem),
                "-accel", accel or ("tcg,thread=single" if icount else "tcg,thread=multi"),
                "-display", "none", "-serial", "stdio", "-monitor", "none",
                "-qmp", "unix:%s,server=on,wait=off" % os.path.join(self.dir, "qmp")]
        args += ["-net", "none"] if net == "none" else list(net)
        if not vga:
            args += ["-vga", "none"]
        if noreboot:
            args += ["-no-reboot"]
        if icount:
            args += ["-icount", icount]
        if native:
            args += ["-kernel", kernel, "-append", "console=ttyS0 " + cmdline]
            args += ["-initrd", ramdisk] if ramdisk else []
        else:
            args += self._firmware()
            args += self._esp(esp, efi or default_efi(), options, kernel, cmdline, ramdisk, dom0_mem)
        if share:
            args += ["-virtfs", "local,path=%s,mount_tag=share,security_model=none" % share]
        args += list(extra)
        path = os.path.join(LOGS, name + ".log")
        if os.path.exists(path):            # after a failure the same name boots again
            os.replace(path, os.path.join(LOGS, name + ".before.log"))
        log = open(path, "w", encoding="utf-8", errors="replace")
        log.write(" ".join(args) + "\n")
        self.p = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, bufsize=0, preexec_fn=die_with_parent)
        super().__init__(self.p.stdout.fileno(), self.p.stdin.fileno(), log, echo)
        self.mark("hypervisor", r"\((XEN|JOIST)\) ")
        self.mark("kernel", r"\[ +0\.000000\] Linux version")

    def _firmware(self):
        store = os.path.join(self.dir, "vars.fd")
        shutil.copy(os.path.join(OVMF, "OVMF_VARS.fd"), store)
        return ["-drive", "if=pflash,format=raw,unit=0,readonly=on,file=%s/OVMF_CODE.fd" % OVMF,
                "-drive", "if=pflash,format=raw,unit=1,file=" + store]

    def _esp(self, esp, efi, options, kernel, cmdline, ramdisk, dom0_mem):
        if esp is None:
            opts = "console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all "
            if dom0_mem:
                opts += "dom0_mem=%dM,max:%dM " % (dom0_mem, dom0_mem)
            esp = os.path.join(self.dir, "esp")
            make_esp(esp, efi, opts + options, kernel, cmdline, ramdisk)
        source = "fat:rw:" + esp if os.path.isdir(esp) else esp
        return ["-drive", "file=%s,format=raw,if=none,id=esp" % source,
                "-device", "virtio-blk-pci,drive=esp,bootindex=0"]

    @property
    def qmp(self):
        if self._qmp is None:
            self._qmp = Qmp(os.path.join(self.dir, "qmp"))
        return self._qmp

    def screendump(self, path):
        """Writes the display as a PPM file; the machine needs vga=True."""
        self.qmp.run("screendump", filename=path)

    def expect(self, regex, timeout=60, silence=None):
        """As Console.expect(). In a long wait the machine is looked at, and cured of what QEMU is known to get wrong; after one in
        vain it is said where the processors are."""
        end = time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            try:
                return super().expect(regex, min(CURE_AFTER, left), silence)
            except Timeout as e:
                if silence is not None and time.monotonic() - max(self.last, self.t0) >= silence:
                    raise
                if left <= CURE_AFTER:
                    raise Timeout("%s\n%s" % (e, self.look(stale.where))) from e
            said = self.look(stale.cure)
            if said:
                print("[%s] %s" % (self.name, said), flush=True)

    def look(self, how):
        """What stale.cure() or stale.where() says of the machine."""
        if self.native or self.p.poll() is not None:
            return ""
        try:
            return how(self)
        except (OSError, RuntimeError) as e:
            return "the machine cannot be looked at: %s" % e

    def login(self, timeout=240, prompt=r"dom0# "):
        """Waits for the shell of the control domain and makes it quiet; when what came up, in seconds."""
        self.expect(prompt, timeout)
        self.cmd("stty -echo; PS1=")
        return self.times()

    def wait_end(self, timeout=60):
        """Waits until QEMU has ended by itself; returns its exit status."""
        end = time.monotonic() + timeout
        while self.pump(0.2):
            if time.monotonic() > end:
                raise Timeout("the machine did not end; last output:\n%s" % self.buf[-2000:])
        return self.p.wait(10)

    def close(self):
        if self.p:
            if self.p.poll() is None:
                self.p.kill()
            self.p.wait()
            self.p.stdin.close()
            self.p.stdout.close()
            self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def timed(func, *args, **kwargs):
    t = time.monotonic()
    result = func(*args, **kwargs)
    return time.monotonic() - t, result
