/* Many records at once: their numbers into columns, their heads side by side, their payloads copied
   or made into values. What C does not do by itself it does not do at all: the answer is then which
   record was in the way, and Python reads the batch, all of it, in its own way. */

#include "native.h"

#if defined(__linux__)
#include <sys/uio.h>
#endif

#define NOT_ASKED (-1) /* whether the log is in memory */
#define ASK_MAPPING (-2)
#define NOT_READY (-2) /* the answer where Python is to let the system read the records first */
#define MANY_READY 32  /* calls that found their records in memory */
#define ALL_KNOWN (-3) /* the answer where nothing is left to be verified */

static inline Py_ssize_t position_at(const Positions *positions, Py_ssize_t k) {
    if (positions->array != NULL)
        return (Py_ssize_t)positions->array[k];
    /* Without a sign, as nobody says that the last one fits. */
    return (Py_ssize_t)((size_t)positions->start + (size_t)k * (size_t)positions->step);
}

/* Takes (array or None, start, step, count). */
static int take_positions(PyObject *const *arguments, Positions *positions) {
    positions->array = NULL;
    positions->buffer.obj = NULL;
    positions->start = PyLong_AsSsize_t(arguments[1]);
    positions->step = PyLong_AsSsize_t(arguments[2]);
    positions->count = PyLong_AsSsize_t(arguments[3]);
    if (PyErr_Occurred())
        return -1;
    if (arguments[0] == Py_None)
        return 0;
    if (get_items(arguments[0], &positions->buffer, 0, 8, positions->count) < 0)
        return -1;
    positions->array = positions->buffer.buf;
    return 0;
}

static void give_back(Positions *positions) {
    if (positions->array != NULL)
        PyBuffer_Release(&positions->buffer);
}

/* Finds and verifies the heads of some records, AHEAD at most, from number `first` on. The lock is
   held, so nothing moves meanwhile. The log ends at `end`, which need not be mapped that far where
   heads are in the rows. Returns how many are right before the first that is not. */
static inline Py_ssize_t find_some(Snapshot *snapshot, const Layout *layout,
                                   const Positions *positions, Py_ssize_t first, Py_ssize_t count,
                                   int may_be_revision, uint64_t end, Record *records) {
    const Entries *entries = (const Entries *)snapshot->entries;
    const uint8_t *rows = entries->rows.buffer.buf;
    const uint8_t *log = snapshot->log.buffer.buf;
    uint64_t length = (uint64_t)snapshot->log.buffer.len;
    int in_log = entries->row_size == SHORT_ROW;
    Py_ssize_t row_count = 0;
    if (entries->row_size > 0)
        row_count = entries->rows.buffer.len / entries->row_size;
    for (Py_ssize_t k = 0; k < count; k++) {
        Py_ssize_t i = position_at(positions, first + k);
        if (i >= 0 && i < row_count)
            __builtin_prefetch(rows + entries->row_size * i);
        if (in_log)
            guess_record(snapshot, layout, i);
    }
    for (Py_ssize_t k = 0; k < count; k++) {
        if (find_record(snapshot, layout, position_at(positions, first + k), &records[k]) < 0) {
            count = k; /* of those before it the heads are still to be looked at */
            break;
        }
        if (records[k].offset < length)
            __builtin_prefetch(log + records[k].offset);
    }
    /* All checksums first: so the processor works at several of them at once. */
    uint32_t checksums[AHEAD];
    if (snapshot->mode == VERIFY || snapshot->mode == VERIFY_ALL)
        for (Py_ssize_t k = 0; k < count; k++)
            if (!(records[k].known & HEAD_PART) || snapshot->mode == VERIFY_ALL)
                checksums[k] = head_checksum(snapshot, layout, records[k].head);
    for (Py_ssize_t k = 0; k < count; k++) {
        Py_ssize_t i = position_at(positions, first + k);
        int is_known = (records[k].known & HEAD_PART) != 0 && snapshot->mode != VERIFY_ALL;
        if (!is_known) {
            if (snapshot->mode < VERIFY ||
                !is_head_with(snapshot, layout, i, &records[k], end, &checksums[k]))
                return k;
        } else if (!may_be_revision) {
            int kind = kind_of_word(load64(records[k].head + 8));
            if (kind != RECORD && kind != PENDING)
                return k;
        }
    }
    return count;
}

