# packages: nodejs
cat > program.js <<'JS'
const crypto = require('crypto'), zlib = require('zlib'), child = require('child_process'), fs = require('fs'), os = require('os');
let f = n => n < 2 ? n : f(n - 1) + f(n - 2);
console.log(f(24), [3, 1, 2].sort(), 0.1 + 0.2, 2n ** 100n, 'abc'.replace(/b/, x => x.toUpperCase()));
let o = {}; for (let i = 0; i < 30000; i++) o['k' + i % 1000] = (o['k' + i % 1000] || 0) + i; console.log(o.k7, o.k999);
console.log(crypto.createHash('sha256').update('abc').digest('hex'), zlib.gunzipSync(zlib.gzipSync('zip')).toString());
let a = new Float64Array(3000); for (let k = 0; k < 40; k++) for (let i = 0; i < 3000; i++) a[i] += Math.sin(i * k); console.log(a.reduce((x, y) => x + y).toFixed(6));
console.log(child.execSync('echo child').toString().trim(), fs.readdirSync('.').length, JSON.stringify({ a: [1, { b: null }] }));
class A { #x = 1; get x() { return this.#x } } console.log(new A().x, [...'héllo'].length, new Date(0).toISOString(), /(?<y>\d{4})/.exec('in 2024').groups.y);
const { Worker } = require('worker_threads'); new Worker('require("worker_threads").parentPort.postMessage(6 * 7)', { eval: true }).on('message', m => console.log('worker', m));
require('http').createServer((q, s) => s.end('served')).listen(0, function () { require('http').get({ port: this.address().port }, r => r.on('data', d => { console.log(d.toString()); this.close(); })); });
setTimeout(() => console.log('later'), 1500);
(async () => { for await (const x of (async function* () { yield 1; yield 2 })()) console.log('async', x); })();
JS
# What comes first of a worker, a server and a timer is nobody's promise.
node program.js > out; echo "status $?"; sort out
node -e 'const b = new Uint8Array([0,97,115,109,1,0,0,0,1,7,1,96,2,127,127,1,127,3,2,1,0,7,7,1,3,97,100,100,0,0,10,9,1,7,0,32,0,32,1,106,11]); WebAssembly.instantiate(b).then(m => console.log(m.instance.exports.add(40, 2)))'
