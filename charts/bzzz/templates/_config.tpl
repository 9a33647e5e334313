{{/* What each process is told, as JSON; keys as bzzz_operator/settings.py, bzzz_scribe/settings.py, sidecar/lib/config.js. */}}
{{- define "bzzz.operatorConfig" -}}
{{- $v := .Values -}}
{{- $h := include "bzzz.hive" . -}}
{{- $images := dict
    "agent" (include "bzzz.image" (dict "root" . "component" "agent"))
    "sidecar" (include "bzzz.image" (dict "root" . "component" "sidecar"))
    "workspace" (include "bzzz.image" (dict "root" . "component" "workspace"))
    "pullPolicy" $v.images.pullPolicy
    "pullSecrets" $v.images.pullSecrets -}}
{{- $policies := dict
    "enabled" $v.networkPolicy.enabled
    "internet" $v.networkPolicy.internet
    "denied" $v.networkPolicy.denied
    "allowedPrivate" $v.networkPolicy.allowedPrivate
    "apiServer" $v.networkPolicy.apiServer
    "inCluster" $v.networkPolicy.inCluster
    "dnsNamespace" $v.networkPolicy.dns.namespaceLabels
    "dnsPods" $v.networkPolicy.dns.podLabels
    "dnsPorts" $v.networkPolicy.dns.ports
    "metricsFrom" $v.networkPolicy.metricsFrom -}}
{{- $claims := dict -}}
{{- range $key, $value := dict "leaseS" $v.claims.leaseSeconds "pollIntervalS" $v.claims.pollIntervalSeconds "backOffS" $v.claims.backOffSeconds -}}
{{- if not (kindIs "invalid" $value) }}{{ $_ := set $claims $key $value }}{{ end -}}
{{- end -}}
{{- $storage := dict -}}
{{- with $v.agents.storageClass }}{{ $_ := set $storage "storageClass" . }}{{ end -}}
{{- $config := dict
    "hive" $h
    "namespace" .Release.Namespace
    "clusterDomain" $v.clusterDomain
    "publicUrl" (include "bzzz.publicUrl" .)
    "images" $images
    "archive" (dict "url" (include "bzzz.archiveUrl" .))
    "resources" $v.agents.resources
    "workspace" (dict "sizeLimit" $v.agents.workspaceSize "maxMegabytes" (int $v.agents.workspaceMaxMegabytes))
    "storage" $storage
    "pods" (dict "nodeSelector" $v.agents.nodeSelector "tolerations" $v.agents.tolerations
      "labels" $v.agents.podLabels "annotations" $v.agents.podAnnotations)
    "maxima" $v.maxima
    "claims" $claims
    "networkPolicies" $policies
    "drainTimeout" $v.operator.drainTimeout
    "cardLife" $v.operator.cardLife
    "workers" $v.operator.workers
    "leaseS" $v.operator.leaseSeconds
    "logLevel" $v.operator.logLevel
    "metricsPort" 9400
    "livenessPort" 8082 -}}
{{- with $v.agents.runtimeClassName }}{{ $_ := set $config "runtimeClassName" . }}{{ end -}}
{{- with $v.escalation }}{{ if .url }}{{ $_ := set $config "escalation" (dict "url" .url "secretName" .secretName "answerPort" 8083) }}{{ end }}{{ end -}}
{{- if $v.model.enabled }}{{ $_ := set $config "modelUrl" (printf "http://%s-model.%s.svc:8080/v1" $h .Release.Namespace) }}{{ end -}}
{{- $config | toPrettyJson -}}
{{- end }}

{{- define "bzzz.scribeConfig" -}}
{{- $h := include "bzzz.hive" . -}}
{{- dict
    "nodeId" (printf "%s-scribe" $h)
    "hive" $h
    "hiveKeyFile" "/etc/bzzz/hive/hive.pub"
    "meshSeedFile" "/etc/bzzz/keys/mesh.seed"
    "cardFile" (printf "/etc/bzzz/hive/card-%s-scribe.json" $h)
    "membersFile" "/etc/bzzz/hive/members.json"
    "revocationsFile" "/etc/bzzz/hive/revocations.json"
    "listen" "/ip4/0.0.0.0/tcp/4001"
    "archive" (dict "url" (include "bzzz.archiveUrl" .) "tokenFile" "/etc/bzzz/archive/token")
    "http" (dict "host" "0.0.0.0" "port" 8080)
    "stateFile" "/var/lib/bzzz/state.sqlite"
    "publicUrl" (include "bzzz.publicUrl" .)
    "repositories" .Values.scribe.repositories
    "store" (dict "type" "kubernetes") | toPrettyJson -}}
{{- end }}

{{- define "bzzz.archiveConfig" -}}
{{- dict
    "dir" "/data"
    "http" (dict "host" "0.0.0.0" "port" 8081)
    "tokenFile" "/etc/bzzz/token/token"
    "noiseSeedFile" "/etc/bzzz/keys/noise.seed"
    "metrics" (dict "host" "0.0.0.0" "port" 9401) | toPrettyJson -}}
{{- end }}
