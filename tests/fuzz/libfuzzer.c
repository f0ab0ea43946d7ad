/* SPDX-License-Identifier: MIT */
/* The fuzzers under libFuzzer, which steers by coverage; the seeds go into the first directory
 * named. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/drive.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

__attribute__((weak)) size_t fuzz_seed(unsigned int index, uint8_t *data, size_t size)
{
    (void)index;
    (void)data;
    (void)size;
    return 0;
}

static void write_seeds(const char *dir)
{
    static uint8_t data[64 << 10];
    char name[512];
    size_t n;

    for (unsigned int i = 0; (n = fuzz_seed(i, data, sizeof data)) != 0; i++) {
        (void)snprintf(name, sizeof name, "%s/seed-%u", dir, i);
        int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (fd < 0 || write(fd, data, n) < 0) {
            perror(name);
            exit(1);
        }
        (void)close(fd);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    for (int i = 1; i < *argc; i++) {
        struct stat st;
        if ((*argv)[i][0] != '-' && stat((*argv)[i], &st) == 0 && S_ISDIR(st.st_mode)) {
            write_seeds((*argv)[i]);
            break;
        }
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_one(data, size);
}