Py_ssize_t find_heads(Snapshot *snapshot, const Layout *layout, const Positions *positions,
                      Py_ssize_t first, Py_ssize_t count, uint64_t end, Record *records) {
    return find_some(snapshot, layout, positions, first, count, 1, end, records);
}

/* Remembers that the heads of these records are verified. Returns how many that was noted of. */
Py_ssize_t remember_heads(Snapshot *snapshot, const Positions *positions, Py_ssize_t first,
                          Py_ssize_t count, const Record *records) {
    if (open_windows(snapshot) < 0)
        return 0;
    for (Py_ssize_t k = 0; k < count; k++)
        if (!(records[k].known & HEAD_PART) &&
            remember(snapshot, position_at(positions, first + k), HEAD_PART) < 0)
            return k;
    return count;
}

/* A column of numbers: where it is in a head, and to where it goes. */
typedef struct {
    Py_ssize_t at;
    Py_ssize_t width;
    Py_buffer buffer;
} Column;

static void copy_column(const Column *column, const Record *records, Py_ssize_t first,
                        Py_ssize_t count) {
    Py_ssize_t at = column->at;
    uint8_t *to = (uint8_t *)column->buffer.buf + column->width * first;
    switch (column->width) { /* each of its own, so that a compiler knows how many bytes it copies */
    case 1:
        for (Py_ssize_t k = 0; k < count; k++)
            to[k] = records[k].head[at];
        break;
    case 2:
        for (Py_ssize_t k = 0; k < count; k++)
            memcpy(to + 2 * k, records[k].head + at, 2);
        break;
    case 4:
        for (Py_ssize_t k = 0; k < count; k++)
            memcpy(to + 4 * k, records[k].head + at, 4);
        break;
    case 8:
        for (Py_ssize_t k = 0; k < count; k++)
            memcpy(to + 8 * k, records[k].head + at, 8);
        break;
    default:
        for (Py_ssize_t k = 0; k < count; k++)
            memcpy(to + column->width * k, records[k].head + at, (size_t)column->width);
    }
}

static void release_columns(Column *columns, Py_ssize_t count) {
    for (Py_ssize_t k = 0; k < count; k++)
        PyBuffer_Release(&columns[k].buffer);
    PyMem_Free(columns);
}

/* Takes a tuple of (offset in a head, width, array). */
static Column *take_columns(PyObject *given, const Layout *layout, Py_ssize_t records) {
    if (!PyTuple_Check(given)) {
        PyErr_SetString(PyExc_TypeError, "columns are a tuple");
        return NULL;
    }
    Py_ssize_t count = PyTuple_Size(given);
    Column *columns = PyMem_Calloc((size_t)count + 1, sizeof(Column));
    if (columns == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t k = 0; k < count; k++) {
        Column *column = &columns[k];
        PyObject *array;
        PyObject *of_column = PyTuple_GetItem(given, k);
        int is_right = PyTuple_Check(of_column);
        if (!is_right)
            PyErr_SetString(PyExc_TypeError, "a column is a tuple");
        else
            is_right = PyArg_ParseTuple(of_column, "nnO", &column->at, &column->width, &array);
        if (is_right && (column->at < 0 || column->width < 1 || column->width > layout->head_size ||
                         column->at > layout->head_size - column->width)) {
            PyErr_SetString(PyExc_ValueError, "a column outside of the head");
            is_right = 0;
        }
        if (!is_right || get_items(array, &column->buffer, 1, column->width, records) < 0) {
            release_columns(columns, k);
            return NULL;
        }
    }
    return columns;
}

