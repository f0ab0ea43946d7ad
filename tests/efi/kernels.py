# SPDX-License-Identifier: MIT
"""kernels.py: kernel files for the loader's tests, made from one ELF image: bzImages with each kind of payload, damaged
ones, ELF files with impossible notes."""
import gzip
import lzma
import struct
import subprocess
import zlib

SETUP_SECTS = 4


def pack(kind, elf):
    if kind == "gzip":
        return gzip.compress(elf, 6, mtime=0)
    size = struct.pack("<I", len(elf))
    if kind == "xz":
        filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 32 << 20}]
        return lzma.compress(elf, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=filters) + size
    command = {"zstd": ["zstd", "-q", "-19", "-c"], "lz4": ["lz4", "-q", "-l", "-9", "-c"],
               "bzip2": ["bzip2", "-c"], "lzma": ["xz", "--format=lzma", "-c"]}[kind]
    return subprocess.run(command, input=elf, stdout=subprocess.PIPE, check=True).stdout + size


def unpack(kind, payload):
    if kind == "gzip":
        return gzip.decompress(payload)
    if kind == "xz":
        return lzma.decompress(payload[:-4])
    return subprocess.run([kind, "-q", "-d", "-c"], input=payload[:-4], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          check=True).stdout


def checksum(data):
    """The word that makes the CRC-32 of the whole, not inverted at the end, zero."""
    return struct.pack("<I", zlib.crc32(data) ^ 0xFFFFFFFF)


def bzimage(payload, version=0x20F):
    code = bytes(0x200) + payload
    code += bytes(-(len(code) + 4) % 16)
    setup = bytearray((SETUP_SECTS + 1) * 512)
    setup[0x1F1] = SETUP_SECTS
    struct.pack_into("<I", setup, 0x1F4, (len(code) + 4) // 16)
    setup[0x1FE:0x200] = b"\x55\xaa"
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x206, version)
    struct.pack_into("<I", setup, 0x3C, 0x80)
    struct.pack_into("<II", setup, 0x248, 0x200, len(payload))
    data = bytes(setup) + code
    return data + checksum(data)


def flip(data, at):
    data = bytearray(data)
    data[at] ^= 0x10
    return bytes(data)


def damaged(kind, elf):
    """A bzImage with one bit of the payload flipped where it counts: not each does (the distance of a match among zeros)."""
    payload = pack(kind, elf)
    for at in range(2000, len(payload) - 4):
        try:
            if unpack(kind, flip(payload, at)) == elf:
                continue
        except (OSError, EOFError, zlib.error, lzma.LZMAError, subprocess.CalledProcessError):
            pass
        return flip(bzimage(payload), (SETUP_SECTS + 1) * 512 + 0x200 + at)
    raise ValueError(f"no bit of the {kind} payload counts")


def notes(elf):
    """(offset of the note's header, type, offset of its descriptor, size) of each Xen note."""
    phoff, phsize, phnum = struct.unpack_from("<Q", elf, 32)[0], *struct.unpack_from("<HH", elf, 54)
    for i in range(phnum):
        kind, _, offset, _, _, size = struct.unpack_from("<IIQQQQ", elf, phoff + i * phsize)
        at, end = offset, offset + size
        while kind == 4 and at + 12 <= end:
            namesz, descsz, typ = struct.unpack_from("<III", elf, at)
            desc = at + 12 + (namesz + 3 & ~3)
            if elf[at + 12:at + 16] == b"Xen\0":
                yield at, typ, desc, descsz
            at = desc + (descsz + 3 & ~3)


def with_note(elf, typ, value):
    """The ELF file with the value of one numeric note replaced."""
    out = bytearray(elf)
    for _, t, desc, size in notes(elf):
        if t == typ:
            out[desc:desc + size] = value.to_bytes(size, "little")
            return bytes(out)
    raise ValueError(f"no note {typ}")


def without_notes(elf):
    """The ELF file with every Xen note renamed."""
    out = bytearray(elf)
    for at, _, _, _ in notes(elf):
        out[at + 12:at + 16] = b"Nox\0"
    return bytes(out)
