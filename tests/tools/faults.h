#pragma once
/* What fuse-fault is told to break: rules, made and dropped by commands. */

#include <stdbool.h>

typedef enum FaultOp {
    FAULT_GETATTR,
    FAULT_OPENDIR,
    FAULT_READDIR,
    FAULT_OPEN,
    FAULT_READ,
    FAULT_WRITE,
    FAULT_CREATE,
    FAULT_MKDIR,
    FAULT_REMOVE,
    FAULT_RENAME,
    FAULT_SETATTR,
    FAULT_STATFS,
    FAULT_SYNC,
    FAULT_FLUSH,
    FAULT_N,
} FaultOp;

/* Every request passes here first, from any thread; it may take its time. Returns 0 or a negative
 * errno for the caller. */
int faults_gate(FaultOp op, const char *path);
/* Obeys a line (which is cut into words) and prints the answer. False for `quit`. */
bool faults_obey(char *line);
