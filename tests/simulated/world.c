/* The world: a text file of lines, a file of live work, and the clock.
 *
 * SIMULATED_NVML names the file, read at nvmlInit and again whenever it has grown. Times are seconds
 * since t0, `inf` and `-inf` allowed; `@N ` before a line: for GPU N only.
 *   t0_ns N                       CLOCK_MONOTONIC at time 0
 *   gpus N                        how many (first line of those that matter to GPUs)
 * Power above idle:
 *   idle_w W                      power with nothing running
 *   const A B W                   W watts more from A to B
 *   square A B W T D              W watts more for the share D of every T seconds
 *   burst A B W ON T JITTER SEED  one burst of ON seconds in every T, begun up to JITTER late (JITTER + ON <= T)
 *   ramp A B W0 W1                from W0 to W1 watts more, linear
 *   sine A B MEAN AMPLITUDE T
 *   drift A B RATE                idle moves by RATE W/s from A to B and stays there
 *   swing AMPLITUDE T             idle swings for ever
 *   activity PATH                 live work: lines `B ns pid watts [gpu]`, `E ns pid [gpu]` (CLOCK_MONOTONIC),
 *                                 `L` as B but ended by the first reader that finds the process gone
 * Power sensor:
 *   sensor PERIOD WINDOW          instant power: mean of the last WINDOW seconds, new every PERIOD (0 0: exact)
 *   average PERIOD WINDOW true|samples   averaged power: of the power, or of the sensor's own samples
 *   usage instant|average         what nvmlDeviceGetPowerUsage tells
 *   gain G / offset W / noise SD SEED / step W      what the sensor makes of each value
 * Energy counter:
 *   tick_s S / phase_s S          a value is taken at PHASE + k S
 *   jitter_s J SEED               ... and up to J later, seeded
 *   lag_s L / lag_jitter_s J      ... and shown L (+ up to J) seconds after it was taken
 *   counter true | counter samples WINDOW PERIOD    integrates the power | sums its own samples of it
 *   counter_gain G / base_j J / wrap_j J / zero / reset A / freeze A [B]
 * Faults and calls:
 *   fault NAME A B CODE           functions whose name ends in NAME (`*`: all of a device) return CODE
 *   call_s S [JITTER]             every call takes this long
 *   call_at F                     ... and its value is of the moment at this share of it (default 1: its end)
 *   call_of NAME S [JITTER]       functions whose name ends in NAME take this long instead
 * The rest:
 *   name TEXT / arch N (NVML's number: 9 Hopper, 7 Ampere, 5 Volta)
 *   mig 0|1 / process PID BYTES A B SM / throttle A B MASK / memory_used BYTES / activity_bytes BYTES
 *   temperature AMBIENT KELVIN_PER_W TAU / limits MIN DEFAULT MAX (W) / smi_s S (nvidia-smi's own time)
 * SIMULATED_CLOCK names a file of eight bytes: virtual CLOCK_MONOTONIC nanoseconds, moved by whoever waits.
 */
#define _GNU_SOURCE
#include "sim.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

World *world;
Interval interval[INTERVALS];
int intervals;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static off_t world_size, work_size;
static double looked_s = -INFINITY;
static volatile long long *virtual_ns;

/* Work that ended long ago: summed once. */
#define LONG_S 60
static int settled;
static double settled_j[GPUS], settled_s = -INFINITY;

/* --- the clock --- */

static void open_clock(void) {
    const char *path = getenv("SIMULATED_CLOCK");
    int file = path && !virtual_ns ? open(path, O_RDWR) : -1;
    if (file < 0) return;
    void *page = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) virtual_ns = page;
    close(file);
}

