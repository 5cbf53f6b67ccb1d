{{/* What differs between releases of the chart: here 15.1.0. */}}

{{/* URL of DPM. */}}
{{- define "dpe.dpmURL" -}}
{{ .Values.dpm.url }}
{{- end }}

{{/* Region of the object storage: this release knows one only. */}}
{{- define "dpe.region" -}}
us-east-1
{{- end }}

{{/* Bucket for results: a value since this release. */}}
{{- define "dpe.bucket" -}}
{{ .Values.objectStorage.bucket }}
{{- end }}
