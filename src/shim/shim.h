/* shim/shim.h - one instance's shim: what its parts share. Private to src/shim.
 *
 *   node ──host protocol──► up.c ─► event.c ◄─ api.c, extapi.c ◄──Runtime and Extensions API──
 *                             └────► life.c ◄────┘                        runtime, extensions
 *                                      └► programs.c (processes) ► output.c (their lines) ► sink.c
 */
#pragma once

#include "http/server.h"
#include "http/stream.h"
#include "shim/ext_state.h"
#include "shim/failure.h"
#include "shim/frame.h"
#include "shim/loadreq.h"
#include "shim/rapi_state.h"
#include "shim/subscription.h"

#include <sys/types.h>

struct hd_shim;

/* How the shim was started; strings live as long as it does. */
struct hd_shim_options {
    const char *socket; /* path, or NULL: `port` */
    uint16_t port;
    uint16_t api_port;   /* of the Runtime API, in a network of our own; 0: any, checked by user */
    uint16_t front_port; /* where the program may take events itself; 0: nowhere */
    uint16_t relay_port; /* of 127.0.0.1, */
    const char *relay_path; /* and the Unix socket to which connections there go; NULL: none */
    uint32_t grace_ms;      /* between SIGTERM and SIGKILL for a runtime without extensions */
    char token[33];
    char *const *argv; /* a program instead of a bootstrap, NULL-terminated; NULL: none */
    char *const *env;  /* what programs may inherit */
};

enum hd_shim_phase {
    HD_SHIM_EMPTY,  /* nothing is loaded */
    HD_SHIM_INIT,   /* programs were started and have not all asked for work */
    HD_SHIM_READY,  /* takes events, one after another */
    HD_SHIM_DIRECT, /* the program serves the node itself */
    HD_SHIM_FAILED, /* init failed: the first event is told */
    HD_SHIM_STALE,  /* init took too long: the first event begins it again */
    HD_SHIM_ENDING, /* the shutdown phase */
};

/* Why it ends, as extensions are told. */
enum hd_shim_reason { HD_SHIM_SPINDOWN, HD_SHIM_TIMEOUT, HD_SHIM_FAILURE };

/* --- sink.c: our standard error, in the framing of the host protocol --- */

struct hd_shim_sink {
    struct hd_watched watched;
    struct hd_buf out;     /* what the reader has not taken */
    bool pollable;         /* a pipe or socket; else a write takes as long as it takes */
    bool broken;           /* nobody reads it any more */
    uint64_t dropped;      /* lines lost since that was last said */
    struct hd_timer flood; /* runs while it is full: then lines are dropped */
    uint64_t full_since_ms, blocked_ms; /* how long it was full in this invocation */
    bool full, dropping;
};
int hd_shim_sink_open(struct hd_shim *s, int fd, struct hd_error *err);
/* Another invocation begins: it may wait as the last one could. */
void hd_shim_sink_forgive(struct hd_shim *s);
void hd_shim_sink_close(struct hd_shim *s);
/* Add a line. @p id  may be empty. */
void hd_shim_sink_line(struct hd_shim *s, struct hd_str id, const char *level, struct hd_str text);
/* Add a record that the program made itself. */
void hd_shim_sink_record(struct hd_shim *s, struct hd_str record);
/* Write what is there. @return whether all of it is written. */
bool hd_shim_sink_flush(struct hd_shim *s);
/* Whether output is to be left where it is for now, so that who writes it has to wait. */
bool hd_shim_sink_is_full(const struct hd_shim *s);

/* --- output.c: one stream of a program's output --- */

