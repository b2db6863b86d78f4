/* Appending one sample, or a few at once: what `Writer._append` and `Writer.add` do, if nothing is in
   the way. Several are one batch: pending frames, and their commit.

   From the first look at the state to the last change of it no code of Python's runs, and its lock is
   held. So no other thread and no signal handler sees a step that is half done, and none is amid a
   change if the gate is open. Whatever is unusual (a checkpoint is due, memory is full, a write was
   short) is left to Python, before anything was changed. */

#include "block.h"

#include <fcntl.h>
#include <unistd.h>

typedef struct {
    PyObject_HEAD
    PyObject *holder;
    PyObject *after;
} Gate;

typedef struct {
    PyObject_HEAD
    PyObject *gate;
    PyObject *state;
    PyObject *file;
    PyObject *why_stopped;
    char is_interrupted;
    char is_log_durable;
    char makes_checkpoints;
    Py_ssize_t frames; /* since the last checkpoint */
    Py_ssize_t bytes;
    Py_ssize_t most_frames;
    Py_ssize_t most_bytes;
} Writer;

static PyTypeObject *gate_type;
static PyTypeObject *writer_type;

static PyObject *snapshot_name;
static PyObject *behind_name;
static PyObject *number_name;
static PyObject *end_name;
static PyObject *words_name;

/* Where the frame goes, and what is to be noted of it. */
typedef struct {
    PyObject *state;
    PyObject *snapshot;
    PyObject *log;
    PyObject *entries;
    PyObject *behind; /* the number of frames behind those of the index, once this one is written */
    PyObject *end;    /* of the log, the same */
    PyObject *mark;   /* of the list, the same */
    Py_buffer rows;
    int has_rows;
    int descriptor;
    uint64_t offset;
    uint64_t last;
    uint32_t prev;
} Place;

static void leave(Place *place) {
    if (place->has_rows)
        PyBuffer_Release(&place->rows);
    Py_XDECREF(place->mark);
    Py_XDECREF(place->end);
    Py_XDECREF(place->behind);
    Py_XDECREF(place->entries);
    Py_XDECREF(place->log);
    Py_XDECREF(place->snapshot);
    Py_XDECREF(place->state);
}

/* An attribute that is an integer from 0 on. Returns -1 without an exception if it is none. */
static long long integer_of(PyObject *object, PyObject *name) {
    PyObject *value = PyObject_GetAttr(object, name);
    long long number = value != NULL && PyLong_Check(value) ? PyLong_AsLongLong(value) : -1;
    Py_XDECREF(value);
    if (PyErr_Occurred())
        PyErr_Clear();
    return number;
}

/* Whether the functions that this stands for are those that they were: else somebody, such as a test
   of disks that fail, wants to see each write. */
static int are_functions_what_they_were(PyObject *functions) {
    Py_ssize_t count = PyTuple_Size(functions);
    for (Py_ssize_t k = 0; k + 2 < count; k += 3) {
        PyObject *module = PyTuple_GetItem(functions, k);
        PyObject *found = PyDict_GetItemWithError(module, PyTuple_GetItem(functions, k + 1));
        if (found != PyTuple_GetItem(functions, k + 2)) {
            PyErr_Clear();
            return 0;
        }
    }
    return 1;
}

static int is_free(const Writer *writer) {
    const Gate *gate = (const Gate *)writer->gate;
    if (gate == NULL || !PyObject_TypeCheck(writer->gate, gate_type))
        return 0;
    if (gate->holder != Py_None || gate->after != Py_None || writer->is_interrupted)
        return 0;
    return writer->why_stopped != NULL && PyUnicode_Check(writer->why_stopped) &&
           PyUnicode_GetLength(writer->why_stopped) == 0 && writer->file != NULL &&
           writer->state != NULL;
}

static int is_checkpoint_due(const Writer *writer, Py_ssize_t frames, uint64_t size) {
    if (!writer->makes_checkpoints)
        return 0;
    return writer->frames + frames >= writer->most_frames ||
           (uint64_t)writer->bytes + size >= (uint64_t)writer->most_bytes;
}

/* Looks at the mark of the list: (end, last, check, edits, metadata). */
static int look_at_mark(const Snapshot *snapshot, Place *place) {
    PyObject *mark = snapshot->mark;
    if (mark == NULL || !PyTuple_Check(mark) || PyTuple_Size(mark) != 5)
        return -1;
    long long last = PyLong_AsLongLong(PyTuple_GetItem(mark, 1));
    long long check = PyLong_AsLongLong(PyTuple_GetItem(mark, 2));
    long long end = integer_of(snapshot->log_object, end_name);
    if (PyErr_Occurred() || last < 1 || check < 0 || check > UINT32_MAX || end < last)
        return -1;
    place->last = (uint64_t)last;
    place->prev = (uint32_t)check;
    place->offset = (uint64_t)end;
    for (Py_ssize_t k = 3; k < 5; k++) {
        PyObject *same = PyTuple_GetItem(mark, k);
        Py_INCREF(same);
        PyTuple_SetItem(place->mark, k, same);
    }
    return 0;
}

