package cluster_test

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/cluster"
	"github.com/dpesim/dpesim/sim/draw"
	"github.com/dpesim/dpesim/sim/fault"
)

// frozen gives the cluster a clock that a test moves.
func frozen(o *cluster.Options) {
	o.Clock = clock.NewFrozen(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
}

func (r *rig) run(tb testing.TB, name string, spec corev1.PodSpec) {
	tb.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", Labels: map[string]string{"app": name}}, Spec: spec}
	if _, err := r.CoreV1().Pods("default").Create(tb.Context(), p, metav1.CreateOptions{}); err != nil {
		tb.Fatal(err)
	}
}

func (r *rig) pod(tb testing.TB, name string) *corev1.Pod {
	tb.Helper()
	p, err := r.CoreV1().Pods("default").Get(tb.Context(), name, metav1.GetOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// status gives the status of a pod's only container; the zero status before it has one.
func (r *rig) status(tb testing.TB, name string) corev1.ContainerStatus {
	tb.Helper()
	if s := r.pod(tb, name).Status.ContainerStatuses; len(s) == 1 {
		return s[0]
	}
	return corev1.ContainerStatus{}
}

func (r *rig) advance(tb testing.TB, d time.Duration) {
	tb.Helper()
	if err := r.clock.Advance(tb.Context(), d); err != nil {
		tb.Fatal(err)
	}
}

func waitingFor(s corev1.ContainerStatus, reason string) bool {
	return s.State.Waiting != nil && s.State.Waiting.Reason == reason
}

func TestCrashingContainerBacksOffByTheClock(t *testing.T) {
	t.Parallel()
	r := open(t, frozen)
	r.run(t, "sad", podSpec("crash"))
	for restarts, pause := range []time.Duration{1: 10 * time.Second, 2: 20 * time.Second, 3: 40 * time.Second, 4: 80 * time.Second} {
		if restarts == 0 {
			continue // the first restart comes at once
		}
		r.until(t, "back-off", func() bool {
			s := r.status(t, "sad")
			return s.RestartCount == int32(restarts) && waitingFor(s, "CrashLoopBackOff") && strings.HasPrefix(s.State.Waiting.Message, "back-off "+pause.String()+" ")
		})
		s := r.status(t, "sad")
		if last := s.LastTerminationState.Terminated; last == nil || last.ExitCode != 1 || last.Reason != "Error" || last.Message != "no licence found" {
			t.Fatalf("last state = %+v", s.LastTerminationState)
		}
		if ready(r.pod(t, "sad")) {
			t.Fatal("a crashing pod is ready")
		}
		before := len(r.app.containers())
		r.advance(t, pause-time.Millisecond)
		if now := len(r.app.containers()); now != before {
			t.Fatalf("restarted before %s had passed", pause)
		}
		r.advance(t, time.Millisecond)
	}
	r.until(t, "BackOff event", r.hasEvent(t, "sad", "BackOff", "Back-off restarting failed container main in pod sad_default("))
	if got := r.logs(t, "sad", &corev1.PodLogOptions{Previous: true}); got != "about to crash\n" {
		t.Errorf("previous log = %q", got)
	}
}

func TestPanicOfAContainerIsACrash(t *testing.T) {
	t.Parallel()
	r := open(t, frozen)
	r.run(t, "loud", podSpec("panic"))
	r.until(t, "crash noted", func() bool {
		last := r.status(t, "loud").LastTerminationState.Terminated
		return last != nil && last.ExitCode == 1 && strings.Contains(last.Message, "panic: on purpose")
	})
}

func TestPodThatEndsSucceedsAndStays(t *testing.T) {
	t.Parallel()
	r := open(t)
	spec := podSpec("once")
	spec.RestartPolicy = corev1.RestartPolicyNever
	r.run(t, "job", spec)
	r.until(t, "succeeded", func() bool { return r.pod(t, "job").Status.Phase == corev1.PodSucceeded })
	if got := r.logs(t, "job", &corev1.PodLogOptions{}); got != "done\n" {
		t.Errorf("log = %q", got)
	}
	if n := len(r.app.containers()); n != 1 {
		t.Errorf("ran %d times", n)
	}
}

func TestMissingSecretIsWaitedForAndSaidInAnEvent(t *testing.T) {
	t.Parallel()
	r := open(t, frozen)
	spec := podSpec("v1")
	spec.Volumes = []corev1.Volume{{Name: "key", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "engine-key"}}}}
	spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "key", MountPath: "/etc/engine"}}
	spec.Containers[0].Env = []corev1.EnvVar{{Name: "TOKEN", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: "engine-token"}, Key: "token",
	}}}}
	r.run(t, "needy", spec)
	r.until(t, "FailedMount", r.hasEvent(t, "needy", "FailedMount", `MountVolume.SetUp failed for volume "key" : secret "engine-key" not found`))
	r.until(t, "ContainerCreating", func() bool { return waitingFor(r.status(t, "needy"), "ContainerCreating") })
	secret := func(name, key string) {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: map[string]string{key: "s3cret"}}
		if _, err := r.CoreV1().Secrets("default").Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	secret("engine-key", "key.jwk")
	r.advance(t, time.Minute)
	r.until(t, "config error", func() bool { return waitingFor(r.status(t, "needy"), "CreateContainerConfigError") })
	r.until(t, "Failed event", r.hasEvent(t, "needy", "Failed", `Error: secret "engine-token" not found`))
	secret("engine-token", "token")
	r.advance(t, time.Minute)
	r.until(t, "ready", func() bool { r.advance(t, time.Second); return ready(r.pod(t, "needy")) })
	c := r.app.containers()[0]
	if b, err := fs.ReadFile(c.Files, "etc/engine/key.jwk"); err != nil || string(b) != "s3cret" || c.Env["TOKEN"] != "s3cret" {
		t.Errorf("file %q (%v), TOKEN %q", b, err, c.Env["TOKEN"])
	}
}

