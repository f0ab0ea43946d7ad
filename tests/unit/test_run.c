/* SPDX-License-Identifier: MIT */
/* Tests of what passes between `joist run` and its guest's terminal, on one of this machine. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/run_stream.h"
#include "run/wire.h"

#define MOST 40000

/* The mark in pieces of every size, behind text, behind its own beginning. */
static void mark(void **state)
{
    static const char before[] = "Kernel panic\n\001joist-run: the\001\001";
    static const char after[] = "\001joist-run: the command begins\nagain";
    char all[256];
    char noise[sizeof(all) + WIRE_MARK_MAX];
    char heard[512];
    size_t size = 0;
    size_t step;
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    memcpy(all, before, sizeof(before) - 1);
    size += sizeof(before) - 1;
    assert_true(wire_tell_ready(fds[1]));
    size += (size_t)read(fds[0], all + size, 64);
    assert_in_range(size - sizeof(before) + 1, 8, WIRE_MARK_MAX);
    memcpy(all + size, after, sizeof(after) - 1);
    size += sizeof(after) - 1;
    for (step = 1; step <= size; step++) {
        struct wire_output o = { 0 };
        size_t said = 0;
        size_t at = 0;
        size_t used;
        size_t n = 0;

        while (at < size && !o.is_ready) {
            used = size - at < step ? size - at : step;
            used = wire_take(&o, all + at, used, noise, &n);
            memcpy(heard + said, noise, n);
            said += n;
            at += used;
        }
        assert_true(o.is_ready);
        assert_int_equal(said, sizeof(before) - 1);
        assert_memory_equal(heard, before, said);
        assert_int_equal(size - at, sizeof(after) - 1); /* a second mark is the command's */
        assert_int_equal(wire_take(&o, all + at, size - at, noise, &n), 0);
        assert_int_equal(n, 0);
    }
    close(fds[0]);
    close(fds[1]);
}

/* A chroot without a mounted devpts has no pseudo-terminals. In a function of its own, and called
 * from those that have nothing on the stack: ASan takes the jump out for an error otherwise. */
static void need_terminals(void)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY);

    if (fd < 0) {
        print_message("no pseudo-terminals here\n");
        skip();
    }
    close(fd);
}

