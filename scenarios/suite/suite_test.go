package suite_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/scenarios/suite"
	"github.com/dpesim/dpesim/scenarios/verb"
)

// parsed gives a scenario with a step for each fence; its first is on line 5.
func parsed(tb testing.TB, file, tags string, fences ...string) *engine.Scenario {
	tb.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "---\ntitle: %s\ntags: [%s]\n---\n", file, tags)
	for i, f := range fences {
		fmt.Fprintf(&b, "## Step %d\n```sh run\n%s\n```\n", i+1, f)
	}
	s, err := engine.Parse(file, []byte(b.String()))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// player plays with the word wait, which ends with the case.
func player(tb testing.TB) suite.Player {
	tb.Helper()
	return func(ctx context.Context, c suite.Case, report engine.Reporter) error {
		return engine.Run(ctx, c.Scenario, engine.Options{
			Dir: tb.TempDir(), NoExec: true, Report: report,
			Verbs: map[string]verb.Verb{"wait_for_ever": func(ctx context.Context, _ verb.Call) error {
				<-ctx.Done()
				return ctx.Err()
			}},
		})
	}
}

func names(cases []suite.Case) []string {
	var out []string
	for _, c := range cases {
		out = append(out, fmt.Sprintf("%s %d", c.Scenario.File, c.Round))
	}
	return out
}

func TestPlans(t *testing.T) {
	t.Parallel()
	list := []*engine.Scenario{parsed(t, "a", "install, slow", "echo"), parsed(t, "b", "edit", "echo"), parsed(t, "c", "install", "echo")}
	for _, x := range []struct {
		plan suite.Plan
		want []string
	}{
		{suite.Plan{}, []string{"a 1", "b 1", "c 1"}},
		{suite.Plan{Tags: []string{"install"}}, []string{"a 1", "c 1"}},
		{suite.Plan{Tags: []string{"install", "edit", "!slow"}}, []string{"b 1", "c 1"}},
		{suite.Plan{Tags: []string{"!slow"}}, []string{"b 1", "c 1"}},
		{suite.Plan{Tags: []string{"nosuch"}}, nil},
		{suite.Plan{Repeat: 2, Tags: []string{"edit"}}, []string{"b 1", "b 2"}},
		{suite.Plan{Shard: suite.Shard{I: 2, N: 2}, Repeat: 2}, []string{"b 1", "a 2", "c 2"}},
	} {
		if diff := cmp.Diff(x.want, names(x.plan.Cases(list))); diff != "" {
			t.Errorf("%+v: -want +got\n%s", x.plan, diff)
		}
	}
	for _, bad := range []string{"", "1", "0/3", "4/3", "a/b", "1/0", "-1/2"} {
		if _, err := suite.ParseShard(bad); err == nil {
			t.Errorf("%q is a shard", bad)
		}
	}
	if s, err := suite.ParseShard("2/3"); err != nil || s != (suite.Shard{I: 2, N: 3}) {
		t.Errorf("%v %v", s, err)
	}
}

// Whatever the plan, its shards together play each case once, in an order that its seed decides.
func TestShardsShareTheWork(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var list []*engine.Scenario
		for i := range rapid.IntRange(0, 9).Draw(t, "scenarios") {
			list = append(list, &engine.Scenario{File: strconv.Itoa(i)})
		}
		p := suite.Plan{Repeat: rapid.IntRange(0, 3).Draw(t, "repeat"), Shuffle: rapid.Uint64().Draw(t, "shuffle")}
		n := rapid.IntRange(1, 5).Draw(t, "shards")
		var all []string
		for i := range n {
			p.Shard = suite.Shard{I: i + 1, N: n}
			all = append(all, names(p.Cases(list))...)
		}
		p.Shard = suite.Shard{}
		want := names(p.Cases(list))
		slices.Sort(all)
		slices.Sort(want)
		if !slices.Equal(all, want) {
			t.Fatalf("shards play %v, want %v", all, want)
		}
	})
}

// human is a Report for a person.
func human(out *bytes.Buffer) suite.Report {
	return func(suite.Case) engine.Reporter { return engine.Human{W: out} }
}

