// Sockets, batches in and out. Equal-sized runs leave as one UDP_SEGMENT train.
#include "gen.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#define BATCH 64
#define TRAIN_BYTES 65000

endpoint *caller, *server;
address proxy;
_Thread_local u64 now;

u64 clock_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (u64)t.tv_sec * 1000000000u + t.tv_nsec;
}

static void fail(const char *what, const char *which) {
  fprintf(stderr, "sipgen: %s %s: %s\n", what, which, strerror(errno));
  exit(2);
}

int parse_address(const char *s, int n, address *a) {
  char host[64];
  const char *colon = memrchr(s, ':', n);
  if (!colon || n > 60) return -1;
  int hn = colon - s, port = 0;
  for (const char *p = colon + 1; p < s + n; p++) {
    if (*p < '0' || *p > '9') return -1;
    port = port * 10 + *p - '0';
  }
  memset(a, 0, sizeof *a);
  int six = hn > 2 && s[0] == '[' && s[hn - 1] == ']';
  snprintf(host, sizeof host, "%.*s", six ? hn - 2 : hn, six ? s + 1 : s);
  if (six) {
    a->v6.sin6_family = AF_INET6;
    a->v6.sin6_port = htons(port);
    return inet_pton(AF_INET6, host, &a->v6.sin6_addr) == 1 ? 0 : -1;
  }
  a->v4.sin_family = AF_INET;
  a->v4.sin_port = htons(port);
  return inet_pton(AF_INET, host, &a->v4.sin_addr) == 1 ? 0 : -1;
}

int same_address(const address *a, const address *b) {
  if (a->sa.sa_family != b->sa.sa_family) return 0;
  if (a->sa.sa_family == AF_INET)
    return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
  return a->v6.sin6_port == b->v6.sin6_port && !memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, 16);
}

static socklen_t address_len(const address *a) {
  return a->sa.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
}

static int name_of(const address *a, char *hp) {
  char host[48];
  if (a->sa.sa_family == AF_INET6) {
    inet_ntop(AF_INET6, &a->v6.sin6_addr, host, sizeof host);
    return sprintf(hp, "[%s]:%d", host, ntohs(a->v6.sin6_port));
  }
  inet_ntop(AF_INET, &a->v4.sin_addr, host, sizeof host);
  return sprintf(hp, "%s:%d", host, ntohs(a->v4.sin_port));
}

// The farm's addresses: ports counted up from the first, or (by address) IPv4 addresses counted up on one port.
static address farm_address(int index) {
  address a;
  if (parse_address(opt.servers, strlen(opt.servers), &a)) fail("bad address", opt.servers);
  if (opt.by_address) a.v4.sin_addr.s_addr = htonl(ntohl(a.v4.sin_addr.s_addr) + index);
  else a.v4.sin_port = htons(ntohs(a.v4.sin_port) + index); // the port lies at the same place in both families
  return a;
}

void server_name(int index, char *hp, int *len) {
  address a = farm_address(index);
  *len = name_of(&a, hp);
}

