/* oneDNN 3's names on oneDNN 2, for onednn.c alone.  In version 3 a primitive descriptor is made in
 * one step and a memory descriptor is a handle; in version 2 there is an operation descriptor in
 * between and a memory descriptor is a plain struct. */
#ifndef KERNELS_ONEDNN2_H
#define KERNELS_ONEDNN2_H

#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>

#if DNNL_VERSION_MAJOR >= 3

typedef dnnl_memory_desc_t Layout;
typedef const_dnnl_memory_desc_t ConstLayout;

static inline dnnl_status_t append_sum(dnnl_post_ops_t ops) {
    return dnnl_post_ops_append_sum(ops, 1, 0, dnnl_data_type_undef);
}

static inline dnnl_status_t append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha) {
    return dnnl_post_ops_append_eltwise(ops, kind, alpha, 0);
}

#else

#include <stdlib.h>

typedef dnnl_memory_desc_t *Layout;
typedef const dnnl_memory_desc_t *ConstLayout;

static inline dnnl_status_t append_sum(dnnl_post_ops_t ops) {
    return dnnl_post_ops_append_sum(ops, 1);
}

static inline dnnl_status_t append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha) {
    return dnnl_post_ops_append_eltwise(ops, 1, kind, alpha, 0);
}

static inline dnnl_status_t dnnl_memory_desc_create_with_strides(Layout *layout, int dims,
                                                                 const dnnl_dims_t size,
                                                                 dnnl_data_type_t type,
                                                                 const dnnl_dims_t strides) {
    *layout = malloc(sizeof **layout);
    return *layout ? dnnl_memory_desc_init_by_strides(*layout, dims, size, type, strides)
                   : dnnl_out_of_memory;
}

static inline dnnl_status_t dnnl_memory_desc_create_with_tag(Layout *layout, int dims,
                                                             const dnnl_dims_t size,
                                                             dnnl_data_type_t type,
                                                             dnnl_format_tag_t tag) {
    *layout = malloc(sizeof **layout);
    return *layout ? dnnl_memory_desc_init_by_tag(*layout, dims, size, type, tag)
                   : dnnl_out_of_memory;
}

static inline dnnl_status_t dnnl_memory_desc_destroy(Layout layout) {
    free(layout);
    return dnnl_success;
}

static inline dnnl_status_t dnnl_convolution_forward_primitive_desc_create(
    dnnl_primitive_desc_t *desc, dnnl_engine_t engine, dnnl_prop_kind_t prop, dnnl_alg_kind_t alg,
    ConstLayout x, ConstLayout w, ConstLayout b, ConstLayout y, const dnnl_dims_t strides,
    const dnnl_dims_t dilates, const dnnl_dims_t left, const dnnl_dims_t right,
    const_dnnl_primitive_attr_t attr) {
    dnnl_convolution_desc_t op;
    dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
        &op, prop, alg, x, w, b, y, strides, dilates, left, right);
    return status ? status : dnnl_primitive_desc_create(desc, &op, attr, engine, NULL);
}

static inline dnnl_status_t dnnl_convolution_backward_data_primitive_desc_create(
    dnnl_primitive_desc_t *desc, dnnl_engine_t engine, dnnl_alg_kind_t alg, ConstLayout dx,
    ConstLayout w, ConstLayout dy, const dnnl_dims_t strides, const dnnl_dims_t dilates,
    const dnnl_dims_t left, const dnnl_dims_t right, const_dnnl_primitive_desc_t forward,
    const_dnnl_primitive_attr_t attr) {
    dnnl_convolution_desc_t op;
    dnnl_status_t status = dnnl_dilated_convolution_backward_data_desc_init(
        &op, alg, dx, w, dy, strides, dilates, left, right);
    return status ? status : dnnl_primitive_desc_create(desc, &op, attr, engine, forward);
}

static inline dnnl_status_t dnnl_convolution_backward_weights_primitive_desc_create(
    dnnl_primitive_desc_t *desc, dnnl_engine_t engine, dnnl_alg_kind_t alg, ConstLayout x,
    ConstLayout dw, ConstLayout db, ConstLayout dy, const dnnl_dims_t strides,
    const dnnl_dims_t dilates, const dnnl_dims_t left, const dnnl_dims_t right,
    const_dnnl_primitive_desc_t forward, const_dnnl_primitive_attr_t attr) {
    dnnl_convolution_desc_t op;
    dnnl_status_t status = dnnl_dilated_convolution_backward_weights_desc_init(
        &op, alg, x, dw, db, dy, strides, dilates, left, right);
    return status ? status : dnnl_primitive_desc_create(desc, &op, attr, engine, forward);
}

#endif
#endif
