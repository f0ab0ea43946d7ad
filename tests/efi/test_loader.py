#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_loader.py LOADER KERNEL: every rule and every refusal of joist.efi under real firmware.

LOADER carries the test payload (stub.c) instead of the hypervisor; KERNEL is a small PV kernel (ELF). The refusals are
driven from the firmware's own shell in one boot: each must print exactly one error line and return to the shell. Then each
way of packing a kernel is booted, and what the payload was handed is compared with what went in.
"""
import os
import re
import shutil
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "qemu")]
import harness  # noqa: E402
import kernels  # noqa: E402

NOTE_ENTRY, NOTE_VIRT_BASE, NOTE_HYPERCALL = 1, 3, 2
MIB = 1 << 20


def config(*lines):
    return "\n".join(lines).encode() + b"\n"


def section(kernel, *more):
    return config("[global]", "default=x", "[x]", f"kernel={kernel}", *more)


def refusals(elf):
    """name -> (files to add, program, arguments, the error expected, warnings expected)."""
    xz, lz4 = kernels.bzimage(kernels.pack("xz", elf)), kernels.bzimage(kernels.pack("lz4", elf))
    cases = {}

    def case(name, error, cfg=None, files=(), args="", program="joist.efi", warnings=()):
        files = dict(files)
        if cfg is not None:
            files[f"{name}.cfg"] = cfg
            args = f"-cfg={name}.cfg {args}".strip()
        cases[name] = (files, program, args, error, list(warnings))

    def kernel(name, data, error):
        case(name, error, section(f"{name}.k arg"), {f"{name}.k": data})

    # which file, which section
    case("name-own", r"kernel only-joist: not found", None, {"joist.cfg": section("only-joist")})
    case("name-long", r"kernel from-xen-4: not found", None, {"xen-4.cfg": section("from-xen-4")}, program="xen-4.17_a.efi")
    case("name-none", r"no configuration file: nocfg-1\.cfg and shorter", program="nocfg-1.efi")
    case("cfg-missing", r"configuration file nothere\.cfg: not found", args="-cfg=nothere.cfg")
    case("cfg-directory", r"configuration file EFI: is a directory", None, {"EFI/x": b""}, args="-cfg=EFI")
    case("cfg-empty", r"cfg-empty\.cfg: no kernel= in section \[\]", b"")
    case("cfg-rubbish", r"cfg-rubbish\.cfg: no kernel= in section \[\]", b"\0\xff\x01 rubbish\n[\n",
         warnings=[r"line 1: neither \[section\] nor key=value", r"line 2: neither"])
    two = config("# a comment", "; another", "[global]", "default=one", "[one]", "kernel=k-one", "[two]", "kernel=k-two",
                 "  ramdisk = r two ")
    case("section-default", r"kernel k-one: not found", two)
    case("section-named", r"kernel k-two: not found", two, args="two")
    case("section-unknown", r"section-unknown\.cfg: no section \[three\]", two, args="three")
    case("section-none", r"kernel first: not found", config("[a]", "kernel=first", "[b]", "kernel=second"))
    case("no-kernel", r"no-kernel\.cfg: no kernel= in section \[x\]", config("[global]", "default=x", "[x]", "options=noreboot"))
    case("unknown-key", r"kernel k: not found", section("k", "bogus=1", "ramdisc=2"),
         warnings=[r"unknown-key\.cfg line 5: unknown key: bogus", r"line 6: unknown key: ramdisc"])
    case("unknown-argument", r"kernel k-one: not found", two, args="one -query", warnings=[r"unknown argument -query"])
    case("chain", r"kernel k-two: not found", config("[global]", "default=two", "chain=chained.cfg"), {"chained.cfg": two})
    case("chain-missing", r"chained configuration file gone\.cfg: not found", config("[global]", "default=a", "chain=gone.cfg"))
    case("chain-loop", r"more than 8 configuration files in a chain",
         config("[global]", "default=a", "chain=chain-loop.cfg"))
    case("kernel-path", r"kernel sub\\deep\\k: ", config("[global]", "default=x", "[x]", "kernel=sub\\deep\\k"))
    case("long-name", r"kernel= is longer than 255 characters", section("k" * 300))
    case("long-options", r"options= is longer than 2047 characters", section("k", "options=" + "o" * 2100))

    # kernels
    kernel("empty", b"", r"kernel empty\.k: neither a bzImage nor an ELF file")
    kernel("text", b"no kernel at all\n" * 100, r"kernel text\.k: neither a bzImage nor an ELF file")
    case("directory", r"kernel EFI: is a directory", section("EFI"), {"EFI/y": b""})
    kernel("xz-cut", xz[:len(xz) // 2], r"kernel xz-cut\.k: truncated")
    kernel("lz4-cut", lz4[:-100], r"kernel lz4-cut\.k: truncated")
    kernel("xz-flip", kernels.damaged("xz", elf), r"kernel xz-flip\.k: corrupt xz payload")
    kernel("gzip-flip", kernels.damaged("gzip", elf), r"kernel gzip-flip\.k: corrupt gzip payload")
    kernel("zstd-flip", kernels.damaged("zstd", elf), r"kernel zstd-flip\.k: corrupt zstd payload")
    kernel("lz4-flip", kernels.damaged("lz4", elf), r"kernel lz4-flip\.k: corrupt")
    kernel("xz-size", kernels.bzimage(kernels.pack("xz", elf)[:-4] + struct.pack("<I", len(elf) - 1)),
           r"kernel xz-size\.k: corrupt xz payload: is not as long as the file says")
    kernel("xz-huge", kernels.bzimage(kernels.pack("xz", elf)[:-4] + b"\xff\xff\xff\xff"),
           r"kernel xz-huge\.k: corrupt xz payload: claims 4294967295 bytes")
    kernel("inner-cut", kernels.bzimage(kernels.pack("zstd", elf)[:-900] + struct.pack("<I", len(elf))),
           r"kernel inner-cut\.k: corrupt zstd payload")
    kernel("bzip2", kernels.bzimage(kernels.pack("bzip2", elf)), r"kernel bzip2\.k: compressed by bzip2, which is not supp")
    kernel("lzma", kernels.bzimage(kernels.pack("lzma", elf)), r"kernel lzma\.k: compressed by lzma, which is not supp")
    kernel("old", kernels.bzimage(kernels.pack("gzip", elf), 0x207), r"kernel old\.k: a bzImage of a boot protocol before 2\.08")
    kernel("bare", kernels.pack("gzip", elf), r"kernel bare\.k: a bare gzip file")
    kernel("elf-cut", elf[:200], r"kernel elf-cut\.k: ")
    kernel("elf-32", elf[:4] + b"\1" + elf[5:], r"kernel elf-32\.k: not a 64-bit little-endian ELF file")
    kernel("elf-arm", elf[:18] + b"\xb7\0" + elf[20:], r"kernel elf-arm\.k: for another kind of processor")
    kernel("no-notes", kernels.without_notes(elf), r"kernel no-notes\.k: has no Xen notes: not a PV kernel")
    kernel("packed-no-notes", kernels.bzimage(kernels.pack("lz4", kernels.without_notes(elf))),
           r"kernel packed-no-notes\.k: has no Xen notes")
    kernel("bad-entry", kernels.with_note(elf, NOTE_ENTRY, 16), r"kernel bad-entry\.k: entry point lies outside the image")
    kernel("bad-base", kernels.with_note(elf, NOTE_VIRT_BASE, 0xFFFF800000000000), r"kernel bad-base\.k: wants impossible")

    # memory, ramdisk
    case("ramdisk-missing", r"ramdisk gone: not found", section("good.k", "ramdisk=gone"))
    case("ramdisk-large", r"ramdisk large: 300 MiB do not fit the memory \(\d+ MiB free\)",
         section("good.k", "ramdisk=large"))
    case("dom0-large", r"dom0_mem=9000M is more than the machine has \(\d+ MiB\)",
         section("good.k", "options=dom0_mem=min:9000M"))
    case("dom0-syntax", r"dom0_mem= is not understood", section("good.k", "options=dom0_mem=plenty"))
    case("dom0-small", r"kernel good\.k with ramdisk some needs \d+ MiB, domain 0 gets 16 MiB",
         section("good.k", "options=dom0_mem=16M", "ramdisk=some"))
    return cases


def write(base, name, data):
    path = os.path.join(base, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def verdict(name, problem, text=""):
    print(f"TEST loader-{name} {'FAIL ' + problem if problem else 'PASS'}", flush=True)
    if problem and text:
        print("    " + text.strip().replace("\n", "\n    "))
    return not problem


def judge(text, error, warnings):
    """What is wrong with what one refusal printed, or an empty text."""
    lines = [x.strip() for x in text.split("\n")]
    errors = [x for x in lines if x.startswith("joist.efi: error: ")]
    warned = [x for x in lines if x.startswith("joist.efi: warning: ")]
    if len(errors) != 1:
        return f"{len(errors)} error lines"
    if not re.search("error: .*" + error if not error.startswith("kernel") else "error: " + error, errors[0]):
        return f"says {errors[0]!r}"
    if len(warned) != len(warnings):
        return f"{len(warned)} warnings, {len(warnings)} expected"
    for want, got in zip(warnings, warned):
        if not re.search(want, got):
            return f"warns {got!r}"
    m = re.search(r"RC (0x\w+)", text)
    if not m or int(m.group(1), 16) == 0:
        return "the program did not return an error status"
    return ""


def run_refusals(loader, elf, work):
    cases = refusals(elf)
    esp = os.path.join(work, "refusals")
    script = ["@echo -off", "fs0:"]
    os.makedirs(esp)
    write(esp, "good.k", elf)
    write(esp, "some", os.urandom(20 * MIB))
    with open(os.path.join(esp, "large"), "wb") as f:
        f.truncate(300 * MIB)
    for program in {c[1] for c in cases.values()}:
        shutil.copy(loader, os.path.join(esp, program))
    for name, (files, program, args, _, _) in cases.items():
        for file, data in files.items():
            write(esp, file, data)
        script += [f"echo CASE {name}", f"{program} {args}", "echo RC %lasterror%"]
    write(esp, "args.cfg", config("[global]", "default=x", "[y]", "kernel=good.k", "options=console=com1"))
    script += ["echo CASE END", "joist.efi -cfg=args.cfg y -- loglvl=all x"]
    write(esp, "startup.nsh", "\r\n".join(script).encode() + b"\r\n")
    good = True
    with harness.Machine("loader-refusals", esp=esp, mem=256, smp=1) as m:
        try:
            m.expect(r"CASE END", 150)
            m.expect(r"STUB options 'console=com1  ?loglvl=all x'", 20)
        except (harness.Timeout, harness.Ended) as e:
            good = verdict("shell", str(e).split("\n", maxsplit=1)[0])
        text = harness.ANSI.sub("", m.all)
    parts = re.split(r"CASE (\S+)\s*\n", text)
    found = dict(zip(parts[1::2], parts[2::2]))
    for name, (_, _, _, error, warnings) in cases.items():
        part = found.get(name)
        good &= verdict(name, judge(part, error, warnings) if part is not None else "was not run", part or "")
    return good


def stub_sum(data):
    """The sum that the payload makes of what it was handed."""
    s = 0
    for b in data:
        s = (s << 1 | s >> 63) & 0xFFFFFFFFFFFFFFFF ^ b
    return s


def boots(elf):
    """name -> (kernel file, ramdisk or None, machine's options)."""
    ramdisk = os.urandom(3 * MIB + 123)
    cases = {kind: (kernels.bzimage(kernels.pack(kind, elf)), None, {}) for kind in ("gzip", "xz", "zstd", "lz4")}
    cases["elf"] = (elf, ramdisk, {})
    cases["large-memory"] = (elf, ramdisk, {"mem": 6144})
    return cases


def run_boots(loader, elf, work):
    good = True
    want = stub_sum(elf)
    for name, (kernel, ramdisk, options) in boots(elf).items():
        esp = os.path.join(work, "boot-" + name)
        write(esp, "EFI/BOOT/kernel", kernel)
        write(esp, "EFI/BOOT/BOOTX64.cfg", section("kernel quiet  x=1", "options=console=com1 noreboot",
                                                   *(["ramdisk=initrd"] if ramdisk else [])))
        if ramdisk:
            write(esp, "EFI/BOOT/initrd", ramdisk)
        shutil.copy(loader, os.path.join(esp, "EFI/BOOT/BOOTX64.EFI"))
        problem = ""
        with harness.Machine("loader-" + name, esp=esp, **{"mem": 256, "smp": 1, **options}) as m:
            try:
                m.expect(r"STUB END|error: [^\n]*\n", 60)
            except (harness.Timeout, harness.Ended) as e:
                problem = str(e).split("\n", maxsplit=1)[0]
            text = m.all
        expected = [r"ranges \d+ usable (\d+) MiB bad 0\b", r"STUB options 'console=com1 noreboot'",
                    r"STUB cmdline 'quiet  x=1'", rf"STUB kernel {len(elf)} bytes sum {want:016x} elf 0 ",
                    rf"STUB ramdisk {len(ramdisk)} bytes sum {stub_sum(ramdisk):016x}" if ramdisk else "STUB ramdisk 0 bytes",
                    r"STUB rsdp 1 smbios 1 .* runtime 1 "]
        for line in expected:
            m = re.search(line, text)
            if not m and not problem:
                problem = f"no line {line!r}"
            elif m and m.groups() and int(m.group(1)) < options.get("mem", 256) - 110:
                problem = f"only {m.group(1)} MiB usable"
        good &= verdict("boot-" + name, problem, text[-1500:])
    return good


def main():
    loader, kernel = sys.argv[1:3]
    work = os.path.join(harness.BUILD, "run", f"loader-files.{os.getpid()}")
    with open(kernel, "rb") as f:
        elf = f.read()
    shutil.rmtree(work, ignore_errors=True)
    try:
        good = run_refusals(loader, elf, work)
        good &= run_boots(loader, elf, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(0 if good else 1)


main()
