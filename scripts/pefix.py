#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pefix.py FILE: make a PE image depend on nothing but its contents: time stamp and checksum fields become 0."""
import struct
import sys


def main():
    with open(sys.argv[1], "r+b") as f:
        data = bytearray(f.read())
        pe = struct.unpack_from("<I", data, 0x3C)[0]
        if data[pe:pe + 4] != b"PE\0\0":
            sys.exit(f"{sys.argv[1]} is no PE image")
        struct.pack_into("<I", data, pe + 8, 0)
        struct.pack_into("<I", data, pe + 24 + 64, 0)
        f.seek(0)
        f.write(data)


main()
