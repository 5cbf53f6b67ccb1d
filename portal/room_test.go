package portal_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/room"
	"github.com/dpesim/dpesim/sim"
)

// simulator is what the control room is shown in tests. It is safe for concurrent use.
type simulator struct {
	mu   sync.Mutex
	acts []string
	fail error
	pods []api.ClusterPod // beside the one that is always there
	open int              // connections beside those that always are
}

func (s *simulator) Connections() []api.Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	var more []api.Connection
	for i := range s.open {
		more = append(more, api.Connection{Environment: "prod", Host: "dpm-grpc-prod.dpesim.localhost", Source: fmt.Sprintf("203.0.113.10:%d", 20_000+i), Opened: epoch, In: int64(i) * 1000, Active: epoch})
	}
	return append(more, []api.Connection{{
		Environment: "acme-production", Host: "dpm-grpc-acme-production.dpesim.localhost", Source: "10.1.2.3:40001", Opened: epoch, In: 1234, Out: 5_600_000, Active: epoch,
	}, {Host: "registry.dpesim.localhost", Source: "203.0.113.10:40001", Opened: epoch, Active: epoch.Add(-time.Hour)}}...)
}

func (*simulator) FaultPoints() []api.FaultPoint {
	return []api.FaultPoint{{Point: "dpm.connect", Where: "DPM", Symptom: "refused"}, {Point: "portal.request", Where: "portal", Symptom: "fails"}}
}

func (*simulator) Addresses() [][2]string { return [][2]string{{"Portal", "http://localhost:8080"}} }

func (s *simulator) Cluster() (room.Cluster, error) { return s, nil }

func (s *simulator) Read(context.Context) (api.Cluster, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return api.Cluster{
		Nodes:       []api.ClusterNode{{Name: "dpesim-node-1", Status: "Ready", Power: "on", CPU: "1200m of 3860m", Percent: 31}, {Name: "dpesim-node-2", Status: "NotReady", Power: "off"}},
		Deployments: []api.ClusterDeployment{{Namespace: "dpe", Name: "finance", Ready: 0, Desired: 1}},
		Pods:        append([]api.ClusterPod{{Namespace: "dpe", Name: "finance-0", Ready: "0/1", Status: "ImagePullBackOff", Created: epoch}}, s.pods...),
		Events:      []api.ClusterEvent{{Time: epoch, Warning: true, Reason: "BackOff", Object: "pod/finance-0", Message: "Back-off pulling image", Count: 3}},
	}, nil
}

func (s *simulator) act(words ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acts = append(s.acts, strings.Join(words, " "))
	return s.fail
}

func (s *simulator) Scale(_ context.Context, namespace, deployment string, replicas int) error {
	return s.act("scale", namespace, deployment, strings.Repeat("*", replicas))
}

func (s *simulator) DeletePod(_ context.Context, namespace, pod string) error {
	return s.act("delete", namespace, pod)
}

func (*simulator) Log(context.Context, string, string, bool) (string, error) {
	return "hello from the pod\n", nil
}

func (s *simulator) Cordon(_ context.Context, node string, on bool) error {
	return s.act(map[bool]string{true: "cordon", false: "uncordon"}[on], node)
}

func (s *simulator) SetPower(_ context.Context, node string, on bool) error {
	return s.act(map[bool]string{true: "start", false: "stop"}[on], node)
}

