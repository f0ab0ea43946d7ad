/* SPDX-License-Identifier: MIT */
/* Port: what the machine knows about typed frames (x86: page tables and descriptor pages). */
#pragma once

#include "mm/frame.h"

/* The last type reference of a walked frame was dropped: release what its entries hold (guest/pt_walk.c). */
void port_frame_invalidate(struct frame *f, enum frame_type t);
