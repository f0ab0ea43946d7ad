#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run_host.py --bin DIR: the command table and the toolstack's ways through failures, with the real daemons and client on
a pretended hypervisor (fake.h). Prints one verdict line per group of rows or scenario."""
import argparse
import concurrent.futures
import contextlib
import glob
import json
import os
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

import kernels
import table

WAIT = 20  # seconds for anything to happen


class Store:
    """A few requests of the store's wire protocol."""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.connect(path)

    def close(self):
        self.s.close()

    def ask(self, kind, *words):
        data = b"".join(w.encode() + b"\0" for w in words)
        self.s.sendall(struct.pack("<IIII", kind, 1, 0, len(data)) + data)
        head = self.read(16)
        answer, _, _, size = struct.unpack("<IIII", head)
        return answer, self.read(size)

    def write(self, path, value):
        data = path.encode() + b"\0" + value.encode()
        self.s.sendall(struct.pack("<IIII", 11, 1, 0, len(data)) + data)
        kind, _, _, size = struct.unpack("<IIII", self.read(16))
        assert kind == 11, self.read(size)
        self.read(size)

    def read(self, n):
        data = b""
        while len(data) < n:
            more = self.s.recv(n - len(data))
            if not more:
                raise EOFError("store")
            data += more
        return data

    def walk(self, path="/"):
        """All nodes below a path, as a dictionary."""
        out = {}
        kind, names = self.ask(1, path)
        if kind != 1:
            return out
        for name in names.split(b"\0")[:-1]:
            child = (path if path != "/" else "") + "/" + name.decode()
            out[child] = self.ask(2, child)[1].decode()
            out.update(self.walk(child))
        return out


class Rig:
    """The two daemons in a directory of their own."""

    def __init__(self, bin_dir):
        self.bin = os.path.abspath(bin_dir)
        self.dir = tempfile.mkdtemp(prefix="joist-cli-")
        self.socket = self.dir + "/joistd.sock"
        self.store = self.dir + "/store.sock"
        self.env = dict(os.environ, JOIST_FAKE=self.dir + "/fake", XENSTORED_PATH=self.store, JOISTD_SOCKET=self.socket,
                        ASAN_OPTIONS="detect_leaks=0", PATH=self.bin + ":" + os.environ["PATH"])
        self.procs = {}
        self.fakectl("init")
        self.files()
        self.start("joist-stored")
        self.wait_for(self.store)
        self.start("joistd")
        self.wait_for(self.socket)

    def files(self):
        d = self.dir
        kernels.write_all(d)
        table.write_configs(d, d)

    def start(self, name):
        d = self.dir
        args = {"joist-stored": ["--journal", d + "/journal", "--socket", self.store],
                "joist-consoled": ["--log-dir", d + "/log", "--link-dir", d + "/link"],
                "joistd": ["--socket", self.socket, "--state-dir", d + "/state", "--log-dir", d + "/log"]}[name]
        with open(f"{d}/{name}.err", "ab") as log:
            self.procs[name] = subprocess.Popen(
                [f"{self.bin}/{name}", "--foreground", "--verbose", "--pid-file", f"{d}/{name}.pid", *args], env=self.env,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self, name):
        self.procs[name].send_signal(signal.SIGKILL)
        self.procs[name].wait()

    def wait_for(self, path):
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            try:
                s = socket.socket(socket.AF_UNIX)
                s.connect(path)
                s.close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"nobody listens on {path}: {self.logs()}")

    def restart(self, name):
        """As a supervisor does: until the old one's pid file is free."""
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            self.start(name)
            time.sleep(0.2)
            if self.procs[name].poll() is None:
                self.wait_for(self.socket if name == "joistd" else self.store)
                return
        raise RuntimeError(f"{name} does not start again: {self.logs()}")

    def logs(self):
        text = ""
        for name in ("joist-stored", "joistd"):
            with open(f"{self.dir}/{name}.err", encoding="utf-8", errors="replace") as f:
                text += f"--- {name}\n" + f.read()[-3000:]
        return text

    def fakectl(self, *words):
        p = subprocess.run([self.bin + "/fakectl", *words], env=self.env, stdout=subprocess.PIPE, timeout=WAIT, check=False)
        return p.returncode, p.stdout.decode()

    def run(self, line, timeout=WAIT):
        """Runs a command line of the table; returns exit code, output, errors."""
        words = shlex.split(line)
        p = subprocess.run([f"{self.bin}/{words[0]}", *words[1:]], env=self.env, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, cwd=self.dir, check=False)
        return p.returncode, p.stdout.decode(), p.stderr.decode()

    def joist(self, line):
        """A command that has to work; returns the result out of its JSON."""
        code, out, err = self.run("joist --json " + line)
        if code != 0:
            raise RuntimeError(f"joist {line}: {code} {err}")
        return json.loads(out)["result"]

    def state(self):
        """All that a command could change: the pretended hypervisor, the store, the saved guests, the daemons' files."""
        store = Store(self.store)
        nodes = store.walk()
        store.close()
        return {"hypervisor": self.fakectl("dump")[1], "store": nodes, "saved": self.saved()}

    def saved(self):
        """The saved guests' files; read again if one was just being replaced (a file left over for good still shows)."""
        for _ in range(50):
            saved = {}
            try:
                for name in sorted(os.listdir(self.dir + "/state")):
                    with open(f"{self.dir}/state/{name}", encoding="utf-8") as f:
                        saved[name] = f.read()
                return saved
            except FileNotFoundError:
                time.sleep(0.02)
        raise RuntimeError("the saved guests change all the time")

    def descriptors(self):
        if not os.path.isdir("/proc/self/fd"):  # a bare chroot
            return {}
        time.sleep(0.1)
        return {n: len(os.listdir(f"/proc/{p.pid}/fd")) for n, p in self.procs.items()}

    def until(self, what, condition):
        end = time.monotonic() + WAIT
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(f"{what} did not happen: {self.state()} {self.logs()}")
            time.sleep(0.05)

    def end(self):
        for p in self.procs.values():
            p.terminate()
        for name, p in self.procs.items():
            try:
                code = p.wait(WAIT)
            except subprocess.TimeoutExpired:
                p.kill()
                code = -1
            if code != 0:
                raise RuntimeError(f"{name} ended with {code}: {self.logs()}")
        shutil.rmtree(self.dir)


def matches(pattern, text):
    text = text.rstrip("\n")
    return text == "" if pattern == "" else re.search(pattern, text) is not None


def run_rows(rig, rows, names):
    """Returns the rows that went wrong, as text."""
    bad = []
    for line, code, out, err, change in rows:
        def fill(text):
            for key, value in names().items():
                text = text.replace("{" + key + "}", value)
            return text
        before = rig.state()
        line = fill(line)
        got = rig.run(line)
        if change == "log":
            rig.fakectl("log")
        after = rig.state()
        if got[0] != code or not matches(fill(out), got[1]) or not matches(fill(err), got[2]):
            bad.append(f"{line}: exit {got[0]} (want {code})\n  stdout {got[1]!r} (want {out!r})\n  stderr {got[2]!r} (want {err!r})")
        if change != "guest" and after != before:
            bad.append(f"{line}: the state has changed\n  {before}\n  {after}")
        if change == "guest" and after == before:
            bad.append(f"{line}: the state has not changed")
    return bad


def guest_names(rig):
    def names():
        out = {"d": rig.dir, "id": "0", "uuid": "x"}
        for g in rig.joist("list"):
            if g["domid"] != 0:
                out["id"], out["uuid"] = str(g["domid"]), g["uuid"]
        return out
    return names


