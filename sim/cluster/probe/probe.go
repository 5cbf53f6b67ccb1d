// Package probe asks a cluster from inside: a pod that lives for seconds tries to reach what engines must reach, and what
// becomes of it tells whether nodes can pull. It needs no more than to make pods in one namespace, read their logs, and
// remove them; and Secrets, if it makes the pull secret.
package probe

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/survey"
)

// Options say what is asked, and how.
type Options struct {
	Config      *rest.Config
	Namespace   string // which must be there
	Image       string // the engine's: what the pod runs is a word of dpesim
	PullSecret  string // name of a Secret that is there; empty: none
	Login       *Login // a pull secret is made of it and removed with the pod; nil: none
	HostAliases []HostAlias
	Targets     []Target
	CA          []byte        // PEM of the authority of the targets' certificates, beside the image's own
	Timeout     time.Duration // of all, in machine time; 0: two minutes
}

// Login is what a registry asks for.
type Login struct {
	Registry string // host[:port], as in images
	User     string
	Password sim.Secret
}

// HostAlias is a line in the pod's hosts file.
type HostAlias struct {
	IP        string
	Hostnames []string
}

// RowPod is the name of the row that tells whether a node pulled the image and ran the pod.
const RowPod = "pod"

const (
	defaultTimeout = 2 * time.Minute
	cleanTimeout   = 20 * time.Second
	namePrefix     = "dpesim-probe-"
	maxAnswer      = 1 << 20
)

// Labels are on all that a probe makes.
func Labels() map[string]string {
	return map[string]string{survey.ManagedBy: survey.Simulator, "app.kubernetes.io/component": "probe"}
}

// Pod gives a pod of one container that the strictest of Kubernetes' pod security standards lets in.
func Pod(meta metav1.ObjectMeta, c corev1.Container) *corev1.Pod {
	c.SecurityContext = &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	return &corev1.Pod{
		ObjectMeta: meta,
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), RunAsUser: new(int64(65532)), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{c},
		},
	}
}

// Run runs one pod and tells what it found: a row for the pod itself, then, if it ran, one for each target in their
// order. What it made is removed when it returns, whatever happened; the cluster itself ends a pod that was forgotten.
//
// It returns Forbidden with the missing right if the API server does not allow it, and ctx's error when ctx is done. That
// the cluster did not do what was hoped is no error, but a row.
func Run(ctx context.Context, o Options) (rows []Row, err error) {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	client, err := kubernetes.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("open a client of the cluster: %w", err)
	}
	p := &prober{Options: o, client: client, row: Row{Name: RowPod, Tried: fmt.Sprintf("run a pod of %s in the namespace %s", o.Image, o.Namespace)}}
	defer func() { err = errors.Join(err, p.clean(context.WithoutCancel(ctx))) }()
	limited, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	rows, err = p.run(limited)
	if err != nil && ctx.Err() == nil && limited.Err() != nil { // it took too long: what was seen last is the answer
		if p.row.Problem == "" {
			p.row.Problem, p.row.Help = fmt.Sprintf("it has not ended in %s", o.Timeout), "'kubectl get events -n "+o.Namespace+"' may say what it waits for"
		}
		return []Row{p.row}, nil
	}
	return rows, err
}

type prober struct {
	Options
	client *kubernetes.Clientset
	secret string // the pull secret that was made
	pod    string // the pod that was made
	row    Row    // of the pod, as far as it is known
	again  bool   // the kubelet waits before it pulls again
}

func (p *prober) run(ctx context.Context) ([]Row, error) {
	if p.Login != nil {
		if err := p.login(ctx); err != nil {
			return nil, err
		}
	}
	spec, err := p.spec()
	if err != nil {
		return nil, err
	}
	made, err := p.client.CoreV1().Pods(p.Namespace).Create(ctx, spec, metav1.CreateOptions{})
	switch {
	case NotAdmitted(err):
		p.row.Problem, p.row.Help = err.Error(), "the cluster admits no such pod: engines would fare alike"
		return []Row{p.row}, nil
	case err != nil:
		return nil, told("make a pod", err)
	}
	p.pod = made.Name
	ended, err := p.wait(ctx, made)
	if err != nil || !ended {
		return []Row{p.row}, err
	}
	return p.read(ctx)
}

