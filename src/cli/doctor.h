/* cli/doctor.h - the checks of `heddle doctor`; each says what is, and how to mend it. */
#pragma once

#include "node/settings.h"

enum hd_health { HD_HEALTH_GOOD, HD_HEALTH_NOTE, HD_HEALTH_BAD };

/** One finding. */
struct hd_finding {
    const char *what; /* static: "deno" */
    enum hd_health health;
    char *found; /* what was seen */
    char *fix;   /* the command or setting that mends it, or NULL */
};

enum { HD_FINDINGS_MAX = 32 };
struct hd_findings {
    struct hd_finding items[HD_FINDINGS_MAX];
    size_t n;
};

/** Add one. @param found, fix  take ownership; fix may be NULL. */
void hd_findings_add(struct hd_findings *f, const char *what, enum hd_health health, char *found,
                     char *fix);
void hd_findings_done(struct hd_findings *f);

/** The runtimes: each program, with its version. Runs them, for 5 s each at most. */
void hd_doctor_runtimes(struct hd_findings *f, const struct hd_node_options *opt, char *const *env);
/** Cgroups, namespaces, seccomp, watches, open files. */
void hd_doctor_machine(struct hd_findings *f, const struct hd_node_options *opt);
/** Ports, folders, disk. */
void hd_doctor_place(struct hd_findings *f, const struct hd_node_options *opt);
/** Of the Lambda API: room for code, a container engine. */
void hd_doctor_lambda(struct hd_findings *f, const struct hd_node_options *opt);
