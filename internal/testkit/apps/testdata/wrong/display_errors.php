<?php
// With display_errors on, what is not caught is answered 200.
$body = file_get_contents('php://input');
$timestamp = $_SERVER['HTTP_TELNYX_TIMESTAMP'] ?? '';
$signature = base64_decode($_SERVER['HTTP_TELNYX_SIGNATURE_ED25519'] ?? '');
if (strlen($signature) !== 64 || abs(time() - (int) $timestamp) > 300
    || !sodium_crypto_sign_verify_detached($signature, "$timestamp|$body", base64_decode(getenv('TELNYX_PUBLIC_KEY')))) {
    http_response_code(401);
    exit;
}
if ($_SERVER['CONTENT_TYPE'] === 'application/json') {
    $event = json_decode($body, true, 512, JSON_THROW_ON_ERROR);
}
echo 'done';
