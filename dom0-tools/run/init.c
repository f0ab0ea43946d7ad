/* SPDX-License-Identifier: MIT */
/*
 * joist-run-init: the first process of a guest of `joist run`.  In the small ramdisk it loads the
 * drivers and changes to the root disk; there it runs the command of /.joist/argv, writes its exit
 * code behind the file system of the disk, and powers the guest off.  Linked statically: the root
 * may hold any system, or none.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "run/result.h"
#include "run/wire.h"

#define DISK            "/dev/xvda"
#define DISK_WAIT_MS    30000
#define STEP_MS         10
#define ARGV_BYTES_MOST (1 << 17)
#define ARGV_MOST       4096
#define MODULE_PACKED   4 /* finit_module(): the file is compressed */

/* Tells the reader of the console why there will be no command, and ends the guest. */
static _Noreturn void give_up(const char *what)
{
    dprintf(STDERR_FILENO, "joist-run-init: %s: %s\n", what, strerror(errno));
    sync();
    reboot(RB_POWER_OFF);
    for (;;) {
        pause();
    }
}

static void load_modules(void)
{
    FILE *list = fopen("/modules/list", "re");
    char name[96];
    char path[128];
    size_t n;
    int fd;

    while (list != NULL && fgets(name, sizeof(name), list) != NULL) {
        n = strcspn(name, "\n");
        name[n] = '\0';
        snprintf(path, sizeof(path), "/modules/%s", name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 ||
            (syscall(SYS_finit_module, fd, "",
                     n > 3 && strcmp(name + n - 3, ".ko") == 0 ? 0 : MODULE_PACKED) != 0 &&
             errno != EEXIST)) {
            give_up(name);
        }
        close(fd);
    }
    if (list != NULL) {
        fclose(list);
    }
}

/* The front end finds its disk some time after its driver was loaded. */
static void wait_for_disk(void)
{
    unsigned int waited;

    for (waited = 0; access(DISK, F_OK) != 0; waited += STEP_MS) {
        if (waited >= DISK_WAIT_MS) {
            give_up("the root disk " DISK);
        }
        usleep(STEP_MS * 1000);
    }
}

static void mount_at(const char *type, const char *place)
{
    mkdir(place, 0755);
    mount(type, place, type, MS_NOSUID, NULL); /* EBUSY: somebody has done it */
}

/* From the ramdisk to the disk. */
static void change_root(void)
{
    mount_at("devtmpfs", "/dev");
    load_modules();
    wait_for_disk();
    if (mount(DISK, "/newroot", "ext4", MS_NOATIME, NULL) != 0) {
        give_up("mounting " DISK);
    }
    umount2("/dev", MNT_DETACH);
    if (chdir("/newroot") != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 ||
        chdir("/") != 0) {
        give_up("changing to the root disk");
    }
}

static void set_up(void)
{
    struct ifreq lo = { .ifr_flags = IFF_UP | IFF_RUNNING };
    int s;

    mount_at("proc", "/proc");
    mount_at("sysfs", "/sys");
    mount_at("devtmpfs", "/dev");
    mount_at("devpts", "/dev/pts");
    mount_at("tmpfs", "/dev/shm");
    mount_at("tmpfs", "/run");
    if (symlink("/proc/self/fd", "/dev/fd") != 0 && errno != EEXIST) {
        give_up("/dev/fd");
    }
    memcpy(lo.ifr_name, "lo", 3);
    s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s >= 0) {
        ioctl(s, SIOCSIFFLAGS, &lo);
        close(s);
    }
}

/* The words of the command, each ended by a nul. */
static char **read_command(void)
{
    static char text[ARGV_BYTES_MOST];
    static char *words[ARGV_MOST + 1];
    int fd = open(RUN_ARGV, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    size_t count = 0;
    ssize_t at;

    if (n <= 0) {
        give_up(RUN_ARGV);
    }
    close(fd);
    for (at = 0; at < n && count < ARGV_MOST; at += (ssize_t)strlen(text + at) + 1) {
        words[count++] = text + at;
    }
    return words;
}

/* Bytes pass as they are, in both directions. */
static void open_console(void)
{
    struct termios t;
    int fd = open("/dev/hvc0", O_RDWR);

    if (fd < 0) {
        fd = open("/dev/console", O_RDWR);
    }
    if (fd < 0) {
        return;
    }
    if (tcgetattr(fd, &t) == 0) {
        wire_terminal(&t);
        tcsetattr(fd, TCSANOW, &t);
    }
    ioctl(fd, TIOCSCTTY, 1);
    dup2(fd, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    if (fd > STDERR_FILENO) {
        close(fd);
    }
}

static _Noreturn void be_command(char **words)
{
    int error;

    setsid();
    open_console();
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    setenv("HOME", "/root", 1);
    setenv("TERM", "linux", 0);
    if (!wire_tell_ready(STDOUT_FILENO)) {
        _exit(126);
    }
    execvp(words[0], words);
    error = errno;
    dprintf(STDERR_FILENO, "joist: run: %s: %s\n", words[0], strerror(error));
    _exit(error == ENOENT || error == ENOTDIR ? 127 : 126);
}

/* As a shell would say it. */
static int run_command(char **words)
{
    pid_t pid = fork();
    pid_t ended;
    int status = 0;

    if (pid == 0) {
        be_command(words);
    }
    if (pid < 0) {
        give_up("fork");
    }
    do {
        ended = wait(&status); /* also for children that others have left behind */
    } while (ended != pid && (ended > 0 || errno == EINTR));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void write_result(int code)
{
    static char block[RUN_TAIL] __attribute__((aligned(4096)));
    uint64_t size = 0;
    int fd = open(DISK, O_RDWR | O_CLOEXEC | O_SYNC);

    snprintf(block, sizeof(block), RUN_RESULT "%d\n", code);
    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) != 0 || size < 2 * RUN_TAIL ||
        pwrite(fd, block, sizeof(block), (off_t)(size - RUN_TAIL)) != (ssize_t)sizeof(block) ||
        fsync(fd) != 0) {
        give_up("writing the exit code");
    }
    close(fd);
}

int main(void)
{
    int code;

    if (getpid() != 1) {
        fputs("joist-run-init: is only of use as a guest's first process\n", stderr);
        return 1;
    }
    if (access("/modules/list", F_OK) == 0) {
        change_root();
    }
    set_up();
    code = run_command(read_command());
    tcdrain(STDOUT_FILENO);
    signal(SIGTERM, SIG_IGN);
    kill(-1, SIGKILL);
    sync();
    mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
    write_result(code);
    reboot(RB_POWER_OFF);
    give_up("powering off");
}
