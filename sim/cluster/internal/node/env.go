package node

import (
	"context"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/util/fieldpath"
	"k8s.io/kubectl/pkg/util/resource"
)

// sources reads what a pod refers to, each object once for one attempt, live from the API server.
type sources struct {
	client     kubernetes.Interface
	pod        *corev1.Pod
	secrets    map[string]map[string][]byte
	configMaps map[string]map[string][]byte
}

func newSources(client kubernetes.Interface, pod *corev1.Pod) *sources {
	return &sources{client, pod, map[string]map[string][]byte{}, map[string]map[string][]byte{}}
}

// secret gives a secret's data; nil without an error if it is missing and that is allowed.
func (s *sources) secret(ctx context.Context, name string, optional *bool) (map[string][]byte, error) {
	if d, ok := s.secrets[name]; ok {
		return d, nil
	}
	x, err := s.client.CoreV1().Secrets(s.pod.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if optional != nil && *optional {
			return nil, nil
		}
		return nil, fmt.Errorf("secret %q not found", name)
	}
	if err != nil {
		return nil, fmt.Errorf("read secret %q: %w", name, err)
	}
	s.secrets[name] = x.Data
	return x.Data, nil
}

// configMap gives a config map's data, both kinds of it.
func (s *sources) configMap(ctx context.Context, name string, optional *bool) (map[string][]byte, error) {
	if d, ok := s.configMaps[name]; ok {
		return d, nil
	}
	x, err := s.client.CoreV1().ConfigMaps(s.pod.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if optional != nil && *optional {
			return nil, nil
		}
		return nil, fmt.Errorf("configmap %q not found", name)
	}
	if err != nil {
		return nil, fmt.Errorf("read configmap %q: %w", name, err)
	}
	d := maps.Clone(x.BinaryData)
	if d == nil {
		d = map[string][]byte{}
	}
	for k, v := range x.Data {
		d[k] = []byte(v)
	}
	s.configMaps[name] = d
	return d, nil
}

// field gives a field of the pod, as the downward API names it.
func (s *sources) field(path string) (string, error) {
	switch path {
	case "spec.nodeName":
		return s.pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return s.pod.Spec.ServiceAccountName, nil
	case "status.podIP", "status.podIPs":
		return s.pod.Status.PodIP, nil
	case "status.hostIP", "status.hostIPs":
		return s.pod.Status.HostIP, nil
	}
	return fieldpath.ExtractFieldPathAsString(s.pod, path)
}

// resource gives a request or limit of a container of the pod: of c itself unless ref names another.
func (s *sources) resource(ref *corev1.ResourceFieldSelector, c *corev1.Container) (string, error) {
	if ref.ContainerName != "" {
		c = nil
		for i := range s.pod.Spec.Containers {
			if s.pod.Spec.Containers[i].Name == ref.ContainerName {
				c = &s.pod.Spec.Containers[i]
			}
		}
	}
	if c == nil {
		return "", fmt.Errorf("container %q not found", ref.ContainerName)
	}
	return resource.ExtractContainerResourceValue(ref, c)
}

// environment gives the environment of a container. Later entries win, and a value may refer to earlier ones as $(NAME).
func (s *sources) environment(ctx context.Context, c *corev1.Container) (map[string]string, error) {
	env := map[string]string{}
	for _, from := range c.EnvFrom {
		var data map[string][]byte
		var err error
		switch {
		case from.SecretRef != nil:
			data, err = s.secret(ctx, from.SecretRef.Name, from.SecretRef.Optional)
		case from.ConfigMapRef != nil:
			data, err = s.configMap(ctx, from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
		}
		if err != nil {
			return nil, err
		}
		for k, v := range data {
			env[from.Prefix+k] = string(v)
		}
	}
	for _, e := range c.Env {
		v, ok, err := s.value(ctx, e, c, env)
		if err != nil {
			return nil, err
		}
		if ok {
			env[e.Name] = v
		}
	}
	return env, nil
}

// value gives one variable; ok is false for what is optional and missing.
func (s *sources) value(ctx context.Context, e corev1.EnvVar, c *corev1.Container, env map[string]string) (v string, ok bool, err error) {
	from := e.ValueFrom
	switch {
	case from == nil:
		return expand(e.Value, env), true, nil
	case from.SecretKeyRef != nil:
		r := from.SecretKeyRef
		data, err := s.secret(ctx, r.Name, r.Optional)
		if err != nil {
			return "", false, err
		}
		return keyOf("Secret", s.pod.Namespace, r.Name, r.Key, r.Optional, data)
	case from.ConfigMapKeyRef != nil:
		r := from.ConfigMapKeyRef
		data, err := s.configMap(ctx, r.Name, r.Optional)
		if err != nil {
			return "", false, err
		}
		return keyOf("ConfigMap", s.pod.Namespace, r.Name, r.Key, r.Optional, data)
	case from.FieldRef != nil:
		v, err = s.field(from.FieldRef.FieldPath)
	case from.ResourceFieldRef != nil:
		v, err = s.resource(from.ResourceFieldRef, c)
	default:
		err = fmt.Errorf("the source of variable %q is not supported by this node: use value, secretKeyRef, configMapKeyRef, fieldRef or resourceFieldRef", e.Name)
	}
	return v, err == nil, err
}

func keyOf(kind, namespace, name, key string, optional *bool, data map[string][]byte) (string, bool, error) {
	v, ok := data[key]
	if !ok && (optional == nil || !*optional) {
		return "", false, fmt.Errorf("couldn't find key %s in %s %s/%s", key, kind, namespace, name)
	}
	return string(v), ok, nil
}

// expand replaces $(NAME) by the variable NAME; $$ stands for $, and what names no variable stays as it is.
// Source: Kubernetes API reference, Container.env.value.
func expand(s string, env map[string]string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i+1 == len(s) {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		s = s[i:]
		switch end := strings.IndexByte(s, ')'); {
		case s[1] == '$':
			b.WriteByte('$')
			s = s[2:]
		case s[1] == '(' && end > 0:
			if v, ok := env[s[2:end]]; ok {
				b.WriteString(v)
			} else {
				b.WriteString(s[:end+1])
			}
			s = s[end+1:]
		default:
			b.WriteString(s[:1])
			s = s[1:]
		}
	}
}
