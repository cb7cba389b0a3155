<?php
// Under PHP's own server: php -S 127.0.0.1:5000 webhook.php
declare(strict_types=1);

// Until it is done. Without this, an uncaught exception is answered 200 if
// display_errors is on, and the event is lost.
http_response_code(500);

// php-fpm clears the environment: its pool needs env[TELNYX_PUBLIC_KEY] = $TELNYX_PUBLIC_KEY
$key = base64_decode(trim((string) getenv('TELNYX_PUBLIC_KEY')), true);
if ($key === false || strlen($key) !== SODIUM_CRYPTO_SIGN_PUBLICKEYBYTES) {
    throw new RuntimeException('TELNYX_PUBLIC_KEY is not a key');
}

$body = file_get_contents('php://input'); // what was signed
$timestamp = $_SERVER['HTTP_TELNYX_TIMESTAMP'] ?? '';
$signature = base64_decode($_SERVER['HTTP_TELNYX_SIGNATURE_ED25519'] ?? '', true);
if (!ctype_digit($timestamp) || abs(time() - (int) $timestamp) > 300
    || $signature === false || strlen($signature) !== SODIUM_CRYPTO_SIGN_BYTES
    || !sodium_crypto_sign_verify_detached($signature, "$timestamp|$body", $key)) {
    http_response_code(401);
    exit("signature\n");
}

if (str_starts_with($_SERVER['CONTENT_TYPE'] ?? '', 'application/json')) { // TeXML sends forms
    $event = json_decode($body, true, 512, JSON_THROW_ON_ERROR)['data'] ?? [];
    error_log($event['event_type'] ?? '');
}

http_response_code(200); // when the effect is durable: after this it is not sent again
echo "done\n";
