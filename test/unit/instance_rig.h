/* instance_rig.h - functions with Lambda semantics on the rig of backends: code that is written on
 * the spot, events, answers. */
#pragma once

#include "backend_rig.h"

/** A launch and what it points to. */
struct lambda {
    struct hd_launch what;
    struct hd_launch_lambda lambda;
    char code[128], opt[128];
};

extern const char rig_evaluator[]; /* what rig_set_node() writes */
/** Write a file below bundles/, and the folders it lies in. */
void rig_put(struct rig *r, const char *name, const char *text, mode_t mode);
/** Describe a launch of bundles/f/code. */
void rig_set(struct rig *r, struct lambda *l, const char *runtime, const char *id);
/** Same, for Node.js, of a function that evaluates `code` of the event: what comes of it, or an
 *  error's code, is the result. */
void rig_set_node(struct rig *r, struct lambda *l);
/** Open the rig, or skip the test with the reason. @param layout  it needs a root of its own. */
void rig_open_for(struct rig *r, enum hd_process_sandbox sandbox, bool layout);
/** Launch and wait until it is ready. */
void rig_begin_lambda(struct rig *r, struct probe *p, struct lambda *l);
/** Send an event as JSON. @return the connection, to close. */
int rig_send(struct probe *p, const char *json);
/** Send an event as JSON. @return head and body of the answer for the caller to free. */
char *rig_event(struct probe *p, const char *json);
/** @return the result of some code, for the caller to free. */
char *rig_eval(struct probe *p, const char *code);
/** Fail unless that is the result. */
void rig_expect(struct probe *p, const char *code, const char *expected);
/** End it, and close the rig. */
void rig_finish(struct rig *r, struct probe *p);