// login makes the pull secret.
func (p *prober) login(ctx context.Context) error {
	auth := base64.StdEncoding.EncodeToString([]byte(p.Login.User + ":" + p.Login.Password.Reveal()))
	config, err := json.Marshal(map[string]any{"auths": map[string]any{p.Login.Registry: map[string]string{"auth": auth}}})
	if err != nil {
		return fmt.Errorf("write the pull secret: %w", err)
	}
	made, err := p.client.CoreV1().Secrets(p.Namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{GenerateName: namePrefix, Labels: Labels()},
		Type:       corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: config},
	}, metav1.CreateOptions{})
	if err != nil {
		return told("make a pull secret", err)
	}
	p.secret, p.PullSecret = made.Name, made.Name
	return nil
}

// spec gives the pod that asks.
func (p *prober) spec() (*corev1.Pod, error) {
	asked, err := json.Marshal(question{Targets: p.Targets, CA: string(p.CA)})
	if err != nil {
		return nil, fmt.Errorf("write what the pod shall try: %w", err)
	}
	out := Pod(metav1.ObjectMeta{GenerateName: namePrefix, Namespace: p.Namespace, Labels: Labels()}, corev1.Container{
		Name: "probe", Image: p.Image, Args: Command(), Env: []corev1.EnvVar{{Name: Variable, Value: string(asked)}},
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("256Mi")},
		},
	})
	out.Spec.RestartPolicy, out.Spec.EnableServiceLinks = corev1.RestartPolicyNever, new(false)
	out.Spec.ActiveDeadlineSeconds, out.Spec.TerminationGracePeriodSeconds = new(int64(p.Timeout/time.Second)+1), new(int64(1))
	if p.PullSecret != "" {
		out.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: p.PullSecret}}
	}
	for _, a := range p.HostAliases {
		out.Spec.HostAliases = append(out.Spec.HostAliases, corev1.HostAlias{IP: a.IP, Hostnames: a.Hostnames})
	}
	return out, nil
}

// wait follows the pod until it has ended, or will not begin; the row says why not.
func (p *prober) wait(ctx context.Context, pod *corev1.Pod) (ended bool, err error) {
	for {
		w, err := p.client.CoreV1().Pods(p.Namespace).Watch(ctx, metav1.ListOptions{
			FieldSelector: fields.OneTermEqualSelector("metadata.name", pod.Name).String(), ResourceVersion: pod.ResourceVersion,
		})
		if err != nil {
			return false, told("follow the pod", err)
		}
		for e := range w.ResultChan() {
			now, ok := e.Object.(*corev1.Pod)
			if !ok {
				err = apierrors.FromObject(e.Object)
				break
			}
			pod = now
			if ended, over := p.look(pod); over {
				w.Stop()
				return ended, nil
			}
		}
		w.Stop()
		if err = errors.Join(err, ctx.Err()); err != nil {
			return false, told("follow the pod", err)
		}
	}
}

