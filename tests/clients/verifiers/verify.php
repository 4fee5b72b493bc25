<?php

// What the PHP of docs/verify-webhooks.md says of what was received: one answer per case.
require __DIR__ . '/own.php';

$answers = [];
foreach (json_decode(file_get_contents('php://stdin'), true) as $case) {
    $received = base64_decode($case['body']);
    $answers[] = [
        'webhook' => verify_webhook($case['headers'], $received, $case['key'], $case['now']),
        'jws' => verify_jws($case['headers'], $received, $case['key']),
    ];
}
echo json_encode($answers);
