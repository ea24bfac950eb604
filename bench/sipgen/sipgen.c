// sipgen: SIP callers and a farm of SIP servers in one thread or two, to load a proxy between them and to check every message
// that passes it. Run it on a CPU of its own; see usage() below, and README.md beside it for what is checked.
//
//   cc -O2 -march=native -flto -pthread -o sipgen *.c -lssl -lcrypto
#include "gen.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct options opt = {
  .servers = "127.0.0.1:17000", .nservers = 10, .callers = "127.0.0.1:16000", .ncallers = 10, .pin = -1, .farm_pin = -1, .gso = 1,
  .proxy = "127.0.0.1:5060", .window = 64, .reuse = 1, .rport = 1, .vias = 2, .timeout_ms = 1000, .cpu = -1,
  .mix = {1, 0, 0}, .secs = 2, .warmup = 0.4, .max_calls = 4096,
};

static call *calls, **spare;
static int spares;
static call waiting, held;     // heads of lists, oldest first
static int active, up;         // lengths of the two
static int measuring, issuing, releasing;
static u64 serial, due, interval; // open rate: when the next call is planned, and the ns between two
static volatile u64 last_heard;

// ---------------------------------------------------------------- lists
static void list_begin(call *l) { l->next = l->prev = l; }
static void list_take(call *c) { c->prev->next = c->next, c->next->prev = c->prev; }
static void list_push(call *l, call *c) {
  c->prev = l->prev, c->next = l;
  l->prev->next = c, l->prev = c;
}
static void wait_for_answer(call *c, enum state s, u64 since) {
  c->state = s;
  c->since = since;
  list_push(&waiting, c);
  active++;
}

