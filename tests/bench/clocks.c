/* SPDX-License-Identifier: MIT */
/* clocks: answers each line with the monotonic clock, for a far end that takes the time itself;
   `r`: waits for the next edge of the RTC's seconds and tells the wall clock there. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
    RTC_SECONDS = 0,
    RTC_MINUTES = 2,
    RTC_HOURS = 4,
    RTC_DAY = 7,
    RTC_MONTH = 8,
    RTC_YEAR = 9,
    RTC_A = 10,
    RTC_B = 11
};
enum { A_UPDATING = 0x80, B_BINARY = 0x04 };

/* A register of the RTC by its ports: Linux's driver would set the wall clock itself, to half a
 * second past. */
static uint8_t reg(int fd, uint8_t index)
{
    uint8_t value = 0xff;

    if (pwrite(fd, &index, 1, 0x70) != 1 || pread(fd, &value, 1, 0x71) != 1) {
        return 0xff;
    }
    return value;
}

static int field(int fd, uint8_t index)
{
    uint8_t value = reg(fd, index);

    return (reg(fd, RTC_B) & B_BINARY) ? value : (value >> 4) * 10 + (value & 15);
}

static time_t epoch(int fd)
{
    struct tm tm = { .tm_sec = field(fd, RTC_SECONDS), .tm_min = field(fd, RTC_MINUTES) };

    tm.tm_hour = field(fd, RTC_HOURS);
    tm.tm_mday = field(fd, RTC_DAY);
    tm.tm_mon = field(fd, RTC_MONTH) - 1;
    tm.tm_year = field(fd, RTC_YEAR) + 100;
    return timegm(&tm);
}

/* Prints the RTC's new second, the wall clock before the read that saw the edge, and the
 * microseconds that read took. */
static int edge(void)
{
    struct timespec before;
    struct timespec after;
    int fd = open("/dev/port", O_RDWR);

    if (fd < 0) {
        return 1;
    }
    uint8_t first = reg(fd, RTC_SECONDS);
    bool is_seen = false;
    while (!is_seen) {
        clock_gettime(CLOCK_REALTIME, &before);
        is_seen = !(reg(fd, RTC_A) & A_UPDATING) && reg(fd, RTC_SECONDS) != first;
        clock_gettime(CLOCK_REALTIME, &after);
    }
    printf("EDGE %ld %ld.%09ld %ld\n", (long)epoch(fd), (long)before.tv_sec, (long)before.tv_nsec,
           (long)(after.tv_sec - before.tv_sec) * 1000000 +
               (after.tv_nsec - before.tv_nsec) / 1000);
    close(fd);
    return 0;
}

int main(void)
{
    char line[64];
    struct timespec t;

    puts("CLOCKS");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) && line[0] != 'q') {
        if (line[0] == 'r') {
            if (edge()) {
                return 1;
            }
        } else if (clock_gettime(CLOCK_MONOTONIC, &t)) {
            return 1;
        } else {
            printf("CLOCK %ld.%09ld\n", (long)t.tv_sec, t.tv_nsec);
        }
        fflush(stdout);
    }
    return 0;
}