def rows_of(rows):
    def test(rig):
        bad = run_rows(rig, rows, guest_names(rig))
        return "\n".join(bad) if bad else f"{len(rows)} commands"
    test.judge = rows
    return test


def t_table_is_complete(_rig):
    """Every verb and every option has its rows."""
    text = "\n".join(r[0] for r in table.HELP + table.EMPTY + table.BAD + table.LIFE)
    for verb in table.VERBS:
        assert f"joist {verb} --help" in text and re.search(rf"joist (--json )?{verb}\b.*--json|--json {verb}", text), verb


def t_built_memory(rig):
    """The memory of built guests, walked as a CPU would, for each kind of kernel."""
    for kernel in ("kernel", "kernel.gz", "kernel.xz", "p2m"):
        for memory in (24, 33, 100):
            g = rig.joist(f"create -p {rig.dir}/guest.cfg kernel={rig.dir}/{kernel} memory={memory} maxmem=120 vcpus=3 cap=40 "
                          f"cpus='[\"0\",\"1-2\"]'")
            code, text = rig.fakectl("check", str(g["domid"]))
            assert code == 0 and 'entry bytes eb fe, command line "a b", ramdisk 16384' in text, (kernel, memory, text)
            dump = rig.fakectl("dump")[1]
            assert f"domain {g['domid']} pages {memory * 256} max {121 * 256} vcpus 3 ports 2 paused 1 shutdown 0 weight 256 " \
                   f"cap 40 map {120 << 20} affinity 1,6" in dump, dump
            rig.joist("destroy web")


def t_store_nodes(rig):
    g = rig.joist(f"create {rig.dir}/guest.cfg maxvcpus=3")
    store = Store(rig.store)
    nodes = store.walk()
    dom = f"/local/domain/{g['domid']}"
    want = {"/vm": f"/vm/{g['uuid']}", "/name": "web", "/domid": str(g["domid"]), "/memory/target": "32768",
            "/memory/static-max": "32768", "/cpu/0/availability": "online", "/cpu/2/availability": "offline",
            "/control/platform-feature-multiprocessor-suspend": "1", "/console/type": "xenconsoled", "/console/output": "pty",
            "/control/shutdown": "", "/device": "", "/store/port": "1", "/console/port": "2"}
    for path, value in want.items():
        assert nodes.get(dom + path) == value, (path, nodes.get(dom + path))
    owner = f"n{g['domid']}\0".encode()
    for path in ("/control/shutdown", "/data", "/device/suspend/event-channel", "/error"):
        assert store.ask(3, dom + path)[1] == owner, path
    assert store.ask(3, dom + "/device")[1] == f"n0\0r{g['domid']}\0".encode()
    assert store.ask(3, f"/libxl/{g['domid']}")[1] == b"n0\0"
    store.close()
    rig.joist("destroy web")


def t_failures_leave_nothing(rig):
    """The n-th call of a build fails, for every n, until one build gets through."""
    before = rig.state()
    for n in range(1, 400):
        rig.fakectl("fail", str(n))
        code, _, err = rig.run(f"joist create -p {rig.dir}/guest.cfg memory=16 ramdisk={rig.dir}/text")
        left = int(rig.fakectl("failed")[1])
        rig.fakectl("fail", "0")
        if code == 0:  # large extents may fail, single frames are taken then: the guest must be sound
            domid = rig.joist("domid web")["domid"]
            assert rig.fakectl("check", str(domid))[0] == 0, "a call failed and nobody noticed"
            rig.joist("destroy web")
            assert rig.state() == before
            if left > 0:
                return f"{n - 1} calls failed one by one"
            continue
        assert err.startswith("joist: "), err
        rig.until("clean state", lambda: rig.state() == before)
    raise AssertionError("no build got through")


def t_ends(rig):
    """What happens when a guest ends by itself, for each reason and action."""
    for key, reason, word in (("on_poweroff", 0, "poweroff"), ("on_crash", 3, "crash"), ("on_watchdog", 4, "watchdog")):
        before = rig.state()
        g = rig.joist(f"create {rig.dir}/guest.cfg {key}=destroy")
        rig.fakectl("shutdown", str(g["domid"]), str(reason))
        rig.until("destroy", lambda b=before: rig.state() == b)
        code, _, err = rig.run("joist info web")
        assert code == 1 and f"the last one ended by itself: {word}," in err and "console-web.log" in err, err
    g = rig.joist(f"create {rig.dir}/guest.cfg on_crash=preserve")
    rig.fakectl("shutdown", str(g["domid"]), "3")
    rig.until("preserve", lambda: rig.joist("list web")[0].get("guest_state") == "preserved")
    assert rig.joist("list web")[0]["state"] == "---sc-"
    code, _, err = rig.run("joist shutdown web")
    assert code == 1 and "it has shut down already: crash; joist destroy removes it" in err, err
    rig.joist("destroy web")
    g = rig.joist(f"create {rig.dir}/guest.cfg on_reboot=restart")
    rig.fakectl("shutdown", str(g["domid"]), "1")
    rig.until("restart", lambda: rig.run("joist domid web")[1].strip() not in ("", str(g["domid"])))
    assert rig.joist("list web")[0]["uuid"] == g["uuid"]
    rig.joist("destroy web")
    g = rig.joist(f"create {rig.dir}/guest.cfg on_crash=rename-restart")
    rig.fakectl("shutdown", str(g["domid"]), "3")
    rig.until("rename-restart", lambda: len(rig.joist("list")) == 3 and rig.joist("list web-1")[0]["domid"] == g["domid"])
    rig.until("new guest", lambda: rig.run("joist domid web")[0] == 0)
    assert rig.joist("list web")[0]["uuid"] != g["uuid"]
    rig.joist("destroy web")
    rig.joist("destroy web-1")


