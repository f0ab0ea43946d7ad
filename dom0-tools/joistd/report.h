/* SPDX-License-Identifier: MIT */
/* Failures as JSON, between child and daemon and between daemon and client. */
#pragma once

#include <jansson.h>

#include "common/fail.h"

/* {"code","phase","object","cause","remedy","text"} */
json_t *report_fail(const struct fail *f);

/* The reverse; anything that is no such object becomes a failure without details. */
void report_read_fail(const json_t *v, struct fail *f);

/* A bounded text out of JSON; empty if it is none. */
void report_text(const json_t *object, const char *key, char *out, size_t size);
