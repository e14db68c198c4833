/* Freememory: how much memory this process may still take on the host.
 *
 *     size_t bytes = freememory();
 */
#ifndef TENSOR_FREEMEMORY_H
#define TENSOR_FREEMEMORY_H

#include <stddef.h>

/* What Linux says programs may still take without swapping, or less where a control group (a
 * container, a batch job) allows less; at least 1.  0: unknown. */
size_t freememory(void);

/* What the control groups that are listed in a file like /proc/self/cgroup leave, they and the ones
 * above them, which lie under root (/sys/fs/cgroup); SIZE_MAX without a limit. */
size_t freememory_in_groups(const char *list, const char *root);

#endif
