/* `Encoder` and `Block`: what block.c and append.c share. */

#ifndef DSRECORDS_BLOCK_H
#define DSRECORDS_BLOCK_H

#include "native.h"

/* How the value of a field is stored. */
typedef struct {
    int kind;
    char code;           /* of a number, in `struct` */
    Py_ssize_t at;       /* of a number: its offset in a head; of a payload: which one it is */
    Py_ssize_t width;    /* of a number; of an array, its bytes */
    Py_ssize_t presence; /* of a number: offset of the byte that is 0 if it is None; -1: it never is */
    PyObject *key;       /* of the field in a sample */
    PyObject *present;   /* classes whose values are not None, a frozenset; None if none may be */
    PyObject *dump;      /* makes a number or a payload of any value */
    PyObject *names;     /* of a category: a dict of their numbers */
    PyObject *dtype;     /* of an array */
    PyObject *shape;
} Way;

struct Block;

typedef struct {
    PyObject_HEAD
    Layout layout;
    PyObject *pack;      /* packs the numbers of a head: what stands behind the checksums */
    PyObject *functions; /* those that `append` stands for: see append.c */
    struct Block *scratch; /* for `append`, which has no reference to the encoder; or NULL */
    int is_named;
    Py_ssize_t count; /* of the ways; 0: it encodes no samples by itself */
    Way *ways;
} Encoder;

/* Where the head of a frame is: in which segment, and where there. */
typedef struct {
    Py_ssize_t segment;
    Py_ssize_t at;
    uint64_t size;
} Frame;

/* Frames of records, one behind the other, but for what a head says of its place in the log: that is
   written by `finish_frames`. Their bytes are segments, which are one behind the other, too. */
typedef struct Block {
    PyObject_HEAD
    Encoder *encoder;
    PyObject **segments; /* whole: bytearrays, and bytes that are payloads */
    Py_ssize_t segment_count;
    Py_ssize_t segment_room;
    PyObject *arena; /* a bytearray that is still written to, and that nobody else knows; or NULL */
    Py_ssize_t used; /* of it */
    Frame *frames;
    Py_ssize_t frame_count;
    Py_ssize_t frame_room;
    uint64_t size;       /* of all frames */
    uint64_t given;      /* the same, without what payloads are padded with */
    uint8_t *head;       /* of the record that is being encoded */
    PyObject **payloads; /* of the same; NULL: None */
    Py_ssize_t mutable_payloads; /* of these, those that are not copied yet and may be changed */
    int is_busy;
    int is_finished;
    int is_scratch;
} Block;

Block *block_of(PyObject *object);
Block *new_block(Encoder *encoder);
int make_room(Block *block, Py_ssize_t size);
void empty_block(Block *block);
int encode_sample(Block *block, PyObject *sample);
uint32_t finish_head(uint8_t *head, const Layout *layout, int kind, uint64_t size, uint32_t prev,
                     uint32_t seed, uint64_t offset);

/* append.c */

PyObject *append_sample(Encoder *encoder, PyObject *const *arguments, Py_ssize_t given);
PyObject *write_block(Encoder *encoder, PyObject *const *arguments, Py_ssize_t given);

#endif
