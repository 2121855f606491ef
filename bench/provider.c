/* A payment provider for the benchmark: keeps books, answers after a while, and costs next to nothing.

   provider PORT LATENCY_MS [SLOW_ONE_IN SLOW_MS [AT_ONCE]]

   Money calls take LATENCY_MS; one in SLOW_ONE_IN of them takes SLOW_MS instead. Look-ups and the ledger take none.
   AT_ONCE: calls that come while others wait are answered together with the first of them.
   What it does is done when the call comes, whatever becomes of the answer. One thread, epoll, HTTP/1.1. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define TEXT 80
#define BUCKETS (1 << 18)
#define REQUEST 4096

struct operation { char key[TEXT], kind[12]; long cents; struct operation *next; };
struct account { char reference[TEXT], currency[4]; long authorized, captured, refunded, voided, captures; struct account *next; };
struct connection { int fd, length, answer_length; long generation; char request[REQUEST], answer[1024]; };
struct answer { double due; struct connection *to; long generation; };

static struct operation *operations[BUCKETS];
static struct account *accounts[BUCKETS];
static struct answer *heap;
static int waiting, capacity, poller;
static double latency, slow_latency;
static long slow_one_in, at_once;

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }

static unsigned bucket(const char *text) {
  unsigned hash = 2166136261u;
  for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 16777619u;
  return hash % BUCKETS;
}

static struct operation *find(const char *key) {
  struct operation *o = operations[bucket(key)];
  while (o && strcmp(o->key, key)) o = o->next;
  return o;
}

static struct account *account_of(const char *reference) {
  unsigned place = bucket(reference);
  struct account *a = accounts[place];
  while (a && strcmp(a->reference, reference)) a = a->next;
  if (a) return a;
  a = calloc(1, sizeof *a);
  snprintf(a->reference, TEXT, "%s", reference);
  a->next = accounts[place];
  return accounts[place] = a;
}

/* The string that a JSON object has under a name; empty if none. */
static void field(const char *json, const char *name, char *into) {
  char quoted[40];
  snprintf(quoted, sizeof quoted, "\"%s\"", name);
  const char *at = strstr(json, quoted);
  int length = 0;
  *into = 0;
  if (!at || !(at = strchr(at + strlen(quoted), '"'))) return;
  for (at++; *at && *at != '"' && length < TEXT - 1; at++) into[length++] = *at;
  into[length] = 0;
}

static void header(const char *request, const char *name, char *into) {
  const char *at = strcasestr(request, name);
  int length = 0;
  *into = 0;
  if (!at) return;
  for (at += strlen(name); *at == ' '; at++) {}
  for (; *at && *at != '\r' && length < TEXT - 1; at++) into[length++] = *at;
  into[length] = 0;
}

