#include <string.h>
char text[64] = "hello world, hello\0hellish";
int numbers[16] = {1, -2, 3, 1, -2, 7};
long big = 0x1122334455667788;
int main(void)
{
    numbers[8] = (int)strlen(text);
    return 0;
}