static long long clock_ns(void) {
    struct timespec t;
    if (virtual_ns) return *virtual_ns;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

double clock_s(void) { return (double)(clock_ns() - world->t0_ns) / 1e9; }

void pass(double seconds) {
    struct timespec pause = {(time_t)seconds, (long)(fmod(seconds, 1) * 1e9)};
    if (seconds <= 0) return;
    if (virtual_ns) __atomic_add_fetch(virtual_ns, (long long)(seconds * 1e9), __ATOMIC_SEQ_CST);
    else while (nanosleep(&pause, &pause) && errno == EINTR) { }
}

/* Evenly from [0, 1): the same number for the same arguments, here and in power.py. */
double u01(uint64_t seed, uint64_t stream, int64_t k) {
    uint64_t x = seed * 0x9E3779B97F4A7C15ULL + stream * 0xBF58476D1CE4E5B9ULL + (uint64_t)k * 0xD6E8FEB86659FD93ULL;
    x += 0x9E3779B97F4A7C15ULL;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    x ^= x >> 31;
    return (double)(x >> 11) / 9007199254740992.0;
}

/* --- the world's lines --- */

static int number(const char *rest, int n, double *to) {
    for (int i = 0; i < n; i++) {
        char *end;
        to[i] = strtod(rest, &end);
        if (end == rest) return i;
        rest = end;
    }
    return n;
}

static void add_term(Board *b, enum Kind kind, const double *v) {
    if (b->terms == MANY) return;
    Term *t = &b->term[b->terms++];
    *t = (Term){kind, v[0], v[1], {v[2], v[3], v[4], v[5]}, (uint64_t)v[6]};
    if (kind == SWING) *t = (Term){kind, -INFINITY, INFINITY, {v[0], v[1], 0, 0}, 0};
}

/* Lines of one number each. */
static int read_scalar(Board *b, const char *word, double v) {
    const struct { const char *word; double *to; } table[] = {
        {"idle_w", &b->idle_w}, {"gain", &b->gain}, {"offset", &b->offset}, {"step", &b->step},
        {"tick_s", &b->tick}, {"phase_s", &b->phase}, {"lag_s", &b->lag}, {"lag_jitter_s", &b->lag_jitter},
        {"counter_gain", &b->counter_gain}, {"base_j", &b->base}, {"wrap_j", &b->wrap},
        {"memory_used", &b->memory_used}, {"activity_bytes", &b->activity_bytes},
    };
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(word, table[i].word)) { *table[i].to = v; return 1; }
    return 0;
}

static int read_kind(Board *b, const char *word, const double *v) {
    const char *words[] = {"const", "square", "burst", "ramp", "sine", "drift", "swing"};
    for (int kind = 0; kind < 7; kind++)
        if (!strcmp(word, words[kind])) { add_term(b, (enum Kind)kind, v); return 1; }
    return 0;
}

static void read_event(Board *b, const char *word, const char *rest, const double *v, int n) {
    Fault f = {.name = ""};
    Latency l = {.name = ""};
    if (!strcmp(word, "zero")) b->zero = 1;
    else if (!strcmp(word, "mig")) b->mig = (int)v[0];
    else if (!strcmp(word, "arch")) b->arch = (int)v[0];
    else if (!strcmp(word, "name")) snprintf(b->name, sizeof b->name, "%.63s", rest + strspn(rest, " "));
    else if (!strcmp(word, "reset") && b->resets < MANY) b->reset[b->resets++] = v[0];
    else if (!strcmp(word, "freeze") && b->freezes < MANY) b->freeze[b->freezes++] = (Span){v[0], n > 1 ? v[1] : INFINITY};
    else if (!strcmp(word, "fault") && b->faults < MANY && sscanf(rest, "%63s %lf %lf %d", f.name, &f.a, &f.b, &f.code) == 4)
        b->fault[b->faults++] = f;
    else if (!strcmp(word, "call_of") && b->latencies < MANY && sscanf(rest, "%63s %lf %lf", l.name, &l.seconds, &l.jitter) >= 2)
        b->latency[b->latencies++] = l;
    else if (!strcmp(word, "process") && b->processes < MANY)
        b->process[b->processes++] = (Process){(long long)v[0], v[1], n > 2 ? v[2] : -INFINITY, n > 3 ? v[3] : INFINITY, n > 4 ? v[4] : 100};
    else if (!strcmp(word, "throttle") && b->throttles < MANY)
        b->throttle[b->throttles++] = (Throttle){v[0], v[1], (unsigned long long)v[2]};
}

