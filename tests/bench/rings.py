#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""rings.py [--pairs N] [--parts dom0,disks,net] [--efi IMAGE] [--xen IMAGE] [--icount] [--markdown] [--fresh]: speed of guests'
disks and networks beside stock Xen's.

Each pair boots stock Xen with xl and then Joist with joist on the same machine, kernels and ramdisk.  Disks: fio with
verification (tests/bench/disks.fio) on a virtio disk, an NVMe disk and a file, in the control domain (part dom0) and in a guest
(part disks).  Networks: TCP and UDP with every byte checked, both directions, guest and control domain, guest and guest, guest
and this host ("out").  A row has the median of each side over all pairs, the spread (half of largest less smallest, of the
median), and is missed when Joist's median is below Xen's by more than the larger of the two spreads.

Runs of the same hypervisor images add up in build/bench: `--pairs 5` runs what is missing.  --icount: instructions in place of
time (one tick each, one CPU): slower, but no other load of the host is seen.
"""
import argparse
import hashlib
import json
import os
import re
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "qemu"), os.path.join(HERE, "..", "system"),
                os.path.join(HERE, "..", "..", "scripts")]
import harness  # noqa: E402
import image  # noqa: E402
import networks  # noqa: E402
import system  # noqa: E402
from system import demand  # noqa: E402

STORE = os.path.join(harness.BUILD, "bench", "rings.json")
FIO = "/mnt/ld-linux-x86-64.so.2 --library-path /mnt /mnt/fio --output-format=terse --terse-version=3 /etc/disks.fio"
JOBS = ("4k-1", "4k-8", "4k-32", "128k-1", "128k-8", "128k-32")
ROUTES = ((None, "n1"), ("n1", None), ("n1", "n2"), ("n2", "n1"), ("n1", "out"), ("out", "n1"))
FILE = "/tmp/file.img"
LIMIT = 900             # seconds that fio may take for one disk


def machine_args():
    """A virtio disk, an NVMe disk and the disk of programs; what is written goes to no disk of the host in a hurry."""
    drive = "file=%s,format=raw,if=none,snapshot=on,cache=unsafe,id=%s"
    return ["-drive", drive % (system.disk("disk-virtio"), "dv"), "-device", "virtio-blk-pci,drive=dv,serial=virtio",
            "-drive", drive % (system.disk("disk-nvme"), "dn"), "-device", "nvme,drive=dn,serial=nvme",
            "-drive", drive % (system.program_disk("/usr/bin/fio"), "df"),
            "-device", "virtio-blk-pci,drive=df,serial=programs"] + networks.machine_args()


def by_serial(h, serial):
    for name in h.sh("ls /sys/block").split():
        if name.startswith(("vd", "nvme")) and h.sh("cat /sys/block/%s/serial /sys/block/%s/device/serial 2>/dev/null"
                                                    % (name, name)).split()[:1] == [serial]:
            return "/dev/" + name
    demand(False, "no disk has the serial number " + serial)
    return ""


# ---- disks --------------------------------------------------------------------------------------

def fio_line(dev):
    return "DEV=%s %s 2>&1 | cut -d';' -f1,3,5-7,47,48" % (dev, FIO)


def fio_figures(text, name):
    """Row -> KB/s of fio's lines, which have told no error."""
    out = {}
    for line in text.splitlines():
        f = line.strip().split(";")
        if len(f) == 7 and f[0] == "3" and f[1] in JOBS:
            demand(f[2] == "0" and int(f[3]) == int(f[5]) > 0, "%s: fio says %s" % (name, line))
            out["%s %s write" % (name, f[1])] = float(f[6])
            out["%s %s read" % (name, f[1])] = float(f[4])
    demand(len(out) == 2 * len(JOBS), "%s: fio says ...%s" % (name, text[-600:]))
    return out


