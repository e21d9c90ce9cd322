#!/bin/sh
cat <<END
{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"clientCertificateData": "@CERT_JSON@", "clientKeyData": "@KEY_JSON@"}}
END
