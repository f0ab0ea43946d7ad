/* SPDX-License-Identifier: MIT */
/* GDT, IDT, TSS of each cpu, and the SYSCALL stub with its MSRs.  SDM vol. 3A chapters 3, 6, 8. */
#include "hw/seg.h"

#include "hw/asm.h"
#include "hw/guard.h"
#include "hw/offsets.h"
#include "hw/paging.h"
#include "hw/x86.h"
#include "config.h"
#include "lib/mem.h"
#include "port/cpu.h"

extern uint8_t boot_block[];
extern uint8_t syscall_stubs[]; /* text: written before the image is protected */
extern const uint8_t vector_stubs[];
extern const uint8_t syscall_entry[];
extern const uint8_t syscall32_entry[];
extern const uint8_t sysenter_entry[];
extern const uint8_t guard_stubs[];
extern const uint8_t guarded_syscall[];
extern const uint8_t guarded_syscall32[];
extern const uint8_t guard_sysenter[];

#define GATE_INTERRUPT   UINT64_C(0x8e00)
#define GATE_DPL3        UINT64_C(0x6000)
#define VECTOR_STUB_SIZE 16u

#define IST_DF  1u
#define IST_NMI 2u
#define IST_MC  3u
#define IST_DB  4u

static uint64_t idt[512] __attribute__((aligned(4096), section(".data.ro_after_init")));

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t io_map;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "SDM vol. 3A figure 8-11");

static uint64_t ist_of(unsigned int vector)
{
    switch (vector) {
    case 1:
        return IST_DB;
    case 2:
        return IST_NMI;
    case 8:
        return IST_DF;
    case 18:
        return IST_MC;
    default:
        return 0;
    }
}

/* Ring 3 may raise #BP and #OF by their instructions. */
static void set_gate(unsigned int vector, const uint8_t *stubs)
{
    uint64_t at = (uint64_t)&stubs[vector * VECTOR_STUB_SIZE];
    uint64_t type = GATE_INTERRUPT | (vector == 3 || vector == 4 ? GATE_DPL3 : 0);

    idt[2 * vector] = (at & 0xffff) | (uint64_t)SEL_HV_CS << 16 | (ist_of(vector) | type) << 32 |
                      (at >> 16 & 0xffff) << 48;
    idt[2 * vector + 1] = at >> 32;
}

/* The boot cpu's, until its area is mapped. */
static uint64_t early_gdt[512] __attribute__((aligned(4096)));
static uint8_t early_data[4096] __attribute__((aligned(4096)));

static uint64_t area(unsigned int cpu)
{
    return HV_PERCPU + (uint64_t)cpu * PERCPU_SIZE;
}

uint64_t seg_block(unsigned int cpu)
{
    return cpu == 0 ? (uint64_t)boot_block : area(cpu) + PC_STACK;
}

static void fill_gdt(uint64_t *gdt, uint64_t tss)
{
    unsigned int at = (SEL_TSS & 0xff8) / 8;

    memset(gdt, 0, 4096);
    gdt[1] = UINT64_C(0x00af9b000000ffff);                           /* 0xe008: ours, 64-bit code */
    gdt[2] = UINT64_C(0x00cf93000000ffff);                           /* 0xe010: ours, data */
    gdt[(SEL_USER_CS32 & 0xff8) / 8] = UINT64_C(0x00cffb000000ffff); /* 0xe023 */
    gdt[(SEL_USER_DS & 0xff8) / 8] = UINT64_C(0x00cff3000000ffff);   /* 0xe02b */
    gdt[(SEL_USER_CS & 0xff8) / 8] = UINT64_C(0x00affb000000ffff);   /* 0xe033 */
    gdt[at] = (sizeof(struct tss) - 1) | (tss & 0xffffff) << 16 | UINT64_C(0x89) << 40 |
              (tss >> 24 & 0xff) << 56;
    gdt[at + 1] = tss >> 32;
}

