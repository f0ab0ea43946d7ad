# SPDX-License-Identifier: MIT
"""Scenarios of the machine's devices in the control domain."""
import hashlib
import os
import re
import socket
import threading
import time

from system import Skip, demand, harness

DISKS = {"virtio": "vd", "ahci": "sd", "nvme": "nvme"}


def block_device(h, serial):
    """The block device whose disk has the size and driver wanted."""
    names = h.sh("ls /sys/block").split()
    for n in names:
        if n.startswith(DISKS[serial]):
            size = int(h.sh("cat /sys/block/%s/size" % n).split()[0])
            if size == 64 << 11:
                return "/dev/" + n
    demand(False, "no %s disk among %s" % (serial, names))
    return ""


def fio(dev, *options):
    """A line that runs fio from the disk of programs."""
    return ("/mnt/ld-linux-x86-64.so.2 --library-path /mnt /mnt/fio --thread --name=t --filename=%s --ioengine=libaio "
            "--direct=1 --bs=4k --iodepth=16 --verify=crc32c --verify_fatal=1 --randseed=7 --output-format=terse %s"
            % (dev, " ".join(options)))


def disks(h, args):
    """Each kind of disk: what the host wrote is read; fio writes at random and verifies, and finds the one block that was changed
    behind its back."""
    mb = 32 if args.long else 4
    said = []
    h.must("modprobe ext4; for d in $(ls /sys/block); do grep -q programs /sys/block/$d/serial && mount -o ro /dev/$d /mnt; done "
           "2>/dev/null; ls /mnt/fio")
    for serial in DISKS:
        dev = block_device(h, serial)
        with open(os.path.join(harness.BUILD, "image", "disk-%s.img" % serial), "rb") as f:
            want = hashlib.sha256(f.read(16 << 20)).hexdigest()
        got = h.sh("dd if=%s bs=1M count=16 2>/dev/null | sha256sum" % dev, 180).split()[0]
        demand(got == want, "%s reads other data than the host wrote" % dev)
        area = "--rw=randwrite --offset=16M --size=%dM" % mb
        t = time.monotonic()
        out = h.must(fio(dev, area, "--do_verify=1"), 300)
        fields = out.strip().splitlines()[-1].split(";")
        # terse format 3: field 5 is the error, 6 the KB read (by the verification), 47 the KB written
        demand(fields[0] == "3" and fields[4] == "0" and fields[5] == fields[46] == str(mb << 10),
               "%s: fio says %s" % (dev, out[-300:]))
        said.append("%s %d MB verified in %.1f s" % (dev, mb, time.monotonic() - t))
        h.must("dd if=/dev/urandom of=%s bs=4k count=1 seek=%d conv=fsync 2>/dev/null"
               % (dev, (16 << 8) + 17))
        rc, out = h.cmd(fio(dev, area, "--verify_only"), 300)
        demand(rc != 0 and "verif" in out, "%s: fio does not see a block that was overwritten: %s" % (dev, out[-300:]))
    h.must("umount /mnt")
    return ", ".join(said)


def partitions(h, args):
    """A partition and its whole disk are the same blocks: not for two guests at once, in either order. Two partitions are not."""
    if args.tools != "joist":
        raise Skip("xl compares names of devices only")
    dev = block_device(h, "ahci")
    table = b"".join(b"\0\0\0\0\x83\0\0\0" + first.to_bytes(4, "little") + (8192).to_bytes(4, "little") for first in (2048, 16384))
    table += bytes(32)
    h.must("printf '%s' | dd of=%s bs=1 seek=446 2>/dev/null; printf '\\125\\252' | dd of=%s bs=1 seek=510 conv=fsync 2>/dev/null; "
           "blockdev --rereadpt %s && sleep 1 && ls %s1 %s2 && modprobe xen-blkback"
           % ("".join("\\%03o" % b for b in table), dev, dev, dev, dev, dev))
    create = "create -p /etc/joist/guest.cfg 'name=\"%s\"' 'disk=[\"phy:%s,xvda,w\"]'"
    for held, wanted in ((dev + "1", dev), (dev, dev + "2")):
        h.must_tool(create % ("holder", held))
        rc, out = h.tool(create % ("other", wanted))
        demand(rc != 0 and "by the guest holder" in out, "%s beside %s: %d %r" % (wanted, held, rc, out[-300:]))
        h.must_tool("destroy holder")
        h.gone("holder")
    h.must_tool(create % ("holder", dev + "1"))
    h.must_tool(create % ("other", dev + "2"))
    for name in ("holder", "other"):
        h.must_tool("destroy " + name)
        h.gone(name)
    h.must("dd if=/dev/zero of=%s bs=512 count=1 conv=fsync 2>/dev/null; blockdev --rereadpt %s" % (dev, dev))


