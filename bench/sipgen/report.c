// Histograms of round-trip times and the result as one line of JSON.
#include "gen.h"

// 128 steps to each power of two: a time is known to 0.8 %.
#define STEPS 128
#define BUCKETS (STEPS * 36)
static u64 histogram[TIMINGS][BUCKETS];

static int bucket(u64 v) {
  if (v < STEPS) return v;
  int shift = 63 - __builtin_clzll(v) - 7;
  int b = (shift + 1) * STEPS + (int)((v >> shift) & (STEPS - 1));
  return b < BUCKETS ? b : BUCKETS - 1;
}

static double bucket_us(int b) {
  if (b < STEPS) return b / 1000.0;
  int shift = b / STEPS - 1;
  return ((double)((u64)(STEPS + b % STEPS) << shift) + 0.5 * (double)((u64)1 << shift)) / 1000.0;
}

void timing_add(enum timing t, u64 ns) { histogram[t][bucket(ns)]++; }
void timing_reset(void) { memset(histogram, 0, sizeof histogram); }

static double percentile(enum timing t, u64 n, double part) {
  u64 sum = 0;
  for (int b = 0; b < BUCKETS; b++)
    if ((sum += histogram[t][b]) >= n * part) return bucket_us(b);
  return 0;
}

static void print_timing(const char *name, enum timing t, int last) {
  u64 n = 0;
  for (int b = 0; b < BUCKETS; b++) n += histogram[t][b];
  printf("\"%s\":{\"n\":%llu", name, (unsigned long long)n);
  if (n) printf(",\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f", percentile(t, n, .5), percentile(t, n, .9), percentile(t, n, .99), percentile(t, n, .999));
  printf("}%s", last ? "" : ",");
}

void report(const result *r) {
  u64 errors = 0;
  double msgs = r->c.requests_seen + r->c.responses_seen, per = msgs ? 1e6 / msgs : 0;
  double cpu = r->b.cpu_s - r->a.cpu_s, soft = r->b.ksoftirqd_s - r->a.ksoftirqd_s, busy = r->b.busy_s - r->a.busy_s;
  printf("{\"secs\":%.3f,\"msgs\":%.0f,\"msgs_per_s\":%.1f,\"calls_per_s\":%.1f,\"bytes_per_msg\":%.1f,", r->secs, msgs, msgs / r->secs, r->c.completed / r->secs, msgs ? r->c.bytes / msgs : 0);
  printf("\"sent\":%llu,\"seen\":%llu,\"lost\":%lld,", (unsigned long long)r->sent, (unsigned long long)r->seen, (long long)(r->sent - r->seen));
#define PRINT_COUNT(name) printf("\"" #name "\":%llu,", (unsigned long long)r->all.name);
  COUNTS(PRINT_COUNT)
#define SUM_ERROR(name) errors += r->errors.name;
  ERRORS(SUM_ERROR)
  printf("\"errors\":%llu,\"error_kinds\":{", (unsigned long long)errors);
  const char *comma = "";
#define PRINT_ERROR(name) if (r->errors.name) printf("%s\"" #name "\":%llu", comma, (unsigned long long)r->errors.name), comma = ",";
  ERRORS(PRINT_ERROR)
  printf("},\"proxy_us_per_msg\":%.4f,\"proxy_cpu_s\":%.4f,\"ksoftirqd_us_per_msg\":%.4f,\"cpu_busy_us_per_msg\":%.4f,\"steal_s\":%.2f,\"others_percent\":%.1f,", cpu * per, cpu, soft * per, busy * per, r->b.steal_s - r->a.steal_s, 100 * (busy - cpu - soft) / r->secs);
  printf("\"own_us_per_msg\":%.4f,\"own_cpu_percent\":%.1f,", r->busy_ns / 1e9 * per, r->cpu_ns / 1e7 / r->secs);
  printf("\"rss_kb\":%ld,\"pss_kb\":%ld,\"rss_before_kb\":%ld,\"pss_before_kb\":%ld,\"parked_calls\":%d,\"rss_parked_kb\":%ld,\"pss_parked_kb\":%ld,", r->b.rss_kb, r->b.pss_kb, r->a.rss_kb, r->a.pss_kb, r->parked_calls, r->parked.rss_kb, r->parked.pss_kb);
  printf("\"rtt_us\":{");
  print_timing("invite_first", T_INVITE_FIRST, 0);
  print_timing("invite_final", T_INVITE_FINAL, 0);
  print_timing("bye_final", T_BYE_FINAL, 0);
  print_timing("other_final", T_OTHER_FINAL, 1);
  printf("}}\n");
  fflush(stdout);
}
