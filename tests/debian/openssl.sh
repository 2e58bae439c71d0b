# packages: openssl
echo 'some text' > text
for digest in md5 sha1 sha256 sha512 sha3-256 blake2b512 sm3; do openssl dgst -$digest text; done
for cipher in aes-128-cbc aes-256-ctr aes-256-cbc camellia-128-cbc chacha20 des-ede3-cbc; do
    openssl enc -$cipher -pbkdf2 -pass pass:x -S 0102030405060708 -in text -out packed && openssl enc -d -$cipher -pbkdf2 -S 0102030405060708 -pass pass:x -in packed | cmp - text && md5sum < packed
done
openssl genrsa -out key 2048 2> /dev/null && openssl rsa -in key -check -noout 2>&1 | head -n 1
openssl dgst -sha256 -sign key -out signature text && openssl pkey -in key -pubout -out public 2> /dev/null && openssl dgst -sha256 -verify public -signature signature text
openssl ecparam -name prime256v1 -genkey -noout -out eckey && openssl req -x509 -new -key eckey -subj /CN=test -days 1 -out cert && openssl verify -CAfile cert cert
openssl genpkey -algorithm ed25519 -out edkey && openssl pkeyutl -sign -inkey edkey -rawin -in text -out edsignature && openssl pkeyutl -verify -inkey edkey -rawin -in text -sigfile edsignature
openssl prime 1000000007; openssl rand 16 | wc -c; openssl dhparam -check -noout < <(openssl dhparam -text 256 2> /dev/null) 2>&1 | head -n 1
openssl s_server -cert cert -key eckey -accept 48731 -quiet < <(echo served; sleep 3) > /dev/null 2>&1 & server=$!
sleep 1.5; (echo asked; sleep 1) | timeout 5 openssl s_client -connect 127.0.0.1:48731 -CAfile cert -quiet 2> /dev/null | head -n 1; kill $server; wait $server 2> /dev/null
openssl speed -seconds 1 -bytes 256 sha256 2>&1 | grep -c '^sha256'; openssl speed -seconds 1 -bytes 1024 -evp aes-128-gcm 2>&1 | grep -ci '^aes-128-gcm'
openssl list -providers -verify 2>&1 | head -n 3
