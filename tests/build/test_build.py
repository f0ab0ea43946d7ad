#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_build.py BUILDDIR: what the makefile and its scripts promise: installation, the menu of options, set-up, the tally of
test results, and the symbol table inside the hypervisor."""
import os
import pty
import re
import select
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ANSI = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b\(B|\x1b[=>]")
MODES = {
    "usr/bin/joist": 0o755,
    "usr/libexec/joist/joistd": 0o755,
    "usr/libexec/joist/joist-stored": 0o755,
    "usr/libexec/joist/joist-consoled": 0o755,
    "usr/libexec/joist/joist-fbd": 0o755,
    "usr/libexec/joist/joist-extract": 0o755,
    "usr/libexec/joist/joist-run-init": 0o755,
    "usr/lib/systemd/system/joist-guests.service": 0o644,
    "usr/lib/joist/joist.efi": 0o644,
    "usr/lib/joist/joist-syms": 0o644,
    "etc/joist": 0o755,
    "var/lib/joist": 0o755,
    "var/log/joist": 0o755,
}


class Skip(Exception):
    """Cannot be tried here; the text says why."""


class Wrong(Exception):
    """A promise is not kept; the text says which."""


def clean_env(**more):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "KCONFIG_CONFIG")}
    env.update(more)
    return env


def run(*args, **more):
    done = subprocess.run(args, cwd=more.pop("cwd", TOP), env=clean_env(**more), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode(errors="replace")


def test_install(build, work):
    dest = os.path.join(work, "dest")
    code, text = run("make", "install", f"DESTDIR={dest}", f"O={build}")
    if code:
        raise Wrong("make install: " + text[-300:])
    for name, mode in MODES.items():
        path = os.path.join(dest, name)
        if not os.path.exists(path):
            raise Wrong(f"{name} is not installed")
        if stat.S_IMODE(os.stat(path).st_mode) != mode:
            raise Wrong(f"{name} has mode {stat.S_IMODE(os.stat(path).st_mode):o}")
    for base, _, names in os.walk(dest):
        for name in names:
            if os.path.islink(os.path.join(base, name)):
                raise Wrong(f"{name} is a link")


def test_menuconfig(_, work):
    """The menu comes up in a terminal, is left by Escape, and the options are written."""
    config = os.path.join(work, "options")
    try:
        os.close(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise Skip("no pseudo-terminals here") from None
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(TOP)
        os.execvpe("make", ["make", "menuconfig", f"KCONFIG_CONFIG={config}"], clean_env(TERM="xterm"))
    text, end, asked = b"", time.monotonic() + 30, 0.0
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                data = os.read(fd, 65536)
            except OSError:
                break
            if not data:
                break
            text = ANSI.sub(b"", text + data)
        elif b"Sizes" in text and time.monotonic() - asked > 1:
            asked = time.monotonic()
            os.write(fd, b"\x1b\x1b" if b"wish to save" not in text else b"y")
    if time.monotonic() >= end:
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    if b"Sizes" not in text:
        raise Wrong("no menu came up: " + repr(text[-200:]))
    if status:
        raise Wrong(f"make menuconfig ended with {status}")
    with open(config, encoding="utf-8") as f:
        if "CONFIG_MAX_CPUS=" not in f.read():
            raise Wrong("the options were not written")


def test_defconfig(_, work):
    config = os.path.join(work, "defaults")
    for goal in ("defconfig", "olddefconfig"):
        code, text = run("make", goal, f"KCONFIG_CONFIG={config}")
        if code or not os.path.exists(config):
            raise Wrong(f"make {goal}: {text[-200:]}")


def fake(work, name, body):
    path = os.path.join(work, "fake")
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, name), "w", encoding="ascii") as f:
        f.write("#!/bin/sh\n" + body + "\n")
    os.chmod(os.path.join(path, name), 0o755)
    return path + ":" + os.environ["PATH"]


def test_setup(_, work):
    """Not root: the apt line and an error. Not Debian: the list and an error. Nothing missing: silence."""
    code, text = run("sh", "scripts/setup")
    if code or text:
        raise Wrong(f"with everything installed: exit {code}, {text!r}")
    path = fake(work, "dpkg-query", "exit 1")
    fake(work, "id", "echo 1000")
    code, text = run("sh", "scripts/setup", PATH=path)
    if code == 0 or "apt-get install -y --no-install-recommends" not in text or "qemu-system-x86" not in text:
        raise Wrong(f"not root: exit {code}, {text!r}")
    code, text = run("sh", "scripts/setup", PATH=path, JOIST_SETUP_ROOT=work)
    if code == 0 or "not Debian" not in text or "gnu-efi" not in text or "apt-get" in text:
        raise Wrong(f"not Debian: exit {code}, {text!r}")


def tally(work, body, *stages):
    out = os.path.join(work, "tally")
    shutil.rmtree(out, ignore_errors=True)
    path = fake(work, "make", f"stage=$3 results={out}/test-results\n" + body)
    code, text = run(sys.executable, "scripts/tally.py", out, *stages, PATH=path)
    return code, text.strip().split("\n")[-1]


def test_tally(_, work):
    line = 'printf "%s\\t$stage\\tx\\ty\\n" '
    cases = [
        ("nothing", "exit 0", 1, "0 passed, 0 failed, 0 skipped"),
        ("passed", line + "PASS >>$results", 0, "2 passed, 0 failed, 0 skipped"),
        ("skipped only", line + "SKIP >>$results", 1, "0 passed, 0 failed, 2 skipped"),
        ("mixed", line + "PASS >>$results; " + line + "SKIP >>$results", 0, "2 passed, 0 failed, 2 skipped"),
        ("failed", line + "PASS >>$results; " + line + "FAIL >>$results; exit 1", 1, "2 passed, 2 failed, 0 skipped"),
        ("silent failure", line + "PASS >>$results; exit 2", 1, "2 passed, 2 failed, 0 skipped"),
    ]
    for name, body, want, last in cases:
        code, text = tally(work, body, "one", "two")
        if (code != 0) != (want != 0) or text != last:
            raise Wrong(f"{name}: exit {code}, last line {text!r}")


def elf_bytes(data, address, size):
    phoff, phsize, phnum = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    for i in range(phnum):
        kind, _, offset, va, _, filesz = struct.unpack_from("<IIQQQQ", data, phoff + i * phsize)
        if kind == 1 and va <= address and address + size <= va + filesz:
            return data[offset + address - va:offset + address - va + size]
    raise Wrong(f"address {address:#x} is not in the image")


def test_symbols(build, _):
    """The table inside the image names every function at the address where it is."""
    symbols = {}
    with open(os.path.join(build, "joist-syms"), encoding="ascii") as f:
        for line in f:
            address, kind, name = line.split()
            symbols.setdefault(name, []).append((int(address, 16), kind))
    with open(os.path.join(build, "joist.elf"), "rb") as f:
        data = f.read()
    start = symbols["image_start"][0][0]
    count = struct.unpack("<I", elf_bytes(data, symbols["joist_syms_count"][0][0], 4))[0]
    entries = struct.iter_unpack("<II", elf_bytes(data, symbols["joist_syms"][0][0], 8 * count))
    names = symbols["joist_symnames"][0][0]
    found, last = 0, -1
    for offset, position in entries:
        if offset <= last:
            raise Wrong("the table is not sorted")
        last = offset
        raw = b""
        while not raw.endswith(b"\0"):
            raw += elf_bytes(data, names + position + len(raw), 1)
        name = raw[:-1].decode()
        if (start + offset) not in [a for a, _ in symbols.get(name, [])]:
            raise Wrong(f"{name} is not at {start + offset:#x}")
        found += 1
    functions = {a for s in symbols.values() for a, kind in s if kind in "tT"}
    if found < 100 or found != len(functions | {a for s in symbols.values() for a, kind in s if kind in "wW"}):
        raise Wrong(f"{found} symbols in the table, {len(functions)} functions in the image")


def test_indirect(build, _):
    """No indirect branch but the thunks' own, the one that is patched with them, and the call of the firmware."""
    code, text = run("objdump", "-d", "--no-show-raw-insn", os.path.join(build, "joist.elf"))
    if code:
        raise Wrong("objdump: " + text[-200:])
    where, thunks, calls = "", 0, 0
    for line in text.splitlines():
        label = re.match(r"[0-9a-f]+ <(.*)>:$", line)
        if label:
            where = label.group(1)
        calls += "call" in line and "<__x86_indirect_thunk_" in line
        if not re.search(r"\b(call|jmp)q? +\*", line):
            continue
        if where.startswith("__x86_indirect_thunk_"):
            thunks += 1
        elif where != "syscall_call" and not ("call" in line and where in ("run", "call_on_stack", "cpu_efi_call")):
            raise Wrong(f"an indirect branch in {where}: {line.strip()}")
    if thunks != 15 or calls < 10:
        raise Wrong(f"{thunks} thunks, {calls} calls of them")


def main():
    build = os.path.abspath(sys.argv[1])
    bad = 0
    for test in (test_install, test_menuconfig, test_defconfig, test_setup, test_tally, test_symbols, test_indirect):
        name = "build-" + test.__name__[5:]
        with tempfile.TemporaryDirectory(prefix="joist-build-") as work:
            try:
                test(build, work)
                print(f"TEST {name} PASS", flush=True)
            except Skip as e:
                print(f"TEST {name} SKIP {e}", flush=True)
            except Wrong as e:
                bad += 1
                print(f"TEST {name} FAIL {' '.join(str(e).split())[:300]}", flush=True)
    sys.exit(1 if bad else 0)


main()
