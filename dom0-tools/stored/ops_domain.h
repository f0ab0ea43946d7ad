/* SPDX-License-Identifier: MIT */
/* Operations about domains, features and quotas; all are for the control domain. */
#pragma once

#include "stored/ops.h"

/* Operations beyond those of the public header of 4.17. */
#define XS_GET_FEATURE 23
#define XS_SET_FEATURE 24
#define XS_GET_QUOTA   25
#define XS_SET_QUOTA   26

int ops_introduce(struct request *rq);
int ops_release(struct request *rq);
int ops_get_domain_path(struct request *rq);
int ops_is_domain_introduced(struct request *rq);
int ops_resume(struct request *rq);
int ops_set_target(struct request *rq);
int ops_get_feature(struct request *rq);
int ops_set_feature(struct request *rq);
int ops_get_quota(struct request *rq);
int ops_set_quota(struct request *rq);
