/* kju.surface._core.Pool: memory of released frames, used again.
 *
 * A block belongs to the objects that refer to it, also to arrays made over it. Python's own
 * reference count returns it to its pool with the last of them. */
#include "python.h"

#include <stdlib.h>

enum { MOST_KEPT = 2 }; /* the previous frame and the current one */

typedef struct {
    PyObject_HEAD
    struct {
        void *memory;
        Py_ssize_t size;
    } kept[MOST_KEPT];
} Pool;

typedef struct {
    PyObject_HEAD
    Pool *pool;
    void *memory;
    Py_ssize_t size;
} Block;

static PyTypeObject *block_type;

static void pool_dealloc(Pool *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    for (int i = 0; i < MOST_KEPT; i++)
        free(self->kept[i].memory);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* take(size) -> Block: kept memory of exactly that size, or new memory; the bytes are undefined. */
static PyObject *pool_take(Pool *self, PyObject *argument) {
    Py_ssize_t size = PyLong_AsSsize_t(argument);
    if (size < 0)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "a size below zero");
    Block *block = (Block *)((allocfunc)PyType_GetSlot(block_type, Py_tp_alloc))(block_type, 0);
    if (!block)
        return NULL;
    for (int i = 0; i < MOST_KEPT && !block->memory; i++) {
        if (self->kept[i].memory && self->kept[i].size == size) {
            block->memory = self->kept[i].memory;
            self->kept[i].memory = NULL;
        }
    }
    if (!block->memory)
        block->memory = malloc((size_t)size);
    if (!block->memory) {
        Py_DECREF(block);
        return PyErr_NoMemory();
    }
    block->size = size;
    block->pool = (Pool *)Py_NewRef((PyObject *)self);
    return (PyObject *)block;
}

/* Keep the memory in a free place, or replace memory of another size: after a change of the mode,
 * frames have a new size. */
static void give_back(Pool *pool, void *memory, Py_ssize_t size) {
    int place = -1;
    for (int i = 0; i < MOST_KEPT; i++)
        if (!pool->kept[i].memory)
            place = i;
    for (int i = 0; place < 0 && i < MOST_KEPT; i++)
        if (pool->kept[i].size != size)
            place = i;
    if (place < 0) {
        free(memory);
        return;
    }
    free(pool->kept[place].memory);
    pool->kept[place].memory = memory;
    pool->kept[place].size = size;
}

static void block_dealloc(Block *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    if (self->pool) {
        give_back(self->pool, self->memory, self->size);
        Py_DECREF((PyObject *)self->pool);
    }
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static int block_buffer(Block *self, Py_buffer *view, int flags) {
    return PyBuffer_FillInfo(view, (PyObject *)self, self->memory, self->size, 0, flags);
}

static PyType_Slot block_slots[] = {
    {Py_tp_dealloc, block_dealloc},
    {Py_bf_getbuffer, block_buffer},
    {Py_tp_doc, "Writable memory that returns to its pool."},
    {0, NULL},
};

static PyType_Spec block_spec = {
    "kju.surface._core.Block", sizeof(Block), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, block_slots,
};

static PyMethodDef pool_methods[] = {
    {"take", (PyCFunction)pool_take, METH_O, "take(size) -> Block of uninitialised memory"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot pool_slots[] = {
    {Py_tp_dealloc, pool_dealloc},
    {Py_tp_methods, pool_methods},
    {Py_tp_doc, "Pool(): keeps the memory of up to two dropped blocks."},
    {0, NULL},
};

PyType_Spec kju_pool_spec = {
    "kju.surface._core.Pool", sizeof(Pool), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, pool_slots,
};

int kju_prepare_pool(void) {
    block_type = (PyTypeObject *)PyType_FromSpec(&block_spec);
    return block_type ? 0 : -1;
}
