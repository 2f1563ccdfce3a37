/* lambda/logs/logfilter.h - filter patterns of CloudWatch Logs, those of terms. Pure.
 *
 *     ERROR timeout      lines with both
 *     ?ERROR ?WARN       lines with one of them
 *     ERROR -ignored     lines with the one and without the other
 *     "exit status 1"    a term with blanks or signs in it */
#pragma once

#include "core/base.h"

enum { HD_LOGFILTER_TERMS = 32 };

struct hd_logfilter {
    struct {
        enum { HD_LOGTERM_MUST, HD_LOGTERM_NOT, HD_LOGTERM_MAY } kind;
        struct hd_str text; /* a part of the pattern, or of `unescaped` */
    } terms[HD_LOGFILTER_TERMS];
    size_t n, n_must, n_may;
    char unescaped[1024];
};

/**
 * @param pattern  borrowed as long as the filter; empty: every line.
 * @return 0; or HD_EINVAL: too long, a quote that is not closed, or a pattern of another kind ("{",
 *         "[", "%"), which is not offered.
 */
int hd_logfilter_parse(struct hd_logfilter *f, struct hd_str pattern, struct hd_error *err);
bool hd_logfilter_match(const struct hd_logfilter *f, struct hd_str line);
