# SPDX-License-Identifier: MIT
"""Scenarios of guests' networks: traffic with the data checked, attach and detach, refusals, spoofing, scripts, rates, kills."""
import base64
import os
import re
import subprocess
import time

import guests
import harness
import system
from daemons import kill
from system import demand

HOST = "10.0.0.1"
GUESTS = {"n1": "10.0.0.11", "n2": "10.0.0.12"}
MB = 1000000
PORT = [5000]
TABLES = "netprobe tables"
OUTER = "10.77.0.21"            # n1's address in QEMU's user network
OUTSIDE = "10.77.0.2"           # this host in it


def bridge_up(h):
    if "xenbr0" not in h.sh("ls /sys/class/net"):
        h.must("modprobe -a bridge xen-netback")
        h.must("brctl addbr xenbr0 && ip addr add %s/24 dev xenbr0 && ip link set xenbr0 up" % HOST)


def guest_up(h, name):
    """The guest, on the bridge, with a shell for dom0 behind a port."""
    bridge_up(h)
    if name not in h.domains():
        # Linux 6.1's xen-netfront keeps the 256 pages of a page pool at each detach (it never unregisters its receive queue)
        h.create(name, "vif=[\"bridge=xenbr0\"]", "memory=%d" % (320 if name == "n1" else 128))
        h.on_console(name, "ip addr add %s/24 dev eth0; ip link set eth0 up" % GUESTS[name],
                     "(setsid nc -ll -p 99 -e /bin/sh </dev/null >/dev/null 2>&1 &)")
        h.must("ping -c 1 -W 5 " + GUESTS[name])


def on(h, where, line, timeout=60):
    """Runs a line in dom0 (None) or in a guest; its output."""
    if where is None:
        return h.sh(line, timeout)
    demand("'" not in line, "a quote in a line for a guest: " + line)
    return h.sh("echo '%s' | nc -w 5 %s 99" % (line, GUESTS[where]), timeout)


def address(where):
    return HOST if where is None else GUESTS[where]


def transfer(h, kind, source, target, size, to=None, options="", seconds=40):
    """Sends `size` checked bytes; what the receiver says."""
    PORT[0] += 1
    on(h, target, "(setsid netprobe recv %s %d %d %d >/tmp/np 2>&1 </dev/null &)" % (kind, PORT[0], size, seconds))
    h.cmd("usleep 300000")
    sent = on(h, source, "netprobe send %s %s %d %d %s 2>&1" % (kind, to or address(target), PORT[0], size, options),
              seconds + 20)
    return received(h, target, seconds) or "nothing (the sender: %s)" % sent.strip()


def ok(h, *args, **more):
    out = transfer(h, *args, **more)
    demand(out.startswith("OK"), "%s: %s" % (" ".join(str(a) for a in args), out))
    return out


def machine_args():
    """A network card in QEMU's user network: what lies outside the machine."""
    return ["-netdev", "user,id=outside,net=10.77.0.0/24", "-device", "virtio-net-pci,netdev=outside"]


def outside_up(h):
    """n1 has an address in the network outside: the machine's card is a port of the bridge."""
    guest_up(h, "n1")
    h.must("modprobe virtio_net")
    card = h.must("cd /sys/class/net; for i in *; do [ -d $i/device/driver ] && ls -l $i/device/driver | grep -q virtio_net && echo $i; done; true")
    demand(len(card.split()) == 1, "the machine's network cards are %r" % card.split())
    if card.strip() not in h.sh("ls /sys/class/net/xenbr0/brif").split():
        h.must("brctl addif xenbr0 %s; ip link set %s up" % (card.strip(), card.strip()))
        on(h, "n1", "ip addr add %s/24 dev eth0" % OUTER)
    demand(", 0% packet loss" in on(h, "n1", "ping -c 1 -W 5 " + OUTSIDE), "n1 does not reach the host outside")


