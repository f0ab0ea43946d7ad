# SPDX-License-Identifier: MIT
"""Scenarios of guests' screens, keyboards, second consoles and channels. The viewers are on the host, behind a forwarded port: one
of ours, and gvnccapture; the guest runs the distribution's generic kernel, which has both front ends."""
import os
import re
import select
import shutil
import socket
import struct
import subprocess
import time
import zlib

import des
from system import IMAGE, Skip, demand, free_port, harness

SHARE = os.path.join(harness.BUILD, "run", "screens")
os.makedirs(SHARE, exist_ok=True)
PORTS = {}
FBD = "joist-fbd"


def machine_args():
    """A network card behind which two ports of the control domain are ports of the host."""
    for port in (5900, 5901):
        PORTS[port] = free_port()
    kernel = os.path.join(SHARE, "vmlinuz")
    if os.path.exists(kernel):
        os.unlink(kernel)
    harness.link_or_copy(os.path.join(IMAGE, "vmlinuz-dom0"), kernel)
    return ["-netdev", "user,id=n0" + "".join(",hostfwd=tcp:127.0.0.1:%d-10.0.2.15:%d" % (PORTS[p], p) for p in PORTS),
            "-device", "virtio-net-pci,netdev=n0"]


class Viewer:
    """The few words of RFB 3.8 that a viewer needs; raw encoding, or ZRLE, of which only the size is looked at. Where a
    password is asked for, let_in says whether it was right."""

    def __init__(self, port, timeout=30, encoding=0, password=None):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        demand(self.get(12).startswith(b"RFB 003.00"), "no VNC server answers")
        self.sock.sendall(b"RFB 003.008\n")
        kinds = self.get(self.get(1)[0])
        demand(list(kinds) == [1 if password is None else 2], "kinds of security: %r" % kinds)
        self.sock.sendall(kinds)
        if password is not None:
            self.sock.sendall(des.vnc_answer(self.get(16), password))
        self.let_in = self.get(4) == b"\0\0\0\0"
        demand(self.let_in or password is not None, "the server refuses")
        if not self.let_in:
            return
        self.sock.sendall(b"\1")
        self.width, self.height = struct.unpack(">HH", self.get(4))
        self.format = self.get(16)
        demand(self.format[0] == 32, "%d bits per pixel" % self.format[0])
        self.title = self.get(struct.unpack(">I", self.get(4))[0]).decode()
        self.sock.sendall(struct.pack(">BBHii", 2, 0, 2, encoding, -223))
        self.pixels = bytearray(self.width * self.height * 4)

    def get(self, size):
        data = b""
        while len(data) < size:
            more = self.sock.recv(min(size - len(data), 1 << 16))
            demand(more, "the server closed the connection")
            data += more
        return data

    def want(self, incremental):
        self.sock.sendall(struct.pack(">BBHHHH", 3, incremental, 0, 0, self.width, self.height))

    def update(self):
        """Takes one update; the bytes of pixels that it brought."""
        total = 0
        demand(self.get(1) == b"\0", "no update")
        for _ in range(struct.unpack(">xH", self.get(3))[0]):
            x, y, w, h, kind = struct.unpack(">HHHHi", self.get(12))
            if kind == -223:
                self.width, self.height = w, h
                self.pixels = bytearray(w * h * 4)
                continue
            if kind == 16:
                size = struct.unpack(">I", self.get(4))[0]
                self.get(size)
                total += size + 16
                continue
            for line in range(y, y + h):
                at = (line * self.width + x) * 4
                self.pixels[at:at + w * 4] = self.get(w * 4)
            total += w * h * 4
        return total

    def updates(self):
        """Takes what one change brings, which the guest may draw in steps, and asks for the next; the bytes of pixels."""
        total = 0
        while select.select([self.sock], [], [], 1 if total else 30)[0]:
            total += self.update()
            self.want(1)
        return total

    def frame(self):
        self.want(0)
        self.update()
        return bytes(self.pixels)

    def rgb(self):
        p = self.frame()
        out = bytearray(self.width * self.height * 3)
        out[0::3], out[1::3], out[2::3] = p[2::4], p[1::4], p[0::4]
        return bytes(out)

    def quiet(self, secs):
        """Whether nothing arrives for so long."""
        self.sock.settimeout(secs)
        try:
            return not self.sock.recv(1)
        except socket.timeout:
            return True
        finally:
            self.sock.settimeout(20)

    def type(self, text):
        """As on a US keyboard: with Shift where that has it."""
        for c in text:
            keys = [{"\n": 0xff0d}.get(c, ord(c))]
            if c.isupper() or c in '~!@#$%^&*()_+{}|:"<>?':
                keys.insert(0, 0xffe1)
            for down, key in [(1, k) for k in keys] + [(0, k) for k in reversed(keys)]:
                self.sock.sendall(struct.pack(">BBHI", 4, down, 0, key))
            time.sleep(0.02)

    def close(self):
        self.sock.close()