static void read_group(Board *b, const char *word, const char *rest, const double *v) {
    if (!strcmp(word, "sensor")) { b->period = v[0]; b->window = v[1]; }
    else if (!strcmp(word, "average")) {
        b->average_period = v[0];
        b->average_window = v[1];
        b->average_of_samples = strstr(rest, "samples") != NULL;
    }
    else if (!strcmp(word, "usage")) b->usage_is_average = strstr(rest, "average") != NULL;
    else if (!strcmp(word, "noise")) { b->noise = v[0]; b->noise_seed = (uint64_t)v[1]; }
    else if (!strcmp(word, "jitter_s")) { b->jitter = v[0]; b->jitter_seed = (uint64_t)v[1]; }
    else if (!strcmp(word, "counter")) {
        b->of_samples = strstr(rest, "samples") != NULL;
        if (b->of_samples) sscanf(rest, "%*s %lf %lf", &b->own_window, &b->own_period);
    }
    else if (!strcmp(word, "temperature")) { b->ambient_c = v[0]; b->kelvin_per_w = v[1]; b->tau_s = v[2]; }
    else if (!strcmp(word, "limits")) { b->limit_min = v[0]; b->limit_default = v[1]; b->limit_max = v[2]; }
}

static int read_common(World *w, const char *word, const char *rest, const double *v) {
    if (!strcmp(word, "t0_ns")) w->t0_ns = strtoll(rest, NULL, 10);
    else if (!strcmp(word, "gpus")) w->gpus = v[0] > GPUS ? GPUS : (int)v[0];
    else if (!strcmp(word, "call_s")) { w->call_s = v[0]; w->call_jitter = v[1]; }
    else if (!strcmp(word, "call_at")) w->call_at = v[0];
    else if (!strcmp(word, "smi_s")) w->smi_s = v[0];
    else if (!strcmp(word, "activity")) snprintf(w->activity, sizeof w->activity, "%s", rest + strspn(rest, " "));
    else return 0;
    return 1;
}

static void read_line(World *w, char *line) {
    char word[64];
    int only = -1, used = 0;
    double v[7] = {0};
    line[strcspn(line, "\n")] = 0;
    if (sscanf(line, "@%d %n", &only, &used) == 1) line += used;
    if (sscanf(line, "%63s%n", word, &used) != 1 || word[0] == '#') return;
    const char *rest = line + used;
    int n = number(rest, 7, v);
    if (read_common(w, word, rest, v)) return;
    for (int g = 0; g < GPUS; g++) {
        Board *b = &w->board[g];
        if (only >= 0 && g != only) continue;
        if (read_scalar(b, word, v[0]) || read_kind(b, word, v)) continue;
        read_event(b, word, rest, v, n);
        read_group(b, word, rest, v);
    }
}

static const Board NEW = {
    .name = "Simulated GPU", .arch = 9, .tick = 0.1, .gain = 1, .counter_gain = 1, .base = 1e6, .average_window = 1, .mig = -1, .ambient_c = 30,
    .kelvin_per_w = 0.1, .tau_s = 20, .limit_min = 100, .limit_default = 700, .limit_max = 700,
    .memory_used = 1073741824.0, .activity_bytes = 536870912.0,
};

static World *load(const char *path) {
    char line[1024];
    FILE *file = fopen(path, "r");
    World *fresh = file ? calloc(1, sizeof *fresh) : NULL;
    struct stat st;
    if (!fresh) return NULL;
    fresh->gpus = 1;
    fresh->call_at = 1;
    snprintf(fresh->path, sizeof fresh->path, "%s", path);
    for (int g = 0; g < GPUS; g++) fresh->board[g] = NEW;
    if (!fstat(fileno(file), &st)) world_size = st.st_size;
    while (fgets(line, sizeof line, file)) read_line(fresh, line);
    fclose(file);
    return fresh;
}

/* --- live work --- */

static Interval *open_interval(long long pid, int gpu) {
    for (int i = intervals - 1; i >= 0; i--)
        if (interval[i].pid == pid && interval[i].gpu == gpu && isinf(interval[i].b)) return &interval[i];
    return NULL;
}

