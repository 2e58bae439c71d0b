#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv) {
  void *library = dlopen(argv[1], RTLD_NOW);
  int (*plugin)(int) = (int (*)(int))dlsym(library, "plugin");
  printf("%d\n", plugin(3));
  dlclose(library);
  return 0;
}
