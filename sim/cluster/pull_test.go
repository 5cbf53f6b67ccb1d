package cluster_test

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dpesim/dpesim/sim/cluster"
)

// imaged is a pod spec whose container has an image of any name.
func imaged(image string) corev1.PodSpec {
	spec := podSpec("v1")
	spec.Containers[0].Image = image
	return spec
}

func (r *rig) pullSecret(tb testing.TB, name, registry, password string) {
	tb.Helper()
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeDockerConfigJson,
		StringData: map[string]string{corev1.DockerConfigJsonKey: fmt.Sprintf(`{"auths":{%q:{"username":"edge","password":%q}}}`, registry, password)},
	}
	if _, err := r.CoreV1().Secrets("default").Create(tb.Context(), s, metav1.CreateOptions{}); err != nil {
		tb.Fatal(err)
	}
}

func TestImageIsPulledOnceForEachNodeAndRunsByItsConfiguration(t *testing.T) {
	t.Parallel()
	r := open(t, oneNode)
	spec := podSpec("v1")
	spec.Containers[0].Env = []corev1.EnvVar{{Name: "B", Value: "pod"}}
	spec.Containers[0].Args = []string{"$(B)"}
	r.run(t, "first", spec)
	r.until(t, "ready", func() bool { return ready(r.pod(t, "first")) })
	c := r.app.containers()[0]
	if !slices.Equal(c.Args, []string{"app", "pod"}) || c.Dir != "/home" || c.Env["B"] != "pod" || c.Env["PATH"] != "/bin" || c.Labels["kind"] != "test" {
		t.Errorf("args %q, dir %q, env %v, labels %v", c.Args, c.Dir, c.Env, c.Labels)
	}
	s := r.status(t, "first")
	if s.Image != "docker.io/library/app:v1" || s.ImageID != "docker.io/library/app@"+r.hub.digest {
		t.Errorf("image %q, id %q", s.Image, s.ImageID)
	}
	r.until(t, "Pulling", r.hasEvent(t, "first", "Pulling", `Pulling image "app:v1"`))
	r.until(t, "Pulled", r.hasEvent(t, "first", "Pulled", fmt.Sprintf(" including waiting). Image size: %d bytes.", r.hub.size)))
	r.run(t, "second", podSpec("v1"))
	r.until(t, "present", r.hasEvent(t, "second", "Pulled", `Container image "app:v1" already present on machine and can be accessed by the pod`))
	r.until(t, "node lists it", func() bool {
		n, err := r.CoreV1().Nodes().Get(t.Context(), "one", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return len(n.Status.Images) == 1 && n.Status.Images[0].SizeBytes == r.hub.size
	})
	for _, e := range r.events(t, "first", "Pulled") {
		if e.InvolvedObject.FieldPath != "spec.containers{main}" {
			t.Errorf("field path %q", e.InvolvedObject.FieldPath)
		}
	}
}

func TestPullUsesThePodsSecretOrItsAccounts(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.pullSecret(t, "token", "https://token.example", "s3cret")
	r.pullSecret(t, "basic", "basic.example/team", "s3cret")
	spec := imaged("token.example/team/app")
	spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "token"}}
	r.run(t, "own", spec)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "puller"}, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "basic"}}}
	if _, err := r.CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	spec = imaged("basic.example/team/app")
	spec.ServiceAccountName = "puller"
	r.run(t, "accounts", spec)
	for _, name := range []string{"own", "accounts"} {
		r.until(t, name+" ready", func() bool { return ready(r.pod(t, name)) })
	}
}

func TestPullFailuresAreToldAsContainerdDoes(t *testing.T) {
	t.Parallel()
	r := open(t, frozen)
	r.pullSecret(t, "wrong-token", "token.example", "old")
	r.pullSecret(t, "wrong-basic", "basic.example", "old")
	pull := func(image string) string {
		return fmt.Sprintf("failed to pull and unpack image %q: failed to resolve image: ", image)
	}
	for _, tt := range []struct{ name, image, secret, want string }{
		{"rotated", "token.example/team/app:v1", "wrong-token", pull("token.example/team/app:v1") +
			"failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://token.example/token?scope=repository%3Ateam%2Fapp%3Apull&service=hub: 401 Unauthorized"},
		{"nobody", "token.example/team/app:v1", "", pull("token.example/team/app:v1") +
			"failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://token.example/token?scope=repository%3Ateam%2Fapp%3Apull&service=hub: 401 Unauthorized"},
		{"basic", "basic.example/team/app:v1", "", pull("basic.example/team/app:v1") +
			"pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials"},
		{"wrong", "basic.example/team/app:v1", "wrong-basic", pull("basic.example/team/app:v1") +
			"unexpected status from HEAD request to https://basic.example/v2/team/app/manifests/v1: 401 Unauthorized"},
		{"typo", "ap:v1", "", "rpc error: code = NotFound desc = " + pull("docker.io/library/ap:v1") + "docker.io/library/ap:v1: not found"},
		{"lost", "nosuch.example/app:v1", "", pull("nosuch.example/app:v1") +
			`failed to do request: Head "https://nosuch.example/v2/app/manifests/v1": dial tcp: lookup nosuch.example: no such host`},
	} {
		spec := imaged(tt.image)
		if tt.secret != "" {
			spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: tt.secret}}
		}
		r.run(t, tt.name, spec)
		r.until(t, tt.name+" fails", func() bool {
			s := r.status(t, tt.name)
			return waitingFor(s, "ErrImagePull") && s.State.Waiting.Message == tt.want
		})
		r.until(t, "Failed", r.hasEvent(t, tt.name, "Failed", fmt.Sprintf("Failed to pull image %q: %s", tt.image, tt.want)))
		r.until(t, "ErrImagePull", r.hasEvent(t, tt.name, "Failed", "Error: ErrImagePull"))
	}
	r.told(t, 0, "image pull failed", map[string]string{"pod": "lost", "image": "nosuch.example/app:v1"})
	if n := len(r.app.containers()); n != 0 {
		t.Errorf("%d containers ran", n)
	}
}

