{{/* The environment of each component: what its own configuration reads. */}}

{{- define "calico.felixEnv" }}
{{- $network := .Values.installation.calicoNetwork }}
{{ include "calico.commonEnv" (dict "root" . "component" "felix") }}
{{ include "calico.typhaClientEnv" (dict "root" . "prefix" "FELIX") }}
- name: FELIX_HEALTHENABLED
  value: "true"
- name: FELIX_HEALTHHOST
  value: 127.0.0.1
- name: FELIX_PROMETHEUSMETRICSENABLED
  value: {{ .Values.metrics.enabled | quote }}
- name: FELIX_PROMETHEUSMETRICSHOST
  value: {{ include "calico.metricsHost" . | quote }}
- name: FELIX_PROMETHEUSMETRICSPORT
  value: {{ .Values.installation.nodeMetricsPort | quote }}
- name: FELIX_DEFAULTENDPOINTTOHOSTACTION
  value: {{ .Values.felix.defaultEndpointToHostAction }}
{{- with .Values.logSeverityScreen }}
- name: FELIX_LOGSEVERITYSCREEN
  value: {{ . }}
{{- end }}
- name: IP
  value: {{ ternary "autodetect" "none" (ne "" (include "calico.ipv4" .)) }}
- name: IP_AUTODETECTION_METHOD
  value: {{ include "calico.autodetection" $network.nodeAddressAutodetectionV4 | quote }}
- name: IP6
  value: {{ ternary "autodetect" "none" (ne "" (include "calico.ipv6" .)) }}
- name: IP6_AUTODETECTION_METHOD
  value: {{ include "calico.autodetection" $network.nodeAddressAutodetectionV6 | quote }}
{{- if $network.mtu }}
- name: FELIX_MTU
  value: {{ $network.mtu | quote }}
{{- end }}
{{- end }}

{{- define "calico.birdEnv" }}
{{ include "calico.commonEnv" (dict "root" . "component" "bird") }}
{{ include "calico.typhaClientEnv" (dict "root" . "prefix" "BIRD") }}
- name: BIRD_HTTPHOST
  value: {{ include "calico.metricsHost" . | quote }}
- name: BIRD_SECRETNAMESPACE
  value: {{ .Release.Namespace }}
{{- with .Values.logSeverityScreen }}
- name: BIRD_LOGSEVERITYSCREEN
  value: {{ . }}
{{- end }}
{{- end }}

{{- define "calico.ipamEnv" }}
{{ include "calico.commonEnv" (dict "root" . "component" "ipam") }}
- name: IPAM_HTTPHOST
  value: {{ include "calico.metricsHost" . | quote }}
{{- with .Values.logSeverityScreen }}
- name: IPAM_LOGSEVERITYSCREEN
  value: {{ . }}
{{- end }}
{{- end }}

{{- define "calico.cniEnv" }}
{{- $network := .Values.installation.calicoNetwork }}
{{ include "calico.commonEnv" (dict "root" . "component" "cni") }}
- name: CNI_HTTPHOST
  value: {{ include "calico.metricsHost" . | quote }}
{{- if .Values.cni.installPlugins }}
- name: CNI_EXTRAPLUGINS
  value: /opt/calico/plugins
{{- end }}
- name: CNI_CHAINEDPLUGINS
  value: {{ ternary "portmap,bandwidth" "bandwidth" (eq $network.hostPorts "Enabled") | quote }}
{{- with $network.sysctl }}
- name: CNI_SYSCTLS
  value: {{ range $i, $setting := . }}{{ if $i }},{{ end }}{{ $setting.key }}={{ $setting.value }}{{ end }}
{{- end }}
- name: CNI_ASSIGNIPV6
  value: {{ ne "" (include "calico.ipv6Pools" .) | quote }}
{{- with .Values.logSeverityScreen }}
- name: CNI_LOGSEVERITYSCREEN
  value: {{ . }}
{{- end }}
{{- end }}

{{- define "calico.typhaEnv" }}
{{ include "calico.commonEnv" (dict "root" . "component" "typha") }}
- name: TYPHA_SERVERHOST
  value: {{ include "calico.anyAddress" . | quote }}
- name: TYPHA_CAFILE
  value: /etc/calico/tls/ca.crt
- name: TYPHA_SERVERCERTFILE
  value: /etc/calico/tls/tls.crt
- name: TYPHA_SERVERKEYFILE
  value: /etc/calico/tls/tls.key
- name: TYPHA_CLIENTCN
  value: typha-client
- name: TYPHA_VERIFYNODETOKENS
  value: {{ semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version | quote }}
- name: TYPHA_HEALTHHOST
  value: 127.0.0.1
- name: TYPHA_PROMETHEUSMETRICSENABLED
  value: {{ .Values.metrics.enabled | quote }}
- name: TYPHA_PROMETHEUSMETRICSHOST
  value: {{ include "calico.metricsHost" . | quote }}
- name: TYPHA_PROMETHEUSMETRICSPORT
  value: {{ .Values.installation.typhaMetricsPort | quote }}
{{- with .Values.logSeverityScreen }}
- name: TYPHA_LOGSEVERITYSCREEN
  value: {{ . }}
{{- end }}
{{- end }}

{{- define "calico.kubeControllersEnv" }}
{{ include "calico.commonEnv" (dict "root" . "component" "kube-controllers") }}
- name: KUBECONTROLLERS_HTTPHOST
  value: {{ include "calico.metricsHost" . | quote }}
- name: CALICO_IPPOOLS
  value: {{ .Values.installation.calicoNetwork.ipPools | toJson | quote }}
{{- with include "calico.keptCredentials" . }}
{{ include "calico.credentialsEnv" (dict "root" $ "credentials" .) }}
{{- end }}
{{- with .Values.logSeverityScreen }}
- name: KUBECONTROLLERS_LOGSEVERITYSCREEN
  value: {{ . }}
{{- end }}
{{- end }}