// ---------------------------------------------------------------- callers
static u64 mixed(u64 x) { // splitmix64
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

static void send_request(call *c, enum method m, int cseq, enum queue q) {
  const endpoint *e = sender(c, cseq, m);
  char *end = put_request(queue_room(q), c, m, cseq, e);
  const address *to = m == ACK || m == INFO || m == BYE ? &c->hop : &proxy;
  if (opt.transport == UDP) queue_push(q, e->fd, end, to, -1);
  else {
    if (!same_address(to, &proxy)) err.record_route++; // the caller has one connection, and it leads to the proxy
    stream_push(caller_conn(e->index), queue_room(q), end);
  }
  count.requests_sent++;
}

static enum method first_method(const call *c) { return c->scenario == SCENARIO_CALL ? INVITE : c->scenario == SCENARIO_REGISTER ? REGISTER : OPTIONS; }
static enum method method_of(const call *c, int cseq) {
  if (c->scenario != SCENARIO_CALL || cseq == 0) return first_method(c);
  return cseq <= opt.infos ? INFO : BYE;
}

static int pick_scenario(u64 random) {
  int n = random % (u64)(opt.mix[0] + opt.mix[1] + opt.mix[2]), s = 0;
  while (n >= opt.mix[s]) n -= opt.mix[s++];
  return s;
}

static void start_call(int at, u64 since) {
  if (!spares) { count.skipped++; return; }
  call *c = spare[--spares];
  c->random = mixed(opt.seed + ++serial);
  c->generation++;
  c->caller = at;
  c->cseq = c->heard = c->route_len = 0;
  c->scenario = pick_scenario(c->random >> 8);
  c->left = c->scenario == SCENARIO_CALL ? 0 : opt.reuse - 1;
  c->far = c->near = -1;
  c->up_mark = c->down_mark = 0;
  c->up_seen = c->down_seen = 0;
  count.started++;
  wait_for_answer(c, ASKED, since);
  send_request(c, first_method(c), 0, Q_FIRST);
}

static void finish_call(call *c) {
  list_take(c);
  if (c->state == UP) up--;
  else active--;
  c->state = FREE;
  spare[spares++] = c;
}

static void hang_up(call *c) {
  c->cseq = opt.infos + 1;
  wait_for_answer(c, HANGUP, now);
  send_request(c, BYE, c->cseq, Q_BYE);
}

static void release_held(u64 until) { // hang up those held since before until
  while (held.next != &held && held.next->since <= until && active < opt.window + 1) {
    call *c = held.next;
    list_take(c);
    up--;
    hang_up(c);
  }
}

static void answered(call *c, const head *h) {
  c->far = response_server(h);
  if (c->far < 0) c->far = 0, err.wrong_server++;
  if (h->rr_lines) count.record_routed++;
  if (save_route(c, h)) err.record_route++;
  list_take(c);
  active--;
  send_request(c, ACK, 0, Q_ACK);
  for (int i = 1; i <= opt.infos; i++) send_request(c, INFO, i, Q_INFO + i - 1);
  if (!opt.park && !opt.hold_ms) { hang_up(c); return; }
  c->state = UP;
  c->since = now;
  list_push(&held, c);
  up++;
}

static void on_final(call *c, int cseq, const head *h) {
  if (measuring) timing_add(c->state == HANGUP ? T_BYE_FINAL : c->scenario == SCENARIO_CALL ? T_INVITE_FINAL : T_OTHER_FINAL, now - c->since);
  if (c->scenario == SCENARIO_CALL && cseq == 0) { answered(c, h); return; }
  if (c->left) { // another request with the same Call-ID
    c->left--;
    c->cseq++;
    list_take(c);
    active--;
    wait_for_answer(c, ASKED, now);
    send_request(c, first_method(c), c->cseq, Q_FIRST);
    return;
  }
  count.completed++;
  finish_call(c);
}

// Marks of one direction of a call must rise. 0: in order; 1: seen before; -1: overtaken.
static int order(u16 *highest, u32 *seen, u16 mark) {
  if (!*seen || mark > *highest) {
    int by = mark - *highest;
    *seen = (*seen && by < 32 ? *seen << by : 0) | 1;
    *highest = mark;
    return 0;
  }
  int behind = *highest - mark;
  if (behind < 32 && (*seen >> behind & 1)) return 1;
  if (behind < 32) *seen |= 1u << behind;
  return -1;
}

static call *find_call(const head *h, int *stranger) {
  u32 slot, generation;
  u64 random;
  *stranger = identify(h, &slot, &generation, &random) || !calls || (int)slot >= opt.max_calls;
  if (*stranger) return NULL;
  call *c = &calls[slot];
  if (c->state != FREE && c->generation == generation && c->random == random) return c;
  count.stale++;
  return NULL;
}

static void on_response(int socket, const char *text, int len, const address *from) {
  head h;
  int stranger;
  (void)from;
  if (split_head(text, len, &h) || memcmp(text, "SIP/2.0 ", 8)) { err.unreadable++; return; }
  call *c = find_call(&h, &stranger);
  if (!c) { err.unknown += stranger; return; }
  int status = atoi(text + 8), cseq = request_cseq(&h);
  if (cseq < 0 || cseq > c->cseq + opt.infos) { err.unreadable++; return; }
  count.responses_seen++;
  count.bytes += len;
  last_heard = now;
  if (status >= 300) {
    count.refused++;
    finish_call(c);
    return;
  }
  u16 mark = cseq * 4 + (status > 100) + (status >= 200), before = c->down_mark;
  int o = order(&c->down_mark, &c->down_seen, mark);
  if (o == 1) { count.duplicates++; return; }
  // Answers to several of a caller's sockets are read socket by socket: no order can be told between them.
  if (o < 0 && !(opt.scatter && before / 4 != cseq)) err.order_down++;
  check_response(c, method_of(c, cseq), cseq, status, socket, &h);
  if (c->scenario == SCENARIO_CALL && cseq == 0 && !c->heard) {
    c->heard = 1;
    if (measuring) timing_add(T_INVITE_FIRST, now - c->since);
  }
  if (status >= 200 && ((c->state == ASKED && cseq == c->cseq) || (c->state == HANGUP && cseq == c->cseq))) on_final(c, cseq, &h);
}

// ---------------------------------------------------------------- servers
static void respond(const call *c, enum method m, int cseq, int status, enum queue q, int index, const head *h, const address *from, const address *to) {
  char *end = put_response(queue_room(q), c, m, cseq, status, index, h, from);
  if (reading) stream_push(reading, queue_room(q), end);
  else queue_push(q, server[opt.by_address ? 0 : index].fd, end, to, index);
  count.responses_sent++;
}

static void on_stranger(int index, const char *text, int len, const address *from) {
  head h;
  address to;
  char *p = queue_room(Q_LAST), *end = put_foreign(p, text, len, from, &h);
  count.foreign++;
  if (!end) return;
  if (reading) stream_push(reading, p, end);
  else if (!response_target(&h, from, &to)) queue_push(Q_LAST, server[opt.by_address ? 0 : index].fd, end, &to, index);
}

static void on_request(int index, const char *text, int len, const address *from) {
  head h;
  int stranger = 1;
  enum method m;
  address to;
  call *c = NULL;
  if (split_head(text, len, &h) || !(c = find_call(&h, &stranger))) {
    if (stranger) on_stranger(index, text, len, from);
    return;
  }
  int cseq = request_cseq(&h);
  if (cseq < 0 || request_method(h.start, &m) || (m != ACK ? method_of(c, cseq) != m : cseq)) { err.unreadable++; return; }
  count.requests_seen++;
  count.bytes += len;
  last_heard = now;
  int o = order(&c->up_mark, &c->up_seen, cseq * 2 + (m == ACK));
  if (o == 1) count.duplicates++;
  if (o < 0) err.order_up++;
  if (c->near < 0) c->near = index;
  else if (c->near != index) err.affinity++;
  check_request(c, m, cseq, index, &h);
  if (m == ACK) return;
  if (!reading && response_target(&h, from, &to)) { err.unreadable++; return; }
  if (m == INVITE) {
    respond(c, m, cseq, 100, Q_100, index, &h, from, &to);
    respond(c, m, cseq, 180, Q_180, index, &h, from, &to);
    respond(c, m, cseq, 200, Q_200, index, &h, from, &to);
  } else respond(c, m, cseq, 200, Q_LAST, index, &h, from, &to);
}

// ---------------------------------------------------------------- a run
static int more_calls(void) { return issuing && (!opt.calls || count.started < (u64)opt.calls); }

static void top_up(int at) { // closed window
  while (opt.rate <= 0 && active < opt.window && spares && more_calls()) start_call(at, now);
}

static void start_due(void) { // open rate
  static int at;
  for (; opt.rate > 0 && due <= now && more_calls(); due += interval) start_call(at = (at + 1) % opt.ncallers, due);
}

static void expire(void) {
  u64 limit = (u64)opt.timeout_ms * 1000000;
  while (waiting.next != &waiting && now > waiting.next->since + limit) {
    count.timeouts++;
    finish_call(waiting.next);
  }
}

static int farm_turn(void) {
  int n = 0, nsockets = opt.by_address ? 1 : opt.nservers;
  for (int i = 0; i < nsockets; i++) {
    int got = receive_batch(&server[i], on_request);
    n += got;
    if (got) flush_queues();
  }
  return n;
}

// One pass over all sockets of this thread; the number of messages handled.
static int turn(void) {
  static int first, turns;
  int n = 0;
  start_due();
  first = (first + 1) % opt.ncallers;
  for (int i = 0; opt.rate <= 0 && i < opt.window && active < opt.window && spares && more_calls(); i++) start_call((first + i) % opt.ncallers, now);
  flush_queues();
  flush_streams();
  for (int i = 0; opt.transport == UDP && i < opt.ncallers; i++) {
    int got = receive_batch(&caller[i], on_response);
    if (!got) continue;
    n += got;
    top_up(i);
    flush_queues();
  }
  if (opt.farm_pin < 0 && (opt.transport == UDP || !(turns++ & 63))) n += farm_turn(); // health probes may come by datagram
  if (opt.streams && (opt.transport != UDP || !(turns++ & 63))) {
    n += streams_turn(on_request, on_response, top_up, 0);
    reading = NULL;
  }
  now = clock_ns();
  expire();
  if (releasing) release_held(~(u64)0);
  else if (opt.hold_ms && now > (u64)opt.hold_ms * 1000000) release_held(now - (u64)opt.hold_ms * 1000000);
  flush_queues();
  flush_streams();
  return n;
}

// ---------------------------------------------------------------- a thread for the farm
// It works while a run is on and rests between runs. What a call's server half needs was written before the message that
// tells of it was sent, so the two threads share the calls without a lock.
static struct { pthread_mutex_t lock; pthread_cond_t changed; int wanted, working; struct counts *count; struct errors *err; } farm = {
  .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (cpu >= 0 && sched_setaffinity(0, sizeof set, &set)) { perror("sipgen: pin"); exit(2); }
}

static void *farm_thread(void *unused) {
  pin_to(opt.farm_pin);
  farm.count = &count;
  farm.err = &err;
  pthread_mutex_lock(&farm.lock);
  for (;;) {
    while (!farm.wanted) pthread_cond_wait(&farm.changed, &farm.lock);
    farm.working = 1;
    pthread_cond_broadcast(&farm.changed);
    pthread_mutex_unlock(&farm.lock);
    while (__atomic_load_n(&farm.wanted, __ATOMIC_RELAXED)) farm_turn();
    pthread_mutex_lock(&farm.lock);
    farm.working = 0;
    pthread_cond_broadcast(&farm.changed);
  }
  return unused;
}

static void farm_work(int on) { // returns when it does, or rests
  if (opt.farm_pin < 0) return;
  pthread_mutex_lock(&farm.lock);
  __atomic_store_n(&farm.wanted, on, __ATOMIC_RELAXED);
  pthread_cond_broadcast(&farm.changed);
  while (farm.working != on) pthread_cond_wait(&farm.changed, &farm.lock);
  pthread_mutex_unlock(&farm.lock);
}

static struct counts all_counts(void) {
  struct counts c = count;
#define ADD_COUNT(name) c.name += farm.count->name;
  if (farm.count) { COUNTS(ADD_COUNT) }
  return c;
}

static struct errors all_errors(void) {
  struct errors e = err;
#define ADD_ERROR(name) e.name += farm.err->name;
  if (farm.err) { ERRORS(ADD_ERROR) }
  return e;
}

static void run_begin(void) {
  static int had;
  text_begin();
  if (had < opt.max_calls) {
    free(calls), free(spare);
    calls = calloc(opt.max_calls, sizeof *calls);
    spare = calloc(opt.max_calls, sizeof *spare);
    had = opt.max_calls;
  }
  spares = 0;
  for (int i = opt.max_calls - 1; i >= 0; i--) calls[i].slot = i, calls[i].state = FREE, spare[spares++] = &calls[i];
  list_begin(&waiting), list_begin(&held);
  active = up = measuring = releasing = 0;
  issuing = 1;
  memset(&count, 0, sizeof count), memset(&err, 0, sizeof err);
  if (farm.count) memset(farm.count, 0, sizeof count), memset(farm.err, 0, sizeof err);
  timing_reset();
  if (!opt.seed) opt.seed = mixed(clock_ns() ^ (u64)getpid() << 40);
  now = clock_ns();
  due = now;
  if (opt.rate > 0) interval = 1e9 / opt.rate;
}

static struct counts difference(const struct counts *b, const struct counts *a) {
  struct counts d;
#define SUBTRACT(name) d.name = b->name - a->name;
  COUNTS(SUBTRACT)
  return d;
}

static void memory_of(usage *u) {
  usage m;
  watch(opt.pid, -1, &m, 1);
  u->rss_kb = m.rss_kb, u->pss_kb = m.pss_kb;
}

// Everything sent before the end is waited for: until all calls are over and nothing came for 20 ms.
static void drain(void) {
  issuing = measuring = 0;
  releasing = 1;
  while (active || up) turn();
  for (last_heard = now; now < last_heard + 20000000;) turn();
}

static u64 thread_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (u64)t.tv_sec * 1000000000u + t.tv_nsec;
}