static int take_layout(PyObject *const *arguments, Layout *layout) {
    layout->head_size = PyLong_AsSsize_t(arguments[0]);
    layout->payload_count = PyLong_AsSsize_t(arguments[1]);
    if (PyErr_Occurred())
        return -1;
    if (layout->payload_count < 0 || layout->payload_count > 4096 ||
        layout->head_size < 16 + 12 * layout->payload_count) {
        PyErr_SetString(PyExc_ValueError, "no layout of a head");
        return -1;
    }
    return 0;
}

/* Which list to read from; NULL if C is not to read from it. */
static Snapshot *readable(PyObject *object, PyObject *schema) {
    Snapshot *snapshot = snapshot_of(object);
    if (snapshot == NULL || snapshot->schema != schema || snapshot->mode == NOTHING ||
        open_windows(snapshot) < 0)
        return NULL;
    return snapshot;
}

/* Whether a page of the log is in memory: as its mapping is told, or else its descriptor. */
static int is_in_memory(const Snapshot *snapshot, int file, uint64_t offset) {
    if (file == ASK_MAPPING)
        return offset < (uint64_t)snapshot->log.buffer.len &&
               is_page_in_memory((const uint8_t *)snapshot->log.buffer.buf + offset);
#if defined(__linux__) && defined(RWF_NOWAIT)
    char byte;
    struct iovec to = {&byte, 1};
    return offset <= INT64_MAX && preadv2(file, &to, 1, (off_t)offset, RWF_NOWAIT) >= 0;
#else
    return 0;
#endif
}

/* Whether some records, in the log, seem to be in memory: two are looked at, as
   `LocalStorage.seems_ready` does. A record that cannot be found is none that is waited for. Where all
   calls of late found theirs, only every fourth looks: it costs as much as thirty records. */
static int seem_ready(Snapshot *snapshot, const Layout *layout, const Positions *positions,
                      int file) {
    Py_ssize_t count = positions->count;
    if (file == NOT_ASKED || count < 2)
        return 1;
    if (snapshot->ready_calls++ > MANY_READY && snapshot->ready_calls % 4)
        return 1;
    Py_ssize_t numbers[2] = {count / 3, count - 1};
    for (int k = 0; k < 2; k++) {
        Record record;
        if (find_record(snapshot, layout, position_at(positions, numbers[k]), &record) == 0 &&
            !is_in_memory(snapshot, file, record.offset)) {
            snapshot->ready_calls = 0;
            return 0;
        }
    }
    return 1;
}

/* gather_numbers(snapshot, schema, head_size, payload_count, positions, start, step, count, columns,
                  end, file)

   Unless `file` is NOT_ASKED, nothing is read of the log that does not seem to be in memory: its
   mapping is asked if it is ASK_MAPPING, else it is the log's descriptor. Returns -1, or the number
   of the first record that is not for C, or NOT_READY. */
PyObject *gather_numbers(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    Layout layout;
    Positions positions;
    if (expect(count, 11, "gather_numbers") < 0 || take_layout(arguments + 2, &layout) < 0)
        return NULL;
    uint64_t end = PyLong_AsUnsignedLongLong(arguments[9]);
    if (PyErr_Occurred())
        return NULL;
    int file = (int)PyLong_AsLong(arguments[10]);
    if (PyErr_Occurred() || take_positions(arguments + 4, &positions) < 0)
        return NULL;
    Column *columns = take_columns(arguments[8], &layout, positions.count);
    if (columns == NULL) {
        give_back(&positions);
        return NULL;
    }
    Py_ssize_t column_count = PyTuple_Size(arguments[8]);
    Py_ssize_t stopped = 0;
    Snapshot *snapshot = readable(arguments[0], arguments[1]);
    if (snapshot != NULL) {
        if (((Entries *)snapshot->entries)->row_size != SHORT_ROW)
            file = NOT_ASKED; /* as numbers are in the rows */
        stopped = seem_ready(snapshot, &layout, &positions, file) ? -1 : NOT_READY;
    }
    for (Py_ssize_t first = 0; stopped == -1 && first < positions.count; first += AHEAD) {
        Record records[AHEAD];
        Py_ssize_t some = positions.count - first < AHEAD ? positions.count - first : AHEAD;
        Py_ssize_t right = find_some(snapshot, &layout, &positions, first, some, 1, end, records);
        if (right < some) {
            stopped = first + right;
            break;
        }
        for (Py_ssize_t k = 0; k < column_count; k++)
            copy_column(&columns[k], records, first, some);
        right = remember_heads(snapshot, &positions, first, some, records);
        if (right < some)
            stopped = first + right;
    }
    release_columns(columns, column_count);
    give_back(&positions);
    return PyLong_FromSsize_t(stopped);
}

