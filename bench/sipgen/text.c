// The messages: written from what a call is, and checked by writing again what was sent and comparing it with what
// came. Headers stand in two parts: the head (start line, Via, Route, Record-Route, Max-Forwards), which a proxy edits,
// and the tail (from From to the end of the body), which must arrive byte for byte.
#include "gen.h"
#include <arpa/inet.h>
#include <stdlib.h>

_Thread_local struct errors err;
_Thread_local struct counts count;

static const char *const method_name[METHODS] = {"INVITE", "ACK", "INFO", "BYE", "REGISTER", "OPTIONS"};
static u8 method_len[METHODS];
static char hex2[512];
static char padding[2048];
static char (*far_name)[48]; // the servers' host:port
static u8 *far_len;
static char offer[512], answer[512], offer_len[8], answer_len[8];

#define LIT(p, s) (memcpy((p), s, sizeof(s) - 1), (p) + sizeof(s) - 1)
static inline char *put(char *p, const char *s, int n) { memcpy(p, s, n); return p + n; }
static inline char *put_hex(char *p, u64 v, int digits) {
  for (int i = digits - 2; i >= 0; i -= 2, v >>= 8) memcpy(p + i, hex2 + 2 * (v & 255), 2);
  return p + digits;
}
static inline char *put_number(char *p, u32 v) {
  char d[10];
  int n = 0;
  do d[n++] = '0' + v % 10; while (v /= 10);
  while (n) *p++ = d[--n];
  return p;
}
static u64 scramble(u64 x) {
  x = (x ^ (x >> 31)) * 0x9fb21c651e98df25u;
  return x ^ (x >> 28);
}

static void write_sdp(char *to, char *len, const char *user, const char *host, const char *direction) {
  const char *family = host[0] == ':' ? "IP6" : "IP4";
  int n = sprintf(to,
    "v=0\r\no=%s 20260801 1 IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\nm=audio 30000 RTP/AVP 0 8 9 18 101\r\n"
    "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:9 G722/8000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\n"
    "a=fmtp:101 0-16\r\na=ptime:20\r\na=%s\r\n", user, family, host, family, host, direction);
  sprintf(len, "%d", n);
}

void text_begin(void) {
  char host[64];
  for (int i = 0; i < 256; i++) hex2[2 * i] = "0123456789abcdef"[i >> 4], hex2[2 * i + 1] = "0123456789abcdef"[i & 15];
  for (int i = 0; i < METHODS; i++) method_len[i] = strlen(method_name[i]);
  memset(padding, 'p', sizeof padding);
  address a = caller[0].local;
  inet_ntop(a.sa.sa_family, a.sa.sa_family == AF_INET6 ? (void *)&a.v6.sin6_addr : (void *)&a.v4.sin_addr, host, sizeof host);
  write_sdp(offer, offer_len, "caller", host, "sendrecv");
  write_sdp(answer, answer_len, "callee", host, "sendrecv");
  if (far_name) return;
  far_name = calloc(opt.nservers, sizeof *far_name);
  far_len = calloc(opt.nservers, 1);
  for (int i = 0; i < opt.nservers; i++) {
    int n;
    server_name(i, far_name[i], &n);
    far_len[i] = n;
  }
}

// ---------------------------------------------------------------- writing
#define FROM_SLOT "From: \"Bench\" <sip:caller-"
#define FROM_TAG "@calls.example>;tag="
#define AT_SLOT ((int)sizeof(FROM_SLOT) - 1)
#define AT_RANDOM (AT_SLOT + 8 + (int)sizeof(FROM_TAG) - 1)
#define AT_GENERATION (AT_RANDOM + 16 + 1)
#define FROM_LEN (AT_GENERATION + 8 + 2)
#define TO_USER "To: <sip:callee-"
#define TO_TAG ";tag=srv-"
#define TO_LEN ((int)sizeof(TO_USER) - 1 + 8 + (int)sizeof("@calls.example>") - 1)
#define TAG_LEN ((int)sizeof(TO_TAG) - 1 + 6 + 1 + 8)
#define CALL_ID_LEN ((int)sizeof("Call-ID: -@calls.example") - 1 + 32)
#define AT_CSEQ (FROM_LEN + TO_LEN + 2 + CALL_ID_LEN + 1) // of the line feed before it, when the To has no tag
#define AT_FAR (FROM_LEN + TO_LEN + (int)sizeof(TO_TAG) - 1)

