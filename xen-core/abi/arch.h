/* SPDX-License-Identifier: MIT */
/* The one place that chooses the architecture whose structures the common headers embed. */
#pragma once

#include "abi/arch_x86_64.h"
