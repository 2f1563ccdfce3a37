#include "broker/amqp.h"

#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/time.h>

enum {
    HEARTBEAT_S = 10,
    HEARTBEAT_MAX_S = 600,
    CONNECT_S = 5,
    ANSWER_S = 15,
    CLOSE_S = 1,
    FRAME_BYTES = 131072
};

static const char authorities[] = "/etc/ssl/certs/ca-certificates.crt";

/* --- errors --- */

int hd_amqp_unexpected(const amqp_method_t *method, const char *what, struct hd_error *err)
{
    if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *c = method->decoded;
        return hd_fail(err, c->reply_code == AMQP_NOT_FOUND ? HD_ENOTFOUND : HD_EIO,
                       "%s: the broker closed the channel: %u %.*s", what, c->reply_code,
                       HD_FMT(hd_amqp_str(c->reply_text)));
    }
    if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *c = method->decoded;
        return hd_fail(err, c->reply_code == AMQP_ACCESS_REFUSED ? HD_EDENIED : HD_EIO,
                       "%s: the broker closed the connection: %u %.*s", what, c->reply_code,
                       HD_FMT(hd_amqp_str(c->reply_text)));
    }
    return hd_fail(err, HD_EPROTO, "%s: the broker sent something unexpected", what);
}

int hd_amqp_check_status(int status, const char *what, struct hd_error *err)
{
    return status == AMQP_STATUS_OK
               ? 0
               : hd_fail(err, HD_EIO, "%s: %s", what, amqp_error_string2(status));
}

int hd_amqp_check(amqp_rpc_reply_t reply, const char *what, struct hd_error *err)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return 0;
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION)
        return hd_amqp_unexpected(&reply.reply, what, err);
    return hd_fail(err, HD_EIO, "%s: %s", what, amqp_error_string2(reply.library_error));
}

/* --- connecting --- */

struct where {
    struct amqp_connection_info info; /* its texts lie in `url` */
    char *url;
    uint64_t heartbeat_s;
};

static int read_query(struct where *w, char *query, struct hd_error *err)
{
    struct hd_str text = hd_str(query), key = hd_str("heartbeat=");
    if (!hd_str_starts(text, key) ||
        hd_str_to_u64(&w->heartbeat_s, hd_str_n(text.ptr + key.len, text.len - key.len)) < 0 ||
        w->heartbeat_s < 1 || w->heartbeat_s > HEARTBEAT_MAX_S)
        return hd_fail(err, HD_EINVAL,
                       "of the broker's URL only ?heartbeat=SECONDS is known, 1 to %d",
                       HEARTBEAT_MAX_S);
    return 0;
}

static int parse(struct where *w, const char *url, struct hd_error *err)
{
    *w = (struct where){.url = hd_strdup(url), .heartbeat_s = HEARTBEAT_S};
    char *query = strchr(w->url, '?');
    if (query != NULL)
        *query++ = '\0';
    amqp_default_connection_info(&w->info);
    if (amqp_parse_url(w->url, &w->info) != AMQP_STATUS_OK)
        return hd_fail(err, HD_EINVAL,
                       "the broker's URL must be amqp://user:password@host:port/vhost, or amqps");
    return query != NULL ? read_query(w, query, err) : 0;
}

static void where_done(struct where *w)
{
    explicit_bzero(w->url, strlen(w->url));
    free(w->url);
}

int hd_amqp_check_url(const char *url, struct hd_error *err)
{
    struct where w;
    int rc = parse(&w, url, err);
    where_done(&w);
    return rc;
}

static int make_socket(amqp_socket_t **out, amqp_connection_state_t conn, bool tls,
                       struct hd_error *err)
{
    amqp_socket_t *s = tls ? amqp_ssl_socket_new(conn) : amqp_tcp_socket_new(conn);
    if (s == NULL)
        return hd_fail(err, HD_EIO, "no socket for a connection to the broker");
    *out = s;
    if (!tls)
        return 0;
    const char *file = getenv("SSL_CERT_FILE");
    amqp_ssl_socket_set_verify_peer(s, 1);
    amqp_ssl_socket_set_verify_hostname(s, 1);
    return hd_amqp_check_status(
        amqp_ssl_socket_set_cacert(s, file != NULL && file[0] != '\0' ? file : authorities),
        "reading the certificates of authorities", err);
}