def t_crash_at_once(rig):
    """A guest that crashes while `create` still looks is reported with its reason."""
    before = rig.state()
    with subprocess.Popen([rig.bin + "/joist", "create", rig.dir + "/guest.cfg"], env=rig.env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as p:
        domid = [0]

        def running():
            m = re.search(r"domain ([1-9]\d*) .* paused 0", rig.fakectl("dump")[1])
            domid[0] = m.group(1) if m else 0
            return m
        rig.until("start", running)
        rig.fakectl("shutdown", domid[0], "3")
        err = p.communicate()[1].decode()
        assert p.returncode == 1, p.returncode
    assert re.match(r"joist: start: web: the guest ended: crash, \d+ ms after its start; its console is kept in .*/console-web.log",
                    err), err
    rig.until("clean state", lambda: rig.state() == before)


def t_waiting(rig):
    """shutdown -w answers when the guest is gone, not before."""
    g = rig.joist(f"create {rig.dir}/guest.cfg")
    with subprocess.Popen([rig.bin + "/joist", "shutdown", "-w", "web"], env=rig.env) as p:
        path = f"/local/domain/{g['domid']}/control/shutdown"
        rig.until("request", lambda: rig.state()["store"].get(path) == "poweroff")
        time.sleep(0.3)
        assert p.poll() is None
        rig.fakectl("shutdown", str(g["domid"]), "0")
        assert p.wait(WAIT) == 0
    assert rig.run("joist list web")[0] == 1


def t_joistd_killed(rig):
    """kill -9 at any moment of a guest's life: it is taken over, or nothing of it is left."""
    before = rig.state()
    g = rig.joist(f"create {rig.dir}/guest.cfg")
    running = rig.state()
    rig.kill("joistd")
    rig.restart("joistd")
    assert rig.state() == running
    assert rig.joist("info web")["guest_state"] == "running"
    rig.kill("joistd")
    rig.fakectl("shutdown", str(g["domid"]), "0")
    rig.restart("joistd")
    rig.until("what ended meanwhile is reaped", lambda: rig.state() == before)
    for delay in (0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.15, 0.2, 0.3):
        with subprocess.Popen([rig.bin + "/joist", "create", rig.dir + "/guest.cfg"], env=rig.env, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as p:
            time.sleep(delay)
            rig.kill("joistd")
            code = p.wait(WAIT)
        rig.restart("joistd")
        time.sleep(0.2)
        if rig.run("joist list web")[0] == 0:
            assert rig.joist("info web")["guest_state"] in ("running", "ending")
            rig.run("joist destroy web")
        else:
            assert code != 0, "an acknowledged guest is lost"
        rig.until("clean state", lambda: rig.state() == before)


def t_rename_restart_killed(rig):
    """kill -9 while a crashed guest is kept under another name and started again: the new one comes, and the devices of the old
    one are gone."""
    before = rig.state()
    for delay in (0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15):
        old = rig.joist(f"create {rig.dir}/guest.cfg on_crash=rename-restart \"channel=['name=a,connection=pty']\"")["domid"]
        device = f"/libxl/{old}/device/console/1"
        assert device in rig.state()["store"], "the guest has no channel"
        rig.fakectl("shutdown", str(old), "3")
        time.sleep(delay)
        rig.kill("joistd")
        rig.restart("joistd")

        def again():
            code, out, _ = rig.run("joist list web")
            return code == 0 and re.search(r"(?m)^web +(\d+) .* (r|b|-)-----", out) and \
                rig.joist("list web")[0]["domid"] not in (old, -1) and rig.joist("info web")["guest_state"] == "running"
        rig.until("restart after %.3f s" % delay, again)
        rig.until("the old one's devices", lambda: device not in rig.state()["store"])
        kept = [d["name"] for d in rig.joist("list") if d["domid"] == old]
        assert kept == ["web-1"], kept
        rig.kill("joistd")              # nor do they come back with the next daemon
        rig.restart("joistd")
        assert "channel" not in rig.joist("info web-1")["config"]
        for name in ("web", "web-1"):
            rig.run("joist destroy " + name)
        rig.until("clean state", lambda: rig.state() == before)


class There:
    """Plays joistd --backend, and the kernel, of the domain `domid`."""

    def __init__(self, rig, domid):
        self.rig, self.domid, self.store = rig, domid, Store(rig.store)

    def path(self, kind, front, number, node=""):
        return f"/local/domain/{self.domid}/backend/{kind}/{front}/{number}" + (node and "/" + node)

    def read(self, path):
        kind, value = self.store.ask(2, path)
        return value.decode() if kind == 2 else None

    def answer(self, line, path, status, error=""):
        """Starts a command, waits for the device's nodes, says the status; (exit code, errors, the nodes that were there)."""
        with subprocess.Popen([self.rig.bin + "/joist", *shlex.split(line)], env=self.rig.env, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE) as p:
            self.rig.until("the nodes of " + path, lambda: self.read(path + "/state") == "1")
            nodes = self.store.walk(path)
            if error:
                self.store.write(path + "/hotplug-error", error)
            self.store.write(path + "/hotplug-status", status)
            return p.wait(WAIT), p.stderr.read().decode(), nodes


def without_parents(state):
    """A state without the directories above devices, which stay as long as the domain."""
    keep = {k: v for k, v in state["store"].items() if not re.search(r"/backend(/(vbd|vif))?$|/device/(vbd|vif)$", k)}
    return dict(state, store=keep)


def t_unsaved(rig):
    """A device whose guest cannot be saved (a full disk) is taken away again, and said so; detaching works."""
    before = rig.state()
    drv = rig.joist(f"create {rig.dir}/guest.cfg name=drv")["domid"]
    fr = rig.joist(f"create {rig.dir}/guest.cfg name=fr")["domid"]
    there = There(rig, drv)
    disk = there.path("vbd", fr, 51712)
    attach = "block-attach fr backend=drv,vdev=xvda,target=/dev/sdx"
    saved = next(x for x in glob.glob(rig.dir + "/state/*.json") if json.load(open(x, encoding="utf-8"))["name"] == "fr")
    place = saved[:-5] + ".new"

    def let_go():
        rig.until("offline", lambda: there.read(disk + "/online") == "0")
        there.store.write(disk + "/hotplug-status", "disconnected")
        rig.until("no nodes", lambda: there.read(disk) is None)
    os.mkdir(place)                                     # nothing can be written there
    code, err, _ = there.answer(attach, disk, "connected")
    assert code == 1 and "disk 51712 works, but cannot be saved" in err and "it is taken away again" in err, (code, err)
    let_go()
    assert len(rig.run("joist block-list fr")[1].splitlines()) < 2, rig.run("joist block-list fr")
    os.rmdir(place)
    code, err, _ = there.answer(attach, disk, "connected")
    assert code == 0, err
    os.mkdir(place)
    with subprocess.Popen([rig.bin + "/joist", "block-detach", "fr", "xvda"], env=rig.env, stderr=subprocess.PIPE) as p:
        let_go()
        assert p.wait(WAIT) == 0
        assert b"the change cannot be saved" in p.stderr.read()
    os.rmdir(place)
    there.store.close()
    rig.joist("destroy fr")
    rig.joist("destroy drv")
    rig.until("clean state", lambda: rig.state() == before)


def t_rename_unsaved(rig):
    """A name that cannot be saved (a full disk) is given to nobody, and the answer says why; a new guest that cannot be saved as
    running is ended again."""
    before = rig.state()
    g = rig.joist(f"create {rig.dir}/guest.cfg name=a")
    place = f"{rig.dir}/state/{g['uuid']}.new"
    named = rig.state()
    os.mkdir(place)                                     # nothing can be written there
    code, _, err = rig.run("joist rename a b")
    assert code == 1 and re.match(rf"joist: rename: a: its state cannot be saved in {rig.dir}/state: Is a directory; see whether "
                                  "that file system is full$", err), (code, err)
    os.rmdir(place)
    assert rig.state() == named
    assert rig.joist("domid a")["domid"] == g["domid"] and rig.run("joist domid b")[0] == 1
    rig.joist("rename a b")
    store = Store(rig.store)
    assert store.ask(2, f"/local/domain/{g['domid']}/name")[1] == b"b"
    assert json.loads(rig.saved()[g["uuid"] + ".json"])["settings"]["name"] == "b"
    rig.kill("joist-stored")                            # the other half: the store does not take it, the file has the old name again
    saved = rig.saved()
    code, _, err = rig.run("joist rename b c")
    assert code == 1 and re.match(r"joist: rename: b: the store refuses: .*; see whether joist-stored runs$", err), (code, err)
    assert rig.saved() == saved and rig.joist("domid b")["domid"] == g["domid"]
    rig.restart("joist-stored")
    rig.until("reconnect", lambda: rig.run("joist rename b b")[0] == 0)
    rig.joist("destroy b")
    rig.until("clean state", lambda: rig.state() == before)
    rig.fakectl("hold", "1")
    uuid = "01234567-89ab-cdef-0123-456789abcdef"
    with subprocess.Popen([rig.bin + "/joist", "create", rig.dir + "/guest.cfg", f"uuid={uuid}"], env=rig.env,
                          stderr=subprocess.PIPE) as p:
        rig.until("building", lambda: '"guest_state":"building"' in rig.run("joist --json list web")[1].replace(" ", ""))
        os.mkdir(f"{rig.dir}/state/{uuid}.new")
        rig.fakectl("hold", "0")
        assert p.wait(WAIT) == 1
        err = p.stderr.read().decode()
    os.rmdir(f"{rig.dir}/state/{uuid}.new")
    assert re.match(r"joist: create: web: its state cannot be saved in .*: Is a directory; ", err), err
    rig.until("clean state", lambda: rig.state() == before)


def t_landlock(rig):
    """--landlock: its two words, and no other."""
    for word, want in (("require", 0), ("if-there", 0), ("maybe", 2)):
        code, out, err = rig.run(f"joistd --landlock {word} --check")
        assert code == want, (code, out, err)
        assert want == 0 or 'joistd: --landlock maybe: it is "require" or "if-there"' in err, err
    code, _, err = rig.run("joistd --landlock")
    assert code == 2 and "landlock" in err, err


def t_backend(rig):
    """backend=: the nodes of a device that another domain serves; its answers, its silence, its end."""
    before = rig.state()
    drv = rig.joist(f"create {rig.dir}/guest.cfg name=drv")["domid"]
    fr = rig.joist(f"create {rig.dir}/guest.cfg name=fr")["domid"]
    quiet = rig.state()
    there = There(rig, drv)
    disk, vif = there.path("vbd", fr, 51712), there.path("vif", fr, 0)
    attach = "block-attach fr backend=drv,vdev=xvda,target=/dev/sdx"
    code, _, err = rig.run(f"joist block-attach fr backend={drv}x,vdev=xvda,target=/dev/sdx")
    assert code == 1 and f"backend={drv}x: there is no such domain" in err, err
    code, err, _ = there.answer(attach, disk, "error", "no \x1b[2Jsuch file")
    assert code == 1, code
    assert re.match(rf"joist: device: command line: disk 51712: domain {drv} \(drv\) refuses it: no \?\[2Jsuch file$", err), err
    rig.until("nothing left of it", lambda: without_parents(rig.state()) == without_parents(quiet))
    there.store.write(disk + "/hotplug-status", "connected")  # left by a device of that number
    there.store.write(f"/local/domain/{fr}/device/vbd/51712/left", "1")
    code, err, nodes = there.answer(attach, disk, "connected")
    assert code == 0, err
    assert disk + "/hotplug-status" not in nodes and there.read(f"/local/domain/{fr}/device/vbd/51712/left") is None
    want = {"frontend": f"/local/domain/{fr}/device/vbd/51712", "frontend-id": str(fr), "online": "1", "domain": "fr", "mode": "w",
            "entry": "format=raw,vdev=xvda,access=rw,backend=drv,target=/dev/sdx"}
    assert not {k: v for k, v in want.items() if nodes.get(disk + "/" + k) != v}, nodes
    assert there.read(f"/local/domain/{fr}/device/vbd/51712/backend") == disk
    assert there.read(f"/local/domain/{fr}/device/vbd/51712/backend-id") == str(drv)
    assert there.store.ask(3, disk)[1].split(b"\0")[:2] == [b"n%d" % drv, b"r%d" % fr]
    assert there.store.ask(3, disk + "/entry")[1].split(b"\0")[:2] == [b"n%d" % drv, b"r%d" % fr]
    assert rig.run("joist block-list fr")[1].splitlines()[1].split()[:2] == ["51712", str(drv)]
    code, err, _ = there.answer("network-attach fr backend=drv bridge=br ip=10.0.0.9", vif, "connected")
    assert code == 0, err
    # the other side lets go when it is told, and only then the nodes are removed
    with subprocess.Popen([rig.bin + "/joist", "network-detach", "fr", "0"], env=rig.env) as p:
        rig.until("offline", lambda: there.read(vif + "/online") == "0")
        time.sleep(0.3)
        assert p.poll() is None and there.read(vif + "/entry") is not None
        there.store.write(vif + "/hotplug-status", "disconnected")
        assert p.wait(WAIT) == 0
    assert there.read(vif) is None
    # the back end's domain is gone: nobody is waited for
    rig.joist("destroy drv")
    there.store.write(disk + "/online", "1")            # written when its domain's nodes had just been removed
    start = time.monotonic()
    rig.joist("block-detach fr xvda")
    code, _, err = rig.run("joist " + attach)
    assert code == 1 and "backend=drv: there is no such domain" in err, err
    rig.joist("destroy fr")
    assert time.monotonic() - start < 5, "something was waited for"
    there.store.close()
    rig.until("clean state", lambda: rig.state() == before)


class Domain(threading.Thread):
    """The store as a guest sees it, on a socket: paths that do not begin with / are below its own directory.  The next request
    for a path that ends with `cut` breaks its connection."""

    def __init__(self, rig, domid):
        super().__init__(daemon=True)
        self.path, self.store, self.home = rig.dir + "/domain.sock", rig.store, b"/local/domain/%d/" % domid
        self.cut = None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)
        self.start()

    def run(self):
        while True:
            near, _ = self.listener.accept()
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.store)
            for work in ((self.requests, near, far), (self.copy, far, near)):
                threading.Thread(target=work[0], args=work[1:], daemon=True).start()

    @staticmethod
    def copy(source, target):
        while True:
            data = source.recv(65536)
            if not data:
                break
            target.sendall(data)

    def requests(self, source, target):
        data = b""
        while True:
            more = source.recv(65536)
            if not more:
                target.shutdown(socket.SHUT_RDWR)
                return
            data += more
            while len(data) >= 16 and len(data) >= 16 + struct.unpack_from("<I", data, 12)[0]:
                kind, number, tx, size = struct.unpack_from("<IIII", data)
                body, data = data[16:16 + size], data[16 + size:]
                if self.cut and body.endswith(self.cut):
                    self.cut = None
                    source.shutdown(socket.SHUT_RDWR)
                    target.shutdown(socket.SHUT_RDWR)
                    return
                if kind in (1, 2, 3, 4, 5, 11, 12, 13, 14) and body[:1] not in (b"/", b"@"):
                    body = self.home + body
                target.sendall(struct.pack("<IIII", kind, number, tx, len(body)) + body)