// From, To, Call-ID and CSeq; far < 0: the To has no tag yet.
static char *put_dialog(char *p, const call *c, enum method m, int cseq, int far) {
  p = put_hex(LIT(p, FROM_SLOT), c->slot, 8);
  p = put_hex(LIT(p, FROM_TAG), c->random, 16);
  p = put_hex(LIT(p, "-"), c->generation, 8);
  p = LIT(p, "\r\n");
  if (m == REGISTER) p = put_hex(LIT(p, "To: <sip:caller-"), c->slot, 8);
  else p = put_hex(LIT(p, TO_USER), c->random >> 32, 8);
  p = LIT(p, "@calls.example>");
  if (far >= 0) {
    p = put_hex(LIT(p, TO_TAG), far, 6);
    p = put_hex(LIT(p, "-"), c->random & 0xffffffff, 8);
  }
  p = put_hex(LIT(p, "\r\nCall-ID: "), c->random, 16);
  p = put_hex(put_hex(LIT(p, "-"), c->slot, 8), c->generation, 8);
  p = put_number(LIT(p, "@calls.example\r\nCSeq: "), FIRST_CSEQ + cseq);
  p = put(LIT(p, " "), method_name[m], method_len[m]);
  return LIT(p, "\r\n");
}

static char *put_padding(char *p, const call *c, u32 mark, int fixed) {
  int n = fixed + (opt.jitter ? (int)(scramble(c->random + mark) % (u32)opt.jitter) : 0);
  if (!n) return p;
  p = put(LIT(p, "X-Padding: "), padding, n);
  return LIT(p, "\r\n");
}

static char *put_request_tail(char *p, const call *c, enum method m, int cseq) {
  int inside = m == ACK || m == INFO || m == BYE;
  p = put_dialog(p, c, m, cseq, inside ? c->far : -1);
  if (m != BYE && m != ACK) {
    p = put_hex(LIT(p, "Contact: <sip:caller-"), c->slot, 8);
    p = put(LIT(p, "@"), caller[c->caller].hp, caller[c->caller].hp_len);
    p = LIT(p, ">\r\n");
  }
  if (m == REGISTER) p = LIT(p, "Expires: 3600\r\n");
  if (m == INVITE)
    p = LIT(p, "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY\r\n"
               "Supported: replaces, timer, 100rel\r\nSession-Expires: 1800;refresher=uac\r\nMin-SE: 90\r\n"
               "Accept: application/sdp, application/isup\r\n");
  p = LIT(p, "User-Agent: sipgen\r\n");
  p = put_padding(p, c, cseq * METHODS + m, opt.pad);
  if (m == INVITE) {
    int n = atoi(offer_len);
    p = put(LIT(p, "Content-Type: application/sdp\r\nContent-Length: "), offer_len, 3);
    return put(LIT(p, "\r\n\r\n"), offer, n);
  }
  return LIT(p, "Content-Length: 0\r\n\r\n");
}

static char *put_via_value(char *p, const call *c, enum method m, int cseq, const endpoint *e) {
  p = put(LIT(p, "SIP/2.0/"), opt.transport == UDP ? "UDP " : opt.transport == TCP ? "TCP " : "TLS ", 4);
  p = put(p, e->hp, e->hp_len);
  p = put_hex(LIT(p, ";branch=z9hG4bK"), c->random, 16);
  p = put_hex(put_hex(put_hex(p, c->generation, 8), cseq, 4), m, 2);
  return opt.rport ? LIT(p, ";rport") : p;
}

static char *put_start(char *p, const call *c, enum method m) {
  p = put(p, method_name[m], method_len[m]);
  if (m == INVITE || m == OPTIONS) {
    p = put_hex(LIT(p, " sip:callee-"), c->random >> 32, 8);
    return LIT(p, "@calls.example SIP/2.0\r\n");
  }
  if (m == REGISTER) return LIT(p, " sip:calls.example SIP/2.0\r\n");
  p = put(LIT(p, " sip:callee@"), far_name[c->far], far_len[c->far]);
  return LIT(p, " SIP/2.0\r\n");
}

