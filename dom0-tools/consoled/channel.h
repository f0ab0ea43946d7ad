/* SPDX-License-Identifier: MIT */
/* The unix socket of a channel. */
#pragma once

/* A listening socket for the owner alone at that path, where a socket that nobody serves may be. A
   negative errno; -EADDRINUSE when somebody does, -EEXIST when something else is there. */
int channel_listen(const char *path);
