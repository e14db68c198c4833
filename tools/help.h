/* Help: a manual page for each command, options taken from the table of options. */
#ifndef TOOLS_HELP_H
#define TOOLS_HELP_H

#include "tools/options.h"

void help_overview(FILE *out);
void help_command(Command command, FILE *out);

/* "run", or NULL for what is no command's number; 0 for what is no command's name. */
const char *help_name(Command command);
Command help_find(const char *name);

#endif
