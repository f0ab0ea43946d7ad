/* SPDX-License-Identifier: MIT */
/* unixcat PATH: standard input to a unix socket, and what comes back within a second to standard
 * output. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    char data[4096];
    ssize_t n;

    if (argc != 2 || strlen(argv[1]) >= sizeof(addr.sun_path)) {
        return 2;
    }
    strcpy(addr.sun_path, argv[1]);
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
        perror(argv[1]);
        return 1;
    }
    while ((n = read(0, data, sizeof(data))) > 0) {
        if (write(fd, data, (size_t)n) != n) {
            return 1;
        }
    }
    while (poll(&p, 1, 1000) > 0 && (n = read(fd, data, sizeof(data))) > 0) {
        if (write(1, data, (size_t)n) != n) {
            return 1;
        }
    }
    return 0;
}
