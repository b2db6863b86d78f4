/* Frames of the log: their checks, and walking from one to the next. */

#include "native.h"

/* frame_checks(heads, count, itemsize, first, offsets, seed, out)

   What the checks of heads must be: of each item of `itemsize` bytes, from byte `first` on. */
PyObject *frame_checks(PyObject *module, PyObject *const *arguments, Py_ssize_t given) {
    (void)module;
    if (expect(given, 7, "frame_checks") < 0)
        return NULL;
    Py_ssize_t count = PyLong_AsSsize_t(arguments[1]);
    Py_ssize_t width = PyLong_AsSsize_t(arguments[2]);
    Py_ssize_t first = PyLong_AsSsize_t(arguments[3]);
    uint32_t seed = (uint32_t)PyLong_AsUnsignedLongMask(arguments[5]);
    if (PyErr_Occurred())
        return NULL;
    Py_buffer heads;
    Py_buffer offsets;
    Py_buffer out;
    if (get_items(arguments[0], &heads, 0, width, count) < 0)
        return NULL;
    if (get_items(arguments[4], &offsets, 0, 8, count) < 0) {
        PyBuffer_Release(&heads);
        return NULL;
    }
    int fails = first < 0 || first > width;
    if (fails)
        PyErr_SetString(PyExc_ValueError, "heads that begin behind their end");
    if (fails || get_items(arguments[6], &out, 1, 4, count) < 0) {
        PyBuffer_Release(&offsets);
        PyBuffer_Release(&heads);
        return NULL;
    }
    PyThreadState *state = heads.len > (Py_ssize_t)LARGE ? PyEval_SaveThread() : NULL;
    const uint8_t *head = (const uint8_t *)heads.buf + first;
    for (Py_ssize_t k = 0; k < count; k++, head += width) {
        uint32_t crc = crc32(seed, head, (size_t)(width - first));
        uint32_t mix = offset_mix(load64((const uint8_t *)offsets.buf + 8 * k));
        store32((uint8_t *)out.buf + 4 * k, crc ^ mix);
    }
    if (state != NULL)
        PyEval_RestoreThread(state);
    PyBuffer_Release(&out);
    PyBuffer_Release(&offsets);
    PyBuffer_Release(&heads);
    Py_INCREF(Py_None);
    return Py_None;
}

/* What a walk knows of the log that it goes through. */
typedef struct {
    const uint8_t *data; /* a part of it */
    uint64_t length;     /* of that */
    uint64_t base;       /* its offset in the log */
    uint64_t stop;       /* where the last frame must end, in the log */
    Layout layout;
    uint32_t seed;
    int kind;
    long depth; /* what is looked at: the heads; 1: and the payloads; 2: and the zeros behind these */
} Walk;

static int has_right_payloads(const Walk *walk, const uint8_t *head, uint64_t at) {
    const uint8_t *checksums = head + 16 + 8 * walk->layout.payload_count;
    uint64_t start = at + (uint64_t)walk->layout.head_size;
    for (Py_ssize_t k = 0; k < walk->layout.payload_count; k++) {
        uint64_t size = load64(head + 16 + 8 * k);
        if (size == NONE_SIZE)
            continue;
        if (crc32(0, walk->data + start, (size_t)size) != load32(checksums + 4 * k))
            return 0;
        uint64_t end = start + size;
        start += (size + 7) & ~(uint64_t)7;
        for (; walk->depth > 1 && end < start; end++)
            if (walk->data[end] != 0)
                return 0;
    }
    return 1;
}

/* The size of the frame at an offset within the data; 0 if it is not right, of another kind, or not
   all there that is to be looked at. */
static uint64_t size_of_right_frame(const Walk *walk, uint64_t at, uint32_t prev) {
    uint64_t head_size = (uint64_t)walk->layout.head_size;
    if (at > walk->length || head_size > walk->length - at)
        return 0;
    const uint8_t *head = walk->data + at;
    uint64_t word = load64(head + 8);
    uint64_t size = size_of_word(word);
    if (kind_of_word(word) != walk->kind ||
        size != extent(head + 16, walk->layout.payload_count, head_size))
        return 0;
    uint64_t offset = walk->base + at;
    if (offset > walk->stop || size > walk->stop - offset || load32(head + 4) != prev)
        return 0;
    uint32_t crc = crc32(walk->seed, head + 4, (size_t)head_size - 4) ^ offset_mix(offset);
    if (crc != load32(head))
        return 0;
    if (walk->depth > 0) {
        /* `size` is that of head and payloads, so each of them lies in the frame. */
        if (size > walk->length - at || !has_right_payloads(walk, head, at))
            return 0;
    }
    return size;
}

