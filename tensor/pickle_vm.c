#include "tensor/pickle_vm.h"

#include "tensor/pickle_build.h"
#include "tensor/pickle_dict.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PROTOCOL_MAX = 5 };

void pickle_vm_reason(const PickleVm *vm, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fail(ERR_MODEL, "pickle byte %zu: %s", vm->opcode_at, text);
}

/* ---- bytes of the code ---- */

static Status take(PickleVm *vm, uint64_t size, Span *out) {
    if (size > vm->code.size - vm->at)
        return pickle_vm_fail(vm, "asks for %llu bytes, %zu are left", (unsigned long long)size,
                              vm->code.size - vm->at);
    *out = (Span){vm->code.data + vm->at, (size_t)size};
    vm->at += (size_t)size;
    return OK;
}

/* A little-endian number of 1, 2, 4 or 8 bytes. */
static Status take_number(PickleVm *vm, size_t bytes, uint64_t *out) {
    Span s = {0};
    TRY(take(vm, bytes, &s));
    *out = 0;
    for (size_t i = bytes; i-- > 0;) *out = *out << 8 | s.data[i];
    return OK;
}

/* Bytes that follow their own length. */
static Status take_counted(PickleVm *vm, size_t length_bytes, Span *out) {
    uint64_t size = 0;
    TRY(take_number(vm, length_bytes, &size));
    return take(vm, size, out);
}

static Status take_line(PickleVm *vm, Span *out) {
    const uint8_t *from = vm->code.data + vm->at;
    const uint8_t *end = memchr(from, '\n', vm->code.size - vm->at);
    if (!end) return pickle_vm_fail(vm, "a line has no end");
    *out = (Span){from, (size_t)(end - from)};
    vm->at += out->size + 1;
    if (out->size && out->data[out->size - 1] == '\r') out->size--;
    return OK;
}

/* ---- the stack ---- */

static Status push(PickleVm *vm, PickleValue value) {
    if (vm->top == vm->stack_capacity) {
        PickleValue *grown = reader_grow(vm->r, vm->stack, &vm->stack_capacity, sizeof *grown);
        if (!grown) return vm->r->status;
        vm->stack = grown;
    }
    vm->stack[vm->top++] = value;
    return OK;
}

static size_t fence(const PickleVm *vm) { return vm->marks ? vm->mark[vm->marks - 1] : 0; }

static Status pop(PickleVm *vm, PickleValue *out) {
    if (vm->top <= fence(vm)) return pickle_vm_fail(vm, "takes from an empty stack");
    *out = vm->stack[--vm->top];
    return OK;
}

static Status peek(PickleVm *vm, PickleValue *out) {
    if (vm->top <= fence(vm)) return pickle_vm_fail(vm, "looks at an empty stack");
    *out = vm->stack[vm->top - 1];
    return OK;
}

static Status set_mark(PickleVm *vm) {
    if (vm->marks == vm->mark_capacity) {
        size_t *grown = reader_grow(vm->r, vm->mark, &vm->mark_capacity, sizeof *grown);
        if (!grown) return vm->r->status;
        vm->mark = grown;
    }
    vm->mark[vm->marks++] = vm->top;
    return OK;
}

/* Takes the values above the latest mark, and the mark; they stay readable until the next push. */
static Status pop_mark(PickleVm *vm, const PickleValue **items, size_t *count) {
    if (!vm->marks) return pickle_vm_fail(vm, "needs a mark, there is none");
    size_t from = vm->mark[--vm->marks];
    *items = vm->stack + from, *count = vm->top - from;
    vm->top = from;
    return OK;
}

static Status pop_or_unmark(PickleVm *vm) {
    PickleValue value;
    if (vm->marks && fence(vm) == vm->top) return vm->marks--, OK;
    return pop(vm, &value);
}

/* ---- the memo: dense, since picklers number one by one ---- */

static Status put(PickleVm *vm, uint64_t index) {
    PickleValue value;
    TRY(peek(vm, &value));
    if (index >= vm->code.size)
        return pickle_vm_fail(vm, "memo index %llu is above the pickle's size",
                              (unsigned long long)index);
    while (index >= vm->memo_capacity) {
        PickleValue *grown = reader_grow(vm->r, vm->memo, &vm->memo_capacity, sizeof *grown);
        if (!grown) return vm->r->status;
        vm->memo = grown;
    }
    vm->memo[index] = value;
    vm->memoized++;
    return OK;
}

