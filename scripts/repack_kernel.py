#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""repack_kernel.py KERNEL FORM OUT: the same Linux kernel in another wrapping, for loader tests.

FORM: gzip, xz, zstd, lz4 (a bzImage with that payload), elf (the bare vmlinux),
truncated[-FORM], flipped[-FORM] (damaged ones: the first half only; one bit of the payload changed).
"""
import gzip
import lzma
import struct
import subprocess
import sys
import zlib

# fields of the x86 boot protocol's setup header
SETUP_SECTS, SYSSIZE, MAGIC, PAYLOAD_OFFSET, PAYLOAD_LENGTH = 0x1f1, 0x1f4, 0x202, 0x248, 0x24c


def pipe(args, data):
    return subprocess.run(args, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout


def parts(image):
    """(offset of the protected-mode part, offset of the payload, its length)."""
    if image[MAGIC:MAGIC + 4] != b"HdrS":
        raise ValueError("not a bzImage")
    start = (image[SETUP_SECTS] + 1) * 512
    off, length = struct.unpack_from("<II", image, PAYLOAD_OFFSET)
    return start, start + off, length


def unpack(payload):
    if payload[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor().decompress(payload)
    if payload[:4] == b"\x02\x21\x4c\x18":
        return pipe(["lz4", "-dc"], payload)
    if payload[:4] == b"\x28\xb5\x2f\xfd":
        return pipe(["zstd", "-dc"], payload)
    if payload[:2] == b"\x1f\x8b":
        return gzip.decompress(payload)
    if payload[:4] == b"\x7fELF":
        return payload
    raise ValueError("unknown payload")


def compress(elf, form):
    """As the kernel's build does it: every form but gzip is followed by the unpacked size."""
    size = struct.pack("<I", len(elf))
    if form == "gzip":
        return gzip.compress(elf, 6, mtime=0)
    if form == "xz":
        return lzma.compress(elf, check=lzma.CHECK_CRC32, preset=1) + size
    if form == "zstd":
        return pipe(["zstd", "-q", "-c", "-3"], elf) + size
    if form == "lz4":
        return pipe(["lz4", "-q", "-l", "-c", "-1"], elf) + size
    raise ValueError("unknown form " + form)


def with_checksum(b):
    """The image unsigned, ended by the word that makes the CRC-32 of the whole 0, as the kernel's build does it."""
    pe = struct.unpack_from("<I", b, 0x3c)[0]
    if b[pe:pe + 4] == b"PE\0\0":
        struct.pack_into("<I", b, pe + 0x58, 0)
        struct.pack_into("<II", b, pe + 0xa8, 0, 0)
    return bytes(b) + struct.pack("<I", zlib.crc32(bytes(b)) ^ 0xffffffff)


def splice(image, payload):
    """The bzImage with another payload: in the old one's place if it fits, else behind the rest."""
    start, at, length = parts(image)
    b = bytearray(image)
    if len(payload) <= length:
        b[at:at + length] = payload + b"\0" * (length - len(payload))
    else:
        b += b"\0" * (-len(b) % 16)
        at = len(b)
        b += payload
    b += b"\0" * (-(len(b) + 4 - start) % 16)
    struct.pack_into("<II", b, PAYLOAD_OFFSET, at - start, len(payload))
    struct.pack_into("<I", b, SYSSIZE, (len(b) + 4 - start) // 16)
    return with_checksum(b)


def payload_of(image):
    _, at, length = parts(image)
    return image[at:at + length]


def flipped(image):
    """With one bit of the payload changed where it counts: not each does (the distance of a match among zeros)."""
    _, at, length = parts(image)
    whole = unpack(payload_of(image))
    for where in range(at + length // 2, at + length):
        out = image[:where] + bytes([image[where] ^ 0x10]) + image[where + 1:]
        try:
            if unpack(payload_of(out)) != whole:
                return out
        except (OSError, EOFError, zlib.error, lzma.LZMAError):
            return out
    raise ValueError("no bit of the payload counts")


def repack(image, form):
    """The kernel image in another form."""
    kind, _, inner = form.partition("-")
    if kind in ("truncated", "flipped"):
        if inner:
            image = repack(image, inner)
        if kind == "truncated":
            return image[:len(image) // 2]
        return flipped(image)
    elf = unpack(payload_of(image))
    if form == "elf":
        return elf
    return splice(image, compress(elf, form))


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as f:
        image = f.read()
    out = repack(image, sys.argv[2])
    with open(sys.argv[3], "wb") as f:
        f.write(out)


if __name__ == "__main__":
    main()