struct hd_shim_output {
    struct hd_watched watched;
    struct hd_shim *shim;
    struct hd_frame frame;
    bool waits; /* something may be there that was left unread */
    bool extension;
};
/* Read @p fd, which does not block; takes ownership. */
void hd_shim_output_open(struct hd_shim_output *o, struct hd_shim *s, int fd, bool extension);
/* Read everything that was written so far, and report a line that is not complete. */
void hd_shim_output_drain(struct hd_shim_output *o);
/* Go on where the sink was full. */
void hd_shim_output_resume(struct hd_shim_output *o);
bool hd_shim_output_is_open(const struct hd_shim_output *o);
void hd_shim_output_close(struct hd_shim_output *o);

/* --- programs.c: runtime and extensions as processes --- */

struct hd_shim_program {
    char *name; /* NULL: a free place */
    pid_t pid;  /* 0: it ended */
    struct hd_shim_output out, err;
};
enum { HD_SHIM_PROGRAMS_MAX = 1 + HD_EXT_MAX, HD_SHIM_RUNTIME = 0 /* its place */ };

/* Start all of /opt/extensions. @return 0, or HD_E* and *fault. */
int hd_shim_start_extensions(struct hd_shim *s, struct hd_failure *fault);
int hd_shim_start_runtime(struct hd_shim *s, struct hd_failure *fault);
/* Fetch what ended; reported by hd_shim_ended(). @return whether any child is left. */
bool hd_shim_reap(struct hd_shim *s);
/* Read the rest of what all programs wrote. @return whether all is written on. */
bool hd_shim_drain_output(struct hd_shim *s);
void hd_shim_close_programs(struct hd_shim *s);

/* --- direct.c: a program that serves the node itself --- */

struct hd_shim_direct {
    struct hd_watched watched;
    char *path;            /* where it may listen; NULL: there is no offer */
    int read_fd, write_fd; /* write_fd 0: it has it, or there is none */
    bool watching;
};
/* Make the offer to @p program, if it knows of it. @return the descriptor that it gets, or -1. */
int hd_shim_direct_offer(struct hd_shim *s, const char *program, char ***env);
/* It was started, or not. */
void hd_shim_direct_started(struct hd_shim *s, bool started);
void hd_shim_direct_close(struct hd_shim *s);

/* --- front.c: a program that takes events at a front door of its own --- */

struct hd_shim_front {
    enum {
        HD_SHIM_FRONT_OFF,
        HD_SHIM_FRONT_LOOKING,
        HD_SHIM_FRONT_SETTLING,
        HD_SHIM_FRONT_ON,
    } state;
    uint16_t port;
    uint32_t wait_ms; /* until it is looked again */
    struct hd_timer timer;
    struct hd_stream probe;
    bool probing;
    struct hd_client_conn *conn; /* of the event under way, or NULL */
    struct hd_buf body;          /* of its answer */
    char *content_type;
    unsigned status;
    bool said_error;
};
/* The runtime was started: look whether it has one, and then step. */
void hd_shim_front_look(struct hd_shim *s);
/* The event under way; fields as the Runtime API has them. */
void hd_shim_front_give(struct hd_shim *s, const struct hd_field *fields, size_t n,
                        struct hd_str body);
/* It has none, for it called the Runtime API. */
void hd_shim_front_off(struct hd_shim *s);
/* The same, and what is under way is forgotten. */
void hd_shim_front_stop(struct hd_shim *s);

/* --- event.c: the invocation under way --- */

enum { HD_SHIM_NEXT_FIELDS = 8 };

