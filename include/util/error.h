#pragma once
/*
 * The three classes of result that functions return:
 *   0          done;
 *   negative   a fatal errno that no caller matches on, traced as it climbs (error_trace());
 *   positive   a named condition of that very function (MODULE_E_SOMETHING), which its caller
 *              must handle and never forwards.
 */

#include <errno.h>

int error_trace_at(int r, const char *file, int line, const char *function);

/* Returns r; a negative one leaves a line in the debug log that says where it passed. */
#define error_trace(r) error_trace_at((r), __FILE__, __LINE__, __func__)
/* The negative form of the current errno, traced. */
#define error_errno() error_trace(-errno)