static void measure(result *r) {
  struct counts at_start;
  u64 begin = now + (u64)(opt.warmup * 1e9), end = opt.calls ? ~(u64)0 : begin + (u64)(opt.secs * 1e9);
  while (now < begin && !opt.calls) turn();
  at_start = all_counts();
  timing_reset();
  watch(opt.pid, opt.cpu, &r->a, 0);
  begin = now = clock_ns();
  measuring = 1;
  u64 cpu = thread_ns(), busy = 0; // a spinning thread is always on the CPU: the share of the turns that handled something counts
  while (now < end) {
    u64 before = now;
    int n = turn();
    if (n) busy += now - before;
    if (!opt.calls || count.started < (u64)opt.calls || active) continue;
    if (opt.park && !releasing) {
      r->parked_calls = up;
      memory_of(&r->parked);
      releasing = 1;
      now = clock_ns();
    }
    if (!up) break;
  }
  now = clock_ns();
  watch(opt.pid, opt.cpu, &r->b, 0);
  r->secs = (now - begin) / 1e9;
  r->cpu_ns = thread_ns() - cpu;
  r->busy_ns = r->cpu_ns * ((double)busy / (now - begin));
  struct counts at_end = all_counts();
  r->c = difference(&at_end, &at_start);
}

static int run(void) {
  result r = {0};
  if (parse_address(opt.proxy, strlen(opt.proxy), &proxy)) { printf("{\"error\":\"bad address %s\"}\n", opt.proxy); fflush(stdout); return 2; }
  long rss, pss;
  if (streams_begin()) { printf("{\"error\":\"no connection to %s\"}\n", opt.proxy); fflush(stdout); return 2; }
  run_begin();
  memory_of(&r.a), rss = r.a.rss_kb, pss = r.a.pss_kb;
  now = due = clock_ns();
  farm_work(1);
  measure(&r);
  drain();
  streams_end();
  farm_work(0);
  r.a.rss_kb = rss, r.a.pss_kb = pss;
  memory_of(&r.b);
  r.all = all_counts();
  r.errors = all_errors();
  r.sent = r.all.requests_sent + r.all.responses_sent;
  r.seen = r.all.requests_seen + r.all.responses_seen + r.all.stale; // what came after its call was over came too
  report(&r);
  u64 errors = 0;
#define SUM_ERROR(name) errors += r.errors.name;
  ERRORS(SUM_ERROR)
  return errors ? 1 : 0;
}