/* gather_heads(snapshot, schema, head_size, payload_count, positions, start, step, count, heads,
                offsets, payloads, starts, end, file, need)

   Copies the heads of records, none of which is a revision, the offsets of their frames, and where
   their first payloads begin. That they are verified is not remembered: that is done with the
   payloads. Returns as `gather_numbers`, or ALL_KNOWN in the place of -1 if the parts `need` of all
   records are known to be right. */
PyObject *gather_heads(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    Layout layout;
    Positions positions;
    if (expect(count, 15, "gather_heads") < 0 || take_layout(arguments + 2, &layout) < 0)
        return NULL;
    Py_ssize_t payloads = PyLong_AsSsize_t(arguments[10]);
    if (payloads < 0 || payloads > layout.payload_count) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "more payloads than there are");
        return NULL;
    }
    uint64_t end = PyLong_AsUnsignedLongLong(arguments[12]);
    if (PyErr_Occurred())
        return NULL;
    int file = (int)PyLong_AsLong(arguments[13]);
    uint64_t need = PyLong_AsUnsignedLongLongMask(arguments[14]);
    if (PyErr_Occurred() || take_positions(arguments + 4, &positions) < 0)
        return NULL;
    uint64_t known = need;
    Py_buffer heads;
    Py_buffer offsets;
    Py_buffer starts;
    Py_ssize_t head_size = layout.head_size;
    PyObject *answer = NULL;
    if (get_items(arguments[8], &heads, 1, head_size, positions.count) < 0)
        goto without_heads;
    if (get_items(arguments[9], &offsets, 1, 8, positions.count) < 0)
        goto without_offsets;
    if (get_items(arguments[11], &starts, 1, 8 * (payloads ? payloads : 1),
                  payloads ? positions.count : 0) < 0)
        goto without_starts;
    Py_ssize_t stopped = 0;
    Snapshot *snapshot = readable(arguments[0], arguments[1]);
    if (snapshot != NULL)
        stopped = seem_ready(snapshot, &layout, &positions, file) ? -1 : NOT_READY;
    if (snapshot != NULL && snapshot->mode == VERIFY_ALL)
        known = 0;
    for (Py_ssize_t first = 0; stopped == -1 && first < positions.count; first += AHEAD) {
        Record records[AHEAD];
        Py_ssize_t some = positions.count - first < AHEAD ? positions.count - first : AHEAD;
        Py_ssize_t right = find_some(snapshot, &layout, &positions, first, some, 0, end, records);
        if (right < some)
            stopped = first + right;
        for (Py_ssize_t k = 0; k < right; k++) {
            uint8_t *head = (uint8_t *)heads.buf + head_size * (first + k);
            uint64_t start = records[k].offset + (uint64_t)head_size;
            memcpy(head, records[k].head, (size_t)head_size);
            known &= records[k].known;
            store64((uint8_t *)offsets.buf + 8 * (first + k), records[k].offset);
            for (Py_ssize_t n = 0; n < payloads; n++) {
                uint64_t size = load64(head + 16 + 8 * n);
                store64((uint8_t *)starts.buf + 8 * (payloads * (first + k) + n), start);
                if (size != NONE_SIZE)
                    start += (size + 7) & ~(uint64_t)7;
            }
        }
    }
    answer = PyLong_FromSsize_t(stopped == -1 && known == need ? ALL_KNOWN : stopped);
    PyBuffer_Release(&starts);
without_starts:
    PyBuffer_Release(&offsets);
without_offsets:
    PyBuffer_Release(&heads);
without_heads:
    give_back(&positions);
    return answer;
}

