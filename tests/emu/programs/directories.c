/* Directories: making, reading, walking, working in them. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int visited;
static int visit(const char *path, const struct stat *s, int kind, struct FTW *at)
{
    visited += 1000 * (kind == FTW_DP) + at->level;
    return remove(path);
}

int main(void)
{
    char name[100], cwd[4096];
    mkdir("top", 0755);
    for (int i = 0; i < 200; i++) {
        sprintf(name, "top/entry-%03d", i);
        if (i % 10 == 0)
            mkdir(name, 0700);
        else
            close(open(name, O_CREAT | O_WRONLY, 0600));
    }
    struct dirent **list;
    int n = scandir("top", &list, NULL, alphasort);
    int directories = 0;
    for (int i = 0; i < n; i++) {
        directories += list[i]->d_type == DT_DIR;
        free(list[i]);
    }
    printf("%d entries, %d directories\n", n, directories);
    DIR *dir = opendir("top");
    long where = telldir(dir);
    int count = 0;
    while (readdir(dir))
        count++;
    seekdir(dir, where);
    printf("%d %d\n", count, (int)(readdir(dir) != NULL));
    closedir(dir);
    printf("%d\n", chdir("top/entry-010"));
    getcwd(cwd, sizeof cwd);
    printf("%s\n", strrchr(cwd, '/'));
    int up = open("..", O_DIRECTORY | O_RDONLY);
    printf("%d\n", faccessat(up, "entry-011", F_OK, 0));
    fchdir(up);
    printf("%d", rmdir("."));
    printf(" %s\n", strerror(errno));
    chdir("..");
    printf("%d", rmdir("top"));
    printf(" %s\n", strerror(errno));
    glob_t found;
    glob("top/entry-1[0-4]?", 0, NULL, &found);
    printf("%zu %s\n", found.gl_pathc, found.gl_pathv[7]);
    globfree(&found);
    printf("%d", nftw("top", visit, 16, FTW_DEPTH | FTW_PHYS));
    printf(" %d\n", visited);
    printf("%d", access("top", F_OK));
    printf(" %s\n", strerror(errno));
    return 0;
}
