# SPDX-License-Identifier: MIT
"""The table of guests' devices: every promise and every bad input, and the tests that show it.

Each row: (number of the item, or "bad input"; what; names of tests). "group.scenario" is a scenario of this directory, "cli:NAME" a
test of tests/cli/run_host.py, "unit:NAME" a program of tests/unit, "fuzz:NAME" one of tests/fuzz. run.py says so when a
name is of nothing; `python3 tests/system/shown.py` prints the table."""
import os
import re

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

TABLE = [
    (1, "disk= in all of xl's forms", ["unit:test_disk", "fuzz:fuzz_disk", "cli:bad-input"]),
    (1, "files, phy:, CD, modes r and w: data arrive, read-only stays so", ["blocks.files", "backends.served"]),
    (1, "a disk in use elsewhere is refused by name; w! asks nobody", ["blocks.refused"]),
    (1, "block-attach, -detach, -list", ["blocks.plugging", "cli:life"]),
    (1, "resize is seen by the guest", ["blocks.plugging"]),
    (1, "qcow2 overlay, `joist image snapshot`; the base is not changed", ["blocks.images"]),
    (1, "qemu-nbd is walled in", ["unit:test_nbd_wall", "unit:test_nbd", "blocks.images"]),
    (2, "vif= in all of xl's forms; stable MAC addresses", ["unit:test_vif", "cli:bad-input"]),
    (2, "bridge: every byte of TCP and UDP checked, each way", ["networks.traffic"]),
    (2, "the same between a guest and what lies outside the machine", ["networks.outside"]),
    (2, "routed, NAT", ["networks.routed"]),
    (2, "ip=: false addresses do not get through", ["networks.spoofing", "backends.served"]),
    (2, "script= runs with Xen's environment", ["networks.script", "unit:test_vif"]),
    (2, "rate=, mtu=", ["networks.rate"]),
    (2, "at most one flush for each call that unmaps, none for pages only passed on", ["counters.unmaps", "unit:test_gnttab"]),
    (2, "network-attach, -detach, -list under traffic", ["networks.cycles"]),
    (3, "second consoles, channel= to a unix socket", ["screens.channels", "cli:channels"]),
    (3, "log rotation and byte budget", ["unit:test_console", "guests.misbehaving"]),
    (4, "screen, a login over VNC, screenshot, nothing on a still screen, memory", ["screens.picture", "cli:screen", "unit:test_fbd"]),
    (4, "a viewer's password, right and wrong; changes that no viewer may miss", ["screens.refused", "unit:test_fbd_vnc", "fuzz:fuzz_fbd"]),
    (5, "PV GRUB boots the guest's own menu", ["images.pv_grub"]),
    (5, "kernel out of the guest's disk by joist-extract", ["images.extracted"]),
    (6, "joist image build; a kernel found after an upgrade", ["debians.from_disk", "debians.new_kernel", "unit:test_image"]),
    (6, "joist run: output, exit code", ["images.run_command", "images.run_ends"]),
    (7, "kill -9 of joistd while devices come and go", ["blocks.killed", "networks.killed"]),
    (7, "kill -9 of joistd, joist-stored, joist-consoled, qemu-nbd under I/O", ["blocks.under_io"]),
    (7, "kill -9 of joist-fbd", ["screens.survives", "cli:screen"]),
    (7, "a kill between a guest's end and its restart", ["cli:rename-restart-killed", "cli:joistd-killed"]),
    (7, "detach while I/O runs", ["blocks.under_io", "blocks.plugging"]),
    (7, "a front end that writes garbage to nodes and rings", ["blocks.bad_front"]),
    (7, "a guest whose disk and interface come from a second, unprivileged guest", ["backends.served", "cli:backend"]),
    (7, "kill -9 of joistd --backend", ["backends.killed"]),
    (7, "the end of the serving guest", ["backends.ended", "cli:backend"]),
    (7, "attach and detach over and over, under load", ["blocks.plugging", "networks.cycles", "networks.guest_memory"]),
    (7, "guests that reboot over and over", ["blocks.reboots"]),
    (8, "an installed control domain starts a guest from its disk", ["debians.installed_dom0"]),
    ("bad input", "unknown key of a disk, with its column", ["cli:bad-input", "blocks.refused"]),
    ("bad input", "missing image, empty image, no image of its format", ["blocks.refused", "backends.refused"]),
    ("bad input", "image in use, in this domain and in another", ["blocks.refused", "backends.refused"]),
    ("bad input", "a bridge that does not exist", ["networks.refused", "backends.refused"]),
    ("bad input", "a MAC address twice", ["networks.refused", "backends.refused"]),
    ("bad input", "a VNC port in use", ["screens.refused"]),
    ("bad input", "hotplug that times out: who was waited for", ["cli:backend-silent", "backends.refused"]),
    ("bad input", "a script that fails", ["networks.refused"]),
    ("bad input", "backend= of nobody, of the guest itself; of a screen or channel", ["backends.refused", "cli:backend"]),
]


def names_of(path, pattern):
    with open(os.path.join(TESTS, path), encoding="utf-8") as f:
        return set(re.findall(pattern, f.read()))


def missing(scenarios):
    """The names in the table that no test has."""
    known = set(scenarios)
    known |= {"cli:" + n for n in names_of("cli/run_host.py", r'\("([a-z-]+)", (?:t_|rows_of)')}
    for kind in ("unit", "fuzz"):
        known |= {kind + ":" + n[:-2] for n in os.listdir(os.path.join(TESTS, kind)) if n.endswith(".c")}
    return sorted({t for _, _, tests in TABLE for t in tests} - known)


if __name__ == "__main__":
    for item, what, tests in TABLE:
        print("%-9s  %-78s  %s" % (item, what, " ".join(tests)))