/* A terminal set as the guest's: the far end's descriptor. */
static int open_terminal(int *far)
{
    struct termios t;
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(grantpt(fd), 0);
    assert_int_equal(unlockpt(fd), 0);
    *far = open(ptsname(fd), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(*far >= 0);
    assert_int_equal(tcgetattr(*far, &t), 0);
    wire_terminal(&t);
    assert_int_equal(tcsetattr(*far, TCSANOW, &t), 0);
    return fd;
}

/* In a child: reads by `step` bytes until the end of the file, and says whether that was it. */
static pid_t start_reader(int far, const char *data, size_t size, size_t step)
{
    static char got[MOST + 1];
    pid_t pid = fork();
    size_t used = 0;
    ssize_t n = 1;

    assert_true(pid >= 0);
    if (pid != 0) {
        return pid;
    }
    alarm(30);
    while (n > 0 && used < sizeof(got)) {
        n = read(far, got + used, step < sizeof(got) - used ? step : sizeof(got) - used);
        used += n > 0 ? (size_t)n : 0;
    }
    _exit(n != 0 ? 3 : used != size ? 4 : memcmp(got, data, size) == 0 ? 0 : 5);
}

/* What the driver of a Linux guest's console does to input before the terminal sees it: a byte 15
   makes the next one a command, unless that is a byte 15 too. */
static size_t as_console(char *data, size_t size)
{
    bool is_pressed = false;
    size_t used = 0;
    size_t i;

    for (i = 0; i < size; i++) {
        if (data[i] == 15) {
            is_pressed = !is_pressed;
            if (is_pressed) {
                continue;
            }
        }
        assert_false(is_pressed);
        data[used++] = data[i];
    }
    assert_false(is_pressed);
    return used;
}

static void through_terminal(const char *data, size_t size, size_t step)
{
    static char out[WIRE_PUT_MAX(MOST)];
    struct wire_input in = { 0 };
    size_t used = 0;
    size_t at = 0;
    int status = 0;
    int far;
    int fd = open_terminal(&far);
    pid_t pid = start_reader(far, data, size, step);
    struct pollfd p = { .fd = fd, .events = POLLIN };

    while (at < size) { /* in pieces, as they are read */
        size_t n = size - at < 509 ? size - at : 509;

        used += wire_put(&in, data + at, n, out + used);
        at += n;
    }
    assert_true(used <= WIRE_PUT_MAX(size) - 2);
    used += wire_end(&in, out + used);
    used = as_console(out, used);
    for (at = 0; at < used;) {
        ssize_t n = write(fd, out + at, used - at < 256 ? used - at : 256);

        assert_true(n > 0);
        at += (size_t)n;
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(poll(&p, 1, 0), 0); /* nothing was echoed */
    close(far);
    close(fd);
}

static __attribute__((noinline)) void try_input(void)
{
    static char data[MOST];
    unsigned int seed = 5;
    size_t i;

    through_terminal("", 0, 4096);
    through_terminal("line\n", 5, 4096);
    through_terminal("no end of line", 14, 4096);
    through_terminal("no end of line", 14, 14); /* a read that takes just all is no end */
    through_terminal("\004\004\026\003\032\177\025\021\023\r\n\0\377", 13, 3);
    memset(data, 'x', MOST);
    through_terminal(data, MOST, 4096);
    through_terminal(data, 1024, 4096);
    through_terminal(data, 4095, 1024);
    for (i = 0; i < MOST; i++) {
        data[i] = (char)rand_r(&seed);
    }
    through_terminal(data, MOST, 4096);
    through_terminal(data, MOST, 100);
    for (i = 0; i < MOST; i++) {
        data[i] = (char)(rand_r(&seed) % 2 == 0 ? 4 : rand_r(&seed) % 2 == 0 ? 22 : 15);
    }
    through_terminal(data, MOST, 4096);
}

/* What is written at the guest's end comes out as it is. */
static __attribute__((noinline)) void try_output(void)
{
    static const char text[] = "a\nb\r\n\t\004\003\0\377z";
    char got[64];
    int far;
    int fd = open_terminal(&far);

    assert_int_equal(write(far, text, sizeof(text)), sizeof(text));
    assert_int_equal(read(fd, got, sizeof(got)), sizeof(text));
    assert_memory_equal(got, text, sizeof(text));
    close(far);
    close(fd);
}

#define FLOOD (3u << 20)

static char flood_byte(size_t i)
{
    return (char)(i * 7 + i / 1000);
}

/* In a child: says the mark and a flood on the guest's terminal, and leaves it. */
static void start_guest(int far)
{
    static char data[FLOOD];
    size_t at = 0;
    size_t i;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid != 0) {
        return;
    }
    for (i = 0; i < FLOOD; i++) {
        data[i] = flood_byte(i);
    }
    alarm(60);
    if (!wire_tell_ready(far)) {
        _exit(1);
    }
    while (at < FLOOD) {
        ssize_t n = write(far, data + at, FLOOD - at < 4096 ? FLOOD - at : 4096);

        at += n > 0 ? (size_t)n : 0;
    }
    _exit(0);
}

/* In a child: reads nothing for a second, then all, and judges. */
static pid_t start_slow_reader(int fd)
{
    char data[4096];
    size_t used = 0;
    ssize_t n = 1;
    ssize_t i;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid != 0) {
        return pid;
    }
    alarm(60);
    close(STDOUT_FILENO); /* the end that is written to */
    sleep(1);
    while (n > 0) {
        n = read(fd, data, sizeof(data));
        for (i = 0; i < n; i++, used++) {
            if (data[i] != flood_byte(used)) {
                _exit(4);
            }
        }
    }
    _exit(used == FLOOD ? 0 : 5);
}

