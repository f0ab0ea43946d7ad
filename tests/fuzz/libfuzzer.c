/* SPDX-License-Identifier: MIT */
/* The fuzzers under libFuzzer, which steers by coverage; the seeds, and the inputs of the corpus
 * that JOIST_CORPUS names, go into the first directory named. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/drive.h"
#include "tests/fuzz/pack.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

__attribute__((weak)) size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    (void)index;
    (void)data;
    (void)size;
    return 0;
}

__attribute__((weak)) size_t fuzz_length(void)
{
    return 0;
}

struct target {
    const char *dir, *kind;
    unsigned int count;
};

static void write_input(const uint8_t *data, size_t size, void *arg)
{
    struct target *t = arg;
    char name[512];

    (void)snprintf(name, sizeof name, "%s/%s-%u", t->dir, t->kind, t->count++);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        perror(name);
        exit(1);
    }
    (void)close(fd);
}

static void write_seeds(const char *dir)
{
    static uint8_t data[FUZZ_INPUT_MAX];
    struct target seed = { dir, "seed", 0 };
    struct target kept = { dir, "kept", 0 };
    const char *corpus = getenv("JOIST_CORPUS");
    size_t n;

    while ((n = fuzz_seed(seed.count, data, sizeof data)) != 0) {
        write_input(data, n, &seed);
    }
    if (corpus != NULL && pack_each(corpus, write_input, &kept) < 0) {
        exit(1);
    }
}

/* Once more with -max_len. */
static void set_length(int *argc, char ***argv)
{
    static char option[32];
    static char *more[256];

    if (fuzz_length() == 0 || *argc + 2 > 256) {
        return;
    }
    for (int i = 0; i < *argc; i++) {
        if (strncmp((*argv)[i], "-max_len", 8) == 0) {
            return;
        }
        more[i] = (*argv)[i];
    }
    (void)snprintf(option, sizeof option, "-max_len=%zu", fuzz_length());
    more[(*argc)++] = option;
    *argv = more;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    for (int i = 1; i < *argc; i++) {
        struct stat st;
        if (strcmp((*argv)[i], "-merge=1") == 0) {
            break; /* the first directory is to have only what was chosen */
        }
        if ((*argv)[i][0] != '-' && stat((*argv)[i], &st) == 0 && S_ISDIR(st.st_mode)) {
            write_seeds((*argv)[i]);
            break;
        }
    }
    set_length(argc, argv);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_one(data, size);
}
