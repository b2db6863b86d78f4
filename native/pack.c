/* Packing the frames of records, one behind the other, as `Frames.record` packs each.

   Only payloads that are `bytes` and not large are packed: large ones are better written from where
   they are than copied. */

#include "native.h"

/* What all frames of a call share. */
typedef struct {
    Layout layout;
    PyObject *pack; /* packs the numbers of a head: what stands behind the checksums */
    uint32_t seed;
    int kind;
    Py_ssize_t width; /* of a row */
} Packing;

/* Of one record: (numbers, payloads). Both are borrowed. Returns -1 if it is anything else. */
static int take_record(const Packing *packing, PyObject *record, PyObject **numbers,
                       PyObject **payloads) {
    if (!PyTuple_Check(record) || PyTuple_Size(record) != 2)
        return -1;
    *numbers = PyTuple_GetItem(record, 0);
    *payloads = PyTuple_GetItem(record, 1);
    if (!PyList_Check(*numbers) || !PyList_Check(*payloads))
        return -1;
    return PyList_Size(*payloads) == packing->layout.payload_count ? 0 : -1;
}

/* The size of the frame of a record; 0 if it is left to Python. */
static uint64_t size_of_record(const Packing *packing, PyObject *record) {
    PyObject *numbers;
    PyObject *payloads;
    if (take_record(packing, record, &numbers, &payloads) < 0)
        return 0;
    uint64_t size = (uint64_t)packing->layout.head_size;
    for (Py_ssize_t k = 0; k < packing->layout.payload_count; k++) {
        PyObject *payload = PyList_GetItem(payloads, k);
        if (payload == Py_None)
            continue;
        if (!PyBytes_CheckExact(payload) || (size_t)PyBytes_Size(payload) > LARGE)
            return 0;
        size += ((uint64_t)PyBytes_Size(payload) + 7) & ~(uint64_t)7;
    }
    return size;
}

/* Packs one record to `to`, where there is room for `size` bytes, and returns its check by `check`.
   Returns -1, with or without an exception, if it is left to Python. */
static int pack_record(const Packing *packing, PyObject *record, uint8_t *to, uint64_t size,
                       uint32_t prev, uint64_t offset, uint32_t *check) {
    PyObject *numbers;
    PyObject *payloads;
    if (take_record(packing, record, &numbers, &payloads) < 0)
        return -1;
    Py_ssize_t count = packing->layout.payload_count;
    Py_ssize_t head_size = packing->layout.head_size;
    Py_ssize_t start = 16 + 12 * count;
    PyObject *as_tuple = PyList_AsTuple(numbers);
    if (as_tuple == NULL)
        return -1;
    PyObject *packed = PyObject_CallObject(packing->pack, as_tuple);
    Py_DECREF(as_tuple);
    if (packed == NULL)
        return -1;
    int fits = PyBytes_CheckExact(packed) && PyBytes_Size(packed) == head_size - start;
    if (fits)
        memcpy(to + start, PyBytes_AsString(packed), (size_t)(head_size - start));
    Py_DECREF(packed);
    /* What packed the numbers may have run anything: so all is looked at again. */
    if (!fits || size_of_record(packing, record) != size)
        return -1;
    if (take_record(packing, record, &numbers, &payloads) < 0)
        return -1;
    store32(to + 4, prev);
    store64(to + 8, (uint64_t)(MARK << 8 | packing->kind) << 48 | size);
    uint8_t *payload_at = to + head_size;
    for (Py_ssize_t k = 0; k < count; k++) {
        PyObject *payload = PyList_GetItem(payloads, k);
        uint64_t length = NONE_SIZE;
        uint32_t checksum = 0;
        if (payload != Py_None) {
            const uint8_t *from = (const uint8_t *)PyBytes_AsString(payload);
            size_t bytes = (size_t)PyBytes_Size(payload);
            size_t padding = -bytes & 7;
            length = bytes;
            checksum = crc32(0, from, bytes);
            memcpy(payload_at, from, bytes);
            memset(payload_at + bytes, 0, padding);
            payload_at += bytes + padding;
        }
        store64(to + 16 + 8 * k, length);
        store32(to + 16 + 8 * count + 4 * k, checksum);
    }
    uint32_t crc = crc32(packing->seed, to + 4, (size_t)head_size - 4);
    *check = crc ^ offset_mix(offset);
    store32(to, *check);
    return 0;
}

