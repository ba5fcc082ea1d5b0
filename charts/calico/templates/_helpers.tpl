{{/* What the templates share. */}}

{{/* Labels of every object; argument: the root. */}}
{{- define "calico.labels" -}}
app.kubernetes.io/part-of: calico
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The image of a component; arguments: root, component (name of the image), image (its own values). A digest wins over a tag. */}}
{{- define "calico.image" -}}
{{- $installation := .root.Values.installation -}}
{{- $registry := .root.Values.global.imageRegistry | default $installation.registry | trimSuffix "/" -}}
{{- $path := $installation.imagePath | trimAll "/" -}}
{{- $repository := .image.repository | default (list $registry $path .component | compact | join "/") -}}
{{- if .image.digest -}}
{{ $repository }}@{{ .image.digest }}
{{- else -}}
{{ $repository }}:{{ .image.tag | default .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "calico.imagePullSecrets" -}}
{{- with .Values.installation.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Where the API server is, for pods on the host network, before there are Services. */}}
{{- define "calico.apiServerEnv" -}}
{{- with .Values.kubernetesServiceEndpoint }}
{{- if .host }}
- name: KUBERNETES_SERVICE_HOST
  value: {{ .host | quote }}
- name: KUBERNETES_SERVICE_PORT
  value: {{ .port | default "443" | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* NATS for a component; arguments: root, component. Nothing waits for it, so its Secret may be missing. */}}
{{- define "calico.natsEnv" -}}
{{- $nats := .root.Values.nats }}
{{- if or $nats.enabled $nats.external.url }}
{{- $secret := ternary (printf "calico-nats-%s" .component) $nats.external.secretName $nats.enabled }}
{{- if $nats.enabled }}
# The address of the Service, from the environment that the kubelet gives: there is no cluster DNS on the host network.
- name: NATS_URL
  value: tls://$(CALICO_NATS_SERVICE_HOST):4222
- name: NATS_SERVERNAME
  value: calico-nats
{{- else }}
- name: NATS_URL
  value: {{ $nats.external.url | quote }}
{{- end }}
{{- if $secret }}
- name: NATS_USER
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: user, optional: true}}
- name: NATS_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: password, optional: true}}
- name: NATS_CAFILE
  value: /etc/calico/nats/ca.crt
{{- end }}
{{- end }}
{{- end }}

{{- define "calico.natsMount" -}}
{{- if include "calico.natsCaSecret" . }}
- {name: nats-ca, mountPath: /etc/calico/nats, readOnly: true}
{{- end }}
{{- end }}

{{- define "calico.natsVolume" -}}
{{- with include "calico.natsCaSecret" . }}
- name: nats-ca
  secret: {secretName: {{ . }}, optional: true, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- end }}

{{- define "calico.natsCaSecret" -}}
{{- if .Values.nats.enabled -}}
{{ .Values.certificates.secrets.nats }}
{{- else if .Values.nats.external.url -}}
{{ .Values.nats.external.secretName }}
{{- end }}
{{- end }}

{{/* What a client of typha is told; arguments: root, prefix. */}}
{{- define "calico.typhaClientEnv" -}}
- name: {{ .prefix }}_TYPHAK8SSERVICENAME
  value: calico-typha
- name: {{ .prefix }}_TYPHAK8SNAMESPACE
  value: {{ .root.Release.Namespace }}
- name: {{ .prefix }}_TYPHACAFILE
  value: /etc/calico/tls/ca.crt
- name: {{ .prefix }}_TYPHACERTFILE
  value: /etc/calico/tls/tls.crt
- name: {{ .prefix }}_TYPHAKEYFILE
  value: /etc/calico/tls/tls.key
- name: {{ .prefix }}_TYPHACN
  value: typha-server
- name: {{ .prefix }}_TYPHATOKENFILE
  value: /var/run/secrets/kubernetes.io/serviceaccount/token
{{- end }}

{{- define "calico.typhaClientVolume" -}}
- name: tls
  secret: {secretName: {{ .Values.certificates.secrets.node }}, defaultMode: 0400}
{{- end }}

{{/* The chart's variables, but those that extraEnv gives another value; arguments: env (a YAML list as text), extra. */}}
{{- define "calico.env" -}}
{{- $extra := .extra | default list -}}
{{- $names := dict -}}
{{- range $extra }}{{ $_ := set $names .name true }}{{ end -}}
{{- $env := list -}}
{{- range fromYamlArray .env }}{{ if not (hasKey $names .name) }}{{ $env = append $env . }}{{ end }}{{ end -}}
{{- toYaml (concat $env $extra) }}
{{- end }}

{{/* Variables of every component; arguments: root, component, logLevel variable. */}}
{{- define "calico.commonEnv" -}}
- name: NODENAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- include "calico.apiServerEnv" .root }}
{{- include "calico.natsEnv" . }}
{{- with .root.Values.tracing.otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- end }}