func TestClockIsMovedByOneMoveAtATime(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	due := make(chan struct{})
	s.clock.AfterFunc(48*time.Hour, func() { close(due) })
	got := must(s.MoveClock(ctx, api.ClockMove{Advance: "90d"}))(t)
	select {
	case <-due:
	default:
		t.Error("what fell due was not done when the answer came")
	}
	if !got.Now.Equal(epoch.AddDate(0, 0, 90)) || got.Mode != "frozen" {
		t.Errorf("after the advance: %+v", got)
	}
	to := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	if got = must(s.MoveClock(ctx, api.ClockMove{Set: to}))(t); !got.Now.Equal(to) {
		t.Errorf("after the set: %+v", got)
	}
	if got = must(s.MoveClock(ctx, api.ClockMove{Rate: 60}))(t); got.Mode != "scaled" || got.Rate != 60 {
		t.Errorf("after the rate: %+v", got)
	}
	if got = must(s.MoveClock(ctx, api.ClockMove{Freeze: true}))(t); got.Mode != "frozen" {
		t.Errorf("after the freeze: %+v", got)
	}
	for words, m := range map[string]api.ClockMove{
		"0 moves": {}, "2 moves": {Freeze: true, Real: true}, "no span": {Advance: "soon"}, "rate -1": {Rate: -1}, "rate 1e+09": {Rate: 1e9},
		"year 2300": {Set: to.AddDate(270, 0, 0)}, "year 1999": {Set: to.AddDate(-31, 0, 0)},
	} {
		_, err := s.MoveClock(ctx, m)
		wantError(t, err, sim.Invalid, words)
	}
	if got = must(s.MoveClock(ctx, api.ClockMove{Real: true}))(t); got.Mode != "real" {
		t.Errorf("after following the machine: %+v", got)
	}
	if n := len(must(s.Audit(ctx, api.AuditFilter{}))(t)); n != 5 {
		t.Errorf("%d moves are in the audit log", n)
	}
	_, err := s.as("mia").MoveClock(ctx, api.ClockMove{Freeze: true})
	wantError(t, err, sim.Forbidden, "trainer")
}

func TestFaultsAreArmedAndMended(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	want := api.Fault{Name: "cut", Point: "dpm.connect", Environment: "prod", DPE: "finance", Skip: 1, Times: 2, Probability: 0.5, Delay: "1.5s", Error: "the network is broken"}
	must(s.Arm(ctx, want))(t)
	if diff := cmp.Diff([]api.Fault{want}, must(s.Faults(ctx))(t)); diff != "" {
		t.Error(diff)
	}
	armed := s.faults.Armed()[0]
	if e, ok := errors.AsType[*sim.Error](armed.Err); !ok || e.Kind != sim.Unavailable || !strings.Contains(e.Help, "dpesim fault disarm cut") {
		t.Errorf("the fault fails with %+v", armed.Err)
	}
	_, err := s.Arm(ctx, want)
	wantError(t, err, sim.Conflict, "armed already")
	for words, f := range map[string]api.Fault{
		"nothing can be broken at": {Name: "a", Point: "no.where", Error: "x"}, "does nothing": {Name: "a", Point: "dpm.connect"},
		"no span": {Name: "a", Point: "dpm.connect", Delay: "x"}, "name is missing": {Point: "dpm.connect", Error: "x"}, "probability": {Name: "a", Point: "dpm.connect", Error: "x", Probability: 2},
	} {
		_, err := s.Arm(ctx, f)
		wantError(t, err, sim.Invalid, words)
	}
	if err := s.Disarm(ctx, "cut"); err != nil || len(s.faults.Armed()) != 0 {
		t.Errorf("mended: %v, %v", err, s.faults.Armed())
	}
	wantError(t, s.Disarm(ctx, "cut"), sim.NotFound, "cut")
	got := s.bus.Since(0)
	if d := cmp.Diff([]string{"fault armed", "fault disarmed"}, whats(got)); d != "" {
		t.Error(d)
	}
}