static Status get(PickleVm *vm, uint64_t index) {
    if (index >= vm->memo_capacity || vm->memo[index].kind == PICKLE_NOTHING)
        return pickle_vm_fail(vm, "memo index %llu is not defined", (unsigned long long)index);
    return push(vm, vm->memo[index]);
}

/* ---- numbers and text ---- */

static Status push_int(PickleVm *vm, int64_t value) {
    return push(vm, (PickleValue){.kind = PICKLE_INT, .integer = value});
}

static Status push_bool(PickleVm *vm, bool value) {
    return push(vm, (PickleValue){.kind = PICKLE_BOOL, .integer = value});
}

static Status push_bytes(PickleVm *vm, PickleKind kind, Span s) {
    return push(vm, (PickleValue){.kind = kind, .size = s.size, .text = (const char *)s.data});
}

static Status push_text(PickleVm *vm, Span s) {
    char *copy = reader_alloc(vm->r, s.size + 1, 1);
    if (!copy) return vm->r->status;
    memcpy(copy, s.data, s.size);
    return push(vm, (PickleValue){.kind = PICKLE_TEXT, .size = s.size, .text = copy});
}

/* Two's complement, little-endian, any length. */
static Status push_long(PickleVm *vm, Span s) {
    if (s.size > 8) return push_bytes(vm, PICKLE_BIG, s);
    uint64_t bits = s.size && s.data[s.size - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = s.size; i-- > 0;) bits = bits << 8 | s.data[i];
    return push_int(vm, (int64_t)bits);
}

static Status push_signed_long(PickleVm *vm) {
    uint64_t size = 0;
    Span s = {0};
    TRY(take_number(vm, 4, &size));
    if (size > INT32_MAX) return pickle_vm_fail(vm, "an integer has a negative length");
    TRY(take(vm, size, &s));
    return push_long(vm, s);
}

/* A line as a C string; lines of numbers are short. */
static Status take_word(PickleVm *vm, char word[64]) {
    Span line = {0};
    TRY(take_line(vm, &line));
    if (line.size >= 64 || memchr(line.data, 0, line.size))
        return pickle_vm_fail(vm, "a number's line has %zu bytes", line.size);
    memcpy(word, line.data, line.size);
    word[line.size] = 0;
    return OK;
}

static Status push_int_line(PickleVm *vm) {
    char word[64], *end;
    TRY(take_word(vm, word));
    if (!strcmp(word, "00") || !strcmp(word, "01")) return push_bool(vm, word[1] == '1');
    errno = 0;
    long long value = strtoll(word, &end, 10);
    if (end == word || *end || errno)
        return pickle_vm_fail(vm, "%s is no integer", reader_quote(word, strlen(word)));
    return push_int(vm, value);
}

static Status push_long_line(PickleVm *vm) {
    Span line = {0};
    char word[24], *end;
    TRY(take_line(vm, &line));
    if (line.size && line.data[line.size - 1] == 'L') line.size--;
    size_t sign = line.size && line.data[0] == '-';
    for (size_t i = sign; i < line.size; i++)
        if (line.data[i] < '0' || line.data[i] > '9') return pickle_vm_fail(vm, "no integer");
    if (line.size == sign) return pickle_vm_fail(vm, "an integer has no digits");
    if (line.size >= sizeof word) return push_bytes(vm, PICKLE_BIG, line);
    memcpy(word, line.data, line.size);
    word[line.size] = 0;
    errno = 0;
    long long value = strtoll(word, &end, 10);
    return errno ? push_bytes(vm, PICKLE_BIG, line) : push_int(vm, value);
}

static Status push_float_line(PickleVm *vm) {
    char word[64], *end;
    TRY(take_word(vm, word));
    double value = strtod(word, &end);
    if (end == word || *end)
        return pickle_vm_fail(vm, "%s is no number", reader_quote(word, strlen(word)));
    return push(vm, (PickleValue){.kind = PICKLE_FLOAT, .number = value});
}

/* Big-endian, unlike all else. */
static Status push_float(PickleVm *vm) {
    uint64_t bits = 0;
    PickleValue v = {.kind = PICKLE_FLOAT};
    TRY(take_number(vm, 8, &bits));
    bits = __builtin_bswap64(bits);
    memcpy(&v.number, &bits, sizeof bits);
    return push(vm, v);
}

