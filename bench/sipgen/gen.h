// Shared by the files of sipgen. One process, one thread: callers on one side,
// a farm of servers on the other, so that every message is checked against
// what was sent, not against what it claims to be.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

typedef uint64_t u64;
typedef uint32_t u32;
typedef uint16_t u16;
typedef uint8_t u8;
typedef union { struct sockaddr sa; struct sockaddr_in v4; struct sockaddr_in6 v6; } address;

enum method { INVITE, ACK, INFO, BYE, REGISTER, OPTIONS, METHODS };
enum { SCENARIO_CALL, SCENARIO_REGISTER, SCENARIO_OPTIONS, SCENARIOS };
enum { UDP, TCP, TLS };  // transports
enum state { FREE, ASKED, UP, HANGUP }; // ASKED: first request sent; UP: answered and held; HANGUP: BYE sent

#define MAX_ROUTE 400  // bytes of a call's Route header lines
#define MAX_LINES 16   // Via or Record-Route lines of one message
#define MAX_INFOS 8    // INFO requests sent back to back between ACK and BYE
#define TLS_PORTS 1000   // from a server's port for UDP and TCP to that for TLS
#define FIRST_CSEQ 1001 // four digits whatever is added, so that sizes stay equal

// ---------------------------------------------------------------- options
struct options {
  // for the life of the process
  char servers[80], callers[80]; // host:port of the first; the others follow
  char cert[80], key[80];        // files of the servers' certificate for TLS; empty: they take none
  int nservers, ncallers, by_address, pin, farm_pin, gso, gro, control, streams; // farm_pin >= 0: the servers have a thread of their own
  // for one run
  char proxy[80];
  int transport, window, calls, infos, scatter, mix[SCENARIOS], reuse, jitter, pad, rport;
  int vias, to_source, timeout_ms, hold_ms, park, max_calls, pid, cpu;
  double rate, secs, warmup;
  u64 seed;
};
extern struct options opt;

// ---------------------------------------------------------------- a call
typedef struct call {
  u64 random;            // makes the Call-ID; another for every use of the slot
  u64 since;             // ns; when the request under way was sent, or planned at an open rate
  u32 generation;        // uses of this slot
  u32 slot;
  struct call *prev, *next; // the list of those waiting for an answer, or of those held
  address hop;           // where requests inside the dialog go
  u16 caller;            // index of the caller's socket
  u16 cseq;              // of the last request sent, from 0
  u16 left;              // requests still to come with this Call-ID
  u16 route_len;
  u8 scenario, state, heard; // heard: a first response was counted
  int far;               // the caller's knowledge of its server, from the To tag; -1 none
  int near;              // the server that got the first request; -1 none
  u16 up_mark, down_mark;     // highest mark seen in each direction, see order()
  u32 up_seen, down_seen;     // bit i: mark (highest - i) was seen
  char route[MAX_ROUTE]; // Route header lines, ready to send
} call;

// ---------------------------------------------------------------- errors and counts
#define ERRORS(X) \
  X(affinity) X(order_up) X(order_down) X(via_count) X(via_caller) X(via_rport) X(touched) \
  X(wrong_server) X(wrong_socket) X(max_forwards) X(route_left) X(request_uri) X(record_route) \
  X(unreadable) X(unknown) X(truncated) X(connection)
#define COUNTS(X) \
  X(started) X(completed) X(timeouts) X(refused) X(skipped) X(requests_sent) X(requests_seen) \
  X(responses_sent) X(responses_seen) X(duplicates) X(stale) X(foreign) X(record_routed) \
  X(send_errors) X(bytes) X(fields_moved)
#define AS_FIELD(name) u64 name;
struct errors { ERRORS(AS_FIELD) };
struct counts { COUNTS(AS_FIELD) };
extern _Thread_local struct errors err;   // each thread counts for itself
extern _Thread_local struct counts count;

