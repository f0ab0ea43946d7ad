# SPDX-License-Identifier: MIT
"""Scenarios that boot by themselves: sizes of machine, kinds of kernel, damaged kernels."""
import os
import re

import devices
import repack_kernel
import stale
import system
from system import Host, IMAGE, demand, harness

FORMS = ("gzip", "zstd", "lz4", "elf")


def one_guest(h):
    """A guest comes up and goes, then the machine."""
    h.create("g")
    h.on_console("g", "uname -a")
    h.must_tool("shutdown -w g", 120)
    h.gone("g")
    h.send("poweroff\n")
    demand(h.wait_end(120) == 0, "QEMU ended badly")


def sized(args, name, **machine):
    """Boots a machine of a size, creates a guest, shuts it down, powers off."""
    vcpus = machine.get("dom0_vcpus") or machine["smp"]
    with Host("boots-" + name, args.efi, tools=args.tools, ramdisk=os.path.join(IMAGE, "stock.ird"), **machine) as h:
        h.up(400)
        out = h.sh("grep -c ^processor /proc/cpuinfo").strip()
        demand(out == str(vcpus), "the control domain has %s vCPUs, not %d" % (out, vcpus))
        info = h.must_tool("info")
        total = int(re.search(r"total_memory\s*:\s*(\d+)", info).group(1))
        demand(total > machine["mem"] * 0.95 - 64, "only %d MB of %d are there" % (total, machine["mem"]))
        cpus = int(re.search(r"nr_cpus\s*:\s*(\d+)", info).group(1))
        demand(cpus == machine["smp"], "%d CPUs of %d" % (cpus, machine["smp"]))
        check_cure(h)
        one_guest(h)
    return "%d MB, %d CPUs" % (total, cpus)


def check_cure(h):
    """What harness.login() would do to a machine that hangs by QEMU's fault does no harm to one that is well."""
    demand(stale.cure(h) == "", "something is cured in a machine that is well")
    at = stale.registers(h.qmp, 0)["RIP"]
    stale.rewrite(h, 0, at, stale.memory(h.qmp, 0, "b", at, 1)[0])


def one_cpu(_h, args):
    return sized(args, "1cpu", smp=1, mem=2048)


def guarded(_h, args):
    """By the ways of processors that need page-table isolation and barriers, with a guest whose vCPUs share tables."""
    with Host("boots-guarded", args.efi, tools=args.tools, ramdisk=os.path.join(IMAGE, "stock.ird"), smp=2, mem=2048,
              options="xpti=on spec-ctrl=verw,div-scrub,rsb,bti-thunk=retpoline") as h:
        h.up(400)
        used = r"indirect branches retpolines; entry RSB; exit VERW DIV; .*isolation dom0 on, guests on"
        demand(not h.is_joist or re.search(used, h.all), "the log does not say that the guarded ways are used")
        h.create("g", "vcpus=4")
        out = h.on_console("g", "grep -c ^processor /proc/cpuinfo",
                           "for i in 1 2 3 4 5 6 7 8; do (for j in 1 2 3 4 5 6 7 8 9; do /bin/true; done; echo x) & done | wc -l")
        demand(re.search(r"(?m)^4$", out[0]), "not four vCPUs: %r" % out[0])
        demand(re.search(r"(?m)^8$", out[1]), "not eight processes have ended: %r" % out[1])
        h.must_tool("shutdown -w g", 120)
        h.gone("g")
        h.send("poweroff\n")
        demand(h.wait_end(120) == 0, "QEMU ended badly")
    return "page-table isolation, VERW, RSB, retpolines"


def old_board(_h, args):
    """A board without PCI Express: configuration space by ports alone, interrupts by shared level lines."""
    other = {"virtio-blk-pci,drive=dv,serial=virtio": "virtio-blk-pci,drive=dv,serial=virtio,vectors=0",
             "ide-hd,drive=ds,bus=ide.0,serial=ahci": "ide-hd,drive=ds,bus=ahci.0,serial=ahci"}
    extra = ["-device", "ahci,id=ahci"] + [other.get(a, a) for a in system.device_args()]
    with Host("boots-old-board", args.efi, tools=args.tools, ramdisk=os.path.join(IMAGE, "stock.ird"), smp=2, mem=2048,
              board="pc", extra=extra) as h:
        h.up(400)
        host = h.must("cat /sys/bus/pci/devices/0000:00:00.0/device").split()[0]
        demand(host == "0x1237", "the host bridge is %s, not that of the old board" % host)
        line = re.search(r"(?m)^ *\d+: .*virtio\d", h.must("grep virtio /proc/interrupts"))
        demand(line and "pirq" in line.group(0), "no virtio device has a line of its own: %r" % line)
        said = devices.disks(h, args)
        one_guest(h)
    return said


def four_cpus_6g(_h, args):
    return sized(args, "4cpu", smp=4, mem=6144, dom0_vcpus=1)


def eight_cpus(_h, args):
    return sized(args, "8cpu", smp=8, mem=2048, dom0_vcpus=4)


def sixteen_gb(_h, args):
    return sized(args, "16gb", smp=2, mem=16384)


def variant(form, kernel="vmlinuz-dom0"):
    """A repacked kernel in build/image/k, made once per kernel."""
    source = os.path.join(IMAGE, kernel)
    path = os.path.join(IMAGE, "k", "%s.%s" % (kernel, form))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(source):
        with open(source, "rb") as f:
            data = f.read()
        with open(path, "wb") as f:
            f.write(repack_kernel.repack(data, form))
    return path


def starts(args, kernel, want, timeout=90):
    """Boots a kernel as control domain with no ramdisk; the first match of want."""
    with harness.Machine("boots-kernel", efi=args.efi, kernel=kernel, cmdline="console=hvc0 panic=1", smp=1,
                         mem=1024, dom0_mem=512) as m:
        try:
            return m.expect(want, timeout).group(0)
        except (harness.Timeout, harness.Ended):
            return None


def dom0_kernels(_h, args):
    """The generic kernel as shipped and in every other wrapping starts as control domain."""
    for form in FORMS:
        demand(starts(args, variant(form), r"\] Linux version 6"), "the %s kernel does not start" % form)
    return ", ".join(FORMS)


ERROR = r"(?i)[^\n]*(corrupt|truncat|error|fail|invalid|bad|not a|cannot|damaged|short)[^\n]*"


def damaged_kernels(_h, args):
    """Truncated and bit-flipped kernels: an error, no start."""
    forms = ["truncated", "flipped"]
    if args.long:
        forms += [d + "-" + f for d in ("truncated", "flipped") for f in FORMS if (d, f) != ("flipped", "elf")]
    said = []
    for form in forms:
        got = starts(args, variant(form), ERROR + r"|\] Linux version 6", 60)
        demand(got and "Linux version" not in got, "%s: %s" % (form, got))
        said.append("%s: %s" % (form, got.strip()[:80]))
    return "; ".join(said)


def cloud_kernel(_h, args):
    """A kernel that cannot be control domain is named as such, or says nothing: never a hang of ours."""
    with harness.Machine("boots-cloud", efi=args.efi, kernel=os.path.join(IMAGE, "vmlinuz-guest"),
                         cmdline="console=hvc0", smp=1, mem=1024, dom0_mem=512) as m:
        m.expect(r"\((XEN|JOIST)\) ", 60)
        m.drain(15)
        demand("Linux version" not in m.all, "a cloud kernel started as control domain: then the text is wrong")
        demand(m.p.poll() is None or "(JOIST)" in m.all, "the machine ended without a word")
