# packages: lua5.4
cat > program.lua <<'LUA'
local function sieve(n) local t, c = {}, 0
  for i = 2, n do if not t[i] then c = c + 1; for j = i * i, n, i do t[j] = true end end end
  return c end
print(sieve(20000), math.pi, 2^53, 7 // 2, -7 % 3, 1 / 0, string.format("%q %5.3f %a", "a\nb", 2 / 3, 0.1))
print(pcall(error, { code = 1 }), select("#", table.unpack({}, 1, 5)))
local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i * i) end end)
print(co(), co(), co(), #("x"):rep(1000), ("hello world"):gsub("o", "0"))
for w in ("one two three"):gmatch("%a+") do io.write(w, ";") end print()
print(math.maxinteger + 1 == math.mininteger, 3 & 5, 3 ~ 5, 1 << 62, "10" + 5, 2^0.5)
local t = {} for i = 1, 2000 do t[i] = (i * 7919) % 1009 end table.sort(t) print(t[1], t[1000], t[2000])
print(os.time({ year = 2020, month = 1, day = 1, hour = 12 }) > 0, os.getenv("HOME"), io.popen("echo popen"):read())
collectgarbage() print(collectgarbage("count") > 0)
LUA
lua5.4 program.lua; luac5.4 -o out.luac program.lua && lua5.4 out.luac | md5sum; lua5.4 -e 'error("x")' 2>&1; echo "status $?"
