// TCP and TLS: one connection of each caller to the proxy, whatever the proxy opens to the servers, messages by Content-Length.
#include "gen.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#define EVENTS 64
#define ROOM (256 << 10) // of a connection, each way

// A conn is a connection, or a socket that waits for some.
struct conn {
  int fd, index, server, listens; // index: of the caller or server; listens: the transport that it waits for, or 0
  address peer;
  SSL *ssl;
  char *in, *out;
  int in_len, out_len, dirty;
  conn *next; // of those that have something to send
};

conn *reading; // the one whose message is handled
static conn *dirty;
static int running; // a run is on: its connections are to stay
static int ep = -1;
static SSL_CTX *client_tls, *server_tls;
static struct set { address proxy; int transport; conn **conns; struct set *next; } *sets, *now_used;

static void fail(const char *what, const char *which) {
  fprintf(stderr, "sipgen: %s %s: %s\n", what, which, strerror(errno));
  exit(2);
}

static void watch_conn(conn *l) {
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = l};
  if (epoll_ctl(ep, EPOLL_CTL_ADD, l->fd, &e)) fail("epoll", "add");
}

static conn *new_conn(int fd, int index, int is_server, int tls) {
  conn *l = calloc(1, sizeof *l);
  int one = 1;
  *l = (conn){.fd = fd, .index = index, .server = is_server, .in = malloc(ROOM), .out = malloc(ROOM)};
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (!tls) return l;
  l->ssl = SSL_new(is_server ? server_tls : client_tls);
  SSL_set_fd(l->ssl, fd);
  if (is_server) SSL_set_accept_state(l->ssl);
  else SSL_set_connect_state(l->ssl);
  return l;
}

static void drop(conn *l) {
  if (l->ssl) SSL_free(l->ssl), ERR_clear_error(); // what is left of one would be taken for another's
  close(l->fd);
  l->ssl = NULL;
  l->fd = -1;
  l->out_len = l->in_len = 0;
}

