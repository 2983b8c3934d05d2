/* kju.memory._system: system calls that Python's own modules lack, and mappings that survive the
 * truncation of their file. Shell code, independent of surfaces. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- SIGBUS --------------------------------------------------------------------------
 * An access to a mapped page raises SIGBUS if its file was truncated or its disk is full. For the
 * mappings registered here, the handler maps a zero page in place of the missing one and records
 * the loss. The access continues, and its caller checks the record and raises. Every other SIGBUS
 * goes to the previous handler. The handler calls only mmap and sysconf; ranges are atomics in a
 * list that only grows. */

struct range {
    _Atomic uintptr_t start, end; /* end 0: free */
    _Atomic int writable, lost;
    struct range *next; /* const once the node is in the list */
};

static struct range *_Atomic ranges;
static struct sigaction previous;
static _Atomic int handed_on;

/* Handle a SIGBUS that is not ours. A previous handler that restores the one before it and raises
 * again (as faulthandler does) would return here for ever. So the second time, as without such a
 * handler, the default action follows: an access is repeated and ends the process; a signal that a
 * process sent is raised again. */
static void hand_on(int number, siginfo_t *info, void *context) {
    int first = !atomic_exchange(&handed_on, 1);
    if (first && (previous.sa_flags & SA_SIGINFO)) {
        previous.sa_sigaction(number, info, context);
    } else if (first && previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(number);
    } else if (info->si_code > 0 || previous.sa_handler != SIG_IGN) {
        signal(SIGBUS, SIG_DFL);
        if (info->si_code <= 0)
            raise(SIGBUS);
    }
    if (first)
        atomic_store(&handed_on, 0);
}

static void on_sigbus(int number, siginfo_t *info, void *context) {
    uintptr_t address = (uintptr_t)info->si_addr;
    int saved = errno;
    for (struct range *r = atomic_load(&ranges); r; r = r->next) {
        uintptr_t end = atomic_load(&r->end);
        if (!end || address < atomic_load(&r->start) || address >= end)
            continue;
        uintptr_t page = address & ~(uintptr_t)(sysconf(_SC_PAGESIZE) - 1);
        int protection = PROT_READ | (atomic_load(&r->writable) ? PROT_WRITE : 0);
        atomic_store(&r->lost, 1);
        if (mmap((void *)page, (size_t)sysconf(_SC_PAGESIZE), protection,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
            break;
        errno = saved;
        return;
    }
    hand_on(number, info, context);
    errno = saved;
}

/* Other code (faulthandler) may install a handler after ours: then ours is installed again. */
static int install_handler(void) {
    struct sigaction current, ours;
    if (sigaction(SIGBUS, NULL, &current))
        return -1;
    if ((current.sa_flags & SA_SIGINFO) && current.sa_sigaction == on_sigbus)
        return 0;
    previous = current;
    memset(&ours, 0, sizeof ours);
    ours.sa_sigaction = on_sigbus;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&ours.sa_mask);
    return sigaction(SIGBUS, &ours, NULL);
}

/* Called with the interpreter's lock held, so the list has one writer. */
static struct range *watch(void *start, size_t size, int writable) {
    struct range *r = atomic_load(&ranges);
    while (r && atomic_load(&r->end))
        r = r->next;
    if (!r) {
        r = calloc(1, sizeof *r);
        if (!r)
            return NULL;
        r->next = atomic_load(&ranges);
        atomic_store(&ranges, r);
    }
    atomic_store(&r->lost, 0);
    atomic_store(&r->writable, writable);
    atomic_store(&r->start, (uintptr_t)start);
    atomic_store(&r->end, (uintptr_t)start + size);
    return r;
}

/* ---- Mapping ------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    void *start;
    size_t size;
    int writable, segment; /* segment: System V, detached instead of unmapped */
    struct range *range;   /* NULL: not guarded */
} Mapping;