func TestContainerFindsItsEnvironmentFilesAndScratch(t *testing.T) {
	t.Parallel()
	r := open(t)
	if _, err := r.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "conf"}, Data: map[string]string{"A": "1", "app.properties": "x=y"},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ref := corev1.LocalObjectReference{Name: "conf"}
	spec := podSpec("v1")
	spec.Volumes = []corev1.Volume{
		{Name: "work", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("100Gi")}},
			},
		}}}},
		{Name: "conf", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: ref, Items: []corev1.KeyToPath{{Key: "app.properties", Path: "etc/app.properties"}}}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "labels", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels"}}}}},
		}}}},
	}
	c := &spec.Containers[0]
	c.VolumeMounts = []corev1.VolumeMount{{Name: "work", MountPath: "/tmp/work"}, {Name: "conf", MountPath: "/opt/conf"}}
	c.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1600m"), corev1.ResourceMemory: resource.MustParse("64Mi")}
	c.EnvFrom = []corev1.EnvFromSource{{Prefix: "C_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: ref}}}
	c.Env = []corev1.EnvVar{
		{Name: "B", Value: "$(C_A)-$(UNKNOWN)-$$(C_A)"},
		{Name: "NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
		{Name: "IP", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"}}},
		{Name: "CPU", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu"}}},
		{Name: "NONE", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: ref, Key: "no", Optional: new(true)}}},
	}
	r.run(t, "full", spec)
	r.until(t, "ready", func() bool { return ready(r.pod(t, "full")) })
	got := r.app.containers()[0]
	for k, want := range map[string]string{"C_A": "1", "B": "1-$(UNKNOWN)-$(C_A)", "NAME": "full", "IP": r.pod(t, "full").Status.PodIP, "CPU": "2"} {
		if got.Env[k] != want {
			t.Errorf("%s = %q, want %q", k, got.Env[k], want)
		}
	}
	if _, ok := got.Env["NONE"]; ok {
		t.Error("an optional variable without a source is set")
	}
	for name, want := range map[string]string{"opt/conf/etc/app.properties": "x=y", "opt/conf/labels": `app="full"`} {
		if b, err := fs.ReadFile(got.Files, name); err != nil || string(b) != want {
			t.Errorf("%s = %q, %v", name, b, err)
		}
	}
	var names []string
	if err := fs.WalkDir(got.Files, ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, p)
		}
		return err
	}); err != nil || len(names) != 2 {
		t.Errorf("files = %v, %v", names, err)
	}
	work := filepath.Join(got.Scratch, "tmp", "work")
	if err := os.WriteFile(filepath.Join(work, "x"), nil, 0o600); err != nil {
		t.Error(err)
	}
	claim, err := r.CoreV1().PersistentVolumeClaims("default").Get(t.Context(), "full-work", metav1.GetOptions{})
	if err != nil || claim.Status.Phase != corev1.ClaimBound {
		t.Errorf("claim = %+v, %v", claim, err)
	}
	if err := r.CoreV1().Pods("default").Delete(t.Context(), "full", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "claim, volume and scratch gone", func() bool {
		claims, err := r.CoreV1().PersistentVolumeClaims("default").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		volumes, err := r.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = os.Stat(work)
		return len(claims.Items) == 0 && len(volumes.Items) == 0 && os.IsNotExist(err)
	})
}

