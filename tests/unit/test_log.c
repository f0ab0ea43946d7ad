/* SPDX-License-Identifier: MIT */
/* Log lines: the limit of each cause, and the bound of a daemon's file. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/log.h"

struct place {
    char dir[32];
    char file[64];
    char old[64];
};

static void begin(struct place *p)
{
    (void)snprintf(p->dir, sizeof(p->dir), "/tmp/log-test-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    (void)snprintf(p->file, sizeof(p->file), "%s/a.log", p->dir);
    (void)snprintf(p->old, sizeof(p->old), "%s/a.log.1", p->dir);
}

static void end(struct place *p)
{
    (void)unlink(p->file);
    if (unlink(p->old) < 0) {
        (void)rmdir(p->old);
    }
    assert_int_equal(rmdir(p->dir), 0);
}

static long size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (long)st.st_size : -1;
}

static unsigned int lines_with(const char *path, const char *word)
{
    char line[2048];
    unsigned int n = 0;
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        n += strstr(line, word) != NULL;
    }
    (void)fclose(f);
    return n;
}

/* About a hundred bytes each. */
static void many_lines(int count)
{
    for (int i = 0; i < count; i++) {
        log_warn("line %8d %060d", i, 0);
    }
}

static unsigned int taken(struct log_limit *l, uint64_t now_ms, int tries)
{
    unsigned int n = 0;

    for (int i = 0; i < tries; i++) {
        n += log_limit_take(l, now_ms);
    }
    return n;
}

static void test_limit(void **state)
{
    struct log_limit l = { 0 };
    struct log_limit other = { 0 };
    uint64_t now = 123456;

    (void)state;
    assert_int_equal(taken(&l, now, 1000), LOG_BURST);
    assert_int_equal(l.left_out, 1000 - LOG_BURST);
    assert_int_equal(taken(&other, now, 1), 1); /* another cause */
    assert_int_equal(taken(&l, now + LOG_EVERY_MS - 1, 10), 0);
    assert_int_equal(taken(&l, now + LOG_EVERY_MS, 10), 1);
    assert_int_equal(taken(&l, now + 3ull * LOG_EVERY_MS, 10), 2);
    unsigned int all = 0;
    for (uint64_t t = 4ull * LOG_EVERY_MS; t < 1004ull * LOG_EVERY_MS; t += 100) {
        all += taken(&l, now + t, 3); /* without a pause */
    }
    assert_int_equal(all, 1000);
    assert_int_equal(taken(&l, now + 5000ull * LOG_EVERY_MS, 100), LOG_BURST);
}

static void test_limited(void **state)
{
    struct log_limit l = { 0 };
    struct place p;

    (void)state;
    begin(&p);
    assert_int_equal(log_open("test", p.file), 0);
    for (int i = 0; i < 1000; i++) {
        log_limited(&l, LOG_LEVEL_WARN, "flood %d", i);
        log_limited(&l, LOG_LEVEL_DEBUG, "not shown, not counted");
    }
    assert_int_equal(lines_with(p.file, ""), LOG_BURST);
    assert_int_equal(l.left_out, 1000 - LOG_BURST);
    l.full_ms = 1; /* as after a long time */
    log_limited(&l, LOG_LEVEL_WARN, "flood again");
    assert_int_equal(lines_with(p.file, "980 lines like the next one suppressed"), 1);
    assert_int_equal(lines_with(p.file, ""), LOG_BURST + 2);
    log_limited(&l, LOG_LEVEL_WARN, "flood again");
    assert_int_equal(lines_with(p.file, "suppressed"), 1);
    end(&p);
}

static void test_file(void **state)
{
    struct place p;

    (void)state;
    begin(&p);
    assert_int_equal(log_open("test", p.file), 0);
    for (int i = 0; i < 40; i++) {
        many_lines(1000);
        assert_true(size_of(p.file) <= LOG_FILE_MAX && size_of(p.old) <= LOG_FILE_MAX);
    }
    assert_true(size_of(p.file) + size_of(p.old) > LOG_FILE_MAX);
    assert_true(lines_with(p.file, "line      999 ") >= 1);
    /* a child's lines are there too, and it leaves the file where it is */
    long before = size_of(p.file);
    pid_t pid = fork();
    if (pid == 0) {
        log_warn("of the child");
        many_lines(20000);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(size_of(p.file) > before + 20000l * 80);
    assert_int_equal(lines_with(p.file, "of the child"), 1);
    log_warn("of the parent");
    assert_int_equal(lines_with(p.file, ""), 1);
    assert_int_equal(lines_with(p.old, "of the child"), 1);
    many_lines(20000);
    assert_true(size_of(p.file) <= LOG_FILE_MAX && size_of(p.old) <= LOG_FILE_MAX);
    end(&p);
}

/* Where the full file cannot be moved away, its lines go. */
static void test_no_rotation(void **state)
{
    struct place p;
    char inside[80];

    (void)state;
    begin(&p);
    (void)snprintf(inside, sizeof(inside), "%s/x", p.old);
    assert_int_equal(mkdir(p.old, 0700), 0);
    assert_int_equal(mkdir(inside, 0700), 0);
    assert_int_equal(log_open("test", p.file), 0);
    for (int i = 0; i < 40; i++) {
        many_lines(1000);
        assert_true(size_of(p.file) <= LOG_FILE_MAX);
    }
    assert_true(lines_with(p.file, "line      999 ") >= 1);
    assert_int_equal(rmdir(inside), 0);
    end(&p);
}

static void test_shared(void **state)
{
    struct place p;

    (void)state;
    begin(&p);
    assert_int_equal(log_open_shared("test", p.file), 0);
    many_lines(1000);
    log_make_room(p.file);
    assert_int_equal(size_of(p.old), -1);
    many_lines(20000);
    assert_true(size_of(p.file) > LOG_FILE_MAX); /* who writes does not move it */
    log_make_room(p.file);
    assert_int_equal(size_of(p.file), -1);
    assert_true(size_of(p.old) > LOG_FILE_MAX);
    log_make_room(p.file);
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit),  cmocka_unit_test(test_limited),
        cmocka_unit_test(test_file),   cmocka_unit_test(test_no_rotation),
        cmocka_unit_test(test_shared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