def virtual_functions(h, _args):
    """A function with virtual ones (SR-IOV): their interrupts can be had, which their registers alone do not tell. QEMU's do no
    more than that: their controllers stay offline."""
    pf = h.must("for d in /sys/bus/pci/devices/*; do [ -e $d/sriov_numvfs ] && echo $d; done").split()
    demand(len(pf) == 1, "not one function with virtual ones: %s" % pf)
    before = len(h.sh("ls /sys/bus/pci/devices").split())
    h.must("dmesg -c >/dev/null; echo 2 > %s/sriov_numvfs" % pf[0])
    demand(len(h.sh("ls /sys/bus/pci/devices").split()) == before + 2, "there are not two more")
    end = time.monotonic() + 60
    while time.monotonic() < end and len(re.findall("not ready|map irq failed", h.sh("dmesg"))) < 2:
        time.sleep(1)
    log = h.sh("dmesg")
    demand("map irq failed" not in log, "an interrupt is refused: " + log)
    demand(len(re.findall("CSTS=", log)) == 2, "the driver did not come to the controllers: " + log)
    h.must("echo 0 > %s/sriov_numvfs" % pf[0])
    return "2 functions"


class Server(threading.Thread):
    """Sends each caller the same noise; what a caller of the second port sends is summed."""

    def __init__(self, size):
        super().__init__(daemon=True)
        self.data = os.urandom(size)
        self.got = None
        self.out = socket.create_server(("127.0.0.1", 0))
        self.inp = socket.create_server(("127.0.0.1", 0))
        self.start()

    def run(self):
        threading.Thread(target=self.receive, daemon=True).start()
        while True:
            conn, _ = self.out.accept()
            with conn:
                conn.sendall(self.data)

    def receive(self):
        while True:
            conn, _ = self.inp.accept()
            digest = hashlib.sha256()
            with conn:
                for block in iter(lambda c=conn: c.recv(65536), b""):
                    digest.update(block)
            self.got = digest.hexdigest()


def network(h, args):
    """e1000e and virtio-net, each: ping, and TCP both ways with the sum compared."""
    server = Server((32 if args.long else 4) << 20)
    want = hashlib.sha256(server.data).hexdigest()
    said = []
    for driver in ("e1000e", "virtio_net"):
        nic = h.sh("for n in /sys/class/net/*; do readlink -f $n/device/driver | grep -q '/%s$' && basename $n; done"
                   % driver).split()
        demand(nic, "no %s interface; there are: %s" % (driver, h.sh("ls /sys/class/net")))
        for n in h.sh("ls /sys/class/net").split():
            h.sh("ip addr flush dev %s; ip link set %s down" % (n, n) if n != "lo" else "true")
        h.must("ip link set %s up; ip addr add 10.0.2.15/24 dev %s; ip route add default via 10.0.2.2"
               % (nic[0], nic[0]))
        h.cmd("sleep 3")
        out = h.must("ping -c 3 -W 5 10.0.2.2", 60)
        demand(" 0% packet loss" in out, "%s: %s" % (driver, out))
        t = time.monotonic()
        got = h.must("nc 10.0.2.2 %d </dev/null >/tmp/in; sha256sum </tmp/in" % server.out.getsockname()[1],
                     180).split()[0]
        demand(got == want, "%s: what came in is not what was sent" % driver)
        server.got = None
        h.must("nc 10.0.2.2 %d </tmp/in" % server.inp.getsockname()[1], 180)
        for _ in range(50):
            if server.got:
                break
            time.sleep(0.2)
        demand(server.got == want, "%s: what arrived is not what was sent" % driver)
        said.append("%s %.1f s" % (driver, time.monotonic() - t))
    h.sh("rm -f /tmp/in")
    return ", ".join(said)


GUID = "6a0e3f52-0c4d-4d0e-9d2b-3f7a51c8e94d"      # of our own: the firmware guards its own variables