/* Arrays of what is known of the payloads of one field. */
typedef struct {
    Py_buffer data;
    Py_buffer starts;    /* uint64 */
    Py_buffer sizes;     /* uint64; without an object where all have one size */
    Py_buffer checksums; /* uint32; without an object where nothing is to be verified */
    Py_buffer lacking;   /* bool: which are to be verified */
    Py_ssize_t count;
    uint64_t size;
} Payloads;

static int take_optional(PyObject *object, Py_buffer *buffer, Py_ssize_t width, Py_ssize_t count) {
    buffer->obj = NULL;
    buffer->buf = NULL;
    if (object == Py_None)
        return 0;
    return get_items(object, buffer, 0, width, count);
}

static void release_payloads(Payloads *payloads) {
    if (payloads->lacking.obj != NULL)
        PyBuffer_Release(&payloads->lacking);
    if (payloads->checksums.obj != NULL)
        PyBuffer_Release(&payloads->checksums);
    if (payloads->sizes.obj != NULL)
        PyBuffer_Release(&payloads->sizes);
    if (payloads->starts.obj != NULL)
        PyBuffer_Release(&payloads->starts);
    if (payloads->data.obj != NULL)
        PyBuffer_Release(&payloads->data);
}

/* Takes (data, count, starts, sizes or the size of all, checksums or None, lacking or None). */
static int take_payloads(PyObject *const *arguments, Payloads *payloads) {
    memset(payloads, 0, sizeof *payloads);
    payloads->count = PyLong_AsSsize_t(arguments[1]);
    if (payloads->count == -1 && PyErr_Occurred())
        return -1;
    Py_ssize_t count = payloads->count;
    PyObject *sizes = arguments[3];
    if (PyLong_Check(sizes)) {
        payloads->size = PyLong_AsUnsignedLongLong(sizes);
        if (PyErr_Occurred())
            return -1;
        sizes = Py_None;
    }
    if (get_buffer(arguments[0], &payloads->data, 0) < 0) {
        payloads->data.obj = NULL;
        return -1;
    }
    if (get_items(arguments[2], &payloads->starts, 0, 8, count) < 0) {
        payloads->starts.obj = NULL;
        release_payloads(payloads);
        return -1;
    }
    if (take_optional(sizes, &payloads->sizes, 8, count) < 0 ||
        take_optional(arguments[4], &payloads->checksums, 4, count) < 0 ||
        take_optional(arguments[5], &payloads->lacking, 1, count) < 0) {
        release_payloads(payloads);
        return -1;
    }
    return 0;
}

/* Whether a payload lies in the log. */
static inline int is_inside(const Payloads *payloads, uint64_t start, uint64_t size) {
    uint64_t length = (uint64_t)payloads->data.len;
    return start <= length && size <= length - start;
}

static inline int is_to_verify(const Payloads *payloads, Py_ssize_t k) {
    const uint8_t *lacking = payloads->lacking.buf;
    return payloads->checksums.buf != NULL && (lacking == NULL || lacking[k]);
}

static inline uint32_t stored_checksum(const Payloads *payloads, Py_ssize_t k) {
    return load32((const uint8_t *)payloads->checksums.buf + 4 * k);
}

static inline int is_right(const Payloads *payloads, Py_ssize_t k, const uint8_t *from,
                           uint64_t size) {
    return !is_to_verify(payloads, k) ||
           crc32(0, from, (size_t)size) == stored_checksum(payloads, k);
}

/* Copies a payload. Returns whether it is right, of which what was copied is looked at. */
static inline int copy_right(const Payloads *payloads, Py_ssize_t k, uint8_t *to,
                             const uint8_t *from, size_t size) {
    if (is_to_verify(payloads, k))
        return copy_crc32(to, from, size) == stored_checksum(payloads, k);
    memcpy(to, from, size);
    return 1;
}

/* Bytes of their own; NULL, without an exception, if they are not right. Other threads run meanwhile
   if they are many. */
