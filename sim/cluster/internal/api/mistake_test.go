package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/dpesim/dpesim/sim/cluster/internal/api"
)

// send sends a body to the server, and gives what it says: "" if it accepts.
func send(tb testing.TB, c rest.Interface, verb, path, kind, body string) string {
	tb.Helper()
	code := 0
	res := c.Verb(verb).AbsPath(path).Param("fieldValidation", "Strict").Param("fieldManager", "t").SetHeader("Content-Type", kind).
		Body([]byte(body)).MaxRetries(0).Do(tb.Context()).StatusCode(&code)
	err := res.Error()
	if err == nil {
		return ""
	}
	if code >= http.StatusInternalServerError {
		tb.Errorf("%s %s %s: %d %v", verb, path, body, code, err)
	}
	return err.Error()
}

// A deployment, a pod and so on that are right; the tests put one mistake into each.
const (
	goodContainer = `{"name":"c","image":"web:1"}`
	goodPodSpec   = `{"containers":[` + goodContainer + `]}`
)

func deploymentOf(spec string) string {
	return `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},"spec":` + spec + `}}}`
}

func containerWith(fields string) string {
	return deploymentOf(`{"containers":[{"name":"c","image":"web:1",` + fields + `}]}`)
}

func podWith(fields string) string {
	return deploymentOf(`{"containers":[` + goodContainer + `],` + fields + `}`)
}

func object(kind, version, rest string) string {
	return fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":"x"},%s}`, version, kind, rest)
}

