/* SPDX-License-Identifier: MIT */
/* clocks: answers each line with the monotonic clock, for a far end that takes the time itself. */
#include <stdio.h>
#include <time.h>

int main(void)
{
    char line[64];
    struct timespec t;

    puts("CLOCKS");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) && line[0] != 'q') {
        if (clock_gettime(CLOCK_MONOTONIC, &t)) {
            return 1;
        }
        printf("CLOCK %ld.%09ld\n", (long)t.tv_sec, t.tv_nsec);
        fflush(stdout);
    }
    return 0;
}