// ---------------------------------------------------------------- options
static void usage_text(void) {
  puts(
    "sipgen [--name=value ...]      one run; a line of JSON on stdout. Exit 0 clean, 1 something was wrong on the wire, 2 usage\n"
    "sipgen --control=1 [...]       the farm stays up; each line of standard input, 'name=value ...', is a run; ends with its input\n"
    "for the life of the process\n"
    "  servers=HOST:PORT  nservers=N  by-address=0|1 (addresses counted up, one port, one socket; else ports counted up)\n"
    "  callers=HOST:PORT  ncallers=N  pin=CPU  farm-pin=CPU (a thread for the servers)  gso=0|1 (send trains)  gro=0|1 (take trains)\n"
    "  streams=0|1 (servers take TCP too)  cert=FILE  key=FILE (and TLS, on ports 1000 above)\n"
    "the load\n"
    "  transport=udp|tcp|tls (of callers; each keeps one connection to a proxy)\n"
    "  proxy=HOST:PORT  window=N (calls outstanding) or rate=R (calls a second, RTTs from the planned moment)\n"
    "  secs=S  warmup=S  calls=N (so many, then end)  hold-ms=MS (from ACK to BYE)  park=0|1 (all calls up before the first BYE)\n"
    "  mix=calls,registers,options (weights)  reuse=N (requests of one Call-ID)  infos=N (between ACK and BYE, at once)\n"
    "  jitter=B (up to B more bytes in each message, at random)  pad=B  rport=0|1  timeout-ms=MS  max-calls=N  seed=N\n"
    "  scatter=0|1 (each request of a call from another of the caller's sockets)\n"
    "what is expected and watched\n"
    "  vias=N (at the server)  to-source=0|1 (responses to where the request came from: for relays)  pid=PID  cpu=CPU");
}

