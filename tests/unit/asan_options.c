/* SPDX-License-Identifier: MIT */
/*
 * Options of the address sanitizer, in every host test. The leak check looks at its threads in
 * /proc, which a bare chroot does not have; neither can the sanitizer read its environment there,
 * so the answer is given by code.
 */

#include <unistd.h>

const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return access("/proc/self/task", F_OK) == 0 ? "" : "detect_leaks=0";
}