char *put_request(char *p, const call *c, enum method m, int cseq, const endpoint *from) {
  p = put_start(p, c, m);
  p = put_via_value(LIT(p, "Via: "), c, m, cseq, from);
  p = LIT(p, "\r\n");
  if (m == ACK || m == INFO || m == BYE) p = put(p, c->route, c->route_len);
  p = LIT(p, "Max-Forwards: 70\r\n");
  return put_request_tail(p, c, m, cseq);
}

static char *put_response_tail(char *p, const call *c, enum method m, int cseq, int status, int index) {
  p = put_dialog(p, c, m, cseq, status > 100 ? index : -1);
  if (status == 100) return LIT(p, "Content-Length: 0\r\n\r\n");
  if (m == INVITE) {
    p = put(LIT(p, "Contact: <sip:callee@"), far_name[index], far_len[index]);
    p = LIT(p, ">\r\n");
  }
  if (m == REGISTER) {
    p = put_hex(LIT(p, "Contact: <sip:caller-"), c->slot, 8);
    p = put(LIT(p, "@"), caller[c->caller].hp, caller[c->caller].hp_len);
    p = LIT(p, ">;expires=3600\r\n");
  }
  p = LIT(p, "Server: sipgen\r\n");
  p = put_padding(p, c, 1u << 20 | (u32)cseq << 10 | (u32)status, 0);
  if (m == INVITE && status == 200) {
    int n = atoi(answer_len);
    p = put(LIT(p, "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, INFO\r\nContent-Type: application/sdp\r\nContent-Length: "), answer_len, 3);
    return put(LIT(p, "\r\n\r\n"), answer, n);
  }
  return LIT(p, "Content-Length: 0\r\n\r\n");
}

static char *put_source(char *p, const address *a) {
  char host[48];
  u16 port = ntohs(a->v4.sin_port);
  p = put_number(LIT(p, "="), port);
  inet_ntop(a->sa.sa_family, a->sa.sa_family == AF_INET6 ? (void *)&a->v6.sin6_addr : (void *)&a->v4.sin_addr, host, sizeof host);
  p = LIT(p, ";received=");
  return put(p, host, strlen(host));
}

// Where a word begins that something follows, or NULL. (memmem builds a table for each call, and costs more than all else here.)
static const char *find(const char *p, int n, const char *word, int word_len) {
  for (const char *end = p + n; (p = memchr(p, word[0], end - p)) && end - p > word_len; p++)
    if (!memcmp(p, word, word_len)) return p;
  return NULL;
}

// The end of an empty ";rport" in the first value of a Via line (RFC 3581 section 4), or NULL.
static const char *empty_rport(span line) {
  const char *end = memchr(line.p, ',', line.n);
  int n = end ? end - line.p : line.n;
  const char *r = find(line.p, n, ";rport", 6);
  return r && r[6] != '=' ? r + 6 : NULL;
}

char *put_response(char *p, const call *c, enum method m, int cseq, int status, int index, const head *h, const address *from) {
  p = status == 200 ? LIT(p, "SIP/2.0 200 OK\r\n") : status == 180 ? LIT(p, "SIP/2.0 180 Ringing\r\n") : LIT(p, "SIP/2.0 100 Trying\r\n");
  for (int i = 0; i < h->via_lines; i++) {
    const char *fill = i ? NULL : empty_rport(h->via[0]);
    if (!fill) { p = put(p, h->via[i].p, h->via[i].n); continue; }
    p = put_source(put(p, h->via[0].p, fill - h->via[0].p), from);
    p = put(p, fill, h->via[0].p + h->via[0].n - fill);
  }
  if (m == INVITE && status > 100)
    for (int i = 0; i < h->rr_lines; i++) p = put(p, h->rr[i].p, h->rr[i].n);
  return put_response_tail(p, c, m, cseq, status, index);
}

// ---------------------------------------------------------------- reading
static int starts(const char *p, int n, const char *word, int word_len) { return n >= word_len && !strncasecmp(p, word, word_len); }
#define STARTS(p, n, s) starts(p, n, s, sizeof(s) - 1)

static int values(span line) { // of a comma list without quoted strings
  int n = 1;
  for (const char *p = line.p, *end = line.p + line.n; (p = memchr(p, ',', end - p)); p++) n++;
  return n;
}

