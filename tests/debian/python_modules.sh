# packages: python3 libpython3-testsuite
# Python's own tests. What is printed is the verdict of each module.
export PYTHONDONTWRITEBYTECODE=1 HOME=$PWD
for module in test_json test_re test_int test_float test_math test_struct test_dict test_list test_set test_generators \
    test_threading test_thread test_queue test_subprocess test_socket test_signal test_select test_selectors test_epoll \
    test_os test_posix test_mmap test_fcntl test_pty test_tempfile test_shutil test_glob test_pathlib test_zlib test_bz2 \
    test_hashlib test_ctypes test_sqlite3 test_time test_locale test_decimal test_fractions test_exceptions \
    test_contextlib test_functools test_itertools test_pickle test_copy test_asyncore test_faulthandler test_resource; do
    [ -z "$ONLY" ] || [[ " $ONLY " == *" $module "* ]] || continue
    timeout 900 python3 -m test --timeout 800 -q "$module" > "$module.log" 2>&1; status=$?
    echo "$module: $status"
    [ $status = 0 ] || grep -E '^(FAIL|ERROR|test .* failed|Timeout)|ModuleNotFound|No module' "$module.log" | sort -u | sed 's/ (.*//' | head -n 12
done
