/* lambda/deploy/runtime_words.h - the runtimes that the API knows by name, offered here or not. */
#pragma once

/** "nodejs22.x", "python3.13", ...; NULL-terminated. */
extern const char *const hd_runtime_words[];
