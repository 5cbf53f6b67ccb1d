{{/* Name of every object: the Helm release, which the portal's commands derive from the DPE's label. */}}
{{- define "dpe.name" -}}
{{ .Release.Name }}
{{- end }}

{{/* Release of the engine: tag of the image. */}}
{{- define "dpe.version" -}}
{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* Labels that select the pods; they never change. */}}
{{- define "dpe.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "dpe.labels" -}}
{{ include "dpe.selector" . }}
app.kubernetes.io/version: {{ include "dpe.version" . | quote }}
app.kubernetes.io/component: data-processing-engine
app.kubernetes.io/part-of: ataccama-one
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