// The mistakes that people make are refused in Kubernetes' own words.
// Source of the words: k8s.io/kubernetes v1.37.2, pkg/apis/*/validation, and k8s.io/apimachinery.
func TestMistakesAreToldInKubernetesWords(t *testing.T) {
	t.Parallel()
	s, _ := start(t, options(t, ""))
	c := as(t, s, api.Operator).RESTClient()
	const (
		deployments = "/apis/apps/v1/namespaces/default/deployments"
		core        = "/api/v1/namespaces/default/"
		pod         = "spec.template.spec."
		container   = pod + "containers[0]."
		label63     = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
		labelValue  = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
		portRange   = "must be between 1 and 65535, inclusive"
	)
	deploy := func(msg string) string { return `Deployment.apps "web" is invalid: ` + msg }
	for _, tt := range []struct{ path, body, want string }{
		// Quantities and types.
		{deployments, containerWith(`"resources":{"limits":{"memory":"1Gib"}}`), `Deployment in version "v1" cannot be handled as a Deployment: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`},
		{deployments, containerWith(`"resources":{"limits":{"cpu":"-1"}}`), deploy(container + `resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0`)},
		{deployments, containerWith(`"resources":{"requests":{"memory":"2Gi"},"limits":{"memory":"1Gi"}}`), deploy(container + `resources.requests: Invalid value: "2Gi": must be less than or equal to memory limit of 1Gi`)},
		{deployments, containerWith(`"resources":{"limits":{"gpu":"1"}}`), deploy(`[` + container + `resources.limits[gpu]: Invalid value: "gpu": must be a standard resource type or fully qualified, ` + container + `resources.limits[gpu]: Invalid value: "gpu": must be a standard resource for containers]`)},
		{deployments, strings.Replace(deploymentOf(goodPodSpec), `"spec":{"selector"`, `"spec":{"replicas":"two","selector"`, 1), `Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`},
		{deployments, strings.Replace(deploymentOf(goodPodSpec), `"spec":{"selector"`, `"spec":{"replica":2,"selector"`, 1), `strict decoding error: unknown field "spec.replica"`},
		{deployments, strings.Replace(deploymentOf(goodPodSpec), `"spec":{"selector"`, `"spec":{"replicas":-1,"selector"`, 1), deploy(`spec.replicas: Invalid value: -1: must be greater than or equal to 0`)},
		// Deployment.
		{deployments, strings.Replace(deploymentOf(goodPodSpec), `"labels":{"app":"web"}`, `"labels":{"app":"other"}`, 1), deploy("spec.template.metadata.labels: Invalid value: {\"app\":\"other\"}: `selector` does not match template `labels`")},
		{deployments, strings.Replace(deploymentOf(goodPodSpec), `"selector":{"matchLabels":{"app":"web"}}`, `"selector":{}`, 1), deploy(`spec.selector: Invalid value: {}: empty selector is invalid for deployment`)},
		{deployments, strings.Replace(deploymentOf(goodPodSpec), `"spec":{"selector"`, `"spec":{"strategy":{"type":"Rolling"},"selector"`, 1), deploy(`spec.strategy: Unsupported value: {"type":"Rolling"}: supported values: "Recreate", "RollingUpdate"`)},
		{deployments, strings.Replace(deploymentOf(goodPodSpec), `"spec":{"selector"`, `"spec":{"strategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":0}},"selector"`, 1), deploy("spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0")},
		{deployments, strings.Replace(deploymentOf(goodPodSpec), `"spec":{"selector"`, `"spec":{"strategy":{"rollingUpdate":{"maxSurge":"half"}},"selector"`, 1), deploy(`spec.strategy.rollingUpdate.maxSurge: Invalid value: "half": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')`)},
		{deployments, podWith(`"restartPolicy":"Never"`), deploy(pod + `restartPolicy: Unsupported value: "Never": supported values: "Always"`)},
		// Containers.
		{deployments, deploymentOf(`{"containers":[]}`), deploy(pod + `containers: Required value`)},
		{deployments, deploymentOf(`{"containers":[{"name":"c"}]}`), deploy(container + `image: Required value`)},
		{deployments, deploymentOf(`{"containers":[{"name":"My_C","image":"web:1"}]}`), deploy(container + `name: Invalid value: "My_C": ` + label63)},
		{deployments, deploymentOf(`{"containers":[` + goodContainer + `,` + goodContainer + `]}`), deploy(pod + `containers[1].name: Duplicate value: "c"`)},
		{deployments, containerWith(`"imagePullPolicy":"Sometimes"`), deploy(container + `imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"`)},
		{deployments, containerWith(`"ports":[{"containerPort":70000}]`), deploy(container + `ports[0].containerPort: Invalid value: 70000: ` + portRange)},
		{deployments, containerWith(`"ports":[{"name":"health-check-port","containerPort":80}]`), deploy(container + `ports[0].name: Invalid value: "health-check-port": must be no more than 15 characters`)},
		{deployments, containerWith(`"ports":[{"name":"a","containerPort":80},{"name":"a","containerPort":81}]`), deploy(container + `ports[1].name: Duplicate value: "a"`)},
		{deployments, containerWith(`"ports":[{"containerPort":80,"protocol":"HTTP"}]`), deploy(container + `ports[0].protocol: Unsupported value: "HTTP": supported values: "SCTP", "TCP", "UDP"`)},
		// Environment.
		{deployments, containerWith(`"env":[{"name":"A=B","value":"x"}]`), deploy(container + `env[0].name: Invalid value: "A=B": a valid environment variable name must consist only of printable ASCII characters other than '='`)},
		{deployments, containerWith(`"env":[{"name":"A","valueFrom":{}}]`), deploy(container + "env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`")},
		{deployments, containerWith(`"env":[{"name":"A","value":"x","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]`), deploy(container + "env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty")},
		{deployments, containerWith(`"env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"s","key":"a key"}}}]`), deploy(container + `env[0].valueFrom.secretKeyRef.key: Invalid value: "a key": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`)},
		{deployments, containerWith(`"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"status.ip"}}}]`), deploy(container + `env[0].valueFrom.fieldRef.fieldPath: Invalid value: "status.ip": error converting fieldPath: field label not supported: status.ip`)},
		{deployments, containerWith(`"envFrom":[{"prefix":"X_"}]`), deploy(container + "envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`")},
		// Volumes.
		{deployments, containerWith(`"volumeMounts":[{"name":"data","mountPath":"/data"}]`), deploy(container + `volumeMounts[0].name: Not found: "data"`)},
		{deployments, deploymentOf(`{"volumes":[{"name":"d"}],"containers":[{"name":"c","image":"web:1","volumeMounts":[{"name":"d","mountPath":"/a"},{"name":"d","mountPath":"/a"}]}]}`), deploy(container + `volumeMounts[1].mountPath: Invalid value: "/a": must be unique`)},
		{deployments, podWith(`"volumes":[{"name":"a","emptyDir":{}},{"name":"a","emptyDir":{}}]`), deploy(pod + `volumes[1].name: Duplicate value: "a"`)},
		{deployments, podWith(`"volumes":[{"name":"a","secret":{}}]`), deploy(pod + `volumes[0].secret.secretName: Required value`)},
		{deployments, podWith(`"volumes":[{"name":"a","secret":{"secretName":"s"},"configMap":{"name":"c"}}]`), deploy(pod + `volumes[0].configMap: Forbidden: may not specify more than 1 volume type`)},
		{deployments, podWith(`"volumes":[{"name":"a","secret":{"secretName":"s","defaultMode":9999}}]`), deploy(pod + `volumes[0].secret.defaultMode: Invalid value: 9999: must be a number between 0 and 0777 (octal), both inclusive`)},
		{deployments, podWith(`"volumes":[{"name":"a","secret":{"secretName":"s","items":[{"key":"k","path":"../x"}]}}]`), deploy(pod + `volumes[0].secret.items[0].path: Invalid value: "../x": must not contain '..'`)},
		{deployments, podWith(`"volumes":[{"name":"a","ephemeral":{"volumeClaimTemplate":{"spec":{"accessModes":["ReadWriteOnce"]}}}}]`), deploy(pod + `volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value`)},
		// Probes.
		{deployments, containerWith(`"readinessProbe":{"periodSeconds":5}`), deploy(container + `readinessProbe: Required value: must specify a handler type`)},
		{deployments, containerWith(`"livenessProbe":{"httpGet":{"port":80},"successThreshold":2}`), deploy(container + `livenessProbe.successThreshold: Invalid value: 2: must be 1`)},
		{deployments, containerWith(`"livenessProbe":{"httpGet":{"port":80},"initialDelaySeconds":-5}`), deploy(container + `livenessProbe.initialDelaySeconds: Invalid value: -5: must be greater than or equal to 0`)},
		{deployments, containerWith(`"readinessProbe":{"httpGet":{"port":0}}`), deploy(container + `readinessProbe.httpGet.port: Invalid value: 0: ` + portRange)},
		{deployments, containerWith(`"readinessProbe":{"httpGet":{"port":80,"scheme":"http"}}`), deploy(container + `readinessProbe.httpGet.scheme: Unsupported value: "http": supported values: "HTTP", "HTTPS"`)},
		{deployments, containerWith(`"readinessProbe":{"httpGet":{"port":80},"tcpSocket":{"port":80}}`), deploy(container + `readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type`)},
		{deployments, containerWith(`"readinessProbe":{"exec":{}}`), deploy(container + `readinessProbe.exec.command: Required value`)},
		{deployments, deploymentOf(`{"initContainers":[{"name":"i","image":"x:1","readinessProbe":{"tcpSocket":{"port":1}}}],"containers":[` + goodContainer + `]}`), deploy(pod + `initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always`)},
		// Security.
		{deployments, containerWith(`"securityContext":{"runAsUser":-1}`), deploy(container + `securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive`)},
		{deployments, podWith(`"securityContext":{"fsGroup":-1}`), deploy(pod + `securityContext.fsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive`)},
		{deployments, podWith(`"securityContext":{"seccompProfile":{"type":"runtime/default"}}`), deploy(pod + `securityContext.seccompProfile.type: Unsupported value: "runtime/default": supported values: "Localhost", "RuntimeDefault", "Unconfined"`)},
		{deployments, containerWith(`"securityContext":{"allowPrivilegeEscalation":false,"privileged":true}`), deploy(container + "securityContext: Invalid value: {\"privileged\":true,\"allowPrivilegeEscalation\":false}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true")},
		// Scheduling.
		{deployments, podWith(`"nodeSelector":{"disk":"not valid"}`), deploy(pod + `nodeSelector: Invalid value: "not valid": ` + labelValue)},
		{deployments, podWith(`"tolerations":[{"operator":"Equal"}]`), deploy(pod + "tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"")},
		{deployments, podWith(`"tolerations":[{"key":"a","operator":"Exists","value":"b"}]`), deploy(pod + "tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'")},
		{deployments, podWith(`"tolerations":[{"key":"a","effect":"Never"}]`), deploy(pod + `tolerations[0].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`)},
		{deployments, podWith(`"tolerations":[{"key":"a","effect":"NoSchedule","tolerationSeconds":5}]`), deploy(pod + "tolerations[0].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when `tolerationSeconds` is set")},
		{deployments, podWith(`"topologySpreadConstraints":[{"maxSkew":0,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule"}]`), deploy(pod + `topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero`)},
		{deployments, podWith(`"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"Never"}]`), deploy(pod + `topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "Never": supported values: "DoNotSchedule", "ScheduleAnyway"`)},
		{deployments, podWith(`"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[]}}}`), deploy(pod + `affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term`)},
		{deployments, podWith(`"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"a","operator":"Is","values":["b"]}]}]}}}`), deploy(pod + `affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator`)},
		{deployments, podWith(`"affinity":{"podAntiAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":0,"podAffinityTerm":{"topologyKey":"zone"}}]}}`), deploy(pod + `affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-100`)},
		{deployments, podWith(`"hostAliases":[{"ip":"10.0.0"}]`), deploy(pod + `hostAliases[0].ip: Invalid value: "10.0.0": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`)},
		{deployments, podWith(`"dnsPolicy":"None"`), deploy(pod + "dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None")},
		// Names and labels.
		{deployments, strings.Replace(deploymentOf(goodPodSpec), `{"name":"web"}`, `{"name":"web","labels":{"app":"my app"}}`, 1), deploy(`metadata.labels: Invalid value: "my app": ` + labelValue)},
		{core + "configmaps", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","annotations":{"bad key":"x"}}}`, `ConfigMap "x" is invalid: metadata.annotations: Invalid value: "bad key": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`},
		{core + "configmaps", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{}}`, `ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required`},
		{core + "configmaps", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","namespace":"other"}}`, `the namespace of the provided object does not match the namespace sent on the request`},
		{"/api/v1/namespaces", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"My_NS"}}`, `Namespace "My_NS" is invalid: metadata.name: Invalid value: "My_NS": ` + label63},
		// Configuration.
		{core + "configmaps", object("ConfigMap", "v1", `"data":{"a b":"c"}`), `ConfigMap "x" is invalid: data[a b]: Invalid value: "a b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`},
		{core + "configmaps", object("ConfigMap", "v1", `"data":{"a":1}`), `ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string`},
		{core + "secrets", object("Secret", "v1", `"data":{"a":"not base64!"}`), `Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte 3`},
		{core + "secrets", object("Secret", "v1", `"type":"kubernetes.io/dockerconfigjson"`), `Secret "x" is invalid: data[.dockerconfigjson]: Required value`},
		{core + "secrets", object("Secret", "v1", `"type":"kubernetes.io/dockerconfigjson","stringData":{".dockerconfigjson":"{"}`), `Secret "x" is invalid: data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": unexpected end of JSON input`},
		{core + "secrets", object("Secret", "v1", `"type":"kubernetes.io/tls","stringData":{"tls.crt":"x"}`), `Secret "x" is invalid: data[tls.key]: Required value`},
		// Services.
		{core + "services", object("Service", "v1", `"spec":{}`), `Service "x" is invalid: spec.ports: Required value`},
		{core + "services", object("Service", "v1", `"spec":{"ports":[{"port":0}]}`), `Service "x" is invalid: [spec.ports[0].port: Invalid value: 0: ` + portRange + `, spec.ports[0].targetPort: Invalid value: 0: ` + portRange + `]`},
		{core + "services", object("Service", "v1", `"spec":{"type":"Internal","ports":[{"port":80}]}`), `Service "x" is invalid: spec.type: Unsupported value: "Internal": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"`},
		{core + "services", object("Service", "v1", `"spec":{"ports":[{"port":80},{"port":81}]}`), `Service "x" is invalid: [spec.ports[0].name: Required value, spec.ports[1].name: Required value]`},
		{core + "services", object("Service", "v1", `"spec":{"ports":[{"name":"a","port":80},{"name":"b","port":80}]}`), `Service "x" is invalid: spec.ports[1]: Duplicate value: {"protocol":"TCP","port":80,"targetPort":0}`},
		{core + "services", object("Service", "v1", `"spec":{"clusterIP":"nowhere","ports":[{"port":80}]}`), `Service "x" is invalid: spec.clusterIPs[0]: Invalid value: "nowhere": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`},
		{core + "services", object("Service", "v1", `"spec":{"clusterIP":"10.1.2.3","ports":[{"port":80}]}`), `Service "x" is invalid: spec.clusterIPs: Invalid value: ["10.1.2.3"]: failed to allocate IP 10.1.2.3: the provided network does not match the current range`},
		{core + "services", object("Service", "v1", `"spec":{"ports":[{"port":80,"nodePort":30080}]}`), "Service \"x\" is invalid: spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"},
		{core + "services", object("Service", "v1", `"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":80}]}`), `Service "x" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767`},
		{core + "services", object("Service", "v1", `"spec":{"type":"ExternalName"}`), `Service "x" is invalid: spec.externalName: Required value`},
		// Storage.
		{core + "persistentvolumeclaims", object("PersistentVolumeClaim", "v1", `"spec":{"resources":{"requests":{"storage":"1Gi"}}}`), `PersistentVolumeClaim "x" is invalid: spec.accessModes: Required value: at least 1 access mode is required`},
		{core + "persistentvolumeclaims", object("PersistentVolumeClaim", "v1", `"spec":{"accessModes":["RWO"],"resources":{"requests":{"storage":"1Gi"}}}`), `PersistentVolumeClaim "x" is invalid: spec.accessModes: Unsupported value: "RWO": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"`},
		{core + "persistentvolumeclaims", object("PersistentVolumeClaim", "v1", `"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"0"}}}`), `PersistentVolumeClaim "x" is invalid: spec.resources[storage]: Invalid value: "0": must be greater than zero`},
		// Budgets, scalers, policies, jobs, leases, nodes, events.
		{"/apis/policy/v1/namespaces/default/poddisruptionbudgets", object("PodDisruptionBudget", "policy/v1", `"spec":{"minAvailable":1,"maxUnavailable":1}`), `PodDisruptionBudget.policy "x" is invalid: spec: Invalid value: {"minAvailable":1,"maxUnavailable":1}: minAvailable and maxUnavailable cannot be both set`},
		{"/apis/policy/v1/namespaces/default/poddisruptionbudgets", object("PodDisruptionBudget", "policy/v1", `"spec":{"minAvailable":"101%"}`), `PodDisruptionBudget.policy "x" is invalid: spec.minAvailable: Invalid value: "101%": must not be greater than 100%`},
		{"/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", object("HorizontalPodAutoscaler", "autoscaling/v2", `"spec":{"minReplicas":5,"maxReplicas":3,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"}}`), "HorizontalPodAutoscaler.autoscaling \"x\" is invalid: spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"},
		{"/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", object("HorizontalPodAutoscaler", "autoscaling/v2", `"spec":{"maxReplicas":3,"scaleTargetRef":{"kind":"Deployment","name":"web"}}`), `HorizontalPodAutoscaler.autoscaling "x" is invalid: spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group`},
		{"/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", object("HorizontalPodAutoscaler", "autoscaling/v2", `"spec":{"maxReplicas":3,"metrics":[{"type":"Resource"}],"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"}}`), `HorizontalPodAutoscaler.autoscaling "x" is invalid: spec.metrics[0].resource: Required value: must populate information for the given metric source`},
		{"/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", object("NetworkPolicy", "networking.k8s.io/v1", `"spec":{"podSelector":{},"egress":[{"to":[{}]}]}`), `NetworkPolicy.networking.k8s.io "x" is invalid: spec.egress[0].to[0]: Required value: must specify a peer`},
		{"/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", object("NetworkPolicy", "networking.k8s.io/v1", `"spec":{"podSelector":{},"policyTypes":["Outbound"]}`), `NetworkPolicy.networking.k8s.io "x" is invalid: spec.policyTypes[0]: Unsupported value: "Outbound": supported values: "Ingress", "Egress"`},
		{"/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", object("NetworkPolicy", "networking.k8s.io/v1", `"spec":{"podSelector":{},"egress":[{"to":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["11.0.0.0/16"]}}]}]}`), "NetworkPolicy.networking.k8s.io \"x\" is invalid: spec.egress[0].to[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`"},
		{"/apis/batch/v1/namespaces/default/jobs", object("Job", "batch/v1", `"spec":{"template":{"spec":`+goodPodSpec+`}}`), `Job.batch "x" is invalid: spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"`},
		{"/apis/batch/v1/namespaces/default/jobs", object("Job", "batch/v1", `"spec":{"backoffLimit":-1,"template":{"spec":{"restartPolicy":"Never","containers":[`+goodContainer+`]}}}`), `Job.batch "x" is invalid: spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0`},
		{"/apis/coordination.k8s.io/v1/namespaces/default/leases", object("Lease", "coordination.k8s.io/v1", `"spec":{"leaseDurationSeconds":0}`), `Lease.coordination.k8s.io "x" is invalid: spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0`},
		{"/api/v1/nodes", object("Node", "v1", `"spec":{"taints":[{"key":"a","effect":"No"}]}`), `Node "x" is invalid: metadata.taints[0].effect: Unsupported value: "No": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`},
		{core + "events", object("Event", "v1", `"involvedObject":{"namespace":"other"}`), `Event "x" is invalid: involvedObject.namespace: Invalid value: "other": does not match event.namespace`},
		{core + "serviceaccounts", `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"Bad"}}`, `ServiceAccount "Bad" is invalid: metadata.name: Invalid value: "Bad": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`},
		{"/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"x"},"rules":[{"verbs":["get"],"resources":["pods"]}]}`, `Role.rbac.authorization.k8s.io "x" is invalid: rules[0].apiGroups: Required value: resource rules must supply at least one api group`},
	} {
		if got := send(t, c, http.MethodPost, tt.path, "application/json", tt.body); !strings.Contains(got, tt.want) || strings.Contains(got, "is invalid") && got != tt.want {
			t.Errorf("POST %s\n%s\ngot  %s\nwant %s", tt.path, tt.body, got, tt.want)
		}
	}
}

// What may not change once it is there, and how one is told.
func TestImmutableFieldsAreToldInKubernetesWords(t *testing.T) {
	t.Parallel()
	s, _ := start(t, options(t, ""))
	c := as(t, s, api.Operator).RESTClient()
	const merge = "application/merge-patch+json"
	pvc := `"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"2Gi"}}}`
	for _, o := range []struct{ path, body string }{
		{"/apis/apps/v1/namespaces/default/deployments", deploymentOf(goodPodSpec)},
		{"/api/v1/namespaces/default/pods", object("Pod", "v1", `"spec":`+goodPodSpec)},
		{"/api/v1/namespaces/default/configmaps", object("ConfigMap", "v1", `"immutable":true,"data":{"a":"b"}`)},
		{"/api/v1/namespaces/default/secrets", object("Secret", "v1", `"immutable":true,"stringData":{"a":"b"}`)},
		{"/api/v1/namespaces/default/services", object("Service", "v1", `"spec":{"clusterIP":"10.96.3.4","ports":[{"port":80}]}`)},
		{"/api/v1/namespaces/default/persistentvolumeclaims", object("PersistentVolumeClaim", "v1", pvc)},
		{"/apis/batch/v1/namespaces/default/jobs", object("Job", "batch/v1", `"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[`+goodContainer+`]}}}`)},
		{"/apis/storage.k8s.io/v1/storageclasses", object("StorageClass", "storage.k8s.io/v1", `"provisioner":"a.b/c"`)},
		{"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", object("ClusterRoleBinding", "rbac.authorization.k8s.io/v1", `"roleRef":{"kind":"ClusterRole","name":"view"}`)},
	} {
		if got := send(t, c, http.MethodPost, o.path, "application/json", o.body); got != "" {
			t.Fatalf("%s: %s", o.path, got)
		}
	}
	for _, tt := range []struct{ path, patch, want string }{
		{"/apis/apps/v1/namespaces/default/deployments/web", `{"spec":{"selector":{"matchLabels":{"x":"y"}},"template":{"metadata":{"labels":{"x":"y"}}}}}`, `Deployment.apps "web" is invalid: spec.selector: Invalid value: {"matchLabels":{"app":"web","x":"y"}}: field is immutable`},
		{"/api/v1/namespaces/default/pods/x", `{"spec":{"containers":[{"name":"c","image":"web:1","command":["sh"]}]}}`, "Pod \"x\" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"},
		{"/api/v1/namespaces/default/pods/x", `{"spec":{"containers":[{"name":"c","image":"web:1"},{"name":"d","image":"web:1"}]}}`, `Pod "x" is invalid: spec.containers: Forbidden: pod updates may not add or remove containers`},
		{"/api/v1/namespaces/default/configmaps/x", `{"data":{"a":"c"}}`, "ConfigMap \"x\" is invalid: data: Forbidden: field is immutable when `immutable` is set"},
		{"/api/v1/namespaces/default/configmaps/x", `{"immutable":false}`, "ConfigMap \"x\" is invalid: immutable: Forbidden: field is immutable when `immutable` is set"},
		{"/api/v1/namespaces/default/secrets/x", `{"stringData":{"a":"c"}}`, "Secret \"x\" is invalid: data: Forbidden: field is immutable when `immutable` is set"},
		{"/api/v1/namespaces/default/secrets/x", `{"type":"other"}`, `Secret "x" is invalid: type: Invalid value: "other": field is immutable`},
		{"/api/v1/namespaces/default/services/x", `{"spec":{"clusterIP":"10.96.3.5","clusterIPs":["10.96.3.5"]}}`, `Service "x" is invalid: spec.clusterIPs[0]: Invalid value: ["10.96.3.5"]: may not change once set`},
		{"/api/v1/namespaces/default/persistentvolumeclaims/x", `{"spec":{"resources":{"requests":{"storage":"3Gi"}}}}`, "PersistentVolumeClaim \"x\" is invalid: spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n"},
		{"/apis/batch/v1/namespaces/default/jobs/x", `{"spec":{"completions":7}}`, `Job.batch "x" is invalid: spec.completions: Invalid value: 7: field is immutable`},
		{"/apis/batch/v1/namespaces/default/jobs/x", `{"spec":{"template":{"spec":{"restartPolicy":"OnFailure"}}}}`, `: field is immutable`},
		{"/apis/storage.k8s.io/v1/storageclasses/x", `{"provisioner":"d.e/f"}`, `StorageClass.storage.k8s.io "x" is invalid: provisioner: Invalid value: "d.e/f": field is immutable`},
		{"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/x", `{"roleRef":{"name":"edit"}}`, `ClusterRoleBinding.rbac.authorization.k8s.io "x" is invalid: roleRef: Invalid value: {"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"edit"}: field is immutable`},
		{"/api/v1/namespaces/default/configmaps/x", `{"metadata":{"name":"y"}}`, `the name of the object (y) does not match the name on the URL (x)`},
		{"/api/v1/namespaces/default/configmaps/x", `{"metadata":{"resourceVersion":"1"}}`, `Operation cannot be fulfilled on configmaps "x": the object has been modified; please apply your changes to the latest version and try again`},
		{"/api/v1/namespaces/default/configmaps/nosuch", `{}`, `configmaps "nosuch" not found`},
	} {
		got := send(t, c, http.MethodPatch, tt.path, merge, tt.patch)
		if !strings.Contains(got, tt.want) {
			t.Errorf("PATCH %s %s\ngot  %s\nwant %s", tt.path, tt.patch, got, tt.want)
		}
	}
	bound := `{"status":{"phase":"Bound","capacity":{"storage":"2Gi"}}}`
	if got := send(t, c, http.MethodPatch, "/api/v1/namespaces/default/persistentvolumeclaims/x/status", merge, bound); got != "" {
		t.Fatal(got)
	}
	for patch, want := range map[string]string{
		`{"spec":{"resources":{"requests":{"storage":"3Gi"}}}}`: "",
		`{"spec":{"resources":{"requests":{"storage":"1Gi"}}}}`: `PersistentVolumeClaim "x" is invalid: spec.resources.requests.storage: Forbidden: field can not be less than status.capacity`,
	} {
		if got := send(t, c, http.MethodPatch, "/api/v1/namespaces/default/persistentvolumeclaims/x", merge, patch); got != want {
			t.Errorf("bound claim, %s: %s", patch, got)
		}
	}
}