enum kind { NUMBER, REAL, TEXT, SEED };
static const struct { const char *name; enum kind kind; size_t at; } option[] = {
#define OPTION(name, kind, field) {name, kind, offsetof(struct options, field)}
  OPTION("servers", TEXT, servers), OPTION("nservers", NUMBER, nservers), OPTION("by-address", NUMBER, by_address),
  OPTION("callers", TEXT, callers), OPTION("ncallers", NUMBER, ncallers), OPTION("pin", NUMBER, pin), OPTION("farm-pin", NUMBER, farm_pin), OPTION("gso", NUMBER, gso),
  OPTION("gro", NUMBER, gro), OPTION("control", NUMBER, control), OPTION("proxy", TEXT, proxy), OPTION("window", NUMBER, window),
  OPTION("rate", REAL, rate), OPTION("secs", REAL, secs), OPTION("warmup", REAL, warmup), OPTION("calls", NUMBER, calls),
  OPTION("hold-ms", NUMBER, hold_ms), OPTION("park", NUMBER, park), OPTION("reuse", NUMBER, reuse), OPTION("infos", NUMBER, infos),
  OPTION("jitter", NUMBER, jitter), OPTION("pad", NUMBER, pad), OPTION("rport", NUMBER, rport), OPTION("timeout-ms", NUMBER, timeout_ms),
  OPTION("max-calls", NUMBER, max_calls), OPTION("seed", SEED, seed), OPTION("scatter", NUMBER, scatter), OPTION("vias", NUMBER, vias),
  OPTION("to-source", NUMBER, to_source), OPTION("pid", NUMBER, pid), OPTION("cpu", NUMBER, cpu),
  OPTION("streams", NUMBER, streams), OPTION("cert", TEXT, cert), OPTION("key", TEXT, key),
};
static const char *const transport_name[] = {"udp", "tcp", "tls"};

