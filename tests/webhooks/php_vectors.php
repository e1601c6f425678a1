<?php
// Makes php_vectors.jsonl: secret, body, signature, as the service makes them with PHP's own functions.
$cases = [
 ['geheim', ['event'=>'orderStatusChanged','newStatus'=>'completed','orderNumber'=>'S-1001','orderUuid'=>'0b3c9a52-8f5e-4c58-9f0e-1f2f8f2f0001']],
 ['geheim', ['event'=>'orderStatusChanged','newStatus'=>'on_hold','orderNumber'=>'web/2026/11/0042','orderUuid'=>'0b3c9a52-8f5e-4c58-9f0e-1f2f8f2f0002']],
 ['gehéim €', ['event'=>'stockUpdated','newStock'=>'12','productSku'=>'KOPJE/ø-ü','productUuid'=>'7d0c2c7e-3d2c-4b0e-8a53-000000000003']],
 ['geheim', ['event'=>'compoundProductStockUpdated','newStock'=>'-3','productSku'=>"thee\"pot\"<&'>\\ 😀\u{2028}",'productUuid'=>'7d0c2c7e-3d2c-4b0e-8a53-000000000004']],
 ['whsec', ['event'=>'shipmentCreated','trackTraceUrl'=>'https://example.test/t/3SABC?x=1&y=2','prijs'=>12.50,'lijst'=>[],'leeg'=>new stdClass(),'niets'=>null,'waar'=>true]],
 [str_repeat('k',100), ['event'=>'stockUpdated','newStock'=>0,'productSku'=>"0012\t\u{7f}\u{e9}",'productUuid'=>'7d0c2c7e-3d2c-4b0e-8a53-000000000006']],
];
foreach ($cases as [$secret,$data]) { $b=json_encode($data); echo json_encode([$secret,$b,hash_hmac('sha256',$b,$secret)],JSON_UNESCAPED_UNICODE|JSON_UNESCAPED_SLASHES),"\n"; }