static void fill_stacks(uint64_t top[5], uint64_t block)
{
    top[0] = block + BLOCK_TOP;
    top[IST_DF] = block + (BLOCK_DF_PAGE + 2) * 4096;
    top[IST_NMI] = block + (BLOCK_NMI_PAGE + 2) * 4096;
    top[IST_MC] = block + (BLOCK_MC_PAGE + 2) * 4096;
    top[IST_DB] = block + (BLOCK_DB_PAGE + 2) * 4096;
}

static void fill_tss(struct tss *t, const uint64_t top[5])
{
    memset(t, 0, sizeof *t);
    t->rsp[0] = top[0];
    for (unsigned int i = IST_DF; i <= IST_DB; i++) {
        t->ist[i - 1] = top[i];
    }
    t->io_map = sizeof *t;
}

/* Instructions, as they are put together. */
struct code {
    uint8_t *at;
};

static void put(struct code *c, const void *bytes, size_t n)
{
    memcpy(c->at, bytes, n);
    c->at += n;
}

static void put32(struct code *c, uint32_t val)
{
    put(c, &val, sizeof val);
}

/* A 32-bit distance, as the last part of an instruction. */
static void put_distance(struct code *c, uint64_t target)
{
    put32(c, (uint32_t)(target - (uint64_t)(c->at + 4)));
}

/*
 * SYSCALL arrives on the guest's stack; there is no register to spare, and GS is the guest's.  So
 * each cpu has its own first instructions, which know its stack:
 *
 *      mov %rsp, PCD_RSP(%rip);  movabs $top, %rsp;  push $ss;  push PCD_RSP(%rip);  push %r11;
 *      push $cs;  push %rcx;  jmp
 *
 * With page-table isolation the full root is loaded before the stack is used:
 *
 *      mov %rax, PCD_RAX(%rip);  mov PCD_FULL(%rip), %rax;  mov %rax, %cr3;  mov PCD_RAX(%rip),
 * %rax
 */
static void make_stub(unsigned int cpu, unsigned int offset, uint32_t cs, const uint8_t *entry)
{
    struct code c = { .at = &syscall_stubs[cpu * STUB_SIZE + offset] };
    uint64_t data = area(cpu) + PC_DATA;
    uint64_t top = seg_block(cpu) + BLOCK_TOP;

    put(&c, "\x48\x89\x25", 3);
    put_distance(&c, data + PCD_RSP);
    if (guard_has(GUARD_XPTI)) {
        put(&c, "\x48\x89\x05", 3);
        put_distance(&c, data + PCD_RAX);
        put(&c, "\x48\x8b\x05", 3);
        put_distance(&c, data + PCD_FULL);
        put(&c, "\x0f\x22\xd8\x48\x8b\x05", 6);
        put_distance(&c, data + PCD_RAX);
    }
    put(&c, "\x48\xbc", 2);
    put(&c, &top, 8);
    put(&c, "\x68", 1);
    put32(&c, SEL_USER_DS);
    put(&c, "\xff\x35", 2);
    put_distance(&c, data + PCD_RSP);
    put(&c, "\x41\x53\x68", 3);
    put32(&c, cs);
    put(&c, "\x51\xe9", 2);
    put_distance(&c, (uint64_t)entry);
}

static void load(uint64_t gdt_va)
{
    struct table_pointer gdtr = { .limit = GDT_OURS_PAGE * 4096 + 4095, .base = gdt_va };
    struct table_pointer idtr = { .limit = sizeof idt - 1, .base = (uint64_t)idt };

    __asm__ volatile("lgdt %0\n"
                     "lidt %1\n"
                     "pushq %2\n"
                     "lea 1f(%%rip), %%rax\n"
                     "pushq %%rax\n"
                     "lretq\n"
                     "1: mov %3, %%ss\n"
                     "xor %%eax, %%eax\n"
                     "mov %%eax, %%ds\n"
                     "mov %%eax, %%es\n"
                     "mov %%eax, %%fs\n"
                     "mov %%eax, %%gs\n"
                     "lldt %%ax\n"
                     "ltr %w4\n"
                     :
                     : "m"(gdtr), "m"(idtr), "i"(SEL_HV_CS), "r"(SEL_HV_DS), "r"(SEL_TSS)
                     : "rax", "memory");
}