def t_backend_daemon(rig):
    """joistd --backend itself, on a machine without the kernel's back ends: it reads what it is asked for, refuses it with its
    reason, which is told here, keeps no note of it, and does the same after kill -9 and with its store cut off."""
    drv = rig.joist(f"create {rig.dir}/guest.cfg name=drv")["domid"]
    rig.joist(f"create {rig.dir}/guest.cfg name=fr")
    there = Domain(rig, drv)
    env = dict(rig.env, XENSTORED_PATH=there.path)
    before = without_parents(rig.state())

    @contextlib.contextmanager
    def daemon(*more):
        p = subprocess.Popen([rig.bin + "/joistd", "--backend", "--foreground", "--pid-file", rig.dir + "/there.pid", "--log-dir",
                              rig.dir + "/there", *more], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        try:
            yield p
        finally:
            p.kill()
            p.wait()
    with daemon("--check") as p:
        assert p.communicate()[0].decode() == f"joistd: would serve the back ends of domain {drv}\n"
    asked = (("block-attach fr backend=drv,vdev=xvdb,target=/x", "no back end for a disk; load its module: modprobe xen-blkback"),
             ("network-attach fr backend=drv,bridge=br,ip=10.0.0.9", "no back end for a network interface"))
    if os.path.exists("/sys/bus/xen-backend"):
        return "not on a machine with back ends"
    for _ in range(2):
        with daemon() as p:
            for line, want in asked:
                there.cut = b"/hotplug-status\0"  # in the middle of a look
                code, _, err = rig.run("joist " + line)
                assert there.cut is None, "no look has asked"
                assert code == 1 and re.search(rf"domain {drv} \(drv\) refuses it: .*{want}", err), err
            notes = [k for k in rig.state()["store"] if "/data/joist/" in k and "/device/v" in k and k[-1].isdigit()]
            assert not notes, notes
        # killed; asked while nobody is there, answered by the next one
        with subprocess.Popen([rig.bin + "/joist", "block-attach", "fr", "backend=drv,vdev=xvdc,target=/x"], env=rig.env,
                              stderr=subprocess.PIPE) as asking:
            time.sleep(0.5)
            with daemon() as p:
                err = asking.communicate()[1].decode()
                p.terminate()
                assert p.wait(WAIT) == 0, p.stderr.read()
        assert "no back end for a disk" in err, err
    left = without_parents(rig.state())
    left["store"] = {k: v for k, v in left["store"].items() if not k.endswith("/data/joist")}
    assert left == before, {k: v for k, v in left["store"].items() if k not in before["store"]}
    return ""


def t_backend_silent(rig):
    """backend=: nobody answers there: after 10 s the attempt is undone and says who was waited for."""
    drv = rig.joist(f"create {rig.dir}/guest.cfg name=drv")["domid"]
    before = rig.state()
    start = time.monotonic()
    code, _, err = rig.run(f"joist create {rig.dir}/guest.cfg name=fr \"disk=['backend={drv},vdev=xvda,target=/x']\"", 40)
    took = time.monotonic() - start
    assert code == 1 and re.search(rf"disk 51712: waited 10 s for joistd --backend in domain {drv} \(drv\), which has not set it up: "
                                   r"the back end is Initialising; see whether it runs there, and its log$", err), err
    assert 9 < took < 30, took
    rig.until("nothing left of it", lambda: without_parents(rig.state()) == without_parents(before))
    code, _, err = rig.run("joistd --backend --check")
    assert code == 1 and "this is the control domain" in err, err
    rig.joist("destroy drv")


def t_backend_closed_late(rig):
    """A guest that closes its device only after the detach has given up: the next detach finds it closed."""
    before = rig.state()
    drv = rig.joist(f"create {rig.dir}/guest.cfg name=drv")["domid"]
    fr = rig.joist(f"create {rig.dir}/guest.cfg name=fr")["domid"]
    there = There(rig, drv)
    disk = there.path("vbd", fr, 51712)
    code, err, _ = there.answer("block-attach fr backend=drv,vdev=xvda,target=/dev/sdx", disk, "connected")
    assert code == 0, err
    there.store.write(disk + "/state", "4")
    there.store.write(f"/local/domain/{fr}/device/vbd/51712/state", "4")
    code, _, err = rig.run("joist block-detach fr xvda", 40)
    assert code == 1 and "disk 51712: the guest did not close it in 10 s: its front end is Connected" in err, err
    assert there.read(disk + "/online") == "0" and there.read(disk + "/state") == "5"
    there.store.write(f"/local/domain/{fr}/device/vbd/51712/state", "6")
    there.store.write(disk + "/state", "6")
    there.store.write(disk + "/hotplug-status", "disconnected")
    start = time.monotonic()
    rig.joist("block-detach fr xvda")
    assert time.monotonic() - start < 5, "something was waited for"
    there.store.close()
    rig.joist("destroy fr")
    rig.joist("destroy drv")
    rig.until("clean state", lambda: rig.state() == before)


def t_stored_killed(rig):
    """The store daemon is killed: joistd connects again and still learns of guests' ends."""
    before = rig.state()
    g = rig.joist(f"create {rig.dir}/guest.cfg")
    rig.kill("joist-stored")
    assert rig.joist("list web")[0]["domid"] == g["domid"]
    rig.restart("joist-stored")
    rig.until("reconnect", lambda: rig.run("joist rename web web")[0] == 0)
    rig.fakectl("shutdown", str(g["domid"]), "0")
    rig.until("reaped", lambda: rig.state() == before)
    rig.kill("joist-stored")
    with subprocess.Popen([rig.bin + "/joist", "create", "-q", rig.dir + "/guest.cfg"], env=rig.env) as p:
        time.sleep(0.5)
        assert p.poll() is None
        rig.restart("joist-stored")
        assert p.wait(WAIT) == 0
    rig.joist("destroy web")
    assert rig.state() == before


def t_cycles(rig):
    """Create and destroy, again and again: everything is back at the baseline, file descriptors too."""
    rig.joist(f"create {rig.dir}/guest.cfg")
    rig.joist("destroy web")
    before, fds = rig.state(), rig.descriptors()
    for _ in range(20):
        rig.joist(f"create {rig.dir}/guest.cfg")
        rig.joist("destroy web")
    assert rig.state() == before
    assert rig.descriptors() == fds, (rig.descriptors(), fds)


def t_protocol(rig):
    """Lines that are no requests, and requests that are none of ours."""
    rows = [(b"nonsense\n", "no JSON object"), (b"[]\n", "no JSON object"), (b'{"verb":"nonsense"}\n', "no such verb"),
            (b'{"args":{}}\n', "no such verb"), (b'{"verb":"list","args":[]}\n', 'is no object'),
            (b'{"verb":"list","args":{"x":1}}\n', 'unknown argument \\"x\\"'),
            (b'{"verb":"list","args":{"domains":[7]}}\n', "an entry is no text"),
            (b'{"verb":"pause","args":{}}\n', 'argument \\"domain\\" is missing'),
            (b'{"verb":"pause","args":{"domain":7}}\n', 'argument \\"domain\\" is missing'),
            (b'{"verb":"create","args":{"config":7}}\n', "is no JSON object"),
            (b'{"verb":"create","args":{"config":{"name":{}}}}\n', "neither text, number, truth value nor a list"),
            (b'{"verb":"rename","args":{"domain":"0"}}\n', "not done to the control domain"),
            (b'{"verb":"list","verb":"info"}\n', "no JSON object"), (b"\xff\xff\n", "no JSON object"),
            (b'{"verb":"version"}\n', '"ok":true')]
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(rig.socket)
        s.settimeout(WAIT)
        f = s.makefile("rb")
        for data, want in rows:
            s.sendall(data)
            assert want in f.readline().decode(), (data, want)
        s.sendall(b'{"verb":"version"}\n' * 50 + b'{"verb":"list"}\n')
        assert [json.loads(f.readline())["ok"] for _ in range(51)] == [True] * 51
        # a client that asks and does not read: it waits, the others do not
        request = b'{"verb":"info"}\n'
        sent = 0
        s.settimeout(0.5)
        try:
            while sent < 2000000:
                sent += s.send(request * 50)
        except TimeoutError:
            pass
        assert sent < 2000000, "nothing holds it back"
        assert rig.run("joist list")[0] == 0
        s.settimeout(WAIT)
        for _ in range(sent // len(request)):
            assert json.loads(f.readline())["ok"]
        s.sendall(request[sent % len(request):] if sent % len(request) else b"")
        s.sendall(b'{"verb":"list"')
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(rig.socket)
        s.settimeout(WAIT)
        try:
            s.sendall(b"x" * 2000000)
        except OSError:
            pass
        assert b"longer than" in s.recv(65536)
    assert rig.run("joist list")[0] == 0


class Screen:
    """The front ends of a guest's screen and keyboard, by hand: pages in the guest's memory, nodes in the store."""

    def __init__(self, rig, dom, width, height):
        self.rig, self.dom, self.width, self.height = rig, dom, width, height
        count = (width * height * 4 + 4095) // 4096
        rc, out = rig.fakectl("frames", str(dom), str(count + 3))
        assert rc == 0
        self.page, self.keys, self.dir, *self.frames = [int(x) for x in out.split()]
        with open(rig.dir + "/fake", "r+b") as f:
            self.put(f, self.page, struct.pack("<4IiiIIB", 0, 0, 0, 0, width, height, width * 4, width * height * 4, 32)
                     .ljust(40, b"\0") + struct.pack("<Q", self.dir).ljust(2048, b"\0"))
            self.put(f, self.keys, bytes(4096))
            self.put(f, self.dir, struct.pack("<%dQ" % count, *self.frames))
        self.draw(0x102030)

    @staticmethod
    def put(f, frame, data):
        f.seek((1 << 20) + frame * 4096)
        f.write(data)

    def draw(self, colour):
        with open(self.rig.dir + "/fake", "r+b") as f:
            for frame in self.frames:
                self.put(f, frame, struct.pack("<I", colour) * 1024)

    def typed(self):
        """How many events the keyboard's ring has got, and the code in the last of them."""
        with open(self.rig.dir + "/fake", "rb") as f:
            f.seek((1 << 20) + self.keys * 4096)
            data = f.read(4096)
        prod = struct.unpack_from("<I", data, 4)[0]
        return prod, struct.unpack_from("<I", data, 1024 + (prod - 1) % 51 * 40 + 4)[0]

    def write(self, kind, page, state=None):
        store = Store(self.rig.store)
        front = f"/local/domain/{self.dom}/device/{kind}/0/"
        port = store.ask(2, f"/local/domain/{self.dom}/console/port")[1].decode()
        for node, value in (("page-ref", str(page)), ("event-channel", port), ("request-abs-pointer", "1"),
                            ("state", state)):
            store.write(front + node, value)
        store.close()

    def state(self, kind):
        store = Store(self.rig.store)
        got = store.ask(2, f"/local/domain/0/backend/{kind}/{self.dom}/0/state")[1].decode()
        store.close()
        return got

    def shot(self, name="s"):
        """The colour of the first pixel that a screenshot shows."""
        path = f"{self.rig.dir}/shot.png"
        code, _, err = self.rig.run(f"joist screenshot {name} {path}")
        assert code == 0, err
        with open(path, "rb") as f:
            data = f.read()
        assert struct.unpack(">II", data[16:24]) == (self.width, self.height)
        at = data.index(b"IDAT")
        return zlib.decompressobj().decompress(data[at + 4:at + 4 + struct.unpack(">I", data[at - 4:at])[0]])[1:4].hex()


def fbd_pid(rig):
    """The process that serves screens of this rig, 0 if there is none."""
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as f:
                words = f.read().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"/joist-fbd") and any(w.startswith(rig.dir.encode() + b"/screen-") for w in words):
            return int(path.split("/")[2])
    return 0


def has_terminals():
    try:
        os.close(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY))
        return True
    except OSError:
        return False


