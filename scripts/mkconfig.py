#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mkconfig.py KCONFIG DOTCONFIG HEADER MAKEFILE: turn a .config into config.h, in which every symbol of
KCONFIG is a number or a string (0 where unset), and into a make fragment with the symbols that are set."""
import re
import sys


def main():
    kconfig, dotconfig, header, fragment = sys.argv[1:5]
    symbols = []
    for line in open(kconfig, encoding="utf-8"):
        m = re.match(r"\s*(?:menu)?config\s+([A-Z0-9_]+)\s*$", line)
        if m and m.group(1) not in symbols:
            symbols.append(m.group(1))
    if len(symbols) > 25:
        sys.exit(f"{kconfig}: {len(symbols)} symbols, at most 25 are allowed")
    values = {}
    for line in open(dotconfig, encoding="utf-8"):
        m = re.match(r"CONFIG_([A-Z0-9_]+)=(.*)$", line)
        if m:
            values[m.group(1)] = m.group(2)
    with open(header, "w", encoding="utf-8") as out:
        out.write("/* SPDX-License-Identifier: MIT */\n/* Generated from Kconfig: every option as a number. */\n")
        out.write("#pragma once\n")
        for name in symbols:
            value = values.get(name, "0")
            out.write(f"#define CONFIG_{name} {'1' if value == 'y' else value}\n")
    with open(fragment, "w", encoding="utf-8") as out:
        for name in symbols:
            if name in values:
                out.write(f"CONFIG_{name} := {values[name]}\n")


main()