static void open_endpoint(endpoint *e, address a, int index, int any) {
  int one = 1, size = 16 << 20;
  e->index = index;
  e->local = a;
  e->hp_len = name_of(&a, e->hp);
  snprintf(e->port, sizeof e->port, "=%d", ntohs(a.v4.sin_port));
  e->fd = socket(a.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (e->fd < 0) fail("socket", e->hp);
  if (setsockopt(e->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size)) setsockopt(e->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  if (setsockopt(e->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size)) setsockopt(e->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  if (opt.gro) setsockopt(e->fd, IPPROTO_UDP, UDP_GRO, &one, sizeof one);
  if (any) {
    setsockopt(e->fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof one);
    a.v4.sin_addr.s_addr = 0;
  }
  if (bind(e->fd, &a.sa, address_len(&a))) fail("bind", e->hp);
}

void net_open(void) {
  address first;
  if (parse_address(opt.callers, strlen(opt.callers), &first)) fail("bad address", opt.callers);
  if (opt.by_address && farm_address(0).sa.sa_family != AF_INET) { errno = EAFNOSUPPORT; fail("by-address", opt.servers); }
  caller = calloc(opt.ncallers, sizeof *caller);
  server = calloc(opt.nservers, sizeof *server);
  for (int i = 0; i < opt.ncallers; i++) {
    address a = first;
    a.v4.sin_port = htons(ntohs(first.v4.sin_port) + i);
    open_endpoint(&caller[i], a, i, 0);
  }
  for (int i = 0; i < (opt.by_address ? 1 : opt.nservers); i++) open_endpoint(&server[i], farm_address(i), i, opt.by_address);
}

// ---------------------------------------------------------------- out
static _Thread_local struct { int n; char *end; char *text; struct { int fd, len, from; char *text; address to; } m[QUEUE_SLOTS]; } queue[QUEUES];

static _Thread_local struct mmsghdr out[BATCH];
static _Thread_local struct iovec out_iov[BATCH];
static _Thread_local char out_control[BATCH][96] __attribute__((aligned(16)));

static void submit(int fd, int n) {
  for (int done = 0; done < n;) {
    int r = sendmmsg(fd, out + done, n - done, 0);
    if (r > 0) { done += r; continue; }
    if (errno == EINTR) continue;
    count.send_errors++;
    done++;
  }
}

static void control_add(struct msghdr *h, char *buf, int level, int type, const void *data, int n) {
  struct cmsghdr *c = (void *)(buf + h->msg_controllen);
  c->cmsg_level = level;
  c->cmsg_type = type;
  c->cmsg_len = CMSG_LEN(n);
  memcpy(CMSG_DATA(c), data, n);
  h->msg_control = buf;
  h->msg_controllen += CMSG_SPACE(n);
}

// How many messages of the queue from i on can go as one train: same socket and target, equal sizes, the last may be shorter.
static int train(int q, int i, u32 *bytes) {
  int j = i + 1, size = queue[q].m[i].len;
  *bytes = size;
  if (!opt.gso) return 1;
  for (; j < queue[q].n; j++) {
    int len = queue[q].m[j].len;
    if (queue[q].m[j].fd != queue[q].m[i].fd || len > size || *bytes + len > TRAIN_BYTES ||
        queue[q].m[j].from != queue[q].m[i].from || !same_address(&queue[q].m[j].to, &queue[q].m[i].to)) break;
    *bytes += len;
    if (len < size) return j + 1 - i;
  }
  return j - i;
}

void flush_queues(void) {
  int n = 0, fd = -1;
  for (int q = 0; q < QUEUES; q++) {
    for (int i = 0; i < queue[q].n;) {
      u32 bytes;
      int k = train(q, i, &bytes);
      if (n == BATCH || (n && queue[q].m[i].fd != fd)) { submit(fd, n); n = 0; }
      fd = queue[q].m[i].fd;
      struct msghdr *h = &out[n].msg_hdr;
      *h = (struct msghdr){.msg_name = &queue[q].m[i].to, .msg_namelen = address_len(&queue[q].m[i].to), .msg_iov = &out_iov[n], .msg_iovlen = 1};
      out_iov[n] = (struct iovec){queue[q].m[i].text, bytes};
      if (k > 1) {
        u16 size = queue[q].m[i].len;
        control_add(h, out_control[n], IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size);
      }
      if (opt.by_address && queue[q].m[i].from >= 0) {
        struct in_pktinfo pi = {.ipi_spec_dst = {htonl(ntohl(server[0].local.v4.sin_addr.s_addr) + queue[q].m[i].from)}};
        control_add(h, out_control[n], IPPROTO_IP, IP_PKTINFO, &pi, sizeof pi);
      }
      n++;
      i += k;
    }
  }
  if (n) submit(fd, n);
  for (int q = 0; q < QUEUES; q++) queue[q].n = 0, queue[q].end = queue[q].text;
}

char *queue_room(enum queue q) {
  if (!queue[q].text) queue[q].end = queue[q].text = malloc(QUEUE_SLOTS * MAX_TEXT);
  if (queue[q].n == QUEUE_SLOTS) flush_queues();
  return queue[q].end;
}

void queue_push(enum queue q, int fd, const char *end, const address *to, int from_server) {
  int i = queue[q].n++;
  queue[q].m[i].fd = fd;
  queue[q].m[i].text = queue[q].end;
  queue[q].m[i].len = end - queue[q].end;
  queue[q].m[i].from = from_server;
  queue[q].m[i].to = *to;
  queue[q].end = (char *)end;
}

// ---------------------------------------------------------------- in
static _Thread_local struct mmsghdr in[BATCH];
static _Thread_local struct iovec in_iov[BATCH];
static _Thread_local address in_from[BATCH];
static _Thread_local char in_control[BATCH][128] __attribute__((aligned(16)));
static _Thread_local char *in_text;
static _Thread_local int in_size;

static void in_begin(void) {
  in_size = opt.gro ? 65536 : 4096;
  in_text = malloc((size_t)BATCH * in_size);
  for (int i = 0; i < BATCH; i++) {
    in_iov[i] = (struct iovec){in_text + (size_t)i * in_size, in_size};
    in[i].msg_hdr = (struct msghdr){.msg_name = &in_from[i], .msg_namelen = sizeof in_from[i], .msg_iov = &in_iov[i], .msg_iovlen = 1};
    if (opt.gro || opt.by_address) in[i].msg_hdr.msg_control = in_control[i];
  }
}

// The server a datagram was sent to (by its destination address), and the size of the segments of a train.
static void read_control(struct msghdr *h, int *index, int *segment) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
    if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) memcpy(segment, CMSG_DATA(c), sizeof *segment);
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo pi;
      memcpy(&pi, CMSG_DATA(c), sizeof pi);
      *index = (int)(ntohl(pi.ipi_addr.s_addr) - ntohl(server[0].local.v4.sin_addr.s_addr));
    }
  }
}

int receive_batch(endpoint *e, handler *h) {
  if (!in_text) in_begin();
  int controls = opt.gro || opt.by_address;
  if (controls) for (int i = 0; i < BATCH; i++) in[i].msg_hdr.msg_controllen = sizeof in_control[i];
  int n = recvmmsg(e->fd, in, BATCH, MSG_DONTWAIT, NULL);
  if (n <= 0) return 0;
  now = clock_ns();
  for (int i = 0; i < n; i++) {
    int index = e->index, segment = in[i].msg_len;
    if (controls) read_control(&in[i].msg_hdr, &index, &segment);
    if (in[i].msg_hdr.msg_flags & MSG_TRUNC) { err.truncated++; continue; }
    if (index < 0 || index >= (e->fd == server[0].fd ? opt.nservers : 1 << 30)) { err.unknown++; continue; }
    const char *text = in_iov[i].iov_base;
    for (int at = 0, len = in[i].msg_len; at < len && segment > 0; at += segment) h(index, text + at, len - at < segment ? len - at : segment, &in_from[i]);
    in[i].msg_hdr.msg_namelen = sizeof in_from[i];
  }
  return n;
}
