{{/*
Names and labels. `H`, the hive's name, is at most 45 characters: the longest name made from it is `H-metrics-token` as a
label's value (63), and the operator refuses more. A longer one is cut and keeps a hash, so that two stay two.
*/}}
{{- define "bzzz.hive" -}}
{{- $name := .Values.hive | default (.Release.Name | replace "." "-") -}}
{{- if gt (len $name) 45 -}}
{{- printf "%s-%s" ($name | trunc 36 | trimSuffix "-") ($name | sha256sum | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end }}

{{/* Name of an object of the whole cluster, which two hives must not share. */}}
{{- define "bzzz.clusterName" -}}
{{- printf "%s-%s-%s" .root.Release.Namespace (include "bzzz.hive" .root) .name -}}
{{- end }}

{{/* Labels by which a component's pods are known; the operator's network policies rely on the same two. */}}
{{- define "bzzz.selector" -}}
app.kubernetes.io/name: bzzz-{{ .component }}
bzzz.dev/hive: {{ include "bzzz.hive" .root }}
{{- end }}

{{- define "bzzz.labels" -}}
{{- with .root.Values.labels }}
{{- toYaml . }}
{{ end -}}
{{ include "bzzz.selector" . }}
app.kubernetes.io/instance: {{ .root.Release.Name | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: {{ include "bzzz.hive" .root }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- end }}

{{/* A component's image: its repository below the registry, unless it begins with a registry of its own. */}}
{{- define "bzzz.image" -}}
{{- $images := .root.Values.images -}}
{{- $image := index $images .component -}}
{{- $first := splitList "/" $image.repository | first -}}
{{- $own := and (contains "/" $image.repository) (or (contains "." $first) (contains ":" $first)) -}}
{{- if not $own }}{{ $images.registry }}/{{ end -}}
{{- $image.repository }}:{{ $image.tag | default $images.tag | default .root.Chart.AppVersion -}}
{{- with $image.digest }}@{{ . }}{{ end -}}
{{- end }}

{{- define "bzzz.scribeUrl" -}}
http://{{ include "bzzz.hive" . }}-scribe.{{ .Release.Namespace }}.svc:8080
{{- end }}

{{- define "bzzz.archiveUrl" -}}
http://{{ include "bzzz.hive" . }}-archive.{{ .Release.Namespace }}.svc:8081
{{- end }}

{{- define "bzzz.publicUrl" -}}
{{- $ingress := .Values.scribe.ingress -}}
{{- if .Values.publicUrl -}}
{{- .Values.publicUrl | trimSuffix "/" -}}
{{- else if $ingress.enabled -}}
{{- ternary "https" "http" (ne $ingress.tlsSecretName "") }}://{{ $ingress.host }}{{ $ingress.path | trimSuffix "/" -}}
{{- else -}}
{{- include "bzzz.scribeUrl" . -}}
{{- end -}}
{{- end }}