def t_console_waits(rig):
    """joist console waits as long as its guest is being built; what is typed meanwhile reaches the new guest, and the escape
    character still ends it."""
    if not has_terminals():
        return "not run: no pseudo-terminals"
    store = Store(rig.store)

    def typed(dom):
        """What the guest's console has got (xencons_interface: a ring of 1024 bytes, its producer at 3076)."""
        kind, page = store.ask(2, f"/local/domain/{dom}/console/ring-ref")
        with open(rig.dir + "/fake", "rb") as f:
            f.seek((1 << 20) + (int(page) if kind == 2 else 0) * 4096)
            data = f.read(4096)
        return data[:struct.unpack_from("<I", data, 3076)[0] % 1024]

    def reboot(dom):
        rig.fakectl("hold", "1")
        rig.fakectl("shutdown", str(dom), "1")
        rig.until("building", lambda: '"guest_state":"building"' in rig.run("joist --json list web")[1].replace(" ", ""))

    rig.start("joist-consoled")
    dom = rig.joist(f"create {rig.dir}/guest.cfg")["domid"]
    ours, its = os.openpty()
    os.write(ours, b"a\n")
    with subprocess.Popen([rig.bin + "/joist", "console", "web"], env=rig.env, stdin=its, stdout=its, stderr=its) as p:
        rig.until("the attachment", lambda: typed(dom).startswith(b"a"))
        reboot(dom)
        code, _, err = rig.run("joist --json console web")
        assert code == 1 and "it is just being built" in err, err
        for line in ("pause web", "unpause web", "shutdown web", "reboot web", "rename web b"):
            code, _, err = rig.run("joist " + line)
            assert code == 1 and "it is just being built" in err, (line, code, err)
        assert rig.run("joist shutdown -a -w")[0] == 0      # there is none to wait for
        time.sleep(16)                  # more than it waits when nobody says why there is no terminal
        assert p.poll() is None
        os.write(ours, b"later")
        time.sleep(0.2)
        rig.fakectl("hold", "0")
        rig.until("running", lambda: rig.run("joist domid web")[0] == 0)
        dom = rig.joist("domid web")["domid"]
        rig.until("what was typed", lambda: typed(dom) == b"later")
        assert b"attached again" in os.read(ours, 4096)
        reboot(dom)
        os.write(ours, b"\x1d")
        assert p.wait(WAIT) == 0
    os.close(ours)
    os.close(its)
    store.close()
    rig.fakectl("hold", "0")
    rig.until("running", lambda: rig.run("joist domid web")[0] == 0)
    rig.run("joist destroy web")


