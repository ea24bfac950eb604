// relay: what moving datagrams between the callers and the servers costs when nothing is read, decided or written.
// It is the yardstick for a proxy's CPU per message, not a proxy.
//
//   relay HOST:PORT SERVERS_HOST:PORT COUNT single|mmsg
//
// A datagram from a server's port is a response: it goes to the port in its first Via. Any other is a request: it goes to
// the server that the caller's port selects. Callers, servers and relay share one address (127.0.0.1 or ::1).
//   single: recvfrom, sendto.      mmsg: recvmmsg and sendmmsg of up to 64.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH 64
#define SIZE 4096
typedef struct sockaddr_in6 address; // the port lies at the same place for IPv4

static address first;
static int servers;

static socklen_t read_address(const char *s, address *a) {
  char host[64];
  const char *colon = strrchr(s, ':');
  int n = colon ? colon - s : 0, six = n > 2 && s[0] == '[';
  struct sockaddr_in *v4 = (void *)a;
  memset(a, 0, sizeof *a);
  snprintf(host, sizeof host, "%.*s", six ? n - 2 : n, six ? s + 1 : s);
  a->sin6_family = six ? AF_INET6 : AF_INET;
  a->sin6_port = htons(colon ? atoi(colon + 1) : 0);
  if (inet_pton(a->sin6_family, host, six ? (void *)&a->sin6_addr : (void *)&v4->sin_addr) == 1) return six ? sizeof *a : sizeof *v4;
  fprintf(stderr, "relay: bad address %s\n", s);
  exit(2);
}

static inline void redirect(const char *text, int len, address *a) {
  int server = ntohs(a->sin6_port) - ntohs(first.sin6_port);
  if (server < 0 || server >= servers) {
    a->sin6_port = htons(ntohs(first.sin6_port) + ntohs(a->sin6_port) % servers);
    return;
  }
  const char *p = memmem(text, len < 100 ? len : 100, "UDP ", 4);
  if (!p) return;
  if (*(p += 4) == '[') p = memchr(p, ']', 50);
  if (p && (p = memchr(p, ':', 50))) a->sin6_port = htons(atoi(p + 1));
}

static void single(int fd, socklen_t family_len) {
  static char text[65536];
  for (;;) {
    address a;
    socklen_t len = sizeof a;
    int n = recvfrom(fd, text, sizeof text, 0, (void *)&a, &len);
    if (n <= 0) continue;
    redirect(text, n, &a);
    sendto(fd, text, n, 0, (void *)&a, family_len);
  }
}

static void batched(int fd, socklen_t family_len) {
  static char text[BATCH][SIZE];
  static struct mmsghdr m[BATCH];
  static struct iovec iov[BATCH];
  static address a[BATCH];
  for (int i = 0; i < BATCH; i++) m[i].msg_hdr = (struct msghdr){.msg_name = &a[i], .msg_iov = &iov[i], .msg_iovlen = 1};
  for (;;) {
    for (int i = 0; i < BATCH; i++) iov[i] = (struct iovec){text[i], SIZE}, m[i].msg_hdr.msg_namelen = sizeof a[i];
    int n = recvmmsg(fd, m, BATCH, MSG_WAITFORONE, NULL);
    for (int i = 0; i < n; i++) {
      iov[i].iov_len = m[i].msg_len;
      m[i].msg_hdr.msg_namelen = family_len;
      redirect(text[i], m[i].msg_len, &a[i]);
    }
    for (int done = 0; done < n;) {
      int r = sendmmsg(fd, m + done, n - done, 0);
      if (r > 0) done += r;
      else if (errno != EINTR) done++;
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 5) { fprintf(stderr, "usage: relay HOST:PORT SERVERS_HOST:PORT COUNT single|mmsg\n"); return 2; }
  address here;
  socklen_t len = read_address(argv[1], &here);
  read_address(argv[2], &first);
  servers = atoi(argv[3]);
  int fd = socket(here.sin6_family, SOCK_DGRAM, 0), size = 16 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  if (fd < 0 || bind(fd, (void *)&here, len)) { perror("relay: bind"); return 1; }
  if (!strcmp(argv[4], "mmsg")) batched(fd, len);
  single(fd, len);
}