def efi_variables(h, _args):
    """Firmware variables are listed, made, read back, changed and removed through run-time services, by the stock tool."""
    name = GUID + "-JoistTest"
    where = "/sys/firmware/efi/efivars/JoistTest-" + GUID
    listed = h.must("efivar -l").split()
    demand(any(x.endswith("-BootOrder") for x in listed), "efivar -l lacks BootOrder: %s" % listed[:20])
    demand(name not in listed, "%s is there already" % name)
    for value in ("hello", "other"):
        h.must("printf %s >/tmp/var; efivar -n %s -t 7 -w -f /tmp/var" % (value, name))
        demand(name in h.must("efivar -l").split(), "efivar -l does not show the new variable")
        demand(value in h.must("tail -c 5 %s" % where), "the variable does not read back")
        demand(value in h.must("efivar -p -n %s" % name), "efivar -p shows another value")
        # Linux guards variables that it does not know from being removed
        h.must("chattr -i %s" % where)
    h.must("rm %s" % where)
    after = h.must("efivar -l").split()
    demand(sorted(after) == sorted(listed), "after the removal: %s" % sorted(set(after) ^ set(listed)))
    # it is gone from the firmware, not only from Linux's list
    h.must("umount /sys/firmware/efi/efivars; mount -t efivarfs efivarfs /sys/firmware/efi/efivars")
    demand(sorted(h.must("efivar -l").split()) == sorted(listed), "the firmware still has the variable")
    return "%d variables" % len(listed)


def clock(h, args):
    """The wall clock agrees with the RTC; system time agrees with the host's."""
    offset = rtc_offset(h)
    secs = 60 if args.long else 20
    first = sample(h)
    time.sleep(secs)
    second = sample(h)
    host, guest = second[0] - first[0], second[1] - first[1]
    drift = abs(host - guest) / host
    error = (first[2] + second[2]) / host
    demand(abs(offset) < 0.1, "the clock is %.3f s off the RTC" % offset)
    demand(drift < 50e-6 + error, "drift %.0f ppm (error of measurement %.0f)" % (drift * 1e6, error * 1e6))
    return "RTC %+.3f s at an edge, drift %.0f ppm +- %.0f" % (offset, drift * 1e6, error * 1e6)


def rtc_offset(h):
    """Seconds that the wall clock is ahead of the RTC, at an edge of the RTC's seconds. Linux's RTC driver sets it to half a
    second past whatever second the RTC shows (and without that driver it lacks the ticks lost in its early boot, 0.2 s here):
    the control domain's /etc/rc sets it at an edge. What the hypervisor gave is tested by the guest `timer`."""
    h.send("clocks\n")
    h.expect("CLOCKS", 20)
    for _ in range(8):
        h.send("r\n")
        m = h.expect(r"EDGE (\d+) (\d+)\.(\d+) (\d+)\n", 20)
        if int(m.group(4)) < 20000:         # else the host was busy just then
            break
    h.send("q\n")
    h.drain(0.3)
    demand(int(m.group(4)) < 20000, "one read of the RTC took %s us" % m.group(4))
    return int(m.group(2)) - int(m.group(1)) + int(m.group(3)) * 1e-9


def sample(h):
    """(host's time, guest's time, half the shortest round trip): the best of several tries."""
    best = None
    h.send("clocks\n")
    h.expect("CLOCKS", 20)
    for _ in range(60):
        h.drain(0.03)
        t0 = time.monotonic()
        h.send("\n", gap=0)
        m = h.expect(r"CLOCK (\d+)\.(\d+)\n", 20)
        t1 = time.monotonic()
        if best is None or t1 - t0 < best[2] * 2:
            best = ((t0 + t1) / 2, int(m.group(1)) + int(m.group(2)) * 1e-9, (t1 - t0) / 2)
    h.send("q\n")
    h.drain(0.3)
    return best


def screen(h, _args):
    """The firmware's framebuffer shows the control domain's console."""
    out = h.sh("ls /dev/fb0 /dev/dri 2>&1; echo TEXT ON SCREEN >/dev/tty0")
    demand("/dev/fb0" in out.split(), "no framebuffer: %s" % out)
    path = os.path.join(harness.LOGS, "screen.ppm")
    h.screendump(path)
    with open(path, "rb") as f:
        data = f.read()
    head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", data)
    demand(head, "no picture")
    pixels = data[head.end():]
    lit = sum(1 for i in range(0, len(pixels) - 2, 3) if max(pixels[i:i + 3]) > 100)
    demand(lit > 200, "the screen is dark: %d pixels lit" % lit)
    return "%s x %s, %d pixels lit" % (head.group(1).decode(), head.group(2).decode(), lit)


def reboot(h, _args):
    """`reboot` restarts the machine (QEMU ends at a restart here)."""
    h.send("reboot\n")
    status = h.wait_end(90)
    demand(status == 0, "QEMU ended with %d" % status)