{{/* Health as the kubelet asks for it on the host network; argument: the port. */}}
{{- define "calico.hostProbes" -}}
livenessProbe:
  httpGet: {host: 127.0.0.1, path: /liveness, port: {{ . }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {host: 127.0.0.1, path: /readiness, port: {{ . }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}

{{/* Where metrics are served: for everybody or for this node alone. */}}
{{- define "calico.metricsHost" -}}
{{ ternary (include "calico.anyAddress" .) "127.0.0.1" .Values.metrics.enabled }}
{{- end }}

{{/* Every address of the machine: of both families where pods have IPv6 alone. */}}
{{- define "calico.anyAddress" -}}
{{ ternary "0.0.0.0" "::" (ne "" (include "calico.ipv4" .)) }}
{{- end }}

{{/* Placement of a pod of a DaemonSet; arguments: root, values. */}}
{{- define "calico.nodePlacement" -}}
hostNetwork: true
dnsPolicy: Default
priorityClassName: {{ .values.priorityClassName | default .root.Values.priorityClassNames.node }}
nodeSelector:
  {{- toYaml (merge (dict "kubernetes.io/os" "linux") (.values.nodeSelector | default dict)) | nindent 2 }}
tolerations:
  {{- toYaml (.values.tolerations | default (list (dict "operator" "Exists"))) | nindent 2 }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Runs on every node, and leaves one that is lost soon. */}}
{{- define "calico.controlTolerations" -}}
- {operator: Exists}
- {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 30}
{{- end }}

{{/* Placement of a pod of a Deployment on the host network; arguments: root, values, name. */}}
{{- define "calico.controlPlacement" -}}
priorityClassName: {{ .values.priorityClassName | default .root.Values.priorityClassNames.cluster }}
nodeSelector:
  {{- toYaml (merge (dict "kubernetes.io/os" "linux") (.values.nodeSelector | default .root.Values.installation.controlPlaneNodeSelector | default dict)) | nindent 2 }}
tolerations:
  {{- toYaml (.values.tolerations | default .root.Values.installation.controlPlaneTolerations | default (fromYamlArray (include "calico.controlTolerations" .))) | nindent 2 }}
affinity:
{{- if .values.affinity }}
  {{- toYaml .values.affinity | nindent 2 }}
{{- else }}
  # Not a second spread constraint: nodes without a zone would make both of no effect.
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm: {topologyKey: topology.kubernetes.io/zone, labelSelector: {matchLabels: {k8s-app: {{ .name }}}}}
{{- end }}
topologySpreadConstraints:
{{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
{{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector: {matchLabels: {k8s-app: {{ .name }}}}
{{- end }}
{{- end }}

{{/* Metadata of a pod; arguments: root, values, name. No version is in it: a pod restarts when something of its own changes, not with every release. */}}
{{- define "calico.podMetadata" -}}
labels:
  app.kubernetes.io/part-of: calico
  app.kubernetes.io/name: {{ .name }}
  k8s-app: {{ .name }}
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Metadata of an object; arguments: root, name. */}}
{{- define "calico.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "calico.labels" .root | nindent 2 }}
  k8s-app: {{ .name }}
{{- end }}

{{/* A container that may do nothing special; argument: a list of capabilities that it may use in spite of that. */}}
{{- define "calico.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
  {{- with . }}
  add: {{ toJson . }}
  {{- end }}
{{- end }}

{{/* True when a pool of IPv6 is asked for; pods get an address of it then. */}}
{{- define "calico.ipv6Pools" -}}
{{- range .Values.installation.calicoNetwork.ipPools }}{{ if contains ":" .cidr }}true{{ end }}{{ end -}}
{{- end }}

{{/* True when nodes look for an IPv4 address of theirs. */}}
{{- define "calico.ipv4" -}}
{{- $network := .Values.installation.calicoNetwork -}}
{{ if or $network.nodeAddressAutodetectionV4 (not $network.ipPools) }}true{{ end }}
{{- range $network.ipPools }}{{ if not (contains ":" .cidr) }}true{{ end }}{{ end -}}
{{- end }}

{{/* True when nodes look for an IPv6 address of theirs. */}}
{{- define "calico.ipv6" -}}
{{ if .Values.installation.calicoNetwork.nodeAddressAutodetectionV6 }}true{{ end }}{{ include "calico.ipv6Pools" . }}
{{- end }}

{{/* How a node finds its address, as felix writes it; argument: a nodeAddressAutodetection of the Installation. */}}
{{- define "calico.autodetection" -}}
{{- $way := . | default dict -}}
{{- if $way.interface -}}interface={{ $way.interface }}
{{- else if $way.skipInterface -}}skip-interface={{ $way.skipInterface }}
{{- else if $way.canReach -}}can-reach={{ $way.canReach }}
{{- else if $way.cidrs -}}cidr={{ join "," $way.cidrs }}
{{- else if eq ($way.kubernetes | default "") "NodeInternalIP" -}}kubernetes-internal-ip
{{- else -}}first-found
{{- end }}
{{- end }}

{{/*
Which policies of the API server the release has, as JSON: validating and rights are true or false, mutating is the API version of such policies or "". Where there is no cluster to ask, the version of
Kubernetes tells. Rights per tier need the tier of a policy to be filled in by the API server.
*/}}
{{- define "calico.admission" -}}
{{- $group := "admissionregistration.k8s.io" -}}
{{- $version := .Capabilities.KubeVersion.Version -}}
{{- $validating := or (.Capabilities.APIVersions.Has (printf "%s/v1/ValidatingAdmissionPolicy" $group)) (semverCompare ">=1.30.0-0" $version) -}}
{{- $mutating := "" -}}
{{- if or (.Capabilities.APIVersions.Has (printf "%s/v1/MutatingAdmissionPolicy" $group)) (semverCompare ">=1.36.0-0" $version) -}}
{{- $mutating = printf "%s/v1" $group -}}
{{- else if .Capabilities.APIVersions.Has (printf "%s/v1beta1/MutatingAdmissionPolicy" $group) -}}
{{- $mutating = printf "%s/v1beta1" $group -}}
{{- end -}}
{{- $on := .Values.admission.enabled -}}
{{- toJson (dict "validating" (and $on $validating) "mutating" (ternary $mutating "" $on) "rights" (and $on $validating (ne $mutating "") .Values.admission.tierRights)) -}}
{{- end }}