static int take_field(head *h, const char *p, int n) {
  switch (*p) {
  case 'V': case 'v':
    if (!STARTS(p, n, "Via:") && !STARTS(p, n, "v:")) return 0;
    if (h->via_lines == MAX_LINES) return -1;
    h->via[h->via_lines] = (span){p, n};
    h->vias += values(h->via[h->via_lines++]);
    return 1;
  case 'R': case 'r':
    if (STARTS(p, n, "Route:")) { h->routes++; return 1; }
    if (!STARTS(p, n, "Record-Route:")) return 0;
    if (h->rr_lines == MAX_LINES) return -1;
    h->rr[h->rr_lines++] = (span){p, n};
    return 1;
  case 'M': case 'm':
    if (!STARTS(p, n, "Max-Forwards:")) return 0;
    h->max_forwards = atoi(p + 13);
    return 1;
  }
  return 0;
}

int split_head(const char *text, int len, head *h) {
  const char *p = text, *end = text + len, *nl = memchr(p, '\n', len);
  h->via_lines = h->vias = h->rr_lines = h->routes = 0;
  h->max_forwards = -1;
  if (!nl) return -1;
  h->start = (span){p, nl + 1 - p};
  for (p = nl + 1; p < end; p = nl + 1) {
    if (!(nl = memchr(p, '\n', end - p)) || *p == '\r') return -1;
    if (*p == 'F' || *p == 'f') {
      h->tail = p;
      h->tail_len = end - p;
      return h->vias ? 0 : -1;
    }
    if (take_field(h, p, nl + 1 - p) < 0) return -1;
  }
  return -1;
}

static int hex_value(const char *p, int digits, u64 *v) {
  u64 x = 0;
  for (int i = 0; i < digits; i++) {
    unsigned d = (unsigned char)p[i];
    unsigned y = d - '0' < 10 ? d - '0' : (d | 32) - 'a' < 6 ? (d | 32) - 'a' + 10 : 99;
    if (y > 15) return -1;
    x = x << 4 | y;
  }
  *v = x;
  return 0;
}

int identify(const head *h, u32 *slot, u32 *generation, u64 *random) {
  u64 s, g;
  if (h->tail_len < FROM_LEN || memcmp(h->tail, FROM_SLOT, AT_SLOT)) return -1;
  if (hex_value(h->tail + AT_SLOT, 8, &s) || hex_value(h->tail + AT_RANDOM, 16, random) || hex_value(h->tail + AT_GENERATION, 8, &g)) return -1;
  *slot = s;
  *generation = g;
  return 0;
}

int request_method(span start, enum method *m) {
  for (*m = 0; *m < METHODS; (*m)++)
    if (start.n > method_len[*m] && start.p[method_len[*m]] == ' ' && !memcmp(start.p, method_name[*m], method_len[*m])) return 0;
  return -1;
}

int request_cseq(const head *h) {
  const char *p = h->tail + AT_CSEQ + (h->tail_len > AT_FAR && h->tail[FROM_LEN + TO_LEN] == ';' ? TAG_LEN : 0);
  if (h->tail_len < AT_CSEQ + TAG_LEN || memcmp(p, "\nCSeq: ", 7)) p = memmem(h->tail, h->tail_len, "\nCSeq: ", 7);
  if (!p) return -1;
  int v = 0;
  for (p += 7; *p >= '0' && *p <= '9' && v < 1 << 20; p++) v = v * 10 + *p - '0';
  return v >= FIRST_CSEQ ? v - FIRST_CSEQ : -1;
}

int response_server(const head *h) {
  u64 v;
  if (h->tail_len < AT_FAR + 6 || memcmp(h->tail + FROM_LEN + TO_LEN, TO_TAG, sizeof(TO_TAG) - 1)) return -1;
  if (hex_value(h->tail + AT_FAR, 6, &v) || v >= (u64)opt.nservers) return -1;
  return v;
}

// ---------------------------------------------------------------- checking
static _Thread_local char expected[2 * MAX_TEXT], kept[2 * MAX_TEXT];