// ---------------------------------------------------------------- net.c
typedef struct { int fd, index; address local; char hp[64], port[8]; int hp_len; } endpoint; // port: "=16000"
extern endpoint *caller, *server; // server[0] is the only socket when opt.by_address
extern address proxy;
extern _Thread_local u64 now; // ns, read once a batch

// The queues leave in this order, so no message overtakes one of its own call.
enum queue { Q_ACK, Q_INFO, Q_BYE = Q_INFO + MAX_INFOS, Q_FIRST, Q_100, Q_180, Q_200, Q_LAST, QUEUES };
#define QUEUE_SLOTS 64
#define MAX_TEXT 4000

void net_open(void);
int parse_address(const char *s, int n, address *a); // host:port; 0 or -1
int same_address(const address *a, const address *b);
u64 clock_ns(void);
char *queue_room(enum queue q);                      // MAX_TEXT bytes to write into
void queue_push(enum queue q, int fd, const char *end, const address *to, int from_server);
void flush_queues(void);
typedef void handler(int index, const char *text, int len, const address *from);
int receive_batch(endpoint *e, handler *h);          // messages handled
// ---------------------------------------------------------------- stream.c
typedef struct conn conn;
extern conn *reading;
void streams_open(void);                             // after net_open
int streams_begin(void);                             // before each run; 0 or -1
void streams_end(void);
int streams_fd(void);                                // readable when something is; -1 without streams
conn *caller_conn(int index);
void stream_push(conn *l, const char *text, const char *end);
void flush_streams(void);
int streams_turn(handler *request, handler *response, void (*after)(int caller), int wait_ms);

void server_name(int index, char *hp, int *len);     // "127.0.0.1:17000"

// ---------------------------------------------------------------- text.c
void text_begin(void);                                // after net_open, and before each run
char *put_request(char *p, const call *c, enum method m, int cseq, const endpoint *from);
typedef struct { const char *p; int n; } span;
typedef struct {
  span start, via[MAX_LINES], rr[MAX_LINES];
  int via_lines, vias, rr_lines, routes, max_forwards;
  const char *tail; int tail_len; // from the From line to the end
} head;
int split_head(const char *text, int len, head *h);   // 0, or -1 unreadable
int identify(const head *h, u32 *slot, u32 *generation, u64 *random); // 0 when it is one of ours
int request_method(span start, enum method *m);       // 0, or -1
int request_cseq(const head *h);                      // from 0; -1 unreadable
int response_server(const head *h);                   // index in the To tag; -1 none
void check_request(const call *c, enum method m, int cseq, int index, const head *h);
void check_response(const call *c, enum method m, int cseq, int status, int socket, const head *h);
char *put_response(char *p, const call *c, enum method m, int cseq, int status, int index, const head *h, const address *from);
char *put_foreign(char *p, const char *text, int len, const address *from, head *h);
int response_target(const head *h, const address *from, address *to);
const endpoint *sender(const call *c, int cseq, enum method m); // the socket a request leaves from
int save_route(call *c, const head *h);               // 0, or -1 when it does not fit or cannot be read

// ---------------------------------------------------------------- watch.c
typedef struct { double cpu_s, ksoftirqd_s, busy_s, steal_s; long rss_kb, pss_kb; } usage;
void watch(int pid, int cpu, usage *u, int memory);

// ---------------------------------------------------------------- report.c
enum timing { T_INVITE_FIRST, T_INVITE_FINAL, T_BYE_FINAL, T_OTHER_FINAL, TIMINGS };
void timing_add(enum timing t, u64 ns);
void timing_reset(void);
typedef struct {
  double secs;                   // measured
  struct counts c, all;          // over the measured time; over the whole run, to its end
  struct errors errors;
  usage a, b, parked;            // at its ends; with all calls up
  u64 cpu_ns, busy_ns;           // of sipgen itself; of that, where it had something to do
  u64 sent, seen;                // requests and responses of the whole run
  int parked_calls;
} result;
void report(const result *r);