static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \xNN, \uNNNN, \UNNNNNNNN: the value of `digits` hexadecimal digits at s, or -1. */
static int64_t hex_number(Span s, size_t digits) {
    int64_t value = 0;
    if (s.size < digits) return -1;
    for (size_t i = 0; i < digits; i++) {
        int digit = hex_digit(s.data[i]);
        if (digit < 0) return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* STRING: a quoted Python 2 repr of bytes. */
static Status push_repr(PickleVm *vm) {
    static const char NAMED[] = "\\'\"abfnrtv", MEANT[] = "\\'\"\a\b\f\n\r\t\v";
    Span s = {0};
    TRY(take_line(vm, &s));
    while (s.size && s.data[s.size - 1] == ' ') s.size--;
    if (s.size < 2 || (s.data[0] != '\'' && s.data[0] != '"') || s.data[s.size - 1] != s.data[0])
        return pickle_vm_fail(vm, "a string is not in quotes");
    s.data++, s.size -= 2;
    char *out = reader_alloc(vm->r, s.size + 1, 1);
    if (!out) return vm->r->status;
    size_t used = 0;
    while (s.size) {
        uint8_t c = *s.data;
        s.data++, s.size--;
        if (c == '\\') {
            int64_t hex =
                s.size && *s.data == 'x' ? hex_number((Span){s.data + 1, s.size - 1}, 2) : -1;
            const char *named = s.size && *s.data ? strchr(NAMED, *s.data) : NULL;
            if (hex < 0 && !named) return pickle_vm_fail(vm, "a string has an unknown escape");
            c = hex >= 0 ? (uint8_t)hex : (uint8_t)MEANT[named - NAMED];
            size_t eaten = hex >= 0 ? 3 : 1;
            s.data += eaten, s.size -= eaten;
        }
        out[used++] = (char)c;
    }
    return push_bytes(vm, PICKLE_BYTES, (Span){(const uint8_t *)out, used});
}

/* UNICODE: raw-unicode-escape, that is latin-1 with \u and \U. */
static Status push_unicode_line(PickleVm *vm) {
    Span s = {0};
    TRY(take_line(vm, &s));
    char *out = reader_alloc(vm->r, 2 * s.size + 1, 1); /* latin-1 takes 2, \uNNNN at most 4 */
    if (!out) return vm->r->status;
    size_t used = 0;
    while (s.size) {
        int64_t code = *s.data;
        size_t eaten = 1, digits = 0;
        if (code == '\\' && s.size > 1) digits = s.data[1] == 'u' ? 4 : s.data[1] == 'U' ? 8 : 0;
        if (digits) {
            code = hex_number((Span){s.data + 2, s.size - 2}, digits);
            eaten = 2 + digits;
        }
        size_t more = code < 0 ? 0 : npy_utf8((uint32_t)code, out + used);
        if (!more) return pickle_vm_fail(vm, "a text has a wrong escape");
        used += more;
        s.data += eaten, s.size -= eaten;
    }
    return push(vm, (PickleValue){.kind = PICKLE_TEXT, .size = used, .text = out});
}

/* ---- containers ---- */

Status pickle_vm_items(PickleVm *vm, PickleKind kind, PickleValue *out) {
    PickleItems *items = reader_alloc(vm->r, 1, sizeof *items);
    if (!items) return vm->r->status;
    if (kind == PICKLE_DICT) items->next_dict = vm->dicts, vm->dicts = items;
    *out = (PickleValue){.kind = kind, .items = items};
    return OK;
}

Status pickle_vm_append(PickleVm *vm, PickleItems *items, PickleValue value) {
    if (items->count == items->capacity) {
        PickleValue *grown = reader_grow(vm->r, items->item, &items->capacity, sizeof *grown);
        if (!grown) return vm->r->status;
        items->item = grown;
    }
    items->item[items->count++] = value;
    return OK;
}

static Status push_items(PickleVm *vm, PickleKind kind, const PickleValue *item, size_t count) {
    PickleValue v = {0};
    TRY(pickle_vm_items(vm, kind, &v));
    if (count) {
        v.items->item = reader_alloc(vm->r, count, sizeof *item);
        if (!v.items->item) return vm->r->status;
        memcpy(v.items->item, item, count * sizeof *item);
        v.items->count = v.items->capacity = count;
    }
    return push(vm, v);
}

static Status push_marked(PickleVm *vm, PickleKind kind) {
    const PickleValue *item = NULL;
    size_t count = 0;
    TRY(pop_mark(vm, &item, &count));
    return push_items(vm, kind, item, count);
}

static Status push_tuple(PickleVm *vm, size_t count) {
    if (vm->top - fence(vm) < count) return pickle_vm_fail(vm, "takes from an empty stack");
    vm->top -= count;
    return push_items(vm, PICKLE_TUPLE, vm->stack + vm->top, count);
}

static Status append_items(PickleVm *vm, PickleKind kind, const PickleValue *item, size_t count) {
    PickleValue to;
    TRY(peek(vm, &to));
    if (to.kind != kind) return pickle_vm_fail(vm, "adds to something else than its container");
    for (size_t i = 0; i < count; i++) TRY(pickle_vm_append(vm, to.items, item[i]));
    return OK;
}

static Status append_one(PickleVm *vm) {
    PickleValue value;
    TRY(pop(vm, &value));
    return append_items(vm, PICKLE_LIST, &value, 1);
}

static Status append_marked(PickleVm *vm, PickleKind kind) {
    const PickleValue *item = NULL;
    size_t count = 0;
    TRY(pop_mark(vm, &item, &count));
    return append_items(vm, kind, item, count);
}

Status pickle_vm_check_key(const PickleVm *vm, const PickleValue *key) {
    enum { LONGEST = 4096 };
    if (key->kind > PICKLE_BYTES && key->kind != PICKLE_TUPLE)
        return pickle_vm_fail(vm, "a dict's key has a kind that cannot be a key");
    if (key->size <= LONGEST) return OK;
    return pickle_vm_fail(vm, "a key has %zu bytes, at most %d are read", key->size, LONGEST);
}

static Status check_pairs(const PickleVm *vm, const PickleValue *item, size_t count) {
    if (count % 2) return pickle_vm_fail(vm, "a dict's key has no value");
    for (size_t i = 0; i < count; i += 2) TRY(pickle_vm_check_key(vm, &item[i]));
    return OK;
}

static Status set_items(PickleVm *vm, const PickleValue *item, size_t count) {
    TRY(check_pairs(vm, item, count));
    return append_items(vm, PICKLE_DICT, item, count);
}

static Status set_item(PickleVm *vm) {
    PickleValue pair[2];
    TRY(pop(vm, &pair[1]));
    TRY(pop(vm, &pair[0]));
    return set_items(vm, pair, 2);
}

static Status set_marked(PickleVm *vm) {
    const PickleValue *item = NULL;
    size_t count = 0;
    TRY(pop_mark(vm, &item, &count));
    return set_items(vm, item, count);
}

static Status push_marked_dict(PickleVm *vm) {
    const PickleValue *item = NULL;
    size_t count = 0;
    TRY(pop_mark(vm, &item, &count));
    TRY(check_pairs(vm, item, count));
    return push_items(vm, PICKLE_DICT, item, count);
}

/* ---- names ---- */

static Status push_global(PickleVm *vm, Span module, Span name) {
    PickleValue v;
    TRY(pickle_build_global(vm, module, name, &v));
    return push(vm, v);
}

static Status push_global_line(PickleVm *vm) {
    Span module = {0}, name = {0};
    TRY(take_line(vm, &module));
    TRY(take_line(vm, &name));
    return push_global(vm, module, name);
}

static Status push_global_stack(PickleVm *vm) {
    PickleValue module, name;
    TRY(pop(vm, &name));
    TRY(pop(vm, &module));
    if (module.kind != PICKLE_TEXT || name.kind != PICKLE_TEXT)
        return pickle_vm_fail(vm, "a global's name is no text");
    return push_global(vm, (Span){(const uint8_t *)module.text, module.size},
                       (Span){(const uint8_t *)name.text, name.size});
}

static Status push_call(PickleVm *vm) {
    PickleValue callable, arguments, result;
    TRY(pop(vm, &arguments));
    TRY(pop(vm, &callable));
    TRY(pickle_build_call(vm, callable, arguments, &result));
    return push(vm, result);
}

static Status set_state(PickleVm *vm) {
    PickleValue object, state;
    TRY(pop(vm, &state));
    TRY(peek(vm, &object));
    return pickle_build_state(vm, object, state);
}

static Status push_storage(PickleVm *vm) {
    PickleValue id, storage;
    TRY(pop(vm, &id));
    TRY(pickle_build_storage(vm, id, &storage));
    return push(vm, storage);
}

/* INST and OBJ make instances of old classes, which no file that is read here has. */
static Status refuse_instance(PickleVm *vm) {
    Span module = {0}, name = {0};
    if (vm->code.data[vm->opcode_at] == 'i') {
        TRY(take_line(vm, &module));
        TRY(take_line(vm, &name));
    }
    return pickle_vm_fail(vm, "an instance of %s %s is not allowed",
                          reader_quote(module.data, module.size),
                          reader_quote(name.data, name.size));
}

/* ---- the machine ---- */

static Status check_protocol(PickleVm *vm) {
    uint64_t version = 0;
    TRY(take_number(vm, 1, &version));
    return version <= PROTOCOL_MAX
               ? OK
               : pickle_vm_fail(vm, "protocol %d, expected 0 to %d", (int)version, PROTOCOL_MAX);
}

static Status check_frame(PickleVm *vm) {
    uint64_t size = 0;
    TRY(take_number(vm, 8, &size));
    return size <= vm->code.size - vm->at ? OK : pickle_vm_fail(vm, "a frame is cut");
}

static Status push_number(PickleVm *vm, size_t bytes) {
    uint64_t value = 0;
    TRY(take_number(vm, bytes, &value));
    return push_int(vm, bytes == 4 ? (int32_t)value : (int64_t)value);
}

static Status push_counted_bytes(PickleVm *vm, size_t length_bytes) {
    Span s = {0};
    TRY(take_counted(vm, length_bytes, &s));
    return push_bytes(vm, PICKLE_BYTES, s);
}

static Status push_counted_text(PickleVm *vm, size_t length_bytes) {
    Span s = {0};
    TRY(take_counted(vm, length_bytes, &s));
    return push_text(vm, s);
}

static Status push_counted_long(PickleVm *vm) {
    Span s = {0};
    TRY(take_counted(vm, 1, &s));
    return push_long(vm, s);
}

static Status push_again(PickleVm *vm) {
    PickleValue v;
    TRY(peek(vm, &v));
    return push(vm, v);
}

static Status drop_marked(PickleVm *vm) {
    const PickleValue *item = NULL;
    size_t count = 0;
    return pop_mark(vm, &item, &count);
}

static Status put_number(PickleVm *vm, size_t bytes) {
    uint64_t index = 0;
    TRY(take_number(vm, bytes, &index));
    return put(vm, index);
}

static Status get_number(PickleVm *vm, size_t bytes) {
    uint64_t index = 0;
    TRY(take_number(vm, bytes, &index));
    return get(vm, index);
}

static Status memo_line(PickleVm *vm, Status (*action)(PickleVm *, uint64_t)) {
    char word[64], *end;
    TRY(take_word(vm, word));
    unsigned long long index = strtoull(word, &end, 10);
    if (end == word || *end) return pickle_vm_fail(vm, "a memo index is no number");
    return action(vm, index);
}

static Status step(PickleVm *vm, uint8_t opcode) {
    switch (opcode) {
    case 0x80: return check_protocol(vm);                          /* PROTO */
    case 0x95: return check_frame(vm);                             /* FRAME */
    case '(': return set_mark(vm);                                 /* MARK */
    case '0': return pop_or_unmark(vm);                            /* POP */
    case '1': return drop_marked(vm);                              /* POP_MARK */
    case '2': return push_again(vm);                               /* DUP */
    case 'N': return push(vm, (PickleValue){.kind = PICKLE_NONE}); /* NONE */
    case 0x88: return push_bool(vm, true);                         /* NEWTRUE */
    case 0x89: return push_bool(vm, false);                        /* NEWFALSE */
    case 'I': return push_int_line(vm);                            /* INT */
    case 'J': return push_number(vm, 4);                           /* BININT */
    case 'K': return push_number(vm, 1);                           /* BININT1 */
    case 'M': return push_number(vm, 2);                           /* BININT2 */
    case 'L': return push_long_line(vm);                           /* LONG */
    case 0x8a: return push_counted_long(vm);                       /* LONG1 */
    case 0x8b: return push_signed_long(vm);                        /* LONG4 */
    case 'F': return push_float_line(vm);                          /* FLOAT */
    case 'G': return push_float(vm);                               /* BINFLOAT */
    case 'S': return push_repr(vm);                                /* STRING */
    case 'T':                                                      /* BINSTRING */
    case 'B': return push_counted_bytes(vm, 4);                    /* BINBYTES */
    case 'U':                                                      /* SHORT_BINSTRING */
    case 'C': return push_counted_bytes(vm, 1);                    /* SHORT_BINBYTES */
    case 0x8e:                                                     /* BINBYTES8 */
    case 0x96: return push_counted_bytes(vm, 8);                   /* BYTEARRAY8 */
    case 'V': return push_unicode_line(vm);                        /* UNICODE */
    case 'X': return push_counted_text(vm, 4);                     /* BINUNICODE */
    case 0x8c: return push_counted_text(vm, 1);                    /* SHORT_BINUNICODE */
    case 0x8d: return push_counted_text(vm, 8);                    /* BINUNICODE8 */
    case ']': return push_items(vm, PICKLE_LIST, NULL, 0);         /* EMPTY_LIST */
    case '}': return push_items(vm, PICKLE_DICT, NULL, 0);         /* EMPTY_DICT */
    case ')': return push_items(vm, PICKLE_TUPLE, NULL, 0);        /* EMPTY_TUPLE */
    case 0x8f: return push_items(vm, PICKLE_SET, NULL, 0);         /* EMPTY_SET */
    case 'l': return push_marked(vm, PICKLE_LIST);                 /* LIST */
    case 't': return push_marked(vm, PICKLE_TUPLE);                /* TUPLE */
    case 0x91: return push_marked(vm, PICKLE_SET);                 /* FROZENSET */
    case 'd': return push_marked_dict(vm);                         /* DICT */
    case 0x85: return push_tuple(vm, 1);                           /* TUPLE1 */
    case 0x86: return push_tuple(vm, 2);                           /* TUPLE2 */
    case 0x87: return push_tuple(vm, 3);                           /* TUPLE3 */
    case 'a': return append_one(vm);                               /* APPEND */
    case 'e': return append_marked(vm, PICKLE_LIST);               /* APPENDS */
    case 0x90: return append_marked(vm, PICKLE_SET);               /* ADDITEMS */
    case 's': return set_item(vm);                                 /* SETITEM */
    case 'u': return set_marked(vm);                               /* SETITEMS */
    case 'p': return memo_line(vm, put);                           /* PUT */
    case 'q': return put_number(vm, 1);                            /* BINPUT */
    case 'r': return put_number(vm, 4);                            /* LONG_BINPUT */
    case 0x94: return put(vm, vm->memoized);                       /* MEMOIZE */
    case 'g': return memo_line(vm, get);                           /* GET */
    case 'h': return get_number(vm, 1);                            /* BINGET */
    case 'j': return get_number(vm, 4);                            /* LONG_BINGET */
    case 'c': return push_global_line(vm);                         /* GLOBAL */
    case 0x93: return push_global_stack(vm);                       /* STACK_GLOBAL */
    case 'R':                                                      /* REDUCE */
    case 0x81: return push_call(vm);                               /* NEWOBJ */
    case 'b': return set_state(vm);                                /* BUILD */
    case 'Q': return push_storage(vm);                             /* BINPERSID */
    case 'i':
    case 'o': return refuse_instance(vm);
    default: return pickle_vm_fail(vm, "opcode 0x%02x is not allowed", opcode);
    }
}

static Status finish(PickleVm *vm) {
    if (vm->top != 1 || vm->marks)
        return pickle_vm_fail(vm, "ends with %zu values, expected 1", vm->top);
    vm->root = vm->stack[0];
    for (PickleItems *dict = vm->dicts; dict; dict = dict->next_dict)
        TRY(pickle_dict_finish(vm->r, dict));
    return OK;
}

Status pickle_vm_run(Reader *r, Span *rest, PickleVm *vm) {
    enum { STOP = '.' };
    *vm = (PickleVm){.r = r, .code = *rest};
    for (;;) {
        Span opcode = {0};
        vm->opcode_at = vm->at;
        if (take(vm, 1, &opcode)) return pickle_vm_fail(vm, "the pickle ends without its STOP");
        if (*opcode.data == STOP) break;
        TRY(step(vm, *opcode.data));
    }
    rest->data += vm->at, rest->size -= vm->at;
    return finish(vm);
}
