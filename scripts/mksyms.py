#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mksyms.py NM_OUTPUT ASM_OUT: write the symbol table for back-traces as assembly. Each entry of joist_syms is
(offset from the symbol image_start, offset into joist_symnames), both 32 bits wide, sorted by offset.
An empty NM_OUTPUT makes an empty table, for the first link."""
import sys


def main():
    symbols = []
    start = None
    for line in open(sys.argv[1], encoding="ascii"):
        fields = line.split()
        if len(fields) != 3:
            continue
        address, kind, name = int(fields[0], 16), fields[1], fields[2]
        if name == "image_start":
            start = address
        if kind in "tTwW" and not name.startswith("."):
            symbols.append((address, name))
    if symbols and start is None:
        sys.exit("mksyms: the linker script defines no image_start")
    symbols.sort()
    table, names, last = [], [], None
    position = 0
    for address, name in symbols:
        if address == last:
            continue
        last = address
        table.append((address - start, position))
        names.append(name)
        position += len(name) + 1
    with open(sys.argv[2], "w", encoding="ascii") as out:
        out.write("/* SPDX-License-Identifier: MIT */\n/* Generated: symbols for back-traces. */\n")
        out.write('    .section .joist_syms,"a",@progbits\n    .balign 8\n')
        out.write("    .globl joist_syms, joist_syms_count, joist_symnames\n")
        out.write("    .hidden joist_syms, joist_syms_count, joist_symnames\n")
        out.write(f"joist_syms_count:\n    .long {len(table)}\n    .long 0\njoist_syms:\n")
        for offset, position in table:
            out.write(f"    .long {offset:#x}, {position}\n")
        out.write("joist_symnames:\n")
        for name in names:
            out.write(f'    .asciz "{name}"\n')
        out.write('    .byte 0\n    .section .note.GNU-stack,"",@progbits\n')


main()
