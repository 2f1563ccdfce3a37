/* http/curl.h - libcurl, loaded when it is first used. It and the 25 libraries behind it would cost
 * every start some milliseconds and every node some megabytes, for something that most never do. */
#pragma once

#include <heddle/error.h>

#include <curl/curl.h>

/** Its functions, under their names without "curl_". */
struct hd_curl {
    __typeof__(curl_global_init) *global_init;
    __typeof__(curl_version) *version;
    __typeof__(curl_easy_init) *easy_init;
    __typeof__(curl_easy_cleanup) *easy_cleanup;
    __typeof__(curl_easy_setopt) *easy_setopt;
    __typeof__(curl_easy_getinfo) *easy_getinfo;
    __typeof__(curl_easy_perform) *easy_perform;
    __typeof__(curl_easy_strerror) *easy_strerror;
    __typeof__(curl_easy_recv) *easy_recv;
    __typeof__(curl_easy_send) *easy_send;
    __typeof__(curl_multi_init) *multi_init;
    __typeof__(curl_multi_cleanup) *multi_cleanup;
    __typeof__(curl_multi_setopt) *multi_setopt;
    __typeof__(curl_multi_assign) *multi_assign;
    __typeof__(curl_multi_add_handle) *multi_add_handle;
    __typeof__(curl_multi_remove_handle) *multi_remove_handle;
    __typeof__(curl_multi_socket_action) *multi_socket_action;
    __typeof__(curl_multi_info_read) *multi_info_read;
    __typeof__(curl_slist_append) *slist_append;
    __typeof__(curl_slist_free_all) *slist_free_all;
};

/**
 * Load and initialise it, once; it stays until the program ends. Any thread.
 * @return the functions; or NULL: not installed, err says what to do.
 */
const struct hd_curl *hd_curl_load(struct hd_error *err);
/** @return the same, after a load that succeeded. */
const struct hd_curl *hd_curl(void);
