/* SPDX-License-Identifier: MIT */
/* mmdebstrap to a tree, our settings in it, mke2fs to an image. */
#include "image/debian.h"

#include <crypt.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "image/aptconf.h"
#include "image/ext4.h"
#include "image/progress.h"
#include "image/work.h"

/* packed with xz: the cloud flavour is packed with lz4, which GRUB 2.06 does not unpack */
#define KERNEL_PACKAGE "linux-image-amd64"
#define KEYS_MAX       16384

/* What a guest needs to boot, to be logged in to and to keep its file system. */
#define PACKAGES                                                                                 \
    "systemd-sysv,systemd-timesyncd,udev,dbus,kmod,initramfs-tools,zstd,e2fsprogs,ifupdown,"     \
    "isc-dhcp-client,iproute2,iputils-ping,netbase,openssh-server,ca-certificates,login,passwd," \
    "procps,less,nano"

struct build {
    const struct debian_spec *s;
    struct work work;
    struct progress progress;
    struct fail *f;
    char tree[WORK_PATH_MAX];    /* the system */
    char overlay[WORK_PATH_MAX]; /* what is put over it */
    char hash[CRYPT_OUTPUT_SIZE];
    int round;        /* mmdebstrap installs in two rounds */
    int total;        /* packages of this round */
    int seen[3];      /* downloaded, unpacked, set up */
    char reason[256]; /* the first line that tells of an error */
};

/* --- the passing of mmdebstrap's lines -------------------------------------------------------- */

/* The first line that looks like a cause is worth more than the last one printed. */
static void keep_reason(struct build *b, const char *text)
{
    static const char *const signs[] = { "E: ",           "Could not", "Unable to", "No space left",
                                         "not available", "404  Not",  "Failed to" };
    size_t i;

    if (b->reason[0] != '\0') {
        return;
    }
    for (i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        if (strstr(text, signs[i]) != NULL && strncmp(text, "W: ", 3) != 0 &&
            strncmp(text, "I: ", 3) != 0) {
            snprintf(b->reason, sizeof(b->reason), "%s", text + strspn(text, " "));
            return;
        }
    }
}

static void take_line(void *arg, const char *text)
{
    static const struct {
        const char *start;
        const char *stage;
        int percent[2]; /* of the whole, before and after, in the first round; the second: +42 */
    } steps[] = {
        { "Get:", "fetching packages", { 2, 22 } },
        { "Unpacking ", "unpacking packages", { 22, 34 } },
        { "Setting up ", "setting packages up", { 34, 44 } },
    };
    struct build *b = arg;
    int packages = 0;
    int add = b->round > 1 ? 42 : 0;
    size_t i;

    keep_reason(b, text);
    if (sscanf(text, "%*d upgraded, %d newly installed", &packages) == 1) {
        b->total = packages > 0 ? packages : 1;
        b->round++;
        memset(b->seen, 0, sizeof(b->seen));
        return;
    }
    for (i = 0; i < 3 && b->total > 0; i++) {
        if (strncmp(text, steps[i].start, strlen(steps[i].start)) == 0) {
            int done = ++b->seen[i] < b->total ? b->seen[i] : b->total;
            int span = steps[i].percent[1] - steps[i].percent[0];

            progress_stage(&b->progress, steps[i].stage,
                           add + steps[i].percent[0] + span * done / b->total);
            return;
        }
    }
}

/* --- what is put into the tree --------------------------------------------------------------- */

static int write_grub_cfg(struct build *b)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "# The menu of this guest.  Links to the newest kernel are kept up to date by the\n"
             "# kernel's packages, so that this file never needs to change.\n"
             "set default=0\n"
             "set timeout=1\n"
             "search --no-floppy --set=root --label %s\n"
             "menuentry 'Debian' {\n"
             "    linux /vmlinuz root=LABEL=%s ro console=hvc0\n"
             "    initrd /initrd.img\n"
             "}\n"
             "menuentry 'Debian, previous kernel' {\n"
             "    linux /vmlinuz.old root=LABEL=%s ro console=hvc0\n"
             "    initrd /initrd.img.old\n"
             "}\n",
             b->s->label, b->s->label, b->s->label);
    return work_write(b->overlay, "boot/grub/grub.cfg", text, 0644, b->f);
}

