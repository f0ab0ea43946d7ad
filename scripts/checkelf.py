#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""checkelf.py FILE: refuse a hypervisor image that would need run-time relocation or that a loader could not map."""
import struct
import sys

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
SHT_RELA, SHT_REL = 4, 9


def main():
    data = open(sys.argv[1], "rb").read()
    head = struct.unpack_from("<16sHHIQQQIHHHHHH", data, 0)
    phoff, shoff, phsize, phnum, shsize, shnum, shstr = head[5], head[6], head[9], head[10], head[11], head[12], head[13]
    for i in range(phnum):
        kind, flags = struct.unpack_from("<II", data, phoff + i * phsize)
        if kind in (PT_DYNAMIC, PT_INTERP):
            sys.exit("the image wants a dynamic linker")
        if kind == PT_LOAD and flags & 3 == 3:
            sys.exit("a segment is both writable and executable")
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, shoff + i * shsize) for i in range(shnum)]
    names = sections[shstr][4]
    for s in sections:
        name = data[names + s[0]:data.index(b"\0", names + s[0])].decode()
        if s[1] in (SHT_RELA, SHT_REL) and s[5]:
            sys.exit(f"section {name} holds relocations")
        if name.startswith(".got") and s[5] > 0x18:
            sys.exit(f"section {name} is not empty: a symbol is not hidden")


main()