/* Looks for room for so many rows more, and for what is known of their records. */
static int look_for_room(const Snapshot *snapshot, const Entries *entries, const Layout *layout,
                         Py_ssize_t records, Place *place) {
    Py_ssize_t row_size = entries->row_size;
    if (row_size != SHORT_ROW && row_size != 8 + layout->head_size)
        return -1;
    if (entries->kept < 0 || entries->used < 0 || entries->appended == NULL)
        return -1;
    PyObject *bits = ((const Verified *)snapshot->verified)->bits;
    if (bits == NULL || PyObject_Length(bits) < entries->kept + entries->used + records)
        return -1;
    PyObject *words = PyObject_GetAttr(entries->appended, words_name);
    if (words == NULL)
        return -1;
    place->has_rows = PyObject_GetBuffer(words, &place->rows, PyBUF_ND | PyBUF_WRITABLE) == 0;
    Py_DECREF(words);
    if (!place->has_rows || place->rows.len / row_size < entries->used + records)
        return -1;
    return 0;
}

/* Finds all that is needed for so many records, and frames. Returns -1, perhaps with an exception, if
   Python is to do it. */
static int find_place(const Writer *writer, const Layout *layout, Py_ssize_t records,
                      Py_ssize_t frames, Place *place) {
    /* First: what Python's collector may do here comes before all looks. */
    place->mark = PyTuple_New(5);
    if (place->mark == NULL || !is_free(writer))
        return -1;
    place->state = writer->state;
    Py_INCREF(place->state);
    place->snapshot = PyObject_GetAttr(place->state, snapshot_name);
    Snapshot *snapshot = snapshot_of(place->snapshot);
    if (snapshot == NULL || snapshot->log_object == NULL || !are_parts_ours(snapshot))
        return -1;
    place->log = snapshot->log_object;
    Py_INCREF(place->log);
    place->entries = snapshot->entries;
    Py_INCREF(place->entries);
    if (look_at_mark(snapshot, place) < 0)
        return -1;
    if (look_for_room(snapshot, (Entries *)place->entries, layout, records, place) < 0)
        return -1;
    long long descriptor = integer_of(writer->file, number_name);
    long long behind = integer_of(place->state, behind_name);
    if (descriptor < 0 || descriptor > INT32_MAX || behind < 0)
        return -1;
    place->descriptor = (int)descriptor;
    place->behind = PyLong_FromLongLong(behind + frames);
    return place->behind == NULL ? -1 : 0;
}

/* Completes what is to be noted: the log is longer by `size`, and its last frame has this offset and
   check. */
static int prepare(Place *place, uint64_t size, uint64_t last, uint32_t check) {
    PyObject *offset = PyLong_FromUnsignedLongLong(last);
    PyObject *stored = PyLong_FromUnsignedLong(check);
    place->end = PyLong_FromUnsignedLongLong(place->offset + size);
    if (offset == NULL || stored == NULL || place->end == NULL) {
        Py_XDECREF(offset);
        Py_XDECREF(stored);
        return -1;
    }
    Py_INCREF(place->end);
    PyTuple_SetItem(place->mark, 0, place->end);
    PyTuple_SetItem(place->mark, 1, offset);
    PyTuple_SetItem(place->mark, 2, stored);
    return 0;
}

/* Whether the log still ends with the frame that it ended with: see `Writer.require_own_log`. */
static int is_own_log(const Place *place) {
    uint8_t stored[4];
    if (pread(place->descriptor, stored, sizeof stored, (off_t)place->last) != sizeof stored)
        return 0;
    return load32(stored) == place->prev;
}

/* Lets the list have the records of a block: as `Snapshot.append`, and `Snapshot.extend`. */
static int note(Writer *writer, Place *place, const Block *block, Py_ssize_t frames,
                uint64_t size) {
    Snapshot *snapshot = (Snapshot *)place->snapshot;
    Entries *entries = (Entries *)place->entries;
    const Layout *layout = &block->encoder->layout;
    const uint8_t *arena = (const uint8_t *)PyByteArray_AsString(block->arena);
    Py_ssize_t row_size = entries->row_size;
    if (PyObject_SetAttr(place->log, end_name, place->end) < 0)
        return -1;
    PyObject *old = snapshot->mark;
    snapshot->mark = place->mark;
    place->mark = old;
    uint64_t offset = place->offset;
    for (Py_ssize_t k = 0; k < block->frame_count; k++) {
        uint8_t *row = (uint8_t *)place->rows.buf + row_size * entries->used;
        store_row(row, row_size, offset, arena + block->frames[k].at, layout);
        uint8_t *check = row + (row_size == SHORT_ROW ? 12 : 8);
        uint32_t mix = row_mix((uint64_t)(entries->kept + entries->used)) ^ entries->salt;
        store32(check, load32(check) ^ mix);
        entries->used++;
        offset += block->frames[k].size;
    }
    if (PyObject_SetAttr(place->state, behind_name, place->behind) < 0)
        return -1;
    writer->frames += frames;
    writer->bytes += (Py_ssize_t)size;
    return 0;
}

