// broken: a relay that does one thing wrong, to show that sipgen notices it.
//
//   broken HOST:PORT SERVERS_PORT COUNT FAULT
//
// Every 5th datagram is hurt: reorder (sent after the next one, or after 2 ms), spray (to another server), misroute (to
// another caller's port), swallow (not sent), repeat (sent twice), body (last octet changed), branch (the caller's branch
// changed), none. Everything is on one IPv4 address.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

static char text[65536], late[65536];
static struct sockaddr_in late_to;
static int late_len;

static void target(struct sockaddr_in *a, int base, int count, int response) {
  if (!response) { a->sin_port = htons(base + ntohs(a->sin_port) % count); return; }
  char *p = strstr(text, "UDP "), *colon = p ? strchr(p, ':') : NULL;
  if (colon) a->sin_port = htons(atoi(colon + 1));
}

static void flip(char *p) { if (p) *p ^= 1; }

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  char *colon = strchr(argv[1], ':');
  struct sockaddr_in here = {.sin_family = AF_INET};
  struct timeval wait = {0, 2000};
  if (!colon) return 2;
  *colon = 0;
  here.sin_port = htons(atoi(colon + 1));
  inet_pton(AF_INET, argv[1], &here.sin_addr);
  int base = atoi(argv[2]), count = atoi(argv[3]), fd = socket(AF_INET, SOCK_DGRAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  if (bind(fd, (void *)&here, sizeof here)) { perror("broken: bind"); return 1; }
  for (int turn = 1;; turn++) {
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    int n = recvfrom(fd, text, sizeof text - 1, 0, (void *)&a, &len), hurt = turn % 5 == 0;
    if (n > 0) {
      text[n] = 0;
      int response = !strncmp(text, "SIP/", 4);
      target(&a, base, count, response);
      if (hurt && !strcmp(argv[4], "spray") && !response) a.sin_port = htons(base + (ntohs(a.sin_port) - base + 1) % count);
      if (hurt && !strcmp(argv[4], "misroute") && response) a.sin_port = htons(ntohs(a.sin_port) ^ 1);
      if (hurt && !strcmp(argv[4], "body")) flip(text + n - 2);
      if (hurt && !strcmp(argv[4], "branch")) flip(strstr(text, "z9hG4bK") + 9);
      if (hurt && !strcmp(argv[4], "swallow")) continue;
      if (hurt && !strcmp(argv[4], "reorder") && !late_len) {
        memcpy(late, text, n);
        late_len = n;
        late_to = a;
        continue;
      }
      sendto(fd, text, n, 0, (void *)&a, sizeof a);
      if (hurt && !strcmp(argv[4], "repeat")) sendto(fd, text, n, 0, (void *)&a, sizeof a);
    }
    if (late_len) sendto(fd, late, late_len, 0, (void *)&late_to, sizeof late_to);
    late_len = 0;
  }
}
