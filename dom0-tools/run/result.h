/* SPDX-License-Identifier: MIT */
/* What `joist run` and the first process of its guest agree on. */
#pragma once

/* The command's words, each ended by a nul, in the guest's root. */
#define RUN_DIR  "/.joist"
#define RUN_ARGV "/.joist/argv"
#define RUN_INIT "/.joist/init"

/* The last bytes of the root disk, behind its file system: where the exit code is written. */
#define RUN_TAIL   4096
#define RUN_RESULT "joist-run-exit "
