/* Fuse: peephole rows over a graph's nodes, before they are planned.
 *
 *     conv, add (equal shapes)    -> conv with a residual input, at the add's place
 *     resize, add (equal shapes)  -> resize that adds, at the add's place
 *     conv, relu | silu | leaky   -> conv with an activation
 *
 * A row applies when the value in between has one reader and is not kept.  The graph is not
 * changed.
 */
#ifndef AUTOGRAD_FUSE_H
#define AUTOGRAD_FUSE_H

#include "autograd/graph.h"

/* Writes the nodes to run, in order, to out (room for graph_nodes(g)); kept is indexed by tensor
 * id; attributes of changed nodes live in arena.  Returns their number. */
int fuse_nodes(const Graph *g, const bool *kept, Arena *arena, Node *out);

#endif
