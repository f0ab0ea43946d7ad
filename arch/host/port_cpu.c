/* SPDX-License-Identifier: MIT */
/* Host port: cpus, their work, switching, power, console. */
#include <sys/syscall.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "port/console.h"
#include "port/cpu.h"
#include "port/power.h"
#include "port/start.h"
#include "port/vcpu.h"
#include "domain/domain.h"
#include "domain/vcpu.h"
#include "arch/host/host_int.h"
#include "arch/host/machine.h"
#include "sched/sched.h"

bool host_verbose;
void (*host_console)(const char *text, size_t len);
void (*host_halted)(int how);

static _Atomic uint32_t work[HOST_MAX_CPUS];
static _Thread_local char
    last_words[256]; /* the end of what this thread last wrote on the console */
static uint32_t yield_one_in;
static _Thread_local uint32_t yield_state;
static uint32_t yield_seed = 1;

void host_inject_yields(uint32_t one_in, uint32_t seed)
{
    yield_one_in = one_in;
    yield_seed = seed | 1;
    yield_state = yield_seed;
}

bool port_cpu_work_pending(void)
{
    if (atomic_load(&work[port_cpu_id()]) != 0) {
        return true;
    }
    if (yield_one_in == 0) {
        return false;
    }
    if (yield_state == 0) {
        yield_state = yield_seed + port_cpu_id() * 2;
    }
    yield_state = yield_state * 1664525u + 1013904223u;
    return (yield_state >> 8) % yield_one_in == 0;
}

void port_cpu_raise(unsigned int cpu, uint32_t bits)
{
    __atomic_fetch_or(&host_record.raised[cpu % HOST_MAX_CPUS], bits, __ATOMIC_RELAXED);
    atomic_fetch_or(&work[cpu % HOST_MAX_CPUS], bits);
}

uint32_t port_cpu_take_work(void)
{
    return atomic_exchange(&work[port_cpu_id()], 0);
}

unsigned int port_cpu_count(void)
{
    return host_cpu_count;
}

unsigned int port_cpu_start_others(void)
{
    return host_cpu_count;
}

void port_cpu_idle_wait(void)
{
    if (host_hooks.idle != NULL) {
        host_hooks.idle();
    }
}

/* A cpu that waits for ever is a dead-lock: nothing else runs on one thread. */
void host_relax(void)
{
    static _Thread_local uint64_t spins;

    (void)syscall(SYS_sched_yield); /* libc's wrapper has the name of a function of the core */
    if (++spins == UINT64_C(2000000000)) {
        fprintf(stderr, "host machine: cpu %u waits for ever\n", port_cpu_id());
        abort();
    }
}

void port_vcpu_switch(struct vcpu *prev, struct vcpu *next)
{
    unsigned int cpu = port_cpu_id();

    host_this_cpu->current = next;
    host_tlb_clear(cpu);
    if (!prev->is_idle && prev->d != next->d) {
        cpumask_clear(&prev->d->dirty_cpus, cpu);
    }
    sched_switched(prev);
}

void port_console_screen_off(void)
{
}

void port_console_write(const char *text, size_t len)
{
    size_t n = len < sizeof last_words - 1 ? len : sizeof last_words - 1;
    size_t keep = strlen(last_words);

    keep = keep + n < sizeof last_words ? keep : sizeof last_words - 1 - n;
    memmove(last_words, last_words + strlen(last_words) - keep, keep);
    memcpy(last_words + keep, text + len - n, n);
    last_words[keep + n] = '\0';
    if (host_verbose) {
        (void)fwrite(text, 1, len, stderr);
    }
    if (host_console != NULL) {
        host_console(text, len);
    }
}

static _Noreturn void end(int how)
{
    if (host_halted != NULL) {
        host_halted(how);
    }
    abort();
}

_Noreturn void port_power_off(void)
{
    host_record.power = 'o';
    end('o');
}

_Noreturn void port_reboot(void)
{
    if (host_record.power == 0) {
        host_record.power = 'r';
    }
    end(host_record.power == 'p' ? 'p' : 'r');
}

_Noreturn void port_double_fault(void)
{
    end('p');
}

_Noreturn void port_halt(void)
{
    end('p');
}

void port_panic_report(void)
{
    host_record.power = 'p';
    if (!host_verbose && host_halted == NULL) {
        fprintf(stderr, "host machine: %s(set host_verbose to read all that came before)\n",
                last_words);
    }
}