def t_console_traps(rig):
    """joist console opens a pseudo-terminal and nothing else, whatever it is told; a channel's by what the guest cannot write."""
    dom = rig.joist(f"create {rig.dir}/guest.cfg 'channel=[\"name=a,connection=pty\"]'")["domid"]
    store = Store(rig.store)
    trap = rig.dir + "/trap"
    os.mkfifo(trap)
    store.write(f"/local/domain/{dom}/device/console/1/tty", trap)
    assert "tty" not in rig.joist("console -n 1 web")
    paths = (trap, "/dev/null", "/dev/pts/../null", "/dev/pts/ptmx", "/dev/pts/", "relative", "/dev/pts/1x", "/dev/pts/12345678901")
    for option, node in (("-n 1", f"/libxl/{dom}/device/console/1/tty"), ("", f"/local/domain/{dom}/console/tty")):
        for path in paths:
            store.write(node, path)
            assert rig.joist(f"console {option} web")["tty"] == path
            code, out, err = rig.run(f"joist console {option} web")
            want = f"joist: console: web: its terminal is said to be {path}, which is no pseudo-terminal: it is not opened\n"
            assert (code, out, err) == (1, "", want), (code, out, err)
    # who may write: nobody but the control domain; a guest's directory has one node that it cannot change
    for node, owner in ((f"/local/domain/{dom}/console/tty", f"n0 r{dom} "), (f"/libxl/{dom}/device/console/1/tty", "n0 "),
                        (f"/local/domain/{dom}/device/console/1/tty", f"n0 r{dom} "),
                        (f"/local/domain/{dom}/device/console/1/type", f"n{dom} r0 ")):
        assert store.ask(3, node)[1].decode().replace("\0", " ") == owner, (node, store.ask(3, node))
    store.close()
    rig.joist("destroy web")
    return f"{2 * len(paths)} refused"


