// What a process tree costs: CPU by the scheduler's own nanoseconds, memory as the kernel counts it.
#include "gen.h"
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

static int read_file(const char *path, char *buf, int size) {
  FILE *f = fopen(path, "r");
  if (!f) return -1;
  int n = fread(buf, 1, size - 1, f);
  fclose(f);
  buf[n] = 0;
  return n;
}

static long field_kb(const char *text, const char *name) {
  const char *p = strstr(text, name);
  return p ? atol(p + strlen(name)) : 0;
}

// Adds the time of every thread of pid, and of its children, and theirs.
static void add_tree(int pid, usage *u, int memory, int depth) {
  char path[300], buf[8192];
  snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR *d = opendir(path);
  if (!d || depth > 8) { if (d) closedir(d); return; }
  for (struct dirent *e; (e = readdir(d));) {
    if (e->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, e->d_name);
    if (read_file(path, buf, sizeof buf) > 0) u->cpu_s += strtoull(buf, NULL, 10) / 1e9;
    snprintf(path, sizeof path, "/proc/%d/task/%s/children", pid, e->d_name);
    if (read_file(path, buf, sizeof buf) <= 0) continue;
    for (char *p = buf, *end; ; p = end) {
      int child = strtol(p, &end, 10);
      if (end == p) break;
      add_tree(child, u, memory, depth + 1);
    }
  }
  closedir(d);
  if (!memory) return;
  snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
  if (read_file(path, buf, sizeof buf) <= 0) return;
  u->rss_kb += field_kb(buf, "\nRss:");
  u->pss_kb += field_kb(buf, "\nPss:");
}

// Deferred receive work of a CPU runs in ksoftirqd, on nobody's account: it is looked at beside the process's own.
static double ksoftirqd_s(int cpu) {
  static int known_cpu = -1, pid;
  char path[300], buf[256], want[32];
  if (known_cpu != cpu) {
    snprintf(want, sizeof want, "ksoftirqd/%d\n", cpu);
    DIR *d = opendir("/proc");
    pid = 0;
    for (struct dirent *e; d && !pid && (e = readdir(d));) {
      snprintf(path, sizeof path, "/proc/%s/comm", e->d_name);
      if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && read_file(path, buf, sizeof buf) > 0 && !strcmp(buf, want)) pid = atoi(e->d_name);
    }
    if (d) closedir(d);
    known_cpu = cpu;
  }
  snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
  return pid && read_file(path, buf, sizeof buf) > 0 ? strtoull(buf, NULL, 10) / 1e9 : 0;
}

static void cpu_times(int cpu, usage *u) {
  char name[16], line[512];
  FILE *f = fopen("/proc/stat", "r");
  int n = snprintf(name, sizeof name, "cpu%d ", cpu);
  while (f && fgets(line, sizeof line, f)) {
    long v[8] = {0};
    if (strncmp(line, name, n)) continue;
    sscanf(line + n, "%ld %ld %ld %ld %ld %ld %ld %ld", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7);
    double hz = sysconf(_SC_CLK_TCK);
    u->busy_s = (v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) / hz;
    u->steal_s = v[7] / hz;
  }
  if (f) fclose(f);
}

void watch(int pid, int cpu, usage *u, int memory) {
  memset(u, 0, sizeof *u);
  if (pid > 0) add_tree(pid, u, memory, 0);
  if (cpu >= 0) cpu_times(cpu, u), u->ksoftirqd_s = ksoftirqd_s(cpu);
}