/* Completes the frames of a block, and writes a commit behind them if they are several. Returns the
   check of the last frame. */
static uint32_t finish_frames(Block *block, const Place *place) {
    const Layout *layout = &block->encoder->layout;
    uint32_t seed = ((Snapshot *)place->snapshot)->seed;
    uint8_t *frames = (uint8_t *)PyByteArray_AsString(block->arena);
    if (block->frame_count == 1)
        return finish_head(frames, layout, RECORD, block->size, place->prev, seed, place->offset);
    uint64_t offset = place->offset;
    uint32_t crc = 0; /* of the checks of all frames */
    for (Py_ssize_t k = 0; k < block->frame_count; k++) {
        uint8_t *head = frames + block->frames[k].at;
        finish_head(head, layout, PENDING, block->frames[k].size, 0, seed, offset);
        crc = crc32(crc, head, 4);
        offset += block->frames[k].size;
    }
    const Layout of_commit = {COMMIT_SIZE, 0};
    uint8_t *commit = frames + block->used;
    store64(commit + 16, place->offset);
    store64(commit + 24, (uint64_t)block->frame_count);
    store32(commit + 32, crc);
    store32(commit + 36, 0);
    return finish_head(commit, &of_commit, COMMIT, COMMIT_SIZE, place->prev, seed, offset);
}

/* Writes the frames of a block. Returns 1 if that is done, 0 if it is left to Python, and -1 with an
   exception. */
static int write_frames(Encoder *encoder, Writer *writer, Block *block, Place *place) {
    Py_ssize_t records = block->frame_count;
    uint64_t commit_size = records > 1 ? COMMIT_SIZE : 0;
    Py_ssize_t frames = records + (records > 1);
    uint64_t size = block->size + commit_size;
    if (block->segment_count > 0 || size > LARGE || is_checkpoint_due(writer, frames, size))
        return 0;
    if (!are_functions_what_they_were(encoder->functions))
        return 0;
    if (make_room(block, (Py_ssize_t)commit_size) < 0)
        return -1;
    if (find_place(writer, &encoder->layout, records, frames, place) < 0)
        return PyErr_Occurred() && !is_left_to_python() ? -1 : 0;
    uint32_t check = finish_frames(block, place);
    uint64_t last = records > 1 ? place->offset + block->size : place->offset;
    if (prepare(place, size, last, check) < 0)
        return -1;
    if (!is_own_log(place))
        return 0;
    writer->is_log_durable = 0;
    const uint8_t *data = (const uint8_t *)PyByteArray_AsString(block->arena);
    ssize_t written = pwrite(place->descriptor, data, (size_t)size, (off_t)place->offset);
    if (written < 0) /* Python tries it again, and says what is wrong */
        return 0;
    writer->is_interrupted = 1;
    if ((uint64_t)written < size)
        return 0;
    if (note(writer, place, block, frames, size) < 0)
        return -1;
    writer->is_interrupted = 0;
    return 1;
}

/* Encoder.write(writer, block): writes the records of a block, if that is usual.

   Returns False if it is left to Python; then the block is what it was. */
PyObject *write_block(Encoder *encoder, PyObject *const *arguments, Py_ssize_t given) {
    if (expect(given, 2, "write") < 0)
        return NULL;
    Block *block = block_of(arguments[1]);
    if (!PyObject_TypeCheck(arguments[0], writer_type) || block == NULL ||
        block->encoder != encoder) {
        PyErr_SetString(PyExc_TypeError, "write takes a writer and a block of this encoder");
        return NULL;
    }
    int done = 0;
    if (!block->is_busy && !block->is_finished && block->frame_count > 0) {
        Place place;
        memset(&place, 0, sizeof place);
        block->is_busy = 1;
        done = write_frames(encoder, (Writer *)arguments[0], block, &place);
        block->is_busy = 0;
        leave(&place);
        block->is_finished = done != 0;
    }
    return done < 0 ? NULL : PyBool_FromLong(done);
}

/* The block that appends share. A sample may be appended by code that encoding another one calls: then
   that one gets a new block. */
