{{/* What is wrong with the values, beyond what the schema says: each line names the key and what to choose. */}}
{{- define "calico.valueErrors" -}}
{{- $installation := .Values.installation }}{{ $network := $installation.calicoNetwork }}{{ $errors := list -}}
{{- if not $installation.enabled }}{{ $errors = append $errors "installation.enabled: false leaves nothing to install; uninstall the release instead" }}{{ end -}}
{{- if ne ($installation.variant | default "Calico") "Calico" }}{{ $errors = append $errors (printf "installation.variant: %s is not part of this version; choose Calico" $installation.variant) }}{{ end -}}
{{- if ne $installation.cni.type "Calico" }}{{ $errors = append $errors (printf "installation.cni.type: %s is not part of this version; choose Calico" $installation.cni.type) }}{{ end -}}
{{- if ne (($installation.cni.ipam | default dict).type | default "Calico") "Calico" }}{{ $errors = append $errors (printf "installation.cni.ipam.type: %s is not part of this version; choose Calico" $installation.cni.ipam.type) }}{{ end -}}
{{- if ne $network.linuxDataplane "Nftables" }}{{ $errors = append $errors (printf "installation.calicoNetwork.linuxDataplane: %s is not part of this version; choose Nftables" $network.linuxDataplane) }}{{ end -}}
{{- if ne $network.multiInterfaceMode "None" }}{{ $errors = append $errors (printf "installation.calicoNetwork.multiInterfaceMode: %s is not part of this version; choose None" $network.multiInterfaceMode) }}{{ end -}}
{{- if ne $network.containerIPForwarding "Disabled" }}{{ $errors = append $errors "installation.calicoNetwork.containerIPForwarding: Enabled is not part of this version; choose Disabled" }}{{ end -}}
{{- $names := dict }}{{ $cidrs := dict -}}
{{- range $i, $pool := $network.ipPools -}}
{{- $at := printf "installation.calicoNetwork.ipPools[%d]" $i }}{{ $encapsulation := $pool.encapsulation | default "None" -}}
{{- if hasPrefix "IPIP" $encapsulation }}{{ $errors = append $errors (printf "%s.encapsulation: %s is not part of this version; choose %s, or None where routers or one network carry the pods' addresses" $at $encapsulation (replace "IPIP" "VXLAN" $encapsulation)) }}
{{- else if and (eq $network.bgp "Disabled") (ne $encapsulation "VXLAN") }}{{ $errors = append $errors (printf "%s.encapsulation: %s needs routes by BGP; choose VXLAN, or set installation.calicoNetwork.bgp to Enabled" $at $encapsulation) }}{{ end -}}
{{- $length := splitList "/" $pool.cidr | last | int }}{{ $isV6 := contains ":" $pool.cidr }}{{ $least := ternary 116 20 $isV6 }}{{ $most := ternary 128 32 $isV6 }}{{ $size := int ($pool.blockSize | default (ternary 122 26 $isV6)) -}}
{{- if gt $length $most }}{{ $errors = append $errors (printf "%s.cidr: %s has a prefix longer than %d" $at $pool.cidr $most) }}
{{- else if or (lt $size $least) (gt $size $most) }}{{ $errors = append $errors (printf "%s.blockSize: %d is not from %d to %d" $at $size $least $most) }}
{{- else if lt $size $length }}{{ $errors = append $errors (printf "%s.blockSize: a block of /%d does not fit into %s; choose %d or more" $at $size $pool.cidr $length) }}{{ end -}}
{{- with $pool.name }}{{ if hasKey $names . }}{{ $errors = append $errors (printf "%s.name: %s is the name of another pool" $at .) }}{{ end }}{{ $_ := set $names . true }}{{ end -}}
{{- if not $isV6 -}}
{{- range $other, $seen := $cidrs }}{{ if include "calico.overlap" (dict "a" $pool.cidr "b" $other) }}{{ $errors = append $errors (printf "%s.cidr: %s overlaps %s, the pool before it" $at $pool.cidr $other) }}{{ end }}{{ end -}}
{{- $_ := set $cidrs $pool.cidr true -}}
{{- end -}}
{{- end -}}
{{- range $name := list "apiServer" "goldmane" "whisker" }}{{ if (index $.Values $name | default dict).enabled }}{{ $errors = append $errors (printf "%s.enabled: %s is not part of this version; remove the key" $name $name) }}{{ end }}{{ end -}}
{{- if and .Values.nats.enabled .Values.nats.external.url }}{{ $errors = append $errors "nats.external.url: the release runs a NATS of its own; set nats.enabled to false or leave the url out" }}{{ end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.enabled) }}{{ $errors = append $errors "metrics.serviceMonitor.enabled: there is nothing to scrape; set metrics.enabled to true" }}{{ end -}}
{{- $secrets := .Values.certificates.secrets -}}
{{- if and (ne .Values.certificates.mode "secrets") (ne (join "," (list $secrets.typha $secrets.node $secrets.nats)) "calico-typha-tls,calico-node-tls,calico-nats-tls") }}{{ $errors = append $errors (printf "certificates.secrets: other names are for Secrets of your own; set certificates.mode to secrets, not %s" .Values.certificates.mode) }}{{ end -}}
{{- join "\n" $errors -}}
{{- end }}

