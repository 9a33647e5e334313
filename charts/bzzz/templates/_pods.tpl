{{/*
What all pods of the hive have in common. Architecture §3: non-root, read-only root, no capabilities, seccomp, bounds.
*/}}
{{- define "bzzz.podMetadata" -}}
{{- $values := .values -}}
labels:
  {{- with $values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- include "bzzz.labels" . | nindent 2 }}
annotations:
  {{- with $values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  kubectl.kubernetes.io/default-container: {{ .component }}
  {{- with .config }}
  bzzz.dev/config-hash: {{ . | sha256sum | trunc 16 | quote }}
  {{- end }}
{{- end }}

{{- define "bzzz.podSpec" -}}
enableServiceLinks: false
automountServiceAccountToken: {{ .token | default false }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .uid }}
  runAsGroup: {{ .uid }}
  fsGroup: {{ .uid }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{- define "bzzz.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "bzzz.selector" . | nindent 8 }}
{{- end }}

{{- define "bzzz.container" -}}
{{- if .reference }}
image: {{ .reference }}
{{- else }}
image: {{ include "bzzz.image" (dict "root" .root "component" .image) }}
{{- end }}
imagePullPolicy: {{ .root.Values.images.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  runAsNonRoot: true
  readOnlyRootFilesystem: true
  allowPrivilegeEscalation: false
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
resources: {{- toYaml .values.resources | nindent 2 }}
{{- end }}

{{- define "bzzz.podName" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
{{- end }}
