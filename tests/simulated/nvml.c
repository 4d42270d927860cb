/* A GPU that exists only as arithmetic: libnvidia-ml.so.1 on a world known in closed form (world.c).
 * Here: how calls begin, and which GPUs there are. Every process that loads it sees the same hardware,
 * since all is a function of the clock and of files.
 */
#include "api.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIG_SHIFT 16

static int inits;
static __thread double moment_s;
static __thread int64_t calls;

static int ends_with(const char *name, const char *tail) {
    size_t n = strlen(name), m = strlen(tail);
    return m <= n && !strcmp(name + n - m, tail);
}

static double duration_s(const char *name, int gpu) {
    const Board *b = &world->board[gpu < 0 ? 0 : gpu];
    double seconds = world->call_s, jitter = world->call_jitter;
    for (int i = 0; i < b->latencies; i++)
        if (ends_with(name, b->latency[i].name)) { seconds = b->latency[i].seconds; jitter = b->latency[i].jitter; }
    return seconds + jitter * u01(7, (uint64_t)(size_t)&moment_s, calls++);
}

static int fault(const char *name, int gpu, double t) {
    const Board *b = &world->board[gpu < 0 ? 0 : gpu];
    for (int i = 0; i < b->faults; i++) {
        const Fault *f = &b->fault[i];
        int all = !strcmp(f->name, "*") && gpu >= 0;
        if (t >= f->a && t < f->b && (all || ends_with(name, f->name))) return f->code;
    }
    return OK;
}

int board_of(void *gpu) {
    int index = (int)((size_t)gpu & 0xffff) - 1;
    return index < (world ? world->gpus : 0) ? index : -1;
}

int is_mig(void *gpu) { return (size_t)gpu >> MIG_SHIFT != 0; }

double moment(void) { return moment_s; }

/* The caller's GPU, or NULL where a function is of none. */
int enter(const char *name, void *gpu) {
    if (!inits || !world) return UNINITIALIZED;
    int index = gpu ? board_of(gpu) : -1;
    if (gpu && index < 0) return INVALID;
    refresh();
    double begun = clock_s(), lasts = duration_s(name, index);
    pass(lasts);
    moment_s = begun + lasts * world->call_at;
    if (lasts > 0 && world->call_at >= 1) moment_s = clock_s();
    if (lasts > 0) refresh();
    return fault(name, index, moment_s);
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    int code = read_world();
    if (code) return code;
    code = fault(__func__, -1, clock_s());
    if (!code) inits++;
    return code;
}

int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlInit(void) { return nvmlInitWithFlags(0); }

int nvmlShutdown(void) {
    if (!inits) return UNINITIALIZED;
    inits--;
    return OK;
}

const char *nvmlErrorString(int code) {
    switch (code) {
    case 0: return "Success";
    case 1: return "Uninitialized";
    case 2: return "Invalid Argument";
    case 3: return "Not Supported";
    case 4: return "Insufficient Permissions";
    case 6: return "Not Found";
    case 7: return "Insufficient Size";
    case 9: return "Driver Not Loaded";
    case 10: return "Timeout";
    case 12: return "Shared Library Not Found";
    case 13: return "Function Not Found";
    case 15: return "GPU is lost";
    case 16: return "GPU requires restart";
    case 18: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}

int put(char *to, unsigned size, const char *text) {
    if (strlen(text) >= size) return TOO_SMALL;
    strcpy(to, text);
    return OK;
}

int nvmlSystemGetDriverVersion(char *to, unsigned size) { ENTER(NULL); return put(to, size, "simulated 1.0"); }
int nvmlSystemGetNVMLVersion(char *to, unsigned size) { ENTER(NULL); return put(to, size, "13.0.simulated"); }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { ENTER(NULL); *version = 13000; return OK; }
int nvmlSystemGetCudaDriverVersion(int *version) { return nvmlSystemGetCudaDriverVersion_v2(version); }

int nvmlSystemGetProcessName(unsigned pid, char *to, unsigned size) {
    char path[64];
    ENTER(NULL);
    snprintf(path, sizeof path, "/proc/%u/cmdline", pid);
    FILE *file = fopen(path, "r");
    size_t n = file && size ? fread(to, 1, size - 1, file) : 0;
    if (file) fclose(file);
    if (n) to[n] = 0;
    return n ? OK : NOT_FOUND;
}

int nvmlDeviceGetCount_v2(unsigned *count) { ENTER(NULL); *count = (unsigned)world->gpus; return OK; }
int nvmlDeviceGetCount(unsigned *count) { return nvmlDeviceGetCount_v2(count); }

static void *handle_of(int index, int mig) { return (void *)(((size_t)mig << MIG_SHIFT) | (size_t)(index + 1)); }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    ENTER(NULL);
    if ((int)index >= world->gpus) return INVALID;
    *handle = handle_of((int)index, 0);
    return fault("nvmlDeviceGetHandleByIndex_v2", (int)index, moment());
}