def transfer_outside(h, kind, inward, size, seconds=40):
    """Sends `size` checked bytes from a process of this host to n1, or from n1 to it; what the receiver says."""
    probe = [os.path.join(harness.BUILD, "system", "netprobe")]
    port, inner = system.free_port(), 6000 + PORT[0]
    PORT[0] += 1
    if not inward:
        with subprocess.Popen(probe + ["recv", kind, str(port), str(size), str(seconds)], stdout=subprocess.PIPE, text=True) as p:
            try:
                time.sleep(0.2)
                sent = on(h, "n1", "netprobe send %s %s %d %d 2>&1" % (kind, OUTSIDE, port, size), seconds + 20)
                return p.communicate(timeout=seconds + 20)[0].strip() or "nothing (the sender: %s)" % sent.strip()
            finally:
                p.kill()
    said = h.qmp.monitor("hostfwd_add outside %s:127.0.0.1:%d-%s:%d" % (kind, port, OUTER, inner))
    demand(not said.strip(), "hostfwd_add: " + said)
    on(h, "n1", "(setsid netprobe recv %s %d %d %d >/tmp/np 2>&1 </dev/null &)" % (kind, inner, size, seconds))
    h.cmd("usleep 300000")
    sent = subprocess.run(probe + ["send", kind, "127.0.0.1", str(port), str(size)], stdout=subprocess.PIPE, text=True, check=False,
                          timeout=seconds + 20).stdout
    h.qmp.monitor("hostfwd_remove outside %s:127.0.0.1:%d" % (kind, port))
    return received(h, "n1", seconds) or "nothing (the sender: %s)" % sent.strip()


def received(h, where, seconds):
    """What the receiver says there, once it has ended."""
    for _ in range(seconds * 5):
        out = on(h, where, "cat /tmp/np").strip()
        if out:
            return out
        h.cmd("usleep 200000")
    return ""


def baseline(h):
    """What must come back: interfaces, nodes (but the kernel's notes of errors: they go with the guest), rules, routes, descriptors."""
    pid = h.sh("pidof joistd").split()[0]
    return {"interfaces": sorted(h.sh("ls /sys/class/net").split()),
            "nodes": sorted(x.split(" = ")[0] for x in h.sh("xenstore-ls -f / | grep vif").splitlines() if "=" in x and "/error/" not in x),
            "rules": h.sh(TABLES).split(),
            "routes": sorted(x.strip() for x in h.sh("ip route").splitlines()),
            "descriptors": [h.sh("ls /proc/%s/fd | wc -l" % pid).strip()]}


def same(h, before, what):
    """Compares with a baseline, a few times: the kernel takes interfaces away in its own time."""
    for _ in range(20):
        after = baseline(h)
        if after == before:
            return
        h.cmd("usleep 300000")
    demand(False, "; ".join("%s: %s: gone %r, new %r" % (what, k, sorted(set(before[k]) - set(after[k])),
                                                         sorted(set(after[k]) - set(before[k])))
                            for k in before if before[k] != after[k]))


def attach(h, name, *words):
    return h.must_tool("network-attach %s %s" % (name, " ".join("'%s'" % w for w in words)))


def eth1(h, name, ip, prefix=24):
    """Brings the guest's second interface up."""
    for _ in range(30):
        if "eth1" in on(h, name, "ls /sys/class/net"):
            break
        h.cmd("usleep 200000")
    out = on(h, name, "ip addr add %s/%d dev eth1 2>&1; ip link set eth1 up 2>&1" % (ip, prefix))
    demand(not out.strip(), "eth1 of %s: %s" % (name, out))


def traffic(h, _args):
    """ping, TCP and UDP between guest and dom0 and between guests, both directions, every byte checked."""
    guest_up(h, "n1")
    guest_up(h, "n2")
    out = h.must_tool("network-list n1")
    demand(re.search(r"(?m)^0 +0 +00:16:3e:[0-9a-f:]{8} +0 +4 ", out), "`network-list` says %r" % out)
    said = []
    for source, target in ((None, "n1"), ("n1", None), ("n1", "n2"), ("n2", "n1")):
        out = ok(h, "tcp", source, target, 8 * MB)
        said.append("%s>%s %s" % (source or "dom0", target or "dom0", out.split(", ")[-1]))
        ok(h, "udp", source, target, MB)
    for name in GUESTS:
        demand(", 0% packet loss" in on(h, name, "ping -c 3 -i 0.2 -q %s" % HOST), "%s cannot ping dom0" % name)
    return "TCP: " + ", ".join(said)