// The tail as it came, or, where a proxy put its header fields further down, without those; 1 when it is what was sent.
static int tail_intact(const head *h, int expected_len) {
  if (h->tail_len == expected_len && !memcmp(h->tail, expected, expected_len)) return 1;
  int n = 0, in_head = 1;
  const char *p = h->tail, *end = p + h->tail_len;
  if (h->tail_len > (int)sizeof kept) return 0;
  while (p < end) {
    const char *nl = memchr(p, '\n', end - p);
    int len = nl ? nl + 1 - p : end - p;
    if (*p == '\r') in_head = 0;
    if (!in_head || !(STARTS(p, len, "Via:") || STARTS(p, len, "Record-Route:") || STARTS(p, len, "Route:") || STARTS(p, len, "Max-Forwards:"))) {
      memcpy(kept + n, p, len);
      n += len;
    }
    p += len;
  }
  count.fields_moved++;
  return n == expected_len && !memcmp(kept, expected, n);
}

// The caller's own Via must be the last value of the last line, as it was sent but for rport and received.
static void check_via(const call *c, enum method m, int cseq, const endpoint *e, const head *h) {
  char want[160], plain[300];
  span last = h->via[h->via_lines - 1];
  const char *comma = memrchr(last.p, ',', last.n), *p = (comma ? comma : memchr(last.p, ':', last.n)) + 1;
  while (*p == ' ' || *p == '\t') p++;
  int n = put_via_value(want, c, m, cseq, e) - want, left = last.p + last.n - p, received = 0;
  if (left < n || memcmp(p, want, n)) { // received may stand before the others: once more without it
    const char *r = find(p, left, ";received=", 10), *after = r ? r + 10 : NULL;
    while (after && after < p + left && *after != ';' && *after != '\r' && *after != ' ') after++;
    if (!r || left > (int)sizeof plain) { err.via_caller++; return; }
    left = put(put(plain, p, r - p), after, p + left - after) - plain;
    p = plain;
    received = 1;
    if (left < n || memcmp(p, want, n)) { err.via_caller++; return; }
  }
  if (opt.vias < 2 || !opt.rport) return;
  int k = strlen(e->port);
  if (left < n + k || memcmp(p + n, e->port, k) || !(received || find(p + n, left - n, ";received=", 10))) err.via_rport++;
}

const endpoint *sender(const call *c, int cseq, enum method m) {
  return &caller[opt.scatter ? (c->caller + cseq + (m == ACK)) % opt.ncallers : c->caller];
}

void check_request(const call *c, enum method m, int cseq, int index, const head *h) {
  char start[160];
  int inside = m == ACK || m == INFO || m == BYE;
  if (h->vias != opt.vias) err.via_count++;
  check_via(c, m, cseq, sender(c, cseq, m), h);
  if (h->max_forwards != 70 - (opt.vias > 1 ? opt.vias - 1 : 0)) err.max_forwards++;
  if (inside && h->routes) err.route_left++;
  if (inside && c->far != index) err.wrong_server++;
  int n = put_start(start, c, m) - start;
  if (n != h->start.n || memcmp(start, h->start.p, n)) err.request_uri++;
  if (!tail_intact(h, put_request_tail(expected, c, m, cseq) - expected)) err.touched++;
}

void check_response(const call *c, enum method m, int cseq, int status, int socket, const head *h) {
  const endpoint *e = sender(c, cseq, m);
  if (e->index != socket) err.wrong_socket++;
  if (h->vias != 1) err.via_count++;
  check_via(c, m, cseq, e, h);
  int far = response_server(h);
  if (status > 100 && c->near >= 0 && far != c->near) err.wrong_server++;
  if (far < 0) far = 0;
  if (!tail_intact(h, put_response_tail(expected, c, m, cseq, status, far) - expected)) err.touched++;
}

// ---------------------------------------------------------------- routes
// Where a response goes: the source address; its port when rport was asked for, else the port of the top Via (RFC 3261 18.2.2).
int response_target(const head *h, const address *from, address *to) {
  *to = *from;
  span v = h->via[0];
  const char *end = memchr(v.p, ',', v.n);
  int n = end ? end - v.p : v.n;
  if (opt.to_source || find(v.p, n, ";rport", 6)) return 0;
  const char *p = find(v.p, n, "UDP ", 4), *stop = v.p + n;
  if (!p) return -1;
  for (p += 4; p < stop && *p == '['; p++) if (!(p = memchr(p, ']', stop - p))) return -1;
  while (p < stop && *p != ':' && *p != ';' && *p != '\r') p++;
  to->v4.sin_port = htons(p < stop && *p == ':' ? atoi(p + 1) : 5060);
  return 0;
}

