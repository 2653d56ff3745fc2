#pragma once
/* The command line. */

int options_main(int argc, char *argv[]);