static int log_in(amqp_connection_state_t conn, const struct where *w,
                  const struct hd_amqp_address *to, struct hd_error *err)
{
    const struct amqp_connection_info *info = &w->info;
    amqp_table_entry_t hears = {.key = amqp_cstring_bytes("connection.blocked"),
                                .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
    amqp_table_entry_t can = {.key = amqp_cstring_bytes("capabilities"),
                              .value = {.kind = AMQP_FIELD_KIND_TABLE,
                                        .value.table = {.num_entries = 1, .entries = &hears}}};
    const amqp_table_t properties = {.num_entries = to->publishes ? 1 : 0, .entries = &can};
    int rc = hd_amqp_check(
        amqp_login_with_properties(conn, to->vhost != NULL ? to->vhost : info->vhost, 0,
                                   FRAME_BYTES, (int)w->heartbeat_s, &properties,
                                   AMQP_SASL_METHOD_PLAIN, to->user != NULL ? to->user : info->user,
                                   to->password != NULL ? to->password : info->password),
        "logging in at the broker", err);
    if (rc < 0)
        return rc;
    amqp_channel_open(conn, HD_AMQP_CHANNEL);
    return hd_amqp_check(amqp_get_rpc_reply(conn), "opening a channel", err);
}

/* Heartbeats notice silence while we listen; a write into a network that is cut would wait for as
 * long as the system likes. */
static void limit_writes(amqp_connection_state_t conn, uint64_t heartbeat_s)
{
    unsigned ms = (unsigned)heartbeat_s * 2000;
    setsockopt(amqp_get_sockfd(conn), IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

static int connect_to(amqp_connection_state_t conn, const struct where *w,
                      const struct hd_amqp_address *to, struct hd_error *err)
{
    struct timeval wait = {.tv_sec = CONNECT_S}, answer = {.tv_sec = ANSWER_S};
    amqp_socket_t *socket = NULL;
    amqp_set_handshake_timeout(conn, &wait);
    amqp_set_rpc_timeout(conn, &answer);
    int rc = make_socket(&socket, conn, w->info.ssl != 0, err);
    if (rc < 0)
        return rc;
    int status = amqp_socket_open_noblock(socket, w->info.host, w->info.port, &wait);
    if (status != AMQP_STATUS_OK)
        return hd_fail(err, HD_EIO, "connecting to %s:%d: %s", w->info.host, w->info.port,
                       amqp_error_string2(status));
    limit_writes(conn, w->heartbeat_s);
    return log_in(conn, w, to, err);
}

int hd_amqp_open(amqp_connection_state_t *out, const struct hd_amqp_address *to,
                 struct hd_error *err)
{
    struct where w;
    amqp_connection_state_t conn = NULL;
    int rc = parse(&w, to->url, err);
    if (rc == 0) {
        conn = amqp_new_connection();
        rc = conn == NULL ? hd_fail(err, HD_EIO, "no memory for a connection to the broker")
                          : connect_to(conn, &w, to, err);
    }
    where_done(&w);
    if (rc == 0)
        *out = conn;
    else if (conn != NULL)
        amqp_destroy_connection(conn);
    return rc;
}

void hd_amqp_close(amqp_connection_state_t conn)
{
    struct timeval wait = {.tv_sec = CLOSE_S};
    if (conn == NULL)
        return;
    amqp_set_rpc_timeout(conn, &wait);
    /* a connection that is broken says so at once, one that is cut never does */
    if (amqp_channel_close(conn, HD_AMQP_CHANNEL, AMQP_REPLY_SUCCESS).reply_type !=
        AMQP_RESPONSE_LIBRARY_EXCEPTION)
        amqp_connection_close(conn, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(conn);
}