static int write_settings(struct build *b)
{
    static const char interfaces[] = "auto lo\niface lo inet loopback\n\nallow-hotplug eth0\n"
                                     "iface eth0 inet dhcp\n";
    const char *host = b->s->hostname != NULL ? b->s->hostname : "debian";
    char text[512];
    int rc;

    snprintf(text, sizeof(text), "LABEL=%s / ext4 errors=remount-ro 0 1\n", b->s->label);
    rc = work_write(b->overlay, "etc/fstab", text, 0644, b->f);
    snprintf(text, sizeof(text), "%s\n", host);
    rc = rc == 0 ? work_write(b->overlay, "etc/hostname", text, 0644, b->f) : rc;
    snprintf(text, sizeof(text), "127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost ip6-localhost\n",
             host);
    rc = rc == 0 ? work_write(b->overlay, "etc/hosts", text, 0644, b->f) : rc;
    rc = rc == 0 ? work_write(b->overlay, "etc/network/interfaces", interfaces, 0644, b->f) : rc;
    return rc == 0 ? write_grub_cfg(b) : rc;
}

static int write_keys(struct build *b)
{
    char *text;
    FILE *file;
    size_t n = 0;
    int rc = 0;

    if (b->s->ssh_key == NULL) {
        return 0;
    }
    text = calloc(1, KEYS_MAX);
    file = fopen(b->s->ssh_key, "re");
    if (file != NULL && text != NULL) {
        n = fread(text, 1, KEYS_MAX - 1, file);
    }
    if (file == NULL || text == NULL || ferror(file)) {
        rc = fail_set(b->f, -errno, "image", b->s->ssh_key, "cannot be read: %s", strerror(errno));
    } else if (strncmp(text, "ssh-", 4) != 0 && strncmp(text, "ecdsa-", 6) != 0 &&
               strncmp(text, "sk-", 3) != 0) {
        rc = fail_set(b->f, -EINVAL, "image", b->s->ssh_key, "holds no public key of OpenSSH");
        fail_remedy(b->f, "give the file that ends in .pub");
    } else if (n == KEYS_MAX - 1) {
        rc = fail_set(b->f, -E2BIG, "image", b->s->ssh_key, "is longer than 16 KiB");
    } else {
        rc = work_write(b->overlay, "root/.ssh/authorized_keys", text, 0600, b->f);
    }
    if (file != NULL) {
        fclose(file);
    }
    free(text);
    return rc;
}

/* The password's hash; a random password if none was given, unless there is a key to enter with. */
static int hash_password(struct build *b, struct debian_result *out)
{
    static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
    struct crypt_data data = { 0 };
    const char *password = b->s->root_password;
    unsigned char random[12];
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    size_t i;

    if (password == NULL && b->s->ssh_key != NULL) {
        snprintf(b->hash, sizeof(b->hash), "*");
        return 0;
    }
    if (password == NULL) {
        if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
            return fail_set(b->f, -EIO, "image", "password", "the kernel gives no random bytes");
        }
        for (i = 0; i < sizeof(random); i++) {
            out->password[i] = letters[random[i] % 32];
        }
        password = out->password;
    }
    if (crypt_gensalt_rn("$y$", 0, NULL, 0, salt, sizeof(salt)) == NULL ||
        crypt_r(password, salt, &data) == NULL || data.output[0] == '*') {
        return fail_set(b->f, -EINVAL, "image", "password", "cannot be hashed: %s",
                        strerror(errno));
    }
    snprintf(b->hash, sizeof(b->hash), "%s", data.output);
    return 0;
}

/* What has to be done inside the tree; run by a shell there, and removed. */
static int write_script(struct build *b)
{
    char text[2048];

    snprintf(text, sizeof(text),
             "set -e\n"
             "usermod -p '%s' root\n"
             "mkdir -p /etc/systemd/system/getty.target.wants\n"
             "ln -sf /lib/systemd/system/serial-getty@.service "
             "/etc/systemd/system/getty.target.wants/serial-getty@hvc0.service\n"
             ": >/etc/machine-id\n"
             "rm -f /etc/ssh/ssh_host_* /etc/apt/apt.conf.d/99mmdebstrap\n"
             /* what another user than root has put in is that user's until now */
             "chown -h root:root / /boot /boot/grub /boot/grub/grub.cfg /etc /etc/fstab "
             "/etc/hostname /etc/hosts /etc/network /etc/network/interfaces /etc/systemd "
             "/etc/systemd/system /etc/systemd/system/ssh-host-keys.service\n"
             "chown -R root:root /root\n"
             "chmod 700 /root\n"
             "[ ! -d /root/.ssh ] || chmod 700 /root/.ssh\n"
             "[ -e /vmlinuz.old ] || ln -s vmlinuz /vmlinuz.old\n"
             "[ -e /initrd.img.old ] || ln -s initrd.img /initrd.img.old\n"
             "rm -f /etc/joist-image.sh\n",
             b->hash);
    return work_write(b->overlay, "etc/joist-image.sh", text, 0700, b->f);
}

