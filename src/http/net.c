#include "http/net.h"

#include <stdatomic.h>

struct hd_net *hd_net_new(struct hd_loop *loop)
{
    struct hd_net *n = hd_new(struct hd_net);
    n->loop = loop;
    hd_rng_init(&n->rng, 0);
    return n;
}

void hd_net_free(struct hd_net *n)
{
    if (n == NULL)
        return;
    hd_slab_done(&n->exchanges);
    hd_slab_done(&n->client_conns);
    free(n);
}