func TestControlRoomActsByForms(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, form := range []url.Values{
		{"act": {"scale"}, "namespace": {"dpe"}, "name": {"finance"}, "replicas": {"3"}},
		{"act": {"delete-pod"}, "namespace": {"dpe"}, "name": {"finance-0"}},
		{"act": {"cordon"}, "name": {"n1"}},
		{"act": {"uncordon"}, "name": {"n1"}},
		{"act": {"stop"}, "name": {"n1"}},
		{"act": {"start"}, "name": {"n1"}},
	} {
		if got := s.post(t, "/room/cluster", form); got.code != http.StatusSeeOther {
			t.Errorf("%v: %d %s", form, got.code, got.body)
		}
	}
	for query, command := range map[string]string{
		"act=scale&namespace=dpe&name=finance&replicas=3": "dpesim kubectl scale deployment/finance -n dpe --replicas 3",
		"act=delete-pod&namespace=dpe&name=a+b":           "dpesim kubectl delete pod &#39;a b&#39; -n dpe",
		"act=stop&name=n1":                                "dpesim node stop n1",
	} {
		if got := s.get(t, "/room/cluster?"+query); !strings.Contains(got.body, "<code>"+command+"</code>") {
			t.Errorf("after %s the page does not say %q", query, command)
		}
	}
	want := []string{"scale dpe finance ***", "delete dpe finance-0", "cordon n1", "uncordon n1", "stop n1", "start n1"}
	if d := cmp.Diff(want, s.simulator.acts); d != "" {
		t.Error(d)
	}
	if last := must(s.Audit(t.Context(), api.AuditFilter{Limit: 1}))(t)[0]; last.Action != "cluster operated" || last.Detail["command"] != "dpesim node start n1" || last.User != "tess" {
		t.Errorf("the audit log tells %+v", last)
	}
	s.simulator.fail = sim.Errorf(sim.NotFound, `pods "gone" not found`)
	for path, c := range map[string]struct {
		form  url.Values
		code  int
		words string
	}{
		"/room/cluster": {url.Values{"act": {"delete-pod"}, "namespace": {"dpe"}, "name": {"gone"}}, 404, "not found"},
		"/room/clock":   {url.Values{"act": {"advance"}, "advance": {"soon"}}, 400, `value="soon"`},
		"/room/faults":  {url.Values{"point": {"dpm.connect"}, "times": {"x"}, "error": {"broken <b>"}}, 400, "broken &lt;b&gt;"},
	} {
		got := s.post(t, path, c.form)
		if got.code != c.code || !strings.Contains(got.body, c.words) || !strings.Contains(got.body, `role="alert"`) {
			t.Errorf("%s: %d, does not say %q", path, got.code, c.words)
		}
		checkPage(t, got.body)
	}
	for _, c := range []struct {
		path string
		form url.Values
	}{
		{"/room/clock", url.Values{"act": {"advance"}, "advance": {"1d"}}},
		{"/room/clock", url.Values{"act": {"set"}, "set": {"2027-01-31T08:00"}}},
		{"/room/clock", url.Values{"act": {"run"}}},
		{"/room/clock", url.Values{"act": {"freeze"}}},
		{"/room/clock", url.Values{"act": {"rate"}, "rate": {"2.5"}}},
		{"/room/clock", url.Values{"act": {"real"}}},
		{"/room/faults", url.Values{"point": {"portal.request"}, "error": {"x"}, "skip": {"1000"}, "probability": {"0.5"}}},
		{"/room/faults/portal.request/disarm", nil},
	} {
		if got := s.post(t, c.path, c.form); got.code != http.StatusSeeOther {
			t.Errorf("%s %v: %d", c.path, c.form, got.code)
		}
	}
	if len(s.faults.Armed()) != 0 {
		t.Errorf("armed are %v", s.faults.Armed())
	}
}