/* The row of a frame, mixed with nothing: `Entries` knows both forms. */
void store_row(uint8_t *row, Py_ssize_t width, uint64_t offset, const uint8_t *head,
               const Layout *layout) {
    store64(row, offset);
    if (width == SHORT_ROW) {
        uint64_t eighths = size_of_word(load64(head + 8)) >> 3;
        store32(row + 8, eighths < UNKNOWN_SIZE ? (uint32_t)eighths : UNKNOWN_SIZE);
        store32(row + 12, load32(head));
    } else {
        memcpy(row + 8, head, (size_t)layout->head_size);
    }
}

/* walk(data, base, offset, stop, kind, prev, seed, head_size, payload_count, depth, rows, width)

   Walks over frames of records of one kind, as long as they verify and lie in `data`, and makes
   their rows. Returns (how many, offset of the next, offset of the last, check of the last). */
PyObject *walk(PyObject *module, PyObject *const *arguments, Py_ssize_t given) {
    (void)module;
    Walk walk;
    if (expect(given, 12, "walk") < 0)
        return NULL;
    walk.base = PyLong_AsUnsignedLongLong(arguments[1]);
    if (PyErr_Occurred())
        return NULL;
    uint64_t offset = PyLong_AsUnsignedLongLong(arguments[2]);
    if (PyErr_Occurred())
        return NULL;
    walk.stop = PyLong_AsUnsignedLongLong(arguments[3]);
    if (PyErr_Occurred())
        return NULL;
    walk.kind = (int)PyLong_AsLong(arguments[4]);
    uint32_t prev = (uint32_t)PyLong_AsUnsignedLongMask(arguments[5]);
    walk.seed = (uint32_t)PyLong_AsUnsignedLongMask(arguments[6]);
    walk.layout.head_size = PyLong_AsSsize_t(arguments[7]);
    walk.layout.payload_count = PyLong_AsSsize_t(arguments[8]);
    walk.depth = PyLong_AsLong(arguments[9]);
    Py_ssize_t width = PyLong_AsSsize_t(arguments[11]);
    if (PyErr_Occurred())
        return NULL;
    if (walk.layout.payload_count < 0 || walk.layout.payload_count > 4096 ||
        walk.layout.head_size < 16 + 12 * walk.layout.payload_count || offset < walk.base ||
        (width != SHORT_ROW && width != 8 + walk.layout.head_size)) {
        PyErr_SetString(PyExc_ValueError, "no such walk");
        return NULL;
    }
    Py_buffer data;
    Py_buffer rows;
    if (get_buffer(arguments[0], &data, 0) < 0)
        return NULL;
    if (get_items(arguments[10], &rows, 1, width, 0) < 0) {
        PyBuffer_Release(&data);
        return NULL;
    }
    walk.data = data.buf;
    walk.length = (uint64_t)data.len;
    Py_ssize_t room = rows.len / width;
    Py_ssize_t count = 0;
    uint64_t at = offset - walk.base;
    uint64_t last = at;
    /* Pending frames name nobody. */
    uint32_t expected = walk.kind == RECORD ? prev : 0;
    uint32_t check = prev;
    PyThreadState *state = PyEval_SaveThread();
    while (count < room) {
        uint64_t size = size_of_right_frame(&walk, at, expected);
        if (size == 0)
            break;
        const uint8_t *head = walk.data + at;
        store_row((uint8_t *)rows.buf + width * count, width, walk.base + at, head, &walk.layout);
        check = load32(head);
        if (walk.kind == RECORD)
            expected = check;
        last = at;
        at += size;
        count++;
    }
    PyEval_RestoreThread(state);
    PyBuffer_Release(&rows);
    PyBuffer_Release(&data);
    return Py_BuildValue("nKKI", count, (unsigned long long)(walk.base + at),
                         (unsigned long long)(walk.base + last), (unsigned int)check);
}