func TestStopIsGracefulAndKillComesAfterTheGrace(t *testing.T) {
	t.Parallel()
	r := open(t, frozen)
	spec := podSpec("v1")
	spec.Containers[0].ReadinessProbe = nil
	r.run(t, "kind", spec)
	spec = podSpec("stubborn")
	spec.Containers[0].ReadinessProbe = nil
	r.run(t, "deaf", spec)
	r.until(t, "both run", func() bool { return ready(r.pod(t, "kind")) && ready(r.pod(t, "deaf")) })
	for _, name := range []string{"kind", "deaf"} {
		if err := r.CoreV1().Pods("default").Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](20)}); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(name string) func() bool {
		return func() bool {
			_, err := r.CoreV1().Pods("default").Get(t.Context(), name, metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		}
	}
	r.until(t, "kind stops at once", gone("kind"))
	r.until(t, "Killing event", r.hasEvent(t, "deaf", "Killing", "Stopping container main"))
	r.advance(t, 19*time.Second)
	if gone("deaf")() {
		t.Fatal("killed before its grace had passed")
	}
	r.advance(t, time.Second)
	r.until(t, "deaf is killed", gone("deaf"))
}

func TestForcedDeletionKillsAtOnce(t *testing.T) {
	t.Parallel()
	r := open(t, frozen)
	spec := podSpec("stubborn")
	spec.Containers[0].ReadinessProbe = nil
	r.run(t, "deaf", spec)
	r.until(t, "runs", func() bool { return ready(r.pod(t, "deaf")) })
	if err := r.CoreV1().Pods("default").Delete(t.Context(), "deaf", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		t.Fatal(err)
	}
	scratch := r.app.containers()[0].Scratch
	r.until(t, "nothing left", func() bool { _, err := os.Stat(scratch); return os.IsNotExist(err) })
}

func TestLivenessFailureRestartsTheContainer(t *testing.T) {
	t.Parallel()
	r := open(t, frozen)
	spec := podSpec("unready")
	spec.Containers[0].ReadinessProbe = nil
	spec.Containers[0].LivenessProbe = &corev1.Probe{PeriodSeconds: 5, FailureThreshold: 3, TimeoutSeconds: 1, ProbeHandler: corev1.ProbeHandler{
		HTTPGet: &corev1.HTTPGetAction{Path: "/live", Port: intstr.FromInt(8080)},
	}}
	r.run(t, "ill", spec)
	r.until(t, "restarted", func() bool { r.advance(t, time.Second); return r.status(t, "ill").RestartCount == 1 })
	r.until(t, "Unhealthy", r.hasEvent(t, "ill", "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 503"))
	r.until(t, "Killing", r.hasEvent(t, "ill", "Killing", "Container main failed liveness probe, will be restarted"))
}

func TestWhatTheNodeCannotDoIsRefusedInWords(t *testing.T) {
	t.Parallel()
	r := open(t)
	spec := podSpec("v1")
	spec.InitContainers = []corev1.Container{{Name: "first", Image: "app:once"}}
	r.run(t, "fancy", spec)
	r.until(t, "refused", r.hasEvent(t, "fancy", "FailedCreatePodSandBox", "init containers are not supported by this node"))
	r.until(t, "status says why", func() bool {
		p := r.pod(t, "fancy")
		return p.Status.Phase == corev1.PodPending && p.Status.Message != ""
	})
	if n := len(r.app.containers()); n != 0 {
		t.Errorf("%d containers ran", n)
	}
}

