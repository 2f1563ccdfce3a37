#include "shim/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* The next word between blanks. */
static struct hd_str word(struct hd_str *line)
{
    size_t start = 0;
    while (start < line->len && line->ptr[start] == ' ')
        start++;
    size_t end = start;
    while (end < line->len && line->ptr[end] != ' ')
        end++;
    struct hd_str w = hd_str_n(line->ptr + start, end - start);
    line->ptr += end;
    line->len -= end;
    return w;
}

bool hd_peer_line(uid_t *uid, struct hd_str line, const struct sockaddr_in *peer,
                  const struct sockaddr_in *self)
{
    char from[16], to[16];
    /* As the kernel prints them: the address as a number of this machine, the port as it is. */
    snprintf(from, sizeof(from), "%08X:%04X", peer->sin_addr.s_addr, ntohs(peer->sin_port));
    snprintf(to, sizeof(to), "%08X:%04X", self->sin_addr.s_addr, ntohs(self->sin_port));
    word(&line); /* number */
    if (!hd_str_is(word(&line), from) || !hd_str_is(word(&line), to))
        return false;
    for (int i = 0; i < 4; i++) /* state, queues, timer, retransmits */
        word(&line);
    uint64_t n, inode;
    bool known = hd_str_to_u64(&n, word(&line)) == 0 && n < UINT32_MAX;
    word(&line); /* timeout */
    /* A socket that no program holds any more is said to be root's. */
    if (!known || hd_str_to_u64(&inode, word(&line)) < 0 || inode == 0)
        return false;
    *uid = (uid_t)n;
    return true;
}

int hd_peer_uid(uid_t *uid, const struct sockaddr_in *peer, const struct sockaddr_in *self,
                struct hd_error *err)
{
    FILE *f = fopen("/proc/net/tcp", "re");
    if (f == NULL)
        return hd_fail_sys(err, errno, "/proc/net/tcp");
    char line[256];
    bool found = false;
    while (!found && fgets(line, sizeof(line), f) != NULL)
        found = hd_peer_line(uid, hd_str(line), peer, self);
    fclose(f);
    return found ? 0 : hd_fail(err, HD_ENOTFOUND, "the connection's other end is nobody's");
}