static int take_packing(PyObject *const *arguments, Packing *packing) {
    packing->kind = (int)PyLong_AsLong(arguments[0]);
    packing->seed = (uint32_t)PyLong_AsUnsignedLongMask(arguments[1]);
    packing->layout.head_size = PyLong_AsSsize_t(arguments[2]);
    packing->layout.payload_count = PyLong_AsSsize_t(arguments[3]);
    packing->pack = arguments[4];
    packing->width = PyLong_AsSsize_t(arguments[5]);
    if (PyErr_Occurred())
        return -1;
    const Layout *layout = &packing->layout;
    if ((packing->kind != RECORD && packing->kind != PENDING) || layout->payload_count < 0 ||
        layout->payload_count > 4096 || layout->head_size < 16 + 12 * layout->payload_count ||
        layout->head_size > 1 << 20 ||
        (packing->width != SHORT_ROW && packing->width != 8 + layout->head_size)) {
        PyErr_SetString(PyExc_ValueError, "no such frames");
        return -1;
    }
    return 0;
}

/* pack_records(kind, seed, head_size, payload_count, pack, width, records, prev, offset)

   Returns (the frames, their rows, the check of the last), or None if a record is left to Python. Of
   frames that are pending, `prev` is 0. */
PyObject *pack_records(PyObject *module, PyObject *const *arguments, Py_ssize_t given) {
    (void)module;
    Packing packing;
    if (expect(given, 9, "pack_records") < 0 || take_packing(arguments, &packing) < 0)
        return NULL;
    PyObject *records = arguments[6];
    uint32_t prev = (uint32_t)PyLong_AsUnsignedLongMask(arguments[7]);
    if (PyErr_Occurred())
        return NULL;
    uint64_t offset = PyLong_AsUnsignedLongLong(arguments[8]);
    if (PyErr_Occurred())
        return NULL;
    if (!PyList_Check(records)) {
        PyErr_SetString(PyExc_TypeError, "records are a list");
        return NULL;
    }
    Py_ssize_t count = PyList_Size(records);
    uint64_t total = 0;
    for (Py_ssize_t k = 0; k < count; k++) {
        uint64_t size = size_of_record(&packing, PyList_GetItem(records, k));
        total += size;
        if (size == 0 || total > LARGEST_FRAME) {
            Py_INCREF(Py_None);
            return Py_None;
        }
    }
    PyObject *frames = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)total);
    PyObject *rows = PyBytes_FromStringAndSize(NULL, packing.width * count);
    uint32_t check = prev;
    uint64_t at = 0;
    int is_packed = frames != NULL && rows != NULL;
    for (Py_ssize_t k = 0; is_packed && k < count; k++) {
        is_packed = k < PyList_Size(records);
        if (!is_packed)
            break;
        PyObject *record = PyList_GetItem(records, k);
        uint8_t *to = (uint8_t *)PyBytes_AsString(frames) + at;
        uint8_t *row = (uint8_t *)PyBytes_AsString(rows) + packing.width * k;
        uint64_t size = size_of_record(&packing, record);
        if (size == 0 || size > total - at) {
            is_packed = 0;
            break;
        }
        Py_INCREF(record);
        is_packed = pack_record(&packing, record, to, size, prev, offset + at, &check) == 0;
        Py_DECREF(record);
        if (is_packed)
            store_row(row, packing.width, offset + at, to, &packing.layout);
        if (packing.kind == RECORD)
            prev = check;
        at += size;
    }
    PyObject *answer = NULL;
    if (is_packed && at == total)
        answer = Py_BuildValue("OOI", frames, rows, (unsigned int)check);
    Py_XDECREF(rows);
    Py_XDECREF(frames);
    if (answer == NULL && (!PyErr_Occurred() || is_left_to_python())) {
        Py_INCREF(Py_None);
        return Py_None;
    }
    return answer;
}