struct hd_shim_event {
    struct hd_shim *shim;
    struct hd_exchange *up; /* the node's request; NULL: it has gone, or was answered */
    bool whole;             /* its body is complete */
    bool stream;            /* the caller takes the answer as it comes */
    bool head_sent;         /* of a streamed answer */
    bool answered;          /* all is said, or nobody is there to hear it */
    bool reported;          /* to telemetry */
    char id[HD_RAPI_ID_MAX + 1];
    struct hd_buf body;
    struct {
        const char *name; /* static, as the Runtime API calls it */
        char *value;
    } next[HD_SHIM_NEXT_FIELDS];
    unsigned n_next;
    const char *arn, *trace;    /* among them, or "" */
    uint64_t began_us, took_us; /* given, and until it was answered */
    uint64_t produced;          /* bytes of the answer */
    const char *status;         /* as telemetry calls how it went; static */
    uint64_t limit_ms;          /* for all of it; 0: none */
    uint64_t due_ms;            /* on the loop's clock; 0: none */
    int64_t due_unix_ms;        /* as runtime and extensions are told */
    /* An answer that is kept until the lines before it are written. */
    struct hd_timer gate;
    bool gated, gated_exits;
    struct hd_buf answer;
    char *gated_content_type, *gated_type;
};
/* A request of the node with an event. */
void hd_shim_event_take(struct hd_shim *s, struct hd_exchange *ex, const struct hd_head *head,
                        struct hd_str body, bool end);
/* Give the waiting event to those who wait for it. */
void hd_shim_event_give(struct hd_shim *s);
/* The answer, whole. @p type  NULL: a result; else an error: its type, or "" where that stands in
 * the JSON. */
void hd_shim_event_answer(struct hd_shim *s, struct hd_str body, const char *content_type,
                          const char *type, bool exits);
/* The error that the shim itself found. */
void hd_shim_event_fault(struct hd_shim *s, const struct hd_failure *f, bool exits);
/* A streamed answer: its head, a piece. @return false: pause until hd_shim_api_writable(). */
bool hd_shim_event_stream(struct hd_shim *s, struct hd_str bytes, const char *content_type);
void hd_shim_event_stream_end(struct hd_shim *s, const struct hd_failure *f, bool exits);
/* Send the answer that waits for lines, if they are written. */
void hd_shim_event_step(struct hd_shim *s);
/* Nobody took it: it waits again. @return false: another one waits, or nobody wants it any more. */
bool hd_shim_event_take_back(struct hd_shim *s);
/* All is over for it: runtime and extensions asked again. */
void hd_shim_event_over(struct hd_shim *s);
/* Tell telemetry how the event under way went; once. */
void hd_shim_event_report(struct hd_shim *s);
/* Forget the event under way, at the end of everything. */
void hd_shim_event_free(struct hd_shim *s);
/* Refuse the one that nobody was given, if there is one: another instance may take it. */
void hd_shim_event_refuse(struct hd_shim *s, const char *why);

/* --- up.c: the node's side --- */

int hd_shim_up_open(struct hd_shim *s, struct hd_error *err);
/* Answer the load request that waits, with @p kind. */
void hd_shim_up_loaded(struct hd_shim *s, const char *kind);
/* Answer a drain request that waits, if nothing is under way. */
void hd_shim_up_drained(struct hd_shim *s);
/* For an exchange that is answered at once, whatever still comes of its body. */
extern const struct hd_exchange_events hd_shim_no_events;
/* Send a JSON answer of our own. */
void hd_shim_answer_json(struct hd_exchange *ex, unsigned status, struct hd_str body,
                         const struct hd_field *extra, size_t n);

/* --- api.c: the Runtime API; extapi.c: the Extensions API --- */

int hd_shim_api_open(struct hd_shim *s, struct hd_error *err);
/* The node takes more of a streamed answer. */
void hd_shim_api_writable(struct hd_shim *s);
/* Whether the runtime's open call is really there; one that broke off is forgotten. */
bool hd_shim_api_is_open(struct hd_shim *s);
/* Answer the runtime's open call. */
void hd_shim_api_give(struct hd_shim *s, const struct hd_response_head *head, struct hd_str body);
/* Break off what the runtime waits for. */
void hd_shim_api_drop_next(struct hd_shim *s);
/* Answer an API call with {"errorMessage":…,"errorType":…}. */
void hd_shim_api_error(struct hd_exchange *ex, unsigned status, const char *type, const char *text);
/* Extensions API. @p call  enum hd_call_kind. */
void hd_shim_ext_request(struct hd_shim *s, struct hd_exchange *ex, int call,
                         const struct hd_head *head, struct hd_str body, bool end);
