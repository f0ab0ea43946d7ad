/* SPDX-License-Identifier: MIT */
/* User-space costs seen inside a guest or natively, in TSC ticks per operation (best of 5). */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

static char buf[1];

static void getppid_once(void)
{
    syscall(SYS_getppid);
}

static void fork_once(void)
{
    pid_t p = fork();
    if (p == 0)
        _exit(0);
    waitpid(p, NULL, 0);
}

static void exec_once(void)
{
    pid_t p = vfork();
    if (p == 0) {
        execl("/proc/self/exe", "x", "exit", (char *)NULL);
        _exit(1);
    }
    waitpid(p, NULL, 0);
}

static int a[2], b[2];

static void pipe_once(void)
{
    if (write(a[1], buf, 1) != 1 || read(b[0], buf, 1) != 1)
        exit(1);
}

/* map 64 pages, touch each, unmap: 64 page faults */
static void fault_once(void)
{
    char *p = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 64; i++)
        p[i * 4096] = 1;
    munmap(p, 64 * 4096);
}

static void bench(const char *name, void (*f)(void), int n, int items)
{
    unsigned long long best = ~0ULL;
    for (int r = 0; r < 5; r++) {
        unsigned long long t = __rdtsc();
        for (int i = 0; i < n; i++)
            f();
        t = __rdtsc() - t;
        if (t < best)
            best = t;
    }
    printf("USER %s %.0f\n", name, (double)best / n / items);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return 0;
    bench("getppid", getppid_once, 500, 1);
    bench("mmap+touch+munmap, per page of 64", fault_once, 20, 64);
    bench("fork+exit+wait", fork_once, 20, 1);
    bench("vfork+exec+exit+wait", exec_once, 20, 1);
    cpu_set_t s;
    CPU_ZERO(&s);
    CPU_SET(0, &s);
    sched_setaffinity(0, sizeof s, &s);
    if (pipe(a) || pipe(b))
        return 1;
    pid_t p = fork();
    if (p == 0) {
        while (read(a[0], buf, 1) == 1 && write(b[1], buf, 1) == 1)
            ;
        _exit(0);
    }
    bench("pipe ping-pong round trip (2 context switches)", pipe_once, 200, 1);
    printf("USER end\n");
    fflush(stdout);
    kill(p, 9);
    return 0;
}
