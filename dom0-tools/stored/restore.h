/* SPDX-License-Identifier: MIT */
/* The whole state as journal records, and back. */
#pragma once

#include "stored/conn.h"
#include "stored/server.h"

/* What a durable connection took and was given in this turn. */
void restore_record_streams(struct conn *c);
/* Everything, for a new journal file. */
void restore_record_all(struct server *s);
/* Reads the journal into an empty server; rings are not attached yet. */
void restore_replay(struct server *s);
/* Maps and binds the rings of all domains in the journal; releases those that are gone. A
   negative errno when the control domain's own ring cannot be had. */
int restore_attach(struct server *s);