def t_channels(rig):
    """channel=: the console daemon connects to what the guest's driver writes, follows its states, and lets go."""
    if not has_terminals():
        return "not run: no pseudo-terminals"
    rig.start("joist-consoled")
    rig.joist(f"create {rig.dir}/guest.cfg name=c 'channel=[\"name=a,connection=pty\",\"name=b,connection=socket,"
              f"path={rig.dir}/b.sock\"]'")
    dom = rig.joist("domid c")["domid"]
    store = Store(rig.store)
    front = f"/local/domain/{dom}/device/console"
    port = store.ask(2, f"/local/domain/{dom}/console/port")[1].decode()

    def state(number, want):
        rig.until(f"state {want} of console {number}", lambda: store.ask(
            2, f"/local/domain/0/backend/console/{dom}/{number}/state")[1] == str(want).encode())

    def connect(number, ref):
        for node, value in (("ring-ref", ref), ("port", port), ("state", "3")):
            store.write(f"{front}/{number}/{node}", value)

    state(1, 2)
    state(2, 2)
    connect(1, "7")                     # nothing is granted there
    state(1, 6)
    store.write(f"{front}/1/state", "1")
    state(1, 2)
    connect(1, "0")
    state(1, 4)
    tty = store.ask(2, f"{front}/1/tty")[1].decode()
    assert os.path.exists(tty) and os.readlink(rig.dir + "/link/c-1") == tty
    told = f"/libxl/{dom}/device/console/1/tty"
    assert rig.joist("console -n 1 c")["tty"] == tty and store.ask(2, told)[1].decode() == tty
    # joist opens as root what it is told: no node that the guest can write says it
    assert store.ask(3, f"{front}/1/tty")[1] == f"n0\0r{dom}\0".encode()
    assert store.ask(3, told)[1] == b"n0\0"
    store.write(f"{front}/1/tty", "/dev/null")          # as if the guest could
    assert rig.joist("console -n 1 c")["tty"] == tty
    assert rig.joist("channel-list c")[0]["devices"][0]["nodes"]["tty"] == tty
    rig.until("the tty for stock tools", lambda: store.ask(2, f"{front}/1/tty")[1].decode() == tty)
    connect(2, "1")
    state(2, 4)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(rig.dir + "/b.sock")
        with socket.socket(socket.AF_UNIX) as second:
            second.connect(rig.dir + "/b.sock")
            second.settimeout(WAIT)
            assert second.recv(1) == b""
    store.write(f"{front}/2/ring-ref", "1\x1b[2Jx")     # what a guest writes does not steer the reader's terminal
    shown = rig.joist("channel-list c")[0]["devices"][1]
    assert shown["nodes"]["path"] == rig.dir + "/b.sock" and shown["front_nodes"]["ring-ref"] == "1?[2Jx", shown
    store.write(f"{front}/2/ring-ref", "1")
    rig.kill("joist-consoled")
    store.write(f"/local/domain/0/backend/console/{dom}/2/state", "1")
    rig.start("joist-consoled")         # connects again by itself
    state(2, 4)
    store.write(f"{front}/2/state", "5")
    state(2, 6)
    rig.until("the end of the socket", lambda: not os.path.exists(rig.dir + "/b.sock"))
    assert store.ask(2, told)[0] == 2
    store.write(f"{front}/1/state", "5")
    state(1, 6)
    rig.until("no terminal", lambda: store.ask(2, told)[0] != 2)
    assert "tty" not in rig.joist("console -n 1 c")
    store.close()
    rig.joist("destroy c")
    rig.until("no console", lambda: not [n for n in rig.state()["store"] if f"console/{dom}" in n])


def type_key(path, keysym):
    """A viewer that connects, presses and lets go of a key, and leaves."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.settimeout(WAIT)
        f = s.makefile("rb")
        assert f.read(12).startswith(b"RFB 003")
        s.sendall(b"RFB 003.008\n")
        assert f.read(2) == b"\1\1"
        s.sendall(b"\1")
        assert f.read(4) == bytes(4)
        s.sendall(b"\1")
        f.read(24 + 1)
        s.sendall(struct.pack(">BBHIBBHI", 4, 1, 0, keysym, 4, 0, 0, keysym))


def t_screen(rig):
    """The next one, with nothing left of it when it fails."""
    if not os.path.exists("/proc/self/exe"):  # a bare chroot: joistd cannot tell where it is
        return "not run: no /proc"
    try:
        return screen_life(rig)
    finally:
        if fbd_pid(rig):
            os.kill(fbd_pid(rig), signal.SIGKILL)


def screen_life(rig):
    """vfb=: the process starts, connects to a guest's front ends, takes pictures, comes back when killed, ends."""
    conf = f"{rig.dir}/guest.cfg"
    rig.joist(f"create {conf} name=s 'vfb=[\"vnclisten=127.0.0.1,vncsocket={rig.dir}/vnc.sock\"]'")
    dom = rig.joist("domid s")["domid"]
    screen = Screen(rig, dom, 320, 200)
    code, _, err = rig.run(f"joist screenshot s {rig.dir}/no.png")
    assert code == 1 and "shows no screen" in err, err
    rig.until("InitWait", lambda: screen.state("vfb") == "2" and screen.state("vkbd") == "2")
    screen.write("vfb", screen.page, "3")
    rig.until("the screen's connection", lambda: screen.state("vfb") == "4")
    screen.write("vkbd", screen.keys, "3")
    rig.until("the keyboard's connection", lambda: screen.state("vkbd") == "4")
    assert screen.shot() == "102030"
    screen.draw(0xa0b0c0)
    assert screen.shot() == "a0b0c0"
    type_key(f"{rig.dir}/vnc.sock", ord("k"))
    rig.until("the key", lambda: screen.typed() == (2, 37))
    # a second guest on the same port is refused, by name
    port = rig.joist("vncviewer --print s")["port"]
    code, _, err = rig.run(f"joist create {conf} name=t 'vfb=[\"vncdisplay={port - 5900}\"]'")
    assert code == 1 and "in use by the screen of guest s" in err, err
    assert rig.run("joist domid t")[0] == 1
    # killed: started again, on its port, with the guest's pages
    old = fbd_pid(rig)
    os.kill(old, signal.SIGKILL)
    rig.until("a new process", lambda: fbd_pid(rig) not in (0, old))
    rig.until("its pages", lambda: rig.run(f"joist screenshot s {rig.dir}/x.png")[0] == 0)
    assert screen.shot() == "a0b0c0" and rig.joist("vncviewer --print s")["port"] == port
    # joistd killed: the process stays and is found again
    old = fbd_pid(rig)
    rig.kill("joistd")
    rig.restart("joistd")
    screen.draw(0x0000ff)
    rig.until("its pages again", lambda: rig.run(f"joist screenshot s {rig.dir}/x.png")[0] == 0)
    assert fbd_pid(rig) == old and screen.shot() == "0000ff"
    # the front end closes and comes back with nonsense: refused; then with sense
    screen.write("vfb", screen.page, "6")
    rig.until("Closed", lambda: screen.state("vfb") == "6")
    screen.write("vfb", 3, "3")
    rig.until("the refusal", lambda: "cannot be mapped" in rig.logs())
    assert screen.state("vfb") == "6" and fbd_pid(rig) == old
    screen.write("vfb", screen.page, "1")
    rig.until("InitWait again", lambda: screen.state("vfb") == "2")
    screen.write("vfb", screen.page, "3")
    rig.until("the connection again", lambda: screen.state("vfb") == "4" and screen.shot() == "0000ff")
    rig.joist("destroy s")
    assert fbd_pid(rig) == 0 and not [n for n in os.listdir(rig.dir) if n.startswith("screen-")]
    left = [n for n in rig.state()["store"] if "vfb/" in n or "vkbd/" in n]
    assert not left, left