static Block *take_scratch(Encoder *encoder) {
    Block *block = encoder->scratch;
    if (block == NULL)
        return new_block(encoder);
    encoder->scratch = NULL;
    block->is_scratch = 0;
    Py_INCREF((PyObject *)encoder);
    return block;
}

static void keep_scratch(Encoder *encoder, Block *block) {
    if (encoder->scratch != NULL) {
        Py_DECREF((PyObject *)block);
        return;
    }
    encoder->scratch = block;
    block->is_scratch = 1;
    Py_DECREF((PyObject *)encoder);
}

/* Encoder.append(writer, sample)

   Returns None if the sample is written; else a block that has it encoded, or False if it is left to
   Python to encode it. */
PyObject *append_sample(Encoder *encoder, PyObject *const *arguments, Py_ssize_t given) {
    if (expect(given, 2, "append") < 0)
        return NULL;
    if (!PyObject_TypeCheck(arguments[0], writer_type)) {
        PyErr_SetString(PyExc_TypeError, "append takes a writer");
        return NULL;
    }
    Block *block = take_scratch(encoder);
    if (block == NULL)
        return NULL;
    int state = encode_sample(block, arguments[1]);
    int done = 0;
    if (state == 0) {
        Place place;
        memset(&place, 0, sizeof place);
        done = write_frames(encoder, (Writer *)arguments[0], block, &place);
        leave(&place);
        if (done == 0)
            return (PyObject *)block;
        empty_block(block);
    }
    keep_scratch(encoder, block);
    if (state < 0 || done < 0)
        return NULL;
    PyObject *answer = state == 0 ? Py_None : Py_False;
    Py_INCREF(answer);
    return answer;
}

/* The classes. */

static int gate_traverse(Gate *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->holder);
    Py_VISIT(self->after);
    return 0;
}

static int gate_clear(Gate *self) {
    Py_CLEAR(self->holder);
    Py_CLEAR(self->after);
    return 0;
}

static void gate_dealloc(Gate *self) {
    PyObject_GC_UnTrack(self);
    gate_clear(self);
    free_object((PyObject *)self);
}

static PyMemberDef gate_members[] = {
    {"_holder", T_OBJECT_EX, offsetof(Gate, holder), 0, NULL},
    {"after", T_OBJECT_EX, offsetof(Gate, after), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static int writer_traverse(Writer *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->gate);
    Py_VISIT(self->state);
    Py_VISIT(self->file);
    Py_VISIT(self->why_stopped);
    return 0;
}

static int writer_clear(Writer *self) {
    Py_CLEAR(self->gate);
    Py_CLEAR(self->state);
    Py_CLEAR(self->file);
    Py_CLEAR(self->why_stopped);
    return 0;
}

static void writer_dealloc(Writer *self) {
    PyObject_GC_UnTrack(self);
    writer_clear(self);
    free_object((PyObject *)self);
}

static PyMemberDef writer_members[] = {
    {"gate", T_OBJECT_EX, offsetof(Writer, gate), 0, NULL},
    {"state", T_OBJECT_EX, offsetof(Writer, state), 0, NULL},
    {"_file", T_OBJECT_EX, offsetof(Writer, file), 0, NULL},
    {"_why_stopped", T_OBJECT_EX, offsetof(Writer, why_stopped), 0, NULL},
    {"_interrupted", T_BOOL, offsetof(Writer, is_interrupted), 0, NULL},
    {"_is_log_durable", T_BOOL, offsetof(Writer, is_log_durable), 0, NULL},
    {"_checkpoints", T_BOOL, offsetof(Writer, makes_checkpoints), 0, NULL},
    {"_unpublished_frames", T_PYSSIZET, offsetof(Writer, frames), 0, NULL},
    {"_unpublished_bytes", T_PYSSIZET, offsetof(Writer, bytes), 0, NULL},
    {"_most_unpublished_frames", T_PYSSIZET, offsetof(Writer, most_frames), 0, NULL},
    {"_most_unpublished_bytes", T_PYSSIZET, offsetof(Writer, most_bytes), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

TYPE(Gate, gate, "Whether a change is under way.")
TYPE(Writer, writer, "What each append asks of a writer.")

int add_writer_types(PyObject *module) {
    snapshot_name = PyUnicode_InternFromString("snapshot");
    behind_name = PyUnicode_InternFromString("frames_behind");
    number_name = PyUnicode_InternFromString("number");
    end_name = PyUnicode_InternFromString("end");
    words_name = PyUnicode_InternFromString("words");
    if (snapshot_name == NULL || behind_name == NULL || number_name == NULL || end_name == NULL ||
        words_name == NULL)
        return -1;
    gate_type = add_type(module, &gate_spec);
    writer_type = add_type(module, &writer_spec);
    return gate_type && writer_type ? 0 : -1;
}