def gvnccapture(port, path, password=None, secs=40):
    """Whether the independent viewer takes a picture. It reads a password from a terminal only, after it has asked for it: None
    where this machine has none to give."""
    demand(shutil.which("gvnccapture"), "gvnccapture is not installed: run scripts/setup test")
    if os.path.exists(path):
        os.unlink(path)
    try:
        us, its = os.openpty() if password else (-1, subprocess.DEVNULL)
    except OSError:
        return None
    p = subprocess.Popen(["gvnccapture", "127.0.0.1:%d" % (PORTS[port] - 5900), path], stdin=its,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said, end = b"", time.monotonic() + secs
    while time.monotonic() < end:
        if not select.select([p.stdout], [], [], 1)[0]:
            continue
        more = os.read(p.stdout.fileno(), 1000)
        if not more:
            break
        said += more
        if b"assword" in more and password:
            time.sleep(0.3)     # it drops what was typed before it has turned echoing off
            os.write(us, password.encode() + b"\n")
    else:
        p.kill()
    p.stdout.close()
    for fd in (us, its) if password else ():
        os.close(fd)
    rc = p.wait()
    demand(b"Connected" in said or b"Unable to connect" in said, "gvnccapture says %r" % said[-300:])
    return rc == 0 and os.path.exists(path)


def png_rgb(path):
    """Width, height and pixels of a PNG of 8 bits RGB, as ours are, or RGBA, as gvnccapture's."""
    with open(path, "rb") as f:
        data = f.read()
    demand(data[:8] == b"\x89PNG\r\n\x1a\n", "%s is no PNG" % path)
    at, packed = 8, b""
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + length]
        demand(zlib.crc32(kind + body) == struct.unpack_from(">I", data, at + 8 + length)[0], "a bad sum in the PNG")
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack_from(">IIBB", body)
            demand(depth == 8 and colour in (2, 6), "the PNG is not RGB")
            size = {2: 3, 6: 4}[colour]
        packed += body if kind == b"IDAT" else b""
        at += 12 + length
    raw, line, out, before = zlib.decompress(packed), width * size, [], bytes(width * size)
    for y in range(height):
        kind, now = raw[y * (line + 1)], bytearray(raw[y * (line + 1) + 1:(y + 1) * (line + 1)])
        for i in range(line) if kind else ():
            a, b = now[i - size] if i >= size else 0, before[i]
            c = before[i - size] if i >= size else 0
            paeth = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            now[i] = now[i] + (a, b, (a + b) // 2, paeth)[kind - 1] & 255
        before = bytes(now)
        out.append(before)
    pixels = bytearray(b"".join(out))
    if size == 4:
        del pixels[3::4]
    return width, height, bytes(pixels)


def need_ours(args):
    if args.tools != "joist":
        raise Skip("screens are those of joist")


def net_up(h):
    h.must("ip link set eth0 up; ip addr replace 10.0.2.15/24 dev eth0")


def make(h, name, vfb, *more):
    h.create(name, 'kernel="/share/vmlinuz"', 'cmdline="console=tty0 console=hvc0 vt.global_cursor_default=0"',
             'vfb=["%s"]' % vfb, *more)


def wait_state(h, name, kind, want="4", secs=150):
    dom = h.domains()[name][0]
    node = "/local/domain/0/backend/%s/%d/0/state" % (kind, dom)
    end = time.monotonic() + secs
    while True:
        got = h.sh("xenstore-read " + node).strip()
        if got == want:
            return
        demand(time.monotonic() < end, "%s of %s is in state %s, not %s: %s" % (
            kind, name, got, want, h.sh("xenstore-ls /local/domain/%d/device; tail -n 5 /var/log/joist/joistd.log /var/log/joist/joist-fbd.log" % dom)))
        h.cmd("sleep 0.3")


def pid_of(h, name):
    out = h.sh("pidof " + name).split()
    return out[0] if out else ""


def connected(port, secs=40):
    """A viewer, as soon as one is let in."""
    end = time.monotonic() + secs
    while True:
        try:
            return Viewer(port)
        except Exception as e:
            demand(time.monotonic() < end, "no viewer is let in: %s" % e)
            time.sleep(0.2)


def keys_arrive(h, name, viewer, word):
    """What the viewer types is read from the guest's tty1."""
    h.on_console(name, "rm -f /tmp/k; (head -n 1 </dev/tty1 >/tmp/k) & sleep 1")
    viewer.type(word + "\n")
    got = h.on_console(name, "for i in $(seq 30); do [ -s /tmp/k ] && break; sleep 0.5; done; cat /tmp/k")[0]
    demand(word in got, "typed %r, tty1 got %r" % (word, got))


def switches(h, pid):
    return int(re.search(r"(?m)^voluntary_ctxt_switches:\s*(\d+)", h.must("grep ^voluntary /proc/%s/status" % pid)).group(1))


def login(h, name, viewer):
    """A viewer logs in at a terminal of the guest's screen, with a password; what it types there is done."""
    wait = "for i in $(seq 60); do grep -q '%s' /dev/vcs1 && break; sleep 0.5; done; tr -s ' ' '\\n' </dev/vcs1 | tail -n 3"
    h.on_console(name, "stty -F /dev/tty1 sane; >/tmp/who; chmod 666 /tmp/who; "
                 "echo \"tester:$(mkpasswd -m sha256 'Sesame-7'):70:70::/tmp:/bin/sh\" >>/etc/passwd; "
                 "clear >/dev/tty1; (setsid getty -L 0 tty1 linux &); " + wait % "login:")
    viewer.type("tester\n")
    got = h.on_console(name, wait % "Password:")[0]
    demand(got.split()[-1:] == ["Password:"], "the login says %r" % got)
    viewer.type("Sesame-7\n")
    h.on_console(name, wait % "guest#")
    viewer.type("(id -u; tty) >/tmp/who; exit\n")
    got = h.on_console(name, "for i in $(seq 60); do [ -s /tmp/who ] && break; sleep 0.5; done; cat /tmp/who; sed -i /^tester/d /etc/passwd")[0]
    demand(got.split() == ["70", "/dev/tty1"], "logged in over VNC, the guest says %r" % got)


def colours(pixels):
    return len({bytes(pixels[i:i + 3]) for i in range(0, len(pixels), 4)})


def screen(h):
    """The guest s1 with a screen that shows something, and whose host is reached from outside; made unless it is there."""
    if "s1" in h.domains():
        return
    net_up(h)
    make(h, "s1", "vnc=1,vnclisten=0.0.0.0,vncdisplay=0")
    wait_state(h, "s1", "vfb")
    wait_state(h, "s1", "vkbd")
    h.on_console("s1", "dmesg -n 1; for i in 1 2 3 4 5 6 7 8 9; do echo the quick brown fox $i; done >/dev/tty1")


def picture(h, args):
    """A viewer sees what the guest draws, `joist screenshot` the same; it logs in; a still screen costs nothing."""
    need_ours(args)
    screen(h)
    v = connected(PORTS[5900])
    demand((v.width, v.height) == (800, 600), "%d x %d pixels" % (v.width, v.height))
    demand(v.title == "s1", "the title is %r" % v.title)
    frame = v.frame()
    demand(colours(frame) > 1, "the picture is blank")
    login(h, "s1", v)
    time.sleep(1)
    h.must_tool("screenshot s1 /tmp/shot.png")
    # written into a file that is there: without /proc QEMU can make none in the shared directory
    with open(os.path.join(SHARE, "shot.png"), "wb"):
        pass
    h.must("cat /tmp/shot.png >/share/shot.png")
    want = v.rgb()
    demand(png_rgb(os.path.join(SHARE, "shot.png")) == (800, 600, want), "the screenshot is another picture")
    path = os.path.join(SHARE, "capture.png")
    demand(gvnccapture(5900, path), "gvnccapture takes no picture")
    demand(png_rgb(path) == (800, 600, want), "gvnccapture sees another picture")
    # one character: a few tiles, not the whole picture
    v.want(1)
    time.sleep(1)
    h.on_console("s1", "printf x >/dev/tty1")
    size = v.update()
    demand(0 < size <= 64 * 16 * 4 * 8, "one character brought %d bytes" % size)
    return still(h, v, 30 if args.long else 5, "%d bytes raw for one character, %s" % (size, scroll(h)))


def scroll(h):
    """Bytes that one scrolled line of a full text screen costs, in two encodings."""
    h.on_console("s1", "for i in $(seq 60); do echo line $i of a text that fills the screen; done >/dev/tty1; sleep 0.5; "
                 "(sleep 4; for i in 1 2 3; do sleep 3; echo another line, number $i >/dev/tty1; done) & sleep 0.2")
    viewers = [Viewer(PORTS[5900], encoding=0), Viewer(PORTS[5900], encoding=16)]
    sizes = []
    for v in viewers:
        v.want(0)
        v.update()
        v.want(1)
    for _ in range(3):
        sizes.append([v.updates() for v in viewers])
    for v in viewers:
        v.close()
    raw, zrle = sorted(sizes)[1]
    demand(0 < raw <= 800 * 600 * 4 and 0 < zrle < 800 * 600, "a scrolled line costs %r bytes" % sizes)
    return "a scrolled line: %d bytes raw, %d bytes ZRLE" % (raw, zrle)


def private(h, pid):
    """kB of private memory. A further guest costs this: the programs' and libraries' own pages, which a ramdisk counts as private,
    are shared."""
    return int(re.search(r"Anonymous:\s*(\d+)", h.must("cat /proc/%s/smaps_rollup" % pid)).group(1))


def still(h, v, secs, said):
    """Nothing is sent and the process does not wake up, with and without a viewer; its memory."""
    pid = pid_of(h, FBD)
    v.frame()
    busy = private(h, pid)
    demand(busy <= 2048 + 800 * 600 * 4 // 1024, "%d kB of private memory while a picture is sent" % busy)
    v.want(1)
    time.sleep(2.5)     # the copy is given back after one
    before = switches(h, pid)
    demand(v.quiet(secs), "something was sent though nothing changed")
    demand(switches(h, pid) == before, "%d wake-ups on a still screen" % (switches(h, pid) - before))
    watched = private(h, pid)
    demand(watched <= 2048, "%d kB of private memory" % watched)
    status = h.must("grep -E '^(Uid|NoNewPrivs|Seccomp):|^CapEff' /proc/%s/status" % pid)
    demand(re.search(r"Uid:\s+65534\s", status) and re.search(r"NoNewPrivs:\s+1", status)
           and re.search(r"Seccomp:\s+2", status) and re.search(r"CapEff:\s+0+\s", status), "rights: %s" % status)
    v.close()
    time.sleep(1)
    before = switches(h, pid)
    time.sleep(secs)
    demand(switches(h, pid) == before, "wake-ups without a viewer")
    alone = private(h, pid)
    demand(alone <= watched, "%d kB of private memory without a viewer" % alone)
    return "%s; no wake-up in %d s; private memory %d kB with a viewer, %d kB without, %d kB while a picture is sent" % (
        said, secs, watched, alone, busy)


def survives(h, args):
    """joist-fbd killed: back within two seconds, picture and keys; joistd killed: the viewer stays connected."""
    need_ours(args)
    screen(h)
    old = pid_of(h, FBD)
    t = time.monotonic()
    h.must("kill -9 " + old)
    v = connected(PORTS[5900])
    took = time.monotonic() - t
    demand(pid_of(h, FBD) not in ("", old), "joist-fbd was not started again")
    wait_state(h, "s1", "vfb")
    time.sleep(1)
    demand(colours(v.frame()) > 1, "the picture is blank after the restart")
    keys_arrive(h, "s1", v, "again")
    fbd = pid_of(h, FBD)
    h.must("kill -9 " + pid_of(h, "joistd"))
    h.cmd("sleep 2")
    demand(pid_of(h, FBD) == fbd, "joist-fbd went with joistd")
    keys_arrive(h, "s1", v, "Still: {1}?")
    v.close()
    return "back after %.1f s" % took


def password(h):
    """A second screen, on the next free port, whose viewers need a password: ours, and gvnccapture."""
    make(h, "s2", "vnc=1,vnclisten=0.0.0.0,vncdisplay=0,vncunused=1,vncpasswd=secret", "memory=160")
    out = h.must_tool("vncviewer --print s2").strip()
    demand(out == "localhost:1", "vncviewer: %r" % out)
    for word in ("Secret", "secre", "secret"):
        v = Viewer(PORTS[5901], password=word)
        demand(v.let_in == (word == "secret"), "with the password %r a viewer is %s" % (word, "let in" if v.let_in else "refused"))
        demand(word != "secret" or v.title == "s2", "the screen of %s" % getattr(v, "title", ""))
        v.close()
    path = os.path.join(SHARE, "password.png")
    demand(not gvnccapture(5901, path, "wrong"), "gvnccapture is let in with a wrong password")
    demand(gvnccapture(5901, path, "secret") in (True, None), "gvnccapture is refused with the password")


def refused(h, args):
    """A port in use, named with its owner; bad entries; a password; a guest that reboots keeps its screen; nothing is left."""
    need_ours(args)
    screen(h)
    rc, out = h.tool("create /etc/joist/guest.cfg 'name=\"s2\"' 'vfb=[\"vnclisten=0.0.0.0,vncdisplay=0\"]'")
    demand(rc == 1 and "s1" in out and "5900" in out, "port in use: %d %r" % (rc, out))
    h.must("(nc -l -p 5907 </dev/null >/dev/null &) ; sleep 0.5")
    rc, out = h.tool("create /etc/joist/guest.cfg 'name=\"s2\"' 'vfb=[\"vncdisplay=7\"]'")
    demand(rc == 1 and re.search(r"in use by (nc|busybox)", out), "port of another program: %d %r" % (rc, out))
    h.sh("kill $(pidof nc)")
    rc, out = h.tool("create /etc/joist/guest.cfg 'name=\"s2\"' 'vfb=[\"vnc=1,bogus=2\"]'")
    demand(rc == 1 and "bogus" in out, "unknown key: %d %r" % (rc, out))
    rc, out = h.tool("create /etc/joist/guest.cfg 'name=\"s2\"' 'vfb=[\"backend=s1\"]'")
    demand(rc == 1 and "control domain" in out, "another back end: %d %r" % (rc, out))
    demand("s2" not in h.domains(), "a refused guest is there")
    password(h)
    h.must_tool("destroy s2")
    h.gone("s2")
    before = h.domains()["s1"][0]
    h.must_tool("reboot s1")
    for _ in range(60):
        if h.domains().get("s1", (before,))[0] != before:
            break
        h.cmd("sleep 0.5")
    wait_state(h, "s1", "vfb")
    v = connected(PORTS[5900])
    demand(colours(v.frame()) > 1, "the picture is blank after a reboot")
    v.close()
    h.must_tool("destroy s1")
    h.gone("s1")
    demand(pid_of(h, FBD) == "", "joist-fbd is left")
    left = h.sh("ls /run/joist | grep screen; xenstore-ls -f /local/domain/0/backend | grep -E '/(vfb|vkbd)/'").strip()
    demand(not left, "left: %s" % left)


def channels(h, args):
    """Second consoles: a channel to a unix socket echoes, one to a terminal takes a console; both survive their daemon."""
    need_ours(args)
    h.create("c1", 'channel=["name=org.test,connection=socket,path=/run/joist/c1.sock","name=tty,connection=pty"]')
    for i in (1, 2):
        dom = h.domains()["c1"][0]
        for _ in range(100):
            if h.sh("xenstore-read /local/domain/0/backend/console/%d/%d/state" % (dom, i)).strip() == "4":
                break
            h.cmd("sleep 0.3")
        else:
            demand(False, "console %d is not connected: %s" % (i, h.sh("tail -n 5 /var/log/joist/joist-consoled.log")))
    h.on_console("c1", "for t in 1 2; do (exec 3<>/dev/hvc$t; stty raw -echo <&3; cat <&3 >&3) & done; sleep 1")
    out = h.must_tool("channel-list c1")
    demand(re.search(r"(?m)^1 +0 +4 .* socket +/run/joist/c1.sock", out) and "/dev/pts/" in out, "channel-list: %s" % out)
    for word in ("ping", "pong"):
        got = h.sh("echo %s | unixcat /run/joist/c1.sock" % word)
        demand(got.split() == [word], "the channel echoes %r: %r" % (word, got))
        got = h.sh("(echo %s; sleep 2) | timeout 10 joist console -n 2 c1" % word)
        demand(word in got, "console 2 echoes %r: %r" % (word, got))
        h.must("kill -9 $(pidof joist-consoled); sleep 2")
    rc, out = h.tool("console -n 7 c1 </dev/null")
    demand(rc == 1, "a console that is not there: %d %r" % (rc, out))
    h.must_tool("destroy c1")
    h.gone("c1")
    left = h.sh("ls /run/joist | grep c1; ls /run/joist/console").strip()
    demand("sock" not in left, "left: %s" % left)
