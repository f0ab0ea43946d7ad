/* SPDX-License-Identifier: MIT */
/* The panic report: registers, and every word on the stack that points behind a call, by name. */
#include "hw/backtrace.h"

#include <stdbool.h>

#include "base/log.h"
#include "hw/asm.h"
#include "hw/cpu_info.h"
#include "hw/layout.h"
#include "hw/trap.h"
#include "port/power.h"

struct symbol {
    uint32_t offset; /* from image_start */
    uint32_t name;
};
extern const uint32_t joist_syms_count;
extern const struct symbol joist_syms[];
extern const char joist_symnames[];
extern const uint8_t image_start[];
extern const uint8_t image_text_end[];

#define TRACE_LINES 24u
#define TRACE_WORDS 512u

static const struct regs *about;

bool symbol_of(uint64_t addr, const char **name, uint32_t *offset)
{
    uint64_t off = addr - (uint64_t)image_start;
    uint32_t low = 0;
    uint32_t high = joist_syms_count;

    if (addr < (uint64_t)image_start || addr >= (uint64_t)image_text_end || high == 0) {
        return false;
    }
    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;

        if (joist_syms[mid].offset <= off) {
            low = mid;
        } else {
            high = mid;
        }
    }
    *name = &joist_symnames[joist_syms[low].name];
    *offset = (uint32_t)(off - joist_syms[low].offset);
    return true;
}

void backtrace_from(const struct regs *r)
{
    about = r;
}

static void line_of(const char *what, uint64_t addr)
{
    const char *name;
    uint32_t offset;

    if (symbol_of(addr, &name, &offset)) {
        log_err("  %s %#018lx %s+%#x", what, (unsigned long)addr, name, offset);
    } else {
        log_err("  %s %#018lx", what, (unsigned long)addr);
    }
}

static void print_registers(const struct regs *r)
{
    log_err("rip %04lx:%016lx  rflags %08lx  rsp %04lx:%016lx", (unsigned long)r->cs & 0xffff,
            (unsigned long)r->rip, (unsigned long)r->rflags, (unsigned long)r->ss & 0xffff,
            (unsigned long)r->rsp);
    log_err("rax %016lx rbx %016lx rcx %016lx rdx %016lx", (unsigned long)r->rax,
            (unsigned long)r->rbx, (unsigned long)r->rcx, (unsigned long)r->rdx);
    log_err("rsi %016lx rdi %016lx rbp %016lx r8  %016lx", (unsigned long)r->rsi,
            (unsigned long)r->rdi, (unsigned long)r->rbp, (unsigned long)r->r8);
    log_err("r9  %016lx r10 %016lx r11 %016lx r12 %016lx", (unsigned long)r->r9,
            (unsigned long)r->r10, (unsigned long)r->r11, (unsigned long)r->r12);
    log_err("r13 %016lx r14 %016lx r15 %016lx", (unsigned long)r->r13, (unsigned long)r->r14,
            (unsigned long)r->r15);
}

/* End of the piece of stack that sp lies in: the words from there to a guard page or the end of the
 * block. */
static uint64_t stack_end(uint64_t sp)
{
    uint64_t block = sp & ~(uint64_t)BLOCK_MASK;
    uint64_t page = (sp - block) / 4096;

    if (page >= BLOCK_MAIN_PAGE) {
        return block + BLOCK_SIZE - sizeof(struct cpu_info);
    }
    return block + ((page - BLOCK_DF_PAGE) / 3 * 3 + BLOCK_DF_PAGE + 2) * 4096;
}

/* Where to read the stack of r: its own if that is a cpu's, from the first word that is there. A
 * stack that ran into its guard page is the usual cause of a double fault. */
static uint64_t trace_start(const struct regs *r, uint64_t here)
{
    uint64_t main_stack = (here & ~(uint64_t)BLOCK_MASK) + BLOCK_MAIN_PAGE * 4096;

    if ((r->rsp ^ here) > BLOCK_MASK) {
        return (uint64_t)(r + 1);
    }
    if (r->rsp < main_stack &&
        r->rsp >= main_stack - (BLOCK_MAIN_PAGE - BLOCK_DB_PAGE - 2) * 4096) {
        return main_stack;
    }
    return r->rsp;
}

void port_panic_report(void)
{
    uint64_t here = (uint64_t)__builtin_frame_address(0);
    const struct regs *r = about;
    unsigned int lines = 0;

    trap_stop_others();
    log_err("cpu %u, cr0 %lx cr2 %lx cr3 %lx cr4 %lx", cpu_info()->cpu, (unsigned long)read_cr0(),
            (unsigned long)read_cr2(), (unsigned long)read_cr3(), (unsigned long)read_cr4());
    if (r != NULL) {
        print_registers(r);
        line_of("at  ", r->rip);
        if ((r->cs & 3) != 0) {
            return;
        }
        here = trace_start(r, here);
    }
    const uint64_t *word = (const uint64_t *)(here & ~UINT64_C(7));
    const uint64_t *end = (const uint64_t *)stack_end(here);
    for (unsigned int i = 0; word < end && i < TRACE_WORDS && lines < TRACE_LINES; i++, word++) {
        if (*word > (uint64_t)image_start && *word < (uint64_t)image_text_end) {
            line_of("from", *word);
            lines++;
        }
    }
}