/* The guest's terminal is emptied at once, whoever reads our output, and nothing of it is lost. */
static __attribute__((noinline)) void try_slow_reader(void)
{
    struct stream s;
    size_t most = 0;
    int status = 0;
    bool has_hung_up = false;
    int kept = dup(STDOUT_FILENO);
    int ends[2];
    int far;
    pid_t pid;

    assert_int_equal(stream_begin(&s), 0);
    s.tty = open_terminal(&far);
    s.is_input_over = true;
    assert_int_equal(fcntl(s.tty, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    start_guest(far);
    fflush(stdout);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[1]);
    close(far);
    pid = start_slow_reader(ends[0]);
    close(ends[0]);
    while (!has_hung_up || stream_waiting(&s) > 0) {
        (void)stream_turn(&s, 100, &has_hung_up);
        most = most > stream_waiting(&s) ? most : stream_waiting(&s);
    }
    dup2(kept, STDOUT_FILENO);
    close(kept);
    stream_end(&s);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(most > FLOOD / 2); /* it waited here, not at the guest's end */
}

/* A standard output that takes no more is told, one whose reader has left is not. */
static void full_output(void **state)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    int kept = dup(STDOUT_FILENO);
    struct stream s;
    bool has_hung_up;
    int ends[2];
    int out[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    close(out[0]);
    fflush(stdout);
    signal(SIGPIPE, SIG_IGN);
    for (; full >= 0; full = full == out[1] ? -1 : out[1]) {
        assert_int_equal(stream_begin(&s), 0);
        s.tty = dup(ends[0]);
        s.is_input_over = true;
        assert_true(wire_tell_ready(ends[1]));
        assert_int_equal(write(ends[1], "lost", 4), 4);
        dup2(full, STDOUT_FILENO);
        while (stream_turn(&s, 50, &has_hung_up)) {
        }
        dup2(kept, STDOUT_FILENO);
        assert_true(s.is_output_over);
        assert_int_equal(s.output_error, full == out[1] ? 0 : ENOSPC);
        assert_int_equal(stream_waiting(&s), 0);
        stream_end(&s);
    }
    close(out[1]);
    close(ends[0]);
    close(ends[1]);
    close(kept);
}

/* A guest that writes without end while nobody reads, and that cannot be made to wait: so much is
 * kept, no processor is used up, and it goes on when the reader does. */
static void endless_output(void **state)
{
    static char data[1 << 16];
    int kept = dup(STDOUT_FILENO);
    struct timespec begun;
    struct timespec ended;
    bool has_hung_up;
    struct stream s;
    int ends[2];
    int out[2];
    pid_t pid;
    int turn;

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(60);
        close(ends[0]);
        signal(SIGPIPE, SIG_DFL);
        while (wire_tell_ready(ends[1]) && write(ends[1], data, sizeof(data)) > 0) {
        }
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(stream_begin(&s), 0);
    s.tty = ends[0];
    s.is_input_over = true;
    fflush(stdout);
    dup2(out[1], STDOUT_FILENO);
    for (turn = 0; turn < 100000 && !s.is_full; turn++) {
        (void)stream_turn(&s, 1000, &has_hung_up);
    }
    clock_gettime(CLOCK_MONOTONIC, &begun);
    has_hung_up = stream_turn(&s, 100, &has_hung_up) || has_hung_up;
    clock_gettime(CLOCK_MONOTONIC, &ended);
    dup2(kept, STDOUT_FILENO);
    assert_true(s.is_full);
    assert_false(has_hung_up);
    assert_in_range(stream_waiting(&s), STREAM_FULL, STREAM_MOST);
    assert_true((ended.tv_sec - begun.tv_sec) * 1000 + (ended.tv_nsec - begun.tv_nsec) / 1000000 >=
                90);
    assert_true(read(out[0], data, sizeof(data)) > 0);
    dup2(out[1], STDOUT_FILENO);
    for (turn = 0; turn < 3; turn++) {
        (void)stream_turn(&s, 100, &has_hung_up);
    }
    dup2(kept, STDOUT_FILENO);
    assert_in_range(stream_waiting(&s), STREAM_FULL, STREAM_MOST);
    stream_end(&s);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(out[0]);
    close(out[1]);
    close(kept);
}

static void input(void **state)
{
    (void)state;
    need_terminals();
    try_input();
}

static void output(void **state)
{
    (void)state;
    need_terminals();
    try_output();
}

static void slow_reader(void **state)
{
    (void)state;
    need_terminals();
    try_slow_reader();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mark),        cmocka_unit_test(input),
        cmocka_unit_test(output),      cmocka_unit_test(slow_reader),
        cmocka_unit_test(full_output), cmocka_unit_test(endless_output),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