int nvmlDeviceGetHandleByIndex(unsigned index, void **handle) { return nvmlDeviceGetHandleByIndex_v2(index, handle); }

static void uuid(void *gpu, char *to) {
    const char *kind = is_mig(gpu) ? "MIG" : "GPU";
    sprintf(to, "%s-00000000-0000-0000-%04zu-%012zu", kind, (size_t)gpu >> MIG_SHIFT, (size_t)gpu & 0xffff);
}

/* MIG devices of a GPU in MIG mode: two halves. */
static int mig_devices(int index) { return world->board[index].mig == 1 ? 2 : 0; }

int nvmlDeviceGetHandleByUUID(const char *wanted, void **handle) {
    char text[64];
    ENTER(NULL);
    for (int i = 0; i < world->gpus; i++)
        for (int mig = 0; mig <= mig_devices(i); mig++) {
            uuid(handle_of(i, mig), text);
            if (!strcmp(text, wanted)) { *handle = handle_of(i, mig); return OK; }
        }
    return NOT_FOUND;
}

int nvmlDeviceGetUUID(void *gpu, char *to, unsigned size) {
    char text[64];
    ENTER(gpu);
    uuid(gpu, text);
    return put(to, size, text);
}

int nvmlDeviceGetIndex(void *gpu, unsigned *index) { ENTER(gpu); *index = (unsigned)board_of(gpu); return OK; }
int nvmlDeviceGetMinorNumber(void *gpu, unsigned *n) { ENTER(gpu); *n = (unsigned)board_of(gpu); return OK; }

int nvmlDeviceGetName(void *gpu, char *to, unsigned size) {
    ENTER(gpu);
    return put(to, size, is_mig(gpu) ? "Simulated GPU MIG" : BOARD(gpu)->name);
}

typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } Pci;

int nvmlDeviceGetPciInfo_v3(void *gpu, Pci *pci) {
    ENTER(gpu);
    *pci = (Pci){.bus = (unsigned)board_of(gpu) + 1};
    snprintf(pci->legacy, sizeof pci->legacy, "0000:%02X:00.0", pci->bus & 0xffu);
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", pci->bus & 0xffu);
    return OK;
}

int nvmlDeviceGetMigMode(void *gpu, unsigned *current, unsigned *pending) {
    ENTER(gpu);
    if (BOARD(gpu)->mig < 0) return NOT_SUPPORTED;
    *current = *pending = (unsigned)BOARD(gpu)->mig;
    return OK;
}

int nvmlDeviceGetMaxMigDeviceCount(void *gpu, unsigned *count) {
    ENTER(gpu);
    *count = BOARD(gpu)->mig < 0 ? 0 : 7;
    return OK;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *gpu, unsigned index, void **device) {
    ENTER(gpu);
    if ((int)index >= mig_devices(board_of(gpu))) return NOT_FOUND;
    *device = handle_of(board_of(gpu), (int)index + 1);
    return OK;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *device, void **gpu) {
    ENTER(device);
    *gpu = handle_of(board_of(device), 0);
    return OK;
}

int nvmlDeviceIsMigDeviceHandle(void *gpu, unsigned *yes) { ENTER(gpu); *yes = (unsigned)is_mig(gpu); return OK; }
int nvmlDeviceGetArchitecture(void *gpu, unsigned *arch) { ENTER(gpu); *arch = (unsigned)BOARD(gpu)->arch; return OK; }
int nvmlDeviceGetComputeMode(void *gpu, int *mode) { ENTER(gpu); *mode = 0; return OK; }
int nvmlDeviceGetCudaComputeCapability(void *gpu, int *major, int *minor) { ENTER(gpu); *major = 9; *minor = 0; return OK; }
int nvmlDeviceGetC2cModeInfoV(void *gpu, unsigned *enabled) { ENTER(gpu); *enabled = 0; return OK; }

/* For nvidia-smi: how long it is to take, and a second look at a fault of a field (nvml_power.c). */
double simulated_smi_s(void) { return world ? world->smi_s : 0; }
int simulated_fault(const char *name, void *gpu) { return fault(name, board_of(gpu), moment()); }