static void read_work_line(const char *line) {
    long long ns, pid;
    double watts = 0;
    char mark;
    int gpu = 0;
    if (sscanf(line, "%c %lld %lld", &mark, &ns, &pid) != 3) return;
    double t = (double)(ns - world->t0_ns) / 1e9;
    if (mark == 'E') {
        sscanf(line, "E %*d %*d %d", &gpu);
        Interval *i = open_interval(pid, gpu);
        if (i) i->b = t;
    } else if (sscanf(line, "%*c %*d %*d %lf %d", &watts, &gpu) >= 1 && intervals < INTERVALS && gpu >= 0 && gpu < GPUS) {
        interval[intervals] = (Interval){t, INFINITY, watts, pid, gpu, mark == 'L'};
        intervals++;
    }
    forget_after(t);
}

static void settle(void) {
    double old = clock_s() - LONG_S;
    for (; settled < intervals && interval[settled].b < old; settled++) {
        const Interval *i = &interval[settled];
        settled_j[i->gpu] += i->watts * (i->b - i->a);
        settled_s = fmax(settled_s, i->b);
    }
}

static void forget_work(void) {
    work_size = intervals = settled = 0;
    memset(settled_j, 0, sizeof settled_j);
    settled_s = -INFINITY;
    forget_after(-INFINITY);
}

/* Whole new lines only: the last one may still be under way. */
static void read_work(void) {
    char line[256];
    struct stat st;
    if (!world->activity[0] || stat(world->activity, &st) || st.st_size == work_size) return;
    if (st.st_size < work_size) forget_work();
    FILE *file = fopen(world->activity, "r");
    if (!file) return;
    fseeko(file, work_size, SEEK_SET);
    while (fgets(line, sizeof line, file) && line[strlen(line) - 1] == '\n') {
        work_size = ftello(file);
        read_work_line(line);
    }
    fclose(file);
    settle();
}

static int gone(long long pid) {
    char path[64], state = 'X';
    snprintf(path, sizeof path, "/proc/%lld/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 1;
    int known = fscanf(file, "%*d (%*[^)]) %c", &state);
    fclose(file);
    return known == 1 && (state == 'Z' || state == 'X');
}

/* A process that died cannot say so: whoever notices first writes it down, for all. */
static void bury(void) {
    char line[96];
    double t = clock_s();
    if (t - looked_s < 0.005) return;
    looked_s = t;
    for (int i = settled; i < intervals; i++) {
        if (!interval[i].tied || !isinf(interval[i].b) || !gone(interval[i].pid)) continue;
        int file = open(world->activity, O_WRONLY | O_APPEND);
        int n = snprintf(line, sizeof line, "E %lld %lld %d\n", clock_ns(), interval[i].pid, interval[i].gpu);
        if (file < 0) continue;
        if (write(file, line, (size_t)n) != n) { /* the next reader tries again */ }
        close(file);
    }
    read_work();
}

double work_w(int gpu, double t) {
    double watts = 0;
    pthread_mutex_lock(&lock);
    for (int i = t >= settled_s ? settled : 0; i < intervals; i++)
        if (interval[i].gpu == gpu && t >= interval[i].a && t < interval[i].b) watts += interval[i].watts;
    pthread_mutex_unlock(&lock);
    return watts;
}

double work_j(int gpu, double t) {
    pthread_mutex_lock(&lock);
    int first = t >= settled_s ? settled : 0;
    double joules = first ? settled_j[gpu] : 0;
    for (int i = first; i < intervals; i++)
        if (interval[i].gpu == gpu && t > interval[i].a) joules += interval[i].watts * (fmin(t, interval[i].b) - interval[i].a);
    pthread_mutex_unlock(&lock);
    return joules;
}

/* --- both --- */

int read_world(void) {
    const char *path = getenv("SIMULATED_NVML");
    pthread_mutex_lock(&lock);
    open_clock();
    World *fresh = path ? load(path) : NULL;
    if (fresh) world = fresh; /* the old one is not freed: another thread may be reading it */
    if (fresh) { forget_work(); read_work(); }
    pthread_mutex_unlock(&lock);
    return fresh ? OK : NO_DRIVER;
}

void refresh(void) {
    struct stat st;
    pthread_mutex_lock(&lock);
    if (!stat(world->path, &st) && st.st_size != world_size) {
        World *fresh = load(world->path);
        if (fresh) world = fresh;
    }
    read_work();
    bury();
    pthread_mutex_unlock(&lock);
}
