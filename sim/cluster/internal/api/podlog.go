package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// logEndpoint is pods/log.
type logEndpoint struct {
	pods   *genericregistry.Store
	source LogSource
}

var (
	_ rest.GetterWithOptions = logEndpoint{}
	_ rest.StorageMetadata   = logEndpoint{}
)

// New gives an empty pod: the endpoint's nominal type.
func (logEndpoint) New() runtime.Object { return &corev1.Pod{} }

// Destroy has nothing to give back.
func (logEndpoint) Destroy() {}

// ProducesMIMETypes says that logs are text.
func (logEndpoint) ProducesMIMETypes(string) []string { return []string{"text/plain"} }

// ProducesObject says that a log is a string.
func (logEndpoint) ProducesObject(string) any { return "" }

// NewGetOptions gives empty options.
func (logEndpoint) NewGetOptions() (runtime.Object, bool, string) {
	return &corev1.PodLogOptions{}, false, ""
}

// Get chooses the container and opens its log once the answer is written.
func (e logEndpoint) Get(ctx context.Context, name string, opts runtime.Object) (runtime.Object, error) {
	o, ok := opts.(*corev1.PodLogOptions)
	if !ok {
		return nil, apierrors.NewBadRequest("not a PodLogOptions")
	}
	p, err := as[corev1.Pod](e.pods.Get(ctx, name, &metav1.GetOptions{}))
	if err != nil {
		return nil, err
	}
	if o.Container, err = logContainer(p, o.Container); err != nil {
		return nil, err
	}
	return &logStream{source: e.source, pod: p, options: o}, nil
}

// logContainer gives the container that is meant: the one asked for, or the only one.
func logContainer(p *corev1.Pod, asked string) (string, error) {
	var names []string
	for _, c := range append(p.Spec.InitContainers, p.Spec.Containers...) {
		names = append(names, c.Name)
	}
	switch {
	case asked == "" && len(names) == 1:
		return names[0], nil
	case asked == "":
		return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s, choose one of: [%s]", p.Name, strings.Join(names, " ")))
	}
	for _, n := range names {
		if n == asked {
			return n, nil
		}
	}
	return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", asked, p.Name))
}

// logStream is a log that is about to be sent. It is an API object in name only.
type logStream struct {
	metav1.TypeMeta
	source  LogSource
	pod     *corev1.Pod
	options *corev1.PodLogOptions
}

var _ rest.ResourceStreamer = (*logStream)(nil)

// DeepCopyObject copies the stream's description.
func (l *logStream) DeepCopyObject() runtime.Object {
	c := *l
	return &c
}

// InputStream opens the log. A pod without a node has none yet, which is no error.
func (l *logStream) InputStream(ctx context.Context, _, _ string) (io.ReadCloser, bool, string, error) {
	if l.pod.Spec.NodeName == "" {
		return nil, false, "", nil
	}
	r, err := l.source.PodLog(ctx, l.pod.Namespace, l.pod.Name, l.options.Container, l.options)
	return r, l.options.Follow, "text/plain", err
}

// logOptions reads the options of a log from a query; it is a conversion function of the scheme.
func logOptions(from, to any, _ conversion.Scope) error {
	in, isQuery := from.(*url.Values)
	out, isOptions := to.(*corev1.PodLogOptions)
	if !isQuery || !isOptions {
		return fmt.Errorf("convert %T to %T: not log options", from, to)
	}
	q := logQuery{Values: *in}
	out.Container = in.Get("container")
	out.Follow, out.Previous, out.Timestamps = q.flag("follow"), q.flag("previous"), q.flag("timestamps")
	out.InsecureSkipTLSVerifyBackend = q.flag("insecureSkipTLSVerifyBackend")
	out.SinceSeconds, out.TailLines, out.LimitBytes = q.number("sinceSeconds", 1), q.number("tailLines", 0), q.number("limitBytes", 1)
	if v := in.Get("sinceTime"); v != "" {
		t, err := time.Parse(time.RFC3339, v)
		q.note(err)
		out.SinceTime = &metav1.Time{Time: t}
	}
	if out.SinceTime != nil && out.SinceSeconds != nil {
		q.note(errors.New("at most one of `sinceTime` or `sinceSeconds` may be specified"))
	}
	if v := in.Get("stream"); v != "" {
		out.Stream = &v
	}
	if q.err != nil {
		return apierrors.NewBadRequest(q.err.Error())
	}
	return nil
}

// logQuery reads a query and keeps the first thing that is wrong with it.
type logQuery struct {
	url.Values
	err error
}

func (q *logQuery) note(err error) {
	if q.err == nil {
		q.err = err
	}
}

func (q *logQuery) flag(name string) bool {
	if !q.Has(name) {
		return false
	}
	v, err := strconv.ParseBool(q.Get(name))
	q.note(err)
	return v
}

func (q *logQuery) number(name string, least int64) *int64 {
	if !q.Has(name) {
		return nil
	}
	v, err := strconv.ParseInt(q.Get(name), 10, 64)
	q.note(err)
	if err == nil && v < least {
		q.note(fmt.Errorf("%s: Invalid value: %d: must be greater than or equal to %d", name, v, least))
	}
	return &v
}
