{{- define "glimpse.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end -}}
{{- end }}

{{- define "glimpse.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "glimpse.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "glimpse.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "glimpse.name" .) }}
{{- end }}

{{- define "glimpse.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
# The volume belongs to this group; the check of each file is skipped if the folder has it already.
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "glimpse.containerSecurity" -}}
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
{{- end }}

{{/* What the service and the workers have in common in the specification of their pods. */}}
{{- define "glimpse.pod" -}}
serviceAccountName: {{ include "glimpse.serviceAccount" . }}
automountServiceAccountToken: false
# Without this, Kubernetes sets variables such as GLIMPSE_PORT, which look like settings.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "glimpse.podSecurity" . | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Secrets as files: a dictionary from the name of a setting to the Secret and the key in it. */}}
{{- define "glimpse.secretVolume" -}}
- name: secrets
  projected:
    # Readable for the group of the pod.
    defaultMode: 0440
    sources:
      {{- range $name, $from := . }}
      - secret:
          name: {{ required (printf "secretFiles.%s.secret: the name of a Secret is required" $name) $from.secret }}
          items:
            - key: {{ required (printf "secretFiles.%s.key: the key in the Secret is required" $name) $from.key }}
              path: {{ $name }}
      {{- end }}
{{- end }}

{{- define "glimpse.secretVariables" -}}
{{- range $name, $from := . }}
{{- if and (ne $name "GLIMPSE_KEYS_FILE") (not (regexMatch (include "glimpse.secretNames" $) $name)) }}
{{- fail (printf "secretFiles.%s cannot be read from a file; docs/settings.md lists the settings that can" $name) }}
{{- end }}
- name: {{ if eq $name "GLIMPSE_KEYS_FILE" }}{{ $name }}{{ else }}{{ $name }}_FILE{{ end }}
  value: /run/secrets/glimpse/{{ $name }}
{{- end }}
{{- end }}

{{/* The settings that can be read from a file (docs/settings.md). */}}
{{- define "glimpse.secretNames" -}}
^(CLIP_API_KEY(_[A-Z0-9_]+)?|GLIMPSE_API_KEY|GLIMPSE_WEBHOOK_SECRET|GLIMPSE_WEBHOOK_URL|GLIMPSE_WORKER_TOKEN|HF_TOKEN|HUGGING_FACE_HUB_TOKEN|OTEL_EXPORTER_OTLP_HEADERS|QDRANT_API_KEY|RAY_AUTH_TOKEN|S3_SECRET_ACCESS_KEY|WEAVIATE_API_KEY)$
{{- end }}

{{/* The settings of the values, and those that follow from the cluster unless the values have them. */}}
{{- define "glimpse.settings" -}}
{{- range $name, $value := .Values.settings }}
{{- if regexMatch (include "glimpse.secretNames" $) $name }}{{ fail (printf "settings.%s is a secret: it belongs into secretFiles" $name) }}{{ end }}
{{- if has $name (list "GLIMPSE_ADDR" "GLIMPSE_DATA_DIR" "GLIMPSE_KEYS_FILE") }}{{ fail (printf "settings.%s cannot be changed: the chart sets it" $name) }}{{ end }}
{{- end }}
{{- $own := dict "HF_HOME" "/data/models" }}
{{- if .Values.settings.RAY_ADDRESS }}
{{- $_ := set $own "GLIMPSE_ADVERTISED_URL" (printf "http://%s.%s:%v" (include "glimpse.name" .) .Release.Namespace .Values.service.port) }}
{{- end }}
{{- range $name, $value := merge (deepCopy .Values.settings) $own }}
{{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end }}