{{/* What is in the way in the cluster; empty where helm is not connected to one. */}}
{{- define "calico.clusterErrors" -}}
{{- $errors := list -}}
{{- if lookup "v1" "Namespace" "" "kube-system" -}}
{{- if lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "ippools.crd.projectcalico.org" }}{{ $errors = append $errors "the definitions of the group crd.projectcalico.org are in this cluster: another Calico is or was here, and clients that find the old group do not see the new one; uninstall it and delete its CustomResourceDefinitions first" }}{{ end -}}
{{- if ((lookup "apiregistration.k8s.io/v1" "APIService" "" "v3.projectcalico.org").spec | default dict).service }}{{ $errors = append $errors "an API server of another Calico serves projectcalico.org/v3 (APIService v3.projectcalico.org); delete it first: here these are ordinary definitions" }}{{ end -}}
{{- range $namespace := list "kube-system" "calico-system" }}{{ with lookup "apps/v1" "DaemonSet" $namespace "calico-node" }}{{ if ne ((.metadata.annotations | default dict) | dig "meta.helm.sh/release-name" "") $.Release.Name }}{{ $errors = append $errors (printf "another Calico runs in this cluster: DaemonSet %s/calico-node is not of the release %s; remove it first" $namespace $.Release.Name) }}{{ end }}{{ end }}{{ end -}}
{{- with lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" "calico-node" }}{{ $owner := (.metadata.annotations | default dict) | dig "meta.helm.sh/release-namespace" "" }}{{ if and $owner (ne $owner $.Release.Namespace) }}{{ $errors = append $errors (printf "Calico is installed already, in namespace %s; a cluster has one. Upgrade that release: helm upgrade -n %s" $owner $owner) }}{{ end }}{{ end -}}
{{- if and (eq .Values.certificates.mode "cert-manager") (not (.Capabilities.APIVersions.Has "cert-manager.io/v1")) }}{{ $errors = append $errors "certificates.mode: cert-manager is not in this cluster (no API cert-manager.io/v1); install it first or choose job" }}{{ end -}}
{{- if eq .Values.certificates.mode "secrets" -}}
{{- $wanted := list .Values.certificates.secrets.typha .Values.certificates.secrets.node }}{{ if .Values.nats.enabled }}{{ $wanted = append $wanted .Values.certificates.secrets.nats }}{{ end -}}
{{- range $secret := $wanted }}{{ $data := (lookup "v1" "Secret" $.Release.Namespace $secret).data | default dict }}{{ range $key := list "ca.crt" "tls.crt" "tls.key" }}{{ if not (hasKey $data $key) }}{{ $errors = append $errors (printf "certificates.secrets: the Secret %s/%s is missing or has no %s" $.Release.Namespace $secret $key) }}{{ end }}{{ end }}{{ end -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) }}{{ $errors = append $errors "metrics.serviceMonitor.enabled: the Prometheus operator is not in this cluster (no API monitoring.coreos.com/v1)" }}{{ end -}}
{{- $errors = concat $errors (fromJsonArray (include "calico.overlapErrors" .)) -}}
{{- end -}}
{{- join "\n" $errors -}}
{{- end }}

{{/* Pools that take addresses of nodes or Services, as JSON. */}}
{{- define "calico.overlapErrors" -}}
{{- $errors := list -}}
{{- $taken := dict -}}
{{- with (lookup "v1" "Service" "default" "kubernetes").spec }}{{ $_ := set $taken .clusterIP "the Service default/kubernetes; the network of Services and the pools must be apart" }}{{ end -}}
{{- range (lookup "v1" "Node" "" "").items }}{{ $node := .metadata.name }}{{ range .status.addresses }}{{ if eq .type "InternalIP" }}{{ $_ := set $taken .address (printf "the node %s; the network of nodes and the pools must be apart" $node) }}{{ end }}{{ end }}{{ end -}}
{{- range $i, $pool := .Values.installation.calicoNetwork.ipPools -}}
{{- if not (contains ":" $pool.cidr) -}}
{{- $found := "" -}}
{{- range $address, $whose := $taken }}{{ if and (not $found) (regexMatch "^[0-9.]+$" $address) }}{{ if include "calico.overlap" (dict "a" $pool.cidr "b" (printf "%s/32" $address)) }}{{ $found = printf "installation.calicoNetwork.ipPools[%d].cidr: %s has %s, the address of %s" $i $pool.cidr $address $whose }}{{ end }}{{ end }}{{ end -}}
{{- if $found }}{{ $errors = append $errors $found }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson $errors -}}
{{- end }}
