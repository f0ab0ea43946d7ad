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


def disks(h, args):
    """Each kind of disk: what the host wrote is read, what is written is read back."""
    mb = 48 if args.long else 12
    said = []
    for serial in DISKS:
        dev = block_device(h, serial)
        with open(os.path.join(harness.BUILD, "image", "disk-%s.img" % serial), "rb") as f:
            want = hashlib.sha256(f.read(16 << 20)).hexdigest()
        t = time.monotonic()
        got = h.sh("dd if=%s bs=1M count=16 2>/dev/null | sha256sum" % dev, 180).split()[0]
        demand(got == want, "%s reads other data than the host wrote" % dev)
        read = time.monotonic() - t
        h.must("dd if=/dev/urandom of=/tmp/pattern bs=1M count=%d 2>/dev/null" % mb, 120)
        h.must("dd if=/tmp/pattern of=%s bs=64k seek=160 conv=fsync 2>/dev/null" % dev, 180)
        h.must("echo 3 >/proc/sys/vm/drop_caches")
        sums = h.must("dd if=%s bs=64k skip=160 count=%d 2>/dev/null | sha256sum; sha256sum </tmp/pattern"
                      % (dev, mb * 16), 180)
        sums = re.findall(r"[0-9a-f]{64}", sums)
        demand(len(sums) == 2 and sums[0] == sums[1], "%s does not read back what was written" % dev)
        said.append("%s 16 MB in %.1f s" % (dev, read))
    h.sh("rm -f /tmp/pattern")
    return ", ".join(said)


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


def efi_variables(h, _args):
    """Firmware variables are listed, written and read back through run-time services."""
    # a GUID of our own: the firmware guards its own
    where = "/sys/firmware/efi/efivars/JoistTest-6a0e3f52-0c4d-4d0e-9d2b-3f7a51c8e94d"
    out = h.must("ls /sys/firmware/efi/efivars")
    demand("BootOrder-" in out, "no BootOrder among %s" % out[:300])
    h.must("printf '\\007\\000\\000\\000hello' >/tmp/var; dd if=/tmp/var of=%s bs=64 2>&1" % where)
    demand("hello" in h.must("cat %s | tail -c 5" % where), "the variable does not read back")
    # Linux marks such a variable immutable, and busybox has no chattr: it goes with this run's copy of the flash


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
    demand(abs(offset) < 1.2, "the clock is %.2f s off the RTC" % offset)
    demand(drift < 50e-6 + error, "drift %.0f ppm (error of measurement %.0f)" % (drift * 1e6, error * 1e6))
    return "RTC %+.2f s, drift %.0f ppm +- %.0f" % (offset, drift * 1e6, error * 1e6)


def rtc_offset(h):
    out = h.sh("cat /sys/class/rtc/rtc0/since_epoch; date +%s").split()
    demand(len(out) == 2 and out[0].isdigit(), "no RTC: %s" % out)
    return float(int(out[1]) - int(out[0]))


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
