#include "broker/amqp.h"

#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <sys/time.h>

enum { HEARTBEAT_S = 60, CONNECT_S = 5, FRAME_BYTES = 131072 };

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

static int parse(struct amqp_connection_info *info, char *url, struct hd_error *err)
{
    amqp_default_connection_info(info);
    return amqp_parse_url(url, info) == AMQP_STATUS_OK
               ? 0
               : hd_fail(err, HD_EINVAL,
                         "the broker's URL must be amqp://user:password@host:port/vhost, or amqps");
}

int hd_amqp_check_url(const char *url, struct hd_error *err)
{
    struct amqp_connection_info info;
    hd_auto_free char *copy = hd_strdup(url);
    return parse(&info, copy, err);
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

static int log_in(amqp_connection_state_t conn, const struct amqp_connection_info *info,
                  const struct hd_amqp_address *to, struct hd_error *err)
{
    int rc = hd_amqp_check(amqp_login(conn, to->vhost != NULL ? to->vhost : info->vhost, 0,
                                      FRAME_BYTES, HEARTBEAT_S, AMQP_SASL_METHOD_PLAIN,
                                      to->user != NULL ? to->user : info->user,
                                      to->password != NULL ? to->password : info->password),
                           "logging in at the broker", err);
    if (rc < 0)
        return rc;
    amqp_channel_open(conn, HD_AMQP_CHANNEL);
    return hd_amqp_check(amqp_get_rpc_reply(conn), "opening a channel", err);
}

int hd_amqp_open(amqp_connection_state_t *out, const struct hd_amqp_address *to,
                 struct hd_error *err)
{
    struct amqp_connection_info info;
    struct timeval wait = {.tv_sec = CONNECT_S};
    hd_auto_free char *url = hd_strdup(to->url);
    int rc = parse(&info, url, err);
    if (rc < 0)
        return rc;
    amqp_connection_state_t conn = amqp_new_connection();
    amqp_socket_t *socket = NULL;
    if (conn == NULL)
        return hd_fail(err, HD_EIO, "no memory for a connection to the broker");
    amqp_set_handshake_timeout(conn, &wait);
    amqp_set_rpc_timeout(conn, &wait);
    rc = make_socket(&socket, conn, info.ssl != 0, err);
    if (rc == 0) {
        int status = amqp_socket_open_noblock(socket, info.host, info.port, &wait);
        if (status != AMQP_STATUS_OK)
            rc = hd_fail(err, HD_EIO, "connecting to %s:%d: %s", info.host, info.port,
                         amqp_error_string2(status));
    }
    if (rc == 0)
        rc = log_in(conn, &info, to, err);
    if (rc < 0)
        amqp_destroy_connection(conn);
    else
        *out = conn;
    return rc;
}

void hd_amqp_close(amqp_connection_state_t conn)
{
    if (conn == NULL)
        return;
    /* a connection that is broken says so at once */
    amqp_channel_close(conn, HD_AMQP_CHANNEL, AMQP_REPLY_SUCCESS);
    amqp_connection_close(conn, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(conn);
}