// look tells whether the pod has ended, and whether there is nothing more to wait for.
func (p *prober) look(pod *corev1.Pod) (ended, over bool) {
	var c corev1.ContainerStatus
	if len(pod.Status.ContainerStatuses) > 0 {
		c = pod.Status.ContainerStatuses[0]
	}
	switch pod.Status.Phase {
	case corev1.PodSucceeded:
		return true, true
	case corev1.PodFailed:
		words := pod.Status.Message
		if t := c.State.Terminated; t != nil {
			words = fmt.Sprintf("it ended with exit code %d, %s: %s", t.ExitCode, t.Reason, t.Message)
		}
		p.row.Problem, p.row.Help = words, "a container of this image does not run on that node"
		return false, true
	case corev1.PodPending, corev1.PodRunning, corev1.PodUnknown:
	}
	if pod.DeletionTimestamp != nil {
		p.row.Problem, p.row.Help = "somebody is deleting it", "try again"
		return false, true
	}
	if w := c.State.Waiting; w != nil {
		switch w.Reason {
		case "ErrImagePull", "InvalidImageName":
			p.row.Problem, p.row.Help = w.Reason+": "+w.Message, pullRemedy(w.Message)
			// A kubelet may be a moment too early for the pull secret, and then pulls without: the second refusal counts.
			return false, p.again || p.PullSecret == "" || !refused(w.Message)
		case "ImagePullBackOff":
			p.again = true
			return false, false
		case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
			p.row.Problem, p.row.Help = w.Reason+": "+w.Message, "a container of this image does not run on that node"
			return false, true
		}
	}
	for _, x := range pod.Status.Conditions {
		if x.Type == corev1.PodScheduled && x.Status == corev1.ConditionFalse {
			p.row.Problem, p.row.Help = x.Reason+": "+x.Message, "the cluster has no node for it: an engine needs far more"
			return false, false // a node may come
		}
	}
	p.row.Problem, p.row.Help = "", ""
	return false, false
}

// read gives what the pod has found.
func (p *prober) read(ctx context.Context) ([]Row, error) {
	body, err := p.client.CoreV1().Pods(p.Namespace).GetLogs(p.pod, &corev1.PodLogOptions{}).Stream(ctx)
	if err != nil {
		return nil, told("read the pod's log", err)
	}
	log, err := io.ReadAll(io.LimitReader(body, maxAnswer))
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, fmt.Errorf("read the pod's log: %w", err)
	}
	found := answers(log)
	if len(found) != len(p.Targets) {
		p.row.Problem, p.row.Help = "it did not tell what it found", "is the image this simulator's? Its program must be of this version"
		return []Row{p.row}, nil
	}
	p.row.OK = true
	return append([]Row{p.row}, found...), nil
}

// clean removes what was made.
func (p *prober) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, cleanTimeout)
	defer cancel()
	var err error
	if p.pod != "" {
		if e := p.client.CoreV1().Pods(p.Namespace).Delete(ctx, p.pod, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); e != nil && !apierrors.IsNotFound(e) {
			err = told("remove the pod "+p.pod, e)
		}
	}
	if p.secret != "" {
		if e := p.client.CoreV1().Secrets(p.Namespace).Delete(ctx, p.secret, metav1.DeleteOptions{}); e != nil && !apierrors.IsNotFound(e) {
			err = errors.Join(err, told("remove the pull secret "+p.secret, e))
		}
	}
	return err
}

// NotAdmitted tells whether a quota or an admission policy refused an object, or the API server found it wrong.
func NotAdmitted(err error) bool {
	return apierrors.IsForbidden(err) && !lacksRight(err) || apierrors.IsInvalid(err)
}

// lacksRight tells whether RBAC refused it, in its words ("cannot create resource"), and not a quota or an admission policy, which
// refuse with the same code.
func lacksRight(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), " cannot ") && strings.Contains(err.Error(), " resource ")
}

// told classifies what the API server refuses.
func told(doing string, err error) error {
	if lacksRight(err) {
		return &sim.Error{Kind: sim.Forbidden, Msg: fmt.Sprintf("to look into the cluster from inside, a right is missing: %s: %v", doing, err), Err: err, Help: "'dpesim cluster role' prints the rights that are needed"}
	}
	if apierrors.IsNotFound(err) {
		return &sim.Error{Kind: sim.NotFound, Msg: fmt.Sprintf("%s: %v", doing, err), Err: err, Help: "does the namespace exist?"}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