func TestManyAtATimeAreToldOneAfterTheOther(t *testing.T) {
	t.Parallel()
	var cases []suite.Case
	for i := range 6 {
		cases = append(cases, suite.Case{Scenario: parsed(t, fmt.Sprintf("s%d", i), "", "say one", "say two"), Round: 1})
	}
	var out bytes.Buffer
	var mu sync.Mutex
	at, most := 0, 0
	play := player(t)
	both := make(chan struct{}) // closed when two play at a time
	results, err := suite.Run(t.Context(), cases, func(ctx context.Context, c suite.Case, r engine.Reporter) error {
		mu.Lock()
		at++
		if most = max(most, at); most == 2 && at == 2 {
			select {
			case <-both:
			default:
				close(both)
			}
		}
		mu.Unlock()
		<-both
		defer func() { mu.Lock(); at--; mu.Unlock() }()
		return play(ctx, c, r)
	}, suite.Options{Parallel: 2, Reports: []suite.Report{human(&out)}})
	if err != nil || len(results) != 6 || most != 2 {
		t.Errorf("%d results, %d at a time, %v", len(results), most, err)
	}
	parts := strings.Split(out.String(), "2 steps ok in")
	for _, p := range parts[:len(parts)-1] {
		if strings.Count(p, "Step 1") != 1 || strings.Count(p, "two") != 1 {
			t.Errorf("told as %q", p)
		}
	}
	if len(parts) != 7 {
		t.Errorf("%d are told", len(parts)-1)
	}
}

func TestFailFastBeginsNoOther(t *testing.T) {
	t.Parallel()
	cases := []suite.Case{{Scenario: parsed(t, "good", "", "true")}, {Scenario: parsed(t, "bad", "", "false")}, {Scenario: parsed(t, "never", "", "true")}}
	for fast, want := range map[bool]int{true: 2, false: 3} {
		results, err := suite.Run(t.Context(), cases, player(t), suite.Options{FailFast: fast})
		if err != nil || len(results) != want || results[1].Err == nil || results[0].Err != nil {
			t.Errorf("fail fast %v: %+v %v", fast, results, err)
		}
	}
}

func TestACaseThatTakesTooLongIsEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		cases := []suite.Case{{Scenario: parsed(t, "slow", "", "wait_for_ever")}, {Scenario: parsed(t, "good", "", "true")}}
		results, err := suite.Run(t.Context(), cases, player(t), suite.Options{Timeout: time.Minute, Reports: []suite.Report{human(&out)}})
		if err != nil || len(results) != 2 || results[1].Err != nil {
			t.Fatalf("%+v %v", results, err)
		}
		if e, ok := errors.AsType[*suite.TimeoutError](results[0].Err); !ok || e.After != time.Minute {
			t.Errorf("%v", results[0].Err)
		}
		if !strings.Contains(out.String(), "FAILED after 0 of 1 steps in 60.00s: not done after 1m0s: it was ended") {
			t.Error(out.String())
		}
	})
}

func TestTheEndOfTheContextEndsTheRun(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cases := []suite.Case{{Scenario: parsed(t, "a", "", "true")}, {Scenario: parsed(t, "b", "", "true")}}
	results, err := suite.Run(ctx, cases, func(context.Context, suite.Case, engine.Reporter) error {
		cancel()
		return ctx.Err()
	}, suite.Options{})
	if !errors.Is(err, context.Canceled) || len(results) != 1 {
		t.Errorf("%+v %v", results, err)
	}
}

// mixed plays a good scenario, one that fails in its second of three steps, and one whose simulator cannot start.
func mixed(t *testing.T, reports ...suite.Report) {
	t.Helper()
	play := player(t)
	cases := []suite.Case{
		{Scenario: parsed(t, "dir/good.md", "", "say 'fine & <well>'"), Round: 2},
		{Scenario: parsed(t, "bad.md", "", "true", "printf '\\033[31mred, 100%%\\n'; false | true", "true"), Round: 1},
		{Scenario: parsed(t, "broken.md", "", "true"), Round: 1},
	}
	_, err := suite.Run(t.Context(), cases, func(ctx context.Context, c suite.Case, r engine.Reporter) error {
		if c.Scenario.File == "broken.md" {
			return errors.New("no port is free")
		}
		return play(ctx, c, r)
	}, suite.Options{Reports: reports})
	if err != nil {
		t.Fatal(err)
	}
}