def outside(h, _args):
    """TCP and UDP between a guest and what lies outside the machine, both directions, every byte checked."""
    outside_up(h)
    said = []
    for inward in (False, True):
        for kind, size in (("tcp", 4 * MB), ("udp", MB // 2)):
            out = transfer_outside(h, kind, inward, size)
            demand(out.startswith("OK"), "%s %s: %s" % (kind, "inward" if inward else "outward", out))
            said.append("%s %s %s" % (kind, "in" if inward else "out", out.split(", ")[-1]))
    return ", ".join(said)


def held(h):
    """What every domain and daemon holds, beside what baseline() looks at: grants, event channels, pages, nodes, descriptors."""
    out = guests.baseline(h)
    out["store"] = [x for x in out["store"] if "/error/" not in x]
    return out


def cycles(h, args):
    """attach and detach a second interface under traffic on the first: nothing is left behind."""
    guest_up(h, "n1")
    attach(h, "n1", "mac=00:16:3e:00:00:77")          # what is made once, is now
    h.must_tool("network-detach n1 1")
    on(h, "n1", "(setsid nc -ll -p 98 -e /bin/cat </dev/null >/dev/null 2>&1 &)")
    count = 100 if args.long else 10
    if args.long:
        busy_cycles(h, 5)                             # tables of grants have grown to what the traffic needs
    before, before_all = baseline(h), held(h) if args.long else {}
    took, echoed = busy_cycles(h, count)
    same(h, before, "after %d cycles" % count)
    demand(on(h, "n1", "ls /sys/class/net").split() == ["eth0", "lo"], "the guest keeps an interface")
    left = guests.difference(before_all, held(h)) if args.long else ""
    demand(not left, "after %d cycles: %s" % (count, left))
    return "%d cycles, %.1f s each, %.1f MB of traffic meanwhile" % (count, took, echoed / MB)


def busy_cycles(h, count):
    """So many; the seconds that each took, and the bytes that came back meanwhile."""
    h.must("(while :; do head -c 100000 /dev/zero; usleep 200000; done | nc %s 98 >/tmp/echo 2>&1 &)" % GUESTS["n1"])
    on(h, "n1", "(ping -q -s 8000 -i 0.1 %s >/dev/null 2>&1 &)" % HOST)
    t = time.monotonic()
    for i in range(count):
        attach(h, "n1", "mac=00:16:3e:00:00:77", "ip=10.0.1.2", "vifname=second")
        if i % 5 == 0:
            eth1(h, "n1", "10.0.1.2")
        out = h.sh("ls /sys/class/net/xenbr0/brif")
        demand("second" in out, "cycle %d: the ports of the bridge are %r" % (i, out))
        h.must_tool("network-detach n1 %s" % ("1", "00:16:3e:00:00:77", "second")[i % 3])
    took = (time.monotonic() - t) / count
    echoed = int(h.sh("wc -c </tmp/echo"))
    demand(echoed > 100000, "the traffic meanwhile was %d bytes" % echoed)
    h.sh("killall nc; rm /tmp/echo")
    on(h, "n1", "killall ping")
    return took, echoed


PLAIN = """#!/bin/sh
[ "$1" = online ] || exit 0
brctl addif xenbr0 $vif && ip link set $vif up && xenstore-write $XENBUS_PATH/hotplug-status connected
"""
LOSS = 1032             # KiB of a guest's memory: 256 pages of a page pool and what describes them


def guest_memory(h, _args):
    """What a guest with Linux 6.1 loses at each detach of an interface: its xen-netfront's page pool, with any toolstack on any
    hypervisor, and nothing more with ours."""
    bridge_up(h)
    h.must("echo %s | base64 -d >/tmp/plain; chmod 755 /tmp/plain" % base64.b64encode(PLAIN.encode()).decode())
    h.create("n3", "memory=256")

    def used():
        """KiB not free, of which in slabs."""
        out = h.on_console("n3", "sync; echo 3 >/proc/sys/vm/drop_caches; sleep 1; cat /proc/meminfo", "ls /sys/class/net")
        demand(out[1].split() == ["lo"], "the guest keeps an interface: %r" % out[1])
        size = {m[0]: int(m[1]) for m in re.findall(r"(\w+): +(\d+) kB", out[0])}
        return size["MemTotal"] - size["MemFree"], size["Slab"]

    def turns(count):
        line = "network-attach n3 script=/tmp/plain mac=00:16:3e:00:00:78 && %s network-detach n3 0 || echo BAD"
        tool = "xl" if h.tools == "stock" else "joist"
        for _ in range(count):
            rc, out = h.tool(line % tool)
            demand(rc == 0 and "BAD" not in out, "attach and detach: %s" % out)
    turns(2)                                          # what is made once, is now
    said, last = [], used()
    for _ in range(4):
        turns(10)
        now = used()
        said.append([(b - a) / 10 for a, b in zip(last, now)])
        last = now
    h.must_tool("destroy n3")
    h.gone("n3")
    text = "KiB lost at each detach (of it in slabs): " + ", ".join("%.0f (%.0f)" % tuple(x) for x in said)
    demand(sum(x[0] for x in said) / len(said) <= LOSS + 40, text)
    return text


REFUSED = [
    # what, words of network-attach, what the message must say
    ("no such bridge", "bridge=nobr", r"there is no bridge nobr"),
    ("no bridge", "bridge=lo", r"interface lo is no bridge"),
    ("another guest's MAC", "mac={mac2}", r"is that of the guest n2"),
    ("its own MAC", "mac={mac1}", r"is that of the guest's interface 0"),
    ("a name that exists", "vifname=lo", r"an interface lo exists"),
    ("unknown key", "bridg=xenbr0", r'byte 1: unknown key "bridg"'),
    ("no such script", "script=/none", r"/none: the script cannot be run: No such file"),
    ("a script that fails", "script=/tmp/bad", r"/tmp/bad: the script ended with code 3: it is broken"),
    ("a script that complains", "script=/tmp/sad", r"/tmp/sad: the script ended with code 0: no such port"),
    ("no such device for NAT", "script=vif-nat ip=10.6.0.2 gatewaydev=none0", r"there is no interface none0"),
]


def refused(h, _args):
    """What cannot work is refused with its reason, for a running guest and for a new one: nothing is left."""
    guest_up(h, "n1")
    guest_up(h, "n2")
    h.must("printf '#!/bin/sh\\necho more\\necho it is broken >&2\\nexit 3\\n' >/tmp/bad; chmod 755 /tmp/bad")
    h.must("printf '#!/bin/sh\\nxenstore-write $XENBUS_PATH/hotplug-error \"no such port\"\\n' >/tmp/sad; chmod 755 /tmp/sad")
    mac = {"mac%s" % n: re.search(r"00:16:3e:[0-9a-f:]{8}", h.must_tool("network-list n" + n)).group(0) for n in "12"}
    before = baseline(h)
    domains = h.domains().keys()
    for what, words, want in REFUSED:
        rc, out = h.tool("network-attach n1 " + words.format(**mac))
        demand(rc == 1 and re.search(want, out), "%s: code %d, %s" % (what, rc, out))
        if "mac1" in words:
            continue
        rc, out = h.tool("create /etc/joist/guest.cfg name=bad \"vif=['%s']\"" % ",".join(words.format(**mac).split()))
        demand(rc == 1 and re.search(want.replace("byte 1: ", ""), out), "create: %s: code %d, %s" % (what, rc, out))
    demand(h.domains().keys() == domains, "a guest is left over: %r" % h.domains())
    same(h, before, "after refusals")
    return "%d refusals" % (2 * len(REFUSED) - 1)


TAGS = "8100.0 8100.5 88a8.0 88a8.7"        # types and numbers of VLANs


def heard_tags(h, source):
    """Which of the frames that n1 sends from eth1, one without a tag and one with each, come through the bridge."""
    h.must("(setsid netprobe hear xenbr0 8 >/tmp/np 2>&1 </dev/null &)")
    h.cmd("usleep 500000")
    out = on(h, "n1", "netprobe frames eth1 %s 10.0.2.1 %s 2>&1" % (source, TAGS))
    demand(out.strip() == "OK", "frames: " + out)
    out = received(h, None, 12).split()
    demand(out[:1] == ["heard"], "hear: %r" % out)
    return out[1:]


def spoofing(h, _args):
    """With ip= only that address, in IP and ARP, and the own MAC get out, and no tag of a VLAN; without it, any."""
    guest_up(h, "n1")
    before = baseline(h)
    h.must("ip addr add 10.0.2.1/24 dev xenbr0")
    attach(h, "n1", "ip=10.0.2.2", "mac=00:16:3e:00:00:55")
    demand(h.sh(TABLES).split(), "there are no rules")
    eth1(h, "n1", "10.0.2.2")
    on(h, "n1", "echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore")     # eth0, without rules, must not answer for eth1
    to = {"to": "10.0.2.1", "seconds": 6}
    ok(h, "udp", "n1", None, 20000, options="10.0.2.2", **to)
    ok(h, "tcp", "n1", None, 2 * MB, options="10.0.2.2", **to)
    on(h, "n1", "ip addr add 10.0.2.3/24 dev eth1")
    heard = heard_tags(h, "10.0.2.2")
    demand(heard == ["plain"], "with ip= the frames %r get through" % heard)
    out = transfer(h, "udp", "n1", None, 20000, options="10.0.2.3", **to)
    demand("BAD 0 of" in out, "a false address gets through: " + out)
    demand("Received 0" in h.sh("arping -c 2 -w 2 -I xenbr0 10.0.2.3"), "a false address is answered for in ARP")
    demand("Received 0" not in h.sh("arping -c 2 -w 3 -I xenbr0 10.0.2.2"), "the true address is not answered for")
    on(h, "n1", "ip link set eth1 down; ip link set eth1 address 00:16:3e:00:00:56; ip link set eth1 up")
    out = transfer(h, "udp", "n1", None, 20000, options="10.0.2.2", **to)
    demand("BAD 0 of" in out, "a false MAC gets through: " + out)
    on(h, "n1", "ip link set eth1 down; ip link set eth1 address 00:16:3e:00:00:55; ip link set eth1 up")
    ok(h, "udp", "n1", None, 20000, options="10.0.2.2", **to)
    h.must_tool("network-detach n1 1")
    attach(h, "n1", "mac=00:16:3e:00:00:55")
    eth1(h, "n1", "10.0.2.2")
    heard = heard_tags(h, "10.0.2.2")
    demand(heard == ["plain"] + TAGS.split(), "without ip= only the frames %r get through" % heard)
    h.must_tool("network-detach n1 1")
    h.must("ip addr del 10.0.2.1/24 dev xenbr0")
    same(h, before, "after spoofing")
    return "tags pass without ip=, none with it"


SCRIPT = r"""#!/bin/sh
echo "$1 $vif $XENBUS_PATH $XENBUS_TYPE $XENBUS_BASE_PATH $script" >>/tmp/script.log
[ "$1" = online ] || exit 0
brctl addif $(xenstore-read $XENBUS_PATH/bridge) $vif && ip link set $vif up && xenstore-write $XENBUS_PATH/hotplug-status connected
"""


def script(h, _args):
    """script= runs the administrator's program with Xen's environment, online and offline; the interface works."""
    guest_up(h, "n1")
    before = baseline(h)
    h.must("echo %s | base64 -d >/tmp/mine" % base64.b64encode(SCRIPT.encode()).decode())
    h.must("chmod 755 /tmp/mine; rm -f /tmp/script.log; ip addr add 10.0.3.1/24 dev xenbr0")
    attach(h, "n1", "script=/tmp/mine", "bridge=xenbr0")
    dom = h.domains()["n1"][0]
    eth1(h, "n1", "10.0.3.2")
    ok(h, "tcp", "n1", None, 2 * MB, to="10.0.3.1")
    h.must_tool("network-detach n1 1")
    h.must("ip addr del 10.0.3.1/24 dev xenbr0")
    want = ["%s vif%d.1 /local/domain/0/backend/vif/%d/1 vif backend /tmp/mine" % (w, dom, dom) for w in ("online", "offline")]
    out = h.sh("cat /tmp/script.log").split("\n")
    demand([x.strip() for x in out if x.strip()] == want, "the script was run as %r" % out)
    same(h, before, "after script=")


def rate(h, _args):
    """rate= limits what the guest sends, not what it gets; mtu= and the bridge's MTU reach the interface."""
    guest_up(h, "n1")
    before = baseline(h)
    h.must("ip addr add 10.0.4.1/24 dev xenbr0")
    attach(h, "n1", "rate=8Mb/s", "mtu=1400", "vifname=slow")
    demand(h.sh("cat /sys/class/net/slow/mtu").strip() == "1400", "mtu= does not reach the interface")
    dom = h.domains()["n1"][0]
    demand(h.sh("xenstore-read /local/domain/0/backend/vif/%d/1/rate" % dom).strip() == "50000,50000", "the node rate is wrong")
    eth1(h, "n1", "10.0.4.2")
    t = time.monotonic()
    out = ok(h, "tcp", "n1", None, 3 * MB, to="10.0.4.1", options="10.0.4.2")
    took = time.monotonic() - t
    speed = float(re.search(r"([0-9.]+) MB/s", out).group(1))
    demand(speed < 1.25 and took > 2.4, "rate=8Mb/s let %s through" % out)
    h.must_tool("network-detach n1 1")
    h.must("ip addr del 10.0.4.1/24 dev xenbr0")
    same(h, before, "after rate=")
    return "%.2f MB/s with rate=8Mb/s" % speed


def routed(h, _args):
    """A routed interface and one with NAT: the guest is reached, and reaches another guest under the host's address."""
    guest_up(h, "n1")
    guest_up(h, "n2")
    before = baseline(h)
    attach(h, "n1", "script=vif-route", "ip=10.5.0.2", "gatewaydev=xenbr0")
    demand(re.search(r"(?m)^10\.5\.0\.2 dev vif\d+\.1 ", h.sh("ip route")), "no route: " + h.sh("ip route"))
    eth1(h, "n1", "10.5.0.2")
    h.must("ping -c 2 -W 2 10.5.0.2")
    ok(h, "tcp", None, "n1", 2 * MB, to="10.5.0.2")
    h.must_tool("network-detach n1 1")
    same(h, before, "after routing")
    attach(h, "n1", "script=vif-nat", "ip=10.6.0.2")
    demand(len(h.sh(TABLES).split()) == 2, "rules: " + h.sh(TABLES))
    eth1(h, "n1", "10.6.0.2")
    on(h, "n1", "ip route add 10.9.0.0/24 via 10.6.0.1")
    # n2 has an address in a network that n1 reaches only through its gateway, and no route back to n1
    on(h, "n2", "ip addr add 10.9.0.2/24 dev eth0")
    h.must("ip addr add 10.9.0.1/24 dev xenbr0")
    ok(h, "tcp", "n1", "n2", 2 * MB, to="10.9.0.2", options="10.6.0.2")
    ok(h, "udp", "n1", "n2", 20000, to="10.9.0.2", options="10.6.0.2")
    h.must_tool("network-detach n1 1")
    h.must("ip addr del 10.9.0.1/24 dev xenbr0")
    on(h, "n2", "ip addr del 10.9.0.2/24 dev eth0")
    same(h, before, "after NAT")


def killed(h, _args):
    """kill -9 of joistd with an interface attached, and while one is being attached; then detach, destroy: nothing is left."""
    guest_up(h, "n1")
    before = baseline(h)
    attach(h, "n1", "ip=10.0.1.2", "vifname=kept", "mac=00:16:3e:00:00:44")
    kill(h, "joistd")
    h.must_tool("network-list n1")
    h.must_tool("network-detach n1 00:16:3e:00:00:44")
    for wait in (10, 60, 150):
        h.cmd("(joist network-attach n1 script=vif-nat ip=10.6.0.2 >/dev/null 2>&1 &); usleep %d000" % wait)
        kill(h, "joistd")
        for _ in range(30):
            if h.tool("network-list n1")[0] == 0:
                break
            h.cmd("usleep 200000")
        # either it was attached and is known, or nothing of it is left
        out = h.must_tool("network-list n1")
        if re.search(r"(?m)^1 ", out):
            h.must_tool("network-detach -f n1 1")
    same(h, before, "after kill -9")
    # an interface keeps its number, and so itself, when one before it has gone
    for last in "12":
        attach(h, "n1", "ip=10.0.1.%d" % (4 + int(last)), "vifname=kept" + last)
    h.must_tool("network-detach n1 1")
    kill(h, "joistd")
    for _ in range(30):
        rc, out = h.tool("network-list n1")
        if rc == 0:
            break
        h.cmd("usleep 200000")
    h.cmd("sleep 2")                    # what it takes over it tidies
    h.must("ip link show kept2")
    out = h.must_tool("network-list n1")
    demand(re.search(r"(?m)^2 ", out) and not re.search(r"(?m)^1 ", out), "after the restart: %r" % out)
    h.must_tool("network-detach n1 2")
    same(h, before, "after the restart")
    h.must("ping -c 1 -W 5 " + GUESTS["n1"])
    attach(h, "n1", "ip=10.0.1.2", "vifname=kept")
    kill(h, "joistd")
    h.must_tool("destroy n1")
    h.gone("n1")
    for name in [n for n in GUESTS if n in h.domains()]:
        h.must_tool("destroy " + name)
        h.gone(name)
    left = baseline(h)
    demand(not [i for i in left["interfaces"] if i.startswith(("vif", "kept"))], "interfaces: %r" % left)
    # the directory above all back ends of the class is made once and stays
    demand(not left["rules"] and left["nodes"] in ([], ["/local/domain/0/backend/vif"]), "rules or nodes: %r" % left)
    notes = h.sh("xenstore-ls -f / | grep error/backend/vif/").strip()
    demand(not notes, "the kernel's notes stay: " + notes)


ALL = [traffic, outside, cycles, guest_memory, refused, spoofing, script, rate, routed, killed]