static int set_option(const char *arg) {
  const char *value = strchr(arg, '=');
  while (*arg == '-') arg++;
  if (!value) return -1;
  if (!strncmp(arg, "mix=", 4)) return sscanf(value, "=%d,%d,%d", opt.mix, opt.mix + 1, opt.mix + 2) == 3 ? 0 : -1;
  if (!strncmp(arg, "transport=", 10)) {
    for (int t = UDP; t <= TLS; t++) if (!strcmp(value + 1, transport_name[t])) return opt.transport = t, 0;
    return -1;
  }
  for (size_t i = 0; i < sizeof option / sizeof *option; i++) {
    void *at = (char *)&opt + option[i].at;
    if (strlen(option[i].name) != (size_t)(value - arg) || strncmp(option[i].name, arg, value - arg)) continue;
    switch (option[i].kind) {
    case NUMBER: *(int *)at = atoi(value + 1); return 0;
    case REAL: *(double *)at = atof(value + 1); return 0;
    case SEED: *(u64 *)at = strtoull(value + 1, NULL, 0); return 0;
    case TEXT: return snprintf(at, sizeof opt.servers, "%s", value + 1) < (int)sizeof opt.servers ? 0 : -1;
    }
  }
  return -1;
}

static const char *limits(void) {
  if (opt.nservers < 1 || opt.nservers > 1 << 20 || opt.ncallers < 1 || opt.ncallers > 4096) return "servers or callers out of range";
  if (opt.window < 1 || opt.infos < 0 || opt.infos > MAX_INFOS || opt.reuse < 1 || opt.reuse > 8000) return "window, infos or reuse out of range";
  if (opt.jitter < 0 || opt.pad < 0 || opt.jitter + opt.pad > 2000) return "jitter and pad together reach 2000 at most";
  if (opt.mix[0] < 0 || opt.mix[1] < 0 || opt.mix[2] < 0 || opt.mix[0] + opt.mix[1] + opt.mix[2] < 1) return "mix is three weights";
  if (opt.transport != UDP && (!opt.streams || opt.by_address || opt.farm_pin >= 0 || opt.scatter)) return "transport needs streams=1, and goes with none of by-address, farm-pin and scatter";
  if (opt.park && !opt.calls) return "park needs calls";
  if (opt.park && opt.max_calls < opt.calls) opt.max_calls = opt.calls;
  if (opt.hold_ms && opt.max_calls < opt.rate * (opt.hold_ms + 1000) / 1000) opt.max_calls = opt.rate * (opt.hold_ms + 1000) / 1000;
  if (opt.max_calls < opt.window) opt.max_calls = opt.window;
  return NULL;
}