static void tls_open(void) {
  client_tls = SSL_CTX_new(TLS_client_method());
  server_tls = SSL_CTX_new(TLS_server_method());
  for (int i = 0; i < 2; i++) SSL_CTX_set_mode(i ? client_tls : server_tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify(client_tls, SSL_VERIFY_NONE, NULL); // it is measured, not trusted
  if (opt.cert[0] && (SSL_CTX_use_certificate_chain_file(server_tls, opt.cert) != 1 || SSL_CTX_use_PrivateKey_file(server_tls, opt.key, SSL_FILETYPE_PEM) != 1)) fail("certificate", opt.cert);
}

static void listen_on(address a, int index, int transport) {
  int one = 1, fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (fd < 0 || bind(fd, &a.sa, a.sa.sa_family == AF_INET6 ? sizeof a.v6 : sizeof a.v4) || listen(fd, 512)) fail("listen", server[index].hp);
  conn *l = calloc(1, sizeof *l);
  *l = (conn){.fd = fd, .index = index, .server = 1, .listens = transport};
  watch_conn(l);
}

// Servers take TCP on their ports, and TLS on those TLS_PORTS above, beside UDP.
void streams_open(void) {
  if (!opt.streams) return;
  if ((ep = epoll_create1(EPOLL_CLOEXEC)) < 0) fail("epoll", "create");
  tls_open();
  for (int i = 0; i < opt.nservers; i++) {
    address a = server[i].local;
    listen_on(a, i, TCP);
    a.v4.sin_port = htons(ntohs(a.v4.sin_port) + TLS_PORTS);
    if (opt.cert[0]) listen_on(a, i, TLS);
  }
}

int streams_fd(void) { return ep; }

static conn *connect_caller(int index) {
  struct timeval patience = {3, 0};
  address local;
  socklen_t n = sizeof local;
  int fd = socket(proxy.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return NULL;
  conn *l = new_conn(fd, index, 0, opt.transport == TLS);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(fd, &proxy.sa, proxy.sa.sa_family == AF_INET6 ? sizeof proxy.v6 : sizeof proxy.v4) || (l->ssl && SSL_do_handshake(l->ssl) != 1) || getsockname(fd, &local.sa, &n)) {
    drop(l);
    return NULL;
  }
  fcntl(fd, F_SETFL, O_NONBLOCK);
  l->peer = proxy;
  snprintf(caller[index].port, sizeof caller[index].port, "=%d", ntohs(local.v4.sin_port));
  watch_conn(l);
  return l;
}

// After a run.
void streams_end(void) { running = 0; }

// Before a run: the callers' connections to its proxy, those of an earlier run if they are there. 0, or -1 when one cannot be had.
int streams_begin(void) {
  now_used = NULL;
  if (opt.transport == UDP) {
    for (int i = 0; i < opt.ncallers; i++) snprintf(caller[i].port, sizeof caller[i].port, "=%d", ntohs(caller[i].local.v4.sin_port));
    return 0;
  }
  struct set *s = sets;
  while (s && (s->transport != opt.transport || !same_address(&s->proxy, &proxy))) s = s->next;
  if (!s) {
    s = calloc(1, sizeof *s);
    *s = (struct set){proxy, opt.transport, calloc(opt.ncallers, sizeof *s->conns), sets};
    sets = s;
  }
  now_used = s;
  for (int i = 0; i < opt.ncallers; i++) {
    address local;
    socklen_t n = sizeof local;
    conn *l = s->conns[i];
    if (l && l->fd >= 0 && !getsockname(l->fd, &local.sa, &n)) {
      snprintf(caller[i].port, sizeof caller[i].port, "=%d", ntohs(local.v4.sin_port));
      continue;
    }
    if (!(s->conns[i] = connect_caller(i))) return -1;
  }
  running = 1;
  return 0;
}

conn *caller_conn(int index) { return now_used->conns[index]; }

void stream_push(conn *l, const char *text, const char *end) {
  if (l->fd < 0 || l->out_len + (end - text) > ROOM) { count.send_errors++; return; }
  memcpy(l->out + l->out_len, text, end - text);
  l->out_len += end - text;
  if (l->dirty) return;
  l->dirty = 1;
  l->next = dirty;
  dirty = l;
}

// What could not be sent stays for the next time.
void flush_streams(void) {
  conn *again = NULL;
  for (conn *l = dirty, *next; l; l = next) {
    next = l->next;
    int at = 0;
    while (l->fd >= 0 && at < l->out_len) {
      int n = l->ssl ? SSL_write(l->ssl, l->out + at, l->out_len - at) : (int)send(l->fd, l->out + at, l->out_len - at, MSG_NOSIGNAL);
      if (n <= 0) { if (l->ssl) ERR_clear_error(); break; }
      at += n;
    }
    if (l->fd >= 0 && (l->out_len -= at)) {
      memmove(l->out, l->out + at, l->out_len);
      l->next = again, again = l;
    } else l->dirty = 0;
  }
  dirty = again;
}

// How long the message is that begins at p; 0: it is not there yet; -1: nobody can tell.
static int message_length(const char *p, int n) {
  int length = -1;
  for (const char *at = p, *nl; (nl = memchr(at, '\n', p + n - at)); at = nl + 1) {
    if (*at == '\r') {
      int len = nl + 1 - p + length;
      return length < 0 || len > 2 * MAX_TEXT ? -1 : len <= n ? len : 0;
    }
    if (*at == 'C' && nl - at > 16 && !memcmp(at, "Content-Length: ", 16)) length = atoi(at + 16);
  }
  return n > 2 * MAX_TEXT ? -1 : 0;
}

static int frames(conn *l, handler *h) {
  int at = 0, n = 0, len = 0;
  for (; at < l->in_len; at += len) {
    if (l->in[at] == '\r' || l->in[at] == '\n') { len = 1; continue; } // keep-alive
    if ((len = message_length(l->in + at, l->in_len - at)) <= 0) break;
    reading = l;
    h(l->index, l->in + at, len, &l->peer);
    n++;
  }
  if (len < 0) { err.unreadable++; drop(l); return n; }
  if (l->fd >= 0 && at) memmove(l->in, l->in + at, l->in_len -= at);
  return n;
}

// The connection of a caller in this run has ended before the run.
static void lost_caller(const conn *l, int got) {
  err.connection++;
  unsigned long why = l->ssl ? ERR_peek_last_error() : 0;
  fprintf(stderr, "sipgen: the connection of caller %d has ended: %s\n", l->index, why ? ERR_reason_error_string(why) : got ? strerror(errno) : "the proxy closed it");
}

// Reads what is there. An end before its time is an error for callers; servers may be left.
static int read_conn(conn *l, handler *h) {
  int n = 0;
  for (;;) {
    int room = ROOM - l->in_len, got = l->ssl ? SSL_read(l->ssl, l->in + l->in_len, room) : (int)recv(l->fd, l->in + l->in_len, room, 0);
    if (got <= 0) {
      int waits = l->ssl ? SSL_get_error(l->ssl, got) == SSL_ERROR_WANT_READ : got < 0 && (errno == EAGAIN || errno == EINTR);
      if (!waits) {
        if (running && !l->server && now_used && now_used->conns[l->index] == l) lost_caller(l, got);
        drop(l);
      }
      return n;
    }
    now = clock_ns();
    l->in_len += got;
    n += frames(l, h);
    if (l->fd < 0 || (!l->ssl && got < room)) return n;
  }
}

static void accept_conns(conn *at) {
  address peer;
  socklen_t n = sizeof peer;
  for (int fd; (fd = accept4(at->fd, &peer.sa, &n, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0; n = sizeof peer) {
    conn *l = new_conn(fd, at->index, 1, at->listens == TLS);
    l->peer = peer;
    watch_conn(l);
  }
}

// One pass over what is ready; after says that a caller's answers were read.
int streams_turn(handler *request, handler *response, void (*after)(int caller), int wait_ms) {
  struct epoll_event e[EVENTS];
  int n = 0, ready = epoll_wait(ep, e, EVENTS, wait_ms);
  for (int i = 0; i < ready; i++) {
    conn *l = e[i].data.ptr;
    if (l->listens) { accept_conns(l); continue; }
    if (l->fd < 0) continue;
    int got = read_conn(l, l->server ? request : response);
    if (got && !l->server && after) after(l->index);
    n += got;
    flush_streams();
  }
  return n;
}
