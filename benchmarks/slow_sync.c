/* Loaded in front of the C library, makes every sync take so many milliseconds more: a slow disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void dawdle(void)
{
    const char *text = getenv("SLOW_SYNC_MS");
    if (text)
        usleep((useconds_t)(atof(text) * 1000));
}

int fsync(int fd)
{
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    dawdle();
    return real(fd);
}

int fdatasync(int fd)
{
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    dawdle();
    return real(fd);
}