/* Host keys are the guest's own: made at its first start, not in every copy of the image. */
static int write_first_start(struct build *b)
{
    static const char unit[] = "[Unit]\n"
                               "Description=Host keys of the SSH server, at the first start\n"
                               "Before=ssh.service\n"
                               "ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key\n\n"
                               "[Service]\n"
                               "Type=oneshot\n"
                               "ExecStart=/usr/bin/ssh-keygen -A\n\n"
                               "[Install]\n"
                               "WantedBy=multi-user.target\n";

    return work_write(b->overlay, "etc/systemd/system/ssh-host-keys.service", unit, 0644, b->f);
}

static int prepare(struct build *b, struct debian_result *out)
{
    int rc = work_path(&b->work, "tree", b->tree);

    rc = rc == 0 ? work_path(&b->work, "overlay", b->overlay) : rc;
    if (rc != 0) {
        return fail_set(b->f, rc, "image", b->work.dir, "the path is too long");
    }
    rc = aptconf_write(&b->work, b->s->suite, b->s->mirror, b->f);
    rc = rc == 0 ? hash_password(b, out) : rc;
    rc = rc == 0 ? write_settings(b) : rc;
    rc = rc == 0 ? write_keys(b) : rc;
    rc = rc == 0 ? write_first_start(b) : rc;
    return rc == 0 ? write_script(b) : rc;
}

/* --- the steps ------------------------------------------------------------------------------- */

/* The kernel that a list of packages names itself, or ours. */
static void package_list(const struct debian_spec *s, char *out, size_t size)
{
    const char *more = s->packages != NULL ? s->packages : "";
    const char *kernel = strstr(more, "linux-image-") != NULL ? "" : "," KERNEL_PACKAGE;

    snprintf(out, size, "--include=%s%s%s%s", PACKAGES, kernel, more[0] != '\0' ? "," : "", more);
}

static int bootstrap_failed(struct build *b, int rc, const char *last)
{
    struct fail *f = b->f;

    if (rc == -EINTR) {
        return work_check_stopped(f);
    }
    if (rc == 127) {
        fail_set(f, -ENOENT, "image", "mmdebstrap", "this program is missing");
        return fail_remedy(f, "install the package mmdebstrap");
    }
    if (rc < 0) {
        return fail_set(f, rc, "image", "mmdebstrap", "cannot be started: %s", strerror(-rc));
    }
    if (strstr(last, WORK_FULL) != NULL || strstr(b->reason, WORK_FULL) != NULL) {
        fail_set(f, -ENOSPC, "image", b->work.dir, "the file system is full");
        return fail_remedy(f, "set TMPDIR to a directory with 2 GiB of room");
    }
    fail_set(f, -EIO, "packages", b->s->mirror != NULL ? b->s->mirror : b->s->suite,
             "mmdebstrap ended with %d: %.220s", rc, b->reason[0] != '\0' ? b->reason : last);
    if (strstr(b->reason, "chroot mode") != NULL) {
        return fail_remedy(f, "run this as root, or install uidmap and give your user a range in "
                              "/etc/subuid and /etc/subgid");
    }
    return fail_remedy(f, "see whether the mirror can be reached and has the suite and packages");
}

#define APTOPTS_MAX 24

static int bootstrap(struct build *b)
{
    char sources[WORK_PATH_MAX];
    char aptopts[WORK_PATH_MAX];
    char hooks[3][3 * WORK_PATH_MAX];
    char include[4096];
    char aptopt[WORK_PATH_MAX + 16];
    char last[WORK_LAST_MAX];
    char target[WORK_PATH_MAX];
    char *argv[] = { (char *)"mmdebstrap",
                     (char *)"--verbose",
                     (char *)"--variant=minbase",
                     (char *)"--format=tar",
                     include,
                     aptopt,
                     hooks[0],
                     hooks[1],
                     hooks[2],
                     (char *)b->s->suite,
                     target,
                     sources,
                     NULL };
    bool is_root = geteuid() == 0;
    int rc;

    work_path(&b->work, "sources.list", sources);
    work_path(&b->work, "aptopts", aptopts);
    work_path(&b->work, "tree.tar", target);
    if (is_root) {
        argv[3] = (char *)"--format=directory";
        snprintf(target, sizeof(target), "%s", b->tree);
    }
    package_list(b->s, include, sizeof(include));
    snprintf(aptopt, sizeof(aptopt), "--aptopt=%s", aptopts);
    snprintf(hooks[0], sizeof(hooks[0]), "--customize-hook=sync-in %s /", b->overlay);
    snprintf(hooks[1], sizeof(hooks[1]), "--customize-hook=chroot \"$1\" sh /etc/joist-image.sh");
    snprintf(hooks[2], sizeof(hooks[2]),
             "--customize-hook=chroot \"$1\" systemctl enable ssh-host-keys.service");
    progress_stage(&b->progress, "fetching package lists", 1);
    rc = work_run(argv, take_line, b, last);
    if (rc != 0) {
        return bootstrap_failed(b, rc, last);
    }
    return 0;
}

