/* Memory of other objects, by the buffer protocol: its length is the only bound that is believed. */

#if defined(__linux__) && !defined(_DEFAULT_SOURCE)
#define _DEFAULT_SOURCE /* mincore is not of POSIX */
#endif

#include "native.h"

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

/* Any memory that is side by side. Raises an exception and returns -1 if there is none. */
int get_buffer(PyObject *object, Py_buffer *buffer, int is_writable) {
    return PyObject_GetBuffer(object, buffer, is_writable ? PyBUF_WRITABLE : PyBUF_SIMPLE);
}

/* The same, which must have room for so many items of so many bytes. */
int get_items(PyObject *object, Py_buffer *buffer, int is_writable, Py_ssize_t width,
              Py_ssize_t count) {
    if (get_buffer(object, buffer, is_writable) < 0)
        return -1;
    if (count < 0 || width < 1 || buffer->len / width < count) {
        PyErr_Format(PyExc_ValueError, "a buffer of %zd bytes for %zd items of %zd", buffer->len,
                     count, width);
        PyBuffer_Release(buffer);
        return -1;
    }
    return 0;
}

/* Raises TypeError and returns -1 if a function did not get as many arguments as it takes. */
int expect(Py_ssize_t count, Py_ssize_t wanted, const char *name) {
    if (count == wanted)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s takes %zd arguments, not %zd", name, wanted, count);
    return -1;
}

/* Whether the page of a mapping that an address lies in is in memory; 0 where the system is not
   asked, or does not tell. */
int is_page_in_memory(const uint8_t *at) {
#if defined(__linux__)
    unsigned char told = 0;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)at & ~(page - 1);
    return mincore((void *)start, 1, &told) == 0 && (told & 1);
#else
    (void)at;
    return 0;
#endif
}

/* will_need(mapping, start, length): lets the system begin to read a part of a mapping. */
PyObject *will_need(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    Py_buffer mapping;
    if (expect(count, 3, "will_need") < 0)
        return NULL;
    Py_ssize_t start = PyLong_AsSsize_t(arguments[1]);
    Py_ssize_t length = PyLong_AsSsize_t(arguments[2]);
    if (PyErr_Occurred() || get_buffer(arguments[0], &mapping, 0) < 0)
        return NULL;
#if defined(__linux__)
    if (start >= 0 && start < mapping.len && length > 0 && length <= mapping.len - start) {
        Py_BEGIN_ALLOW_THREADS
        (void)madvise((uint8_t *)mapping.buf + start, (size_t)length, MADV_WILLNEED);
        Py_END_ALLOW_THREADS
    }
#endif
    PyBuffer_Release(&mapping);
    Py_INCREF(Py_None);
    return Py_None;
}

/* page_in_memory(mapping, offset) */
PyObject *page_in_memory(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    Py_buffer mapping;
    if (expect(count, 2, "page_in_memory") < 0)
        return NULL;
    Py_ssize_t offset = PyLong_AsSsize_t(arguments[1]);
    if (PyErr_Occurred() || get_buffer(arguments[0], &mapping, 0) < 0)
        return NULL;
    int is_there = 0;
    if (offset >= 0 && offset < mapping.len)
        is_there = is_page_in_memory((const uint8_t *)mapping.buf + offset);
    PyBuffer_Release(&mapping);
    return PyBool_FromLong(is_there);
}
