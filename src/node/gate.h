/* node/gate.h - how many connections the node takes, in all and from one address. */
#pragma once

#include "core/ipaddr.h"

struct hd_gate;

/** @param max_total, max_per_address  0: no limit. */
struct hd_gate *hd_gate_new(uint32_t max_total, uint32_t max_per_address);
void hd_gate_free(struct hd_gate *g); /* NULL is fine */
/** @return whether one more from this address is welcome; then hd_gate_leave() must follow. Any
 *  thread. */
bool hd_gate_enter(struct hd_gate *g, const struct hd_ipaddr *from);
void hd_gate_leave(struct hd_gate *g, const struct hd_ipaddr *from);
/** @return connections now, and those turned away so far. Any thread. */
uint32_t hd_gate_open(const struct hd_gate *g);
uint64_t hd_gate_refused(const struct hd_gate *g);
