/* What field names and status codes mean, apart from parsing. */
#include "http/parse.h"

bool hd_is_hop_by_hop(struct hd_str name)
{
    switch (name.len) {
    case 2:
        return hd_str_is_nocase(name, "te");
    case 7:
        return hd_str_is_nocase(name, "trailer") || hd_str_is_nocase(name, "upgrade");
    case 10:
        return hd_str_is_nocase(name, "connection") || hd_str_is_nocase(name, "keep-alive");
    case 16:
        return hd_str_is_nocase(name, "proxy-connection");
    case 17:
        return hd_str_is_nocase(name, "transfer-encoding");
    case 18:
        return hd_str_is_nocase(name, "proxy-authenticate");
    case 19:
        return hd_str_is_nocase(name, "proxy-authorization");
    }
    return false;
}

bool hd_is_connection_option(const struct hd_head *head, struct hd_str name)
{
    /* Nearly every message says nothing else than these three here. */
    if (!head->connection_names && !hd_str_is_nocase(name, "close") &&
        !hd_str_is_nocase(name, "keep-alive") && !hd_str_is_nocase(name, "upgrade"))
        return false;
    for (size_t i = 0; i < head->n_fields; i++) {
        struct hd_str part, rest = head->fields[i].value;
        if (!hd_str_is_nocase(head->fields[i].name, "connection"))
            continue;
        while (hd_str_split(&part, &rest, ',')) {
            if (hd_str_eq_nocase(hd_str_trim(part), name))
                return true;
        }
    }
    return false;
}

const struct hd_field *hd_head_find(const struct hd_head *head, const char *name)
{
    const struct hd_str want = hd_str(name);
    for (size_t i = 0; i < head->n_fields; i++) {
        if (hd_str_eq_nocase(head->fields[i].name, want))
            return &head->fields[i];
    }
    return NULL;
}

const char *hd_status_reason(unsigned status)
{
    /* The IANA registry of status codes, without the unused 306 and 418. */
    static const char *const reasons[] = {
        [100] = "Continue",
        [101] = "Switching Protocols",
        [102] = "Processing",
        [103] = "Early Hints",
        [200] = "OK",
        [201] = "Created",
        [202] = "Accepted",
        [203] = "Non-Authoritative Information",
        [204] = "No Content",
        [205] = "Reset Content",
        [206] = "Partial Content",
        [207] = "Multi-Status",
        [208] = "Already Reported",
        [226] = "IM Used",
        [300] = "Multiple Choices",
        [301] = "Moved Permanently",
        [302] = "Found",
        [303] = "See Other",
        [304] = "Not Modified",
        [305] = "Use Proxy",
        [307] = "Temporary Redirect",
        [308] = "Permanent Redirect",
        [400] = "Bad Request",
        [401] = "Unauthorized",
        [402] = "Payment Required",
        [403] = "Forbidden",
        [404] = "Not Found",
        [405] = "Method Not Allowed",
        [406] = "Not Acceptable",
        [407] = "Proxy Authentication Required",
        [408] = "Request Timeout",
        [409] = "Conflict",
        [410] = "Gone",
        [411] = "Length Required",
        [412] = "Precondition Failed",
        [413] = "Content Too Large",
        [414] = "URI Too Long",
        [415] = "Unsupported Media Type",
        [416] = "Range Not Satisfiable",
        [417] = "Expectation Failed",
        [421] = "Misdirected Request",
        [422] = "Unprocessable Content",
        [423] = "Locked",
        [424] = "Failed Dependency",
        [425] = "Too Early",
        [426] = "Upgrade Required",
        [428] = "Precondition Required",
        [429] = "Too Many Requests",
        [431] = "Request Header Fields Too Large",
        [451] = "Unavailable For Legal Reasons",
        [500] = "Internal Server Error",
        [501] = "Not Implemented",
        [502] = "Bad Gateway",
        [503] = "Service Unavailable",
        [504] = "Gateway Timeout",
        [505] = "HTTP Version Not Supported",
        [506] = "Variant Also Negotiates",
        [507] = "Insufficient Storage",
        [508] = "Loop Detected",
        [511] = "Network Authentication Required",
    };
    return status < HD_COUNT(reasons) && reasons[status] != NULL ? reasons[status] : "";
}
