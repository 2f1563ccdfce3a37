/* core/crc32.h - the CRC-32 of zip files, gzip and event streams (ITU-T V.42), fast where the
 * processor multiplies without carry. Pure. */
#pragma once

#include "core/base.h"

/**
 * Go on with a checksum.
 * @param crc  0 to begin; else what came back for the bytes before.
 * @return that of all bytes so far.
 */
uint32_t hd_crc32(uint32_t crc, const void *bytes, size_t len);
