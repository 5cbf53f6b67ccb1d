{{/* Name of every object: the Helm release, which the portal's commands derive from the DPE's label. */}}
{{- define "dpe.name" -}}
{{ .Release.Name }}
{{- end }}

{{/* Release of the engine: tag of the image. */}}
{{- define "dpe.version" -}}
{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The one image of the chart. */}}
{{- define "dpe.image" -}}
{{ printf "%s/%s:%s" (.Values.global.registry | default .Values.image.registry) .Values.image.repository (include "dpe.version" .) }}
{{- end }}

{{/* Name of the service account. */}}
{{- define "dpe.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "dpe.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{/* Labels that select the pods; they never change. */}}
{{- define "dpe.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Labels of every object that say more than which it is. */}}
{{- define "dpe.commonLabels" -}}
app.kubernetes.io/version: {{ include "dpe.version" . | quote }}
app.kubernetes.io/part-of: ataccama-one
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "dpe.labels" -}}
{{ include "dpe.selector" . }}
app.kubernetes.io/component: data-processing-engine
{{ include "dpe.commonLabels" . }}
{{- end }}

{{/* Labels that select the pod of `helm test`: not those of an engine. */}}
{{- define "dpe.testSelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-test
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Pull secrets of every pod. */}}
{{- define "dpe.imagePullSecrets" -}}
- name: {{ include "dpe.name" . }}-registry
{{- range .Values.imagePullSecrets }}
- name: {{ .name | quote }}
{{- end }}
{{- end }}

{{/* Security of every pod. */}}
{{- define "dpe.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Security of every container. */}}
{{- define "dpe.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
{{- end }}

{{/* One line of a property file: takes a list of name and value. A value with a line break would be another property; the
     schema refuses it, and so does this where the schema is not checked. */}}
{{- define "dpe.property" -}}
{{- $value := toString (index . 1) -}}
{{- if regexMatch "[\\x00-\\x1f\\x7f]" $value }}
{{- fail (printf "the value for %s has a line break or another control character in it: take it from the values.yaml that the portal generated" (index . 0)) }}
{{- end -}}
{{ index . 0 }}={{ $value }}
{{ end }}

{{/* Refuses a helm that is older than the product supports. */}}
{{- define "dpe.checkHelm" -}}
{{- $version := .Capabilities.HelmVersion.Version }}
{{- if and (regexMatch "^v?[0-9]" $version) (semverCompare "<3.13.0-0" $version) }}
{{- fail (printf "this chart needs Helm 3.13 or newer, and this is Helm %s: install a newer helm and run the command again" $version) }}
{{- end }}
{{- end }}