/* Tell those who asked for it of the event under way; of the end, at end_due_ms. */
void hd_shim_ext_invoke(struct hd_shim *s);
void hd_shim_ext_shutdown(struct hd_shim *s);
/* Break off what extensions wait for. */
void hd_shim_ext_drop(struct hd_shim *s);

/* --- telemetry.c: what happens, told to extensions that asked for it --- */

struct hd_shim_subscriber;
/* Subscribe an extension, or change what it subscribed to. @param logs  by the Logs API. */
int hd_shim_subscribe(struct hd_shim *s, const struct hd_ext *x, bool logs, struct hd_str body,
                      struct hd_error *err);
/* An event of the platform; the format makes its record, one line of JSON. */
void hd_shim_telemetry(struct hd_shim *s, const char *kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A line that the function, or an extension, printed. */
void hd_shim_telemetry_line(struct hd_shim *s, bool extension, struct hd_str text);
/* Deliver what waits, now. */
void hd_shim_telemetry_flush(struct hd_shim *s);
void hd_shim_telemetry_close(struct hd_shim *s);

/* --- life.c: from load to end --- */

void hd_shim_load(struct hd_shim *s, struct hd_loadreq *load); /* takes ownership */
/* Something changed: go on as far as that is possible. */
void hd_shim_step(struct hd_shim *s);
/* What it does failed: the init, or the invocation under way. Takes the fault's contents. */
void hd_shim_failed(struct hd_shim *s, struct hd_failure *fault);
/* The program took the node's socket over. */
void hd_shim_direct_taken(struct hd_shim *s);
/* The runtime broke off in the middle of its answer. */
void hd_shim_cut(struct hd_shim *s);
/* A program ended. */
void hd_shim_ended(struct hd_shim *s, struct hd_shim_program *p, int status);
/* The node wants us to end (SIGTERM). */
void hd_shim_asked_to_end(struct hd_shim *s);
void hd_shim_end(struct hd_shim *s, enum hd_shim_reason reason);

struct hd_shim {
    struct hd_shim_options opt;
    struct hd_loop *loop;
    struct hd_net *net;
    struct hd_server *up, *api;
    uint16_t api_port;
    char api_address[32]; /* "127.0.0.1:9001" */
    enum hd_shim_phase phase;
    struct hd_loadreq *load;
    struct hd_rapi rapi;
    struct hd_exts exts;
    struct hd_shim_program programs[HD_SHIM_PROGRAMS_MAX];
    struct hd_shim_sink sink;
    struct hd_shim_direct direct;
    struct hd_shim_front front;
    struct hd_exchange *load_ex, *drain_ex;       /* control requests that wait */
    struct hd_exchange *next;                     /* the runtime's open call */
    struct hd_exchange *answer;                   /* the runtime's answer that is streaming */
    struct hd_timer cut;                          /* its answer broke off: it may be about to end */
    struct hd_exchange *ext_next[2 * HD_EXT_MAX]; /* as in exts.v */
    struct hd_shim_subscriber *subscribers[2 * HD_EXT_MAX]; /* as in exts.v */
    struct hd_buf history;                                  /* of init, for late subscribers */
    struct hd_shim_event *event, *held; /* under way; waiting for that to be over */
    struct hd_failure fault;            /* why it failed */
    struct hd_timer init_timer, deadline, rest, end_timer;
    uint64_t init_began_ms, init_took_ms; /* init_took_ms: 0 once it was reported */
    bool runtime_started, runtime_ended, asked_to_end, told_to_end;
    int runtime_status; /* as wait() gave it */
    /* the end */
    enum hd_shim_reason reason;
    enum { HD_END_RUNTIME, HD_END_EXTENSIONS, HD_END_ALL, HD_END_FLUSH } end_step;
    uint64_t end_due_ms;
    int exit_code;
};
