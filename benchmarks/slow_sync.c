/* Loaded in front of the C library, this makes syncs slow, or has them hang.
 *
 * SLOW_SYNC_MS: every sync takes so many milliseconds more.
 * HANG_SYNC_WHILE: no sync begins while there is a file with this name.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void dawdle(void)
{
    const char *text = getenv("SLOW_SYNC_MS");
    const char *file = getenv("HANG_SYNC_WHILE");
    if (text)
        usleep((useconds_t)(atof(text) * 1000));
    while (file && access(file, F_OK) == 0)
        usleep(1000);
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