/* The stacks that the processor loads: the cpu's own, or with guard_entry.S the small ones of its
 * page, which then says where to go on. */
static void set_stacks(unsigned int cpu, uint64_t data)
{
    uint64_t *top = (uint64_t *)(data + PCD_TOP);
    uint64_t small[5] = { data + PCD_END };

    fill_stacks(top, seg_block(cpu));
    for (unsigned int i = IST_DF; i <= IST_DB; i++) {
        small[i] = data + PCD_IST + (uint64_t)(i - 1) * PCD_IST_SIZE;
    }
    fill_tss((struct tss *)(data + PCD_TSS), guard_on() ? small : top);
    wrmsr(MSR_SYSENTER_ESP, guard_on() ? small[0] : top[0]);
    wrmsr(MSR_SYSENTER_EIP, (uint64_t)(guard_on() ? guard_sysenter : sysenter_entry));
}

void seg_entries(void)
{
    bool guarded = guard_on();

    for (unsigned int i = 0; i < 256; i++) {
        set_gate(i, guarded ? guard_stubs : vector_stubs);
    }
    for (unsigned int cpu = 0; cpu < CONFIG_MAX_CPUS; cpu++) {
        make_stub(cpu, 0, SEL_USER_CS, guarded ? guarded_syscall : syscall_entry);
        make_stub(cpu, STUB_SIZE / 2, SEL_USER_CS32, guarded ? guarded_syscall32 : syscall32_entry);
    }
    set_stacks(0, (uint64_t)early_data);
}

paddr_t seg_idt_pa(uint64_t *va)
{
    *va = (uint64_t)idt;
    return paging_image_pa(idt);
}

void seg_early(void)
{
    seg_entries();
    fill_gdt(early_gdt, (uint64_t)early_data + PCD_TSS);
    load((uint64_t)early_gdt - GDT_OURS_PAGE * 4096);
}

void seg_cpu_init(unsigned int cpu)
{
    uint64_t gdt_va = area(cpu) + PC_GDT;
    uint64_t data = area(cpu) + PC_DATA;
    uint64_t stub = (uint64_t)&syscall_stubs[cpu * STUB_SIZE];

    set_stacks(cpu, data);
    cpu_info()->entry = data;
    fill_gdt((uint64_t *)(gdt_va + GDT_OURS_PAGE * 4096), data + PCD_TSS);
    load(gdt_va);
    wrmsr(MSR_STAR, (uint64_t)SEL_USER_CS32 << 48 | (uint64_t)SEL_HV_CS << 32);
    wrmsr(MSR_LSTAR, stub);
    wrmsr(MSR_CSTAR, stub + STUB_SIZE / 2);
    wrmsr(MSR_FMASK, SYSCALL_FLAG_MASK);
    wrmsr(MSR_SYSENTER_CS, SEL_HV_CS);
}

void seg_load_ldt(unsigned int entries)
{
    uint64_t base = area(port_cpu_id()) + PC_LDT;
    uint64_t *gdt = (uint64_t *)(area(port_cpu_id()) + PC_GDT + GDT_OURS_PAGE * 4096);
    unsigned int at = (SEL_HV_LDT & 0xff8) / 8;
    uint64_t limit = (uint64_t)entries * 8 - 1;
    uint16_t sel = 0;

    if (entries != 0) {
        gdt[at] = (limit & 0xffff) | (base & 0xffffff) << 16 | UINT64_C(0x82) << 40 |
                  (limit >> 16 & 15) << 48 | (base >> 24 & 0xff) << 56;
        gdt[at + 1] = base >> 32;
        sel = SEL_HV_LDT;
    }
    __asm__ volatile("lldt %0" ::"r"(sel) : "memory");
}