func TestJUnit(t *testing.T) {
	t.Parallel()
	var j suite.JUnit
	mixed(t, j.Report)
	var out bytes.Buffer
	if n, err := j.WriteTo(&out); err != nil || n != int64(out.Len()) {
		t.Fatal(n, err)
	}
	var got struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
		Suites   []struct {
			Name  string `xml:"name,attr"`
			Cases []struct {
				Name    string `xml:"name,attr"`
				Line    int    `xml:"line,attr"`
				File    string `xml:"file,attr"`
				Output  string `xml:"system-out"`
				Failure *struct {
					Message string `xml:"message,attr"`
					Text    string `xml:",chardata"`
				} `xml:"failure"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, s := range got.Suites {
		for _, c := range s.Cases {
			line := fmt.Sprintf("%s: %s:%d %s", s.Name, c.File, c.Line, c.Name)
			if c.Failure != nil {
				line += fmt.Sprintf(" failed: %s [%s]", c.Failure.Message, c.Failure.Text)
			}
			if c.Skipped != nil {
				line += " skipped"
			}
			told = append(told, line+" "+c.Output)
		}
	}
	want := []string{
		"dir/good.md (round 2): dir/good.md:5 Step 1 fine & <well>",
		"bad.md: bad.md:5 Step 1 ",
		"bad.md: bad.md:11 Step 2 failed: exit status 1: false | true [[31mred, 100%\n] ",
		"bad.md: bad.md:13 Step 3 skipped ",
		"broken.md: broken.md:1 (the run itself) failed: no port is free [] ",
		"broken.md: broken.md:5 Step 1 skipped ",
	}
	if diff := cmp.Diff(want, told); diff != "" || got.Tests != 6 || got.Failures != 2 || got.Skipped != 2 {
		t.Errorf("%d tests, %d failures, %d skipped; -want +got\n%s\n%s", got.Tests, got.Failures, got.Skipped, diff, out.String())
	}
}

func TestGitHub(t *testing.T) {
	t.Parallel()
	var log, summary bytes.Buffer
	g := suite.GitHub{Log: &log}
	mixed(t, g.Report)
	if err := g.WriteSummary(&summary); err != nil {
		t.Fatal(err)
	}
	want := "::error file=bad.md,line=11,title=bad.md%3A Step 2::exit status 1: false | true%0A\x1b[31mred, 100%25\n" +
		"::error file=broken.md,title=broken.md::no port is free\n"
	if log.String() != want {
		t.Errorf("got %q\nwant %q", log.String(), want)
	}
	for _, row := range []string{"| ✅ | dir/good.md (round 2) | 1 of 1 |", "| ❌ | bad.md | 1 of 3 |", `false \| true |`, "<summary>bad.md, line 11: Step 2</summary><pre>\nexit status 1: false | true\n", "| ❌ | broken.md | 0 of 1 | 0s | no port is free |"} {
		if !strings.Contains(summary.String(), row) {
			t.Errorf("no %q in\n%s", row, summary.String())
		}
	}
}

// The page stands alone: it loads nothing, runs nothing, and shows what was printed as text.
func TestHTML(t *testing.T) {
	t.Parallel()
	var h suite.HTML
	mixed(t, h.Report)
	evil := suite.Case{Scenario: parsed(t, "evil.md", "", "say '<script>alert(1)</script>'; printf 'line %s\\n' {1..50}; echo '<img src=http://elsewhere>'; false"), Round: 1}
	_, err := suite.Run(t.Context(), []suite.Case{evil}, func(ctx context.Context, c suite.Case, r engine.Reporter) error {
		return engine.Run(ctx, c.Scenario, engine.Options{
			Dir: t.TempDir(), NoExec: true, Report: r,
			Diagnose: func(context.Context, engine.StepFinished) engine.Diagnosis {
				return engine.Diagnosis{Clues: []engine.Clue{{Title: "why <it>", Text: "</pre><b>because</b>"}}}
			},
		})
	}, suite.Options{Reports: []suite.Report{h.Report}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if n, err := h.WriteTo(&out); err != nil || n != int64(out.Len()) {
		t.Fatal(n, err)
	}
	page := out.String()
	for _, says := range []string{
		"<title>3 of 4 scenarios failed</title>", "dir/good.md (round 2)", "fine &amp; &lt;well&gt;", "bad.md:11: exit status 1: false | true",
		"no port is free", "not run", "&lt;script&gt;alert(1)&lt;/script&gt;", "&lt;img src=http://elsewhere&gt;\n</pre>", "why &lt;it&gt;",
		"&lt;/pre&gt;&lt;b&gt;because", "The lines before these", "default-src 'none'", "prefers-color-scheme: dark",
	} {
		if !strings.Contains(page, says) {
			t.Errorf("it does not say %q", says)
		}
	}
	for _, loads := range []string{"<script", "<img", "<link", "<iframe", "src=\"", "@import", "url(", "<b>because"} {
		if strings.Contains(page, loads) {
			t.Errorf("it has %q", loads)
		}
	}
	if n := strings.Count(page, "<pre"); n != strings.Count(page, "</pre>") || n < 3 {
		t.Errorf("%d pieces of text", n)
	}
}