// ---------------------------------------------------------------- control
static void idle(void) { // until a line comes; the farm answers meanwhile
  int sockets = opt.by_address ? 1 : opt.nservers, n = sockets + opt.ncallers + 2;
  struct pollfd *p = calloc(n, sizeof *p);
  for (int i = 0; i < sockets; i++) p[i] = (struct pollfd){server[i].fd, POLLIN, 0};
  for (int i = 0; i < opt.ncallers; i++) p[sockets + i] = (struct pollfd){caller[i].fd, POLLIN, 0};
  p[n - 2] = (struct pollfd){streams_fd(), POLLIN, 0}; // poll leaves out what is below 0
  p[n - 1] = (struct pollfd){0, POLLIN, 0};
  while (poll(p, n, -1) >= 0 || errno == EINTR) {
    if (p[n - 1].revents) break;
    for (int i = 0; i < sockets; i++) if (p[i].revents) receive_batch(&server[i], on_request);
    for (int i = 0; i < opt.ncallers; i++) if (p[sockets + i].revents) receive_batch(&caller[i], on_response);
    if (p[n - 2].revents) streams_turn(on_request, on_response, NULL, 0);
    reading = NULL;
    flush_queues();
    flush_streams();
  }
  free(p);
}

static int read_line(char *line, int size) { // by single reads, so that poll sees what is left
  for (int n = 0; n < size - 1; n++)
    if (read(0, line + n, 1) != 1 || line[n] == '\n') { line[n] = 0; return n; }
  return 0;
}

static int control(void) {
  struct options base = opt;
  char line[1024];
  puts("{\"ready\":true}");
  fflush(stdout);
  for (;;) {
    const char *wrong = NULL;
    idle();
    if (!read_line(line, sizeof line)) return 0;
    opt = base;
    for (char *word = strtok(line, " "); word && !wrong; word = strtok(NULL, " ")) if (set_option(word)) wrong = word;
    if (!wrong) wrong = limits();
    if (wrong) { printf("{\"error\":\"%s\"}\n", wrong); fflush(stdout); continue; }
    run();
    opt = base;
  }
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--help")) { usage_text(); return 0; }
    if (set_option(argv[i])) { fprintf(stderr, "sipgen: no such option: %s (see --help)\n", argv[i]); return 2; }
  }
  const char *wrong = limits();
  if (wrong) { fprintf(stderr, "sipgen: %s\n", wrong); return 2; }
  pin_to(opt.pin);
  net_open();
  streams_open();
  text_begin();
  pthread_t thread;
  if (opt.farm_pin >= 0 && pthread_create(&thread, NULL, farm_thread, NULL)) { perror("sipgen: thread"); return 2; }
  return opt.control ? control() : run();
}