static void put(struct connection *c, const char *status, const char *body) {
  c->answer_length = snprintf(c->answer, sizeof c->answer,
    "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body), body);
}

static void put_operation(struct connection *c, const char *status, const struct operation *o) {
  char body[300];
  snprintf(body, sizeof body, "{\"id\": \"%.2s:%s\", \"kind\": \"%s\", \"status\": \"succeeded\"}", o->kind, o->key, o->kind);
  put(c, status, body);
}

/* Do what a call asks for, once for its key. */
static void carry_out(struct connection *c, const char *kind, const char *body) {
  char key[TEXT], reference[TEXT], amount[TEXT], currency[TEXT], parent[TEXT];
  header(c->request, "\r\nIdempotency-Key:", key);
  struct operation *o = find(key);
  if (!o) {
    field(body, "reference", reference);
    field(body, "amount", amount);
    field(body, "currency", currency);
    field(body, "authorization", parent);
    struct account *a = account_of(reference);
    o = calloc(1, sizeof *o);
    snprintf(o->key, TEXT, "%s", key);
    snprintf(o->kind, sizeof o->kind, "%s", kind);
    struct operation *held = strlen(parent) > 3 ? find(parent + 3) : NULL;
    o->cents = *amount ? (long)(atof(amount) * 100 + 0.5) : held ? held->cents : 0;
    o->next = operations[bucket(key)];
    operations[bucket(key)] = o;
    if (*currency) snprintf(a->currency, sizeof a->currency, "%.3s", currency);
    if (*kind == 'a') a->authorized += o->cents;
    if (*kind == 'c') a->captured += o->cents, a->captures++;
    if (*kind == 'r') a->refunded += o->cents;
    if (*kind == 'v') a->voided += o->cents;
  }
  put_operation(c, "201 Created", o);
}

static void write_all(int fd, const char *data, int length) {
  while (length > 0) {
    int written = write(fd, data, length);
    if (written > 0) { data += written; length -= written; }
    else if (errno == EAGAIN) poll(&(struct pollfd){fd, POLLOUT, 0}, 1, 1000);
    else return;
  }
}

static void write_ledger(int fd) {
  char *body;
  size_t length;
  FILE *out = open_memstream(&body, &length);
  for (int i = 0; i < BUCKETS; i++)
    for (struct account *a = accounts[i]; a; a = a->next)
      fprintf(out, "{\"reference\": \"%s\", \"currency\": \"%s\", \"authorized\": \"%.2f\", \"captured\": \"%.2f\","
        " \"refunded\": \"%.2f\", \"voided\": \"%.2f\", \"captures\": %ld}\n", a->reference, a->currency,
        a->authorized / 100.0, a->captured / 100.0, a->refunded / 100.0, a->voided / 100.0, a->captures);
  fclose(out);
  char head[120];
  int head_length = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nContent-Length: %zu\r\n\r\n", length);
  write_all(fd, head, head_length);
  write_all(fd, body, length);
  free(body);
}

static void later(struct connection *c, double seconds) {
  if (waiting == capacity) heap = realloc(heap, (capacity = capacity ? capacity * 2 : 1024) * sizeof *heap);
  struct answer new = {at_once && waiting ? heap[0].due : now() + seconds, c, c->generation};
  int place = waiting++;
  for (; place && heap[(place - 1) / 2].due > new.due; place = (place - 1) / 2) heap[place] = heap[(place - 1) / 2];
  heap[place] = new;
}

static void answer_due(void) {
  while (waiting && heap[0].due <= now()) {
    struct answer first = heap[0], last = heap[--waiting];
    int place = 0;
    for (int child; (child = 2 * place + 1) < waiting; place = child) {
      if (child + 1 < waiting && heap[child + 1].due < heap[child].due) child++;
      if (heap[child].due >= last.due) break;
      heap[place] = heap[child];
    }
    heap[place] = last;
    if (first.to->generation == first.generation) write_all(first.to->fd, first.to->answer, first.to->answer_length);
  }
}

static void serve(struct connection *c, const char *body) {
  static long calls;
  static const struct { const char *path, *kind; } MONEY[] = {
    {"POST /payments/authorizations", "authorize"}, {"POST /payments/captures", "capture"},
    {"POST /payments/voids", "void"}, {"POST /payments/refunds", "refund"}};
  for (int i = 0; i < 4; i++)
    if (!strncmp(c->request, MONEY[i].path, strlen(MONEY[i].path))) {
      carry_out(c, MONEY[i].kind, body);
      later(c, slow_one_in && ++calls % slow_one_in == 0 ? slow_latency : latency);
      return;
    }
  if (!strncmp(c->request, "GET /payments/ledger", 20)) { write_ledger(c->fd); return; }
  if (!strncmp(c->request, "GET /payments/operations/", 25)) {
    char key[TEXT], *into = key;
    for (const char *at = c->request + 25; *at != ' ' && into < key + TEXT - 1; at++)
      if (!strncasecmp(at, "%3A", 3)) { *into++ = ':'; at += 2; } else *into++ = *at;
    *into = 0;
    struct operation *o = find(key);
    if (o) put_operation(c, "200 OK", o);
    else put(c, "404 Not Found", "{\"error\": {\"code\": \"not_found\", \"message\": \"never seen\"}}");
  } else put(c, "200 OK", "{\"status\": \"ok\"}");
  write_all(c->fd, c->answer, c->answer_length);
}

static void hear(struct connection *c) {
  int got = read(c->fd, c->request + c->length, REQUEST - 1 - c->length);
  if (got <= 0) {
    if (got < 0 && errno == EAGAIN) return;
    close(c->fd); /* its struct stays: an answer that is due may still point to it */
    c->generation++;
    return;
  }
  c->request[c->length += got] = 0;
  char *end = strstr(c->request, "\r\n\r\n"), size[TEXT];
  if (!end) return;
  header(c->request, "\r\nContent-Length:", size);
  if (c->length < end + 4 - c->request + atoi(size)) return;
  serve(c, end + 4);
  c->length = 0;
}

int main(int count, char **arguments) {
  if (count < 3) return 2;
  signal(SIGPIPE, SIG_IGN);
  latency = atof(arguments[2]) / 1000;
  if (count > 4) slow_one_in = atol(arguments[3]), slow_latency = atof(arguments[4]) / 1000;
  if (count > 5) at_once = atol(arguments[5]);
  struct rlimit files = {65536, 65536};
  if (setrlimit(RLIMIT_NOFILE, &files)) { getrlimit(RLIMIT_NOFILE, &files); files.rlim_cur = files.rlim_max; setrlimit(RLIMIT_NOFILE, &files); }
  int door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
  setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(door, (struct sockaddr *)&address, sizeof address) || listen(door, 4096)) { perror("provider"); return 1; }
  poller = epoll_create1(0);
  epoll_ctl(poller, EPOLL_CTL_ADD, door, &(struct epoll_event){.events = EPOLLIN, .data.ptr = NULL});
  for (;;) {
    struct epoll_event events[256];
    int wait = waiting ? (int)((heap[0].due - now()) * 1000) + 1 : -1;
    int ready = epoll_wait(poller, events, 256, waiting && wait < 0 ? 0 : wait);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.ptr) { hear(events[i].data.ptr); continue; }
      for (int fd; (fd = accept4(door, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = c});
      }
    }
    answer_due();
  }
}
