/* Quicksort with insertion sort at the bottom, heap sort, and qsort of libc. */
#include "bench.h"

enum { N = 20000 };

static void quick(int *a, long low, long high)
{
    while (high - low > 16) {
        int pivot = a[(low + high) / 2];
        long i = low, j = high;
        while (i <= j) {
            while (a[i] < pivot)
                i++;
            while (a[j] > pivot)
                j--;
            if (i <= j) {
                int t = a[i];
                a[i++] = a[j];
                a[j--] = t;
            }
        }
        quick(a, low, j);
        low = i;
    }
    for (long i = low + 1; i <= high; i++) {
        int v = a[i];
        long j = i;
        for (; j > low && a[j - 1] > v; j--)
            a[j] = a[j - 1];
        a[j] = v;
    }
}

static void sift(int *a, long root, long n)
{
    int v = a[root];
    for (long child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && a[child + 1] > a[child])
            child++;
        if (a[child] <= v)
            break;
        a[root] = a[child];
    }
    a[root] = v;
}

static void heap(int *a, long n)
{
    for (long i = n / 2; i-- > 0;)
        sift(a, i, n);
    for (long i = n; --i > 0;) {
        int t = a[0];
        a[0] = a[i];
        a[i] = t;
        sift(a, 0, i);
    }
}

static int compare(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static int a[N], b[N], c[N];
    unsigned sum = 0;
    for (long i = 0, n = scaled(argc, argv, 180); i < n; i++) {
        for (int j = 0; j < N; j++)
            a[j] = b[j] = c[j] = (int)next_random();
        quick(a, 0, N - 1);
        heap(b, N);
        qsort(c, N, sizeof *c, compare);
        for (int j = 0; j < N; j += 97)
            sum = sum * 7 + a[j] + 3 * b[j] + 5 * c[j];
    }
    printf("%u\n", sum);
}