static int make_file_system(struct build *b)
{
    struct ext4_spec fs = { .tree = b->tree,
                            .overlay = b->s->overlay,
                            .label = b->s->label,
                            .size = b->s->size,
                            .progress = &b->progress,
                            .percent = { 88, 99 } };
    char archive[WORK_PATH_MAX];

    progress_stage(&b->progress, "making the file system", 88);
    if (geteuid() != 0) {
        work_path(&b->work, "tree.tar", archive);
        fs.archive = archive;
    }
    return ext4_make(&fs, b->work.part, b->f);
}

static int check_spec(const struct debian_spec *s, struct fail *f)
{
    const char *host = s->hostname != NULL ? s->hostname : "debian";
    const char *more = s->packages != NULL ? s->packages : "";
    static const char name_letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789-";
    int rc = ext4_check_label(s->label, f);

    if (rc == 0 && (host[0] == '\0' || host[0] == '-' || strlen(host) > 63 ||
                    host[strspn(host, name_letters)] != '\0')) {
        rc = fail_set(f, -EINVAL, "image", host, "a host name has 1 to 63 letters, digits, dashes");
    }
    if (rc == 0 && (s->suite[0] == '\0' || s->suite[0] == '-' || strlen(s->suite) > 63 ||
                    s->suite[strspn(s->suite, name_letters)] != '\0')) {
        rc = fail_set(f, -EINVAL, "image", s->suite, "is no name of a suite");
    }
    if (rc == 0 && (strlen(more) > 3000 ||
                    more[strspn(more, "abcdefghijklmnopqrstuvwxyz0123456789+-.,:")] != '\0')) {
        rc = fail_set(f, -EINVAL, "image", "--packages",
                      "write names of packages, separated by commas");
    }
    if (rc == 0 && s->mirror != NULL) {
        rc = aptconf_check_mirror(s->mirror, f);
    }
    if (rc == 0 && s->overlay != NULL && access(s->overlay, R_OK | X_OK) != 0) {
        rc = fail_set(f, -errno, "image", s->overlay, "cannot be read: %s", strerror(errno));
    }
    return rc;
}

/* Programs are looked for before anything is fetched. */
static int check_programs(struct fail *f)
{
    static const char *const needed[][2] = { { "mmdebstrap", "mmdebstrap" },
                                             { "mke2fs", "e2fsprogs" },
                                             { "fakeroot", "fakeroot" } };
    size_t count = geteuid() == 0 ? 2 : 3;
    size_t i;

    for (i = 0; i < count; i++) {
        if (!work_find_program(needed[i][0], NULL)) {
            fail_set(f, -ENOENT, "image", needed[i][0], "this program is missing");
            return fail_remedy(f, "install the package %s", needed[i][1]);
        }
    }
    return 0;
}

int debian_build(const struct debian_spec *spec, struct debian_result *out, struct fail *f)
{
    struct build *b = calloc(1, sizeof(*b));
    time_t begun = time(NULL);
    int rc = b != NULL ? check_spec(spec, f) : fail_set(f, -ENOMEM, "image", "debian", "no memory");

    *out = (struct debian_result){ 0 };
    rc = rc == 0 ? check_programs(f) : rc;
    rc = rc == 0 ? work_begin(&b->work, f) : rc;
    if (rc != 0) {
        free(b);
        return rc;
    }
    b->s = spec;
    b->f = f;
    progress_begin(&b->progress, spec->is_quiet);
    rc = work_result(&b->work, spec->path, spec->is_forced, f);
    rc = rc == 0 ? prepare(b, out) : rc;
    rc = rc == 0 ? bootstrap(b) : rc;
    rc = rc == 0 ? make_file_system(b) : rc;
    rc = rc == 0 ? work_publish(&b->work, spec->path, f) : rc;
    if (rc == 0) {
        progress_stage(&b->progress, "done", 100);
    }
    progress_end(&b->progress);
    work_end(&b->work);
    out->seconds = difftime(time(NULL), begun);
    free(b);
    return rc;
}