func TestTimelineIsFilteredAndPaged(t *testing.T) {
	t.Parallel()
	s, ctx := start(t), t.Context()
	for range 130 {
		s.bus.Publish(ctx, sim.Event{Part: sim.PartDPM, Environment: "prod", DPE: "finance", What: "engine connected", Detail: map[string]string{"remote": "<b>"}})
	}
	s.bus.Publish(ctx, sim.Event{Part: sim.PartEdge, What: "connection refused"})
	rows := func(path string) int { return strings.Count(s.get(t, path).body, `<tr id="event-`) }
	for path, want := range map[string]int{
		"/room/timeline": 50, "/room/timeline?part=edge": 1, "/room/timeline?environment=prod": 50, "/room/timeline?text=REFUSED": 1, "/room/timeline?before=31": 30,
		"/room/timeline?part=nothing": 0,
	} {
		if got := rows(path); got != want {
			t.Errorf("%s shows %d events, want %d", path, got, want)
		}
	}
	if body := s.get(t, "/room/timeline?part=dpm").body; !strings.Contains(body, "/room/timeline?before=81&amp;part=dpm") || strings.Contains(body, "<b>") {
		t.Error("the page does not lead to older events, or shows markup")
	}
	if got := s.get(t, "/room/timeline?before=x"); got.code != http.StatusBadRequest {
		t.Errorf("a strange place: %d", got.code)
	}
	if got := s.get(t, "/room/why?subject=pod/none"); got.code != http.StatusNotFound || !strings.Contains(got.body, `role="alert"`) {
		t.Errorf("why of something unknown: %d", got.code)
	}
}

func TestPodsOfTheClusterAreCountedFilteredAndPaged(t *testing.T) {
	t.Parallel()
	s := start(t)
	for i := range 499 {
		p := api.ClusterPod{Namespace: "dpe", Name: fmt.Sprintf("big-%03d", i), Ready: "1/1", Status: "Running", Node: fmt.Sprintf("node-%d", i%5), Image: "dpe:15.3.0", Created: epoch}
		if i == 450 {
			p.Status = "CrashLoopBackOff"
		}
		s.simulator.pods = append(s.simulator.pods, p)
	}
	body := s.get(t, "/room/cluster").body
	checkPage(t, body)
	for _, w := range []string{"498 Running", "1 CrashLoopBackOff", "1 ImagePullBackOff", "1 to 50 of 500", `href="/room/cluster?page=2">Next`} {
		if !strings.Contains(body, w) {
			t.Errorf("the page does not say %q", w)
		}
	}
	if at := strings.Index(body, "big-450"); at < 0 || at > strings.Index(body, "big-000") {
		t.Error("a pod in trouble does not come first")
	}
	for query, want := range map[string]string{
		"?page=10": "451 to 500 of 500", "?page=99": "451 to 500 of 500", "?page=-1": "1 to 50 of 500", "?text=NODE-3": "1 to 50 of 100", "?text=none": "None of the 500 pods fits",
	} {
		if body := s.get(t, "/room/cluster"+query).body; !strings.Contains(body, want) {
			t.Errorf("%s does not say %q", query, want)
		}
	}
	body = s.get(t, "/room/cluster?status=CrashLoopBackOff&text=big").body
	if strings.Count(body, `id="delete-`) != 1 || !strings.Contains(body, "big-450") || !strings.Contains(body, `href="/room/cluster">All 500`) {
		t.Error("those with a status alone are not shown")
	}
	if got := s.get(t, "/room/cluster?page=x"); got.code != http.StatusBadRequest {
		t.Errorf("a strange page: %d", got.code)
	}
}

func TestFaultFormShowsItsCommand(t *testing.T) {
	t.Parallel()
	s := start(t)
	q := url.Values{"point": {"dpm.connect"}, "error": {"it's broken"}, "times": {"2"}, "environment": {"prod"}, "name": {"cut"}, "probability": {"0.5"}}
	want := "dpesim fault arm dpm.connect --name cut --error &#39;it&#39;\\&#39;&#39;s broken&#39; --environment prod --times 2 --probability 0.5"
	if got := s.get(t, "/room/faults/command?"+q.Encode()); got.code != http.StatusOK || !strings.Contains(got.body, want) || strings.Contains(got.body, "<html") {
		t.Errorf("%d %s", got.code, got.body)
	}
	if got := s.get(t, "/room/faults/command?times=x"); got.code != http.StatusBadRequest {
		t.Errorf("times x: %d", got.code)
	}
}
