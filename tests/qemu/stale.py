# SPDX-License-Identifier: MIT
"""stale.py: code that QEMU should have translated anew.

Before version 8.1 QEMU reads the code that it translates before it watches the page that it lies on: what another processor
writes there just then goes unnoticed, and the old code is run for ever. Linux, which patches itself at its start, then meets
again and again an int3 that is no longer there, and hangs (seen once: four vCPUs on eight processors, under Joist; QEMU went
on with the right code as soon as that byte was written again). So a machine that lets us wait is looked at: a processor
that twice, a second apart, has just executed an int3 where memory holds none, at the same place, can only be at that.
"""
import os
import re
import socket
import time

# how the hypervisor's entry for breakpoints begins: push $0; movl $3, 4(%rsp)
ENTRY = bytes.fromhex("6a00c744240403")
INT3 = 0xCC


def memory(q, cpu, kind, address, count):
    """Values of guest memory as the processor sees it; [] where it sees none."""
    text = q.monitor("x /%dx%s 0x%x" % (count, kind, address), cpu)
    return [int(v, 16) for v in re.findall(r"(?<=[ :])0x[0-9a-f]+", text)] if "Cannot" not in text else []


def registers(q, cpu):
    return {name: int(value, 16) for name, value in re.findall(r"\b(R[A-Z0-9]{2})\s*=([0-9a-f]{16})", q.monitor("info registers", cpu))}


def found(q):
    """{(cpu, address, the byte there)} of processors that stand before the handler of an int3 that is not in memory."""
    out = set()
    q.run("stop")
    try:
        for cpu in range(len(q.run("query-cpus-fast"))):
            regs = registers(q, cpu)
            # a processor that still waits to be started has no RIP
            if "RIP" not in regs or bytes(memory(q, cpu, "b", regs["RIP"], len(ENTRY))) != ENTRY:
                continue
            frame = memory(q, cpu, "g", regs["RSP"], 1)
            byte = memory(q, cpu, "b", frame[0] - 1, 1) if frame else []
            if byte and byte[0] != INT3:
                out.add((cpu, frame[0] - 1, byte[0]))
    finally:
        q.run("cont")
    return out


def where(machine):
    """A line a processor: where it is, and what it has on top of its stack."""
    q, out = machine.qmp, []
    q.run("stop")
    try:
        for cpu in range(len(q.run("query-cpus-fast"))):
            regs = registers(q, cpu)
            if "RIP" in regs:
                stack = memory(q, cpu, "g", regs["RSP"], 4)
                out.append("cpu %d at %x, stack %x: %s" % (cpu, regs["RIP"], regs["RSP"], " ".join("%x" % w for w in stack)))
    finally:
        q.run("cont")
    return "\n".join(out)


class Gdb:
    """As much of GDB's protocol as it takes to write to memory."""

    def __init__(self, machine):
        path = os.path.join(machine.dir, "gdb")
        self.q = machine.qmp
        self.q.monitor("gdbserver unix:%s,server=on,wait=off" % path)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(path)
        self.file = self.sock.makefile("rb")

    def reply(self):
        while self.file.read(1) not in (b"$", b""):
            pass
        out = b""
        while not out.endswith(b"#"):
            more = self.file.read(1)
            if not more:
                raise RuntimeError("QEMU's gdbserver ends in the middle of an answer")
            out += more
        self.file.read(2)
        self.sock.sendall(b"+")
        return out[:-1].decode()

    def ask(self, text):
        self.sock.sendall(b"$%s#%02x" % (text.encode(), sum(text.encode()) & 0xFF))
        out = self.reply()
        while out.startswith("T"):      # why it has stopped: because we are here
            out = self.reply()
        return out

    def close(self):
        self.ask("D")                   # the machine runs on
        self.sock.close()
        self.q.monitor("gdbserver none")


def rewrite(machine, cpu, address, byte):
    """Writes a byte as the processor sees memory, so that QEMU drops what it has translated there."""
    gdb = Gdb(machine)
    try:
        for question in ("Hg%x" % (cpu + 1), "M%x,1:%02x" % (address, byte)):
            answer = gdb.ask(question)
            if answer != "OK":
                raise RuntimeError("QEMU's gdbserver answers %s to %s" % (answer or "nothing", question))
    finally:
        gdb.close()


def cure(machine):
    """Frees a machine that hangs by that; what was done, or "" if it is well or has another ailment."""
    first = set().union(*(found(machine.qmp) for _ in range(5)))
    if not first:
        return ""
    time.sleep(1)
    again = set().union(*(found(machine.qmp) for _ in range(5))) & first
    for cpu, address, byte in again:
        rewrite(machine, cpu, address, byte)
    return "; ".join("QEMU: cpu %d runs an int3 at 0x%x where memory has 0x%02x: translated anew" % a for a in sorted(again))