static PyObject *right_bytes(const Payloads *payloads, Py_ssize_t k, const uint8_t *from,
                             size_t size) {
    PyObject *copy = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (copy == NULL)
        return NULL;
    uint8_t *to = (uint8_t *)PyBytes_AsString(copy);
    PyThreadState *state = size < LARGE ? NULL : PyEval_SaveThread();
    int right = copy_right(payloads, k, to, from, size);
    if (state != NULL)
        PyEval_RestoreThread(state);
    if (!right)
        Py_CLEAR(copy);
    return copy;
}

/* copy_payloads(data, count, starts, size, checksums, lacking, target)

   Returns the number of the first payload whose checksum is wrong, or -1; -2 if one does not lie in
   the log. */
PyObject *copy_payloads(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    Payloads payloads;
    Py_buffer target;
    if (expect(count, 7, "copy_payloads") < 0 || take_payloads(arguments, &payloads) < 0)
        return NULL;
    if (payloads.size > PY_SSIZE_T_MAX || payloads.sizes.buf != NULL) {
        PyErr_SetString(PyExc_ValueError, "one size of all payloads is expected");
        release_payloads(&payloads);
        return NULL;
    }
    size_t size = (size_t)payloads.size;
    Py_ssize_t width = size ? (Py_ssize_t)size : 1;
    if (get_items(arguments[6], &target, 1, width, size ? payloads.count : 0) < 0) {
        release_payloads(&payloads);
        return NULL;
    }
    const uint8_t *starts = payloads.starts.buf;
    const uint8_t *data = payloads.data.buf;
    uint8_t *to = target.buf;
    Py_ssize_t wrong = -1;
    PyThreadState *state = NULL;
    if (payloads.count && size > LARGE / (size_t)payloads.count)
        state = PyEval_SaveThread();
    for (Py_ssize_t k = 0; k < payloads.count; k++) {
        uint64_t start = load64(starts + 8 * k);
        if (!is_inside(&payloads, start, size)) {
            wrong = -2;
            break;
        }
        if (!copy_right(&payloads, k, to, data + start, size)) {
            wrong = k;
            break;
        }
        to += size;
    }
    if (state != NULL)
        PyEval_RestoreThread(state);
    PyBuffer_Release(&target);
    release_payloads(&payloads);
    return PyLong_FromSsize_t(wrong);
}

/* load_payloads(data, count, starts, sizes, checksums, lacking, is_text, may_be_none)

   Returns a list of strings or bytes, or the number of the first payload that is not for C. */
PyObject *load_payloads(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    Payloads payloads;
    if (expect(count, 8, "load_payloads") < 0)
        return NULL;
    int is_text = PyObject_IsTrue(arguments[6]);
    int may_be_none = PyObject_IsTrue(arguments[7]);
    if (is_text < 0 || may_be_none < 0 || take_payloads(arguments, &payloads) < 0)
        return NULL;
    PyObject *values = PyList_New(payloads.count);
    const uint8_t *data = payloads.data.buf;
    for (Py_ssize_t k = 0; values != NULL && k < payloads.count; k++) {
        uint64_t start = load64((const uint8_t *)payloads.starts.buf + 8 * k);
        uint64_t size = payloads.size;
        if (payloads.sizes.buf != NULL)
            size = load64((const uint8_t *)payloads.sizes.buf + 8 * k);
        PyObject *value = NULL;
        if (size == NONE_SIZE) {
            if (may_be_none) {
                Py_INCREF(Py_None);
                value = Py_None;
            }
        } else if (is_inside(&payloads, start, size)) {
            const uint8_t *from = data + start;
            if (!is_text)
                value = right_bytes(&payloads, k, from, (size_t)size);
            else if (is_right(&payloads, k, from, size))
                value = PyUnicode_DecodeUTF8((const char *)from, (Py_ssize_t)size, NULL);
        }
        if (value == NULL) {
            Py_CLEAR(values);
            if (!PyErr_Occurred() || is_left_to_python()) {
                release_payloads(&payloads);
                return PyLong_FromSsize_t(k);
            }
        } else {
            PyList_SetItem(values, k, value);
        }
    }
    release_payloads(&payloads);
    return values;
}
