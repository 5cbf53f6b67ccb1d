{{/* What differs between releases of the chart: here 15.3.0. */}}

{{/* URL of DPM. Up to 15.1.0 the value was dpm.url. */}}
{{- define "dpe.dpmURL" -}}
{{ .Values.dpm.endpoint }}
{{- end }}

{{/* Region of the object storage: a value since this release. */}}
{{- define "dpe.region" -}}
{{ .Values.objectStorage.region }}
{{- end }}

{{/* Bucket for results: a value since 15.1.0. */}}
{{- define "dpe.bucket" -}}
{{ .Values.objectStorage.bucket }}
{{- end }}
