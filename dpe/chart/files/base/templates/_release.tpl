{{/* What differs between releases of the chart: here 14.5.0. */}}

{{/* URL of DPM. */}}
{{- define "dpe.dpmURL" -}}
{{ .Values.dpm.url }}
{{- end }}

{{/* Region of the object storage: this release knows one only. */}}
{{- define "dpe.region" -}}
us-east-1
{{- end }}

{{/* Bucket for results: this release knows one only. */}}
{{- define "dpe.bucket" -}}
results
{{- end }}