func TestFollowedLogEndsWithItsContainer(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.run(t, "talker", podSpec("v1"))
	r.until(t, "ready", func() bool { return ready(r.pod(t, "talker")) })
	follow, err := r.CoreV1().Pods("default").GetLogs("talker", &corev1.PodLogOptions{Follow: true, Timestamps: true}).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer follow.Close()
	lines := bufio.NewScanner(follow)
	if !lines.Scan() {
		t.Fatal(lines.Err())
	}
	stamp, text, _ := strings.Cut(lines.Text(), " ")
	if _, err := time.Parse(time.RFC3339Nano, stamp); err != nil || text != "serving as talker" {
		t.Errorf("line = %q", lines.Text())
	}
	if err := r.CoreV1().Pods("default").Delete(t.Context(), "talker", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if !lines.Scan() || !strings.HasSuffix(lines.Text(), " stopping") || lines.Scan() {
		t.Errorf("last line = %q, %v", lines.Text(), lines.Err())
	}
}

func TestContainerAboveItsMemoryLimitIsKilled(t *testing.T) {
	t.Parallel()
	faults := fault.New(clock.New(), draw.New(1))
	r := open(t, frozen, func(o *cluster.Options) { o.Faults = faults })
	spec := podSpec("v1")
	spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}
	r.run(t, "hungry", spec)
	r.until(t, "ready", func() bool { return ready(r.pod(t, "hungry")) })
	killed := func(restarts int32) func() bool {
		return func() bool {
			s := r.status(t, "hungry")
			last := s.LastTerminationState.Terminated
			return s.RestartCount >= restarts-1 && last != nil && last.ExitCode == 137 && last.Reason == "OOMKilled"
		}
	}
	c := r.app.containers()[0]
	c.Memory(64 << 20)
	if r.status(t, "hungry").State.Running == nil {
		t.Fatal("killed at its limit, not above it")
	}
	c.Memory(64<<20 + 1)
	r.until(t, "killed", killed(1))
	r.until(t, "runs again", func() bool { return ready(r.pod(t, "hungry")) && len(r.app.containers()) == 2 })

	if err := faults.Arm(fault.Fault{Name: "oom", Point: cluster.PointOOM, Times: 1, Err: errors.New("out of memory")}); err != nil {
		t.Fatal(err)
	}
	r.advance(t, 10*time.Second)
	r.until(t, "killed by the fault", func() bool { return killed(2)() && waitingFor(r.status(t, "hungry"), "CrashLoopBackOff") })
}

func TestCommandThatIsNotThereIsAStartError(t *testing.T) {
	t.Parallel()
	r := open(t, frozen)
	spec := podSpec("v1")
	spec.Containers[0].Command = []string{"$(SHELL)"}
	spec.Containers[0].Args = []string{"-c", "$(NONE)"}
	spec.Containers[0].Env = []corev1.EnvVar{{Name: "SHELL", Value: "bash"}}
	r.run(t, "bare", spec)
	words := `failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: ` +
		`unable to start container process: error during container init: exec: "bash": executable file not found in $PATH: unknown`
	r.until(t, "not started", func() bool {
		s := r.status(t, "bare")
		return waitingFor(s, "RunContainerError") && s.State.Waiting.Message == words
	})
	r.until(t, "Failed event", r.hasEvent(t, "bare", "Failed", "Error: "+words))
	r.until(t, "back-off", func() bool { r.advance(t, time.Second); return waitingFor(r.status(t, "bare"), "CrashLoopBackOff") })
	if last := r.status(t, "bare").LastTerminationState.Terminated; last == nil || last.ExitCode != 128 || last.Reason != "StartError" || last.Message != words {
		t.Errorf("last state = %+v", last)
	}
	if n := len(r.app.containers()); n != 0 {
		t.Errorf("%d containers ran", n)
	}
}
