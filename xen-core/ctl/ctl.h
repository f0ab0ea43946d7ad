/* SPDX-License-Identifier: MIT */
/* The control interface: domctl and sysctl, Xen 4.17's layouts and versions. Tables in ctl.c. */
#pragma once
#include "hcall/hcall.h"