func TestRegistryOfAnUnknownAuthorityIsNotTrusted(t *testing.T) {
	t.Parallel()
	r := open(t, func(o *cluster.Options) { o.Trust = x509.NewCertPool() })
	r.run(t, "strange", podSpec("v1"))
	r.until(t, "x509", r.hasEvent(t, "strange", "Failed",
		`failed to do request: Head "https://registry-1.docker.io/v2/library/app/manifests/v1": tls: failed to verify certificate: x509: certificate signed by unknown authority`))
}

func TestPullBacksOffAndComesBackWithItsSecret(t *testing.T) {
	t.Parallel()
	r := open(t, frozen)
	spec := imaged("token.example/team/app:v1")
	spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "late"}}
	r.run(t, "patient", spec)
	r.until(t, "warned", r.hasEvent(t, "patient", "FailedToRetrieveImagePullSecret",
		"Unable to retrieve some image pull secrets (late); attempting to pull the image may not succeed."))
	for i, pause := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second} {
		r.until(t, "failed", func() bool { return waitingFor(r.status(t, "patient"), "ErrImagePull") })
		r.until(t, "counted", func() bool {
			return slices.ContainsFunc(r.events(t, "patient", "Pulling"), func(e corev1.Event) bool { return e.Count == int32(i+1) })
		})
		r.advance(t, time.Second)
		r.until(t, "backs off", func() bool {
			s := r.status(t, "patient")
			return waitingFor(s, "ImagePullBackOff") && strings.HasPrefix(s.State.Waiting.Message,
				`Back-off pulling image "token.example/team/app:v1": ErrImagePull: failed to pull and unpack image `)
		})
		r.until(t, "BackOff", r.hasEvent(t, "patient", "BackOff", `Back-off pulling image "token.example/team/app:v1"`))
		if i == 2 {
			r.pullSecret(t, "late", "token.example", "s3cret")
		}
		for left := pause - time.Second; left > 0; left -= 15 * time.Second { // a node looks again every 15 s
			r.advance(t, min(left, 15*time.Second))
			r.settle(t)
		}
	}
	r.until(t, "ready", func() bool { return ready(r.pod(t, "patient")) })
}

// settle lets goroutines that a moved clock has woken set their next timers: nothing tells when they have. It writes and
// reads an object, which takes them longer than that.
func (r *rig) settle(tb testing.TB) {
	tb.Helper()
	for range 20 {
		if _, err := r.CoreV1().Nodes().List(tb.Context(), metav1.ListOptions{}); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestImagesThatAreNeverPulledOrHaveNoName(t *testing.T) {
	t.Parallel()
	r := open(t, frozen)
	spec := podSpec("v1")
	spec.Containers[0].ImagePullPolicy = corev1.PullNever
	r.run(t, "never", spec)
	words := `Container image "app:v1" is not present with pull policy of Never`
	r.until(t, "never", func() bool {
		s := r.status(t, "never")
		return waitingFor(s, "ErrImageNeverPull") && s.State.Waiting.Message == words
	})
	r.until(t, "event", r.hasEvent(t, "never", "ErrImageNeverPull", words))
	r.run(t, "loud", imaged("APP:v1"))
	words = `Failed to apply default image tag "APP:v1": couldn't parse image name "APP:v1": invalid reference format: repository name (library/APP) must be lowercase`
	r.until(t, "invalid", func() bool {
		s := r.status(t, "loud")
		return waitingFor(s, "InvalidImageName") && s.State.Waiting.Message == words
	})
	r.until(t, "event", r.hasEvent(t, "loud", "InspectFailed", words))
}

func TestImageOfRootIsRefusedWhereThePodForbidsIt(t *testing.T) {
	t.Parallel()
	r := open(t, frozen)
	spec := podSpec("v1")
	spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: new(int64(0))}
	r.run(t, "root", spec)
	r.until(t, "refused", func() bool {
		s := r.status(t, "root")
		return waitingFor(s, "CreateContainerConfigError") && strings.HasPrefix(s.State.Waiting.Message, `container's runAsUser breaks non-root policy (pod: "root_default(`)
	})
	spec.SecurityContext.RunAsUser = nil // the image's own is not root
	r.run(t, "plain", spec)
	r.until(t, "ready", func() bool { return ready(r.pod(t, "plain")) })
}
