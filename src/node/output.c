/* What functions print, in the node's log: a record for programs; for people the function's name in
 * front, and further lines below the first. */
#include "node/private.h"

enum { LINE_MAX_BYTES = 64 * 1024 };

static void for_people(struct hd_buf *b, bool color, struct hd_str function,
                       enum hd_log_level level, struct hd_str text)
{
    static const char *const paint[] = {"\033[2m", "\033[36m", "\033[33m", "\033[31m"};
    static const char *const names[] = {"debug", "info ", "warn ", "error"};
    const char *off = color ? "\033[0m" : "";
    hd_buf_cstr(b, color ? paint[level] : "");
    hd_buf_cstr(b, names[level]);
    hd_buf_cstr(b, off);
    hd_buf_cstr(b, color ? " \033[1m" : " ");
    hd_buf_str(b, function);
    hd_buf_cstr(b, off);
    hd_buf_cstr(b, color ? " \033[2m|" : " |");
    hd_buf_cstr(b, off);
    hd_buf_char(b, ' ');
    struct hd_str line;
    for (bool first = true; hd_str_split(&line, &text, '\n'); first = false) {
        if (!first && line.len == 0)
            continue;
        if (!first)
            hd_buf_cstr(b, "      ");
        hd_buf_printable(b, line);
        hd_buf_char(b, '\n');
    }
}

void hd_node_output(struct hd_log *log, struct hd_str function, struct hd_str id,
                    enum hd_log_level level, struct hd_str text)
{
    if (!hd_log_enabled(log, level))
        return;
    if (hd_log_get_format(log) == HD_LOG_JSON) {
        hd_log(log, level, "output", hd_kv_slice("function", function),
               hd_kv_slice("id", id.len > 0 ? id : hd_str_n(NULL, 0)), hd_kv_slice("text", text));
        return;
    }
    char room[1024];
    struct hd_buf b;
    hd_buf_init_with(&b, room, sizeof(room), LINE_MAX_BYTES);
    for_people(&b, hd_log_get_color(log), function, level, text);
    if (!hd_buf_failed(&b))
        hd_log_raw(log, hd_buf_view(&b));
    hd_buf_done(&b);
}
