#pragma once
/* One daemon for one state directory and one database. */

#define INSTANCE_E_RUNNING 1

int instance_lock(const char *state_directory, int *ret_fd); /* close the descriptor to unlock */
int instance_claim(const char *database_path, int *ret_fd);  /* likewise */