def disks(h, parts):
    out = {}
    places = {"virtio": by_serial(h, "virtio"), "nvme": by_serial(h, "nvme")}
    programs = by_serial(h, "programs")
    h.must("modprobe -a ext4 loop xen-blkback; dd if=/dev/zero of=%s bs=1M count=16 2>/dev/null" % FILE, 120)
    if "dom0" in parts:
        h.must("mount -o ro %s /mnt; [ -b /dev/loop7 ] || mknod /dev/loop7 b 7 7; losetup /dev/loop7 %s" % (programs, FILE))
        for name, dev in list(places.items()) + [("file", "/dev/loop7")]:
            out.update(fio_figures(h.sh(fio_line(dev), LIMIT), "dom0 " + name))
        h.must("losetup -d /dev/loop7; umount /mnt")
    if "disks" in parts:
        guest_disks(h, places, programs, out)
    return out


def guest_disks(h, places, programs, out):
    """A guest with all of them, one after the other."""
    h.create("d1", 'ramdisk="/guest/bench.ird"', "memory=320", 'disk=["phy:%s,xvda,w","phy:%s,xvdb,w","file:%s,xvdc,w","phy:%s,xvdd,r"]'
             % (places["virtio"], places["nvme"], FILE, programs), timeout=300)
    h.on_console("d1", "modprobe ext4; mount -o ro /dev/xvdd /mnt", timeout=300)
    for name, dev in (("virtio", "xvda"), ("nvme", "xvdb"), ("file", "xvdc")):
        counters(h)
        text = h.on_console("d1", fio_line("/dev/" + dev), timeout=LIMIT)[0]
        out.update(fio_figures(text, "guest " + name))
        counters(h, "fio " + name)
    h.must_tool("destroy d1")
    h.gone("d1")


# ---- networks -----------------------------------------------------------------------------------

def net(h, icount):
    out = {}
    h.must("modprobe -a bridge xen-netback")
    for name in ("n1", "n2"):
        networks.guest_up(h, name)
    networks.outside_up(h)
    for kind, size in (("tcp", 9), ("udp", 1)):
        for source, target in ROUTES:
            counters(h)
            size_now = size * networks.MB // (3 if icount else 1)
            if "out" in (source, target):
                said = networks.transfer_outside(h, kind, source == "out", size_now, seconds=240)
            else:
                said = networks.transfer(h, kind, source, target, size_now, seconds=240)
            m = re.match(r"OK .*, ([\d.]+) MB/s", said)
            name = "%s %s>%s" % (kind, source or "dom0", target or "dom0")
            demand(m, "%s: %s" % (name, said))
            out[name] = float(m.group(1)) * 1000
            counters(h, name)
    for name in ("n1", "n2"):
        h.must_tool("destroy " + name)
        h.gone(name)
    return out


def counters(h, name=None):
    """Puts the hypervisor's counters to zero, or shows what they counted; of ours only."""
    if h.tools == "joist":
        out = h.must_tool("info --counters" + ("" if name else " --reset"))
        if name:
            print("  %s: %s" % (name, ", ".join("%s %s" % x for x in re.findall(r"(\w+) *: (\d+)", out) if x[1] != "0")), flush=True)


# ---- runs ---------------------------------------------------------------------------------------

def one_side(efi, tools, args):
    machine = {"smp": 1, "icount": "shift=0"} if args.icount else {"smp": 2}
    out = {}
    with system.Host("bench-rings", efi, tools=tools, mem=2048, dom0_mem=768, ramdisk=os.path.join(image.IMAGE, "bench.ird"),
                     extra=machine_args(), **machine) as h:
        h.up(1200 if args.icount else 300)
        if "disks" in args.parts or "dom0" in args.parts:
            out.update(disks(h, args.parts))
        if "net" in args.parts:
            out.update(net(h, args.icount))
    return out


def peer_side(efi, args):
    """Stock Xen's side. Its xl dies now and then ("malloc(): corrupted top size"): then once more."""
    try:
        return one_side(efi, "stock", args)
    except system.Wrong as e:
        if "Aborted" not in str(e):
            raise
        print("  stock xl died, once more: %s" % " ".join(str(e).split()), flush=True)
        return one_side(efi, "stock", args)


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()[:16]