class Flood(threading.Thread):
    """Writes the same nodes again and again, without waiting, until it is told to end."""

    def __init__(self, rig, nodes):
        super().__init__(daemon=True)
        self.is_over = False
        self.rounds = 0
        self.s = Store(rig.store)
        self.batch, self.count = b"", 0
        for path, value in nodes:
            data = path.encode() + b"\0" + value.encode()
            self.batch += struct.pack("<IIII", 11, 1, 0, len(data)) + data
            self.count += 1
        self.start()

    def run(self):
        with contextlib.suppress(OSError, EOFError):    # the store ends when a test fails
            while not self.is_over:
                self.s.s.sendall(self.batch)
                for _ in range(self.count):
                    self.s.read(struct.unpack("<IIII", self.s.read(16))[3])
                self.rounds += 1
        self.s.close()


class Echo(Domain):
    """The store, which tells of a change before each of its answers: a guest that writes faster than it is looked at."""

    def __init__(self, rig, path, token):
        body = path.encode() + b"\0" + token.encode() + b"\0"
        self.event = struct.pack("<IIII", 15, 0, 0, len(body)) + body
        super().__init__(rig, 0)

    def copy(self, source, target):
        data = b""
        with contextlib.suppress(OSError):
            while more := source.recv(65536):
                data += more
                while len(data) >= 16 and len(data) >= 16 + struct.unpack_from("<I", data, 12)[0]:
                    end = 16 + struct.unpack_from("<I", data, 12)[0]
                    target.sendall((b"" if data[0] == 15 else self.event) + data[:end])
                    data = data[end:]


def t_store_flood(rig):
    """The next one, with nothing left of it when it fails."""
    if not has_terminals() or not os.path.exists("/proc/self/exe"):
        return "not run: no pseudo-terminals, or no /proc"
    try:
        return store_flood(rig)
    finally:
        if fbd_pid(rig):
            os.kill(fbd_pid(rig), signal.SIGKILL)


def store_flood(rig):
    """A guest that writes its front ends' nodes without end stops neither joistd nor the console daemon for others, and does
    not fill their logs."""
    conf = f"{rig.dir}/guest.cfg"
    rig.start("joist-consoled")
    rig.joist(f"create {conf} name=f 'vfb=[\"vnclisten=127.0.0.1,vncsocket={rig.dir}/vnc.sock\"]' "
              f"'channel=[\"name=a,connection=pty\"]'")
    dom = rig.joist("domid f")["domid"]
    store = Store(rig.store)
    device = f"/local/domain/{dom}/device"
    port = store.ask(2, f"/local/domain/{dom}/console/port")[1].decode()
    for path, value in ((f"{device}/vfb/0/page-ref", "3"), (f"{device}/vfb/0/event-channel", port),
                        (f"{device}/console/1/port", port), (f"{device}/console/1/ring-ref", "7")):
        store.write(path, value)
    wide = [(f"{device}/vfb/0/state/{i}", "") for i in range(20)] + [(f"{device}/console/1/state/{i}", "") for i in range(20)]
    states = [(f"{device}/{kind}/0/state", "3") for kind in ("vfb", "vkbd")] + [(f"{device}/console/1/state", "3")]
    floods = [Flood(rig, wide)] + [Flood(rig, states * 100) for _ in range(3)]
    slowest = 0
    for i in range(6):
        began = time.monotonic()
        g = rig.joist(f"create {conf} name=o{i}")
        tty = f"/local/domain/{g['domid']}/console/tty"
        rig.until("another guest's console", lambda t=tty: store.ask(2, t)[0] == 2)
        rig.fakectl("shutdown", str(g["domid"]), "0")
        rig.until("another guest's end", lambda n=i: rig.run(f"joist domid o{n}")[0] == 1)
        slowest = max(slowest, time.monotonic() - began)
    for f in floods:
        f.is_over = True
    for f in floods:
        f.join(WAIT)
    rounds = [f.rounds for f in floods]
    assert min(rounds) > 20, rounds
    for _ in range(200):                # slow enough for each change to be seen
        for state in ("6", "3"):
            store.write(f"{device}/vfb/0/state", state)
            store.write(f"{device}/console/1/state", state)
            time.sleep(0.005)
    lines = {}
    for name, path in (("joistd", "joistd.err"), ("consoled", "joist-consoled.err"), ("fbd", "log/joist-fbd.log")):
        with open(f"{rig.dir}/{path}", encoding="utf-8", errors="replace") as f:
            lines[name] = sum(1 for line in f if not re.search(r"[ :]o[0-9]\b", line))
    assert max(lines.values()) < 50 and min(lines.values()) > 5, lines
    # a guest that is always ahead
    rig.kill("joistd")
    rig.env["XENSTORED_PATH"] = Echo(rig, f"{device}/vfb/0/state", "screen").path
    rig.restart("joistd")
    g = rig.joist(f"create {conf} name=o")
    rig.fakectl("shutdown", str(g["domid"]), "0")
    rig.until("another guest's end", lambda: rig.run("joist domid o")[0] == 1)
    store.close()
    rig.joist("destroy f")
    return f"{sum(rounds)} rounds of writes, slowest other guest {slowest:.1f} s, lines {lines}"


TESTS = [("table-complete", t_table_is_complete), ("help", rows_of(table.HELP)), ("no-guest", rows_of(table.EMPTY)),
         ("bad-input", rows_of(table.BAD)), ("life", rows_of(table.LIFE)), ("built-memory", t_built_memory),
         ("store-nodes", t_store_nodes), ("failures", t_failures_leave_nothing), ("ends", t_ends),
         ("crash-at-once", t_crash_at_once), ("waiting", t_waiting), ("joistd-killed", t_joistd_killed),
         ("rename-restart-killed", t_rename_restart_killed),
         ("backend", t_backend), ("unsaved", t_unsaved), ("rename-unsaved", t_rename_unsaved), ("landlock", t_landlock), ("backend-silent", t_backend_silent),
         ("backend-daemon", t_backend_daemon), ("backend-closed-late", t_backend_closed_late),
         ("stored-killed", t_stored_killed), ("cycles", t_cycles), ("protocol", t_protocol), ("screen", t_screen),
         ("channels", t_channels), ("console-traps", t_console_traps), ("store-flood", t_store_flood), ("console-waits", t_console_waits)]


def run_test(name, test, bin_dir):
    """Returns whether it passed, and what there is to say."""
    rig = Rig(bin_dir)
    try:
        text = test(rig) or ""
        ok = not hasattr(test, "judge") or text == f"{len(test.judge)} commands"
        if ok:
            rig.end()
    except Exception as e:  # a test's failure is a verdict, not the end of the others
        ok, text = False, f"{type(e).__name__}: {e}"
    for p in rig.procs.values():
        if p.poll() is None:
            p.kill()
            p.wait()
    shutil.rmtree(rig.dir, ignore_errors=True)
    return name, ok, text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("tests", nargs="*")
    args = parser.parse_args()
    chosen = [t for t in TESTS if not args.tests or t[0] in args.tests]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, ok, text in pool.map(lambda t: run_test(*t, args.bin), chosen):
            print(f"TEST cli-{name} {'PASS ' + text if ok else 'FAIL'}", flush=True)
            if not ok:
                print(text, flush=True)
                failed += 1
    sys.exit(1 if failed else 0)


main()
