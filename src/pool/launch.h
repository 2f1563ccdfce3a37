/* pool/launch.h - an own copy of what to launch, for later. */
#pragma once

#include "core/base.h"

#include <heddle/sys/backend.h>

/** Copy all that @p from points to; hd_launch_done() frees it. */
void hd_launch_copy(struct hd_launch *to, const struct hd_launch *from);
/** Free a copy, with its secrets wiped. */
void hd_launch_done(struct hd_launch *l);
