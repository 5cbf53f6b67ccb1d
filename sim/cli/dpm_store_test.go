package cli_test

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cli"
	"github.com/dpesim/dpesim/sim/simtest"
)

// withDPE is a world with the environment acme and, in values.yaml, what its DPE Finance is installed with.
func withDPE(t *testing.T) (world, *simtest.Sim) {
	t.Helper()
	s := simtest.Start(t)
	w := with(t, s)
	s.Environment(t, api.EnvironmentSpec{Name: "Acme"})
	w.ok("dpe", "add", "acme", "Finance")
	w.file("values.yaml", w.ok("dpe", "values", "acme", "finance"))
	return w, s
}

// typed runs a command with a standard input.
func (w world) typed(stdin string, args ...string) result {
	w.t.Helper()
	var out, errs bytes.Buffer
	e := w.environment(args, &out, &errs)
	e.Stdin = strings.NewReader(stdin)
	code := cli.Main(w.t.Context(), e)
	return result{code, out.String(), errs.String()}
}

// withoutSecrets fails if a result has something of what values.yaml keeps secret.
func (w world) withoutSecrets(r result) {
	w.t.Helper()
	values := w.ok("dpe", "values", "acme", "finance")
	for _, m := range regexp.MustCompile(`(?m)^  (?:jwtKey|secretKey|password): "(.+)"`).FindAllStringSubmatch(values, -1) {
		if strings.Contains(r.stdout+r.stderr, m[1]) {
			w.t.Errorf("a secret is told:\n%s%s", r.stdout, r.stderr)
		}
	}
}

const hello = `{"hello": {"label": "finance", "replica": "me", "version": "15.3.0", "slots": 1}}`

func TestGRPCShowsTheContract(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	if out := w.ok("grpc", "list"); !strings.Contains(out, "dpesim.dpm.v1.EngineService/Connect  both") || !strings.Contains(out, "grpc.health.v1.Health/Check") {
		t.Errorf("list printed\n%s", out)
	}
	if out := w.ok("grpc", "describe", "dpesim.dpm.v1.Credits"); !strings.HasPrefix(out, "// ") || !strings.HasSuffix(out, "uint32 commands = 1;\n}\n") || strings.Count(out, "message") != 1 {
		t.Errorf("describe printed\n%s", out)
	}
	if out := w.ok("grpc", "describe"); !strings.Contains(out, "service EngineService {") || !strings.Contains(out, "message Hello {") {
		t.Errorf("describe printed\n%s", out)
	}
	w.fails(2, []string{`DPM's contract has no "Nosuch"`}, "grpc", "describe", "Nosuch")
}