def load(key):
    """(everything stored, the runs of these two images)"""
    store = {}
    if os.path.exists(STORE):
        with open(STORE, encoding="utf-8") as f:
            store = json.load(f)
    return store, store.setdefault(key, {"xen": [], "joist": []})


def save(store):
    with open(STORE + ".new", "w", encoding="utf-8") as f:
        json.dump(store, f)
    os.rename(STORE + ".new", STORE)


def summary(values):
    """(median, spread as a part of it)"""
    middle = statistics.median(values)
    return middle, (max(values) - min(values)) / 2 / middle


def table(runs, markdown):
    """Prints all rows; returns how many are missed."""
    rows = [name for name in runs["xen"][0] if all(name in run for side in runs.values() for run in side)]
    shape = "| %s | %.1f | ±%.0f %% | %.1f | ±%.0f %% | %.2f%s |" if markdown else "%-26s %9.1f ±%3.0f %% %9.1f ±%3.0f %% %6.2f%s"
    print("\n" + ("| MB/s | Xen | spread | Joist | spread | ratio |\n|---|---|---|---|---|---|" if markdown else
                  "MB/s, %d pairs                   Xen              Joist          ratio" % len(runs["xen"])))
    misses = 0
    for name in rows:
        xen, xen_spread = summary([run[name] / 1000 for run in runs["xen"]])
        ours, our_spread = summary([run[name] / 1000 for run in runs["joist"]])
        missed = ours / xen < 1 - max(xen_spread, our_spread) and not name.startswith("dom0 ")
        misses += missed
        print(shape % (name, xen, xen_spread * 100, ours, our_spread * 100, ours / xen, " missed" if missed else ""))
    of_dom0(runs, rows)
    return misses


def of_dom0(runs, rows):
    """What part of the control domain's own speed a guest has, on both sides."""
    for side, name in (("xen", "Xen"), ("joist", "Joist")):
        parts = [statistics.median(run[row] for run in runs[side]) / statistics.median(run["dom0" + row[5:]] for run in runs[side])
                 for row in rows if row.startswith("guest ") and "dom0" + row[5:] in rows]
        if parts:
            print("%s: a guest's disk has %.2f of the control domain's speed (median of %d rows; %.2f to %.2f)"
                  % (name, statistics.median(parts), len(parts), min(parts), max(parts)))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--efi", default=harness.default_efi())
    p.add_argument("--xen")
    p.add_argument("--pairs", type=int, default=5)
    p.add_argument("--parts", default="dom0,disks,net", type=lambda text: text.split(","))
    p.add_argument("--icount", action="store_true")
    p.add_argument("--markdown", action="store_true")
    p.add_argument("--fresh", action="store_true", help="forget earlier runs")
    args = p.parse_args()
    xen = args.xen or image.stock_efi()
    key = "-".join([digest(xen), digest(args.efi)] + sorted(args.parts) + ["icount"] * args.icount)
    store, runs = load(key)
    if args.fresh:
        runs.update(xen=[], joist=[])
    if len(runs["joist"]) < args.pairs:
        image.make("kernels", "guest", "dom0", "stock", "bench")
    while len(runs["joist"]) < args.pairs:
        for side, efi, tools in (("xen", xen, "stock"), ("joist", args.efi, "joist")):
            if len(runs[side]) <= len(runs["joist"]):
                print("pair %d of %d: %s" % (len(runs["joist"]) + 1, args.pairs, side), flush=True)
                runs[side].append(peer_side(efi, args) if side == "xen" else one_side(efi, tools, args))
                save(store)
    misses = table(runs, args.markdown)
    print("\n%d row(s) missed" % misses)
    sys.exit(1 if misses else 0)


if __name__ == "__main__":
    try:
        main()
    except (system.Wrong, harness.Timeout, harness.Ended, RuntimeError, image.ImageError) as e:
        sys.exit("rings.py: %s" % e)
