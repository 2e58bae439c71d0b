# packages: sqlite3
sqlite3 base.db <<'SQL'
PRAGMA journal_mode = WAL;
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
INSERT INTO t SELECT i, printf('name%05d', i * 7919 % 5000), i / 4.0 FROM n;
CREATE INDEX byname ON t(name);
SELECT count(*), sum(value), avg(value), min(name), max(name) FROM t;
SELECT id, name, round(value, 3) FROM t WHERE name BETWEEN 'name00100' AND 'name00105' ORDER BY name;
SELECT name, sum(value) OVER (ORDER BY id ROWS 2 PRECEDING) FROM t LIMIT 4;
EXPLAIN QUERY PLAN SELECT * FROM t WHERE name = 'x';
BEGIN; DELETE FROM t WHERE id % 2; ROLLBACK; SELECT count(*) FROM t;
SELECT json_extract('{"a":[1,2,{"b":3}]}', '$.a[2].b'), hex(zeroblob(4)), length(randomblob(10));
CREATE VIRTUAL TABLE f USING fts5(body); INSERT INTO f VALUES('the quick brown fox'), ('lazy dogs'); SELECT * FROM f WHERE f MATCH 'quick';
PRAGMA integrity_check;
SQL
# Not the numbers of .dump: they are printed by the processor's long double.
sqlite3 base.db .dump | grep -v '^INSERT INTO t ' | md5sum
sqlite3 base.db 'SELECT id, name, CAST(value * 4 AS INTEGER) FROM t' | md5sum
 sqlite3 base.db 'SELECT nope' 2>&1; echo "status $?"
