package probe_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/probe"
	"github.com/dpesim/dpesim/sim/simtest"
)

// rig is a simulator with a DPE whose token pulls.
type rig struct {
	*simtest.Sim
	kubernetes.Interface
	env     api.Environment
	options probe.Options
}

func start(t *testing.T) rig {
	t.Helper()
	s := simtest.Start(t)
	env := s.Environment(t, api.EnvironmentSpec{Name: "Acme"})
	d, err := s.API.AddDPE(t.Context(), env.ID, api.DPESpec{Name: "Finance"})
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.API.RegistryToken(t.Context(), env.ID, d.Label)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", s.Endpoints().Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	registry := s.Endpoints().RegistryHost()
	return rig{s, client, env, probe.Options{
		Config: config, Namespace: "default", Image: registry + "/images/dpe:" + string(d.Release),
		Login: &probe.Login{Registry: registry, User: string(env.ID) + "." + string(d.Label), Password: token}, CA: []byte(env.Endpoints.CA),
	}}
}

// clean fails the test if a probe has left something.
func (r rig) clean(t *testing.T) {
	t.Helper()
	pods, err := r.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := r.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pods.Items {
		if p.DeletionTimestamp == nil {
			t.Errorf("the pod %s is left", p.Name)
		}
	}
	if len(secrets.Items) > 0 {
		t.Errorf("%d secrets are left", len(secrets.Items))
	}
}

func TestAPodTellsWhatItReaches(t *testing.T) {
	t.Parallel()
	r := start(t)
	dpm := strings.TrimPrefix(r.env.Endpoints.DPM, "https://")
	_, port, err := net.SplitHostPort(dpm)
	if err != nil {
		t.Fatal(err)
	}
	r.options.Targets = []probe.Target{
		{Name: "DPM", Addr: dpm, TLS: true},
		{Name: "no such environment", Addr: "dpm-grpc-nobody.invalid:" + port, TLS: true},
		{Name: "nobody", Addr: "127.0.0.1:1"},
	}
	rows, err := probe.Run(t.Context(), r.options)
	if err != nil {
		t.Fatal(err)
	}
	want := []probe.Row{
		{Name: probe.RowPod, OK: true},
		{Name: "DPM", OK: true},
		{Name: "no such environment", Help: "pods do not resolve this name"},
		{Name: "nobody", Problem: "refused", Help: "firewalls"},
	}
	if len(rows) != len(want) {
		t.Fatalf("%+v", rows)
	}
	for i, w := range want {
		if g := rows[i]; g.Name != w.Name || g.OK != w.OK || !strings.Contains(g.Problem, w.Problem) || !strings.Contains(g.Help, w.Help) || g.Tried == "" {
			t.Errorf("%+v, want %+v", g, w)
		}
	}
	r.clean(t)
}

func TestAnImageThatIsNotPulledIsToldInTheKubeletsWords(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.options.Targets = []probe.Target{{Name: "nobody", Addr: "127.0.0.1:1"}}
	r.options.Login.Password = "wrong"
	rows, err := probe.Run(t.Context(), r.options)
	if err != nil || len(rows) != 1 || rows[0].OK || !strings.Contains(rows[0].Problem, "ErrImagePull: ") || !strings.Contains(rows[0].Help, "pull token") {
		t.Errorf("%+v, %v", rows, err)
	}
	r.clean(t)
}

// A quota or an admission policy refuses with the code with which RBAC does: only a missing right is an error.
func TestAClusterThatAdmitsNoPodSaysWhy(t *testing.T) {
	t.Parallel()
	const quota = `pods "dpesim-probe-x7" is forbidden: exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0`
	const right = `pods is forbidden: User "ada" cannot create resource "pods" in API group "" in the namespace "default"`
	for words, want := range map[string]sim.Kind{quota: -1, right: sim.Forbidden} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonForbidden, Code: 403, Message: words})
		}))
		rows, err := probe.Run(t.Context(), probe.Options{Config: &rest.Config{Host: server.URL}, Namespace: "default", Image: "x"})
		server.Close()
		switch {
		case want == -1 && (err != nil || len(rows) != 1 || rows[0].OK || rows[0].Problem != words):
			t.Errorf("%s: %+v, %v", words, rows, err)
		case want != -1 && (sim.KindOf(err) != want || !strings.Contains(err.Error(), words)):
			t.Errorf("%s: %+v, %v", words, rows, err)
		}
	}
	r := start(t)
	r.options.Namespace = "nowhere"
	if _, err := probe.Run(t.Context(), r.options); sim.KindOf(err) != sim.NotFound {
		t.Errorf("without the namespace: %v", err)
	}
}

func TestWhatTakesTooLongIsToldAndRemoved(t *testing.T) {
	t.Parallel()
	r := start(t)
	nodes, err := r.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes.Items {
		n.Spec.Unschedulable = true
		if _, err := r.CoreV1().Nodes().Update(t.Context(), &n, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	r.options.Targets, r.options.Timeout = []probe.Target{{Name: "nobody", Addr: "127.0.0.1:1"}}, 2*time.Second
	rows, err := probe.Run(t.Context(), r.options)
	if err != nil || len(rows) != 1 || rows[0].OK || !strings.Contains(rows[0].Problem, "0/3 nodes are available") {
		t.Errorf("%+v, %v", rows, err)
	}
	r.clean(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	r.options.Timeout = time.Minute
	if _, err := probe.Run(ctx, r.options); err == nil {
		t.Error("it outlives its context")
	}
	r.clean(t)
}

// A name that another simulator, or anything else, would answer to is told apart from a port that is closed.
func TestTheAnswerTellsWhatAnsweredInstead(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	edge := s.Endpoints().Edge
	_, port, err := net.SplitHostPort(edge)
	if err != nil {
		t.Fatal(err)
	}
	to := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, edge)
	}
	for host, help := range map[string]string{"other.example": "does not know this name", "registry." + s.Endpoints().Domain: "another certificate came"} {
		asked, err := json.Marshal(map[string]any{"targets": []probe.Target{{Name: "x", Addr: net.JoinHostPort(host, port), TLS: true}}})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := probe.Answer(t.Context(), string(asked), to, &out); err != nil {
			t.Fatal(err)
		}
		var row probe.Row
		if err := json.Unmarshal(out.Bytes(), &row); err != nil || row.OK || !strings.Contains(row.Help, help) {
			t.Errorf("%s: %s, %v", host, out.String(), err)
		}
	}
	if err := probe.Answer(t.Context(), "", nil, &bytes.Buffer{}); sim.KindOf(err) != sim.Invalid {
		t.Errorf("without a question: %v", err)
	}
}
