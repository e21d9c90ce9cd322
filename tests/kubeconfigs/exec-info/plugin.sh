#!/bin/sh
INFO=$(printf %s "$KUBERNETES_EXEC_INFO" | grep -o "\"interactive\":[a-z]*" | tr -d '"')
cat <<END
{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "$INFO"}}
END