// The address in "<sip:user@host:port;lr>".
static int route_address(span v, address *a) {
  const char *p = memmem(v.p, v.n, "<sip:", 5), *end = v.p + v.n, *at;
  if (!p) return -1;
  p += 5;
  const char *close = memchr(p, '>', end - p);
  if (!close) return -1;
  if ((at = memchr(p, '@', close - p))) p = at + 1;
  const char *stop = p;
  while (stop < close && *stop != ';') stop++;
  if (memchr(p, ':', stop - p) && stop[-1] != ']') return parse_address(p, stop - p, a);
  char with_port[80];
  return parse_address(with_port, snprintf(with_port, sizeof with_port, "%.*s:5060", (int)(stop - p), p), a);
}

int save_route(call *c, const head *h) {
  span v[MAX_LINES];
  int n = 0;
  for (int i = 0; i < h->rr_lines; i++) {
    const char *p = memchr(h->rr[i].p, ':', h->rr[i].n) + 1, *end = h->rr[i].p + h->rr[i].n;
    while (p < end && n < MAX_LINES) {
      const char *close = memchr(p, '>', end - p);
      if (!close) break;
      const char *stop = close;
      while (stop < end && *stop != ',' && *stop != '\r' && *stop != '\n') stop++;
      while (*p == ' ' || *p == '\t') p++;
      v[n++] = (span){p, stop - p};
      p = stop + 1;
    }
  }
  c->route_len = 0;
  c->hop = proxy;
  for (int i = n - 1; i >= 0; i--) {
    if (c->route_len + v[i].n + 10 > MAX_ROUTE) return -1;
    char *p = put(LIT(c->route + c->route_len, "Route: "), v[i].p, v[i].n);
    c->route_len = LIT(p, "\r\n") - c->route;
  }
  if (n && (route_address(v[n - 1], &c->hop) || c->hop.sa.sa_family != proxy.sa.sa_family)) return -1;
  return 0;
}

// ---------------------------------------------------------------- strangers
// 200 to a request that is none of ours (a health probe, a first call by hand); NULL when nothing is to be answered.
char *put_foreign(char *p, const char *text, int len, const address *from, head *h) {
  const char *end = text + len, *nl;
  memset(h, 0, sizeof *h);
  if (STARTS(text, len, "SIP/") || STARTS(text, len, "ACK ") || !(nl = memchr(text, '\n', len))) return NULL;
  char *begin = p;
  p = LIT(p, "SIP/2.0 200 OK\r\n");
  for (const char *q = nl + 1; q < end && *q != '\r'; q = nl + 1) {
    if (!(nl = memchr(q, '\n', end - q))) return NULL;
    int n = nl + 1 - q, to = STARTS(q, n, "To:") || STARTS(q, n, "t:");
    int via = STARTS(q, n, "Via:") || STARTS(q, n, "v:");
    if (via && h->via_lines < MAX_LINES) h->via[h->via_lines++] = (span){q, n};
    if (!via && !to && !STARTS(q, n, "From:") && !STARTS(q, n, "f:") && !STARTS(q, n, "Call-ID:") && !STARTS(q, n, "i:") &&
        !STARTS(q, n, "CSeq:") && !STARTS(q, n, "Record-Route:")) continue;
    if (p - begin + n + 200 > MAX_TEXT) return NULL;
    const char *fill = via && h->via_lines == 1 ? empty_rport((span){q, n}) : NULL;
    if (fill) {
      p = put_source(put(p, q, fill - q), from);
      p = put(p, fill, nl + 1 - fill);
    } else if (to && !memmem(q, n, ";tag=", 5)) {
      p = put(p, q, n - (nl[-1] == '\r' ? 2 : 1));
      p = LIT(p, ";tag=srv\r\n");
    } else p = put(p, q, n);
  }
  if (!h->via_lines) return NULL;
  return LIT(p, "Contact: <sip:callee@calls.example>\r\nContent-Length: 0\r\n\r\n");
}
