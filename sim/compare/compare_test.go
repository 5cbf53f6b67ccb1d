package compare_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/scenarios"
	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim/cli"
	"github.com/dpesim/dpesim/sim/compare"
	"github.com/dpesim/dpesim/sim/rehearse"
	"github.com/dpesim/dpesim/sim/simtest"
)

func TestMain(m *testing.M) {
	if code, ok := verb.Dispatch(os.Args); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// seen is a run with one object, which shows lines after each step. A line "~" says that it is under way.
func seen(cluster string, kind compare.Kind, steps ...[]string) *compare.Run {
	r := &compare.Run{Cluster: cluster}
	for i, lines := range steps {
		o := &compare.Object{Lines: map[string]bool{}}
		for _, l := range lines {
			if l == "~" {
				o.Moves = true
			} else {
				o.Lines[l] = true
			}
		}
		r.Steps = append(r.Steps, compare.Step{Name: "step", Line: i, Sights: map[compare.Kind]map[string]*compare.Object{kind: {"Pod finance-ID": o}}})
	}
	return r
}

func TestWhatPassesIsNoDifference(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		kind    compare.Kind
		a, b    [][]string
		want    []string
		passing int
	}{
		{"alike", compare.States, [][]string{{"Running"}}, [][]string{{"Running"}}, nil, 0},
		{"different", compare.States, [][]string{{"Running"}}, [][]string{{"Failed"}}, []string{"inprocess Running", "kind Failed"}, 0},
		{"only there", compare.Printed, [][]string{{"a"}}, [][]string{{"a", "b"}}, []string{"kind b"}, 0},
		{"under way there", compare.States, [][]string{{"Running"}}, [][]string{{"Pending", "~"}}, nil, 2},
		{"a step later", compare.States, [][]string{{"Running"}, {"Running"}}, [][]string{{"Pending", "~"}, {"Running"}}, nil, 2},
		{"only later", compare.Events, [][]string{{"Started"}, {}}, [][]string{{}, {"Started"}}, nil, 2},
		{
			"of the way", compare.Events,
			[][]string{{"Normal Pulled, kubelet: x"}},
			[][]string{{"Warning Unhealthy, kubelet: Readiness probe failed: no"}},
			[]string{"inprocess Normal Pulled, kubelet: x"},
			1,
		},
	} {
		r := compare.Of("x", seen("inprocess", tt.kind, tt.a...), seen("kind", tt.kind, tt.b...))
		var got []string
		for _, d := range r.Differences {
			got = append(got, d.Cluster+" "+d.Text)
		}
		if !slices.Equal(got, tt.want) || r.Passing != tt.passing {
			t.Errorf("%s: %q, %d of it pass", tt.name, got, r.Passing)
		}
	}
}

func TestAPersonReadsWhatIsNotPublished(t *testing.T) {
	t.Parallel()
	table, _ := published(t)
	a := seen("inprocess", compare.Events, []string{"Warning Odd, kubelet: here", "Normal Pulling, kubelet: Pulling image \"x\""})
	b := seen("kind", compare.Events, []string{"Warning Odd, kubelet: there"})
	r := compare.Of("x", a, b)
	table.Judge(r)
	var out strings.Builder
	if err := r.Write(&out, "at once"); err != nil {
		t.Fatal(err)
	}
	const want = `x: differs (at once)
  step "step"
    event Pod finance-ID
      - Warning Odd, kubelet: here
      + Warning Odd, kubelet: there
  0 lines alike, 0 pass, 1 published (3)
`
	if out.String() != want || r.Unpublished() != 2 {
		t.Errorf("got %d of it\n%s\nwant\n%s", r.Unpublished(), &out, want)
	}
	stale := table.Stale([]*compare.Result{r})
	if len(stale) == 0 || slices.ContainsFunc(stale, func(k compare.Known) bool { return k.Sometimes }) {
		t.Errorf("stale are %v", stale)
	}
}

// Two runs on the same kind of cluster differ in nothing.
func TestTwoRunsOnOneKindOfClusterAreTheSame(t *testing.T) {
	t.Parallel()
	sc, err := scenarios.Read("rollback")
	if err != nil {
		t.Fatal(err)
	}
	var runs []*compare.Run
	for _, name := range []string{"one", "other"} {
		c := simtest.Config(t)
		rehearse.Configure(&c, sc)
		s := simtest.StartConfig(t, c)
		file := s.Path("endpoints.json")
		if err := s.Endpoints().WriteFile(file); err != nil {
			t.Fatal(err)
		}
		r, err := compare.Record(t.Context(), name, s.Stack)
		if err != nil {
			t.Fatal(err)
		}
		if err := rehearse.Play(t.Context(), s.Stack, sc, rehearse.Options{Dpesim: cli.Word, Endpoints: file, Report: r, Around: r.Around}); err != nil {
			t.Fatal(err)
		}
		run, err := r.Run()
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, run)
	}
	r := compare.Of("rollback", runs[0], runs[1])
	for _, kind := range []compare.Kind{compare.Printed, compare.Told, compare.States, compare.Events} {
		if r.Same[kind] < 10 {
			t.Errorf("of %s only %d lines are alike", kind, r.Same[kind])
		}
	}
	table, _ := published(t)
	table.Judge(r) // which pod pulls is chance
	if r.Unpublished() > 0 {
		t.Errorf("they differ: %+v", r.Differences)
	}
}
