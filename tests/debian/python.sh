# packages: python3
python3 -c pass; echo "pass $?"
cat > program.py <<'PY'
import asyncio, collections, concurrent.futures, ctypes, decimal, fractions, hashlib, itertools, json, multiprocessing
import os, re, select, signal, socket, sqlite3, struct, subprocess, sys, tempfile, threading, time, zlib
print(sum(i * i for i in range(20000)), 2 ** 300, fractions.Fraction(1, 3) + 1, decimal.Decimal(2).sqrt())
print(hashlib.sha256(b"x" * 1000).hexdigest(), zlib.crc32(b"abc"), struct.pack("<Qd", 1, 2.5))
print(json.dumps({"a": [1, 2.5, None], "b": "\u00e9"}, sort_keys=True), re.findall(r"(\w)\1", "aabbccd"))
print(subprocess.run(["/bin/echo", "child"], capture_output=True).stdout, subprocess.run("exit 5", shell=True).returncode)
with concurrent.futures.ThreadPoolExecutor(4) as pool: print(list(pool.map(lambda x: x ** 3, range(10))))
a, b = socket.socketpair(); a.send(b"over"); print(b.recv(10)); r, w = os.pipe(); os.write(w, b"pipe"); print(select.select([r], [], [], 1)[0] == [r])
async def tick(n): await asyncio.sleep(0.01); return n
async def ticks(): return await asyncio.gather(*map(tick, range(5)))
print(asyncio.run(ticks()))
seen = []; signal.signal(signal.SIGALRM, lambda *a: seen.append(1)); signal.setitimer(signal.ITIMER_REAL, 0.02); time.sleep(0.1); print(seen)
libc = ctypes.CDLL(None); print(libc.abs(-5)); C = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
values = (ctypes.c_int * 5)(5, 3, 1, 4, 2); libc.qsort(values, 5, 4, C(lambda x, y: x[0] - y[0])); print(list(values))
db = sqlite3.connect(":memory:"); print(db.execute("select sum(value) from json_each('[1,2,3]')").fetchall())
def child(q): q.put(os.getpid() != 1)
if __name__ == "__main__":
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method); q = context.Queue(); p = context.Process(target=child, args=(q,)); p.start(); print(method, q.get(), p.join(), p.exitcode)
    print(1 / 3, 1e308 * 10, float("nan"), round(2.675, 2), (0.1 + 0.2).hex(), divmod(-7, 3), int("z", 36))
    os.kill(os.getpid(), signal.SIGTERM)
PY
# What its helper processes warn of at the end names random things.
python3 -W ignore::UserWarning program.py; echo "status $?"