func TestGRPCCallsDPMAsTheDPE(t *testing.T) {
	t.Parallel()
	w, s := withDPE(t)
	if out := w.ok("grpc", "call", "grpc.health.v1.Health/Check", "--environment", "acme"); out != `{"status":"SERVING"}`+"\n" {
		t.Errorf("health printed %s", out)
	}
	connect := []string{"grpc", "call", "EngineService/Connect", "--values", "values.yaml", "--messages", "1", "-d", "@-"}
	for _, clock := range []string{"", "90d"} { // DPM judges the token by the simulator's clock
		if clock != "" {
			w.ok("clock", "advance", clock)
		}
		r := w.typed(hello+hello, connect...)
		if r.code != 0 || !strings.HasPrefix(r.stdout, `{"welcome":{"dpmVersion":"15.3.0","heartbeatInterval":"`) || strings.Count(r.stdout, "\n") != 1 {
			t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		w.withoutSecrets(r)
	}
	for _, x := range []struct {
		name, stdin string
		args        []string
		code        int
		out, errs   string
	}{
		{"another's label", strings.Replace(hello, "finance", "other", 1), connect, 1, "", "Error: dpesim.dpm.v1.EngineService/Connect: DPM answers PermissionDenied: "},
		{"without a token", hello, []string{"grpc", "call", "EngineService/Connect", "--environment", "acme", "-d", "@-", "--status", "unauthenticated"}, 0, "Unauthenticated: the call carries no token\n", ""},
		{"another status", hello, append(slices.Clip(connect), "--status", "NotFound"), 1, `{"welcome":`, "Error: dpesim.dpm.v1.EngineService/Connect: the status is OK, not NotFound\n"},
		{"no JSON", "{", connect, 2, "", "Error: the requests are no JSON: "},
		{"another message", `{"hello": {"name": 1}}`, connect, 2, "", "Error: request 1 is no ConnectRequest: "},
		{"no method", "", []string{"grpc", "call", "Nosuch/Method", "--environment", "acme"}, 2, "", `Error: DPM serves no method "Nosuch/Method"`},
		{"no DPM", "", []string{"grpc", "call", "Health/Check"}, 2, "", "Error: which DPM: "},
		{"two requests", "{}{}", []string{"grpc", "call", "Health/Check", "--environment", "acme", "-d", "@-"}, 2, "", "Error: Check takes one request, not 2\n"},
		{"no environment", "", []string{"grpc", "call", "Health/Check", "--environment", "nosuch"}, 1, "", "Error: there is no environment"},
		{"no values", "", []string{"grpc", "call", "Health/Check", "--values", "nosuch.yaml"}, 2, "", "Error: the values file cannot be read"},
	} {
		r := w.typed(x.stdin, x.args...)
		if r.code != x.code || !strings.HasPrefix(r.stdout, x.out) || !strings.HasPrefix(r.stderr, x.errs) {
			t.Errorf("%s: exit code %d, want %d\n%s%s", x.name, r.code, x.code, r.stdout, r.stderr)
		}
		w.withoutSecrets(r)
	}
	if err := s.API.RemoveDPE(t.Context(), "acme", "finance", 0); err != nil {
		t.Fatal(err)
	}
	if r := w.typed("", "shell", "-c", "eventually 30s "+strings.Join(connect[:5], " ")+" --messages 1 --status PermissionDenied -d '"+hello+"'"); r.code != 0 || !strings.Contains(r.stdout, "PermissionDenied: ") {
		t.Errorf("a revoked key: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

func TestS3ActsAsTheOperatorAndAsTheDPE(t *testing.T) {
	t.Parallel()
	w, s := withDPE(t)
	for i, who := range [][]string{{"acme"}, {"--values", "values.yaml"}} {
		do := func(verb string, args ...string) []string {
			return append(append([]string{"s3", verb}, who...), args...)
		}
		if out := w.ok(do("ls")...); !strings.Contains(out, "sample-data") || !strings.Contains(out, "results") {
			t.Errorf("the buckets are\n%s", out)
		}
		if r := w.typed("mine\n", do("put", "-", "results/mine.txt")...); r.code != 0 {
			t.Errorf("put: exit code %d\n%s", r.code, r.stderr)
		}
		if out := w.ok(do("cat", "results/mine.txt")...); out != "mine\n" {
			t.Errorf("it holds %q", out)
		}
		if i > 0 {
			w.ok("clock", "advance", "3d")
		}
		url := strings.TrimSpace(w.ok(do("presign", "results/mine.txt", "--expires", "1m")...))
		if out := w.ok("http", url); out != "mine\n" {
			t.Errorf("by %s there is %q", url, out)
		}
		w.ok("clock", "advance", "2m")
		if out := w.ok("http", url, "--status", "403"); !strings.Contains(out, "expired") {
			t.Errorf("later there is %q", out)
		}
		w.ok(do("rm", "s3://results/mine.txt")...)
		if out := w.ok(do("ls", "results/mine", "-o", "json")...); out != "[]\n" {
			t.Errorf("it is still there: %s", out)
		}
		w.fails(1, []string{"results/mine.txt cannot be read as ", "(NoSuchKey)"}, do("cat", "results/mine.txt")...)
		w.fails(2, []string{`"results" is not BUCKET/KEY`}, do("rm", "results")...)
		w.fails(2, []string{"--expires 0s"}, do("presign", "a/b", "--expires", "0s")...)
		w.fails(2, []string{"with --values FILE there is no ENVIRONMENT"}, do("cat", "a/b", "a/b")...)
	}
	if err := s.API.RemoveDPE(t.Context(), "acme", "finance", 0); err != nil {
		t.Fatal(err)
	}
	gone := "! s3 ls --values values.yaml 2>refused.txt && grep InvalidAccessKeyId refused.txt"
	if r := w.run("shell", "-c", "gone() { "+gone+"; }; eventually 30s gone"); r.code != 0 ||
		!strings.Contains(r.stdout, "Error: the buckets cannot be listed as DPE finance: ") || strings.Contains(r.stdout, sim.Secret("").String()) {
		t.Errorf("withdrawn: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}
