/* SPDX-License-Identifier: MIT */
/* port/copy.h beyond the small inline copies: string instructions, which stop at the first fault.
 */
#include "port/copy.h"

/* The words, then the bytes: bytes left. `open` and `close` surround the access where SMAP wants
 * it. */
static size_t copy(void *dst, const void *src, size_t n)
{
    size_t words = n / 8;
    size_t bytes = n % 8;

    __asm__ volatile(X86_STAC "1: rep movsq\n"
                              "mov %3, %2\n"
                              "xor %3, %3\n"
                              "2: rep movsb\n"
                              "3:\n" X86_CLAC X86_FIXUP("1b", "4f")
                                  X86_FIXUP("2b", "3b") ".pushsection .text.fixup, \"ax\"\n"
                                                        "4: lea (%3, %2, 8), %2\n"
                                                        "jmp 3b\n"
                                                        ".popsection\n"
                     : "+D"(dst), "+S"(src), "+c"(words), "+r"(bytes)
                     :
                     : "memory");
    return words;
}

size_t x86_guest_read(void *dst, uint64_t src, size_t n)
{
    if (n > 0x40000000 || !x86_guest_range(src, n)) {
        return n;
    }
    return copy(dst, (const void *)src, n);
}

size_t x86_guest_write(uint64_t dst, const void *src, size_t n)
{
    if (n > 0x40000000 || !x86_guest_range(dst, n)) {
        return n;
    }
    return copy((void *)dst, src, n);
}

size_t guest_clear(gptr_t dst, size_t n)
{
    size_t words = n / 8;
    size_t bytes = n % 8;
    void *to = (void *)dst.va;

    if (n > 0x40000000 || !x86_guest_range(dst.va, n)) {
        return n;
    }
    __asm__ volatile(X86_STAC "1: rep stosq\n"
                              "mov %2, %1\n"
                              "xor %2, %2\n"
                              "2: rep stosb\n"
                              "3:\n" X86_CLAC X86_FIXUP("1b", "4f")
                                  X86_FIXUP("2b", "3b") ".pushsection .text.fixup, \"ax\"\n"
                                                        "4: lea (%2, %1, 8), %1\n"
                                                        "jmp 3b\n"
                                                        ".popsection\n"
                     : "+D"(to), "+c"(words), "+r"(bytes)
                     : "a"(UINT64_C(0))
                     : "memory");
    return words;
}
