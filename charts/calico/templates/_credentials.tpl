{{/* Which Secrets are made; argument of the first: what is made of certificates. */}}
{{- define "calico.credentialsOf" -}}
{{- $made := list -}}
{{- with .certificates }}{{ $made = append $made . }}{{ end -}}
{{- if .root.Values.nats.enabled }}{{ $made = append $made "nats" }}{{ end -}}
{{- join "," $made }}
{{- end }}

{{/* What the hook makes: cert-manager needs the pod network that is to come, so the first certificates are not its. */}}
{{- define "calico.hookCredentials" -}}
{{- include "calico.credentialsOf" (dict "root" . "certificates" (get (dict "job" "certificates" "cert-manager" "first-certificates" "secrets" "") .Values.certificates.mode)) }}
{{- end }}

{{/* What the leader of kube-controllers looks after. */}}
{{- define "calico.keptCredentials" -}}
{{- include "calico.credentialsOf" (dict "root" . "certificates" (ternary "certificates" "" (eq .Values.certificates.mode "job"))) }}
{{- end }}

{{/* How they are made; argument: root, credentials. */}}
{{- define "calico.credentialsEnv" -}}
- name: KUBECONTROLLERS_CREDENTIALS
  value: {{ .credentials | quote }}
- name: KUBECONTROLLERS_CERTIFICATELIFETIME
  value: {{ .root.Values.certificates.lifetime }}
- name: KUBECONTROLLERS_NATSCERTIFICATESECRET
  value: {{ .root.Values.certificates.secrets.nats }}
{{- end }}

{{/* What making them takes; argument: root, credentials. Creating cannot be limited to names. */}}
{{- define "calico.credentialsRules" -}}
{{- $nats := .root.Values.nats.enabled -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames:
    {{- if contains "certificates" .credentials }}
    - calico-ca
    - calico-typha-tls
    - calico-node-tls
    {{- if $nats }}
    - calico-nats-tls
    {{- end }}
    {{- end }}
    {{- if $nats }}
    - calico-nats-users
    {{- range list "felix" "bird" "ipam" "cni" "typha" "kube-controllers" }}
    - calico-nats-{{ . }}
    {{- end }}
    - calicoctl-nats
    {{- end }}
  verbs: [get, update]
{{- if and $nats (contains "certificates" .credentials) }}
# NATS reads a renewed certificate when it starts.
- apiGroups: [apps]
  resources: [statefulsets]
  resourceNames: [calico-nats]
  verbs: [patch]
{{- end }}
{{- if and $nats (not (contains "certificates" .credentials)) }}
# Its authority is told to calicoctl.
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ .root.Values.certificates.secrets.nats }}]
  verbs: [get]
{{- end }}
{{- end }}