static PyObject *mapping_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"fd", "size", "offset", "writable", "guard", "segment", NULL};
    int fd, writable = 0, guard = 1, segment = 0;
    unsigned long long size, offset = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iK|K$ppp:Mapping", names, &fd, &size, &offset,
                                     &writable, &guard, &segment))
        return NULL;
    if (!size || size > PY_SSIZE_T_MAX || offset > INT64_MAX) {
        PyErr_Format(PyExc_ValueError, "cannot map %llu bytes at %llu", size, offset);
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Mapping *self = (Mapping *)allocate(type, 0);
    if (!self)
        return NULL;
    if (segment)
        self->start = shmat(fd, NULL, writable ? 0 : SHM_RDONLY);
    else
        self->start = mmap(NULL, (size_t)size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED,
                           fd, (off_t)offset);
    if (self->start == (void *)-1) {
        self->start = NULL;
        PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF(self);
        return NULL;
    }
    self->size = (size_t)size;
    self->writable = writable;
    self->segment = segment;
    if (guard && !segment) {
        self->range = install_handler() ? NULL : watch(self->start, self->size, writable);
        if (!self->range) {
            Py_DECREF(self);
            return PyErr_NoMemory();
        }
    }
    return (PyObject *)self;
}

static void mapping_dealloc(Mapping *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    if (self->range)
        atomic_store(&self->range->end, 0);
    if (self->start && self->segment)
        shmdt(self->start);
    else if (self->start)
        munmap(self->start, self->size);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static int mapping_buffer(Mapping *self, Py_buffer *view, int flags) {
    return PyBuffer_FillInfo(view, (PyObject *)self, self->start, (Py_ssize_t)self->size,
                             !self->writable, flags);
}

static PyObject *get_lost(Mapping *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(self->range && atomic_load(&self->range->lost));
}
/* Called before memory is read: installs our handler again if another one has replaced it. */
static PyObject *get_guarded(Mapping *self, void *unused) {
    (void)unused;
    if (self->range)
        install_handler();
    return PyBool_FromLong(self->range != NULL);
}
static PyObject *get_size(Mapping *self, void *unused) {
    (void)unused;
    return PyLong_FromSize_t(self->size);
}
static PyObject *get_writable(Mapping *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(self->writable);
}

/* The C library's fstat has the symbol version 2.33, which older systems lack: wheels would not
 * load there. On 64-bit Linux the kernel fills the library's structure. */
static int get_status(int fd, struct stat *status) { return (int)syscall(SYS_fstat, fd, status); }

/* intact(fd) -> whether no page was lost and the file still has its size and its one name. One call,
 * because every publication and every read makes it. */
static PyObject *mapping_intact(Mapping *self, PyObject *number) {
    struct stat status;
    if (!self->range)
        Py_RETURN_TRUE;
    install_handler();
    int fd = (int)PyLong_AsLong(number);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    return PyBool_FromLong(!get_status(fd, &status) && (size_t)status.st_size == self->size &&
                           status.st_nlink == 1 && !atomic_load(&self->range->lost));
}

/* The kernel may end a sleep later, so that several end together (prctl(2), PR_SET_TIMERSLACK). */
static PyObject *wake_precisely(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    Py_RETURN_NONE;
}

static PyMethodDef mapping_methods[] = {
    {"intact", (PyCFunction)mapping_intact, METH_O,
     "intact(fd) -> whether nothing was lost, and the file has its size and one name"},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef mapping_getset[] = {
    {"lost", (getter)get_lost, NULL, "Whether memory below the mapping went away.", NULL},
    {"guarded", (getter)get_guarded, NULL, "Whether memory below may go away, which is then survived.", NULL},
    {"size", (getter)get_size, NULL, "Bytes.", NULL},
    {"writable", (getter)get_writable, NULL, "Whether it may be written.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot mapping_slots[] = {
    {Py_tp_new, mapping_new},
    {Py_tp_dealloc, mapping_dealloc},
    {Py_tp_methods, mapping_methods},
    {Py_tp_getset, mapping_getset},
    {Py_bf_getbuffer, mapping_buffer},
    {Py_tp_doc, "Mapping(fd, size, offset=0, *, writable=False, guard=True, segment=False)"},
    {0, NULL},
};

static PyType_Spec mapping_spec = {
    "kju.memory._system.Mapping", sizeof(Mapping), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    mapping_slots,
};

/* ---- Functions ----------------------------------------------------------------------- */

static PyObject *segment_create(PyObject *self, PyObject *args) {
    (void)self;
    int key, mode;
    unsigned long long size;
    if (!PyArg_ParseTuple(args, "iKi", &key, &size, &mode))
        return NULL;
    int id = shmget((key_t)key, (size_t)size, IPC_CREAT | IPC_EXCL | mode);
    return id < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromLong(id);
}

static PyObject *segment_remove(PyObject *self, PyObject *args) {
    (void)self;
    int id;
    if (!PyArg_ParseTuple(args, "i", &id))
        return NULL;
    if (shmctl(id, IPC_RMID, NULL))
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static PyObject *segment_status(PyObject *self, PyObject *args) {
    (void)self;
    int id;
    struct shmid_ds status;
    if (!PyArg_ParseTuple(args, "i", &id))
        return NULL;
    if (shmctl(id, IPC_STAT, &status))
        return PyErr_SetFromErrno(PyExc_OSError);
    return Py_BuildValue("(KKii)", (unsigned long long)status.shm_segsz,
                         (unsigned long long)status.shm_nattch, (int)status.shm_cpid,
                         (int)status.shm_perm.uid);
}

/* Two of the fields of os.fstat, at a fifth of its cost: each check of a file reads them. */
static PyObject *file_status(PyObject *self, PyObject *args) {
    (void)self;
    int fd;
    struct stat status;
    if (!PyArg_ParseTuple(args, "i", &fd))
        return NULL;
    if (get_status(fd, &status))
        return PyErr_SetFromErrno(PyExc_OSError);
    return Py_BuildValue("(LK)", (long long)status.st_size, (unsigned long long)status.st_nlink);
}

/* For a child between fork and exec: end it when the thread that forked it ends. If the parent has
 * ended before the call, the child ends now. */
static PyObject *die_with_parent(PyObject *self, PyObject *args) {
    (void)self;
    int parent;
    if (!PyArg_ParseTuple(args, "i", &parent))
        return NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        raise(SIGKILL);
    Py_RETURN_NONE;
}

/* glibc keeps freed memory in the arena of each thread, and raises the size up to which blocks come
 * from there: a host that compared a picture now and then kept 22 MB. */
static PyObject *give_memory_back(PyObject *self, PyObject *ignored) {
    (void)self, (void)ignored;
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
    mallopt(M_TRIM_THRESHOLD, 256 << 10);
    mallopt(M_ARENA_MAX, 1);
#endif
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"segment_create", segment_create, METH_VARARGS,
     "segment_create(key, size, mode) -> id of a new System V segment"},
    {"segment_remove", segment_remove, METH_VARARGS,
     "segment_remove(id): gone when its last user detaches"},
    {"segment_status", segment_status, METH_VARARGS,
     "segment_status(id) -> (bytes, users, creator's pid, owner's uid)"},
    {"file_status", file_status, METH_VARARGS, "file_status(fd) -> (bytes, names)"},
    {"die_with_parent", die_with_parent, METH_VARARGS,
     "die_with_parent(parent): SIGKILL this process when the forking thread ends"},
    {"wake_precisely", wake_precisely, METH_NOARGS,
     "wake_precisely(): this thread's sleeps end at their time, not up to 50 us later"},
    {"give_memory_back", give_memory_back, METH_NOARGS,
     "give_memory_back(): large blocks that are freed go back to the system at once"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "kju.memory._system", "System calls that Python lacks.", -1, functions, NULL,
    NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__system(void) {
    PyObject *m = PyModule_Create(&module);
    PyObject *type = m ? PyType_FromSpec(&mapping_spec) : NULL;
    if (!type || PyModule_AddObjectRef(m, "Mapping", type)) {
        Py_XDECREF(m);
        return NULL;
    }
    Py_DECREF(type);
    return m;
}
