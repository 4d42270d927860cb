/* How every simulated NVML function begins and answers. */
#ifndef API_H
#define API_H
#include "sim.h"

int enter(const char *name, void *gpu); /* waits, then the code of a fault or OK */
double moment(void);                    /* the time the values of this call are of */
int board_of(void *gpu);                /* index, of a MIG device its parent's; -1 if there is none */
int is_mig(void *gpu);
int put(char *to, unsigned size, const char *text);

#define ENTER(gpu) do { int code_ = enter(__func__, gpu); if (code_) return code_; } while (0)
/* For what only a whole GPU has. */
#define WHOLE(gpu) do { ENTER(gpu); if (is_mig(gpu)) return NOT_SUPPORTED; } while (0)
#define BOARD(gpu) (&world->board[board_of(gpu)])
#endif
